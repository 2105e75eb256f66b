"""What the server counted, as `--get-server-output` brings it: a text, or JSON when the server runs with `-J`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from NetLibrary._mechanics.iperf3.results import Interval

_ROW = re.compile(
    r"^\[\s*(?P<id>\d+|SUM)\]\s+(?P<start>[\d.]+)-\s*(?P<end>[\d.]+)\s+sec\s+"
    r"(?P<size>[\d.]+)\s+(?P<unit>[KMGT]?)Bytes\s.*?(?P<jitter>-?[\d.]+|-?nan)\s+ms\s+(?P<lost>-?\d+)/\s*(?P<total>-?\d+)\s+\([^)]*\)\s*(?P<rest>\S*)"
)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_OUT_OF_ORDER = re.compile(r"(\d+) datagrams received out-of-order")


@dataclass(frozen=True)
class Arrived:
    """What a receiver of datagrams counted in the part that counts.

    Args:
        packets: Datagrams that arrived.
        seconds: Length of that part.
        gaps: Its own number of lost ones; None where unknown.
        out_of_order: How many came late or twice; None where unknown.
        jitter_ms: Jitter at the end.
        intervals: Parts as (start, end, arrived, lost).
        transferred: Bytes that arrived, in three digits; None where the report has none.
        progress: How far the sequence numbers came, so many does the receiver know to be sent; None where unknown.
    """

    packets: int
    seconds: float
    gaps: int | None
    out_of_order: int | None = None
    jitter_ms: float | None = None
    intervals: tuple[tuple[float, float, int, int], ...] = ()
    transferred: float | None = None
    progress: int | None = None

    def of_size(self, size: float) -> Arrived:
        """Returns the same with the number of datagrams held against the bytes, for datagrams of a size.

        Doubled ones make up for lost ones in the report's "lost", down to 0; only the bytes show them all.
        """
        if not size or not self.transferred:
            return self
        by_bytes = self.transferred / size
        same = abs(by_bytes - self.packets) <= max(3.0, 0.01 * by_bytes)  # three digits
        return self if same else replace(self, packets=round(by_bytes))

    def rates(self, size: float) -> tuple[Interval, ...]:
        """Returns the rate over time, for datagrams of a size in bytes."""
        return tuple(
            Interval(start, end, 8 * size * max(0, packets) / (end - start), None, max(0, lost))
            for start, end, packets, lost in self.intervals
            if end - start >= 0.05  # a last sliver has no meaningful rate
        )


def arrived_in_text(text: str) -> Arrived | None:
    """Reads the server's own report; None when it received no datagrams or reports in a form that is not known."""
    rows: list[re.Match[str]] = []
    summaries: list[re.Match[str]] = []
    headings = 0
    for line in text.replace("\r", "").splitlines():
        if line.startswith("[ ID]"):
            headings += 1
        match = _ROW.match(line)
        if match:
            # The summary comes under a heading of its own; versions up to 3.1 do not mark it otherwise
            (summaries if headings > 1 else rows).append(match)
    if not rows and not summaries:
        return None
    if any(match["rest"] == "sender" for match in summaries):
        return None  # the server sent
    out_of_order = sum(int(number) for number in _OUT_OF_ORDER.findall(text))
    summaries, rows = _totals(summaries), [row for row in _totals(rows) if row["rest"] != "(omitted)"]
    parts = tuple((float(r["start"]), float(r["end"]), int(r["total"]) - int(r["lost"]), int(r["lost"])) for r in rows)
    counted = rows or summaries
    last = summaries[-1:] or rows
    return Arrived(
        packets=max(0, sum(int(r["total"]) - int(r["lost"]) for r in counted)),
        seconds=max(float(r["end"]) for r in last),
        gaps=sum(int(r["lost"]) for r in counted),
        out_of_order=out_of_order,
        jitter_ms=_float(last[-1]["jitter"]),
        intervals=_from_zero(parts),
        transferred=_bytes(last) or (_bytes(rows) if _of_3_1(summaries) else 0.0) or None,
    )


def arrived_in_json(document: dict[str, Any]) -> Arrived | None:
    """Reads the intervals of a receiver's own JSON: the counted ones, each once."""
    parts: dict[tuple[float, float], tuple[float, float, int, int]] = {}
    size, jitter, progress = 0.0, None, 0.0
    for entry in document.get("intervals") or []:
        total = (entry or {}).get("sum") or {}
        if total.get("omitted") or "jitter_ms" not in total:
            continue
        start, end, packets, lost = (_float(total.get(key)) for key in ("start", "end", "packets", "lost_packets"))
        if start is None or end is None or packets is None or lost is None:
            continue
        got = _float(total.get("bytes")) or 0.0
        block = _float((document.get("start") or {}).get("test_start", {}).get("blksize")) or size
        size = block or (got / (packets - lost) if packets > lost else 0.0)
        # By the data where the size is known: the number of packets is the sequence's progress, a cumulated one in the
        # first interval after an omitted part
        arrived = got / size if size else packets - lost
        progress += packets if (start, end) not in parts else 0
        parts[start, end] = (start, end, round(arrived), round(lost))
        jitter = _float(total.get("jitter_ms"))
    if not parts:
        return None
    whole = _from_zero(tuple(parts.values()))
    return Arrived(
        packets=sum(p[2] for p in whole),
        seconds=max(p[1] for p in whole),
        gaps=sum(p[3] for p in whole),
        out_of_order=_out_of_order(document),
        jitter_ms=jitter,
        intervals=whole,
        progress=round(progress),
    )


def _out_of_order(document: dict[str, Any]) -> int | None:
    streams = (document.get("end") or {}).get("streams") or []
    values = [_float((stream.get("udp") or {}).get("out_of_order")) for stream in streams]
    known = [int(value) for value in values if value is not None]
    return sum(known) if known else None


def _of_3_1(summaries: list[re.Match[str]]) -> bool:
    """Whether the summary is of a version that does not say whose it is, and that has 0 bytes in it whatever came."""
    return not any(row["rest"] for row in summaries)


def _bytes(rows: list[re.Match[str]]) -> float:
    return sum(float(row["size"]) * _UNITS[row["unit"]] for row in rows)


def _totals(rows: list[re.Match[str]]) -> list[re.Match[str]]:
    """The sums over the streams where there are several, else the one stream's rows."""
    return [row for row in rows if row["id"] == "SUM"] or rows


def _from_zero(parts: tuple[tuple[float, float, int, int], ...]) -> tuple[tuple[float, float, int, int], ...]:
    """Has the first counted part begin at 0: the clock is set back at the end of an omitted part in its middle."""
    if not parts or parts[0][0] < 0.05 or (len(parts) > 1 and parts[0][0] < parts[0][1] < parts[1][0]):
        return parts
    first = parts[0]
    return ((0.0, *first[1:]), *parts[1:])


def _float(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number and abs(number) < 1e18 else None
