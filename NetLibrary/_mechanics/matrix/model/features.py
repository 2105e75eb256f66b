"""What the diagnosis knows about a cell: which path it takes and which nodes and pods take part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from NetLibrary._mechanics.matrix.model.types import Cell, Table
from NetLibrary._mechanics.matrix.model.world import World, proxied, usable
from NetLibrary._mechanics.probing.types import Outcome

THROUGH_PROXY = ("vip", "nodeport", "loadbalancer", "externalip")
BY_NAME = ("name", "dns")


@dataclass(frozen=True, eq=False)
class Fact:
    """A judged cell and its features.

    Args:
        cell: The cell.
        case: Case of its table.
        path: Kind of its target.
        source: Name of the source.
        from_node: Node of the source.
        to_nodes: Nodes of all pods that may answer.
        to_pods: Names that may answer.
        entry: Entry node of a NodePort.
        hairpin: The source is the only pod that may answer, and it is asked through a Service.
        itself: The source asks its own address.
        to_host: The pod that is asked is on its node's network.
        large: The answer and the question do not fit into one packet.
        symptom: What is wrong; empty for a right cell.
    """

    cell: Cell
    case: str
    path: str
    source: str
    from_node: str
    to_nodes: frozenset[str]
    to_pods: frozenset[str]
    entry: str
    hairpin: bool
    itself: bool
    to_host: bool
    large: bool
    symptom: str

    @property
    def wrong(self) -> bool:
        """The cell is not as expected."""
        return bool(self.symptom)

    @property
    def proxied(self) -> bool:
        """A node's proxy has to translate the address."""
        return self.path in THROUGH_PROXY

    @property
    def service(self) -> str:
        """Service that is asked."""
        return self.cell.target.service

    @property
    def protocol(self) -> str:
        """Protocol that is used."""
        return self.cell.target.protocol

    @property
    def wants_connection(self) -> bool:
        """The cell ought to be connected."""
        return Outcome.CONNECTED in self.cell.expected.outcomes

    def crosses(self, node: str) -> bool:
        """Its packets must go into or out of a node."""
        ends = {self.from_node} | self.to_nodes | ({self.entry} if self.entry else set())
        return node in ends and len(ends) > 1

    def only_to(self, node: str) -> bool:
        """Whoever may answer is on this node."""
        return self.to_nodes == {node}


def facts_of(tables: Iterable[Table], world: World) -> list[Fact]:
    """All judged cells with their features."""
    node_of = {**world.places, **{p["metadata"]["name"]: p["spec"].get("nodeName", "") for p in world.pods}}
    found = []
    for table in tables:
        for cell in table.cells:
            if not cell.expected.judged or not (cell.expected.promised or cell.wrong):
                continue  # what nobody promises speaks neither for nor against a cause
            found.append(_fact(cell, table.case, world, node_of))
    return found


def _fact(cell: Cell, case: str, world: World, node_of: dict[str, str]) -> Fact:
    source, target = cell.source, cell.target
    pods = frozenset(cell.expected.responders or ())
    if not pods and target.kind != "dns":
        pods = frozenset(_backends(world, cell))
    nodes = frozenset(filter(None, (node_of.get(pod) or world.node_called(pod) for pod in pods)))
    if target.kind in BY_NAME:
        # the question goes to any of the DNS servers
        nodes |= frozenset(e.node for e in world.dns if e.node)
    if target.kind == "pod":
        pods, nodes = frozenset({target.pod}), frozenset({target.node})
    through_service = target.kind in THROUGH_PROXY or (target.kind == "name" and _has_address(world, target.service))
    return Fact(
        cell=cell,
        case=case,
        path=target.kind,
        source=source.name,
        from_node=source.node,
        to_nodes=nodes,
        to_pods=pods,
        entry=target.node if target.kind == "nodeport" else "",
        hairpin=through_service and pods == {source.name},
        itself=target.kind == "pod" and target.pod == source.name,
        to_host=bool((world.pod(target.pod) or {"spec": {}})["spec"].get("hostNetwork")),
        large=target.extra.startswith("size=") or target.probe == "udpsize",
        # a first attempt that was lost has its own finding; the connection came about
        symptom=cell.symptom if cell.wrong and cell.symptom != "lost" else "",
    )


def _has_address(world: World, name: str) -> bool:
    service = world.service(name)
    return service is not None and proxied(service)


def _backends(world: World, cell: Cell) -> Sequence[str]:
    service = world.service(cell.target.service)
    if service is None:
        return ()
    port = cell.target.service_port or cell.target.port
    family = 6 if ":" in cell.target.host else 4
    return [world.responder(e) for e in usable(world.endpoints(service, port, cell.target.protocol, family))]
