"""Every name of the release before, of keywords, arguments and variables: it works, leads to its successor and warns."""

from __future__ import annotations

import sys
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from robot.api import ExecutionResult, TypeInfo
from robot.api import TestSuite as Suite
from robot.utils import printable_name
from test_contract import RESOURCES, SUITES, variables

from NetLibrary import NetLibrary
from NetLibrary._mechanics import contract, errors
from NetLibrary.keywords import _base, _variables
from NetLibrary.types import Bitrate, Count, E2SARRisks, OutageTarget, Percentage, Source, TimeLimit

# A text that is a value of the type
SAMPLES: dict[Any, str] = {
    str: "x", int: "3", float: "3", bool: "True", Path: "x", timedelta: "3 s", Bitrate: "3M", Percentage: "3 %",
    Count: "3", TimeLimit: "3 s", Source: "demo/web", OutageTarget: "tcp://db.demo:80", E2SARRisks: "x", Any: "x",
    list: "${{ [] }}", dict: "${{ {} }}",
}  # fmt: skip
KEYWORDS = {name: getattr(NetLibrary, name) for name in NetLibrary().get_keyword_names()}


def sample(kind: TypeInfo) -> str:
    """Returns a text for an argument of a type."""
    if kind.is_union:
        return next(sample(each) for each in kind.nested or () if each.type is not type(None))
    if kind.type is Literal:
        return str((kind.nested or ())[0].type)
    if isinstance(kind.type, type) and issubclass(kind.type, Enum):
        return str(next(iter(kind.type)).value)
    # One of a result is known by its name alone
    return SAMPLES[kind.type] if kind.type else "x"


def name_of(attribute: str, method: Any) -> str:
    return method.robot_name or printable_name(attribute, code_style=True)


def plain(method: Any) -> Any:
    while hasattr(method, "__wrapped__"):
        method = method.__wrapped__
    return method


def required(method: Any, *, without: str = "") -> list[str]:
    """Returns texts for the arguments that a keyword cannot do without, one of them left out if wanted."""
    code, kinds = plain(method).__code__, method.__annotations__
    names = list(code.co_varnames[1 : code.co_argcount - len(plain(method).__defaults__ or ())])
    named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    given = [sample(kinds[name]) for name in names if name != without]
    return given + [
        f"{name}={sample(kinds[name])}"
        for name in named
        if name not in (plain(method).__kwdefaults__ or {}) and name != without
    ]


def needed(method: Any) -> list[str]:
    """Returns the named arguments that a keyword cannot do without."""
    return [text.partition("=")[0] for text in required(method) if "=" in text]


OLD_KEYWORDS = {
    name_of(attribute, method): (attribute, method)
    for attribute, method in KEYWORDS.items()
    if (method.__doc__ or "").startswith("*DEPRECATED!*")
}
NEW_NAME = {
    old: method.__name__ for method in KEYWORDS.values() for old in getattr(method, "formerly", ())
}  # what each of them was renamed to
OLD_ARGUMENTS = [
    (attribute, old, new)
    for attribute, method in KEYWORDS.items()
    for old, new in getattr(method, "renamed", {}).items()
]


def stop(names: Any, args: Any, kwargs: Any) -> None:
    """Ends a keyword where its own code would begin, and says which one it is and what it was given."""
    method = sys._getframe(1).f_locals["method"]
    raise errors.Unavailable(f"{method.__name__} was given {sorted(kwargs)}")


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, rows: dict[str, str]) -> ExecutionResult:
    monkeypatch.setattr(_base, "_refuse_nonsense", stop)
    tests = "".join(f"{name}\n    {line}\n" for name, line in rows.items())
    suite = Suite.from_string(f"*** Settings ***\nLibrary    NetLibrary\n*** Test Cases ***\n{tests}")
    suite.name = "Former"
    output = folder / "output.xml"
    suite.run(outputdir=str(folder), output=str(output), log=None, report=None, console="none")
    return ExecutionResult(str(output))


def test_every_former_keyword_works_and_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(NEW_NAME) <= set(OLD_KEYWORDS)
    rows = {old: "    ".join([old, *required(method)]) for old, (_, method) in OLD_KEYWORDS.items()}
    result = run(tmp_path, monkeypatch, rows)
    found = {test.name: test.message for test in result.suite.tests}
    # Those that were not renamed but have another keyword for their act reach their own code
    expected = {
        old: f"{NEW_NAME.get(old, attribute)} was given {needed(method)}"
        for old, (attribute, method) in OLD_KEYWORDS.items()
    }
    assert found == expected
    told = "\n".join(message.message for message in result.errors)
    assert [old for old in OLD_KEYWORDS if f"Keyword 'NetLibrary.{old}' is deprecated. Use [" not in told] == []


def test_every_former_argument_works_and_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {}
    for attribute, old, new in OLD_ARGUMENTS:
        method = KEYWORDS[attribute]
        rows[f"{attribute} {old}"] = "    ".join(
            [name_of(attribute, method), *required(method, without=new), f"{old}={sample(method.__annotations__[new])}"]
        )
    result = run(tmp_path, monkeypatch, rows)
    found = {test.name: test.message for test in result.suite.tests}
    expected = {
        f"{attribute} {old}": f"{KEYWORDS[attribute].__name__} was given {sorted([new, *needed(KEYWORDS[attribute])])}"
        for attribute, old, new in OLD_ARGUMENTS
    }
    assert found == expected
    told = [message.message for message in result.errors]
    silent = [
        (attribute, old)
        for attribute, old, new in OLD_ARGUMENTS
        if f"The argument '{old}' is deprecated and goes with the next release; use '{new}'." not in told
    ]
    assert silent == []


def rounds() -> list[dict[str, tuple[str, ...]]]:
    """Former variables in groups none of whose successors is another's: four were made into NAMESPACE."""
    found: list[dict[str, tuple[str, ...]]] = []
    for former, successors in contract.FORMER.items():
        fits = (group for group in found if not set(successors) & {name for names in group.values() for name in names})
        group = next(fits, None)
        if group is None:
            found.append(group := {})
        group[former] = successors
    return found


@pytest.mark.parametrize("group", rounds(), ids=lambda group: next(iter(group)))
def test_every_former_variable_works_and_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: dict[str, tuple[str, ...]]
) -> None:
    monkeypatch.setattr(_variables, "_told", set())
    values = {
        former: "yes" if set(names) & set(contract.SWITCHES) else f"as {former}" for former, names in group.items()
    }
    successors = [(former, name) for former, names in group.items() for name in names]
    lines = ["*** Settings ***", "Library    NetLibrary", "*** Variables ***"]
    lines += [f"${{{name}}}    own" for _, name in successors]
    lines.append("*** Test Cases ***")
    for _, name in successors:
        lines += [name, f"    Fail    ${{{name}}}"]
    suite = tmp_path / "former.robot"
    suite.write_text("\n".join(lines))
    output = tmp_path / "output.xml"
    Suite.from_file_system(suite).run(
        outputdir=str(tmp_path), output=str(output), log=None, report=None, console="none",
        variable=[f"{former}:{value}" for former, value in values.items()],
    )  # fmt: skip
    result = ExecutionResult(str(output))
    seen = {test.name: test.message for test in result.suite.tests}
    assert seen == {name: values[former].replace("yes", "True") for former, name in successors}
    assert sorted(message.message for message in result.errors) == sorted(
        f"The variable {former} is now called {name}; the old name still works for one more release."
        for former, name in successors
    )


def test_every_former_variable_leads_to_one_that_a_suite_has() -> None:
    have = {name for path in (*SUITES, *RESOURCES) for name in variables(path)}
    assert {name for names in contract.FORMER.values() for name in names} - have == set()
