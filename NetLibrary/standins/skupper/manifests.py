"""What has to be applied to a cluster so that the stand-in works in it."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from . import crds
from .runtime import names

IMAGE = "ghcr.io/netlibrary/skupper-stand-in:1"
NAMESPACE = "skupper"
CONTROLLER = "skupper-controller"
LABELS = {names.LABEL_STAND_IN: names.STAND_IN}
ANNOTATIONS = {names.ANNOTATION_STAND_IN: names.STAND_IN_NOTE}
ALL = ["get", "list", "watch", "create", "update", "patch", "delete"]


def library_version() -> str:
    """Gives NetLibrary's version, `0` when it is used from a folder without installation."""
    for name in ("robotframework-netlibrary", "netlibrary", "NetLibrary"):
        try:
            return version_of(name)
        except PackageNotFoundError:
            continue
    return "0"


@cache
def sources_digest() -> str:
    """Gives a digest of the runtime: the image keeps its tag, and pods have to follow its content."""
    digest = hashlib.sha256()
    for file in sorted((Path(__file__).parent / "runtime").glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _marked(obj: dict) -> dict:
    meta = obj["metadata"]
    meta["labels"] = {**LABELS, **meta.get("labels", {})}
    meta["annotations"] = {**ANNOTATIONS, **meta.get("annotations", {})}
    return obj


def _rules() -> list[dict]:
    core = ["configmaps", "secrets", "services", "serviceaccounts"]
    return [
        {"apiGroups": ["skupper.io"], "resources": ["*"], "verbs": ALL},
        {"apiGroups": [""], "resources": core, "verbs": ALL},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ALL},
        {
            "apiGroups": ["rbac.authorization.k8s.io"],
            "resources": ["roles", "rolebindings"],
            "verbs": ALL,
        },
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ALL},
    ]


def _deployment(namespace: str, environment: dict[str, str]) -> dict:
    labels = {
        "application": CONTROLLER,
        "app.kubernetes.io/name": CONTROLLER,
        "app.kubernetes.io/part-of": "skupper",
        names.LABEL_COMPONENT: "controller",
        **LABELS,
    }
    own = {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
    settings = {
        "CONTROLLER_NAME": CONTROLLER,
        "NETLIBRARY_VERSION": library_version(),
        "SKUPPER_STAND_IN_IMAGE": IMAGE,
        "SKUPPER_STAND_IN_SOURCES": sources_digest(),
        **environment,
    }
    container: dict[str, Any] = {
        "name": "controller",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["controller"],
        "env": [own, *({"name": name, "value": text} for name, text in settings.items())],
        "ports": [
            {"name": "metrics", "containerPort": names.PORT_CONTROLLER_HEALTH},
            {"name": "grants", "containerPort": names.PORT_GRANTS},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": names.PORT_CONTROLLER_HEALTH},
            "periodSeconds": 1,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 10000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CONTROLLER, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"application": CONTROLLER, names.LABEL_COMPONENT: "controller"}},
            "template": {
                "metadata": {"labels": labels, "annotations": dict(ANNOTATIONS)},
                "spec": {
                    "serviceAccountName": CONTROLLER,
                    "terminationGracePeriodSeconds": 2,
                    "containers": [container],
                },
            },
        },
    }


def manifests(
    *, namespace: str = NAMESPACE, scope: str = "cluster", environment: dict[str, str] | None = None
) -> list[dict]:
    """Gives all objects: definitions, Namespace, permissions, controller.

    Args:
        namespace: Namespace of the controller.
        scope: `cluster`, or `namespace` for a controller that keeps to its own namespace.
        environment: More settings of the controller, e.g. `SKUPPER_DEFAULT_ACCESS_TYPE`; `SKUPPER_STAND_IN_LIKE`
            with the value `2.1` gives what users saw before release 2.2.

    Returns:
        Objects in the order in which they should be applied.

    Raises:
        ValueError: The scope is neither of the two.

    Example:
        >>> [obj["kind"] for obj in manifests()][-1]
        'Deployment'
    """
    if scope not in ("cluster", "namespace"):
        raise ValueError(f"scope is '{scope}'; allowed: 'cluster' and 'namespace'.")
    prefix = "Cluster" if scope == "cluster" else ""
    place = {} if scope == "cluster" else {"namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    settings = dict(environment or {})
    if scope == "namespace":
        settings["WATCH_NAMESPACE"] = namespace
    definitions = crds.definitions()
    if settings.get("SKUPPER_STAND_IN_LIKE") == "2.1":
        definitions = [d for d in definitions if d["spec"]["names"]["kind"] != "MultiKeyListener"]
    objects = [
        *definitions,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": CONTROLLER, "namespace": namespace},
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": f"{prefix}Role",
            "metadata": {
                "name": CONTROLLER,
                "labels": {"application": CONTROLLER},
                **place,
            },
            "rules": _rules(),
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": f"{prefix}RoleBinding",
            "metadata": {"name": CONTROLLER, "labels": {"application": CONTROLLER}, **place},
            "roleRef": {"apiGroup": rbac, "kind": f"{prefix}Role", "name": CONTROLLER},
            "subjects": [{"kind": "ServiceAccount", "name": CONTROLLER, "namespace": namespace}],
        },
        _deployment(namespace, settings),
    ]
    return [_marked(obj) for obj in objects]
