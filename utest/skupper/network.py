"""A Skupper network as its API shows it: a hub, a client, and a workload attached to the hub."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def obj(
    kind: str, place: str, status: str = "Ready", message: str = "OK", *, conditions: str = "", **spec: Any
) -> Object:
    """Returns an object; `place` is namespace/name, `conditions` are words such as `Configured=True`."""
    namespace, name = place.split("/")
    entries = [dict(zip(("type", "status"), word.split("="), strict=True)) for word in conditions.split()]
    return {
        "apiVersion": "skupper.io/v2alpha1",
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
        "status": {"status": status, "message": message, "conditions": entries} if status else {},
    }


def pod(place: str, port: int = 5201, **labels: str) -> Object:
    namespace, name = place.split("/")
    containers = [{"name": "c", "ports": [{"containerPort": port}]}, {"name": "side"}]
    return {
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"containers": containers},
        "status": {"phase": "Pending"},
    }


def healthy() -> dict[str, Object]:
    """Returns the objects by short names."""
    return {
        "hub": obj("Site", "hub/hub", conditions="Configured=True Running=True Resolved=True", linkAccess="default"),
        "client": obj("Site", "client/client", conditions="Configured=True Running=True"),
        "grant": obj("AccessGrant", "hub/grant"),
        "token": obj("AccessToken", "client/token-grant", conditions="Redeemed=True"),
        "link": obj("Link", "client/token-grant", conditions="Configured=True Operational=True"),
        "listener": obj("Listener", "client/iperf3", routingKey="iperf3", host="iperf3-server", port=5201),
        "binding": obj("AttachedConnectorBinding", "hub/iperf3", routingKey="iperf3", connectorNamespace="work"),
        "connector": obj(
            "AttachedConnector", "work/iperf3", siteNamespace="hub", port=5201, selector="app=iperf3-server"
        ),
        "pod": pod("work/iperf3-server-0", app="iperf3-server"),
    }


def state(target: Object, status: str, message: str) -> None:
    target["status"] = {"status": status, "message": message, "conditions": []}
