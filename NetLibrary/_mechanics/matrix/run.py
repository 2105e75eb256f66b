"""One matrix on one cluster: builds it, probes cases, retries until right, diagnoses, removes it."""

from __future__ import annotations

import dataclasses
import statistics
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.wait import Done, Failed, Pending, is_ready, problem
from NetLibrary._mechanics.matrix import cases, objects
from NetLibrary._mechanics.matrix.alive import UNHEARD
from NetLibrary._mechanics.matrix.diagnose import Finding, diagnose, unexplained
from NetLibrary._mechanics.matrix.drift import drift, foreign_policies
from NetLibrary._mechanics.matrix.expect import expect
from NetLibrary._mechanics.matrix.fleet import STARVED, Fleet
from NetLibrary._mechanics.matrix.judge import judge
from NetLibrary._mechanics.matrix.objects import Layout
from NetLibrary._mechanics.matrix.types import Cell, Expected, Observation, Outcome, Source, Table, Target
from NetLibrary._mechanics.matrix.world import Endpoint, Facts, World

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Pair = tuple[Source, Target]
Override = Callable[[Source, Target, Expected], Expected]
PRIVILEGED = {"pod-security.kubernetes.io/enforce": "privileged"}
OUTSIDE = "outside"
# After a cell was right late, this many connections in a row must be right; else it flaps
PROOF = 6
# While Services are being programmed, an unanswered probe tells only that it was too early
SHORT_MS = 300
# Seconds for refusals that a node may be too rate-limited to send
RATE_LIMITED = 5.0
# As long as each round finds fewer wrong cells, rounds go on for this many seconds more
SETTLING = 15.0


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


class Matrix:
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

    # --- building -------------------------------------------------------------------------------------

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
        patience: dict[str, float] = {}

        def goal(pods: list[dict[str, Any]]) -> Any:
            mine = [p for p in pods if p["metadata"]["name"] in wanted]
            waiting = {p["metadata"]["name"]: problem(p) for p in mine if not is_ready(p)}
            for name, (_, hopeless) in waiting.items():
                if hopeless:
                    patience.setdefault(name, time.monotonic())
                else:
                    patience.pop(name, None)
            lost = {n for n, since in patience.items() if time.monotonic() - since > 10}
            unready = next((p for p in pods if p["metadata"]["name"] == objects.NEVER_READY), {})
            if not lost and not unready.get("status", {}).get("podIP"):
                return Pending(f"'{objects.NEVER_READY}' has no address yet")
            if len(mine) == len(wanted) and not set(waiting) - lost:
                if not any(is_ready(p) for p in mine):
                    name, (text, _) = next(iter(waiting.items()))
                    return Failed(f"no pod of the matrix got ready; '{name}': {text}")
                return Done({n: waiting[n][0] for n in lost})
            text = "; ".join(f"{n}: {t}" for n, (t, _) in sorted(waiting.items())[:3])
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
            ready = [s for s in mine if (s.get("status") or {}).get("loadBalancer", {}).get("ingress")]
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
            slices = self.cluster.list("EndpointSlice", "kube-system", labels="kubernetes.io/service-name=kube-dns")
        except errors.ClusterError:  # forbidden, or another DNS: the matrix works without
            return []
        return [
            Endpoint(e["addresses"][0], 53, (e.get("targetRef") or {}).get("name", ""), e.get("nodeName") or "")
            for each in slices
            if each.get("addressType") == "IPv4"
            for e in each.get("endpoints") or []
            if (e.get("conditions") or {}).get("ready") is not False
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
            balancer=bool(((balanced or {}).get("status") or {}).get("loadBalancer", {}).get("ingress")),
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

    # --- probing ----------------------------------------------------------------------------------------

    def lacking(self, case: cases.CaseKind) -> str:
        """Why a case cannot be run here; empty when it can."""
        facts = self.world.facts
        dual = any(len(p.get("status", {}).get("podIPs") or []) > 1 for p in self.world.pods)
        reasons = {
            "balancer": "" if facts.balancer else "no LoadBalancer address was given out, so there is no provider",
            "outside": "" if facts.outside else "there is no vantage point outside the cluster",
            "sctp": "" if facts.sctp else "the kernel of the nodes does not support SCTP",
            "dual stack": "" if dual else "pods have addresses of one family only",
            "near": self._why_not_near(),
            "outside name": "" if self.layout.external_name else "no name was given ('external_name')",
            "host pods": "" if self.layout.host_pods else "there are no pods on the host network",
        }
        return "; ".join(filter(None, (reasons[need] for need in case.needs)))

    def check(self, name: str, *, settle: float = 3.0, override: Override | None = None) -> Table:
        """Probes a case until it is right, `settle` seconds at the most, and keeps its table.

        Args:
            name: Case of the catalogue.
            settle: Seconds for wrong cells to become right.
            override: Changes what is expected of a cell.
        """
        case = cases.case_kind(name)
        pairs = list(case.pairs(self.layout, self.world, self.sources))
        table = self.probe(case.key, case.title, pairs, settle=settle, override=override)
        self.tables[case.key] = table
        return table

    def check_all(self, names: Sequence[str], *, settle: float = 3.0) -> list[Table]:
        """Probes several cases in one go, so that all blocked cells of all of them wait in the same time limit."""
        kinds = [cases.case_kind(name) for name in names]
        pairs = {k.key: list(k.pairs(self.layout, self.world, self.sources)) for k in kinds if not self.lacking(k)}
        together = list(dict.fromkeys(pair for some in pairs.values() for pair in some))
        whole = self.probe("", "", together, settle=settle) if together else Table("", "", [])
        by_pair = {(c.source, c.target): c for c in whole.cells}
        found = []
        for kind in kinds:
            if kind.key in pairs:
                table = Table(kind.key, kind.title, [by_pair[p] for p in pairs[kind.key]], whole.seconds)
                self.tables[kind.key] = table
                found.append(table)
        return found

    def probe(
        self,
        key: str,
        title: str,
        pairs: Sequence[Pair],
        *,
        settle: float = 3.0,
        limit_ms: int | None = None,
        override: Override | None = None,
        steady: bool = True,
    ) -> Table:
        """Probes pairs and judges them against the objects as they are.

        Wrong cells are probed again until they are right. When the table is steady (nothing was changed just before),
        a cell that got right only later has to be right several times in a row, or it counts as flapping.
        """
        started = time.monotonic()
        limit = limit_ms or self.options.limit_ms
        cells: dict[Pair, Cell] = {}
        open_pairs, rounds, pause = list(pairs), 0, 0.05
        first_wrong: dict[Pair, Cell] = {}
        proven: set[Pair] = set()
        lossy, quiet_since = False, 0.0
        while open_pairs:
            rounds += 1
            before = len(open_pairs)
            asked = [_hurried(pair, cells.get(pair)) for pair in open_pairs]
            answers = self.fleet.run(asked, limit_ms=limit, gently=rounds > 1)
            for pair, (_, _, seen) in zip(open_pairs, answers, strict=True):
                seen.rounds = rounds
                cell = self._judge(*pair, seen, override)
                if cell.right:
                    seen.right_after_s = round(time.monotonic() - started, 3)
                elif rounds == 1:
                    first_wrong[pair] = cell
                cells[pair] = cell
            _excuse_rate_limited(cells)
            if steady and rounds > 1:
                late = [
                    p for p in first_wrong if p not in proven and not cells[p].wrong and _wants_connection(cells[p])
                ]
                proven.update(late)
                self._prove(late, cells, first_wrong, limit, override)
                # part of the connections is lost: more rounds would only hide it
                lossy = lossy or any(cells[p].symptom == "flapping" for p in late)
            wrong = [p for p in pairs if p in cells and cells[p].wrong and not _unheard(cells[p])]
            # a fault stays as it is; as long as cells get right, the network or the machine has not settled
            better = len(wrong) < before and (rounds > 1 or len(wrong) < before / 2)
            settling = SETTLING if rounds == 1 or (better and not lossy) else 0.0
            spent = time.monotonic() - started + pause - settling
            limited = [p for p in wrong if _may_be_rate_limited(cells[p])]
            open_pairs = [p for p in wrong if p not in set(limited) and spent <= settle + _patience(cells[p])]
            if not open_pairs and limited:
                # Linux sends a client one ICMP error a second, after a burst of six: these wait until nothing else asks
                quiet_since = quiet_since or time.monotonic()
                open_pairs = limited if time.monotonic() - quiet_since < RATE_LIMITED else []
            if open_pairs:
                time.sleep(1.1 if open_pairs is limited else pause)
                pause = min(1.0, pause * 2)
                self.refresh()
        table = Table(key, title, [cells[pair] for pair in pairs], time.monotonic() - started)
        table.probers = {s.name: self.fleet.flavours.get(s.name, "") for s in table.sources}
        return table

    def _prove(
        self,
        late: Sequence[Pair],
        cells: dict[Pair, Cell],
        before: Mapping[Pair, Cell],
        limit: int,
        override: Override | None,
    ) -> None:
        again = {(s, dataclasses.replace(t, repeat=max(PROOF, t.repeat))): (s, t) for s, t in late}
        failed: set[Pair] = set()
        for attempt in (1, 2):
            open_pairs = [p for p, (s, t) in again.items() if attempt == 1 or (s, t) in failed]
            for source, target, seen in self.fleet.run(open_pairs, limit_ms=limit, gently=True):
                pair = again[source, target]
                cell = self._judge(source, pair[1], seen, override)
                if cell.symptom in ("blocked", "flapping", "dns") and sum(seen.failures.values()) < 2:
                    cell = dataclasses.replace(cell, right=True, symptom="", why="")  # one lost connection is no fault
                if cell.wrong and attempt == 1:
                    failed.add(pair)
                    continue
                failed.discard(pair)
                self._settle_late(pair, cell, seen, cells, before)

    def _settle_late(
        self, pair: Pair, cell: Cell, seen: Observation, cells: dict[Pair, Cell], before: Mapping[Pair, Cell]
    ) -> None:
        if cell.wrong:
            seen.rounds = cells[pair].observed.rounds + 1
            cells[pair] = dataclasses.replace(
                cell, symptom="flapping" if cell.symptom in ("blocked", "slow", "dns") else cell.symptom
            )
        else:
            cells[pair].observed.detail = f"late: at first {before[pair].observed}"

    def _judge(self, source: Source, target: Target, seen: Observation, override: Override | None) -> Cell:
        expected = expect(self.world, source, target)
        if override is not None:
            expected = override(source, target, expected)
        cell = judge(source, target, expected, seen)
        changed = self.world.drift.get(target.service) or self.world.drift.get(target.pod) or self.world.foreign(cell)
        if changed and cell.right:
            # what it is now is what the table shows; that is not what it has to be
            cell = dataclasses.replace(cell, right=False, symptom="object", why=changed)
        return cell

    # --- conclusions ------------------------------------------------------------------------------------

    def findings(self, *, ask: bool = True) -> list[Finding]:
        """Explains the wrong cells of all tables so far; asks the follow-up questions."""
        tables = list(self.tables.values())
        if ask and any(t.wrong for t in tables) and "pod ip" not in self.tables:
            # nothing tells a Service's fault from a pod's or a node's as well as the pods' own addresses do
            pairs = list(cases.pod_ip(self.layout, self.world, self.sources))
            tables.append(self.probe("pod ip", cases.CASES["pod ip"].title, pairs, settle=0.0))
        found = diagnose(tables, self.world)
        if ask:
            self._ask(found)
            found = [unexplained(f) if f.refuted_loss else f for f in found]
        return found

    def _ask(self, found: Sequence[Finding]) -> None:
        questions = [q for finding in found for q in finding.follow_ups]
        wanted = list(dict.fromkeys((q.source, q.target) for q in questions))
        seen = {(s, t): o for s, t, o in self.fleet.run(wanted, limit_ms=self.options.limit_ms)}
        for question in questions:
            observed = seen[question.source, question.target]
            if observed.outcome is Outcome.ERROR:
                continue  # a question that could not be asked says neither
            question.settle(observed, right=not self._judge(question.source, question.target, observed, None).wrong)

    def programming(self, *, timeout: float = 30.0) -> dict[str, list[float]]:
        """Probes all ClusterIPs from all pods until right; seconds until each node's cells were right, by node."""
        started = time.monotonic()
        # TCP alone: a datagram that comes before the rules leaves an untranslated connection tracking entry behind, and
        # half a minute later a new socket with the same source port would run into it
        pairs = [
            pair
            for pair in cases.cluster_ip(self.layout, self.world, [s for s in self.sources if not s.outside])
            if pair[1].protocol == "TCP"
        ]
        table = self.probe(
            "programming", "Programming of new Services", pairs, settle=timeout, limit_ms=SHORT_MS, steady=False
        )
        self.tables["programming"] = table
        self.seconds["programming"] = time.monotonic() - started
        by_node: dict[str, list[float]] = defaultdict(list)
        if not table.wrong:
            self.world.settled = max(
                (self.world.changed(s["metadata"]["name"]) for s in self.world.services), default=""
            )
        for cell in table.cells:
            if cell.observed.right_after_s is not None and cell.right:
                by_node[cell.source.node].append(cell.observed.right_after_s)
        return dict(by_node)

    def close(self) -> None:
        """Ends the probers; the objects go with the run."""
        self.fleet.close()


def _wants_connection(cell: Cell) -> bool:
    return Outcome.CONNECTED in cell.expected.outcomes


def _may_be_rate_limited(cell: Cell) -> bool:
    return cell.observed.outcome is Outcome.TIMEOUT and Outcome.REFUSED in cell.expected.outcomes


def _hurried(pair: Pair, before: Cell | None) -> Pair:
    """Without its own, longer time limit once it was used up: that only tells a late answer from none."""
    if before is None or before.observed.outcome not in (Outcome.TIMEOUT, Outcome.DNS):
        return pair
    return pair[0], dataclasses.replace(pair[1], limit_ms=0)


def _unheard(cell: Cell) -> bool:
    return cell.observed.outcome is Outcome.ERROR and UNHEARD in cell.observed.detail


def _patience(cell: Cell) -> float:
    """Seconds beyond the limit during which a wrong cell may still become right for reasons outside the network."""
    if cell.observed.detail.startswith(STARVED):
        return 45.0
    return 0.0


def _excuse_rate_limited(cells: dict[Pair, Cell]) -> None:
    """Accepts time-outs in place of refusals where the source was refused elsewhere in the same table.

    A node refuses by ICMP, and Linux limits that to one error a second for each client (`icmp_ratelimit`), so of many
    refused cells of one source only the first few can show it.
    """
    refused = {
        (source, target.protocol)
        for (source, target), cell in cells.items()
        if cell.right and cell.observed.outcome is Outcome.REFUSED
    }
    for (source, target), cell in cells.items():
        if cell.wrong and _may_be_rate_limited(cell) and (source, target.protocol) in refused:
            cell.right, cell.symptom = True, ""
            cell.observed.detail = "no refusal in time: the node limits its ICMP errors to one a second"


def latency_rows(by_node: Mapping[str, Sequence[float]]) -> list[tuple[str, int, float, float, float]]:
    """(node, cells, min, median, max) in seconds."""
    return [
        (node, len(values), min(values), statistics.median(values), max(values))
        for node, values in sorted(by_node.items())
        if values
    ]


__all__ = ["Matrix", "Options", "latency_rows"]
