"""From probes to outage windows. Pure functions on recorded probes.

Consecutive bad probes make a raw window. Its start lies between the last good and the first bad probe, its end
between the last bad and the first good one, all by *send* times: a probe tells how the path was when it was sent.
There is one exception. Answers that were held back all come at the moment when the path resumes (packets queued on
neighbour resolution, requests that TCP repeats), and the probes sent shortly before it get a quick answer and look
good; there the answers' arrival is the end, and it is known exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from NetLibrary._mechanics.outages.run.inpod.wire import Outcome
from NetLibrary._mechanics.outages.types import (
    OutageKind,
    Probe,
    ProbeKind,
    StreamSpec,
    Window,
)

#: Windows with fewer good probes between them are one window: flapping is one outage.
MERGE_BELOW = 2
#: A late answer is excused when pauses of prober and echo server make up this share of its time.
EXPLAINED = 0.5
#: How often prober and echo server have to run for one probe, so that this many pauses can delay it.
TURNS = 4
#: So many late answers in a row were held back together; fewer may have been late one by one.
SEVERAL = 3
EARLY_NS = 2_000_000
AROUND_NS = 1_000_000_000
LEAST_RTO_NS = 195_000_000

_KIND_OF = {
    Outcome.LOST: OutageKind.SILENT_DROP,
    Outcome.REFUSED: OutageKind.REFUSED,
    Outcome.RESET: OutageKind.RESET,
    Outcome.CLOSED: OutageKind.RESET,
    Outcome.UNREACHABLE: OutageKind.UNREACHABLE,
    Outcome.UNSENT: OutageKind.UNREACHABLE,
    Outcome.WRONG: OutageKind.WRONG_ANSWER,
    Outcome.STRANDED: OutageKind.STRANDED,
}
#: Which kind names a window that holds several equally often: the more telling first.
_TELLING = list(OutageKind)


def find_windows(
    spec: StreamSpec,
    probes: Sequence[Probe],
    *,
    slow_ms: float,
    merge_below: int = MERGE_BELOW,
    broken: Sequence[tuple[int, str, int]] = (),
    paused: Sequence[tuple[int, int]] = (),
    overrun: Sequence[tuple[int, int]] = (),
) -> list[Window]:
    """Finds the outages of one stream.

    Args:
        spec: The stream.
        probes: Its probes in order of sending.
        slow_ms: Answers slower than this are bad.
        merge_below: Windows with fewer good probes between them become one.
        broken: Times at which a kept connection broke, which no probe may have seen.
        paused: Times in which prober or echo server did not run. An answer that was late because of that counts as
            good; a lost one never does.
        overrun: Times in which a full receive buffer of theirs explains what is missing.

    Returns:
        The windows in order; merged ones hold their pieces.
    """
    counted = [probe for probe in probes if usable(spec, probe, paused, overrun)]
    slow_ns = int(slow_ms * 1e6)
    bad = [_is_bad(probe, slow_ns, paused) for probe in counted]
    raw: list[tuple[int, int]] = []
    for index, is_bad in enumerate(bad):
        if is_bad and raw and raw[-1][1] == index - 1:
            raw[-1] = (raw[-1][0], index)
        elif is_bad:
            raw.append((index, index))
    groups: list[list[tuple[int, int]]] = []
    for first, last in raw:
        if groups and first - groups[-1][-1][1] - 1 < merge_below:
            groups[-1].append((first, last))
        else:
            groups.append([(first, last)])
    windows = [_merged([_window(spec, counted, first, last) for first, last in group]) for group in groups]
    return _with_breaks(windows, counted, broken)


def overrun_times(probes: Sequence[Probe], overflows: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Returns the times in which full receive buffers of prober or echo server explain all losses.

    Where more is missing than the buffers threw away, a path lost something too, and nothing there is excused.

    Args:
        probes: Probes of a stream.
        overflows: From when to when how many datagrams were thrown away, of this stream and maybe of others.
    """
    found = []
    for since, until, dropped in overflows:
        lost = sum(1 for p in probes if p.outcome is Outcome.LOST and since - EARLY_NS <= p.sent_ns <= until)
        if 0 < lost <= dropped:
            found.append((since - EARLY_NS, until))
    return found


def usable(
    spec: StreamSpec,
    probe: Probe,
    paused: Sequence[tuple[int, int]],
    overrun: Sequence[tuple[int, int]] = (),
) -> bool:
    """Leaves out what says nothing about the path.

    A connection or a question needs prober and server in turns, and an attempt that met a long pause of one of them
    runs into its limit without any packet being lost. Echoes wait in the kernel and carry its stamps, as long as the
    buffer there holds them.
    """
    if probe.outcome is Outcome.NO_DESCRIPTOR:
        return False
    if probe.outcome is Outcome.LOST and any(since <= probe.sent_ns <= until for since, until in overrun):
        return False
    in_turns = spec.kind in (ProbeKind.TCP_NEW, ProbeKind.DNS, ProbeKind.HTTP)
    return not (in_turns and probe.outcome is Outcome.LOST and _during(probe, paused))


def _is_bad(probe: Probe, slow_ns: int, paused: Sequence[tuple[int, int]]) -> bool:
    if probe.outcome is Outcome.OK and probe.elapsed_ns <= slow_ns:
        return False
    if probe.outcome not in (Outcome.OK, Outcome.LATE):
        return True
    return not _during(probe, paused) and probe.elapsed_ns > _pause_around(probe, paused)


def _pause_around(probe: Probe, paused: Sequence[tuple[int, int]]) -> int:
    """Returns the longest pause near a probe: where one is noticed there are others that are just not."""
    first, last = probe.sent_ns - AROUND_NS, probe.sent_ns + probe.elapsed_ns + AROUND_NS
    return max((until - since for since, until in paused if first < until and since < last), default=0)


def _during(probe: Probe, paused: Sequence[tuple[int, int]]) -> bool:
    """Tells whether prober or echo server did not run for most of the time of a probe."""
    first, last = probe.sent_ns - EARLY_NS, probe.sent_ns + probe.elapsed_ns + EARLY_NS
    waits = sorted((min(until, last) - max(since, first) for since, until in paused if first < until and since < last))
    return sum(waits[-TURNS:]) >= probe.elapsed_ns * EXPLAINED


def _window(spec: StreamSpec, probes: Sequence[Probe], first: int, last: int) -> Window:
    members = probes[first : last + 1]
    before = probes[first - 1] if first else None
    after = probes[last + 1] if last + 1 < len(probes) else None
    first_bad, last_bad = members[0].sent_ns, members[-1].sent_ns
    earliest = before.sent_ns if before else first_bad
    latest = after.sent_ns if after else last_bad
    soonest = last_bad
    resumed = _resumed_at(spec, members)
    if resumed is not None:
        soonest = latest = resumed
    kind, outcomes = _kind(members, resumed is not None)
    return Window(
        start_ns=(earliest + first_bad) // 2,
        end_ns=(soonest + latest) // 2,
        shortest_ms=max(0.0, (soonest - first_bad) / 1e6),
        longest_ms=(latest - earliest) / 1e6,
        kind=kind,
        outcomes=outcomes,
        probes=len(members),
        open_start=before is None,
        open_end=after is None and resumed is None,
        code=next((probe.code for probe in members if probe.code), 0),
    )


def _resumed_at(spec: StreamSpec, members: Sequence[Probe]) -> int | None:
    """Returns when held-back answers came, if that is what happened at the end of these probes."""
    last = members[-1]
    if last.outcome not in (Outcome.OK, Outcome.LATE):
        return None  # the last bad probe was never answered: nothing was held back until the end
    if _took_its_time(spec, members):
        return None
    if spec.kind in (ProbeKind.TCP_NEW, ProbeKind.DNS, ProbeKind.HTTP):
        # Each of these is repeated by a timer of its own, of 200 ms or more, and then resumes later than the path. Only
        # what came sooner was held back on the way.
        return last.sent_ns + last.elapsed_ns if last.elapsed_ns < LEAST_RTO_NS else None
    held = [probe for probe in members if probe.outcome in (Outcome.OK, Outcome.LATE)]
    arrivals = [probe.sent_ns + probe.elapsed_ns for probe in held]
    if spec.kind in (ProbeKind.TCP_KEPT, ProbeKind.HTTP_KEPT):
        return max(arrivals)
    # One late echo may be late by itself; several that were sent one after the other and arrive together were held.
    if len(held) < SEVERAL or (max(arrivals) - min(arrivals)) * 2 > held[-1].sent_ns - held[0].sent_ns:
        return None
    return max(arrivals)


def _took_its_time(spec: StreamSpec, members: Sequence[Probe]) -> bool:
    """Tells whether the application may have been late, and not the path.

    One or two good answers came sooner than TCP would have repeated anything: that accuses nobody.
    """
    if spec.kind not in (ProbeKind.HTTP, ProbeKind.HTTP_KEPT) or len(members) >= SEVERAL:
        return False
    return all(probe.outcome is Outcome.OK and probe.elapsed_ns < LEAST_RTO_NS for probe in members)


def _kind(members: Sequence[Probe], held: bool) -> tuple[OutageKind, dict[str, int]]:
    outcomes = Counter("SLOW" if probe.outcome is Outcome.OK else probe.outcome.name for probe in members)
    kinds: Counter[OutageKind] = Counter()
    for probe in members:
        if probe.outcome in (Outcome.OK, Outcome.LATE):
            kinds[OutageKind.STALLED if held else OutageKind.SLOW] += 1
        else:
            kinds[_KIND_OF[probe.outcome]] += 1
    best = max(kinds, key=lambda kind: (kinds[kind], -_TELLING.index(kind)))
    if best is OutageKind.SILENT_DROP:
        # Kernels limit their ICMP errors to about one a second and target, so a path that refuses everything looks
        # mostly silent. An explicit refusal each two seconds is enough to name it.
        seconds = (members[-1].sent_ns - members[0].sent_ns) / 1e9
        spoken = max((OutageKind.RESET, OutageKind.REFUSED, OutageKind.UNREACHABLE), key=lambda kind: kinds[kind])
        if kinds[spoken] >= max(1.0, seconds / 2):
            best = spoken
    return best, dict(outcomes)


def _merged(windows: list[Window]) -> Window:
    if len(windows) == 1:
        return windows[0]
    weight: Counter[OutageKind] = Counter()
    outcomes: Counter[str] = Counter()
    for window in windows:
        weight[window.kind] += window.probes
        outcomes.update(window.outcomes)
    first, last = windows[0], max(windows, key=lambda window: window.end_ns)
    return Window(
        start_ns=first.start_ns,
        end_ns=last.end_ns,
        shortest_ms=(last.end_ns - first.start_ns) / 1e6 - _slack(first) - _slack(last),
        longest_ms=(last.end_ns - first.start_ns) / 1e6 + _slack(first) + _slack(last),
        kind=max(weight, key=lambda kind: (weight[kind], -_TELLING.index(kind))),
        outcomes=dict(outcomes),
        probes=sum(window.probes for window in windows),
        open_start=first.open_start,
        open_end=windows[-1].open_end,
        pieces=tuple(windows),
        code=next((window.code for window in windows if window.code), 0),
    )


def _slack(window: Window) -> float:
    """Half of a window's uncertainty: what one of its two ends can be off."""
    return (window.longest_ms - window.shortest_ms) / 4


def _may_hold(window: Window, when: int) -> bool:
    """Tells whether a moment lies in a window, given what is unknown about its ends."""
    slack = int(2e6 * _slack(window)) + 1
    return window.start_ns - slack <= when <= window.end_ns + slack


def _with_breaks(
    windows: list[Window], probes: Sequence[Probe], broken: Sequence[tuple[int, str, int]]
) -> list[Window]:
    """Adds a window for each break of a kept connection that falls between two good requests."""
    result = list(windows)
    named: set[int] = set()
    for when, how, code in broken:
        inside = next((i for i, w in enumerate(result) if _may_hold(w, when)), None)
        if inside in named:
            continue
        if inside is not None:
            # How the connection ended first names the outage; the attempts to open a new one follow from it.
            named.add(inside)
            result[inside] = replace(result[inside], kind=_KIND_OF.get(Outcome[how], OutageKind.RESET))
            continue
        before = next((p.sent_ns for p in reversed(probes) if p.sent_ns <= when), None)
        after = next((p.sent_ns for p in probes if p.sent_ns > when), None)
        low, high = (before if before is not None else when), (after if after is not None else when)
        if any(window.start_ns <= high and window.end_ns >= low for window in windows):
            continue
        result.append(
            Window(
                start_ns=when,
                end_ns=max(when, high),
                shortest_ms=0.0,
                longest_ms=(high - low) / 1e6,
                kind=_KIND_OF.get(Outcome[how], OutageKind.RESET),
                outcomes={how: 0},
                probes=0,
                open_end=after is None,
                code=code,
            )
        )
    return sorted(result, key=lambda window: window.start_ns)
