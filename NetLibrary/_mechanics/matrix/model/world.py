"""The objects that decide where Service traffic goes, and the facts about the cluster that no object tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.model.types import Cell

Object = Mapping[str, Any]
# What the endpoints controller writes into each EndpointSlice
LAST_CHANGE = "endpoints.kubernetes.io/last-change-trigger-time"
IGNORED_LABELS = ("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless")


@dataclass(frozen=True)
class Facts:
    """What was measured, because it depends on the network plugin and on nothing that can be read.

    Args:
        pod_to_node_masqueraded: A node sees pods of other nodes with their node's address. When it does not,
            kube-proxy takes them for local pods, and externalTrafficPolicy Local is not applied to them.
        balancer: LoadBalancer Services get an address here.
        outside: There is a vantage point outside the cluster.
        outside_address: Its address.
        sctp: The kernel of the nodes has SCTP.
        addresses: All addresses that each node has, as a prober on its network reads them; a node without such a
            prober is missing.
        host_names: What the prober in a pod on the host network takes for its host's name, by name of the pod. Servers
            there answer with it, and it need not be the node's name.
        mtus: Largest packet of each pod's interface, by name of the pod.
        domain: The cluster's DNS domain, from the search list of a pod.
    """

    pod_to_node_masqueraded: bool = False
    balancer: bool = False
    outside: bool = False
    outside_address: str = ""
    sctp: bool = False
    addresses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    host_names: Mapping[str, str] = field(default_factory=dict)
    domain: str = "cluster.local"
    mtus: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Endpoint:
    """One address of an EndpointSlice for one port.

    Args:
        address: Where it listens.
        port: Port there.
        pod: Name of its pod; empty for a hand-made one.
        node: Node it is on.
        ready: Gets new connections.
        serving: Could still answer.
        terminating: Its pod is being deleted.
        for_nodes: Nodes whose proxies are asked to use it (trafficDistribution PreferSameNode).
        for_zones: Zones whose proxies are asked to use it (PreferSameZone, PreferClose, topology aware routing).
    """

    address: str
    port: int
    pod: str = ""
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    for_nodes: frozenset[str] = frozenset()
    for_zones: frozenset[str] = frozenset()


@dataclass
class World:
    """A snapshot of the objects.

    Args:
        nodes: Node objects.
        pods: Pod objects.
        services: Service objects.
        slices: EndpointSlice objects.
        policies: NetworkPolicy objects.
        namespaces: Labels of each namespace.
        facts: What was measured.
        dns: The pods behind the cluster's DNS; empty when they may not be read.
        drift: What is not as the matrix made it, by name of the Service or pod.
        settled: When the last change was made that every proxy is known to have followed.
        foreign_policies: NetworkPolicies in the matrix's namespace that somebody else made, by name.
        dns_service: Addresses of the cluster's DNS Service; empty when it is not known.
        resolvers: DNS servers that the resolver file of a source names, by source; read when names fail.
    """

    nodes: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    services: Sequence[Object] = ()
    slices: Sequence[Object] = ()
    policies: Sequence[Object] = ()
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    facts: Facts = Facts()
    dns: Sequence[Endpoint] = ()
    drift: Mapping[str, str] = field(default_factory=dict)
    settled: str = ""
    foreign_policies: Mapping[str, str] = field(default_factory=dict)
    dns_service: Sequence[str] = ()
    resolvers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def family(self) -> int:
        """The family of the pods' first addresses."""
        return 6 if any(":" in str(p.get("status", {}).get("podIP", "")) for p in self.pods) else 4

    def foreign(self, cell: Cell) -> str:
        """What to say when a cell is blocked, as it must be, by a policy that does not belong here."""
        return next((t for n, t in self.foreign_policies.items() if f"/{n} (" in cell.expected.reason), "")

    def changed(self, name: str) -> str:
        """When a Service, its endpoints or their pods changed last, as the API writes times; empty when not known."""
        service = self.service(name)
        if service is None:
            return ""
        times = [service["metadata"].get("creationTimestamp") or ""]
        for each in self.slices:
            if (each["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name:
                times.append((each["metadata"].get("annotations") or {}).get(LAST_CHANGE, ""))
        return max(times)

    def service(self, name: str) -> Object | None:
        """A Service by name."""
        return next((s for s in self.services if s["metadata"]["name"] == name), None)

    def pod(self, name: str) -> Object | None:
        """A pod by name."""
        return next((p for p in self.pods if p["metadata"]["name"] == name), None)

    def node_addresses(self, name: str) -> set[str]:
        """Addresses of a node: those that its object names, and those that a prober on its network has read."""
        found = set(self.facts.addresses.get(name, ()))
        for node in self.nodes:
            if node["metadata"]["name"] == name:
                listed = node.get("status", {}).get("addresses", [])
                found |= {a["address"] for a in listed if a["type"] in ("InternalIP", "ExternalIP")}
        return found

    def addresses_known(self, name: str) -> bool:
        """A prober on the node's own network has read all its addresses."""
        return name in self.facts.addresses

    def node_called(self, responder: str) -> str:
        """The node on whose network a server answers with this name; empty when there is none."""
        pods = {pod: name for pod, name in self.facts.host_names.items() if name == responder}
        for pod in self.pods:
            if pod["metadata"]["name"] in pods:
                return str(pod["spec"].get("nodeName", ""))
        return responder if any(n["metadata"]["name"] == responder for n in self.nodes) else ""

    def zone(self, node: str) -> str:
        """Zone of a node; empty when it has none."""
        labels = next((n["metadata"].get("labels") or {} for n in self.nodes if n["metadata"]["name"] == node), {})
        return str(labels.get("topology.kubernetes.io/zone", ""))

    def responder(self, endpoint: Endpoint) -> str:
        """The name with which the server at an endpoint answers: its pod's, or its node's on the host network."""
        pod = self.pod(endpoint.pod)
        if pod is not None:
            if pod["spec"].get("hostNetwork"):
                node = str(pod["spec"].get("nodeName", endpoint.node))
                return self.facts.host_names.get(endpoint.pod) or self._host_name(node) or node
            return str(pod["spec"].get("hostname") or endpoint.pod)
        return endpoint.pod or endpoint.address

    def _host_name(self, node: str) -> str:
        """The host name that a Node object gives."""
        for item in self.nodes:
            if item["metadata"]["name"] == node:
                named = [a["address"] for a in item.get("status", {}).get("addresses", []) if a["type"] == "Hostname"]
                return str(named[0]) if named else ""
        return ""

    def endpoints(self, service: Object, port: int, protocol: str, family: int) -> list[Endpoint]:
        """All endpoints of one port of a Service, ready or not."""
        wanted = next(
            (
                p
                for p in service["spec"].get("ports") or []
                if p["port"] == port and p.get("protocol", "TCP") == protocol
            ),
            None,
        )
        if wanted is None:
            return []
        found: dict[str, Endpoint] = {}
        for slice_ in self.slices:
            if slice_["metadata"].get("labels", {}).get("kubernetes.io/service-name") != service["metadata"]["name"]:
                continue
            if slice_.get("addressType") != f"IPv{family}":
                continue
            numbers = [
                p["port"]
                for p in slice_.get("ports") or []
                if (p.get("name") or "") == (wanted.get("name") or "") and p.get("protocol", "TCP") == protocol
            ]
            for item in slice_.get("endpoints") or []:
                state = item.get("conditions") or {}
                ready = state.get("ready") is not False
                for number in numbers:
                    found[f"{item['addresses'][0]}:{number}"] = Endpoint(
                        item["addresses"][0],
                        number,
                        (item.get("targetRef") or {}).get("name", ""),
                        item.get("nodeName") or "",
                        ready,
                        ready if state.get("serving") is None else bool(state["serving"]),
                        bool(state.get("terminating")),
                        _hints(item, "forNodes"),
                        _hints(item, "forZones"),
                    )
        return list(found.values())


def _hints(item: Object, kind: str) -> frozenset[str]:
    return frozenset(hint["name"] for hint in (item.get("hints") or {}).get(kind) or [])


def nearby(endpoints: Sequence[Endpoint], node: str, zone: str) -> list[Endpoint]:
    """The endpoints that a node's proxy uses when it follows their hints.

    Hints count only when every endpoint has some and at least one is meant for this node, or else for its zone: see
    "Topology aware routing" and KEP-3015 in the documentation of Kubernetes.
    """
    for mine, of in ((node, "for_nodes"), (zone, "for_zones")):
        if mine and endpoints and all(getattr(e, of) for e in endpoints):
            chosen = [e for e in endpoints if mine in getattr(e, of)]
            if chosen:
                return chosen
    return list(endpoints)


def usable(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Ready endpoints; when there are none, those that still serve while they terminate."""
    ready = [e for e in endpoints if e.ready]
    return ready or [e for e in endpoints if e.serving and e.terminating]


def proxied(service: Object) -> bool:
    """Tells whether kube-proxy serves a Service at all."""
    spec, labels = service["spec"], service["metadata"].get("labels") or {}
    return (
        spec.get("type") != "ExternalName"
        and spec.get("clusterIP") not in (None, "", "None")
        and not any(label in labels for label in IGNORED_LABELS)
    )
