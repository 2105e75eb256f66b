"""Keywords for single numbers of a CyPerf run's statistics."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from robot.api import logger

from NetLibrary._mechanics.errors import InputError, WaitTimeout
from NetLibrary.keywords import _robot
from NetLibrary.keywords._conclude import conclude
from NetLibrary.keywords.cyperf._shared import keyword
from NetLibrary.keywords.cyperf.explanations import CyPerfExplanationKeywords
from NetLibrary.types import CyPerfAggregate

if TYPE_CHECKING:
    from NetLibrary._mechanics.cyperf.results import View


class CyPerfStatisticKeywords(CyPerfExplanationKeywords):
    """Read, judge and wait for statistics."""

    @keyword()
    def get_cyperf_statistic(
        self, view: str, column: str, *, aggregate: CyPerfAggregate = CyPerfAggregate.MEAN,
        where: dict[str, str] | None = None,
    ) -> float | None:  # fmt: skip
        """Returns one number of the latest run's statistics, in the unit of its column.

        Throughput is in bits per second, latency in microseconds, amounts of data in bytes.

        Args:
            view: Name of the statistic, for instance `client-throughput`.
            column: Name of the column; case and spaces do not matter.
            aggregate: How the rows are combined into one number.
            where: Only rows with these values, for instance `{"Application": "HTTP App"}`.
        """
        from NetLibrary._mechanics.cyperf.units import shown, unit_of

        found = self._view(view, where)
        value = found.aggregate(column, aggregate)
        logger.info(f"{aggregate.value} of '{column}' in {view}: {shown(value, unit_of(view, found.column(column)))}")
        return value

    @keyword()
    def cyperf_statistic_should_be(
        self, view: str, column: str, *, at_least: str | None = None, at_most: str | None = None,
        aggregate: CyPerfAggregate = CyPerfAggregate.MEAN, where: dict[str, str] | None = None,
    ) -> float | None:  # fmt: skip
        """Fails unless one number of the latest run's statistics is within limits.

        Args:
            view: Name of the statistic.
            column: Name of its column.
            at_least: Smallest acceptable value, with unit: `100M`, `2.5 Gbit/s`, `300 /s`, `1 MB`.
            at_most: Largest acceptable value: `5 ms`, `0`.
            aggregate: How the rows are combined into one number.
            where: Only rows with these values.
        Returns:
            The value.

        ```robotframework
        *** Test Cases ***
        Quick Answers
            CyPerf Statistic Should Be    client-latency    Avg Time to First Byte    at_most=50 ms
        ```
        """
        from NetLibrary._mechanics.cyperf import judge, show
        from NetLibrary._mechanics.cyperf.judge import Judged

        if at_least is None and at_most is None:
            raise InputError("Give at_least, at_most or both.")
        run = self._last_run()
        found = self._view(view, where)
        value, _, checks = judge.statistic(found, column, aggregate, at_least, at_most)
        judged = Judged(checks)
        conclude(
            self.session, kind="cyperf_statistic", name=f"{_robot.current_test() or 'statistic'}: {column} in {view}",
            parameters={
                "view": view, "column": column, "where": where or {}, "aggregate": aggregate, "test_id": run.test_id,
            },
            checks=checks, summary={"value": value}, causes=self._causes(run, judged),
            tables=[show.judged(judged, f"Statistic {view}")], stands_in=["CyPerf"],
        )  # fmt: skip
        return value

    @keyword()
    def wait_until_cyperf_statistic_is(
        self, view: str, column: str, *, at_least: str | None = None, at_most: str | None = None,
        aggregate: CyPerfAggregate = CyPerfAggregate.LAST, where: dict[str, str] | None = None,
        timeout: timedelta | None = None,
    ) -> float | None:  # fmt: skip
        """Waits until one number of a running test's statistics is within limits; fails if it never is.

        Args:
            view: Name of the statistic.
            column: Name of its column.
            at_least: Smallest acceptable value, with unit.
            at_most: Largest acceptable value, with unit.
            aggregate: How the rows are combined into one number.
            where: Only rows with these values, for instance `{"Agent": "cyperf-agent-server-1"}`.
            timeout: Longest time to wait.
        Returns:
            The value.
        """
        from NetLibrary._mechanics import polling
        from NetLibrary._mechanics.cyperf import judge

        if at_least is None and at_most is None:
            raise InputError("Give at_least, at_most or both.")
        run, seconds = self._last_run(), self._seconds(timeout)
        state: dict[str, Any] = {"value": None, "seen": "no rows yet"}

        def within() -> bool:
            try:
                found = self._view(view, where)
            except InputError as error:
                state["seen"] = str(error)
                return False  # a statistic appears with its first row
            value, _, checks = judge.statistic(found, column, aggregate, at_least, at_most)
            state.update(value=value, seen="; ".join(check.sentence for check in checks))
            return all(check.passed for check in checks)

        if not polling.settle(within, timeout=seconds, every=0.5, what=lambda: str(state["seen"])):
            lines = [f"Not within {seconds:g} s: {state['seen']}.", *self._reasons(run)]
            raise WaitTimeout("\n".join(lines))
        logger.info(f"{state['seen']}.")
        found: float | None = state["value"]
        return found

    def _view(self, name: str, where: dict[str, str] | None) -> View:
        from NetLibrary._mechanics.cyperf.results import Statistics

        run = self._last_run()
        view = Statistics(run.session.connection, run.test_id).read(name)
        return view.where(where) if where else view
