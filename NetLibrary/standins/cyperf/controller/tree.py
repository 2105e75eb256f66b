"""The configuration tree of a session: addressing, links, and changes by REST verbs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from . import defaults

# Objects that the published model declares without links: they always travel inside their parent.
VALUES = frozenset(
    {
        "networkTags", "DUTConnections", "NetworkMapping", "DefaultNetworkMapping", "captureSettings",
        "nameServers", "EffectivePorts", "AdvancedSettings", "SecondaryObjective", "DNSServer",
        "ByTag", "interfaces", "ClientTcpProfile", "ServerTcpProfile", "ConfigValidation",
        "ClientNetworkTags", "ServerNetworkTags",
    }
)  # fmt: skip


class TreeError(Exception):
    """A path or change that the tree refuses.

    Args:
        status: HTTP status of the answer.
        message: Sentence for the body.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def link(rel: str, name: str, href: str) -> dict[str, Any]:
    """Returns a link in the controller's form."""
    return {
        "rel": rel,
        "type": "self" if rel == "self" else "",
        "name": name,
        "href": href,
        "method": "GET",
        "contentType": "application/json",
        "referencesCount": 0,
    }


def _is_resource(name: str, value: object) -> bool:
    if name in VALUES:
        return False
    return isinstance(value, (dict, list))


def render(node: Any, href: str, include: frozenset[str], links: bool = True) -> Any:
    """Returns `node` as the interface shows it.

    Args:
        node: Object, list or scalar of the tree.
        href: Path of the node below the host.
        include: Names of children to show inside; `all` shows every one. Others appear as links.
        links: Whether objects carry their `links`.
    """
    if isinstance(node, list):
        return [
            render(item, f"{href}/{item.get('id', index + 1)}" if isinstance(item, dict) else href, include, links)
            for index, item in enumerate(node)
        ]
    if not isinstance(node, dict):
        return node
    shown: dict[str, Any] = {}
    made = [link("self", "", href)]
    for name, value in node.items():
        if not _is_resource(name, value):
            shown[name] = value
            continue
        made.append(link("child", name, f"{href}/{name}"))
        if "all" in include or name in include:
            shown[name] = render(value, f"{href}/{name}", include, links)
    if links:
        shown["links"] = made
    return shown


def walk(node: Any, path: Iterable[str]) -> Any:
    """Returns the node at `path`.

    Raises:
        TreeError: When a step does not exist (404).
    """
    for step in path:
        if isinstance(node, dict) and step in node:
            node = node[step]
        elif isinstance(node, list):
            node = next((item for item in node if isinstance(item, dict) and str(item.get("id")) == step), None)
        else:
            node = None
        if node is None:
            raise TreeError(404, f"Resource not found: '{step}'.")
    return node


def _fresh_id(items: list[Any]) -> str:
    numbers = [int(item["id"]) for item in items if isinstance(item, dict) and str(item.get("id", "")).isdigit()]
    return str(max(numbers, default=0) + 1)


def complete(list_name: str, identifier: str, item: dict[str, Any]) -> dict[str, Any]:
    """Returns `item` with the defaults of its list filled in and the given id."""
    made = defaults.merged(defaults.template(list_name, identifier), item)
    made["id"] = identifier
    _complete_children(made)
    return made


def _complete_children(node: dict[str, Any]) -> None:
    for name, value in node.items():
        if isinstance(value, list) and name not in VALUES and any(isinstance(item, dict) for item in value):
            node[name] = list(_completed_items(name, value))
        elif isinstance(value, dict) and name not in VALUES:
            value.pop("links", None)
            _complete_children(value)


def _completed_items(name: str, items: list[Any]) -> Iterator[Any]:
    used: set[str] = set()
    for item in items:
        if not isinstance(item, dict):
            yield item
            continue
        identifier = str(item.get("id") or "")
        if not identifier or identifier in used:
            identifier = _fresh_id([{"id": each} for each in used])
        used.add(identifier)
        yield complete(name, identifier, item)


def post(items: list[Any], list_name: str, item: dict[str, Any]) -> dict[str, Any]:
    """Appends an item under a fresh id: clients send ids that exist already."""
    made = complete(list_name, _fresh_id(items), item)
    items.append(made)
    return made


def patch(node: Any, change: Any) -> None:
    """Lays `change` over `node`; lists of objects are replaced, items found by id keep the rest.

    Raises:
        TreeError: For a node that cannot be patched (405: use PUT) or a body that is no object (400).
    """
    if not isinstance(node, dict):
        raise TreeError(405, "This resource cannot be patched.")
    if not isinstance(change, dict):
        raise TreeError(400, "Expected a JSON object.")
    for name, value in change.items():
        if value is None or name == "links":
            continue
        present = node.get(name)
        if isinstance(value, dict) and isinstance(present, dict):
            patch(present, value)
        elif isinstance(value, list) and name not in VALUES and all(isinstance(item, dict) for item in value):
            node[name] = _patched_list(name, present if isinstance(present, list) else [], value)
        else:
            node[name] = value


def _patched_list(name: str, present: list[Any], items: list[dict[str, Any]]) -> list[Any]:
    by_id = {str(item.get("id")): item for item in present if isinstance(item, dict)}
    result: list[Any] = []
    for item in items:
        known = by_id.get(str(item.get("id")))
        if known is None:
            result.append(item)
        else:
            patch(known, item)
            result.append(known)
    return list(_completed_items(name, result))


def delete(parent: Any, identifier: str) -> None:
    """Removes one item of a list.

    Raises:
        TreeError: When it is not there (404) or the parent is no list (405).
    """
    if not isinstance(parent, list):
        raise TreeError(405, "Only items of a list can be deleted.")
    item = walk(parent, [identifier])
    parent.remove(item)
