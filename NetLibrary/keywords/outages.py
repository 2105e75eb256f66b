"""Keywords that measure what a reload of the cluster's network costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from robot.api import logger

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.facts import images_of
from NetLibrary._mechanics.outages import paths as pathing
from NetLibrary._mechanics.outages import tables
from NetLibrary._mechanics.outages.echoes import EchoPod, OutsideEcho
from NetLibrary._mechanics.outages.measurement import BreakResult, Measurement, check_times
from NetLibrary._mechanics.outages.paths import BreakPath, Endpoints, Rates
from NetLibrary._mechanics.outages.probers import LocalProber, PodProber, Prober, missing_route
from NetLibrary._mechanics.outages.types import ProbeKind, StreamSpec
from NetLibrary._mechanics.outages.verdict import Limits, breaches
from NetLibrary._mechanics.verdict import Verdict
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords._outages import iperf_runs, judge, limit_ms, milliseconds, parse_paths, report
from NetLibrary.keywords.outage_results import BreakResultKeywords
from NetLibrary.types import Bitrate, Percentage

#: A measurement that nobody stops ends by itself after this time.
LONGEST = timedelta(minutes=30)
ECHO_SIZES = range(18, 9001)


class BreakKeywords(BreakResultKeywords):
    """Start, stop and judge measurements of network breaks."""

    _break_parameters: dict[str, Any] | None = None

    @keyword(tags=["break"])
    def start_break_measurement(
        self,
        name: str,
        namespace: str,
        *paths: str,
        probes: list[ProbeKind] | None = None,
        baseline: timedelta = timedelta(seconds=2),
        settle: timedelta = timedelta(seconds=3),
        recovery: timedelta = timedelta(seconds=30),
        limit: timedelta = LONGEST,
        echo_interval: timedelta = timedelta(milliseconds=10),
        connection_interval: timedelta = timedelta(milliseconds=40),
        request_interval: timedelta = timedelta(milliseconds=10),
        echo_size: int = 56,
        probe_timeout: timedelta = timedelta(seconds=1),
        slow: timedelta | None = None,
        ipv6: bool = False,
        iperf_bitrate: Bitrate | None = None,
        host_port: int = pathing.HOST_PORT,
        outside_address: str | None = None,
        outside_port: int = 0,
        cluster: str | None = None,
    ) -> list[str]:
        """Starts to measure outages on many paths at once, and waits for the first answers and a quiet time.

        The endpoints of `manifests/network_break` must be ready in the namespace. Each path is probed in parallel by
        ICMP and UDP echo, new TCP connections and requests over a kept connection, as far as it allows them. The
        probers survive whatever interrupts `exec`, so kubelets and runtimes may be restarted meanwhile.

        Args:
            name: Name of the measurement in results and baselines.
            namespace: Where the endpoints are.
            paths: Names of paths, see [BreakPath]; `all` or none for all of them. Paths that the cluster does not have
                are named in the result.
            probes: Kinds of probes, for instance `['ICMP', 'TCP_KEPT']`; all by default.
            baseline: Quiet time before the disturbance.
            settle: Time after it.
            recovery: Time beyond that for which is waited at most while a path is still broken.
            limit: The measurement ends by itself after this time.
            echo_interval: Time between two ICMP or UDP echoes.
            connection_interval: Time between two new TCP connections.
            request_interval: Time between two requests over the kept connection.
            echo_size: Bytes of payload of an ICMP or UDP echo; 56 is what ping sends. With as many as the path should
                carry (1472 for Ethernet and IPv4), packets that vanish for their size are an outage too.
            probe_timeout: When a probe counts as lost.
            slow: By how much later than the median an answer counts as late; by kind of probe when not given.
            ipv6: Whether to measure each path over IPv6 as well, where it has IPv6.
            iperf_bitrate: Rate of iperf3 streams, TCP and UDP, to run beside on the pod and Service paths; none by
                default.
            host_port: Port of the echo pods in the host network.
            outside_address: Address outside the cluster; in a lab, a vantage point of the lab.
            outside_port: TCP port that listens there; 0 for ICMP alone.
            cluster: Alias of the cluster.
        Returns:
            The streams that are measured.

        ```robotframework
        *** Test Cases ***
        DNS Rollout
            Start Break Measurement    dns rollout    demo    dns    service
            Restart Workload    Deployment    coredns    kube-system
            Stop Break Measurement    longest_outage=500 ms
        ```
        """
        if self._break_measurement is not None:
            raise InputError(
                f"The measurement '{self._break_measurement.name}' still runs; use 'Stop Break Measurement' first."
            )
        rates = Rates(
            echo_ms=milliseconds("echo_interval", echo_interval),
            connection_ms=milliseconds("connection_interval", connection_interval),
            kept_ms=milliseconds("request_interval", request_interval),
            timeout_ms=milliseconds("probe_timeout", probe_timeout),
            echo_bytes=_echo_size(echo_size),
        )
        seconds = limit.total_seconds()
        check_times(seconds, baseline.total_seconds(), settle.total_seconds())
        connection = self.session.cluster(cluster)
        wanted = parse_paths(paths)
        endpoints = pathing.discover(connection, namespace, host_port=host_port)
        echoes: list[EchoPod | OutsideEcho] = [
            EchoPod(connection, namespace, pod["metadata"]["name"], role)
            for role, pod in endpoints.pods.items()
            if role != pathing.SOURCE
        ]
        if BreakPath.OUTSIDE_ADDRESS in wanted and outside_address:
            endpoints.outside_address, endpoints.outside_port = outside_address, outside_port
        elif BreakPath.OUTSIDE_ADDRESS in wanted and connection.is_lab:
            vantage = connection.lab.outside
            outside = OutsideEcho(vantage.address, netns=f"/run/netns/{vantage.netns}")
            endpoints.outside_address, endpoints.outside_port = outside.address, outside.port
            endpoints.outside_echo = True
            echoes.append(outside)
        targets, missing = pathing.resolve(endpoints, wanted, (4, 6) if ipv6 else (4,))
        outside_netns = f"/run/netns/{connection.lab.outside.netns}" if connection.is_lab else None
        for target in [target for target in targets if target.source == pathing.OUTSIDE]:
            reason = missing_route(target.address, outside_netns)
            if reason:
                targets.remove(target)
                missing.append(f"{target.path}: there is no way from outside to {target.address} ({reason})")
        missing += [f"{target.path}: {target.note}" for target in targets if target.note]
        if not targets:
            raise InputError(f"None of the paths can be measured: {'; '.join(missing)}.")
        by_source = pathing.streams(targets, rates, probes)
        probers = _probers(
            connection, namespace, endpoints, by_source, seconds, iperf=iperf_runs(targets, iperf_bitrate)
        )
        measurement = Measurement(
            name,
            probers,
            targets,
            unmeasured=missing,
            baseline_s=baseline.total_seconds(),
            settle_s=settle.total_seconds(),
            recovery_s=recovery.total_seconds(),
            echoes=echoes,
            progress=logger.console,
            slow_margin_ms=None if slow is None else milliseconds("slow", slow),
        )
        self._break_parameters = {
            "namespace": namespace, "paths": [path.value for path in wanted], "baseline": baseline, "settle": settle,
            "echo_interval_ms": rates.echo_ms, "connection_interval_ms": rates.connection_ms,
            "request_interval_ms": rates.kept_ms, "echo_bytes": rates.echo_bytes, "probe_timeout_ms": rates.timeout_ms,
            "iperf_bits_per_second": iperf_bitrate.bits_per_second if iperf_bitrate else None,
        }  # fmt: skip
        _robot.console(
            f"Measuring '{name}': {sum(map(len, by_source.values()))} streams on {len(targets)} paths"
            + (f"; not measured: {len(missing)}" if missing else "")
        )
        self._break_measurement, self._break_endpoints = measurement, endpoints
        self._last_break = None
        try:
            measurement.start()
        except BaseException:
            self._break_measurement = None
            raise
        # Whatever ends the run, what was measured until then is written.
        self.session.on_close(f"measurement '{name}'", lambda: self._close_measurement(measurement))
        self.session.note_images(images_of(map(dict, endpoints.pods.values())))
        measurement.wait_baseline()
        return [spec.name for specs in by_source.values() for spec in specs]

    @keyword(tags=["break"])
    def stop_break_measurement(
        self,
        *,
        longest_outage: timedelta | None = None,
        total_outage: timedelta | None = None,
        loss: Percentage | None = None,
        failed_connections: int | None = None,
        resets: int | None = None,
        lost_connections: int | None = None,
        retransmits: Percentage | None = None,
        longest_slow: timedelta | None = None,
        at_least: timedelta | None = None,
        unaffected: list[str] | None = None,
    ) -> dict[str, Any]:
        """Waits until the paths have settled, ends the measurement, reports it, and judges it by the limits given.

        Without limits it only reports. An outage breaks a limit when the probes prove it, that is when even its lower
        bound is longer. A measurement that could not be made, for instance because a path was broken before the
        disturbance began, is an error and not a loss.

        Args:
            longest_outage: Longest single outage that any stream may have.
            total_outage: Longest sum of outages that any stream may have.
            loss: Largest share of probes that any stream may lose.
            failed_connections: How many new connections may fail in all.
            resets: How many kept connections may be reset.
            lost_connections: How many kept connections may break in any way.
            retransmits: Largest share of TCP segments sent again.
            longest_slow: How long a path may be merely slow.
            at_least: An outage of at least this length must have been seen; for disturbances that must show.
            unaffected: Paths on which there must be no outage at all.
        Returns:
            The summary, with `longest_outage_ms` and the like.
        """
        measurement = self._break_measurement
        if measurement is None:
            raise InputError("No measurement runs; use 'Start Break Measurement' first.")
        limits = Limits(
            longest_outage_ms=limit_ms("longest_outage", longest_outage),
            total_outage_ms=limit_ms("total_outage", total_outage),
            loss_ratio=None if loss is None else loss.fraction,
            failed_connections=failed_connections,
            resets=resets,
            lost_connections=lost_connections,
            retransmit_ratio=None if retransmits is None else retransmits.fraction,
            slow_ms=limit_ms("longest_slow", longest_slow),
        )
        spared = {path.value for path in parse_paths(unaffected)} if unaffected else set()
        result = self._finish_break(settle=True)
        reasons = breaches(limits, result.streams, list(result.deltas.items()))
        least = limit_ms("at_least", at_least)
        if least is not None and result.longest_outage_ms < least:
            reasons.append(
                f"no outage of at least {least:g} ms was seen (the longest was {result.longest_outage_ms:.0f} ms), "
                "although the disturbance must have caused one"
            )
        for stream in result.streams:
            if stream.outages and stream.spec.base_path in spared:
                reasons.append(
                    f"{stream.spec.name}: {stream.outages[0].kind.value} for {stream.longest_ms:.0f} ms on a path that "
                    "the disturbance must not touch"
                )
        thresholds = {**limits.given, "at_least_ms": least, "unaffected": sorted(spared)}
        judged = bool(limits.given) or least is not None or bool(spared)
        self._report_break(result, thresholds, Verdict(not reasons if judged else None, reasons))
        judge(result, reasons)
        return tables.summary(result)

    @keyword(tags=["break"])
    def finish_break_measurement(self) -> None:
        """Ends a measurement that still runs and writes what it has measured so far; for teardowns.

        Does nothing when none runs. Judges nothing.
        """
        if self._break_measurement is not None:
            self._report_break(self._finish_break(settle=False), {}, Verdict(None, ["the measurement was cut short"]))

    # --- behind the keywords ------------------------------------------------------------------------------

    def _finish_break(self, *, settle: bool) -> BreakResult:
        measurement = self._break_measurement
        assert measurement is not None
        try:
            result = measurement.finish(settle=settle)
        except BaseException:
            # A stop signal in the settle time: the result so far is there, `finish` made it on its way out
            self._report_break(measurement.finish(settle=False), {}, Verdict(None, ["the measurement was cut short"]))
            raise
        finally:
            self._break_measurement = None
        self._last_break = result
        if self._break_repeats is None:
            self._break_repeats = {}
        self._break_repeats.setdefault(result.name, []).append(result)
        return result

    def _close_measurement(self, measurement: Measurement) -> None:
        if self._break_measurement is measurement:
            self.finish_break_measurement()

    def _report_break(self, result: BreakResult, thresholds: dict[str, Any], verdict: Verdict) -> None:
        report(
            self.session,
            result,
            thresholds,
            verdict,
            parameters=self._break_parameters or {},
            endpoints=self._break_endpoints,
        )


def _probers(
    cluster: Any,
    namespace: str,
    endpoints: Endpoints,
    by_source: dict[str, list[StreamSpec]],
    seconds: float,
    *,
    iperf: list[dict[str, Any]],
) -> list[Prober]:
    """Makes a prober for each source: the pod, and a place outside the cluster."""
    probers: list[Prober] = []
    if pathing.SOURCE in by_source:
        pod = endpoints.pods[pathing.SOURCE]["metadata"]["name"]
        probers.append(PodProber(cluster, namespace, pod, by_source[pathing.SOURCE], duration_s=seconds, iperf=iperf))
    if pathing.OUTSIDE in by_source:
        netns = f"/run/netns/{cluster.lab.outside.netns}" if cluster.is_lab else None
        probers.append(LocalProber("outside", by_source[pathing.OUTSIDE], duration_s=seconds, netns=netns))
    return probers


def _echo_size(size: int) -> int:
    if size not in ECHO_SIZES:
        raise InputError(f"echo_size is {size}; allowed are {ECHO_SIZES[0]} to {ECHO_SIZES[-1]} bytes.")
    return size
