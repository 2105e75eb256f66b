"""Limits and what they say about results. There are none by default: then a measurement only reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from .counters import Delta
from .types import ProbeKind, StreamResult


@dataclass(frozen=True)
class Limits:
    """What is allowed; None means that nothing is asked.

    Args:
        longest_outage_ms: Longest single outage of any stream.
        total_outage_ms: Sum of the outages of any stream.
        loss_ratio: Lost share of the probes of any stream, 0 to 1.
        failed_connections: New connections that failed, all paths together.
        resets: Kept connections that were reset or closed, all paths together.
        lost_connections: Kept connections that did not survive, for whatever reason.
        retransmit_ratio: Retransmitted share of TCP segments, 0 to 1, in each source.
        slow_ms: Longest time in which a path was only slow.
    """

    longest_outage_ms: float | None = None
    total_outage_ms: float | None = None
    loss_ratio: float | None = None
    failed_connections: int | None = None
    resets: int | None = None
    lost_connections: int | None = None
    retransmit_ratio: float | None = None
    slow_ms: float | None = None

    @property
    def given(self) -> dict[str, float]:
        """The limits that are set."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


def breaches(limits: Limits, results: Sequence[StreamResult], deltas: Sequence[tuple[str, Delta]] = ()) -> list[str]:
    """Returns one sentence for each limit that is broken, the worst stream first.

    An outage counts as longer than a limit only if the probes prove it: its lower bound is above the limit. A window
    whose estimate is above but whose lower bound is below could have been within the limit.

    Args:
        limits: What is allowed.
        results: Streams; invalid ones are not judged here, they are errors.
        deltas: Kernel counters by source.
    """
    found: list[str] = []
    valid = [result for result in results if result.invalid is None]
    if limits.longest_outage_ms is not None:
        longest = [(w, r) for r in valid for w in r.outages if w.shortest_ms > limits.longest_outage_ms]
        for window, result in sorted(longest, key=lambda item: -item[0].length_ms):
            found.append(
                f"{result.spec.name}: {window.kind.value} for {window.length_ms:.0f} ms (certainly "
                f"{window.shortest_ms:.0f} to {window.longest_ms:.0f} ms), allowed are {limits.longest_outage_ms:g} ms"
            )
        for result in valid:
            for window in result.outages:
                if window.open_end and window.probes > 1 and window.shortest_ms <= limits.longest_outage_ms:
                    found.append(
                        f"{result.spec.name}: still broken ({window.kind.value}) when the measurement ended, after "
                        f"{window.length_ms:.0f} ms; whether it stays within {limits.longest_outage_ms:g} ms is unknown"
                    )
    if limits.total_outage_ms is not None:
        for result in sorted(valid, key=lambda r: -r.total_ms):
            certain = sum(window.shortest_ms for window in result.outages)
            if certain > limits.total_outage_ms:
                found.append(
                    f"{result.spec.name}: outages of {result.total_ms:.0f} ms in all, allowed are "
                    f"{limits.total_outage_ms:g} ms"
                )
    if limits.loss_ratio is not None:
        for result in sorted(valid, key=lambda r: -r.loss_ratio):
            if result.loss_ratio > limits.loss_ratio:
                found.append(
                    f"{result.spec.name}: lost {result.lost} of {result.sent} probes ({result.loss_ratio:.2%}), "
                    f"allowed are {limits.loss_ratio:.2%}"
                )
    found += _connections(limits, valid)
    if limits.slow_ms is not None:
        for result in valid:
            slow = max((w.length_ms for w in result.windows if not w.is_outage), default=0.0)
            if slow > limits.slow_ms:
                found.append(f"{result.spec.name}: slow for {slow:.0f} ms, allowed are {limits.slow_ms:g} ms")
    if limits.retransmit_ratio is not None:
        for source, changes in deltas:
            if changes.invalid:
                found.append(f"{source}: retransmits are unknown: {changes.invalid}")
            elif changes.retransmit_ratio > limits.retransmit_ratio:
                found.append(
                    f"{source}: {changes.get('Tcp.RetransSegs')} TCP segments were sent again "
                    f"({changes.retransmit_ratio:.2%}), allowed are {limits.retransmit_ratio:.2%}"
                )
    return found


def _connections(limits: Limits, valid: Sequence[StreamResult]) -> list[str]:
    found = []
    if limits.failed_connections is not None:
        failed = {r.spec.path: r.failed for r in valid if r.spec.kind is ProbeKind.TCP_NEW and r.failed}
        if sum(failed.values()) > limits.failed_connections:
            detail = ", ".join(f"{path} {count}" for path, count in sorted(failed.items(), key=lambda i: -i[1]))
            found.append(
                f"{sum(failed.values())} new connections failed ({detail}), allowed are {limits.failed_connections}"
            )
    for limit, count_of, words in (
        (limits.resets, lambda r: r.kept_resets, "kept connections were reset"),
        (limits.lost_connections, lambda r: r.kept_breaks, "kept connections broke"),
    ):
        if limit is None:
            continue
        counts = {r.spec.path: count_of(r) for r in valid if count_of(r)}
        if sum(counts.values()) > limit:
            detail = ", ".join(f"{path} {count}" for path, count in counts.items())
            found.append(f"{sum(counts.values())} {words} ({detail}), allowed are {limit}")
    return found
