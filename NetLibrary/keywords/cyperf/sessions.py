"""Keywords for CyPerf sessions: shape a configuration, check it against the cluster, run it."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from robot.api import Failure, SkipExecution, logger

from NetLibrary._mechanics.cyperf import checklist, deployment, nodes
from NetLibrary._mechanics.cyperf import run as running
from NetLibrary._mechanics.cyperf.errors import CyPerfError, LicenceMissing
from NetLibrary._mechanics.cyperf.judgement import Finding
from NetLibrary._mechanics.cyperf.session import TestSession
from NetLibrary._mechanics.cyperf.types import CyPerfObjective, CyPerfRole, CyPerfTarget, RunState
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.report import Cell
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords.cyperf._shared import CyPerfBase, Run
from NetLibrary.types import Bitrate

CONSOLE_SECONDS = 5.0


class CyPerfSessionKeywords(CyPerfBase):
    """Open, shape, check, run and close sessions."""

    @keyword(tags=["cyperf"])
    def open_cyperf_session(self, configuration: str) -> str:
        """Opens a session: a working copy of a configuration. It is deleted at the end of the run.

        Args:
            configuration: Name of a configuration at the controller (case does not matter), its id, or the path
                of an exported configuration (`.zip` or `.json`), which is imported for this run.
        Returns:
            Id of the session.

        ```robotframework
        *** Test Cases ***
        HTTP To A Service
            Open CyPerf Session    CyPerf Two Arm Base
            Use CyPerf Applications    HTTP App
        ```
        """
        controller = self._controller()
        file = Path(configuration)
        if file.suffix.lower() in (".zip", ".json"):
            config = controller.import_configuration(file)
            self._cyperf.imported.append((controller, str(config["id"])))
            name = file.name
        else:
            config = controller.configuration(configuration)
            name = str(config.get("displayName"))
        url = str(config.get("configUrl") or config["id"])
        session = TestSession.create(controller, url, name)
        self._cyperf.sessions.append(session)
        self._cyperf.current, self._cyperf.target = session, ""
        logger.info(f"Opened session '{session.name}' from configuration '{name}'.")
        return session.id

    @keyword(tags=["cyperf"])
    def close_cyperf_session(self, *, every_session: bool = False) -> None:
        """Ends the session's test if one runs, frees its agents, and deletes the session; does nothing without one.

        Args:
            every_session: Whether to close all sessions that this run opened, not only the latest.
        """
        latest = [self._cyperf.current] if self._cyperf.current is not None else []
        for session in list(self._cyperf.sessions) if every_session else latest:
            self._drop(session)

    @keyword(tags=["cyperf"])
    def use_cyperf_applications(self, *names: str) -> list[str]:
        """Replaces the applications of the session by those of the controller's catalogue.

        Args:
            names: Names in full, for instance `HTTP App`; case does not matter.
        Returns:
            Their exact names.
        """
        if not names:
            raise InputError("Name at least one application, for instance 'HTTP App'.")
        return self._current().use_applications(list(names))

    @keyword(tags=["cyperf"])
    def assign_cyperf_agents(self, role: CyPerfRole, tag: str | None = None) -> None:
        """Lets the agents with a tag play a role in the session.

        Tags survive where addresses and ids do not: pods get new ones whenever they restart.

        Args:
            role: Client or Server.
            tag: Tag, `key=value` or `key:value`; that of the agents this run deployed when not given.
        """
        session = self._current()
        wanted = tag or self._deployed(role).tag
        agents = session.controller.agents(tag=wanted)
        if not agents:
            every = sorted({each for agent in session.controller.agents() for each in agent.tags})
            raise InputError(
                f"No online agent has the tag '{wanted}'; the tags there are {', '.join(every) or 'none at all'}."
            )
        held = [a for a in agents if a.session_id and a.session_id != session.id and a.status == "RUNNING"]
        if held:
            names = ", ".join(f"{a.hostname or a.ip} (session '{a.session_name}' of {a.owner})" for a in held)
            raise InputError(f"Agents with the tag '{wanted}' are in use by another session: {names}.")
        session.assign_tag(role, wanted)

    @keyword(tags=["cyperf"])
    def aim_cyperf_clients_at_service(
        self, target: CyPerfTarget, *, port: int = 80, service: str | None = None, namespace: str | None = None
    ) -> str:
        """Aims the clients at the server agents, the way `target` says, with ports and resolver to match.

        The Services are those of `manifests/cyperf/services.yaml` unless one is named. Addresses are automatic.

        Args:
            target: Pod IP, cluster IP, FQDN, node port or load balancer.
            port: Port of the Service; 443 for TLS.
            service: Name of the Service.
            namespace: Namespace of the Service; that of the server agents when not given.
        Returns:
            `host:port` that the clients use.
        """
        servers, session = self._deployed(CyPerfRole.SERVER), self._current()
        connection = self.session.cluster(self._cyperf.clusters.get(CyPerfRole.SERVER))
        place = namespace or servers.namespace
        name = service or {
            CyPerfTarget.NODE_PORT: "cyperf-agent-nodeport",
            CyPerfTarget.LOAD_BALANCER: "cyperf-agent-loadbalancer",
        }.get(target, "cyperf-agent-service")
        clients = self.session.cluster(self._cyperf.clusters.get(CyPerfRole.CLIENT))
        if CyPerfRole.CLIENT in self._cyperf.deployed:
            deployment.check_reach(target, clients.server, connection.server)
        host, destination, listen = _resolve(connection, target, name, place, port, servers)
        session.use_automatic_addresses()
        session.aim_at(host)
        session.set_name_servers([deployment.cluster_dns(connection)] if target is CyPerfTarget.FQDN else [])
        session.set_ports(destination, listen)
        self._cyperf.target = f"{place}/{name}"
        return f"{host}:{destination}"

    @keyword(tags=["cyperf"])
    def aim_cyperf_clients_at_host(
        self, host: str, *, destination_port: int | None = None, server_port: int | None = None,
        name_servers: list[str] | None = None, automatic_addresses: bool = True,
    ) -> None:  # fmt: skip
        """Aims the clients at any host: an address or name inside or outside of the cluster.

        Args:
            host: Address or name; empty lets the clients meet the server agents directly.
            destination_port: Port the clients connect to; 0 is the application's own (80, 443 with TLS).
            server_port: Port the servers listen on.
            name_servers: DNS servers for the clients, needed when `host` is a name.
            automatic_addresses: Whether agents use the addresses that their interfaces have.
        """
        session = self._current()
        session.use_automatic_addresses(automatic_addresses)
        session.aim_at(host)
        session.set_name_servers(name_servers or [])
        if destination_port is not None or server_port is not None:
            session.set_ports(destination_port, server_port)
        self._cyperf.target = host

    @keyword(tags=["cyperf"])
    def set_cyperf_ports(
        self, destination_port: int | None = None, server_port: int | None = None, *, application: str | None = None
    ) -> None:
        """Sets where clients connect to and servers listen.

        Args:
            destination_port: Port the clients connect to; 0 is the application's own.
            server_port: Port the servers listen on; 0 is the application's own.
            application: Only for this application; all when not given.
        """
        for name, value in (("destination_port", destination_port), ("server_port", server_port)):
            if value is not None and not 0 <= value <= 65535:
                raise InputError(f"{name} is {value}; allowed are 0 to 65535.")
        self._current().set_ports(destination_port, server_port, application=application)

    @keyword(tags=["cyperf"])
    def set_cyperf_name_servers(self, *addresses: str) -> None:
        """Sets the DNS servers of the clients; none without arguments.

        Args:
            addresses: IPv4 addresses; `cluster` stands for the cluster's own DNS.
        """
        connection = self.session.cluster(self._cyperf.clusters.get(CyPerfRole.CLIENT))
        resolved = [deployment.cluster_dns(connection) if each == "cluster" else each for each in addresses]
        self._current().set_name_servers(resolved)

    @keyword(tags=["cyperf"])
    def set_cyperf_tls(self, enabled: bool = True, *, version: Literal["1.2", "1.3"] = "1.3") -> None:
        """Switches TLS on or off for the applications of the session.

        Args:
            enabled: Whether traffic is encrypted.
            version: TLS version.
        """
        self._current().set_tls(enabled, version)

    @keyword(tags=["cyperf"])
    def set_cyperf_health_check(
        self, enabled: bool = True, *, port: int = 80, path: str = deployment.HEALTH_PATH
    ) -> None:
        """Lets the emulated servers answer an HTTP health check while a test runs.

        Args:
            enabled: Whether they do.
            port: Port of the check.
            path: Path of the check; must equal that of a readiness probe.
        """
        self._current().set_health_check(enabled, port, path)

    @keyword(tags=["cyperf"])
    def set_cyperf_objective(
        self, objective: CyPerfObjective, value: Bitrate, duration: timedelta, *,
        ramp_up: timedelta = timedelta(0), ramp_down: timedelta = timedelta(0),
    ) -> None:  # fmt: skip
        """Sets what the run strives for, and for how long.

        Args:
            objective: Kind of objective.
            value: Bits per second for throughput (`100M`, `1G`), else a number (`2000`, `2k`).
            duration: Length of the steady part; a real controller takes 30 s and more.
            ramp_up: Time in which the load is raised in steps.
            ramp_down: Time in which it is lowered.
        """
        self._current().set_objective(
            objective, value.bits_per_second, int(duration.total_seconds()),
            ramp_up=int(ramp_up.total_seconds()), ramp_down=int(ramp_down.total_seconds()),
        )  # fmt: skip

    @keyword(tags=["cyperf"])
    def save_cyperf_session_as(self, name: str) -> str:
        """Saves the session's configuration at the controller under a name, and keeps it there.

        Args:
            name: Name of the new configuration.
        Returns:
            Id of the new configuration.
        """
        return self._current().save_as(name)

    # --- the check before a run ---------------------------------------------------------------------

    @keyword(tags=["cyperf"])
    def cyperf_configuration_should_fit_cluster(
        self, *, pause: timedelta = timedelta(seconds=120), max_clock_skew: timedelta = timedelta(seconds=2),
        cluster: str | None = None,
    ) -> list[Finding]:  # fmt: skip
        """Compares the session with the objects of the cluster and fails naming every mismatch with both values.

        Looked at are: automatic addresses, the DUT, destination port against Service port or nodePort, server port
        against targetPort, resolver for names, health check against readiness probe, room for connection tracking
        (connections per second x 120 s; needs `Read CyPerf Nodes`), the pause since the last run against the same
        Service, MTU and MSS, and the clocks.

        Args:
            pause: Pause demanded since the last run against the same Service; connections of that run stay in the
                connection tracking for two minutes.
            max_clock_skew: How far clocks of nodes and controller may be apart; else statistics are empty.
            cluster: Alias of the server agents' cluster.
        Returns:
            All findings.
        """
        session = self._current()
        around = self._surroundings_of(session, cluster)
        findings = checklist.check(
            session.snapshot(), around, pause=pause.total_seconds(), max_clock_skew=max_clock_skew.total_seconds()
        )
        _show_findings(f"Session '{session.name}' against the cluster", findings)
        bad = [str(finding) for finding in findings if finding.passed is False]
        if bad:
            raise Failure(
                f"The CyPerf configuration does not fit the cluster in {len(bad)} of {len(findings)} points:\n"
                + "\n".join(bad)
            )
        return findings

    def _surroundings_of(self, session: TestSession, cluster: str | None) -> checklist.Surroundings:
        shared = self._cyperf
        connection = self.session.cluster(cluster or shared.clusters.get(CyPerfRole.SERVER))
        around = checklist.Surroundings(node_addresses=set(deployment.node_addresses(connection).values()))
        servers, clients = (shared.deployed.get(role) for role in (CyPerfRole.SERVER, CyPerfRole.CLIENT))
        if servers:
            around.services = connection.list("Service", servers.namespace)
            around.server_pods = deployment.live_pods(connection, servers)
        if clients:
            around.client_pods = deployment.live_pods(
                self.session.cluster(shared.clusters.get(CyPerfRole.CLIENT)), clients
            )
        try:
            around.dns = deployment.cluster_dns(connection)
        except InputError:
            around.dns = ""
        if shared.reader_namespace:
            around.nodes = nodes.read(connection, shared.reader_namespace)
        tags = [each.tag for each in shared.deployed.values()]
        around.agents = [a for a in session.controller.agents() if any(a.has(tag) for tag in tags)]
        around.clock_offset = session.controller.now() - time.time()
        same = [(end, target) for end, target in shared.ended if target == shared.target]
        if same:
            end, target = max(same)
            around.last_run = (time.time() - end, target)
        return around

    # --- running -------------------------------------------------------------------------------------

    @keyword(tags=["cyperf"])
    def start_cyperf_test(self, *, timeout: timedelta = timedelta(minutes=10)) -> str:
        """Starts the session's test and returns when traffic flows; skips the test when a licence is missing.

        Args:
            timeout: How long starting may take; a real controller needs up to minutes for many agents.
        Returns:
            Id of the run, which is also that of its result.
        """
        session = self._current()
        shared = self._cyperf
        connection = self.session.cluster(shared.clusters.get(CyPerfRole.SERVER)) if shared.reader_namespace else None
        tracking = nodes.read(connection, shared.reader_namespace) if connection else []
        shared.run = Run(session, session.snapshot(), shared.target, tracking)
        _robot.console(f"CyPerf: starting the test of session '{session.name}'")
        try:
            begun = running.start(session, timeout=timeout.total_seconds(), progress=_robot.console)
        except LicenceMissing as error:
            raise SkipExecution(str(error)) from error
        shared.run.test_id, shared.run.begun = begun.test_id, time.time()
        return begun.test_id

    @keyword(tags=["cyperf"])
    def wait_for_cyperf_test(self, *, timeout: timedelta | None = None, may_end_early: bool = False) -> RunState:
        """Waits until the test has stopped, its result is complete, and its agents are free again.

        Args:
            timeout: How long it may take; the planned duration and two minutes more when not given.
            may_end_early: Accept a test that stopped before its planned end, for instance with long connections.
        Returns:
            Last state of the test.
        """
        run = self._last_run()
        seconds = timeout.total_seconds() if timeout else running.state(run.session).duration_seconds + 120.0
        progress = _Progress()
        run.finished = running.watch(run.session, timeout=seconds, look=progress, may_end_early=may_end_early)
        self._ended(run)
        return run.finished.state

    def _ended(self, run: Run) -> None:
        running.wait_for_result(run.session, run.test_id)
        self._cyperf.ended.append((time.time(), run.target))

    @keyword(tags=["cyperf"])
    def run_cyperf_test(self, *, timeout: timedelta | None = None) -> RunState:
        """Starts the session's test and waits for its end.

        Args:
            timeout: How long the run may take; its planned duration and two minutes more when not given.
        Returns:
            Last state of the test.
        """
        self.start_cyperf_test()
        return self.wait_for_cyperf_test(timeout=timeout)

    @keyword(tags=["cyperf"])
    def let_cyperf_test_run(self, duration: timedelta) -> RunState:
        """Lets the running test go on for a while, and fails when it ends or errs meanwhile.

        Args:
            duration: How long, in time of the test.
        Returns:
            State of the test then.
        """
        run = self._last_run()
        first = running.state(run.session)
        goal = first.elapsed_seconds + duration.total_seconds()
        found = running.watch(
            run.session, timeout=duration.total_seconds() + 60, until=lambda state: state.elapsed_seconds >= goal,
            may_end_early=True,
        ).state  # fmt: skip
        if found.elapsed_seconds < goal:
            raise Failure(
                f"The CyPerf test ended ({found.status}) after {found.elapsed_seconds} s, before the second {goal:.0f}."
            )
        return found

    @keyword(tags=["cyperf"])
    def stop_cyperf_test(self, *, timeout: timedelta = timedelta(minutes=2)) -> RunState:
        """Stops the running test gracefully and waits for its result.

        Args:
            timeout: How long stopping may take; the test is aborted then, and this keyword fails.
        Returns:
            Last state of the test.
        """
        run = self._last_run()
        found = running.stop(run.session, timeout=timeout.total_seconds())
        run.finished = running.Finished(found, stopped_by_us=True)
        self._ended(run)
        return found

    @keyword(tags=["cyperf"])
    def abort_cyperf_test(self) -> None:
        """Aborts the running test without waiting for open connections."""
        run = self._last_run()
        running.abort(run.session)
        run.finished = running.Finished(running.state(run.session), stopped_by_us=True)


class _Progress:
    """Says on the console how a run goes: changes at once, seconds now and then."""

    def __init__(self) -> None:
        self._status, self._said = "", 0.0

    def __call__(self, state: RunState) -> None:
        now = time.monotonic()
        if state.status != self._status or now - self._said >= CONSOLE_SECONDS:
            self._status, self._said = state.status, now
            _robot.console(f"CyPerf: {state.status}, {state.elapsed_seconds} of {state.duration_seconds} s")


def _resolve(
    cluster: Cluster, target: CyPerfTarget, name: str, namespace: str, port: int, servers: deployment.Deployed
) -> tuple[str, int, int]:
    """Returns host, destination port and server port for a kind of target."""
    service: dict[str, Any] = cluster.get("Service", name, namespace)
    entry = deployment.service_port(service, port)
    listen = entry["targetPort"] if isinstance(entry.get("targetPort"), int) else port
    if target is CyPerfTarget.POD_IP:
        pods = deployment.live_pods(cluster, servers)
        if not pods:
            raise CyPerfError(f"There is no server agent pod in '{namespace}' to aim at.")
        return str(pods[0]["status"]["podIP"]), listen, listen
    if target is CyPerfTarget.CLUSTER_IP:
        return str(service["spec"]["clusterIP"]), port, listen
    if target is CyPerfTarget.FQDN:
        return f"{name}.{namespace}.svc.cluster.local", port, listen
    if target is CyPerfTarget.NODE_PORT:
        if not entry.get("nodePort"):
            raise InputError(f"Service '{namespace}/{name}' has no nodePort for {port}; its type is NodePort?")
        return sorted(deployment.node_addresses(cluster).values())[0], int(entry["nodePort"]), listen
    address = deployment.load_balancer_address(service)
    if not address:
        raise SkipExecution(f"Service '{namespace}/{name}' has no external address; the cluster gives out none.")
    return address, port, listen


def _show_findings(caption: str, findings: list[Finding]) -> None:
    words = {True: Cell("holds", "good"), False: Cell("FAILS", "bad"), None: Cell("not checked", "idle")}
    rows = [[finding.rule, finding.expected, finding.seen, words[finding.passed]] for finding in findings]
    _robot.log_table(["Point", "Expected", "Seen", ""], rows, caption)
