"""Pods that are asked to leave by the Eviction API, which respects PodDisruptionBudgets; one, or all of a node."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.why_not_ready import has_ended
from NetLibrary._mechanics.polling import until

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Object = dict[str, Any]
Say = Callable[[str], None]
# Between two requests for one pod that a budget holds; kubectl waits five seconds
PAUSE_SECONDS = 1.0
# What the kubelet makes of a file on the node; only the node itself can remove it
_MIRROR = "kubernetes.io/config.mirror"


@dataclass
class Plan:
    """What a drain would do with the pods of a node.

    Args:
        evicted: Pods that would go.
        left: Pods that stay, each with the reason.
        refused: Pods that forbid the drain, each with the reason.
    """

    evicted: list[Object] = field(default_factory=list)
    left: list[tuple[Object, str]] = field(default_factory=list)
    refused: list[tuple[Object, str]] = field(default_factory=list)

    @property
    def pods(self) -> list[Object]:
        """All pods that were looked at."""
        return [*self.evicted, *(pod for pod, _ in self.left), *(pod for pod, _ in self.refused)]


def plan_drain(
    cluster: Cluster, node: str, *, labels: str | None, namespace: str | None = None, force: bool,
    delete_emptydir_data: bool,
) -> Plan:  # fmt: skip
    """Looks at the pods of a node and tells which of them a drain evicts."""
    plan = Plan()
    for pod in cluster.list("Pod", namespace, labels=labels, fields=f"spec.nodeName={node}"):
        owner = next((each for each in pod["metadata"].get("ownerReferences") or [] if each.get("controller")), None)
        if has_ended(pod):
            plan.left.append((pod, "it has ended"))
        elif _MIRROR in (pod["metadata"].get("annotations") or {}):
            plan.left.append((pod, "it is created from a file on the node"))
        elif owner is not None and owner["kind"] == "DaemonSet":
            plan.left.append((pod, f"DaemonSet '{owner['name']}' would recreate it"))
        elif owner is None and not force and cluster.ownership.made(pod):
            plan.left.append((pod, "this run created it and nothing would recreate it"))
        elif owner is None and not force:
            plan.refused.append((pod, "nothing would recreate it; force=True evicts it anyway"))
        elif not delete_emptydir_data and _has_scratch(pod) and not _is_of_run(cluster, pod):
            plan.refused.append(
                (pod, "the contents of its emptyDir would be lost; delete_emptydir_data=True allows that")
            )
        else:
            plan.evicted.append(pod)
    return plan


def nothing_to_evict(cluster: Cluster, node: str, labels: str | None, namespace: str | None) -> str:
    """Returns words about a selection of pods that finds none on a node: its drain would show nothing."""
    there = cluster.list("Pod", namespace, fields=f"spec.nodeName={node}")
    seen = dict.fromkeys(
        ",".join(f"{key}={value}" for key, value in (pod["metadata"].get("labels") or {}).items() if "hash" not in key)
        for pod in there
    )
    what = f"with the labels '{labels}'" if labels else "to evict"
    where = f" in namespace '{namespace}'" if namespace else ""
    some = "; ".join([each or "no labels" for each in seen][:5])
    return f"There is no pod {what}{where} on node '{node}'; there are pods with {some or 'none at all'}."


def _has_scratch(pod: Object) -> bool:
    return any("emptyDir" in volume for volume in pod["spec"].get("volumes") or [])


def _is_of_run(cluster: Cluster, pod: Object) -> bool:
    """Tells whether a pod's data is the run's own, which a read-only root or a mesh gives an emptyDir as well."""
    return cluster.ownership.owns(cluster.resources.find("Pod"), pod)


def evict(cluster: Cluster, pod: Object, grace_seconds: int | None = None) -> str:
    """Asks for the eviction of a pod once.

    Returns:
        Why it is held; empty when it goes, or has gone.
    Raises:
        errors.WaitFailed: It is held for ever.
    """
    metadata = pod["metadata"]
    options: Object = {"preconditions": {"uid": metadata["uid"]}}
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "deleteOptions": options,
    }
    path = cluster.resources.find("Pod").path(metadata["namespace"], metadata["name"], "eviction")
    try:
        cluster.connection.request_object("POST", path, body=body)
    except (errors.NotFound, errors.Conflict):
        return ""  # gone, or another pod has its name now
    except errors.TooManyRequests as error:
        return _words(error)
    except errors.Unreachable as error:
        if not error.sent:
            raise
        return str(error).rstrip(".")  # it may be evicted or not; asked again, that is told by its UID
    except errors.ClusterError as error:
        if "more than one PodDisruptionBudget" in str(error):
            raise errors.WaitFailed(f"Pod '{_name(pod)}' cannot be evicted: {_words(error)}") from error
        raise
    return ""


def _words(error: errors.ClusterError) -> str:
    """Returns the server's own words, without where they were said."""
    return str(error).partition(f"{error.status} {error.reason}: ")[2].rstrip(".") or str(error)


def evict_all(
    cluster: Cluster, pods: Sequence[Object], *, what: str, timeout: float, grace_seconds: int | None, say: Say
) -> None:
    """Evicts pods, again and again where a budget holds them, and waits until they are gone.

    Args:
        cluster: Where.
        pods: Which ones.
        what: Words for the message, for instance "Drain of node 'n1'".
        timeout: Seconds.
        grace_seconds: Time for the pods to end by themselves; their own by default.
        say: Gets a line whenever a pod is evicted, held by somebody else, or gone.
    Raises:
        errors.WaitTimeout: Some are still there; the text says who holds them.
    """
    held = {pod["metadata"]["uid"]: (pod, "") for pod in pods}
    ending: dict[str, Object] = {}
    asked_at = 0.0

    def step() -> bool:
        nonlocal asked_at
        if held and time.monotonic() - asked_at >= PAUSE_SECONDS:
            asked_at = time.monotonic()
            for uid, (pod, said) in list(held.items()):
                why = evict(cluster, pod, grace_seconds)
                if not why:
                    ending[uid] = held.pop(uid)[0]
                    say(f"Pod '{_name(pod)}' is evicted.")
                elif why != said:
                    held[uid] = (pod, why)
                    say(f"Pod '{_name(pod)}' is held: {why}.")
        for uid, pod in list(ending.items()):
            found = cluster.find("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])
            if found is None or found["metadata"]["uid"] != uid:
                del ending[uid]
        return not held and not ending

    def state() -> str:
        reasons = [f"'{_name(pod)}' is held: {why}" for pod, why in held.values()]
        reasons += [f"'{_name(pod)}' is evicted and has not ended yet" for pod in ending.values()]
        more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
        return f"{what}: {len(reasons)} of {len(pods)} pods are still there: {'; '.join(reasons[:5])}{more}"

    until(step, timeout=timeout, every=0.25, what=state)


def _name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
