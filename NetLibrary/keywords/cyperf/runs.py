"""Keywords for CyPerf runs: check the configuration against the cluster, keep the pause, start, watch and stop."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from robot.api import logger

from NetLibrary._mechanics.errors import InputError, RunFailed
from NetLibrary.keywords import _robot
from NetLibrary.keywords._conclude import conclude
from NetLibrary.keywords.cyperf._shared import CyPerfBase, keyword
from NetLibrary.types import CyPerfRole

if TYPE_CHECKING:
    from NetLibrary._mechanics.cyperf import checklist
    from NetLibrary._mechanics.cyperf import pause as pausing
    from NetLibrary._mechanics.cyperf.checklist import Point
    from NetLibrary._mechanics.cyperf.nodes import NodeReading
    from NetLibrary._mechanics.cyperf.session import TestSession
    from NetLibrary._mechanics.cyperf.types import RunState
    from NetLibrary._mechanics.kube.cluster import Cluster
    from NetLibrary.keywords.cyperf._state import Run

CONSOLE_SECONDS = 5.0


class CyPerfRunKeywords(CyPerfBase):
    """Check, run and stop."""

    # --- the check before a run ---------------------------------------------------------------------

    @keyword(renamed={"max_clock_skew": "clock_skew_at_most"})
    def cyperf_configuration_should_fit_cluster(
        self, *, pause: timedelta | None = None, clock_skew_at_most: timedelta = timedelta(seconds=2),
        cluster: str | None = None,
    ) -> list[Point]:  # fmt: skip
        """Compares the session with the objects in the cluster and fails, naming every mismatch with both values.

        It checks automatic addresses, the DUT, the destination port against the Service port or nodePort, the server
        port against the targetPort, the resolver for names, the health check against the readiness probe, the space for
        connection tracking (connections per second x TIME_WAIT; needs [Read CyPerf Nodes]), the pause since the last
        run against the same pods, MTU and MSS, and the clocks. Findings about the settings of Flannel, Calico and the
        AWS VPC plugin are only advice.

        Args:
            pause: Required pause since the last run against the same pods, as in [Wait For Pause Between CyPerf Runs].
            clock_skew_at_most: How far apart the clocks of the nodes and the controller may be; with more, statistics
                are empty.
            cluster: Alias of the server agents' cluster.
        Returns:
            All items of the checklist.
        """
        from NetLibrary._mechanics.cyperf import checklist, show

        session = self._current()
        around = self._surroundings_of(session, cluster)
        wanted = self._pause(pause, around.nodes)
        points = checklist.check(
            session.snapshot(), around, pause=wanted.seconds, max_clock_skew=clock_skew_at_most.total_seconds()
        )
        judged = [point.check for point in points if point.passed is not None]
        bad = sum(1 for check in judged if not check.passed)
        conclude(
            self.session, kind="cyperf_configuration", name=_robot.current_test() or session.name,
            parameters={
                "configuration": session.config_name, "target": self._cyperf.aim.name,
                "not_checked": [str(point) for point in points if point.passed is None],
            },
            checks=judged, tables=[show.points(points, f"Session '{session.name}' against the cluster")],
            lead=f"The CyPerf configuration does not fit the cluster in {bad} of {len(points)} points",
            stands_in=["CyPerf"],
        )  # fmt: skip
        return points

    def _surroundings_of(self, session: TestSession, cluster: str | None) -> checklist.Surroundings:
        from NetLibrary._mechanics.cyperf import checklist, objects, plugins, reach
        from NetLibrary._mechanics.kube import addresses

        shared = self._cyperf
        connection = self.session.cluster(cluster or shared.clusters.get(CyPerfRole.SERVER))
        around = checklist.Surroundings(
            node_addresses={each for found in addresses.of_nodes(connection).values() for each in found}
        )
        servers, clients = (shared.deployed.get(role) for role in (CyPerfRole.SERVER, CyPerfRole.CLIENT))
        if servers:
            places = dict.fromkeys([servers.namespace, shared.aim.namespace or servers.namespace])
            around.services = [each for place in places for each in connection.list("Service", place)]
            around.server_pods = objects.live_pods(connection, servers)
        if clients:
            around.client_pods = objects.live_pods(
                self.session.cluster(shared.clusters.get(CyPerfRole.CLIENT)), clients
            )
        try:
            around.dns = reach.cluster_dns(connection, around.client_pods)
        except InputError:
            around.dns = ""
        around.nodes = self._readings()
        around.device = shared.aim.device
        around.network = plugins.points(connection)
        tags = [each.tag for each in shared.deployed.values()]
        around.agents = [a for a in session.controller.agents() if any(a.has(tag) for tag in tags)]
        around.clock_offset = session.controller.now() - time.time()
        last = shared.ends.last(shared.aim.target, *self._keeper())
        if last is not None:
            around.last_run = (time.time() - last.stamp, last.target.key)
        return around

    # --- the pause between runs ---------------------------------------------------------------------

    @keyword()
    def wait_for_pause_between_cyperf_runs(self, pause: timedelta | None = None) -> timedelta:
        """Waits for the rest of the pause since the last run against the same pods.

        Connections of a run stay in the connection tracking tables of the nodes after they end, and a second run that
        meets them fails although the network is not at fault. What matters is the pods: a ClusterIP, a nodePort and a
        load balancer in front of the same pods are one target. Runs of earlier Robot processes also count if the
        namespace of the agents outlives the run: their time is kept there in a small ConfigMap.

        Args:
            pause: Pause between two runs. By default, none for the stand-in; for a real controller, the TIME_WAIT
                timeout of the nodes with agents, known after [Read CyPerf Nodes], or 120 s if no node could be read.
        Returns:
            How long the keyword waited.

        ```robotframework
        *** Test Cases ***
        Second Run Waits For The First
            Wait For Pause Between CyPerf Runs    120 s
            Run CyPerf Test
        ```
        """
        return timedelta(seconds=self._wait_for_pause(pause))

    def _wait_for_pause(self, pause: timedelta | None) -> float:
        from NetLibrary._mechanics.cyperf import pause as pausing

        shared = self._cyperf
        readings = self._readings()
        wanted = shared.pause = self._pause(pause, readings)
        last = shared.ends.last(shared.aim.target, *self._keeper())
        waited = pausing.wait(last, wanted, _robot.console)
        before = f"; the last run against {last.target.key} was run {last.run}" if last else ""
        logger.info(
            f"Pause between runs against {shared.aim.target.key}: {wanted.seconds:g} s ({wanted.reason}); "
            f"waited {waited:.1f} s{before}."
        )
        return waited

    def _pause(self, given: timedelta | None, readings: list[NodeReading]) -> pausing.Pause:
        """Returns the pause that counts."""
        from NetLibrary._mechanics.cyperf import pause as pausing

        agents = [pod for pods in self._agent_pods().values() for pod in pods]
        return pausing.due(
            given.total_seconds() if given is not None else None,
            stand_in=self._controller().stand_in, readings=readings, nodes=pausing.nodes_of(agents),
        )  # fmt: skip

    def _readings(self) -> list[NodeReading]:
        from NetLibrary._mechanics.cyperf import nodes

        shared = self._cyperf
        if not shared.reader_namespace:
            return []
        return nodes.read(self.session.cluster(shared.clusters.get(CyPerfRole.SERVER)), shared.reader_namespace)

    def _keeper(self) -> tuple[Cluster | None, str]:
        """Returns where the times of runs are kept: cluster and namespace of the target, or of the agents."""
        shared = self._cyperf
        if not shared.deployed or not shared.aim.namespace:
            return None, ""
        role = CyPerfRole.SERVER if CyPerfRole.SERVER in shared.deployed else CyPerfRole.CLIENT
        return self.session.cluster(shared.clusters.get(role)), shared.aim.namespace

    # --- running -------------------------------------------------------------------------------------

    @keyword()
    def start_cyperf_test(self, *, timeout: timedelta = timedelta(minutes=10)) -> str:
        """Starts the session's test and returns once traffic flows; skips the Robot test if a licence is missing.

        Args:
            timeout: How long starting may take; a real controller can need minutes for many agents.
        Returns:
            ID of the run, which is also the ID of its result.
        """
        return self._start(timeout)

    def _start(self, timeout: timedelta) -> str:
        from NetLibrary._mechanics.cyperf import run as running
        from NetLibrary.keywords.cyperf._state import Run

        session = self._current()
        shared = self._cyperf
        shared.run = Run(session, session.snapshot(), shared.aim, self._readings())
        _robot.console(f"CyPerf: starting the test of session '{session.name}'")
        begun = running.start(session, timeout=timeout.total_seconds(), progress=_robot.console)
        shared.run.test_id, shared.run.begun = begun.test_id, time.time()
        return begun.test_id

    @keyword()
    def wait_for_cyperf_test(self, *, timeout: timedelta | None = None, may_end_early: bool = False) -> RunState:
        """Waits until the test has stopped, its result is complete, and its agents are free again.

        Args:
            timeout: How long it may take; by default, the planned duration plus two minutes.
            may_end_early: Whether to accept a test that stopped before its planned end, for instance with long
                connections.
        Returns:
            Final state of the test.
        """
        return self._finish(timeout, may_end_early=may_end_early)

    def _finish(self, timeout: timedelta | None, *, may_end_early: bool = False) -> RunState:
        from NetLibrary._mechanics.cyperf import run as running

        run = self._last_run()
        seconds = timeout.total_seconds() if timeout else running.state(run.session).duration_seconds + 120.0
        progress = _Progress()
        run.finished = running.watch(run.session, timeout=seconds, look=progress, may_end_early=may_end_early)
        self._ended(run)
        return run.finished.state

    def _ended(self, run: Run) -> None:
        from NetLibrary._mechanics.cyperf import run as running

        running.wait_for_result(run.session, run.test_id)
        self._note_end(run)

    def _note_end(self, run: Run) -> None:
        """Keeps the time of a run's end for the pause before the next one."""
        shared = self._cyperf
        pause = shared.pause or self._pause(None, [])
        problem = shared.ends.note(run.aim.target, *self._keeper(), pause)
        if problem:
            logger.info(problem)

    @keyword()
    def run_cyperf_test(self, *, timeout: timedelta | None = None) -> RunState:
        """Starts the session's test and waits for its end.

        Args:
            timeout: How long the run may take; by default, its planned duration plus two minutes.
        Returns:
            Final state of the test.
        """
        self._start(timedelta(minutes=10))
        return self._finish(timeout)

    @keyword()
    def let_cyperf_test_run(self, duration: timedelta) -> RunState:
        """Lets the running test go on for a while and fails if it ends or reports an error in that time.

        Args:
            duration: How long, measured in the test's own time.
        Returns:
            State of the test after that time.
        """
        from NetLibrary._mechanics.cyperf import run as running

        run = self._last_run()
        first = running.state(run.session)
        goal = first.elapsed_seconds + duration.total_seconds()
        found = running.watch(
            run.session, timeout=duration.total_seconds() + 60, until=lambda state: state.elapsed_seconds >= goal,
            may_end_early=True,
        ).state  # fmt: skip
        if found.elapsed_seconds < goal:
            raise RunFailed(
                f"The CyPerf test ended ({found.status}) after {found.elapsed_seconds} s, before second {goal:.0f}."
            )
        return found

    @keyword()
    def stop_cyperf_test(self, *, timeout: timedelta = timedelta(minutes=2)) -> RunState:
        """Stops the running test gracefully and waits for its result.

        Args:
            timeout: How long stopping may take; after that, the test is aborted and the keyword fails.
        Returns:
            Final state of the test.
        """
        from NetLibrary._mechanics.cyperf import run as running

        run = self._last_run()
        found = running.stop(run.session, timeout=timeout.total_seconds())
        run.finished = running.Finished(found, stopped_by_us=True)
        self._ended(run)
        return found

    @keyword()
    def abort_cyperf_test(self) -> None:
        """Aborts the running test without waiting for open connections."""
        from NetLibrary._mechanics.cyperf import run as running

        run = self._last_run()
        running.abort(run.session)
        run.finished = running.Finished(running.state(run.session), stopped_by_us=True)
        self._note_end(run)


class _Progress:
    """Says on the console how a run goes: changes at once, seconds now and then."""

    def __init__(self) -> None:
        self._status, self._said = "", 0.0

    def __call__(self, state: RunState) -> None:
        now = time.monotonic()
        if state.status != self._status or now - self._said >= CONSOLE_SECONDS:
            self._status, self._said = state.status, now
            _robot.console(f"CyPerf: {state.status}, {state.elapsed_seconds} of {state.duration_seconds} s")
