"""The place where senders and receivers run: one namespace of one cluster, its Services, Jobs and policies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.defaults import E2SAR_PORT
from NetLibrary._mechanics.e2sar import nodes, objects, outside
from NetLibrary._mechanics.e2sar.endpoint import Endpoint, all_at_rest, unused
from NetLibrary._mechanics.e2sar.facts import Facts, ReceiverFacts, SenderFacts
from NetLibrary._mechanics.e2sar.goals import container_begun, container_over, endpoint_ready
from NetLibrary._mechanics.e2sar.inspection import Inspection, read_inspection
from NetLibrary._mechanics.e2sar.parameters import PodSettings, ReceiverSettings, SenderSettings
from NetLibrary._mechanics.e2sar.targets import Services, target_of
from NetLibrary._mechanics.kube import service_types
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.kube.policies import blocking
from NetLibrary._mechanics.kube.wait import pod_ended, pods_ready
from NetLibrary._mechanics.polling import settle
from NetLibrary.types import E2SARPath, E2SARPlacement

Object = dict[str, Any]
Say = Callable[[str], None]
POLICY_DELAY = 2
# Not a label of our own: pods of an earlier run under the same name may still be there
CONTROLLER_LABEL = "batch.kubernetes.io/controller-uid"


class Testbed:
    """The place where runs happen: one namespace of one cluster.

    Args:
        cluster: The cluster.
        namespace: Its namespace, made by `prepare`.
        files: The scenario's manifests.
        folder: Where logs are kept.
        say: Takes lines of progress.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, files: objects.Files, folder: Path, say: Say = lambda _: None
    ) -> None:
        self.cluster, self.namespace, self.files, self.folder, self.say = cluster, namespace, files, folder, say
        self.services = Services(cluster, namespace, files)
        self.tick: Callable[[], None] = lambda: None  # called about once a second while something is waited for
        self.endpoints: dict[str, Endpoint] = {}
        self.inspection: Inspection | None = None
        self.keep = False  # whether Jobs and pods stay when their run is over
        self.enforces_policies: bool | None = None  # None until it was tried
        self.policies_tried = ""
        self._kept: list[Endpoint] = []
        self._node_counters: dict[str, int] = {}

    def prepare(self) -> None:
        """Makes namespace, scripts and Services; a namespace that exists is worked in and left."""
        for each in self.files.base(self.namespace):
            if each["kind"] == "Namespace":
                labels = each["metadata"].get("labels")
                self.cluster.enter_namespace(self.namespace, labels=labels, use_existing=True)
            elif each["kind"] == "Service":
                service_types.apply(self.cluster, each, self.say)
            else:
                self.cluster.apply(each)

    # --- the place --------------------------------------------------------------------------------------

    def inspect(self, image: str, *, timeout: float, node: str = "") -> Inspection:
        """Finds out what `e2sar_perf` the image has and what limits the kernel sets.

        Raises:
            errors.EnvironmentProblem: The image has no `e2sar_perf`, or one that this cannot work with.
            errors.WaitFailed: The image cannot be had.
        """
        name = self.cluster.create(self.files.inspector(self.namespace, image, node))["metadata"]["name"]
        try:
            what, ended = f"Inspection of image '{image}'", pod_ended("inspector")
            self.cluster.wait("Pod", self.namespace, ended, name=name, timeout=timeout, what=what)
            text = self.cluster.logs(self.namespace, name, container="inspector")
        finally:
            self.cluster.delete("Pod", name, self.namespace, grace_seconds=0)
        self.inspection = read_inspection(image, text)
        return self.inspection

    def clear(self) -> None:
        """Removes what still runs from a run before."""
        left = [each.name for each in self.endpoints.values() if not each.terminated()]
        if left:
            self.say(f"Removing what is still running: {', '.join(left)}.")
        for endpoint in self.endpoints.values() if self.keep else ():
            self.stop(endpoint)  # what is kept shall not go on receiving
        self.remove(list(self.endpoints.values()))

    def apply_policy(self, name: str, port: int = E2SAR_PORT) -> None:
        """Puts one of the prepared NetworkPolicies into force, in place of the one before; `none` takes it away."""
        made = None if name == "none" else self.files.policy(name, self.namespace, port)
        self.cluster.delete("NetworkPolicy", objects.POLICY_NAME, self.namespace)
        if made:
            self.cluster.opening.leave_ingress_to_others(self.namespace)
            self.cluster.create(made)
        elif self.namespace in self.cluster.opening.closed:
            self.cluster.opening.look(self.namespace)

    # --- receivers ------------------------------------------------------------------------------------------

    def start_receiver(self, name: str, settings: ReceiverSettings, pod: PodSettings) -> Endpoint:
        """Creates the Job of a receiver and returns at once."""
        job = self.files.receiver(self.namespace, self._job_name(name), settings, pod)
        return self._start(name, "receiver", settings, pod, job)

    def wait_bound(self, endpoint: Endpoint, *, timeout: float, ready: bool = False) -> float:
        """Waits until the receiver's port is bound, by the evidence of `/proc/net/udp` in its pod.

        Args:
            endpoint: The receiver.
            timeout: Seconds.
            ready: Whether DNS and Services must know it too.
        Returns:
            Seconds since it was started.
        Raises:
            errors.WaitFailed: It ended, or its pod cannot start.
            errors.WaitTimeout: Time is up; says what was seen.
        """
        self._follow(endpoint, timeout=timeout)
        deadline = time.monotonic() + timeout

        def bound() -> bool:
            if endpoint.listens():
                return True
            self.refresh(endpoint)
            if endpoint.terminated() or endpoint.trouble:
                endpoint.drain()
                if not endpoint.listens():
                    raise errors.WaitFailed(endpoint.ended_unbound())
            return endpoint.listens()

        if not settle(bound, timeout=timeout, what=f"Port of receiver '{endpoint.name}'"):
            raise errors.WaitTimeout(endpoint.not_bound(timeout))
        if ready:
            what = f"Readiness of receiver '{endpoint.name}'"
            left = max(1.0, deadline - time.monotonic())
            goal = pods_ready(1, now=self.cluster.now)
            self.cluster.wait("Pod", self.namespace, goal, name=endpoint.pod_name, timeout=left, what=what)
            self.cluster.wait(
                "EndpointSlice",
                self.namespace,
                endpoint_ready(endpoint.address),
                labels=f"kubernetes.io/service-name={objects.NODE_PORT_SERVICE}",
                timeout=left,
                what=f"Service entry of receiver '{endpoint.name}'",
            )
        return time.monotonic() - endpoint.started_at

    def stop(self, endpoint: Endpoint, *, timeout: float = 20.0) -> None:
        """Ends a receiver or sender in good order (SIGINT to e2sar_perf) and keeps its log to the last line."""
        self.refresh(endpoint)
        if not endpoint.terminated() and endpoint.pod_name and not endpoint.trouble:
            endpoint.stopped_by_us, asked = True, False
            try:
                try:
                    self._tell_to_stop(endpoint, timeout)
                except errors.ExecLost:
                    asked = True  # perhaps; a second signal is no harm
                    self._tell_to_stop(endpoint, timeout)
            except errors.NetLibraryError as error:
                self.refresh(endpoint)
                if endpoint.terminated() and not asked:
                    endpoint.stopped_by_us = False  # it had ended by itself in that moment
                elif not endpoint.terminated():
                    self.say(f"{endpoint.name} could not be told to stop ({error}); its pod is deleted instead.")
                    self.cluster.delete("Pod", endpoint.pod_name, self.namespace, grace_seconds=5)
        self.wait_end(endpoint, timeout=timeout, fail=False)

    def _tell_to_stop(self, endpoint: Endpoint, timeout: float) -> None:
        words = ["/bin/sh", "-c", "kill -TERM 1"]
        self.cluster.exec(self.namespace, endpoint.pod_name, words, container=endpoint.role, timeout=timeout)

    def wait_end(self, endpoint: Endpoint, *, timeout: float, fail: bool = True) -> None:
        """Waits until a sender or receiver has ended, and keeps its log to the last line.

        Raises:
            errors.WaitTimeout: It still runs; only with `fail`.
            errors.WaitFailed: It never can; only with `fail`.
        """
        if endpoint.outside:
            return
        try:
            self._follow(endpoint, timeout=timeout)
            self.cluster.wait(
                "Pod",
                self.namespace,
                container_over(endpoint.role, seen=bool(endpoint.pod_name), tick=self.tick),
                labels=endpoint.selector,
                timeout=timeout,
                what=f"End of {endpoint.role} '{endpoint.name}'",
            )
        except (errors.WaitTimeout, errors.WaitFailed) as error:
            self.refresh(endpoint)
            if not endpoint.trouble and isinstance(error, errors.WaitFailed):
                endpoint.trouble = str(error).rstrip(".")
            if fail:
                raise type(error)(f"{error}{endpoint.last_words()}") from error
        self.refresh(endpoint)
        endpoint.drain()
        if fail and endpoint.trouble:
            raise errors.WaitFailed(
                f"End of {endpoint.role} '{endpoint.name}': {endpoint.trouble}.{endpoint.last_words()}"
            )

    # --- senders ----------------------------------------------------------------------------------------------

    def start_sender(
        self,
        name: str,
        settings: SenderSettings,
        pod: PodSettings,
        receiver: Endpoint | None,
        *,
        path: E2SARPath = E2SARPath.POD_IP,
        placement: E2SARPlacement = E2SARPlacement.OTHER_NODE,
        address: str = "",
        resolve_seconds: int = 60,
        start_delay: int | None = None,
    ) -> Endpoint:
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
        self._node_counters = nodes.look(self.cluster, self.say) or self._node_counters
        if start_delay is None:
            start_delay = POLICY_DELAY if self.policies() else 0
        if receiver is not None and not address and not receiver.address:
            self._follow(receiver, timeout=resolve_seconds)  # its pod has an address from the start of a container on
        target, port = (address, settings.port) if address else target_of(self.services, receiver, settings.port, path)
        settings = replace(settings, port=port)
        job = self.files.sender(
            self.namespace, self._job_name(name), settings, pod, target=target, placement=placement,
            receiver_node=receiver.node if receiver else "", resolve_seconds=resolve_seconds, start_delay=start_delay,
        )  # fmt: skip
        endpoint = self._start(name, "sender", settings, pod, job)
        endpoint.target = f"{target}:{port}"
        endpoint.direct = receiver is not None and not address and path in (E2SARPath.POD_IP, E2SARPath.DNS)
        endpoint.translated = not endpoint.direct
        return endpoint

    def send_from_outside(
        self, name: str, settings: SenderSettings, receiver: Endpoint, command: Sequence[str], *, address: str = "",
        timeout: float,
    ) -> Endpoint:  # fmt: skip
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
        self._node_counters = nodes.look(self.cluster, self.say) or self._node_counters
        host, port = target_of(self.services, receiver, settings.port, E2SARPath.NODE_PORT)
        endpoint = Endpoint(name, "sender", replace(settings, port=port), PodSettings(), outside=True)
        endpoint.target, endpoint.translated = f"{address or host}:{port}", True
        endpoint.kept.append(unused(self.folder, f"{name}.sender"))
        self.endpoints[name] = endpoint
        endpoint.evidence.exit_code = outside.run(
            [*command, *outside.arguments(endpoint.settings, endpoint.target)], endpoint.kept[0], timeout=timeout
        )
        endpoint.take_file(endpoint.kept[0])
        return endpoint

    def policies(self) -> list[Object]:
        """Returns the NetworkPolicies in force; none when they may not be read."""
        try:
            return self.cluster.list("NetworkPolicy", self.namespace)
        except errors.Forbidden:
            return []

    def blocked_by(self, sender: Endpoint, receiver: Endpoint) -> list[str]:
        """Names the NetworkPolicies that keep a sender from a receiver just now."""
        self.refresh(sender)
        policies = self.policies()
        if not policies or not sender.pod or not receiver.pod:
            return []
        labels = self.cluster.get("Namespace", self.namespace)["metadata"].get("labels") or {}
        found = blocking(policies, {self.namespace: labels}, sender.pod, receiver.pod, receiver.settings.port, "UDP")
        return [f"'{block.name}' ({block.direction} of the {block.end})" for block in found]

    # --- watching -----------------------------------------------------------------------------------------------

    def settle(self, receivers: Sequence[Endpoint], events: int, *, timeout: float) -> None:
        """Waits until the receivers' counters have come to rest.

        At rest: all events are there, or the reports have been equal for longer than a reassembly takes.
        """
        start = [(each, each.reports()) for each in receivers]

        def at_rest() -> bool:
            if all_at_rest(receivers, [each.reports() - before for each, before in start], events):
                return True
            for each in receivers:
                self.refresh(each)
            self.tick()
            return all(each.terminated() or each.trouble for each in receivers)

        settle(at_rest, timeout=timeout, every=0.2)

    def facts(self, senders: Sequence[Endpoint], receivers: Sequence[Endpoint]) -> Facts:
        """Everything that is known about a run."""
        blocked = [name for sender in senders for name in sender.blocking]
        return Facts(
            [known for each in senders if isinstance(known := each.facts(), SenderFacts)],
            [known for each in receivers if isinstance(known := each.facts(), ReceiverFacts)],
            list(dict.fromkeys(blocked)),
            policies=bool(self.policies()),
            node_drops=nodes.grown(self._node_counters, nodes.look(self.cluster, self.say)),
        )

    def remove(self, endpoints: Sequence[Endpoint]) -> None:
        """Frees the names for the next run: deletes Jobs and pods, or leaves them there where they are to be kept."""
        for endpoint in endpoints:
            endpoint.close()
            self.endpoints.pop(endpoint.name, None)
            if self.keep:
                self._kept.append(endpoint)
                continue
            if not endpoint.outside:
                self.cluster.delete("Job", endpoint.job, self.namespace)
            if endpoint.pod_name:
                self.cluster.delete("Pod", endpoint.pod_name, self.namespace, grace_seconds=0)

    def close(self) -> None:
        """Ends the threads; what was logged so far is kept."""
        for endpoint in list(self.endpoints.values()):
            endpoint.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _start(self, name: str, role: str, settings: Any, pod: PodSettings, job: Object) -> Endpoint:
        self._free_name(name)
        uid = str(self.cluster.create(job)["metadata"]["uid"])
        endpoint = Endpoint(name, role, settings, pod, f"{CONTROLLER_LABEL}={uid}", job["metadata"]["name"])
        self.endpoints[name] = endpoint
        return endpoint

    def _job_name(self, name: str) -> str:
        """Returns a name that no kept Job has."""
        kept = sum(each.name == name for each in self._kept)
        return f"{name}-{kept + 1}" if kept else name

    def _free_name(self, name: str) -> None:
        if name in self.endpoints:
            raise errors.InputError(f"name is '{name}', which is already running; give a name that is not in use.")

    def _follow(self, endpoint: Endpoint, *, timeout: float) -> None:
        """Begins to keep the logs as soon as there is a pod."""
        if endpoint.streams:
            return
        role = endpoint.role
        try:
            endpoint.pod = self.cluster.wait(
                "Pod", self.namespace, container_begun(role, self.cluster.now), labels=endpoint.selector,
                timeout=timeout, what=f"Start of {role} '{endpoint.name}'", progress=self.say,
            )  # fmt: skip
        except (errors.WaitFailed, errors.WaitTimeout) as error:
            endpoint.trouble = str(error).rstrip(".")
            raise
        endpoint.follow(self.cluster, self.namespace, self.folder)

    def refresh(self, endpoint: Endpoint) -> None:
        """Looks at an endpoint's pod once more; the last it had to say is remembered when it is gone."""
        if endpoint.outside:
            return
        if not endpoint.pod_name:
            pods = self.cluster.list("Pod", self.namespace, labels=endpoint.selector)
            endpoint.pod = pods[-1] if pods else {}
            return
        found = self.cluster.find("Pod", endpoint.pod_name, self.namespace)
        if found is None:
            endpoint.vanished()
        else:
            endpoint.seen(found)
