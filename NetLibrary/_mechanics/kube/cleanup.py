"""Removes what a run made in a cluster, and puts back what it changed of others' objects."""

from __future__ import annotations

import shlex
import shutil
import time

from NetLibrary._mechanics.errors import ClusterError, Forbidden, NetLibraryError, WaitTimeout
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.kube.ownership import RUN_LABEL, Object
from NetLibrary._mechanics.kube.wait import Done, Goal, Outcome, gone

# The kind is not served (any more), or cannot be listed or deleted at all: nothing of it can be left
_NOT_THERE = (404, 405)


def delete_run(cluster: Cluster, *, wait: float = 0.0) -> list[str]:
    """Deletes what the run created, and puts back what it changed of objects that existed before.

    Namespaces go first: whatever is in them goes with them. Then come objects outside of those namespaces, of the
    kinds that this process made. What cannot be removed does not keep the rest from being removed.

    Args:
        cluster: Where.
        wait: Seconds to wait for the end of it; 0 asks only.
    Returns:
        What could not be removed or put back, in words.
    """
    deadline = time.monotonic() + wait
    left: list[str] = put_back(cluster)
    doomed: set[str] = set()
    kinds = sorted(cluster.touched, key=lambda kind: (kind != "Namespace", kind))
    for kind in kinds:
        try:
            for obj in _own(cluster, kind):
                name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
                if kind == "Namespace":
                    doomed.add(name)
                if namespace not in doomed and not obj["metadata"].get("deletionTimestamp"):
                    cluster.delete(kind, name, namespace)
        except NetLibraryError as error:
            if getattr(error, "status", 0) not in _NOT_THERE:
                left.append(str(error).rstrip("."))
    if wait > 0 and not left:
        for kind in kinds:
            left += _wait_until_gone(cluster, kind, deadline)
    return left


def what_stays(cluster: Cluster) -> list[str]:
    """Returns lines for a reader who keeps everything: what the run made, and how to look at it and remove it."""
    namespaces, places = cluster.ownership.overview()
    changed = cluster.foreign.places
    if not (namespaces or places or changed):
        return []
    kubectl = _kubectl(cluster)
    lines = []
    for name in namespaces:
        lines.append(f"  namespace {name}: {kubectl} get all --namespace {name}")
    lines += [f"  {place}: {kubectl} get {place.as_arguments}" for place in places]
    if namespaces:
        lines.append(f"To remove the namespaces: {kubectl} delete namespace --selector {RUN_LABEL}={cluster.run_id}")
    if places:
        lines.append("To remove the others:")
        lines += [f"  {kubectl} delete {place.as_arguments}" for place in places]
    if changed:
        names = ", ".join(str(place) for place in changed)
        lines.append(f"Changed and not restored; the old values are in an annotation: {names}")
        lines.append(f"To restore these, 80 s after the end of the run: {_sweep(cluster)}")
    return lines


def _kubectl(cluster: Cluster) -> str:
    # Where nobody has installed kubectl, a lab has brought its own
    own = cluster.is_lab and not shutil.which("kubectl")
    return _aimed([str(cluster.lab.kubectl_program) if own else "kubectl"], cluster)


def _sweep(cluster: Cluster) -> str:
    return _aimed(["netlibrary", "sweep", "--run", cluster.run_id, "--older-than", "80s"], cluster)


def _aimed(words: list[str], cluster: Cluster) -> str:
    """Returns a command that works on the cluster of the run."""
    choice = cluster.connection.choice
    where = ""
    if len(choice.kubeconfig) > 1:
        where = f"KUBECONFIG={shlex.quote(':'.join(map(str, choice.kubeconfig)))} "
    elif choice.kubeconfig:
        words += ["--kubeconfig", str(choice.kubeconfig[0])]
    if choice.context:
        words += ["--context", choice.context]
    return where + shlex.join(words)


def put_back(cluster: Cluster) -> list[str]:
    """Puts back what the run changed of others' objects, tells it, and returns what stays changed, in words."""
    left: list[str] = []
    for outcome in cluster.foreign.put_back():
        if outcome.back:
            cluster.say(f"{outcome.place} existed before this run; restored: {', '.join(outcome.back)}.")
        left += [f"{outcome.place} stays changed: {reason}" for reason in outcome.left]
    return left


def _own(cluster: Cluster, kind: str) -> list[Object]:
    """Returns the objects of a kind that the run created: its label alone may have been copied by somebody."""
    resource = cluster.resources.find(kind)
    return [obj for obj in _labelled(cluster, kind) if cluster.ownership.owns(resource, obj)]


def _labelled(cluster: Cluster, kind: str) -> list[Object]:
    labels = f"{RUN_LABEL}={cluster.run_id}"
    # Who works in a namespace of others may see it and hardly more
    if not (cluster.ownership.foreign_namespaces and cluster.resources.find(kind).namespaced):
        try:
            return cluster.list(kind, labels=labels)
        except Forbidden:
            if not (cluster.places and cluster.resources.find(kind).namespaced):
                raise
    return [obj for namespace in sorted(cluster.places) for obj in cluster.list(kind, namespace, labels=labels)]


def _wait_until_gone(cluster: Cluster, kind: str, deadline: float) -> list[str]:
    labels = f"{RUN_LABEL}={cluster.run_id}"
    try:
        for namespace in sorted({obj["metadata"].get("namespace", "") for obj in _own(cluster, kind)}):
            limit = max(1.0, round(deadline - time.monotonic(), 1))
            what = f"Removal of {kind} objects" + (f" in '{namespace}'" if namespace else "")
            cluster.wait(kind, namespace or None, _ours_gone(cluster), labels=labels, timeout=limit, what=what)
    except WaitTimeout as error:
        return [str(error).rstrip(".")]
    except ClusterError as error:
        return [] if error.status in _NOT_THERE else [str(error).rstrip(".")]
    return []


def _ours_gone(cluster: Cluster) -> Goal:
    def goal(objects: list[Object]) -> Outcome:
        ours = [obj for obj in objects if cluster.ownership.made(obj)]
        if not ours or not all(map(_only_waits_for_api, ours)):
            return gone()(ours)
        names = ", ".join(obj["metadata"]["name"] for obj in ours)
        cluster.say(
            f"Empty, and gone as soon as an extension of the cluster's API that is down answers again: {names}."
        )
        return Done()

    return goal


def _only_waits_for_api(obj: Object) -> bool:
    """Tells whether nothing is left in a namespace that cannot end because a part of the cluster's API is down."""
    found = {entry["type"]: entry["status"] for entry in (obj.get("status") or {}).get("conditions") or []}
    return found.get("NamespaceDeletionDiscoveryFailure") == "True" and all(
        found.get(f"Namespace{what}") == "False" for what in ("DeletionContentFailure", "ContentRemaining")
    )
