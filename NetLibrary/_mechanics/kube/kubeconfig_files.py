"""The files of a kubeconfig as one, and typed fields of their entries: what is none of what it should be is refused."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE_FIELDS = {
    "apiVersion", "kind", "preferences", "clusters", "users", "contexts", "current-context", "extensions",
}  # fmt: skip


class Unusable(Exception):
    """Why a kubeconfig cannot be used: the entry and its field, without the names of the files."""


@dataclass
class Entry:
    """A named entry with the file that it is from, which relative paths in it refer to."""

    body: Mapping[str, Any]
    file: Path


@dataclass
class Merged:
    """All entries of the files by their names."""

    current: str = ""
    clusters: dict[str, Entry] = field(default_factory=dict)
    users: dict[str, Entry] = field(default_factory=dict)
    contexts: dict[str, Entry] = field(default_factory=dict)


def merge(files: Sequence[Path]) -> Merged:
    """Reads the files in kubectl's order: what the first of them says about a name counts."""
    result = Merged()
    for file in files:
        content = _document(file)
        result.current = result.current or text_of(content, "current-context", f"'{file}'")
        for plural, singular, known in (
            ("clusters", "cluster", result.clusters),
            ("users", "user", result.users),
            ("contexts", "context", result.contexts),
        ):
            for name, body in _named(content, plural, singular, file).items():
                known.setdefault(name, Entry(body, file))
    return result


def _document(file: Path) -> Mapping[str, Any]:
    try:
        content = parsed(file.read_bytes())
    except OSError as error:
        raise Unusable(f"'{file}' cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Unusable(f"'{file}' {error}") from None
    if content is None:  # as for kubectl, an empty file is a kubeconfig without entries
        return {}
    if not isinstance(content, dict):
        raise Unusable(f"'{file}' has no entries such as clusters, users and contexts")
    if content.get("kind", "Config") != "Config":
        raise Unusable(f"'{file}' is a {content['kind']} and not a kubeconfig")
    if (content.get("apiVersion") or "v1") != "v1":
        raise Unusable(f"apiVersion of '{file}' is '{content['apiVersion']}'; kubeconfigs are v1")
    check_fields(content, FILE_FIELDS, f"'{file}'")
    return content


def parsed(text: bytes) -> Any:
    """Returns what a text of JSON or YAML holds, None for an empty one.

    Raises:
        ValueError: It is neither. The words quote nothing of it, because it may hold secrets.
    """
    import yaml

    from NetLibrary._mechanics.kube.yaml_text import Loader

    with contextlib.suppress(ValueError):  # YAML's reader does not take all of JSON: tabs before a key, for instance
        return json.loads(text)
    try:
        documents = [each for each in yaml.load_all(text, Loader=Loader) if each is not None]
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        tab = ", at a tab" if "'\\t'" in str(getattr(error, "problem", "")) else ""
        raise ValueError("is no YAML" + (f" (line {mark.line + 1}{tab})" if mark else "")) from None
    if len(documents) > 1:
        raise ValueError("has several documents, and kubectl reads only the first")
    return documents[0] if documents else None


def _named(content: Mapping[str, Any], plural: str, singular: str, file: Path) -> dict[str, Mapping[str, Any]]:
    entries = content.get(plural) or []
    if not isinstance(entries, list):
        raise Unusable(f"'{plural}' of '{file}' is not a list")
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        body = entry.get(singular) if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(body, (dict, type(None))):
            raise Unusable(f"'{plural}' of '{file}' has an incomplete entry: it needs 'name' and '{singular}'")
        name = text_of(entry, "name", f"an entry of '{plural}' in '{file}'")
        if name in found:
            raise Unusable(f"'{plural}' of '{file}' has '{name}' twice")
        found[name] = body or {}
    return found


def check_fields(body: Mapping[str, Any], known: set[str], where: str) -> None:
    """Refuses fields that nothing here would honour."""
    unknown = sorted(str(key) for key in body if key not in known)
    if unknown:
        raise Unusable(f"{where} has the field '{unknown[0]}', which is unknown; known are {', '.join(sorted(known))}")


def text_of(body: Mapping[Any, Any], key: Any, where: str) -> str:
    """Returns a text, empty when it is not there."""
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise Unusable(f"{key} of {where} is not text; put it in quotes")
    return value or ""


def texts_of(body: Mapping[Any, Any], key: Any, where: str) -> list[str]:
    """Returns a list of texts, empty when it is not there."""
    values = body.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Unusable(f"{key} of {where} is not a list of texts")
    return values


def flag_of(body: Mapping[str, Any], key: str, where: str) -> bool:
    """Returns a truth value, false when it is not there."""
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        raise Unusable(f"{key} of {where} is neither true nor false")
    return bool(value)


def content_of(entry: Entry, key: str, where: str) -> str:
    """Returns the PEM text that a field names as a file, or the field with `-data` behind it holds."""
    file, data = text_of(entry.body, key, where), text_of(entry.body, f"{key}-data", where)
    if file and data:
        raise Unusable(f"{where} has both {key} and {key}-data; only one of them can apply")
    try:
        if data:
            pem = base64.b64decode("".join(data.split()), validate=True)
        else:
            pem = beside(entry, file).read_bytes() if file else b""
        return pem.decode("ascii", "ignore")  # around its blocks, any text in any encoding is a comment
    except ValueError:
        raise Unusable(f"{key}-data of {where} is not base64") from None
    except OSError as error:
        raise Unusable(f"{key} of {where} is '{beside(entry, file)}': {error.strerror}") from None


def beside(entry: Entry, path: str) -> Path:
    """Returns a path that may be relative to the file of its entry."""
    return entry.file.absolute().parent / path
