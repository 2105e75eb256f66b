"""Keywords for E2SAR runs as a whole: judge what was really delivered, transfer in one piece, sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics.defaults import E2SAR_BUFFER_BYTES, E2SAR_PORT
from NetLibrary._mechanics.errors import InputError, NetLibraryError
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude
from NetLibrary.keywords.e2sar._state import ALL, RATE, gigabits, limits_of, run_settings, same_for_all, state_of
from NetLibrary.types import Bitrate, E2SARPath, E2SARPlacement, E2SARRisks, Percentage

if TYPE_CHECKING:
    from NetLibrary._mechanics.e2sar.reports import Report
    from NetLibrary._mechanics.e2sar.sweep import Combination
    from NetLibrary.keywords.e2sar._report import E2SARResult

NO_RISK = E2SARRisks()


class E2SARRunKeywords(KeywordBase):
    """Run transfers, judge them, sweep parameters, read logs."""

    @keyword("E2SAR Transfer Should Reach", tags=["e2sar"], formerly=["Judge E2SAR Transfer"])
    def e2sar_transfer_should_reach(
        self, *, delivered_at_least: Percentage = ALL, delivered_at_most: Percentage | None = None,
        partial_at_most: Percentage = ALL, silent_at_most: Percentage = ALL, mangled_at_most: int = 0,
        errors_at_most: int = 0, expected_cause: str | None = None, causes_allowed: Sequence[str] = (),
        name: str | None = None, keep: bool = False, namespace: str | None = None,
    ) -> E2SARResult:  # fmt: skip
        """Ends what is still running in the namespace, counts what was delivered, explains the loss and judges the run.

        Args:
            delivered_at_least: Smallest acceptable share of the sent events that were received.
            delivered_at_most: Largest acceptable share, for runs that are expected to lose events.
            partial_at_most: Largest acceptable share of events lost in part.
            silent_at_most: Largest acceptable share of events of which nothing arrived.
            mangled_at_most: Largest acceptable number of events with a wrong head or tail.
            errors_at_most: Largest acceptable number of send and receive errors.
            expected_cause: Name of the cause that must be found, for instance `network policy`.
            causes_allowed: Names of causes, one of which must explain most of the loss, if there is any.
            name: Name in the table and the record; the test's name by default.
            keep: Whether to keep the Jobs and pods.
            namespace: Namespace; the one prepared last by default.

        Returns:
            What was sent and received, the verdict and the causes found.
        """
        from NetLibrary._mechanics.e2sar.run import finish
        from NetLibrary.keywords.e2sar._report import conclude_run

        given = {key: value for key, value in locals().items() if key != "self"}
        testbed = state_of(self.session).testbed(namespace)
        finding = finish(testbed, limits_of(given), keep=keep)
        return conclude_run(self.session, finding, name or _robot.current_test() or "e2sar", testbed.namespace)

    @keyword("Transfer E2SAR Events", tags=["e2sar"])
    def transfer_e2sar_events(
        self, *, events: int = 1000, event_bytes: int = 1024, rate: Bitrate = RATE, mtu: int = 1400,
        sender_buffer_bytes: int = E2SAR_BUFFER_BYTES, receiver_buffer_bytes: int = E2SAR_BUFFER_BYTES,
        sockets: int = 4, threads: int = 1, port: int = E2SAR_PORT, send_to_port: int | None = None,
        duration: timedelta = timedelta(0), path: E2SARPath = E2SARPath.POD_IP,
        placement: E2SARPlacement = E2SARPlacement.OTHER_NODE, sender_node: str = "",
        receiver_node: str = "", sender_cpu_limit: str = "1", receiver_cpu_limit: str = "1",
        memory_limit: str = "512Mi", egress_bandwidth: str = "", ingress_bandwidth: str = "", senders: int = 1,
        receivers: int = 1, accept: E2SARRisks = NO_RISK, delivered_at_least: Percentage = ALL,
        delivered_at_most: Percentage | None = None, partial_at_most: Percentage = ALL,
        silent_at_most: Percentage = ALL, mangled_at_most: int = 0, errors_at_most: int = 0,
        expected_cause: str | None = None, causes_allowed: Sequence[str] = (), start_delay: timedelta | None = None,
        sender_options: Sequence[str] = (), receiver_options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None, name: str | None = None, keep: bool = False,
        timeout: timedelta | None = None, namespace: str | None = None, rate_gbps: float | None = None,
    ) -> E2SARResult:  # fmt: skip
        """Runs receivers and senders from start to verdict: bound, sent, settled, stopped, judged.

        Fails when a limit is not met; the first line of the failure gives the numbers, the second names cause and
        remedy. The arguments are those of [Start E2SAR Receiver], [Start E2SAR Sender] and
        [E2SAR Transfer Should Reach].

        Args:
            events: Number of events that each sender sends.
            event_bytes: Size of an event in bytes.
            rate: Rate of event data of each sender, for instance `50 Mbit/s`; 0 for as fast as possible.
            mtu: Size of an IP packet in bytes.
            sender_buffer_bytes: Size of the senders' socket buffers.
            receiver_buffer_bytes: Size of the receivers' socket buffers.
            sockets: Number of source sockets of each sender.
            threads: Number of receive threads.
            port: First UDP port of the receivers.
            send_to_port: Port to send to, if it is to be a different one.
            duration: How long receivers run; 0 to run until the transfer is over.
            path: How a receiver is addressed.
            placement: Where senders run, relative to their receiver.
            sender_node: Node of the senders.
            receiver_node: Node of the receivers.
            sender_cpu_limit: CPU limit of the senders.
            receiver_cpu_limit: CPU limit of the receivers.
            memory_limit: Memory limit of both.
            egress_bandwidth: Bandwidth annotation of the senders.
            ingress_bandwidth: Bandwidth annotation of the receivers.
            senders: Number of senders; they are spread over the receivers in turn.
            receivers: Number of receivers.
            accept: Risks that are taken on purpose, separated by commas.
            delivered_at_least: Smallest acceptable share of events delivered.
            delivered_at_most: Largest acceptable share of events delivered.
            partial_at_most: Largest acceptable share of events lost in part.
            silent_at_most: Largest acceptable share of events lost entirely.
            mangled_at_most: Largest acceptable number of mangled events.
            errors_at_most: Largest acceptable number of errors.
            expected_cause: Cause that must be found.
            causes_allowed: Causes, one of which must explain most of the loss, if there is any.
            start_delay: Time between the start of a sender's pod and its first datagram.
            sender_options: Further options for the senders.
            receiver_options: Further options for the receivers.
            environment: Further environment variables for both.
            name: Name in the table and the record.
            keep: Whether to keep the Jobs and pods.
            timeout: Longest time for each wait, in addition to the sending time.
            namespace: Namespace; the one prepared last by default.
            rate_gbps: Deprecated: the rate in Gbit/s without a unit; use `rate`.

        Returns:
            What was sent and received, the verdict and the causes found.

        ```robotframework
        *** Test Cases ***
        Published Parameters
            Transfer E2SAR Events    events=500    event_bytes=512    mtu=512    rate=100M
            ...    receiver_buffer_bytes=8192    receiver_cpu_limit=100m    delivered_at_least=0 %
        ```
        """
        from NetLibrary._mechanics.e2sar.run import Run
        from NetLibrary.keywords.e2sar._report import conclude_run

        given = {key: value for key, value in locals().items() if key != "self"}
        state = state_of(self.session)
        testbed = state.testbed(namespace)
        finding = Run(testbed, run_settings(state, given)).go()
        return conclude_run(self.session, finding, name or _robot.current_test() or "e2sar", testbed.namespace)

    @keyword("Sweep E2SAR Transfers", tags=["e2sar"])
    def sweep_e2sar_transfers(
        self, *, mtu: Sequence[int] = (1400,), rate: Sequence[Bitrate] = (RATE,),
        receiver_buffer_bytes: Sequence[int] = (E2SAR_BUFFER_BYTES,), name: str | None = None,
        delivered_at_least: Percentage = Percentage(0), namespace: str | None = None,
        rate_gbps: Sequence[float] | None = None, **fixed: Any,
    ) -> list[E2SARResult]:  # fmt: skip
        """Runs every combination of MTU, rate and receive buffer, and shows how much each delivered.

        The table has one row for each run, and one picture shows the delivery of all of them. Events, sizes and limits
        are the same for all runs; their arguments are named as in [Transfer E2SAR Events].

        Args:
            mtu: MTUs.
            rate: Rates of event data.
            receiver_buffer_bytes: Sizes of the receive buffer.
            name: Name in the table and the record.
            delivered_at_least: Smallest acceptable share of events delivered in every run.
            namespace: Namespace; the one prepared last by default.
            rate_gbps: Deprecated: rates in Gbit/s without a unit; use `rate`.
            fixed: Arguments of [Transfer E2SAR Events] that are the same for all runs.

        Returns:
            The result of each combination, in the order of the table.

        ```robotframework
        *** Test Cases ***
        Delivery Surface
            Sweep E2SAR Transfers    mtu=[512, 1400]    rate=['20M', '200M']
            ...    receiver_buffer_bytes=[8192, 1048576]    events=2000    event_bytes=512
        ```
        """
        from NetLibrary._mechanics.e2sar.run import Run
        from NetLibrary._mechanics.e2sar.sweep import combinations
        from NetLibrary.keywords.e2sar._report import conclude_run, conclude_sweep

        state = state_of(self.session)
        testbed = state.testbed(namespace)
        rates = list(rate_gbps) if rate_gbps is not None else [each.bits_per_second / 1e9 for each in rate]
        points = combinations(mtu, rates, receiver_buffer_bytes)
        same = same_for_all(type(self).transfer_e2sar_events, fixed)
        each_run = [
            run_settings(
                state,
                {**same, "mtu": run.mtu, "rate": Bitrate(run.rate_gbps * 1e9),
                 "receiver_buffer_bytes": run.buffer_bytes, "delivered_at_least": Percentage(0)},
            ).checked(testbed)
            for run in points
        ]  # fmt: skip
        label = name or _robot.current_test() or "e2sar sweep"
        done: list[tuple[Combination, E2SARResult | None, str]] = []
        for index, (run, settings) in enumerate(zip(points, each_run, strict=True), 1):
            _robot.console(f"E2SAR sweep {index}/{len(points)}: {run.text}")
            try:
                finding = Run(testbed, settings).go()
            except NetLibraryError as error:
                done.append((run, None, str(error).splitlines()[0]))
                continue
            result = conclude_run(self.session, finding, f"{label}: {run.text}", testbed.namespace, judged=False)
            wrong = finding.judgement.errors
            done.append((run, None, wrong[0]) if wrong else (run, result, ""))
        return conclude_sweep(self.session, label, done, delivered_at_least.percent)

    @keyword("Parse E2SAR Log", tags=["e2sar"])
    def parse_e2sar_log(self, path: Path) -> Report:
        """Reads a log of an `e2sar_perf` sender or receiver, versions 0.1.4 to 0.3.2, complete or cut off.

        Args:
            path: File with the log.

        Returns:
            Its contents, for instance `${report.final.received}`, `${report.frames_sent}`, `${report.failures}`.
        """
        from NetLibrary._mechanics.e2sar.logs import parse as parse_log

        try:
            return parse_log(Path(path).read_bytes())
        except OSError as error:
            raise InputError(f"path is '{path}', which cannot be read: {error.strerror}.") from error

    @keyword("Describe E2SAR Traffic", tags=["e2sar"])
    def describe_e2sar_traffic(
        self,
        *,
        events: int = 1000,
        event_bytes: int = 1024,
        rate: Bitrate = RATE,
        mtu: int = 1400,
        rate_gbps: float | None = None,
    ) -> dict[str, float]:
        """Calculates what a sender puts on the wire: datagrams per event, IP bytes, rate, pause, time.

        Args:
            events: Number of events.
            event_bytes: Size of an event in bytes.
            rate: Rate of event data.
            mtu: Size of an IP packet in bytes.
            rate_gbps: Deprecated: the rate in Gbit/s without a unit; use `rate`.

        Returns:
            These numbers by name; the names contain the units.
        """
        from NetLibrary._mechanics.e2sar import parameters as p

        settings = p.SenderSettings(events, event_bytes, gigabits(rate, rate_gbps), mtu)
        p.check_sender(settings)
        return p.describe(settings)

    @keyword("Compare E2SAR With Published Run", tags=["e2sar"])
    def compare_e2sar_with_published_run(self, result: E2SARResult) -> None:
        """Compares a run with the published one, whose 93.4 % were 85 of 500 events, and fails unless they are alike.

        They are alike when 1 to 95 % are delivered and the receiver's buffer and CPU limit explain the loss.

        Args:
            result: Result of a run with the published parameters.
        """
        from NetLibrary._mechanics.e2sar import published
        from NetLibrary._mechanics.report import Table
        from NetLibrary._mechanics.verdict import Check

        low, high = published.EXPECTED_PERCENT
        seen = result.delivered_percent
        text = f"Delivered {seen:.1f} %; the published parameters give {low:g} to {high:g} % ({published.REPRODUCED})."
        conclude(
            self.session,
            kind="e2sar published run",
            name=_robot.current_test() or "published run",
            checks=[
                Check("delivered at least", low, seen, "%", seen >= low, text),
                Check("delivered at most", high, seen, "%", seen <= high, text),
            ],
            summary={"delivered_percent": seen, "cause": result.cause},
            tables=[Table(list(published.COLUMNS), published.rows(result.judgement), "Against the published run")],
            stands_in=["e2sar_perf"],
        )
