"""The paths that a break is measured on: what each needs, where it leads, how it is probed."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics.defaults import OUTAGE_HOST_PORT, PROBE_IMAGE, PYTHON_IMAGE
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.outages.types import ProbeKind
from NetLibrary.types import OutagePath

ROLE = "netlibrary.io/break"
ECHO_PORT = 7007
#: The echo servers run iperf3 on this port and the next five: two for pods, two for the Service, one for its node port
#: and one for its load balancer, since a server takes one client at a time.
IPERF_PORT = 5201
OUTSIDE = "outside"
SOURCE = "source"

_ECHO = (ProbeKind.ICMP, ProbeKind.UDP, ProbeKind.TCP_NEW, ProbeKind.TCP_KEPT)
_PORT_ONLY = (ProbeKind.UDP, ProbeKind.TCP_NEW, ProbeKind.TCP_KEPT)
KINDS: Mapping[OutagePath, tuple[ProbeKind, ...]] = {
    OutagePath.POD_ON_SAME_NODE: _ECHO,
    OutagePath.POD_ON_OTHER_NODE: _ECHO,
    OutagePath.OWN_NODE: _ECHO,
    OutagePath.OTHER_NODE: _ECHO,
    OutagePath.OWN_GATEWAY: (ProbeKind.ICMP,),
    OutagePath.OTHER_GATEWAY: (ProbeKind.ICMP,),
    # A Service's address answers on its ports alone; what an ICMP echo to it meets depends on the proxy.
    OutagePath.SERVICE: _PORT_ONLY,
    OutagePath.NODE_PORT: _PORT_ONLY,
    OutagePath.NODE_PORT_FROM_OUTSIDE: _PORT_ONLY,
    OutagePath.LOAD_BALANCER_FROM_OUTSIDE: _PORT_ONLY,
    OutagePath.OUTSIDE_ADDRESS: (ProbeKind.ICMP,),
    OutagePath.DNS: (ProbeKind.DNS,),
}


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
        iperf_port: Port of an iperf3 server for TCP; 0 without.
        iperf_udp_port: The same for UDP.
        query: DNS name to ask for, or path of an HTTP request.
        endpoint: Role of the echo server that answers, if it is one of ours.
        host: Name of the server for the head of an HTTP request.
        query_type: Type of the records that a name server is asked for.
    """

    path: str
    source: str
    address: str
    port: int = 0
    kinds: tuple[ProbeKind, ...] = ()
    note: str = ""
    iperf_port: int = 0
    iperf_udp_port: int = 0
    query: str = ""
    endpoint: str = ""
    host: str = ""
    query_type: str = "A"


@dataclass(frozen=True)
class Outside:
    """A server outside the cluster.

    Args:
        address: Its address.
        port: Port that it listens on; 0 for ICMP alone.
        echo: Whether it is ours and echoes TCP; nothing else may be said to a foreign one.
        udp: Whether it echoes UDP too.
        iperf_port: First of two ports of iperf3 servers; 0 without.
        note: What of it cannot be probed and why.
    """

    address: str
    port: int = 0
    echo: bool = False
    udp: bool = False
    iperf_port: int = 0
    note: str = ""

    @property
    def kinds(self) -> tuple[ProbeKind, ...]:
        """How it can be probed."""
        if not self.echo:
            return (ProbeKind.ICMP, *((ProbeKind.TCP_NEW, ProbeKind.TCP_IDLE) if self.port else ()))
        udp = (ProbeKind.UDP,) if self.udp else ()
        return (ProbeKind.ICMP, *udp, ProbeKind.TCP_NEW, ProbeKind.TCP_KEPT, ProbeKind.HTTP, ProbeKind.HTTP_KEPT)


@dataclass
class Endpoints:
    """The objects that paths lead to.

    Args:
        pods: Pods of the measurement by role: source, near, far, near-host, far-host.
        service: The Service in front of `far`.
        gateways: Default gateway of `source` and of `far`, per family, by role.
        dns: Address and domain of the cluster's DNS as the source sees it.
        outside: Servers outside the cluster, one of each family.
        host_port: Port of the echo servers in the host network.
        sources: Names of the pods that connections are opened from, the source first.
    """

    pods: Mapping[str, Mapping[str, Any]]
    service: Mapping[str, Any] | None = None
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gateways: Mapping[tuple[str, int], str] = field(default_factory=dict)
    dns: tuple[str, str] | None = None
    outside: Sequence[Outside] = ()
    host_port: int = OUTAGE_HOST_PORT
    sources: Sequence[str] = ()


def plain(name: str) -> str:
    """Returns a name of a path as it is compared: case, blanks and hyphens do not matter."""
    return str(name).lower().replace(" ", "").replace("_", "").replace("-", "")


def expand(*groups: Sequence[OutagePath]) -> list[OutagePath]:
    """Returns each path once, with `all` replaced by every single one.

    >>> [path.name for path in expand([OutagePath.DNS], [OutagePath.SERVICE, OutagePath.DNS])]
    ['DNS', 'SERVICE']
    """
    found: dict[OutagePath, None] = {}
    for path in [path for group in groups for path in group]:
        single = [each for each in OutagePath if each is not OutagePath.ALL]
        found.update(dict.fromkeys(single if path is OutagePath.ALL else [path]))
    return list(found)


def probe_image(cluster: Any) -> str:
    """Returns the image for prober and echo servers: the one that a lab has, else a public one with python3."""
    return PROBE_IMAGE if cluster.is_lab else PYTHON_IMAGE


class Missing(Exception):
    """A path cannot be measured; the text says why."""


def resolve(
    endpoints: Endpoints, paths: Sequence[OutagePath], families: Sequence[int] = (4,)
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


def _target(known: Endpoints, path: OutagePath, name: str, family: int) -> Target:
    kinds = KINDS[path]
    source = OUTSIDE if path.from_outside else SOURCE
    if path in (OutagePath.POD_ON_SAME_NODE, OutagePath.POD_ON_OTHER_NODE):
        role = "near" if path is OutagePath.POD_ON_SAME_NODE else "far"
        address = _of_family(addresses.of_pod(_pod(known, role)), family, f"pod '{role}'")
        return Target(
            name, source, address, ECHO_PORT, kinds, iperf_port=IPERF_PORT, iperf_udp_port=IPERF_PORT + 1, endpoint=role
        )
    if path in (OutagePath.OWN_NODE, OutagePath.OTHER_NODE):
        return _node_target(known, path, name, family)
    if path in (OutagePath.OWN_GATEWAY, OutagePath.OTHER_GATEWAY):
        role = "source" if path is OutagePath.OWN_GATEWAY else "far"
        gateway = known.gateways.get((role, family))
        if not gateway:
            raise Missing(f"pod '{role}' has no default gateway with an IPv{family} address of its own")
        if ipaddress.ip_address(gateway).is_link_local:
            # Calico and others give all pods 169.254.1.1: nodes answer for it in ARP, and nobody has it
            raise Missing(f"{gateway}, the gateway of pod '{role}', is a link-local address, which need not answer")
        return Target(name, source, gateway, 0, kinds)
    if path is OutagePath.DNS:
        if known.dns is None or addresses.family_of(known.dns[0]) != family:
            raise Missing(f"the source's resolv.conf names no IPv{family} server")
        # The API server's Service has addresses of the cluster's first family alone, as the DNS's has
        kind = "AAAA" if family == 6 else "A"
        asked = f"kubernetes.default.svc.{known.dns[1]}"
        return Target(name, source, known.dns[0], 53, kinds, query=asked, query_type=kind)
    if path is OutagePath.OUTSIDE_ADDRESS:
        return _outside_target(known, name, family)
    return _service_target(known, path, name, family, source)


def _outside_target(known: Endpoints, name: str, family: int) -> Target:
    if not known.outside:
        raise Missing("no address outside the cluster is given (outside_address=)")
    server = next((each for each in known.outside if addresses.family_of(each.address) == family), None)
    if server is None:
        raise Missing(f"{' and '.join(each.address for each in known.outside)} is no IPv{family} address")
    return Target(
        name,
        SOURCE,
        server.address,
        server.port,
        server.kinds,
        server.note,
        iperf_port=server.iperf_port,
        iperf_udp_port=server.iperf_port + 1 if server.iperf_port and server.udp else 0,
        endpoint="outside" if server.echo else "",
    )


def _node_target(known: Endpoints, path: OutagePath, name: str, family: int) -> Target:
    own = path is OutagePath.OWN_NODE
    node = str(_pod(known, "source" if own else "far")["spec"]["nodeName"])
    address = _of_family(addresses.of_node(known.nodes.get(node, {})), family, f"node '{node}'")
    if ("near-host" if own else "far-host") in known.pods:
        return Target(name, SOURCE, address, known.host_port, _ECHO, endpoint="near-host" if own else "far-host")
    note = "UDP and TCP are not measured: there is no echo pod in the host network (host-endpoints.yaml)"
    return Target(name, SOURCE, address, 0, (ProbeKind.ICMP,), note)


def _service_target(known: Endpoints, path: OutagePath, name: str, family: int, source: str) -> Target:
    service = known.service
    if service is None:
        raise Missing("there is no Service 'far'")
    spec = service["spec"]
    kinds = KINDS[path]
    if path is OutagePath.SERVICE:
        address = _of_family(addresses.of_service(service), family, "Service 'far'")
        tcp, udp = IPERF_PORT + 2, IPERF_PORT + 3
        return Target(name, source, address, ECHO_PORT, kinds, iperf_port=tcp, iperf_udp_port=udp, endpoint="far")
    if path is OutagePath.LOAD_BALANCER_FROM_OUTSIDE:
        found = addresses.of_load_balancer(service)
        if not found:
            raise Missing("Service 'far' got no load balancer address (the cluster has no load balancer)")
        listening = addresses.looked_up(found)
        if not listening:
            raise Missing(f"the load balancer's name '{found[0]}' cannot be resolved (yet)")
        address = _of_family(listening, family, "load balancer")
        return Target(name, source, address, ECHO_PORT, kinds, iperf_port=IPERF_PORT + 5, endpoint="far")
    ports = {p.get("protocol", "TCP"): p.get("nodePort") for p in spec["ports"] if p["port"] == ECHO_PORT}
    if not ports.get("TCP"):
        raise Missing(f"Service 'far' of type {spec.get('type')} has no node port")
    if ports.get("UDP") != ports["TCP"]:
        kinds = tuple(kind for kind in kinds if kind is not ProbeKind.UDP)
    far = _node_target(known, OutagePath.OTHER_NODE, name, family)
    note = "" if ProbeKind.UDP in kinds else "UDP is not measured: its node port differs from TCP's"
    iperf = next((int(p.get("nodePort") or 0) for p in spec["ports"] if p["port"] == IPERF_PORT + 4), 0)
    return Target(
        name, source, far.address, int(ports["TCP"]), kinds, note, iperf if path.from_outside else 0, endpoint="far"
    )


def _pod(known: Endpoints, role: str) -> Mapping[str, Any]:
    if role not in known.pods:
        raise Missing(f"there is no ready pod with the label {ROLE}={role}")
    return known.pods[role]


def _of_family(found: Sequence[str], family: int, what: str) -> str:
    for address in found:
        if addresses.family_of(address) == family:
            return address
    raise Missing(f"{what} has no IPv{family} address")
