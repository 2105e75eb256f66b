"""Keywords about a Service matrix as a whole: its bandwidth, causes, files, comparison and end."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot.api import logger

from NetLibrary._mechanics.errors import InputError, ToolMissing
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude
from NetLibrary.keywords.matrix._state import state_of
from NetLibrary.types import Bitrate, MatrixCase, Percentage
from NetLibrary.types.quantities import bitrate_text

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.explain.diagnose import Finding


class MatrixResultKeywords(KeywordBase):
    """Measure bandwidth; explain, save, compare and remove the matrix."""

    @keyword(tags=["matrix"], renamed={"limit": "pod_limit"})
    def bandwidth_between_pods_should_be(
        self,
        *,
        at_least: Bitrate | None = None,
        pod_limit: Bitrate | None = None,
        tolerance: Percentage = Percentage(20),
        duration: timedelta = timedelta(seconds=1),
    ) -> list[dict[str, Any]]:
        """Measures the TCP rate between the pods of all pairs of nodes, one after the other, with iperf 2.

        Args:
            at_least: Smallest acceptable rate of every pair.
            pod_limit: Limit for an extra pod with the annotation `kubernetes.io/egress-bandwidth`, for instance `20M`;
                then only the rate from this pod to one pod on another node is measured, and it must not exceed the
                limit.
            tolerance: How far the rate may exceed the limit, since headers and bursts count.
            duration: Length of each transfer.
        Returns:
            A list of `source`, `target`, `bits_per_second`, `detail`, and `held_back` by its CPU limit.
        Raises:
            AssertionError: A pair is slower, nothing was transferred, or the limit is exceeded.
            Error: The CPU limit of a pod decided a rate that is too low.

        ```robotframework
        *** Test Cases ***
        Pods Of Different Nodes Reach 80 Mbit/s
            Build Service Matrix
            Bandwidth Between Pods Should Be    at_least=80M
        ```
        """
        from NetLibrary._mechanics.matrix import bandwidth
        from NetLibrary._mechanics.report import Table as Shown

        matrix = state_of(self.session).built()
        seconds, name = (
            duration.total_seconds(),
            "bandwidth between pods" + (f" limited to {pod_limit}" if pod_limit else ""),
        )
        asked = {"seconds": seconds, "pod_limit_bits_per_second": pod_limit.bits_per_second if pod_limit else None}
        skip, rates = "", []
        try:
            rates = (
                bandwidth.measure_limited(matrix, seconds=seconds, limit=pod_limit.bits_per_second)
                if pod_limit
                else bandwidth.measure(matrix, seconds=seconds)
            )
            skip = "" if rates else "Bandwidth is measured between nodes, but the matrix has only one node."
        except ToolMissing as error:
            skip = f"Bandwidth cannot be measured with this image: {error}"
        reached = [r.bits_per_second for r in rates if r.bits_per_second]
        rows = [[r.source, r.target, bitrate_text(r.bits_per_second) if r.bits_per_second else r.detail] for r in rates]
        conclude(
            self.session,
            kind="bandwidth matrix",
            name=name,
            parameters=asked,
            samples=reached,
            summary={"lowest_bits_per_second": min(reached, default=0.0), "pairs": len(rates)},
            checks=bandwidth.checks(
                rates,
                at_least=at_least.bits_per_second if at_least else None,
                at_most=pod_limit.bits_per_second if pod_limit else None,
                tolerance=tolerance.fraction,
            ),
            errors=bandwidth.no_results(rates, at_least=at_least.bits_per_second if at_least else None),
            tables=[Shown(["from", "to", "rate"], rows, "Bandwidth between pods")] if rows else [],
            skip=skip,
        )
        return [dataclasses.asdict(r) for r in rates]

    @keyword(tags=["matrix"], formerly=["Diagnose Service Matrix"])
    def explain_service_matrix(self) -> list[dict[str, Any]]:
        """Explains all wrong cells of all cases so far by the smallest number of causes, confirmed by follow-up probes.

        Returns:
            A list of findings with `cause`, `subject`, `sentence`, `confidence` (confirmed, likely, in doubt, not
            explained), `evidence` (number of cells), `text`, `hint` and `command`; empty when nothing is wrong.
        """
        from NetLibrary._mechanics.matrix.show import render

        matrix = state_of(self.session).built()
        findings = matrix.findings()
        if findings:
            shown = render.findings_table(findings)
            _robot.log_table(shown.columns, shown.rows, shown.caption)
        else:
            logger.info("No cell is wrong, so there is nothing to explain.")
        return [_finding(f) for f in findings]

    @keyword(tags=["matrix"])
    def save_service_matrix(self, *, folder: str = "service_matrix") -> str:
        """Writes all cells of all cases so far as `matrix.json` and `matrix.csv`, and a summary as `matrix.md`.

        Args:
            folder: Folder inside the output folder.
        Returns:
            Path of the JSON file, which [Service Matrix Should Match] takes in a later run.
        """
        from NetLibrary._mechanics.matrix.show import render

        matrix = state_of(self.session).built()
        tables = list(matrix.tables.values())
        files = render.write_files(tables, matrix.findings(ask=False), _robot.output_dir() / folder)
        links = " ".join(f'<a href="{folder}/{f.name}">{f.name}</a>' for f in files)
        _robot.log_html(f"{sum(len(t.cells) for t in tables)} cells of {len(tables)} cases: {links}")
        return str(files[0])

    @keyword(tags=["matrix"])
    def service_matrix_should_match(self, baseline: Path, *, ignore_latency: bool = True) -> int:
        """Compares all cells so far with those of an earlier run and fails when cells got worse.

        Args:
            baseline: The `matrix.json` of the earlier run.
            ignore_latency: Whether changed latencies are only shown and are not a failure.
        Returns:
            Number of cells that differ.
        Raises:
            AssertionError: Cells are broken, missing or changed compared with the earlier run.
        """
        from NetLibrary._mechanics.matrix.judge import compare
        from NetLibrary._mechanics.verdict import Check

        matrix = state_of(self.session).built()
        changes = compare.compare(compare.read_cells(baseline), compare.cells_of(list(matrix.tables.values())))
        rows = [[c.kind, *c.key, c.before, c.now] for c in changes]
        columns = ["change", "case", "source", "target", "protocol", "earlier run", "this run"]
        _robot.log_table(columns, rows or [["none"] + [""] * 6], f"{len(changes)} cells differ from {baseline}")
        bad_kinds = ("broken", "missing", "changed") + (() if ignore_latency else ("slower",))
        bad = [c for c in changes if c.kind in bad_kinds]
        lines = [f"{c.kind}: {' '.join(c.key)}: was {c.before}, is {c.now}" for c in bad[:20]]
        text = f"{len(bad)} cells are worse than in '{baseline}'."
        conclude(
            self.session,
            kind="service matrix comparison",
            name="service matrix against a baseline",
            parameters={"baseline": str(baseline), "ignore_latency": ignore_latency},
            summary={kind: sum(c.kind == kind for c in changes) for kind in dict.fromkeys(c.kind for c in changes)},
            checks=[Check("cells worse than the baseline at most", 0, len(bad), passed=not bad, text=text)],
            causes=lines,
        )
        return len(changes)

    @keyword(tags=["matrix"])
    def get_service_matrix_cells(self, case: MatrixCase | None = None) -> list[dict[str, Any]]:
        """Returns the cells probed so far.

        Args:
            case: The only case to return; all by default.
        Returns:
            A list of dictionaries as in `matrix.json`.
        """
        from NetLibrary._mechanics.matrix.judge import compare

        tables = [t for t in state_of(self.session).built().tables.values() if case is None or t.case == case.key]
        return compare.cells_of(tables)

    @keyword(tags=["matrix"])
    def get_service_matrix_tables(self, case: MatrixCase) -> str:
        """Returns a probed case as three text tables: expected, observed, comparison.

        Args:
            case: Row of the matrix.

        ```robotframework
        *** Test Cases ***
        Tables Of Pod Addresses
            Build Service Matrix
            Service Matrix Case Should Be Right    pod ip
            ${text}    Get Service Matrix Tables    pod ip
            Log To Console    ${text}
        ```
        """
        from NetLibrary._mechanics.matrix.show import grids

        table = state_of(self.session).built().tables.get(case.key)
        if table is None:
            raise InputError(
                f"The case '{case.key}' was not probed yet; use 'Service Matrix Case Should Be Right' first."
            )
        return f"{grids.three(table)}\n{grids.LEGEND}"

    @keyword(tags=["matrix"])
    def forget_service_matrix_results(self) -> None:
        """Forgets all results, so that the next diagnosis uses only what is probed from now on."""
        state_of(self.session).built().forget()

    @keyword(tags=["matrix"], formerly=["Remove Service Matrix"])
    def delete_service_matrix(self) -> None:
        """Ends the probers and deletes the matrix's namespace without waiting until it is gone."""
        matrix = state_of(self.session).close()
        if matrix is not None:
            self.session.leave_namespace(matrix.cluster, matrix.options.namespace)


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "cause": finding.key,
        "subject": finding.subject,
        "sentence": finding.sentence,
        "confidence": finding.confidence,
        "evidence": len(finding.evidence),
        "hint": finding.hint,
        "command": finding.command,
        "text": finding.text(),
    }
