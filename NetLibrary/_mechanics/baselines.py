"""Figures of earlier runs: which there are, what is comparable, and which direction is worse."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.records import read
from NetLibrary.types.quantities import bitrate_text

Record = dict[str, Any]
# Parts of the names of the library's own figures. What is lost, late or failed is worse when there is more of it, also
# per second; then rates and what arrived are better
_LESS_IS_BETTER = re.compile(
    r"(?:^|_)(?:lost|loss|outages?|failed|failures?|resets?|refused|retransmits?|jitter|rtt|latency|first_byte|last_byte|"
    r"silent|silence|errors?|aborted|late|gaps?|stalls?|stalled|timeouts?|unanswered|out_of_order|paths_hit|missing|drops?|"
    r"dropped|wrong|ms|us)(?:_|$)"
)
_MORE_IS_BETTER = re.compile(
    r"(?:^|_)(?:bits_per_second|per_second|share_percent|delivered|goodput|answered|succeeded|success|received|bytes|"
    r"throughput|gbps|established|completed)(?:_|$)"
)
# What makes two throughputs two different things
_SAME = {
    "protocol": "the protocol",
    "streams": "the number of streams",
    "reverse": "whether the server sends (reverse)",
    "family": "the address family",
    "bits_per_second": "the requested rate (bitrate)",
}


def higher_is_better(field: str) -> bool | None:
    """Returns the direction of one of the library's own figures by its name, None when it is not known.

    Example:
        >>> [higher_is_better(name) for name in ("bits_per_second", "lost_percent", "longest_outage_ms", "streams")]
        [True, False, False, None]
    """
    if _LESS_IS_BETTER.search(field):
        return False
    return True if _MORE_IS_BETTER.search(field) else None


def direction(field: str, wanted: bool | None) -> bool:
    """Returns whether more is better, from the field's name and what a suite says.

    Raises:
        InputError: Neither says it, or they contradict each other.
    """
    known = higher_is_better(field)
    if known is None and wanted is None:
        raise InputError(f"It is not known whether a higher '{field}' is better; give higher_is_better=True or =False.")
    if known is not None and wanted is not None and wanted != known:
        better = "higher" if known else "lower"
        raise InputError(f"'{field}' is better when it is {better}; leave higher_is_better out.")
    return bool(wanted if known is None else known)


def unreadable(path: Path) -> str:
    """Returns why a baseline cannot be read, as the end of a sentence about it, an empty text if it can.

    Args:
        path: Its path; what is in the file is not looked at.
    """
    if not path.is_file():
        return "is not a file" if path.exists() else "does not exist"
    try:
        path.open("rb").close()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def earlier(path: Path, *, own: Path, run: str) -> list[Record]:
    """Returns the measurements of an earlier run.

    Args:
        path: Its measurements.jsonl.
        own: That of this run, which is no baseline: it always matches itself.
        run: Id of this run.
    Raises:
        InputError: It does not exist, holds no measurements, or is this run's own.
    """
    if wrong := unreadable(path):
        raise InputError(f"baseline '{path}' {wrong}; give a measurements.jsonl of an earlier run.")
    if own.exists() and path.samefile(own):
        raise InputError(f"baseline '{path}' is this run's own file and always matches itself; give an earlier run's.")
    try:
        records = read(path)
    except OSError as error:
        raise InputError(f"baseline '{path}' cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"baseline '{path}' is not a measurements.jsonl file: {error}.") from error
    found = [r for r in records if r.get("run") != run]
    if not found:
        raise InputError(f"baseline '{path}' has no measurements of an earlier run.")
    return found


def named(records: Sequence[Record], name: str, whose: str) -> list[Record]:
    """Returns the measurements of a name.

    Raises:
        InputError: There is none; the text lists those that there are.
    """
    found = [r for r in records if r.get("name") == name]
    if not found:
        names = list(dict.fromkeys(str(r.get("name")) for r in records))
        raise InputError(f"{whose} has no measurement named '{name}'{_there(name, names)}")
    return found


def values(records: Sequence[Record], field: str, whose: str) -> list[float]:
    """Returns the values of a field of measurements of one name; those without a result have none.

    A measurement that ended in an error is no result, whatever figures it left behind.

    Raises:
        InputError: None of them has a number there; the text lists the numbers that there are.
    """
    found = [float(r["summary"][field]) for r in _with(records, field) if not _ended(r, "error")]
    if not found:
        if broken := len(_with(records, field)):
            name = records[0].get("name")
            raise InputError(f"{whose} has no result for '{name}': {broken} measured '{field}' and ended in an error.")
        fields = sorted({key for r in records for key, v in r.get("summary", {}).items() if _is_number(v)})
        raise InputError(f"{whose} has no number '{field}' for '{records[0].get('name')}'{_there(field, fields)}")
    return found


def failed(records: Sequence[Record], field: str) -> int:
    """Returns how many of the values of a field are of measurements that failed a limit of their own."""
    return sum(1 for r in _with(records, field) if _ended(r, "failed"))


def _with(records: Sequence[Record], field: str) -> list[Record]:
    return [r for r in records if _is_number(r.get("summary", {}).get(field))]


def _ended(record: Record, status: str) -> bool:
    return (record.get("verdict") or {}).get("status") == status


def comparable(before: Sequence[Record], now: Sequence[Record], name: str) -> None:
    """Refuses to compare what is not of one kind: a stand-in with the real product, one stream with four.

    Raises:
        InputError: They differ; the text says in what.
    """
    for what, see in (
        ("the kind of measurement", lambda r: r.get("kind")),
        ("the program that stands in", _stand_ins),
        *((words, _parameter(key)) for key, words in _SAME.items()),
    ):
        old, new = {str(see(r)) for r in before}, {str(see(r)) for r in now}
        if old != new:
            raise InputError(
                f"'{name}' cannot be compared: {what} is {' and '.join(sorted(old))} in the baseline and "
                f"{' and '.join(sorted(new))} in this run."
            )


def _stand_ins(record: Record) -> str:
    """Which stand-ins the figures depend on: those of a record are the whole run's, whatever this one is about."""
    kind, parameters = str(record.get("kind")), record.get("parameters") or {}
    if kind == "throughput":
        return str(parameters.get("carried_by")) if parameters.get("over_stand_in") else "none"
    programs = [each for each in record.get("stand_ins") or {} if each.lower().partition("_")[0] in kind.lower()]
    return ", ".join(sorted(programs)) or "none"


def _parameter(key: str) -> Any:
    def see(record: Record) -> str:
        value = (record.get("parameters") or {}).get(key)
        if key == "bits_per_second":
            return (bitrate_text(float(value)) if _is_number(value) else str(value)) if value else "as fast as possible"
        return {None: "not recorded", True: "yes", False: "no"}.get(value, str(value))

    return see


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and -sys.float_info.max <= value <= sys.float_info.max


def _there(wanted: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(wanted, names, 1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    listed = ", ".join(f"'{name}'" for name in names[:20]) or "none"
    return f"{hint} Available: {listed}{' …' if len(names) > 20 else ''}."
