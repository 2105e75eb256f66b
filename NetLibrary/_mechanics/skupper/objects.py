"""Skupper's kinds, and the objects that keywords make of them."""

from __future__ import annotations

from typing import Any

GROUP = "skupper.io"
API_VERSION = "skupper.io/v2alpha1"
KINDS = (
    "Site", "Link", "Listener", "Connector", "AttachedConnector", "AttachedConnectorBinding", "AccessGrant",
    "AccessToken",
)  # fmt: skip


def made(kind: str, name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """Returns an object of Skupper."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
