"""The part of kubectl's JSONPath that picks values: fields, positions, `[*]` and filters for equality."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from NetLibrary._mechanics.errors import InputError

_ALLOWED = (
    "allowed: fields, positions, [*] and filters, for instance {.status.phase}, {.spec.ports[0].port} "
    'or {.status.conditions[?(@.type=="Ready")].status}'
)
_STEP = re.compile(
    r"\.?(?:(?P<all>\[\*\]|\.\*)|\[(?P<index>-?\d+)\]|\[(?P<quote>['\"])(?P<quoted>.+?)(?P=quote)\]"
    r"|\[\?\(\s*@\.(?P<left>[\w.\\/-]+)\s*(?P<op>==|!=)\s*(?P<right>\"[^\"]*\"|'[^']*'|[\w.-]+)\s*\)\]"
    r"|(?P<name>(?:[\w/-]|\\.)+))"
)


def values(obj: Any, path: str) -> list[Any]:
    r"""Returns the values that a path leads to; none where it leads nowhere.

    Args:
        obj: Object of the API.
        path: Path as `kubectl get -o jsonpath=` takes it; braces and the first dot may be left out.
    Raises:
        InputError: It is no path.

    Example:
        >>> pod = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        >>> values(pod, '{.status.conditions[?(@.type=="Ready")].status}')
        ['True']
        >>> values({"metadata": {"labels": {"a.b/c": "x"}}}, "metadata.labels.a\\.b/c")
        ['x']
    """
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = text.removeprefix("$")
    found, at = [obj], 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None or step.end() == at:
            raise InputError(f"field is '{path}', which is not a valid path from '{text[at:]}' on; {_ALLOWED}.")
        found = [each for one in found for each in _taken(one, step)]
        at = step.end()
    if not text:
        raise InputError(f"field is empty; {_ALLOWED}.")
    return found


def _taken(one: Any, step: re.Match[str]) -> Iterator[Any]:
    if step["all"]:
        yield from one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    elif step["index"]:
        index = int(step["index"])
        if isinstance(one, list) and -len(one) <= index < len(one):
            yield one[index]
    elif step["left"]:
        wanted = step["right"].strip("\"'")
        for each in one if isinstance(one, list) else ():
            seen = [text(value) for value in values(each, step["left"])]
            if (wanted in seen) == (step["op"] == "=="):
                yield each
    else:
        name = step["quoted"] or re.sub(r"\\(.)", r"\1", step["name"])
        if isinstance(one, dict) and name in one:
            yield one[name]


def text(value: Any) -> str:
    """Returns a value as kubectl prints it.

    Example:
        >>> text(True), text(3), text({"a": None})
        ('true', '3', '{"a": null}')
    """
    return value if isinstance(value, str) else json.dumps(value)
