"""Builds a matrix on one cluster: pods and Services, all at once, and what has to be measured before it is probed."""

from __future__ import annotations

import dataclasses
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.kube.trouble import Hopeless, is_ready, problem
from NetLibrary._mechanics.kube.wait import Done, Failed, Pending
from NetLibrary._mechanics.matrix import cases
from NetLibrary._mechanics.matrix.judge.drift import drift, foreign_policies
from NetLibrary._mechanics.matrix.model import objects
from NetLibrary._mechanics.matrix.model.objects import Layout
from NetLibrary._mechanics.matrix.model.types import Outcome, Source, Table, Target
from NetLibrary._mechanics.matrix.model.world import Endpoint, Facts, World
from NetLibrary._mechanics.matrix.probe.fleet import Fleet

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Pair = tuple[Source, Target]
PRIVILEGED = {"pod-security.kubernetes.io/enforce": "privileged"}
OUTSIDE = "outside"


@dataclass(frozen=True)
class Options:
    """How a matrix is built and probed.

    Args:
        namespace: Namespace to make.
        image: agnhost image.
        pods_per_node: Pods on each node.
        nodes: Names of nodes to use; all when empty.
        node_labels: Label selector for nodes.
        host_pods: Also one pod on each node's own network.
        balancer: Seconds to wait for LoadBalancer addresses; 0 makes no such Services.
        external_name: Name outside the cluster for an ExternalName Service; empty makes none.
        prober: `auto`, `python`, `bash` or `sh`.
        limit_ms: The one time limit for everything that gets no answer.
        timeout: Seconds for pods and endpoints to get ready.
        outside: Probe from outside the cluster too.
        in_flight: Connections that are worked on at once.
    """

    namespace: str
    image: str
    pods_per_node: int = 1
    nodes: tuple[str, ...] = ()
    node_labels: str = ""
    host_pods: bool = True
    balancer: float = 10.0
    external_name: str = ""
    prober: str = "auto"
    limit_ms: int = 1500
    timeout: float = 120.0
    outside: bool = True
    in_flight: int = 300


class BuiltMatrix:
    """Pods and Services of one matrix, and everything that was seen with them.

    Args:
        cluster: Where.
        options: How.
        say: Takes progress lines.
    """

    def __init__(self, cluster: Cluster, options: Options, say: Callable[[str], None] = lambda text: None) -> None:
        self.cluster, self.options, self.say = cluster, options, say
        self.layout: Layout
        self.world = World()
        self.sources: list[Source] = []
        self.tables: dict[str, Table] = {}
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        lab = cluster.lab if options.outside else None
        self._place = lab.outside if lab is not None else None
        enter = self._place.enter if self._place is not None else ()
        self.fleet = Fleet(cluster, prefer=options.prober, outside=enter, in_flight=options.in_flight)

    def build(self) -> None:
        """Makes namespace, pods and Services, all at once, and waits for all of them together.

        Raises:
            InputError: No node fits.
            WaitFailed, WaitTimeout: No pod got ready.
        """
        options, started = self.options, time.monotonic()
        chosen, left_out = objects.choose_nodes(
            self.cluster.list("Node"), labels=options.node_labels, names=options.nodes
        )
        self.layout = Layout(
            namespace=options.namespace,
            image=options.image,
            pods=tuple(objects.pod_names(chosen, options.pods_per_node)),
            host_pods=tuple((f"host-{name[3:]}", node) for name, node in objects.pod_names(chosen, 1))
            if options.host_pods
            else (),
            # two runs on one cluster must not want the same port of a node
            host_port=21000 + zlib.crc32(options.namespace.encode()) % 8000,
            balancer=options.balancer > 0,
            external_ip=f"203.0.113.{1 + zlib.crc32(options.namespace[::-1].encode()) % 250}",
            external_name=options.external_name.rstrip("."),
            left_out=tuple(left_out),
        )
        self.cluster.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": options.namespace, "labels": PRIVILEGED}}
        )
        self._create([*objects.services(self.layout), *objects.pods(self.layout)])
        self._await_pods()
        self.seconds["pods"] = time.monotonic() - started
        self._await_endpoints()
        self._await_balancer()
        self.refresh()
        self._find_sources()
        self._measure_facts()
        self.seconds["build"] = time.monotonic() - started

    def _create(self, wanted: Sequence[Mapping[str, Any]]) -> None:
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="create") as pool:
            list(pool.map(self._create_one, wanted))

    def _create_one(self, obj: Mapping[str, Any]) -> None:
        try:
            self.cluster.create(dict(obj))
        except errors.Invalid:
            if obj["metadata"]["name"] != objects.NEAR:
                raise
            self.layout = dataclasses.replace(self.layout, near=False)

    def _why_not_near(self) -> str:
        """Whether the endpoints carry hints for nodes: older clusters do not know the value, or drop the field."""
        if not self.layout.near:
            return "this API server does not know trafficDistribution PreferSameNode"
        service = self.world.service(objects.NEAR)
        hinted = [e for e in self.world.endpoints(service, 80, "TCP") if e.for_nodes] if service else []
        return "" if hinted else "the EndpointSlices have no hints for nodes"

    def _await_pods(self) -> None:
        wanted = {name for name, _ in (*self.layout.pods, *self.layout.host_pods)}
        hopeless = Hopeless()

        def goal(pods: list[dict[str, Any]]) -> Any:
            mine = [p for p in pods if p["metadata"]["name"] in wanted]
            waiting = {p["metadata"]["name"]: problem(p) for p in mine if not is_ready(p)}
            lost = {name for name, trouble in waiting.items() if hopeless.is_it(name, trouble)}
            unready = next((p for p in pods if p["metadata"]["name"] == objects.NEVER_READY), {})
            if not lost and not unready.get("status", {}).get("podIP"):
                return Pending(f"'{objects.NEVER_READY}' has no address yet")
            if len(mine) == len(wanted) and not set(waiting) - lost:
                if not any(is_ready(p) for p in mine):
                    name, trouble = next(iter(waiting.items()))
                    return Failed(f"no pod of the matrix got ready; '{name}': {trouble.text}")
                return Done({n: waiting[n].text for n in lost})
            text = "; ".join(f"{n}: {waiting[n].text}" for n in sorted(waiting)[:3])
            return Pending(f"{len(mine) - len(waiting)}/{len(wanted)} ready" + (f" ({text})" if text else ""))

        lost = self.cluster.wait(
            "Pod", self.layout.namespace, goal, timeout=self.options.timeout, what="pods of the Service matrix"
        )
        if lost:
            keep = dataclasses.replace(
                self.layout,
                pods=tuple(p for p in self.layout.pods if p[0] not in lost),
                host_pods=tuple(p for p in self.layout.host_pods if p[0] not in lost),
                left_out=(*self.layout.left_out, *((name, reason) for name, reason in sorted(lost.items()))),
            )
            if not keep.pods:
                raise errors.WaitFailed(f"No pod of the matrix got ready: {'; '.join(map(': '.join, lost.items()))}.")
            self.layout = keep

    def _await_endpoints(self) -> None:
        """Waits until the EndpointSlices have all pods; probing before would measure the controller, not the proxy."""
        wanted = {f"to-{name}" for name, _ in (*self.layout.pods, *self.layout.host_pods)}

        def goal(slices: list[dict[str, Any]]) -> Any:
            full = {
                s["metadata"]["labels"].get("kubernetes.io/service-name")
                for s in slices
                if any((e.get("conditions") or {}).get("ready") for e in s.get("endpoints") or [])
            }
            everybody = sum(
                len(s.get("endpoints") or [])
                for s in slices
                if s["metadata"]["labels"].get("kubernetes.io/service-name") == "spread" and s["addressType"] == "IPv4"
            )
            missing = wanted - full
            if not missing and everybody >= len(self.layout.pods):
                return Done()
            return Pending(f"{len(wanted) - len(missing)}/{len(wanted)} Services have endpoints")

        self.cluster.wait(
            "EndpointSlice", self.layout.namespace, goal, timeout=self.options.timeout, what="endpoints of the matrix"
        )

    def _await_balancer(self) -> None:
        if not self.layout.balancer:
            return

        def goal(services: list[dict[str, Any]]) -> Any:
            mine = [s for s in services if s["spec"].get("type") == "LoadBalancer"]
            ready = [s for s in mine if addresses.of_load_balancer(s)]
            return Done() if len(ready) == len(mine) else Pending(f"{len(ready)}/{len(mine)} addresses")

        try:
            self.cluster.wait(
                "Service", self.layout.namespace, goal, timeout=self.options.balancer, what="LoadBalancer addresses"
            )
        except errors.WaitTimeout:
            self.notes.append(
                f"No LoadBalancer address within {self.options.balancer:g} s: this cluster has no provider for them."
            )

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
            settled=self.world.settled,
        )
        self.world.drift = drift(self.layout, self.world) if self.sources else {}
        self.world.foreign_policies = foreign_policies(self.world, self.cluster.run_id)

    def _dns_servers(self) -> list[Endpoint]:
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

    def _list(self, kind: str, namespace: str | None) -> list[dict[str, Any]]:
        try:
            return self.cluster.list(kind, namespace)
        except errors.Forbidden as error:
            if kind in ("NetworkPolicy", "Namespace"):  # the matrix works without; say what it does not know
                note = f"{kind} objects cannot be read ({error}); they are not taken into account."
                if note not in self.notes:
                    self.notes.append(note)
                return []
            raise

    def _find_sources(self) -> None:
        found = []
        for name, node in (*self.layout.pods, *self.layout.host_pods):
            pod = self.world.pod(name)
            if pod is not None:
                address, host = pod.get("status", {}).get("podIP", ""), bool(pod["spec"].get("hostNetwork"))
                found.append(Source(name, node, address, self.layout.namespace, host))
        if self._place is not None:
            found.append(Source(OUTSIDE, "", self._place.address, outside=True))
        self.sources = found
        trouble = self.fleet.start(found)
        self.notes.extend(f"{text}." for text in trouble.values())
        if OUTSIDE in trouble:
            self.sources, self._place = [s for s in found if not s.outside], None

    def _measure_facts(self) -> None:
        """Measures what no object tells and what expectations depend on."""
        inside = [s for s in self.sources if not s.outside and not s.host_network]
        wanted: list[Pair] = []
        for source in inside:
            for target in self._targets("pod ip", source):
                if target.pod.startswith("host-") and target.node != source.node and target.protocol == "TCP":
                    wanted.append((source, target))
        masqueraded: Counter[bool] = Counter()
        for source, _, seen in self.fleet.run(wanted[:12], limit_ms=self.options.limit_ms):
            for client in seen.clients:
                masqueraded[client != source.address] += 1
        first = inside[0]
        probe = Target("sctp", "check", first.address, objects.HTTP_PORT, "SCTP", "sctp")
        sctp_seen = self.fleet.run([(first, probe)], limit_ms=1000)[0][2]
        has_sctp = "not supported" not in sctp_seen.detail and sctp_seen.outcome is not Outcome.ERROR
        balanced = self.world.service("balanced")
        facts = Facts(
            pod_to_node_masqueraded=masqueraded[True] > masqueraded[False],
            balancer=bool(addresses.of_load_balancer(balanced or {})),
            outside=self._place is not None,
            outside_address=self._place.address if self._place is not None else "",
            sctp=has_sctp,
        )
        self.world = dataclasses.replace(self.world, facts=facts)
        how = "with their node's address" if facts.pod_to_node_masqueraded else "with their own address"
        measured = f"{sum(masqueraded.values())} connections" if masqueraded else "nothing could be measured; assumed"
        self.notes.append(
            f"Measured: nodes see pods of other nodes {how} ({measured}); externalTrafficPolicy Local is expected to "
            f"{'apply' if facts.pod_to_node_masqueraded else 'be skipped'} for those pods."
        )

    def _targets(self, case: str, source: Source) -> list[Target]:
        return [t for s, t in cases.CASES[case].pairs(self.layout, self.world, [source]) if s == source]
