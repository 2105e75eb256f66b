"""Runs receivers and senders in a namespace, keeps their logs, and gathers the facts for a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.e2sar import nodes, objects, outside
from NetLibrary._mechanics.e2sar.goals import container_begun, container_over, endpoint_ready, pod_over
from NetLibrary._mechanics.e2sar.parameters import (
    Path,
    Placement,
    PodSettings,
    ReceiverSettings,
    SenderSettings,
)
from NetLibrary._mechanics.e2sar.party import (
    Inspection,
    Party,
    at_rest,
    begun,
    blocks,
    evicted_by,
    last_words,
    read_inspection,
    receiver_facts,
    sender_facts,
)
from NetLibrary._mechanics.e2sar.stream import LogStream
from NetLibrary._mechanics.e2sar.verdict import Facts
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.kube.policies import blocking
from NetLibrary._mechanics.kube.wait import pods_ready

Object = dict[str, Any]
Say = Callable[[str], None]
POLICY_DELAY = 2
LOG_PATIENCE = 5.0
# Not a label of our own: pods of an earlier run under the same name may still be there
CONTROLLER_LABEL = "batch.kubernetes.io/controller-uid"


class Bench:
    """The place where runs happen: one namespace of one cluster.

    Args:
        cluster: The cluster.
        namespace: Its namespace, made by `prepare`.
        files: The scenario's manifests.
        folder: Where logs are kept.
        say: Takes lines of progress.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, files: objects.Files, folder: FilePath, say: Say = lambda _: None
    ) -> None:
        self.cluster, self.namespace, self.files, self.folder, self.say = cluster, namespace, files, folder, say
        self.tick: Callable[[], None] = lambda: None  # called about once a second while something is waited for
        self.parties: dict[str, Party] = {}
        self.inspection: Inspection | None = None
        self._node_counters: dict[str, int] = {}

    def prepare(self) -> None:
        """Makes namespace, scripts and Services; a namespace that exists is worked in and left."""
        for each in self.files.base(self.namespace):
            if each["kind"] == "Namespace":
                labels = each["metadata"].get("labels")
                self.cluster.enter_namespace(self.namespace, labels=labels, use_existing=True)
            else:
                self.cluster.apply(each)

    # --- the place --------------------------------------------------------------------------------------

    def inspect(self, image: str, *, timeout: float, node: str = "") -> Inspection:
        """Finds out what `e2sar_perf` the image has and what limits the kernel sets.

        Raises:
            errors.EnvironmentProblem: The image has no `e2sar_perf`, or one that this cannot work with.
            errors.WaitFailed: The image cannot be had.
        """
        pod = self.files.inspector(self.namespace, image, node)
        name = pod["metadata"]["name"]
        self.cluster.create(pod)
        try:
            self.cluster.wait(
                "Pod", self.namespace, pod_over(), name=name, timeout=timeout, what=f"Inspection of image '{image}'"
            )
            text = self.cluster.logs(self.namespace, name)
        finally:
            self.cluster.delete("Pod", name, self.namespace, grace_seconds=0)
        self.inspection = read_inspection(image, text)
        return self.inspection

    # --- receivers ------------------------------------------------------------------------------------------

    def start_receiver(self, name: str, settings: ReceiverSettings, pod: PodSettings) -> Party:
        """Creates the Job of a receiver and returns at once."""
        job = self.files.receiver(self.namespace, name, settings, pod)
        return self._start(name, "receiver", settings, pod, job)

    def wait_bound(self, party: Party, *, timeout: float, ready: bool = False) -> float:
        """Waits until the receiver's port is bound, by the evidence of `/proc/net/udp` in its pod.

        Args:
            party: The receiver.
            timeout: Seconds.
            ready: Whether DNS and Services must know it too.
        Returns:
            Seconds since it was started.
        Raises:
            errors.WaitFailed: It ended, or its pod cannot start.
            errors.WaitTimeout: Time is up; says what was seen.
        """
        self._follow(party, timeout=timeout)
        deadline = time.monotonic() + timeout
        port = party.settings.port
        while not party.listens():
            if time.monotonic() > deadline:
                with party.lock:
                    ports = party.evidence.bound_ports()
                seen = f"bound are {', '.join(map(str, ports))}" if ports else "no UDP socket is bound in its pod"
                raise errors.WaitTimeout(
                    f"Receiver '{party.name}' did not bind UDP port {port} within {timeout:g} s: {seen}."
                    + last_words(party)
                )
            self._refresh(party)
            if party.terminated() or party.trouble:
                self._drain(party)
                if party.listens():
                    break
                raise errors.WaitFailed(self._ended_unbound(party))
            time.sleep(0.1)
        if ready:
            what = f"Readiness of receiver '{party.name}'"
            left = max(1.0, deadline - time.monotonic())
            self.cluster.wait("Pod", self.namespace, pods_ready(1), name=party.pod_name, timeout=left, what=what)
            self.cluster.wait(
                "EndpointSlice",
                self.namespace,
                endpoint_ready(party.address),
                labels=f"kubernetes.io/service-name={objects.NODE_PORT_SERVICE}",
                timeout=left,
                what=f"Service entry of receiver '{party.name}'",
            )
        return time.monotonic() - party.started_at

    def _ended_unbound(self, party: Party) -> str:
        ended = party.terminated() or {}
        how = party.trouble or f"it ended with exit code {ended.get('exitCode')} ({ended.get('reason', '-')})"
        said = "; ".join(party.report.failures) or party.evidence.failure
        return f"Receiver '{party.name}' never bound UDP port {party.settings.port}: {said or how}." + last_words(party)

    def stop(self, party: Party, *, timeout: float = 20.0) -> None:
        """Ends a receiver or sender in good order (SIGINT to e2sar_perf) and keeps its log to the last line."""
        self._refresh(party)
        if not party.terminated() and party.pod_name and not party.trouble:
            party.stopped_by_us = True
            try:
                self.cluster.exec(
                    self.namespace,
                    party.pod_name,
                    ["/bin/sh", "-c", "kill -TERM 1"],
                    container=party.role,
                    timeout=timeout,
                )
            except errors.NetLibraryError as error:
                self.say(f"{party.name} could not be told to stop ({error}); its pod is deleted instead.")
                self.cluster.delete("Pod", party.pod_name, self.namespace, grace_seconds=5)
        self.wait_end(party, timeout=timeout, fail=False)

    def wait_end(self, party: Party, *, timeout: float, fail: bool = True) -> None:
        """Waits until a sender or receiver has ended, and keeps its log to the last line.

        Raises:
            errors.WaitTimeout: It still runs; only with `fail`.
            errors.WaitFailed: It never can; only with `fail`.
        """
        if party.outside:
            return
        try:
            self._follow(party, timeout=timeout)
            self.cluster.wait(
                "Pod",
                self.namespace,
                container_over(party.role, seen=bool(party.pod_name), tick=self.tick),
                labels=party.selector,
                timeout=timeout,
                what=f"End of {party.role} '{party.name}'",
            )
        except (errors.WaitTimeout, errors.WaitFailed) as error:
            self._refresh(party)
            if not party.trouble and isinstance(error, errors.WaitFailed):
                party.trouble = str(error).rstrip(".")
            if fail:
                raise type(error)(f"{error}{last_words(party)}") from error
        self._refresh(party)
        self._drain(party)
        if fail and party.trouble:
            raise errors.WaitFailed(f"End of {party.role} '{party.name}': {party.trouble}.{last_words(party)}")

    # --- senders ----------------------------------------------------------------------------------------------

    def start_sender(
        self,
        name: str,
        settings: SenderSettings,
        pod: PodSettings,
        receiver: Party | None,
        *,
        path: Path = Path.POD_IP,
        placement: Placement = Placement.OTHER_NODE,
        address: str = "",
        resolve_seconds: int = 60,
        start_delay: int | None = None,
    ) -> Party:
        """Creates the Job of a sender and returns at once.

        Args:
            name: Its name.
            settings: What it sends.
            pod: How it runs.
            receiver: Who shall get it; None when only an address is known.
            path: How the receiver is addressed.
            placement: Where it runs.
            address: Address or name to send to instead.
            resolve_seconds: How long a name may take to resolve.
            start_delay: Seconds between the start of its pod and its first datagram; where NetworkPolicies are in
                force `POLICY_DELAY` by default, since they know a pod only by the address that its node publishes.
        """
        self._node_counters = self._look_at_nodes() or self._node_counters
        if start_delay is None:
            start_delay = POLICY_DELAY if self.policies() else 0
        if receiver is not None and not address and not receiver.address:
            self._follow(receiver, timeout=resolve_seconds)  # its pod has an address from the start of a container on
        target, port = (address, settings.port) if address else self._target(receiver, settings.port, path)
        settings = replace(settings, port=port)
        job = self.files.sender(
            self.namespace, name, settings, pod, target=target, placement=placement,
            receiver_node=receiver.node if receiver else "", resolve_seconds=resolve_seconds, start_delay=start_delay,
        )  # fmt: skip
        party = self._start(name, "sender", settings, pod, job)
        party.target = f"{target}:{port}"
        party.direct = receiver is not None and not address and path in (Path.POD_IP, Path.DNS)
        return party

    def send_from_outside(
        self, name: str, settings: SenderSettings, receiver: Party, command: Sequence[str], *, address: str = "",
        timeout: float,
    ) -> Party:  # fmt: skip
        """Sends from a host outside the cluster to the NodePort of a receiver and waits for the end.

        Args:
            name: Name of the sender.
            settings: What it sends; its port becomes the NodePort.
            receiver: Who shall get it.
            command: What starts `e2sar_perf` there; its options go behind.
            address: Address of a node; of one without the receiver by default.
            timeout: Seconds.
        """
        self._free_name(name)
        self._node_counters = self._look_at_nodes() or self._node_counters
        host, port = self._target(receiver, settings.port, Path.NODE_PORT)
        party = Party(name, "sender", replace(settings, port=port), PodSettings(), outside=True)
        party.target = f"{address or host}:{port}"
        party.kept.append(_free(self.folder, f"{name}.sender"))
        self.parties[name] = party
        party.evidence.exit_code = outside.run(
            [*command, *outside.arguments(party.settings, party.target)], party.kept[0], timeout=timeout
        )
        party.exit_at = time.time()
        party.parser.feed(party.kept[0].read_bytes())
        return party

    def _target(self, receiver: Party | None, port: int, path: Path) -> tuple[str, int]:
        if receiver is None:
            raise errors.InputError("address is missing; give one, or start a receiver first.")
        if path is Path.POD_IP:
            return receiver.address, port
        if path is Path.DNS:
            return f"{receiver.name}.{objects.RECEIVER_SERVICE}.{self.namespace}.svc", port
        service = self.cluster.get("Service", objects.NODE_PORT_SERVICE, self.namespace)
        entry = service["spec"]["ports"][0]
        if path is Path.SERVICE:
            return str(service["spec"]["clusterIP"]), int(entry["port"])
        every = addresses.of_nodes(self.cluster, 4)
        found = [every[name][0] for name in sorted(every, key=lambda name: name == receiver.node)]
        if not found:
            raise errors.EnvironmentProblem("No node has an internal IPv4 address for the NodePort.")
        return found[0], addresses.node_port(service, int(entry["port"]))

    def policies(self) -> list[Object]:
        """Returns the NetworkPolicies in force; none when they may not be read."""
        try:
            return self.cluster.list("NetworkPolicy", self.namespace)
        except errors.Forbidden:
            return []

    def blocked_by(self, sender: Party, receiver: Party) -> list[str]:
        """Names the NetworkPolicies that keep a sender from a receiver just now."""
        self._refresh(sender)
        policies = self.policies()
        if not policies or not sender.pod or not receiver.pod:
            return []
        labels = self.cluster.get("Namespace", self.namespace)["metadata"].get("labels") or {}
        found = blocking(policies, {self.namespace: labels}, sender.pod, receiver.pod, receiver.settings.port, "UDP")
        return [f"'{block.name}' ({block.direction} of the {block.end})" for block in found]

    # --- watching -----------------------------------------------------------------------------------------------

    def settle(self, receivers: Sequence[Party], events: int, *, timeout: float) -> None:
        """Waits until the receivers' counters have come to rest.

        At rest: all events are there, or two reports in a row are equal.
        """
        deadline = time.monotonic() + timeout
        start = {id(each): blocks(each) for each in receivers}
        while time.monotonic() < deadline:
            counts = [each.report.final for each in receivers]
            fresh = all(blocks(each) >= start[id(each)] + 2 or each.terminated() for each in receivers)
            # Every event is there: one more report shows what may have come on top of them
            later = all(blocks(each) >= start[id(each)] + 1 or each.terminated() for each in receivers)
            if later and sum(block.received for block in counts if block) >= events:
                return
            if fresh and all(at_rest(each) for each in receivers):
                return
            for each in receivers:
                self._refresh(each)
            self.tick()
            if all(each.terminated() or each.trouble for each in receivers):
                return
            time.sleep(0.2)

    def facts(self, senders: Sequence[Party], receivers: Sequence[Party]) -> Facts:
        """Everything that is known about a run."""
        blocked = [name for sender in senders for name in sender.blocking]
        return Facts(
            [sender_facts(each) for each in senders],
            [receiver_facts(each) for each in receivers],
            list(dict.fromkeys(blocked)),
            policies=bool(self.policies()),
            node_drops=nodes.grown(self._node_counters, self._look_at_nodes()),
        )

    def _look_at_nodes(self) -> dict[str, int]:
        try:
            names = [each["metadata"]["name"] for each in self.cluster.list("Node")] if self.cluster.is_lab else []
            return nodes.snapshot(self.cluster.lab, names)
        except (errors.NetLibraryError, OSError, ValueError) as error:
            self.say(f"The nodes' interfaces could not be looked at: {error}")
            return {}

    def remove(self, parties: Sequence[Party]) -> None:
        """Deletes Jobs and pods, so that the names can be used again."""
        for party in parties:
            for stream in party.streams:
                stream.finish(0.0)
            if not party.outside:
                self.cluster.delete("Job", party.name, self.namespace)
            if party.pod_name:
                self.cluster.delete("Pod", party.pod_name, self.namespace, grace_seconds=0)
            self.parties.pop(party.name, None)

    def close(self) -> None:
        """Ends the threads; what was logged so far is kept."""
        for party in list(self.parties.values()):
            for stream in party.streams:
                stream.finish(0.0)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _start(self, name: str, role: str, settings: Any, pod: PodSettings, job: Object) -> Party:
        self._free_name(name)
        uid = str(self.cluster.create(job)["metadata"]["uid"])
        party = self.parties[name] = Party(name, role, settings, pod, selector=f"{CONTROLLER_LABEL}={uid}")
        return party

    def _free_name(self, name: str) -> None:
        if name in self.parties:
            raise errors.InputError(f"name is '{name}', which already runs; allowed is a name that is not in use.")

    def _follow(self, party: Party, *, timeout: float) -> None:
        """Begins to keep the logs as soon as there is a pod."""
        if party.streams:
            return
        role = party.role
        try:
            party.pod = self.cluster.wait(
                "Pod",
                self.namespace,
                container_begun(role),
                labels=party.selector,
                timeout=timeout,
                what=f"Start of {role} '{party.name}'",
                progress=self.say,
            )
        except (errors.WaitFailed, errors.WaitTimeout) as error:
            party.trouble = str(error).rstrip(".")
            raise
        party.running_since = begun(party.pod, role)
        containers = [role, *(["observer"] if role == "receiver" else [])]
        for container in containers:
            path = _free(self.folder, f"{party.name}.{container}")
            party.streams.append(self._stream(party, container, path))

    def _stream(self, party: Party, container: str, path: FilePath) -> LogStream:
        own = container == party.role

        def take(at: float | None, text: str) -> None:
            self._take(party, at, text, own)

        def look(pod: Object) -> None:
            if not party.stopped_by_us:
                party.evicted = party.evicted or evicted_by(pod)

        return LogStream(self.cluster, self.namespace, party.pod_name, container, path, take, look)

    def _take(self, party: Party, at: float | None, text: str, own: bool) -> None:
        with party.lock:
            if party.evidence.line(text):
                watched = not own and party.role == "receiver" and party.bound_at is None
                if watched and party.evidence.bound(party.settings.port):
                    party.bound_at = at
                if text.startswith("@netlibrary exit"):
                    party.exit_at = at
                return
            if own:
                party.parser.feed(text + "\n", at)
                if "Using MTU" in text:
                    party.first_line_at = at

    def _refresh(self, party: Party) -> None:
        """Looks at the pod once more; remembers the last it had to say when it is gone."""
        if party.outside:
            return
        gone = f"The pod of {party.role} '{party.name}' was deleted while it ran"
        if not party.pod_name:
            pods = self.cluster.list("Pod", self.namespace, labels=party.selector)
            party.pod = pods[-1] if pods else {}
            return
        found = self.cluster.find("Pod", party.pod_name, self.namespace)
        if found is None:
            if not party.terminated() and not party.stopped_by_us:
                party.trouble = party.trouble or gone
            return
        party.pod = found
        if party.stopped_by_us:
            return
        party.evicted = party.evicted or evicted_by(found)
        if found["metadata"].get("deletionTimestamp") and not party.report.completed:
            party.trouble = party.trouble or gone
        status = found.get("status", {})
        if status.get("phase") == "Failed" and status.get("reason"):
            party.trouble = party.trouble or (
                f"The pod of {party.role} '{party.name}' was ended by its node ({status['reason']}: "
                f"{status.get('message', '').strip().rstrip('.')})".replace(": )", ")")
            )

    def _drain(self, party: Party) -> None:
        """Keeps the logs to the last line; the observer's last samples matter only when the script could not note."""
        for index, stream in enumerate(party.streams):
            noted = index > 0 and party.evidence.after is not None
            stream.finish(0.0 if noted else LOG_PATIENCE)


def _free(folder: FilePath, name: str) -> FilePath:
    """A file name that no run before has used."""
    path, number = folder / f"{name}.log", 1
    while path.exists():
        number += 1
        path = folder / f"{name}.{number}.log"
    return path
