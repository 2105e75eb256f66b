"""What a disturbance has started goes on after it has returned: which workloads changed, when they are stable again.

`kubectl rollout restart` returns at once while pods are replaced for half a minute. So the workloads of the cluster are
looked at before the disturbance and after it; those whose generation or pods changed are awaited.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import looks
from NetLibrary._mechanics.kube.why_not_ready import is_ready

KINDS = ("Deployment", "DaemonSet", "StatefulSet")
#: Looking takes a moment on large clusters; never more than this share of the time goes into it.
SHARE = 4
PAUSE_S = 0.3

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Workload:
    """One workload as it was seen.

    Args:
        generation: Counts the changes of its specification.
        pods: Unique names and restarts of its pods.
        open: What is not yet as it should be, in words; empty when it is stable.
    """

    generation: int
    pods: frozenset[tuple[str, int]] = frozenset()
    open: str = ""


@dataclass
class Settling:
    """Watches which workloads a disturbance has changed, until they are stable.

    Args:
        cluster: The cluster that is measured.
        note: Why workloads cannot be seen; empty when they can be.
        before: The workloads before the disturbance; None when they cannot be seen.
        awaited: The workloads that were seen to change and not stable at once.
        stable_ns: Since when all of them are stable, on the monotonic clock.
    """

    cluster: Any
    note: str = ""
    before: Mapping[Key, Workload] | None = None
    awaited: dict[Key, str] = field(default_factory=dict)
    stable_ns: int = 0

    def remember(self) -> None:
        """Takes the state before the disturbance."""
        try:
            self.before = look(self.cluster)
        except errors.ClusterError as error:
            self.note = (
                f"it cannot be seen whether the disturbance has started rollouts ({str(error).rstrip('.')}); the "
                "measurement does not wait for them"
            )

    def unsettled(self) -> dict[Key, str]:
        """Returns the workloads that changed since `remember` and are not stable, with what is awaited of each."""
        if self.before is None:
            return {}
        found = changed(self.before, look(self.cluster))
        left = {key: workload.open for key, workload in found.items() if workload.open}
        self.awaited.update(left)
        return left

    def wait(self, quiet_s: float, timeout_s: float, *, say: Callable[[str], None]) -> dict[Key, str]:
        """Waits until everything that changed has been stable for a time without a break.

        Args:
            quiet_s: For how long.
            timeout_s: Limit of the wait for the workloads.
            say: Gets a line when something else is awaited.

        Returns:
            What was not stable in the end; empty when all was.
        """
        began = stable_since = time.monotonic()
        said: dict[Key, str] = {}
        while True:
            before = time.monotonic()
            try:
                left = self.unsettled()
            except errors.ClusterError:
                left = said  # the disturbance may have hit the API server: what was awaited still is
            now = time.monotonic()
            if left or not self.stable_ns:
                stable_since = now if left else stable_since
                self.stable_ns = time.monotonic_ns()
            if left != said and left:
                say("awaited: " + words(left))
            said = left
            if now - stable_since >= quiet_s and not left:
                return {}
            if left and now - began > timeout_s:
                return left
            rest = max(0.0, quiet_s - (now - stable_since)) if not left else PAUSE_S
            time.sleep(min(rest, max(PAUSE_S, SHARE * (now - before))))


def words(awaited: Mapping[Key, str]) -> str:
    """Names what is awaited.

    >>> words({("Deployment", "kube-system", "coredns"): "1 of 2 pods new"})
    'Deployment kube-system/coredns (1 of 2 pods new)'
    """
    return ", ".join(f"{kind} {namespace}/{name}" + (f" ({text})" if text else "")
                     for (kind, namespace, name), text in awaited.items())  # fmt: skip


def changed(before: Mapping[Key, Workload], now: Mapping[Key, Workload]) -> dict[Key, Workload]:
    """Returns the workloads whose generation or pods are others than before, new ones among them.

    Of those that were not stable before, only the ones with another specification count: a program that crashed all the
    time goes on doing so.
    """
    return {
        key: workload
        for key, workload in now.items()
        if key not in before
        or workload.generation != before[key].generation
        or (not before[key].open and (workload.pods != before[key].pods or workload.open))
    }


def look(cluster: Any) -> dict[Key, Workload]:
    """Returns all workloads of the cluster with their pods."""
    pods: dict[Key, list[Mapping[str, Any]]] = {}
    for pod in looks.look(cluster, "Pod"):
        key = _owner(pod)
        if key is not None:
            pods.setdefault(key, []).append(pod)
    found = {}
    for kind in KINDS:
        for obj in looks.look(cluster, kind):
            metadata = obj["metadata"]
            key = (kind, metadata.get("namespace", ""), metadata["name"])
            own = pods.get(key, [])
            found[key] = Workload(
                metadata.get("generation", 0),
                frozenset((pod["metadata"]["uid"], _restarts(pod)) for pod in own),
                _open(kind, obj, own),
            )
    return found


def _owner(pod: Mapping[str, Any]) -> Key | None:
    metadata = pod["metadata"]
    for owner in metadata.get("ownerReferences") or []:
        if not owner.get("controller"):
            continue
        kind, name = owner["kind"], owner["name"]
        if kind == "ReplicaSet":
            suffix = (metadata.get("labels") or {}).get("pod-template-hash")
            kind, name = "Deployment", name.removesuffix(f"-{suffix}") if suffix else re.sub(r"-[^-]+$", "", name)
        return (kind, metadata.get("namespace", ""), name) if kind in KINDS else None
    return None


def _restarts(pod: Mapping[str, Any]) -> int:
    return sum(status.get("restartCount", 0) for status in pod.get("status", {}).get("containerStatuses") or [])


def _open(kind: str, obj: Mapping[str, Any], pods: list[Mapping[str, Any]]) -> str:
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return "its controller has not seen the change yet"
    going = sum(1 for pod in pods if pod["metadata"].get("deletionTimestamp"))
    if kind == "DaemonSet":
        wanted, new = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
        manual = spec.get("updateStrategy", {}).get("type") == "OnDelete"
        good = status.get("numberAvailable", 0)
    else:
        wanted, new = spec.get("replicas", 1), status.get("updatedReplicas", 0)
        manual = spec.get("updateStrategy", {}).get("type") == "OnDelete"
        good = status.get("availableReplicas", 0)
        if status.get("replicas", 0) > wanted:
            return f"{status['replicas'] - wanted} surplus pods"
    if new < wanted and not manual:
        return f"{new} of {wanted} pods new"
    # The status lags behind the pods: a pod that was deleted this moment still counts as available there
    ready = sum(1 for pod in pods if is_ready(dict(pod)) and not pod["metadata"].get("deletionTimestamp"))
    if min(good, ready) < wanted:
        return f"{min(good, ready)} of {wanted} pods available"
    if going:
        return f"{going} old pod{'' if going == 1 else 's'} still ending"
    return ""
