"""What the outage and disruption keywords share: the measurement that runs, and how a result is concluded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot.api import Error, Failure, logger

from NetLibrary.keywords import _robot
from NetLibrary.keywords._conclude import conclude

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube import Cluster
    from NetLibrary._mechanics.outages.judge import Limits
    from NetLibrary._mechanics.outages.objects import Endpoints
    from NetLibrary._mechanics.outages.results.outcome import OutageResult
    from NetLibrary._mechanics.outages.run.measurement import Measurement
    from NetLibrary._mechanics.report import Picture
    from NetLibrary._mechanics.verdict import Check
    from NetLibrary.keywords._session import Session

KIND = "network_break"
WORTH_A_WARNING = 0.1
MOST_FINDINGS = 4
#: How long paths that come late are left alone before they are looked at again.
AGAIN_S = 10.0


@dataclass
class OutageState:
    """The measurements of one session.

    Args:
        running: The measurement that runs.
        limits: Limits that were given when it was started.
        slow_margin_ms: By how much later than the median an answer counts as late; None for each kind's own.
        parameters: What was asked for, for the record.
        endpoints: The objects of the running or last measurement.
        ended: The last result.
        pending: A result that nobody has judged or recorded yet.
        repeats: All results of the run by name.
        hooked: Whether the end of each test concludes what is pending.
    """

    running: Measurement | None = None
    limits: Limits | None = None
    slow_margin_ms: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    endpoints: Endpoints | None = None
    ended: OutageResult | None = None
    pending: OutageResult | None = None
    repeats: dict[str, list[OutageResult]] = field(default_factory=dict)
    hooked: bool = False


def state_of(session: Session) -> OutageState:
    """Returns the measurements of a session; the keyword classes share them by it and know nothing of each other."""
    found = vars(session).setdefault("outages", OutageState())
    assert isinstance(found, OutageState)
    return found


@contextmanager
def measured_step(session: Session, name: str) -> Iterator[None]:
    """Stamps one step of a disturbance on the clock of the measurement, if one runs."""
    running = state_of(session).running
    if running is None:
        yield
        return
    with running.step(name):
        yield


def begin(
    session: Session,
    measurement: Measurement,
    *,
    parameters: dict[str, Any],
    endpoints: Endpoints,
    lab: Any = None,
    limits: Limits | None = None,
    slow_margin_ms: float | None = None,
) -> None:
    """Starts a measurement; whatever ends the run, what was measured until then is recorded.

    In a lab, attempts of measurements before are forgotten, which would else be charged to this one.
    """
    from NetLibrary._mechanics.facts import images_of

    state = state_of(session)
    state.running, state.ended = measurement, None
    state.parameters, state.endpoints = parameters, endpoints
    state.limits, state.slow_margin_ms = limits, slow_margin_ms
    session.note_images(images_of(map(dict, endpoints.pods.values())))
    if lab is not None:
        from NetLibrary.lab.faults.tracking import forget_attempts

        forget_attempts(lab)
    try:
        measurement.start()
    except BaseException:
        state.running = None
        raise
    # A test that fails before its end would leave it to the next one, whose own is refused then
    session.on_scope_end(f"measurement '{measurement.name}'", lambda: _end_forgotten(session, measurement))
    session.on_close(f"measurement '{measurement.name}'", lambda: abort(session, measurement))
    if not state.hooked:
        state.hooked = True
        session.at_test_end.append(lambda: conclude_pending(session))


def begin_on_good_paths(
    session: Session, cluster: Cluster, first: Measurement, anew: Callable[[], Measurement], *, patience: float = 0.0,
    **given: Any,
) -> Measurement:  # fmt: skip
    """Starts a measurement as `begin` does; anew once all paths answer, where some only come late.

    kube-proxy may not notice for two minutes that an API server is back after an absence. Until then a path to a new
    Service is broken, which is no outage that the test's disturbance made: what was recorded until then is dropped.

    Args:
        session: The session.
        cluster: The cluster that is measured.
        first: The measurement.
        anew: Returns another one like it.
        patience: Seconds that paths may come late also where the API server was not away.
        given: See `begin`.
    Returns:
        The measurement that runs; some paths may be broken there all the same.
    """
    from NetLibrary._mechanics.polling import settle

    absences, state = cluster.connection.absences, state_of(session)
    unused, told = [first], False

    def attempt() -> Measurement:
        running = unused.pop() if unused else anew()
        begin(session, running, **given)
        return running

    def comes_late(running: Measurement) -> bool:
        """Ends one that began too early: its probes would only keep a busy machine from recovering."""
        nonlocal told
        broken, seconds = running.open_outages(), absences.recovery_left()
        if not broken or not seconds:
            return False
        if not told:
            _robot.console(_not_measured_yet(broken, seconds))
        told = True
        running.abandon()
        state.running = None
        return True

    running = absences.retried(attempt, comes_late, every=AGAIN_S)
    if state.running is None:  # the last pause was over just then
        running = attempt()
    if patience and running.open_outages():
        if not settle(lambda: not running.open_outages(), timeout=patience, every=0.2):
            return running
        running.abandon()
        state.running = None
        running = attempt()
    return running


def _not_measured_yet(broken: Sequence[str], seconds: float) -> str:
    names = ", ".join(broken[:MOST_FINDINGS]) + (" …" if len(broken) > MOST_FINDINGS else "")
    return (
        f"  Not measured yet: {names}. The API server was away, which kube-proxy may not have noticed yet; this waits "
        f"up to {seconds:.0f} s for the paths."
    )


def abort(session: Session, measurement: Measurement | None) -> None:
    """Ends a measurement, if it is the one that runs, without waiting, and records what there is."""
    state = state_of(session)
    if measurement is not None and state.running is measurement:
        finish(state, settle=False)
        conclude_pending(session, cut_short=True)


def _end_forgotten(session: Session, measurement: Measurement) -> None:
    if state_of(session).running is measurement:
        logger.warn(
            f"The measurement '{measurement.name}' was still running at the end of the test that started it. It was "
            "stopped and recorded as cut short; end it in the test with 'Stop Traffic' or 'Outages Should Be Within "
            "Limits'."
        )
        abort(session, measurement)


def finish(state: OutageState, *, settle: bool) -> OutageResult:
    """Ends the running measurement; what it found is pending until it is concluded."""
    from NetLibrary._mechanics.outages.results.outcome import read

    measurement = state.running
    assert measurement is not None
    try:
        recording = measurement.finish(settle=settle)
    except BaseException:
        # A stop signal in the settle time: what there is so far was recorded on the way out
        state.running = None
        _keep(state, read(measurement.finish(settle=False), slow_margin_ms=state.slow_margin_ms))
        raise
    state.running = None
    result = read(recording, slow_margin_ms=state.slow_margin_ms)
    _keep(state, result)
    return result


def _keep(state: OutageState, result: OutageResult) -> None:
    state.ended = state.pending = result
    state.repeats.setdefault(result.name, []).append(result)


def conclude_pending(session: Session, *, cut_short: bool = False) -> None:
    """Records and shows a result that nobody has judged; never fails, as nothing was asked."""
    from NetLibrary._mechanics.outages.judge import Limits

    state = state_of(session)
    if state.pending is not None:
        with suppress(Error, Failure):
            conclude_outages(session, state.pending, Limits(), cut_short=cut_short)


def conclude_outages(session: Session, result: OutageResult, limits: Limits, *, cut_short: bool = False) -> None:
    """Judges a result by limits, records it, shows it, and fails where it has to.

    Raises:
        Failure: A limit is broken.
        Error: The measurement is not whole.
    """
    from NetLibrary._mechanics.facts import images_of
    from NetLibrary._mechanics.outages.judge import checks
    from NetLibrary._mechanics.outages.show import tables
    from NetLibrary._mechanics.outages.show.probes import write_probes

    state = state_of(session)
    state.pending = None
    judged = checks(limits, result)
    errors, more = _errors(result, judged)
    if cut_short:
        errors = ["the measurement was cut short", *errors]
    own = "" if result.name == _robot.current_test() else f"{result.name} "
    picture = _draw(_robot.picture_path(f"{own}timeline"), result)
    probes = picture.path.with_suffix(".jsonl.gz")
    count = write_probes(probes, result)
    _tell(result, count, probes)
    worst = result.worst
    broken = sum(1 for check in judged if not check.passed)
    conclude(
        session,
        kind=KIND,
        name=result.name,
        parameters={**state.parameters, "limits": limits.given},
        checks=judged,
        errors=errors,
        summary=tables.summary(result),
        samples=tables.samples(result),
        series=tables.series(result),
        causes=more,
        tables=tables.all_of(result),
        pictures=[picture],
        images=images_of(map(dict, state.endpoints.pods.values())) if state.endpoints else [],
        files=[probes],
        metadata={"Longest outage": f"{worst.longest_ms:.0f} ms, {worst.spec.name}" if worst else "none"},
        console=_console(result),
        lead=f"'{result.name}' violated {broken} of its limits",
    )


def _errors(result: OutageResult, judged: Sequence[Check]) -> tuple[list[str], list[str]]:
    """Returns why there is no valid result, and what else a reader of a failure should know.

    A limit that the probes prove broken stays broken however much an incomplete measurement has missed.
    """
    from NetLibrary._mechanics.outages.judge import proven

    invalid = [str(stream.invalid) for stream in result.streams if stream.invalid]
    errors = list(dict.fromkeys([*result.unfit, *result.errors, *([] if result.errors else invalid)]))
    findings = [f"Also: {text}" for stream in result.streams for text in stream.findings]
    own = [end for end in result.held if end.ours and end.held.often]
    if own and result.only_waits and result.worst and any(not check.passed for check in judged):
        why = "what came late or not at all meanwhile says nothing about the paths; raise its limit (POD_LIMITS)"
        return [*errors, *(f"{end.sentence}; {why}" for end in own)], findings[:MOST_FINDINGS]
    findings += [f"Also: {end.sentence}" for end in own]
    findings += [
        f"The {end.sentence}, so answers may be late or missing because of that and not because of the network."
        for end in result.held
        if not end.ours and end.held.often
    ]
    if errors and not result.unfit and any(proven(check) for check in judged):
        return [], [*findings, *(f"Also: {text}" for text in errors)][:MOST_FINDINGS]
    return errors, findings[:MOST_FINDINGS]


def _draw(path: Path, result: OutageResult) -> Picture:
    from NetLibrary._mechanics.outages.show.timeline import draw
    from NetLibrary._mechanics.report import Picture

    draw(path, result)
    return Picture(path, f"{result.name}: outages per path over time")


def _console(result: OutageResult) -> str:
    worst = result.worst
    paths = {stream.spec.path for stream in result.streams}
    hit = {stream.spec.path for stream in result.streams if stream.outages}
    word = "path" if len(paths) == 1 else "paths"
    told = f"no outage on {len(paths)} {word}"
    if worst:
        # A kept connection that is reset and opened again at once is one of no measurable length
        longest = f"{worst.longest_ms:.0f} ms" if worst.longest_ms >= 1 else "shorter than 1 ms"
        told = f"longest outage {longest} ({worst.spec.name}), {len(hit)} of {len(paths)} {word} affected"
    return "\n".join([f"  '{result.name}': {told}", *(f"  ERROR: {text}" for text in result.errors)])


def _tell(result: OutageResult, count: int, probes: Path) -> None:
    """Writes to the log what is in no table."""
    from NetLibrary._mechanics.outages.show import tables

    for text in result.unmeasured:
        logger.info(f"Not measured: {text}")
    for text in dict.fromkeys(result.notes):
        logger.info(f"Note: {text}")
    skipped = sum(stream.skipped for stream in result.streams)
    planned = sum(stream.planned for stream in result.streams)
    if skipped > WORTH_A_WARNING * planned:
        logger.warn(
            f"'{result.name}': {skipped} of {planned} probes were not sent in time, because the probers got too little "
            "CPU time. This makes lengths of outages less exact, but never longer."
        )
    if tables.comparable(result):
        printed = tables.as_the_original_prints(result)
        logger.info(f"In the format of kube-ovn's test-server (--output=json), one document per path:\n{printed}")
    logger.info(f"{count} probes are in {probes.name}; the clocks agree to within ±{result.uncertainty_ms:.1f} ms.")
