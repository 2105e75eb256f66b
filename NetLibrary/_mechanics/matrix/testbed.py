"""What one matrix consists of on its cluster: pods, Services, probers, and the objects as they are now."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.matrix.judge.drift import drift, foreign_policies
from NetLibrary._mechanics.matrix.model.objects import Layout, pods, services
from NetLibrary._mechanics.matrix.model.world import Endpoint, Facts, World
from NetLibrary._mechanics.probing.fleet import Fleet
from NetLibrary._mechanics.probing.types import Source, Target

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Pair = tuple[Source, Target]


@dataclass(frozen=True)
class Options:
    """How a matrix is built and probed.

    Args:
        namespace: Namespace to make.
        image: agnhost image.
        prober_image: Image of a container beside agnhost that probes; empty lets agnhost's probe.
        pods_per_node: Pods on each node.
        nodes: Names of nodes to use; all when empty.
        node_labels: Label selector for nodes.
        host_pods: Also one pod on each node's own network.
        balancer: Seconds to wait for LoadBalancer addresses; 0 makes no such Services.
        external_name: Name outside the cluster for an ExternalName Service; empty makes none.
        external_ip: Address for the Service with externalIPs; a node's own address when empty.
        prober: `auto`, `python`, `bash`, `sh` or `agnhost`.
        limit_ms: The one time limit for everything that gets no answer.
        timeout: Seconds for pods and endpoints to get ready.
        outside: Probe from outside the cluster too.
        in_flight: Connections that are worked on at once.
        look_at_nodes: Start pods that read the firewall rules of nodes once something has to be explained.
    """

    namespace: str
    image: str
    pods_per_node: int = 1
    nodes: tuple[str, ...] = ()
    node_labels: str = ""
    host_pods: bool = True
    balancer: float = 10.0
    external_name: str = ""
    external_ip: str = ""
    prober: str = "auto"
    limit_ms: int = 1500
    timeout: float = 120.0
    outside: bool = True
    in_flight: int = 300
    look_at_nodes: bool = True
    prober_image: str = ""


@dataclass
class Testbed:
    """Pods and Services of one matrix, and what is known about them.

    Args:
        cluster: Where they are.
        options: How they were asked for.
        layout: Which pods and Services there are.
        fleet: The probers.
        sources: Where probes start.
        world: The objects as they were read last.
        notes: Facts that the reader should know.
        seconds: How long each step took.
        unfounded: Why a Service leads nowhere in this matrix, by its name.
        own_namespace: The matrix has made its namespace; else it works in somebody's.
        refused: What the API server said to objects that it refused, by name of the Service or pod.
    """

    __test__ = False  # pytest takes the name for a test

    cluster: Cluster
    options: Options
    layout: Layout
    fleet: Fleet
    sources: list[Source] = field(default_factory=list)
    world: World = field(default_factory=World)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    unfounded: dict[str, str] = field(default_factory=dict)
    own_namespace: bool = True

    def refresh(self) -> None:
        """Reads all objects that decide where traffic goes."""
        namespace = self.layout.namespace
        kinds: tuple[tuple[str, str | None], ...] = (
            ("Node", None), ("Pod", namespace), ("Service", namespace), ("EndpointSlice", namespace),
            ("NetworkPolicy", namespace), ("Namespace", None),
        )  # fmt: skip
        with ThreadPoolExecutor(max_workers=len(kinds)) as pool:
            nodes, pods, services, slices, policies, spaces = pool.map(lambda k: self._list(*k), kinds)
        names = {node for _, node in (*self.layout.pods, *self.layout.host_pods)}
        self.world = World(
            nodes=[n for n in nodes if n["metadata"]["name"] in names],
            pods=[p for p in pods if p.get("status", {}).get("phase") not in ("Succeeded", "Failed")],
            services=services,
            slices=slices,
            policies=policies,
            namespaces={n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in spaces},
            facts=self.world.facts,
            dns=self._dns_servers(),
            dns_service=self.world.dns_service or self._dns_addresses(),
            resolvers=self.world.resolvers,
            settled=self.world.settled,
            places={**self.world.places, **{p["metadata"]["name"]: p["spec"].get("nodeName") or "" for p in pods}},
        )
        changed = drift(self.layout, self.world) if self.sources else {}
        self.world.drift = {name: text for name, text in changed.items() if name not in self.left_out}
        self.world.foreign_policies = foreign_policies(self.world, self.cluster.run_id)

    @property
    def left_out(self) -> dict[str, str]:
        """Why nobody asks a Service or pod, by its name."""
        return {name: f"the API server refused it: {text}" for name, text in self.refused.items()} | self.unfounded

    def learn(self, facts: Facts) -> None:
        """Takes what was measured."""
        self.world = dataclasses.replace(self.world, facts=facts)

    def note(self, text: str) -> None:
        """Keeps a fact for the reader, once."""
        if text not in self.notes:
            self.notes.append(text)

    def remove(self) -> None:
        """Deletes the namespace, or in somebody else's the objects of the matrix; does not wait for the end."""
        if self.own_namespace:
            self.cluster.delete("Namespace", self.options.namespace)
            return
        for kind, made in (("Pod", pods(self.layout)), ("Service", services(self.layout))):
            for each in made:
                name = each["metadata"]["name"]
                if name not in self.refused:
                    with contextlib.suppress(errors.NotFound):
                        self.cluster.delete(kind, name, self.options.namespace)

    def close(self) -> None:
        """Ends the probers; the objects go with the run."""
        self.fleet.close()

    def _dns_servers(self) -> Sequence[Endpoint]:
        """Where the cluster's DNS runs: that decides which names a fault of a node or a link hits."""
        try:
            servers = addresses.dns_servers(self.cluster)
        except errors.ClusterError:  # the matrix works without
            return []
        family = addresses.family_of(servers[0].address) if servers else 0  # the one that pods ask
        return [
            Endpoint(server.address, 53, server.pod, server.node)
            for server in servers
            if addresses.family_of(server.address) == family
        ]

    def _dns_addresses(self) -> Sequence[str]:
        """Addresses that pods have to ask."""
        try:
            service = addresses.dns_service(self.cluster)
        except errors.ClusterError:  # the matrix works without
            return ()
        return addresses.of_service(service) if service is not None else ()

    def _list(self, kind: str, namespace: str | None) -> list[dict[str, Any]]:
        try:
            return self.cluster.list(kind, namespace)
        except errors.Forbidden as error:
            if kind in ("NetworkPolicy", "Namespace"):  # the matrix works without; say what it does not know
                self.note(f"{kind} objects cannot be read ({error}); they are not taken into account.")
                return []
            raise
