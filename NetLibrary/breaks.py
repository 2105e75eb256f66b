"""Keywords that measure what a reload of the cluster's network costs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from robot.api import Failure, logger

from NetLibrary import _robot
from NetLibrary._base import keyword
from NetLibrary._mechanics.breaks import paths as pathing
from NetLibrary._mechanics.breaks import tables
from NetLibrary._mechanics.breaks.echoes import EchoPod, OutsideEcho
from NetLibrary._mechanics.breaks.files import write_probes
from NetLibrary._mechanics.breaks.measurement import BreakResult, Measurement, check_times
from NetLibrary._mechanics.breaks.paths import BreakPath, Endpoints, Rates, Target
from NetLibrary._mechanics.breaks.probers import LocalProber, PodProber, Prober
from NetLibrary._mechanics.breaks.repeats import spread
from NetLibrary._mechanics.breaks.types import ProbeKind
from NetLibrary._mechanics.breaks.verdict import Limits, breaches
from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary._mechanics.facts import images_of
from NetLibrary._mechanics.records import Verdict
from NetLibrary._mechanics.report import html_table
from NetLibrary.disturbances import DisturbanceKeywords
from NetLibrary.types import Bitrate, Percentage

#: A measurement that nobody stops ends by itself after this time.
LONGEST = timedelta(minutes=30)
ALL = "all"
WORTH_A_WARNING = 0.1


class BreakKeywords(DisturbanceKeywords):
    """Start and stop measurements of network breaks, and disturb the cluster meanwhile."""

    _break_endpoints: Endpoints | None = None
    _break_cluster: str | None = None
    _last_break: BreakResult | None = None
    _break_repeats: dict[str, list[BreakResult]] | None = None
    _break_parameters: dict[str, Any] | None = None

    # --- measuring --------------------------------------------------------------------------------------

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
            echo_ms=_ms("echo_interval", echo_interval),
            connection_ms=_ms("connection_interval", connection_interval),
            kept_ms=_ms("request_interval", request_interval),
            timeout_ms=_ms("probe_timeout", probe_timeout),
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
        vantage = connection.lab.outside if connection.is_lab else None
        if BreakPath.OUTSIDE_ADDRESS in wanted:
            if outside_address:
                endpoints.outside_address, endpoints.outside_port = outside_address, outside_port
            elif vantage is not None:
                outside = OutsideEcho(vantage.address, netns=f"/run/netns/{vantage.netns}")
                endpoints.outside_address, endpoints.outside_port = outside.address, outside.port
                endpoints.outside_echo = True
                echoes.append(outside)
        targets, missing = pathing.resolve(endpoints, wanted, (4, 6) if ipv6 else (4,))
        missing += [f"{target.path}: {target.note}" for target in targets if target.note]
        by_source = pathing.streams(targets, rates, probes)
        probers: list[Prober] = []
        if pathing.SOURCE in by_source:
            probers.append(
                PodProber(
                    connection,
                    namespace,
                    endpoints.pods[pathing.SOURCE]["metadata"]["name"],
                    by_source[pathing.SOURCE],
                    duration_s=seconds,
                    iperf=_iperf(targets, iperf_bitrate),
                )
            )
        if pathing.OUTSIDE in by_source:
            probers.append(
                LocalProber(
                    "outside",
                    by_source[pathing.OUTSIDE],
                    duration_s=seconds,
                    netns=f"/run/netns/{vantage.netns}" if vantage is not None else None,
                )
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
            progress=_progress,
            slow_margin_ms=None if slow is None else _ms("slow", slow),
        )
        self._break_parameters = {
            "namespace": namespace, "paths": [path.value for path in wanted], "baseline": baseline, "settle": settle,
            "echo_interval_ms": rates.echo_ms, "connection_interval_ms": rates.connection_ms,
            "request_interval_ms": rates.kept_ms, "probe_timeout_ms": rates.timeout_ms,
            "iperf_bits_per_second": iperf_bitrate.bits_per_second if iperf_bitrate else None,
        }  # fmt: skip
        _robot.console(
            f"Measuring '{name}': {sum(map(len, by_source.values()))} streams on {len(targets)} paths"
            + (f"; not measured: {len(missing)}" if missing else "")
        )
        self._break_measurement, self._break_endpoints, self._break_cluster = measurement, endpoints, cluster
        self._last_break = None
        try:
            measurement.start()
        except BaseException:
            self._break_measurement = None
            raise
        # Whatever ends the run, what was measured until then is written.
        self.session.on_close(f"measurement '{name}'", lambda: self._close_measurement(measurement))
        self.session.note_images(images_of(map(dict, endpoints.pods.values())))
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
            longest_outage_ms=_limit_ms("longest_outage", longest_outage),
            total_outage_ms=_limit_ms("total_outage", total_outage),
            loss_ratio=None if loss is None else loss.fraction,
            failed_connections=failed_connections,
            resets=resets,
            lost_connections=lost_connections,
            retransmit_ratio=None if retransmits is None else retransmits.fraction,
            slow_ms=_limit_ms("longest_slow", longest_slow),
        )
        spared = {path.value for path in parse_paths(unaffected)} if unaffected else set()
        result = self._finish_break(settle=True)
        reasons = breaches(limits, result.streams, list(result.deltas.items()))
        least = _limit_ms("at_least", at_least)
        if least is not None and result.longest_outage_ms < least:
            reasons.append(
                f"no outage of at least {least:g} ms was seen (the longest was {result.longest_outage_ms:.0f} ms), "
                "although the disturbance must have caused one"
            )
        for stream in result.streams:
            if stream.outages and stream.spec.path in spared:
                reasons.append(
                    f"{stream.spec.name}: {stream.outages[0].kind.value} for {stream.longest_ms:.0f} ms on a path that "
                    "the disturbance must not touch"
                )
        thresholds = {**limits.given, "at_least_ms": least, "unaffected": sorted(spared)}
        judged = bool(limits.given) or least is not None or bool(spared)
        self._report_break(result, thresholds, Verdict(not reasons if judged else None, reasons))
        _judge(result, reasons)
        return tables.summary(result)

    @keyword(tags=["break"])
    def finish_break_measurement(self) -> None:
        """Ends a measurement that still runs and writes what it has measured so far; for teardowns.

        Does nothing when none runs. Judges nothing.
        """
        if self._break_measurement is not None:
            self._report_break(self._finish_break(settle=False), {}, Verdict(None, ["the measurement was cut short"]))

    @keyword(tags=["break"])
    def get_open_outages(self) -> list[str]:
        """Returns the streams that are in an outage at this moment."""
        if self._break_measurement is None:
            raise InputError("No measurement runs; use 'Start Break Measurement' first.")
        return self._break_measurement.open_outages()

    @keyword(tags=["break"])
    def get_break_outages(self, path: str, probe: ProbeKind) -> list[dict[str, Any]]:
        """Returns the outages that one kind of probe saw on one path in the last measurement.

        Args:
            path: Name of the path, see [BreakPath].
            probe: Kind of probe.
        Returns:
            For each outage `start_seconds`, `length_ms`, its bounds `shortest_ms` and `longest_ms`, and `kind`.
        """
        if self._last_break is None:
            raise InputError("There is no measurement yet; use 'Stop Break Measurement' first.")
        wanted = {p.value for p in parse_paths([path])}
        for stream in self._last_break.streams:
            if stream.spec.path in wanted and stream.spec.kind is probe:
                return [tables.window_facts(window, self._last_break) for window in stream.outages]
        names = ", ".join(stream.spec.name for stream in self._last_break.streams)
        raise InputError(f"The last measurement has no stream '{path} {probe.value}'; it has {names}.")

    @keyword(tags=["break"])
    def get_break_node(self, role: str = "far") -> str:
        """Returns the name of the node on which an endpoint of the running or last measurement is.

        Args:
            role: `source`, `near`, `far`, `near-host` or `far-host`.
        """
        if self._break_endpoints is None:
            raise InputError("There was no measurement yet; use 'Start Break Measurement' first.")
        if role not in self._break_endpoints.pods:
            raise InputError(f"role is '{role}'; there are {', '.join(sorted(self._break_endpoints.pods))}.")
        return str(self._break_endpoints.pods[role]["spec"]["nodeName"])

    @keyword(tags=["break"])
    def report_break_repeats(self, name: str) -> dict[str, Any]:
        """Shows median and spread of all measurements of one name in this run.

        Args:
            name: Name of the measurements.
        Returns:
            Median of the longest outage per stream in milliseconds.
        """
        results = (self._break_repeats or {}).get(name, [])
        if not results:
            raise InputError(f"This run has no measurement named '{name}'.")
        longest: dict[str, list[float]] = {}
        for result in results:
            for stream in result.streams:
                if stream.invalid is None:
                    longest.setdefault(stream.spec.name, []).append(stream.longest_ms)
        spreads = {stream: spread(values) for stream, values in longest.items()}
        rows = [
            [
                stream,
                len(s.samples),
                f"{s.median:.0f}",
                f"{s.least:.0f} to {s.most:.0f}",
                f"{s.low:.0f} to {s.high:.0f}",
            ]
            for stream, s in spreads.items()
        ]
        columns = ("stream", "runs", "median ms", "smallest to largest", "95 % confidence of the mean")
        self.session.headline(html_table(columns, rows, f"{name}: longest outage over {len(results)} runs"))
        return {stream: s.median for stream, s in spreads.items()}

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
        picture = _robot.picture_path(f"{result.name} timeline")
        probes = picture.with_suffix(".jsonl.gz")
        count = write_probes(probes, result)
        self.session.recorder.add(
            kind="network_break",
            name=result.name,
            parameters=self._break_parameters or {},
            samples=tables.samples(result),
            series=tables.series(result),
            summary=tables.summary(result),
            thresholds={key: value for key, value in thresholds.items() if value not in (None, [])},
            verdict=verdict,
            images=images_of(map(dict, self._break_endpoints.pods.values())) if self._break_endpoints else [],
            files=[picture, probes],
        )
        table = html_table(tables.STREAM_COLUMNS, tables.stream_rows(result), result.name)
        self.session.headline(table)
        _robot.log_table(tables.STREAM_COLUMNS, tables.stream_rows(result), result.name)
        if result.impacts:
            steps = html_table(tables.STEP_COLUMNS, tables.step_rows(result), "What each step cost")
            self.session.headline(steps)
            _robot.log_html(steps)
        _robot.log_table(
            tables.FIGURE_COLUMNS,
            tables.figure_rows(result),
            "Counts as kube-ovn's test-server makes them (by source from kernel counters, by path from our records)",
        )
        for run in result.iperf:
            logger.info(f"iperf3 beside, {run.name}: {run.error or ''} {run.bits_per_second / 1e6:.2f} Mbit/s, "
                        f"longest gap {run.longest_gap_ms:.0f} ms, retransmits {run.retransmits}, "
                        f"lost {run.lost_packets} of {run.packets}")  # fmt: skip
        for text in result.unmeasured:
            logger.info(f"Not measured: {text}")
        for text in dict.fromkeys(result.notes):
            logger.info(f"Note: {text}")
        skipped = sum(stream.skipped for stream in result.streams)
        planned = sum(stream.planned for stream in result.streams)
        if skipped > WORTH_A_WARNING * planned:
            logger.warn(
                f"'{result.name}': {skipped} of {planned} probes were not sent in time, because the probers got too "
                "little processor. Lengths of outages are less exact then; they are never made longer by it."
            )
        logger.info(f"{count} probes are in {probes.name}; clocks agree to ±{result.uncertainty_ms:.1f} ms.")
        self._draw_break(picture, result)
        worst = result.worst
        _robot.console(
            f"  '{result.name}': "
            + (f"longest outage {worst.longest_ms:.0f} ms ({worst.spec.name}), " if worst else "no outage, ")
            + f"{len({s.spec.path for s in result.streams if s.outages})} of "
            + f"{len({s.spec.path for s in result.streams})} paths hit"
            + "".join(f"\n  ERROR: {text}" for text in result.errors)
        )
        _robot.set_test_metadata("Longest outage", f"{worst.longest_ms:.0f} ms, {worst.spec.name}" if worst else "none")

    def _draw_break(self, picture: Path, result: BreakResult) -> None:
        from NetLibrary._mechanics.breaks.timeline import draw

        draw(picture, result)
        caption = f"{result.name}: outages per path over time"
        self.session.headline(_robot.picture_html(picture, caption))
        _robot.log_picture(picture, caption)


def parse_paths(names: Any) -> list[BreakPath]:
    """Returns the paths that are named, all for none or `all`.

    Raises:
        InputError: There is no such path.

    >>> [path.name for path in parse_paths(["Service", "pod on OTHER node"])]
    ['SERVICE', 'POD_ON_OTHER_NODE']
    """
    found: list[BreakPath] = []
    known = {_plain(path.value): path for path in BreakPath}
    for name in names or [ALL]:
        if _plain(name) == ALL:
            found += [path for path in BreakPath if path not in found]
            continue
        path = known.get(_plain(name))
        if path is None:
            raise InputError(f"paths has '{name}'; allowed are {', '.join(p.value for p in BreakPath)} and 'all'.")
        if path not in found:
            found.append(path)
    return found


def _plain(name: str) -> str:
    return str(name).lower().replace(" ", "").replace("_", "").replace("-", "")


def _ms(name: str, value: timedelta) -> float:
    milliseconds = value.total_seconds() * 1000
    if milliseconds < 1:
        raise InputError(f"{name} is {milliseconds:g} ms; at least 1 ms is needed.")
    return milliseconds


def _limit_ms(name: str, value: timedelta | None) -> float | None:
    if value is None:
        return None
    if value.total_seconds() < 0:
        raise InputError(f"{name} is {value}; it cannot be negative.")
    return value.total_seconds() * 1000


def _iperf(targets: list[Target], rate: Bitrate | None) -> list[dict[str, Any]]:
    if rate is None:
        return []
    runs = []
    for target in targets:
        if not target.iperf_port or target.source != pathing.SOURCE:
            continue
        for number, protocol in enumerate(("tcp", "udp")):
            runs.append(
                {
                    "name": f"{target.path} {protocol}",
                    "address": target.address,
                    "port": target.iperf_port + number,
                    "protocol": protocol,
                    "bits_per_second": int(rate.bits_per_second),
                    "length": 1000,
                    "reverse": True,
                }
            )
    return runs


def _progress(text: str) -> None:
    logger.console(text)


def _judge(result: BreakResult, reasons: list[str]) -> None:
    """Fails when limits are broken; a measurement that is not whole is an error of its own."""
    invalid = [stream for stream in result.streams if stream.invalid]
    if reasons:
        more = [f"Also: {text}" for text in result.errors]
        raise Failure(
            f"'{result.name}' broke {len(reasons)} of its limits: {reasons[0]}."
            + "".join(f"\n{text}" for text in [*reasons[1:12], *more[:4]])
        )
    if invalid or result.errors:
        raise EnvironmentProblem(
            f"'{result.name}' has no valid result: {result.errors[0] if result.errors else invalid[0].invalid}."
            + "".join(f"\n{text}" for text in result.errors[1:8])
        )
