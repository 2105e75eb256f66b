"""The paths that a break is measured on: what each needs, where it leads, how it is probed."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.defaults import OUTAGE_HOST_PORT, PROBE_IMAGE, PYTHON_IMAGE
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.outages.types import ProbeKind, StreamSpec
from NetLibrary.types import OutagePath

ROLE = "netlibrary.io/break"
ECHO_PORT = 7007
OUTSIDE = "outside"
SOURCE = "source"
ECHO_SIZES = range(18, 9001)

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
class Rates:
    """Times between probes and their limits, in milliseconds, and how large an echo is."""

    echo_ms: float = 10
    connection_ms: float = 10
    kept_ms: float = 10
    dns_ms: float = 50
    timeout_ms: float = 1000
    echo_bytes: int = 56

    @classmethod
    def of(
        cls,
        *,
        echo_interval: timedelta,
        connection_interval: timedelta,
        request_interval: timedelta,
        probe_timeout: timedelta,
        echo_size: int,
    ) -> Rates:
        """Makes rates from arguments of a keyword.

        Raises:
            InputError: A time is too short, or the size is none that an echo can have.
        """
        if echo_size not in ECHO_SIZES:
            raise InputError(f"echo_size is {echo_size}; allowed are {ECHO_SIZES[0]} to {ECHO_SIZES[-1]} bytes.")
        return cls(
            echo_ms=milliseconds("echo_interval", echo_interval),
            connection_ms=milliseconds("connection_interval", connection_interval),
            kept_ms=milliseconds("request_interval", request_interval),
            timeout_ms=milliseconds("probe_timeout", probe_timeout),
            echo_bytes=echo_size,
        )

    def period_ms(self, kind: ProbeKind) -> float:
        """Time between two probes of a kind."""
        return {
            ProbeKind.ICMP: self.echo_ms,
            ProbeKind.UDP: self.echo_ms,
            ProbeKind.TCP_NEW: self.connection_ms,
            ProbeKind.TCP_KEPT: self.kept_ms,
            ProbeKind.DNS: self.dns_ms,
            ProbeKind.HTTP: self.connection_ms,
            ProbeKind.HTTP_KEPT: self.kept_ms,
        }[kind]

    def limit_ms(self, kind: ProbeKind) -> float:
        """When a probe counts as lost. A new connection gets a little less than the second after which the kernel
        repeats a SYN: an attempt that succeeds only because of that began while the path was broken.
        """
        return min(self.timeout_ms, 900) if kind in (ProbeKind.TCP_NEW, ProbeKind.HTTP) else self.timeout_ms


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
        query: DNS name to ask for, or path of an HTTP request.
        endpoint: Role of the echo server that answers, if it is one of ours.
        host: Name of the server for the head of an HTTP request.
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
    host: str = ""


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
    host_port: int = OUTAGE_HOST_PORT


def milliseconds(name: str, value: timedelta) -> float:
    """Returns a time between two probes in milliseconds.

    Raises:
        InputError: It is shorter than 1 ms.
    """
    found = value.total_seconds() * 1000
    if found < 1:
        raise InputError(f"{name} is {found:g} ms; at least 1 ms is needed.")
    return found


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
        return Target(name, source, address, ECHO_PORT, kinds, iperf_port=5201, endpoint=role)
    if path in (OutagePath.OWN_NODE, OutagePath.OTHER_NODE):
        return _node_target(known, path, name, family)
    if path in (OutagePath.OWN_GATEWAY, OutagePath.OTHER_GATEWAY):
        role = "source" if path is OutagePath.OWN_GATEWAY else "far"
        gateway = known.gateways.get((role, family))
        if not gateway:
            raise Missing(f"pod '{role}' has no default gateway with an IPv{family} address of its own")
        return Target(name, source, gateway, 0, kinds)
    if path is OutagePath.DNS:
        if known.dns is None or addresses.family_of(known.dns[0]) != family:
            raise Missing(f"the source's resolv.conf names no IPv{family} server")
        return Target(name, source, known.dns[0], 53, kinds, query=f"kubernetes.default.svc.{known.dns[1]}")
    if path is OutagePath.OUTSIDE_ADDRESS:
        if not known.outside_address:
            raise Missing("no address outside the cluster is given (outside_address=)")
        if addresses.family_of(known.outside_address) != family:
            raise Missing(f"{known.outside_address} is no IPv{family} address")
        kinds = _ECHO if known.outside_echo else (ProbeKind.ICMP, *([ProbeKind.TCP_NEW] if known.outside_port else []))
        role = "outside" if known.outside_echo else ""
        return Target(name, source, known.outside_address, known.outside_port, kinds, endpoint=role)
    return _service_target(known, path, name, family, source)


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
        return Target(name, source, address, ECHO_PORT, kinds, iperf_port=5203, endpoint="far")
    if path is OutagePath.LOAD_BALANCER_FROM_OUTSIDE:
        found = addresses.of_load_balancer(service)
        if not found:
            raise Missing("Service 'far' got no load balancer address (the cluster has no load balancer)")
        return Target(name, source, _of_family(found, family, "load balancer"), ECHO_PORT, kinds, endpoint="far")
    ports = {p.get("protocol", "TCP"): p.get("nodePort") for p in spec["ports"] if p["port"] == ECHO_PORT}
    if not ports.get("TCP"):
        raise Missing(f"Service 'far' of type {spec.get('type')} has no node port")
    if ports.get("UDP") != ports["TCP"]:
        kinds = tuple(kind for kind in kinds if kind is not ProbeKind.UDP)
    far = _node_target(known, OutagePath.OTHER_NODE, name, family)
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
                    host=target.host,
                    # Nothing is known of a foreign server but that it listens
                    exchange=bool(target.endpoint) or target.port == 0,
                )
            )
    if not found:
        raise InputError("probes and paths leave nothing to measure; see the paths' table for what each allows.")
    return found


def discover(cluster: Any, namespace: str, *, host_port: int = OUTAGE_HOST_PORT, source: str = "") -> Endpoints:
    """Looks up the endpoints in a namespace; see manifests/network_break.

    Args:
        cluster: The cluster.
        namespace: Where they are.
        host_port: Port of the echo servers in the host network.
        source: Name of the pod that measures; with it no other endpoint is looked up.

    Raises:
        InputError: There is no ready pod that could measure.
    """
    if source:
        return Endpoints({SOURCE: cluster.get("Pod", source, namespace)}, host_port=host_port)
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
