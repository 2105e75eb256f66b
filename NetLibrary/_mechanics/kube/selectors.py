"""Label selectors in the form that objects carry: `matchLabels` and `matchExpressions`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Tells whether a label selector matches; an empty one matches everything, a missing one nothing."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or []:
        key, operator, values = term["key"], term["operator"], term.get("values") or []
        fits = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[operator]
        if not fits:
            return False
    return True


def text(selector: Mapping[str, Any]) -> str:
    """Returns a label selector as kubectl and the API take it.

    Example:
        >>> text({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]})
        'app=web,tier in (a,b)'
    """  # noqa: E501
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for term in selector.get("matchExpressions") or []:
        key, values = term["key"], ",".join(term.get("values") or [])
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[term["operator"]]
        )
    return ",".join(parts)


def parse(selector: str) -> dict[str, Any] | None:
    """Reads a label selector as kubectl takes it; None when it is none.

    Example:
        >>> parse("app=web,tier in (a, b),!old")["matchExpressions"][1]
        {'key': 'tier', 'operator': 'In', 'values': ['a', 'b']}
    """
    terms: list[dict[str, Any]] = []
    for part in re.split(r",(?![^(]*\))", selector):
        found = _TERM.fullmatch(part.strip())
        if found is None:
            return None
        key, values = found["key"], [value.strip() for value in (found["values"] or "").split(",")]
        if found["set"]:
            terms.append({"key": key, "operator": {"in": "In", "notin": "NotIn"}[found["set"]], "values": values})
        elif found["equal"]:
            operator = "NotIn" if found["equal"] == "!=" else "In"
            terms.append({"key": key, "operator": operator, "values": [found["value"]]})
        else:
            terms.append({"key": key, "operator": "DoesNotExist" if found["not"] else "Exists"})
    return {"matchExpressions": terms}


_TERM = re.compile(
    r"(?P<not>!)?(?P<key>[\w./-]+)(?:\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)|\s*(?P<equal>==|=|!=)\s*(?P<value>[\w.-]*))?"
)
