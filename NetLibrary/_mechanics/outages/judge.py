"""Limits and what they say about results. There are none by default: then a measurement only reports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.iperf3.paced import IperfResult, retransmit_percent
from NetLibrary._mechanics.outages.results import kinds
from NetLibrary._mechanics.outages.results.counters import Delta
from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.results.steps import when
from NetLibrary._mechanics.outages.types import KEPT, NEW, StreamResult, StreamSpec
from NetLibrary._mechanics.verdict import Check
from NetLibrary.types import OutagePath

#: Streams that a sentence names; the table has all of them.
NAMED = 6
#: An outage that began so shortly before the end could not be noticed and waited for.
UNNOTICED_MS = 250.0


@dataclass(frozen=True)
class Limits:
    """What is allowed; None means that nothing is asked.

    Args:
        longest_outage_at_most: Longest single outage of any stream, in milliseconds as all times here.
        longest_outage_at_least: An outage of this length must have been seen.
        total_outage_at_most: Sum of the outages of any stream.
        slow_at_most: Longest time in which a path was only slow.
        loss_at_most: Lost share of the probes of any stream, in percent.
        failed_connections_at_most: New connections that failed, all paths together.
        resets_at_most: Kept connections that were reset or closed, all paths together.
        lost_connections_at_most: Kept connections that did not survive, for whatever reason.
        retransmits_at_most: Share of TCP segments that were sent again, in percent, in each source.
        unaffected: Names of paths that must have no outage.
    """

    longest_outage_at_most: float | None = None
    longest_outage_at_least: float | None = None
    total_outage_at_most: float | None = None
    slow_at_most: float | None = None
    loss_at_most: float | None = None
    failed_connections_at_most: int | None = None
    resets_at_most: int | None = None
    lost_connections_at_most: int | None = None
    retransmits_at_most: float | None = None
    unaffected: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: dict[str, Any]) -> Limits:
        """Makes limits from typed values as keywords take them: times, shares, counts, paths.

        Raises:
            InputError: A count is negative, or `unaffected` names no single path.
        """
        plain: dict[str, Any] = {}
        for name, value in given.items():
            if value is None:
                continue
            if name == "unaffected":
                if OutagePath.ALL in value:
                    raise InputError("unaffected has 'all'; use longest_outage_at_most=0 s for all paths instead.")
                plain[name] = tuple(path.value for path in value)
            elif hasattr(value, "total_seconds"):
                plain[name] = value.total_seconds() * 1000
            elif hasattr(value, "percent"):
                plain[name] = value.percent
            elif value < 0:
                raise InputError(f"{name} is {value}; it cannot be negative.")
            else:
                plain[name] = value
        limits = cls(**plain)
        least, most = limits.longest_outage_at_least, limits.longest_outage_at_most
        if least is not None and most is not None and least > most:
            raise InputError(
                f"longest_outage_at_least is {least:g} ms and longest_outage_at_most is {most:g} ms; no outage can be "
                "both."
            )
        return limits

    @property
    def given(self) -> dict[str, Any]:
        """The limits that are set."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) not in (None, ())}

    def require_measured(self, specs: Collection[StreamSpec]) -> None:
        """Refuses limits about what will not be measured; they would be kept by everything.

        Args:
            specs: The streams that will be measured.

        Raises:
            InputError: A limit is about a path or a kind of probe that none of them is of.
        """
        paths = list(dict.fromkeys(spec.base_path for spec in specs))
        for path in self.unaffected:
            if path not in paths:
                raise InputError(f"unaffected has '{path}', which is not measured; measured paths: {', '.join(paths)}.")
        measured = {spec.kind for spec in specs}
        for name, needed, words in (
            ("failed_connections_at_most", NEW, "opens new connections"),
            ("resets_at_most", KEPT, "keeps a connection"),
            ("lost_connections_at_most", KEPT, "keeps a connection"),
            ("retransmits_at_most", (*NEW, *KEPT), "uses TCP"),
        ):
            if getattr(self, name) is not None and not measured.intersection(needed):
                raise InputError(
                    f"{name} is given, but none of the probes {words}: {', '.join(paths)} are probed by "
                    f"{', '.join(sorted(kind.value for kind in measured))}."
                )


def checks(limits: Limits, result: OutageResult) -> list[Check]:
    """Judges a result by limits; streams that are invalid are not judged here, they are errors.

    An outage counts as longer than a limit only if the probes prove it: its lower bound is above the limit. A window
    whose estimate is above but whose lower bound is below could have been within the limit.
    """
    valid = [stream for stream in result.streams if stream.invalid is None]
    found = [
        _longest(limits.longest_outage_at_most, valid, result),
        _shows(limits.longest_outage_at_least, valid),
        _total(limits.total_outage_at_most, valid),
        _loss(limits.loss_at_most, valid),
        _failed(limits.failed_connections_at_most, valid),
        _kept("resets", limits.resets_at_most, valid, lambda stream: stream.kept_resets, "were reset"),
        _kept("lost connections", limits.lost_connections_at_most, valid, lambda stream: stream.kept_breaks, "broke"),
        _slow(limits.slow_at_most, valid),
        *_retransmits(limits.retransmits_at_most, result.deltas.items()),
        *_retransmits_of_paths(limits.retransmits_at_most, result.iperf),
        *(_unaffected(path, valid, result) for path in limits.unaffected),
    ]
    return [check for check in found if check is not None]


def proven(check: Check) -> bool:
    """Tells whether a check that failed stays failed whatever an incomplete measurement has missed."""
    return not check.passed and not check.rule.endswith("at least") and check.seen is not None


def _longest(limit: float | None, valid: Sequence[StreamResult], whole: OutageResult) -> Check | None:
    if limit is None:
        return None
    texts = []
    longest = [(window, r) for r in valid for window in r.outages if window.shortest_ms > limit]
    for window, result in sorted(longest, key=lambda item: -item[0].length_ms):
        moment = when(window, whole.steps, whole.uncertainty_ms)
        several = kinds.mixed(window)
        texts.append(
            f"{result.spec.name}: {window.kind.value} for {window.length_ms:.0f} ms (certainly "
            f"{window.shortest_ms:.0f} to {window.longest_ms:.0f} ms){moment}, limit {limit:g} ms"
            + (f"; {window.way}" if window.way else "")
            + (f"; its probes: {several}" if several else "")
        )
    for result in valid:
        for window in result.outages:
            if window.open_end and window.length_ms > UNNOTICED_MS and window.shortest_ms <= limit:
                texts.append(
                    f"{result.spec.name}: still broken ({window.kind.value}) when the measurement ended, after "
                    f"{window.length_ms:.0f} ms; whether it would have stayed within {limit:g} ms is unknown"
                )
    seen = max((stream.longest_ms for stream in valid), default=None)
    if seen is not None and seen > limit and not texts:
        seen = max(window.shortest_ms for stream in valid for window in stream.outages)  # what was judged
    return _check("longest outage at most", limit, _rounded(seen), "ms", texts)


def _shows(limit: float | None, valid: Sequence[StreamResult]) -> Check | None:
    if limit is None:
        return None
    seen = max((stream.longest_ms for stream in valid), default=0.0)
    text = (
        f"no outage of at least {limit:g} ms was seen (the longest was {seen:.0f} ms), although the disturbance must "
        "have caused one"
    )
    return _check("longest outage at least", limit, _rounded(seen), "ms", [text] if seen < limit else [])


def _total(limit: float | None, valid: Sequence[StreamResult]) -> Check | None:
    if limit is None:
        return None
    texts = [
        f"{stream.spec.name}: outages of {stream.total_ms:.0f} ms in total, limit {limit:g} ms"
        for stream in sorted(valid, key=lambda stream: -stream.total_ms)
        if sum(window.shortest_ms for window in stream.outages) > limit
    ]
    seen = max((stream.total_ms for stream in valid), default=None)
    if seen is not None and seen > limit and not texts:
        seen = max(sum(window.shortest_ms for window in stream.outages) for stream in valid)  # what was judged
    return _check("total outage at most", limit, _rounded(seen), "ms", texts)


def _loss(limit: float | None, valid: Sequence[StreamResult]) -> Check | None:
    if limit is None:
        return None
    texts = [
        f"{stream.spec.name}: lost {stream.lost} of {stream.sent} probes ({stream.loss_ratio:.2%}), limit {limit:.2f}%"
        for stream in sorted(valid, key=lambda stream: -stream.loss_ratio)
        if stream.loss_ratio * 100 > limit
    ]
    seen = max((stream.loss_ratio * 100 for stream in valid), default=None)
    return _check("loss at most", limit, _rounded(seen), "%", texts)


def _failed(limit: int | None, valid: Sequence[StreamResult]) -> Check | None:
    if limit is None:
        return None
    failed = [stream for stream in valid if stream.spec.kind in NEW and stream.failed]
    seen = sum(stream.failed for stream in failed)
    texts = []
    if seen > limit:
        what = "; ".join(_with_kinds(stream) for stream in sorted(failed, key=lambda stream: -stream.failed))
        texts = [f"{seen} new connections failed ({what}), limit {limit}"]
    return _check("failed connections at most", limit, seen, "", texts)


def _with_kinds(stream: StreamResult) -> str:
    of = kinds.failures(stream)
    return f"{stream.spec.path}: {kinds.counts(of)}" if of else f"{stream.spec.path} {stream.failed}"


def _kept(
    quantity: str,
    limit: int | None,
    valid: Sequence[StreamResult],
    count_of: Callable[[StreamResult], int],
    words: str,
) -> Check | None:
    if limit is None:
        return None
    counts = {stream.spec.path: count_of(stream) for stream in valid if count_of(stream)}
    seen = sum(counts.values())
    texts = [f"{seen} kept connections {words} ({_by_path(counts)}), limit {limit}"] if seen > limit else []
    return _check(f"{quantity} at most", limit, seen, "", texts)


def _slow(limit: float | None, valid: Sequence[StreamResult]) -> Check | None:
    if limit is None:
        return None
    slow = {s.spec.name: max((w.length_ms for w in s.windows if not w.is_outage), default=0.0) for s in valid}
    texts = [
        f"{name}: slow for {length:.0f} ms; at most {limit:g} ms"
        for name, length in sorted(slow.items(), key=lambda item: -item[1])
        if length > limit
    ]
    return _check("slow at most", limit, _rounded(max(slow.values(), default=0.0)), "ms", texts)


def _retransmits(limit: float | None, deltas: Iterable[tuple[str, Delta]]) -> list[Check]:
    found: list[Check] = []
    if limit is None:
        return found
    for source, changes in deltas:
        rule = f"retransmits of {source} at most"
        if changes.invalid:
            found.append(Check(rule, limit, None, "%", False, f"{source}: retransmits are unknown: {changes.invalid}"))
            continue
        seen = changes.retransmit_ratio * 100
        text = (
            f"{source}: {changes.get('Tcp.RetransSegs')} TCP segments were sent again ({seen:.2f}%), limit {limit:.2f}%"
        )
        found.append(Check(rule, limit, round(seen, 4), "%", seen <= limit, text))
    return found


def _retransmits_of_paths(limit: float | None, runs: Iterable[IperfResult]) -> list[Check]:
    """Judges the iperf3 streams; one that did not run is told in the tables, as the probes judge the path anyway."""
    found = []
    for run in runs:
        seen = retransmit_percent(run)
        if limit is None or seen is None:
            continue
        text = (
            f"{run.name} (iperf3): {run.retransmits} of {run.blocks + (run.retransmits or 0)} segments were sent again "
            f"({seen:.2f}%), limit {limit:.2f}%"
        )
        rule = f"retransmits on '{run.name}' at most"
        found.append(Check(rule, limit, round(seen, 4), "%", seen <= limit, text))
    return found


def _unaffected(path: str, valid: Sequence[StreamResult], whole: OutageResult) -> Check:
    hit = [stream for stream in valid if stream.spec.base_path == path and stream.outages]
    texts = [
        f"{stream.spec.name}: {stream.outages[0].kind.value} for {stream.longest_ms:.0f} ms"
        f"{when(stream.outages[0], whole.steps, whole.uncertainty_ms)} on a path that the disturbance must not affect"
        for stream in hit
    ]
    seen = max((stream.longest_ms for stream in valid if stream.spec.base_path == path), default=None)
    return _check(f"no outage on '{path}'", 0, _rounded(seen), "ms", texts)


def _check(rule: str, expected: float, seen: float | None, unit: str, texts: Sequence[str]) -> Check:
    if seen is None:
        return Check(rule, expected, None, unit, False)
    more = [f"and {len(texts) - NAMED} more, see the table"] if len(texts) > NAMED else []
    return Check(rule, expected, seen, unit, not texts, "\n".join([*texts[:NAMED], *more]))


def _by_path(counts: dict[str, int]) -> str:
    return ", ".join(f"{path} {count}" for path, count in sorted(counts.items(), key=lambda item: -item[1]))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
