"""Holds records to the status of the keyword that wrote them, in whatever acceptance test that is: a listener.

    robot --listener atest/recorded.py atest

A keyword that fails, is skipped or passes has written records that say so, or none. A test in which one has not fails.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from robot.libraries.BuiltIn import BuiltIn

ROBOT_LISTENER_API_VERSION = 3
# Status of the keyword → what its last record may say
RIGHT = {"PASS": {"passed", "not judged"}, "FAIL": {"failed", "error"}, "SKIP": {"skipped"}}

_begins: list[int] = []  # the file of records' size when each keyword that runs began
_wrong: list[str] = []


def _file() -> Path:
    return Path(str(BuiltIn().get_variable_value("${OUTPUT DIR}")), "measurements.jsonl")


def _size() -> int:
    return _file().stat().st_size if _file().exists() else 0


def start_library_keyword(data: Any, implementation: Any, result: Any) -> None:
    _begins.append(_size())


def end_library_keyword(data: Any, implementation: Any, result: Any) -> None:
    begin, size = _begins.pop(), _size()
    if size <= begin or result.status not in RIGHT:
        return
    # What was written is this keyword's, and not that of `Run Keyword And Expect Error` around it
    _begins[:] = [size] * len(_begins)
    with _file().open("rb") as file:
        file.seek(begin)
        last = json.loads(file.read().splitlines()[-1])
    status = last["verdict"]["status"]
    if status not in RIGHT[result.status]:
        _wrong.append(f"{implementation.name} has status {result.status} and recorded '{last['name']}' as {status}.")


def end_test(data: Any, result: Any) -> None:
    if _wrong:
        result.status = "FAIL"
        result.message = "\n".join([*_wrong, result.message]).rstrip()
        _wrong.clear()
