"""Keywords that measure what a reload of the cluster's network costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from NetLibrary._mechanics import defaults
from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude
from NetLibrary.keywords._outages import (
    KIND,
    abort,
    begin_on_good_paths,
    conclude_outages,
    conclude_pending,
    finish,
    measured_step,
    state_of,
)
from NetLibrary.types import Bitrate, OutageLimits, OutagePath, OutageTarget, Percentage, ProbeKind, Protocol, TimeLimit

#: A measurement that nobody stops ends by itself after this time.
LONGEST = timedelta(minutes=30)
OLD_LIMITS = {
    "longest_outage": "longest_outage_at_most",
    "at_least": "longest_outage_at_least",
    "total_outage": "total_outage_at_most",
    "longest_slow": "slow_at_most",
    "loss": "loss_at_most",
    "failed_connections": "failed_connections_at_most",
    "resets": "resets_at_most",
    "lost_connections": "lost_connections_at_most",
    "retransmits": "retransmits_at_most",
}


class OutageKeywords(KeywordBase):
    """Start, stop and judge measurements of outages."""

    @keyword(
        tags=["outages"],
        formerly=["Start Break Measurement"],
        renamed={
            "baseline": "quiet",
            "limit": "timeout",
            "rollout_timeout": "rollout_within",
            "probe_timeout": "silence",
        },
    )
    def start_outage_measurement(
        self,
        name: str,
        namespace: str,
        *paths: OutagePath,
        optional: Sequence[OutagePath] = (),
        targets: Sequence[OutageTarget] = (),
        probes: list[ProbeKind] | None = None,
        limits: OutageLimits | None = None,
        quiet: timedelta = timedelta(seconds=2),
        settle: timedelta = timedelta(seconds=3),
        recovery: timedelta = timedelta(seconds=30),
        rollout_within: timedelta = timedelta(minutes=5),
        timeout: timedelta = LONGEST,
        echo_interval: timedelta = timedelta(milliseconds=10),
        connection_interval: timedelta = timedelta(milliseconds=10),
        request_interval: timedelta = timedelta(milliseconds=10),
        echo_size: int = 56,
        silence: timedelta = timedelta(seconds=1),
        slow: timedelta | None = None,
        ipv6: bool = False,
        connections: int = 1,
        iperf_bitrate: Bitrate | None = None,
        iperf_protocols: Sequence[Protocol] = (Protocol.TCP,),
        host_port: int = defaults.OUTAGE_HOST_PORT,
        outside_address: str | None = None,
        outside_port: int = 0,
        cluster: str | None = None,
    ) -> list[str]:
        """Starts measuring outages on many paths at once; waits for the first answers and for a quiet time.

        The endpoints of `manifests/network_break` must be ready in the namespace. Each path is probed in parallel by
        ICMP and UDP echo, new TCP connections and requests over a kept connection, as far as it allows them. The
        probers survive an interrupted `exec`, so kubelets and runtimes may be restarted during the measurement.

        The test is skipped when a path is named that the cluster does not have. Limits are checked here, before
        anything runs, and judged by [Outages Should Be Within Limits].

        Args:
            name: Name of the measurement in results and baselines.
            namespace: Where the endpoints are.
            paths: Paths to measure; `all`, or none, for every path that the cluster has.
            optional: Further paths to measure if the cluster has them.
            targets: Your own Services, names and addresses as URLs, see [OutageTarget]; without `paths` only these are
                measured, and the namespace needs only the pod `source`.
            probes: Kinds of probes, for instance `['ICMP', 'TCP_KEPT']`; all by default.
            limits: Limits for the outages, see [OutageLimits].
            quiet: Undisturbed time before the disturbance.
            settle: Time to go on measuring after the disturbance and the rollouts that it started.
            recovery: Longest further time to wait while a path is still broken.
            rollout_within: How long workloads that the disturbance changed may take to become stable.
            timeout: The measurement ends by itself after this time.
            echo_interval: Time between two ICMP or UDP echoes.
            connection_interval: Time between two new TCP connections; after 6000 connections on a path at least 40 ms,
                so that the connection tracking tables on the path do not fill up.
            request_interval: Time between two requests over a kept connection.
            echo_size: Payload of an ICMP or UDP echo in bytes; ping sends 56. With the largest size that the path
                should carry (1472 for Ethernet and IPv4), packets that are lost because of their size show as an outage
                too.
            silence: Time without an answer after which a probe counts as lost.
            slow: How much later than the median an answer must be to count as late; depends on the kind of probe by
                default.
            ipv6: Whether to measure each path over IPv6 as well, if it has IPv6.
            connections: Number of parallel TCP connections of each kind on each path, spread over the pods with the
                label `netlibrary.io/break=source`. New ones stay open until their turn comes again; kept ones share
                1000 requests per second.
            iperf_bitrate: Rate of iperf3 streams that run in parallel on all paths that have servers; none by default.
                TCP retransmissions are reported per path and judged by `retransmits_at_most`.
            iperf_protocols: Protocols of these streams; each stream costs CPU time at the source and the server.
            host_port: Port of the echo pods on the host network.
            outside_address: Address outside the cluster, or one of each family separated by a comma; a lab has its own.
            outside_port: Port of the server there; 0 for ICMP only. A server started with `netlibrary echo` is probed
                in all ways, any other server by new TCP connections and an idle one.
            cluster: Alias of the cluster.
        Returns:
            The streams that are measured.

        ```robotframework
        *** Test Cases ***
        DNS Rollout
            Start Outage Measurement    dns rollout    demo    dns    service
            Restart Workload    Deployment    coredns    kube-system
            Outages Should Be Within Limits    longest_outage_at_most=500 ms
        ```
        """
        from NetLibrary._mechanics.outages import objects, places, streams
        from NetLibrary._mechanics.outages.judge import Limits
        from NetLibrary._mechanics.outages.run.measurement import Measurement, check_times
        from NetLibrary._mechanics.outages.run.settling import Settling

        state = state_of(self.session)
        if state.running is not None:
            raise InputError(
                f"The measurement '{state.running.name}' is still running; use 'Stop Outage Measurement' first."
            )
        conclude_pending(self.session)
        given = Limits.of(dict(limits or {}))
        rates = streams.Rates.of(
            echo_interval=echo_interval,
            connection_interval=connection_interval,
            request_interval=request_interval,
            silence=silence,
            echo_size=echo_size,
        )
        check_times(timeout.total_seconds(), quiet.total_seconds(), settle.total_seconds())
        connection = self.session.cluster(cluster)
        required = [path.value for path in dict.fromkeys(paths) if path is not OutagePath.ALL]
        required += [target.text for target in targets]
        wanted = objects.expand(paths or (() if targets else (OutagePath.ALL,)), optional)
        parameters = {
            "namespace": namespace, "paths": [path.value for path in wanted],
            "targets": [target.text for target in targets], "quiet": quiet, "settle": settle,
            "echo_interval_ms": rates.echo_ms, "connection_interval_ms": rates.connection_ms,
            "request_interval_ms": rates.kept_ms, "echo_bytes": rates.echo_bytes, "probe_timeout_ms": rates.timeout_ms,
            "connections": connections,
            "iperf_bits_per_second": iperf_bitrate.bits_per_second if iperf_bitrate else None,
        }  # fmt: skip

        def planned() -> places.Plan:
            return places.plan(
                connection,
                namespace,
                wanted,
                rates,
                probes=probes,
                families=(4, 6) if ipv6 else (4,),
                host_port=host_port,
                outside=(outside_address or "", outside_port),
                seconds=timeout.total_seconds(),
                iperf_bits_per_second=int(iperf_bitrate.bits_per_second) if iperf_bitrate else 0,
                iperf_protocols=[protocol.value for protocol in iperf_protocols],
                own=targets,
                connections=connections,
            )

        def measuring(plan: places.Plan) -> Measurement:
            return Measurement(
                name,
                plan.probers,
                plan.targets,
                unmeasured=plan.missing,
                quiet_s=quiet.total_seconds(),
                settle_s=settle.total_seconds(),
                recovery_s=recovery.total_seconds(),
                settling=Settling(connection),
                rollout_s=rollout_within.total_seconds(),
                echoes=plan.echoes,
                containers=plan.containers,
                progress=_robot.console,
            )

        plan = planned()
        self._require(name, parameters, plan.absent(required))
        given.require_measured(plan.specs)
        _robot.console(
            f"Measuring '{name}': {len(plan.specs)} streams on {len(plan.targets)} paths"
            + (f"; not measured: {len(plan.missing)}" if plan.missing else "")
        )
        measurement = begin_on_good_paths(
            self.session,
            connection,
            measuring(plan),
            lambda: measuring(planned()),
            parameters=parameters,
            endpoints=plan.endpoints,
            lab=connection.lab if connection.is_lab else None,
            limits=given,
            slow_margin_ms=None if slow is None else streams.milliseconds("slow", slow),
        )
        dead = plan.unprobed(required, measurement.impossible())
        if dead:
            measurement.abandon()
            state.running = None
            self._require(name, parameters, dead)
        measurement.wait_quiet()
        return [spec.name for spec in plan.specs]

    @keyword(tags=["outages"])
    def stop_outage_measurement(self) -> dict[str, Any]:
        """Waits until the paths have settled, ends the measurement and returns its results; judges nothing.

        Workloads whose pods or specification have changed since the start are waited for first. The result is recorded
        at the end of the test, unless [Outages Should Be Within Limits] judges and records it before that.

        Returns:
            The summary, with `longest_outage_ms`, `failed_connections`, `lost_connections` and the like.
        """
        from NetLibrary._mechanics.outages.show import tables

        state = state_of(self.session)
        if state.running is None:
            raise InputError("No measurement is running; use 'Start Outage Measurement' first.")
        return tables.summary(finish(state, settle=True))

    @keyword(tags=["outages"], formerly=["Stop Break Measurement"], renamed=OLD_LIMITS)
    def outages_should_be_within_limits(
        self,
        *,
        longest_outage_at_most: TimeLimit | None = None,
        longest_outage_at_least: TimeLimit | None = None,
        total_outage_at_most: TimeLimit | None = None,
        slow_at_most: TimeLimit | None = None,
        loss_at_most: Percentage | None = None,
        failed_connections_at_most: int | None = None,
        resets_at_most: int | None = None,
        lost_connections_at_most: int | None = None,
        retransmits_at_most: Percentage | None = None,
        unaffected: list[OutagePath] | None = None,
    ) -> dict[str, Any]:
        """Judges the outages by limits; a running measurement is ended first, once the paths have settled.

        Limits given to [Start Outage Measurement] apply as well; a limit given here replaces the one of the same name.
        An outage exceeds a limit only when the probes prove it, that is, when even its lower bound is longer. A
        measurement that could not be made, for instance because a path was broken before the disturbance began, is an
        error and not an outage.

        Args:
            longest_outage_at_most: Longest single outage that any probe stream may have.
            longest_outage_at_least: An outage of at least this length must have been seen; for disturbances that must
                have an effect.
            total_outage_at_most: Longest sum of outages that any stream may have.
            slow_at_most: For how long a path may answer late.
            loss_at_most: Largest share of probes that any stream may lose.
            failed_connections_at_most: How many new connections may fail in total; for kept connections there is
                `lost_connections_at_most`.
            resets_at_most: How many kept connections may be reset.
            lost_connections_at_most: How many kept connections may break in any way.
            retransmits_at_most: Largest share of TCP segments that may be retransmitted.
            unaffected: Paths that must have no outage at all.
        Returns:
            The summary, with `longest_outage_ms` and the like.
        """
        from NetLibrary._mechanics.outages.judge import Limits
        from NetLibrary._mechanics.outages.show import tables

        state = state_of(self.session)
        if state.running is None and state.pending is None:
            raise InputError("There is nothing to judge; use 'Start Outage Measurement' first.")
        here = Limits.of(
            {
                "longest_outage_at_most": longest_outage_at_most,
                "longest_outage_at_least": longest_outage_at_least,
                "total_outage_at_most": total_outage_at_most,
                "slow_at_most": slow_at_most,
                "loss_at_most": loss_at_most,
                "failed_connections_at_most": failed_connections_at_most,
                "resets_at_most": resets_at_most,
                "lost_connections_at_most": lost_connections_at_most,
                "retransmits_at_most": retransmits_at_most,
                "unaffected": unaffected,
            }
        )
        earlier = state.limits.given if state.limits else {}
        limits = Limits(**{**earlier, **here.given})
        if state.running is not None:
            limits.require_measured(state.running.specs)
        result = finish(state, settle=True) if state.running is not None else state.pending
        assert result is not None
        limits.require_measured([stream.spec for stream in result.streams])
        conclude_outages(self.session, result, limits)
        return tables.summary(result)

    @keyword(tags=["outages"], formerly=["Finish Break Measurement"])
    def abort_outage_measurement(self) -> None:
        """Ends a running measurement without waiting and records what it has measured so far; for teardowns.

        Does nothing when no measurement is running. Judges nothing.
        """
        abort(self.session, state_of(self.session).running)

    @keyword(tags=["outages"])
    def wait_during_measurement(self, duration: timedelta, *, step: str = "nothing") -> None:
        """Waits as a step of the measurement; for a quiet row, which shows that no outage is reported without a cause.

        Args:
            duration: How long.
            step: Name of the step.
        """
        with measured_step(self.session, step):
            time.sleep(duration.total_seconds())

    # --- behind the keywords ------------------------------------------------------------------------------

    def _require(self, name: str, parameters: dict[str, Any], absent: Sequence[str]) -> None:
        """Skips what asks for a path that is not there."""
        if absent:
            reason = (
                f"Skipped: the cluster lacks something that is to be measured: {'; '.join(absent)}. Leave the path "
                "out, or name it under optional= to measure it only where it exists."
            )
            conclude(self.session, kind=KIND, name=name, parameters=parameters, skip=reason)
