"""The table of a run of requests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from NetLibrary._mechanics.pictures import COLOURS, picture
from NetLibrary._mechanics.report import Cell, Table
from NetLibrary._mechanics.throughput.requests.objects import Load
from NetLibrary._mechanics.throughput.requests.results import RequestRun


def table(name: str, load: Load, run: RequestRun) -> Table:
    """Returns the figures of a run, what failed among them."""
    how = "each over a new connection" if load.new_connections else f"over {load.connections} kept connections"
    rate = f"{load.per_second:g} requests per second" if load.per_second else "as fast as they are answered"
    rows: list[list[object]] = [
        ["to", f"{load.server}:{load.port}, {how}, {load.connections} at once, {rate}"],
        ["answered", f"{run.answers} in {run.seconds:.2f} s"],
        ["answered per second", f"{run.requests_per_second:.0f}"],
        ["p50, p99, p99.9", f"{run.p50_ms:.3f} ms, {run.p99_ms:.3f} ms, {run.p999_ms:.3f} ms"],
        ["slowest", f"{run.max_ms:.3f} ms"],
        ["connections opened", run.connections],
    ]
    if run.failed:
        kinds = ", ".join(f"{kind} {count}" for kind, count in run.failures.items())
        rows.append(["failed", Cell(f"{run.failed}: {kinds}; the times above include theirs", "bad")])
    return Table(["", name], rows)


def compared(name: str, reference: str, runs: Mapping[str, RequestRun], multiples: Mapping[str, float]) -> Table:
    """Returns the latencies of several paths."""
    rows = [
        [
            each, f"{run.p50_ms:.3f}", f"{run.p99_ms:.3f}", f"{run.p999_ms:.3f}", f"{run.max_ms:.3f}",
            f"{multiples[each]:.1f}", run.answers,
        ]
        for each, run in runs.items()
    ]  # fmt: skip
    columns = ["path", "p50 ms", "p99 ms", "p99.9 ms", "slowest ms", f"p99 as times that of {reference}", "answers"]
    return Table(columns, rows, name)


def draw(path: Path, runs: Mapping[str, RequestRun]) -> Path:
    """Draws p50, p99 and p99.9 of several paths, on a logarithmic axis.

    Args:
        path: PNG file to write.
        runs: Results by name.
    Returns:
        The path.
    """
    with picture(path, 8.0, 1.0 + 0.35 * len(runs)) as axes:
        names = list(runs)
        for lane, run in enumerate(runs.values()):
            axes.plot([run.p50_ms, run.p999_ms], [lane, lane], color="#bbbbbb", linewidth=1.2, zorder=1)
        for colour, (label, field) in zip(
            COLOURS, (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms")), strict=False
        ):
            values = [getattr(run, field) for run in runs.values()]
            axes.scatter(values, range(len(names)), color=colour, label=label, s=28, zorder=2)
        axes.set_xscale("log")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel("ms")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8, frameon=False)
    return path
