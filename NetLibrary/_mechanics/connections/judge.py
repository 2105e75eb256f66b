"""What was asked of connections, names and paths, and whether it was so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from NetLibrary._mechanics.connections.results import REFUSED, SILENT, UNREACHABLE, Answer, Attempt, Pair, PathMtu
from NetLibrary._mechanics.verdict import Check, at_most

# What counts as blocked: dropped, rejected with a word, or either. An address that nobody has is "unreachable" as well,
# so that is no drop.
BLOCKED = {"drop": {SILENT}, "reject": {REFUSED, UNREACHABLE}, "any": {SILENT, UNREACHABLE, REFUSED}}
HINTS = {
    ("blocked", REFUSED): "Either nothing listens there, or the network rejects packets instead of dropping them: "
    "by=any accepts both.",
    (
        "blocked",
        UNREACHABLE,
    ): "Either the address is unused, or the network rejects packets instead of dropping them: by=any accepts both.",
    ("refused", SILENT): "Something on the path drops packets; a port that nothing listens on refuses at once.",
}
# Quantities of checks about time; `at_most` makes the rule of them
TIME, TIME_TO_CONNECT = ", time", ", time to connect"


def rules_of(pair: Pair) -> set[str]:
    """Returns the rules of a pair's checks."""
    path = f"{pair.source} to {pair.target}"
    return {path, f"{path}{TIME_TO_CONNECT} at most"}


def is_about_time(check: Check) -> bool:
    """Tells a check of how long a name took from the check of its records."""
    return check.rule.endswith(f"{TIME} at most")


def connections(
    pairs: Sequence[Pair], wanted: str, expected: Callable[[str], bool], slowest_ms: float | None = None
) -> list[Check]:
    """Returns a check for each pair: every judged attempt must have ended as expected.

    Args:
        pairs: What was seen.
        wanted: `connected`, `refused` or `blocked`.
        expected: Tells whether a result is the expected one.
        slowest_ms: Longest time for a connection to come about; not asked when None.
    """
    checks = []
    for pair in pairs:
        wrong = [attempt for attempt in pair.attempts if not expected(attempt.result)]
        path, seen = f"{pair.source} to {pair.target}", pair.seen
        text = _wrong_text(pair, wrong[0], wanted) if wrong else ""
        checks.append(Check(path, wanted, seen, "", not wrong and bool(pair.attempts), text))
        if slowest_ms is not None and not wrong:
            slowest = max(attempt.ms for attempt in pair.attempts)
            checks.append(at_most(f"{path}{TIME_TO_CONNECT}", slowest_ms, slowest, "ms"))
    return checks


def _wrong_text(pair: Pair, wrong: Attempt, wanted: str) -> str:
    said = f"the first wrong one after {wrong.ms:.0f} ms" + (f": {wrong.text}" if wrong.text else "")
    hint = HINTS.get((wanted, wrong.result), "")
    text = f"From '{pair.source}' to '{pair.target}': expected {wanted}, seen {pair.seen}; {said}. {hint}".rstrip()
    return f"{text}\nRepeat it: {pair.repeat}" if pair.repeat else text


def names(
    answers: Sequence[tuple[str, Answer]], name: str, expected: Sequence[str], slowest_ms: float | None
) -> list[Check]:
    """Returns a check for each source: the name must have these records, or any when none is named."""
    checks = []
    for source, answer in answers:
        right = set(answer.values) == set(expected) if expected else bool(answer.values)
        wanted = ", ".join(sorted(expected)) or "a record"
        seen = ", ".join(answer.values) or STATUS.get(answer.status, answer.status)
        text = "" if right else f"From '{source}', '{name}' should resolve to {wanted}; seen: {seen}."
        checks.append(Check(f"{name} from {source}", wanted, seen, "", right, text))
        if slowest_ms is not None and right:
            checks.append(at_most(f"{name} from {source}{TIME}", slowest_ms, answer.ms, "ms"))
    return checks


STATUS = {
    "NXDOMAIN": "the name does not exist (NXDOMAIN)",
    "NOERROR": "the name exists and has no such record",
    "SERVFAIL": "the DNS server failed (SERVFAIL)",
    "REFUSED": "the DNS server refused to answer (REFUSED)",
    "TIMEOUT": "no DNS server answered",
}


def no_names(answers: Sequence[tuple[str, Answer]], name: str) -> list[Check]:
    """Returns a check for each source: a server must have said that there is no such name or record.

    A server that fails or does not answer has not said so.
    """
    checks = []
    for source, answer in answers:
        right = not answer.values and answer.status in ("NXDOMAIN", "NOERROR")
        seen = ", ".join(answer.values) or STATUS.get(answer.status, answer.status)
        text = "" if right else f"From '{source}', '{name}' should not resolve; seen: {seen}."
        checks.append(Check(f"no {name} from {source}", "no record", seen, "", right, text))
    return checks


def path_mtu(found: PathMtu, expected: int | str, source: str, host: str) -> Check:
    """Returns the check of a path's MTU; larger packets that vanish without a word are wrong at any size.

    Args:
        found: What was measured.
        expected: Bytes, or `device`: the source's own device must be the limit.
        source: Name of the source.
        host: The target.
    """
    told = {
        "device": "the source's own network device sends no larger ones",
        "told": "a router on the way said so",
        "silent": "larger ones are dropped without notice, so connections hang",
    }
    own = expected == "device"
    right = found.how == "device" if own else found.mtu == expected and found.how != "silent"
    wanted = "as many as the source's own network device sends" if own else f"{expected} bytes"
    text = (
        ""
        if right
        else (
            f"Packets of up to {found.mtu} bytes get from '{source}' to '{host}' ({told.get(found.how, found.how)}); "
            f"expected: {wanted}."
        )
    )
    return Check(f"path MTU from {source} to {host}", expected, found.mtu, "bytes", right, text)
