"""One matrix on one cluster: probes cases, retries until right, diagnoses, removes it."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.matrix import cases
from NetLibrary._mechanics.matrix.explain.diagnose import Finding
from NetLibrary._mechanics.matrix.explaining import Explaining
from NetLibrary._mechanics.matrix.known import Known
from NetLibrary._mechanics.matrix.losses import Losses
from NetLibrary._mechanics.matrix.model.objects import NEAR, Layout
from NetLibrary._mechanics.matrix.model.types import Cell, Table
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.matrix.readiness import without_address
from NetLibrary._mechanics.matrix.rounds import BROKEN_SETTLE, OUT_OF_REACH, Override, Patience, Rounds
from NetLibrary._mechanics.matrix.testbed import Options, Pair, Testbed
from NetLibrary._mechanics.probing.fleet import Fleet
from NetLibrary._mechanics.probing.types import BLOCKED, Observation, Source, Target

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

# A node that has programmed nothing for so many seconds, while others are done, is not waited for
LAGGARDS = 8.0
# While Services are being programmed, an unanswered probe tells only that it was too early
SHORT_MS = 300


class Matrix:
    """A testbed that is probed, judged and explained.

    Args:
        testbed: Pods and Services, from `building.Builder`.
    """

    def __init__(self, testbed: Testbed) -> None:
        self.testbed = testbed
        self.tables: dict[str, Table] = {}
        self.losses = Losses(testbed)
        self.lost: list[Finding] = []
        self.told: dict[tuple[str, str], str] = {}
        self._explaining = Explaining(testbed, self.judge)

    @property
    def cluster(self) -> Cluster:
        """Where it is."""
        return self.testbed.cluster

    @property
    def options(self) -> Options:
        """How it was asked for."""
        return self.testbed.options

    @property
    def layout(self) -> Layout:
        """Which pods and Services it has."""
        return self.testbed.layout

    @property
    def world(self) -> World:
        """The objects as they were read last."""
        return self.testbed.world

    @property
    def sources(self) -> list[Source]:
        """Where probes start."""
        return self.testbed.sources

    @property
    def fleet(self) -> Fleet:
        """Its probers."""
        return self.testbed.fleet

    @property
    def seconds(self) -> dict[str, float]:
        """How long each step took."""
        return self.testbed.seconds

    def refresh(self) -> None:
        """Reads all objects that decide where traffic goes."""
        self.testbed.refresh()

    def pairs(self, case: cases.CaseKind) -> list[Pair]:
        """Who asks what in a case, without Services that were refused or lead nowhere."""
        found = case.pairs(self.layout, self.world, self.sources)
        left_out = self.testbed.left_out
        return [pair for pair in found if pair[1].service not in left_out]

    def lacking(self, case: cases.CaseKind) -> str:
        """Why a case cannot be run here; empty when it can."""
        left_out = self.testbed.left_out
        pairs = list(case.pairs(self.layout, self.world, self.sources))
        asked = {target.service for _, target in pairs if target.service}
        if asked and asked <= set(left_out):
            return "; ".join(dict.fromkeys(left_out[name] for name in sorted(asked)))
        facts = self.world.facts
        dual = any(len(p.get("status", {}).get("podIPs") or []) > 1 for p in self.world.pods)
        reasons = {
            "balancer": "" if facts.balancer else self._why_no_balancer(),
            "outside": "" if facts.outside else "there is no vantage point outside the cluster",
            "sctp": "" if facts.sctp else "the kernel of the nodes does not support SCTP",
            "dual stack": "" if dual else "pods have addresses of one family only",
            "external ip": "" if self.layout.external_ip else "no address was given ('external_ip')",
            "near": self._why_not_near(),
            "outside name": "" if self.layout.external_name else "no name was given ('external_name')",
            "host pods": "" if self.layout.host_pods else self._why_no_host_pods(),
        }
        found = [reasons[need] for need in case.needs]
        why = "; ".join(filter(None, (*found, self.beyond_prober(case.key))))
        # a row without a cell would pass and have shown nothing
        return why or ("" if pairs else "there is no pod to probe from, or none to probe")

    def _why_no_host_pods(self) -> str:
        why = [text for names, text in self.layout.left_out_together() if names[0].startswith("host-")]
        return "; ".join(("there are no pods on the host network", *why))

    def _why_no_balancer(self) -> str:
        """Names lead through something outside of the cluster, whose rules are not those of Services."""
        given = addresses.of_load_balancer(self.world.service("balanced") or {})
        others = [service["metadata"]["name"] for service in self.world.services if addresses.of_load_balancer(service)]
        if not given and others:
            return without_address("balanced", others[0])
        if not given:
            return "no LoadBalancer address was assigned, so there is no provider"
        return f"the load balancer has a name ('{given[0]}') and no address; what is behind it is not known"

    def beyond_prober(self, name: str) -> str:
        """Why the chosen prober cannot tell what a case asks; empty when it can."""
        if self.options.prober in ("agnhost", "sh") and name.startswith(("affinity", "udp flows", "large packets")):
            return "'agnhost connect' does not tell who answers and keeps no flow; another prober does"
        return ""

    def _why_not_near(self) -> str:
        """Whether the endpoints carry hints for nodes: older clusters do not know the value, or drop the field."""
        if not self.layout.near:
            return "this API server does not know trafficDistribution PreferSameNode"
        service = self.world.service(NEAR)
        every = self.world.endpoints(service, 80, "TCP", self.world.family) if service else []
        hinted = [each for each in every if each.for_nodes]
        return "" if hinted else "the EndpointSlices have no hints for nodes"

    @property
    def broken(self) -> bool:
        """Some row is wrong for good, or packets are known to be lost."""
        # a pod that did not answer once, when the matrix was new, is given its time in the first row
        known = any(c.why != OUT_OF_REACH for t in self.tables.values() for c in t.wrong)
        return known or self.losses.known()

    def judge_first_attempts(self, table: Table) -> None:
        """Finds out about first attempts that were lost; cells become wrong where packets go on being lost."""
        if table.case == "programming" or any(c.transient for c in table.cells):
            return
        wrong = [c for t in (*self.tables.values(), table) for c in t.wrong if c.symptom != "lost"]
        blocked = any(c.observed.outcome in BLOCKED and not c.observed.mixed for c in wrong)
        finding = self.losses.judge(table, broken=blocked)
        if finding is None:
            return
        same = next((f for f in self.lost if (f.key, f.subject) == (finding.key, finding.subject)), None)
        if same is not None:
            same.evidence.extend(finding.evidence)
        else:
            self.lost.append(finding)

    def forget(self) -> None:
        """Forgets all tables and what was found with them."""
        self.tables.clear()
        self.lost.clear()
        self.told.clear()
        self._explaining = Explaining(self.testbed, self.judge)
        self.losses = Losses(self.testbed)

    def check(self, name: str, *, settle: float = 3.0, override: Override | None = None) -> Table:
        """Probes a case until it is right, `settle` seconds at the most, and keeps its table.

        Args:
            name: Case of the catalogue.
            settle: Seconds for wrong cells to become right.
            override: Changes what is expected of a cell.
        """
        case = cases.case_kind(name)
        table = self.probe(case.key, case.title, self.pairs(case), settle=settle, override=override)
        self.judge_first_attempts(table)
        self.tables[case.key] = table
        return table

    def check_all(self, names: Sequence[str], *, settle: float = 3.0) -> list[Table]:
        """Probes several cases in one go, so that all blocked cells of all of them wait in the same time limit."""
        kinds = [cases.case_kind(name) for name in names]
        pairs = {k.key: self.pairs(k) for k in kinds if not self.lacking(k)}
        together = list(dict.fromkeys(pair for some in pairs.values() for pair in some))
        whole = self.probe("", "", together, settle=settle) if together else Table("", "", [])
        by_pair = {(c.source, c.target): c for c in whole.cells}
        found = []
        for kind in kinds:
            if kind.key in pairs:
                table = Table(kind.key, kind.title, [by_pair[p] for p in pairs[kind.key]], whole.seconds)
                self.judge_first_attempts(table)
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
        broken = self.broken and steady
        patience = Patience(
            # a fault is known already: what it breaks does not get right by being waited for
            settle=min(settle, BROKEN_SETTLE) if broken else settle,
            limit_ms=limit_ms or self.options.limit_ms,
            steady=steady,
            broken=broken,
        )
        return Rounds(self.testbed, self._explaining.known, patience, override).run(key, title, pairs)

    def explains(self, cell: Cell) -> bool:
        """Tells whether what is wrong in a cell is what a known cause makes wrong there."""
        return self._explaining.known.explains(cell, self.world)

    def judge(self, source: Source, target: Target, seen: Observation) -> Cell:
        """Judges what was seen by what the objects promise."""
        return Rounds(self.testbed, Known(), Patience(0.0, self.options.limit_ms)).judge(source, target, seen)

    # --- conclusions ------------------------------------------------------------------------------------

    def findings(self, *, ask: bool = True) -> list[Finding]:
        """Explains the wrong cells of all tables so far; asks the follow-up questions."""
        tables = list(self.tables.values())
        self.losses.adopt(tables)
        if not any(c.symptom != "lost" for t in tables for c in t.wrong):
            return list(self.lost)
        if ask and any(t.wrong for t in tables) and "pod ip" not in self.tables:
            # nothing tells a Service's fault from a pod's or a node's as well as the pods' own addresses do
            pairs = self.pairs(cases.CASES["pod ip"])
            tables.append(self.probe("pod ip", cases.CASES["pod ip"].title, pairs, settle=0.0))
        found = self._explaining.explain(tables, ask=ask)
        found = [f for f in found if not self._counted_already(f)]
        # a loss whose place is not known says less than any cause
        guesses = [] if any(f.key.startswith("loss") for f in found) else [f for f in self.lost if not f.measured]
        return [*(f for f in self.lost if f.measured), *found, *guesses]

    def findings_of(self, table: Table) -> list[Finding]:
        """The findings over all tables, those that explain cells of one table first."""
        mine = {id(c) for c in table.wrong}
        return sorted(self.findings(), key=lambda f: not any(id(c) in mine for c in f.evidence))

    def _counted_already(self, finding: Finding) -> bool:
        """A claim of loss at a place where packets were counted tells nothing new."""
        return finding.key.startswith("loss") and any(finding.subject == f.subject for f in self.lost)

    def programming(self, *, timeout: float = 30.0) -> dict[str, list[float]]:
        """Probes all ClusterIPs from all pods until right; seconds until each node's cells were right, by node."""
        started = time.monotonic()
        # TCP alone: a datagram that comes before the rules leaves an untranslated connection tracking entry behind, and
        # half a minute later a new socket with the same source port would run into it
        pairs = [
            pair
            for pair in cases.cluster_ip(self.layout, self.world, [s for s in self.sources if not s.outside])
            if pair[1].protocol == "TCP" and pair[1].service not in self.testbed.left_out
        ]
        patience = Patience(timeout, SHORT_MS, steady=False, laggards=LAGGARDS)
        table = Rounds(self.testbed, self._explaining.known, patience).run(
            "programming", "Programming of new Services", pairs
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
        self.testbed.close()


def latency_rows(by_node: Mapping[str, Sequence[float]]) -> list[tuple[str, int, float, float, float]]:
    """(node, cells, min, median, max) in seconds."""
    return [
        (node, len(values), min(values), statistics.median(values), max(values))
        for node, values in sorted(by_node.items())
        if values
    ]


__all__ = ["Matrix", "latency_rows"]
