"""Fields of the document that iperf3 prints, as numbers or as nothing: their JSON types differ from run to run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from NetLibrary._mechanics.iperf3.document import Document
from NetLibrary._mechanics.iperf3.results import Interval

# A last sliver of a few milliseconds has no meaningful rate
SLIVER_SECONDS = 0.05


def settings_of(document: Document) -> Document:
    """Returns what the client was asked for."""
    found = (document.get("start") or {}).get("test_start")
    return found if isinstance(found, dict) else {}


def version_of(document: Document) -> str:
    """Returns the client's version, empty where it does not say."""
    return str((document.get("start") or {}).get("version") or "")


def release_of(document: Document) -> tuple[int, int]:
    """Returns the client's version as two numbers, (0, 0) where it does not say."""
    found = re.search(r"(\d+)\.(\d+)", version_of(document))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def streams_of(document: Document) -> int:
    """Returns how many streams ran side by side."""
    return int(number_of(settings_of(document), "num_streams") or 0) or 1


def total_of(end: Document, key: str) -> Document:
    """Returns a total of the end, empty where it is missing."""
    found = end.get(key)
    return found if isinstance(found, dict) else {}


def sums_of(document: Document) -> list[Document]:
    """Returns the totals over all streams, one for each interval."""
    entries = [each for each in document.get("intervals") or [] if isinstance(each, dict)]
    return [each["sum"] for each in entries if isinstance(each.get("sum"), dict)]


def number_of(source: Mapping[str, Any], key: str) -> float | None:
    """Returns a finite number, or None where it is missing or no number; its JSON type differs from run to run."""
    value = source.get(key)
    if isinstance(value, (int, float)) and value == value and abs(value) != float("inf"):
        return float(value)
    return None


def rate_of(total: Mapping[str, Any]) -> float:
    """Returns the rate by data and time; iperf3's own figure only where the time is missing."""
    seconds = number_of(total, "seconds")
    if seconds:
        return (number_of(total, "bytes") or 0.0) * 8 / seconds
    return number_of(total, "bits_per_second") or 0.0


def round_trip_ms(document: Document) -> float | None:
    """Mean round trip over the streams; iperf3 counts in microseconds."""
    streams = (document.get("end") or {}).get("streams") or []
    values = [number_of(stream.get("sender") or {}, "mean_rtt") for stream in streams]
    known = [value for value in values if value]
    return sum(known) / len(known) / 1000 if known else None


def intervals_of(document: Document) -> tuple[Interval, ...]:
    """Returns the counted parts, each once, with the rate by their own data and time."""
    found: dict[tuple[float, float], Interval] = {}
    omits = omits_some(document)
    for total in sums_of(document):
        start, end, size = (number_of(total, key) for key in ("start", "end", "bytes"))
        if total.get("omitted") or start is None or end is None or size is None:
            continue
        # The clock is set back at the end of the omitted part, in the middle of an interval
        if omits and not found and start >= SLIVER_SECONDS:
            start = 0.0
        if end - start < SLIVER_SECONDS:
            continue
        retransmits, lost = number_of(total, "retransmits"), number_of(total, "lost_packets")
        found[start, end] = Interval(
            start, end, 8 * size / (end - start),
            None if retransmits is None else int(retransmits), None if lost is None else int(lost),
        )  # fmt: skip
    return tuple(found.values())


def omits_some(document: Document) -> bool:
    return bool(number_of(settings_of(document), "omit"))
