"""Kinds of places that rules are tried at, each with those places of a run that come into question."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from NetLibrary._mechanics.matrix.causes.case import Case, most
from NetLibrary._mechanics.matrix.causes.rules import PROTOCOLS, At, Scope, port_of


def _pairs(case: Case) -> list[tuple[str, str]]:
    return sorted(set(case.bad_pairs) | {(b, a) for a, b in case.bad_pairs})


def _each_protocol(scope: Scope, *protocols: str) -> Callable[[Case], Iterator[At]]:
    def places(case: Case) -> Iterator[At]:
        for at in scope.places(case):
            for protocol in protocols:
                yield At(at.node, at.other, at.pod, at.service, protocol=protocol)

    return places


def _ports(case: Case) -> Iterator[At]:
    for service in case.bad_services:
        found = {(port_of(f), f.protocol) for f in case.wrong if f.service == service and f.path != "dns"}
        for port, protocol in sorted(found):
            yield At(service=service, port=port, protocol=protocol)


def _entry_services(case: Case) -> Iterator[At]:
    found = most((f.entry, f.service, p) for f in case.wrong if f.entry for p in ("", f.protocol))
    return (At(node, service=service, protocol=protocol) for node, service, protocol in found)


def _ports_on_nodes(case: Case) -> Iterator[At]:
    return (
        At(node, service=at.service, port=at.port, protocol=at.protocol)
        for at in _ports(case)
        for node in case.bad_nodes
    )


CLUSTER = Scope("cluster", lambda case: (At(),))
NODE = Scope("node", lambda case: (At(node) for node in case.bad_nodes))
CLUSTER_OR_NODE = Scope("cluster, node", lambda case: (At(node) for node in ("", *case.bad_nodes)))
NODE_PROTOCOL = Scope("protocol at a node", _each_protocol(NODE, *PROTOCOLS))
ENTRY = Scope("entry node, all or one protocol", _each_protocol(NODE, "", "TCP", "UDP"))
PAIR = Scope("two nodes", lambda case: (At(a, b) for a, b in _pairs(case) if a < b))
PAIR_PROTOCOL = Scope("protocol between two nodes", _each_protocol(PAIR, "TCP", "UDP"))
WAY = Scope("one way between two nodes", lambda case: (At(a, b) for a, b in _pairs(case)))
WAY_PROTOCOL = Scope("protocol, one way between two nodes", _each_protocol(WAY, "TCP", "UDP"))
POD = Scope("pod", lambda case: (At(pod=pod) for pod in case.bad_pods))
POD_PROTOCOL = Scope("protocol at a pod", _each_protocol(POD, "TCP", "UDP"))
SOURCE = Scope("source", lambda case: (At(pod=s, node=case.node_of(s)) for s in case.bad_sources))
SOURCE_INSIDE = SOURCE.where(lambda case, at: at.pod not in case.outside)
SERVICE = Scope("Service", lambda case: (At(service=service) for service in case.bad_services))
SERVICE_OR_AT_NODE = Scope(
    "Service, all or one node",
    lambda case: (At(n, service=s) for s in case.bad_services for n in ("", *case.bad_nodes)),
)
SERVICE_AT_NODE = Scope(
    "Service at a node", lambda case: (At(n, service=s) for s in case.bad_services for n in case.bad_nodes)
)
SERVICE_PORT = Scope("port of a Service", _ports)
SERVICE_PORT_AT_NODE = Scope("port of a Service at a node", _ports_on_nodes)
SERVICE_AT_ENTRY = Scope("Service at an entry node, all or one protocol", _entry_services)
PROTOCOL = Scope("protocol", lambda case: (At(protocol=protocol) for protocol in PROTOCOLS))
OUTSIDE = Scope("outside", lambda case: (At(),))
