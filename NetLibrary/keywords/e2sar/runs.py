"""Keywords for E2SAR runs as a whole: judge what was really delivered, transfer in one piece, sweep."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from robot.api import Error, Failure, logger

from NetLibrary._mechanics.e2sar import parameters as p
from NetLibrary._mechanics.e2sar import published
from NetLibrary._mechanics.e2sar.logs import Report
from NetLibrary._mechanics.e2sar.logs import parse as parse_log
from NetLibrary._mechanics.e2sar.sweep import Combination, combinations
from NetLibrary._mechanics.e2sar.verdict import Thresholds
from NetLibrary._mechanics.errors import InputError, NetLibraryError, WaitFailed, WaitTimeout
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords.e2sar import _shared as runs
from NetLibrary.keywords.e2sar._shared import E2sarResult
from NetLibrary.keywords.e2sar.parties import E2sarPartyKeywords
from NetLibrary.types import Percentage

ALL = Percentage(100)


class E2sarKeywords(E2sarPartyKeywords):
    """Judge, transfer in one piece, sweep, read logs."""

    @keyword(tags=["e2sar"])
    def judge_e2sar_transfer(
        self, *, delivered_at_least: Percentage = ALL, delivered_at_most: Percentage | None = None,
        partial_at_most: Percentage = ALL, silent_at_most: Percentage = ALL, mangled_at_most: int = 0,
        errors_at_most: int = 0, expected_cause: str | None = None, name: str | None = None, keep: bool = False,
        namespace: str | None = None,
    ) -> E2sarResult:  # fmt: skip
        """Ends what still runs in the namespace, counts what was delivered, explains the loss, and judges.

        Args:
            delivered_at_least: Smallest share of the events sent that must have been received.
            delivered_at_most: Largest share, for runs that are meant to fail.
            partial_at_most: Largest share of events lost in part.
            silent_at_most: Largest share of events of which nothing arrived.
            mangled_at_most: Most events with a wrong head or tail.
            errors_at_most: Most send and receive errors.
            expected_cause: Word of the cause that must be found, for instance `network policy`.
            name: Name in table and record; from the test's name by default.
            keep: Whether Jobs and pods stay.
            namespace: Namespace; the one prepared last by default.
        Returns:
            What was sent and received, the verdict and the causes that were found.
        """
        bench = self._e2sar.bench(namespace)
        thresholds = Thresholds(
            delivered_at_least.fraction, partial_at_most.fraction, silent_at_most.fraction, mangled_at_most,
            errors_at_most,
        )  # fmt: skip
        result = self._e2sar.finish(
            bench, thresholds, name or _robot.current_test() or "e2sar", delivered_at_most, keep
        )
        reasons = list(result.judgement.reasons)
        if expected_cause and expected_cause not in [each.kind for each in result.judgement.causes]:
            found = ", ".join(f"'{each.kind}'" for each in result.judgement.causes) or "none"
            reasons.append(f"Cause '{expected_cause}' was expected; found: {found}.")
        if reasons:
            raise Failure(runs.failure(result, reasons))
        return result

    # --- in one piece ----------------------------------------------------------------------------------------------

    @keyword(tags=["e2sar"])
    def transfer_e2sar_events(
        self, *, events: int = 1000, event_bytes: int = 1024, rate_gbps: float = 0.05, mtu: int = 1400,
        sender_buffer_bytes: int = p.IDEAL_BUFFER, receiver_buffer_bytes: int = p.IDEAL_BUFFER, sockets: int = 4,
        threads: int = 1, port: int = p.PORT, send_to_port: int | None = None, duration: timedelta = timedelta(0),
        path: p.Path = p.Path.POD_IP, placement: p.Placement = p.Placement.OTHER_NODE, sender_node: str = "",
        receiver_node: str = "", sender_cpu_limit: str = "1", receiver_cpu_limit: str = "1",
        memory_limit: str = "512Mi", egress_bandwidth: str = "", ingress_bandwidth: str = "", senders: int = 1,
        receivers: int = 1, accept: str = "", delivered_at_least: Percentage = ALL,
        delivered_at_most: Percentage | None = None, partial_at_most: Percentage = ALL,
        silent_at_most: Percentage = ALL, mangled_at_most: int = 0, errors_at_most: int = 0,
        expected_cause: str | None = None, start_delay: timedelta | None = None,
        sender_options: Sequence[str] = (), receiver_options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None, name: str | None = None, keep: bool = False,
        timeout: timedelta | None = None, namespace: str | None = None,
    ) -> E2sarResult:  # fmt: skip
        """Runs receivers and senders from start to verdict: bound, sent, settled, stopped, judged.

        Fails when a threshold was missed; the first line counts, the second names cause and remedy. The arguments are
        those of [Start E2SAR Receiver], [Start E2SAR Sender] and [Judge E2SAR Transfer].

        Args:
            events: Events that each sender sends.
            event_bytes: Bytes of an event.
            rate_gbps: Gbit/s of event bytes of each sender.
            mtu: Bytes of an IP packet.
            sender_buffer_bytes: Socket buffers of the senders.
            receiver_buffer_bytes: Socket buffer of the receivers.
            sockets: Source sockets of each sender.
            threads: Receive threads.
            port: First UDP port of the receivers.
            send_to_port: Port to send to when it shall be another one.
            duration: How long receivers run; 0 until the run is over.
            path: How a receiver is addressed.
            placement: Where senders run, seen from their receiver.
            sender_node: Node of the senders.
            receiver_node: Node of the receivers.
            sender_cpu_limit: CPU limit of the senders.
            receiver_cpu_limit: CPU limit of the receivers.
            memory_limit: Memory limit of both.
            egress_bandwidth: Bandwidth annotation of the senders.
            ingress_bandwidth: Bandwidth annotation of the receivers.
            senders: How many senders; they take the receivers in turn.
            receivers: How many receivers.
            accept: Risks that are meant, separated by commas.
            delivered_at_least: Smallest share delivered.
            delivered_at_most: Largest share delivered.
            partial_at_most: Largest share lost in part.
            silent_at_most: Largest share lost silently.
            mangled_at_most: Most mangled events.
            errors_at_most: Most errors.
            expected_cause: Cause that must be found.
            start_delay: Time between the start of a sender's pod and its first datagram.
            sender_options: Further options of the senders.
            receiver_options: Further options of the receivers.
            environment: Further environment variables of both.
            name: Name in table and record.
            keep: Whether Jobs and pods stay.
            timeout: Limit of each wait; sending time is added.
            namespace: Namespace; the one prepared last by default.
        Returns:
            What was sent and received, the verdict and the causes that were found.

        ```robotframework
        *** Test Cases ***
        Published Parameters
            Transfer E2SAR Events    events=500    event_bytes=512    mtu=512    rate_gbps=0.1
            ...    receiver_buffer_bytes=8192    receiver_cpu_limit=100m    delivered_at_least=0 %
        ```
        """
        runs.counted("senders", senders)
        runs.counted("receivers", receivers)
        bench = self._e2sar.bench(namespace)
        self._e2sar.clear(bench)
        space = bench.namespace
        ready = path is not p.Path.POD_IP
        if path in (p.Path.SERVICE, p.Path.NODE_PORT) and receivers > 1:
            logger.info("Behind one Service the source sockets of a sender spread over the receivers.")
        heard = p.ReceiverSettings(receiver_buffer_bytes, runs.whole("duration", duration), port, threads)
        sent = p.SenderSettings(events, event_bytes, rate_gbps, mtu, sender_buffer_bytes, sockets)
        around = runs.around(bench, [egress_bandwidth, ingress_bandwidth])
        p.check_run(sent, heard, around, runs.risks(accept))
        begun = time.monotonic()
        try:
            for index in range(receivers):
                self.start_e2sar_receiver(
                    f"e2sar-receiver-{index}", buffer_bytes=receiver_buffer_bytes, duration=duration, port=port,
                    threads=threads, cpu_limit=receiver_cpu_limit, memory_limit=memory_limit, node=receiver_node,
                    ingress_bandwidth=ingress_bandwidth, options=receiver_options, environment=environment,
                    namespace=space,
                )  # fmt: skip
            for index in range(receivers):
                self.wait_until_e2sar_receiver_is_bound(
                    f"e2sar-receiver-{index}", ready=ready, timeout=timeout, namespace=space
                )
            bound = time.monotonic()
            for index in range(senders):
                self.start_e2sar_sender(
                    f"e2sar-sender-{index}", receiver=f"e2sar-receiver-{index % receivers}", events=events,
                    event_bytes=event_bytes, rate_gbps=rate_gbps, mtu=mtu, buffer_bytes=sender_buffer_bytes,
                    sockets=sockets, data_id=4321 + index, port=send_to_port, path=path, placement=placement,
                    node=sender_node, cpu_limit=sender_cpu_limit, memory_limit=memory_limit,
                    egress_bandwidth=egress_bandwidth, accept=accept, start_delay=start_delay, options=sender_options,
                    environment=environment, namespace=space,
                )  # fmt: skip
            limit = timedelta(seconds=self._e2sar.limit(timeout) + 3 * sent.send_seconds)
            for index in range(senders):
                self.wait_for_e2sar_sender(f"e2sar-sender-{index}", timeout=limit, namespace=space)
        except (WaitFailed, WaitTimeout, Failure) as error:
            # what was seen so far still deserves its verdict: it knows more about the reason than the wait does
            logger.info(f"The run did not come to its end: {error}")
            return self._e2sar.judge_broken(bench, error, delivered_at_least, expected_cause, name, keep)
        sending = time.monotonic()
        self.session.steps["e2sar until bound"] = round(bound - begun, 2)
        self.session.steps["e2sar sending"] = round(sending - bound, 2)
        return self.judge_e2sar_transfer(
            delivered_at_least=delivered_at_least, delivered_at_most=delivered_at_most, partial_at_most=partial_at_most,
            silent_at_most=silent_at_most, mangled_at_most=mangled_at_most, errors_at_most=errors_at_most,
            expected_cause=expected_cause, name=name, keep=keep, namespace=space,
        )  # fmt: skip

    @keyword(tags=["e2sar"])
    def sweep_e2sar_transfers(
        self, *, mtu: Sequence[int] = (1400,), rate_gbps: Sequence[float] = (0.05,),
        receiver_buffer_bytes: Sequence[int] = (p.IDEAL_BUFFER,), name: str | None = None,
        delivered_at_least: Percentage = Percentage(0), namespace: str | None = None, **fixed: Any,
    ) -> list[E2sarResult]:  # fmt: skip
        """Runs every combination of MTU, rate and receive buffer, and shows how much each delivered.

        One row of the table for each run, one picture of the delivery surface for all. Events, sizes and limits are
        the same for all runs and take the names of [Transfer E2SAR Events].

        Args:
            mtu: MTUs.
            rate_gbps: Rates.
            receiver_buffer_bytes: Receive buffers.
            name: Name in table and record.
            delivered_at_least: Share that every run must deliver.
            namespace: Namespace; the one prepared last by default.
            fixed: Arguments of Transfer E2SAR Events that are the same for all.
        Returns:
            The result of each combination, in the order of the table.

        ```robotframework
        *** Test Cases ***
        Delivery Surface
            Sweep E2SAR Transfers    mtu=[512, 1400]    rate_gbps=[0.02, 0.2]
            ...    receiver_buffer_bytes=[8192, 1048576]    events=2000    event_bytes=512
        ```
        """
        points = combinations(mtu, rate_gbps, receiver_buffer_bytes)
        fixed = runs.converted(E2sarKeywords.transfer_e2sar_events, fixed)
        for run in points:
            sent = p.SenderSettings(
                int(fixed.get("events", 1000)), int(fixed.get("event_bytes", 1024)), run.rate_gbps, run.mtu
            )
            around = runs.around(self._e2sar.bench(namespace), [])
            accepted = runs.risks(str(fixed.get("accept", "")))
            p.check_run(sent, p.ReceiverSettings(run.buffer_bytes), around, accepted)
        label = name or _robot.current_test() or "e2sar sweep"
        done: list[tuple[Combination, E2sarResult | None, str]] = []
        for index, run in enumerate(points, 1):
            _robot.console(f"E2SAR sweep {index}/{len(points)}: {run.text}")
            try:
                result = self.transfer_e2sar_events(
                    mtu=run.mtu, rate_gbps=run.rate_gbps, receiver_buffer_bytes=run.buffer_bytes,
                    delivered_at_least=Percentage(0), name=f"{label}: {run.text}", namespace=namespace, **fixed,
                )  # fmt: skip
                done.append((run, result, ""))
            except (Failure, Error, NetLibraryError) as error:
                done.append((run, None, str(error).splitlines()[0]))
        return self._e2sar.show_sweep(label, done, delivered_at_least)

    # --- what needs no run ----------------------------------------------------------------------

    @keyword(tags=["e2sar"])
    def parse_e2sar_log(self, path: Path) -> Report:
        """Reads a log of `e2sar_perf`, 0.1.4 to 0.3.2, sender or receiver, whole or cut off.

        Args:
            path: File with the log.
        Returns:
            Its content, for instance `${report.final.received}`, `${report.frames_sent}`, `${report.failures}`.
        """
        try:
            return parse_log(Path(path).read_bytes())
        except OSError as error:
            raise InputError(f"path is '{path}', which cannot be read: {error.strerror}.") from error

    @keyword(tags=["e2sar"])
    def describe_e2sar_traffic(
        self, *, events: int = 1000, event_bytes: int = 1024, rate_gbps: float = 0.05, mtu: int = 1400
    ) -> dict[str, float]:
        """Works out what a sender puts on the wire: datagrams per event, IP bytes, rate, pause, time.

        Args:
            events: Events.
            event_bytes: Bytes of an event.
            rate_gbps: Gbit/s of event bytes.
            mtu: Bytes of an IP packet.
        Returns:
            These numbers by name, units in the names.
        """
        settings = p.SenderSettings(events, event_bytes, rate_gbps, mtu)
        p.check_sender(settings)
        return p.describe(settings)

    @keyword(tags=["e2sar"])
    def compare_e2sar_with_published_run(self, result: E2sarResult) -> None:
        """Shows a run beside the published one, whose 93.4 % were 85 of 500 events, and fails unless it is alike.

        Alike is a delivery of 1 to 95 % that the receiver's buffer and CPU limit explain.

        Args:
            result: Result of a run with the published parameters.
        """
        _robot.log_table(list(published.COLUMNS), published.rows(result.judgement), "Against the published run")
        low, high = published.EXPECTED_PERCENT
        if not low <= result.delivered_percent <= high:
            raise Failure(
                f"Delivered {result.delivered_percent:.1f} %; the published parameters give {low:g} to {high:g} % "
                f"({published.REPRODUCED})."
            )
