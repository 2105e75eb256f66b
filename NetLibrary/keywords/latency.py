"""Keywords that measure the latency of requests and how many connections a path takes, with fortio."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from robot.api import logger

from NetLibrary._mechanics import defaults
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._comparison import against, conclude_comparison
from NetLibrary.keywords._conclude import conclude
from NetLibrary.types import Percentage, ServiceType

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube import Cluster
    from NetLibrary._mechanics.throughput.requests.judge import RequestLimits
    from NetLibrary._mechanics.throughput.requests.objects import Load
    from NetLibrary._mechanics.throughput.requests.results import RequestRun
    from NetLibrary._mechanics.throughput.requests.run import Outcome

IMAGE = defaults.FORTIO_IMAGE
FIVE_SECONDS = timedelta(seconds=5)
WAIT = timedelta(seconds=60)
PAUSE_SECONDS = 0.5


class LatencyKeywords(KeywordBase):
    """Measure latency and connections per second."""

    @keyword(tags=["fortio"])
    def start_fortio_server(
        self, namespace: str, name: str = "fortio-server", *, node: str | None = None, host_network: bool = False,
        service_type: ServiceType = ServiceType.ClusterIP, port: int = 8080, image: str = IMAGE,
        timeout: timedelta = WAIT, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Starts a fortio server with a Service in a namespace, and waits until it answers.

        It is removed with the namespace or at the end of the run. [Get Path To Iperf3 Server] finds the paths to it,
        too.

        Args:
            namespace: Where it runs.
            name: Name of its Deployment and Service.
            node: Node for the server; the scheduler's choice by default.
            host_network: Whether it uses the network of its node.
            service_type: ClusterIP, NodePort or LoadBalancer.
            port: Port of the server and the Service.
            image: Image of fortio; a lab builds the program itself, once.
            timeout: Longest time to wait; it is not a failure when a load balancer has no address by then.
            cluster: Alias of the cluster.
        Returns:
            Name of the node that it runs on.

        ```robotframework
        *** Test Cases ***
        Requests To Another Node Are Quick
            Create Namespace    demo
            Start Fortio Server    demo    node=node2
            Measure Request Latency    fortio-server    demo    node=node1    duration=2s    p99_at_most=20 ms
        ```
        """
        from NetLibrary._mechanics.kube.addresses import require_node
        from NetLibrary._mechanics.throughput.requests.objects import server_manifests
        from NetLibrary._mechanics.throughput.server import start

        connection = self.session.cluster(cluster)
        if node:
            require_node(connection, node)
        self._provide_fortio(connection, image)
        objects = server_manifests(
            name, namespace, image, port=port, node=node, host_network=host_network, service_type=service_type.value
        )
        return start(connection, objects, program="fortio", timeout=timeout.total_seconds(), say=logger.info)

    @keyword(tags=["fortio"])
    def measure_request_latency(
        self, server: str, namespace: str, *, port: int = 8080, duration: timedelta = FIVE_SECONDS,
        connections: int = 1, requests_per_second: float = 0, node: str | None = None, host_network: bool = False,
        p50_at_most: timedelta | None = None, p99_at_most: timedelta | None = None,
        p999_at_most: timedelta | None = None, failed_at_most: Percentage | None = None,
        retry_for: timedelta = FIVE_SECONDS, image: str = IMAGE, name: str | None = None, cluster: str | None = None,
    ) -> RequestRun:  # fmt: skip
        """Measures how long HTTP requests take from a Job in a namespace to a server, over kept-alive connections.

        Each connection sends its next request when the last one is answered, so the figures are those of an otherwise
        unloaded network. With `requests_per_second`, requests are sent at fixed times. A server that answers no request
        at all is a failure.

        Args:
            server: Host name or address of an HTTP server, such as one from [Start Fortio Server].
            namespace: Namespace in which the client runs.
            port: Port of the server.
            duration: How long to measure.
            connections: How many requests are in flight at once.
            requests_per_second: Rate over all connections; 0 for as fast as they are answered.
            node: Node for the client.
            host_network: Whether the client uses the network of its node instead of a pod's.
            p50_at_most: Longest time within which 50 % of the answers must arrive.
            p99_at_most: Longest time within which 99 % of the answers must arrive.
            p999_at_most: Longest time within which 99.9 % of the answers must arrive; needs 10000 answers.
            failed_at_most: Largest share of requests that may fail.
            retry_for: How long to retry a server that answers nothing before it counts as a failure.
            image: Image of fortio; a lab builds the program itself, once.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.
        Returns:
            The result: `p50_ms`, `p99_ms`, `p999_ms`, `max_ms`, `answers`, `failed`, `requests_per_second`.
        """
        from NetLibrary._mechanics.throughput.requests.judge import RequestLimits
        from NetLibrary._mechanics.throughput.requests.objects import Load

        load = Load(server, port, duration.total_seconds(), connections, per_second=requests_per_second)
        limits = RequestLimits(
            _ms(p50_at_most), _ms(p99_at_most), _ms(p999_at_most),
            failed_at_most=failed_at_most.percent if failed_at_most else None,
        )  # fmt: skip
        return self._measure_requests(
            "request_latency", load, limits, namespace, node, host_network, retry_for, image, name, cluster
        )

    @keyword(tags=["fortio"])
    def measure_connection_rate(
        self, server: str, namespace: str, *, port: int = 8080, duration: timedelta = FIVE_SECONDS,
        connections: int = 4, node: str | None = None, host_network: bool = False, at_least: float | None = None,
        failed_at_most: Percentage | None = None, retry_for: timedelta = FIVE_SECONDS, image: str = IMAGE,
        name: str | None = None, cluster: str | None = None,
    ) -> RequestRun:  # fmt: skip
        """Measures how many new connections per second a path takes, each with one HTTP request.

        Besides the path, the result depends on the CPUs of both nodes and on the free space in their connection
        tracking tables, which keep closed connections for two minutes.

        Args:
            server: Host name or address of an HTTP server, such as one from [Start Fortio Server].
            namespace: Namespace in which the client runs.
            port: Port of the server.
            duration: How long to measure.
            connections: How many connections are open at once.
            node: Node for the client.
            host_network: Whether the client uses the network of its node instead of a pod's.
            at_least: Smallest acceptable number of connections opened and answered per second.
            failed_at_most: Largest share of connections that may fail.
            retry_for: How long to retry a server that answers nothing before it counts as a failure.
            image: Image of fortio; a lab builds the program itself, once.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.
        Returns:
            The result: `requests_per_second`, `answers`, `failed`, `p50_ms`, `p99_ms`, `p999_ms`, `max_ms`.

        ```robotframework
        *** Test Cases ***
        A Service Takes A Thousand Connections A Second
            Create Namespace    demo
            Start Fortio Server    demo
            Measure Connection Rate    fortio-server    demo    duration=2s    at_least=1000    failed_at_most=0 %
        ```
        """
        from NetLibrary._mechanics.throughput.requests.judge import RequestLimits
        from NetLibrary._mechanics.throughput.requests.objects import Load

        load = Load(server, port, duration.total_seconds(), connections, new_connections=True)
        limits = RequestLimits(
            rate_at_least=at_least, failed_at_most=failed_at_most.percent if failed_at_most else None
        )
        return self._measure_requests(
            "connection_rate", load, limits, namespace, node, host_network, retry_for, image, name, cluster
        )

    @keyword(tags=["fortio"])
    def latencies_should_be_within_multiple(
        self, reference: str, multiple_at_most: float, /, name: str = "latencies compared", **measured: Any
    ) -> None:
        """Compares the latencies of several paths with those of a reference path, in a table and a picture.

        Args:
            reference: Name of the result that the others are compared with.
            multiple_at_most: Largest multiple of the reference's p99 that each path's p99 may be; 0 only shows them.
            name: Name in the table and the record.
            measured: Results of [Measure Request Latency] by name.

        ```robotframework
        *** Test Cases ***
        A Service Costs Little
            ${pod}        Measure Request Latency    10.0.0.7    demo    duration=2s
            ${service}    Measure Request Latency    fortio-server    demo    duration=2s
            Latencies Should Be Within Multiple    pod    3    pod=${pod}    service=${service}
        ```
        """
        from NetLibrary._mechanics.throughput.requests.show import compared, draw
        from NetLibrary._mechanics.verdict import at_most

        nothing = "answered nothing, so no multiple of it can be calculated"
        multiples = against(reference, measured, lambda run: float(run.p99_ms), nothing)
        checks = []
        if multiple_at_most:
            checks = [
                at_most(f"p99 of {each}, times that of {reference},", multiple_at_most, round(multiple, 3))
                for each, multiple in multiples.items() if each != reference
            ]  # fmt: skip
        conclude_comparison(
            self.session, name, reference, checks,
            {f"{each}_p99_multiple": multiple for each, multiple in multiples.items()},
            compared(name, reference, measured, multiples), draw(_robot.picture_path("latencies"), measured),
        )  # fmt: skip

    # --- behind the keywords ------------------------------------------------------------------------------

    def _provide_fortio(self, cluster: Cluster, image: str) -> None:
        if cluster.is_lab and image == IMAGE:
            cluster.lab.provide("fortio")

    def _measure_requests(
        self, kind: str, load: Load, limits: RequestLimits, namespace: str, node: str | None, host_network: bool,
        retry_for: timedelta, image: str, name: str | None, cluster: str | None,
    ) -> RequestRun:  # fmt: skip
        from NetLibrary._mechanics.facts import images_of
        from NetLibrary._mechanics.kube.addresses import require_node
        from NetLibrary._mechanics.throughput.requests.judge import judge
        from NetLibrary._mechanics.throughput.requests.show import table

        connection = self.session.cluster(cluster)
        if node:
            require_node(connection, node)
        self._provide_fortio(connection, image)
        outcome = self._requests_until_answered(connection, load, namespace, image, node, host_network, retry_for)
        run, label = outcome.run, name or _robot.current_test() or kind.replace("_", " ")
        checks, errors = judge(run, limits, f"{load.server}:{load.port}")
        figure = (
            f"{run.requests_per_second:.0f} connections/s"
            if load.new_connections
            else f"p50 {run.p50_ms:.3f} ms, p99 {run.p99_ms:.3f} ms, p99.9 {run.p999_ms:.3f} ms"
        )
        conclude(
            self.session,
            kind=kind,
            name=label,
            parameters={**asdict(load), **{k: v for k, v in asdict(limits).items() if v is not None}},
            checks=checks,
            errors=errors,
            summary={key: value for key, value in asdict(run).items() if key not in ("failures", "version")},
            samples=[run.failures] if run.failures else [],
            tables=[table(label, load, run)],
            images=images_of([outcome.pod]),
            metadata={"Connections": figure} if load.new_connections else {"Latency": figure},
            console=f"{label}: {figure}",
        )
        return run

    def _requests_until_answered(
        self, cluster: Cluster, load: Load, namespace: str, image: str, node: str | None, host_network: bool,
        retry_for: timedelta,
    ) -> Outcome:  # fmt: skip
        """Runs the client; again while nothing is answered: the rules of a new Service come a moment later."""
        from NetLibrary._mechanics.polling import rounds
        from NetLibrary._mechanics.throughput.requests.objects import client_job
        from NetLibrary._mechanics.throughput.requests.run import run_job

        # After an absence of the API server kube-proxy may come later still
        limit = max(retry_for.total_seconds(), cluster.connection.absences.recovery_left())
        told = f"First answer to requests from '{namespace}'"
        for left in rounds(timeout=limit, every=PAUSE_SECONDS, what=told):
            job = client_job(
                f"fortio-client-{secrets.token_hex(3)}", namespace, image, load, node=node, host_network=host_network
            )
            outcome = run_job(cluster, job, load, progress=logger.info)
            logger.debug(outcome.output[-20_000:])
            if outcome.run.answers or left <= 0:
                break
            logger.info(f"No request was answered yet: {outcome.run.failures}.")
        return outcome


def _ms(limit: timedelta | None) -> float | None:
    return None if limit is None else limit.total_seconds() * 1000
