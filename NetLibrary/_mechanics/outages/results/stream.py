"""What one stream's log means: its figures, its outages, and what speaks against them. Pure functions."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from NetLibrary._mechanics.outages.results.windows import MERGE_BELOW, find_windows, overrun_times, usable
from NetLibrary._mechanics.outages.run.inpod.wire import Outcome
from NetLibrary._mechanics.outages.types import (
    Probe,
    ProbeKind,
    StreamLog,
    StreamResult,
    StreamSpec,
)
from NetLibrary.types import OutagePath

#: An answer this much later than the median counts as bad. A lost SYN comes again after a second, so that for new
#: connections a wider margin loses nothing and spares false alarms from a busy machine.
SLOW_MARGIN_MS = {
    ProbeKind.ICMP: 40.0,
    ProbeKind.UDP: 40.0,
    ProbeKind.TCP_KEPT: 30.0,
    ProbeKind.TCP_NEW: 150.0,
    ProbeKind.HTTP: 150.0,
    ProbeKind.HTTP_KEPT: 150.0,
    ProbeKind.TCP_IDLE: 1000.0,
    ProbeKind.DNS: 300.0,
}
#: Many networks have gateways that route and never answer; those that never did tell nothing of a break.
GATEWAYS = (OutagePath.OWN_GATEWAY.value, OutagePath.OTHER_GATEWAY.value)


def slow_limit_ms(spec: StreamSpec, probes: Sequence[Probe], margin_ms: float | None = None) -> tuple[float, float]:
    """Returns the median answer time and the time from which an answer counts as slow, in milliseconds."""
    times = [probe.elapsed_ns for probe in probes if probe.outcome is Outcome.OK]
    median = statistics.median(times) / 1e6 if times else 0.0
    margin = SLOW_MARGIN_MS[spec.kind] if margin_ms is None else margin_ms
    return median, median + margin


def answer_times(probes: Sequence[Probe]) -> dict[str, float]:
    """Returns percentiles of the times of the good answers in milliseconds; nothing without one."""
    times = sorted(probe.elapsed_ns for probe in probes if probe.outcome is Outcome.OK)
    if not times:
        return {}
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(times[max(0, math.ceil(share * len(times)) - 1)] / 1e6, 3) for name, share in shares.items()}


def longest_spacing_ms(probes: Sequence[Probe]) -> float:
    """Returns the longest time between the sending of two probes; an outage that is shorter may lie between them."""
    gaps = (later.sent_ns - earlier.sent_ns for earlier, later in itertools.pairwise(probes))
    return round(max(gaps, default=0) / 1e6, 3)


def worst_pause_ms(log: StreamLog) -> float:
    """Returns the longest pause of prober or echo server while the stream was probed."""
    if not log.probes:
        return 0.0
    first, last = log.probes[0].sent_ns, log.probes[-1].sent_ns
    return max(((until - since) / 1e6 for since, until in log.paused if first < until and since < last), default=0.0)


def _united(paused: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins pauses of prober and echo server that overlap: both waited for the same processor."""
    found: list[tuple[int, int]] = []
    for since, until in sorted(paused):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found


def evaluate(
    log: StreamLog,
    *,
    quiet_until_ns: int | None = None,
    slow_margin_ms: float | None = None,
    merge_below: int = MERGE_BELOW,
) -> StreamResult:
    """Says what one stream's log means.

    Args:
        log: What was recorded.
        quiet_until_ns: When the disturbance began, on the prober's clock; before it at least one probe must have been
            answered, or the run says nothing about the disturbance.
        slow_margin_ms: Answers later than the median by more than this are bad; None for the kind's own margin.
        merge_below: See `find_windows`.
    """
    result = StreamResult(log.spec, skipped=log.skipped, duplicates=log.duplicates)
    if log.cannot:
        result.invalid = f"not measured: {log.cannot}"
        return result
    probes = log.probes
    margin = SLOW_MARGIN_MS[log.spec.kind] if slow_margin_ms is None else slow_margin_ms
    starved = worst_pause_ms(log)
    if starved > margin:
        # Lateness can be told no finer than the processor was given; losses can.
        result.notes.append(
            f"prober or echo server got no CPU time for up to {starved:.0f} ms: answers that were late by less than "
            "the pauses around them are not counted"
        )
    result.median_ms, result.slow_ms = slow_limit_ms(log.spec, probes, margin)
    result.times_ms = answer_times(probes)
    result.spacing_ms = longest_spacing_ms(probes)
    result.outcomes = dict(Counter(probe.outcome.name for probe in probes))
    result.prober_failures = result.outcomes.get("NO_DESCRIPTOR", 0)
    result.planned = len(probes) + log.skipped
    result.sent = len(probes) - result.prober_failures
    paused = _united(log.paused)
    overrun = overrun_times(probes, log.overflows)
    result.excused = sum(1 for p in probes if p.outcome is Outcome.LOST and not usable(log.spec, p, paused, overrun))
    slow_ns = result.slow_ms * 1e6
    result.answered = sum(1 for probe in probes if probe.outcome is Outcome.OK)
    result.late = sum(
        1 for p in probes if p.outcome is Outcome.LATE or (p.outcome is Outcome.OK and p.elapsed_ns > slow_ns)
    )
    result.unsent = result.outcomes.get("UNSENT", 0)
    result.kept_breaks = len(log.kept_broken)
    result.kept_resets = sum(1 for _when, how, _code in log.kept_broken if how == "RESET")
    result.windows = find_windows(
        log.spec,
        probes,
        slow_ms=result.slow_ms,
        merge_below=merge_below,
        broken=log.kept_broken,
        paused=paused,
        overrun=overrun,
    )
    if result.excused:
        why = "met long pauses of prober or echo server"
        if overrun:
            why = "found a receive buffer of prober or echo server full"
        result.notes.append(f"{result.excused} attempts {why}; whether the path failed is unknown")
    if log.skipped:
        share = log.skipped / max(1, result.planned)
        result.notes.append(
            f"the prober fell behind: {log.skipped} of {result.planned} probes ({share:.2%}) were not sent in time, "
            f"at worst {log.latest_ms:.0f} ms late"
        )
    if log.ended_by_server:
        after = max(log.ended_by_server)
        result.notes.append(
            f"{log.spec.name}: the server, or something on the path, closed an idle connection "
            f"{len(log.ended_by_server)} times in an orderly way, at the latest after {after:.0f} s; that is not an "
            "outage, and a new one was opened"
        )
    result.findings += [
        f"{log.spec.name}: a kept connection was given up after {silent_ms / 1000:.1f} s without an answer, although "
        f"new connections over the same path worked from {fresh_ms / 1000:.1f} s on; something on the path still "
        "handles it by an old state, such as a connection tracking entry without translation"
        for silent_ms, fresh_ms in log.stranded
    ]
    if result.prober_failures:
        result.notes.append(f"the prober had no socket left for {result.prober_failures} probes")
    if log.end_ns is None:
        result.notes.append("the prober did not end properly; what it had delivered until then is counted")
    if not probes:
        result.invalid = "the prober delivered no probe"
    elif log.spec.base_path in GATEWAYS and not any(p.outcome is Outcome.OK for p in probes):
        result.invalid = f"not measured: {log.spec.address} does not answer echo requests, which a gateway need not do"
    elif not any(p.outcome is Outcome.OK and (quiet_until_ns is None or p.sent_ns < quiet_until_ns) for p in probes):
        result.invalid = (
            "no good probe before the disturbance"
            if quiet_until_ns is not None
            else "no good probe in the whole measurement"
        )
    return result
