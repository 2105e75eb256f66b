"""Several runs of the same measurement, and comparison with a stored one. The statistics are scipy's."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class Comparison:
    """How new repeats compare with a baseline's.

    Args:
        name: What is compared.
        baseline: The stored samples.
        present: The new samples.
        p_value: Chance of such a difference, or a greater one, if nothing had become worse; None when there are too
            few samples to tell.
        worse: Whether it became worse: significantly, and by more than the tolerance.
        text: One sentence.
    """

    name: str
    baseline: Spread
    present: Spread
    p_value: float | None
    worse: bool
    text: str


def compare(
    name: str, baseline: Sequence[float], present: Sequence[float], *, tolerance: float = 0.0, unit: str = "ms"
) -> Comparison:
    """Tells whether larger-is-worse samples have become worse than a baseline's.

    Mann and Whitney's test is used, as outage lengths are neither normal nor alike in spread. With fewer than three
    samples on a side no test can reach 5 %, then nothing is claimed.

    Args:
        name: What is compared.
        baseline: Stored samples.
        present: New samples.
        tolerance: A median that is worse by no more than this is not worth a word.
        unit: Unit of the samples.
    """
    old, new = spread(baseline), spread(present)
    difference = new.median - old.median
    p_value: float | None = None
    if len(old.samples) >= 3 and len(new.samples) >= 3:
        if set(old.samples) == set(new.samples) and len(set(old.samples)) == 1:
            p_value = 1.0
        else:
            from scipy import stats

            p_value = float(stats.mannwhitneyu(new.samples, old.samples, alternative="greater").pvalue)
    significant = p_value is not None and p_value <= ALPHA
    worse = significant and difference > tolerance
    if p_value is None:
        judged = "too few samples to tell (three on each side are needed)"
    elif worse:
        judged = f"worse (p = {p_value:.3f})"
    elif significant:
        judged = f"higher but within the tolerance of {tolerance:g} {unit}"
    else:
        judged = f"no worse than the spread of the baseline (p = {p_value:.3f})"
    text = f"{name}: median {new.median:.0f} {unit}, baseline {old.median:.0f} {unit}: {judged}"
    return Comparison(name, old, new, p_value, worse, text)


def samples_of(records: Sequence[Mapping[str, object]], name: str, figure: str) -> dict[str, list[float]]:
    """Collects a figure's samples per stream from stored records of a measurement.

    Args:
        records: Lines of a measurements file.
        name: Name of the measurement.
        figure: Key in each sample, for instance `longest_ms`.

    Returns:
        Samples by stream.
    """
    found: dict[str, list[float]] = {}
    for record in records:
        if record.get("kind") != "network_break" or record.get("name") != name:
            continue
        samples = record.get("samples")
        for sample in samples if isinstance(samples, list) else ():
            value = sample.get(figure)
            if isinstance(value, (int, float)) and sample.get("valid", True):
                found.setdefault(str(sample["stream"]), []).append(float(value))
    return found
