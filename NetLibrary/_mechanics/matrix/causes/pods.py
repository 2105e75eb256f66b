"""Causes that sit in one pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.causes.rules import AT_ADDRESS, STOPPED, At, Rule, Scope, between_pods, other_pods
from NetLibrary._mechanics.matrix.causes.scopes import POD, POD_PROTOCOL, SOURCE, SOURCE_INSIDE
from NetLibrary._mechanics.matrix.model.features import Fact
from NetLibrary._mechanics.probing.types import Outcome


def _sources_and_protocols(case: Case) -> Iterator[At]:
    for at in SOURCE_INSIDE.places(case):
        for protocol in ("TCP", "UDP"):
            yield At(at.node, pod=at.pod, protocol=protocol)


def _to_it(f: Fact, at: At) -> bool:
    return f.to_pods == {at.pod} and not f.itself and not f.hairpin and not f.large


def _reason(case: Case, at: At) -> Mapping[str, str]:
    """How a pod that answers nobody fails."""
    if Outcome.NO_ANSWER in case.outcomes(lambda f: _to_it(f, at) and f.protocol == "TCP"):
        reason = "its kernel accepts TCP connections but the server does not answer them: the server hangs"
    elif case.outcomes(lambda f: _to_it(f, at)) == {Outcome.REFUSED}:
        reason = "nothing listens on its port: the server in the pod has ended or listens on another port"
    else:
        reason = "no packet is answered: the pod is gone, isolated or its node drops traffic to it"
    return {"reason": reason}


def _has_no_way_out(case: Case, at: At) -> bool:
    """The pod itself is told that there is no route, or other pods of its node do better."""
    mine = [f for f in case.wrong if f.source == at.pod and f.path == "pod"]
    others = [
        f for f in case.facts
        if f.from_node == at.node and f.source != at.pod and f.path == "pod" and between_pods(f)
        and not f.only_to(at.node)
    ]  # fmt: skip
    told = any(f.cell.observed.outcome is Outcome.UNREACHABLE for f in mine)
    return told or (bool(others) and not any(f.wrong for f in others))


def _errors(case: Case, at: At) -> list[str]:
    return sorted({f.cell.observed.detail for f in case.wrong if f.source == at.pod and f.symptom == "error"})


def _first_error(case: Case, at: At) -> Mapping[str, str]:
    return {"error": next(iter(_errors(case, at)), "")}


def _asks_and_serves_badly(case: Case, at: At) -> bool:
    """Both what a pod serves and what it asks suffers."""
    serves = any(f.to_pods == {at.pod} and f.source != at.pod and f.symptom != "error" for f in case.wrong)
    return serves and bool(_errors(case, at))


RULES = (
    Rule(
        "pod starved",
        SOURCE.where(_asks_and_serves_badly),
        "a pod's answers come late or not at all, and its own probes do not run",
        "{pod}",
        "Pod '{pod}' hangs or gets hardly any CPU time: others get its answers late or not at all, and its own "
        "probes do not run ({error}).",
        must=lambda f, at: f.source == at.pod or (f.to_pods == {at.pod} and f.wants_connection and not f.large),
        may=lambda f, at: at.pod in f.to_pods,
        symptoms=AT_ADDRESS | {"slow", "error"},
        words=_first_error,
        share=0.5,
        least=2,
        rank=4,
        hint="Look at the CPU limit of '{pod}', at nr_throttled in its cpu.stat, and at the load of its node.",
        command="kubectl top pod -A --field-selector metadata.name={pod}",
        compare=lambda f, o, at: o.path == "pod" and at.pod not in (o.source, *o.to_pods) and not o.itself,
        compare_text="other pods answer each other at once",
    ),
    Rule(
        "pod reaches its own node only",
        SOURCE_INSIDE.where(_has_no_way_out),
        "a pod reaches its own node and the pods there, and nothing beyond",
        "{pod}",
        "Pod '{pod}' reaches nothing outside its node '{node}' and is not reached from there, while it talks to that "
        "node "
        "and to the pods on it: it has no route out, for instance no default route.",
        must=lambda f, at: (
            f.path == "pod"
            and not f.itself
            and not f.large
            and (
                (f.source == at.pod and not f.only_to(at.node))
                or (f.to_pods == {at.pod} and f.from_node not in ("", at.node))
            )
        ),
        may=lambda f, at: f.source == at.pod or at.pod in f.to_pods,
        symptoms=AT_ADDRESS | {"dns", "slow", "error"},
        least=2,
        rank=5,
        hint="Look at the routes inside '{pod}' (ip route), and at the host's end of its interface.",
        command="in {pod}: ip route",
        compare=lambda f, o, at: (
            o.path == "pod"
            and not o.itself
            and not o.to_host
            and o.from_node == at.node
            and at.pod not in o.to_pods
            and o.source != at.pod
        ),
        compare_text="other pods of that node reach each other and beyond",
    ),
    Rule(
        "pod cut off",
        SOURCE_INSIDE,
        "nothing reaches a pod and it reaches nothing; its node works",
        "{pod}",
        "Pod '{pod}' is cut off: nothing reaches it and it reaches nothing, while its node and the other pods work.",
        must=lambda f, at: (
            f.path == "pod" and not f.itself and not f.large and (f.source == at.pod or f.to_pods == {at.pod})
        ),
        may=lambda f, at: f.source == at.pod or at.pod in f.to_pods,
        symptoms=AT_ADDRESS | {"dns", "slow"},
        least=2,
        rank=6,
        hint="Look at the interface of '{pod}', at the policies that select it, and at rules about its address.",
        command="in {pod}: ip address; ip route; ip -s link",
        compare=lambda f, o, at: o.path == "pod" and at.pod not in (o.source, *o.to_pods) and not o.itself,
        compare_text="other pods still reach each other",
    ),
    Rule(
        "source not probed",
        SOURCE,
        "probes of a source do not run: no shell in its image, pod restarted",
        "{pod}",
        "Source '{pod}' could not be probed: {error}.",
        must=lambda f, at: f.source == at.pod,
        symptoms=frozenset({"error"}),
        words=_first_error,
        share=0.01,
        rank=7,
        hint="This says nothing about the network; repair the source and probe again.",
        command="kubectl get events -A --field-selector involvedObject.name={pod}",
    ),
    Rule(
        "target pod",
        POD,
        "nothing reaches a pod: refused (no server), no answer (gone, isolated), connected without an answer (hangs)",
        "{pod}",
        "Pod '{pod}' does not answer to anybody: {reason}.",
        must=_to_it,
        may=lambda f, at: at.pod in f.to_pods,
        symptoms=STOPPED | {"reason"},
        words=_reason,
        least=2,
        rank=8,
        hint="Look at the pod '{pod}': its log, its readiness probe (it is in the endpoints) and its port.",
        command="kubectl logs {pod} --all-containers; in {pod}: ss -lntup",
        compare=other_pods,
        compare_text="other pods answer to the same source",
    ),
    Rule(
        "source pod",
        SOURCE_INSIDE,
        "a source reaches nothing; others on its node do",
        "{pod}",
        "Source '{pod}' reaches nothing, while other sources do, also those on its node.",
        must=lambda f, at: f.source == at.pod and f.wants_connection and not f.itself,
        may=lambda f, at: f.source == at.pod,
        symptoms=AT_ADDRESS | {"dns", "slow"},
        least=2,
        rank=11,
        hint="Look at the interface, the routes and the egress policies of '{pod}'.",
        command="in {pod}: ip address; ip route",
    ),
    Rule(
        "source protocol",
        Scope("protocol at a source", _sources_and_protocols),
        "a source reaches no pod over one protocol; others on its node do",
        "{pod} {protocol}",
        "Source '{pod}' reaches no pod over {protocol}, while it does over other protocols and other sources do.",
        must=lambda f, at: (
            f.source == at.pod
            and f.protocol == at.protocol
            and f.path == "pod"
            and not f.itself
            and not f.to_host
            and not f.large
            and not f.only_to(at.node)
        ),
        may=lambda f, at: f.source == at.pod and f.protocol == at.protocol,
        symptoms=AT_ADDRESS,
        least=2,
        rank=34,
        hint="Look for a {protocol} rule about what '{pod}' sends, on '{node}' and in the pod.",
        command="on {node}: nft list ruleset",
        compare=lambda f, o, at: o.source != at.pod and o.from_node == at.node and o.path == "pod" and not o.itself,
        compare_text="another source of the same node reaches pods",
    ),
    Rule(
        "target pod protocol",
        POD_PROTOCOL,
        "nothing reaches a pod over one protocol",
        "{pod} {protocol}",
        "Pod '{pod}' does not answer to {protocol}, while it answers to other protocols.",
        must=lambda f, at: _to_it(f, at) and f.protocol == at.protocol,
        may=lambda f, at: at.pod in f.to_pods and f.protocol == at.protocol,
        symptoms=STOPPED,
        least=2,
        rank=33,
        hint="Check whether '{pod}' listens on {protocol}.",
        command="in {pod}: ss -lntup",
    ),
)
