"""Many connections of one kind on one path, told as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from NetLibrary._mechanics.outages.results.stream import evaluate, longest_spacing_ms
from NetLibrary._mechanics.outages.results.ways import tell_ways
from NetLibrary._mechanics.outages.results.windows import MERGE_BELOW
from NetLibrary._mechanics.outages.types import NEW, StreamLog, StreamResult, Window


def evaluate_all(
    logs: Sequence[StreamLog],
    *,
    quiet_until_ns: int | None = None,
    slow_margin_ms: float | None = None,
    merge_below: int = MERGE_BELOW,
) -> list[StreamResult]:
    """Says what the logs of one prober mean, those of many connections of a path as one result.

    New connections that are opened in turn are one stream with a finer time. Kept ones are judged one by one, since
    each may break alone, and then joined.
    """
    options: Any = {"quiet_until_ns": quiet_until_ns, "slow_margin_ms": slow_margin_ms, "merge_below": merge_below}
    found = []
    for group in _groups(logs):
        if group[0].spec.connections == 1:
            found += [_told(log, **options) for log in group]
            continue
        if group[0].spec.kind in NEW:
            result = _told(joined_log(group), **options)
            result.path_spacing_ms = result.spacing_ms
        else:
            result = joined([_told(log, **options) for log in group])
            result.path_spacing_ms = longest_spacing_ms(joined_log(group).probes)
        found.append(result)
    return found


def _told(
    log: StreamLog, *, quiet_until_ns: int | None, slow_margin_ms: float | None, merge_below: int
) -> StreamResult:
    result = evaluate(log, quiet_until_ns=quiet_until_ns, slow_margin_ms=slow_margin_ms, merge_below=merge_below)
    tell_ways(result, log)
    return result


def over_sources(results: Sequence[StreamResult]) -> list[StreamResult]:
    """Joins what several source pods measured of one path; other results stay as they are."""
    found: dict[tuple[str, str], list[StreamResult]] = {}
    for result in results:
        found.setdefault((result.spec.path, result.spec.kind.value), []).append(result)
    return [group[0] if len(group) == 1 else joined(group) for group in found.values()]


def _groups(logs: Sequence[StreamLog]) -> list[list[StreamLog]]:
    found: dict[tuple[str, str], list[StreamLog]] = {}
    for log in logs:
        found.setdefault((log.spec.path, log.spec.kind.value), []).append(log)
    return list(found.values())


def joined_log(logs: Sequence[StreamLog]) -> StreamLog:
    """Returns the probes of all connections in order of sending, as one stream."""
    first = logs[0]
    ends = [log.end_ns for log in logs]
    return StreamLog(
        replace(first.spec, period_ms=first.spec.period_ms / len(logs)),
        sorted((probe for log in logs for probe in log.probes), key=lambda probe: probe.sent_ns),
        first_ns=min((log.first_ns for log in logs if log.first_ns is not None), default=None),
        end_ns=None if None in ends else max(end for end in ends if end is not None),
        skipped=sum(log.skipped for log in logs),
        latest_ms=max(log.latest_ms for log in logs),
        duplicates=sum(log.duplicates for log in logs),
        paused=first.paused,
        overflows=sorted({overflow for log in logs for overflow in log.overflows}),
        ways=sorted(way for log in logs for way in log.ways),
        cannot=next((log.cannot for log in logs if log.cannot), None),
    )


def joined(results: Sequence[StreamResult]) -> StreamResult:
    """Returns one result for several connections: counts added up, outages that overlap told once, by the longest."""
    first = results[0]
    valid = [result for result in results if result.invalid is None]
    if not valid:
        return first
    whole = StreamResult(first.spec)
    for name in (
        "planned", "sent", "answered", "late", "unsent", "skipped", "duplicates", "prober_failures", "excused",
        "kept_breaks", "kept_resets",
    ):  # fmt: skip
        setattr(whole, name, sum(getattr(result, name) for result in valid))
    outcomes: Counter[str] = Counter()
    for result in valid:
        outcomes.update(result.outcomes)
    whole.outcomes = dict(outcomes)
    whole.windows = together([window for result in valid for window in result.windows])
    medians = sorted(result.median_ms for result in valid if result.median_ms is not None)
    whole.median_ms = medians[len(medians) // 2] if medians else None
    whole.spacing_ms = max(result.spacing_ms for result in valid)
    whole.path_spacing_ms = min(result.path_spacing_ms or result.spacing_ms for result in valid)
    whole.slow_ms = max(result.slow_ms for result in valid)
    whole.times_ms = {
        name: max(result.times_ms[name] for result in valid if name in result.times_ms)
        for name in dict.fromkeys(name for result in valid for name in result.times_ms)
    }
    whole.notes = list(dict.fromkeys(note for result in valid for note in result.notes))
    whole.findings = list(dict.fromkeys(text for result in valid for text in result.findings))
    lame = [result for result in results if result.invalid is not None]
    if lame:
        whole.findings.append(
            f"{first.spec.name}: {len(lame)} of {len(results)} connections have no result: {lame[0].invalid}"
        )
    return whole


def together(windows: Sequence[Window]) -> list[Window]:
    """Joins outages of several connections that overlap in time; the longest of them stands for all.

    It keeps its own times: that one connection was broken before another is not one longer outage of either.
    """
    groups: list[list[Window]] = []
    until = 0
    for window in sorted(windows, key=lambda window: window.start_ns):
        if groups and window.start_ns <= until:
            groups[-1].append(window)
        else:
            groups.append([window])
            until = 0
        until = max(until, window.end_ns)
    return [_longest(group) for group in groups]


def _longest(group: Sequence[Window]) -> Window:
    outages = [window for window in group if window.is_outage] or list(group)
    outcomes: Counter[str] = Counter()
    for window in group:
        outcomes.update(window.outcomes)
    return replace(
        max(outages, key=lambda window: window.length_ms),
        outcomes=dict(outcomes),
        connections=sum(window.connections for window in group),
    )
