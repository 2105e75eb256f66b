"""Keywords for E2SAR senders and receivers: the place they run in, start, wait on evidence, stop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from robot.api import logger

from NetLibrary._mechanics.e2sar import objects, outside
from NetLibrary._mechanics.e2sar import parameters as p
from NetLibrary._mechanics.e2sar.bench import Bench
from NetLibrary._mechanics.e2sar.logs import Report
from NetLibrary._mechanics.e2sar.party import Party
from NetLibrary._mechanics.errors import WaitFailed, WaitTimeout
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords.e2sar import _shared as runs
from NetLibrary.keywords.e2sar._shared import E2sarRuns


class E2sarPartyKeywords(KeywordBase):
    """Prepare a namespace; start, follow and stop senders and receivers."""

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
        port: int = p.PORT, threads: int = 1, period: timedelta = timedelta(milliseconds=250),
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
        return self._report_of_ended(name, timeout, namespace)

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
        return self._report_of_ended(name, timeout, namespace)

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
        return self._placed(name, namespace).pod_name

    @keyword(tags=["e2sar"])
    def get_e2sar_node(self, name: str, *, namespace: str | None = None) -> str:
        """Returns the node that a sender or receiver runs on, for keywords that break something there.

        Args:
            name: Name of the sender or receiver.
            namespace: Namespace; the one prepared last by default.
        """
        return self._placed(name, namespace).node

    def _report_of_ended(self, name: str, timeout: timedelta | None, namespace: str | None) -> Report:
        bench = self._e2sar.bench(namespace)
        party = runs.party(bench, name)
        bench.wait_end(party, timeout=self._e2sar.limit(timeout))
        return party.report

    def _placed(self, name: str, namespace: str | None) -> Party:
        party = runs.party(self._e2sar.bench(namespace), name)
        if not party.node:
            raise WaitFailed(f"'{name}' has no pod on a node yet; wait for it first.")
        return party

    # --- from outside -----------------------------------------------------------------------------------------

    @keyword(tags=["e2sar"])
    def send_e2sar_events_from_outside(
        self, name: str = "e2sar-outside-0", *, receiver: str = "e2sar-receiver-0", events: int = 1000,
        event_bytes: int = 1024, rate_gbps: float = 0.05, mtu: int = 1400, buffer_bytes: int = p.IDEAL_BUFFER,
        sockets: int = 4, data_id: int = 4321, address: str = "", program: str = "", accept: str = "",
        timeout: timedelta | None = None, namespace: str | None = None,
    ) -> Report:  # fmt: skip
        """Sends from a host that is no part of the cluster to the NodePort of a receiver, and waits for the end.

        On a lab the host is its outside vantage point and the program the stand-in; elsewhere it is the machine that
        runs this, with `e2sar_perf` on its PATH. [Judge E2SAR Transfer] counts this sender like any other.

        Args:
            name: Name in table and record.
            receiver: Receiver to send to; DNS and Services must know it (`ready=True` while waiting for it).
            events: Events to send.
            event_bytes: Bytes of an event.
            rate_gbps: Gbit/s of event bytes.
            mtu: Bytes of an IP packet.
            buffer_bytes: Size of the socket buffers to ask for.
            sockets: Source sockets.
            data_id: Data id; each sender of a receiver needs its own.
            address: Address of a node; that of a node without the receiver by default.
            program: Another `e2sar_perf` on this machine, name or path.
            accept: Risks that are meant, separated by commas.
            timeout: Limit; sending time is added.
            namespace: Namespace; the one prepared last by default.
        Returns:
            What its log says.
        """
        bench = self._e2sar.bench(namespace)
        heard = runs.party(bench, receiver)
        settings = p.SenderSettings(events, event_bytes, rate_gbps, mtu, buffer_bytes, sockets, data_id=data_id)
        p.check_run(settings, heard.settings, runs.around(bench, []), runs.risks(accept))
        limit = self._e2sar.limit(timeout) + 3 * settings.send_seconds
        host = bench.cluster.lab.outside.enter if bench.cluster.is_lab else []
        command = [*host, *outside.program(program, stand_in=bench.cluster.is_lab)]
        sender = bench.send_from_outside(name, settings, heard, command, address=address, timeout=limit)
        return sender.report
