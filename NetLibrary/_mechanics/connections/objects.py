"""Pods that the library makes to connect from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from NetLibrary._mechanics.kube.objects import LINUX, on_node

# Discard, RFC 863: nobody listens there in a pod that only sleeps
UNUSED_PORT = 9


def closing_policy(name: str, namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Returns a NetworkPolicy that lets nobody in to the pods with some labels."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": dict(labels)}, "policyTypes": ["Ingress"]},
    }


def prober(
    name: str, namespace: str, *, image: str, labels: Mapping[str, str] | None = None, node: str | None = None,
    host_network: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Returns a pod that does nothing until somebody runs a program in it.

    It satisfies the PodSecurity level `restricted`, unless it is to use its node's network.

    Args:
        name: Name of the pod.
        namespace: Its namespace.
        image: Image with a shell and `sleep`.
        labels: Labels, for policies to select it by.
        node: Node that it must run on.
        host_network: Whether it uses its node's own network.
    """
    place = {"affinity": on_node(node)} if node else {"nodeSelector": dict(LINUX)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "netlibrary-prober", **(labels or {})}},
        "spec": {
            "hostNetwork": host_network,
            "dnsPolicy": "ClusterFirstWithHostNet" if host_network else "ClusterFirst",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}] if node else [],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "prober",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "86400"],
                    "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
            **place,
        },
    }
