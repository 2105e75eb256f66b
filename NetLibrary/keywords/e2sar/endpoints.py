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
    """Start, watch and stop senders and receivers."""

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
            name: Name of its Job, and its stable DNS name under `e2sar-receiver`.
            buffer_bytes: Size of the socket buffer to request.
            duration: How long it runs, in whole seconds; 0 to run until it is stopped.
            port: First UDP port.
            threads: Number of receive threads; as many ports are opened, rounded up to a power of two.
            period: Time between two reports.
            cpu_limit: CPU limit; empty for none.
            memory_limit: Memory limit; empty for none.
            node: Node to run on; any by default.
            ingress_bandwidth: Bandwidth annotation, for instance `100M`.
            image: Image to use instead of the namespace's.
            options: Further options for this `e2sar_perf`, for instance `['--timeout', '1000']`.
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
        """Waits until a receiver's UDP port is bound, as shown by `/proc/net/udp` in its pod.

        Fails at once if the receiver ends before that, with its error message.

        Args:
            name: Its name.
            ready: Whether it must also be in DNS and Services.
            timeout: Longest time to wait.
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

        Everything is checked first: the limits of e2sar_perf, the MTU of the pods, bandwidth annotations, socket
        buffers, and whether the receiver runs long enough. `accept` allows what is intended: `OVERLOAD`,
        `FRAGMENTATION`, `SHORT_RECEIVER`, `CAPPED_BUFFER`.

        Args:
            name: Name of its Job.
            receiver: Receiver to send to; none if only `address` is known.
            events: Events to send.
            event_bytes: Size of an event in bytes, 42 or more.
            rate: Rate of event data without headers, for instance `50 Mbit/s`; 0 for as fast as possible (from 0.2.1
                on).
            mtu: Size of an IP packet in bytes, 106 to 9000.
            buffer_bytes: Size of the socket buffers to request.
            sockets: Number of source sockets.
            source_id: Source ID, used only by the control plane.
            data_id: Data ID; each sender to the same receiver needs its own.
            port: Port to send to; that of the receiver by default.
            address: Address or name to send to instead of the receiver's.
            path: How the receiver is addressed.
            placement: Where it runs, relative to the receiver.
            node: Node to run on; it takes precedence over `placement`.
            cpu_limit: CPU limit; empty for none.
            memory_limit: Memory limit; empty for none.
            egress_bandwidth: Bandwidth annotation, for instance `100M`.
            accept: Risks that are taken on purpose, separated by commas.
            resolve_within: How long a name may take to resolve.
            start_delay: Time between the start of its pod and its first datagram; by default 2 s where NetworkPolicies
                are in force, since these apply to a pod only once its node has published its address, and otherwise
                none.
            image: Image to use instead of the namespace's.
            options: Further options for this `e2sar_perf`.
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
        """Waits until a sender has ended; meanwhile, the console shows what arrives.

        Args:
            name: Its name.
            timeout: Longest time to wait.
            namespace: Namespace; the one prepared last by default.

        Returns:
            What its log says, for instance `${report.frames_sent}` and `${report.errors}`.
        """
        return self._report_of_ended(name, timeout, namespace)

    @keyword("Wait For E2SAR Receiver", tags=["e2sar"])
    def wait_for_e2sar_receiver(
        self, name: str = "e2sar-receiver-0", *, timeout: timedelta | None = None, namespace: str | None = None
    ) -> Report:
        """Waits until a receiver has ended by itself, after its `duration` or because of an error.

        Args:
            name: Its name.
            timeout: Longest time to wait.
            namespace: Namespace; the one prepared last by default.

        Returns:
            What its log says; `${report.final.received}` counts the events.
        """
        return self._report_of_ended(name, timeout, namespace)

    @keyword("Stop E2SAR Receiver", tags=["e2sar"])
    def stop_e2sar_receiver(self, name: str = "e2sar-receiver-0", *, namespace: str | None = None) -> Report:
        """Stops a receiver gracefully and keeps its log to the last line.

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
        """Waits until a receiver has reported a number of events, for actions in the middle of a run.

        Args:
            count: Number of events.
            name: Name of the receiver.
            timeout: Longest time to wait.
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
        """Returns the name of a sender's or receiver's pod, for keywords that act on it.

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
        """Sends from a host outside the cluster to the NodePort of a receiver, and waits for the sender to end.

        With a lab, the host is the lab's place outside the cluster and the program is the stand-in; otherwise, it is
        the machine that runs the tests, with `e2sar_perf` on its PATH. [E2SAR Transfer Should Reach] counts this sender
        like any other.

        Args:
            name: Name in the table and the record.
            receiver: Receiver to send to; it must be in DNS and Services (wait for it with `ready=True`).
            events: Events to send.
            event_bytes: Size of an event in bytes.
            rate: Rate of event data.
            mtu: Size of an IP packet in bytes.
            buffer_bytes: Size of the socket buffers to request.
            sockets: Number of source sockets.
            data_id: Data ID; each sender to the same receiver needs its own.
            address: Address of a node; that of a node without the receiver by default.
            program: Name or path of another `e2sar_perf` on this machine.
            accept: Risks that are taken on purpose, separated by commas.
            timeout: Longest time to wait, in addition to the sending time.
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
