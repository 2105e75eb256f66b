"""The paths that a break is measured on: what each needs, where it leads, how it is probed."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import addresses

from .types import ProbeKind, StreamSpec

ROLE = "netlibrary.io/break"
ECHO_PORT = 7007
HOST_PORT = 17007
OUTSIDE = "outside"
SOURCE = "source"


class BreakPath(enum.Enum):
    """A path through the cluster's network, from a pod, or from this machine where it ends in `from outside`."""

    POD_ON_SAME_NODE = "pod on same node"
    POD_ON_OTHER_NODE = "pod on other node"
    OWN_NODE = "own node"
    OTHER_NODE = "other node"
    OWN_GATEWAY = "own gateway"
    OTHER_GATEWAY = "other gateway"
    SERVICE = "service"
    NODE_PORT = "node port"
    NODE_PORT_FROM_OUTSIDE = "node port from outside"
    LOAD_BALANCER_FROM_OUTSIDE = "load balancer from outside"
    OUTSIDE_ADDRESS = "outside address"
    DNS = "dns"

    @property
    def from_outside(self) -> bool:
        """Whether it is measured from this machine."""
        return self.value.endswith("from outside")


_ECHO = (ProbeKind.ICMP, ProbeKind.UDP, ProbeKind.TCP_NEW, ProbeKind.TCP_KEPT)
_PORT_ONLY = (ProbeKind.UDP, ProbeKind.TCP_NEW, ProbeKind.TCP_KEPT)
KINDS: Mapping[BreakPath, tuple[ProbeKind, ...]] = {
    BreakPath.POD_ON_SAME_NODE: _ECHO,
    BreakPath.POD_ON_OTHER_NODE: _ECHO,
    BreakPath.OWN_NODE: _ECHO,
    BreakPath.OTHER_NODE: _ECHO,
    BreakPath.OWN_GATEWAY: (ProbeKind.ICMP,),
    BreakPath.OTHER_GATEWAY: (ProbeKind.ICMP,),
    # A Service's address answers on its ports alone; what an ICMP echo to it meets depends on the proxy.
    BreakPath.SERVICE: _PORT_ONLY,
    BreakPath.NODE_PORT: _PORT_ONLY,
    BreakPath.NODE_PORT_FROM_OUTSIDE: _PORT_ONLY,
    BreakPath.LOAD_BALANCER_FROM_OUTSIDE: _PORT_ONLY,
    BreakPath.OUTSIDE_ADDRESS: (ProbeKind.ICMP,),
    BreakPath.DNS: (ProbeKind.DNS,),
}


@dataclass(frozen=True)
class Rates:
    """Times between probes and their limits, in milliseconds, and how large an echo is."""

    echo_ms: float = 10
    connection_ms: float = 40
    kept_ms: float = 10
    dns_ms: float = 50
    timeout_ms: float = 1000
    echo_bytes: int = 56

    def period_ms(self, kind: ProbeKind) -> float:
        """Time between two probes of a kind."""
        return {
            ProbeKind.ICMP: self.echo_ms,
            ProbeKind.UDP: self.echo_ms,
            ProbeKind.TCP_NEW: self.connection_ms,
            ProbeKind.TCP_KEPT: self.kept_ms,
            ProbeKind.DNS: self.dns_ms,
        }[kind]

    def limit_ms(self, kind: ProbeKind) -> float:
        """When a probe counts as lost. A new connection gets a little less than the second after which the kernel
        repeats a SYN: an attempt that succeeds only because of that began while the path was broken.
        """
        return min(self.timeout_ms, 900) if kind is ProbeKind.TCP_NEW else self.timeout_ms


@dataclass(frozen=True)
class Target:
    """Where a path leads.

    Args:
        path: Name, with the address family where both are measured.
        source: `source` for the pod, `outside` for this machine.
        address: Address to probe.
        port: Echo port; 0 without one.
        kinds: How it can be probed.
        note: What of it cannot be probed and why.
        iperf_port: First of two ports of iperf3 servers; 0 without.
        query: DNS name to ask for.
        endpoint: Role of the echo server that answers, if it is one of ours.
    """

    path: str
    source: str
    address: str
    port: int = 0
    kinds: tuple[ProbeKind, ...] = ()
    note: str = ""
    iperf_port: int = 0
    query: str = ""
    endpoint: str = ""


@dataclass
class Endpoints:
    """The objects that paths lead to.

    Args:
        pods: Pods of the measurement by role: source, near, far, near-host, far-host.
        service: The Service in front of `far`.
        gateways: Default gateway of `source` and of `far`, per family, by role.
        dns: Address and domain of the cluster's DNS as the source sees it.
        outside_address: Address outside the cluster.
        outside_port: Echo or listening port there, 0 for ICMP alone.
        outside_echo: Whether our own echo server answers there.
        host_port: Port of the echo servers in the host network.
    """

    pods: Mapping[str, Mapping[str, Any]]
    service: Mapping[str, Any] | None = None
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gateways: Mapping[tuple[str, int], str] = field(default_factory=dict)
    dns: tuple[str, str] | None = None
    outside_address: str = ""
    outside_port: int = 0
    outside_echo: bool = False
    host_port: int = HOST_PORT


class Missing(Exception):
    """A path cannot be measured; the text says why."""


def resolve(
    endpoints: Endpoints, paths: Sequence[BreakPath], families: Sequence[int] = (4,)
) -> tuple[list[Target], list[str]]:
    """Finds out where the paths lead.

    Returns:
        The targets, and a sentence for each path that cannot be measured.
    """
    targets, missing = [], []
    for path in paths:
        for family in families:
            name = path.value if len(families) == 1 else f"{path.value} IPv{family}"
            try:
                targets.append(_target(endpoints, path, name, family))
            except Missing as err:
                missing.append(f"{name}: {err}")
    return targets, missing


def _target(known: Endpoints, path: BreakPath, name: str, family: int) -> Target:
    kinds = KINDS[path]
    source = OUTSIDE if path.from_outside else SOURCE
    if path in (BreakPath.POD_ON_SAME_NODE, BreakPath.POD_ON_OTHER_NODE):
        role = "near" if path is BreakPath.POD_ON_SAME_NODE else "far"
        address = _of_family(addresses.of_pod(_pod(known, role)), family, f"pod '{role}'")
        return Target(name, source, address, ECHO_PORT, kinds, iperf_port=5201, endpoint=role)
    if path in (BreakPath.OWN_NODE, BreakPath.OTHER_NODE):
        return _node_target(known, path, name, family)
    if path in (BreakPath.OWN_GATEWAY, BreakPath.OTHER_GATEWAY):
        role = "source" if path is BreakPath.OWN_GATEWAY else "far"
        gateway = known.gateways.get((role, family))
        if not gateway:
            raise Missing(f"pod '{role}' has no default gateway with an IPv{family} address of its own")
        return Target(name, source, gateway, 0, kinds)
    if path is BreakPath.DNS:
        if known.dns is None or addresses.family_of(known.dns[0]) != family:
            raise Missing(f"the source's resolv.conf names no IPv{family} server")
        return Target(name, source, known.dns[0], 53, kinds, query=f"kubernetes.default.svc.{known.dns[1]}")
    if path is BreakPath.OUTSIDE_ADDRESS:
        if not known.outside_address:
            raise Missing("no address outside the cluster is given (outside_address=)")
        if addresses.family_of(known.outside_address) != family:
            raise Missing(f"{known.outside_address} is no IPv{family} address")
        kinds = _ECHO if known.outside_echo else (ProbeKind.ICMP, *([ProbeKind.TCP_NEW] if known.outside_port else []))
        role = "outside" if known.outside_echo else ""
        return Target(name, source, known.outside_address, known.outside_port, kinds, endpoint=role)
    return _service_target(known, path, name, family, source)


def _node_target(known: Endpoints, path: BreakPath, name: str, family: int) -> Target:
    own = path is BreakPath.OWN_NODE
    node = str(_pod(known, "source" if own else "far")["spec"]["nodeName"])
    address = _of_family(addresses.of_node(known.nodes.get(node, {})), family, f"node '{node}'")
    if ("near-host" if own else "far-host") in known.pods:
        return Target(name, SOURCE, address, known.host_port, _ECHO, endpoint="near-host" if own else "far-host")
    note = "UDP and TCP are not measured: there is no echo pod in the host network (host-endpoints.yaml)"
    return Target(name, SOURCE, address, 0, (ProbeKind.ICMP,), note)


def _service_target(known: Endpoints, path: BreakPath, name: str, family: int, source: str) -> Target:
    service = known.service
    if service is None:
        raise Missing("there is no Service 'far'")
    spec = service["spec"]
    kinds = KINDS[path]
    if path is BreakPath.SERVICE:
        address = _of_family(addresses.of_service(service), family, "Service 'far'")
        return Target(name, source, address, ECHO_PORT, kinds, iperf_port=5203, endpoint="far")
    if path is BreakPath.LOAD_BALANCER_FROM_OUTSIDE:
        found = addresses.of_load_balancer(service)
        if not found:
            raise Missing("Service 'far' got no load balancer address (the cluster has no load balancer)")
        return Target(name, source, _of_family(found, family, "load balancer"), ECHO_PORT, kinds, endpoint="far")
    ports = {p.get("protocol", "TCP"): p.get("nodePort") for p in spec["ports"] if p["port"] == ECHO_PORT}
    if not ports.get("TCP"):
        raise Missing(f"Service 'far' of type {spec.get('type')} has no node port")
    if ports.get("UDP") != ports["TCP"]:
        kinds = tuple(kind for kind in kinds if kind is not ProbeKind.UDP)
    far = _node_target(known, BreakPath.OTHER_NODE, name, family)
    note = "" if ProbeKind.UDP in kinds else "UDP is not measured: its node port differs from TCP's"
    return Target(name, source, far.address, int(ports["TCP"]), kinds, note, endpoint="far")


def _pod(known: Endpoints, role: str) -> Mapping[str, Any]:
    if role not in known.pods:
        raise Missing(f"there is no ready pod with the label {ROLE}={role}")
    return known.pods[role]


def _of_family(found: Sequence[str], family: int, what: str) -> str:
    for address in found:
        if addresses.family_of(address) == family:
            return address
    raise Missing(f"{what} has no IPv{family} address")


def gateway_of(route_text: str, family: int) -> str | None:
    r"""Reads the default gateway from /proc/net/route or /proc/net/ipv6_route.

    >>> gateway_of("Iface Destination Gateway\neth0 00000000 0102F40A 0003\n", 4)
    '10.244.2.1'
    """
    for line in route_text.splitlines():
        words = line.split()
        if family == 4 and len(words) > 2 and words[1] == "00000000" and words[2] != "00000000":
            return str(ipaddress.IPv4Address(bytes.fromhex(words[2])[::-1]))
        if family == 6 and len(words) > 4 and words[1] == "00" and set(words[0]) == {"0"} and set(words[4]) != {"0"}:
            return str(ipaddress.IPv6Address(bytes.fromhex(words[4])))
    return None


def resolver_of(resolv_conf: str) -> tuple[str, str] | None:
    r"""Reads the first name server and the cluster's domain from a pod's resolv.conf.

    >>> resolver_of("search demo.svc.corp.example svc.corp.example corp.example\nnameserver 10.96.0.10\n")
    ('10.96.0.10', 'corp.example')
    """
    server, domain = "", "cluster.local"
    for line in resolv_conf.splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1 and not server:
            server = words[1]
        if words[:1] == ["search"]:
            domain = next((word[4:] for word in words[1:] if word.startswith("svc.")), domain)
    return (server, domain) if server else None


def streams(
    targets: Sequence[Target], rates: Rates, kinds: Sequence[ProbeKind] | None = None
) -> dict[str, list[StreamSpec]]:
    """Lists the streams of all paths by source.

    Args:
        targets: Where the paths lead.
        rates: How often.
        kinds: Only these kinds of probe; all that a path allows by default.

    Raises:
        InputError: Nothing is left to measure.
    """
    found: dict[str, list[StreamSpec]] = {}
    for target in targets:
        for kind in target.kinds:
            if kinds is not None and kind not in kinds:
                continue
            of_source = found.setdefault(target.source, [])
            of_source.append(
                StreamSpec(
                    len(of_source) + 1,
                    target.path,
                    kind,
                    target.address,
                    target.port,
                    rates.period_ms(kind),
                    rates.limit_ms(kind),
                    query=target.query,
                    endpoint=target.endpoint,
                    size=rates.echo_bytes,
                    # Nothing is known of a foreign server but that it listens
                    exchange=bool(target.endpoint) or target.port == 0,
                )
            )
    if not found:
        raise InputError("probes and paths leave nothing to measure; see the paths' table for what each allows.")
    return found


def discover(cluster: Any, namespace: str, *, host_port: int = HOST_PORT) -> Endpoints:
    """Looks up the endpoints in a namespace; see manifests/network_break.

    Raises:
        InputError: There is no ready pod that could measure.
    """
    pods = {}
    for pod in cluster.list("Pod", namespace, labels=ROLE):
        if pod["metadata"].get("deletionTimestamp") or pod.get("status", {}).get("phase") != "Running":
            continue
        pods[pod["metadata"]["labels"][ROLE]] = pod
    if "source" not in pods:
        raise InputError(
            f"namespace '{namespace}' has no running pod with the label {ROLE}=source; apply "
            "manifests/network_break/endpoints.yaml there first."
        )
    try:
        nodes = {node["metadata"]["name"]: node for node in cluster.list("Node")}
    except errors.Forbidden:
        nodes = {
            pod["spec"]["nodeName"]: {
                "status": {"addresses": [{"type": "InternalIP", "address": pod["status"].get("hostIP", "")}]}
            }
            for pod in pods.values()
        }
    gateways: dict[tuple[str, int], str] = {}
    dns = None
    for role in ("source", "far"):
        if role not in pods:
            continue
        try:
            text = cluster.exec(
                namespace,
                pods[role]["metadata"]["name"],
                ["cat", "/proc/net/route", "/proc/net/ipv6_route", "/etc/resolv.conf"],
                check=False,
                timeout=10,
            ).stdout
        except errors.NetLibraryError:
            if role == "source":
                raise
            continue  # a path that is broken already must not keep the others from being measured
        for family in (4, 6):
            gateway = gateway_of(text, family)
            if gateway:
                gateways[role, family] = gateway
        if role == "source":
            dns = resolver_of(text)
    return Endpoints(pods, cluster.find("Service", "far", namespace), nodes, gateways, dns, host_port=host_port)
