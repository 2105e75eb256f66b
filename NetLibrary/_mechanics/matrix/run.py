"""One matrix on one cluster: probes cases, retries until right, diagnoses, removes it."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from NetLibrary._mechanics.matrix import cases
from NetLibrary._mechanics.matrix.explain.diagnose import UNKNOWN, Finding, diagnose, unexplained
from NetLibrary._mechanics.matrix.judge.expect import expect
from NetLibrary._mechanics.matrix.judge.judge import judge
from NetLibrary._mechanics.matrix.looking import Looking
from NetLibrary._mechanics.matrix.losses import Losses
from NetLibrary._mechanics.matrix.model.objects import NEAR, Layout
from NetLibrary._mechanics.matrix.model.types import (
    BLOCKED,
    Cell,
    Expected,
    Observation,
    Outcome,
    Source,
    Table,
    Target,
)
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.matrix.probe.alive import UNHEARD
from NetLibrary._mechanics.matrix.probe.fleet import STARVED, Fleet
from NetLibrary._mechanics.matrix.testbed import Options, Pair, Testbed

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Override = Callable[[Source, Target, Expected], Expected]
# After a cell was right late, this many connections in a row must be right; else it flaps
PROOF = 6
# While Services are being programmed, an unanswered probe tells only that it was too early
SHORT_MS = 300
# Seconds for refusals that a node may be too rate-limited to send
RATE_LIMITED = 5.0
# As long as each round finds fewer wrong cells, rounds go on for this many seconds more
SETTLING = 15.0
# Once a row is wrong for good, the cells of other rows get so many seconds to become right
BROKEN_SETTLE = 0.5
# A follow-up question that was answered so many seconds ago is not asked again for the next row
FRESH_ANSWER = 45.0


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
        self.looking = Looking(testbed)
        self.told: dict[tuple[str, str], str] = {}
        self._answers: dict[tuple[Source, Target], tuple[float, Observation]] = {}

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
        """Who asks what in a case, without Services that the API server has refused."""
        found = case.pairs(self.layout, self.world, self.sources)
        return [pair for pair in found if pair[1].service not in self.testbed.refused]

    def lacking(self, case: cases.CaseKind) -> str:
        """Why a case cannot be run here; empty when it can."""
        refused = self.testbed.refused
        asked = {t.service for _, t in case.pairs(self.layout, self.world, self.sources) if t.service}
        if asked and asked <= set(refused):
            return "; ".join(dict.fromkeys(f"the API server refused it: {refused[name]}" for name in sorted(asked)))
        facts = self.world.facts
        dual = any(len(p.get("status", {}).get("podIPs") or []) > 1 for p in self.world.pods)
        reasons = {
            "balancer": "" if facts.balancer else "no LoadBalancer address was given out, so there is no provider",
            "outside": "" if facts.outside else "there is no vantage point outside the cluster",
            "sctp": "" if facts.sctp else "the kernel of the nodes does not support SCTP",
            "dual stack": "" if dual else "pods have addresses of one family only",
            "external ip": "" if self.layout.external_ip else "no address was given ('external_ip')",
            "near": self._why_not_near(),
            "outside name": "" if self.layout.external_name else "no name was given ('external_name')",
            "host pods": "" if self.layout.host_pods else "there are no pods on the host network",
        }
        found = [reasons[need] for need in case.needs]
        return "; ".join(filter(None, (*found, self.beyond_prober(case.key))))

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
        hinted = [e for e in self.world.endpoints(service, 80, "TCP") if e.for_nodes] if service else []
        return "" if hinted else "the EndpointSlices have no hints for nodes"

    @property
    def broken(self) -> bool:
        """Some row is wrong for good, or packets are known to be lost."""
        return any(t.wrong for t in self.tables.values()) or self.losses.known()

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
        self._answers.clear()
        self.told.clear()
        self.looking = Looking(self.testbed)
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
        started = time.monotonic()
        limit = limit_ms or self.options.limit_ms
        broken = self.broken and steady
        if broken:
            # a fault is known already: what it breaks does not get right by being waited for
            settle = min(settle, BROKEN_SETTLE)
        cells: dict[Pair, Cell] = {}
        open_pairs, rounds, pause = list(pairs), 0, 0.05
        first_wrong: dict[Pair, Cell] = {}
        first: dict[Pair, Observation] = {}
        proven: set[Pair] = set()
        lossy, quiet_since = False, 0.0
        while open_pairs:
            rounds += 1
            before = len(open_pairs)
            asked = [_hurried(pair, cells.get(pair)) for pair in open_pairs]
            answers = self.fleet.run(asked, limit_ms=limit, gently=rounds > 1)
            for pair, (_, _, seen) in zip(open_pairs, answers, strict=True):
                seen.rounds = rounds
                begin = first.setdefault(pair, seen)
                seen.first_attempts, seen.first_lost = begin.first_attempts, begin.first_lost
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
            settling = SETTLING if (rounds == 1 or (better and not lossy)) and not broken else 0.0
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
        for cell in cells.values():
            cell.transient = not steady
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
        begin = cells[pair].observed
        seen.first_attempts, seen.first_lost = begin.first_attempts, begin.first_lost
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
        self.losses.adopt(tables)
        if not any(c.symptom != "lost" for t in tables for c in t.wrong):
            return list(self.lost)
        if ask and any(t.wrong for t in tables) and "pod ip" not in self.tables:
            # nothing tells a Service's fault from a pod's or a node's as well as the pods' own addresses do
            pairs = self.pairs(cases.CASES["pod ip"])
            tables.append(self.probe("pod ip", cases.CASES["pod ip"].title, pairs, settle=0.0))
        found = self._explain(tables, ask)
        aside = [table.title for table in tables if not table.wrong]
        if aside and any(f.key == UNKNOWN for f in found):
            # what broke between two rows is contradicted by the rows before
            later = self._explain([table for table in tables if table.wrong], ask)
            if not any(f.key == UNKNOWN for f in later):
                found = [dataclasses.replace(f, aside=aside) for f in later]
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

    def _explain(self, tables: Sequence[Table], ask: bool) -> list[Finding]:
        found = diagnose(tables, self.world)
        if ask:
            self._ask(found)
            found = [unexplained(f) if f.refuted_loss else f for f in found]
            found = self.looking.name(found)
        return found

    def _ask(self, found: Sequence[Finding]) -> None:
        questions = [q for finding in found for q in finding.follow_ups]
        now = time.monotonic()
        seen = {pair: answer for pair, (at, answer) in self._answers.items() if now - at < FRESH_ANSWER}
        wanted = list(dict.fromkeys((q.source, q.target) for q in questions if (q.source, q.target) not in seen))
        seen |= {(s, t): o for s, t, o in self.fleet.run(wanted, limit_ms=self.options.limit_ms)}
        self._answers |= {pair: (time.monotonic(), seen[pair]) for pair in wanted}
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
        self.testbed.close()


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


__all__ = ["Matrix", "latency_rows"]
