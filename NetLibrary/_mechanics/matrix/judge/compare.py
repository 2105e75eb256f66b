"""Compares a run with an earlier one, cell by cell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.matrix.model.types import Table

Key = tuple[str, str, str, str]
# A latency counts as changed from this factor and this many milliseconds on
FACTOR, LEAST_MS = 3.0, 2.0


@dataclass(frozen=True)
class Change:
    """One cell that differs.

    Args:
        kind: `broken`, `repaired`, `changed`, `slower`, `faster`, `missing`, `new`, or `fact`: what Kubernetes leaves
            to the implementation is not as it was.
        key: Case, source, target, protocol.
        before: What the earlier run saw.
        now: What this run saw.
    """

    kind: str
    key: Key
    before: str
    now: str


def read_cells(path: Path) -> list[dict[str, Any]]:
    """Cells of a `matrix.json`.

    Raises:
        InputError: It is not there or not such a file.
    """
    try:
        loaded = json.loads(path.read_text())
        cells = loaded["cells"]
        return [dict(cell) for cell in cells]
    except FileNotFoundError:
        raise InputError(f"The file '{path}' in 'baseline' does not exist; give the matrix.json of a run.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"The file '{path}' in 'baseline' is not a matrix.json file: {error}.") from error


def cells_of(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Cells of this run in the form of the file."""
    return [{"case": table.case, **cell.as_json()} for table in tables for cell in table.cells]


def _key(cell: dict[str, Any]) -> Key:
    if cell["case"] == "endless":  # its name in runs before this version
        return "no endpoints", cell["source"], "no-endpoints", cell["protocol"]
    return cell["case"], cell["source"], cell["target"], cell["protocol"]


def _words(cell: dict[str, Any]) -> str:
    who = ", ".join(sorted(cell["responders"]))
    if cell.get("fact"):
        return str(cell["fact"])
    text = cell["outcome"] + (f" by {who}" if who else "") + ("" if cell["right"] else " (wrong)")
    return text + (f", {cell['latency_ms']:.1f} ms" if cell.get("latency_ms") is not None else "")


def compare(before: Iterable[dict[str, Any]], now: Iterable[dict[str, Any]]) -> list[Change]:
    """Returns the cells that differ, the broken ones first.

    Cases that only one of the runs has are left out; who answers is compared only where one single pod may.
    """
    old, new = {_key(c): c for c in before}, {_key(c): c for c in now}
    both = {k[0] for k in old} & {k[0] for k in new}
    changes = []
    for key in {**old, **new}:
        if key[0] not in both:
            continue
        a, b = old.get(key), new.get(key)
        if a is None or b is None:
            changes.append(
                Change("new" if a is None else "missing", key, _words(a) if a else "-", _words(b) if b else "-")
            )
        elif kind := _difference(a, b):
            changes.append(Change(kind, key, _words(a), _words(b)))
    order = ("broken", "missing", "changed", "slower", "fact", "repaired", "faster", "new")
    return sorted(changes, key=lambda c: (order.index(c.kind), c.key))


def _difference(a: dict[str, Any], b: dict[str, Any]) -> str:
    if a["right"] != b["right"]:
        return "repaired" if b["right"] else "broken"
    if a.get("fact") or b.get("fact"):
        return "fact" if a.get("fact", "") != b.get("fact", "") and "fact" in a else ""
    if a["outcome"] != b["outcome"]:
        return "changed"
    single = len(a["responders"]) == 1 == len(b["responders"]) and a["expected"] == b["expected"]
    if (
        single
        and set(a["responders"]) != set(b["responders"])
        and " and " not in a["expected"]
        and "," not in a["expected"]
    ):
        return "changed"
    one, other = a.get("latency_ms"), b.get("latency_ms")
    if one and other and abs(other - one) >= LEAST_MS:
        if other > one * FACTOR:
            return "slower"
        if one > other * FACTOR:
            return "faster"
    return ""
