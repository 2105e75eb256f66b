"""Keywords about results: comparison with the measurements of an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude
from NetLibrary.types import Percentage

if TYPE_CHECKING:
    from NetLibrary._mechanics.statistics import Comparison
    from NetLibrary._mechanics.verdict import Check


class ResultKeywords(KeywordBase):
    """Compare measurements with a baseline."""

    @keyword(tags=["results"])
    def measurement_should_match_baseline(
        self, name: str, field: str, baseline: Path, *, tolerance: Percentage = Percentage(10),
        higher_is_better: bool | None = None,
    ) -> float:  # fmt: skip
        """Compares this run's measurements of one name with those of an earlier run, statistically.

        With three or more values on both sides, a change counts when the median is worse by more than the tolerance and
        a Mann-Whitney U test finds that unlikely to be chance (p of at most 0.05). The test assumes that the values are
        independent of each other, one per measurement, and nothing about their distribution. With fewer values, only
        the medians are compared, and the log says so. Comparisons that make no sense are refused: with this run's own
        file, a stand-in with the real product, TCP with UDP. Measurements that ended in an error have no value; the log
        says if values of the baseline come from measurements that failed.

        Args:
            name: Name of the measurements, as shown in the table and in `measurements.jsonl`.
            field: Field of their summary, for instance `bits_per_second`.
            baseline: File `measurements.jsonl` of an earlier run.
            tolerance: How much worse the median may be.
            higher_is_better: Whether higher is better. The library knows this for its own figures; give it for others.
        Returns:
            Change of the median in percent; positive means higher.

        ```robotframework
        *** Test Cases ***
        As Fast As Yesterday
            Measure Throughput    iperf3-server    demo    duration=5s    name=to the server
            Measurement Should Match Baseline    to the server    bits_per_second    yesterday/measurements.jsonl
        ```
        """
        from NetLibrary._mechanics import baselines
        from NetLibrary._mechanics.records import read
        from NetLibrary._mechanics.report import Table
        from NetLibrary._mechanics.statistics import compare

        own = self.session.recorder.path
        old = baselines.earlier(baseline, own=own, run=self.session.run_id)
        here = read(own, run=self.session.run_id) if own.is_file() else []
        before = baselines.named(old, name, f"The baseline '{baseline}'")
        now = baselines.named(here, name, "This run")
        baselines.comparable(before, now, name)
        values = baselines.values(before, field, f"The baseline '{baseline}'")
        ours = baselines.values(now, field, "This run")
        more = baselines.direction(field, higher_is_better)  # of a field that there is: else it is misspelt
        bad = baselines.failed(before, field), baselines.failed(now, field)
        result = compare(values, ours, tolerance=tolerance.fraction, higher_is_better=more)
        conclude(
            self.session,
            kind="comparison",
            name=f"{name} against the baseline",
            parameters={"field": field, "baseline": str(baseline), "higher_is_better": more},
            checks=[_check(name, field, result, tolerance)],
            samples=ours,
            summary={
                "median": result.now, "baseline_median": result.before, "change_percent": result.change * 100,
                "p_value": result.p_value, "basis": result.basis, "baseline_failed": bad[0],
            },
            console=_told(name, bad[0], len(values)),
            tables=[Table(["", "baseline", "this run"], _rows(result, values, ours, bad), f"{name}: {field}")],
        )  # fmt: skip
        return result.change * 100


def _check(name: str, field: str, result: Comparison, tolerance: Percentage) -> Check:
    from NetLibrary._mechanics.verdict import Check

    by = f"{abs(result.change) * 100:.1f} % " if result.before else ""
    text = (
        f"'{name}': {field} is {result.now:g}, {by}worse than the baseline's "
        f"{result.before:g} (tolerance {tolerance}; {result.basis})."
    )
    return Check(f"{field} worse at most", tolerance.percent, result.change * 100, "%", not result.worse, text)


def _told(name: str, failed: int, of: int) -> str:
    if not failed:
        return ""
    return f"{name}: {failed} of the baseline's {of} values come from measurements that failed a limit of their own"


def _rows(result: Comparison, before: list[float], now: list[float], failed: tuple[int, int]) -> list[list[object]]:
    from NetLibrary._mechanics.report import Cell

    verdict = Cell("worse", "bad") if result.worse else Cell("not worse", "good")
    return [
        ["values", len(before), len(now)],
        *([["from measurements that failed", *failed]] if any(failed) else []),
        ["median", f"{result.before:g}", f"{result.now:g}"],
        ["smallest to largest", f"{min(before):g} to {max(before):g}", f"{min(now):g} to {max(now):g}"],
        ["change", "", f"{result.change * 100:+.1f} %"],
        ["basis", "", result.basis],
        ["verdict", "", verdict],
    ]
