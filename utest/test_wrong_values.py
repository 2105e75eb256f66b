"""Every typed argument of every keyword, given a value that makes no sense: the text says which, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from robot.api import Error
from robot.running.testlibraries import TestLibrary as Imported

from NetLibrary.keywords._session import Session
from NetLibrary.types import CONVERTERS, Percentage

WRONG = "?wrong?"
# Types that take any text
OPEN = {"str", "Any", "Path", "object", "Mapping", "dict", "Sequence", "list", "None", "Secret"}
# What Robot itself says about its own types is enough: their names say what is allowed
OWN_WORDS = {
    "int": "converted to integer", "float": "converted to float", "timedelta": "converted to timedelta",
    "bool": "converted to boolean", "datetime": "converted to datetime",
}  # fmt: skip
# Robot lists the values of a Literal behind these words
ALLOWED = ("converted to '", "Available:", "Give ", "is one of", "for instance", "allowed", "is a number")
# Robot names the types alone; the documentation of each keyword has their forms
NAMED_ONLY = {"Set CyPerf Objective: value", "Start Break Measurement: limits", "Start Outage Measurement: limits"}


@cache
def typed() -> dict[str, tuple[str, Any]]:
    """Returns arguments with a type that not every text fits, by keyword and name."""
    found = {}
    for keyword in Imported.from_name("NetLibrary").keywords:
        for name, kind in (keyword.args.types or {}).items():
            if name != "return" and kind is not None:
                found[f"{keyword.name}: {name}"] = (name, kind)
    return found


def messages() -> Iterator[tuple[str, str, Any]]:
    for place, (name, kind) in typed().items():
        parts = kind.nested if kind.is_union else (kind,)
        if any(part.name in OPEN for part in parts if part.type is not type(None)):
            continue
        try:
            kind.convert(WRONG, name=name, custom_converters=CONVERTERS)
        except ValueError as error:
            yield place, str(error), kind
        except TypeError:  # a result of ours, which no text becomes
            continue
        else:
            yield place, "", kind


def test_there_are_typed_arguments() -> None:
    assert len(typed()) > 400


def test_no_wrong_value_is_taken() -> None:
    """A word where a switch belongs stays a word for Robot; the library refuses it when the suite begins."""
    assert [place for place, text, kind in messages() if not text and "bool" not in str(kind)] == []


def test_texts_name_the_argument_and_what_is_allowed() -> None:
    silent = [
        (place, text)
        for place, text, kind in messages()
        if text
        and place not in NAMED_ONLY
        and not (
            place.rpartition(": ")[2] in text
            and (any(word in text for word in ALLOWED) or any(words in text for words in OWN_WORDS.values()))
        )
    ]
    assert silent == []


@pytest.mark.parametrize("kind", CONVERTERS, ids=lambda kind: kind.__name__)
def test_converters_explain_themselves_in_libdoc(kind: Any) -> None:
    assert len((CONVERTERS[kind].__doc__ or kind.__doc__ or "").split()) > 5


NONSENSE = {
    "connections": [-1, 0], "server_port": [-1, 70000], "destination_port": [-1, 70000],
    "above": [-1, 0, 70000], "pods_per_node": [-1, 0], "in_flight": [-1, 0], "host_port": [-1, 0, 70000],
    "outside_port": [-1, 70000], "count": [-1], "last_lines": [-1], "to_revision": [-1], "user": [-1, 2**31],
    "family": [-1, 0, 5], "at_least": [-1, float("nan"), float("inf")], "retransmits_at_most": [-1],
    "requests_per_second": [float("nan"), float("inf")], "multiple_at_most": [float("nan")], "denied_at_most": [-1],
    "denied_at_least": [-1], "failed_at_most": [Percentage(101)], "share": [Percentage(101)],
}  # fmt: skip


@pytest.mark.parametrize("name", NONSENSE)
def test_number_that_no_keyword_can_mean_is_refused_before_anything_is_connected_to(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`at_least=nan` failed every measurement, `failed_at_most=101 %` none; `pods_per_node=-1` connected first."""

    def connected(*_: Any, **__: Any) -> None:
        raise AssertionError("it connects to a cluster first")

    monkeypatch.setattr(Session, "cluster", connected)
    seen = []
    for keyword in Imported.from_name("NetLibrary").keywords:
        types, positional = keyword.args.types or {}, list(keyword.args.positional_or_named)
        kind = types.get(name)
        if (keyword.name, name) == ("Throughput Should Be At Least Share", "share"):
            continue  # a former name of `at_least`, which may be more than all
        if kind is None or "deprecated" in keyword.tags or keyword.doc.startswith("*DEPRECATED"):
            continue
        fits = NONSENSE[name] if str(kind) in ("int", "float", "Percentage") else []
        for value in (v for v in fits if isinstance(v, Percentage) == (str(kind) == "Percentage")):
            given = dict.fromkeys((a for a in positional if a not in keyword.args.defaults), "1")
            given |= dict.fromkeys((a for a in keyword.args.named_only if a not in keyword.args.defaults), "1")
            with pytest.raises(Error, match=rf"^{name} is .*; (?:allowed|must|it|at)"):
                keyword.method(**{**given, name: value})
            seen.append(keyword.name)
    assert seen


# Where a text says which object or place is meant
NAMING = {
    "namespace",
    "name",
    "node",
    "pod",
    "service",
    "host",
    "target",
    "url",
    "alias",
    "suite",
    "nodes",
    "namespaces",
}


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_name_is_refused_before_anything_is_connected_to(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that nobody had set reached the cluster: an empty namespace, for instance, is all of them."""

    def connected(*_: Any, **__: Any) -> None:
        raise AssertionError("it connects to a cluster first")

    monkeypatch.setattr(Session, "cluster", connected)
    seen = set()
    for keyword in Imported.from_name("NetLibrary").keywords:
        types, defaults = keyword.args.types or {}, keyword.args.defaults
        if "deprecated" in keyword.tags or keyword.doc.startswith("*DEPRECATED"):
            continue
        needed = [*keyword.args.positional_or_named, *keyword.args.named_only]
        for name in (n for n in needed if n in NAMING and str(types.get(n)) == "str" and defaults.get(n, "needed")):
            given = dict.fromkeys((each for each in needed if each not in defaults), "1")
            with pytest.raises(Error, match=rf"^{name} is empty; it must be given\.$"):
                keyword.method(**{**given, name: empty})
            seen.add((keyword.name, name))
    assert len(seen) > 90
