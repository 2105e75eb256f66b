"""Tables for the log (HTML) and for the console (text)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2

# Colours carry no meaning alone: each coloured cell has its word or mark too (Jenkins strips inline styles).
_COLOURS = {
    "good": "background:#d9f2d9;color:#063",
    "bad": "background:#f8d0d0;color:#700;font-weight:bold",
    "warn": "background:#fff0c2;color:#640",
    "idle": "color:#777",
    "": "",
}
_TEMPLATE = """<table style="border-collapse:collapse;font-size:0.95em">
{%- if caption %}<caption style="text-align:left;font-weight:bold;padding:2px 0">{{ caption }}</caption>{% endif %}
<thead><tr>{% for column in columns %}
{#- #}<th style="{{ edge }};background:#eee;color:#222;text-align:left">{{ column }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr>{% for cell in row %}<td style="{{ edge }};{{ colours[cell.css_class] }}"
{%- if cell.title %} title="{{ cell.title }}"{% endif %}>{{ cell.text }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>"""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: What it shows.
        css_class: `good`, `bad`, `warn`, `idle` or empty.
        title: Shown when the mouse rests on it.
    """

    text: str
    css_class: str = ""
    title: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """A table for the log.

    Args:
        columns: Headings.
        rows: Cells, each a `Cell` or anything with a text.
        caption: Title above it.
        headline: Whether it is also shown at the test's top level, where a reader need not open any keyword.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str | None = None
    headline: bool = True


@dataclass(frozen=True)
class Picture:
    """A picture file for the log.

    Args:
        path: The file, in the output folder.
        caption: What it shows.
        headline: Whether it is also shown at the test's top level.
    """

    path: Path
    caption: str
    headline: bool = True


def html_table(columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str | None = None) -> str:
    """Returns an HTML table; everything in it is escaped.

    Args:
        columns: Headings.
        rows: Cells, each a `Cell` or anything with a text.
        caption: Title above the table.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(str(cell)) for cell in row] for row in rows]
    return _template().render(
        columns=columns,
        rows=cells,
        caption=caption,
        colours=_COLOURS,
        edge="border:1px solid #bbb;padding:2px 6px",
    )


def text_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns the same table as plain text."""
    from tabulate import tabulate

    return str(tabulate([[str(cell) for cell in row] for row in rows], headers=list(columns), disable_numparse=True))


@cache
def _template() -> jinja2.Template:
    import jinja2

    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_TEMPLATE)
