"""Finds the fewest causes that explain all wrong cells. Pure functions; follow-up probes are only proposed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from NetLibrary._mechanics.matrix.causes import Candidate, Case
from NetLibrary._mechanics.matrix.causes_of_behaviour import of_behaviour, of_names
from NetLibrary._mechanics.matrix.causes_of_nodes import of_nodes, of_pairs, of_pods
from NetLibrary._mechanics.matrix.causes_of_services import of_services
from NetLibrary._mechanics.matrix.features import Fact, facts_of
from NetLibrary._mechanics.matrix.types import Cell, Source, Table, Target
from NetLibrary._mechanics.matrix.world import World

UNKNOWN = "unknown"


@dataclass
class FollowUp:
    """A question that tells whether a finding is right.

    Args:
        text: What must be seen if it is.
        source: Where to probe.
        target: What to probe.
        must_work: The probe must succeed; otherwise it must still fail.
        answer: `yes`, `no` or empty while it was not asked.
    """

    text: str
    source: Source
    target: Target
    must_work: bool
    answer: str = ""


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
        follow_ups: Questions that confirm or refute it.
        alternatives: Sentences of other causes that explain the same cells equally well.
    """

    key: str
    subject: str
    sentence: str
    evidence: list[Cell]
    against: int = 0
    hint: str = ""
    follow_ups: list[FollowUp] = field(default_factory=list)
    alternatives: list[str] = field(default_factory=list)

    @property
    def confidence(self) -> str:
        """`confirmed`, `refuted`, `likely`, or `not explained`."""
        if self.key == UNKNOWN:
            return "not explained"
        answers = {f.answer for f in self.follow_ups} - {""}
        if "no" in answers:
            return "in doubt"
        return "confirmed" if answers == {"yes"} else "likely"

    def text(self) -> str:
        """The finding in lines for a message: cause, confidence, evidence, follow-up, hint."""
        lines = [self.sentence]
        asked = [f for f in self.follow_ups if f.answer]
        for question in asked:
            mark = "confirmed" if question.answer == "yes" else "NOT confirmed"
            lines.append(f"  Follow-up: {question.text}: {mark} ({question.source.name} → {question.target.name}).")
        if self.key != UNKNOWN and not asked:
            lines.append("  Not confirmed by a follow-up probe.")
        lines.append(f"  Evidence, {len(self.evidence)} cell(s), for instance {self.evidence[0].describe()}.")
        if self.against:
            lines.append(f"  Against it: {self.against} cell(s) that it would make wrong are right.")
        if self.alternatives:
            lines.append("  The same cells would also fit: " + " Or: ".join(self.alternatives))
        if self.hint:
            lines.append(f"  Next: {self.hint}")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Score:
    candidate: Candidate
    explained: tuple[Fact, ...]
    against: int

    @property
    def key(self) -> tuple[float, int]:
        # A cell that contradicts the cause weighs as much as two that it explains
        return (len(self.explained) * self.candidate.weight - 2.0 * self.against, -self.candidate.rank)


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
            and s.candidate.rank <= best.candidate.rank + 3
        ]
        findings.append(_finding(best, case, same[:2]))
        explained = set(best.explained)
        left = [fact for fact in left if fact not in explained]
    if left:
        findings.append(_unknown(left, case))
    return findings


def candidates(case: Case) -> Iterator[Candidate]:
    """Every cause that the wrong cells of a run allow for."""
    for family in (of_nodes, of_pairs, of_pods, of_services, of_names, of_behaviour):
        yield from family(case)


def _score(candidate: Candidate, case: Case, left: Sequence[Fact]) -> _Score | None:
    universe = [f for f in case.facts if candidate.must(f)]
    hits = [
        f
        for f in universe
        if f.symptom in candidate.symptoms and (candidate.soft or f.symptom != "flapping" or len(f.to_pods) > 1)
    ]
    if len(hits) < candidate.least or len(hits) < candidate.share * len(universe):
        return None
    explained = tuple(f for f in left if f.symptom in candidate.symptoms and (candidate.must(f) or candidate.may(f)))
    if not any(candidate.must(f) for f in explained):
        return None
    against = len(universe) - len(hits) if candidate.share >= 0.9 else 0
    return _Score(candidate, explained, against)


def _finding(score: _Score, case: Case, alternatives: list[str]) -> Finding:
    candidate = score.candidate
    core = [f for f in score.explained if candidate.must(f)] + [f for f in score.explained if not candidate.must(f)]
    return Finding(
        candidate.key,
        candidate.subject,
        candidate.sentence,
        [f.cell for f in core],
        score.against,
        candidate.hint,
        _follow_ups(candidate, core, case),
        alternatives,
    )


def _follow_ups(candidate: Candidate, core: Sequence[Fact], case: Case) -> list[FollowUp]:
    questions = []
    stuck = next((f for f in core if f.symptom in ("blocked", "reason")), None)
    if stuck is not None and stuck.cell.target.repeat == 1 and not candidate.soft:
        questions.append(FollowUp("it still fails", stuck.cell.source, stuck.cell.target, must_work=False))
    if candidate.compare is not None:
        for fact in core[:20]:
            other = next(
                (o for o in case.facts if not o.wrong and o.wants_connection and candidate.compare(fact, o)), None
            )
            if other is not None:
                questions.append(FollowUp(candidate.compare_text, other.cell.source, other.cell.target, must_work=True))
                break
    return questions


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
        hint="No cause is claimed here; look at the cells in the table.",
    )
