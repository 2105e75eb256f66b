"""Between which steps of a disturbance an outage began."""

from __future__ import annotations

from collections.abc import Sequence

from NetLibrary._mechanics.outages.types import Step, Window


def step_of(window: Window, steps: Sequence[Step], *, uncertainty_ns: int = 0) -> int | None:
    """Returns the index of the step that began last before the outage began; None before all steps.

    An outage that may have begun within the step (its start is uncertain by what lies between two probes, and the
    clocks by `uncertainty_ns`) belongs to that step and not to the one before it.

    Args:
        window: The outage, on the steps' clock.
        steps: Steps in order.
        uncertainty_ns: How well the clocks agree.
    """
    half = int((window.longest_ms - window.shortest_ms) / 4 * 1e6)
    latest_start = window.start_ns + half + uncertainty_ns
    found = None
    for index, step in enumerate(steps):
        if step.start_ns <= latest_start:
            found = index
    return found


def when(window: Window, steps: Sequence[Step], uncertainty_ms: float = 0.0) -> str:
    """Returns in words when an outage began, by the steps of the disturbance; an empty text where there are none."""
    if not steps:
        return ""
    index = step_of(window, steps, uncertainty_ns=round(uncertainty_ms * 1e6))
    if index is None:
        return f" before '{steps[0].name}' began"
    step = steps[index]
    after = step.end_ns is not None and window.start_ns > step.end_ns
    return f" {'after' if after else 'during'} '{step.name}'"
