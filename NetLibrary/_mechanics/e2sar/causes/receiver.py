"""What happened at the receiver: its socket buffer and CPU, the order of datagrams, foreign ones."""

from __future__ import annotations

from NetLibrary._mechanics.e2sar import arithmetic
from NetLibrary._mechanics.e2sar.causes.rules import Rule, older_than
from NetLibrary._mechanics.e2sar.causes.words import throttling
from NetLibrary._mechanics.e2sar.facts import Cause, Facts, Judgement, ReceiverFacts, SenderFacts

# Versions that first had an option or mended a fault
TIMEOUT_SINCE, BUFFERS_SINCE = (0, 2, 2), (0, 2, 1)


def _overrun(facts: Facts, judgement: Judgement) -> list[Cause]:
    drops = judgement.frames.overrun or 0
    if not drops:
        return []
    side = max(
        facts.receivers,
        key=lambda each: each.evidence.grown("Udp.RcvbufErrors") or each.evidence.drops(each.settings.ports) or 0,
    )
    sender = facts.senders[0].settings
    size, maximum = side.settings.buffer_bytes, side.evidence.knob("rmem_max")
    effective = min(size, maximum) if maximum else size
    room = arithmetic.queue_capacity(effective, sender.event_bytes, sender.mtu)
    evidence = [
        f"{drops} datagrams dropped by the full socket buffer (RcvbufErrors, drops in /proc/net/udp)",
        f"room for about {room} datagrams",
    ]
    why, throttled = "", throttling(side)
    if throttled:
        often, text = throttled
        why = f" while {text}" if often else ""
        evidence.append(text)
    advice, remedy = _buffer_advice(facts, side, effective, maximum, bool(why))
    cut = f" (net.core.rmem_max reduced the requested {size})" if effective < size else ""
    text = (
        f"The receiver's socket buffer of {effective} bytes{cut}, room for about {room} datagrams, overran {drops} "
        f"times{why}, not the network; {remedy}."
    )
    kind = "buffer and CPU throttling" if why else "receive buffer"
    return [Cause(kind, text, drops, advice, evidence)]


def _buffer_advice(
    facts: Facts, side: ReceiverFacts, effective: int, maximum: int | None, throttled: bool
) -> tuple[dict[str, str], str]:
    needed, seconds = 0.0, 0.0
    for each in facts.senders:
        settings = each.settings
        rate = settings.frames / max(settings.send_seconds, 1e-3)
        needed += min(settings.frames * 1.25, rate * 0.5)
        seconds = max(seconds, settings.send_seconds)
    first = facts.senders[0].settings
    wanted = arithmetic.buffer_for(needed, first.event_bytes, first.mtu)
    advice, steps = {}, []
    if wanted > effective and not (maximum and effective >= maximum):
        size = min(wanted, maximum) if maximum else wanted
        advice["receiver_buffer_bytes"] = str(size)
        steps.append(f"set the receiver's buffer_bytes (BUF_SIZE) to {size}")
    if throttled and (seconds > 1.0 or not steps):
        advice["receiver_cpu_limit"] = "1"
        steps.append("raise its CPU limit to 1")
    if not steps:
        lower = (first.rate_gbps or _achieved_gbps(facts.senders[0])) / 2
        advice["rate"] = arithmetic.rate_text(lower)
        steps.append(f"lower rate to {arithmetic.rate_text(lower)}, since the receiver cannot read as fast as this")
    if maximum and wanted > maximum:
        steps.append(f"net.core.rmem_max of the node is {maximum}, {wanted} would hold all")
    return advice, " and ".join(steps)


def _achieved_gbps(side: SenderFacts) -> float:
    """Gbit/s of event bytes that a sender without pacing reached."""
    report, settings = side.report, side.settings
    bits = settings.events * settings.event_bytes * 8
    seconds = (report.elapsed_us or 0) / 1e6
    if not seconds and report.completed_at and report.started_sending_at:
        seconds = report.completed_at - report.started_sending_at
    return report.goodput_gbps or (bits / seconds / 1e9 if seconds > 0 else 0.1)


def _unread(facts: Facts, judgement: Judgement) -> list[Cause]:
    left = judgement.frames.unread
    if left <= max(2, judgement.frames.planned // 1000):
        return []
    text = (
        f"The receiver ended with {left} datagrams still unread in its queue; let it run longer, or give it more CPU."
    )
    return [Cause("unread", text, left, {"duration": "0"})]


def _order(facts: Facts, judgement: Judgement) -> list[Cause]:
    frames = judgement.frames
    if not judgement.partial or not judgement.whole or frames.read is None or frames.read < frames.planned:
        return []
    sender = facts.senders[0]
    fitting, largest = sender.settings.event_bytes + 64, sender.evidence.knob("mtu") or arithmetic.LARGEST_DATAGRAM
    advice, remedies = {}, []
    if fitting <= min(arithmetic.LARGEST_DATAGRAM, largest):
        advice["mtu"] = str(max(arithmetic.smallest_mtu(), fitting))
        remedies.append(f"set mtu to {advice['mtu']}, so that an event fits into one datagram")
    old = any(older_than(side.report.version, *TIMEOUT_SINCE) for side in facts.receivers)
    remedies.append(
        "use e2sar_perf 0.2.2 or newer and raise its --timeout" if old else "raise the receiver's --timeout"
    )
    text = (
        f"All {frames.planned} datagrams were read, yet {judgement.partial} events stayed incomplete: their datagrams "
        f"arrived out of order or further apart than the reassembly timeout; {', or '.join(remedies)}."
    )
    return [Cause("reordering", text, judgement.partial, advice)]


def _mangled(facts: Facts, judgement: Judgement) -> list[Cause]:
    if not judgement.mangled:
        return []
    old = any(older_than(side.report.version, *BUFFERS_SINCE) for side in facts.senders)
    newer = ", and use e2sar_perf 0.2.1 or newer, since 0.1.4 frees its buffers too early" if old else ""
    text = f"{judgement.mangled} events arrived with a wrong head or tail; keep other senders off the port{newer}."
    return [Cause("mangled", text, judgement.mangled * 0.5)]


def _strays(facts: Facts, judgement: Judgement) -> list[Cause]:
    if not judgement.bad_headers:
        return []
    text = (
        f"{judgement.bad_headers} datagrams at the receiver's port were not E2SAR datagrams; keep probes and other "
        "senders off this port."
    )
    return [Cause("stray datagrams", text, min(judgement.bad_headers, 1))]


def _duplicates(facts: Facts, judgement: Judgement) -> list[Cause]:
    if not judgement.duplicated:
        return []
    text = (
        f"{judgement.duplicated} more events were received than sent; look for a duplicating path, or a second "
        "sender with the same data_id."
    )
    return [Cause("duplicates", text, judgement.duplicated)]


RULES = (
    Rule(
        ("receive buffer", "buffer and CPU throttling"),
        "receiver",
        "drops of its socket (`RcvbufErrors`, `/proc/net/udp`); `nr_throttled` of its container",
        _overrun,
    ),
    Rule(("unread",), "receiver", "datagrams that reached it and were neither read nor dropped", _unread),
    Rule(("reordering",), "receiver", "every datagram was read, events stayed incomplete", _order),
    Rule(("mangled",), "receiver", "its counter of events with a wrong head or tail", _mangled),
    Rule(("stray datagrams",), "receiver", "its counter of datagrams with a foreign header", _strays),
    Rule(("duplicates",), "receiver", "more events received than sent", _duplicates),
)
