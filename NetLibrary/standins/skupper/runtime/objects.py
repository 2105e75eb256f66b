"""The Kubernetes objects that the controller makes."""

from __future__ import annotations

import os
from typing import Any

from . import names

IMAGE = os.environ.get("SKUPPER_STAND_IN_IMAGE", "ghcr.io/netlibrary/skupper-stand-in:1")
SOURCES = os.environ.get("SKUPPER_STAND_IN_SOURCES", "")
ANNOTATION_SOURCES = "netlibrary.io/stand-in-sources"  # routers follow when the image's content changes


def owner_reference(obj: dict) -> dict:
    """Gives a reference that makes an object go together with its owner."""
    return {
        "apiVersion": obj.get("apiVersion") or names.API_VERSION,
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
    }


def owners_of(obj: dict) -> list[dict]:
    """Gives the owners for what is made because of an object.

    They are the object's own owners, if any: whatever a Site brings with it is owned by the Site
    itself, and garbage collection needs one step.
    """
    return obj["metadata"].get("ownerReferences") or [owner_reference(obj)]


def build(
    api_version: str,
    kind: str,
    namespace: str,
    name: str,
    owners: list[dict],
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **content: Any,
) -> dict:
    """Gives an object with the metadata that all made objects share."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "ownerReferences": owners,
            "labels": {**(labels or {}), names.LABEL_STAND_IN: names.STAND_IN},
            "annotations": {
                **(annotations or {}),
                names.ANNOTATION_STAND_IN: names.STAND_IN_NOTE,
            },
        },
        **content,
    }


def account(namespace: str, owners: list[dict]) -> list[dict]:
    """Gives ServiceAccount, Role and RoleBinding of the router pod."""
    rules = [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "verbs": ["get", "list", "watch", "create", "update", "patch"],
        },
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": ["get", "create", "update", "patch"],
        },
    ]
    rbac = "rbac.authorization.k8s.io"
    return [
        build("v1", "ServiceAccount", namespace, names.ROUTER, owners),
        build(f"{rbac}/v1", "Role", namespace, names.ROUTER, owners, rules=rules),
        build(
            f"{rbac}/v1",
            "RoleBinding",
            namespace,
            names.ROUTER,
            owners,
            roleRef={"apiGroup": rbac, "kind": "Role", "name": names.ROUTER},
            subjects=[{"kind": "ServiceAccount", "name": names.ROUTER, "namespace": namespace}],
        ),
    ]


def _container(name: str, part: str, port: int, env: list[dict]) -> dict:
    probe = {"httpGet": {"path": "/healthz", "port": port}}
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": [part],
        "env": env,
        "readinessProbe": {**probe, "periodSeconds": 1, "failureThreshold": 3},
        "livenessProbe": {
            **probe,
            "periodSeconds": 10,
            "failureThreshold": 6,
            "initialDelaySeconds": 30,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 10000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "certificates", "mountPath": "/etc/skupper-router-certs"},
        ],
    }


def deployment(namespace: str, group: str, service_account: str, site: dict, *, spread: bool) -> dict:
    """Gives the Deployment of a router.

    Args:
        namespace: Namespace of the Site.
        group: Name of the Deployment, and of the router's ConfigMap.
        service_account: Account of the pod.
        site: The Site, which owns the Deployment.
        spread: Keep routers of one Site on different nodes if possible.
    """
    labels = {
        "application": "skupper-router",
        names.LABEL_COMPONENT: "router",
        "skupper.io/type": "site",
        names.LABEL_GROUP: group,
        "app.kubernetes.io/name": "skupper-router",
        "app.kubernetes.io/part-of": "skupper",
        names.LABEL_STAND_IN: names.STAND_IN,
    }
    env: list[dict] = [
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "SKUPPER_ROUTER_CONFIG", "value": group},
        {"name": "SKUPPER_SITE_ID", "value": site["metadata"]["uid"]},
    ]
    router = _container("router", "router", names.PORT_ROUTER_HEALTH, env)
    router["ports"] = [
        {"name": "amqps", "containerPort": names.PORT_AMQPS, "protocol": "TCP"},
        {"name": "http", "containerPort": names.PORT_ROUTER_HEALTH, "protocol": "TCP"},
        {"name": "inter-router", "containerPort": names.PORT_INTER_ROUTER, "protocol": "TCP"},
        {"name": "edge", "containerPort": names.PORT_EDGE, "protocol": "TCP"},
    ]
    pod: dict[str, Any] = {
        "serviceAccountName": service_account,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {"runAsNonRoot": True},
        "containers": [
            router,
            _container("kube-adaptor", "adaptor", names.PORT_ADAPTOR_HEALTH, env),
        ],
        "volumes": [{"name": "certificates", "emptyDir": {}}],
    }
    if spread:
        term = {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": dict(names.ROUTER_SELECTOR)},
        }
        pod["affinity"] = {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
            }
        }
    selector = {**names.ROUTER_SELECTOR, names.LABEL_GROUP: group}
    return build(
        "apps/v1",
        "Deployment",
        namespace,
        group,
        [owner_reference(site)],
        labels=labels,
        spec={
            "replicas": 1,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {names.ANNOTATION_STAND_IN: names.STAND_IN_NOTE, ANNOTATION_SOURCES: SOURCES},
                },
                "spec": pod,
            },
        },
    )


def service(
    namespace: str,
    name: str,
    owners: list[dict],
    selector: dict[str, str],
    ports: list[dict],
    *,
    kind: str = "ClusterIP",
    labels: dict[str, str] | None = None,
) -> dict:
    """Gives a Service that the controller keeps in shape."""
    return build(
        "v1",
        "Service",
        namespace,
        name,
        owners,
        labels=labels,
        annotations={names.ANNOTATION_CONTROLLED: "true"},
        spec={"type": kind, "selector": selector, "ports": ports},
    )


def port(name: str, number: int, target: int, protocol: str = "TCP") -> dict:
    """Gives one port of a Service."""
    return {"name": name, "port": number, "targetPort": target, "protocol": protocol}


def config_map(namespace: str, name: str, owners: list[dict], text: str) -> dict:
    """Gives the ConfigMap of a router."""
    return build(
        "v1",
        "ConfigMap",
        namespace,
        name,
        owners,
        labels={names.LABEL_ROUTER_CONFIG: ""},
        data={names.ROUTER_CONFIG_KEY: text},
    )


def certificate(namespace: str, name: str, owners: list[dict], **spec: Any) -> dict:
    """Gives a Certificate."""
    return build(names.API_VERSION, "Certificate", namespace, name, owners, spec=spec)


def secret(namespace: str, name: str, owners: list[dict], data: dict[str, str]) -> dict:
    """Gives a TLS Secret."""
    return build("v1", "Secret", namespace, name, owners, type="kubernetes.io/tls", data=data)
