"""What became of requests: failures by kind, the longest gap, answer times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from NetLibrary._mechanics.outages.results.kinds import counts, failures
from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.types import StreamResult
from NetLibrary._mechanics.report import Cell, html_table

TIMES = ("p50", "p90", "p99", "max")
COLUMNS = (
    "requests to", "over", "sent", "failed", "of what kind", "longest gap ms", *(f"{name} ms" for name in TIMES)
)  # fmt: skip
OVER = {"http": "new connections", "http_kept": "a kept connection", "tcp_new": "new connections (TCP alone)"}


def longest_gap_ms(stream: StreamResult) -> float:
    """Returns the longest time between two good answers, as far as the probes can tell."""
    gaps = [window.longest_ms for window in stream.outages]
    return max([stream.spec.period_ms, *gaps])


def summary(result: OutageResult) -> dict[str, Any]:
    """Returns the figures of all streams together, and those of each target under `targets`.

    Times are those of the slowest stream.
    """
    targets: dict[str, list[StreamResult]] = {}
    for stream in result.streams:
        targets.setdefault(stream.spec.path, []).append(stream)
    return {
        **_figures(result.streams),
        "targets": {target: _figures(streams) for target, streams in targets.items()},
    }


def _figures(streams: Sequence[StreamResult]) -> dict[str, Any]:
    kinds: dict[str, int] = {}
    for stream in streams:
        for kind, count in failures(stream).items():
            kinds[kind] = kinds.get(kind, 0) + count
    found: dict[str, Any] = {
        "requests": sum(stream.sent for stream in streams),
        "failed": sum(kinds.values()),
        "failures": kinds,
        "longest_gap_ms": round(max((longest_gap_ms(stream) for stream in streams), default=0.0), 3),
    }
    for name in TIMES:
        found[f"{name}_ms"] = max((stream.times_ms.get(name, 0.0) for stream in streams), default=0.0)
    return found


def html(result: OutageResult) -> str:
    """Returns the table of the requests."""
    rows = [
        [
            stream.spec.path,
            OVER.get(stream.spec.kind.value, stream.spec.kind.value),
            stream.sent,
            Cell(str(sum(failures(stream).values())), "bad" if failures(stream) else "good"),
            counts(failures(stream)),
            f"{longest_gap_ms(stream):.0f}",
            *(f"{stream.times_ms[name]:.1f}" if name in stream.times_ms else "" for name in TIMES),
        ]
        for stream in result.streams
    ]
    return html_table(COLUMNS, rows, f"{result.name}: requests")
