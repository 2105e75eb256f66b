"""Reads what an iperf3 client printed, whatever its version, and says what that version cannot tell.

What each version tells of a UDP run, by which everything here goes (found by the keys that are there, not by number):

| client | direction | sent | arrived |
| --- | --- | --- | --- |
| up to 3.10 | to the server | `end.sum` | nothing: only the server knows (`--get-server-output`) |
| up to 3.10 | from the server | `end.sum` | the client's own intervals |
| from 3.11 on | both | `end.sum_sent` | `end.sum_received` |

Over TCP a receiver from 3.16 on counts whole blocks, of 128 KiB by default: the last part of each stream is missing,
which weighs in a slow or short run, and less than a block is nothing.

`end.sum` holds the sender's bytes and rate in every version. Versions 3.10 to 3.13 end with status 0 although they
report an error, 3.9 reports a refused connection only on stderr, and 3.7 to 3.10 write the same key twice for a
bidirectional run. So neither the exit status nor one fixed key decides anything.
"""

from __future__ import annotations

import re
from typing import Any

from NetLibrary._mechanics.iperf3.document import Document, find, in_shape
from NetLibrary._mechanics.iperf3.fields import (
    intervals_of,
    number_of,
    omits_some,
    rate_of,
    release_of,
    round_trip_ms,
    settings_of,
    streams_of,
    total_of,
    version_of,
)
from NetLibrary._mechanics.iperf3.loss import Counted, Loss, loss
from NetLibrary._mechanics.iperf3.messages import error_in, kind_of, last_words, only_a_signal, signal_of
from NetLibrary._mechanics.iperf3.results import Interval, Iperf3Problem, Measurement, Sent
from NetLibrary._mechanics.iperf3.server_output import Arrived, arrived_in_json, arrived_in_text

# What the client's script prints first, where it could read it
SEEN_FIRST = r"(?:processors: .*\n)?(?:kernel before:\n(?:/.*\n)*kernel after:\n(?:/.*\n)*)?"
_HEAD = re.compile(rf"\s*{SEEN_FIRST}attempts: \d+\n(?:exit status: (\d+)\n)?")
# The two ends of a run may end this much apart, as a ratio: a server of 3.9 stops some time before its client
_SAME_TIME = 1.5
# iperf3 counts in an int: from here on it is a difference that went below zero, or none at all
_MOST_COUNTED = 2**31


def read(output: str, errors: str = "", *, exit_status: int | None = None) -> Measurement:
    """Reads the output of `iperf3 -J` or `--json-stream`.

    Args:
        output: Standard output, possibly with standard error mixed in; text around the JSON is skipped.
        errors: Standard error, where some versions put their message.
        exit_status: What the client ended with; only for the text of a problem.
    Raises:
        Iperf3Problem: There is no result; its kind says why, and it has what was measured until then.
    """
    if head := _HEAD.match(output):
        output = output[head.end() :]
        exit_status = int(head[1]) if head[1] else exit_status
    found = find(output)
    said = f"{errors}\n{found.around}"
    document = _one(found.documents, exit_status)
    if document is None or not document.get("end"):
        raise _no_result(document, said, found.damaged, exit_status, closed=found.closed)
    message = document.get("error")
    if message:
        raise _problem(str(message), document, exit_status)
    udp = str(settings_of(document).get("protocol") or "TCP").upper() == "UDP"
    return _udp(document, said, exit_status) if udp else _tcp(document, said, exit_status)


# --- no result ----------------------------------------------------------------------------------------


def _one(documents: tuple[Document, ...], exit_status: int | None) -> Document | None:
    """Returns the document that counts: one with an error before any other, for then something went wrong."""
    if not documents:
        return None
    failed = next((d for d in documents if d.get("error")), None)
    if failed is not None:
        longest = max(documents, key=lambda d: len(d.get("intervals") or []))
        return {**failed, "start": failed.get("start") or longest.get("start") or {},
                "intervals": longest.get("intervals") or []}  # fmt: skip
    whole = [d for d in documents if d.get("end")]
    sums = {_fingerprint(d) for d in whole}
    if len(sums) > 1:
        raise Iperf3Problem(
            "contradiction", f"it printed {len(whole)} results that differ", exit_status=exit_status
        )  # fmt: skip
    return (whole or list(documents))[0]


def _fingerprint(document: Document) -> str:
    return repr([document["end"].get(key) for key in ("sum", "sum_sent", "sum_received")])


def _no_result(
    document: Document | None, said: str, damaged: bool, exit_status: int | None, *, closed: bool = False
) -> Iperf3Problem:
    message = str((document or {}).get("error") or "") or error_in(said)
    if message:
        return _problem(message, document or {}, exit_status)
    words, signal = last_words(said), signal_of(exit_status)
    known = kind_of(words)
    if only_a_signal(words) and signal:
        words = ""
    if words and (document is None or known):
        return _problem(words, document or {}, exit_status, kind=known or "unreadable")
    if signal:  # a document that is cut off is what it leaves
        return _problem(f"it was ended by {signal} without any message", document or {}, exit_status, kind="killed")
    if document is not None and damaged and closed:
        return _problem("its JSON output is whole, but cannot be read", document, exit_status, kind="unreadable")
    if document is not None and damaged:
        return _problem("its JSON output is cut off", document, exit_status, kind="cut off")
    if document is not None:
        # Without a word or a status that speaks of an end, this is a form that is not known, and accuses nobody
        kind = "failed" if exit_status else "unreadable"
        return _problem("the result has no sums", document, exit_status, kind=kind)
    return _problem("it printed nothing", {}, exit_status, kind="unreadable")


def _problem(
    message: str, document: Document, exit_status: int | None, *, kind: str | None = None, sent: Sent | None = None
) -> Iperf3Problem:
    text = message.removeprefix("error - ").strip()
    return Iperf3Problem(
        kind or kind_of(text) or "failed", text, exit_status=exit_status, intervals=intervals_of(document), sent=sent,
        version=version_of(document),
    )  # fmt: skip


# --- TCP ----------------------------------------------------------------------------------------------


def _tcp(document: Document, said: str, exit_status: int | None) -> Measurement:
    end = document["end"]
    total = total_of(end, "sum")
    received, sent = total_of(end, "sum_received") or total, total_of(end, "sum_sent") or total
    if not received:
        raise _no_result({**document, "end": {}}, said, False, exit_status)
    _must_be_numbers(document, exit_status)
    got, out = number_of(received, "bytes") or 0.0, number_of(sent, "bytes") or 0.0
    if got <= 0:
        kind = "nothing arrived" if out else "no data"
        raise _problem(error_in(said) or _nothing(out, _uncounted(document)), document, exit_status, kind=kind)
    contradictions = []
    # What was still buffered at the end of the omitted part arrives after it
    if out and not omits_some(document) and got > out * 1.001 + 131072 * max(1, streams_of(document)):
        contradictions.append(f"the receiver counted {got:.0f} bytes, the sender only {out:.0f}")
    contradictions += _times(document, number_of(sent, "seconds"), number_of(received, "seconds"))
    retransmits = number_of(sent, "retransmits")
    if retransmits is not None and not 0 <= retransmits < _MOST_COUNTED:
        retransmits = None
    return Measurement(
        bits_per_second=rate_of(received), bytes=int(got), duration_seconds=number_of(received, "seconds") or 0.0,
        sent_bits_per_second=rate_of(sent), sent_bytes=int(out),
        retransmits=None if retransmits is None else int(retransmits), rtt_ms=round_trip_ms(document),
        intervals=intervals_of(document), contradictions=tuple(contradictions), notes=_of_the_way_back(document),
        silent_streams=_silent_streams(document), uncounted_bytes=_uncounted(document), **_common(document, "tcp"),
    )  # fmt: skip


def _uncounted(document: Document) -> int:
    """Returns how many bytes more than were counted may have arrived: less than a block in each stream."""
    block = number_of(settings_of(document), "blksize") or 0.0
    return int(block) * streams_of(document) if release_of(document) >= (3, 16) else 0


def _nothing(sent: float, uncounted: int) -> str:
    text = f"{sent:.0f} bytes were sent and none arrived" if sent else "no data was transferred"
    if not uncounted:
        return text
    return f"{text}, or less than the {uncounted} bytes from which iperf3 counts since 3.16: a longer run would show"


# --- UDP ----------------------------------------------------------------------------------------------


def _udp(document: Document, said: str, exit_status: int | None) -> Measurement:
    sent = _sent(document)
    if sent is None or (sent.bytes <= 0 and not total_of(document["end"], "sum_received")):
        raise _problem(error_in(said) or "no data was transferred", document, exit_status, kind="no data")
    # All datagrams of a run have one size. Packets and bytes of an old version's `sum` may be of two ends
    size = number_of(settings_of(document), "blksize") or (sent.bytes / sent.packets if sent.packets else 0.0)
    packets = sent.bytes / size if size else sent.packets or 0
    arrived, seconds, source = _arrived(document, size)
    if arrived is None:
        raise _one_sided(document, sent, exit_status)
    _must_be_numbers(document, exit_status)
    received = total_of(document["end"], "sum_received")
    got = int(number_of(received, "bytes") or 0) if received else round(arrived.packets * size)
    if got <= 0:
        text = f"{packets:.0f} datagrams were sent and none arrived" if packets else "no data was transferred"
        raise _problem(text, document, exit_status, kind="nothing arrived" if packets else "no data", sent=sent)
    highest = _highest(document)
    counted = Counted(
        sent=_expected(packets, sent.seconds, seconds, 0 if omits_some(document) else arrived.progress or highest or 0),
        received=arrived.packets, gaps=arrived.gaps, expected=highest, out_of_order=arrived.out_of_order,
        omitted=omits_some(document), streams=streams_of(document),
    )  # fmt: skip
    result = loss(counted)
    at_most, packets = result.lost_at_most, arrived.packets + result.lost
    if abs(counted.sent - packets) > counted.slack:
        packets = round(counted.sent)
    return Measurement(
        bits_per_second=8 * got / seconds if seconds else 0.0, bytes=got, duration_seconds=seconds,
        sent_bits_per_second=sent.bits_per_second, sent_bytes=sent.bytes,
        packets=packets, received_packets=arrived.packets,
        lost_packets=result.lost, lost_percent=_percent(result.lost, packets),
        lost_percent_at_most=None if at_most is None else _percent(at_most, packets),
        out_of_order=arrived.out_of_order, jitter_ms=arrived.jitter_ms,
        intervals=_over_time(document, arrived, size),
        contradictions=(*result.contradictions, *_times(document, sent.seconds, seconds)),
        notes=_notes(result, source, arrived) + _of_the_way_back(document), **_common(document, "udp"),
    )  # fmt: skip


def _must_be_numbers(document: Document, exit_status: int | None) -> None:
    """What cannot be read is no zero: nobody may be accused of it."""
    received = total_of(document["end"], "sum_received") or total_of(document["end"], "sum")
    size, seconds = number_of(received, "bytes"), number_of(received, "seconds")
    rate = number_of(received, "bits_per_second")
    timed = (seconds is not None and seconds > 0) or (not seconds and rate is not None and rate > 0)
    if size is None or size < 0 or (size and not timed):
        text = f"the receiver's count is {received.get('bytes')!r} bytes in {received.get('seconds')!r} seconds"
        raise _problem(text, document, exit_status, kind="unreadable")


def _sent(document: Document) -> Sent | None:
    end = document["end"]
    total = total_of(end, "sum_sent") or total_of(end, "sum")
    if not total:
        return None
    # In `sum` of old versions the seconds may be the receiver's; the streams have the sender's
    streams = [stream.get("udp") or {} for stream in end.get("streams") or []]
    seconds = number_of(total, "seconds") or 0.0
    if "sum_sent" not in end:
        seconds = max((number_of(stream, "seconds") or 0.0 for stream in streams), default=0.0) or seconds
    size, packets = number_of(total, "bytes") or 0.0, number_of(total, "packets")
    # 3.12 counts below zero now and then, which an unsigned number shows as 1.8e19; a datagram has at least a byte
    known = packets is not None and 0 < packets <= size
    return Sent(int(size), seconds, int(packets or 0) if known else None)


def _arrived(document: Document, size: float) -> tuple[Arrived | None, float, str]:
    """Returns what the receiver counted, over how many seconds, and where that comes from."""
    received = total_of(document["end"], "sum_received")
    server = _of_the_server(document)
    reverse = bool(number_of(settings_of(document), "reverse"))
    own = arrived_in_json(document) if reverse else None
    if received and size:
        other = own or server
        packets = round((number_of(received, "bytes") or 0.0) / size)
        counted = Arrived(
            packets=packets,
            seconds=number_of(received, "seconds") or 0.0,
            gaps=_gaps(received, packets),
            out_of_order=other.out_of_order if other else None,
            jitter_ms=number_of(received, "jitter_ms"),
            intervals=other.intervals if other else (),
        )
        return counted, counted.seconds, "both ends"
    if own is not None:
        return own, own.seconds, "the client's intervals"
    if server is not None and not reverse:
        return server.of_size(size), server.seconds, "the server's output"
    return None, 0.0, ""


def _gaps(received: Document, packets: int) -> int | None:
    """Returns the receiver's own number of lost datagrams, None where the client did not get it.

    Clients from 3.16 on show "0 of all that were sent lost" with a server up to 3.12, whatever was lost: only the bytes
    are the server's then. Seen with 3.16, 3.18 and 3.22 beside 3.1.3, 3.7, 3.9 and 3.12.
    """
    lost, of = number_of(received, "lost_packets"), number_of(received, "packets")
    if lost == 0 and of and packets < of:
        return None
    return int(lost or 0)


def _of_the_server(document: Document) -> Arrived | None:
    text, inner = document.get("server_output_text"), document.get("server_output_json")
    if isinstance(inner, dict):
        return arrived_in_json(in_shape(inner))
    return arrived_in_text(text) if isinstance(text, str) else None


def _one_sided(document: Document, sent: Sent, exit_status: int | None) -> Iperf3Problem:
    count = f"{sent.packets} datagrams" if sent.packets else f"{sent.bytes} bytes"
    gaps = number_of(total_of(document["end"], "sum"), "lost_packets") or 0
    least = (
        f", at least {gaps:.0f} of them lost" if 0 < gaps <= (sent.packets or 0) and not omits_some(document) else ""
    )
    return _problem(
        f"{version_of(document) or 'this version'} reports for UDP only what was sent ({count}, "
        f"{sent.bits_per_second / 1e6:.3g} Mbit/s{least}), not what arrived. Use a client of version 3.11 or later, or "
        "a server that gives its output",
        document, exit_status, kind="one-sided", sent=sent,
    )  # fmt: skip


def _expected(packets: float, sent_seconds: float, received_seconds: float, known: int) -> float:
    """Returns how many datagrams were sent while the receiver counted, which may end a little earlier.

    The receiver knows of all up to the highest number that it saw.
    """
    if 0 < received_seconds < sent_seconds <= received_seconds * 1.3:
        return min(packets, max(packets * received_seconds / sent_seconds, known))
    return packets


def _highest(document: Document) -> int | None:
    packets = number_of(total_of(document["end"], "sum_received"), "packets")
    return int(packets) if packets is not None and 0 <= packets < 1e15 else None


def _percent(count: float, packets: float) -> float:
    return min(100.0, 100 * count / packets) if packets else 0.0


def _over_time(document: Document, arrived: Arrived, size: float) -> tuple[Interval, ...]:
    return arrived.rates(size) or intervals_of(document)


def _notes(result: Loss, source: str, arrived: Arrived) -> tuple[str, ...]:
    told: tuple[str, ...] = () if source == "both ends" else (f"what arrived is taken from {source}",)
    if arrived.gaps is None:
        told += (
            "the client shows 0 lost, which is not the server's count: a client from 3.16 on does not get it from a "
            "server up to 3.12. The loss is what was sent minus the data that arrived",
        )
    return told + result.notes


# --- what both have ----------------------------------------------------------------------------------


def _times(document: Document, sent: float | None, received: float | None) -> list[str]:
    """A receiver that counted for a much shorter time than was sent shows a rate that never was."""
    if not sent or not received or omits_some(document) or received * _SAME_TIME > sent:
        return []
    return [f"the receiver counted for {received:.3g} s what was sent in {sent:.3g} s"]


def _silent_streams(document: Document) -> int:
    """Returns how many parallel streams carried nothing to the receiver."""
    ends = [stream.get("receiver") or {} for stream in document["end"].get("streams") or []]
    return sum(1 for end in ends if number_of(end, "bytes") == 0) if len(ends) > 1 else 0


def _of_the_way_back(document: Document) -> tuple[str, ...]:
    two_ways = bool(number_of(settings_of(document), "bidir")) or "sum_received_bidir_reverse" in document["end"]
    return ("the run sent in both directions at once; the figures are for client to server only",) if two_ways else ()


def _common(document: Document, protocol: str) -> dict[str, Any]:
    start = document.get("start") or {}
    connected = (start.get("connected") or [{}])[0]
    cpu = total_of(document["end"], "cpu_utilization_percent")
    target = start.get("target_bitrate", settings_of(document).get("target_bitrate"))
    return {
        "version": version_of(document),
        "protocol": protocol,
        "streams": streams_of(document),
        "reverse": bool(number_of(settings_of(document), "reverse")),
        "remote": f"{connected.get('remote_host', '')}:{connected.get('remote_port', '')}".strip(":"),
        "target_bits_per_second": number_of({"": target}, ""),
        "client_cpu_percent": number_of(cpu, "host_total"),
        "server_cpu_percent": number_of(cpu, "remote_total"),
        "omitted_seconds": number_of(settings_of(document), "omit") or 0.0,
    }
