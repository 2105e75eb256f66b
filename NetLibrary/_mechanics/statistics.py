"""The statistics behind every judgement over several values, with what they take for granted.

All comparisons of the library stand on the same four assumptions; the texts that are shown name the one that matters:

1. *Independent values.* One value per measurement. The intervals of one run follow each other and are not independent:
   a test over them finds differences where there are none. Make them into fewer, nearly independent values with
   `block_means` first.
2. *No assumption about the distribution.* Medians are compared, and chance is judged by the Mann-Whitney U test, which
   only looks at ranks. A confidence interval of a mean (`spread`) does assume values that scatter normally.
3. *Both are needed.* A result is worse only when its median is worse by more than the tolerance and chance explains
   that with a probability of at most 5 %. A large difference of a few scattered values is no proof, nor is a tiny
   one of many.
4. *Enough values.* With fewer than three on a side the test cannot reach 5 %; then only the medians are compared, and
   the basis says so.
"""

from __future__ import annotations

import math
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
        basis: What the judgement rests on, for the reader.
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
    """Compares the values of two runs under the assumptions of this module.

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
    change = (new - old) / abs(old) if old else (math.copysign(math.inf, new) if new else 0.0)
    beyond = change < -tolerance if higher_is_better else change > tolerance
    if min(len(before), len(now)) < ENOUGH:
        return Comparison(old, new, change, None, beyond, f"medians only, {len(before)} and {len(now)} values")
    p = mann_whitney(now, before, "less" if higher_is_better else "greater")
    # Three against three can reach p = 0.05 exactly: "at most", or three runs could never show anything
    return Comparison(old, new, change, p, beyond and p <= SIGNIFICANCE + 1e-9, f"Mann-Whitney U test, p = {p:.3f}")


def mann_whitney(values: Sequence[float], others: Sequence[float], alternative: str) -> float:
    """Returns the p value of the Mann-Whitney U test: how likely chance alone makes `values` that much less or greater.

    Args:
        values: Independent values.
        others: Independent values to compare with.
        alternative: `less`, `greater` or `two-sided`.
    """
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(values, others, alternative=alternative).pvalue)


def block_means(values: Sequence[float], blocks: int = 10) -> list[float]:
    """Returns means over equal blocks of a series: nearly independent values from intervals of one run.

    Neighbouring intervals resemble each other; means over blocks much longer than that resemblance do not (the method
    of batch means). Values that do not fill the last block are left out.

    Args:
        values: Series over time.
        blocks: How many blocks; fewer when there are fewer values.

    Example:
        >>> block_means([1, 3, 5, 7, 100], blocks=2)
        [2, 6]
    """
    size = len(values) // blocks if len(values) >= blocks else 1
    count = min(blocks, len(values))
    return [statistics.mean(values[i * size : (i + 1) * size]) for i in range(count)]


def coefficient_of_variation(values: Sequence[float]) -> float:
    """Returns the standard deviation of values as a share of their mean.

    Example:
        >>> round(coefficient_of_variation([90, 100, 110]), 3)
        0.1
    """
    mean = statistics.fmean(values)
    if not mean:
        return 0.0 if not any(values) else math.inf
    return statistics.stdev(values) / abs(mean)


@dataclass(frozen=True)
class Spread:
    """How a figure varied over repeats.

    Args:
        samples: All values.
        median: Middle value.
        least: Smallest value.
        most: Largest value.
        low: Lower end of the 95 % confidence interval of the mean (Student's t); the value itself for one sample.
        high: Upper end.
    """

    samples: tuple[float, ...]
    median: float
    least: float
    most: float
    low: float
    high: float

    def __str__(self) -> str:
        if len(self.samples) == 1:
            return f"{self.median:.0f}"
        return f"{self.median:.0f} ({self.least:.0f} to {self.most:.0f}, n={len(self.samples)})"


def spread(samples: Sequence[float]) -> Spread:
    """Returns median, range and confidence interval of repeats.

    >>> str(spread([100, 120, 110]))
    '110 (100 to 120, n=3)'
    """
    if not samples:
        raise ValueError("there is nothing to take the spread of")
    values = tuple(float(value) for value in samples)
    mean = statistics.fmean(values)
    margin = 0.0
    if len(values) > 1 and len(set(values)) > 1:
        from scipy import stats

        error = statistics.stdev(values) / math.sqrt(len(values))
        margin = float(stats.t.ppf(1 - SIGNIFICANCE / 2, len(values) - 1)) * error
    return Spread(values, statistics.median(values), min(values), max(values), mean - margin, mean + margin)
