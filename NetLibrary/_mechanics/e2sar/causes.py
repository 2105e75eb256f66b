"""Why events were lost: each function looks at one possible cause and says how much of the loss it explains."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from itertools import pairwise

from NetLibrary._mechanics.e2sar import arithmetic
from NetLibrary._mechanics.e2sar.verdict import Cause, Facts, Judgement, ReceiverFacts, SenderFacts

THROTTLED_OFTEN = 0.2
# What a program said that could not work at all, and what to do about it. `{}` takes the first group.
_WORDS: tuple[tuple[str, str], ...] = (
    (
        r"Address already in use",
        "another process of the pod's network holds the port; choose another port or run one receiver per pod",
    ),
    (r"Cannot assign requested address", "the address to bind is none of the pod's; bind the pod's own address"),
    (r"exceeds outgoing interface MTU", "lower mtu to that of the pod's interface"),
    (r"MTU is too short", "raise mtu to 106 or more"),
    (r"Error in parsing URI.*", "correct the EJFAT URI: data= takes an IP address and a port, nothing else"),
    (r"(?:Data|Sync) address not present", "give data= and sync= in the EJFAT URI"),
    (r"locale::facet", "set LC_ALL=C in the container: the image lacks the locale of its environment"),
    (
        r"unrecognised option '([^']+)'",
        "this version of e2sar_perf has no option {}; leave it away or take a newer image",
    ),
    (r"Conflicting options|requires option|for option|option '", "correct the options given to e2sar_perf"),
    (r"--ip or --autoip", "give --ip with the pod's address"),
    (r"Requested optimization", "leave the optimization away: the image was built without it"),
    (r"not found|No such file", "choose an image with e2sar_perf on its PATH"),
    (r"Unable to create reassembler", "correct the receiver's port, threads or timeout"),
    (r"Unable to create segmenter", "correct the sender's mtu, sockets or URI"),
)


def explain(facts: Facts, judgement: Judgement) -> list[Cause]:
    """Returns all causes that the evidence supports; the heaviest one is the verdict's."""
    lost = judgement.events - judgement.received
    causes: list[Cause] = []
    for look in _FATAL:
        causes += look(facts, judgement)
    if lost > 0 or judgement.mangled or judgement.sender_errors or judgement.duplicated:
        for look in _LOSSES:
            causes += look(facts, judgement)
    return causes


def sides(facts: Facts) -> list[SenderFacts | ReceiverFacts]:
    """Both ends, receivers first."""
    return [*facts.receivers, *facts.senders]


# --- what cannot work at all ------------------------------------------------------------------------------


def _own_words(facts: Facts, judgement: Judgement) -> list[Cause]:
    causes = []
    for side in sides(facts):
        if side.evicted:
            text = (
                f"{_name(side)} was evicted from its node {side.node or '(unknown)'} while it ran ({side.evicted}); "
                "free the node, or name another one with node=, and run again."
            )
            causes.append(Cause("evicted", text, math.inf, evidence=[f"{side.name}: {side.evicted}"]))
        elif side.trouble:
            causes.append(Cause("pod", f"{side.trouble}.", math.inf, evidence=[f"{side.name}: {side.trouble}"]))
        elif side.evidence.failed_step == "tool":
            causes.append(
                Cause(
                    "tool",
                    f"{_name(side)} did not start: {side.evidence.failure}; choose an image with e2sar_perf on its "
                    "PATH.",
                    math.inf,
                )
            )
        elif side.evidence.failed_step == "port":
            text = (
                f"{_name(side)} did not start: {side.evidence.failure}; choose another port, or let no other container "
                "of the pod listen there."
            )
            causes.append(Cause("port in use", text, math.inf, {"port": str(side.settings.port + 1)}))
        elif side.evidence.failed_step == "resolve":
            text = (
                f"{_name(side)} found no receiver: {side.evidence.failure}; start a receiver first, and check its "
                "readiness and the cluster's DNS."
            )
            causes.append(Cause("dns", text, math.inf))
        elif side.report.failures:
            said = next(
                (text for text in side.report.failures if not text.startswith("terminate")), side.report.failures[0]
            )
            causes.append(
                Cause(
                    "refused",
                    f"{_name(side)} did not work: {said.rstrip('.')}; {_remedy(said)}.",
                    math.inf,
                    evidence=side.report.failures,
                )
            )
    return causes


def _remedy(said: str) -> str:
    for pattern, advice in _WORDS:
        if match := re.search(pattern, said):
            return advice.format(match[1] if match.groups() else "")
    return "see the log for what it printed before"


def _crashed(facts: Facts, judgement: Judgement) -> list[Cause]:
    causes = []
    for side in sides(facts):
        if side.end.reason == "OOMKilled":
            text = f"{_name(side)} was killed because it used more memory than its limit; raise its memory limit."
            causes.append(
                Cause("memory", text, math.inf, {"memory_limit": "1Gi"}, [f"exit code {side.end.exit_code}, OOMKilled"])
            )
        elif side.end.crashed and not side.report.failures and not side.evidence.failure:
            how = _signal(side.end.exit_code or 0)
            when = " in the middle of the run" if side.report.blocks or side.report.events else ""
            extra = (
                "; stray or reordered datagrams crash a 0.1.4 receiver, so keep others off its port or take a "
                "newer image"
                if side.end.exit_code == 139
                else "; nobody but the run may stop it, so find out who did and run again"
                if side.end.exit_code in (137, 143)
                else "; see the end of its log"
            )
            causes.append(
                Cause(
                    "crash",
                    f"{_name(side)} ended with {how}{when}{extra}.",
                    math.inf,
                    evidence=[f"exit code {side.end.exit_code}"],
                )
            )
    return causes


def _signal(code: int) -> str:
    known = {134: "SIGABRT (134)", 137: "SIGKILL (137)", 139: "a segmentation fault (139)", 143: "SIGTERM (143)"}
    return known.get(code, f"exit code {code}")


# --- timing ---------------------------------------------------------------------------------------------------


def _ended_too_early(facts: Facts, judgement: Judgement) -> list[Cause]:
    finished = max((side.report.completed_at or side.end.at or 0.0 for side in facts.senders), default=0.0)
    causes = []
    for side in facts.receivers:
        if side.end.at and finished and side.end.at < finished and side.end.exit_code == 0 and not side.end.by_us:
            seconds = side.settings.duration_seconds
            needed = math.ceil(seconds + finished - side.end.at + 2) if seconds else 0
            why = (
                f"after its {seconds} s; set duration to {needed} s or 0"
                if seconds
                else "though nobody here stopped it"
            )
            text = f"{_name(side)} ended {finished - side.end.at:.1f} s before the sender did, {why}."
            causes.append(Cause("receiver ended early", text, _missing(judgement) + 1, {"duration": str(needed)}))
    return causes


def _not_yet_bound(facts: Facts, judgement: Judgement) -> list[Cause]:
    begun = min((side.first_datagram_at for side in facts.senders if side.first_datagram_at), default=None)
    causes: list[Cause] = []
    if not (judgement.frames.refused or judgement.sender_errors):
        return causes
    for side in facts.receivers:
        if begun and side.bound_at and side.bound_at > begun + 0.2:
            text = (
                f"The sender began {side.bound_at - begun:.1f} s before {side.name} had bound its port; "
                "wait with 'Wait Until E2SAR Receiver Is Bound' before the sender starts."
            )
            causes.append(
                Cause(
                    "not yet bound",
                    text,
                    # more than "no listener", which the same evidence supports
                    (judgement.frames.refused or 0) + judgement.sender_errors + _missing(judgement) + 2,
                    evidence=[f"{judgement.frames.refused or 0} datagrams found no socket"],
                )
            )
    return causes


def _nobody_listens(facts: Facts, judgement: Judgement) -> list[Cause]:
    refused = judgement.frames.refused or 0
    said = [side.report.last_error for side in facts.senders if side.report.errors]
    if not refused and not any("refused" in text for text in said):
        return []
    wrong = _wrong_port(facts)
    evidence = [
        f"{judgement.sender_errors} send errors: {', '.join(sorted(set(said))) or 'none'}",
        f"{refused} datagrams found no socket at the receiver",
    ]
    weight = max(refused, judgement.sender_errors, 1) + (_missing(judgement) if not judgement.received else 0)
    if wrong:
        return [Cause("wrong port", wrong[0], weight, wrong[1], evidence)]
    if not facts.receivers:
        text = "Nobody listens at the address that was sent to (connection refused); start a receiver there first."
    elif any(side.end.at or side.end.exit_code is not None for side in facts.receivers):
        text = (
            "The port was closed while the sender still sent (connection refused), because the receiver had "
            "ended; let the receiver run until the sender is done."
        )
    else:
        text = (
            "The port was closed while the sender sent (connection refused); start the receiver first and wait "
            "until it is bound."
        )
    return [Cause("no listener", text, weight, evidence=evidence)]


def _wrong_address(facts: Facts, judgement: Judgement) -> list[Cause]:
    known = {side.address for side in facts.receivers if side.address}
    causes = []
    for side in facts.senders:
        found = re.search(r"data=\[?([0-9A-Fa-f.:]+?)\]?:\d+(?:&|$)", side.evidence.uri)
        if side.direct and found and known and found[1] not in known:
            text = (
                f"'{side.name}' sent to {found[1]}, but the receiver has {' and '.join(sorted(known))}: its name led "
                "elsewhere; check the cluster's DNS for a stale or foreign entry."
            )
            causes.append(Cause("wrong address", text, _missing(judgement) + 3, evidence=[side.evidence.uri]))
    return causes


def _wrong_port(facts: Facts) -> tuple[str, dict[str, str]] | None:
    for sender in facts.senders:
        sent_to = sender.settings.port
        listening = sorted(
            {port for side in facts.receivers for port in side.evidence.bound_ports() or side.settings.ports}
        )
        if listening and sent_to not in listening:
            ports = ", ".join(map(str, listening[:4]))
            return (
                f"The sender sent to port {sent_to}, but the receiver listens on {ports}; set port to {listening[0]}.",
                {"send_to_port": str(listening[0])},
            )
    return None


# --- the receiver's socket ----------------------------------------------------------------------------------------


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
    why, throttled = "", _throttling(side)
    if throttled:
        share, text = throttled
        why = f" while {text}" if share >= THROTTLED_OFTEN else ""
        evidence.append(text)
    advice, remedy = _buffer_advice(facts, side, effective, maximum, bool(why))
    cut = f" (net.core.rmem_max cut the {size} asked for)" if effective < size else ""
    text = (
        f"The receiver's socket buffer of {effective} bytes{cut}, room for about {room} datagrams, overran {drops} "
        f"times{why}, not the network; {remedy}."
    )
    kind = "buffer and CPU throttling" if why else "receive buffer"
    return [Cause(kind, text, drops, advice, evidence)]


def _throttling(side: ReceiverFacts | SenderFacts) -> tuple[float, str] | None:
    counted = side.evidence.throttled
    if not counted or counted[1] <= 0 or counted[0] <= 0:
        return None
    share = min(1.0, counted[0] / counted[1])
    limit = side.cpu_limit or (f"{side.evidence.cpus:g}" if side.evidence.cpus else "?")
    return (
        share,
        f"its CPU limit of {limit} had it throttled in {100 * share:.0f} % of the periods ({counted[0]} of "
        f"{counted[1]})",
    )


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
        advice["rate_gbps"] = f"{lower:.4g}"
        steps.append(f"lower rate_gbps to {lower:.4g}, since the receiver cannot read as fast as this")
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


# --- the way between them ---------------------------------------------------------------------------------------------


def _policy(facts: Facts, judgement: Judgement) -> list[Cause]:
    if not facts.blocking_policies or judgement.received:
        return []
    names, port = " and ".join(facts.blocking_policies), facts.senders[0].settings.port
    text = (
        f"NetworkPolicy {names} does not let UDP port {port} through; add UDP {port} to its ports (a TCP rule does "
        "not cover it)."
    )
    evidence = [
        f"{judgement.frames.left} datagrams left the sender, {judgement.frames.reached} reached the receiver",
        "no send errors: a policy drops silently",
    ]
    return [Cause("network policy", text, _missing(judgement) + 2, {"policy": "allow"}, evidence)]


def _policy_lag(facts: Facts, judgement: Judgement) -> list[Cause]:
    """A policy lets a fresh pod through only once its node has published the pod's address."""
    lost = judgement.frames.lost_on_the_way or 0
    if not facts.policies or facts.blocking_policies or not lost:
        return []
    for side in facts.senders:
        if side.running_since and side.first_datagram_at and side.first_datagram_at - side.running_since < 1.5:
            text = (
                f"NetworkPolicies let this stream through, but '{side.name}' sent its first datagrams within "
                "1.5 s of its start, before the policies could know its address; set start_delay to 2 s."
            )
            evidence = [f"{lost} datagrams left the sender and did not reach the receiver"]
            return [Cause("policy not yet in force", text, lost, {"start_delay": "2 s"}, evidence)]
    return []


def _mtu(facts: Facts, judgement: Judgement) -> list[Cause]:
    causes = []
    for sender in facts.senders:
        settings, mtu = sender.settings, sender.evidence.knob("mtu")
        created = sender.evidence.grown("Ip.FragCreates") or 0
        failed = sum(side.evidence.grown("Ip.ReasmFails") or 0 for side in facts.receivers)
        if created and mtu and settings.mtu > mtu:
            text = (
                f"IP packets of {settings.mtu} bytes were cut into fragments, because the interface takes {mtu}: "
                f"losing one loses the datagram, and firewalls drop them; set mtu to {mtu}."
            )
            causes.append(
                Cause(
                    "fragmentation",
                    text,
                    max(judgement.frames.lost_on_the_way or 0, failed, 1),
                    {"mtu": str(mtu)},
                    [f"{created} IP fragments made, {failed} reassemblies failed at the receiver"],
                )
            )
        if black := _black_hole(sender, facts, judgement):
            causes.append(black)
    return causes


def _black_hole(sender: SenderFacts, facts: Facts, judgement: Judgement) -> Cause | None:
    """Full packets vanish and only the short last ones of each event come through."""
    settings, reached = sender.settings, judgement.frames.reached
    refused_locally = any("too long" in side.report.last_error for side in facts.senders)
    told = (sender.evidence.grown("Icmp.InDestUnreachs") or 0) > 0 and judgement.frames.refused == 0
    short_only = (
        settings.fragments > 1
        and reached is not None
        and 0.8 <= reached / settings.events <= 1.2
        and judgement.received == 0
    )
    if not (short_only or refused_locally or (told and judgement.received == 0 and not judgement.sender_errors)):
        return None
    lower = 1280 if settings.mtu > 1280 else 576  # the smallest MTU of IPv6, and what every IPv4 host takes
    text = (
        f"Packets of {settings.mtu} bytes do not get through, shorter ones do: the path takes less than the "
        f"interface says (MTU black hole); set mtu to {lower}, or to what the path really takes."
    )
    return Cause(
        "MTU black hole",
        text,
        _missing(judgement) + 1,
        {"mtu": str(lower)},
        [f"{reached} datagrams reached the receiver, about one per event"],
    )


def _bandwidth(facts: Facts, judgement: Judgement) -> list[Cause]:
    lost = judgement.frames.lost_on_the_way or 0
    wire = sum(side.settings.wire_bits_per_second for side in facts.senders)
    limits = [(side.bandwidth, f"egress of {side.name}") for side in facts.senders if side.bandwidth]
    limits += [(side.bandwidth, f"ingress of {side.name}") for side in facts.receivers if side.bandwidth]
    if not limits or not lost:
        return []
    limit, where = min(limits)
    unlimited = any(side.settings.rate_gbps == 0 for side in facts.senders)
    if wire <= limit and not unlimited:
        return []
    total = sum(side.settings.rate_gbps for side in facts.senders)
    most = total * limit / wire * 0.95 if wire else limit / 1e9 / 2
    text = (
        f"The bandwidth limit of {limit / 1e6:g} Mbit/s ({where}) dropped {lost} datagrams of a stream of "
        f"{wire / 1e6:.4g} Mbit/s of IP packets; "
        f"set rate_gbps to {most:.3g} or raise the limit above {wire / 1e6:.4g} Mbit/s."
    )
    return [
        Cause(
            "bandwidth limit",
            text,
            lost,
            {"rate_gbps": f"{most:.3g}"},
            [f"{lost} datagrams left the sender and did not reach the receiver"],
        )
    ]


def _interfaces(facts: Facts, judgement: Judgement) -> list[Cause]:
    causes = []
    counted = [(f"{side.name} eth0 {name}", side.evidence.interface_grown(name) or 0) for side in sides(facts)
               for name in ("rx_dropped", "tx_dropped", "rx_errors", "tx_errors")]  # fmt: skip
    for where, drops in [*counted, *(facts.node_drops.items() if judgement.frames.lost_on_the_way else ())]:
        if drops > 0:
            text = (
                f"The interface counter {where} rose by {drops}; look for a full queue or a faulty device there, "
                "or lower rate_gbps."
            )
            causes.append(Cause("interface drops", text, drops, evidence=[f"{where}: {drops}"]))
    return causes


def _network(facts: Facts, judgement: Judgement) -> list[Cause]:
    frames = judgement.frames
    lost = frames.lost_on_the_way
    if lost is None or lost <= 0 or frames.left is None:
        return []
    share = lost / max(frames.left, 1)
    nodes = (
        " and ".join(
            dict.fromkeys([*(s.node for s in facts.senders if s.node), *(r.node for r in facts.receivers if r.node)])
        )
        or "the two nodes"
    )
    evidence = [
        f"{frames.left} datagrams left the sender, {frames.reached} reached the receiver",
        f"{lost} lost in between ({100 * share:.1f} %)",
    ]
    gap = _gap(facts)
    if frames.reached == 0:
        text = (
            "Nothing of what left the sender reached the receiver's interface, without any error: the link or "
            f"route between {nodes} is cut; check it in this direction."
        )
        return [Cause("link cut", text, lost * 0.9, evidence=evidence)]
    if gap:
        text = (
            f"The network between {nodes} carried nothing for about {gap:.0f} s in the middle of the run; {lost} "
            "datagrams were lost there, look at the link at that time."
        )
        return [Cause("link interrupted", text, lost * 0.9, evidence=evidence)]
    text = (
        f"The network between {nodes} lost {lost} of {frames.left} datagrams ({100 * share:.1f} %) on the way, the "
        "receiver had room; look for a lossy link or a queue that is full."
    )
    return [Cause("lossy link", text, lost * 0.9, evidence=evidence)]


def _gap(facts: Facts) -> float | None:
    """Seconds without traffic between seconds with traffic, as the receivers' observers saw it."""
    longest = 0.0
    for side in facts.receivers:
        series = side.evidence.rate_series("Ip.InDelivers")
        busy = [index for index, (_, rate) in enumerate(series) if rate > 0]
        if len(busy) >= 2:
            for one, two in pairwise(busy):
                longest = max(longest, series[two][0] - series[one][0] - 1)
    busy_for = max((side.settings.send_seconds for side in facts.senders), default=0.0)
    return longest if longest >= 1.5 and busy_for >= 3 else None


# --- the rest ---------------------------------------------------------------------------------


def _sender_slow(facts: Facts, judgement: Judgement) -> list[Cause]:
    causes = []
    for side in facts.senders:
        if (
            not side.report.completed
            and not side.report.failures
            and side.end.exit_code in (None, 0)
            and not side.trouble
        ):
            throttled = _throttling(side)
            why = f"; {throttled[1]}, raise it" if throttled else "; give it more time or more CPU"
            causes.append(
                Cause(
                    "sender not done",
                    f"{_name(side)} had not sent everything when the run ended{why}.",
                    1 + judgement.silent,
                )
            )
    return causes


def _order(facts: Facts, judgement: Judgement) -> list[Cause]:
    frames = judgement.frames
    if not judgement.partial or frames.read is None or frames.read < frames.planned:
        return []
    text = (
        f"All {frames.planned} datagrams were read, yet {judgement.partial} events stayed incomplete: they came "
        "out of order or more than the reassembly "
        "timeout apart; choose mtu so that an event fits into one datagram, or take e2sar_perf 0.3 and raise its "
        "timeout."
    )
    return [
        Cause(
            "reordering",
            text,
            judgement.partial,
            {"mtu": str(min(9000, max(106, facts.senders[0].settings.event_bytes + 64)))},
        )
    ]


def _mangled(facts: Facts, judgement: Judgement) -> list[Cause]:
    if not judgement.mangled:
        return []
    text = (
        f"{judgement.mangled} events arrived with a wrong head or tail; keep other senders off the port, and take "
        "e2sar_perf 0.2.1 or newer, since 0.1.4 frees its buffers early."
    )
    return [Cause("mangled", text, judgement.mangled * 0.5)]


def _strays(facts: Facts, judgement: Judgement) -> list[Cause]:
    if not judgement.bad_headers:
        return []
    text = (
        f"{judgement.bad_headers} datagrams at the receiver's port were no E2SAR ones; keep probes and other "
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


def _name(side: SenderFacts | ReceiverFacts) -> str:
    return f"{'Sender' if isinstance(side, SenderFacts) else 'Receiver'} '{side.name}'"


def _missing(judgement: Judgement) -> float:
    return float(judgement.frames.planned)


Look = Callable[[Facts, Judgement], Iterable[Cause]]
_FATAL: tuple[Look, ...] = (_own_words, _crashed)
_LOSSES: tuple[Look, ...] = (
    _ended_too_early,
    _not_yet_bound,
    _nobody_listens,
    _wrong_address,
    _overrun,
    _unread,
    _policy,
    _policy_lag,
    _mtu,
    _bandwidth,
    _interfaces,
    _network,
    _sender_slow,
    _order,
    _mangled,
    _strays,
    _duplicates,
)
