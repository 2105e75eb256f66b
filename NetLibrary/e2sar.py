"""Keywords for E2SAR sender and receiver runs: start, wait on evidence, judge what was really delivered."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from robot.api import Error, Failure, logger

from NetLibrary import _e2sar as runs
from NetLibrary import _robot
from NetLibrary._base import KeywordBase, keyword
from NetLibrary._e2sar import E2sarResult, E2sarRuns
from NetLibrary._mechanics.e2sar import objects, published
from NetLibrary._mechanics.e2sar import parameters as p
from NetLibrary._mechanics.e2sar.bench import Bench
from NetLibrary._mechanics.e2sar.logs import Report
from NetLibrary._mechanics.e2sar.logs import parse as parse_log
from NetLibrary._mechanics.e2sar.party import Party
from NetLibrary._mechanics.e2sar.sweep import Combination, combinations
from NetLibrary._mechanics.e2sar.verdict import Thresholds
from NetLibrary._mechanics.errors import InputError, NetLibraryError, WaitFailed, WaitTimeout
from NetLibrary.types import Percentage

ALL = Percentage(100)


class E2sarKeywords(KeywordBase):
    """Prepare, start, wait, stop, judge, sweep."""

    @property
    def _e2sar(self) -> E2sarRuns:
        found: E2sarRuns = self.__dict__.setdefault("_e2sar_runs", E2sarRuns(self.session))
        return found

    # --- the place --------------------------------------------------------------------------------------

    @keyword(tags=["e2sar"])
    def prepare_e2sar_namespace(
        self, namespace: str | None = None, *, manifests: Path, image: str | None = None, inspect: bool = True,
        timeout: timedelta | None = None, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Makes the namespace for E2SAR runs and looks at image and place before anything is started.

        A short pod of the image tells the version of `e2sar_perf`, the pods' MTU and the kernel's limits for socket
        buffers; parameters are checked against these later.

        Args:
            namespace: Its name; `e2sar-` and the run's id by default.
            manifests: Folder of the scenario, `manifests/e2sar`.
            image: Image with `e2sar_perf`; on a lab the stand-in, elsewhere `ibaldin/e2sar:0.1.4` by default.
            inspect: Whether to look at image and place.
            timeout: Limit of the inspection.
            cluster: Alias of the cluster.
        Returns:
            The namespace.
        Raises:
            Error: The image has no `e2sar_perf` or one that is not supported.

        ```robotframework
        *** Test Cases ***
        Everything Arrives
            Prepare E2SAR Namespace    manifests=${CURDIR}/../manifests/e2sar
            Transfer E2SAR Events    events=1000    rate_gbps=0.02
        ```
        """
        connection = self.session.cluster(cluster)
        space = namespace or f"e2sar-{self.session.run_id}"
        folder = _robot.output_dir() / "e2sar"
        bench = Bench(connection, space, objects.Files(Path(manifests)), folder, runs.say)
        bench.tick = lambda: self._e2sar.progress(bench)
        chosen = image or (objects.STAND_IN_IMAGE if connection.is_lab else objects.REAL_IMAGE)
        if chosen == objects.STAND_IN_IMAGE:
            if connection.is_lab:
                connection.lab.install("e2sar")
            self.session.note_stand_in("e2sar_perf", f"{chosen}, own Python, direct mode only")
        bench.prepare()
        self._e2sar.benches[space] = bench
        self._e2sar.image = chosen
        self._e2sar.namespace = space
        self.session.on_close(f"E2SAR logs of '{space}'", bench.close)
        if inspect:
            found = bench.inspect(chosen, timeout=self._e2sar.limit(timeout))
            if found.stand_in:
                self.session.note_stand_in("e2sar_perf", f"{chosen}, own Python, direct mode only")
            around = found.around
            text = f"{chosen}: {found.version or 'no version'}"
            _robot.set_suite_metadata("e2sar_perf", text)
            logger.info(
                f"{text}; pod MTU {around.pod_mtu}, rmem_max {around.rmem_max}, wmem_max {around.wmem_max} bytes."
            )
        return space

    @keyword(tags=["e2sar"])
    def apply_e2sar_network_policy(
        self, policy: str, *, port: int = p.PORT, namespace: str | None = None, cluster: str | None = None
    ) -> None:
        """Puts one of the prepared NetworkPolicies into force, in place of the one before.

        Args:
            policy: `allow` (UDP of the senders), `deny-udp`, `tcp-only` (the right port, the wrong protocol),
                `no-egress` (senders may only ask DNS) or `none`.
            port: UDP port of the receivers.
            namespace: Namespace of the runs; the one prepared last by default.
            cluster: Alias of the cluster.
        """
        bench = self._e2sar.bench(namespace)
        word = policy.lower().replace(" ", "-").replace("_", "-")
        if word == "none":
            bench.cluster.delete("NetworkPolicy", objects.POLICY_NAME, bench.namespace)
            return
        made = bench.files.policy(word, bench.namespace, port)
        bench.cluster.delete("NetworkPolicy", objects.POLICY_NAME, bench.namespace)
        bench.cluster.create(made)

    # --- step by step -----------------------------------------------------------------------------------------

    @keyword(tags=["e2sar"])
    def start_e2sar_receiver(
        self, name: str = "e2sar-receiver-0", *, buffer_bytes: int = p.IDEAL_BUFFER, duration: timedelta = timedelta(0),
        port: int = p.PORT, threads: int = 1, period: timedelta = timedelta(milliseconds=500),
        cpu_limit: str = "1", memory_limit: str = "512Mi", node: str = "", ingress_bandwidth: str = "",
        image: str | None = None, options: Sequence[str] = (), environment: Mapping[str, str] | None = None,
        namespace: str | None = None,
    ) -> Party:  # fmt: skip
        """Starts a receiver and returns at once; see [Wait Until E2SAR Receiver Is Bound].

        Args:
            name: Name of its Job and its stable DNS name below `e2sar-receiver`.
            buffer_bytes: Size of the socket buffer to ask for.
            duration: How long it runs, whole seconds; 0 until it is stopped.
            port: First UDP port.
            threads: Receive threads; they open the next power of two ports.
            period: Time between two reports.
            cpu_limit: CPU limit, empty for none.
            memory_limit: Memory limit, empty for none.
            node: Node to run on; any by default.
            ingress_bandwidth: Bandwidth annotation, for instance `100M`.
            image: Another image than the namespace's.
            options: Further options of this `e2sar_perf`, for instance `['--timeout', '1000']`.
            environment: Further environment variables.
            namespace: Namespace; the one prepared last by default.
        """
        bench = self._e2sar.bench(namespace)
        settings = p.ReceiverSettings(
            buffer_bytes,
            runs.whole("duration", duration),
            port,
            threads,
            runs.milliseconds("period", period),
            tuple(options),
        )
        p.check_receiver(settings)
        pod = p.PodSettings(
            image or self._e2sar.image, cpu_limit, memory_limit, runs.at_most(cpu_limit, "100m"),
            runs.at_most(memory_limit, "64Mi"),
            node, ingress_bandwidth, "", dict(environment or {}),
        )  # fmt: skip
        return bench.start_receiver(name, settings, pod)

    @keyword(tags=["e2sar"])
    def wait_until_e2sar_receiver_is_bound(
        self, name: str = "e2sar-receiver-0", *, ready: bool = False, timeout: timedelta | None = None,
        namespace: str | None = None,
    ) -> float:  # fmt: skip
        """Waits until a receiver's UDP port is bound, by the evidence of `/proc/net/udp` in its pod.

        Fails at once when the receiver ends before, with its own words.

        Args:
            name: Its name.
            ready: Whether DNS and Services must know it too.
            timeout: Limit.
            namespace: Namespace; the one prepared last by default.
        Returns:
            Seconds since it was started.
        """
        bench = self._e2sar.bench(namespace)
        seconds = bench.wait_bound(runs.party(bench, name), timeout=self._e2sar.limit(timeout), ready=ready)
        logger.info(f"Receiver '{name}' is bound {seconds:.1f} s after its start.")
        return seconds

    @keyword(tags=["e2sar"])
    def start_e2sar_sender(
        self, name: str = "e2sar-sender-0", *, receiver: str | None = "e2sar-receiver-0", events: int = 1000,
        event_bytes: int = 1024, rate_gbps: float = 0.05, mtu: int = 1400, buffer_bytes: int = p.IDEAL_BUFFER,
        sockets: int = 4, source_id: int = 1234, data_id: int = 4321, port: int | None = None, address: str = "",
        path: p.Path = p.Path.POD_IP, placement: p.Placement = p.Placement.OTHER_NODE, node: str = "",
        cpu_limit: str = "1", memory_limit: str = "512Mi", egress_bandwidth: str = "", accept: str = "",
        resolve_timeout: timedelta = timedelta(seconds=60), start_delay: timedelta | None = None,
        image: str | None = None, options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None, namespace: str | None = None,
    ) -> Party:  # fmt: skip
        """Starts a sender and returns at once; see [Wait For E2SAR Sender].

        Everything is checked before: limits of e2sar_perf, MTU of the pods, bandwidth annotations, socket buffers, and
        whether the receiver lasts long enough. `accept` lets through what is meant: `OVERLOAD`, `FRAGMENTATION`,
        `SHORT_RECEIVER`, `CAPPED_BUFFER`.

        Args:
            name: Name of its Job.
            receiver: Receiver to send to; none when only `address` is known.
            events: Events to send.
            event_bytes: Bytes of an event, 42 and more.
            rate_gbps: Gbit/s of event bytes, headers not counted; 0 is as fast as it goes (from 0.2.1 on).
            mtu: Bytes of an IP packet, 106 to 9000.
            buffer_bytes: Size of the socket buffers to ask for.
            sockets: Source sockets.
            source_id: Source id, used by the control plane only.
            data_id: Data id; each sender of a receiver needs its own.
            port: Port to send to; that of the receiver by default.
            address: Address or name to send to instead of the receiver's.
            path: How the receiver is addressed.
            placement: Where it runs, seen from the receiver.
            node: Node to run on; wins over the placement.
            cpu_limit: CPU limit, empty for none.
            memory_limit: Memory limit, empty for none.
            egress_bandwidth: Bandwidth annotation, for instance `100M`.
            accept: Risks that are meant, separated by commas.
            resolve_timeout: How long a name may take to resolve.
            start_delay: Time between the start of its pod and its first datagram; 2 s by default where NetworkPolicies
                are in force, since these know a pod only by the address that its node publishes, else none.
            image: Another image than the namespace's.
            options: Further options of this `e2sar_perf`.
            environment: Further environment variables.
            namespace: Namespace; the one prepared last by default.
        """
        bench = self._e2sar.bench(namespace)
        target = runs.party(bench, receiver) if receiver and not address else None
        settings = p.SenderSettings(
            events, event_bytes, rate_gbps, mtu, buffer_bytes, sockets, source_id, data_id,
            port or (target.settings.port if target else p.PORT), tuple(options),
        )  # fmt: skip
        pod = p.PodSettings(
            image or self._e2sar.image, cpu_limit, memory_limit, runs.at_most(cpu_limit, "100m"),
            runs.at_most(memory_limit, "64Mi"),
            node, "", egress_bandwidth, dict(environment or {}),
        )  # fmt: skip
        heard = target.settings if target else p.ReceiverSettings()
        limits = [egress_bandwidth, target.pod_settings.ingress_bandwidth if target else ""]
        p.check_run(settings, heard, runs.around(bench, limits), runs.risks(accept))
        others = [each for each in bench.parties.values() if each.role == "sender" and not each.terminated()]
        if target:
            p.check_several([settings, *(each.settings for each in others if each.target.startswith(target.address))])
        return bench.start_sender(
            name, settings, pod, target, path=path, placement=placement, address=address,
            resolve_seconds=max(1, round(resolve_timeout.total_seconds())),
            start_delay=None if start_delay is None else runs.whole("start_delay", start_delay),
        )  # fmt: skip

    @keyword(tags=["e2sar"])
    def wait_for_e2sar_sender(
        self, name: str = "e2sar-sender-0", *, timeout: timedelta | None = None, namespace: str | None = None
    ) -> Report:
        """Waits until a sender has ended; the console shows meanwhile what arrives.

        Args:
            name: Its name.
            timeout: Limit.
            namespace: Namespace; the one prepared last by default.
        Returns:
            What its log says, for instance `${report.frames_sent}` and `${report.errors}`.
        """
        bench = self._e2sar.bench(namespace)
        party = runs.party(bench, name)
        bench.wait_end(party, timeout=self._e2sar.limit(timeout))
        return party.report

    @keyword(tags=["e2sar"])
    def wait_for_e2sar_receiver(
        self, name: str = "e2sar-receiver-0", *, timeout: timedelta | None = None, namespace: str | None = None
    ) -> Report:
        """Waits until a receiver has ended by itself, after its `duration` or by mishap.

        Args:
            name: Its name.
            timeout: Limit.
            namespace: Namespace; the one prepared last by default.
        Returns:
            What its log says; `${report.final.received}` counts the events.
        """
        bench = self._e2sar.bench(namespace)
        party = runs.party(bench, name)
        bench.wait_end(party, timeout=self._e2sar.limit(timeout))
        return party.report

    @keyword(tags=["e2sar"])
    def stop_e2sar_receiver(self, name: str = "e2sar-receiver-0", *, namespace: str | None = None) -> Report:
        """Ends a receiver in good order and keeps its log to the last line.

        Args:
            name: Its name.
            namespace: Namespace; the one prepared last by default.
        Returns:
            What its log says.
        """
        bench = self._e2sar.bench(namespace)
        party = runs.party(bench, name)
        bench.stop(party)
        return party.report

    @keyword(tags=["e2sar"])
    def wait_until_e2sar_events_arrive(
        self, count: int = 1, *, name: str = "e2sar-receiver-0", timeout: timedelta | None = None,
        namespace: str | None = None,
    ) -> int:  # fmt: skip
        """Waits until a receiver has reported so many events: for what has to happen in the middle of a run.

        Args:
            count: Events.
            name: The receiver.
            timeout: Limit.
            namespace: Namespace; the one prepared last by default.
        Returns:
            Events received by then.
        """
        bench = self._e2sar.bench(namespace)
        party = runs.party(bench, name)
        deadline = time.monotonic() + self._e2sar.limit(timeout)
        while time.monotonic() < deadline:
            final = party.report.final
            if final and final.received >= count:
                return final.received
            time.sleep(0.1)
        got = party.report.final.received if party.report.final else 0
        raise WaitTimeout(f"Receiver '{name}' got {got} of {count} events within {self._e2sar.limit(timeout):g} s.")

    @keyword(tags=["e2sar"])
    def get_e2sar_pod(self, name: str, *, namespace: str | None = None) -> str:
        """Returns the name of the pod of a sender or receiver, for keywords that do something to it.

        Args:
            name: Name of the sender or receiver.
            namespace: Namespace; the one prepared last by default.
        """
        party = runs.party(self._e2sar.bench(namespace), name)
        if not party.pod_name:
            raise WaitFailed(f"'{name}' has no pod yet; wait for it first.")
        return party.pod_name

    @keyword(tags=["e2sar"])
    def get_e2sar_node(self, name: str, *, namespace: str | None = None) -> str:
        """Returns the node that a sender or receiver runs on, for keywords that break something there.

        Args:
            name: Name of the sender or receiver.
            namespace: Namespace; the one prepared last by default.
        """
        party = runs.party(self._e2sar.bench(namespace), name)
        if not party.node:
            raise WaitFailed(f"'{name}' runs on no node yet; wait for it first.")
        return party.node

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
