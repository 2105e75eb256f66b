"""Reads what an iperf3 client printed, whatever its version.

Facts about the formats: iperf3's `--json` output changed several times. Up to 3.10 a UDP run has only `end.sum`;
from 3.11 on `sum_sent` and `sum_received` are there too and `sum.bits_per_second` is the sender's rate. Versions 3.10
to 3.13 end with status 0 although they report an error, 3.9 reports a refused connection only on stderr, and 3.7 to
3.10 write the same key twice for a bidirectional run. So neither the exit status nor one fixed key decides anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Words of iperf3's messages, in the order in which they are looked for, and what they mean to a reader
_CLASSES = (
    ("busy", ("server is busy",)),
    ("refused", ("connection refused",)),
    ("unresolved", ("name or service not known", "failure in name resolution", "name does not resolve", "try again")),
    # An unknown name leaves errno as it was; 3.12 then prints whatever that happens to be
    ("unresolved", ("connect to server: no such file", "connect to server: success",
                    "connect to server: resource temporarily", "etc.: resource temporarily")),
    ("unreachable", ("no route to host", "network is unreachable", "host is unreachable", "host unreachable")),
    ("timed out", ("timed out", "operation now in progress", "idle timeout", "server test duration expired",
                   "resource temporarily unavailable")),
    ("reset", ("connection reset", "broken pipe")),
    ("closed", ("control socket has closed", "unable to receive", "bad file descriptor", "server has terminated")),
    ("interrupted", ("client has terminated", "interrupt -")),
)  # fmt: skip


class Iperf3Problem(Exception):
    """iperf3 measured nothing usable.

    Args:
        kind: `refused`, `busy`, `unresolved`, `unreachable`, `timed out`, `reset`, `closed`, `interrupted`,
            `unreadable` or `failed`.
        text: iperf3's own words.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}" if kind != text else kind)
        self.kind = kind
        self.text = text


@dataclass(frozen=True)
class Interval:
    """A part of a run, as the client saw it."""

    start_seconds: float
    end_seconds: float
    bits_per_second: float
    retransmits: int | None = None
    lost_packets: int | None = None


@dataclass(frozen=True)
class Measurement:
    """Result of one run.

    Args:
        bits_per_second: Rate at the receiver.
        bytes: Data that the receiver got.
        duration_seconds: Time the receiver counted.
        sent_bits_per_second: Rate at the sender; with TCP it may be higher by what is still buffered.
        retransmits: TCP segments sent again by the sender; None where its system does not count them.
        packets: UDP datagrams expected by the receiver.
        lost_packets: UDP datagrams that did not arrive.
        lost_percent: Their share.
        jitter_ms: UDP jitter at the receiver.
        rtt_ms: Mean TCP round trip at the sender; None where unknown.
        intervals: The run over time, without omitted parts.
        version: The client's version, as it says itself.
        protocol: `tcp` or `udp`.
        streams: Parallel streams.
        reverse: Whether the server sent.
        remote: Address and port of the data connection.
        target_bits_per_second: The rate that was asked for, per stream; 0 for no limit.
    """

    bits_per_second: float
    bytes: int
    duration_seconds: float
    sent_bits_per_second: float
    retransmits: int | None = None
    packets: int | None = None
    lost_packets: int | None = None
    lost_percent: float | None = None
    jitter_ms: float | None = None
    rtt_ms: float | None = None
    intervals: tuple[Interval, ...] = ()
    version: str = ""
    protocol: str = "tcp"
    streams: int = 1
    reverse: bool = False
    remote: str = ""
    target_bits_per_second: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def read(output: str, errors: str = "") -> Measurement:
    """Reads the standard output of `iperf3 -J` or `--json-stream`.

    Args:
        output: Standard output; text before the JSON, such as warnings, is skipped.
        errors: Standard error, where some versions put their message.
    Raises:
        Iperf3Problem: There is no result; its kind says why.
    """
    document = _document(output.replace("\r", ""))
    if document is None:
        raise _problem(_message_in(f"{errors}\n{output}") or "it printed no JSON result")
    message = document.get("error") or _message_in(f"{errors}\n{output}")
    end = document.get("end") or {}
    if document.get("error"):
        raise _problem(str(message))
    received, sent, total = _sum(end, "sum_received"), _sum(end, "sum_sent"), _sum(end, "sum")
    protocol = str(_start(document).get("protocol", "TCP")).lower()
    measured = received or (_less_lost(total) if protocol == "udp" else total)
    if not measured:
        raise _problem(str(message or "the result has no sums"))
    if _number(measured, "bytes") <= 0:
        raise _problem(str(message or "no data was transferred"), "failed")
    return _measurement(document, protocol, measured, sent or total or measured, total)


def _measurement(
    document: dict[str, Any], protocol: str, received: dict[str, Any], sent: dict[str, Any], total: dict[str, Any]
) -> Measurement:
    start = _start(document)
    udp = protocol == "udp"
    loss = received if "lost_packets" in received else total
    connected = (document.get("start", {}).get("connected") or [{}])[0]
    return Measurement(
        bits_per_second=_number(received, "bits_per_second") or _rate(received),
        bytes=int(_number(received, "bytes")),
        duration_seconds=_number(received, "seconds"),
        sent_bits_per_second=_number(sent, "bits_per_second") or _rate(sent),
        retransmits=int(_number(sent, "retransmits")) if "retransmits" in sent else None,
        packets=int(_number(loss, "packets")) if udp else None,
        lost_packets=int(_number(loss, "lost_packets")) if udp else None,
        lost_percent=_number(loss, "lost_percent") if udp else None,
        jitter_ms=_number(loss, "jitter_ms") if udp else None,
        rtt_ms=_rtt(document),
        intervals=tuple(_intervals(document)),
        version=str(document.get("start", {}).get("version", "")),
        protocol=protocol,
        streams=int(_number(start, "num_streams")) or 1,
        reverse=bool(_number(start, "reverse")),
        remote=f"{connected.get('remote_host', '')}:{connected.get('remote_port', '')}".strip(":"),
        target_bits_per_second=_target(document),
    )


def _document(text: str) -> dict[str, Any] | None:
    """Finds the JSON document behind whatever was printed before it."""
    begin = 0 if text.lstrip().startswith("{") else text.find("\n{") + 1
    body = text[begin:].strip()
    if not body.startswith("{"):
        return None
    try:
        return _stream(body) if body.startswith('{"event"') else _decode(body)
    except ValueError:
        return None


def _decode(text: str) -> dict[str, Any]:
    # raw_decode: a newline or a thread's last words may follow the document
    value, _ = json.JSONDecoder(object_pairs_hook=_first_of_twins).raw_decode(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _first_of_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keeps the first of two equal keys: client to server, what `sum_received` means in every other version."""
    result: dict[str, Any] = {}
    for key, value in pairs:
        result.setdefault(key, value)
    return result


def _stream(text: str) -> dict[str, Any]:
    """Puts the events of `--json-stream` together into the document that `-J` would have printed."""
    document: dict[str, Any] = {"intervals": []}
    for line in text.splitlines():
        if not line.startswith('{"event"'):
            continue
        try:
            event = json.loads(line)
        except ValueError:  # the last line of a client that was killed
            continue
        if event["event"] == "interval":
            document["intervals"].append(event["data"])
        else:
            document[event["event"]] = event["data"]
    return document


def _start(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document.get("start", {}).get("test_start") or {}
    return found


def _target(document: dict[str, Any]) -> float | None:
    start = document.get("start", {})
    value = start.get("target_bitrate", _start(document).get("target_bitrate"))
    return None if value is None else float(value)


def _sum(end: dict[str, Any], key: str) -> dict[str, Any]:
    found = end.get(key)
    return found if isinstance(found, dict) else {}


def _number(source: Mapping[str, Any], key: str) -> float:
    """Returns a number; its JSON type differs from run to run, and it may be missing."""
    value = source.get(key)
    return float(value) if isinstance(value, (int, float)) else 0.0


def _less_lost(total: dict[str, Any]) -> dict[str, Any]:
    """Makes what a UDP receiver got out of `sum`, where there is nothing else: its bytes and rate are the sender's."""
    packets = _number(total, "packets")
    if not packets:
        return total
    share = max(0.0, 1 - _number(total, "lost_packets") / packets)  # all datagrams of a run have one size
    rate = _number(total, "bits_per_second") or _rate(total)
    return {**total, "bytes": _number(total, "bytes") * share, "bits_per_second": rate * share}


def _rate(total: Mapping[str, Any]) -> float:
    seconds = _number(total, "seconds")
    return _number(total, "bytes") * 8 / seconds if seconds else 0.0


def _rtt(document: dict[str, Any]) -> float | None:
    """Mean round trip over the streams; iperf3 counts in microseconds."""
    values = [s.get("sender", {}).get("mean_rtt") for s in document.get("end", {}).get("streams", [])]
    known = [float(v) for v in values if isinstance(v, (int, float)) and v > 0]
    return sum(known) / len(known) / 1000 if known else None


def _intervals(document: dict[str, Any]) -> list[Interval]:
    found = []
    for entry in document.get("intervals", []):
        total = entry.get("sum") or {}
        # A last sliver of a few milliseconds has no meaningful rate
        if total.get("omitted") or _number(total, "seconds") < 0.05:
            continue
        found.append(
            Interval(
                _number(total, "start"),
                _number(total, "end"),
                _number(total, "bits_per_second"),
                int(_number(total, "retransmits")) if "retransmits" in total else None,
                int(_number(total, "lost_packets")) if "lost_packets" in total else None,
            )
        )
    return found


def _message_in(text: str) -> str:
    for line in text.splitlines():
        if "error - " in line:
            return line.split("error - ", 1)[1].strip()
    return ""


def _problem(message: str, kind: str | None = None) -> Iperf3Problem:
    text = message.removeprefix("error - ").strip()
    lowered = text.lower()
    if kind is None:
        kind = next((name for name, words in _CLASSES if any(word in lowered for word in words)), None)
    if kind is None:
        kind = "unreadable" if "printed no JSON" in text else "failed"
    return Iperf3Problem(kind, text)
