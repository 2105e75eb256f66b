"""Causes that sit between two nodes."""

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
from NetLibrary._mechanics.matrix.model.features import BY_NAME, Fact


def _one_way(fact: Fact, here: str, there: str) -> bool:
    return fact.from_node == here and fact.only_to(there)


def _either_way(fact: Fact, one: str, other: str) -> bool:
    return _one_way(fact, one, other) or _one_way(fact, other, one)


def of_pairs(case: Case) -> Iterator[Candidate]:
    for one, other in sorted(set(case.bad_pairs) | {(b, a) for a, b in case.bad_pairs}):
        if one < other:
            yield Candidate(
                "node pair",
                f"{one} and {other}",
                f"Nodes '{one}' and '{other}' do not reach each other in either direction, while both reach others. "
                "A TCP connection and a UDP answer need both directions, so one dropped direction looks like this too.",
                must=lambda f, a=one, b=other: f.path == "pod" and not f.large and _either_way(f, a, b),
                may=lambda f, a=one, b=other: {a, b} <= {f.from_node, f.entry} | f.to_nodes,
                symptoms=AT_ADDRESS | {"dns", "slow"},
                least=2,
                rank=15,
                hint=f"Look at routes, tunnels and firewalls between '{one}' and '{other}'; see which of the two "
                "directions loses the packets with a capture on both.",
            )
            yield Candidate(
                "pod network of pair",
                f"{one} and {other}",
                f"Pods of nodes '{one}' and '{other}' do not reach each other, while the nodes' own addresses do: the pod "
                "network between the two is broken.",
                must=lambda f, a=one, b=other: f.path == "pod" and between_pods(f) and _either_way(f, a, b),
                may=lambda f, a=one, b=other: {a, b} <= {f.from_node} | f.to_nodes,
                symptoms=AT_ADDRESS | {"dns", "slow"},
                least=2,
                rank=16,
                hint=f"Look at the tunnel or the routes for pod networks between '{one}' and '{other}'.",
            )
            yield Candidate(
                "loss between nodes",
                f"{one} and {other}",
                f"Part of the new connections between nodes '{one}' and '{other}' is lost: some succeed, some time out, "
                "also by pod addresses, while both nodes reach the others well.",
                must=lambda f, a=one, b=other: f.path == "pod" and {a, b} == {f.from_node} | f.to_nodes,
                may=lambda f, a=one, b=other: {a, b} <= {f.from_node, f.entry} | f.to_nodes,
                symptoms=AT_ADDRESS | {"dns", "slow"},
                soft=True,
                share=0.15,
                least=2,
                rank=39,
                weight=0.6,
                hint=f"Look at the drops and errors of the links between '{one}' and '{other}'.",
            )
            for here, there in ((one, other), (other, one)):
                yield from _missing_route(case, here, there)
            for protocol in ("TCP", "UDP"):
                yield Candidate(
                    "protocol between nodes",
                    f"{protocol} between {one} and {other}",
                    f"{protocol} between nodes '{one}' and '{other}' fails in both directions, while other protocols pass "
                    "between them.",
                    must=lambda f, a=one, b=other, p=protocol: (
                        f.path == "pod" and not f.large and f.protocol == p and _either_way(f, a, b)
                    ),
                    may=lambda f, a=one, b=other, p=protocol: (
                        (f.protocol == p or (p == "UDP" and f.path in BY_NAME))
                        and {a, b} <= {f.from_node, f.entry} | f.to_nodes
                    ),
                    symptoms=AT_ADDRESS | {"dns"},
                    least=2,
                    rank=31,
                    hint=f"Look for a {protocol} rule on '{one}', on '{other}' and between the two.",
                )
            yield Candidate(
                "large packets between nodes",
                f"{one} and {other}",
                f"Large packets between '{one}' and '{other}' vanish (MTU black hole); small ones pass.",
                must=lambda f, a=one, b=other: f.large and {a, b} <= {f.from_node} | f.to_nodes,
                may=lambda f: f.path == "dns" and f.cell.target.extra.count("/") > 1,
                symptoms=STOPPED | {"dns"},
                rank=13,
                hint="Compare the MTU of the path with that of the pods.",
            )
        yield Candidate(
            "one direction",
            f"{one} to {other}",
            f"Node '{one}' cannot open connections to pods of node '{other}', while the way back works.",
            must=lambda f, a=one, b=other: f.path == "pod" and not f.large and _one_way(f, a, b),
            may=lambda f, a=one, b=other: f.from_node == a and (b in f.to_nodes or f.entry == b),
            symptoms=AT_ADDRESS,
            rank=16,
            hint=f"Look for a firewall rule or a missing route from '{one}' to the pods of '{other}'.",
            compare=lambda f, o: o.path == "pod" and o.only_to(f.from_node) and o.from_node in f.to_nodes,
            compare_text="connections the other way round work",
        )
        yield Candidate(
            "pod network in one direction",
            f"{one} to {other}",
            f"Pods of node '{one}' cannot open connections to pods of node '{other}', while the way back works and the "
            "nodes' own addresses reach each other.",
            must=lambda f, a=one, b=other: f.path == "pod" and between_pods(f) and _one_way(f, a, b),
            may=lambda f, a=one, b=other: f.from_node == a and b in f.to_nodes,
            symptoms=AT_ADDRESS,
            least=2,
            rank=17,
            hint=f"Look for a firewall or policy rule from the pod network of '{one}' to that of '{other}'.",
            compare=lambda f, o: o.path == "pod" and o.only_to(f.from_node) and o.from_node in f.to_nodes,
            compare_text="connections the other way round work",
        )
        for protocol in ("TCP", "UDP"):
            yield Candidate(
                "protocol to pods in one direction",
                f"{protocol} {one} to {other}",
                f"{protocol} from node '{one}' to the pods of node '{other}' is lost; other protocols, the way back and the "
                f"address of '{other}' itself work.",
                must=lambda f, a=one, b=other, p=protocol: (
                    f.path == "pod" and not f.large and not f.to_host and f.protocol == p and _one_way(f, a, b)
                ),
                may=lambda f, a=one, b=other, p=protocol: (
                    f.protocol == p and ((f.from_node == a and b in f.to_nodes) or (f.entry == a and b in f.to_nodes))
                ),
                symptoms=AT_ADDRESS,
                rank=33,
                hint=f"Look for a {protocol} rule about pods on '{one}' and '{other}'.",
            )
            yield Candidate(
                "protocol in one direction",
                f"{protocol} {one} to {other}",
                f"{protocol} from node '{one}' to pods of node '{other}' fails; other protocols and the way back work.",
                must=lambda f, a=one, b=other, p=protocol: (
                    f.path == "pod" and not f.large and f.protocol == p and _one_way(f, a, b)
                ),
                may=lambda f, a=one, b=other, p=protocol: (
                    f.protocol == p and f.from_node == a and (b in f.to_nodes or f.entry == b)
                ),
                symptoms=AT_ADDRESS,
                rank=32,
                hint=f"Look for a {protocol} rule between the two nodes.",
            )


def _missing_route(case: Case, here: str, there: str) -> Iterator[Candidate]:
    """One node's own programs fail to reach the other's pods as well, and not the other way round: that node's route."""

    def from_host(f: Fact, a: str, b: str) -> bool:
        return f.path == "pod" and f.cell.source.host_network and _one_way(f, a, b) and not f.to_host

    back = [f for f in case.facts if from_host(f, there, here)]
    if not back or any(f.wrong for f in back):
        return
    yield Candidate(
        "route to pods",
        f"{here} to {there}",
        f"Node '{here}' does not reach the pods of node '{there}', neither from its own processes nor from its pods, while "
        f"the nodes themselves reach each other and '{there}' reaches the pods of '{here}' from its own address: the "
        f"route on '{here}' to the pods of '{there}' is missing or wrong.",
        must=lambda f, a=here, b=there: (
            from_host(f, a, b) or (f.path == "pod" and between_pods(f) and _either_way(f, a, b))
        ),
        may=lambda f, a=here, b=there: {a, b} <= {f.from_node, f.entry} | f.to_nodes,
        symptoms=AT_ADDRESS | {"dns", "slow"},
        least=3,
        rank=14,
        hint=f"On '{here}' look at 'ip route get' for an address of a pod on '{there}', and at the network plugin there.",
    )
