"""The suite contract, kept when a suite starts: variables are checked before anything runs, and typos are named."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from robot.api import logger
from robot.libraries.BuiltIn import BuiltIn
from robot.utils import escape

from NetLibrary._mechanics import contract, secrets
from NetLibrary.keywords import _robot

_told: set[str] = set()
_misspelt: list[str] = []  # warnings of names that are like one which there is


def keep_contract(suite: Any, library: Any) -> None:
    """Takes over former names, checks the variables of the contract, and warns of names that nobody knows.

    A value that is not allowed makes the suite's setup fail with a sentence that says what is. Nothing was created
    then, so there is no teardown.

    Args:
        suite: The suite that starts, as Robot hands it to a listener.
        library: The library, whose keywords' types say what variables may hold.
    """
    if not _robot.running() or suite.source is None:
        return
    data = contract.Data([Path(suite.source)], _resource)
    _take_over_former_names(data)
    refused = [*_checked(), *_refused(data, library)]
    if refused:
        # Robot writes arguments of keywords as they are
        suite.setup.config(name="Fail", args=[escape(secrets.hide("\n".join(refused)))])
        suite.teardown = None
    _warn_of_unknown_names(suite)


def _resource(name: str, folder: Path) -> Path | None:
    for base in (folder, *(Path(entry or os.curdir) for entry in sys.path)):
        if (base / name).is_file():
            return (base / name).resolve()
    return None


def _take_over_former_names(data: contract.Data) -> None:
    declared = {contract.plain(name) for name in data.declared}
    for former, successors in contract.FORMER.items():
        value = _robot.variable(former)
        if value is None or contract.plain(former) in declared:
            continue
        for name in successors:
            if contract.plain(name) in declared:
                BuiltIn().set_suite_variable(f"${{{name}}}", value)
                _warn_once(
                    f"The variable {former} is now called {name}; the old name still works for one more release."
                )


def _checked() -> list[str]:
    refused = []
    for name, check in contract.CHECKS.items():
        value = _robot.variable(name)
        if value is None:
            continue
        try:
            right = check(value)
        except ValueError as error:
            refused.append(f"The variable {name} is '{value}'; {error}.")
            continue
        if right is not value:
            BuiltIn().set_suite_variable(f"${{{name}}}", right)
    return refused


def _refused(data: contract.Data, library: Any) -> list[str]:
    """Returns what is wrong with values of a suite that uses our resources; elsewhere names may mean other things."""
    if not data.is_ours:
        return []
    from NetLibrary.keywords import _values

    given = {contract.plain(name) for name in contract.given(_options())}
    judged = (
        _values.refused(name, _robot.variable(name), library, from_command_line=contract.plain(name) in given)
        for name in sorted(data.declared & _values.JUDGED)
    )
    return [text for text in judged if text]


def _options() -> list[str]:
    return [*sys.argv[1:], *shlex.split(os.environ.get("ROBOT_OPTIONS", ""))]


def _files(suite: Any) -> list[Path]:
    # A run of several files is a suite of no file, with one below it for each
    own = [Path(suite.source)] if suite.source else []
    return [*own, *(path for child in suite.suites for path in _files(child))]


def _warn_of_unknown_names(suite: Any) -> None:
    """Warns of what no suite of the whole run uses: each may have variables of its own."""
    while suite.parent is not None:
        suite = suite.parent
    data = contract.Data(_files(suite), _resource)
    former = {name for name, successors in contract.FORMER.items() if any(data.knows(s) for s in successors)}
    for name in contract.given(_options()):
        known = {contract.plain(other) for other in (*contract.LIBRARY, *former)}
        if contract.plain(name) in known or data.knows(name) or _robot.variable(name) is None:
            continue
        near = contract.nearest(name, {*data.declared, *contract.LIBRARY})
        advice = (
            f" Did you mean {near}?"
            if near
            else f" Known variables: {', '.join(sorted(data.declared))}."
            if data.declared
            else ""
        )
        text = f"The variable {name} from the command line is not used anywhere in this run.{advice}"
        if near and text not in _misspelt:
            _misspelt.append(text)
        _warn_once(text)


def with_misspelt_names(message: str) -> str:
    """Returns the words of a failure or skip with the warnings of misspelt variables, whose defaults may explain it."""
    return "\n".join([message, *(text for text in _misspelt if text not in message)])


def _warn_once(text: str) -> None:
    if text not in _told:
        _told.add(text)
        logger.warn(text)
