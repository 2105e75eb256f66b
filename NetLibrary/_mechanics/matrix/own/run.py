"""Probes all Services of a namespace from every node, and judges each cell by the objects."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.connections.objects import prober
from NetLibrary._mechanics.defaults import AGNHOST_IMAGE
from NetLibrary._mechanics.kube import addresses, containers, health, looks, placement, wait
from NetLibrary._mechanics.kube.missing import no_such_namespace
from NetLibrary._mechanics.kube.selectors import selects
from NetLibrary._mechanics.matrix.judge.expect import expect
from NetLibrary._mechanics.matrix.judge.judge import UNASKED, judge
from NetLibrary._mechanics.matrix.model.objects import natural
from NetLibrary._mechanics.matrix.model.types import Cell, Table
from NetLibrary._mechanics.matrix.model.world import Facts as Measured
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.matrix.own import findings, targets
from NetLibrary._mechanics.polling import rounds
from NetLibrary._mechanics.probing.fleet import Fleet
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Pair = tuple[Source, Target]
CONTAINER = "prober"
SETTLING = 0.5
IN_FLIGHT = 2000
NO_SCTP = "the kernel of the nodes has no SCTP"
NO_DATAGRAMS = "nothing there answers datagrams"
OUTSIDE = "its EndpointSlices lead to {} outside the cluster's pods and nodes, and nothing is sent there"
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True)
class Settings:
    """What is asked, and from where.

    Args:
        services: Names of Services; all when empty.
        sources: Labels of pods of the namespace that ask; without any, a prober is started on each node.
        prober_labels: Labels of those probers.
        image: Their image.
        limit_ms: Limit of connections that get no answer.
        settle_seconds: Time in which wrong cells may become right.
        timeout_seconds: Limit for the start of probers.
    """

    services: tuple[str, ...] = ()
    sources: str = ""
    prober_labels: Mapping[str, str] = field(default_factory=dict)
    image: str = AGNHOST_IMAGE
    limit_ms: int = 1500
    settle_seconds: float = 5.0
    timeout_seconds: float = 60.0


@dataclass
class Outcomes:
    """What came of it.

    Args:
        tables: Tables by what was asked.
        found: What is wrong.
        notes: What was not asked, and why.
        services: How many Services were looked at.
    """

    tables: list[Table]
    found: list[findings.Finding]
    notes: list[str]
    services: int

    @property
    def cells(self) -> list[Cell]:
        """All cells."""
        return [cell for table in self.tables for cell in table.cells]

    @property
    def denied(self) -> dict[str, int]:
        """Policies that keep connections away, with the number of cells."""
        counted: dict[str, int] = defaultdict(int)
        for cell in self.cells:
            if cell.right and cell.expected.reason.startswith("blocked by "):
                counted[cell.expected.reason.removeprefix("blocked by ")] += 1
        return dict(counted)


class Namespace:
    """The Services of a namespace, and who asks them.

    Args:
        cluster: Where.
        namespace: Its name.
        settings: What is asked.
    """

    def __init__(self, cluster: Cluster, namespace: str, settings: Settings) -> None:
        self._cluster, self._namespace, self._settings = cluster, namespace, settings
        self._fleet = Fleet(cluster, in_flight=IN_FLIGHT)
        self._world = World()
        self._templates: dict[str, Mapping[str, str]] = {}
        self._sources: list[Source] = []
        self._may_see_nodes = True

    def check(self) -> Outcomes:
        """Asks everything and says what is wrong.

        Raises:
            InputError: There is no such namespace, no Service, or nobody who can ask.
        """
        if self._cluster.find("Namespace", self._namespace) is None:
            raise no_such_namespace(self._cluster, self._namespace)
        with contextlib.ExitStack() as stack:
            stack.callback(self._fleet.close)
            self._refresh()
            chosen = self._chosen()
            self._find_sources(stack)
            self._refresh()
            return self._probe(chosen)

    def _chosen(self) -> list[str]:
        names = [service["metadata"]["name"] for service in self._world.services]
        for name in self._settings.services:
            if name not in names:
                there = ", ".join(sorted(names)) or "none"
                raise errors.InputError(f"There is no Service '{name}' in '{self._namespace}'; there are {there}.")
        if not names:
            raise errors.InputError(f"There is no Service in the namespace '{self._namespace}'.")
        return list(self._settings.services) or names

    # --- reading --------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        kinds = ("Pod", "Service", "EndpointSlice", "NetworkPolicy", *WORKLOADS)
        with ThreadPoolExecutor(max_workers=len(kinds)) as pool:
            pods, services, slices, policies, *workloads = pool.map(self._list, kinds)
        self._templates = {
            f"{kind} {item['metadata']['name']}": item["spec"]["template"]["metadata"].get("labels") or {}
            for kind, items in zip(WORKLOADS, workloads, strict=True)
            for item in items
        }
        space = self._cluster.find("Namespace", self._namespace) or {"metadata": {}}
        domain = self._fleet.domain or self._world.facts.domain
        self._world = World(
            nodes=self._world.nodes or self._nodes(),
            pods=[p for p in pods if p.get("status", {}).get("phase") not in ("Succeeded", "Failed")],
            services=sorted(services, key=_by_name),
            slices=slices,
            policies=policies,
            namespaces={self._namespace: space["metadata"].get("labels") or {}},
            facts=dataclasses.replace(Measured(), domain=domain),
        )

    def _nodes(self) -> list[dict[str, Any]]:
        """The nodes; none where the account may not list them and pods that are there ask."""
        if self._may_see_nodes:
            try:
                return sorted(looks.look(self._cluster, "Node"), key=_by_name)
            except errors.Forbidden:
                if not self._settings.sources:
                    raise
                self._may_see_nodes = False
        return []

    def _list(self, kind: str) -> list[dict[str, Any]]:
        try:
            return self._cluster.list(kind, self._namespace)
        except errors.Forbidden:
            if kind in WORKLOADS:  # then a Service without pods is not told from a misspelt selector
                return []
            raise

    # --- who asks -------------------------------------------------------------------------------------------

    def _find_sources(self, stack: contextlib.ExitStack) -> None:
        if self._settings.sources:
            pods = [p for p in self._cluster.list("Pod", self._namespace, labels=self._settings.sources)
                    if addresses.of_pod(p) and not p["spec"].get("hostNetwork")]  # fmt: skip
            if not pods:
                raise errors.InputError(f"No pod of '{self._namespace}' has the labels '{self._settings.sources}'.")
            self._sources = [_source(pod, containers.meant(self._cluster, pod)) for pod in pods]
        else:
            self._sources = self._start_probers(stack)
        trouble = self._fleet.start(self._sources)
        self._sources = [source for source in self._sources if source.name not in trouble]
        if not self._sources:
            raise errors.InputError(f"No source can probe: {next(iter(trouble.values()))}.")

    def _start_probers(self, stack: contextlib.ExitStack) -> list[Source]:
        """A prober on each node that takes pods; they go with the measurement."""
        names: dict[str, str] = {}
        settings = self._cluster.pod_settings()
        for number, node in enumerate((n for n in self._world.nodes if not placement.keeps_away(n, settings)), 1):
            name = f"netlib-{self._cluster.run_id}-asks-{number}"
            pod = prober(name, self._namespace, image=self._settings.image, labels=self._settings.prober_labels,
                         node=node["metadata"]["name"])  # fmt: skip
            self._must_serve_nobody(pod["metadata"]["labels"])
            self._cluster.create(pod)
            stack.callback(self._cluster.delete, "Pod", name, self._namespace)
            names[name] = node["metadata"]["name"]
        for name in names:
            self._cluster.wait("Pod", self._namespace, wait.pods_ready(1, now=self._cluster.now),
                               name=name, timeout=self._settings.timeout_seconds, what=f"Prober '{name}'")  # fmt: skip
        found = [_source(self._cluster.get("Pod", name, self._namespace), CONTAINER) for name in names]
        return [dataclasses.replace(s, title=s.node, by_hand=self._by_hand(s.node)) for s in found]

    def _by_hand(self, node: str) -> str:
        """Returns the command line of a pod like a prober, which is gone by the time that somebody reads of it."""
        labels = ",".join(f"{key}={value}" for key, value in self._settings.prober_labels.items())
        overrides = json.dumps({"spec": {"nodeName": node}}, separators=(",", ":"))
        words = ["kubectl", "run", "asks", "-n", self._namespace, "--rm", "-i", "--restart=Never",
                 f"--image={self._settings.image}", *([f"--labels={labels}"] if labels else []),
                 f"--overrides={overrides}", "--command", "--"]  # fmt: skip
        return shlex.join(words)

    def _must_serve_nobody(self, labels: Mapping[str, str]) -> None:
        for service in self._world.services:
            selector = service["spec"].get("selector")
            if selector and selects({"matchLabels": selector}, labels):
                name = service["metadata"]["name"]
                raise errors.InputError(
                    f"Probers with these labels would become endpoints of Service '{name}', which selects {selector}; "
                    "give other prober_labels, or use existing pods with sources=."
                )

    # --- probing --------------------------------------------------------------------------------------------

    def _probe(self, chosen: Sequence[str]) -> Outcomes:
        started = time.monotonic()
        cells: dict[str, dict[Pair, Cell]] = {}
        notes: dict[str, str] = {}
        for turn, _ in enumerate(
            rounds(timeout=self._settings.settle_seconds, every=SETTLING, what="Connections as the Services say")
        ):
            if turn:
                self._refresh()
            wanted = self._wanted(chosen, notes)
            kept = {kind: {p: c for p, c in cells.get(kind, {}).items() if c.right} for kind in wanted}
            asked = [pair for kind, pairs in wanted.items() for pair in pairs if pair not in kept[kind]]
            seen = dict(
                zip(asked, (o for _, _, o in self._fleet.run(asked, limit_ms=self._settings.limit_ms)), strict=True)
            )
            cells = {
                kind: {p: kept[kind].get(p) or self._judge(*p, seen[p]) for p in pairs}
                for kind, pairs in wanted.items()
            }
            _leave_out_datagrams([cell for some in cells.values() for cell in some.values()], notes)
            every = [cell for some in cells.values() for cell in some.values()]
            facts = findings.Facts(self._world, self._templates, every)
            found = findings.findings(facts, chosen)
            if not found and not any(cell.wrong for cell in every):
                break
        tables = [Table(kind, f"{kind} of {self._namespace}", list(some.values()), time.monotonic() - started)
                  for kind, some in cells.items() if some]  # fmt: skip
        for table in tables:
            table.probers = {s.name: self._fleet.flavours.get(s.name, "") for s in table.sources}
        return Outcomes(tables, found, list(notes.values()), len(chosen))

    def _wanted(self, chosen: Sequence[str], notes: dict[str, str]) -> dict[str, list[Pair]]:
        families = sorted({addresses.family_of(s.address) for s in self._sources} | self._families())
        found: dict[str, list[Pair]] = defaultdict(list)
        for service in self._world.services:
            name = service["metadata"]["name"]
            if name not in chosen:
                continue
            stranger = targets.leads_outside(self._world, service)
            if stranger:
                notes[name] = f"Service '{name}' is not probed: {OUTSIDE.format(stranger)}."
                continue
            for kind, target in targets.of_service(self._world, service, self._namespace, families):
                found[kind] += [(source, target) for source in self._sources]
        ports = [port for service in self._world.services for port in service["spec"].get("ports") or []]
        if not self._may_see_nodes and any(port.get("nodePort") for port in ports):
            notes["nodes"] = "NodePorts are not asked: the account may not list nodes."
        if targets.NODE_PORTS in found:
            for node in self._world.nodes:
                name, why = node["metadata"]["name"], health.cannot_run(dict(node))
                if why:
                    notes[f"node {name}"] = f"NodePorts of node '{name}' are not asked: {why}."
        return found

    def _families(self) -> set[int]:
        pods = [self._world.pod(source.name) for source in self._sources]
        return {addresses.family_of(a) for pod in pods if pod is not None for a in addresses.of_pod(dict(pod))}

    def _judge(self, source: Source, target: Target, seen: Observation) -> Cell:
        # how long programs of the user's and their nodes may take is not ours to say
        expected = dataclasses.replace(expect(self._world, source, target), slow_ms=None)
        if seen.outcome is Outcome.ERROR and "not supported" in seen.detail:
            expected = dataclasses.replace(expected, judged=False, reason=NO_SCTP)
        if target.probe in ("connect", "udp", "sctp") and seen.outcome is Outcome.CONNECTED:
            # whoever answers was not asked for his name: it is a program of the user's
            seen = dataclasses.replace(seen, detail=UNASKED, responders=type(seen.responders)())
        return judge(source, target, expected, seen)


def _leave_out_datagrams(cells: Sequence[Cell], notes: dict[str, str]) -> None:
    """Where nothing ever answers datagrams, silence says nothing: programs need not know our question."""
    by_port: dict[tuple[str, int], list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.target.protocol == "UDP" and cell.target.probe == "udp":
            by_port[cell.target.service, cell.target.service_port].append(cell)
    for (service, port), some in by_port.items():
        outcomes = {cell.observed.outcome for cell in some}
        if outcomes <= {Outcome.TIMEOUT}:
            for cell in some:
                cell.expected = dataclasses.replace(cell.expected, judged=False, reason=NO_DATAGRAMS)
            notes[f"{service}:{port}/UDP"] = f"Port {port}/UDP of Service '{service}' is not judged: {NO_DATAGRAMS}."


def _by_name(obj: Mapping[str, Any]) -> list[Any]:
    return natural(str(obj["metadata"]["name"]))


def _source(pod: dict[str, Any], container: str) -> Source:
    meta = pod["metadata"]
    node = str(pod["spec"].get("nodeName") or "")
    return Source(meta["name"], node, addresses.of_pod(pod)[0], meta["namespace"], container=container)
