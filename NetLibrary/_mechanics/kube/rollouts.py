"""Workloads and their rollouts, as kubectl has them: scaled, given another image, restarted, undone, awaited."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import selectors
from NetLibrary._mechanics.kube.pods import in_registry
from NetLibrary._mechanics.kube.wait import (
    Done,
    Goal,
    Outcome,
    Pending,
    daemonset_rolled_out,
    deployment_available,
    statefulset_rolled_out,
)

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Object = dict[str, Any]
Say = Callable[[str], None]
ROLLOUTS: dict[str, Callable[[], Goal]] = {
    "Deployment": deployment_available,
    "DaemonSet": daemonset_rolled_out,
    "StatefulSet": statefulset_rolled_out,
}
SCALABLE = ("Deployment", "StatefulSet", "ReplicaSet")
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
REVISION = "deployment.kubernetes.io/revision"
# How long a controller may take to see the change before
CONTROLLER_PATIENCE = 20.0


def workload_kind(cluster: Cluster, word: str, allowed: Iterable[str] = ROLLOUTS) -> str:
    """Returns the kind that a word of kubectl's means, for instance `Deployment` for `deploy`.

    Raises:
        InputError: It is none of those that are allowed.
    """
    names = list(allowed)
    kind = next((name for name in names if name.lower() == word.lower()), "") or cluster.resources.find(word).kind
    if kind not in names:
        raise InputError(f"kind is '{word}'; allowed: {', '.join(names)}.")
    return kind


def scale(cluster: Cluster, kind: str, name: str, namespace: str, replicas: int) -> Object:
    """Sets how many pods a workload has, and returns it as it is then."""
    if replicas < 0:
        raise InputError(f"replicas is {replicas}; allowed: 0 and more.")
    return cluster.change(kind, name, namespace, {"spec": {"replicas": replicas}})


def set_image(cluster: Cluster, kind: str, name: str, namespace: str, image: str, container: str | None) -> Object:
    """Gives a container of a workload's template another image, and returns the workload as it is then.

    Raises:
        InputError: There is no such container, or there are several and none is named, or the image is none.
    """
    if "=" in image:  # as kubectl's arguments have it
        given, _, rest = image.partition("=")
        raise InputError(f"image is '{image}'; give '{rest}', and the container by container={given}.")
    spec = cluster.get(kind, name, namespace)["spec"]["template"]["spec"]
    parts = {part: copy.deepcopy(spec.get(part) or []) for part in ("containers", "initContainers")}
    names = [each["name"] for each in parts["containers"]]
    if container is None and len(names) > 1:
        raise InputError(f"container is missing; {kind} '{namespace}/{name}' has several: {', '.join(names)}.")
    wanted = container or names[0]
    body: Object = {}
    for part, containers in parts.items():
        for each in containers:
            if each["name"] == wanted:
                each["image"] = in_registry(image, cluster.pod_settings().registry)
                body = {part: containers}
    if not body:
        known = ", ".join([*names, *(each["name"] for each in parts["initContainers"])])
        raise InputError(f"container is '{wanted}'; {kind} '{namespace}/{name}' has {known}.")
    return cluster.change(kind, name, namespace, {"spec": {"template": {"spec": body}}})


def restart(cluster: Cluster, kind: str, name: str, namespace: str) -> Object:
    """Restarts a workload as `kubectl rollout restart` does, and returns it as it is then.

    Raises:
        InputError: Its kind or its update strategy restarts nothing.
    """
    kind = workload_kind(cluster, kind)
    stamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: stamp}}}}}
    changed = cluster.patch(kind, name, namespace, body, strategy="strategic")
    if changed["spec"].get("updateStrategy", {}).get("type") == "OnDelete":
        raise InputError(
            f"{kind} '{namespace}/{name}' has the update strategy OnDelete, so a rollout restarts nothing; use 'Delete "
            "Pods And Wait'."
        )
    return changed


def wait(
    cluster: Cluster, kind: str, name: str, namespace: str, *, generation: int = 0, timeout: float, say: Say
) -> None:
    """Waits until a rollout is over, by watching.

    Args:
        cluster: Where.
        kind: Kind of the workload.
        name: Its name.
        namespace: Its namespace.
        generation: That of the change whose rollout is meant; a watch may lag behind it.
        timeout: Seconds.
        say: Gets progress.
    Raises:
        WaitFailed: The rollout cannot succeed any more.
        WaitTimeout: It did not end in time.
    """
    goal = ROLLOUTS[kind]()

    def newer(objects: list[Object]) -> Outcome:
        if objects and objects[0]["metadata"].get("generation", 0) < generation:
            return Pending("the change has not been seen yet")
        return goal(objects)

    newer.readiness = True  # type: ignore[attr-defined]
    what = f"Rollout of {kind} '{namespace}/{name}'"
    cluster.wait(kind, namespace, newer, name=name, timeout=timeout, what=what, progress=say)


# --- revisions ----------------------------------------------------------------------------------------------


def revisions(cluster: Cluster, workload: Object) -> dict[int, Object]:
    """Returns the templates that a workload had, by the numbers of its revisions; the present one included."""
    kind, metadata = workload["kind"], workload["metadata"]
    labels = selectors.text(workload["spec"]["selector"])
    holders = cluster.list("ReplicaSet" if kind == "Deployment" else "ControllerRevision", metadata["namespace"], labels=labels)  # fmt: skip  # noqa: E501
    found: dict[int, Object] = {}
    for holder in holders:
        if all(owner["uid"] != metadata["uid"] for owner in holder["metadata"].get("ownerReferences") or []):
            continue
        if kind == "Deployment":
            number = int((holder["metadata"].get("annotations") or {}).get(REVISION) or 0)
            template = copy.deepcopy(holder["spec"]["template"])
            (template.get("metadata", {}).get("labels") or {}).pop("pod-template-hash", None)
        else:
            number = int(holder.get("revision") or 0)
            template = copy.deepcopy(holder["data"]["spec"]["template"])
            template.pop("$patch", None)
        found[number] = template
    return dict(sorted(found.items()))


def undo(cluster: Cluster, kind: str, name: str, namespace: str, to_revision: int | None = None) -> tuple[Object, int]:
    """Gives a workload the template of an earlier revision again.

    Returns:
        The workload as it is then, and the number of the revision.
    Raises:
        InputError: It has no such revision.
    """
    # Just after a change its revision may not be there yet, and the one before would be one too many
    workload = cluster.wait(
        kind, namespace, _seen(), name=name, timeout=CONTROLLER_PATIENCE, what=f"{kind} '{namespace}/{name}'"
    )
    workload.setdefault("kind", kind)
    known = revisions(cluster, workload)
    if to_revision is None:
        if len(known) < 2:
            raise InputError(f"{kind} '{namespace}/{name}' has no earlier revision to go back to.")
        to_revision = list(known)[-2]
    if to_revision not in known:
        have = ", ".join(map(str, known)) or "none"
        raise InputError(f"to_revision is {to_revision}; {kind} '{namespace}/{name}' has {have}.")
    change = merge_patch(workload["spec"]["template"], known[to_revision])
    if not change:
        return workload, to_revision
    return cluster.change(kind, name, namespace, {"spec": {"template": change}}), to_revision


def _seen() -> Goal:
    def goal(objects: list[Object]) -> Outcome:
        if not objects:
            return Pending("not there yet")
        seen = objects[0].get("status", {}).get("observedGeneration", 0)
        newest = seen >= objects[0]["metadata"].get("generation", 1)
        return Done(objects[0]) if newest else Pending("its controller has not seen the last change yet")

    return goal


def merge_patch(present: Object, wanted: Object) -> Object:
    """Returns the JSON merge patch (RFC 7386) that makes one object of another.

    Example:
        >>> merge_patch({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 2}, "e": [4]})
        {'a': None, 'b': {'d': None}, 'e': [4]}
    """
    patch: Object = {key: None for key in present if key not in wanted}
    for key, value in wanted.items():
        before = present.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif key not in present or before != value:
            patch[key] = value
    return patch
