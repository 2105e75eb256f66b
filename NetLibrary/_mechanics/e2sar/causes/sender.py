"""What happened at the sender: datagrams that it could not send, an end before everything was sent."""

from __future__ import annotations

from NetLibrary._mechanics.e2sar.causes.rules import Rule, missing, named, older_than
from NetLibrary._mechanics.e2sar.causes.timing import after_the_end
from NetLibrary._mechanics.e2sar.causes.words import throttling
from NetLibrary._mechanics.e2sar.facts import Cause, Facts, Judgement, SenderFacts

# Since this version `Completed` tells how many datagrams were sent; before, it was a look at a queue still full
COUNTS_SINCE = (0, 2)
# What the kernel said: kind, what it means, what to do
_ERRORS: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (
        ("Operation not permitted", "Permission denied"),
        "send refused",
        "a firewall rule or policy drops them on the sender's side",
        "allow outgoing UDP to port {port} there",
    ),
    (
        ("No route to host", "Network is unreachable", "Host is down", "Network is down"),
        "no route",
        "its node has no route to the address, or a router or firewall says so",
        "check routes and neighbours of {node}",
    ),
    (
        ("No buffer space", "Resource temporarily unavailable", "Cannot allocate memory"),
        "send queue",
        "the queue of its interface was full",
        "lower rate, or raise the sender's buffer_bytes",
    ),
)


def _send_errors(facts: Facts, judgement: Judgement) -> list[Cause]:
    causes = []
    for side in facts.senders:
        errors, said = side.report.errors or 0, side.report.last_error
        # A refusal is the receiver's or the path's matter, a datagram that is too long one of the MTU
        if not errors or "refused" in said or "too long" in said:
            continue
        kind, why, remedy = "send errors", "", "check the kernel log and firewall of its node"
        for words, its_kind, its_why, its_remedy in _ERRORS:
            if any(word in said for word in words):
                kind, why, remedy = its_kind, f", since {its_why}", its_remedy
        remedy = remedy.format(port=side.settings.port, node=side.node or "its node")
        text = f"{named(side)} could not send ({said or 'no reason given'}){why}; {remedy}."
        weight = missing(judgement) + 1 if not judgement.received else float(errors)
        weight -= 1.2 * after_the_end(facts)
        causes.append(Cause(kind, text, weight, evidence=[f"{side.name}: {errors} send errors: {said}"]))
    return causes


def _interrupted(facts: Facts, judgement: Judgement) -> list[Cause]:
    causes = []
    for side in facts.senders:
        sent = _sent(side)
        if sent is None or sent >= side.settings.frames or side.trouble or side.end.crashed:
            continue
        left = side.settings.frames - sent
        who = "the run's end stopped it" if side.end.by_us else "something interrupted it (SIGINT)"
        text = (
            f"{named(side)} sent only {sent} of {side.settings.frames} datagrams and counted no errors: {who}; "
            "let it run to its end."
        )
        causes.append(Cause("sender interrupted", text, left, evidence=[f"{side.name}: {sent} datagrams sent"]))
    return causes


def _sent(side: SenderFacts) -> int | None:
    """Datagrams that a sender without errors sent before it completed; None where that cannot be told."""
    report = side.report
    if not report.completed or report.errors or report.failures:
        return None
    if (left := side.evidence.grown("Udp.OutDatagrams")) is not None:
        return left
    if older_than(report.version, *COUNTS_SINCE) or report.frame_shortfall is None:
        return None
    return report.frames_sent


def _not_done(facts: Facts, judgement: Judgement) -> list[Cause]:
    causes = []
    for side in facts.senders:
        report, ended = side.report, side.end.exit_code not in (None, 0)
        if not report.completed and not report.failures and not ended and not side.trouble:
            throttled = throttling(side)
            why = f"; {throttled[1]}, raise it" if throttled else "; give it more time or more CPU"
            text = f"{named(side)} had not sent everything by the end of the run{why}."
            causes.append(Cause("sender not done", text, 1 + judgement.silent))
    return causes


RULES = (
    Rule(
        ("send refused", "no route", "send queue", "send errors"),
        "sender",
        "its send errors other than `Connection refused`",
        _send_errors,
    ),
    Rule(
        ("sender interrupted",), "sender", "`Completed` with fewer datagrams than planned and no errors", _interrupted
    ),
    Rule(("sender not done",), "sender", "no `Completed` when the run ended", _not_done),
)
