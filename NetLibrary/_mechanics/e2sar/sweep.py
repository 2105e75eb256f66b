"""Combinations of parameters and the table of what each delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from NetLibrary._mechanics.e2sar.arithmetic import rate_text
from NetLibrary._mechanics.e2sar.facts import Judgement, percent
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.report import Cell

MOST_RUNS = 200


@dataclass(frozen=True)
class Combination:
    """One point of a sweep."""

    mtu: int
    rate_gbps: float
    buffer_bytes: int

    @property
    def text(self) -> str:
        """The point in words."""
        return f"mtu {self.mtu}, {rate_text(self.rate_gbps)}, buffer {self.buffer_bytes}"


def combinations(mtu: Sequence[int], rates: Sequence[float], buffers: Sequence[int]) -> list[Combination]:
    """Returns all points of a sweep, the same one only once.

    Raises:
        InputError: An axis is empty, or there are too many points.
    """
    for name, values in (("mtu", mtu), ("rate", rates), ("receiver_buffer_bytes", buffers)):
        if not values:
            raise InputError(f"{name} is empty; allowed: a list with at least one value.")
    points = [Combination(int(m), float(r), int(b)) for m, r, b in product(mtu, rates, buffers)]
    unique = list(dict.fromkeys(points))
    if len(unique) > MOST_RUNS:
        raise InputError(f"The sweep has {len(unique)} runs; allowed: {MOST_RUNS}.")
    return unique


def table(done: Sequence[tuple[Combination, Judgement | None, str]]) -> tuple[list[str], list[list[object]]]:
    """Returns the table of a sweep: a row for each run."""
    columns = ["mtu", "rate", "buffer B", "delivered", "in part", "silently", "dropped by socket", "cause"]
    rows: list[list[object]] = []
    for run, judgement, text in done:
        point: list[object] = [run.mtu, rate_text(run.rate_gbps), run.buffer_bytes]
        if judgement is None:
            rows.append([*point, Cell("failed", "bad", text), "", "", "", text])
            continue
        colour = "good" if judgement.delivered == 1 else "warn" if judgement.delivered > 0.9 else "bad"
        overrun = judgement.frames.overrun
        rows.append(
            [*point, Cell(percent(judgement.delivered), colour, judgement.sentence), judgement.partial,
             judgement.silent, "?" if overrun is None else overrun, judgement.cause.kind if judgement.cause else ""]
        )  # fmt: skip
    return columns, rows
