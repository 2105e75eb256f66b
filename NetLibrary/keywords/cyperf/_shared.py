"""What the CyPerf keywords share: connections, agents, sessions and runs of this library instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from robot.api import logger
from robot.utils import printable_name

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.errors import ControllerError, InputError, NetLibraryError
from NetLibrary._mechanics.paths import shipped
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase
from NetLibrary.keywords._base import keyword as marked
from NetLibrary.types import CyPerfRole

if TYPE_CHECKING:
    from NetLibrary._mechanics.cyperf.controller import Controller
    from NetLibrary._mechanics.cyperf.objects import Deployed
    from NetLibrary._mechanics.cyperf.session import TestSession
    from NetLibrary._mechanics.report import Table
    from NetLibrary.keywords.cyperf._state import CyPerfState, Run

F = TypeVar("F", bound=Callable[..., Any])
KIND = "cyperf"
MANIFESTS = shipped("manifests", "cyperf")
_IDLE = ("STOPPED", "ERROR", "")


def keyword(
    *, tags: Sequence[str] = ("cyperf",), formerly: Sequence[str] = (), renamed: Mapping[str, str] | None = None
) -> Callable[[F], F]:
    """Marks a CyPerf keyword; its name is that of the method, with product names as their makers write them."""

    def decorate(method: F) -> F:
        name = printable_name(method.__name__, code_style=True)
        for plain, written in (("Cyperf", "CyPerf"), ("Tls", "TLS"), ("Requestslibrary", "RequestsLibrary")):
            name = name.replace(plain, written)
        return marked(name, tags=tags, formerly=formerly, renamed=renamed)(method)

    return decorate


class CyPerfBase(KeywordBase):
    """Base of the CyPerf mixins."""

    @property
    def _cyperf(self) -> CyPerfState:
        from NetLibrary._mechanics.cyperf.pause import LastRuns
        from NetLibrary.keywords.cyperf._state import CyPerfState

        found: CyPerfState | None = self.__dict__.get("_cyperf_state")
        if found is None:
            found = self.__dict__["_cyperf_state"] = CyPerfState(ends=LastRuns(self.session.run_id))
            self.session.on_close("CyPerf sessions", self._close_cyperf)
        return found

    def _controller(self) -> Controller:
        if self._cyperf.controller is None:
            raise InputError("No CyPerf controller is connected; use 'Connect To CyPerf Controller' first.")
        return self._cyperf.controller

    def _current(self) -> TestSession:
        if self._cyperf.current is None:
            raise InputError("No CyPerf session is open; use 'Open CyPerf Session' first.")
        return self._cyperf.current

    def _deployed(self, role: CyPerfRole) -> Deployed:
        found = self._cyperf.deployed.get(role)
        if found is None:
            raise InputError(f"This run deployed no {role.value.lower()} agents; use 'Deploy CyPerf Agents' first.")
        return found

    def _last_run(self) -> Run:
        if self._cyperf.run is None:
            raise InputError("No CyPerf test was started; use 'Start CyPerf Test' or 'Run CyPerf Test' first.")
        return self._cyperf.run

    def _show(self, table: Table) -> None:
        """Writes a table to the log."""
        _robot.log_table(table.columns, table.rows, table.caption)

    def _seconds(self, timeout: object) -> float:
        seconds = getattr(timeout, "total_seconds", None)
        return float(seconds()) if seconds else self.session.default_timeout

    def _agent_pods(self) -> dict[CyPerfRole, list[dict[str, Any]]]:
        """Returns the pods of the agents that this run deployed, by role."""
        from NetLibrary._mechanics.cyperf.objects import live_pods

        shared = self._cyperf
        return {
            role: live_pods(self.session.cluster(shared.clusters.get(role)), deployed)
            for role, deployed in shared.deployed.items()
        }

    def _keep_agent_logs(self, folder: Path) -> list[Path]:
        """Writes the logs of all agents into the output folder and returns the files."""
        from NetLibrary._mechanics.cyperf.objects import keep_logs

        files = []
        for role, deployed in self._cyperf.deployed.items():
            try:
                problems = keep_logs(self.session.cluster(self._cyperf.clusters.get(role)), deployed)
            except NetLibraryError as error:
                problems = [str(error)]
            for problem in problems:
                logger.info(f"Logs of {role.value.lower()} agents could not be read: {problem}")
            for name, text in deployed.logs.items():
                file = folder / "cyperf" / f"agent-{name}.log"
                file.parent.mkdir(parents=True, exist_ok=True)
                secrets.keep(file, text)
                files.append(file)
        return files

    def _close_cyperf(self) -> None:
        """Ends what this run began at controllers. A stand-in that went with its namespace needs nothing."""
        from NetLibrary._mechanics.cyperf.pause import USUAL_SECONDS

        state_of_all = self._cyperf
        for controller in state_of_all.controllers.values():
            if controller.stand_in and not _answers(controller):
                base = controller.connection.base
                state_of_all.sessions = [s for s in state_of_all.sessions if s.connection.base != base]
                state_of_all.imported = [i for i in state_of_all.imported if i[0].connection.base != base]
        for session in reversed(state_of_all.sessions):
            self._drop(session)
        for controller, identifier in state_of_all.imported:
            try:
                controller.delete_configuration(identifier)
            except ControllerError as error:
                logger.warn(f"The imported CyPerf configuration '{identifier}' was not deleted: {error}")
        for controller in state_of_all.controllers.values():
            controller.connection.close()
        seconds = state_of_all.pause.seconds if state_of_all.pause else USUAL_SECONDS
        for place in state_of_all.ends.tidy(seconds):
            logger.info(
                f"ConfigMap '{place}' is kept: a run against the same pods within {seconds:g} s must wait. The "
                "ConfigMap may be deleted at any time."
            )
        self.__dict__.pop("_cyperf_state", None)

    def _drop(self, session: TestSession) -> None:
        """Aborts a session's test if one runs, frees its agents, and deletes it."""
        from NetLibrary._mechanics.cyperf.run import abort, state

        try:
            if state(session).status not in _IDLE:
                abort(session)
            session.controller.release_agents(session.id)
            session.delete()
        except NetLibraryError as error:
            logger.warn(f"The CyPerf session '{session.name}' was not cleaned up: {error}")
        if session in self._cyperf.sessions:
            self._cyperf.sessions.remove(session)
        if self._cyperf.current is session:
            self._cyperf.current = None


def _answers(controller: Controller) -> bool:
    try:
        controller.now()
    except ControllerError:
        return False
    return True
