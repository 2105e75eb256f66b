"""The catalogue of cases: which sources ask which targets. Pure functions of the layout and the objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.matrix.model.objects import BANNER_PORT, HTTP_PORT, MANY, NEAR, OUTSIDE_NAME, Layout
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.probing.types import Source, Target

Pairs = Iterator[tuple[Source, Target]]
LARGE = 4000
# Long enough to tell a slow DNS from one that does not answer
NAMES_MS = 2500


@dataclass(frozen=True)
class CaseKind:
    """A case of the catalogue.

    Args:
        key: Its name in suites.
        title: Heading of its table.
        pairs: Yields who asks what.
        needs: Keys of the reasons in `Matrix.lacking`; the case is skipped where one is absent.
    """

    key: str
    title: str
    pairs: Callable[[Layout, World, Sequence[Source]], Pairs]
    needs: tuple[str, ...] = ()


def _inside(sources: Sequence[Source]) -> list[Source]:
    return [s for s in sources if not s.outside]


def _own_network(sources: Sequence[Source]) -> list[Source]:
    return [s for s in sources if not s.outside and not s.host_network]


def _both(name: str, kind: str, host: str, port: int, **more: Any) -> list[Target]:
    """The same target over TCP and UDP."""
    return [
        Target(name, kind, host, port, "TCP", "http", **more),
        Target(name, kind, host, port, "UDP", "udp", **more),
    ]


def _pod_targets(layout: Layout, world: World, sources: Sequence[Source]) -> list[Target]:
    """Pods with their addresses; one that is gone keeps its column, with the address that it had."""
    before = {s.name: s.address for s in sources}
    found = []
    for name, node in (*layout.pods, *layout.host_pods):
        item = world.pod(name) or {}
        port = layout.host_port if (name, node) in layout.host_pods else HTTP_PORT
        address = item.get("status", {}).get("podIP") or before.get(name, "")
        if not address:
            continue
        found += _both(name, "pod", address, port, pod=name, node=node)
    return found


def _address(world: World, name: str) -> str:
    service = world.service(name)
    return str((service or {"spec": {}})["spec"].get("clusterIP") or "")


def _vip(world: World, name: str, **more: Any) -> list[Target]:
    return _both(name, "vip", _address(world, name), 80, service=name, service_port=80, **more)


def pod_ip(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Every pod by its own address, from every source inside."""
    for source in _inside(sources):
        for target in _pod_targets(layout, world, sources):
            yield source, target


def large_packets(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Packets as large as the path takes, over TCP, UDP and DNS: finds MTU black holes of every size."""
    for source in _own_network(sources):
        for name, node in layout.pods:
            item = world.pod(name)
            address = (item or {}).get("status", {}).get("podIP", "")
            if not address:
                continue
            mtu = _mtu(world, source.name, name)
            # several full segments in a row
            size = max(LARGE, min(3 * mtu, 30000))
            yield source, Target(name, "pod", address, HTTP_PORT, extra=f"size={size}", pod=name, node=node)
            if mtu:
                bytes_ = mtu - (48 if ":" in address else 28)
                yield (
                    source,
                    Target(name, "pod", address, HTTP_PORT, "UDP", "udpsize", f"{bytes_}", pod=name, node=node),
                )
        if world.service(MANY) is not None and _mtu(world, source.name):
            full = f"{MANY}.{layout.namespace}.svc.{world.facts.domain}"
            asked = f"{_record(source)}/{full}./{dns_room(world)}"
            yield source, Target("DNS", "dns", "-", 53, "UDP", "dns", asked, service=MANY, limit_ms=NAMES_MS)


def _mtu(world: World, *pods: str) -> int:
    """Largest packet between pods; 0 when it is not known of all of them."""
    found = [world.facts.mtus.get(pod, 0) for pod in pods]
    return min(found) if all(found) else 0


def dns_room(world: World) -> int:
    """Bytes of the largest DNS answer that fits into one packet everywhere; CoreDNS gives no more than 4096."""
    return min([*world.facts.mtus.values(), 4144]) - 48


def cluster_ip(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """One Service for each pod, from every source inside; the diagonal is the hairpin."""
    for source in _inside(sources):
        for name, _ in layout.pods:
            for target in _vip(world, f"to-{name}"):
                yield source, target


def hairpin(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Every pod to itself through its own Service."""
    for source in _own_network(sources):
        for target in _vip(world, f"to-{source.name}"):
            yield source, target


def host_backends(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Services whose backends are on the host network."""
    for source in _inside(sources):
        for name, _ in layout.host_pods:
            for target in _vip(world, f"to-{name}"):
                yield source, target


def spread(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """One Service with every pod behind it, several connections a cell: finds dead and foreign backends."""
    for source in _inside(sources):
        for target in _vip(world, "spread", repeat=8):
            yield source, target


def no_endpoints(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """A Service without endpoints: must refuse at once."""
    for source in _inside(sources):
        for target in _vip(world, "no-endpoints"):
            yield source, target


def internal_local(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Traffic policy Local for ClusterIPs, with one backend."""
    for source in _inside(sources):
        for target in _vip(world, "internal-local"):
            yield source, target


def _node_ports(world: World, name: str, sources: Sequence[Source], repeat: int = 1) -> Pairs:
    service = world.service(name)
    numbers = {
        p.get("protocol", "TCP"): p.get("nodePort", 0) for p in (service or {"spec": {}})["spec"].get("ports", [])
    }
    for source in sources:
        for node in world.nodes:
            family = addresses.family_of(_address(world, name)) or None
            address = next(iter(addresses.of_node(node, family)), "")
            if not address:
                continue  # a node of one family only, or one that has but a name: nobody can ask there
            at = node["metadata"]["name"]
            for protocol, probe in (("TCP", "http"), ("UDP", "udp")):
                yield (
                    source,
                    Target(
                        at, "nodeport", address, numbers.get(protocol, 0), protocol, probe, service=name,
                        service_port=80, node=at, repeat=repeat,
                    ),
                )  # fmt: skip


def node_port(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Every source through every entry node."""
    yield from _node_ports(world, "nodeport", sources)


def node_port_local(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Traffic policy Local for NodePorts with one backend, every source through every entry node."""
    yield from _node_ports(world, "nodeport-local", sources)


def near(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Traffic distribution PreferSameNode: only backends of the source's own node, as the EndpointSlices' hints say."""
    for source in _inside(sources):
        for target in _vip(world, NEAR, repeat=6):
            yield source, target


def affinity(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Session affinity on the ClusterIP: several connections, one backend."""
    for source in _own_network(sources):
        for target in _vip(world, "sticky", repeat=6):
            yield source, target


def affinity_node_port(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Session affinity on NodePorts."""
    yield from _node_ports(world, "sticky", _own_network(sources), repeat=6)


def _balanced(world: World, name: str, sources: Sequence[Source], repeat: int = 1) -> Pairs:
    service = world.service(name) or {}
    address = next(iter(addresses.of_load_balancer(service)), "")
    for source in sources:
        for target in _both(name, "loadbalancer", address, 80, service=name, service_port=80, repeat=repeat):
            yield source, target


def balancer(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """The LoadBalancer address from inside."""
    for name in ("balanced", "balanced-local"):
        yield from _balanced(world, name, _inside(sources))


def balancer_outside(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """The LoadBalancer address from outside, where the load balancer really has to work."""
    for name in ("balanced", "balanced-local"):
        yield from _balanced(world, name, [s for s in sources if s.outside])


def affinity_balancer(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Session affinity on LoadBalancer addresses."""
    yield from _balanced(world, "balanced-sticky", sources, repeat=6)


def source_ranges(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Source ranges without any of our addresses: everything must be dropped."""
    yield from _balanced(world, "balanced-closed", [s for s in sources if not s.host_network])


def external_ip(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """An external IP: an address that is the user's or a node's own, at a port that nobody else has."""
    for source in _inside(sources):
        for target in _both(
            "external-ip",
            "externalip",
            layout.external_ip,
            layout.external_port,
            service="external-ip",
            service_port=layout.external_port,
        ):
            yield source, target


def several_ports(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Several ports and protocols of one Service; two different servers behind them."""
    address = _address(world, "several-ports")
    for source in _inside(sources):
        for port, protocol, probe in (
            (80, "TCP", "http"),
            (81, "TCP", "tcp"),
            (80, "UDP", "udp"),
            (8053, "UDP", "udp"),
        ):
            yield (
                source,
                Target(
                    f"port {port}", "vip", address, port, protocol, probe, service="several-ports", service_port=port
                ),
            )


def readiness(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """A pod that is never ready: hidden by one Service, published by another (publishNotReadyAddresses)."""
    for source in _own_network(sources):
        for name in ("hidden", "published"):
            for target in _vip(world, name):
                yield source, target


def _record(source: Source) -> str:
    """The kind of address record that a source of that family needs."""
    return "AAAA" if ":" in source.address else "A"


def _lookups(source: Source, layout: Layout, world: World, name: str) -> Target:
    # the dot at the end keeps resolvers from trying their search list first, which would make four questions of one
    full = f"{name}.{layout.namespace}.svc.{world.facts.domain}"
    asked = f"{_record(source)}/{full}."
    return Target(f"{name} (lookup)", "dns", "-", 53, "UDP", "dns", asked, service=name, limit_ms=NAMES_MS)


def _named(layout: Layout, world: World, name: str, port: int) -> Target:
    full = f"{name}.{layout.namespace}.svc.{world.facts.domain}"
    return Target(name, "name", full, port, "TCP", "http", service=name, service_port=80, limit_ms=NAMES_MS)


def names(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """DNS names of a Service: the lookup, and a connection by name."""
    service = f"to-{layout.first}"
    for source in _own_network(sources):
        yield source, _lookups(source, layout, world, service)
        yield source, _named(layout, world, service, 80)


def headless(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """A headless Service: its name has the pods' addresses."""
    for source in _own_network(sources):
        yield source, _lookups(source, layout, world, "headless")
        yield source, _named(layout, world, "headless", HTTP_PORT)


def external_name(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """An ExternalName Service that leads to a name inside the cluster."""
    for source in _own_network(sources):
        yield source, _named(layout, world, "alias", 80)


def outside_name(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """An ExternalName Service that leads to a name outside the cluster: its alias, and that an address comes."""
    full = f"{OUTSIDE_NAME}.{layout.namespace}.svc.{world.facts.domain}"
    for source in _own_network(sources):
        for kind, what in (("CNAME", "alias"), (_record(source), "address")):
            yield (
                source,
                Target(what, "dns", "-", 53, "UDP", "dns", f"{kind}/{full}.", service=OUTSIDE_NAME, limit_ms=NAMES_MS),
            )


def dual_stack(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """Pods and Services by their addresses of the second family."""
    for source in _own_network(sources):
        own = {":" in ip for ip in addresses.of_pod(world.pod(source.name) or {})}  # a node may have one family only
        for name, node in layout.pods:
            item = world.pod(name) or {}
            second = own - {":" in item.get("status", {}).get("podIP", "")}
            for ip in (each for each in addresses.of_pod(item) if (":" in each) in second):
                yield source, Target(name, "pod", ip, HTTP_PORT, pod=name, node=node)
            service = world.service(f"to-{name}") or {"spec": {}}
            for ip in (each for each in service["spec"].get("clusterIPs", []) if (":" in each) in second):
                yield source, Target(f"to-{name}", "vip", ip, 80, service=f"to-{name}", service_port=80)


def sctp(layout: Layout, world: World, sources: Sequence[Source]) -> Pairs:
    """SCTP pod to pod."""
    for source in _own_network(sources):
        for name, node in layout.pods:
            address = (world.pod(name) or {}).get("status", {}).get("podIP", "")
            yield source, Target(name, "pod", address, HTTP_PORT, "SCTP", "sctp", pod=name, node=node)


CASES = {
    case.key: case
    for case in (
        CaseKind("pod ip", "Pods by their own addresses", pod_ip),
        CaseKind("large packets", "Large packets, pod to pod", large_packets),
        CaseKind("cluster ip", "ClusterIP, one Service for each pod", cluster_ip),
        CaseKind("hairpin", "Hairpin: a pod to itself through its Service", hairpin),
        CaseKind("spread", "One Service with all pods behind it", spread),
        CaseKind("several ports", "Several ports and protocols of one Service", several_ports),
        CaseKind("no endpoints", "Service without endpoints", no_endpoints),
        CaseKind("readiness", "A pod that is not ready, hidden and published", readiness),
        CaseKind("names", "DNS names of Services", names),
        CaseKind("headless", "Headless Service", headless),
        CaseKind("external name", "ExternalName Service", external_name),
        CaseKind("outside name", "ExternalName to a name outside the cluster", outside_name, ("outside name",)),
        CaseKind("host backends", "Services with backends on the host network", host_backends, ("host pods",)),
        CaseKind("internal local", "internalTrafficPolicy Local", internal_local),
        CaseKind("near", "Traffic distribution PreferSameNode", near, ("near",)),
        CaseKind("node port", "NodePort, every source through every entry node", node_port),
        CaseKind("node port local", "NodePort with externalTrafficPolicy Local", node_port_local),
        CaseKind("affinity", "Session affinity on the ClusterIP", affinity),
        CaseKind("affinity node port", "Session affinity on NodePorts", affinity_node_port),
        CaseKind("external ip", "externalIPs", external_ip, ("external ip",)),
        CaseKind("load balancer", "LoadBalancer from inside", balancer, ("balancer",)),
        CaseKind("load balancer outside", "LoadBalancer from outside", balancer_outside, ("balancer", "outside")),
        CaseKind("affinity load balancer", "Session affinity on the LoadBalancer", affinity_balancer, ("balancer",)),
        CaseKind("source ranges", "loadBalancerSourceRanges", source_ranges, ("balancer",)),
        CaseKind("sctp", "SCTP, pod to pod", sctp, ("sctp",)),
        CaseKind("dual stack", "Addresses of the second family", dual_stack, ("dual stack",)),
    )
}


def case_kind(name: str) -> CaseKind:
    """A case by its name; spaces, underscores, hyphens and capitals do not matter.

    Raises:
        InputError: There is none of that name.
    """
    wanted = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    if wanted not in CASES:
        raise InputError(f"The case '{name}' is unknown; known are {', '.join(CASES)}.")
    return CASES[wanted]


__all__ = ["BANNER_PORT", "CASES", "LARGE", "CaseKind", "case_kind"]
