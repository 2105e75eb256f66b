"""One measurement of a break: probers on all paths, a quiet time, the disturbance's steps, time to settle, a result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError

from .attribution import Impact, attribute
from .clock import drift_note
from .companions import share_refusals
from .counters import Delta, cross_check, delta, parse_files
from .echoes import EchoPod, OutsideEcho
from .iperf_gaps import IperfResult, iperf_result
from .known_test import KnownFigures, from_counters
from .paths import Target
from .probers import PodProber, Prober
from .types import NS, ProbeKind, Step, StreamLog, StreamResult, Window
from .windows import MERGE_BELOW, evaluate

FIRST_ANSWER_S = 10.0
END_S = 8.0
PROGRESS_S = 0.5
STEADY_S = 1.0  # a path that was broken counts as recovered when it has been good for this time
#: A prober that could not send this share of its probes says too little about short outages.
BEHIND = 0.5


@dataclass
class BreakResult:
    """What a measurement found. All times are on the controller's monotonic clock.

    Args:
        name: Name of the measurement.
        streams: One result per path and kind of probe.
        steps: What was done meanwhile.
        impacts: What each step cost.
        deltas: Kernel counters by prober.
        figures: The known test's figures by prober.
        iperf: iperf3 streams that ran beside.
        unmeasured: What could not be measured and why.
        errors: What went wrong with the measuring itself; with any of these the result is incomplete.
        unfit: Those of the errors that leave nothing to judge.
        notes: What a reader should know.
        start_ns: When all probers ran.
        end_ns: When they were told to end.
        uncertainty_ms: How well the clocks agree.
    """

    name: str
    streams: list[StreamResult]
    steps: list[Step]
    impacts: list[Impact]
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
    logs: list[tuple[str, StreamLog, int]] = field(default_factory=list)

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


class Measurement:
    """A running measurement.

    Args:
        name: Name for results.
        probers: Where it is measured from.
        targets: Where the paths lead.
        unmeasured: What could not be measured.
        baseline_s: Quiet time before the first step.
        settle_s: Time after the last step.
        recovery_s: Time beyond that while a path is still broken.
        echoes: Echo servers among the endpoints.
        progress: Gets a line whenever the number of open outages changes.
        slow_margin_ms: See `windows.evaluate`.
        merge_below: See `windows.find_windows`.
    """

    def __init__(
        self,
        name: str,
        probers: Sequence[Prober],
        targets: Sequence[Target],
        *,
        unmeasured: Sequence[str] = (),
        baseline_s: float = 3.0,
        settle_s: float = 5.0,
        recovery_s: float = 0.0,
        echoes: Sequence[EchoPod | OutsideEcho] = (),
        progress: Callable[[str], None] | None = None,
        slow_margin_ms: float | None = None,
        merge_below: int = MERGE_BELOW,
    ) -> None:
        self.name = name
        self.probers = list(probers)
        self.targets = list(targets)
        self.baseline_s, self.settle_s, self.recovery_s = baseline_s, settle_s, recovery_s
        self.echoes = list(echoes)
        self.steps: list[Step] = []
        self.start_ns = 0
        self._unmeasured = list(unmeasured)
        self._progress = progress
        self._slow_margin_ms, self._merge_below = slow_margin_ms, merge_below
        self._quiet = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"progress of {name}", daemon=True)
        self._result: BreakResult | None = None

    # --- while it runs --------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts all probers and waits for the first answers.

        Raises:
            EnvironmentProblem: A prober cannot run at all. The others have been stopped.
        """
        try:
            for outside in self.echoes:
                if isinstance(outside, OutsideEcho):
                    outside.start()
            pods = [echo for echo in self.echoes if isinstance(echo, EchoPod)]
            with ThreadPoolExecutor(max(1, len(self.probers) + len(pods))) as pool:
                list(pool.map(lambda part: part.start(), [*self.probers, *pods]))
            self._await_first_answers()
        except BaseException:
            self.abandon()
            raise
        self.start_ns = time.monotonic_ns()
        self._watcher.start()

    def wait_baseline(self) -> None:
        """Waits the quiet time before the first step; whoever interrupts it gets a result all the same."""
        time.sleep(self.baseline_s)

    def _await_first_answers(self) -> None:
        deadline = time.monotonic() + FIRST_ANSWER_S
        while time.monotonic() < deadline:
            for prober in self.probers:
                if prober.finished and not prober.log.answered():
                    cannot = [f"{e['what']}: {e['why']}" for e in prober.log.events_named("cannot")]
                    why = prober.failed or "; ".join(cannot) or "it ended at once"
                    raise EnvironmentProblem(f"Nothing can be measured from {prober.name}: {why}.")
            if all(set(prober.log.specs) <= prober.log.settled() for prober in self.probers):
                return
            time.sleep(0.05)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Stamps one step of the disturbance; a step that fails is kept with its error."""
        start = time.monotonic_ns()
        index = len(self.steps)
        self.steps.append(Step(name, start))
        self._say(f"step '{name}'")
        try:
            yield
        except BaseException as err:
            self.steps[index] = Step(name, start, time.monotonic_ns(), str(err) or type(err).__name__)
            raise
        self.steps[index] = Step(name, start, time.monotonic_ns())

    def open_outages(self) -> list[str]:
        """Returns the streams that are in an outage just now."""
        return [spec.name for prober in self.probers for spec in prober.log.open_outages()]

    def _watch(self) -> None:
        said = 0
        while not self._quiet.wait(PROGRESS_S):
            hit = self.open_outages()
            if len(hit) != said:
                said = len(hit)
                names = ", ".join(hit[:4]) + (" …" if len(hit) > 4 else "")
                self._say(f"open outages: {len(hit)}" + (f" ({names})" if hit else ""))

    def _say(self, text: str) -> None:
        if self._progress is not None:
            at = (time.monotonic_ns() - self.start_ns) / NS if self.start_ns else 0.0
            self._progress(f"  {at:6.1f} s  {text}")

    # --- the end ----------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Ends everything without a result."""
        self._quiet.set()
        for prober in self.probers:
            prober.stop()
            prober.abandon()
        for echo in self.echoes:
            echo.stop()
        self._remove_files()

    def finish(self, *, settle: bool = True) -> BreakResult:
        """Waits until the paths have settled, stops the probers, says what they found. May be called twice.

        Args:
            settle: False ends at once, with the results so far.
        """
        if self._result is not None:
            return self._result
        try:
            if settle:
                self._settle()
        finally:
            self._quiet.set()
            end_ns = time.monotonic_ns()
            self._stop_probers()
            self._result = self._evaluate(end_ns)
            self._remove_files()
        return self._result

    def _settle(self) -> None:
        """Waits the settle time, and for the recovery of what is still broken then and has ever been good."""
        time.sleep(self.settle_s)
        limit = time.monotonic() + self.recovery_s
        good_since = time.monotonic()
        known = [(prober.log, prober.log.answered()) for prober in self.probers]
        while time.monotonic() < limit and not all(prober.finished for prober in self.probers):
            if any(spec.number in answered for log, answered in known for spec in log.open_outages()):
                good_since = time.monotonic() + STEADY_S
            elif time.monotonic() >= good_since:
                return
            time.sleep(0.1)

    def _stop_probers(self) -> None:
        with ThreadPoolExecutor(max(1, len(self.probers))) as pool:
            list(pool.map(lambda prober: prober.stop(), self.probers))
        deadline = time.monotonic() + END_S
        for prober in self.probers:
            prober.wait(max(0.0, deadline - time.monotonic()))
        for prober in self.probers:
            if not prober.finished:
                prober.abandon()
                prober.wait(1.0)
        for prober in self.probers:
            if isinstance(prober, PodProber):
                prober.take_last_offset()

    def _remove_files(self) -> None:
        for prober in self.probers:
            remove = getattr(prober, "remove_files", None)
            if remove is not None:
                remove()

    def _evaluate(self, end_ns: int) -> BreakResult:
        result = BreakResult(
            self.name,
            [],
            list(self.steps),
            [],
            unmeasured=list(self._unmeasured),
            start_ns=self.start_ns,
            end_ns=end_ns,
        )
        pauses = {echo.role: echo.pauses() for echo in self.echoes}
        for echo in self.echoes:
            echo.stop()
        for role, found in pauses.items():
            during = [(until - since) / 1e6 for since, until in found if until > self.start_ns]
            if during:
                result.notes.append(
                    f"echo server '{role}' got no processor {len(during)} times, for {max(during):.0f} ms at worst; "
                    "late answers because of that are not counted"
                )
        uncertainty = 0
        for prober in self.probers:
            offset = prober.offset()
            shift = offset.offset_ns if offset else 0
            uncertainty = max(uncertainty, offset.error_ns if offset else 0)
            if prober.failed:
                result.errors.append(prober.failed)
            result.notes += prober.notes + _notes_of(prober)
            quiet_until = self.steps[0].start_ns + shift if self.steps else None
            own = []
            for log in prober.log.stream_logs():
                result.logs.append((prober.name, log, shift))
                log.paused += [(since + shift, until + shift) for since, until in pauses.get(log.spec.endpoint, ())]
                stream = evaluate(
                    log,
                    quiet_until_ns=quiet_until,
                    slow_margin_ms=self._slow_margin_ms,
                    merge_below=self._merge_below,
                )
                stream.windows = [_shifted(window, shift) for window in stream.windows]
                own.append(stream)
            share_refusals(own)
            result.streams += own
            self._take_counters(prober, own, result)
            for event in prober.log.events_named("iperf"):
                result.iperf.append(iperf_result(event))
            if prober.failed is None and prober.log.ended is None:
                result.errors.append(f"{prober.name} did not deliver its last records; what came until then is counted")
            result.unfit += _rate_of(prober, own)
            result.errors += _rate_of(prober, own) + _limit_of(prober)
        result.uncertainty_ms = uncertainty / 1e6
        for stream in result.streams:
            result.notes += stream.findings
            if stream.invalid and stream.invalid.startswith("not measured"):
                result.unmeasured.append(f"{stream.spec.name}: {stream.invalid.removeprefix('not measured: ')}")
            elif stream.invalid:
                result.errors.append(f"{stream.spec.name} ({stream.spec.address}): {stream.invalid}")
        result.streams = [s for s in result.streams if not (s.invalid or "").startswith("not measured")]
        result.impacts = attribute(result.streams, result.steps, uncertainty_ns=uncertainty)
        return result

    def _take_counters(self, prober: Prober, own: list[StreamResult], result: BreakResult) -> None:
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
        "intervals, fewer paths, or more processor (PROBE_CPU)"
    ]


def _limit_of(prober: Prober) -> list[str]:
    """Says when a measurement was longer than it was allowed to be."""
    if not prober.log.ended or prober.log.ended.get("why") != "duration":
        return []
    return [
        f"the measurement's limit ended the prober in {prober.name} before the disturbance was over and the paths "
        "had settled; raise limit="
    ]


def _notes_of(prober: Prober) -> list[str]:
    notes = [
        f"{prober.name}: somebody set its clock by {event['by_ms']:.0f} ms; the probes' clock does not follow that"
        for event in prober.log.events_named("clock_jump")
    ]
    paused = prober.log.events_named("paused")
    if paused:
        longest = max((event["t"] - event["since"]) / 1e6 for event in paused)
        notes.append(f"{prober.name}: the prober got no processor {len(paused)} times, for {longest:.0f} ms at worst")
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


def check_times(limit_s: float, baseline_s: float, settle_s: float) -> None:
    """Refuses times that cannot work.

    Raises:
        InputError: A time is negative, or the measurement is shorter than its quiet times.
    """
    for name, value in (("baseline", baseline_s), ("settle", settle_s)):
        if value < 0:
            raise InputError(f"{name} is {value:g} s; it cannot be negative.")
    if baseline_s < 0.5:
        raise InputError(f"baseline is {baseline_s:g} s; at least 0.5 s of quiet time are needed to know the paths.")
    if limit_s <= baseline_s + settle_s:
        raise InputError(
            f"limit is {limit_s:g} s, which leaves no time for a disturbance between {baseline_s:g} s before and "
            f"{settle_s:g} s after it."
        )
