"""Which step of a disturbance an outage belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.results.steps import step_of
from NetLibrary._mechanics.outages.types import NS, Step, StreamResult, Window

BEFORE = "before the disturbance"
SETTLE = "after the last step"


@dataclass
class Impact:
    """What one step cost.

    Args:
        step: Name of the step.
        paths: Paths that were hit, in the order of the streams.
        windows: Each outage with its stream's name.
    """

    step: str
    paths: list[str] = field(default_factory=list)
    windows: list[tuple[str, Window]] = field(default_factory=list)

    @property
    def longest(self) -> tuple[str, Window] | None:
        """The longest outage."""
        outages = [item for item in self.windows if item[1].is_outage]
        return max(outages, key=lambda item: item[1].length_ms, default=None)

    @property
    def kinds(self) -> list[str]:
        """The kinds of the outages, the most frequent first."""
        names = [window.kind.value for _stream, window in self.windows]
        return sorted(set(names), key=lambda name: -names.count(name))


def attribute(
    results: Sequence[StreamResult],
    steps: Sequence[Step],
    *,
    after_s: float = 30.0,
    uncertainty_ns: int = 0,
) -> list[Impact]:
    """Assigns every outage to a step.

    Args:
        results: Streams with windows on the steps' clock.
        steps: Steps in order of their start.
        after_s: An outage that begins longer than this after the end of the last step is reported as such.
        uncertainty_ns: How well the clocks agree.

    Returns:
        One entry per step, also for those that cost nothing, then what belongs to no step.
    """
    impacts = [Impact(step.name) for step in steps]
    before, later = Impact(BEFORE), Impact(SETTLE)
    for result in results:
        for window in result.windows:
            index = step_of(window, steps, uncertainty_ns=uncertainty_ns)
            if index is None:
                impact = before
            elif steps[index].end_ns is not None and window.start_ns > (steps[index].end_ns or 0) + after_s * NS:
                impact = later
            else:
                impact = impacts[index]
            impact.windows.append((result.spec.name, window))
            if window.is_outage and result.spec.path not in impact.paths:
                impact.paths.append(result.spec.path)
    return impacts + [impact for impact in (before, later) if impact.windows]


def impacts_of(result: OutageResult) -> list[Impact]:
    """Assigns every outage of a measurement to a step; nothing where there is neither."""
    return attribute(result.streams, result.steps, uncertainty_ns=round(result.uncertainty_ms * 1e6))
