"""One measurement of a break: probers on all paths, a quiet time, the disturbance's steps, time to settle, a result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary._mechanics.kube.cpu_limits import Containers, HeldEnd
from NetLibrary._mechanics.outages.objects import Target
from NetLibrary._mechanics.outages.run.echoes import EchoPod, Lapses, OutsideEcho
from NetLibrary._mechanics.outages.run.probers import PodProber, Prober
from NetLibrary._mechanics.outages.run.settling import Settling, words
from NetLibrary._mechanics.outages.types import NS, Step, StreamSpec
from NetLibrary._mechanics.polling import settle

FIRST_ANSWER_S = 10.0
END_S = 8.0
PROGRESS_S = 0.5
STEADY_S = 1.0  # a path that was broken counts as recovered when it has been good for this time
#: Workloads that the disturbance has changed may take this long to be stable again.
ROLLOUT_S = 300.0


@dataclass
class Recording:
    """What a measurement has recorded, before anybody has read it. All times are on the controller's monotonic clock.

    Args:
        name: Name of the measurement.
        probers: The probers with their logs.
        steps: What was done meanwhile.
        unmeasured: What could not be measured and why.
        errors: What went wrong with the measuring itself.
        notes: What a reader should know.
        lapses: When each echo server was paused or overrun, by its role.
        held: Containers at the ends of the paths that their CPU limits held back.
        start_ns: When all probers ran.
        end_ns: When they were told to end.
    """

    name: str
    probers: Sequence[Prober]
    steps: Sequence[Step]
    unmeasured: Sequence[str] = ()
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lapses: dict[str, Lapses] = field(default_factory=dict)
    start_ns: int = 0
    end_ns: int = 0
    held: Sequence[HeldEnd] = ()


class Measurement:
    """A running measurement.

    Args:
        name: Name for results.
        probers: Where it is measured from.
        targets: Where the paths lead.
        unmeasured: What could not be measured.
        quiet_s: Quiet time before the first step.
        settle_s: Time after the last step.
        recovery_s: Time beyond that while a path is still broken.
        echoes: Echo servers among the endpoints.
        containers: Those at the ends of the paths.
        settling: Tells which workloads the disturbance has changed; without it none is awaited.
        rollout_s: How long these may take until they are stable.
        progress: Gets a line whenever the number of open outages changes.
    """

    def __init__(
        self,
        name: str,
        probers: Sequence[Prober],
        targets: Sequence[Target],
        *,
        unmeasured: Sequence[str] = (),
        quiet_s: float = 3.0,
        settle_s: float = 5.0,
        recovery_s: float = 0.0,
        echoes: Sequence[EchoPod | OutsideEcho] = (),
        containers: Containers | None = None,
        settling: Settling | None = None,
        rollout_s: float = ROLLOUT_S,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.probers = list(probers)
        self.targets = list(targets)
        self.quiet_s, self.settle_s, self.recovery_s = quiet_s, settle_s, recovery_s
        self.echoes = list(echoes)
        self.containers = containers
        self.steps: list[Step] = []
        self.start_ns = 0
        self._unmeasured = list(unmeasured)
        self._progress = progress
        self._settling, self._rollout_s = settling, rollout_s
        self._quiet = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"progress of {name}", daemon=True)
        self._recording: Recording | None = None
        self._errors: list[str] = []
        self._notes: list[str] = []

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
            if self.containers is not None:  # what starting cost them does not count
                self.containers.start()
        except BaseException:
            self.abandon()
            raise
        self.start_ns = time.monotonic_ns()
        self._watcher.start()

    def wait_quiet(self) -> None:
        """Waits the quiet time before the first step; whoever interrupts it gets a result all the same."""
        until = time.monotonic() + self.quiet_s
        if self._settling is not None:
            self._settling.remember()
        time.sleep(max(0.0, until - time.monotonic()))

    def _await_first_answers(self) -> None:
        def answered() -> bool:
            for prober in self.probers:
                if prober.finished and not prober.log.answered():
                    cannot = [f"{e['what']}: {e['why']}" for e in prober.log.events_named("cannot")]
                    why = prober.failed or "; ".join(cannot) or "it ended at once"
                    raise EnvironmentProblem(f"Nothing can be measured from {prober.name}: {why}.")
            return all(set(prober.log.specs) <= prober.log.settled() for prober in self.probers)

        settle(answered, timeout=FIRST_ANSWER_S, every=0.05)

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

    @property
    def specs(self) -> list[StreamSpec]:
        """All streams."""
        return [spec for prober in self.probers for spec in prober.log.specs.values()]

    def impossible(self) -> list[tuple[StreamSpec, str]]:
        """Returns the streams that a prober could not open, with the reasons."""
        return [
            (prober.log.specs[event["stream"]], str(event["why"]))
            for prober in self.probers
            for event in prober.log.events_named("cannot")
            if "stream" in event
        ]

    def open_outages(self) -> list[str]:
        """Returns the streams that are in an outage just now."""
        return list(dict.fromkeys(spec.name for prober in self.probers for spec in prober.log.open_outages()))

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
        if self.containers is not None:
            self.containers.close()
        self._remove_files()

    def finish(self, *, settle: bool = True) -> Recording:
        """Waits until the paths have settled, stops the probers, returns their records. May be called twice.

        Args:
            settle: False ends at once, with the results so far.
        """
        if self._recording is not None:
            return self._recording
        try:
            if settle:
                self._settle()
        finally:
            self._quiet.set()
            end_ns = time.monotonic_ns()
            self._stop_probers()
            self._recording = self._record(end_ns)
            self._remove_files()
        return self._recording

    def _settle(self) -> None:
        """Waits for the workloads that changed, the settle time, and the recovery of what is still broken then and has
        ever been good.
        """
        if self._settling is None:
            time.sleep(self.settle_s)
        else:
            self._await_workloads(self._settling)
        good_since = time.monotonic()
        known = [(prober.log, prober.log.answered()) for prober in self.probers]

        def steady() -> bool:
            nonlocal good_since
            if any(spec.number in answered for log, answered in known for spec in log.open_outages()):
                good_since = time.monotonic() + STEADY_S
            return time.monotonic() >= good_since or all(prober.finished for prober in self.probers)

        settle(steady, timeout=self.recovery_s)

    def _await_workloads(self, settling: Settling) -> None:
        """Waits until what the disturbance has started is over; that is a step of its own, as it may break paths."""
        since: list[int] = []

        def say(text: str) -> None:
            since.append(time.monotonic_ns())
            self._say(text)

        left = settling.wait(self.settle_s, self._rollout_s, say=say)
        if settling.note:
            self._notes.append(settling.note)
        if not since:
            return
        name = "rollout of " + words(dict.fromkeys(settling.awaited, ""))
        end = None if left else settling.stable_ns
        self.steps.append(Step(name, since[0], end, "it did not end in time" if left else None))
        if left:
            self._errors.append(
                f"the disturbance was not over {self._rollout_s:g} s after it had returned: {words(left)}; it is not "
                "known how long paths stay broken"
            )

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

    def _record(self, end_ns: int) -> Recording:
        held = self.containers.held() if self.containers is not None else []
        lapses = {echo.role: echo.lapses() for echo in self.echoes}
        for echo in self.echoes:
            echo.stop()
        return Recording(
            self.name,
            self.probers,
            list(self.steps),
            self._unmeasured,
            list(self._errors),
            list(self._notes),
            lapses,
            self.start_ns,
            end_ns,
            held,
        )


def check_times(limit_s: float, quiet_s: float, settle_s: float) -> None:
    """Refuses times that cannot work.

    Raises:
        InputError: A time is negative, or the measurement is shorter than its quiet times.
    """
    for name, value in (("quiet", quiet_s), ("settle", settle_s)):
        if value < 0:
            raise InputError(f"{name} is {value:g} s; it cannot be negative.")
    if quiet_s < 0.5:
        raise InputError(f"quiet is {quiet_s:g} s; at least 0.5 s of quiet time is needed to get to know the paths.")
    if limit_s <= quiet_s + settle_s:
        raise InputError(
            f"timeout is {limit_s:g} s, which leaves no time for a disturbance between {quiet_s:g} s before and "
            f"{settle_s:g} s after it."
        )
