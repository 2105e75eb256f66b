"""Pods that the library makes for a truth table: a set of its own, and copies that stand for pods without tools."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from NetLibrary._mechanics.connections.objects import prober
from NetLibrary._mechanics.defaults import AGNHOST_IMAGE

Object = Mapping[str, Any]
CONTAINER = "prober"
# Labels that controllers write; a copy is nobody's replica
OF_CONTROLLERS = frozenset({
    "pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name",
    "controller-uid", "job-name",
})  # fmt: skip
OURS = "netlibrary.io/policy-pod"
COPY = "netlibrary.io/copy-of"
# Ports of the library's own pods; each is served over TCP and UDP and named after protocol and number
PORTS = (8080, 8081)
# Nobody ever sets this condition, so a copy is never ready and no Service sends traffic to it
NEVER = "netlibrary.io/never-ready"


def pod(
    name: str, namespace: str, *, image: str = AGNHOST_IMAGE, labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Returns a pod of the library's own set: it probes, and serves HTTP and datagrams at all `PORTS`.

    Args:
        name: Its name, which is also the value of its label `pod`.
        namespace: Its namespace.
        image: agnhost image.
        labels: More labels.
    """
    made = prober(name, namespace, image=image, labels={OURS: "", "pod": name, **(labels or {})})
    first = made["spec"]["containers"][0]
    made["spec"]["containers"] = [_serving(first, port) for port in PORTS]
    # Rows are read by node, too: where a node does not enforce, the pods of all rows should show it
    made["spec"]["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {OURS: ""}},
        }
    ]
    return made


def _serving(container: Object, port: int) -> dict[str, Any]:
    ports = [
        {"name": f"http-{port}", "containerPort": port, "protocol": "TCP"},
        {"name": f"udp-{port}", "containerPort": port, "protocol": "UDP"},
    ]
    return {
        **container,
        "name": CONTAINER if port == PORTS[0] else f"server-{port}",
        "command": ["/agnhost", "netexec", f"--http-port={port}", f"--udp-port={port}"],
        "ports": ports,
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1, "timeoutSeconds": 2},
    }


def is_ours(item: Object) -> bool:
    """Tells a pod of the library's own set, which answers HTTP."""
    return OURS in (item["metadata"].get("labels") or {})


def labels_of(item: Object) -> dict[str, str]:
    """Returns the labels of a pod that a copy takes over."""
    return {k: v for k, v in (item["metadata"].get("labels") or {}).items() if k not in OF_CONTROLLERS}


def copies(pods: Sequence[Object], image: str) -> list[tuple[Object, dict[str, Any], dict[str, Any]]]:
    """Returns a copy for every set of labels in every namespace, each with the pod it stands for and its owner.

    A copy has the pod's labels, so the same policies select it. It is never ready, so no Service sends it traffic, and
    an object of ours controls it, so no ReplicaSet or DaemonSet takes it for one of its own.

    Args:
        pods: Pods that cannot probe themselves.
        image: Image with a shell.
    """
    found: dict[str, tuple[Object, dict[str, Any], dict[str, Any]]] = {}
    for item in pods:
        namespace, labels = item["metadata"]["namespace"], labels_of(item)
        word = hashlib.sha256(json.dumps([namespace, labels], sort_keys=True).encode()).hexdigest()[:8]
        if word in found:
            continue
        made = prober(f"netlib-copy-{word}", namespace, image=image)
        made["metadata"]["labels"] = labels
        made["metadata"]["annotations"] = {COPY: item["metadata"]["name"]}
        made["spec"]["readinessGates"] = [{"conditionType": NEVER}]
        owner = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"netlib-copy-{word}", "namespace": namespace},
            "data": {"why": "Owner of a prober of NetLibrary, so that no controller adopts the prober."},
        }
        found[word] = item, made, owner
    return list(found.values())


def owned_by(made: dict[str, Any], owner: Object) -> dict[str, Any]:
    """Returns a copy that its owner, as the API server knows it, controls."""
    reference = {
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": True,
    }  # fmt: skip
    return {**made, "metadata": {**made["metadata"], "ownerReferences": [reference]}}
