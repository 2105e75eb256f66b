"""Causes that are no failure of the network: objects that were changed, and servers or links that are slow."""

# Sentences for people are easier to keep right in one piece:
# Names of a loop are bound as defaults of the tests, which mypy cannot infer:
# mypy: disable-error-code="misc"
from __future__ import annotations

from collections.abc import Iterator

from NetLibrary._mechanics.matrix.explain.causes import AT_ADDRESS, Candidate, Case
from NetLibrary._mechanics.matrix.judge.expect import SLOW_ANSWER_MS
from NetLibrary._mechanics.matrix.model.features import Fact
from NetLibrary._mechanics.matrix.model.types import Outcome

ANYTHING = AT_ADDRESS | {"object", "responder", "client", "open", "dns", "records", "affinity", "slow", "error"}


def of_objects(case: Case) -> Iterator[Candidate]:
    """What somebody has changed or deleted since the matrix was made."""
    for name, text in case.world.foreign_policies.items():
        yield Candidate(
            "policy of others",
            name,
            f"{text}.",
            must=lambda f, n=name: f"/{n} (" in f.cell.expected.reason and f.symptom == "object",
            may=lambda f: "NetworkPolicy" in f.cell.expected.reason,
            symptoms=frozenset({"object"}),
            rank=1,
            hint="Find out who made the policy; the cells are blocked as it demands, so it is enforced.",
        )
    for name, change in case.world.drift.items():
        pod = case.world.service(name) is None and change.startswith("pod ")

        def of_it(f: Fact, n: str = name, p: bool = pod) -> bool:
            return (n in f.to_pods or f.source == n) if p else f.service == n

        yield Candidate(
            "pod gone" if pod else "service changed",
            name,
            f"{change[0].upper()}{change[1:]}. Its cells show what the objects say now; the network only follows.",
            must=of_it,
            symptoms=ANYTHING,
            share=0.05,
            rank=1,
            hint=f"Find out who changed '{name}' or the controller that should keep its endpoints; then probe again.",
        )


def _accepted_at_once(fact: Fact) -> bool:
    """The connection came about quickly and only the answer was late: a lost packet would have delayed the first."""
    seen = fact.cell.observed
    if seen.outcome is Outcome.CONNECTED or seen.responders:
        return (seen.latency_ms or 0.0) < SLOW_ANSWER_MS / 2
    return seen.outcome is Outcome.NO_ANSWER


def of_speed(case: Case) -> Iterator[Candidate]:
    """Answers that come, but late."""
    slow = [f for f in case.wrong if f.symptom == "slow" and f.path != "dns" and _accepted_at_once(f)]
    if not slow:
        return
    took = sorted(max(f.cell.observed.slowest_ms or 0.0, f.cell.observed.latency_ms or 0.0) for f in slow)
    said = f"after {took[len(took) // 2]:.0f} ms in the middle"
    for pod in case.bad_pods:
        if any(f.to_pods == {pod} and f.protocol == "TCP" and not _accepted_at_once(f) for f in case.wrong):
            continue
        yield Candidate(
            "slow pod",
            pod,
            f"Pod '{pod}' answers late to everybody ({said}), while other pods answer at once.",
            must=lambda f, p=pod: f.to_pods == {p} and f.wants_connection and not f.large and f.protocol == "TCP",
            may=lambda f, p=pod: p in f.to_pods,
            symptoms=AT_ADDRESS | {"slow"},
            share=0.5,
            least=2,
            soft=True,
            rank=9,
            hint=f"Look at the load and the CPU limit of '{pod}', and at shaping on its interface.",
            compare=lambda f, o, p=pod: (
                o.source == f.source and o.path == "pod" and p not in o.to_pods and not o.itself
            ),
            compare_text="another pod answers to the same source at once",
        )
    for node in case.bad_nodes:
        yield Candidate(
            "slow node",
            node,
            f"Answers that go into or out of node '{node}' come late ({said}), those between other nodes at once.",
            must=lambda f, n=node: (
                f.path == "pod" and not f.itself and f.crosses(n) and f.wants_connection and not f.large
            ),
            may=lambda f, n=node: f.from_node == n or n in f.to_nodes or f.entry == n,
            symptoms=frozenset({"slow", "blocked", "flapping", "dns"}),
            share=0.5,
            least=3,
            rank=12,
            hint=f"Look at the load of '{node}', and at queues, shaping and errors of its interfaces.",
        )
