"""Documents as the versions of iperf3 print them, small, made from what is known about each format."""

from __future__ import annotations

import json
from typing import Any

Document = dict[str, Any]


def start(version: str, protocol: str = "TCP", *, streams: int = 1, reverse: int = 0, **more: Any) -> Document:
    return {
        "connected": [{"socket": 5 + i, "remote_host": "10.0.0.9", "remote_port": 5201} for i in range(streams)],
        "version": f"iperf {version}",
        "test_start": {"protocol": protocol, "num_streams": streams, "omit": 0, "duration": 2, "reverse": reverse},
        **more,
    }


def part(begin: float, seconds: float, size: float, **more: Any) -> Document:
    return {
        "start": begin, "end": begin + seconds, "seconds": seconds, "bytes": size,
        "bits_per_second": size * 8 / seconds if seconds else 0, **more,
    }  # fmt: skip


def interval(begin: float, size: float, *, seconds: float = 1.0, omitted: bool = False, **more: Any) -> Document:
    total = part(begin, seconds, size, omitted=omitted, **more)
    return {"streams": [total], "sum": total}


def tcp(
    version: str, *, sent: int = 2_500_000, received: int = 2_400_000, streams: int = 1, reverse: int = 0
) -> Document:
    """A run of two seconds."""
    ends = [
        {
            "sender": part(0, 2, sent / streams, retransmits=3, mean_rtt=1500, sender=not reverse),
            "receiver": part(0, 2, received / streams, sender=not reverse),
        }
        for _ in range(streams)
    ]
    return {
        "start": start(version, streams=streams, reverse=reverse),
        "intervals": [interval(0, sent / 2, retransmits=3), interval(1, sent / 2, retransmits=0)],
        "end": {
            "streams": ends,
            "sum_sent": part(0, 2, sent, retransmits=3 * streams),
            "sum_received": part(0, 2, received),
        },
    }


def udp(
    version: str, *, sent: int = 2_500_000, lost: int = 125, packets: int = 2500, reverse: int = 0, server: bool = True
) -> Document:
    """A run of two seconds with datagrams of 1000 bytes; clients before 3.11 bring the server's report."""
    loss = {"jitter_ms": 0.25, "lost_packets": lost, "packets": packets, "lost_percent": 100 * lost / packets}
    got = sent - lost * 1000
    end: Document = {
        "streams": [{"udp": part(0, 2, sent, **loss)}],
        "sum": part(0, 2, sent, sender=not reverse, **loss),
    }
    begin = start(version, "UDP", reverse=reverse, target_bitrate=10_000_000)
    begin["test_start"]["blksize"] = 1000
    half = [lost // 2, lost - lost // 2]
    if reverse:
        intervals = [
            interval(i, 1000 * (packets // 2 - n), packets=packets // 2, lost_packets=n, jitter_ms=0.25)
            for i, n in enumerate(half)
        ]
    else:
        intervals = [interval(i, sent / 2, packets=packets // 2) for i in range(2)]
    document: Document = {"start": begin, "intervals": intervals, "end": end}
    if tuple(map(int, version.split("."))) >= (3, 11):
        nothing = {"jitter_ms": 0, "lost_packets": 0, "packets": packets, "lost_percent": 0}
        end["sum_sent"] = part(0, 2, sent, sender=True, **nothing)
        end["sum_received"] = part(0, 2, got, sender=False, **loss)
    elif server and not reverse:
        document["server_output_text"] = server_text([(i, i + 1, n, packets // 2) for i, n in enumerate(half)])
    return document


def server_text(
    rows: list[tuple[float, float, int, int]], *, omitted: int = 0, marked: bool = True, out_of_order: int = 0,
    transferred: int = 0,
) -> str:  # fmt: skip
    """The server's report: rows of (start, end, lost, expected); the first `omitted` of them do not count."""
    heading = "[ ID] Interval           Transfer     Bitrate         Jitter    Lost/Total Datagrams"
    lines = ["-----", "Server listening on 5201", "Accepted connection from 10.0.0.7, port 40000", heading]
    counted = rows[omitted:]
    for number, (begin, end, lost, expected) in enumerate(rows):
        mark = "  (omitted)" if number < omitted else "  "
        lines.append(f"[  5] {begin:6.2f}-{end:.2f}   sec  {(expected - lost) * 1000 / 1024:.0f} KBytes  10.0 Mbits/sec  0.250 ms  "
                     f"{lost}/{expected} ({100 * lost / expected if expected else 0:.2g}%){mark}")  # fmt: skip
    lost, expected = sum(r[2] for r in counted), sum(r[3] for r in counted)
    lines += ["- - - - -", heading]
    if out_of_order:
        lines.append(f"[SUM]  0.0- 2.0 sec  {out_of_order} datagrams received out-of-order")
    lines.append(f"[  5]   0.00-{counted[-1][1]:.2f}   sec  {transferred / 1024:.0f} KBytes  10.0 Mbits/sec  0.250 ms  "
                 f"{lost}/{expected} (5%)" + ("  receiver" if marked else ""))  # fmt: skip
    return "\n".join(lines) + "\n"


def printed(document: Document) -> str:
    """As `-J` prints it: indented by tabs."""
    return json.dumps(document, indent="\t") + "\n"


def streamed(document: Document, *, error: str = "", full: bool = False) -> str:
    """As `--json-stream` prints it: one event a line."""
    events = [("start", document["start"]), *(("interval", one) for one in document["intervals"])]
    if error:
        events.append(("error", error))
    events.append(("end", {} if error else document["end"]))
    lines = [json.dumps({"event": name, "data": data}, separators=(",", ":")) for name, data in events]
    return "\n".join(lines) + "\n" + (printed(document) if full else "")
