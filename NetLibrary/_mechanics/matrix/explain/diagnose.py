"""Finds the fewest causes that explain all wrong cells. Pure functions; follow-up probes are only proposed here."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from NetLibrary._mechanics.matrix.causes import candidates
from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.causes.names import ANOTHER_SERVER
from NetLibrary._mechanics.matrix.causes.rules import Candidate
from NetLibrary._mechanics.matrix.judge.expect import SLOW_ANSWER_MS
from NetLibrary._mechanics.matrix.model.features import Fact, facts_of
from NetLibrary._mechanics.matrix.model.types import Cell, Table
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

UNKNOWN = "unknown"
# What is read from the objects themselves needs no probe
FROM_OBJECTS = ("service changed", "pod gone", "policy of others")
# Who gets little processor time answers now and then: one answer refutes nothing
NOW_AND_THEN = ("pod starved",)
# Connections of the follow-up that shows loss: with one of ten lost, nine times of ten at least one of these is
MANY = 24


@dataclass
class FollowUp:
    """A question that tells whether a finding is right.

    Args:
        text: What must be seen if it is.
        source: Where to probe.
        target: What to probe.
        wanted: What must be seen: `works`, `fails`, `partly` (some of its connections fail), `excludes` (it works,
            which every other cause excludes), or `tells`: both answers are possible and say more about the place of
            the fault.
        answer: `yes`, `no`, `told` or empty while it was not asked.
        if_works: For `tells`: what it means when the probe works.
        if_fails: For `tells`: what it means when it fails.
    """

    text: str
    source: Source
    target: Target
    wanted: str
    answer: str = ""
    if_works: str = ""
    if_fails: str = ""

    def settle(self, observed: Observation, *, right: bool) -> None:
        """Takes the answer."""
        if self.wanted == "tells":
            self.answer, self.text = "told", self.if_works if right else self.if_fails
        elif self.wanted == "partly":
            good, bad = sum(observed.responders.values()), sum(observed.failures.values())
            slowest = observed.slowest_ms or 0.0
            self.answer = "yes" if good and (bad or slowest > SLOW_ANSWER_MS) else "no"
            self.text += f" ({bad} of {good + bad} failed, the slowest took {slowest:.0f} ms)"
        else:
            self.answer = "yes" if right == (self.wanted != "fails") else "no"

    def __str__(self) -> str:
        where = f"({self.source.name} → {self.target.name})"
        if self.answer == "told":
            return f"{self.text} {where}"
        return f"{self.text}: {'yes' if self.answer == 'yes' else 'NO'} {where}"


@dataclass
class Finding:
    """A cause, what it explains, and how sure that is.

    Args:
        key: Short stable name of the cause; `unknown` when none fits.
        subject: What is at fault.
        sentence: What is broken, for people.
        evidence: Wrong cells that it explains.
        against: Right cells that it would have made wrong; few, or the cause would have been discarded.
        hint: What to look at next.
        command: What shows more of it, or mends it.
        candidate: The rule and the place that explain the cells; None when no rule does.
        shown: What the look at the nodes has shown, place and text.
        besides: How many cells of the evidence the cause's own pattern does not predict.
        mechanism: The differences between nodes that name it, each with its node.
        follow_ups: Questions that confirm or refute it.
        alternatives: Sentences of other causes that explain the same cells equally well.
        measured: How the cause itself was measured, where it was: that is more than any probe says.
        left_out: Titles of tables without a wrong cell that do not count, because with them nothing would fit.
    """

    key: str
    subject: str
    sentence: str
    evidence: list[Cell]
    against: int = 0
    hint: str = ""
    follow_ups: list[FollowUp] = field(default_factory=list)
    alternatives: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    measured: str = ""
    command: str = ""
    candidate: Candidate | None = None
    shown: tuple[str, ...] = ()
    besides: int = 0
    mechanism: tuple[tuple[str, str], ...] = ()

    @property
    def confidence(self) -> str:
        """`confirmed`, `likely`, `in doubt`, or `not explained`."""
        if self.key == UNKNOWN:
            return "not explained"
        if self.key in FROM_OBJECTS or self.measured:
            return "confirmed"
        # that it still fails, and that something else works, fits other causes as well: only a measurement confirms
        if any(f.answer == "no" for f in self.follow_ups):
            return "in doubt"
        # connections that fail beside others that succeed, now, are the loss itself
        decisive = any(f.wanted in ("partly", "excludes") and f.answer == "yes" for f in self.follow_ups)
        return "confirmed" if decisive else "likely"

    @property
    def refuted_loss(self) -> bool:
        """Loss was claimed, and many further connections lost nothing: then nothing is known."""
        return self.key.startswith("loss") and self.confidence == "in doubt"

    def told(self) -> str:
        """Reasons that say more than silence, and who was told them."""
        sources: dict[str, set[str]] = {}
        for cell in self.evidence:
            if cell.observed.outcome in (Outcome.UNREACHABLE, Outcome.RESET, Outcome.REFUSED) and cell.observed.detail:
                sources.setdefault(cell.observed.detail, set()).add(cell.source.name)
        return "; ".join(
            f"'{detail}' to {', '.join(sorted(names)[:4])}{' and others' if len(names) > 4 else ''}"
            for detail, names in sorted(sources.items())[:3]
        )

    def text(self) -> str:
        """The finding in lines for a message: cause, confidence, evidence, follow-up, hint."""
        lines = [self.sentence]
        asked = [f for f in self.follow_ups if f.answer]
        lines += [f"  Follow-up: {question}." for question in asked]
        if self.measured:
            lines.append(f"  Measured: {self.measured}.")
        elif self.key not in (UNKNOWN, *FROM_OBJECTS) and not asked:
            lines.append("  Not confirmed by a follow-up probe.")
        lines.append(f"  Evidence, {len(self.evidence)} cell(s), for instance {self.evidence[0].describe()}.")
        if self.besides:
            lines.append(
                f"  Of them, {self.besides} are not part of its pattern, but they pass the same place, and only that "
                "place differs."
            )
        if self.against:
            lines.append(f"  Against it: {self.against} cell(s) that it would make wrong are right.")
        told = self.told()
        if told:
            lines.append(f"  What the operating systems reported: {told}.")
        if self.alternatives:
            lines.append("  The same cells would also match: " + " Or: ".join(self.alternatives))
        if self.left_out:
            lines.append(f"  It began after other rows, which were right: {', '.join(self.left_out)}.")
        if self.hint:
            lines.append(f"  Next: {self.hint}")
        if self.command:
            lines.append(f"  Command: {self.command}")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Score:
    candidate: Candidate
    explained: tuple[Fact, ...]
    against: int

    @property
    def key(self) -> tuple[float, int]:
        # A cell that contradicts the cause weighs as much as two that it explains
        rule = self.candidate.rule
        return (len(self.explained) * rule.weight - 2.0 * self.against, -rule.rank)


def diagnose(tables: Sequence[Table], world: World, *, most: int = 8) -> list[Finding]:
    """Explains the wrong cells of all tables together.

    The cause that explains most of the unexplained cells is taken, then the next one for what is left, and so on. A
    cause is considered only when (nearly) all cells that it must make wrong are wrong. What no cause explains is
    reported as a pattern, and said to be that.

    Args:
        tables: Tables of one run; more tables give a sharper diagnosis.
        world: Objects at the time of probing.
        most: Largest number of findings.
    """
    case = Case(facts_of(tables, world), world)
    left = list(case.wrong)
    choices = list(candidates(case)) if left else []
    findings: list[Finding] = []
    while left and len(findings) < most:
        scores = [s for s in (_score(c, case, left) for c in choices) if s is not None]
        if not scores:
            break
        best = max(scores, key=lambda s: s.key)
        same = [
            s.candidate.sentence
            for s in scores
            if s is not best
            and set(s.explained) == set(best.explained)
            and s.against <= best.against
            and s.candidate.rule.rank <= best.candidate.rule.rank + 3
        ]
        findings.append(_finding(best, case, same[:2]))
        explained = set(best.explained)
        left = [fact for fact in left if fact not in explained]
    if left:
        findings.append(_unknown(left, case))
    return findings


def _score(candidate: Candidate, case: Case, left: Sequence[Fact]) -> _Score | None:
    rule = candidate.rule
    universe = [f for f in case.facts if candidate.must(f)]
    hits = [
        f
        for f in universe
        if f.symptom in rule.symptoms and (rule.soft or f.symptom != "flapping" or len(f.to_pods) > 1)
    ]
    if len(hits) < rule.least or len(hits) < rule.share * len(universe):
        return None
    explained = tuple(f for f in left if candidate.explains(f))
    if not any(candidate.must(f) for f in explained):
        return None
    against = len(universe) - len(hits) if rule.share >= 0.9 else 0
    return _Score(candidate, explained, against)


def _finding(score: _Score, case: Case, alternatives: list[str]) -> Finding:
    candidate = score.candidate
    core = [f for f in score.explained if candidate.must(f)] + [f for f in score.explained if not candidate.must(f)]
    core.sort(key=lambda f: f.symptom == "object")  # what is broken says more than what is only changed
    return Finding(
        candidate.key,
        candidate.subject,
        candidate.sentence,
        [f.cell for f in core],
        score.against,
        candidate.hint,
        _follow_ups(candidate, core, case),
        alternatives,
        command=candidate.command,
        candidate=candidate,
    )


def _follow_ups(candidate: Candidate, core: Sequence[Fact], case: Case) -> list[FollowUp]:
    questions = []
    stuck = next((f for f in core if f.symptom in ("blocked", "reason")), None)
    steady = not candidate.rule.soft and candidate.key not in NOW_AND_THEN
    if stuck is not None and stuck.cell.target.repeat == 1 and steady:
        questions.append(FollowUp("it still fails", stuck.cell.source, stuck.cell.target, "fails"))
    if candidate.rule.compare is not None:
        for fact in core[:20]:
            other = next(
                (o for o in case.facts if not o.wrong and o.wants_connection and candidate.compares(fact, o)), None
            )
            if other is not None:
                questions.append(FollowUp(candidate.rule.compare_text, other.cell.source, other.cell.target, "works"))
                break
    if candidate.rule.soft and candidate.key.startswith("loss"):
        near = [f for f in (*core, *case.facts) if f.path == "pod" and candidate.must(f) and not f.large]
        lossy = next((f for f in near if f.protocol == "TCP"), None)
        if lossy is not None:
            many = dataclasses.replace(lossy.cell.target, repeat=MANY)
            text = f"of {MANY} new connections to a pod's own address, some fail or are late"
            questions.append(FollowUp(text, lossy.cell.source, many, "partly"))
    if candidate.key == ANOTHER_SERVER:
        questions += _at_the_clusters_dns(core, case)
    if candidate.key in ("dns", "dns partly"):
        questions += _dns_questions(core, case, some_answer=candidate.key == "dns partly")
    return questions


def _at_the_clusters_dns(core: Sequence[Fact], case: Case) -> list[FollowUp]:
    """The same question from the same pod, to the cluster's DNS instead of the server that its resolver file names."""
    lookup = next((f for f in core if f.path == "dns" and not f.large), None)
    own = next(iter(case.world.dns_service), "")
    if lookup is None or not own:
        return []
    target = dataclasses.replace(lookup.cell.target, host=own, limit_ms=0)
    return [
        FollowUp(f"the cluster's DNS {own}, asked from the same pod, answers", lookup.cell.source, target, "excludes")
    ]


def _dns_questions(core: Sequence[Fact], case: Case, *, some_answer: bool) -> list[FollowUp]:
    """Asks the DNS servers by their own addresses: is it they, or the way to them through their Service?"""
    good = "" if some_answer else ", so its Service or the proxying of it is at fault"
    lookup = next((f for f in core if f.path == "dns"), None)
    if lookup is None:
        return []
    questions = []
    for server in case.world.dns[:2]:
        target = dataclasses.replace(
            lookup.cell.target, host=server.address, port=server.port, node=server.node, limit_ms=0, repeat=2
        )
        place = f"the DNS server '{server.pod}' on node '{server.node}', asked by its own address,"
        questions.append(
            FollowUp(
                "", lookup.cell.source, target, "tells",
                if_works=f"{place} answers{good}",
                if_fails=f"{place} does not answer well either, so it is at fault itself, or the path to it is",
            )
        )  # fmt: skip
    return questions


def unexplained(finding: Finding) -> Finding:
    """What is left of a claim of loss that its own follow-up refuted."""
    asked = "; ".join(map(str, finding.follow_ups))
    return Finding(
        UNKNOWN,
        "pattern",
        f"{len(finding.evidence)} wrong cell(s) are not explained by any single cause that this library knows. They "
        f"come and go as if packets were lost at '{finding.subject}', but that is refuted: {asked}.",
        finding.evidence,
        hint="No cause is claimed here; see the cells in the table.",
    )


def _unknown(left: Sequence[Fact], case: Case) -> Finding:
    """Says that nothing fits, and shows what the cells have in common."""
    common = []
    for label, values in (
        ("source node", {f.from_node or "outside" for f in left}),
        ("target node", {n for f in left for n in f.to_nodes}),
        ("entry node", {f.entry for f in left if f.entry}),
        ("target", {f.cell.target.name for f in left}),
        ("kind", {f.path for f in left}),
        ("protocol", {f.protocol for f in left}),
        ("symptom", {f.symptom for f in left}),
    ):
        if len(values) == 1:
            common.append(f"{label} {next(iter(values))}")
    counts = Counter(f"{f.from_node or 'outside'} → {','.join(sorted(f.to_nodes)) or f.path}" for f in left)
    pattern = "; ".join(f"{text} ({number})" for text, number in counts.most_common(6))
    shared = f"They have in common: {', '.join(common)}. " if common else "They have nothing in common. "
    return Finding(
        UNKNOWN,
        "pattern",
        f"{len(left)} wrong cell(s) are not explained by any single cause that this library knows. {shared}"
        f"By nodes: {pattern}.",
        [f.cell for f in left],
        hint="No cause is claimed here; see the cells in the table.",
    )
