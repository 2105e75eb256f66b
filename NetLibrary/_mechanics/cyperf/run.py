"""Runs the test of a session: start, watch, stop, and everything that can go wrong on the way."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from NetLibrary._mechanics.cyperf import operations
from NetLibrary._mechanics.cyperf.rest import Progress
from NetLibrary._mechanics.cyperf.session import TestSession
from NetLibrary._mechanics.cyperf.types import RunState
from NetLibrary._mechanics.errors import (
    ControllerError,
    InputError,
    LicenceMissing,
    OperationFailed,
    RunFailed,
    WaitTimeout,
)
from NetLibrary._mechanics.polling import settle
from NetLibrary._mechanics.secrets import head

_LICENCE_WORDS = ("license", "licence")
_IDLE = ("STOPPED", "ERROR", "")
POLL_SECONDS = 0.5


@dataclass
class Finished:
    """How a run ended.

    Args:
        state: Last state.
        states: States that were seen, with the second of the first look at each.
        stopped_by_us: Whether it was stopped on request.
    """

    state: RunState
    states: list[tuple[str, float]] = field(default_factory=list)
    stopped_by_us: bool = False


def state(session: TestSession) -> RunState:
    """Returns the present state of the session's test."""
    answer = session.connection.call("GET", f"{session.path}/test")
    if not isinstance(answer, dict):
        raise ControllerError(
            f"The state of session '{session.name}' is {head(str(answer), 100)!r} instead of an object."
        )
    return RunState.parse(answer)


def start(session: TestSession, *, timeout: float, progress: Progress | None = None) -> RunState:
    """Starts the test and returns when traffic flows.

    When automatic addressing cannot read a netmask, the agents' own addresses are written into the segments that the
    controller names, and the test is started again.

    Raises:
        LicenceMissing: The controller has no licence for it.
        RunFailed: It cannot start, with the controller's reason.
        WaitTimeout: It did not start in time.
    """
    try:
        try:
            _start(session, timeout, progress)
        except OperationFailed as error:
            if not _addresses_written(session, str(error), progress):
                raise
            _start(session, timeout, progress)
    except OperationFailed as error:
        raise _refused(session, str(error)) from error
    except WaitTimeout as error:
        reasons = _reasons(session)
        abort(session)
        raise type(error)(f"{error}{_said(reasons)}") from error
    found = state(session)
    if found.status == "ERROR":
        raise _refused(session, f"The test of session '{session.name}' is in state ERROR.")
    return found


def _start(session: TestSession, timeout: float, progress: Progress | None) -> None:
    operations.run(
        session.connection, f"{session.path}/test-run/operations/start", timeout=timeout,
        what=f"Starting the test of session '{session.name}'", progress=progress,
    )  # fmt: skip


def _addresses_written(session: TestSession, refusal: str, progress: Progress | None) -> bool:
    """Tells whether a refusal was about automatic addresses and these could be replaced by written ones."""
    text = " ".join([refusal, *_reasons(session)])
    if "netmask" not in text.lower():
        return False
    lines: list[str] = []
    with suppress(ControllerError, InputError):  # what was refused first says more
        lines = session.use_agent_addresses(list(dict.fromkeys(re.findall(r"\[([^\[\]]+)\]", text))))
    if lines and progress:
        progress(f"Automatic addressing found no netmask; {'; '.join(lines)}, and the test is started again.")
    return bool(lines)


def _reasons(session: TestSession) -> list[str]:
    try:
        details = state(session).details
        notes = session.controller.notifications(session.id)
    except ControllerError as error:
        return [str(error)]
    return ([f"test details: {details}"] if details else []) + notes


def _said(reasons: list[str]) -> str:
    return "".join(f"\n{reason}" for reason in reasons)


def _refused(session: TestSession, first: str) -> Exception:
    reasons = _reasons(session)
    text = " ".join([first, *reasons])
    if any(word in text.lower() for word in _LICENCE_WORDS):
        return LicenceMissing(f"{first}{_said(reasons)}")
    hint = ""
    if "netmask" in text.lower():
        hint = (
            "\nAutomatic addressing could not read the netmask of an agent's test interface, and there is not exactly "
            "one agent and one range in each of these segments whose address could be written there; check "
            "AGENT_TEST_INTERFACE, or set addresses by hand in the segments named above."
        )
    elif "owned by" in text.lower():
        hint = "\nAgents are held by another session; stop that test, or release its agents at the controller."
    elif "not enough agents" in text.lower() or "assigned" in text.lower():
        hint = "\nCompare the tags of the agents with the tags assigned to the segments."
    return RunFailed(f"{first}{_said([r for r in reasons if r.split(': ', 1)[-1].rstrip('.') not in first])}{hint}")


def watch(
    session: TestSession,
    *,
    timeout: float,
    look: Callable[[RunState], None] | None = None,
    until: Callable[[RunState], bool] | None = None,
    may_end_early: bool = False,
) -> Finished:
    """Watches a running test to its end.

    Args:
        session: Session whose test runs.
        timeout: Seconds from now until it must have stopped.
        look: Called with each state.
        until: Ends watching when it returns true although the test goes on.
        may_end_early: Accept a test that stopped before its planned end.
    Raises:
        RunFailed: It ended as an error, or too early.
        WaitTimeout: It did not stop in time; it is aborted then.
    """
    begin = time.monotonic()
    finished = Finished(RunState("", "", "", 0, 0))

    def over() -> bool:
        finished.state = found = state(session)
        if not finished.states or finished.states[-1][0] != found.status:
            finished.states.append((found.status, round(time.monotonic() - begin, 2)))
        if look:
            look(found)
        return found.status in _IDLE or bool(until and until(found))

    ended, found = settle(over, timeout=timeout, every=POLL_SECONDS), finished.state
    if not ended:
        reasons = _reasons(session)
        abort(session)
        raise WaitTimeout(
            f"The test of session '{session.name}' did not stop within {timeout:g} s "
            f"({found.status}, {found.elapsed_seconds} of {found.duration_seconds} s); it was aborted." + _said(reasons)
        )
    if found.status == "ERROR":
        raise _refused(session, f"The test of session '{session.name}' ended in state ERROR.")
    if found.status == "STOPPED" and found.elapsed_seconds < found.duration_seconds and not may_end_early:
        raise RunFailed(
            f"The test of session '{session.name}' stopped after {found.elapsed_seconds} of "
            f"{found.duration_seconds} s, although the run did not ask for it.{_said(_reasons(session))}"
        )
    return finished


def stop(session: TestSession, *, timeout: float = 120.0) -> RunState:
    """Stops the test gracefully; a test that will not stop is aborted.

    Raises:
        RunFailed: It had to be aborted.
    """
    if state(session).status in _IDLE:
        return state(session)
    try:
        operations.run(
            session.connection, f"{session.path}/test-run/operations/stop", timeout=timeout,
            what=f"Stopping the test of session '{session.name}'",
        )  # fmt: skip
    except (WaitTimeout, OperationFailed) as error:
        abort(session)
        raise RunFailed(f"{error} It was aborted.") from error
    return state(session)


def abort(session: TestSession, *, timeout: float = 60.0) -> None:
    """Aborts the test; does nothing when none runs."""
    operations.run(
        session.connection, f"{session.path}/test-run/operations/abort", timeout=timeout,
        what=f"Aborting the test of session '{session.name}'",
    )  # fmt: skip


def wait_for_result(session: TestSession, test_id: str, *, timeout: float = 60.0) -> None:
    """Waits until the result can be downloaded and the agents are free again.

    Results are complete some seconds after the test stopped; agents may stay RUNNING longer.

    Raises:
        WaitTimeout: Not within the time limit.
    """
    what = ""

    def free() -> bool:
        nonlocal what
        result = session.connection.call("GET", f"/api/v2/results/{test_id}")
        held = [agent.ip for agent in session.controller.agents() if agent.session_id == session.id]
        done = isinstance(result, dict) and int(result.get("endTime") or 0) > 0
        running = held and any(a.status == "RUNNING" for a in session.controller.agents() if a.ip in held)
        what = "its result has no end time" if not done else f"agents {', '.join(held)} still say RUNNING"
        return bool(done and not running)

    if not settle(free, timeout=timeout, every=POLL_SECONDS, what=lambda: f"End of the CyPerf test ({what})"):
        raise WaitTimeout(
            f"The test of session '{session.name}' stopped, but after {timeout:g} s {what}. "
            "Release or reboot the agents at the controller."
        )
