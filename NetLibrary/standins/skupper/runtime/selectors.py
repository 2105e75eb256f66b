"""Label selectors in their text form, equality-based and set-based."""

from __future__ import annotations

import re
from functools import lru_cache

_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")
_EQUAL = re.compile(r"^([^\s!=]+)\s*(==|=|!=)\s*(\S*)$")
Requirement = tuple[str, str, frozenset[str]]


@lru_cache(maxsize=1024)
def parse(text: str) -> tuple[Requirement, ...]:
    """Reads a selector.

    Raises:
        ValueError: It is no selector.

    Example:
        >>> parse("app=web,tier in (a, b)")[0]
        ('app', 'in', frozenset({'web'}))
    """
    found: list[Requirement] = []
    for part in re.split(r",(?![^(]*\))", text):
        part = part.strip()
        if not part:
            continue
        if match := _SET.match(part):
            values = frozenset(value.strip() for value in match[3].split(","))
            found.append((match[1], match[2], values))
        elif match := _EQUAL.match(part):
            found.append((match[1], "notin" if match[2] == "!=" else "in", frozenset({match[3]})))
        elif re.fullmatch(r"!?[^\s!=()]+", part):
            absent = part.startswith("!")
            found.append((part.lstrip("!"), "absent" if absent else "present", frozenset()))
        else:
            raise ValueError(f"'{part}' is no label selector")
    return tuple(found)


def matches(text: str, labels: dict[str, str]) -> bool:
    """Tells whether labels satisfy a selector; an empty one is satisfied by all, a bad one by none."""
    try:
        requirements = parse(text)
    except ValueError:
        return False
    for key, operator, values in requirements:
        if operator == "in" and labels.get(key) not in values:
            return False
        if operator == "notin" and labels.get(key) in values:
            return False
        if operator == "present" and key not in labels:
            return False
        if operator == "absent" and key in labels:
            return False
    return True
