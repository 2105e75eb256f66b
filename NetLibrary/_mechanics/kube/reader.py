"""The part of a cluster's connection that only reads: all that waits, records of owners and advice need of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.connection import Connection
from NetLibrary._mechanics.kube.resources import Resources

Object = dict[str, Any]


class ClusterReader:
    """Reads objects of one cluster. Safe to use from several threads.

    Args:
        connection: How to reach it.
        run_id: Value of the label that everything made through this object carries.
    """

    def __init__(self, connection: Connection, run_id: str = "") -> None:
        self.connection = connection
        self.alias = connection.alias
        self.server = connection.server
        self.run_id = run_id
        self.resources = Resources(connection)
        self.say: Callable[[str], None] = lambda _: None  # gets what a reader of the log must know
        self._version: str | None = None

    @property
    def version(self) -> str:
        """Version of the API server, for instance `v1.35.4`."""
        if self._version is None:
            self._version = str(self.connection.request_object("GET", "/version")["gitVersion"])
        return self._version

    def now(self) -> float:
        """Returns the time by the cluster's clock, in seconds since 1970; time stamps of objects are of that clock."""
        return self.connection.clock.now()

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """Returns one object.

        Raises:
            errors.NotFound: It does not exist.
        """
        result: Object = self.connection.request_object("GET", self.resources.find(kind).path(namespace, name))
        return result

    def find(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Returns one object, or None where `get` would raise NotFound."""
        try:
            return self.get(kind, name, namespace)
        except errors.NotFound:
            return None

    def list(
        self, kind: str, namespace: str | None = None, *, labels: str | None = None, fields: str | None = None
    ) -> list[Object]:
        """Returns the objects of a kind, of all namespaces when `namespace` is None."""
        resource = self.resources.find(kind)
        query = {"labelSelector": labels, "fieldSelector": fields}
        items: list[Object] = (
            self.connection.request_object("GET", resource.path(namespace), query=query).get("items") or []
        )
        for item in items:  # the API leaves these two out in lists
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return items
