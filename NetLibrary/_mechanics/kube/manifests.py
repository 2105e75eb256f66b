"""Reads manifests: YAML documents with place holders that have defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube.yaml_text import Loader

# What has to be a text, and is read as a number where somebody left the quotes out
_TEXTS = ("apiVersion", "kind", "metadata.name", "metadata.generateName", "metadata.namespace")
_TABLES = ("metadata", "metadata.labels", "metadata.annotations")
_PLACE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def load(path: Path, variables: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Returns the objects of a file.

    Args:
        path: YAML file with one or more documents.
        variables: Values for the place holders `${NAME}` and `${NAME:-default}`; case does not matter.
    Raises:
        InputError: The file is missing or no YAML, a place holder has neither value nor default, or a variable
            belongs to no place holder.
    """
    return parse(text_of(path), variables, str(path))


def text_of(path: Path) -> str:
    """Returns the text of a file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"The manifest '{path}' cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The manifest '{path}' is not a text file in UTF-8.") from error


def override(objects: list[dict[str, Any]], changes: Mapping[str, Any], origin: str = "manifest") -> None:
    """Sets fields of objects in place.

    Args:
        objects: Objects of a manifest.
        changes: Values by `Kind.path.to.field`; numbers are positions in lists. All objects of the kind get the value.
        origin: Name of the manifest for messages.
    Raises:
        InputError: No object is of that kind, or its path leads nowhere.
    """
    for where, value in changes.items():
        kind, *path = where.split(".")
        targets = [obj for obj in objects if obj["kind"] == kind]
        if not targets or not path:
            kinds = ", ".join(sorted({obj["kind"] for obj in objects}))
            raise InputError(
                f"'{where}' matches nothing in the manifest '{origin}'; write Kind.field; its kinds are {kinds}."
            )
        for obj in targets:
            _set(obj, path, value, where)


def _set(target: Any, path: list[str], value: Any, where: str) -> None:
    *parents, last = path
    for part in parents:
        try:
            target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
        except (ValueError, IndexError, AttributeError):
            raise InputError(f"'{where}' is not a valid path: there is no '{part}'.") from None
    try:
        if isinstance(target, list):
            target[int(last)] = value
        else:
            target[last] = value
    except (ValueError, IndexError, TypeError):
        raise InputError(f"'{where}' is not a valid path: there is no '{last}'.") from None


def parse(text: str, variables: Mapping[str, Any] | None = None, origin: str = "manifest") -> list[dict[str, Any]]:
    """Does what `load` does, for text."""
    return read(fill(text, variables, origin), origin)


def places(text: str) -> set[str]:
    """Returns the names of a text's place holders."""
    return {match[1] for match in _PLACE.finditer(text)}


def fill(text: str, variables: Mapping[str, Any] | None = None, origin: str = "manifest") -> str:
    """Returns a text with values in its place holders; see `load`."""
    values = {key.lower(): str(value) for key, value in (variables or {}).items()}
    used: set[str] = set()

    def value(match: re.Match[str]) -> str:
        name = match[1].lower()
        used.add(name)
        if name in values:
            return values[name]
        if match[2] is None:
            raise InputError(f"The manifest '{origin}' needs a value for '{match[1]}'.")
        return match[2]

    filled = _PLACE.sub(value, text)
    unknown = sorted(set(values) - used)
    if unknown:
        have = ", ".join(sorted(places(text))) or "none"
        raise InputError(
            f"The manifest '{origin}' has no placeholder for {', '.join(unknown)}; its placeholders are {have}."
        )
    return filled


def read(filled: str, origin: str = "manifest") -> list[dict[str, Any]]:
    """Returns the objects of a text without place holders; see `load`."""
    try:
        documents = [document for document in yaml.load_all(filled, Loader=Loader) if document]
    except yaml.YAMLError as error:
        raise InputError(f"The manifest '{origin}' is not valid YAML: {' '.join(str(error).split())}.") from error
    objects = [obj for document in documents for obj in _items(document)]
    for obj in objects:
        if not isinstance(obj, dict) or not obj.get("kind") or not obj.get("apiVersion"):
            raise InputError(f"The manifest '{origin}' contains a document without 'apiVersion' and 'kind'.")
        obj["metadata"] = obj.get("metadata") or {}
        check(obj, f"The manifest '{origin}'")
    if not objects:
        raise InputError(f"The manifest '{origin}' contains no object.")
    return objects


def is_list(kind: Any, items: Any, *, given: bool) -> bool:
    """Tells whether an object is none itself but a list of objects, as `kubectl get --output yaml` prints it.

    Args:
        kind: Its kind.
        items: Its items, None for those that are null or not given.
        given: Whether it has the field: what is called a list may be something else, a plain `List` is none.
    """
    return (given or kind == "List") and str(kind).endswith("List") and isinstance(items, (list, type(None)))


def _items(document: Any) -> Iterator[Any]:
    fields = document if isinstance(document, dict) else {}
    if not is_list(fields.get("kind"), fields.get("items"), given="items" in fields):
        yield document
        return
    # The items of a ConfigMapList need not say once more what they are
    kind = document["kind"].removesuffix("List")
    same = {"apiVersion": document.get("apiVersion"), "kind": kind} if kind else {}
    for item in document.get("items") or []:
        yield from _items({**same, **item} if isinstance(item, dict) else item)


def check(obj: Mapping[str, Any], origin: str) -> None:
    """Refuses an object that cannot be sent: a number where a name belongs, a value that JSON does not know.

    Raises:
        InputError: It is such an object; the text names the field.
    """
    for path in _TEXTS:
        value = _at(obj, path)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{origin} has the {path} {value!r}, which is not text; put it in quotes.")
    for path in _TABLES:
        value = _at(obj, path)
        if value is not None and not isinstance(value, Mapping):
            raise InputError(f"{origin} has the {path} {value!r}; it must be a dictionary of keys and values.")
    check_json(obj, f"{origin} has a {obj['kind']} with")


def check_json(value: Any, begin: str) -> None:
    """Refuses what JSON does not know, such as a set, bytes, or a dictionary that holds itself.

    Raises:
        InputError: It is such a value; the text starts with `begin`.
    """
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{begin} a value that JSON does not know: {str(error).rstrip('.')}.") from None


def _at(obj: Mapping[str, Any], path: str) -> Any:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
