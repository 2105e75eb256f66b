"""Made-up probes for the tests of the analysis."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from NetLibrary._mechanics.outages.run.inpod.wire import Outcome
from NetLibrary._mechanics.outages.types import Probe, ProbeKind, StreamSpec

MS = 1_000_000
T0 = 1_000_000_000_000


class Timeline:
    """Probes of one stream over a path that is broken at given times."""

    def __init__(self, kind: ProbeKind = ProbeKind.ICMP, period_ms: float = 10, seed: int = 1) -> None:
        self.spec = StreamSpec(1, "path", kind, "10.0.0.1", period_ms=period_ms)
        self.random = random.Random(seed)

    def probes(
        self,
        seconds: float,
        outages: Sequence[tuple[float, float]] = (),
        *,
        outcome: Outcome = Outcome.LOST,
        held: bool = False,
        jitter_ms: float = 1.0,
        rtt_ms: float = 0.3,
        phase_ms: float | None = None,
    ) -> list[Probe]:
        """Outages are (start, length) in milliseconds from the first possible probe."""
        phase = self.random.uniform(0, self.spec.period_ms) if phase_ms is None else phase_ms
        found = []
        for number in range(int(seconds * 1000 / self.spec.period_ms)):
            at_ms = phase + number * self.spec.period_ms + self.random.uniform(0, jitter_ms)
            sent = T0 + int(at_ms * MS)
            end = next((s + n for s, n in outages if s <= at_ms < s + n), None)
            if end is None:
                elapsed = int(self.random.uniform(0.5, 1.5) * rtt_ms * MS)
                found.append(Probe(number, sent, Outcome.OK, 0, elapsed))
            elif held:
                late = int((end - at_ms + rtt_ms) * MS)
                found.append(Probe(number, sent, Outcome.OK if late < 1000 * MS else Outcome.LATE, 0, late))
            else:
                found.append(Probe(number, sent, outcome, 0, 1000 * MS if outcome is Outcome.LOST else rtt_ms * MS))
        return found


@pytest.fixture
def timeline():
    return Timeline
