"""Who was there when: a receiver that ended early or was not bound yet, ports and addresses where nobody listens."""

from __future__ import annotations

import math
import re

from NetLibrary._mechanics.e2sar.causes.rules import Rule, missing, named, older_than
from NetLibrary._mechanics.e2sar.facts import Cause, Facts, Judgement, ReceiverFacts, SenderFacts

QUICK_START_SINCE = (0, 2, 2)


def after_the_end(facts: Facts) -> float:
    """Datagrams that were sent after receivers had stopped counting, by the senders' pace.

    They explain refusals, missing routes and losses on the way alike, since a receiver's pod goes soon after it.
    """
    ends = [end for side in facts.receivers if (end := _ended_by_itself(side)) is not None]
    if not ends:
        return 0.0
    total = 0.0
    for sender in facts.senders:
        until = _sends_until(sender)
        if until is None:
            continue
        begun = sender.first_datagram_at or min(until, until - sender.settings.send_seconds)
        span = max(until - begun, 1e-3)
        shares = [min(1.0, max(0.0, until - max(begun, end)) / span) for end in ends]
        total += sender.settings.frames * sum(shares) / len(facts.receivers)
    return total


def _sends_until(sender: SenderFacts) -> float | None:
    known = [at for at in (sender.over_at, sender.sent_until) if at is not None]
    return max(known, default=None)


def _ended_by_itself(side: ReceiverFacts) -> float | None:
    if side.end.by_us or side.end.exit_code not in (None, 0) or side.trouble or side.evicted:
        return None
    return side.counted_until


def _ended_too_early(facts: Facts, judgement: Judgement) -> list[Cause]:
    until = max((at for side in facts.senders if (at := side.sent_until) is not None), default=None)
    latest = max((at for side in facts.senders if (at := _sends_until(side)) is not None), default=None)
    causes: list[Cause] = []
    if until is None or latest is None:
        return causes
    for side in facts.receivers:
        end = _ended_by_itself(side)
        if end is None or end >= until:
            continue
        seconds = side.settings.duration_seconds
        if seconds:
            needed = math.ceil(seconds + latest - end + _margin(facts))
            advice, why = {"duration": str(needed)}, f"after its {seconds} s; set duration to {needed} s or 0"
        else:
            advice, why = {"duration": "0"}, "although the run did not stop it"
        text = f"{named(side)} ended {latest - end:.1f} s before the sender did, {why}."
        late = after_the_end(facts)
        evidence = [f"about {late:.0f} of {judgement.frames.planned} datagrams were sent after it had stopped counting"]
        if (read := side.read) is not None and (block := side.report.final) and (block.packets or 0) < read:
            evidence.append(f"its sockets read {read} datagrams, its last report had counted {block.received} events")
        causes.append(Cause("receiver ended early", text, max(late, 1.0) + 1, advice, evidence))
    return causes


def _margin(facts: Facts) -> int:
    """Seconds by which the same run may take longer: a real sender before 0.2.2 starts after 6 to 9 s."""
    return 6 if any(older_than(side.report.version, *QUICK_START_SINCE) for side in facts.senders) else 2


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
            # More than "no listener", which the same evidence supports
            weight = (judgement.frames.refused or 0) + judgement.sender_errors + missing(judgement) + 2
            evidence = [f"{judgement.frames.refused or 0} datagrams found no socket"]
            causes.append(Cause("not yet bound", text, weight, evidence=evidence))
    return causes


def _nobody_listens(facts: Facts, judgement: Judgement) -> list[Cause]:
    refused = judgement.frames.refused or 0
    said = sorted({side.report.last_error for side in facts.senders if side.report.errors})
    told = any("refused" in text for text in said)
    if not refused and not told:
        return []
    evidence = [
        f"{judgement.sender_errors} send errors: {', '.join(said) or 'none'}",
        f"{refused} datagrams found no socket at the receiver",
    ]
    excused = 1.2 * after_the_end(facts)
    weight = max(refused, judgement.sender_errors, 1) - excused
    if not judgement.received and not excused:
        weight += missing(judgement)
    if wrong := _wrong_port(facts):
        return [Cause("wrong port", wrong[0], weight + excused, wrong[1], evidence)]
    if not facts.receivers:
        text = "Nothing listens at the address of the datagrams (connection refused); start a receiver there first."
        return [Cause("no listener", text, weight, evidence=evidence)]
    if not refused and all(side.refused == 0 and _was_there(side, facts) for side in facts.receivers):
        text = (
            "Something on the path refused the datagrams (connection refused), not the receiver: its port was bound "
            "and no datagram found it closed; look for a firewall that rejects packets, or for a Service without "
            "endpoints."
        )
        return [Cause("refused on the path", text, weight, evidence=evidence)]
    if any(_had_ended(side, judgement) for side in facts.receivers):
        text = (
            "The port was closed while the sender was still sending (connection refused), because the receiver had "
            "ended; let the receiver run until the sender is done."
        )
    elif not told and all(side.end.by_us and _was_there(side, facts) for side in facts.receivers):
        return []  # what came after the judge had closed the sockets
    else:
        text = (
            "The port was closed while the sender was sending (connection refused); start the receiver first and wait "
            "until it is bound."
        )
    return [Cause("no listener", text, weight, evidence=evidence)]


def _had_ended(side: ReceiverFacts, judgement: Judgement) -> bool:
    if side.end.by_us:
        return False
    known = _ended_by_itself(side) is not None or side.end.crashed
    return known or (side.report.completed and not judgement.whole)


def _was_there(side: ReceiverFacts, facts: Facts) -> bool:
    """Whether a receiver was bound before the first datagram and until the judge ended it."""
    begun = min((each.first_datagram_at for each in facts.senders if each.first_datagram_at), default=None)
    bound = side.evidence.bound(side.settings.port) or bool(side.report.blocks)
    late = begun is not None and side.bound_at is not None and side.bound_at > begun
    return bound and not late and (side.end.by_us or (side.end.at is None and side.end.exit_code is None))


def _wrong_port(facts: Facts) -> tuple[str, dict[str, str]] | None:
    for sender in facts.senders:
        sent_to = sender.settings.port
        listening = sorted(
            {port for side in facts.receivers for port in side.evidence.bound_ports() or side.settings.ports}
        )
        if not sender.translated and listening and sent_to not in listening:
            ports = ", ".join(map(str, listening[:4]))
            text = (
                f"The sender sent to port {sent_to}, but the receiver listens on {ports}; set port to {listening[0]}."
            )
            return text, {"send_to_port": str(listening[0])}
    return None


def _wrong_address(facts: Facts, judgement: Judgement) -> list[Cause]:
    known = {side.address for side in facts.receivers if side.address}
    causes = []
    for side in facts.senders:
        found = re.search(r"data=\[?([0-9A-Fa-f.:]+?)\]?:\d+(?:&|$)", side.evidence.uri)
        if side.direct and found and known and found[1] not in known:
            text = (
                f"'{side.name}' sent to {found[1]}, but the receiver has {' and '.join(sorted(known))}: its name "
                "resolved to another address; check the cluster's DNS for a stale or foreign entry."
            )
            causes.append(Cause("wrong address", text, missing(judgement) + 3, evidence=[side.evidence.uri]))
    return causes


RULES = (
    Rule(
        ("receiver ended early",),
        "receiver",
        "it stopped counting, at its own `Completed` or its end, before the sender had sent everything",
        _ended_too_early,
    ),
    Rule(("not yet bound",), "receiver", "its port was bound after the first datagram", _not_yet_bound),
    Rule(
        ("no listener", "wrong port", "refused on the path"),
        "receiver",
        "connection refused; `NoPorts` of its pod, which stays 0 if something on the path refused them; the ports "
        "bound",
        _nobody_listens,
    ),
    Rule(("wrong address",), "sender", "the address that the name resolved to is not a receiver's", _wrong_address),
)
