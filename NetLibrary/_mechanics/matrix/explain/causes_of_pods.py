"""Causes that sit in one pod."""

# Sentences for people are easier to keep right in one piece:
# ruff: noqa: E501
# Names of a loop are bound as defaults of the tests, which mypy cannot infer:
# mypy: disable-error-code="misc"
from __future__ import annotations

from collections.abc import Iterator

from NetLibrary._mechanics.matrix.explain.causes import (
    AT_ADDRESS,
    STOPPED,
    Candidate,
    Case,
    between_pods,
)
from NetLibrary._mechanics.matrix.model.features import Fact
from NetLibrary._mechanics.matrix.model.types import Outcome


def of_pods(case: Case) -> Iterator[Candidate]:
    for pod in case.bad_pods:

        def to_it(f: Fact, p: str = pod) -> bool:
            return f.to_pods == {p} and not f.itself and not f.hairpin and not f.large

        seen = case.outcomes(to_it)
        if Outcome.NO_ANSWER in case.outcomes(lambda f, t=to_it: t(f) and f.protocol == "TCP"):
            reason = "its kernel takes TCP connections and the server does not answer them: the server hangs"
        elif seen == {Outcome.REFUSED}:
            reason = "nothing listens on its port: the server in the pod has ended or listens on another port"
        else:
            reason = "no packet is answered: the pod is gone, isolated or its node drops traffic to it"
        yield Candidate(
            "target pod",
            pod,
            f"Pod '{pod}' does not answer to anybody: {reason}.",
            must=to_it,
            may=lambda f, p=pod: p in f.to_pods,
            symptoms=STOPPED | {"reason"},
            least=2,
            rank=8,
            hint=f"Look at the pod '{pod}': its log, its readiness probe (it is in the endpoints) and its port.",
            compare=lambda f, o, p=pod: (
                o.source == f.source and o.path == "pod" and p not in o.to_pods and not o.itself
            ),
            compare_text="other pods answer to the same source",
        )
        for protocol in ("TCP", "UDP"):
            yield Candidate(
                "target pod protocol",
                f"{pod} {protocol}",
                f"Pod '{pod}' does not answer to {protocol}, while it answers to other protocols.",
                must=lambda f, p=pod, q=protocol: (
                    f.to_pods == {p} and f.protocol == q and not f.itself and not f.hairpin and not f.large
                ),
                may=lambda f, p=pod, q=protocol: p in f.to_pods and f.protocol == q,
                symptoms=STOPPED,
                least=2,
                rank=33,
                hint=f"Look whether '{pod}' listens on {protocol}.",
            )
    outside = {f.source for f in case.facts if not f.from_node}
    for source in case.bad_sources:
        if source in outside:
            continue
        yield Candidate(
            "pod cut off",
            source,
            f"Pod '{source}' is cut off: nobody reaches it and it reaches nobody, while its node and the other pods work.",
            must=lambda f, s=source: (
                f.path == "pod" and not f.itself and not f.large and (f.source == s or f.to_pods == {s})
            ),
            may=lambda f, s=source: f.source == s or s in f.to_pods,
            symptoms=AT_ADDRESS | {"dns", "slow"},
            least=2,
            rank=6,
            hint=f"Look at the interface of '{source}', at the policies that select it, and at rules about its address.",
            compare=lambda f, o, s=source: o.path == "pod" and o.source != s and s not in o.to_pods and not o.itself,
            compare_text="other pods still reach each other",
        )
        own = next((s.from_node for s in case.facts if s.source == source), "")
        if not _has_no_way_out(case, source, own):
            yield from _source(source)
            continue
        yield Candidate(
            "pod reaches its own node only",
            source,
            f"Pod '{source}' reaches nothing outside its node '{own}' and is not reached from there, while it talks to "
            f"that node and to the pods on it: its way out is missing, for instance its default route.",
            must=lambda f, s=source, n=own: (
                f.path == "pod"
                and not f.itself
                and not f.large
                and ((f.source == s and not f.only_to(n)) or (f.to_pods == {s} and f.from_node not in ("", n)))
            ),
            may=lambda f, s=source: f.source == s or s in f.to_pods,
            symptoms=AT_ADDRESS | {"dns", "slow", "error"},
            least=2,
            rank=5,
            hint=f"Look at the routes inside '{source}' (ip route), and at the host's end of its interface.",
            compare=lambda f, o, s=source, n=own: (
                o.path == "pod" and not o.itself and not o.to_host and o.from_node == n and s not in o.to_pods
                and o.source != s
            ),
            compare_text="other pods of that node reach each other and beyond",
        )  # fmt: skip
        yield from _source(source)
    for source in case.bad_sources:
        yield from _starved(case, source)
        errors = {f.cell.observed.detail for f in case.wrong if f.source == source and f.symptom == "error"}
        yield Candidate(
            "source not probed",
            source,
            f"Source '{source}' could not be probed: {next(iter(sorted(errors)), '')}.",
            must=lambda f, s=source: f.source == s,
            symptoms=frozenset({"error"}),
            share=0.01,
            rank=7,
            hint="This says nothing about the network; repair the source and probe again.",
        )


def _has_no_way_out(case: Case, source: str, node: str) -> bool:
    """The pod itself is told that there is no route, or other pods of its node do better."""
    mine = [f for f in case.wrong if f.source == source and f.path == "pod"]
    others = [
        f for f in case.facts
        if f.from_node == node and f.source != source and f.path == "pod" and between_pods(f) and not f.only_to(node)
    ]  # fmt: skip
    told = any(f.cell.observed.outcome is Outcome.UNREACHABLE for f in mine)
    return told or (bool(others) and not any(f.wrong for f in others))


def _starved(case: Case, pod: str) -> Iterator[Candidate]:
    """Both what a pod serves and what it asks suffers."""
    asks = [f.cell.observed.detail for f in case.wrong if f.source == pod and f.symptom == "error"]
    serves = [f for f in case.wrong if f.to_pods == {pod} and f.source != pod and f.symptom != "error"]
    if not asks or not serves:
        return
    yield Candidate(
        "pod starved",
        pod,
        f"Pod '{pod}' hangs or gets next to no processor time: others get its answers late or not at all, and its own "
        f"probes do not run ({asks[0]}).",
        must=lambda f: f.source == pod or (f.to_pods == {pod} and f.wants_connection and not f.large),
        may=lambda f: pod in f.to_pods,
        symptoms=AT_ADDRESS | {"slow", "error"},
        share=0.5,
        least=2,
        rank=4,
        hint=f"Look at the CPU limit of '{pod}', at nr_throttled in its cpu.stat, and at the load of its node.",
        compare=lambda f, o: o.path == "pod" and pod not in (o.source, *o.to_pods) and not o.itself,
        compare_text="other pods answer each other at once",
    )


def _source(source: str) -> Iterator[Candidate]:
    yield Candidate(
        "source pod",
        source,
        f"Source '{source}' reaches nobody, while other sources do, also those on its node.",
        must=lambda f, s=source: f.source == s and f.wants_connection and not f.itself,
        may=lambda f, s=source: f.source == s,
        symptoms=AT_ADDRESS | {"dns", "slow"},
        least=2,
        rank=11,
        hint=f"Look at the interface, the routes and the egress policies of '{source}'.",
    )
