"""Keywords for the Service matrix: every kind of Service from every pod, with the reason for every wrong cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from robot.api import Failure, SkipExecution, logger

from NetLibrary._mechanics.errors import InputError, ToolMissing
from NetLibrary._mechanics.facts import images_of
from NetLibrary._mechanics.matrix import bandwidth
from NetLibrary._mechanics.matrix.building import Builder, Options
from NetLibrary._mechanics.matrix.cases import CASES, case_kind
from NetLibrary._mechanics.matrix.explain.diagnose import Finding
from NetLibrary._mechanics.matrix.judge import compare
from NetLibrary._mechanics.matrix.lifecycle import LIFECYCLE
from NetLibrary._mechanics.matrix.model.types import Expected, Outcome, Source, Table, Target
from NetLibrary._mechanics.matrix.run import Matrix, latency_rows
from NetLibrary._mechanics.matrix.show import render
from NetLibrary._mechanics.report import bitrate_text
from NetLibrary._mechanics.verdict import Verdict
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.types import Bitrate, Percentage

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.53"
EXPECTATIONS = {
    "as computed": None,
    "connected": frozenset({Outcome.CONNECTED}),
    "refused": frozenset({Outcome.REFUSED}),
    "timed out": frozenset({Outcome.TIMEOUT}),
    "blocked": frozenset({Outcome.REFUSED, Outcome.TIMEOUT, Outcome.UNREACHABLE}),
}
ProberName = Literal["auto", "python", "bash", "sh"]
Expectation = Literal["as computed", "connected", "refused", "timed out", "blocked"]


class MatrixKeywords(KeywordBase):
    """Build, probe, diagnose, compare."""

    _matrix: Matrix | None = None
    _matrices = 0

    @keyword(tags=["matrix"])
    def build_service_matrix(
        self,
        *,
        pods_per_node: int = 1,
        nodes: Sequence[str] = (),
        node_labels: str = "",
        image: str = AGNHOST,
        host_network: bool = True,
        outside: bool = True,
        load_balancer_timeout: timedelta = timedelta(seconds=10),
        external_name: str = "",
        external_ip: str = "",
        prober: ProberName = "auto",
        time_limit: timedelta = timedelta(seconds=1.5),
        in_flight: int = 300,
        timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> dict[str, Any]:
        """Makes one agnhost pod on each schedulable node, and Services of every kind, all at once.

        Nodes that cannot take a pod are left out and named with the reason. Then it measures what expectations depend
        on and no object tells, and how long each node took to program the new Services.

        Args:
            pods_per_node: Pods on each node.
            nodes: Names of nodes to use; all when not given.
            node_labels: Label selector for nodes, `key=value` terms separated by commas.
            image: agnhost image; its shell and tools probe.
            host_network: Also one pod on each node's own network.
            outside: Also probe from outside the cluster; only a lab has such a place.
            load_balancer_timeout: Time for LoadBalancer addresses; `0 s` leaves these Services out.
            external_name: Name outside the cluster for a Service of type ExternalName, for instance `example.com`; the
                case `outside name` is skipped without.
            external_ip: Address for the Service with externalIPs, one of your own; a node's address when not given.
            prober: What probes in the pods; `auto` takes the fastest that the image can run.
            time_limit: The one time limit of all connections that get no answer. Linux repeats a SYN after 1 s, so
                1.3 s and more survive one lost packet.
            in_flight: Connections that all sources together work on at once, 10 to 5000; those that only wait for the
                time limit do not count. Less is gentler to a slow cluster.
            timeout: Time for pods and endpoints to get ready.
            cluster: Alias of the cluster.
        Returns:
            Facts: namespace, nodes, nodes left out, measured facts, programming latency by node in seconds.
        Raises:
            AssertionError: No pod got ready, or a Service was not right on some node in time.

        ```robotframework
        *** Test Cases ***
        Services Work On Every Node
            Build Service Matrix
            Service Matrix Case Should Be Right    cluster ip
        ```
        """
        self._close_matrix()
        MatrixKeywords._matrices += 1
        target = self.session.cluster(cluster)
        options = Options(
            namespace=f"matrix-{self.session.run_id}-{MatrixKeywords._matrices}",
            image=image,
            pods_per_node=pods_per_node,
            nodes=tuple(nodes),
            node_labels=node_labels,
            host_pods=host_network,
            balancer=load_balancer_timeout.total_seconds(),
            external_name=external_name,
            external_ip=external_ip,
            prober=prober,
            limit_ms=_limit(time_limit),
            timeout=self.session.default_timeout if timeout is None else timeout.total_seconds(),
            outside=outside,
            in_flight=_flight(in_flight),
        )
        builder = Builder(target, options)
        self.session.on_close("probers of the Service matrix", builder.testbed.close)
        matrix = self._matrix = Matrix(builder.build())
        by_node = matrix.programming()
        self._report_build(matrix, by_node)
        return {
            "namespace": options.namespace,
            "nodes": [node for _, node in matrix.layout.pods],
            "left_out": dict(matrix.layout.left_out),
            "pod_to_node_masqueraded": matrix.world.facts.pod_to_node_masqueraded,
            "programming_seconds": {node: max(values) for node, values in by_node.items()},
        }

    def _report_build(self, matrix: Matrix, by_node: dict[str, list[float]]) -> None:
        rows = [[n, c, f"{a:.2f}", f"{m:.2f}", f"{b:.2f}"] for n, c, a, m, b in latency_rows(by_node)]
        columns = ["node", "cells", "first right after s", "median s", "all right after s"]
        _robot.log_table(columns, rows, "Programming of the new Services, by node")
        for node, reason in matrix.layout.left_out:
            logger.warn(f"Service matrix: '{node}' is left out: {reason}.")
        notes = [*matrix.testbed.notes, *(f"'{s.name}' probes with {matrix.fleet.flavours.get(s.name) or 'nothing'}."
                                  for s in matrix.sources)]  # fmt: skip
        _robot.log_table(["what the matrix knows"], [[note] for note in notes])
        self.session.note_images(_images(matrix))
        slowest = max((max(v) for v in by_node.values()), default=0.0)
        _robot.console(
            f"Service matrix: {len(matrix.sources)} sources on {len(by_node)} nodes, {len(matrix.world.services)} "
            f"Services; ready after {matrix.seconds['build']:.1f} s, programmed everywhere {slowest:.1f} s later"
        )
        self.session.recorder.add(
            kind="service programming",
            name="programming of new Services",
            parameters={"nodes": len(by_node), "services": len(matrix.world.services)},
            samples=[value for values in by_node.values() for value in values],
            summary={"slowest_seconds": slowest, **{f"{n}_seconds": max(v) for n, v in by_node.items()}},
            images=_images(matrix),
            timings=dict(matrix.seconds),
        )

    @keyword(tags=["matrix"])
    def service_matrix_case_should_be_right(
        self, case: str, *, expect: Expectation = "as computed", settle: timedelta = timedelta(seconds=3)
    ) -> dict[str, Any]:
        """Probes one case from all its sources and fails with the cause when cells are wrong.

        What each cell must show is computed from Services, EndpointSlices, pods, nodes and policies. Wrong cells are
        probed again until they are right or `settle` is over; a cell that is right only now and then counts as wrong.
        Cases that the cluster lacks something for are skipped with the reason.

        Args:
            case: One of the catalogue: `pod ip`, `cluster ip`, `node port`, … an unknown one lists all.
            expect: Overrides the computed outcome of every cell.
            settle: Time for wrong cells to become right.
        Returns:
            Numbers of cells, wrong cells, seconds, and the findings.
        Raises:
            AssertionError: Cells are wrong; the text says which cause explains them, with evidence.
        """
        matrix = self._built()
        name = " ".join(case.lower().replace("_", " ").replace("-", " ").split())
        if name in LIFECYCLE:
            table = LIFECYCLE[name](matrix)
            matrix.tables[name] = table
        else:
            if name not in CASES:
                raise InputError(f"The case '{case}' is unknown; known are {', '.join([*CASES, *LIFECYCLE])}.")
            lacking = matrix.lacking(case_kind(name))
            if lacking:
                raise SkipExecution(f"Case '{name}' cannot be run on this cluster: {lacking}.")
            table = matrix.check(name, settle=settle.total_seconds(), override=_override(expect))
        return self._report_case(matrix, table)

    def _report_case(self, matrix: Matrix, table: Table) -> dict[str, Any]:
        findings = matrix.findings() if table.wrong else []
        html = render.html_of(table)
        if findings:
            html = render.findings_html(findings) + html
        self.session.headline(html)
        if table.wrong or len(table.cells) >= 16:
            path = _robot.picture_path("heat map")
            render.heat_map(table, path)
            _robot.log_picture(path, f"{table.title}: latency and wrong cells")
        latencies = [c.observed.latency_ms for c in table.cells if c.observed.latency_ms is not None]
        reasons = [f.sentence for f in findings]
        self.session.recorder.add(
            kind="service matrix",
            name=table.case,
            parameters={"sources": len(table.sources), "targets": len(table.columns)},
            samples=latencies,
            summary={"cells": len(table.cells), "wrong_cells": len(table.wrong), "seconds": round(table.seconds, 3)},
            verdict=Verdict(not table.wrong, reasons),
            images=_images(matrix),
        )
        if table.wrong:
            _robot.console(render.text_of(table))
            raise Failure(render.failure_text(table, findings))
        return {"cells": len(table.cells), "wrong": 0, "seconds": table.seconds, "findings": []}

    @keyword(tags=["matrix"])
    def probe_service_matrix(self, *cases: str, settle: timedelta = timedelta(seconds=3)) -> dict[str, Any]:
        """Probes several cases in one go and does not fail; [Diagnose Service Matrix] explains what is wrong.

        All connections that get no answer, of all cases together, wait in the same time limit. Cases that the cluster
        lacks something for are left out.

        Args:
            cases: Names of cases; the whole catalogue without the cases that change objects when none is given.
            settle: Time for wrong cells to become right.
        Returns:
            `cells`, `wrong`, `seconds`, and `cases` with the number of wrong cells by case.
        """
        matrix = self._built()
        tables = matrix.check_all(cases or list(CASES), settle=settle.total_seconds())
        rows = [[t.title, len(t.cells), len(t.wrong)] for t in tables]
        _robot.log_table(["case", "cells", "wrong"], rows, "Service matrix")
        for table in tables:
            if table.wrong:
                _robot.log_html(render.html_of(table))
        return {
            "cells": sum(len(t.cells) for t in tables),
            "wrong": sum(len(t.wrong) for t in tables),
            "seconds": max((t.seconds for t in tables), default=0.0),  # they were probed together
            "cases": {t.case: len(t.wrong) for t in tables},
        }

    @keyword(tags=["matrix"])
    def bandwidth_between_pods_should_be(
        self,
        *,
        at_least: Bitrate | None = None,
        limit: str = "",
        tolerance: Percentage = Percentage(20),
        duration: timedelta = timedelta(seconds=1),
    ) -> list[dict[str, Any]]:
        """Measures the TCP rate between the pods of all pairs of nodes, one after the other, with iperf 2.

        Args:
            at_least: Every pair must reach this.
            limit: Bandwidth annotation of an extra pod, for instance `20M`; only this pod's rate is measured then, to
                one pod of another node, and must be at or under the limit.
            tolerance: How far the rate may be above the limit; headers and bursts count.
            duration: Length of each transfer.
        Returns:
            A list of `source`, `target`, `bits_per_second`, `detail`.
        Raises:
            AssertionError: A pair is slower, nothing was transferred, or the limit is not kept.
        """
        matrix = self._built()
        limit_bits = Bitrate.parse(limit).bits_per_second if limit else 0.0
        try:
            seconds = duration.total_seconds()
            rates = (
                bandwidth.measure_limited(matrix, seconds=seconds, annotation=limit, limit=limit_bits)
                if limit
                else bandwidth.measure(matrix, seconds=seconds)
            )
        except ToolMissing as error:
            raise SkipExecution(f"Bandwidth cannot be measured with this image: {error}") from error
        if not rates:
            raise SkipExecution("Bandwidth is measured between nodes, and the matrix has one node only.")
        rows = [[r.source, r.target, bitrate_text(r.bits_per_second) if r.bits_per_second else r.detail] for r in rates]
        _robot.log_table(["from", "to", "rate"], rows, "Bandwidth between pods")
        reached = [r.bits_per_second for r in rates if r.bits_per_second]
        bad = [f"nothing from {r.source} to {r.target}: {r.detail}" for r in rates if not r.bits_per_second]
        most = limit_bits * (1 + tolerance.fraction) if limit else None
        for rate in (r for r in rates if r.bits_per_second):
            value = rate.bits_per_second or 0.0
            if at_least and value < at_least.bits_per_second:
                bad.append(f"{rate.source} to {rate.target}: {bitrate_text(value)} is below {at_least}")
            if most and value > most:
                bad.append(f"{rate.source} to {rate.target}: {bitrate_text(value)} is above the limit of {limit}")
        self.session.recorder.add(
            kind="bandwidth matrix",
            name="bandwidth between pods" + (f" limited to {limit}" if limit else ""),
            parameters={"seconds": duration.total_seconds(), "limit": limit},
            samples=reached,
            summary={"lowest_bits_per_second": min(reached, default=0.0), "pairs": len(rates)},
            thresholds={"at_least": at_least.bits_per_second if at_least else None, "at_most": most},
            verdict=Verdict(not bad, bad),
        )
        if bad:
            raise Failure(f"Bandwidth between pods is not as demanded: {bad[0]}.\n" + "\n".join(bad[1:10]))
        return [dataclasses.asdict(r) for r in rates]

    @keyword(tags=["matrix"])
    def diagnose_service_matrix(self) -> list[dict[str, Any]]:
        """Explains all wrong cells of all cases so far by the fewest causes, confirmed by follow-up probes.

        Returns:
            A list of findings with `cause`, `subject`, `sentence`, `confidence` (confirmed, likely, in doubt, not
            explained), `evidence` (number of cells), `text` and `hint`; empty when nothing is wrong.
        """
        matrix = self._built()
        findings = matrix.findings()
        if findings:
            _robot.log_html(render.findings_html(findings))
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
        matrix = self._built()
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
            ignore_latency: Latencies that changed are shown and do not fail.
        Returns:
            Number of cells that differ.
        Raises:
            AssertionError: Cells are broken, missing or changed that were not so in the earlier run.
        """
        matrix = self._built()
        changes = compare.compare(compare.read_cells(baseline), compare.cells_of(list(matrix.tables.values())))
        rows = [[c.kind, *c.key, c.before, c.now] for c in changes]
        columns = ["change", "case", "source", "target", "protocol", "earlier run", "this run"]
        _robot.log_table(columns, rows or [["none"] + [""] * 6], f"{len(changes)} cells differ from {baseline}")
        bad_kinds = ("broken", "missing", "changed") + (() if ignore_latency else ("slower",))
        bad = [c for c in changes if c.kind in bad_kinds]
        if bad:
            lines = [f"{c.kind}: {' '.join(c.key)}: was {c.before}, is {c.now}" for c in bad[:20]]
            raise Failure(f"{len(bad)} cells are worse than in '{baseline}'.\n" + "\n".join(lines))
        return len(changes)

    @keyword(tags=["matrix"])
    def get_service_matrix_cells(self, case: str = "") -> list[dict[str, Any]]:
        """Returns the cells that were probed so far.

        Args:
            case: Only those of one case.
        Returns:
            A list of dictionaries as in `matrix.json`.
        """
        tables = [t for t in self._built().tables.values() if not case or t.case == case]
        return compare.cells_of(tables)

    @keyword(tags=["matrix"])
    def forget_service_matrix_results(self) -> None:
        """Forgets all tables, so that the next diagnosis knows only what is probed from now on."""
        self._built().forget()

    @keyword(tags=["matrix"])
    def remove_service_matrix(self) -> None:
        """Ends the probers and deletes the namespace of the matrix; does not wait for its end."""
        matrix = self._matrix
        if matrix is not None:
            self._close_matrix()
            self.session.leave_namespace(matrix.cluster, matrix.options.namespace)

    def _close_matrix(self) -> None:
        if self._matrix is not None:
            self._matrix.close()
            self._matrix = None

    def _built(self) -> Matrix:
        if self._matrix is None or not self._matrix.sources:
            raise InputError("There is no Service matrix; use 'Build Service Matrix' first.")
        return self._matrix


def _images(matrix: Matrix) -> list[dict[str, Any]]:
    return images_of([dict(pod) for pod in matrix.world.pods])


def _flight(value: int) -> int:
    if not 10 <= value <= 5000:
        raise InputError(f"'in_flight' is {value}; allowed are 10 to 5000.")
    return value


def _limit(value: timedelta) -> int:
    milliseconds = int(value.total_seconds() * 1000)
    if not 200 <= milliseconds <= 60000:
        raise InputError(f"'time_limit' is {value.total_seconds():g} s; allowed are 0.2 s to 60 s.")
    return milliseconds


def _override(expect: str) -> Any:
    outcomes = EXPECTATIONS[expect]
    if outcomes is None:
        return None

    def change(source: Source, target: Target, computed: Expected) -> Expected:
        keep = outcomes == computed.outcomes
        responders, clients = (computed.responders, computed.clients) if keep else (None, None)
        return Expected(outcomes, responders, clients, "the row says so")

    return change


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "cause": finding.key,
        "subject": finding.subject,
        "sentence": finding.sentence,
        "confidence": finding.confidence,
        "evidence": len(finding.evidence),
        "hint": finding.hint,
        "text": finding.text(),
    }


__all__ = ["MatrixKeywords"]
