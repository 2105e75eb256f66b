"""Keywords that judge CyPerf runs: acceptance rules, limits, baselines, reports."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot.api import logger

from NetLibrary._mechanics.errors import ControllerError, InputError
from NetLibrary.keywords import _robot
from NetLibrary.keywords._conclude import conclude
from NetLibrary.keywords.cyperf._shared import KIND, keyword
from NetLibrary.keywords.cyperf.explanations import CyPerfExplanationKeywords
from NetLibrary.keywords.cyperf.runs import CyPerfRunKeywords
from NetLibrary.types import Bitrate, Count, CyPerfReport, Percentage, TimeLimit

if TYPE_CHECKING:
    from NetLibrary._mechanics.cyperf.judge import Judged
    from NetLibrary.keywords.cyperf._state import Run

ALL_REQUESTS, SOME_WORSE = Percentage(100.0), Percentage(20.0)
LIMIT_NAMES = {
    "throughput": "throughput_at_least",
    "connections_per_second": "connections_per_second_at_least",
    "concurrent_connections": "concurrent_connections_at_least",
    "requests_per_second": "requests_per_second_at_least",
    "http_success": "http_success_at_least",
    "connect_latency": "connect_latency_at_most",
    "first_byte": "first_byte_at_most",
    "last_byte": "last_byte_at_most",
    "failed_connections": "failed_connections_at_most",
    "aborted_connections": "aborted_connections_at_most",
    "failed_transactions": "failed_transactions_at_most",
}


class CyPerfVerdictKeywords(CyPerfRunKeywords, CyPerfExplanationKeywords):
    """Judge runs and download reports."""

    # --- verdicts ----------------------------------------------------------------------------------

    @keyword(renamed={"http_success": "http_success_at_least"})
    def cyperf_traffic_should_meet_acceptance_rules(
        self, *, dut: bool = False, http_success_at_least: Percentage = ALL_REQUESTS, name: str | None = None
    ) -> None:
        """Applies the acceptance rules that Keysight's own regression scripts use to the latest run.

        The rules: there was traffic on both sides; no connection or application failed or was aborted; everything that
        began also ended; every agent had connections; HTTP requests were answered with 2xx. With a DUT that refuses
        some connections on purpose, only the sums have to agree.

        Args:
            dut: Whether there is a device in between that may make connections fail.
            http_success_at_least: Smallest acceptable share of HTTP requests answered with 2xx.
            name: Name in the table and the record; the test's name by default.
        """
        from NetLibrary._mechanics.cyperf import judge

        run = self._last_run()
        self._measure(run)
        assert run.totals is not None
        judged = judge.acceptance(
            run.views, run.totals, dut=dut, http_success_percent=http_success_at_least.percent,
            bypassed=run.aim.bypassed,
        )  # fmt: skip
        self._judge(run, "acceptance rules", judged, name, dut=dut)

    @keyword(renamed=LIMIT_NAMES)
    def cyperf_run_should_reach(
        self, *, throughput_at_least: Bitrate | None = None, connections_per_second_at_least: Count | None = None,
        concurrent_connections_at_least: Count | None = None, requests_per_second_at_least: Count | None = None,
        http_success_at_least: Percentage | None = None, connect_latency_at_most: TimeLimit | None = None,
        first_byte_at_most: TimeLimit | None = None, last_byte_at_most: TimeLimit | None = None,
        failed_connections_at_most: Count | None = None, aborted_connections_at_most: Count | None = None,
        failed_transactions_at_most: Count | None = None, name: str | None = None,
    ) -> dict[str, float | None]:  # fmt: skip
        """Compares the key figures of the latest run with limits and records them.

        Rates and latencies are averages over the steady part of the run. Only figures with a given limit are judged.

        Args:
            throughput_at_least: Smallest acceptable throughput, for instance `100M`.
            connections_per_second_at_least: Smallest acceptable rate of new connections, for instance `300` or `2k`.
            concurrent_connections_at_least: Smallest acceptable number of open connections.
            requests_per_second_at_least: Smallest acceptable rate of HTTP transactions.
            http_success_at_least: Smallest acceptable share of HTTP requests answered with 2xx.
            connect_latency_at_most: Longest acceptable average time to connect, for instance `20 ms`.
            first_byte_at_most: Longest acceptable average time to the first byte.
            last_byte_at_most: Longest acceptable average time to the last byte.
            failed_connections_at_most: Largest acceptable total number of failed connections.
            aborted_connections_at_most: Largest acceptable number of aborted connections.
            failed_transactions_at_most: Largest acceptable number of failed transactions.
            name: Name in the table and the record; the test's name by default.
        Returns:
            The key figures; their names contain the units.

        ```robotframework
        *** Test Cases ***
        Thousand Connections Per Second
            CyPerf Run Should Reach    connections_per_second_at_least=950    first_byte_at_most=20 ms
        ```
        """
        from NetLibrary._mechanics.cyperf import judge
        from NetLibrary._mechanics.cyperf.judge import Judged

        wanted = _limits(locals())
        run = self._last_run()
        self._measure(run)
        assert run.totals is not None
        self._judge(run, "limits", Judged(judge.limits(run.totals, wanted)), name)
        return run.totals.numbers()

    @keyword(renamed=LIMIT_NAMES)
    def measure_cyperf_traffic(
        self, *, throughput_at_least: Bitrate | None = None, connections_per_second_at_least: Count | None = None,
        concurrent_connections_at_least: Count | None = None, requests_per_second_at_least: Count | None = None,
        http_success_at_least: Percentage = ALL_REQUESTS, connect_latency_at_most: TimeLimit | None = None,
        first_byte_at_most: TimeLimit | None = None, last_byte_at_most: TimeLimit | None = None,
        failed_connections_at_most: Count | None = None, aborted_connections_at_most: Count | None = None,
        failed_transactions_at_most: Count | None = None, dut: bool = False, pause: timedelta | None = None,
        timeout: timedelta | None = None, name: str | None = None,
    ) -> dict[str, float | None]:  # fmt: skip
        """Waits for the pause, runs the session's test, and judges it by acceptance rules and limits.

        It is the same as [Wait For Pause Between CyPerf Runs], [Run CyPerf Test],
        [CyPerf Traffic Should Meet Acceptance Rules] and [CyPerf Run Should Reach] in sequence, as one measurement with
        one record. Limits are checked before anything runs.

        Args:
            throughput_at_least: Smallest acceptable throughput, for instance `100M`.
            connections_per_second_at_least: Smallest acceptable rate of new connections.
            concurrent_connections_at_least: Smallest acceptable number of open connections.
            requests_per_second_at_least: Smallest acceptable rate of HTTP transactions.
            http_success_at_least: Smallest acceptable share of HTTP requests answered with 2xx.
            connect_latency_at_most: Longest acceptable average time to connect.
            first_byte_at_most: Longest acceptable average time to the first byte.
            last_byte_at_most: Longest acceptable average time to the last byte.
            failed_connections_at_most: Largest acceptable total number of failed connections.
            aborted_connections_at_most: Largest acceptable number of aborted connections.
            failed_transactions_at_most: Largest acceptable number of failed transactions.
            dut: Whether there is a device in between that may make connections fail.
            pause: Pause since the last run against the same pods, as in [Wait For Pause Between CyPerf Runs].
            timeout: How long the run may take; by default, its planned duration plus two minutes.
            name: Name in the table and the record; the test's name by default.
        Returns:
            The key figures; their names contain the units.

        ```robotframework
        *** Test Cases ***
        Ten Megabits Through A Service
            Open CyPerf Session    CyPerf Two Arm Base
            Use CyPerf Applications    HTTP App
            Assign CyPerf Agents    Client
            Assign CyPerf Agents    Server
            Aim CyPerf Clients At Service    cluster ip    port=80
            Set CyPerf Objective    throughput    10M    60 s
            Measure CyPerf Traffic    throughput_at_least=9M    first_byte_at_most=20 ms
        ```
        """
        from NetLibrary._mechanics.cyperf import judge

        wanted = _limits(locals())
        success = wanted.pop("http_success")
        self._wait_for_pause(pause)
        self._start(timedelta(minutes=10))
        self._finish(timeout)
        run = self._last_run()
        self._measure(run)
        assert run.totals is not None
        judged = judge.acceptance(
            run.views, run.totals, dut=dut, http_success_percent=success, bypassed=run.aim.bypassed
        )  # fmt: skip
        judged.checks += judge.limits(run.totals, wanted)
        self._judge(run, "acceptance rules and limits", judged, name, dut=dut)
        return run.totals.numbers()

    @keyword()
    def cyperf_run_should_match_baseline(
        self, baseline: Path, *, tolerance: Percentage = SOME_WORSE, name: str | None = None
    ) -> None:
        """Compares the latest run with an earlier one; fails if it is worse by more than tolerance and chance explain.

        Runs with different configurations, applications or objectives are not compared, nor is a run on stand-ins with
        a real one.

        Args:
            baseline: `measurements.jsonl` of the earlier run.
            tolerance: How much worse the median may be.
            name: Name of the measurement in the baseline; this test's name by default.
        """
        from NetLibrary._mechanics.cyperf import baseline as earlier
        from NetLibrary._mechanics.cyperf.judge import Judged

        run = self._last_run()
        self._measure(run)
        wanted = name or _label("run")
        before = earlier.find(baseline, wanted, KIND, stand_in=bool(self.session.stand_ins.get("CyPerf")))
        earlier.comparable(before["parameters"], _parameters(run), baseline)
        checks = earlier.compare(run.views, run.window, before["series"], tolerance.percent)
        self._judge(run, "against the baseline", Judged(checks), name)

    def _measure(self, run: Run) -> None:
        """Reads the run's statistics once and draws them."""
        from NetLibrary._mechanics.cyperf import show
        from NetLibrary._mechanics.cyperf.results import Statistics, read_run, steady_window, totals
        from NetLibrary._mechanics.report import Picture

        if run.totals is not None:
            return
        if run.finished is None:
            raise InputError("The CyPerf test has not ended; use 'Wait For CyPerf Test' or 'Stop CyPerf Test' first.")
        run.views = read_run(Statistics(run.session.connection, run.test_id))
        run.window = steady_window(run.views)
        run.totals = totals(run.views, run.window)
        rate = run.views.get("client-throughput")
        if rate and rate.rows:
            path = _robot.picture_path("cyperf")
            show.draw(path, run.views, self._title(run))
            run.pictures.append(Picture(path, self._title(run)))

    def _title(self, run: Run) -> str:
        title = f"{run.session.config_name} towards {run.aim.name or 'the servers'}"
        return f"{title} (STAND-IN)" if run.session.controller.stand_in else title

    def _judge(self, run: Run, what: str, judged: Judged, name: str | None, **parameters: Any) -> None:
        """Concludes: one measurement with its checks, numbers, picture, causes and files."""
        from NetLibrary._mechanics.cyperf import baseline as earlier
        from NetLibrary._mechanics.cyperf import show
        from NetLibrary._mechanics.cyperf.units import shown

        assert run.totals is not None
        numbers = run.totals
        bad = [check for check in judged.checks if not check.passed]
        stand_in = " (STAND-IN)" if run.session.controller.stand_in else ""
        where = f"{stand_in} towards {run.aim.name or 'the servers'}"
        pictures, run.pictures = run.pictures, []  # shown once, also when several keywords judge the run
        facts = {
            "Throughput": shown(numbers.throughput_bits_per_second, "bit/s"),
            "Requests": shown(numbers.requests_per_second, "/s"),
        }
        conclude(
            self.session, kind=KIND, name=name or _label("run"),
            parameters={
                **_parameters(run), **parameters, "judged_by": what,
                "not_checked": [f"{rule}: {why}" for rule, why in judged.unseen],
            },
            checks=judged.checks, errors=judged.errors, summary=numbers.numbers(),
            series=earlier.series(run.views, run.window), causes=self._causes(run, judged),
            tables=[
                show.judged(judged, f"{name or 'CyPerf'}: {what}, {self._title(run)}"),
                show.totals(numbers, self._title(run)),
            ],
            pictures=pictures, images=self._images(), files=[*run.files, *self._keep_agent_logs(_robot.output_dir())],
            metadata=facts, stands_in=["CyPerf"],
            lead=f"The CyPerf run{where} failed {len(bad)} of {len(judged.checks)} rules",
        )  # fmt: skip

    def _images(self) -> list[dict[str, Any]]:
        from NetLibrary._mechanics.facts import images_of

        found: list[dict[str, Any]] = []
        for pods in self._agent_pods().values():
            found += [image for image in images_of(pods) if image not in found]
        return found

    # --- reports ------------------------------------------------------------------------------------------

    @keyword()
    def download_cyperf_report(
        self, kind: CyPerfReport = CyPerfReport.CSV, *, timeout: timedelta = timedelta(minutes=5)
    ) -> Path:
        """Has the controller generate a report of the latest run and downloads it into the output folder.

        Args:
            kind: CSV (a zip file with one file per statistic), PDF or ALL.
            timeout: How long generating it may take.
        Returns:
            The file.
        """
        from NetLibrary._mechanics.cyperf import reports

        run = self._last_run()
        stem = f"stand-in-{_label('report')}" if run.session.controller.stand_in else _label("report")
        file = reports.download(
            run.session.connection, run.test_id, kind, _robot.output_dir() / "cyperf", stem,
            timeout=timeout.total_seconds(), progress=logger.info,
        )  # fmt: skip
        link = file.relative_to(_robot.output_dir()).as_posix()
        _robot.log_html(f'<a href="{link}">{kind.name} report of the run</a>')
        run.files.append(file)
        return file

    @keyword()
    def delete_cyperf_result(self) -> None:
        """Deletes the latest run's result at the controller."""
        run = self._last_run()
        try:
            run.session.connection.call("DELETE", f"/api/v2/results/{run.test_id}")
        except ControllerError as error:
            if error.status != 404:
                raise


def _label(what: str) -> str:
    return _robot.current_test() or what


def _limits(given: dict[str, Any]) -> dict[str, float]:
    """Returns the limits among a keyword's arguments, by the names and in the units of the judgement."""
    found = {}
    for name, argument in LIMIT_NAMES.items():
        value = given.get(argument)
        if isinstance(value, Bitrate):
            found[name] = value.bits_per_second
        elif isinstance(value, Percentage):
            found[name] = value.percent
        elif isinstance(value, Count):
            found[name] = value.value
        elif isinstance(value, TimeLimit):
            found[name] = value.total_seconds() * 1e6
    return found


def _parameters(run: Run) -> dict[str, Any]:
    from NetLibrary._mechanics.cyperf import checklist

    tree: dict[str, Any] = run.tree
    profile = (tree.get("TrafficProfiles") or [{}])[0]
    objective = (profile.get("ObjectivesAndTimeline") or {}).get("PrimaryObjective") or {}
    return {
        "configuration": run.session.config_name,
        "target": run.aim.name,
        "objective": objective.get("Type"),
        "timeline": objective.get("Timeline"),
        "applications": [
            {"name": name, "destination_port": destination, "server_port": listen}
            for name, destination, listen in checklist.effective_ports(tree)
        ],
        "controller_version": run.session.controller.version,
        "test_id": run.test_id,
    }
