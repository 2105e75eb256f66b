"""Objects that are made for a user who names little more than an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# What namespaces that enforce Pod Security "restricted" ask for; servers then need ports above 1024
RESTRICTED_POD = {
    "runAsNonRoot": True, "runAsUser": 65534, "runAsGroup": 65534, "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
RESTRICTED_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
# Nodes with Windows take whatever does not say this
LINUX = {"kubernetes.io/os": "linux"}


def single_pod(
    name: str, namespace: str, image: str, command: Sequence[str], *, labels: Mapping[str, str],
    environment: Mapping[str, str], node: str | None, user: int | None,
) -> dict[str, Any]:  # fmt: skip
    """Returns a pod with one container that runs once.

    Args:
        name: Name of the pod and its container.
        namespace: Its namespace.
        image: Image.
        command: Program and arguments; those of the image when empty.
        labels: Labels.
        environment: Environment variables.
        node: Node that it must run on.
        user: Id of the user that it runs as; with one, it satisfies the PodSecurity level `restricted`.
    """
    container: dict[str, Any] = {
        "name": name.replace(".", "-")[:63].rstrip("-"),
        "image": image,
        "imagePullPolicy": "IfNotPresent",
    }
    if command:
        container["command"] = list(command)
    if environment:
        container["env"] = [{"name": key, "value": str(value)} for key, value in environment.items()]
    spec: dict[str, Any] = {
        "containers": [container],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
    }
    if user is not None:
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        spec["securityContext"] = {
            "runAsNonRoot": True,
            "runAsUser": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    if node:
        spec["affinity"] = on_node(node)
        spec["tolerations"] = [{"operator": "Exists"}]
    else:
        spec["nodeSelector"] = dict(LINUX)
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def on_node(node: str, *, but_it: bool = False) -> dict[str, Any]:
    """Returns the affinity to one node, or to all but that one.

    `nodeName` would pass the scheduler by, and no event would say why the pod does not start. The label
    `kubernetes.io/hostname` is the node's name on many clusters only, and GKE Autopilot refuses pods that ask for it.

    Args:
        node: Its name.
        but_it: Whether every other node is meant.
    """
    field = {"key": "metadata.name", "operator": "NotIn" if but_it else "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
