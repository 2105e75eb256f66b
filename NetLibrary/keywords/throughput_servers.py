"""Keywords for iperf3 servers and the paths to them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from robot.api import logger

from NetLibrary._mechanics import defaults
from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._comparison import against, conclude_comparison
from NetLibrary.keywords._conclude import conclude
from NetLibrary.types import Percentage, ServiceType, ThroughputPath
from NetLibrary.types.quantities import bitrate_text

if TYPE_CHECKING:
    from NetLibrary._mechanics.statistics import Spread
    from NetLibrary._mechanics.throughput import Measurement
    from NetLibrary._mechanics.throughput.server import Way
    from NetLibrary._mechanics.verdict import Check

WAIT = timedelta(seconds=60)


class ThroughputServerKeywords(KeywordBase):
    """Start iperf3 servers, find the paths to them and compare the paths."""

    @keyword(tags=["iperf3"])
    def start_iperf3_server(
        self, namespace: str, name: str = "iperf3-server", *, node: str | None = None, host_network: bool = False,
        service_type: ServiceType = ServiceType.ClusterIP, port: int = 5201, image: str = defaults.IPERF3_IMAGE,
        timeout: timedelta = WAIT, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Starts an iperf3 server with a Service in a namespace, and waits until it listens.

        It is removed with the namespace or at the end of the run.

        Args:
            namespace: Where it runs.
            name: Name of its Deployment and Service.
            node: Node for the server; the scheduler's choice by default.
            host_network: Whether it uses the network of its node.
            service_type: ClusterIP, NodePort or LoadBalancer.
            port: Port of the server and the Service, TCP and UDP.
            image: Image of the server; needs `iperf3` and `sh`.
            timeout: Longest time to wait; it is not a failure when a load balancer has no address by then.
            cluster: Alias of the cluster.
        Returns:
            Name of the node that it runs on.

        ```robotframework
        *** Test Cases ***
        Through A Cluster IP
            Create Namespace    demo
            Start Iperf3 Server    demo    node=node2
            Measure Throughput    iperf3-server    demo    node=node1    duration=2s    at_least=100M
        ```
        """
        from NetLibrary._mechanics.kube.addresses import require_node
        from NetLibrary._mechanics.throughput.server import server_manifests, start

        connection = self.session.cluster(cluster)
        if node:
            require_node(connection, node)
        objects = server_manifests(
            name, namespace, image, port=port, node=node, host_network=host_network, service_type=service_type.value
        )
        return start(connection, objects, program="iperf3", timeout=timeout.total_seconds(), say=logger.info)

    @keyword(tags=["iperf3"])
    def get_path_to_iperf3_server(
        self, path: ThroughputPath, namespace: str, name: str = "iperf3-server", *, family: int | None = None,
        cluster: str | None = None,
    ) -> Way:  # fmt: skip
        """Returns where a client has to run and what it has to connect to in order to use a path to a server.

        If the cluster does not offer that path, the test is skipped with the reason.

        Args:
            path: The path.
            namespace: Namespace of the server.
            name: Name of its Service.
            family: `4` or `6` for an address of that IP family.
            cluster: Alias of the cluster.
        Returns:
            Its `host` and `port`, the client's `node`, whether the client needs `host_network`, and a `text` that
            describes the path.

        ```robotframework
        *** Test Cases ***
        Through A Node Port
            ${path}    Get Path To Iperf3 Server    node port    demo
            Measure Throughput    ${path.host}    demo    port=${path.port}    node=${path.node}    duration=2s
        ```
        """
        from NetLibrary._mechanics.throughput.server import find_way

        way = find_way(self.session.cluster(cluster), path, name, namespace, family)
        logger.info(f"{path.value}: {way.text}, {way.host}:{way.port}.")
        return way

    @keyword(tags=["iperf3"])
    def get_direct_path_to_iperf3_server(
        self, namespace: str, name: str = "iperf3-server", *, cluster: str | None = None,
        client_cluster: str | None = None,
    ) -> Way:  # fmt: skip
        """Returns the most direct path to a server: its pod or, from another cluster, its load balancer or NodePort.

        If the client's cluster has no path to the server, the test is skipped.

        Args:
            namespace: Namespace of the server.
            name: Name of its Service.
            cluster: Alias of the server's cluster.
            client_cluster: Alias of the client's cluster.
        Returns:
            Its `host` and `port`, and a `text` that describes the path.
        """
        from NetLibrary._mechanics.kube.sameness import same_cluster
        from NetLibrary._mechanics.throughput.server import direct_way

        here, there = self.session.cluster(cluster), self.session.cluster(client_cluster)
        way = direct_way(here, name, namespace, same_cluster=same_cluster(here, there))
        logger.info(f"Direct path: {way.text}, {way.host}:{way.port}.")
        return way

    @keyword(tags=["iperf3"])
    def repeats_should_be_steady(
        self, *measured: Measurement, variation_at_most: Percentage | None = None, name: str | None = None
    ) -> Spread:  # fmt: skip
        """Shows how the repeats of one measurement vary and fails when they vary too much.

        It shows the median, the range, the 95 % confidence interval of the mean (Student's t, which assumes that
        repeats are independent and normally distributed) and the coefficient of variation (standard deviation divided
        by the mean).

        Args:
            measured: Results of [Measure Throughput], at least two.
            variation_at_most: Largest acceptable coefficient of variation.
            name: Name in the table and the record; the test's name by default.
        Returns:
            The spread in bit/s: `median`, `least`, `most`, `low` and `high`.

        ```robotframework
        *** Test Cases ***
        Steady Throughput
            VAR    @{results}
            FOR    ${_}    IN RANGE    5
                ${result}    Measure Throughput    iperf3-server    demo    duration=2s
                Append To List    ${results}    ${result}
            END
            Repeats Should Be Steady    @{results}    variation_at_most=10 %
        ```
        """
        from NetLibrary._mechanics.report import Table
        from NetLibrary._mechanics.statistics import coefficient_of_variation, spread
        from NetLibrary._mechanics.verdict import at_most

        if len(measured) < 2:
            raise InputError(f"There are {len(measured)} results; give at least two of 'Measure Throughput'.")
        rates = [run.bits_per_second for run in measured]
        found, variation = spread(rates), 100 * coefficient_of_variation(rates)
        label = name or _robot.current_test() or "repeats"
        limit = variation_at_most.percent if variation_at_most else None
        rows: list[list[object]] = [
            ["repeats", len(rates)],
            ["median", bitrate_text(found.median)],
            ["smallest to largest", f"{bitrate_text(found.least)} to {bitrate_text(found.most)}"],
            ["95 % confidence interval of the mean", f"{bitrate_text(found.low)} to {bitrate_text(found.high)}"],
            ["coefficient of variation", f"{variation:.1f} %"],
        ]
        conclude(
            self.session,
            kind="repeats",
            name=label,
            checks=[] if limit is None else [at_most("variation", limit, variation, "%")],
            samples=rates,
            summary={
                "median_bits_per_second": found.median, "low_bits_per_second": found.low,
                "high_bits_per_second": found.high, "variation_percent": variation,
            },
            tables=[Table(["", label], rows)],
        )  # fmt: skip
        return found

    @keyword(tags=["iperf3"])
    def paths_should_carry_their_share(
        self, reference: str, share_at_least: Percentage = Percentage(0), /, name: str = "paths compared",
        **measured: Measurement,
    ) -> None:  # fmt: skip
        """Compares the throughputs of several paths with that of a reference path, in a table and a picture.

        Args:
            reference: Name of the result that the others are compared with.
            share_at_least: Smallest acceptable share; 0 only shows them.
            name: Name in the table and the record.
            measured: Results of [Measure Throughput] by name.

        ```robotframework
        *** Test Cases ***
        Services Cost Little
            ${pod}    Measure Throughput    10.0.0.7    demo    duration=2s
            ${service}    Measure Throughput    iperf3-server    demo    duration=2s
            Paths Should Carry Their Share    pod    50 %    pod=${pod}    service=${service}
        ```
        """
        from NetLibrary._mechanics.report import Table
        from NetLibrary._mechanics.throughput.show import draw_shares
        from NetLibrary._mechanics.verdict import at_least

        nothing = "carried no data, so no share of it can be calculated"
        multiples = against(reference, measured, lambda run: run.bits_per_second, nothing)
        shares = {each: 100 * multiple for each, multiple in multiples.items()}
        checks: list[Check] = []
        if share_at_least.percent:
            checks = [
                at_least(f"share of {each}", share_at_least.percent, share, "%")
                for each, share in shares.items() if each != reference
            ]  # fmt: skip
        rows = [
            [
                each, bitrate_text(run.bits_per_second), f"{shares[each]:.0f} %", run.node_cpu_seconds_per_gigabit_text,
                run.cpu_seconds_per_gigabit_text,
            ]
            for each, run in measured.items()
        ]  # fmt: skip
        columns = [
            "path", "throughput", f"share of {reference}", "CPU seconds per Gbit, both nodes",
            "CPU seconds per Gbit, iperf3 alone",
        ]  # fmt: skip
        path = draw_shares(_robot.picture_path("paths"), {each: run.bits_per_second for each, run in measured.items()})
        summary = {f"{each}_share_percent": share for each, share in shares.items()}
        conclude_comparison(self.session, name, reference, checks, summary, Table(columns, rows, name), path)
