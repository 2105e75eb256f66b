"""Removes what a run made in a cluster, found by the run's label."""

from __future__ import annotations

import time

from NetLibrary._mechanics.errors import ClusterError, WaitTimeout
from NetLibrary._mechanics.kube.cluster import RUN_LABEL, Cluster
from NetLibrary._mechanics.kube.wait import gone


def delete_run(cluster: Cluster, *, wait: float = 0.0) -> list[str]:
    """Deletes every object that carries the run's label.

    Namespaces go first: whatever is in them goes with them. Then come labelled objects outside of those namespaces,
    of the kinds that this process made.

    Args:
        cluster: Where.
        wait: Seconds to wait for the end of it; 0 asks only.
    Returns:
        What could not be removed, in words.
    """
    labels = f"{RUN_LABEL}={cluster.run_id}"
    deadline = time.monotonic() + wait
    left: list[str] = []
    if not cluster.touched:
        return left
    doomed = {ns["metadata"]["name"] for ns in cluster.list("Namespace", labels=labels)}
    for name in doomed:
        cluster.delete("Namespace", name)
    others = sorted(cluster.touched - {"Namespace"})
    for kind in others:
        try:
            for obj in cluster.list(kind, labels=labels):
                metadata = obj["metadata"]
                if metadata.get("namespace") not in doomed and not metadata.get("deletionTimestamp"):
                    cluster.delete(kind, metadata["name"], metadata.get("namespace"))
        except ClusterError as error:
            if error.status not in (404, 405):
                left.append(str(error))
    if wait <= 0:
        return left
    for kind in [*(["Namespace"] if doomed else []), *others]:
        try:
            limit = max(1.0, deadline - time.monotonic())
            cluster.wait(kind, None, gone(), labels=labels, timeout=limit, what=f"removal of {kind} objects")
        except WaitTimeout as error:
            left.append(str(error))
        except ClusterError as error:
            if error.status not in (404, 405):
                left.append(str(error))
    return left
