"""Keywords that measure throughput with iperf3."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot.api import logger

from NetLibrary._mechanics import defaults
from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude
from NetLibrary.types import Bitrate, Percentage, Protocol
from NetLibrary.types.quantities import bitrate_text

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube import Cluster
    from NetLibrary._mechanics.throughput import Measurement, Request
    from NetLibrary._mechanics.throughput.judge import Limits
    from NetLibrary._mechanics.throughput.run import Outcome

RETRY = timedelta(seconds=5)
#: Problems of a client that never reached its server, where it has no figures of any time
UNCONNECTED = ("refused", "unreachable", "timed out", "unresolved")


class ThroughputKeywords(KeywordBase):
    """Measure and compare throughput."""

    @keyword(
        tags=["iperf3"],
        renamed={
            "retry": "retry_for", "over": "carried_by", "at_most_lost": "lost_at_most",
            "at_most_retransmits": "retransmits_at_most",
        },
    )  # fmt: skip
    def measure_throughput(
        self, server: str, namespace: str, *, port: int = 5201, duration: timedelta = timedelta(seconds=10),
        bitrate: Bitrate | None = None, protocol: Protocol = Protocol.TCP, streams: int = 1, reverse: bool = False,
        omit: timedelta = timedelta(0), family: int | None = None, image: str = defaults.IPERF3_IMAGE,
        manifest: Path | None = None, node: str | None = None, host_network: bool = False, from_outside: bool = False,
        retry_for: timedelta = RETRY,
        at_least: Bitrate | None = None, at_most: Bitrate | None = None, lost_at_most: Percentage | None = None,
        retransmits_at_most: int | None = None, node_cpu_of: str | None = None, name: str | None = None,
        carried_by: str | None = None, cluster: str | None = None,
    ) -> Measurement:  # fmt: skip
        """Measures throughput from a Job in a namespace to an iperf3 server, and judges it.

        The result is a table and a picture in the log and a line in `measurements.jsonl`, even if there was no traffic.
        Loss is the amount sent minus the amount received, never iperf3's own count of gaps. Datagrams that arrived, but
        were lost in the receiver's own buffer, do not count for `lost_at_most`, and a rate that the CPU limit of client
        or server decided is an error, not a failure. A run that broke off is not repeated: only a server that refuses
        or is busy before the first data is tried again, and once a UDP stream whose first datagram got no answer,
        since iperf3 never repeats it.

        Args:
            server: Host name or address of the server as seen from the client's pod; it must lead to one server only.
            namespace: Namespace in which the client runs.
            port: Port of the server.
            duration: How long to measure, in whole seconds.
            bitrate: Rate to send at, over all streams; as fast as possible when 0 or not given.
            protocol: TCP or UDP.
            streams: Number of parallel streams.
            reverse: Whether the server sends to the client.
            omit: Time at the start that does not count, in whole seconds.
            family: `4` or `6` for one IP family only; by default, the client decides.
            image: Image of the client; needs `iperf3` and `sh`.
            manifest: File with a Job to use as the template, if the client's pod needs more than an image.
            node: Node for the client.
            host_network: Whether the client uses the network of its node instead of a pod's.
            from_outside: Whether the client runs on the machine running the tests, which then needs iperf3.
            retry_for: How long to retry a server that refuses or is busy before it counts as a failure.
            at_least: Smallest acceptable rate at the receiver.
            at_most: Largest acceptable rate at the receiver, for instance where a policy limits it.
            lost_at_most: Largest acceptable share of UDP traffic lost.
            retransmits_at_most: Largest acceptable number of TCP segments sent again.
            node_cpu_of: Name of the server's Service; if given, the CPU usage of the server's and the client's node is
                measured as well, by reading `/proc/stat` in both pods.
            name: Name in the table and the record; the test's name by default.
            carried_by: Program that carries the traffic, for instance `skupper`; if it is a stand-in, the result says
                so.
            cluster: Alias of the client's cluster.
        Returns:
            The result; field names contain the unit, for instance `${result.bits_per_second}`.

        ```robotframework
        *** Test Cases ***
        Throughput To A Server
            ${result}    Measure Throughput    iperf3-server    demo    duration=5s    at_least=100M
            Log    ${result.retransmits} segments were sent again
        ```
        """
        from NetLibrary._mechanics.throughput import Request
        from NetLibrary._mechanics.throughput.judge import Limits

        if lost_at_most is not None and protocol is not Protocol.UDP:
            raise InputError("lost_at_most is about datagrams; give protocol=UDP with it.")
        if retransmits_at_most is not None and protocol is not Protocol.TCP:
            raise InputError("retransmits_at_most is about TCP segments; leave it out with protocol=UDP.")
        request = Request(
            server, port, duration.total_seconds(), protocol.value, bitrate.bits_per_second if bitrate else None,
            streams, reverse, omit.total_seconds(), family=family,
        )  # fmt: skip
        limits = Limits(
            at_least.bits_per_second if at_least else None, at_most.bits_per_second if at_most else None,
            lost_at_most.percent if lost_at_most else None, retransmits_at_most,
        )  # fmt: skip
        _tell_units(bitrate=bitrate, at_least=at_least, at_most=at_most)
        connection = self.session.cluster(cluster)
        if from_outside and (node or host_network or manifest):
            raise InputError("from_outside runs the client on this machine; leave out node, host_network and manifest.")

        def attempt() -> Outcome:
            return self._run(
                connection, request, namespace, image, manifest, node, retry_for, host=host_network,
                outside=from_outside, node_cpu_of=node_cpu_of,
            )  # fmt: skip

        # kube-proxy and the cluster's DNS may not have noticed yet that the API server is back
        outcome = connection.connection.absences.retried(attempt, _never_connected)
        self._conclude(
            name or _robot.current_test() or "throughput", connection, request, namespace, outcome, limits, carried_by
        )
        assert outcome.measurement is not None
        return outcome.measurement

    @keyword(tags=["iperf3"], renamed={"settle": "timeout"})
    def traffic_should_be_refused(
        self, server: str, namespace: str, *, port: int = 5201, image: str = defaults.IPERF3_IMAGE,
        timeout: timedelta = timedelta(seconds=10), name: str | None = None, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Fails unless a connection from a Job in a namespace to a server is refused at once.

        It fails when data gets through, and with any other outcome: a timeout or an unknown name is not a refusal.

        Args:
            server: Host name or address of the server as seen from the client's pod.
            namespace: Namespace in which the client runs.
            port: Port of the server.
            image: Image of the client; needs `iperf3` and `sh`.
            timeout: How long to retry after "unreachable" or no answer: a Service that has just been created gives
                these for a moment before it refuses.
            name: Name in the record; the test's name by default.
            cluster: Alias of the client's cluster.
        Returns:
            The client's error message.
        """
        from NetLibrary._mechanics.facts import images_of
        from NetLibrary._mechanics.polling import rounds
        from NetLibrary._mechanics.throughput import Request
        from NetLibrary._mechanics.verdict import Check

        request = Request(server, port, seconds=1)
        connection = self.session.cluster(cluster)
        for left in rounds(timeout=timeout.total_seconds(), every=0, what=f"Answer of '{server}:{port}'"):
            outcome = self._run(connection, request, namespace, image, None, None, timedelta(0), one_server=False)
            unsettled = outcome.problem is not None and outcome.problem.kind in ("unreachable", "timed out")
            if not unsettled or left <= 0:
                break
            logger.info(f"Not settled yet: {outcome.problem}.")
        problem, measured = outcome.problem, outcome.measurement
        refused = problem is not None and problem.kind == "refused"
        seen = f"{bitrate_text(measured.bits_per_second)} got through" if measured else str(problem)
        text = f"A connection from '{namespace}' to '{server}:{port}' was not refused: {seen}."
        # What broke later got through first, and a busy server has answered
        answered = measured is not None or (problem is not None and (problem.of_the_network or problem.broke_after))
        unknown = problem is not None and not refused and not answered and problem.kind != "busy"
        conclude(
            self.session,
            kind="refusal",
            name=name or _robot.current_test() or "refusal",
            parameters={**asdict(request), "namespace": namespace},
            checks=[Check("connection", "refused", problem.kind if problem else "carried", "", refused, text)],
            errors=[text] if unknown else [],
            summary={"outcome": problem.kind if problem else "carried"},
            images=images_of([outcome.pod]),
        )
        words = problem.text if problem else ""
        logger.info(f"The connection was refused, as expected: {words}.")
        return words

    @keyword(tags=["iperf3"], renamed={"baseline": "reference", "share": "at_least"})
    def throughput_should_be_at_least_share(
        self, measured: Measurement, reference: Measurement | None = None, at_least: Percentage | None = None, *,
        name: str = "share of another run",
    ) -> float:  # fmt: skip
        """Compares two throughputs of this run and fails when the first is less than a share of the second.

        To compare with an earlier run, see [Measurement Should Match Baseline].

        Args:
            measured: Result of [Measure Throughput].
            reference: Result to compare with, such as the direct path's.
            at_least: Smallest acceptable share.
            name: Name in the table and the record.
        Returns:
            The share in percent.
        """
        from NetLibrary._mechanics.report import Picture
        from NetLibrary._mechanics.throughput.judge import judge_share
        from NetLibrary._mechanics.throughput.show import draw_rates, share_table

        if reference is None or at_least is None:
            raise InputError("Give two results of 'Measure Throughput' and the least share, for instance 80 %.")
        if reference.bits_per_second <= 0:
            raise InputError("The result to compare with carried no data, so no share of it can be calculated.")
        rate, other = measured.bits_per_second, reference.bits_per_second
        percent = 100 * rate / other
        path = draw_rates(_robot.picture_path("share"), {"measured": measured, "compared with": reference})
        conclude(
            self.session,
            kind="comparison",
            name=name,
            checks=judge_share(percent, at_least.percent, rate, other),
            summary={"bits_per_second": rate, "reference_bits_per_second": other, "share_percent": percent},
            tables=[share_table(name, rate, other, percent, at_least.percent)],
            pictures=[Picture(path, name)],
            metadata={"Share": f"{percent:.1f} %"},
        )
        return percent

    # --- helpers --------------------------------------------------------------------------------------

    def _run(
        self, connection: Cluster, request: Request, namespace: str, image: str, manifest: Path | None,
        node: str | None, retry_for: timedelta, *, one_server: bool = True, host: bool = False,
        outside: bool = False, node_cpu_of: str | None = None,
    ) -> Outcome:  # fmt: skip
        from NetLibrary._mechanics.kube.addresses import require_node
        from NetLibrary._mechanics.throughput import Iperf3Problem
        from NetLibrary._mechanics.throughput.causes import closed_port, known_name, several_servers
        from NetLibrary._mechanics.throughput.ends import Server, of_host, with_ends
        from NetLibrary._mechanics.throughput.objects import job_manifest, limit_seconds
        from NetLibrary._mechanics.throughput.run import run_job, run_outside

        if node:
            require_node(connection, node)
        if one_server:
            where = connection, request.server, namespace
            if wrong := several_servers(*where) or closed_port(*where, request.port, request.protocol):
                raise EnvironmentProblem(wrong)
        retry = retry_for.total_seconds()
        if node_cpu_of:
            watched: Server | None = Server.of_service(connection, node_cpu_of, namespace)
        else:
            watched = Server.behind(connection, request.server, namespace, request.port) if one_server else None
        with contextlib.ExitStack() as stack:
            seen = stack.enter_context(watched.watched(limit_seconds(request, retry))) if watched else None
            if outside:
                outcome = run_outside(connection, request, retry_seconds=retry)
            else:
                job = job_manifest(
                    f"iperf3-client-{secrets.token_hex(3)}", namespace, image, request, retry_seconds=retry, node=node,
                    host_network=host, template=_job_in(manifest) if manifest else None,
                )  # fmt: skip
                outcome = run_job(connection, job, request, retry_seconds=retry, progress=logger.info)
            result = outcome.measurement
            if seen and (result or (outcome.problem and outcome.problem.broke_after)):  # else it saw no client
                outcome = replace(outcome, server=seen())
        if watched and node_cpu_of and result and not outside:
            result = watched.with_nodes(result, outcome.pod, outcome.client.cores, outcome.server.cores)
        if result:
            hosts = [of_host(outcome.pod), bool(watched and of_host(watched.pod))]
            result = with_ends(
                result, outcome.client, outcome.server, client_shares=outside or hosts[0], server_shares=hosts[1]
            )  # fmt: skip
            outcome = replace(outcome, measurement=result)
        logger.debug(outcome.output)
        problem = outcome.problem
        if problem and problem.kind == "unresolved" and known_name(connection, request.server, namespace):
            # Some versions print the same words for a server that does not answer and for a name that is unknown
            again = Iperf3Problem("timed out", problem.text, exit_status=problem.exit_status, version=problem.version)
            return replace(outcome, problem=again)
        return outcome

    def _conclude(
        self, name: str, connection: Cluster, request: Request, namespace: str, outcome: Outcome, limits: Limits,
        carried_by: str | None,
    ) -> None:  # fmt: skip
        from NetLibrary._mechanics.facts import images_of
        from NetLibrary._mechanics.report import Picture
        from NetLibrary._mechanics.throughput.causes import about_the_server
        from NetLibrary._mechanics.throughput.ends import held_back
        from NetLibrary._mechanics.throughput.judge import judge, no_traffic
        from NetLibrary._mechanics.throughput.show import Carrier, draw_rates, table_of, until_it_broke
        from NetLibrary._mechanics.verdict import verdict

        result, problem = outcome.measurement, outcome.problem
        causes: list[str] = []
        if result is not None:
            checks, errors = judge(result, request, limits)
            said = " ".join(check.sentence for check in checks if not check.passed)
            causes += [text for text in result.held_back if said and not errors and "held back" not in said]
            console, curve = f"{name}: {bitrate_text(result.bits_per_second)}", result
        else:
            assert problem is not None
            ends = (outcome.client, outcome.server)
            checks, errors = no_traffic(
                problem, request, namespace, attempts=outcome.attempts, seconds=outcome.seconds,
                held_back=held_back(*ends) if any(end.held and end.held.often for end in ends) else (),
            )  # fmt: skip
            own = str(outcome.pod.get("status", {}).get("podIP", ""))
            causes = about_the_server(connection, problem, request.server, namespace, request.port, own)
            for explain in self.session.explainers:
                causes += explain()
            console, curve = f"{name}: {problem.kind}", until_it_broke(problem, request)
        picture = draw_rates(_robot.picture_path("rate"), {name: curve}) if curve.intervals else None
        carrier = Carrier(carried_by or "", carried_by in self.session.stand_ins)
        carrying = self.session.carriers[carried_by]() if carried_by in self.session.carriers else {}
        conclude(
            self.session,
            kind="throughput",
            name=name,
            parameters={
                **asdict(request), **{k: v for k, v in asdict(limits).items() if v is not None},
                "attempts": outcome.attempts, "carried_by": carried_by, "carrier_versions": carrying.get("versions"),
                "over_stand_in": carrier.stand_in,
            },
            checks=checks,
            errors=errors,
            causes=causes,
            summary=_summary(outcome, request),
            series={"intervals": [asdict(interval) for interval in curve.intervals]},
            tables=[table_of(name, request, outcome, verdict(checks, errors), carrier)],
            pictures=[Picture(picture, f"Rate over time: {name}")] if picture else [],
            images=[*images_of([outcome.pod]), *carrying.get("images", [])],
            metadata={"Throughput": bitrate_text(result.bits_per_second) if result else str(problem and problem.kind)},
            console=console,
            stands_in=[carried_by] if carried_by else [],
        )  # fmt: skip


def _never_connected(outcome: Outcome) -> bool:
    """Tells whether a client did not even reach the server; what broke later is what a measurement is for."""
    problem = outcome.problem
    if problem is None or problem.kind not in UNCONNECTED or problem.intervals:
        return False
    logger.info(f"Not connected: {problem}.")
    return True


def _tell_units(**rates: Bitrate | None) -> None:
    """Warns of rates that were written without any unit: who writes 1000 rarely means 1 kbit/s."""
    for name, rate in rates.items():
        if rate is not None and rate.bare and rate.bits_per_second:
            logger.warn(f"{name}={rate.bits_per_second:.0f} has no unit and is taken as bits per second: {rate}.")


def _summary(outcome: Outcome, request: Request) -> Mapping[str, Any]:
    """The figures of a run; of one that carried nothing, or broke, what did get through over the whole time."""
    from NetLibrary._mechanics.throughput.judge import mean_rate

    if outcome.measurement is not None:
        return {k: v for k, v in asdict(outcome.measurement).items() if k not in ("intervals", "extra")}
    problem = outcome.problem
    assert problem is not None
    known = {"outcome": problem.kind, "words": problem.text, "exit_status": problem.exit_status}
    if not problem.of_the_network:  # nothing is known of the network, which is not the same as nothing got through
        return {**known, "bits_per_second": None, "bytes": None, "duration_seconds": None}
    whole = problem.kind in ("nothing arrived", "no data")
    after = 0.0 if whole else problem.broke_after or 0.0
    size = mean_rate(problem) * after / 8
    return {
        **known, "bits_per_second": 8 * size / request.seconds, "bytes": round(size),
        "duration_seconds": request.seconds, "broke_after_seconds": after or None,
    }  # fmt: skip


def _job_in(path: Path) -> dict[str, Any]:
    from NetLibrary._mechanics.kube import manifests

    jobs = [obj for obj in manifests.load(path) if obj["kind"] == "Job"]
    if len(jobs) != 1:
        raise InputError(f"manifest '{path}' holds {len(jobs)} Jobs; it must hold exactly one.")
    return jobs[0]
