"""The protocol between the library and a prober in a pod.

Plan, on the prober's standard input:

    PLAN <limit in ms>
    <id> <kind> <host> <port> <extra> <ms>   one line per connection; kinds as in `types.Target.probe`; the last word
                                             is its own time limit, 0 for that of the plan
    END

Answer, on its standard output: `BEGIN` at once; then `R`, id, OK/FAILED/ERROR, microseconds, attempts, responder,
client, detail, separated by tabs; `IDLE` once nothing is left but waiting; at last `END`, number of lines,
microseconds, and for how many microseconds the prober stood still at most. Empty fields are `-`.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.probing.types import Observation, Outcome, Target

# Texts of glibc, musl, Python and agnhost for the same thing.
_CLASSES: tuple[tuple[Outcome, str], ...] = (
    (Outcome.NO_ANSWER, r"connected but (no answer|closed)|empty datagram"),
    (Outcome.DNS, r"^DNS\b|^dns\b|name resolution|name or service not known|name does not resolve|try again|nodename|"
                  r"no address associated|invalid argument|name resolution failed"),
    (Outcome.REFUSED, r"refused"),
    (Outcome.RESET, r"reset by peer|broken pipe"),
    (Outcome.UNREACHABLE, r"no route to host|unreachable|operation not permitted|permission denied"),
    (Outcome.TIMEOUT, r"no answer|timed? ?out|timeout"),
)  # fmt: skip
LATE = re.compile(r"answered after (\d+) ms")
CLIENT = re.compile(r"\[?([0-9a-fA-F:.]+?)\]?:(\d+)")


@dataclass(frozen=True)
class Reply:
    """One result line."""

    number: str
    state: str
    latency_ms: float
    attempts: int
    responder: str
    client: str
    detail: str


def plan_text(targets: Sequence[Target], limit_ms: int) -> str:
    """The plan for one source; the id of a line is the target's index, with the repetition behind a dot.

    Raises:
        InputError: A target has no address: an empty one would make a prober ask itself.
    """
    lines = [f"PLAN {limit_ms}"]
    for index, target in enumerate(targets):
        if not target.host or " " in target.host or target.host in ("None", "<pending>"):
            raise InputError(
                f"The target '{target.name}' of Service '{target.service}' has the address '{target.host}'; "
                "an address is needed to probe it."
            )
        if target.probe != "dns" and not 0 < target.port < 65536:
            raise InputError(f"The target '{target.name}' has the port {target.port}; allowed: 1 to 65535.")
        for turn in range(target.repeat):
            lines.append(
                f"{index}.{turn} {target.probe} {target.host} {target.port} {target.extra or '-'} {target.limit_ms}"
            )
    return "\n".join(lines) + "\nEND\n"


def parse_reply(line: str) -> Reply | None:
    """Reads a result line; None for any other line."""
    fields = line.rstrip("\r\n").split("\t")
    if len(fields) != 8 or fields[0] != "R":
        return None
    plain = ["" if field == "-" else field.strip() for field in fields]
    try:
        return Reply(plain[1], plain[2], int(fields[3]) / 1000, int(fields[4]), plain[5], plain[6], plain[7])
    except ValueError:
        return None


def classify(state: str, detail: str) -> Outcome:
    """The outcome that a prober's words mean."""
    if state == "OK":
        return Outcome.CONNECTED
    if state != "FAILED":
        return Outcome.ERROR
    for outcome, pattern in _CLASSES:
        if re.search(pattern, detail, re.IGNORECASE):
            return outcome
    return Outcome.ERROR


def client_address(text: str) -> str:
    """The address in `address:port` as a server writes it; empty when there is none."""
    found = CLIENT.fullmatch(text)
    return found[1] if found else ""


def _lost_at_first(reply: Reply, outcome: Outcome) -> bool:
    """Nothing came back for the first packet of a connection, whether or not a later one was answered."""
    return outcome is Outcome.TIMEOUT or (outcome is Outcome.CONNECTED and reply.attempts > 1)


def observe(replies: Sequence[Reply]) -> Observation:
    """Sums up all connections of one cell.

    A cell without any reply is a probe error: whatever could not be asked must not look blocked.
    """
    if not replies:
        return Observation(Outcome.ERROR, "the prober reported nothing for this cell")
    outcomes = [classify(reply.state, reply.detail) for reply in replies]
    good = [reply for reply, outcome in zip(replies, outcomes, strict=True) if outcome is Outcome.CONNECTED]
    bad = [
        (reply, outcome) for reply, outcome in zip(replies, outcomes, strict=True) if outcome is not Outcome.CONNECTED
    ]
    worst = Outcome.CONNECTED
    detail = good[0].detail if good else ""
    if bad:
        worst = Counter(outcome for _, outcome in bad).most_common(1)[0][0]
        detail = next(reply.detail for reply, outcome in bad if outcome is worst)
    first_lost = sum(_lost_at_first(reply, outcome) for reply, outcome in zip(replies, outcomes, strict=True))
    late = [int(found[1]) for reply in good if (found := LATE.fullmatch(reply.detail))]
    return Observation(
        outcome=worst,
        detail=detail,
        responders=Counter(reply.responder for reply in good if reply.responder),
        failures=Counter(str(outcome) for _, outcome in bad),
        clients=frozenset(filter(None, (client_address(reply.client) for reply in good))),
        latency_ms=round(statistics.median(reply.latency_ms for reply in good), 3) if good else None,
        first_attempts=len(replies),
        first_lost=first_lost,
        attempts=max(reply.attempts for reply in replies),
        slowest_ms=max([*(reply.latency_ms for reply in good), *late], default=None),
    )
