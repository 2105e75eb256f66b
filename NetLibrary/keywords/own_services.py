"""Keywords for the Services of the user's own namespace: all of them from every node, as their objects say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics.defaults import AGNHOST_IMAGE
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.own.run import Outcomes


class OwnServiceKeywords(KeywordBase):
    """Check the Services that a cluster already has."""

    @keyword(tags=["matrix"])
    def services_of_namespace_should_be_right(
        self, namespace: str, *services: str, sources: str = "", prober_labels: Mapping[str, str] | None = None,
        image: str = AGNHOST_IMAGE, denied_at_most: int | None = None, silence: timedelta = timedelta(seconds=1.5),
        settle: timedelta = timedelta(seconds=5), timeout: timedelta | None = None, name: str | None = None,
        cluster: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Connects to all Services of a namespace from every node and fails when one does not do what its objects say.

        The expectations come from the Services, EndpointSlices, pods and NetworkPolicies: names, cluster IPs, NodePorts
        on every node, load balancer addresses and each ready endpoint, in all address families. Mistakes that the
        objects alone reveal are found too: a selector that matches nothing, a port name that no pod has, stale or
        missing endpoints.

        Nothing is changed. A prober is started on each node and removed after the measurement; with `sources=`,
        existing pods connect instead. To TCP ports, only a connection is made and no data is sent; UDP ports get a line
        of text and count only if something answers. Services that lead out of the cluster are left out.

        Args:
            namespace: The namespace.
            services: Names of Services; all when none is given.
            sources: Labels of pods in the namespace to connect from, which need a shell; by default, probers are
                started.
            prober_labels: Labels of the probers, for policies that allow only certain clients.
            image: Image of the probers, with a shell.
            denied_at_most: How many connections may be denied by policies; if not given, they are reported and not
                judged.
            silence: Time without an answer after which there counts as no connection.
            settle: Time during which wrong results may still become right.
            timeout: Longest time for the probers to start; the library's `timeout` by default.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.
        Returns:
            Numbers: `services`, `cells`, `wrong`, `denied`, and `findings` as texts.
        Raises:
            Failure: A Service does not work as its objects say; the message says which, why, and what to do.

        ```robotframework
        *** Test Cases ***
        Every Service Of The Shop Is Right
            Services Of Namespace Should Be Right    shop
        ```
        """
        from NetLibrary._mechanics.errors import InputError
        from NetLibrary._mechanics.matrix.own import judge, run

        if not 0.3 <= silence.total_seconds() <= 30:
            raise InputError(f"silence is {silence.total_seconds():g} s; allowed: 0.3 s to 30 s.")
        settings = run.Settings(
            services=services,
            sources=sources,
            prober_labels=dict(prober_labels or {}),
            image=image,
            limit_ms=int(silence.total_seconds() * 1000),
            settle_seconds=settle.total_seconds(),
            timeout_seconds=self.session.default_timeout if timeout is None else timeout.total_seconds(),
        )
        connection = self.session.cluster(cluster)
        _robot.console(
            f"Services of '{namespace}': starting probers, then connecting to all Services from each of them"
        )
        outcomes = run.Namespace(connection, namespace, settings).check()
        label = name or _robot.current_test() or f"Services of {namespace}"
        parameters = {
            "namespace": namespace, "services": list(services), "sources": sources, "denied_at_most": denied_at_most,
            "prober_labels": dict(prober_labels or {}), "silence_ms": settings.limit_ms,
            "settle_seconds": settings.settle_seconds,
        }  # fmt: skip
        errors = judge.errors(outcomes)
        checks = [] if errors else judge.checks(outcomes, denied_at_most)
        return self._conclude_services(outcomes, label, parameters, checks, errors)

    def _conclude_services(
        self, outcomes: Outcomes, label: str, parameters: dict[str, Any], checks: Any, errors: Any
    ) -> dict[str, Any]:
        from NetLibrary._mechanics.matrix.show import render
        from NetLibrary._mechanics.report import Picture, Table

        tables, pictures = [], []
        if outcomes.found:
            rows = [[", ".join(f.services), f.text, len(f.cells), f.mend] for f in outcomes.found]
            tables.append(Table(["Service", "what is wrong", "wrong cells", "what to do"], rows, "Findings"))
        for table in outcomes.tables:
            tables += render.tables_of(table)
            path = _robot.picture_path(f"services {table.case}")
            render.heat_map(table, path)
            pictures.append(Picture(path, f"{table.title}: latency and wrong cells", headline=False))
        denied = outcomes.denied
        if denied:
            rows_denied = [[policy, count] for policy, count in sorted(denied.items())]
            tables.append(
                Table(["denied by", "connections"], rows_denied, "Connections denied by policies", headline=False)
            )
        if outcomes.notes:
            tables.append(Table(["what is not probed or not judged"], [[n] for n in outcomes.notes], headline=False))
        wrong = [cell for cell in outcomes.cells if cell.wrong]
        numbers = {
            "services": outcomes.services,
            "cells": len(outcomes.cells),
            "wrong": len(wrong),
            "denied": sum(denied.values()),
        }
        findings = [str(finding) for finding in outcomes.found]
        conclude(
            self.session,
            kind="own services",
            name=label,
            parameters=parameters,
            checks=checks,
            errors=errors,
            samples=[c.observed.latency_ms for c in outcomes.cells if c.observed.latency_ms is not None],
            summary={**numbers, "findings": len(findings),
                     "not_judged": sum(not c.expected.judged for c in outcomes.cells)},
            causes=[],
            tables=tables,
            pictures=pictures,
            console=f"Services: {numbers['services']} by {numbers['cells']} connections, {numbers['wrong']} wrong, "
            f"{numbers['denied']} denied by policies",
        )  # fmt: skip
        return {**numbers, "findings": findings}
