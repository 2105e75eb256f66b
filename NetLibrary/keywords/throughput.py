"""Keywords that measure throughput with iperf3."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from robot.api import Error, Failure, logger

from NetLibrary._mechanics.facts import images_of
from NetLibrary._mechanics.kube import manifests
from NetLibrary._mechanics.report import Cell, bitrate_text, bytes_text, html_table
from NetLibrary._mechanics.throughput import Iperf3Problem, Measurement, Request
from NetLibrary._mechanics.throughput.job import Outcome, job_manifest, run_job
from NetLibrary._mechanics.throughput.picture import draw_rates
from NetLibrary._mechanics.verdict import Verdict
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.types import Bitrate, Percentage, Protocol

CLIENT_IMAGE = "quay.io/skupper/lanyard:latest"
# iperf3 paces in blocks of 128 KiB, so a short run may end up to one block above its rate
PACING_TOLERANCE = 1.10


class ThroughputKeywords(KeywordBase):
    """Measure throughput, refuse it, compare it."""

    @keyword(tags=["iperf3"])
    def measure_throughput(
        self, server: str, namespace: str, *, port: int = 5201, duration: timedelta = timedelta(seconds=10),
        bitrate: Bitrate | None = None, protocol: Protocol = Protocol.TCP, streams: int = 1, reverse: bool = False,
        omit: timedelta = timedelta(0), image: str = CLIENT_IMAGE, manifest: Path | None = None,
        node: str | None = None, retry: timedelta = timedelta(seconds=5), at_least: Bitrate | None = None,
        at_most_lost: Percentage | None = None, at_most_retransmits: int | None = None, name: str | None = None,
        over: str | None = None, cluster: str | None = None,
    ) -> Measurement:  # fmt: skip
        """Measures throughput from a Job in a namespace to an iperf3 server, and judges it.

        The result is a table and a picture in the log and a line in `measurements.jsonl`.

        Args:
            server: Host name or address of the server, as the client's pod sees it.
            namespace: Namespace in which the client runs.
            port: Port of the server.
            duration: How long to measure; whole seconds.
            bitrate: Rate to send at, over all streams; as fast as it goes when not given or 0.
            protocol: TCP or UDP.
            streams: Parallel streams.
            reverse: Whether the server sends to the client.
            omit: Time at the start that does not count.
            image: Image of the client; needs `iperf3` and `sh`.
            manifest: File with a Job to start from, when the client's pod needs more than an image.
            node: Node for the client.
            retry: How long a refused connection or a busy server is tried again before it counts.
            at_least: Fails when the receiver got less.
            at_most_lost: Fails when UDP lost more.
            at_most_retransmits: Fails when TCP repeated more segments.
            name: Name in table and record; from the test's name by default.
            over: Program that carries the traffic, for instance `skupper`: where it is a stand-in, the result says so.
            cluster: Alias of the client's cluster.
        Returns:
            The result; its fields have units in their names, for instance `${result.bits_per_second}`.

        ```robotframework
        *** Test Cases ***
        Throughput To A Server
            ${result}    Measure Throughput    iperf3-server    demo    duration=5s    at_least=100M
            Log    ${result.retransmits} segments were sent again
        ```
        """
        if at_most_lost is not None and protocol is not Protocol.UDP:
            raise Error("at_most_lost is about datagrams; give protocol=UDP with it.")
        if at_most_retransmits is not None and protocol is not Protocol.TCP:
            raise Error("at_most_retransmits is about TCP segments; leave it out with protocol=UDP.")
        request = _request(server, port, duration, bitrate, protocol, streams, reverse, omit)
        outcome = self._run(request, namespace, image, manifest, node, retry, cluster)
        label = name or _robot.current_test() or "throughput"
        if outcome.measurement is None:
            raise Failure(self._no_traffic(request, namespace, outcome))
        reasons = _judge(outcome.measurement, bitrate, at_least, at_most_lost, at_most_retransmits)
        limits = {
            "at_least_bits_per_second": at_least.bits_per_second if at_least else None,
            "at_most_lost_percent": at_most_lost.percent if at_most_lost else None,
            "at_most_retransmits": at_most_retransmits,
        }
        self._report(label, request, outcome, Verdict(not reasons, reasons), limits, over)
        if reasons:
            raise Failure("\n".join(reasons))
        return outcome.measurement

    @keyword(tags=["iperf3"])
    def traffic_should_be_refused(
        self, server: str, namespace: str, *, port: int = 5201, image: str = CLIENT_IMAGE,
        settle: timedelta = timedelta(seconds=10), cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Fails unless a connection from a Job in a namespace to a server is refused at once.

        Data that gets through fails it, and so does any other end: a time out or an unknown name is not a refusal.

        Args:
            server: Host name or address of the server, as the client's pod sees it.
            namespace: Namespace in which the client runs.
            port: Port of the server.
            image: Image of the client; needs `iperf3` and `sh`.
            settle: How long an answer of "unreachable" or none at all is asked again: a Service that was just made
                gives these for a moment, before it refuses.
            cluster: Alias of the client's cluster.
        Returns:
            The client's own words.
        """
        request = Request(server, port, seconds=1)
        deadline = time.monotonic() + settle.total_seconds()
        while True:
            outcome = self._run(request, namespace, image, None, None, timedelta(0), cluster)
            unsettled = outcome.problem is not None and outcome.problem.kind in ("unreachable", "timed out")
            if not unsettled or time.monotonic() >= deadline:
                break
            logger.info(f"Not settled yet: {outcome.problem}.")
        if outcome.problem is None or outcome.problem.kind != "refused":
            measured = outcome.measurement
            got = f"{bitrate_text(measured.bits_per_second)} got through" if measured else str(outcome.problem)
            raise Failure(f"A connection from '{namespace}' to '{server}:{port}' was not refused: {got}.")
        logger.info(f"The connection was refused, as expected: {outcome.problem.text}.")
        return outcome.problem.text

    @keyword(tags=["iperf3"])
    def throughput_should_be_at_least_share(
        self, measured: Measurement, baseline: Measurement, share: Percentage, *, name: str = "share of the baseline"
    ) -> float:
        """Compares two throughputs and fails when the first is less than a share of the second.

        Args:
            measured: Result of `Measure Throughput`.
            baseline: Result to compare with, such as the direct path's.
            share: Smallest acceptable share.
            name: Name in table and record.
        Returns:
            The share in percent.
        """
        percent = 100 * measured.bits_per_second / baseline.bits_per_second
        reasons = []
        if percent < share.percent:
            reasons.append(
                f"{bitrate_text(measured.bits_per_second)} is {percent:.1f} % of the baseline's "
                f"{bitrate_text(baseline.bits_per_second)}; at least {share} was expected."
            )
        rows: list[list[object]] = [
            ["measured", bitrate_text(measured.bits_per_second)],
            ["baseline", bitrate_text(baseline.bits_per_second)],
            ["share", Cell(f"{percent:.1f} %", "bad" if reasons else "good")],
            ["at least", str(share)],
        ]
        self.session.headline(html_table(["", name], rows))
        path = draw_rates(_robot.picture_path("share"), {"measured": measured, "baseline": baseline})
        self.session.headline(_robot.picture_html(path, name))
        _robot.set_test_metadata("Share of the baseline", f"{percent:.1f} %")
        self.session.recorder.add(
            kind="comparison",
            name=name,
            summary={
                "bits_per_second": measured.bits_per_second,
                "baseline_bits_per_second": baseline.bits_per_second,
                "share_percent": percent,
            },
            thresholds={"at_least_share_percent": share.percent},
            verdict=Verdict(not reasons, reasons),
            files=[path],
        )
        if reasons:
            raise Failure(reasons[0])
        return percent

    # --- helpers --------------------------------------------------------------------------------------

    def _run(
        self, request: Request, namespace: str, image: str, manifest: Path | None, node: str | None,
        retry: timedelta, cluster: str | None,
    ) -> Outcome:  # fmt: skip
        connection = self.session.cluster(cluster)
        template = _job_in(manifest) if manifest else None
        job = job_manifest(
            f"iperf3-client-{secrets.token_hex(3)}", namespace, image, request,
            retry_seconds=retry.total_seconds(), node=node, template=template,
        )  # fmt: skip
        outcome = run_job(connection, job, request, retry_seconds=retry.total_seconds(), progress=logger.info)
        logger.debug(outcome.output)
        return outcome

    def _no_traffic(self, request: Request, namespace: str, outcome: Outcome) -> str:
        problem = outcome.problem or Iperf3Problem("failed", "no reason given")
        tries = "1 attempt" if outcome.attempts == 1 else f"{outcome.attempts} attempts"
        lines = [
            f"No throughput from '{namespace}' to '{request.server}:{request.port}' ({tries}, "
            f"{outcome.seconds:.1f} s): {problem.kind}: {problem.text}."
        ]
        for explain in self.session.explainers:
            lines += explain()
        return "\n".join(lines)

    def _report(
        self, name: str, request: Request, outcome: Outcome, verdict: Verdict, limits: Mapping[str, float | None],
        over: str | None,
    ) -> None:  # fmt: skip
        result = outcome.measurement
        assert result is not None
        stand_in = over if over in self.session.stand_ins else None
        images = images_of([outcome.pod])
        self.session.note_images(images)
        self.session.headline(html_table(["", name], _rows(result, request, outcome, verdict, over, stand_in)))
        picture = draw_rates(_robot.picture_path("rate"), {name: result})
        self.session.headline(_robot.picture_html(picture, f"Rate over time: {name}"))
        rate = bitrate_text(result.bits_per_second)
        _robot.set_test_metadata("Throughput", rate + (f" (over the stand-in for {stand_in})" if stand_in else ""))
        _robot.console(f"{name}: {rate}" + (f" (over the stand-in for {stand_in})" if stand_in else ""))
        summary = {k: v for k, v in asdict(result).items() if k not in ("intervals", "extra")}
        self.session.recorder.add(
            kind="throughput",
            name=name,
            parameters={**asdict(request), "attempts": outcome.attempts, "over": over, "over_stand_in": bool(stand_in)},
            series={"intervals": [asdict(interval) for interval in result.intervals]},
            summary=summary,
            thresholds={key: value for key, value in limits.items() if value is not None},
            verdict=verdict,
            images=images,
            files=[picture],
        )


def _request(
    server: str, port: int, duration: timedelta, bitrate: Bitrate | None, protocol: Protocol, streams: int,
    reverse: bool, omit: timedelta,
) -> Request:  # fmt: skip
    return Request(
        server, port, duration.total_seconds(), protocol.value, bitrate.bits_per_second if bitrate else None,
        streams, reverse, omit.total_seconds(),
    )  # fmt: skip


def _job_in(path: Path) -> dict[str, Any]:
    jobs = [obj for obj in manifests.load(path) if obj["kind"] == "Job"]
    if len(jobs) != 1:
        raise Error(f"manifest '{path}' holds {len(jobs)} Jobs; it must hold exactly one.")
    return jobs[0]


def _judge(
    result: Measurement, bitrate: Bitrate | None, at_least: Bitrate | None, at_most_lost: Percentage | None,
    at_most_retransmits: int | None,
) -> list[str]:  # fmt: skip
    reasons = []
    rate = result.bits_per_second
    if at_least and rate < at_least.bits_per_second:
        reasons.append(f"Throughput was {bitrate_text(rate)}; at least {at_least} was expected.")
    if bitrate and bitrate.bits_per_second and result.sent_bits_per_second > bitrate.bits_per_second * PACING_TOLERANCE:
        sent = bitrate_text(result.sent_bits_per_second)
        reasons.append(f"The client sent {sent} although it was limited to {bitrate}: the limit was not applied.")
    if at_most_lost and result.lost_percent is not None and result.lost_percent > at_most_lost.percent:
        reasons.append(
            f"{result.lost_packets} of {result.packets} datagrams ({result.lost_percent:.2f} %) were lost; "
            f"at most {at_most_lost} was expected."
        )
    if at_most_retransmits is not None:
        if result.retransmits is None:
            reasons.append("iperf3 counted no retransmits here, so their limit cannot be judged.")
        elif result.retransmits > at_most_retransmits:
            reasons.append(
                f"{result.retransmits} segments were sent again; at most {at_most_retransmits} was expected."
            )
    return reasons


def _rows(
    result: Measurement, request: Request, outcome: Outcome, verdict: Verdict, over: str | None, stand_in: str | None
) -> list[list[object]]:
    rows: list[list[object]] = [
        ["throughput (receiver)", Cell(bitrate_text(result.bits_per_second), "good" if verdict.passed else "bad")],
        ["sent", bitrate_text(result.sent_bits_per_second)],
        ["data", f"{bytes_text(result.bytes)} in {result.duration_seconds:.2f} s"],
        ["asked for", bitrate_text(request.bits_per_second) if request.bits_per_second else "as fast as it goes"],
        ["streams", f"{request.streams} x {request.protocol.upper()}" + (", server sends" if request.reverse else "")],
    ]
    if result.retransmits is not None:
        rows.append(["retransmits", result.retransmits])
    if result.lost_packets is not None:
        rows.append(["lost", f"{result.lost_packets} of {result.packets} ({result.lost_percent:.2f} %)"])
        rows.append(["jitter", f"{result.jitter_ms:.3f} ms"])
    if result.rtt_ms is not None:
        rows.append(["round trip", f"{result.rtt_ms:.2f} ms"])
    rows += [
        ["path", f"{outcome.pod['status'].get('podIP')} on {outcome.pod['spec'].get('nodeName')} to {result.remote}"],
        ["client", f"{result.version}, image {outcome.pod['spec']['containers'][0]['image']}"],
        ["attempts", outcome.attempts],
        [
            "carried by",
            Cell(f"a stand-in for {over}, not {over} itself", "warn") if stand_in else over or "the cluster",
        ],
        ["verdict", Cell("passed", "good") if verdict.passed else Cell("; ".join(verdict.reasons), "bad")],
    ]
    return rows
