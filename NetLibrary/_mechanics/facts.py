"""What a reader of a result wants to know about the cluster it was measured on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from NetLibrary._mechanics.errors import ClusterError
from NetLibrary._mechanics.kube import Cluster

STAND_IN_LABEL = "netlibrary.io/stand-in"


def cluster_facts(cluster: Cluster) -> dict[str, Any]:
    """Returns version and nodes of a cluster; nodes are left out where the account may not list them."""
    try:
        nodes = [_node(node) for node in cluster.list("Node")]
    except ClusterError:
        nodes = []
    lab = getattr(cluster.lab, "name", None) if cluster.lab is not None else None
    return {"alias": cluster.alias, "version": cluster.version, "lab": lab, "nodes": nodes}


def _node(node: dict[str, Any]) -> dict[str, Any]:
    info = node.get("status", {}).get("nodeInfo", {})
    return {
        "name": node["metadata"]["name"],
        "kubelet": info.get("kubeletVersion", ""),
        "runtime": info.get("containerRuntimeVersion", ""),
        "kernel": info.get("kernelVersion", ""),
        "os": info.get("osImage", ""),
    }


def images_of(pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns each image that runs in the pods once: reference, digest, and what it stands in for, if anything."""
    found: dict[str, dict[str, Any]] = {}
    for pod in pods:
        stand_in = (pod["metadata"].get("labels") or {}).get(STAND_IN_LABEL)
        digests = {s["name"]: s.get("imageID") or None for s in pod.get("status", {}).get("containerStatuses", [])}
        for container in pod["spec"]["containers"]:
            found[container["image"]] = {
                "reference": container["image"],
                "digest": digests.get(container["name"]),
                "stand_in": stand_in,
            }
    return list(found.values())
