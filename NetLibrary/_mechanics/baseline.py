"""Whether a result got worse, judged by statistics rather than by one difference."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SIGNIFICANCE = 0.05
# Below this the smallest p value that the test can reach is above the significance level, or close to it
ENOUGH = 3


@dataclass(frozen=True)
class Comparison:
    """Result of a comparison.

    Args:
        before: Median of the baseline.
        now: Median of this run.
        change: Relative change of the median; 0.1 is ten percent more.
        p_value: Probability of such a difference by chance; None with too few values.
        worse: Whether it got worse beyond tolerance and chance.
        basis: On what the judgement stands, in words.
    """

    before: float
    now: float
    change: float
    p_value: float | None
    worse: bool
    basis: str


def compare(
    before: Sequence[float], now: Sequence[float], *, tolerance: float = 0.1, higher_is_better: bool = True
) -> Comparison:
    """Compares values of two runs.

    Uses the one-sided Mann-Whitney U test of scipy, which assumes no distribution.

    Args:
        before: Values of the baseline, at least one.
        now: Values of this run, at least one.
        tolerance: Relative loss of the median that is accepted.
        higher_is_better: Direction.

    Example:
        >>> compare([100, 101, 99, 100], [70, 71, 69, 70]).worse
        True
    """
    old, new = statistics.median(before), statistics.median(now)
    change = (new - old) / abs(old) if old else (float("inf") if new else 0.0)
    beyond = change < -tolerance if higher_is_better else change > tolerance
    if min(len(before), len(now)) < ENOUGH:
        return Comparison(old, new, change, None, beyond, f"medians only, {len(before)} and {len(now)} values")
    from scipy.stats import mannwhitneyu

    side = "less" if higher_is_better else "greater"
    p = float(mannwhitneyu(now, before, alternative=side).pvalue)
    # Three against three can reach p = 0.05 exactly: "at most", or three runs could never show anything
    return Comparison(old, new, change, p, beyond and p <= SIGNIFICANCE + 1e-9, f"Mann-Whitney U test, p = {p:.3f}")
