"""Keywords for CyPerf sessions: open one and shape its configuration for a cluster."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from robot.api import SkipExecution, logger

from NetLibrary._mechanics import defaults
from NetLibrary._mechanics.errors import ControllerError, InputError
from NetLibrary.keywords.cyperf._shared import CyPerfBase, keyword
from NetLibrary.types import Bitrate, Count, CyPerfObjective, CyPerfRole, CyPerfTarget

if TYPE_CHECKING:
    from NetLibrary._mechanics.cyperf import objects
    from NetLibrary._mechanics.kube.cluster import Cluster


class CyPerfSessionKeywords(CyPerfBase):
    """Open, configure and close sessions."""

    @keyword()
    def open_cyperf_session(self, configuration: str) -> str:
        """Opens a session: a working copy of a configuration. It is deleted at the end of the run.

        Args:
            configuration: Name of a configuration at the controller (case does not matter), its ID, or the path of an
                exported configuration (`.zip` or `.json`), which is imported for this run.
        Returns:
            ID of the session.

        ```robotframework
        *** Test Cases ***
        HTTP To A Service
            Open CyPerf Session    CyPerf Two Arm Base
            Use CyPerf Applications    HTTP App
        ```
        """
        from NetLibrary._mechanics.cyperf.session import TestSession
        from NetLibrary.keywords.cyperf._state import Aim

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
        self._cyperf.current, self._cyperf.aim = session, Aim()
        logger.info(f"Opened session '{session.name}' from configuration '{name}'.")
        return session.id

    @keyword()
    def close_cyperf_session(self, *, every_session: bool = False) -> None:
        """Ends the session's test if it is running, frees its agents and deletes the session, if there is one.

        Args:
            every_session: Whether to close all sessions that this run opened instead of only the latest.
        """
        latest = [self._cyperf.current] if self._cyperf.current is not None else []
        for session in list(self._cyperf.sessions) if every_session else latest:
            self._drop(session)

    @keyword()
    def use_cyperf_applications(self, *names: str) -> list[str]:
        """Replaces the applications of the session with applications from the controller's catalogue.

        Args:
            names: Full names, for instance `HTTP App`; case does not matter.
        Returns:
            Their exact names.
        """
        if not names:
            raise InputError("Name at least one application, for instance 'HTTP App'.")
        return self._current().use_applications(list(names))

    @keyword()
    def assign_cyperf_agents(self, role: CyPerfRole, tag: str | None = None) -> None:
        """Assigns the agents with a tag to a role in the session.

        Tags are stable, while addresses and IDs are not: pods get new ones whenever they restart.

        Args:
            role: Client or Server.
            tag: Tag, `key=value` or `key:value`; by default, that of the agents that this run deployed.
        """
        session = self._current()
        wanted = tag or self._deployed(role).tag
        agents = session.controller.agents(tag=wanted)
        if not agents:
            every = sorted({each for agent in session.controller.agents() for each in agent.tags})
            raise InputError(f"No online agent has the tag '{wanted}'; existing tags: {', '.join(every) or 'none'}.")
        held = [a for a in agents if a.session_id and a.session_id != session.id and a.status == "RUNNING"]
        if held:
            names = ", ".join(f"{a.hostname or a.ip} (session '{a.session_name}' of {a.owner})" for a in held)
            raise InputError(f"Agents with the tag '{wanted}' are in use by another session: {names}.")
        session.assign_tag(role, wanted)

    @keyword()
    def aim_cyperf_clients_at_service(
        self, target: CyPerfTarget, *, port: int = 80, service: str | None = None, namespace: str | None = None,
        name_servers: list[str] | str | None = None,
    ) -> str:  # fmt: skip
        """Directs the clients to the server agents by the path that `target` names, with matching ports and resolver.

        The Services are those of `manifests/cyperf/services.yaml` unless one is named. Addresses are automatic. If the
        target is a name (FQDN, or a load balancer with a host name), the clients resolve it with the DNS of their
        cluster.

        Args:
            target: Pod IP, cluster IP, FQDN, node port or load balancer.
            port: Port of the Service; 443 for TLS.
            service: Name of the Service.
            namespace: Namespace of the Service; that of the server agents by default.
            name_servers: DNS servers for a target that is a name; those of the clients' cluster by default.
        Returns:
            The `host:port` that the clients use.
        """
        from NetLibrary._mechanics.addresses import is_address
        from NetLibrary._mechanics.cyperf import objects, pause, reach
        from NetLibrary.keywords.cyperf._state import Aim

        servers, session = self._deployed(CyPerfRole.SERVER), self._current()
        connection = self.session.cluster(self._cyperf.clusters.get(CyPerfRole.SERVER))
        place = namespace or servers.namespace
        name = service or {
            CyPerfTarget.NODE_PORT: "cyperf-agent-nodeport",
            CyPerfTarget.LOAD_BALANCER: "cyperf-agent-loadbalancer",
        }.get(target, "cyperf-agent-service")
        clients = self.session.cluster(self._cyperf.clusters.get(CyPerfRole.CLIENT))
        if CyPerfRole.CLIENT in self._cyperf.deployed:
            reach.check_reach(target, clients.server, connection.server)
        found: dict[str, Any] = connection.get("Service", name, place)
        host, destination, listen = _resolve(connection, target, found, port, servers)
        resolvers = [] if is_address(host) else _listed(name_servers) or self._resolvers(host)
        session.use_automatic_addresses()
        session.aim_at(host)
        session.set_name_servers(resolvers)
        session.set_ports(destination, listen)
        behind = pause.of_service(found, reach.pods_behind(connection, found))
        bypassed: frozenset[str] = frozenset()
        if target is CyPerfTarget.POD_IP:
            bypassed = frozenset(map(reach.pod_address, objects.live_pods(connection, servers))) - {host}
            if bypassed:
                logger.info(f"The other server agents get no traffic: {', '.join(sorted(bypassed))}.")
        self._cyperf.aim = Aim(f"{place}/{name}", behind, place, bypassed=bypassed)
        resolved = f", a name resolved at {', '.join(resolvers)}" if resolvers else ""
        logger.info(f"Clients connect to {host}:{destination}{resolved}.")
        return f"{host}:{destination}"

    def _resolvers(self, host: str) -> list[str]:
        """Returns the DNS of the clients' cluster, for a target that is a name."""
        if CyPerfRole.CLIENT not in self._cyperf.deployed:
            raise InputError(
                f"The clients run outside the cluster and connect to the name '{host}'; give the DNS servers that "
                "resolve it as name_servers."
            )
        return [self._dns_of_clients()]

    def _dns_of_clients(self) -> str:
        from NetLibrary._mechanics.cyperf import objects, reach

        connection = self.session.cluster(self._cyperf.clusters.get(CyPerfRole.CLIENT))
        clients = self._cyperf.deployed.get(CyPerfRole.CLIENT)
        return reach.cluster_dns(connection, objects.live_pods(connection, clients) if clients else ())

    @keyword()
    def aim_cyperf_clients_at_host(
        self, host: str, *, destination_port: int | None = None, server_port: int | None = None,
        name_servers: list[str] | str | None = None, automatic_addresses: bool = True,
    ) -> None:  # fmt: skip
        """Directs the clients to any host: an address or a name, inside or outside the cluster.

        Args:
            host: IPv4 address or name; if empty, the clients connect to the server agents directly.
            destination_port: Port that the clients connect to; 0 for the application's own (80, or 443 with TLS).
            server_port: Port that the servers listen on.
            name_servers: DNS servers for a `host` that is a name; those of the clients' cluster by default.
            automatic_addresses: Whether agents use the addresses of their interfaces.
        """
        from NetLibrary._mechanics.addresses import is_address
        from NetLibrary._mechanics.cyperf import pause, reach
        from NetLibrary.keywords.cyperf._state import Aim

        session = self._current()
        reach.refuse_ipv6(host, "host")
        resolvers = _listed(name_servers) or ([] if not host or is_address(host) else self._resolvers(host))
        session.use_automatic_addresses(automatic_addresses)
        session.aim_at(host)
        session.set_name_servers(resolvers)
        if destination_port is not None or server_port is not None:
            session.set_ports(destination_port, server_port)
        self._cyperf.aim = Aim(host, pause.of_host(host), self._agents_namespace())

    @keyword()
    def aim_cyperf_clients_at_device(
        self, host: str | None = None, *, service: str | None = None, port: int = 0, server_port: int = 0,
        name_servers: list[str] | str | None = None,
    ) -> str:  # fmt: skip
        """Directs the clients to a device under test in front of the server agents.

        The device is given by its host, or by a Service in the cluster in front of its pods. What it does with the
        connections is its own affair: only its port is checked before a run, and the run should be judged with
        `dut=True`.

        Args:
            host: IPv4 address or name of the device.
            service: Service of the device, instead of `host`, as `namespace/name`.
            port: Port of the device that the clients connect to; 0 for the application's own (80, or 443 with TLS).
            server_port: Port that the servers listen on; 0 for the application's own.
            name_servers: DNS servers for a device that is given by name; those of the clients' cluster by default.
        Returns:
            Address or name that the clients connect to.

        ```robotframework
        *** Test Cases ***
        Firewall Lets Traffic Through
            Aim CyPerf Clients At Device    fw.example.com    port=8080
            Measure CyPerf Traffic    dut=True    connections_per_second_at_least=100
        ```
        """
        from NetLibrary._mechanics.addresses import is_address
        from NetLibrary._mechanics.cyperf import pause, reach
        from NetLibrary.keywords.cyperf._state import Aim

        if bool(host) == bool(service):
            raise InputError("Give either the host or the service of the device.")
        session = self._current()
        if service:
            namespace, _, name = service.partition("/")
            if not name:
                raise InputError(f"service is '{service}'; write it as namespace/name.")
            connection = self.session.cluster(self._cyperf.clusters.get(CyPerfRole.SERVER))
            found: dict[str, Any] = connection.get("Service", name, namespace)
            host = reach.cluster_ip(found)
            aim = Aim(service, pause.of_service(found, reach.pods_behind(connection, found)), namespace, device=True)
        else:
            host = reach.refuse_ipv6(str(host), "host")
            aim = Aim(host, pause.of_host(host), self._agents_namespace(), device=True)
        resolvers = [] if is_address(host) else _listed(name_servers) or self._resolvers(host)
        session.use_automatic_addresses()
        session.aim_at(host)
        session.set_name_servers(resolvers)
        session.set_ports(port, server_port)
        self._cyperf.aim = aim
        return host

    def _agents_namespace(self) -> str:
        agents = self._cyperf.deployed.get(CyPerfRole.SERVER) or self._cyperf.deployed.get(CyPerfRole.CLIENT)
        return agents.namespace if agents else ""

    @keyword()
    def set_cyperf_ports(
        self, destination_port: int | None = None, server_port: int | None = None, *, application: str | None = None
    ) -> None:
        """Sets the ports that clients connect to and servers listen on.

        Args:
            destination_port: Port that the clients connect to; 0 for the application's own.
            server_port: Port that the servers listen on; 0 for the application's own.
            application: The only application to change; all by default.
        """
        for name, value in (("destination_port", destination_port), ("server_port", server_port)):
            if value is not None and not 0 <= value <= 65535:
                raise InputError(f"{name} is {value}; allowed: 0 to 65535.")
        self._current().set_ports(destination_port, server_port, application=application)

    @keyword()
    def set_cyperf_name_servers(self, *addresses: str) -> None:
        """Sets the DNS servers of the clients; without arguments, they have none.

        Args:
            addresses: IPv4 addresses, or `cluster` for the cluster's own DNS.
        """
        resolved = [self._dns_of_clients() if each == "cluster" else each for each in addresses]
        self._current().set_name_servers(resolved)

    @keyword()
    def set_cyperf_tls(self, enabled: bool = True, *, version: Literal["1.2", "1.3"] = "1.3") -> None:
        """Switches TLS on or off for the applications of the session.

        Args:
            enabled: Whether traffic is encrypted.
            version: TLS version.
        """
        self._current().set_tls(enabled, version)

    @keyword()
    def set_cyperf_health_check(
        self, enabled: bool = True, *, port: int = 80, path: str = defaults.CYPERF_HEALTH_PATH
    ) -> None:
        """Sets whether the emulated servers answer an HTTP health check while a test is running.

        Args:
            enabled: Whether they answer it.
            port: Port of the check.
            path: Path of the check; it must equal that of the readiness probe.
        """
        self._current().set_health_check(enabled, port, path)

    @keyword()
    def set_cyperf_objective(
        self, objective: CyPerfObjective, value: Count | Bitrate, duration: timedelta, *,
        ramp_up: timedelta = timedelta(0), ramp_down: timedelta = timedelta(0),
    ) -> None:  # fmt: skip
        """Sets the objective of the run and its duration.

        Args:
            objective: Kind of objective.
            value: Bits per second for throughput (`100M`, `1G`), otherwise a number (`2000`, `2k`).
            duration: Length of the steady part; a real controller accepts 30 s or more.
            ramp_up: Time during which the load is raised in steps.
            ramp_down: Time during which the load is lowered.
        """
        if isinstance(value, Bitrate) and objective is not CyPerfObjective.THROUGHPUT:
            raise InputError(
                f"value is {value}, but the objective '{objective.value}' takes a plain number such as 2000."
            )
        number = value.bits_per_second if isinstance(value, Bitrate) else value.value
        self._current().set_objective(
            objective, number, int(duration.total_seconds()),
            ramp_up=int(ramp_up.total_seconds()), ramp_down=int(ramp_down.total_seconds()),
        )  # fmt: skip

    @keyword()
    def save_cyperf_session_as(self, name: str) -> str:
        """Saves the session's configuration at the controller under a name; it stays there after the run.

        Args:
            name: Name of the new configuration.
        Returns:
            ID of the new configuration.
        """
        return self._current().save_as(name)


def _listed(value: list[str] | str | None) -> list[str]:
    """Returns addresses that were given as a list, or as a text with commas or blanks between them."""
    if isinstance(value, str):
        return value.strip("[] ").replace(",", " ").replace("'", " ").replace('"', " ").split()
    return list(value or [])


def _resolve(
    cluster: Cluster, target: CyPerfTarget, service: dict[str, Any], port: int, servers: objects.Deployed
) -> tuple[str, int, int]:
    """Returns host, destination port and server port for a kind of target."""
    from NetLibrary._mechanics.cyperf import objects, reach
    from NetLibrary._mechanics.kube import addresses

    name, namespace = str(service["metadata"]["name"]), str(service["metadata"]["namespace"])
    entry = addresses.service_port(service, port)
    pods = objects.live_pods(cluster, servers)
    listen = reach.listen_port(entry, pods)
    if target is CyPerfTarget.POD_IP:
        if not pods:
            raise ControllerError(f"There is no server agent pod in '{namespace}' to connect to.")
        return reach.pod_address(pods[0]), listen, listen
    if target is CyPerfTarget.CLUSTER_IP:
        return reach.cluster_ip(service), port, listen
    if target is CyPerfTarget.FQDN:
        return f"{name}.{namespace}.svc.{reach.cluster_domain(cluster, pods)}", port, listen
    if target is CyPerfTarget.NODE_PORT:
        number = addresses.node_port(service, port)
        return reach.node_port_address(cluster, service, pods), number, listen
    address = reach.load_balancer_address(service)
    if not address:
        raise SkipExecution(f"Service '{namespace}/{name}' has no external address; the cluster does not assign any.")
    return address, port, listen
