"""What a measurement found: the records of all probers, read and brought on one clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from NetLibrary._mechanics.iperf3.paced import IperfResult, iperf_result
from NetLibrary._mechanics.kube.cpu_limits import HeldEnd
from NetLibrary._mechanics.outages.results.combine import evaluate_all, over_sources
from NetLibrary._mechanics.outages.results.counters import Delta, cross_check, delta, parse_files
from NetLibrary._mechanics.outages.results.original import KnownFigures, from_counters
from NetLibrary._mechanics.outages.results.refusals import share_refusals
from NetLibrary._mechanics.outages.results.ways import share_ways
from NetLibrary._mechanics.outages.results.windows import MERGE_BELOW
from NetLibrary._mechanics.outages.run.clock import drift_note
from NetLibrary._mechanics.outages.run.measurement import Recording
from NetLibrary._mechanics.outages.run.probers import PodProber, Prober
from NetLibrary._mechanics.outages.types import IN_TURNS, OutageKind, ProbeKind, Step, StreamLog, StreamResult, Window

#: A prober that could not send this share of its probes says too little about short outages.
BEHIND = 0.5
#: A process that its CPU limit holds back stands still for a part of each 100 ms, and not for seconds
LONGEST_WAIT_MS = 3000.0


@dataclass
class OutageResult:
    """What a measurement found. All times are on the controller's monotonic clock.

    Args:
        name: Name of the measurement.
        streams: One result per path and kind of probe.
        steps: What was done meanwhile.
        deltas: Kernel counters by prober.
        figures: The figures of kube-ovn's test-server by prober.
        iperf: iperf3 streams that ran beside.
        unmeasured: What could not be measured and why.
        errors: What went wrong with the measuring itself; with any of these the result is incomplete.
        unfit: Those of the errors that leave nothing to judge.
        notes: What a reader should know.
        start_ns: When all probers ran.
        end_ns: When they were told to end.
        uncertainty_ms: How well the clocks agree.
        held: Containers at the ends of the paths that their CPU limits held back, the most first.
        logs: Every probe: source, stream, and by how much its clock is ahead of the controller's.
    """

    name: str
    streams: list[StreamResult]
    steps: list[Step]
    deltas: dict[str, Delta] = field(default_factory=dict)
    figures: dict[str, KnownFigures | None] = field(default_factory=dict)
    iperf: list[IperfResult] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    start_ns: int = 0
    end_ns: int = 0
    uncertainty_ms: float = 0.0
    held: list[HeldEnd] = field(default_factory=list)
    logs: list[tuple[str, StreamLog, int]] = field(default_factory=list)

    @property
    def only_waits(self) -> bool:
        """Whether a process at one end that stood still now and then could have brought about all outages."""
        return all(
            window.length_ms < LONGEST_WAIT_MS
            and (
                window.kind is OutageKind.STALLED
                or (window.kind is OutageKind.SILENT_DROP and stream.spec.kind in IN_TURNS)
            )
            for stream in self.streams
            for window in stream.outages
        )

    @property
    def windows(self) -> list[tuple[StreamResult, Window]]:
        """All windows of all streams in order of their start."""
        found = [(stream, window) for stream in self.streams for window in stream.windows]
        return sorted(found, key=lambda item: item[1].start_ns)

    @property
    def worst(self) -> StreamResult | None:
        """The stream with the longest outage, None without one."""
        hit = [stream for stream in self.streams if stream.outages]
        return max(hit, key=lambda stream: stream.longest_ms, default=None)

    @property
    def longest_outage_ms(self) -> float:
        """Longest outage of any stream."""
        return self.worst.longest_ms if self.worst else 0.0


def read(recording: Recording, *, slow_margin_ms: float | None = None, merge_below: int = MERGE_BELOW) -> OutageResult:
    """Says what the records of a measurement mean.

    Args:
        recording: What the probers delivered.
        slow_margin_ms: See `stream.evaluate`.
        merge_below: See `windows.find_windows`.
    """
    result = OutageResult(
        recording.name,
        [],
        list(recording.steps),
        unmeasured=list(recording.unmeasured),
        errors=list(recording.errors),
        notes=list(recording.notes),
        start_ns=recording.start_ns,
        end_ns=recording.end_ns,
        held=list(recording.held),
    )
    result.notes += [end.sentence for end in result.held if end.held.often]
    _note_pauses(recording, result)
    uncertainty = 0
    for prober in recording.probers:
        uncertainty = max(uncertainty, _read_prober(prober, recording, result, slow_margin_ms, merge_below))
    result.streams = over_sources(result.streams)
    result.uncertainty_ms = uncertainty / 1e6
    for stream in result.streams:
        result.notes += stream.findings
        if stream.invalid and stream.invalid.startswith("not measured"):
            result.unmeasured.append(f"{stream.spec.name}: {stream.invalid.removeprefix('not measured: ')}")
        elif stream.invalid:
            result.errors.append(f"{stream.spec.name} ({stream.spec.address}): {stream.invalid}")
    result.streams = [s for s in result.streams if not (s.invalid or "").startswith("not measured")]
    return result


def _note_pauses(recording: Recording, result: OutageResult) -> None:
    for role, lapses in recording.lapses.items():
        during = [(until - since) / 1e6 for since, until in lapses.paused if until > recording.start_ns]
        if during:
            result.notes.append(
                f"echo server '{role}' got no CPU time {len(during)} times, for {max(during):.0f} ms at worst; answers "
                "that were late because of that are not counted"
            )


def _read_prober(
    prober: Prober, recording: Recording, result: OutageResult, slow_margin_ms: float | None, merge_below: int
) -> int:
    """Adds what one prober found; returns the uncertainty of its clock in nanoseconds."""
    offset = prober.offset()
    shift, uncertainty = (offset.offset_ns, offset.error_ns) if offset else (0, 0)
    if prober.failed:
        result.errors.append(prober.failed)
    result.notes += prober.notes + _notes_of(prober)
    quiet_until = recording.steps[0].start_ns + shift if recording.steps else None
    logs = prober.log.stream_logs()
    for log in logs:
        result.logs.append((prober.name, log, shift))
        if lapses := recording.lapses.get(log.spec.endpoint):
            log.paused += [(since + shift, until + shift) for since, until in lapses.paused]
            if log.spec.kind is ProbeKind.UDP:
                log.overflows += [(since + shift, until + shift, dropped) for since, until, dropped in lapses.overflows]
    own = evaluate_all(logs, quiet_until_ns=quiet_until, slow_margin_ms=slow_margin_ms, merge_below=merge_below)
    for stream in own:
        stream.windows = [_shifted(window, shift) for window in stream.windows]
    share_refusals(own)
    share_ways(own)
    result.streams += own
    _take_counters(prober, own, result)
    for event in prober.log.events_named("iperf"):
        result.iperf.append(iperf_result(event))
    if prober.failed is None and prober.log.ended is None:
        result.errors.append(f"{prober.name} did not deliver its last records; what arrived before that is counted")
    result.unfit += _rate_of(prober, own)
    result.errors += _rate_of(prober, own) + _limit_of(prober)
    return uncertainty


def _take_counters(prober: Prober, own: list[StreamResult], result: OutageResult) -> None:
    readings = prober.log.counters
    if not readings:
        return
    identities: dict[str, Any] = {}
    if isinstance(prober, PodProber):
        now = prober.identity_now()
        # Nobody to ask: the prober itself read both, so they are of one life of its namespace.
        identities = {"was": prober.identity, "now": now if now is not None else prober.identity}
    try:
        if len(readings) < 2:
            raise ValueError("the prober ended before it could read them a second time")
        changes = delta(parse_files(readings[0][1]), parse_files(readings[-1][1]), **identities)
    except ValueError as err:
        changes = Delta(invalid=str(err))
    result.deltas[prober.name] = changes
    result.figures[prober.name] = from_counters(changes, own)
    echoes = [s for s in own if s.spec.kind is ProbeKind.ICMP]
    result.notes += [
        f"{prober.name}: {note}"
        for note in cross_check(
            changes,
            planned_v4=sum(s.sent for s in echoes if ":" not in s.spec.address),
            planned_v6=sum(s.sent for s in echoes if ":" in s.spec.address),
        )
    ]


def _rate_of(prober: Prober, own: Sequence[StreamResult]) -> list[str]:
    """Says when a prober could not hold its rate, so that its result cannot stand for what was asked."""
    planned, skipped = sum(stream.planned for stream in own), sum(stream.skipped for stream in own)
    if not planned or skipped <= planned * BEHIND:
        return []
    return [
        f"{prober.name} could not hold the rate: {skipped} of {planned} probes were not sent in time; use longer "
        "intervals, fewer paths, or more CPU (PROBE_CPU)"
    ]


def _limit_of(prober: Prober) -> list[str]:
    """Says when a measurement was longer than it was allowed to be."""
    if not prober.log.ended or prober.log.ended.get("why") != "duration":
        return []
    return [
        f"the measurement's time limit ended the prober in {prober.name} before the disturbance was over and the paths "
        "had settled; raise timeout="
    ]


def _notes_of(prober: Prober) -> list[str]:
    notes = [
        f"{prober.name}: its clock was changed by {event['by_ms']:.0f} ms; the probes use a clock that is not affected"
        for event in prober.log.events_named("clock_jump")
    ]
    paused = prober.log.events_named("paused")
    if paused:
        longest = max((event["t"] - event["since"]) / 1e6 for event in paused)
        notes.append(f"{prober.name}: the prober got no CPU time {len(paused)} times, for {longest:.0f} ms at worst")
    if prober.first_offset and prober.last_offset:
        note = drift_note(prober.first_offset, prober.last_offset, prober.name)
        if note:
            notes.append(note)
    ended = prober.log.ended
    if ended and str(ended.get("why", "")).startswith(("nobody", "cannot")):
        notes.append(f"{prober.name}: the prober ended by itself: {ended['why']}")
    return notes


def _shifted(window: Window, shift: int) -> Window:
    """Puts a window on the controller's clock."""
    if not shift:
        return window
    return replace(
        window,
        start_ns=window.start_ns - shift,
        end_ns=window.end_ns - shift,
        pieces=tuple(_shifted(piece, shift) for piece in window.pieces),
    )
