"""What is known to be broken: cells that it explains are not waited for, and its causes are not looked into again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from NetLibrary._mechanics.matrix.causes.rules import Candidate
from NetLibrary._mechanics.matrix.explain.diagnose import FROM_OBJECTS, UNKNOWN, Finding
from NetLibrary._mechanics.matrix.model.features import BY_NAME, facts_of
from NetLibrary._mechanics.matrix.model.types import Cell, Expected, Table
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

# Milliseconds that a connection gets which a known cause breaks: long enough to see one that comes about all the same
PREDICTED_MS = 600
# Seconds for which what was found out about a cause holds without being looked into again
HOLDS = 300.0


class Known:
    """The causes that were found so far in one matrix."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[float, Finding]] = {}

    def __bool__(self) -> bool:
        return bool(self._candidates())

    def _candidates(self) -> list[Candidate]:
        return [
            f.candidate
            for _, f in self._found.values()
            if f.candidate is not None and f.key not in FROM_OBJECTS and not f.candidate.rule.soft
        ]

    def learn(self, key: tuple[str, str], finding: Finding) -> None:
        """Takes what was found out about a cause; doubts and what no rule explains are not known.

        Args:
            key: Cause and subject as the diagnosis has named them, before the nodes were looked at.
            finding: What came of it.
        """
        if UNKNOWN not in (key[0], finding.key) and finding.confidence in ("confirmed", "likely"):
            self._found[key] = time.monotonic(), finding

    def recall(self, finding: Finding) -> Finding | None:
        """Returns what was found out about the same cause, with the evidence of now; None when nothing holds."""
        at, before = self._found.get((finding.key, finding.subject), (0.0, None))
        if before is None or time.monotonic() - at > HOLDS:
            return None
        return dataclasses.replace(
            before, evidence=finding.evidence, against=finding.against, alternatives=finding.alternatives
        )

    def predicts(self, source: Source, target: Target, expected: Expected, world: World) -> bool:
        """Tells whether a known cause breaks a cell that ought to be connected."""
        if Outcome.CONNECTED not in expected.outcomes or target.kind in BY_NAME:
            return False  # a resolver asks again and may meet another server, which needs its whole time
        cell = Cell(source, target, expected, Observation(Outcome.TIMEOUT), right=False, symptom="blocked")
        return self.explains(cell, world)

    def explains(self, cell: Cell, world: World) -> bool:
        """Tells whether what is wrong in a cell is what a known cause makes wrong there."""
        candidates = self._candidates()
        return bool(candidates) and any(
            candidate.explains(fact) for fact in facts_of([Table("", "", [cell])], world) for candidate in candidates
        )

    def note(self, cells: Sequence[Cell], world: World) -> str:
        """Says how many cells were judged from what is known; empty when none was."""
        mine = [c for c in cells if c.wrong and self.explains(c, world)]
        if not mine:
            return ""
        names = list(dict.fromkeys(f"'{f.key}' at {f.subject}" for _, f in self._found.values() if f.candidate))
        causes = "; ".join(names)
        return (
            f"{len(mine)} wrong cells are as known causes predict ({causes}): they were probed once, connections by "
            f"address with a limit of {PREDICTED_MS} ms, and not waited for."
        )


__all__ = ["PREDICTED_MS", "Known"]
