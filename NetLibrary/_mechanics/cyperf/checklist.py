"""Compares a session's configuration with the objects of the cluster, before a run.

The published Kubernetes guide leaves these points to the reader; each of them, forgotten, gives a
run without traffic or with failures that look like those of the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics.addresses import is_address
from NetLibrary._mechanics.cyperf import nodes
from NetLibrary._mechanics.cyperf.nodes import NodeReading
from NetLibrary._mechanics.cyperf.reach import named_port
from NetLibrary._mechanics.cyperf.types import Agent
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.verdict import Check

Object = dict[str, Any]
CONNTRACK_SECONDS = 120
_ENCRYPTED = ("https", "tls", "ssl")
_TCP_HEADERS = 40  # IPv4 and TCP without options, RFC 879


@dataclass(frozen=True)
class Point:
    """One point of the checklist and how it came out.

    Args:
        rule: What is compared.
        expected: What the cluster needs.
        seen: What the session has.
        passed: Whether they fit; None when it could not be looked at, or is only advice.
        advice: Whether it is advice that nobody has to follow.
    """

    rule: str
    expected: str
    seen: str
    passed: bool | None
    advice: bool = False

    def __str__(self) -> str:
        return f"{self.rule}: expected {self.expected}, seen {self.seen}"

    @property
    def check(self) -> Check:
        """The point as a check; only for those that could be looked at."""
        return Check(self.rule, self.expected, self.seen, "", self.passed is True, str(self))


@dataclass
class Surroundings:
    """What the cluster has around the agents.

    Args:
        services: Services of the agents' namespace.
        server_pods: Pods of the server agents.
        client_pods: Pods of the client agents.
        node_addresses: Addresses of the nodes.
        dns: Address of the cluster's DNS Service.
        node_port_range: Ports that NodePort Services usually have.
        nodes: Readings of the nodes.
        agents: Agents of the pods, as the controller lists them.
        clock_offset: Controller's time minus ours in seconds.
        network: What the network plugin was found to be set to.
        device: Whether clients aim at a device under test, whose way to the servers is its own matter.
        last_run: Seconds since the end of the last run against the same pods, and its target.
    """

    services: list[Object] = field(default_factory=list)
    server_pods: list[Object] = field(default_factory=list)
    client_pods: list[Object] = field(default_factory=list)
    node_addresses: set[str] = field(default_factory=set)
    dns: str = ""
    node_port_range: tuple[int, int] = (30000, 32767)
    nodes: list[NodeReading] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)
    clock_offset: float | None = None
    network: list[Point] = field(default_factory=list)
    device: bool = False
    last_run: tuple[float, str] | None = None


@dataclass(frozen=True)
class _Aim:
    """What a DUT host means in the cluster: kind of target, and the Service behind it."""

    kind: str
    service: Object | None


def check(tree: Object, around: Surroundings, *, pause: float, max_clock_skew: float) -> list[Point]:
    """Returns all points of the checklist.

    Args:
        tree: Configuration of the session.
        around: The cluster.
        pause: Seconds demanded since the last run against the same target.
        max_clock_skew: Seconds that clocks may differ.
    """
    profile = (tree.get("NetworkProfiles") or [{}])[0]
    segments = [each for each in profile.get("IPNetworkSegment") or [] if each.get("active", True)]
    clients = [each for each in segments if "Client" in (each.get("networkTags") or [])]
    dut = next((each for each in profile.get("DUTNetworkSegment") or [] if each.get("active")), None)
    host = _host(dut)
    aim = find_aim(host, around)
    if around.device:
        aim = _Aim("device", aim.service)
    found = [*_addressing(segments), *_target(host, aim)]
    found += _ports(tree, aim, around)
    found += _resolver(host, clients, around)
    found += _health_check(dut, around)
    found += _connection_tracking(tree, around)
    found.append(_pause(around, pause))
    found += _mtu(segments, around)
    found += _clocks(around, max_clock_skew)
    found += around.network
    return found


def host_of(tree: Object) -> str:
    """Returns the host that the clients of a configuration aim at, empty when they meet the servers directly."""
    profile = (tree.get("NetworkProfiles") or [{}])[0]
    return _host(next((each for each in profile.get("DUTNetworkSegment") or [] if each.get("active")), None))


def _host(dut: Object | None) -> str:
    if dut is None:
        return ""
    return str((dut.get("ServerDUTHost") if dut.get("ServerDUTActive") else dut.get("host")) or "")


def find_aim(host: str, around: Surroundings) -> _Aim:
    """Returns what a DUT host is in this cluster."""
    if not host:
        return _Aim("servers", None)
    for service in around.services:
        metadata = service["metadata"]
        if host in addresses.of_service(service):
            return _Aim("ClusterIP", service)
        ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
        # An entry may have an address, a name, or both.
        outside = {_plain(str(entry[key])) for entry in ingress for key in ("ip", "hostname") if entry.get(key)}
        if _plain(host) in outside:
            return _Aim("LoadBalancer", service)
        names = _plain(host).split(".")
        if names[:3] == [metadata["name"], metadata["namespace"], "svc"] or names[:2] == [
            metadata["name"],
            metadata["namespace"],
        ]:
            return _Aim("FQDN", service)
    if host in {pod.get("status", {}).get("podIP") for pod in around.server_pods}:
        return _Aim("pod IP", None)
    if host in around.node_addresses:
        return _Aim("NodePort", None)
    return _Aim("unknown", None)


def _plain(host: str) -> str:
    """Returns a host as it is compared: names have no case, and a dot at their end changes nothing."""
    return host.rstrip(".").lower()


def _addressing(segments: Iterable[Object]) -> list[Point]:
    found = []
    for segment in segments:
        for each in segment.get("IPRanges") or []:
            switches = {name: bool(each.get(name)) for name in ("IpAuto", "NetMaskAuto", "GwAuto")}
            off = [name for name, value in switches.items() if not value]
            seen = "automatic" if not off else f"{', '.join(off)} off"
            found.append(Point(f"addresses of '{segment['Name']}'", "automatic, agents are pods", seen, not off))
    return found


def _target(host: str, aim: _Aim) -> list[Point]:
    if not host:
        return [Point("DUT", "host of a Service, or none for agent to agent", "none, clients meet server pods", True)]
    if aim.kind == "device":
        what = f"Service '{aim.service['metadata']['name']}'" if aim.service else "outside of the cluster"
        return [Point("DUT", "host of the device", f"{host} ({what})", True)]
    seen = f"{host} ({aim.kind if aim.kind != 'unknown' else 'no pod, node or Service of the namespace'})"
    # A DUT in front of the cluster is known to nobody here; that is not a mistake in itself.
    return [Point("DUT", "address or name of this cluster", seen, True if aim.kind != "unknown" else None)]


def _ports(tree: Object, aim: _Aim, around: Surroundings) -> list[Point]:
    found = []
    for name, destination, listen in effective_ports(tree):
        rule = f"ports of '{name}'"
        if aim.kind in ("ClusterIP", "FQDN", "LoadBalancer") and aim.service is not None:
            found += _service_ports(rule, destination, listen, aim.service, around)
        elif aim.kind == "device" and aim.service is not None:
            found += _service_ports(rule, destination, listen, aim.service, around)[:1]
        elif aim.kind == "NodePort":
            found += _node_ports(rule, destination, listen, around)
        elif aim.kind in ("pod IP", "servers"):
            seen = f"destination port {destination}, servers listen on {listen}"
            found.append(Point(rule, "destination port = server port", seen, destination == listen))
    return found


def effective_ports(tree: Object) -> list[tuple[str, int, int]]:
    """Returns application, destination port and server port; 0 means 80, and 443 with TLS."""
    found = []
    for profile in tree.get("TrafficProfiles") or []:
        settings = (profile.get("TrafficSettings") or {}).get("DefaultTransportProfile") or {}
        tls = settings.get("ClientTLSProfile") or {}
        profile_tls = bool(tls.get("tls12Enabled") or tls.get("tls13Enabled"))
        for application in profile.get("Applications") or []:
            if not application.get("Active", True) or not profile.get("Active", True):
                continue
            for connection in application.get("Connections") or []:
                own = connection.get("Type") in _ENCRYPTED
                inherited = profile_tls and bool(application.get("InheritTLS"))
                encrypted = (own or inherited) and not connection.get("DisableEncryption")
                ports = connection.get("PortSettings") or {}
                default = 443 if encrypted else 80
                found.append(
                    (
                        str(application.get("Name")),
                        int(ports.get("DestinationPort") or default),
                        int(ports.get("ServerListenPort") or default),
                    )
                )
    return found


def _service_ports(rule: str, destination: int, listen: int, service: Object, around: Surroundings) -> list[Point]:
    name, ports = service["metadata"]["name"], service["spec"].get("ports") or []
    entry = next((each for each in ports if each["port"] == destination), None)
    have = ", ".join(str(each["port"]) for each in ports)
    found = [Point(f"destination {rule}", f"a port of Service '{name}' ({have})", str(destination), entry is not None)]
    if entry is not None:
        found.append(_target_port(rule, listen, entry, name, around))
    return found


def _target_port(rule: str, listen: int, entry: Object, name: str, around: Surroundings) -> Point:
    target = entry.get("targetPort", entry["port"])
    number = target if isinstance(target, int) else named_port(str(target), around.server_pods)
    expected = f"targetPort {target} of Service '{name}'"
    if number is None:
        return Point(f"server {rule}", expected, f"{listen}, no container port is named '{target}'", False)
    return Point(f"server {rule}", expected, str(listen), number == listen)


def _node_ports(rule: str, destination: int, listen: int, around: Surroundings) -> list[Point]:
    entries = {
        int(entry["nodePort"]): (service["metadata"]["name"], entry)
        for service in around.services
        for entry in service["spec"].get("ports") or []
        if entry.get("nodePort")
    }
    low, high = around.node_port_range
    have = ", ".join(f"{port} ({name} {entry['port']})" for port, (name, entry) in sorted(entries.items())) or "none"
    # The range is the API server's, which may have another one (--service-node-port-range)
    usual = f" in {low}-{high}" if all(low <= port <= high for port in entries) else ""
    found = [Point(f"destination {rule}", f"a nodePort{usual}: {have}", str(destination), destination in entries)]
    if destination in entries:
        name, entry = entries[destination]
        found.append(_target_port(rule, listen, entry, name, around))
    return found


def _resolver(host: str, clients: Iterable[Object], around: Surroundings) -> list[Point]:
    if not host or is_address(host):
        return []
    found = []
    for segment in clients:
        servers = [each.get("name") for each in (segment.get("DNSResolver") or {}).get("nameServers") or []]
        inside = ".svc" in host or host.endswith(".local")
        expected = f"{around.dns} (DNS of the cluster) for '{host}'" if inside else f"a name server for '{host}'"
        passed = around.dns in servers if inside and around.dns else bool(servers)
        seen = ", ".join(str(each) for each in servers) or "none"
        found.append(Point(f"DNS resolver of '{segment['Name']}'", expected, seen, passed))
    return found


def _health_check(dut: Object | None, around: Surroundings) -> list[Point]:
    found = []
    config = (dut or {}).get("HTTPHealthCheck") or {}
    path = next((each.get("Value") for each in config.get("Params") or [] if str(each.get("id")) == "1"), "")
    seen = f"port {config.get('Port')} path {path}, {'enabled' if config.get('Enabled') else 'disabled'}"
    probes = {
        (probe.get("port"), probe.get("path"))
        for pod in around.server_pods
        for container in pod["spec"].get("containers") or []
        if (probe := (container.get("readinessProbe") or {}).get("httpGet"))
    }
    for port, probe_path in probes:
        number = port if isinstance(port, int) else named_port(str(port), around.server_pods)
        passed = bool(dut and config.get("Enabled")) and config.get("Port") == number and path == probe_path
        expected = f"port {number} path {probe_path}, enabled (readiness probe of the server pods)"
        found.append(Point("HTTP health check", expected, seen if dut else "no active DUT network", passed))
    return found


def _demand(tree: Object) -> tuple[float, bool] | None:
    """Returns the entries that the objective needs at a time, or each second if true; None if unknown."""
    for profile in tree.get("TrafficProfiles") or []:
        objective = (profile.get("ObjectivesAndTimeline") or {}).get("PrimaryObjective") or {}
        steady = [
            float(each.get("ObjectiveValue") or 0)
            for each in objective.get("Timeline") or []
            if each.get("Enabled") and each.get("SegmentType") not in ("StepUpSegment", "StepDownSegment")
        ]
        kind, value = str(objective.get("Type")), max(steady, default=0.0)
        if kind in ("Connections per second", "Flow rate"):
            return value, True
        if kind in ("Concurrent connections", "Simulated users"):
            return value, False
    return None


def _connection_tracking(tree: Object, around: Surroundings) -> list[Point]:
    demand = _demand(tree)
    if demand is None:
        return []
    value, each_second = demand
    rule = "connection tracking"
    known = [reading for reading in around.nodes if reading.table_size]
    if not known:
        need = value * (CONNTRACK_SECONDS if each_second else 1)
        return [Point(rule, f"room for {need:.0f} entries on each node", "the nodes could not be read", None)]
    found = []
    for reading in known:
        stay = reading.time_wait_seconds or CONNTRACK_SECONDS
        need = value * (stay if each_second else 1)
        room = (reading.table_size or 0) - (reading.entries or 0)
        seen = f"{reading.table_size} entries, {reading.entries or 0} in use"
        expected = f"room for {need:.0f}" + (f" ({value:g} per second x {stay} s)" if each_second else "")
        if room < need:
            seen += f"; {nodes.advice(need + (reading.entries or 0))}"
        found.append(Point(f"{rule} on node '{reading.node}'", expected, seen, room >= need))
    return found


def _pause(around: Surroundings, pause: float) -> Point:
    expected = f"at least {pause:g} s"
    if around.last_run is None:
        return Point("time since the last run against the same pods", expected, "no run known", True)
    seconds, target = around.last_run
    seen = f"{seconds:.0f} s (against {target})"
    return Point("time since the last run against the same pods", expected, seen, seconds >= pause)


def _mtu(segments: Iterable[Object], around: Surroundings) -> list[Point]:
    sizes = {
        f"{agent.hostname or agent.ip} {interface.get('Name')}": int(interface.get("MTU") or 0)
        for agent in around.agents
        for interface in agent.interfaces
        if interface.get("MTU") and interface.get("Name") != "lo"
    }
    if not sizes:
        return []
    shown = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items()))
    found = [Point("MTU of the agents", "the same everywhere", shown, len(set(sizes.values())) == 1)]
    largest = min(sizes.values()) - _TCP_HEADERS
    for segment in segments:
        for each in segment.get("IPRanges") or []:
            if not each.get("MssAuto", True) and each.get("Mss"):
                passed = int(each["Mss"]) <= largest
                expected = f"at most {largest} (MTU {largest + _TCP_HEADERS} - {_TCP_HEADERS})"
                found.append(Point(f"MSS of '{segment['Name']}'", expected, str(each["Mss"]), passed))
    return found


def _clocks(around: Surroundings, limit: float) -> list[Point]:
    clocks = {f"node '{each.node}'": each.clock for each in around.nodes if each.clock is not None}
    base = around.clock_offset
    if base is None or not clocks:
        return [Point("clocks of controller and nodes", f"at most {limit:g} s apart", "not readable", None)]
    off = {name: offset - base for name, offset in clocks.items()}
    worst = max(off, key=lambda name: abs(off[name]))
    seen = f"{worst} {off[worst]:+.1f} s against the controller"
    # The controller tells whole seconds: that much cannot be judged.
    return [Point("clocks of controller and nodes", f"at most {limit:g} s apart", seen, abs(off[worst]) <= limit + 1.0)]
