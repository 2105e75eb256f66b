"""Why events were lost: each function looks at one possible cause and says how much of the loss it explains."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from NetLibrary._mechanics.e2sar import arithmetic
from NetLibrary._mechanics.e2sar import causes_on_the_way as way
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


# --- what cannot work at all ------------------------------------------------------------------------------


def _own_words(facts: Facts, judgement: Judgement) -> list[Cause]:
    causes = []
    for side in facts.sides:
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
    for side in facts.sides:
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
    way.policy,
    way.policy_lag,
    way.mtu,
    way.bandwidth,
    way.interfaces,
    way.network,
    _sender_slow,
    _order,
    _mangled,
    _strays,
    _duplicates,
)
