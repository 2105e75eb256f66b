"""What cannot work at all: pods that end, programs that refuse, images without the program."""

from __future__ import annotations

import math
import re

from NetLibrary._mechanics.e2sar.causes.rules import Rule, named
from NetLibrary._mechanics.e2sar.facts import Cause, Facts, Judgement

# What a program said that could not work at all, and what to do about it. `{}` takes the first group.
_WORDS: tuple[tuple[str, str], ...] = (
    (
        r"Address already in use",
        "another process of the pod's network holds the port; choose another port or run one receiver per pod",
    ),
    (r"Cannot assign requested address", "the address to bind is not one of the pod's; bind the pod's own address"),
    (r"exceeds outgoing interface MTU", "lower mtu to that of the pod's interface"),
    (r"MTU is too short", "raise mtu to 106 or more"),
    (r"Error in parsing URI.*", "correct the EJFAT URI: data= takes an IP address and a port, nothing else"),
    (r"(?:Data|Sync) address not present", "give data= and sync= in the EJFAT URI"),
    (r"locale::facet", "set LC_ALL=C in the container: the image lacks the locale of its environment"),
    (
        r"unrecognised option '([^']+)'",
        "this version of e2sar_perf has no option {}; leave it out or use a newer image",
    ),
    (r"Conflicting options|requires option|for option|option '", "correct the options given to e2sar_perf"),
    (r"--ip or --autoip", "give --ip with the pod's address"),
    (r"Requested optimization", "leave the optimization out: the image was built without it"),
    (r"not found|No such file", "choose an image with e2sar_perf on its PATH"),
    (r"Unable to create reassembler", "correct the receiver's port, threads or timeout"),
    (r"Unable to create segmenter", "correct the sender's mtu, sockets or URI"),
)


def _own_words(facts: Facts, judgement: Judgement) -> list[Cause]:
    causes = []
    for side in facts.sides:
        if side.evicted:
            text = (
                f"{named(side)} was evicted from its node {side.node or '(unknown)'} while it ran ({side.evicted}); "
                "free the node, or name another one with node=, and run again."
            )
            causes.append(Cause("evicted", text, math.inf, evidence=[f"{side.name}: {side.evicted}"]))
        elif side.trouble:
            causes.append(Cause("pod", f"{side.trouble}.", math.inf, evidence=[f"{side.name}: {side.trouble}"]))
        elif side.evidence.failed_step == "tool":
            causes.append(
                Cause(
                    "tool",
                    f"{named(side)} did not start: {side.evidence.failure}; choose an image with e2sar_perf on its "
                    "PATH.",
                    math.inf,
                )
            )
        elif side.evidence.failed_step == "port":
            text = (
                f"{named(side)} did not start: {side.evidence.failure}; choose another port, or let no other container "
                "of the pod listen there."
            )
            causes.append(Cause("port in use", text, math.inf, {"port": str(side.settings.port + 1)}))
        elif side.evidence.failed_step == "resolve":
            text = (
                f"{named(side)} found no receiver: {side.evidence.failure}; start a receiver first, and check its "
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
                    f"{named(side)} did not work: {said.rstrip('.')}; {_remedy(said)}.",
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
            text = f"{named(side)} was killed because it used more memory than its limit; raise its memory limit."
            causes.append(
                Cause("memory", text, math.inf, {"memory_limit": "1Gi"}, [f"exit code {side.end.exit_code}, OOMKilled"])
            )
        elif side.end.crashed and not side.report.failures and not side.evidence.failure:
            how = _signal(side.end.exit_code or 0)
            when = " in the middle of the run" if side.report.blocks or side.report.events else ""
            extra = (
                "; stray or reordered datagrams crash a 0.1.4 receiver, so keep other senders off its port or use a "
                "newer image"
                if side.end.exit_code == 139
                else "; only the run should stop it, so find out who did and run again"
                if side.end.exit_code in (137, 143)
                else "; see the end of its log"
            )
            causes.append(
                Cause(
                    "crash",
                    f"{named(side)} ended with {how}{when}{extra}.",
                    math.inf,
                    evidence=[f"exit code {side.end.exit_code}"],
                )
            )
    return causes


def _signal(code: int) -> str:
    known = {134: "SIGABRT (134)", 137: "SIGKILL (137)", 139: "a segmentation fault (139)", 143: "SIGTERM (143)"}
    return known.get(code, f"exit code {code}")


RULES = (
    Rule(
        ("evicted", "pod", "tool", "port in use", "dns", "refused"),
        "either end",
        "what happened to its pod; what e2sar_perf or the script around it printed",
        _own_words,
        fatal=True,
    ),
    Rule(("memory", "crash"), "either end", "how its container ended", _crashed, fatal=True),
)
