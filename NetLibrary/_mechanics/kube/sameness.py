"""Whether two connections lead to one cluster."""

from __future__ import annotations

from NetLibrary._mechanics.kube.cluster import Cluster


def same_cluster(first: Cluster, second: Cluster) -> bool:
    """Tells whether two connections lead to one cluster: by its address, else by the identity of `kube-system`.

    Raises:
        errors.Forbidden: The addresses differ, and an account may not look at that namespace.
    """
    if first.server == second.server:
        return True  # an account with few rights may not look at kube-system
    ids = {each.get("Namespace", "kube-system")["metadata"]["uid"] for each in (first, second)}
    return len(ids) == 1
