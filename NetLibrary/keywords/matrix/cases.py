"""Keywords that build a Service matrix and probe its cases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from robot.api import logger

from NetLibrary._mechanics import defaults
from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude
from NetLibrary.keywords.matrix._state import state_of
from NetLibrary.types import MatrixCase

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.explain.diagnose import Finding
    from NetLibrary._mechanics.matrix.model.types import Table
    from NetLibrary._mechanics.matrix.run import Matrix

# A smaller table shows in its own colours all that a picture would; drawing one takes a second on a busy machine
PICTURED = 16
ProberName = Literal["auto", "python", "bash", "sh", "agnhost"]
Expectation = Literal["as computed", "connected", "refused", "timed out", "blocked"]


class MatrixCaseKeywords(KeywordBase):
    """Build the matrix, probe and judge its cases."""

    @keyword(tags=["matrix"], renamed={"load_balancer_timeout": "load_balancer_within", "time_limit": "silence"})
    def build_service_matrix(
        self,
        *,
        pods_per_node: int = 1,
        nodes: Sequence[str] = (),
        node_labels: str = "",
        image: str = defaults.AGNHOST_IMAGE,
        prober_image: str = "",
        host_network: bool = True,
        outside: bool = True,
        load_balancer_within: timedelta = timedelta(seconds=10),
        external_name: str = "",
        external_ip: str = "",
        namespace: str = "",
        prober: ProberName = "auto",
        silence: timedelta = timedelta(seconds=1.5),
        in_flight: int = 300,
        look_at_nodes: bool = True,
        timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> dict[str, Any]:
        """Creates one agnhost pod on each schedulable node, and Services of every kind, all at once.

        Nodes that cannot run a pod are left out and named with the reason. The keyword then measures properties that
        expectations depend on and that no object shows, and how long each node took to program the new Services.

        Args:
            pods_per_node: Number of pods on each node.
            nodes: Names of the nodes to use; all by default.
            node_labels: Label selector for nodes, `key=value` terms separated by commas.
            image: agnhost image; its shell and tools are used for probing unless there is a `prober_image`.
            prober_image: Image for a second container that probes from the same pod; needs a shell and `sleep`,
                preferably Python or bash 5. For an agnhost image without a shell, or for faster probing.
            host_network: Whether to also create one pod on each node's own network.
            outside: Whether to also probe from outside the cluster, which only a lab offers.
            load_balancer_within: Time for load balancers to get an address; `0 s` leaves these Services out.
            external_name: Name outside the cluster for a Service of type ExternalName, for instance `example.com`;
                without it, the case `outside name` is skipped.
            external_ip: Address for the Service with externalIPs, which must be your own; a node's address by default.
            prober: Program that probes in the pods; `auto` selects the fastest that the image can run. `agnhost` uses
                `agnhost connect`, one process per probe, which does not check who answers.
            silence: Time without an answer after which a connection counts as failed. Linux repeats a SYN after 1 s, so
                with 1.3 s or more, one lost packet does no harm.
            in_flight: Number of connections that all sources together may have in progress, 10 to 5000; those that only
                wait out the silence do not count. Fewer are gentler on a slow cluster.
            look_at_nodes: Whether, once cells are wrong, to start a pod on each node's network that reads the firewall
                rules (NET_ADMIN, the node's files read-only) and changes nothing; a lab is queried directly. If that is
                refused or not wanted, findings name no rule.
            timeout: Longest time for pods and endpoints to become ready.
            namespace: Namespace for pods and Services. An existing one is used, and everything in it that belongs to
                others stays; by default, a namespace is created and removed at the end.
            cluster: Alias of the cluster.
        Returns:
            Facts: namespace, nodes, nodes left out, measured properties, programming latency by node in seconds.
        Raises:
            AssertionError: No pod became ready, or a Service did not work on some node in time.

        ```robotframework
        *** Test Cases ***
        Services Work On Every Node
            Build Service Matrix
            Service Matrix Case Should Be Right    cluster ip
        ```
        """
        from NetLibrary._mechanics.matrix.building import Builder, Options
        from NetLibrary._mechanics.matrix.run import Matrix

        state = state_of(self.session)
        state.close()
        state.number += 1
        target = self.session.cluster(cluster)
        options = Options(
            namespace=namespace or f"matrix-{self.session.run_id}-{state.number}",
            image=image,
            prober_image=prober_image,
            pods_per_node=pods_per_node,
            nodes=tuple(nodes),
            node_labels=node_labels,
            host_pods=host_network,
            balancer=load_balancer_within.total_seconds(),
            external_name=external_name,
            external_ip=external_ip,
            prober=prober,
            limit_ms=_limit(silence),
            timeout=self.session.default_timeout if timeout is None else timeout.total_seconds(),
            outside=outside,
            in_flight=_flight(in_flight),
            look_at_nodes=look_at_nodes,
        )
        builder = Builder(target, options)
        self.session.on_close("probers of the Service matrix", builder.testbed.close)
        matrix = state.matrix = Matrix(builder.build())
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
        from NetLibrary._mechanics.matrix.rounds import OUT_OF_REACH
        from NetLibrary._mechanics.matrix.run import latency_rows

        rows = [[n, c, f"{a:.2f}", f"{m:.2f}", f"{b:.2f}"] for n, c, a, m, b in latency_rows(by_node)]
        columns = ["node", "cells", "first right after s", "median s", "all right after s"]
        _robot.log_table(columns, rows, "Programming of the new Services, by node")
        for names, reason in matrix.layout.left_out_together():
            are = "is" if len(names) == 1 else "are"
            logger.warn(f"Service matrix: {', '.join(map(repr, names))} {are} left out: {reason}.")
        notes = [*matrix.testbed.notes, *(f"'{s.name}' probes with {matrix.fleet.flavours.get(s.name) or 'nothing'}."
                                  for s in matrix.sources)]  # fmt: skip
        _robot.log_table(["what the matrix knows"], [[note] for note in notes])
        slowest = max((max(v) for v in by_node.values()), default=0.0)
        nodes = {source.node for source in matrix.sources if source.node}
        cells, wrong = matrix.tables["programming"].cells, matrix.tables["programming"].wrong
        late = sorted({c.source.node for c in wrong if c.why != OUT_OF_REACH and c.symptom != "client"})
        out_of_reach = sum(cell.why == OUT_OF_REACH for cell in wrong)
        programmed = f"everywhere {slowest:.1f} s later"
        if late:
            programmed = f"not on {', '.join(late)} {matrix.seconds['programming']:.0f} s later"
        elif out_of_reach:
            programmed += f", as far as pods can be reached ({out_of_reach} of {len(cells)} cannot)"
        conclude(
            self.session,
            kind="service programming",
            name="programming of new Services",
            parameters={"nodes": len(nodes), "services": len(matrix.world.services)},
            samples=[value for values in by_node.values() for value in values],
            summary={
                "slowest_seconds": slowest,
                **{f"{n}_seconds": max(v) for n, v in by_node.items()},
                **{f"{step}_seconds": round(took, 3) for step, took in matrix.seconds.items()},
            },
            images=_images(matrix),
            console=f"Service matrix: {len(matrix.sources)} sources on {len(nodes)} nodes, "
            f"{len(matrix.world.services)} Services; ready after {matrix.seconds['build']:.1f} s, programmed "
            f"{programmed}",
        )

    @keyword(tags=["matrix"])
    def service_matrix_case_should_be_right(
        self, case: MatrixCase, *, expect: Expectation = "as computed", settle: timedelta = timedelta(seconds=3)
    ) -> dict[str, Any]:
        """Probes one case from all its sources and fails, naming the cause, when cells are wrong.

        The expected outcome of each cell is computed from Services, EndpointSlices, pods, nodes and policies. Wrong
        cells are probed again until they are right or `settle` is over; a cell that is right only some of the time
        counts as wrong. If the cluster lacks something that a case needs, the case is skipped with the reason.

        Args:
            case: Row of the matrix, for instance `pod ip`, `cluster ip` or `node port`.
            expect: Overrides the computed outcome of every cell.
            settle: Time during which wrong cells may still become right.
        Returns:
            The number of cells, of wrong cells and of seconds, and the findings.
        Raises:
            AssertionError: Cells are wrong; the message says which cause explains them, with evidence.
        """
        from NetLibrary._mechanics.errors import ClusterError, Invalid
        from NetLibrary._mechanics.kube.service_types import is_refusal
        from NetLibrary._mechanics.matrix.cases import CASES
        from NetLibrary._mechanics.matrix.judge.override import override
        from NetLibrary._mechanics.matrix.lifecycle import LIFECYCLE

        matrix = state_of(self.session).built()
        name = _key_of(case)
        lacking = matrix.beyond_prober(name) if name in LIFECYCLE else matrix.lacking(CASES[name])
        if lacking:
            self._skip_case(name, lacking)
        if name in LIFECYCLE:
            try:
                table = LIFECYCLE[name](matrix)
            except ClusterError as error:  # of an object that a policy or a quota does not let be so
                if not (is_refusal(error) or isinstance(error, Invalid)):
                    raise
                self._skip_case(name, f"the API server refused it: {error}")
            matrix.tables[name] = table
        else:
            table = matrix.check(name, settle=settle.total_seconds(), override=override(expect))
        return self._report_case(matrix, table)

    def _skip_case(self, name: str, lacking: str) -> NoReturn:
        reason = f"Case '{name}' cannot be run on this cluster: {lacking.rstrip('.')}."
        conclude(self.session, kind="service matrix", name=name, skip=reason)
        raise AssertionError(reason)  # which a skip never reaches

    def _report_case(self, matrix: Matrix, table: Table) -> dict[str, Any]:
        from NetLibrary._mechanics.matrix.show import render
        from NetLibrary._mechanics.report import Picture
        from NetLibrary._mechanics.verdict import Check

        findings = matrix.findings_of(table) if table.wrong else []
        tables = ([render.findings_table(findings)] if findings else []) + render.tables_of(table)
        if table.wrong:
            # at once: drawing may take seconds
            _robot.console(render.text_of(table))
            new = [f for f in findings if (f.key, f.subject) not in matrix.told]
            _robot.console("\n".join(f"[{f.confidence}] {f.sentence}" for f in new[:1]))
        pictures = []
        if len(table.cells) >= PICTURED:
            path = _robot.picture_path("heat map")
            render.heat_map(table, path)
            pictures = [Picture(path, f"{table.title}: latency and wrong cells", headline=False)]
        total, lost = table.first_attempts
        right = len(table.cells) - len(table.wrong)
        text = render.headline(table, findings) if table.wrong else ""
        conclude(
            self.session,
            kind="service matrix",
            name=table.case,
            parameters={"sources": len(table.sources), "targets": len(table.columns)},
            samples=[c.observed.latency_ms for c in table.cells if c.observed.latency_ms is not None],
            summary={
                "cells": len(table.cells),
                "wrong_cells": len(table.wrong),
                "not_promised_cells": sum(not c.expected.promised for c in table.cells),
                "first_attempts": total,
                "first_attempts_lost": lost,
                "seconds": round(table.seconds, 3),
            },
            checks=[Check("cells as promised", len(table.cells), right, passed=not table.wrong, text=text)],
            causes=_causes_of(matrix, table, findings),
            tables=tables,
            pictures=pictures,
            images=_images(matrix),
        )
        return {"cells": len(table.cells), "wrong": 0, "seconds": table.seconds, "findings": []}

    @keyword(tags=["matrix"])
    def probe_service_matrix(self, *cases: MatrixCase, settle: timedelta = timedelta(seconds=3)) -> dict[str, Any]:
        """Probes several cases at once and does not fail; [Explain Service Matrix] explains what is wrong.

        Connections of all cases that get no answer wait at the same time. Cases that need something the cluster lacks
        are left out.

        Args:
            cases: Names of cases; by default, all cases except those that change objects.
            settle: Time during which wrong cells may still become right.
        Returns:
            `cells`, `wrong`, `seconds`, and `cases` with the number of wrong cells in each case.
        """
        from NetLibrary._mechanics.matrix.cases import CASES
        from NetLibrary._mechanics.matrix.show import render

        matrix = state_of(self.session).built()
        tables = matrix.check_all([_key_of(c) for c in cases] or list(CASES), settle=settle.total_seconds())
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


def _causes_of(matrix: Matrix, table: Table, findings: list[Finding]) -> list[str]:
    from NetLibrary._mechanics.matrix.show import render

    if not table.wrong:
        return []
    everything = [table, *(t for t in matrix.tables.values() if t is not table)]
    lines = render.explanation(table, findings, told=matrix.told, tables=everything)
    for finding in findings:
        matrix.told.setdefault((finding.key, finding.subject), table.title)
    return lines


def _key_of(case: MatrixCase) -> str:
    if case is MatrixCase.ENDLESS:
        logger.warn("The case 'endless' is deprecated; it is called 'no endpoints' now.")
    return case.key


def _images(matrix: Matrix) -> list[dict[str, Any]]:
    from NetLibrary._mechanics.facts import images_of

    return images_of([dict(pod) for pod in matrix.world.pods])


def _flight(value: int) -> int:
    if not 10 <= value <= 5000:
        raise InputError(f"'in_flight' is {value}; allowed: 10 to 5000.")
    return value


def _limit(value: timedelta) -> int:
    milliseconds = int(value.total_seconds() * 1000)
    if not 200 <= milliseconds <= 60000:
        raise InputError(f"'silence' is {value.total_seconds():g} s; allowed: 0.2 s to 60 s.")
    return milliseconds
