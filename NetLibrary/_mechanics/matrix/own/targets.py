"""What can be asked of the Services of a namespace, read out of the objects."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from NetLibrary._mechanics.kube import addresses, health
from NetLibrary._mechanics.matrix.cases import NAMES_MS
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.probing.types import Target

Object = Mapping[str, Any]
ENDPOINTS, CLUSTER_IPS, NODE_PORTS, BALANCERS, NAMES = (
    "endpoints", "cluster IPs", "node ports", "load balancers", "names",
)  # fmt: skip
# Through an address of the Service, so many connections for a cell: each may reach another endpoint
REPEAT = 3
PROTOCOLS = {"TCP": "connect", "UDP": "udp", "SCTP": "sctp"}


def of_service(world: World, service: Object, namespace: str, families: Sequence[int]) -> Iterator[tuple[str, Target]]:
    """Yields tables and targets of one Service."""
    name, spec = service["metadata"]["name"], service["spec"]
    full = f"{name}.{namespace}.svc.{world.facts.domain}."
    if spec.get("type") == "ExternalName":
        yield NAMES, _lookup(name, full, "CNAME")
        return
    for family in families:
        if family in addresses.families_of(service):
            yield NAMES, _lookup(name, full, "AAAA" if family == 6 else "A")
    for port in spec.get("ports") or []:
        yield from _of_port(world, service, port, families)


def _lookup(service: str, full: str, kind: str) -> Target:
    return Target(
        f"{service} {kind}", "dns", "-", 53, "UDP", "dns", f"{kind}/{full}", service=service, limit_ms=NAMES_MS
    )


def _of_port(world: World, service: Object, port: Object, families: Sequence[int]) -> Iterator[tuple[str, Target]]:
    name, spec, number = service["metadata"]["name"], service["spec"], int(port["port"])
    protocol = str(port.get("protocol") or "TCP")
    word = f"{name}:{port.get('name') or number}"
    for family in families:
        for end in world.endpoints(service, number, protocol, family):
            if end.ready and end.pod:
                yield ENDPOINTS, _target(f"{word} {end.pod}", "pod", end.address, end.port, protocol, name, number,
                                         pod=end.pod, node=end.node)  # fmt: skip
    for address in spec.get("clusterIPs") or [spec.get("clusterIP")]:
        if address and address != "None" and addresses.family_of(address) in families:
            yield CLUSTER_IPS, _target(_of_family(word, address), "vip", address, number, protocol, name, number,
                                       repeat=REPEAT)  # fmt: skip
    if port.get("nodePort"):
        for node in health.entry_nodes(dict(node) for node in world.nodes):
            for address in addresses.of_entry(node, service):
                if addresses.family_of(address) in families:
                    yield NODE_PORTS, _target(
                        _of_family(f"{word} {node['metadata']['name']}", address), "nodeport", address,
                        int(port["nodePort"]), protocol, name, number, node=node["metadata"]["name"],
                    )  # fmt: skip
    for address in addresses.of_load_balancer(dict(service)):
        if _is_address(address) and addresses.family_of(address) in families:
            yield BALANCERS, _target(_of_family(word, address), "loadbalancer", address, number, protocol, name, number)


def _of_family(word: str, address: str) -> str:
    return f"{word} IPv6" if ":" in address else word


def _target(
    name: str, kind: str, host: str, port: int, protocol: str, service: str, service_port: int, **more: Any
) -> Target:
    probe, extra = PROTOCOLS[protocol], "plain" if protocol == "UDP" else "-"
    return Target(name, kind, host, port, protocol, probe, extra, service, service_port, **more)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def leads_outside(world: World, service: Object) -> str:
    """An address in a Service's slices that is no pod's and no node's; nothing is sent there."""
    known = {a for pod in world.pods for a in addresses.of_pod(dict(pod))}
    known |= {a for node in world.nodes for a in addresses.of_node(dict(node))}
    if service["spec"].get("selector"):
        return ""
    return next((end for end in sorted(listed(world, service)) if end not in known), "")


def listed(world: World, service: Object) -> dict[str, Object]:
    """Addresses in a Service's slices, with their entries."""
    return {
        str(entry["addresses"][0]): entry
        for each in world.slices
        if (each["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == service["metadata"]["name"]
        for entry in each.get("endpoints") or []
    }
