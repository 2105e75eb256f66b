"""Rules of a topic as a table in its documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns rows as a Markdown table; equal rows stand there once.

    Args:
        columns: Headings.
        rows: One line each.

    Example:
        >>> print(table(("cause", "evidence"), [("link cut", "nothing arrives")]))
        | cause | evidence |
        | --- | --- |
        | link cut | nothing arrives |
        <BLANKLINE>
    """
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}", *dict.fromkeys(lines)]) + "\n"
