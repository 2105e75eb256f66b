"""Losses between the sender's socket and the receiver's network: policies, MTU, bandwidth limits, drops, links."""

from __future__ import annotations

from itertools import pairwise

from NetLibrary._mechanics.e2sar import arithmetic
from NetLibrary._mechanics.e2sar.causes.rules import Rule
from NetLibrary._mechanics.e2sar.causes.timing import after_the_end
from NetLibrary._mechanics.e2sar.facts import Cause, Facts, Judgement, SenderFacts


def _policy(facts: Facts, judgement: Judgement) -> list[Cause]:
    """A NetworkPolicy that keeps everything away."""
    if not facts.blocking_policies or judgement.received:
        return []
    names, port = " and ".join(facts.blocking_policies), facts.senders[0].settings.port
    text = (
        f"NetworkPolicy {names} does not allow UDP port {port}; add UDP {port} to its ports (a TCP rule does "
        "not cover it)."
    )
    said = sorted({side.report.last_error for side in facts.senders if side.report.errors})
    evidence = [
        f"{judgement.frames.left} datagrams left the sender, {judgement.frames.reached} reached the receiver",
        f"send errors: {', '.join(said)}" if said else "no send errors: a policy drops silently",
    ]
    # a network that rejects what a policy denies makes send errors as well: they speak for the policy, not beside it
    weight = float(judgement.frames.planned + judgement.sender_errors) + 2
    return [Cause("network policy", text, weight, {"policy": "allow"}, evidence)]


def _policy_lag(facts: Facts, judgement: Judgement) -> list[Cause]:
    """A policy lets a fresh pod through only once its node has published the pod's address."""
    lost = judgement.frames.lost_on_the_way or 0
    if not facts.policies or facts.blocking_policies or not lost:
        return []
    for side in facts.senders:
        if side.running_since and side.first_datagram_at and side.first_datagram_at - side.running_since < 1.5:
            text = (
                f"NetworkPolicies allow this stream, but '{side.name}' sent its first datagrams within "
                "1.5 s of its start, before the policies applied to its address; set start_delay to 2 s."
            )
            evidence = [f"{lost} datagrams left the sender and did not reach the receiver"]
            return [Cause("policy not yet in force", text, lost, {"start_delay": "2 s"}, evidence)]
    return []


def _mtu(facts: Facts, judgement: Judgement) -> list[Cause]:
    """Packets that are cut into fragments, and full ones that vanish."""
    causes = []
    for sender in facts.senders:
        settings, mtu = sender.settings, sender.evidence.knob("mtu")
        created = sender.evidence.grown("Ip.FragCreates") or 0
        failed = sum(side.evidence.grown("Ip.ReasmFails") or 0 for side in facts.receivers)
        if created and mtu and settings.mtu > mtu:
            text = (
                f"IP packets of {settings.mtu} bytes were cut into fragments, because the MTU of the interface is "
                f"{mtu}: "
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
        f"Packets of {settings.mtu} bytes do not get through, but shorter ones do: the MTU of the path is smaller than "
        f"that of the interface (MTU black hole); set mtu to {lower}, or to the real MTU of the path."
    )
    return Cause(
        "MTU black hole",
        text,
        float(judgement.frames.planned) + 1,
        {"mtu": str(lower)},
        [f"{reached} datagrams reached the receiver, about one per event"],
    )


def _bandwidth(facts: Facts, judgement: Judgement) -> list[Cause]:
    """A bandwidth annotation below the rate of the stream."""
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
        f"set rate to {arithmetic.rate_text(most)} or raise the limit above {wire / 1e6:.4g} Mbit/s."
    )
    return [
        Cause(
            "bandwidth limit",
            text,
            lost,
            {"rate": arithmetic.rate_text(most)},
            [f"{lost} datagrams left the sender and did not reach the receiver"],
        )
    ]


def _interfaces(facts: Facts, judgement: Judgement) -> list[Cause]:
    """Drops that interfaces of pods and nodes counted."""
    causes = []
    counted = [(f"{side.name} eth0 {name}", side.evidence.interface_grown(name) or 0) for side in facts.sides
               for name in ("rx_dropped", "tx_dropped", "rx_errors", "tx_errors")]  # fmt: skip
    for where, drops in [*counted, *(facts.node_drops.items() if judgement.frames.lost_on_the_way else ())]:
        if drops > 0:
            text = (
                f"The interface counter {where} rose by {drops}; look for a full queue or a faulty device there, "
                "or lower rate."
            )
            causes.append(Cause("interface drops", text, drops, evidence=[f"{where}: {drops}"]))
    return causes


def _network(facts: Facts, judgement: Judgement) -> list[Cause]:
    """What left the sender and never came: all, some, or none for seconds."""
    frames = judgement.frames
    lost = frames.lost_on_the_way
    if lost is None or lost <= 0 or frames.left is None:
        return []
    share = lost / max(frames.left, 1)
    weight = lost * 0.9 - 1.2 * after_the_end(facts)
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
            "Nothing that left the sender reached the receiver's interface, and there was no error: the link or route "
            f"between {nodes} is cut; check it in this direction."
        )
        return [Cause("link cut", text, weight, evidence=evidence)]
    if gap:
        text = (
            f"The network between {nodes} carried nothing for about {gap:.0f} s in the middle of the run; {lost} "
            "datagrams were lost in that time; check the link at that time."
        )
        return [Cause("link interrupted", text, weight, evidence=evidence)]
    text = (
        f"The network between {nodes} lost {lost} of {frames.left} datagrams ({100 * share:.1f} %) on the path, while "
        "the receiver had room; look for a lossy link or a full queue."
    )
    return [Cause("lossy link", text, weight, evidence=evidence)]


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


RULES = (
    Rule(
        ("network policy",),
        "path",
        "nothing was received, and the NetworkPolicies do not allow UDP from this sender",
        _policy,
    ),
    Rule(
        ("policy not yet in force",),
        "path",
        "policies allow it, but the sender's pod was less than 1.5 s old",
        _policy_lag,
    ),
    Rule(
        ("fragmentation", "MTU black hole"),
        "path",
        "IP fragments were made; only the short last datagram of each event arrives",
        _mtu,
    ),
    Rule(
        ("bandwidth limit",),
        "path",
        "datagrams lost on the path, and an IP rate above a bandwidth annotation",
        _bandwidth,
    ),
    Rule(("interface drops",), "path", "drop and error counters of pods' and nodes' interfaces", _interfaces),
    Rule(
        ("link cut", "link interrupted", "lossy link"),
        "path",
        "datagrams left the sender (`OutDatagrams`) and did not reach the receiver (`InDelivers`): all, all for "
        "seconds, or some",
        _network,
    ),
)
