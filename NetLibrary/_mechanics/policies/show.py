"""Tables and pictures of a truth table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.pictures import picture
from NetLibrary._mechanics.policies.causes import by_hand
from NetLibrary._mechanics.policies.results import Cell, Found, Table
from NetLibrary._mechanics.policies.subjects import Subjects, stands_for
from NetLibrary._mechanics.report import Cell as Field
from NetLibrary._mechanics.report import Table as Shown

MOST_ROWS = 40
MOST_COLUMNS = 60
LISTED = 50
MOST_SAMPLES = 2000
# (allowed by the policies, found) → the mark of a cell; colours never speak alone
MARKS = {
    (True, Found.RIGHT): ("+", "good"),
    (False, Found.RIGHT): ("-", "idle"),
    (False, Found.OPEN): ("OPEN", "bad"),
    (True, Found.CLOSED): ("CLOSED", "bad"),
}
LEGEND = (
    "+ reached, as allowed; - blocked, as denied; OPEN although denied; CLOSED although allowed; ? not judged; "
    "! probe error"
)
COLOURS = {"+": "#009E73", "-": "#dddddd", "OPEN": "#D55E00", "CLOSED": "#0072B2", "?": "#ffffff", "!": "#000000"}


def mark(cell: Cell) -> tuple[str, str]:
    """Returns the mark of a cell and its colour's name."""
    if cell.found is Found.ERROR:
        return "!", "warn"
    return MARKS.get((cell.decision.allowed, cell.found), ("?", "warn"))


def grid(table: Table, caption: str) -> Shown:
    """Returns senders as rows, ports of receivers as columns; rest the mouse on a cell for the policy that decides."""
    rows, columns, by_place = _places(table)
    shown = rows[:MOST_ROWS], columns[:MOST_COLUMNS]
    lines: list[list[object]] = []
    for row in shown[0]:
        cells: list[object] = [row]
        for column in shown[1]:
            cell = by_place.get((row, column))
            cells.append(Field("", "idle") if cell is None else Field(*mark(cell), title=cell.describe()))
        lines.append(cells)
    cut = f"; {len(rows)} rows and {len(columns)} columns, the first are shown" if (rows, columns) != shown else ""
    headings = ["from \\ to", *(f"{pod}:{port}" for pod, port in shown[1])]
    return Shown(headings, lines, f"{caption}: {LEGEND}{cut}", headline=len(rows) * len(columns) <= 400)


def differences(table: Table) -> Shown:
    """Returns a row for each wrong cell: who, where to, what decides, what was seen, how to repeat it."""
    lines: list[list[object]] = [
        [
            cell.source.name, f"{cell.target.pod}:{cell.column[1]}", Field(mark(cell)[0], "bad"), str(cell.decision),
            str(cell.observed.outcome), by_hand(cell),
        ]
        for cell in table.wrong[:LISTED]
    ]  # fmt: skip
    more = f", the first {LISTED}" if len(table.wrong) > LISTED else ""
    return Shown(
        ["from", "to", "found", "what the policies say", "seen", "repeat it"],
        lines,
        f"{len(table.wrong)} connections do not match the policies{more}",
    )


def facts(table: Table, subjects: Subjects) -> Shown:
    """Returns who asked, what was left out and why, and what is not judged."""
    lines = [["connections", str(len(table.cells))], ["policies", str(table.policies)]]
    lines += [["denied and blocked", f"{_stopped(table)}, of which {table.refused} by a refusal"]]
    copies = [name for name in dict.fromkeys(c.source.name for c in table.cells) if _copy_of(table, name)]
    lines += [["connects in place of pods with its labels", f"{name} (of {_copy_of(table, name)})"] for name in copies]
    lines += [[f"not judged: {reason}", f"{count} connections"] for reason, count in table.reasons.items()]
    by_reason: dict[str, list[str]] = defaultdict(list)
    for pod, reason in table.left_out:
        by_reason[reason].append(pod)
    for reason, pods in by_reason.items():
        names = ", ".join(pods[:4]) + (f" and {len(pods) - 4} more" if len(pods) > 4 else "")
        lines.append([f"left out: {names}", reason])
    lines += [["note", text] for text in (*table.notes, *([subjects.unclear] if subjects.unclear else []))]
    return Shown(["what", "how"], lines, "The table", headline=False)


def _stopped(table: Table) -> int:
    return sum(cell.found is Found.RIGHT for cell in table.denied)


def _copy_of(table: Table, name: str) -> str:
    return next((stands_for(cell.flow.sender) for cell in table.cells if cell.source.name == name), "")


def draw(table: Table, path: Path, caption: str) -> None:
    """Draws the whole table, one dot for each connection."""
    import matplotlib
    import numpy

    rows, columns, by_place = _places(table)
    kinds = list(COLOURS)
    values = numpy.full((len(rows), len(columns)), numpy.nan)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            if (cell := by_place.get((row, column))) is not None:
                values[y, x] = kinds.index(mark(cell)[0])
    size = min(14.0, max(7.0, 2.5 + 0.22 * len(columns))), min(12.0, max(3.5, 2.5 + 0.22 * len(rows)))
    with picture(path, *size) as axes:
        axes.grid(False)
        colours = matplotlib.colors.ListedColormap(list(COLOURS.values()))
        axes.imshow(values, cmap=colours, vmin=-0.5, vmax=len(kinds) - 0.5, aspect="auto", interpolation="nearest")
        if len(rows) <= MOST_ROWS:
            axes.set_yticks(range(len(rows)), short(rows), fontsize=7)
        if len(columns) <= MOST_COLUMNS:
            names = [
                f"{pod}:{port}" for pod, (_, port) in zip(short([pod for pod, _ in columns]), columns, strict=True)
            ]
            axes.set_xticks(range(len(columns)), names, rotation=60, ha="right", fontsize=6)
            if len(rows) <= MOST_ROWS:
                _letters(axes, rows, columns, by_place)
        axes.set_title(f"{caption}: rows connect to columns. Green: reached; grey: blocked; red: open; blue: closed",
                       fontsize=8, loc="left")  # fmt: skip


def short(pods: Sequence[str]) -> list[str]:
    """Returns names of pods without what all their namespaces begin with, up to a hyphen.

    Example:
        >>> short(["run-7-x/a", "run-7-y/a"])
        ['x/a', 'y/a']
    """
    spaces = sorted({pod.partition("/")[0] for pod in pods})
    if len(spaces) == 1:
        return [pod.partition("/")[2] for pod in pods]
    parts = [space.split("-")[:-1] for space in spaces]
    common = "".join(
        f"{words[0]}-" for words in takewhile(lambda words: len(set(words)) == 1, zip(*parts, strict=False))
    )
    return [pod.removeprefix(common) for pod in pods]


def _letters(axes: Any, rows: Sequence[str], columns: Sequence[Any], by_place: Mapping[Any, Cell]) -> None:
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            cell = by_place.get((row, column))
            if cell is not None and cell.wrong:
                axes.text(x, y, mark(cell)[0][0], color="white", ha="center", va="center", fontsize=6)


def _places(table: Table) -> tuple[list[str], list[tuple[str, str]], dict[tuple[str, tuple[str, str]], Cell]]:
    rows = list(dict.fromkeys(cell.source.name for cell in table.cells))
    columns = list(dict.fromkeys(cell.column for cell in table.cells))
    return rows, columns, {(cell.source.name, cell.column): cell for cell in table.cells}


def samples(table: Table) -> list[dict[str, Any]]:
    """Returns every cell for the record; of large tables, those that are not right."""
    cells = table.cells if len(table.cells) <= MOST_SAMPLES else [c for c in table.cells if c.found is not Found.RIGHT]
    return [
        {
            "from": cell.source.name, "to": cell.target.pod, "port": cell.column[1], "policies": str(cell.decision),
            "allowed": cell.decision.allowed, "seen": str(cell.observed.outcome), "found": cell.found.value,
            "latency_ms": cell.observed.latency_ms,
        }
        for cell in cells
    ]  # fmt: skip
