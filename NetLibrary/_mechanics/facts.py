"""What a reader of a result wants to know about the cluster it was measured on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from NetLibrary._mechanics.errors import ClusterError
from NetLibrary._mechanics.kube import Cluster, addresses, health, looks, taints
from NetLibrary._mechanics.kube.quantities import quantity
from NetLibrary._mechanics.kube.why_not_ready import has_ended

STAND_IN_LABEL = "netlibrary.io/stand-in"


def cluster_facts(cluster: Cluster) -> dict[str, Any]:
    """Returns version and nodes of a cluster; nodes are left out where the account may not list them."""
    try:
        nodes = [_node(node) for node in looks.look(cluster, "Node")]
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


def node_facts(node: dict[str, Any], pods: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns what one wants to know of a node, with the pods on it that have not ended."""
    spec, status, labels = node["spec"], node.get("status", {}), node["metadata"].get("labels") or {}
    problems, capacity = health.node_problems(node), status.get("allocatable") or {}
    networks = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    return {
        **_node(node),
        "architecture": status.get("nodeInfo", {}).get("architecture", ""),
        "ready": any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or []),
        "schedulable": not spec.get("unschedulable", False),
        "problems": problems,
        "roles": sorted(key.partition("/")[2] for key in labels if key.startswith("node-role.kubernetes.io/")),
        "addresses": addresses.of_node(node),
        "pod_networks": networks,
        "taints": [taints.text(taint) for taint in spec.get("taints") or []],
        "labels": dict(labels),
        "cpus": quantity(capacity.get("cpu", 0)),
        "memory_bytes": int(quantity(capacity.get("memory", 0))),
        "most_pods": int(quantity(capacity.get("pods", 0))),
        "pods": sorted(
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods if not has_ended(pod)
        ),
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
