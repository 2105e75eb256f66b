"""Causes that are no failure of the network: objects that were changed, and servers or links that are slow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.causes.rules import AT_ADDRESS, At, Rule, Scope, other_pods
from NetLibrary._mechanics.matrix.causes.scopes import NODE, POD
from NetLibrary._mechanics.matrix.judge.expect import SLOW_ANSWER_MS
from NetLibrary._mechanics.matrix.model.features import Fact
from NetLibrary._mechanics.probing.types import Outcome

ANYTHING = AT_ADDRESS | {"object", "responder", "client", "open", "dns", "records", "affinity", "slow", "error"}


def _is_pod(case: Case, name: str) -> bool:
    return case.world.service(name) is None and case.world.drift[name].startswith("pod ")


def _changed(pods: bool) -> Scope:
    def places(case: Case) -> Iterator[At]:
        return (At(name=name) for name in case.world.drift if _is_pod(case, name) is pods)

    return Scope("pod of the matrix" if pods else "Service of the matrix", places)


def _change(case: Case, at: At) -> Mapping[str, str]:
    text = case.world.drift[at.name]
    return {"change": text[0].upper() + text[1:]}


def _policy(case: Case, at: At) -> Mapping[str, str]:
    return {"policy": case.world.foreign_policies[at.name]}


def _accepted_at_once(fact: Fact) -> bool:
    """The connection came about quickly and only the answer was late: a lost packet would have delayed the first."""
    seen = fact.cell.observed
    if seen.outcome is Outcome.CONNECTED or seen.responders:
        return (seen.latency_ms or 0.0) < SLOW_ANSWER_MS / 2
    return seen.outcome is Outcome.NO_ANSWER


def _slow(case: Case) -> list[Fact]:
    return [f for f in case.wrong if f.symptom == "slow" and f.path != "dns" and _accepted_at_once(f)]


def _some_are_slow(case: Case, at: At) -> bool:
    return bool(_slow(case))


def _accepts(case: Case, at: At) -> bool:
    """No TCP connection to that pod came about late, which a lost packet would have done."""
    return _some_are_slow(case, at) and not any(
        f.to_pods == {at.pod} and f.protocol == "TCP" and not _accepted_at_once(f) for f in case.wrong
    )


def _how_late(case: Case, at: At) -> Mapping[str, str]:
    took = sorted(max(f.cell.observed.slowest_ms or 0.0, f.cell.observed.latency_ms or 0.0) for f in _slow(case))
    return {"late": f"after {took[len(took) // 2]:.0f} ms in the middle"}


CHANGED = (
    Rule(
        "policy of others",
        Scope("NetworkPolicy", lambda case: (At(name=name) for name in case.world.foreign_policies)),
        "a policy that this run did not create denies what the cells show",
        "{name}",
        "{policy}.",
        must=lambda f, at: f"/{at.name} (" in f.cell.expected.reason and f.symptom == "object",
        may=lambda f, at: "NetworkPolicy" in f.cell.expected.reason,
        symptoms=frozenset({"object"}),
        words=_policy,
        rank=1,
        hint="Find out who created the policy; the cells are blocked as it demands, so it is enforced.",
        command="kubectl get networkpolicy -A -o yaml --show-managed-fields",
    ),
    Rule(
        "pod gone",
        _changed(pods=True),
        "a pod of the matrix is gone or was recreated",
        "{name}",
        "{change}. Its cells show what the objects say now; the network only follows.",
        must=lambda f, at: at.name in f.to_pods or f.source == at.name,
        symptoms=ANYTHING,
        words=_change,
        share=0.05,
        rank=1,
        hint="Find out who changed '{name}' or the controller that should keep its endpoints; then probe again.",
        command="kubectl get events -A --field-selector involvedObject.name={name}",
    ),
    Rule(
        "service changed",
        _changed(pods=False),
        "selector, ports, type or endpoints of a Service are not as they were created",
        "{name}",
        "{change}. Its cells show what the objects say now; the network only follows.",
        must=lambda f, at: f.service == at.name,
        symptoms=ANYTHING,
        words=_change,
        share=0.05,
        rank=1,
        hint="Find out who changed '{name}' or the controller that should keep its endpoints; then probe again.",
        command="kubectl get service,endpointslice -A --field-selector metadata.name={name} -o yaml "
        "--show-managed-fields",
    ),
)

SLOW = (
    Rule(
        "slow pod",
        POD.where(_accepts),
        "connections to the pod succeed at once, but its answers come late",
        "{pod}",
        "Pod '{pod}' answers everybody late ({late}), while other pods answer at once.",
        must=lambda f, at: f.to_pods == {at.pod} and f.wants_connection and not f.large and f.protocol == "TCP",
        may=lambda f, at: at.pod in f.to_pods,
        symptoms=AT_ADDRESS | {"slow"},
        words=_how_late,
        share=0.5,
        least=2,
        soft=True,
        rank=9,
        hint="Look at the load and the CPU limit of '{pod}', and at shaping on its interface.",
        command="kubectl top pod -A --field-selector metadata.name={pod}",
        compare=other_pods,
        compare_text="another pod answers to the same source at once",
    ),
    Rule(
        "slow node",
        NODE.where(_some_are_slow),
        "answers into and out of the node come late, those between other nodes do not",
        "{node}",
        "Answers that go into or out of node '{node}' come late ({late}), those between other nodes at once.",
        must=lambda f, at: (
            f.path == "pod" and not f.itself and f.crosses(at.node) and f.wants_connection and not f.large
        ),
        may=lambda f, at: f.from_node == at.node or at.node in f.to_nodes or f.entry == at.node,
        symptoms=frozenset({"slow", "blocked", "flapping", "dns"}),
        words=_how_late,
        share=0.5,
        least=3,
        rank=12,
        hint="Look at the load of '{node}', and at queues, shaping and errors of its interfaces.",
        command="on {node}: tc -s qdisc; ip -s link; uptime",
    ),
)
