"""Several runs of the same measurement: median and spread. For comparison with a stored run see `baseline.py`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

ALPHA = 0.05


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
    """Returns median and spread of repeats.

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
        margin = float(stats.t.ppf(1 - ALPHA / 2, len(values) - 1)) * error
    return Spread(values, statistics.median(values), min(values), max(values), mean - margin, mean + margin)
