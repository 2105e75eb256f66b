"""What the rules look at: the facts of a run, and the places in them where something is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from NetLibrary._mechanics.matrix.causes.rules import PROTOCOLS, At, Scope, port_of
from NetLibrary._mechanics.matrix.model.features import Fact
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.probing.types import Outcome


class Case:
    """The facts of a run, and the names that occur in them.

    Args:
        facts: All judged cells.
        world: The objects.
    """

    def __init__(self, facts: Sequence[Fact], world: World) -> None:
        self.facts, self.world = facts, world
        self.wrong = [fact for fact in facts if fact.wrong]
        self.nodes = sorted({f.from_node for f in facts if f.from_node} | {n for f in facts for n in f.to_nodes})
        # Causes are looked for where something is wrong; in a large table only where most is wrong
        self.bad_nodes = most(n for f in self.wrong for n in {f.from_node, f.entry, *f.to_nodes} if n)
        self.bad_pairs = most((f.from_node, n) for f in self.wrong for n in f.to_nodes if f.from_node not in ("", n))
        self.bad_pods = most(pod for f in self.wrong for pod in f.to_pods)
        self.bad_sources = most(f.source for f in self.wrong)
        self.bad_services = most(f.service for f in self.wrong if f.service)
        self.outside = {f.source for f in facts if not f.from_node}

    def outcomes(self, test: Callable[[Fact], bool]) -> set[Outcome]:
        """Outcomes of the wrong cells that pass a test."""
        return {f.cell.observed.outcome for f in self.wrong if test(f)}

    def strangers(self, test: Callable[[Fact], bool]) -> list[str]:
        """Who answered in the wrong cells that pass a test, without those who may."""
        return sorted(
            {
                name
                for f in self.wrong
                if test(f) and f.symptom == "responder"
                for name in set(f.cell.observed.responders) - (f.cell.expected.responders or frozenset())
            }
        ) or sorted({f.cell.observed.detail for f in self.wrong if test(f) and f.symptom == "responder"})

    def node_of(self, source: str) -> str:
        """Node of a source."""
        return next((f.from_node for f in self.facts if f.source == source), "")

    def not_ready(self, node: str) -> str:
        """What the API server says of a node that is not Ready, for the end of a sentence; empty when it is."""
        for item in self.world.nodes:
            if item["metadata"]["name"] == node:
                for state in item.get("status", {}).get("conditions", []):
                    if state["type"] == "Ready" and state["status"] != "True":
                        return f" (the node is not Ready: {state.get('reason', 'no reason given')})"
        return ""


def most(items: Iterable[Any], limit: int = 40) -> list[Any]:
    """The items that occur most often, sorted."""
    return sorted(item for item, _ in Counter(items).most_common(limit))


# --- scopes -------------------------------------------------------------------------------------------------


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
