"""YAML with the values that kubectl reads out of it: Python's reader would take a date for more than a text."""

from __future__ import annotations

import re
from typing import Any

import yaml

_INTEGER = r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)"
_FLOAT = (
    r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)


class Loader(yaml.SafeLoader):
    """Reads YAML as kubectl does: a date and a time such as `10:30` stay texts, `0o644` is a number."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag.rpartition(":")[2] not in ("timestamp", "int", "float")]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(f"{_INTEGER}$"), list("-+0123456789"))
Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"{_FLOAT}$"), list("-+0123456789."))


def _text(loader: Any, node: Any) -> str:
    return str(loader.construct_scalar(node))


def _bytes_as_text(loader: Any, node: Any) -> str:
    return str(loader.construct_yaml_binary(node).decode("utf-8", "replace"))


Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)
Loader.add_constructor("tag:yaml.org,2002:binary", _bytes_as_text)


def value_of(text: str) -> Any:
    """Returns the value that a text of YAML or JSON stands for.

    Raises:
        yaml.YAMLError: It is neither.
    """
    return yaml.load(text, Loader=Loader)  # a safe one
