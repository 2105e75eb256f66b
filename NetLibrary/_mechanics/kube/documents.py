"""Objects to apply, from files, folders, texts and dictionaries; each knows where it was written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import manifests, service_types
from NetLibrary._mechanics.kube.yaml_text import Loader

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Object = dict[str, Any]
SUFFIXES = (".yaml", ".yml", ".json")
# `spec.template.spec.containers[0].image`, `.spec.ports[name="web"].port`, unknown field "kidn"
_FIELD = re.compile(r'[A-Za-z]\w*(?:\.[\w/-]+|\[[^\]]*\])+|(?<=field ")\w+')
_STEP = re.compile(r'\[(?:(?P<key>\w+)="(?P<value>[^"]*)"|(?P<index>\d+))[^\]]*\]|(?P<name>[\w/-]+)')


@dataclass
class Document:
    """One object to apply.

    Args:
        obj: The object.
        origin: File it is from; empty for dictionaries.
        node: What the YAML reader saw of it, with lines; None for dictionaries.
    """

    obj: Object
    origin: str = ""
    node: yaml.Node | None = None

    @property
    def name(self) -> str:
        """`Kind/name`."""
        return f"{self.obj['kind']}/{self.obj['metadata'].get('name', '?')}"

    def place(self, message: str) -> str:
        """Returns where a field is written that a message of the API server names: file and line, as far as known."""
        if self.node is None:
            return self.origin
        found = [place for field in _FIELD.findall(message) if (place := _line(self.node, field))]
        line = max(found)[1] if found else self.node.start_mark.line + 1
        return f"{self.origin}, line {line}"


def _line(node: yaml.Node, field: str) -> tuple[int, int] | None:
    """Returns how much of a field's path a document has, and the line of the last part that it has."""
    steps = list(_STEP.finditer(field))
    for skipped in (0, 1):  # Go's messages put the name of a type before the path
        depth, at, line = 0, node, 0
        for step in steps[skipped:]:
            child = _child(at, step)
            if child is None:
                break
            depth, (at, line) = depth + 1, child
        if depth:
            return (depth, line)
    return None


def _child(node: yaml.Node, step: re.Match[str]) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode) and step["name"]:
        for key, value in node.value:
            if key.value == step["name"]:
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            by_key = step["key"] and any(
                k.value == step["key"] and v.value == step["value"] for k, v in getattr(value, "value", [])
            )
            if by_key or (step["index"] and int(step["index"]) == index):
                return value, value.start_mark.line + 1
    return None


# --- reading ------------------------------------------------------------------------------------------------


def of_path(path: Path, variables: Mapping[str, Any]) -> list[Document]:
    """Returns the objects of a file, or of all YAML and JSON files of a folder in the order of their names.

    Args:
        path: File or folder.
        variables: Values for place holders. In a folder, each file takes those that it has places for.
    Raises:
        InputError: Something of it cannot be read, or no file has a place for a variable.
    """
    if not Path(path).is_dir():
        return of_text(manifests.text_of(path), variables, str(path))
    files = sorted(each for each in Path(path).iterdir() if each.suffix in SUFFIXES and each.is_file())
    if not files:
        raise errors.InputError(f"The folder '{path}' has no file that ends in {', '.join(SUFFIXES)}.")
    texts = {file: manifests.text_of(file) for file in files}
    places = {file: {place.lower() for place in manifests.places(text)} for file, text in texts.items()}
    unknown = sorted(key for key in variables if all(key.lower() not in each for each in places.values()))
    if unknown:
        raise errors.InputError(f"No manifest in '{path}' has a placeholder for {', '.join(unknown)}.")
    found = []
    for file, text in texts.items():
        fitting = {key: value for key, value in variables.items() if key.lower() in places[file]}
        found += of_text(text, fitting, str(file))
    return found


def of_text(text: str, variables: Mapping[str, Any], origin: str = "manifest") -> list[Document]:
    """Returns the objects of a text with one or more YAML documents."""
    filled = manifests.fill(text, variables, origin)
    objects = manifests.read(filled, origin)
    nodes = list(_nodes(filled))
    for node in nodes:
        _refuse_twins(node, origin)
    return [Document(obj, origin, node) for obj, node in zip(objects, nodes, strict=True)]


def of_objects(objects: Sequence[Mapping[str, Any]]) -> list[Document]:
    """Returns objects that are given as dictionaries."""
    for obj in objects:
        if not isinstance(obj, Mapping) or not obj.get("kind") or not obj.get("apiVersion"):
            raise errors.InputError("An object to apply is a dictionary with 'apiVersion' and 'kind'.")
        manifests.check(obj, "An object to apply")
    return [Document({**obj, "metadata": dict(obj.get("metadata") or {})}) for obj in objects]


def _nodes(text: str) -> Iterator[yaml.Node]:
    for node in yaml.compose_all(text, Loader=Loader):
        if isinstance(node, yaml.MappingNode) and node.value:
            yield from _items(node)


def _items(node: yaml.Node) -> Iterator[yaml.Node]:
    """Does for what the YAML reader saw what `manifests.read` does for its values."""
    parts = {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}
    items: Any = parts.get("items")
    null = items is None or items.tag.endswith(":null")
    found = items.value if isinstance(items, yaml.SequenceNode) else None if null else items
    if manifests.is_list(getattr(parts.get("kind"), "value", ""), found, given="items" in parts):
        for each in found or []:
            yield from _items(each)
    else:
        yield node


def _refuse_twins(node: yaml.Node, origin: str) -> None:
    """Refuses a key that stands twice in one place, of which YAML's reader would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[Any, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise errors.InputError(
                    f"{origin}, line {line}: duplicate key '{key.value}'; it is already in line {seen[key.value]}."
                )
            seen[key.value] = line
            _refuse_twins(value, origin)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_twins(value, origin)


# --- applying -----------------------------------------------------------------------------------------------


def chosen(cluster: Cluster, documents: Sequence[Document], only: str) -> list[Document]:
    """Returns the objects that are named as `Kind/name`, separated by commas.

    Raises:
        InputError: There is no such object.
    """
    result = []
    for word in (part.strip() for part in only.split(",")):
        kind, slash, name = word.partition("/")
        fitting = [
            each
            for each in documents
            if slash and each.obj["metadata"].get("name") == name and _is(cluster, each.obj, kind)
        ]
        if not fitting:
            have = ", ".join(each.name for each in documents)
            raise errors.InputError(f"only is '{word}'; allowed: objects of the manifest: {have}.")
        result += fitting
    return result


def _is(cluster: Cluster, obj: Object, kind: str) -> bool:
    return obj["kind"].lower() == kind.lower() or cluster.resources.find(kind).kind == obj["kind"]


def apply(
    cluster: Cluster,
    documents: Sequence[Document],
    *,
    namespace: str | None,
    changes: Mapping[str, Any],
    allow_foreign: bool = False,
    lesser_service_types: bool = False,
) -> list[str]:
    """Applies objects, one after the other.

    Args:
        cluster: Where.
        documents: Which ones.
        namespace: Namespace for those that live in one.
        changes: Values by `Kind.path.to.field`; texts become what the cluster's schema says of the field.
        allow_foreign: Whether an object that others made may be changed; it is put back at the end of the run.
        lesser_service_types: Whether a Service whose type is refused becomes one of the next lesser type.
    Returns:
        The objects as `Kind/name`.
    Raises:
        Invalid: The API server refused an object; the text says where it is written.
    """
    objects = [each.obj for each in documents]
    typed = {where: _typed(cluster, objects, where, value) for where, value in changes.items()}
    manifests.override(objects, typed, documents[0].origin or "objects" if documents else "objects")
    for each in documents:
        if namespace and cluster.resources.of(each.obj).namespaced:
            each.obj["metadata"]["namespace"] = namespace
        try:
            if lesser_service_types and each.obj["kind"] == "Service":
                service_types.apply(cluster, each.obj, cluster.say, allow_foreign=allow_foreign)
            else:
                cluster.apply(each.obj, allow_foreign=allow_foreign)
        except errors.Invalid as error:
            place = each.place(str(error))
            if not place:
                raise
            raise errors.Invalid(f"{place}: {error}", status=error.status, reason=error.reason) from error
    return [each.name for each in documents]


def _typed(cluster: Cluster, objects: Sequence[Object], where: str, value: Any) -> Any:
    kind, *path = where.split(".")
    obj = next((each for each in objects if each["kind"] == kind), None)
    if not isinstance(value, str) or obj is None:
        return value
    return cluster.schemas.typed(obj["apiVersion"], kind, path, value, where)
