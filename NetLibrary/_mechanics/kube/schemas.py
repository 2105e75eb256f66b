"""Types of fields, as the cluster's own OpenAPI documents tell them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.connection import Connection
from NetLibrary._mechanics.kube.yaml_text import value_of

Schema = dict[str, Any]
_WORDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


class Schemas:
    """The schemas of one cluster; each group is asked for when it is needed first.

    Args:
        connection: Where to ask.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._groups: dict[str, Schema] = {}

    def typed(self, api_version: str, kind: str, path: Sequence[str], text: str, where: str) -> Any:
        """Returns a text as the type that its field has.

        Args:
            api_version: Of the object.
            kind: Of the object.
            path: The field's path; numbers are positions in lists.
            text: The text.
            where: Name of the argument, for messages.
        Returns:
            The value; the text itself where the cluster does not tell.
        Raises:
            InputError: The text is no value of that type.

        """
        field = self._field(api_version, kind, path)
        wanted = str(field.get("type", ""))
        if field.get("x-kubernetes-int-or-string") or field.get("format") == "int-or-string":
            return int(text) if text.lstrip("-").isdigit() else text
        if wanted in ("string", ""):
            return text
        try:
            value = value_of(text)
        except yaml.YAMLError:
            value = text
        fits = {
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, (int, float)) and not isinstance(value, bool),
            "boolean": isinstance(value, bool),
            "array": isinstance(value, list),
            "object": isinstance(value, dict),
        }
        if not fits.get(wanted, True):
            allowed = _WORDS.get(wanted, f"YAML or JSON of type {wanted}")
            raise errors.InputError(f"{where} is '{text}'; allowed: {allowed}.")
        return value

    def _field(self, api_version: str, kind: str, path: Sequence[str]) -> Schema:
        group, _, version = api_version.rpartition("/")
        schemas = self._group(f"apis/{group}/{version}" if group else f"api/{version}")
        wanted = {"group": group, "version": version, "kind": kind}
        found: Any = next(
            (s for s in schemas.values() if wanted in (s.get("x-kubernetes-group-version-kind") or [])), {}
        )
        for part in path:
            found = _whole(found, schemas)
            properties = found.get("properties") or {}
            found = found.get("items") if part.lstrip("-").isdigit() and "items" in found else (
                properties.get(part) or found.get("additionalProperties")
            )  # fmt: skip
            if not isinstance(found, dict):
                return {}
        return _whole(found, schemas)

    def _group(self, name: str) -> Schema:
        if name not in self._groups:
            try:
                answer = self._connection.request_object("GET", f"/openapi/v3/{name}")
                self._groups[name] = answer.get("components", {}).get("schemas", {})
            except errors.ClusterError:  # an account may be kept from it; then texts stay texts
                self._groups[name] = {}
        return self._groups[name]


def _whole(schema: Schema, schemas: Schema) -> Schema:
    """Follows references; those of Kubernetes stand alone, or as the one part of `allOf`."""
    while True:
        parts = schema.get("allOf") or []
        reference = schema.get("$ref") or (parts[0].get("$ref") if len(parts) == 1 else None)
        if not reference:
            return schema
        schema = schemas.get(str(reference).rpartition("/")[2], {})
