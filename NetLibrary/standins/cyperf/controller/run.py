"""One test run: configure agents, start servers, then clients, follow the timeline, stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable

from . import plan as planning
from .agents import Agent, Agents
from .operations import OperationError
from .statistics import Statistics
from .store import Result, Session, Store, now

_APPLY_SECONDS = 20.0


class Run:
    """The run inside one session."""

    def __init__(self, store: Store, agents: Agents, session: Session, certificate: tuple[str, str]) -> None:
        self.store, self.agents, self.session = store, agents, session
        self.certificate = certificate
        self.initialized = self.started = self.stopped = 0
        self.plan: planning.Plan | None = None
        self.result: Result | None = None
        self._begin = 0.0
        self._elapsed = 0.0
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._aborted = False
        self._members: list[Agent] = []
        self._task: asyncio.Task[None] | None = None
        self._warned: set[str] = set()

    @property
    def duration(self) -> int:
        """Planned whole seconds of traffic."""
        return int(self.plan.duration) if self.plan else 0

    @property
    def elapsed(self) -> int:
        """Whole seconds of traffic so far."""
        if self.session.status == "STARTED":
            return int(min(time.monotonic() - self._begin, self.duration))
        return round(self._elapsed)

    async def start(self) -> None:
        """Brings the run to STARTED.

        Raises:
            OperationError: When it cannot run; the session is ERROR then and says why.
        """
        session = self.session
        self.initialized = now()
        session.status, session.details = "STARTING", ""
        session.test_id = str(uuid.uuid4())
        try:
            if self.store.faults.licence_missing:
                raise planning.PlanError("No license is available: checkout of feature 'stand-in' failed (0 of 1).")
            self.plan = planning.make(
                session.tree,
                self.agents,
                session.id,
                self.store.settings.minimum_duration,
                self.store.faults.netmask_missing,
            )
            session.status = "CONFIGURING"
            await self._configure()
        except planning.PlanError as error:
            self._fail(str(error))
            raise OperationError(str(error)) from error
        self.result = Result(
            session.test_id,
            session.id,
            session.name,
            now(),
            session.tree,
            statistics=Statistics(session.test_id, int(time.time() * 1000)),
        )
        self.store.results[self.result.id] = self.result
        for text in self.plan.warnings:
            self._notify("warning", text)
        self.result.statistics.baseline(self._members)
        self._order_clients(self.plan.level(0.0))
        try:
            # On a busy machine agents fetch their orders late; that time is not taken from the run.
            await self._applied(self.plan.clients)
        except planning.PlanError as error:
            del self.store.results[self.result.id]
            self._fail(str(error))
            raise OperationError(str(error)) from error
        session.status = "STARTED"
        self.started, self._begin = now(), time.monotonic()
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def _configure(self) -> None:
        assert self.plan is not None
        for agent in [*self.plan.servers, *self.plan.clients]:
            self._take(agent)
        await self._applied(self.plan.servers)

    def _take(self, agent: Agent) -> None:
        assert self.plan is not None
        agent.session_id, agent.session_name = self.session.id, self.session.name
        agent.owner, agent.reservation = self.session.owner, self.session.test_id
        agent.status = "RUNNING"
        self._members.append(agent)
        if agent in self.plan.servers:
            orders = planning.server_orders(self.plan, self.session.test_id)
            orders["certificate"], orders["key"] = self.certificate
            agent.order(orders)

    async def _applied(self, agents: list[Agent]) -> None:
        deadline = time.monotonic() + _APPLY_SECONDS
        while not all(agent.has_applied() for agent in agents):
            if time.monotonic() > deadline:
                silent = ", ".join(agent.ip for agent in agents if not agent.has_applied())
                raise planning.PlanError(f"Agents did not take their configuration: {silent}.")
            await asyncio.sleep(0.05)
        for agent in agents:
            if agent.report.get("cannot_follow"):
                raise planning.PlanError(f"Agent {agent.ip} could not be configured: {agent.report['cannot_follow']}.")

    def _order_clients(self, level: float) -> None:
        assert self.plan is not None
        clients = [agent for agent in self.plan.clients if not self.agents.offline(agent)]
        for agent in clients:
            agent.order(planning.client_orders(self.plan, level / len(clients), self.session.test_id))

    async def _follow(self) -> None:
        assert self.plan is not None
        assert self.result is not None
        step = self.store.settings.statistics_step
        next_row, level = time.monotonic() + step, self.plan.level(0.0)
        while not self._stop.is_set():
            elapsed = time.monotonic() - self._begin
            if elapsed >= self.plan.duration or self._all_struck():
                break
            changed = self._join_and_leave()
            wanted = self.plan.level(elapsed)
            if changed or wanted != level:
                level = wanted
                self._order_clients(level)
            if time.monotonic() >= next_row:
                next_row += step
                self.result.statistics.add(self._present())
                self._warn_of_errors()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 0.1)
        await self._finish()

    def _all_struck(self) -> bool:
        """Whether every strike was tried so often as asked for."""
        assert self.plan is not None
        if not self.plan.strikes:
            return False
        mine = [agent.report for agent in self._members if agent.report.get("client_run") == self.session.test_id]
        reports = [entry for report in mine for entry in (report.get("client") or {}).values()]
        ended = sum(entry.get("apps_succeeded", 0) + entry.get("apps_failed", 0) for entry in reports)
        return bool(ended >= self.plan.strikes * max(1, len(self.plan.clients)))

    def _present(self) -> list[Agent]:
        return [agent for agent in self._members if time.monotonic() - agent.seen < 3.0]

    def _join_and_leave(self) -> bool:
        """Takes agents that came with an assigned tag, and notes those that fell silent."""
        assert self.plan is not None
        changed = False
        for segments, members in (
            (self.plan.server_segments, self.plan.servers),
            (self.plan.client_segments, self.plan.clients),
        ):
            for segment in segments:
                tags = (segment.get("agentAssignments") or {}).get("ByTag") or []
                for agent in self.agents.with_tags(tags):
                    if agent not in members and not agent.session_id:
                        members.append(agent)
                        self._take(agent)
                        self._notify("info", f"Agent {agent.ip} ({agent.name}) joined the running test.")
                        changed = True
        for agent in self._members:
            if time.monotonic() - agent.seen > 5.0 and agent.id not in self._warned:
                self._warned.add(agent.id)
                self._notify("error", f"Agent {agent.ip} ({agent.name}) lost its connection to the controller.")
                changed = True
        return changed

    def _warn_of_errors(self) -> None:
        for agent in self._present():
            error = str(agent.report.get("error") or "")
            if error and error not in self._warned:
                self._warned.add(error)
                self._notify("warning", f"Agent {agent.ip} ({agent.name}): {error}")

    def _notify(self, severity: str, text: str) -> None:
        self.store.notify(severity, text, {"TestId": self.session.test_id, "SessionId": self.session.id})

    async def _finish(self) -> None:
        assert self.plan is not None
        assert self.result is not None
        self.session.status = "STOPPING"
        self._elapsed = min(time.monotonic() - self._begin, self.plan.duration)
        for group in (self.plan.clients, self.plan.servers):
            present = [agent for agent in group if time.monotonic() - agent.seen < 3.0]
            for agent in present:
                agent.order(None)
            with contextlib.suppress(planning.PlanError):
                if not self._aborted:
                    await self._applied(present)
        # The last row holds the totals, so it waits for a report that was made after all had stopped.
        await self._reported()
        self.result.statistics.add(self._present(), final=True)
        self.stopped = self.result.end = now()
        if self._aborted:
            self.session.details = "The test was aborted."
        self.session.status = "STOPPED"
        self._ended.set()
        await asyncio.sleep(self.store.faults.agents_stay_running)
        self._release()

    async def _reported(self) -> None:
        begin = time.monotonic()
        present = self._present()
        while any(agent.seen <= begin for agent in present) and time.monotonic() < begin + 2.0:
            await asyncio.sleep(0.02)

    def _release(self) -> None:
        for agent in self._members:
            if agent.session_id == self.session.id:
                agent.release()

    def _fail(self, text: str) -> None:
        self.session.status, self.session.details = "ERROR", text[:500]
        self.stopped = now()
        self._notify("error", text)
        self._release()
        self._ended.set()

    async def stop(self, abort: bool) -> None:
        """Ends the run and waits until it has ended."""
        if self.store.faults.ignore_stop and not abort:
            await asyncio.sleep(3600)
        self._aborted = abort
        self._stop.set()
        if self._task is not None:
            await self._ended.wait()

    async def close(self) -> None:
        """Drops the run with its controller."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


RunFactory = Callable[[Session], Run]
