"""What was delivered and what was not: counts from both ends, and the checks that follow from limits.

Pure functions over what was observed; nothing here talks to a cluster, and nothing here explains.
"""

from __future__ import annotations

from collections.abc import Iterable

from NetLibrary._mechanics.e2sar.facts import Cause, Facts, Frames, Judgement, Limits, ReceiverFacts, Reception, percent
from NetLibrary._mechanics.e2sar.reports import StatsBlock
from NetLibrary._mechanics.verdict import Check

# Two reports are equal at rest; a report this much younger than the last datagram holds all of them
SETTLED_SECONDS = 0.5


def judge(facts: Facts) -> Judgement:
    """Counts what was delivered, as far as it can be told; `check` holds it against limits."""
    receptions = [reception(each, facts) for each in facts.receivers]
    finals = [block for each in facts.receivers if (block := each.report.final)]
    received = sum(each.received for each in receptions)
    return Judgement(
        events=facts.events,
        received=received,
        # What one receiver may have got, another cannot have got too
        received_at_most=max(received, min(facts.events, sum(each.received_at_most for each in receptions))),
        partial=sum(each.partial for each in receptions),
        mangled=sum(block.mangled for block in finals),
        sender_errors=sum(each.report.errors or 0 for each in facts.senders),
        data_errors=sum(block.data_errors for block in finals),
        bad_headers=sum(block.bad_headers or 0 for block in finals),
        frames=count_frames(facts),
        open_because=[each.open_because for each in receptions if each.open_because],
    )


def reception(side: ReceiverFacts, facts: Facts) -> Reception:
    """Counts the events of one receiver, and tells what its log leaves open.

    Its reports are cumulative and come once a period; one that ends in the middle prints no last report, and one with
    `--quiet` prints none at all. How many datagrams its sockets read then bounds what may be missing.
    """
    fragments = min((each.settings.fragments for each in facts.senders), default=1)
    block, read = side.report.final, side.read
    if block is None:
        return _without_reports(side, facts, fragments, read)
    if block.received >= facts.events or _is_last(side, facts, block, fragments, read):
        return Reception(block.received, block.received, block.lost)
    most = facts.events if read is None else min(facts.events, read // fragments)
    if (paced := _paced(side, facts, block)) is not None:
        most = min(most, block.received + paced)
    if most <= block.received:
        return Reception(block.received, block.received, block.lost)
    known = f"; its sockets read {read} datagrams" if read is not None else ""
    text = (
        f"Receiver '{side.name}' ended while events were still arriving, and it prints no report at its end: its last "
        f"report counted {block.received} events{known}, enough for {most}."
    )
    return Reception(block.received, most, block.lost, text)


def _without_reports(side: ReceiverFacts, facts: Facts, fragments: int, read: int | None) -> Reception:
    never_ran = side.report.failures or side.evidence.failure or (not side.report.completed and not side.report.lines)
    if read == 0 or never_ran:
        return Reception()
    if read is None:
        text = f"Receiver '{side.name}' printed no report, and it is not known how many datagrams it read."
        return Reception(0, facts.events, 0, text)
    if fragments == 1 and all(each.settings.fragments == 1 for each in facts.senders):
        return Reception(read, read)
    most = min(facts.events, read // fragments)
    text = (
        f"Receiver '{side.name}' printed no report (--quiet): its sockets read {read} of "
        f"{sum(each.settings.frames for each in facts.senders)} datagrams, enough for {most} events, but it is not "
        "known how many of these were reassembled; leave --quiet out."
    )
    return Reception(0, most, 0, text) if most else Reception()


def _is_last(side: ReceiverFacts, facts: Facts, block: StatsBlock, fragments: int, read: int | None) -> bool:
    """Whether a receiver's last report holds everything that it read."""
    blocks = side.report.blocks
    at_rest = len(blocks) >= 2 and counts_of(blocks[-2]) == counts_of(block)
    if side.report.total_frames is not None and block.packets is not None:
        return side.report.total_frames <= block.packets
    if side.end.by_us and at_rest:
        return True  # it was stopped after the senders' end and reported twice before
    if read is not None and (block.packets is None or read <= block.packets):
        most = max((each.settings.fragments for each in facts.senders), default=1)
        if block.packets is not None or read <= block.received * fragments + block.lost:
            return True
        if read > (block.received + block.lost) * most:
            return False
    over = [each.over_at for each in facts.senders]
    if block.at is not None and over and all(at is not None for at in over):
        return block.at >= max(at for at in over if at is not None) + (SETTLED_SECONDS if block.lost else 0.0)
    return at_rest and (read is None or block.packets is None)


def counts_of(block: StatsBlock) -> tuple[int, int, int | None]:
    """What stays the same in two reports once nothing comes any more."""
    return block.received, block.lost, block.packets


def _paced(side: ReceiverFacts, facts: Facts, block: StatsBlock) -> int | None:
    """Events that paced senders can have sent between a receiver's last report and its end."""
    if block.at is None or side.end.at is None or not all(each.settings.rate_gbps for each in facts.senders):
        return None
    # A container's end is known to the second
    seconds = max(0.0, side.end.at - block.at) + 1.0
    return sum(int(seconds / each.settings.send_seconds * each.settings.events) + 1 for each in facts.senders)


def count_frames(facts: Facts) -> Frames:
    """Follows the datagrams through the counters of both ends."""
    frames = Frames(planned=sum(each.settings.frames for each in facts.senders))
    frames.left = _total(each.evidence.grown("Udp.OutDatagrams") for each in facts.senders)
    if frames.left is None and all(each.all_sent for each in facts.senders):
        frames.left = _total(each.report.frames_sent for each in facts.senders)
    ends = [each.evidence for each in facts.receivers]
    frames.reached = _total(end.grown("Ip.InDelivers") for end in ends)
    frames.read = _total(end.grown("Udp.InDatagrams") for end in ends)
    frames.refused = _total(end.grown("Udp.NoPorts") for end in ends)
    if frames.reached is None and frames.read is not None:
        errors = _total(end.grown("Udp.InErrors") for end in ends)
        frames.reached = frames.read + (frames.refused or 0) + (errors or 0)
    drops = _total(end.grown("Udp.RcvbufErrors") for end in ends)
    shown = _total(each.evidence.drops(each.settings.ports) for each in facts.receivers)
    frames.overrun = max((value for value in (drops, shown) if value is not None), default=None)
    return frames


def check(judgement: Judgement, limits: Limits) -> None:
    """Holds a judgement against limits: adds a check for each, and errors where the counts leave one undecided."""
    found, open_checks = [], []
    for made, decided in (
        _delivered_at_least(judgement, limits.delivered_at_least),
        _delivered_at_most(judgement, limits.delivered_at_most),
        _lost_at_most(judgement, "in part", judgement.partial, judgement.partial, limits.partial_at_most),
        _lost_at_most(judgement, "silently", *_silent(judgement), limits.silent_at_most),
    ):
        if made is not None:
            found.append(made)
            open_checks += [] if decided else [made]
    found.append(_count_at_most("mangled events", limits.mangled_at_most, judgement.mangled))
    errors = judgement.sender_errors + judgement.data_errors
    text = (
        f"{judgement.sender_errors} send errors and {judgement.data_errors} receive errors, expected at most "
        f"{limits.errors_at_most}."
    )
    found.append(_count_at_most("errors", limits.errors_at_most, errors, text))
    if limits.expected_cause:
        found.append(_cause_check(judgement.causes, limits.expected_cause))
    if limits.causes_allowed and judgement.received < judgement.events:
        found.append(_allowed_cause_check(judgement, limits.causes_allowed))
    judgement.checks += found
    for made in open_checks:
        judgement.errors.append(
            f"{judgement.counts} {' '.join(judgement.open_because)} So '{made.rule} {made.expected:g} %' cannot be "
            "judged; let the receiver run until the sender is done."
        )


Decided = tuple[Check | None, bool]


def _delivered_at_least(judgement: Judgement, limit: float) -> Decided:
    seen, most = 100 * judgement.delivered, 100 * judgement.delivered_at_most
    text = f"Delivered {percent(judgement.delivered)}, expected at least {limit:g} %."
    made = Check("delivered at least", limit, seen, "%", seen >= limit, text)
    return made, made.passed or most < limit


def _delivered_at_most(judgement: Judgement, limit: float | None) -> Decided:
    if limit is None:
        return None, True
    seen, most = 100 * judgement.delivered, 100 * judgement.delivered_at_most
    text = f"Delivered {percent(judgement.delivered)}, expected at most {limit:g} %."
    return Check("delivered at most", limit, seen, "%", most <= limit, text), most <= limit or seen > limit


def _lost_at_most(judgement: Judgement, how: str, least: int, most: int, limit: float) -> Decided:
    events = judgement.events or 1
    text = f"{most} events lost {how} ({percent(most / events)}), expected at most {limit:g} %."
    made = Check(f"lost {how} at most", limit, 100 * most / events, "%", 100 * most / events <= limit, text)
    return made, made.passed or 100 * least / events > limit


def _silent(judgement: Judgement) -> tuple[int, int]:
    if judgement.whole:
        return judgement.silent, judgement.silent
    more = judgement.received_at_most - judgement.received
    return max(0, judgement.silent - more), judgement.silent


def _count_at_most(what: str, limit: int, seen: int, text: str = "") -> Check:
    return Check(f"{what} at most", limit, seen, "", seen <= limit, text or f"{seen} {what}, expected at most {limit}.")


def _cause_check(causes: Iterable[Cause], expected: str) -> Check:
    kinds = [each.kind for each in causes]
    listed = ", ".join(f"'{kind}'" for kind in kinds) or "none"
    text = f"Cause '{expected}' was expected; found: {listed}."
    return Check("cause", expected, ", ".join(kinds), "", expected in kinds, text)


def _allowed_cause_check(judgement: Judgement, allowed: tuple[str, ...]) -> Check:
    kind = judgement.cause.kind if judgement.cause else "none"
    text = f"The loss was expected to have one of the causes {', '.join(allowed)}; found: {kind}."
    return Check("cause of the loss", " or ".join(allowed), kind, "", kind in allowed, text)


def _total(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
