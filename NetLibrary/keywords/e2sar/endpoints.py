"""Keywords for E2SAR senders and receivers step by step: start, wait on evidence, look, stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from robot.api import logger

from NetLibrary._mechanics.defaults import E2SAR_BUFFER_BYTES, E2SAR_PORT
from NetLibrary._mechanics.errors import WaitFailed
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords.e2sar._state import RATE, gigabits, pod_settings, state_of, whole
from NetLibrary.types import Bitrate, E2SARPath, E2SARPlacement, E2SARRisks

if TYPE_CHECKING:
    from NetLibrary._mechanics.e2sar.endpoint import Endpoint
    from NetLibrary._mechanics.e2sar.reports import Report

NO_RISK = E2SARRisks()


class E2SAREndpointKeywords(KeywordBase):
    """Start, follow and stop senders and receivers."""

    @keyword("Start E2SAR Receiver", tags=["e2sar"])
    def start_e2sar_receiver(
        self, name: str = "e2sar-receiver-0", *, buffer_bytes: int = E2SAR_BUFFER_BYTES,
        duration: timedelta = timedelta(0), port: int = E2SAR_PORT, threads: int = 1,
        period: timedelta = timedelta(milliseconds=250),
        cpu_limit: str = "1", memory_limit: str = "512Mi", node: str = "", ingress_bandwidth: str = "",
        image: str | None = None, options: Sequence[str] = (), environment: Mapping[str, str] | None = None,
        namespace: str | None = None,
    ) -> Endpoint:  # fmt: skip
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
        from NetLibrary._mechanics.e2sar import parameters as p

        state = state_of(self.session)
        settings = p.ReceiverSettings(
            buffer_bytes, whole("duration", duration), port, threads, round(period.total_seconds() * 1000),
            tuple(options),
        )  # fmt: skip
        p.check_receiver(settings)
        pod = pod_settings(
            image or state.images["receiver"],
            cpu_limit,
            memory_limit,
            node,
            ingress=ingress_bandwidth,
            environment=environment,
        )
        return state.testbed(namespace).start_receiver(name, settings, pod)

    @keyword("Wait Until E2SAR Receiver Is Bound", tags=["e2sar"])
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
        state = state_of(self.session)
        receiver = state.endpoint(name, namespace)
        seconds = state.testbed(namespace).wait_bound(receiver, timeout=state.limit(timeout), ready=ready)
        logger.info(f"Receiver '{name}' is bound {seconds:.1f} s after its start.")
        return seconds

    @keyword("Start E2SAR Sender", tags=["e2sar"], renamed={"resolve_timeout": "resolve_within"})
    def start_e2sar_sender(
        self, name: str = "e2sar-sender-0", *, receiver: str | None = "e2sar-receiver-0", events: int = 1000,
        event_bytes: int = 1024, rate: Bitrate = RATE, mtu: int = 1400, buffer_bytes: int = E2SAR_BUFFER_BYTES,
        sockets: int = 4, source_id: int = 1234, data_id: int = 4321, port: int | None = None, address: str = "",
        path: E2SARPath = E2SARPath.POD_IP,
        placement: E2SARPlacement = E2SARPlacement.OTHER_NODE, node: str = "",
        cpu_limit: str = "1", memory_limit: str = "512Mi", egress_bandwidth: str = "", accept: E2SARRisks = NO_RISK,
        resolve_within: timedelta = timedelta(seconds=60), start_delay: timedelta | None = None,
        image: str | None = None, options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None, namespace: str | None = None, rate_gbps: float | None = None,
    ) -> Endpoint:  # fmt: skip
        """Starts a sender and returns at once; see [Wait For E2SAR Sender].

        Everything is checked before: limits of e2sar_perf, MTU of the pods, bandwidth annotations, socket buffers, and
        whether the receiver lasts long enough. `accept` lets through what is meant: `OVERLOAD`, `FRAGMENTATION`,
        `SHORT_RECEIVER`, `CAPPED_BUFFER`.

        Args:
            name: Name of its Job.
            receiver: Receiver to send to; none when only `address` is known.
            events: Events to send.
            event_bytes: Bytes of an event, 42 and more.
            rate: Rate of event bytes, headers not counted, for instance `50 Mbit/s`; 0 is as fast as it goes
                (from 0.2.1 on).
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
            resolve_within: How long a name may take to resolve.
            start_delay: Time between the start of its pod and its first datagram; 2 s by default where NetworkPolicies
                are in force, since these know a pod only by the address that its node publishes, else none.
            image: Another image than the namespace's.
            options: Further options of this `e2sar_perf`.
            environment: Further environment variables.
            namespace: Namespace; the one prepared last by default.
            rate_gbps: Deprecated: the rate in Gbit/s without a unit; use `rate`.
        """
        from NetLibrary._mechanics.e2sar import nodes
        from NetLibrary._mechanics.e2sar import parameters as p
        from NetLibrary._mechanics.e2sar.run import surroundings

        state = state_of(self.session)
        testbed = state.testbed(namespace)
        target = state.endpoint(receiver, namespace) if receiver and not address else None
        settings = p.SenderSettings(
            events, event_bytes, gigabits(rate, rate_gbps), mtu, buffer_bytes, sockets, source_id, data_id,
            port or (target.settings.port if target else E2SAR_PORT), tuple(options),
        )  # fmt: skip
        pod = pod_settings(
            image or state.images["sender"],
            cpu_limit,
            memory_limit,
            node,
            egress=egress_bandwidth,
            environment=environment,
        )
        heard = target.settings if target else p.ReceiverSettings()
        limits = [egress_bandwidth, target.pod_settings.ingress_bandwidth if target else ""]
        p.check_run(settings, heard, surroundings(testbed, limits), accept)
        others = [each for each in testbed.endpoints.values() if each.role == "sender" and not each.terminated()]
        if target:
            p.check_several([settings, *(each.settings for each in others if each.target.startswith(target.address))])
            if placement is E2SARPlacement.OTHER_NODE and not node:
                nodes.require_nodes(testbed.cluster, 2)
        return testbed.start_sender(
            name, settings, pod, target, path=path, placement=placement, address=address,
            resolve_seconds=max(1, round(resolve_within.total_seconds())),
            start_delay=None if start_delay is None else whole("start_delay", start_delay),
        )  # fmt: skip

    @keyword("Wait For E2SAR Sender", tags=["e2sar"])
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
        return self._report_of_ended(name, timeout, namespace)

    @keyword("Wait For E2SAR Receiver", tags=["e2sar"])
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
        return self._report_of_ended(name, timeout, namespace)

    @keyword("Stop E2SAR Receiver", tags=["e2sar"])
    def stop_e2sar_receiver(self, name: str = "e2sar-receiver-0", *, namespace: str | None = None) -> Report:
        """Ends a receiver in good order and keeps its log to the last line.

        Args:
            name: Its name.
            namespace: Namespace; the one prepared last by default.

        Returns:
            What its log says.
        """
        state = state_of(self.session)
        endpoint = state.endpoint(name, namespace)
        state.testbed(namespace).stop(endpoint)
        return endpoint.report

    @keyword("Wait Until E2SAR Events Arrive", tags=["e2sar"])
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
        from NetLibrary._mechanics.polling import until

        state = state_of(self.session)
        endpoint = state.endpoint(name, namespace)
        until(
            lambda: endpoint.received() >= count,
            timeout=state.limit(timeout),
            what=lambda: f"{count} events at receiver '{name}', which got {endpoint.received()}",
        )
        return endpoint.received()

    @keyword("Get E2SAR Pod", tags=["e2sar"])
    def get_e2sar_pod(self, name: str, *, namespace: str | None = None) -> str:
        """Returns the name of the pod of a sender or receiver, for keywords that do something to it.

        Args:
            name: Name of the sender or receiver.
            namespace: Namespace; the one prepared last by default.
        """
        return self._placed(name, namespace).pod_name

    @keyword("Get E2SAR Node", tags=["e2sar"])
    def get_e2sar_node(self, name: str, *, namespace: str | None = None) -> str:
        """Returns the node that a sender or receiver runs on, for keywords that break something there.

        Args:
            name: Name of the sender or receiver.
            namespace: Namespace; the one prepared last by default.
        """
        return self._placed(name, namespace).node

    def _report_of_ended(self, name: str, timeout: timedelta | None, namespace: str | None) -> Report:
        state = state_of(self.session)
        endpoint = state.endpoint(name, namespace)
        state.testbed(namespace).wait_end(endpoint, timeout=state.limit(timeout))
        return endpoint.report

    def _placed(self, name: str, namespace: str | None) -> Endpoint:
        endpoint = state_of(self.session).endpoint(name, namespace)
        if not endpoint.node:
            raise WaitFailed(f"'{name}' has no pod on a node yet; wait for it first.")
        return endpoint

    @keyword("Send E2SAR Events From Outside", tags=["e2sar"])
    def send_e2sar_events_from_outside(
        self, name: str = "e2sar-outside-0", *, receiver: str = "e2sar-receiver-0", events: int = 1000,
        event_bytes: int = 1024, rate: Bitrate = RATE, mtu: int = 1400, buffer_bytes: int = E2SAR_BUFFER_BYTES,
        sockets: int = 4, data_id: int = 4321, address: str = "", program: str = "", accept: E2SARRisks = NO_RISK,
        timeout: timedelta | None = None, namespace: str | None = None, rate_gbps: float | None = None,
    ) -> Report:  # fmt: skip
        """Sends from a host that is no part of the cluster to the NodePort of a receiver, and waits for the end.

        On a lab the host is its outside vantage point and the program the stand-in; elsewhere it is the machine that
        runs this, with `e2sar_perf` on its PATH. [E2SAR Transfer Should Reach] counts this sender as any other.

        Args:
            name: Name in table and record.
            receiver: Receiver to send to; DNS and Services must know it (`ready=True` while waiting for it).
            events: Events to send.
            event_bytes: Bytes of an event.
            rate: Rate of event bytes.
            mtu: Bytes of an IP packet.
            buffer_bytes: Size of the socket buffers to ask for.
            sockets: Source sockets.
            data_id: Data id; each sender of a receiver needs its own.
            address: Address of a node; that of a node without the receiver by default.
            program: Another `e2sar_perf` on this machine, name or path.
            accept: Risks that are meant, separated by commas.
            timeout: Limit; sending time is added.
            namespace: Namespace; the one prepared last by default.
            rate_gbps: Deprecated: the rate in Gbit/s without a unit; use `rate`.

        Returns:
            What its log says.
        """
        from NetLibrary._mechanics.e2sar import outside
        from NetLibrary._mechanics.e2sar import parameters as p
        from NetLibrary._mechanics.e2sar.run import surroundings

        state = state_of(self.session)
        testbed, heard = state.testbed(namespace), state.endpoint(receiver, namespace)
        gbps = gigabits(rate, rate_gbps)
        settings = p.SenderSettings(events, event_bytes, gbps, mtu, buffer_bytes, sockets, data_id=data_id)
        p.check_run(settings, heard.settings, surroundings(testbed, []), accept)
        limit = state.limit(timeout) + 3 * settings.send_seconds
        host = testbed.cluster.lab.outside.enter if testbed.cluster.is_lab else []
        command = [*host, *outside.program(program, stand_in=testbed.cluster.is_lab)]
        sender = testbed.send_from_outside(name, settings, heard, command, address=address, timeout=limit)
        return sender.report
