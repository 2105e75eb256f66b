"""Explains the wrong cells of all rows so far: diagnosis, follow-up questions, and a look at the nodes in question."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

from NetLibrary._mechanics.matrix.explain.diagnose import UNKNOWN, Finding, diagnose, unexplained
from NetLibrary._mechanics.matrix.known import Known
from NetLibrary._mechanics.matrix.looking import Looking
from NetLibrary._mechanics.matrix.model.features import BY_NAME, facts_of
from NetLibrary._mechanics.matrix.model.types import Cell, Table
from NetLibrary._mechanics.matrix.probe.resolvers import read_resolvers
from NetLibrary._mechanics.matrix.testbed import Testbed
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

# A follow-up question that was answered so many seconds ago is not asked again for the next row
FRESH_ANSWER = 45.0
# Of the cells that a cause makes wrong for certain, so many have to be wrong in new rows too
MOST = 0.9
Judge = Callable[[Source, Target, Observation], Cell]


class Explaining:
    """What was found out about the wrong cells of one matrix.

    Args:
        testbed: Where.
        judge: Judges the answer to a follow-up question.
    """

    def __init__(self, testbed: Testbed, judge: Judge) -> None:
        self._bed, self._judge = testbed, judge
        self._looking = Looking(testbed)
        self._answers: dict[tuple[Source, Target], tuple[float, Observation]] = {}
        self._last: list[Finding] = []
        self._seen: dict[int, Cell] = {}
        self._resolvers_at = -FRESH_ANSWER
        self.known = Known()

    def explain(self, tables: Sequence[Table], *, ask: bool) -> list[Finding]:
        """Explains the wrong cells of tables.

        Args:
            tables: Rows so far.
            ask: Ask the follow-up questions, and look at the nodes.
        """
        found = self._continued(tables)
        if found is None:
            found = self._anew(tables, ask)
        if ask:
            self._last = found
            self._seen = {id(cell): cell for table in tables for cell in table.cells}
        return found

    def _continued(self, tables: Sequence[Table]) -> list[Finding] | None:
        """The findings of the rows before, with the cells of new rows, where these tell nothing new; else None."""
        current = {id(cell) for table in tables for cell in table.cells}
        if not self._last or not self._seen.keys() <= current or any(f.key == UNKNOWN for f in self._last):
            return None
        if any(cell.symptom == "lost" or not cell.wrong for f in self._last for cell in f.evidence):
            return None
        new = [t for t in tables if any(id(cell) not in self._seen for cell in t.cells)]
        facts = [f for f in facts_of(new, self._bed.world) if id(f.cell) not in self._seen]
        more: dict[int, list[Cell]] = {}
        for fact in (f for f in facts if f.wrong):
            owner = next((f for f in self._last if f.candidate is not None and f.candidate.explains(fact)), None)
            if owner is None:
                return None
            more.setdefault(id(owner), []).append(fact.cell)
        for finding in self._last:
            foretold = [f for f in facts if finding.candidate is not None and finding.candidate.must(f)]
            if sum(not f.wrong for f in foretold) > (1 - MOST) * len(foretold):
                return None  # the new rows contradict it
        return [dataclasses.replace(f, evidence=[*f.evidence, *more.get(id(f), [])]) for f in self._last]

    def _anew(self, tables: Sequence[Table], ask: bool) -> list[Finding]:
        if ask:
            self._read_resolvers(tables)
        found = self._explain(tables, ask)
        unaffected = [table.title for table in tables if not table.wrong]
        if unaffected and any(f.key == UNKNOWN for f in found):
            # what broke between two rows is contradicted by the rows before
            later = self._explain([table for table in tables if table.wrong], ask)
            if not any(f.key == UNKNOWN for f in later):
                found = [dataclasses.replace(f, left_out=unaffected) for f in later]
        return found

    def _read_resolvers(self, tables: Sequence[Table]) -> None:
        """Finds out which servers pods ask, once names fail."""
        failing = {c.source for t in tables for c in t.wrong if c.target.kind in BY_NAME and not c.source.host_network}
        stale = time.monotonic() - self._resolvers_at > FRESH_ANSWER
        if any(stale or source.name not in self._bed.world.resolvers for source in failing):
            pods = [s for s in self._bed.sources if not s.outside and not s.host_network]
            ordered = sorted(pods, key=lambda s: s not in failing)
            self._bed.world.resolvers = read_resolvers(self._bed, ordered)
            self._resolvers_at = time.monotonic()

    def _explain(self, tables: Sequence[Table], ask: bool) -> list[Finding]:
        found = diagnose(tables, self._bed.world)
        before = [self.known.recall(f) for f in found]
        fresh = [f for f, old in zip(found, before, strict=True) if old is None]
        looked = iter(self._find_out(fresh) if ask else fresh)
        return self._looking.join([old if old is not None else next(looked) for old in before])

    def _find_out(self, found: Sequence[Finding]) -> list[Finding]:
        self._ask(found)
        settled = [unexplained(f) if f.refuted_loss else f for f in found]
        looked = self._looking.name(settled)
        for first, last in zip(settled, looked, strict=True):
            self.known.learn((first.key, first.subject), last)
        return looked

    def _ask(self, found: Sequence[Finding]) -> None:
        questions = [q for finding in found for q in finding.follow_ups]
        now = time.monotonic()
        seen = {pair: answer for pair, (at, answer) in self._answers.items() if now - at < FRESH_ANSWER}
        wanted = list(dict.fromkeys((q.source, q.target) for q in questions if (q.source, q.target) not in seen))
        answers = self._bed.fleet.run(wanted, limit_ms=self._bed.options.limit_ms)
        seen |= {(source, target): observed for source, target, observed in answers}
        self._answers |= {pair: (time.monotonic(), seen[pair]) for pair in wanted}
        for question in questions:
            observed = seen[question.source, question.target]
            if observed.outcome is Outcome.ERROR:
                continue  # a question that could not be asked says neither
            question.settle(observed, right=not self._judge(question.source, question.target, observed).wrong)


__all__ = ["Explaining"]
