"""Keywords about results: comparison with the measurements of an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robot.api import Error, Failure

from NetLibrary._mechanics.records import read
from NetLibrary._mechanics.report import Cell
from NetLibrary._mechanics.statistics import Comparison, compare
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.types import Percentage


class ResultKeywords(KeywordBase):
    """Compare with a baseline."""

    @keyword(tags=["results"])
    def measurement_should_match_baseline(
        self,
        name: str,
        field: str,
        baseline: Path,
        *,
        tolerance: Percentage = Percentage(10),
        higher_is_better: bool = True,
    ) -> float:
        """Compares this run's measurements of one name with those of an earlier run, by statistics.

        With three or more values on both sides a change counts when the medians differ by more than the tolerance in
        the bad direction and a Mann-Whitney U test finds that unlikely to be chance (p < 0.05). With fewer values only
        the medians are compared, and the log says so.

        Args:
            name: Name of the measurements, as in the table and in `measurements.jsonl`.
            field: Field of their summary, for instance `bits_per_second`.
            baseline: A `measurements.jsonl` of an earlier run.
            tolerance: How much worse the median may be.
            higher_is_better: Whether more is better, as for a rate; not so for an outage or a loss.
        Returns:
            Change of the median in percent; positive is more.
        """
        if not baseline.is_file():
            raise Error(f"baseline '{baseline}' does not exist; give a measurements.jsonl of an earlier run.")
        present = read(self.session.recorder.path) if self.session.recorder.path.is_file() else []
        before, now = _values(read(baseline), name, field), _values(present, name, field)
        if not now:
            raise Error(f"This run has no measurement named '{name}' with '{field}'.")
        if not before:
            raise Error(f"The baseline '{baseline}' has no measurement named '{name}' with '{field}'.")
        result = compare(before, now, tolerance=tolerance.fraction, higher_is_better=higher_is_better)
        _robot.log_table(["", "baseline", "this run"], _rows(result, before, now), f"{name}: {field}")
        if result.worse:
            raise Failure(
                f"'{name}': {field} is {now_text(result)}, {abs(result.change) * 100:.1f} % worse than the baseline's "
                f"{result.before:g} (tolerance {tolerance}; {result.basis})."
            )
        return result.change * 100


def now_text(result: Comparison) -> str:
    """Returns the present median as text."""
    return f"{result.now:g}"


def _values(records: list[dict[str, Any]], name: str, field: str) -> list[float]:
    values = [r["summary"].get(field) for r in records if r["name"] == name]
    return [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]


def _rows(result: Comparison, before: list[float], now: list[float]) -> list[list[object]]:
    verdict = Cell("worse", "bad") if result.worse else Cell("not worse", "good")
    return [
        ["values", len(before), len(now)],
        ["median", f"{result.before:g}", f"{result.now:g}"],
        ["smallest to largest", f"{min(before):g} to {max(before):g}", f"{min(now):g} to {max(now):g}"],
        ["change", "", f"{result.change * 100:+.1f} %"],
        ["basis", "", result.basis],
        ["verdict", "", verdict],
    ]
