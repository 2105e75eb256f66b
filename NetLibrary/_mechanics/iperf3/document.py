"""Finds iperf3's JSON in whatever was printed, also where it is not quite JSON, cut off or there twice.

Seen in the field: warnings and thread messages around the document, CR LF from a terminal, `-nan`, `nan` and `inf` as
numbers, an exponent without its sign (`5.9e 06`, some 3.1 builds), one damaged interval, output cut by log rotation,
the same interval twice at the end of an aborted run (3.12), and two documents one after the other.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

# Strings are matched first, so that their contents are left alone
_NOT_JSON = re.compile(
    r'"(?:[^"\\]|\\.)*"'
    r"|(?P<unknown>(?<![\w.])[-+]?(?:nan(?:\([^)]*\))?|inf(?:inity)?)(?![\w.]))"
    r"|(?P<exponent>(?<=\d)[eE]\s+(?=\d))",
    re.IGNORECASE,
)
_BEGIN = re.compile(r"^\s*\{", re.MULTILINE)
_NEXT = re.compile(r"\s*\{")


@dataclass(frozen=True)
class Found:
    """What was found in an output.

    Args:
        documents: Every JSON document, in order.
        damaged: Whether a part could not be read.
        around: Text outside of the documents.
        closed: Whether the last document has its last line, so that nothing was cut off.
    """

    documents: tuple[Document, ...]
    damaged: bool
    around: str
    closed: bool = False


def find(text: str) -> Found:
    """Returns the documents of an output and the text around them."""
    text = text.replace("\r", "").removeprefix("\ufeff")
    documents: list[Document] = []
    events: list[Document] = []
    around: list[str] = []
    damaged, position = False, 0
    # A document may also begin right behind another
    while (begin := (position and _NEXT.match(text, position)) or _BEGIN.search(text, position)) is not None:
        around.append(text[position : begin.start()])
        at = begin.end() - 1
        value, end = _decode(text, at)
        if value is None:
            text = text[:at] + _NOT_JSON.sub(_as_json, text[at:])
            value, end = _decode(text, at)
        if value is None:
            damaged = True
            # The last event of a client that was killed is one broken line; anything else is all there is
            end = _end_of_line(text, at) if text.startswith('{"event"', at) else len(text)
            value = _salvage(text[at:end])
            if value is None:
                end = _end_of_line(text, at)
                around.append(text[at:end])
        if value is not None:
            (events if "event" in value else documents).append(value if "event" in value else in_shape(value))
        position = end
    around.append(text[position:])
    if events:
        documents.insert(0, in_shape(_from_events(events)))
    return Found(tuple(documents), damaged, "".join(around), text.rstrip().endswith("\n}"))


def _decode(text: str, at: int) -> tuple[Document | None, int]:
    try:
        value, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None, at
    return (value, end) if isinstance(value, dict) else (None, at)


def _as_json(match: re.Match[str]) -> str:
    if match["unknown"]:
        return "null"
    return "e+" if match["exponent"] else match[0]


def _first_of_twins(pairs: list[tuple[str, Any]]) -> Document:
    """Keeps the first of two equal keys: client to server, what `sum_received` means in every other version."""
    result: Document = {}
    for key, value in pairs:
        result.setdefault(key, value)
    return result


_DECODER = json.JSONDecoder(object_pairs_hook=_first_of_twins, parse_constant=lambda _: None, strict=False)


def _from_events(events: list[Document]) -> Document:
    """Puts the events of `--json-stream` together into the document that `-J` would have printed."""
    document: Document = {"intervals": []}
    for event in events:
        if event["event"] == "interval":
            document["intervals"].append(event.get("data"))
        else:
            document[str(event["event"])] = event.get("data")
    return document


def in_shape(document: Document) -> Document:
    """Leaves out what has not the kind of value that every version has there, so that it counts as missing."""
    start, end = (_dict(document.get(key)) for key in ("start", "end"))
    if start:
        start = {**start, "connected": _dicts(start.get("connected")), "test_start": _dict(start.get("test_start"))}
    if "streams" in end:
        ends = [{key: _dict(value) for key, value in stream.items()} for stream in _dicts(end["streams"])]
        end = {**end, "streams": ends}
    intervals = [{**entry, "sum": _dict(entry.get("sum"))} for entry in _dicts(document.get("intervals"))]
    return {**document, "start": start, "intervals": intervals, "end": end}


def _dict(value: Any) -> Document:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Document]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _salvage(text: str) -> Document | None:
    """Returns what can be read of a damaged document: start, each whole interval, end and error."""
    if not re.match(r'\{\s*"(?:start|intervals|end|error)"', text):
        return None
    document: Document = {"intervals": []}
    begin = re.search(r'"start"\s*:\s*\{', text)
    if begin:
        document["start"] = _decode(text, begin.end() - 1)[0] or _parts_of_start(text)
    position = 0
    while (one := re.compile(r'\{\s*"streams"\s*:').search(text, position)) is not None:
        value, end = _decode(text, one.start())
        if value is not None and "sum" in value:
            document["intervals"].append(value)
        position = max(end, one.end())
    ends = list(re.finditer(r'"end"\s*:\s*\{', text))
    if ends:
        found, _ = _decode(text, ends[-1].end() - 1)
        if found is not None:
            document["end"] = found
    if error := re.search(r'"error"\s*:\s*"((?:[^"\\]|\\.)*)"', text):
        document["error"] = error[1]
    return document


def _parts_of_start(text: str) -> Document:
    parts: Document = {}
    if version := re.search(r'"version"\s*:\s*"([^"]*)"', text):
        parts["version"] = version[1]
    if test := re.search(r'"test_start"\s*:\s*\{', text):
        parts["test_start"] = _decode(text, test.end() - 1)[0] or {}
    return parts


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1
