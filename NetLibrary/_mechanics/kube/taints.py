"""Taints of nodes, in kubectl's notation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from NetLibrary._mechanics.errors import InputError

Taint = dict[str, Any]
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TAINT = re.compile(r"(?P<key>[\w./-]+)(?:=(?P<value>[\w.-]*))?(?::(?P<effect>\w+))?")


def parse(text: str, *, effect_needed: bool = True) -> Taint:
    """Reads a taint as kubectl takes it.

    Args:
        text: `key=value:Effect` or `key:Effect`; to take taints away also `key`, with or without a `-` behind it.
        effect_needed: Whether a key alone is too little.
    Raises:
        InputError: It is no taint.

    Example:
        >>> parse("role=test:NoSchedule")
        {'key': 'role', 'value': 'test', 'effect': 'NoSchedule'}
        >>> parse("role-", effect_needed=False)
        {'key': 'role'}
    """
    found = _TAINT.fullmatch(text.strip() if effect_needed else text.strip().removesuffix("-"))
    if found is None or (effect_needed and not found["effect"]) or (found["effect"] or EFFECTS[0]) not in EFFECTS:
        shape = "key=value:Effect or key:Effect" if effect_needed else "key, key:Effect or key=value:Effect"
        raise InputError(f"taint is '{text}'; allowed: {shape}, with an effect of {', '.join(EFFECTS)}.")
    return {part: value for part, value in found.groupdict().items() if value}


def with_taint(present: Sequence[Taint], taint: Taint) -> list[Taint]:
    """Returns a node's taints with one more; it takes the place of one with the same key and effect."""
    return [*(each for each in present if _identity(each) != _identity(taint)), taint]


def without_taint(present: Sequence[Taint], taint: Taint) -> list[Taint]:
    """Returns a node's taints without those that have the given key, and effect and value where these are given."""
    return [each for each in present if any(each.get(part) != value for part, value in taint.items())]


def undone(present: Sequence[Taint], was: Sequence[Taint], now: Sequence[Taint]) -> list[Taint]:
    """Returns a node's taints after a change to them is taken back, those that came meanwhile included.

    Kubernetes itself sets and removes taints, for instance of a node that is not ready.

    Args:
        present: As they are.
        was: As they were before the change.
        now: As the change made them.

    Example:
        >>> undone([{"key": "a"}, {"key": "new"}], was=[{"key": "b"}], now=[{"key": "a"}])
        [{'key': 'new'}, {'key': 'b'}]
    """
    before, after = {_identity(each): each for each in was}, {_identity(each): each for each in now}
    changed = [each for each in {**before, **after} if before.get(each) != after.get(each)]
    kept = [each for each in present if _identity(each) not in changed]
    return [*kept, *(before[each] for each in changed if each in before)]


def _identity(taint: Taint) -> tuple[Any, Any]:
    return taint.get("key"), taint.get("effect")


def text(taint: Taint) -> str:
    """Returns a taint in kubectl's notation.

    Example:
        >>> text({"key": "role", "value": "test", "effect": "NoSchedule"})
        'role=test:NoSchedule'
    """
    return str(taint.get("key")) + (f"={taint['value']}" if taint.get("value") else "") + f":{taint.get('effect')}"
