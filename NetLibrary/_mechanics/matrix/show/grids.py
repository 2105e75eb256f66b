"""Expected, observed and comparison as three text tables, as the tests of Kubernetes print them."""

from __future__ import annotations

from collections.abc import Callable

from NetLibrary._mechanics.matrix.model.types import MARKS, Cell, Table
from NetLibrary._mechanics.probing.types import Outcome
from NetLibrary._mechanics.report import text_table

LEGEND = (
    "Expected and observed: . connected, X not, ? not promised or not probed. Comparison: . as expected, X differs, ? "
    "not promised."
)


def expected(cell: Cell) -> str:
    """Mark of what a cell must show."""
    if not cell.expected.promised or not cell.expected.judged:
        return "?"
    return "." if Outcome.CONNECTED in cell.expected.outcomes else "X"


def observed(cell: Cell) -> str:
    """Mark of what a cell showed."""
    outcome = cell.observed.outcome
    if outcome is Outcome.ERROR:
        return "?"
    return "." if outcome is Outcome.CONNECTED else f"X{MARKS[outcome]}"


def comparison(cell: Cell) -> str:
    """Mark of whether the two agree."""
    if cell.wrong:
        return "X"
    return "." if cell.expected.promised and cell.expected.judged else "?"


def one(table: Table, mark: Callable[[Cell], str]) -> str:
    """One of the three, with sources as rows and targets as columns."""
    protocols = {protocol for _, protocol in table.columns}
    heads = [f"{name} {protocol}" if len(protocols) > 1 else name for name, protocol in table.columns]
    places = {(c.source.name, c.target.name, c.target.protocol): c for c in table.cells}
    rows = []
    for source in table.sources:
        cells = [places.get((source.name, *column)) for column in table.columns]
        rows.append([str(source), *("" if cell is None else mark(cell) for cell in cells)])
    return text_table(["", *heads], rows)


def three(table: Table) -> str:
    """All three, each under its name."""
    parts = [("expected:", expected), ("observed:", observed), ("comparison:", comparison)]
    return "\n\n".join(f"{name}\n{one(table, mark)}" for name, mark in parts)
