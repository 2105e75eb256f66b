"""Keywords that drive CyPerf and judge its application traffic."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from robot.api import Failure, logger

from NetLibrary._mechanics import records
from NetLibrary._mechanics.cyperf import checklist, evidence, judgement, picture, reports
from NetLibrary._mechanics.cyperf.errors import CyPerfError
from NetLibrary._mechanics.cyperf.judgement import Finding, Totals
from NetLibrary._mechanics.cyperf.statistics import Statistics, View, shown, unit_of
from NetLibrary._mechanics.cyperf.types import CyPerfAggregate, CyPerfReport, CyPerfRole
from NetLibrary._mechanics.errors import InputError, NetLibraryError
from NetLibrary._mechanics.report import Cell
from NetLibrary._mechanics.verdict import Verdict
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords.cyperf._shared import CyPerfBase, Run
from NetLibrary.keywords.cyperf.agents import CyPerfAgentKeywords
from NetLibrary.keywords.cyperf.runs import CyPerfRunKeywords, _show_findings
from NetLibrary.keywords.cyperf.sessions import CyPerfSessionKeywords
from NetLibrary.keywords.cyperf.stand_in import CyPerfStandInKeywords
from NetLibrary.types import Percentage

KIND = "cyperf"
ALL_REQUESTS, SOME_WORSE = Percentage(100.0), Percentage(20.0)
# Series of a record: name, view, column, whether more is better
_SERIES = (
    ("throughput_bits_per_second", "client-throughput", "Throughput (bps)", True),
    ("connections_per_second", "client-application-connection-rate", "Connections Succeeded Per Second", True),
    ("requests_per_second", "http-requests-rate", "Requests Per Second", True),
    ("concurrent_connections", "client-application-concurrent-connections", "Concurrent Connections", True),
    ("first_byte_us", "client-latency", "Avg Time to First Byte", False),
)


class CyPerfVerdictKeywords(CyPerfBase):
    """Statistics, verdicts, reports and explanations."""

    @keyword(tags=["cyperf"])
    def get_cyperf_statistic(
        self, view: str, column: str, *, aggregate: CyPerfAggregate = CyPerfAggregate.MEAN,
        where: dict[str, str] | None = None,
    ) -> float | None:  # fmt: skip
        """Returns one number of the latest run's statistics, in the unit of its column.

        Throughput is in bits per second, latencies are in microseconds, amounts are in bytes.

        Args:
            view: Name of the statistic, for instance `client-throughput`.
            column: Name of the column; case and blanks do not matter.
            aggregate: How the rows become one number.
            where: Only rows with these values, for instance `{"Application": "HTTP App"}`.
        """
        found = self._view(view, where)
        value = found.aggregate(column, aggregate)
        logger.info(f"{aggregate.value} of '{column}' in {view}: {shown(value, unit_of(view, found.column(column)))}")
        return value

    @keyword(tags=["cyperf"])
    def cyperf_statistic_should_be(
        self, view: str, column: str, *, at_least: str | None = None, at_most: str | None = None,
        aggregate: CyPerfAggregate = CyPerfAggregate.MEAN, where: dict[str, str] | None = None,
    ) -> float | None:  # fmt: skip
        """Fails unless one number of the latest run's statistics is within limits.

        Args:
            view: Name of the statistic.
            column: Name of its column.
            at_least: Smallest value, with unit: `100M`, `2.5 Gbit/s`, `300 /s`, `1 MB`.
            at_most: Largest value: `5 ms`, `0`.
            aggregate: How the rows become one number.
            where: Only rows with these values.
        Returns:
            The value.

        ```robotframework
        *** Test Cases ***
        Quick Answers
            CyPerf Statistic Should Be    client-latency    Avg Time to First Byte    at_most=50 ms
        ```
        """
        if at_least is None and at_most is None:
            raise InputError("Give at_least, at_most or both.")
        found = self._view(view, where)
        value, unit, findings = judgement.statistic(found, column, aggregate, at_least, at_most)
        _show_findings(f"Statistic {view}", findings)
        bad = [str(finding) for finding in findings if not finding.passed]
        if bad:
            raise Failure("\n".join([*bad, *self._reasons(self._last_run())]))
        logger.info(f"{aggregate.value} of '{column}' in {view} is {shown(value, unit)}.")
        return value

    @keyword(tags=["cyperf"])
    def wait_until_cyperf_statistic_is(
        self, view: str, column: str, *, at_least: str | None = None, at_most: str | None = None,
        aggregate: CyPerfAggregate = CyPerfAggregate.LAST, where: dict[str, str] | None = None,
        timeout: timedelta | None = None,
    ) -> float | None:  # fmt: skip
        """Waits while a test runs until one number of its statistics is within limits; fails when it never is.

        Args:
            view: Name of the statistic.
            column: Name of its column.
            at_least: Smallest value, with unit.
            at_most: Largest value, with unit.
            aggregate: How the rows become one number.
            where: Only rows with these values, for instance `{"Agent": "cyperf-agent-server-1"}`.
            timeout: How long to wait.
        Returns:
            The value.
        """
        if at_least is None and at_most is None:
            raise InputError("Give at_least, at_most or both.")
        run, seconds = self._last_run(), self._seconds(timeout)
        deadline, seen = time.monotonic() + seconds, "no rows yet"
        while True:
            try:
                found = self._view(view, where)
            except InputError:
                if time.monotonic() >= deadline:
                    raise
            else:
                value, _, findings = judgement.statistic(found, column, aggregate, at_least, at_most)
                seen = "; ".join(str(finding) for finding in findings)
                if all(finding.passed for finding in findings):
                    logger.info(f"{seen}.")
                    return value
            if time.monotonic() >= deadline:
                raise Failure("\n".join([f"Not within {seconds:g} s: {seen}.", *self._reasons(run)]))
            time.sleep(0.5)

    def _view(self, name: str, where: dict[str, str] | None) -> View:
        run = self._last_run()
        view = Statistics(run.session.connection, run.test_id).read(name)
        return view.where(where) if where else view

    # --- verdicts ----------------------------------------------------------------------------------

    @keyword(tags=["cyperf"])
    def cyperf_traffic_should_meet_acceptance_rules(
        self, *, dut: bool = False, http_success: Percentage = ALL_REQUESTS, name: str | None = None
    ) -> None:
        """Applies the acceptance rules that Keysight's own regression scripts use to the latest run.

        Traffic on both sides; no connection or application failed or aborted; everything begun was ended; every
        agent had connections; HTTP requests were answered with 2xx. With a DUT that refuses some connections on
        purpose only the sums have to agree.

        Args:
            dut: Whether something stands in between that may fail connections.
            http_success: Least share of HTTP requests that end with 2xx.
            name: Name in table and record; from the test's name by default.
        """
        run = self._last_run()
        self._measure(run)
        assert run.totals is not None
        findings = judgement.acceptance(run.views, run.totals, dut=dut, http_success_percent=http_success.percent)
        limits = {"http_success_percent": http_success.percent, "dut": dut}
        self._judge(run, "acceptance rules", findings, limits, name)

    @keyword(tags=["cyperf"])
    def cyperf_run_should_reach(
        self, *, throughput: str | None = None, connections_per_second: str | None = None,
        concurrent_connections: str | None = None, requests_per_second: str | None = None,
        http_success: str | None = None, connect_latency: str | None = None, first_byte: str | None = None,
        last_byte: str | None = None, failed_connections: str | None = None, aborted_connections: str | None = None,
        failed_transactions: str | None = None, name: str | None = None,
    ) -> dict[str, float | None]:  # fmt: skip
        """Compares the headline numbers of the latest run with thresholds, and records them.

        Rates and latencies are averages over the steady part of the run. Only what is given is judged.

        Args:
            throughput: Least throughput, for instance `100M`.
            connections_per_second: Least rate of new connections.
            concurrent_connections: Least number of open connections.
            requests_per_second: Least rate of HTTP transactions.
            http_success: Least percentage of HTTP requests answered with 2xx.
            connect_latency: Longest average time to connect, for instance `20 ms`.
            first_byte: Longest average time to the first byte.
            last_byte: Longest average time to the last byte.
            failed_connections: Most connections that failed, in total.
            aborted_connections: Most connections that were cut.
            failed_transactions: Most transactions that failed.
            name: Name in table and record; from the test's name by default.
        Returns:
            The headline numbers; units are in their names.
        """
        given = {key: value for key, value in locals().items() if key in judgement.LIMITS and value is not None}
        run = self._last_run()
        self._measure(run)
        assert run.totals is not None
        findings = judgement.limits(run.totals, given)
        self._judge(run, "limits", findings, given, name)
        return run.totals.numbers()

    @keyword(tags=["cyperf"])
    def cyperf_run_should_match_baseline(
        self, baseline: Path, *, tolerance: Percentage = SOME_WORSE, name: str | None = None
    ) -> None:
        """Compares the latest run with an earlier one; fails where it is worse beyond tolerance and chance.

        Args:
            baseline: `measurements.jsonl` of the earlier run.
            tolerance: How much worse an average may be.
            name: Name of the measurement in the baseline; that of this test by default.
        """
        run = self._last_run()
        self._measure(run)
        wanted = name or _label("run")
        try:
            known = [each for each in records.read(baseline) if each.get("kind") == KIND and each.get("series")]
        except (OSError, ValueError) as error:
            raise InputError(f"The baseline '{baseline}' cannot be read: {error}.") from error
        before = next((each for each in reversed(known) if each.get("name") == wanted), None)
        if before is None:
            names = ", ".join(sorted({f"'{each['name']}'" for each in known})) or "none"
            raise InputError(f"The baseline '{baseline}' has no CyPerf measurement '{wanted}'; it has {names}.")
        if bool(before.get("stand_ins")) != bool(self.session.stand_ins):
            raise InputError(f"The baseline '{baseline}' and this run are not both real or both made with stand-ins.")
        now = _series(run)
        findings = [
            judgement.against_baseline(
                now[key],
                before["series"][key],
                key.replace("_", " "),
                unit_of(view, column),
                tolerance_percent=tolerance.percent,
                higher_is_better=more,
            )
            for key, view, column, more in _SERIES
            if key in now and key in before["series"]
        ]
        self._judge(run, "against the baseline", findings, {"tolerance_percent": tolerance.percent}, name)

    def _measure(self, run: Run) -> None:
        """Reads the run's statistics once, draws them, and keeps the agents' logs."""
        if run.totals is not None:
            return
        if run.finished is None:
            raise InputError("The CyPerf test has not ended; use 'Wait For CyPerf Test' or 'Stop CyPerf Test' first.")
        run.views = judgement.read_run(Statistics(run.session.connection, run.test_id))
        rate = run.views.get("client-throughput")
        stamps = sorted({row.milliseconds for row in rate.rows}) if rate else []
        # The first row covers the start of traffic, so it says nothing about the steady part.
        run.window = (stamps[1], stamps[-1]) if len(stamps) > 2 else None
        run.totals = judgement.totals(run.views, run.window)
        if rate and rate.rows:
            path = _robot.picture_path("cyperf")
            picture.draw(path, run.views, self._title(run))
            _robot.log_picture(path, self._title(run))
            run.notes.append(str(path))

    def _title(self, run: Run) -> str:
        title = f"{run.session.config_name} towards {run.aim.name or 'the servers'}"
        return f"{title} (STAND-IN)" if run.session.controller.stand_in else title

    def _judge(
        self, run: Run, what: str, findings: Sequence[Finding], limits: dict[str, Any], name: str | None
    ) -> None:
        assert run.totals is not None
        bad = [str(finding) for finding in findings if finding.passed is False]
        caption = f"{name or 'CyPerf'}: {what}, {self._title(run)}"
        _show_findings(caption, list(findings))
        _show_totals(run.totals, self._title(run))
        files = [*run.notes, *(str(file) for file in self._keep_agent_logs(_robot.output_dir()))]
        verdict = Verdict(not bad, bad)
        self.session.recorder.add(
            kind=KIND,
            name=name or _label("run"),
            parameters={**_parameters(run), "judged_by": what},
            series=_series(run),
            summary=run.totals.numbers(),
            thresholds=limits,
            verdict=verdict,
            images=self._images(),
            files=files,
        )
        for key, unit in (("throughput_bits_per_second", "bit/s"), ("requests_per_second", "/s")):
            value = getattr(run.totals, key)
            if value is not None:
                _robot.set_test_metadata(key.replace("_", " "), shown(value, unit))
        if bad:
            stand_in = " (STAND-IN)" if run.session.controller.stand_in else ""
            where = f"{stand_in} towards {run.aim.name or 'the servers'}"
            first = f"The CyPerf run{where} failed {len(bad)} of {len(findings)} rules."
            raise Failure("\n".join([f"{first} {bad[0]}.", *bad[1:], *self._reasons(run)]))

    def _images(self) -> list[dict[str, Any]]:
        stand_in = "CyPerf agent" if self.session.stand_ins.get("CyPerf") else None
        found = {each.image for each in self._cyperf.deployed.values()}
        return [{"reference": image, "stand_in": stand_in} for image in sorted(found)]

    # --- explanations ---------------------------------------------------------------------------------

    @keyword(tags=["cyperf"])
    def explain_cyperf_run(self) -> str:
        """Returns what is known about the latest run, one sentence a line: why it went wrong, if it did.

        Asked are the controller (test details, notifications, agents that were lost), the agents' pods and
        events, the nodes' connection tracking (after `Read CyPerf Nodes`), and a connection of our own from the
        client pods to the DUT.
        """
        text = "\n".join(self._reasons(self._last_run()))
        logger.info(text or "Nothing is wrong that could be seen.")
        return text

    def _reasons(self, run: Run) -> list[str]:
        shared = self._cyperf
        found: list[str] = []
        servers = self.session.cluster(shared.clusters.get(CyPerfRole.SERVER)) if shared.deployed else None
        try:
            if servers is not None and shared.reader_namespace:
                found += evidence.tracking(servers, shared.reader_namespace, run.tracking)
            found += evidence.lost_agents(run.session.controller, shared.deployed.values())
            found += evidence.controller_says(run.session)
            for role, deployed in shared.deployed.items():
                found += evidence.pods(self.session.cluster(shared.clusters.get(role)), [deployed], run.begun)
            found += self._probe(run)
        except NetLibraryError as error:
            found.append(f"More could not be found out: {error}")
        return list(dict.fromkeys(line for line in found if line))

    def _probe(self, run: Run) -> list[str]:
        clients = self._cyperf.deployed.get(CyPerfRole.CLIENT)
        tree: dict[str, Any] = run.tree
        profile = (tree.get("NetworkProfiles") or [{}])[0]
        dut = next((each for each in profile.get("DUTNetworkSegment") or [] if each.get("active")), None)
        host = str((dut or {}).get("ServerDUTHost") or (dut or {}).get("host") or "")
        ports = checklist.effective_ports(tree)
        if not clients or not host or not ports:
            return []
        connection = self.session.cluster(self._cyperf.clusters.get(CyPerfRole.CLIENT))
        numbers = sorted({port for _, port, _ in ports})
        return [line for port in numbers for line in evidence.probe(connection, clients, host, port)]

    # --- reports ------------------------------------------------------------------------------------------

    @keyword(tags=["cyperf"])
    def download_cyperf_report(
        self, kind: CyPerfReport = CyPerfReport.CSV, *, timeout: timedelta = timedelta(minutes=5)
    ) -> Path:
        """Lets the controller make a report of the latest run and downloads it into the output folder.

        Args:
            kind: CSV (a zip with one file for each statistic), PDF, or ALL.
            timeout: How long making it may take.
        Returns:
            The file.
        """
        run = self._last_run()
        stem = f"stand-in-{_label('report')}" if run.session.controller.stand_in else _label("report")
        file = reports.download(
            run.session.connection, run.test_id, kind, _robot.output_dir() / "cyperf", stem,
            timeout=timeout.total_seconds(), progress=logger.info,
        )  # fmt: skip
        link = file.relative_to(_robot.output_dir()).as_posix()
        _robot.log_html(f'<a href="{link}">{kind.name} report of the run</a>')
        run.notes.append(str(file))
        return file

    @keyword(tags=["cyperf"])
    def delete_cyperf_result(self) -> None:
        """Deletes the latest run's result at the controller."""
        run = self._last_run()
        try:
            run.session.connection.call("DELETE", f"/api/v2/results/{run.test_id}")
        except CyPerfError as error:
            if error.status != 404:
                raise


class CyPerfKeywords(
    CyPerfAgentKeywords, CyPerfSessionKeywords, CyPerfRunKeywords, CyPerfVerdictKeywords, CyPerfStandInKeywords
):
    """All CyPerf keywords."""


def _label(what: str) -> str:
    return _robot.current_test() or what


def _series(run: Run) -> dict[str, list[float]]:
    found = {}
    for key, name, column, _ in _SERIES:
        view = run.views.get(name)
        if view is not None and column in view.columns:
            inside = view.between(*run.window) if run.window else view
            found[key] = [value for _, value in inside.series(column)]
    return found


def _parameters(run: Run) -> dict[str, Any]:
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


def _show_totals(numbers: Totals, title: str) -> None:
    units = {
        "bits_per_second": "bit/s", "per_second": "/s", "_us": "us", "percent": "%", "bytes_": "B",
    }  # fmt: skip
    rows: list[list[object]] = []
    for key, value in numbers.numbers().items():
        unit = next((unit for part, unit in units.items() if part in key), "")
        label = key.removesuffix("_bits_per_second").removesuffix("_us").removesuffix("_percent").replace("_", " ")
        rows.append([label, Cell(shown(value, unit), "idle" if value is None else "")])
    _robot.log_table(["Number", "Value"], rows, title)
