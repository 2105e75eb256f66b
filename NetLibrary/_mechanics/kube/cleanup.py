"""Removes what a run made in a cluster, found by the run's label."""

from __future__ import annotations

import time

from NetLibrary._mechanics.errors import ClusterError, Forbidden, WaitTimeout
from NetLibrary._mechanics.kube.cluster import RUN_LABEL, Cluster, Object
from NetLibrary._mechanics.kube.wait import gone

# The kind is not served (any more), or cannot be listed or deleted at all: nothing of it can be left
_NOT_THERE = (404, 405)


def delete_run(cluster: Cluster, *, wait: float = 0.0) -> list[str]:
    """Deletes every object that carries the run's label.

    Namespaces go first: whatever is in them goes with them. Then come labelled objects outside of those namespaces,
    of the kinds that this process made. What cannot be removed does not keep the rest from being removed.

    Args:
        cluster: Where.
        wait: Seconds to wait for the end of it; 0 asks only.
    Returns:
        What could not be removed, in words.
    """
    deadline = time.monotonic() + wait
    left: list[str] = []
    doomed: set[str] = set()
    kinds = sorted(cluster.touched, key=lambda kind: (kind != "Namespace", kind))
    for kind in kinds:
        try:
            for obj in _labelled(cluster, kind):
                name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
                if kind == "Namespace":
                    doomed.add(name)
                if namespace not in doomed and not obj["metadata"].get("deletionTimestamp"):
                    cluster.delete(kind, name, namespace)
        except ClusterError as error:
            if error.status not in _NOT_THERE:
                left.append(str(error).rstrip("."))
    if wait > 0 and not left:
        for kind in kinds:
            left += _wait_until_gone(cluster, kind, deadline)
    return left


def _labelled(cluster: Cluster, kind: str) -> list[Object]:
    labels = f"{RUN_LABEL}={cluster.run_id}"
    try:
        return cluster.list(kind, labels=labels)
    except Forbidden:  # an account that sees only some namespaces: ask in those that the run used
        if not (cluster.places and cluster.resources.find(kind).namespaced):
            raise
        return [obj for namespace in sorted(cluster.places) for obj in cluster.list(kind, namespace, labels=labels)]


def _wait_until_gone(cluster: Cluster, kind: str, deadline: float) -> list[str]:
    labels = f"{RUN_LABEL}={cluster.run_id}"
    try:
        for namespace in sorted({obj["metadata"].get("namespace", "") for obj in _labelled(cluster, kind)}):
            limit = max(1.0, deadline - time.monotonic())
            what = f"Removal of {kind} objects" + (f" in '{namespace}'" if namespace else "")
            cluster.wait(kind, namespace or None, gone(), labels=labels, timeout=limit, what=what)
    except WaitTimeout as error:
        return [str(error).rstrip(".")]
    except ClusterError as error:
        return [] if error.status in _NOT_THERE else [str(error).rstrip(".")]
    return []
