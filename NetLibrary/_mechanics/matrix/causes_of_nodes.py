"""Causes that sit in a node, between two nodes, or in a pod."""

# Sentences for people are easier to keep right in one piece:
# ruff: noqa: E501
# Names of a loop are bound as defaults of the tests, which mypy cannot infer:
# mypy: disable-error-code="misc"
from __future__ import annotations

from collections.abc import Iterator

from NetLibrary._mechanics.matrix.causes import AT_ADDRESS, STOPPED, Candidate, Case, direct, elsewhere, most
from NetLibrary._mechanics.matrix.features import BY_NAME, Fact
from NetLibrary._mechanics.matrix.types import Outcome
from NetLibrary._mechanics.matrix.world import World


def of_nodes(case: Case) -> Iterator[Candidate]:
    for node in case.bad_nodes:
        ready = _ready(case.world, node)
        yield Candidate(
            "sources not probed",
            node,
            f"Nothing can be started in the pods of node '{node}', though it can be reached over the network: "
            f"its kubelet or container runtime does not answer{ready}.",
            must=lambda f, n=node: f.from_node == n,
            symptoms=frozenset({"error"}),
            least=2,
            rank=5,
            hint=f"Look at the kubelet on '{node}'; traffic to its pods is not affected by that.",
            compare=lambda f, o: o.only_to(f.from_node) and o.from_node != f.from_node,
            compare_text="pods of that node still answer to other nodes",
        )
        yield Candidate(
            "node cut off",
            node,
            f"Node '{node}' is cut off: every connection into it and out of it fails, also by pod addresses, "
            f"while the other nodes reach each other{ready}.",
            must=lambda f, n=node: (
                f.path == "pod" and not f.large and (f.from_node == n) != f.only_to(n) and bool(f.from_node)
            ),
            may=lambda f, n=node: (
                f.crosses(n) or f.from_node == n or f.path in BY_NAME or (f.proxied and n in f.to_nodes)
            ),
            symptoms=AT_ADDRESS | {"dns", "error", "slow"},
            least=2,
            rank=6,
            hint=f"Look at the link, the address and the routes of node '{node}'.",
            compare=lambda f, o, n=node: o.path == "pod" and not o.crosses(n) and o.from_node != n,
            compare_text="pods of the other nodes still reach each other",
        )
        yield Candidate(
            "pod network of node",
            node,
            f"Pods of node '{node}' reach no pods of other nodes and are not reached by them, while the node's own address "
            "works: the pod network of that node is broken.",
            must=lambda f, n=node: (
                f.path == "pod" and _between_pods(f) and bool(f.from_node) and (f.from_node == n) != f.only_to(n)
            ),
            may=lambda f, n=node: (
                not f.cell.source.host_network and (f.crosses(n) or (f.from_node == n and f.path in BY_NAME))
            ),
            symptoms=AT_ADDRESS | {"dns", "slow"},
            least=2,
            rank=7,
            hint=f"Look at the network plugin on '{node}': its tunnel, its routes, the pod network in the Node object.",
        )
        yield Candidate(
            "service proxy of node",
            node,
            f"Node '{node}' does not translate Service addresses: from its pods every Service fails, while pod "
            "addresses work from there and the same Services work from other nodes.",
            must=lambda f, n=node: (
                f.from_node == n
                and f.path in ("vip", "loadbalancer", "externalip")
                and f.wants_connection
                and not f.large
            ),
            may=lambda f, n=node: (
                (f.from_node == n and (f.proxied or f.path in BY_NAME))
                or f.entry == n
                or (f.path == "loadbalancer" and not f.from_node)
            ),
            symptoms=AT_ADDRESS | {"dns", "slow", "affinity", "open"},
            least=2,
            rank=10,
            hint=f"Look at kube-proxy on '{node}' (or what replaces it): does it run, are its rules there?",
            compare=direct,
            compare_text="the same backend answers by its pod address",
        )
        yield from _stale_proxy(case, node)
        yield from _entry(node)
        yield Candidate(
            "loss at node",
            node,
            f"Node '{node}' loses part of the new connections that go through it: some succeed, some time out, also by "
            "pod addresses. A full connection tracking table or a bad link does that.",
            must=lambda f, n=node: f.path == "pod" and not f.itself and f.crosses(n),
            may=lambda f, n=node: f.from_node == n or n in f.to_nodes or f.entry == n,
            symptoms=AT_ADDRESS | {"dns", "slow"},
            soft=True,
            share=0.1,
            least=2,
            rank=40,
            weight=0.6,
            hint=f"On '{node}' compare nf_conntrack_count with nf_conntrack_max and look at the drops of its interfaces.",
        )
        yield Candidate(
            "large packets",
            node,
            f"Large packets do not get through at node '{node}' and nobody is told (MTU black hole): small requests "
            "work, large ones connect and then hang.",
            must=lambda f, n=node: f.large and f.crosses(n),
            symptoms=STOPPED,
            rank=12,
            least=2,
            hint=f"Compare the MTU of the interfaces and tunnels of node '{node}' with the path; let ICMP 'too big' pass.",
            compare=lambda f, o: o.source == f.source and o.cell.target.pod == f.cell.target.pod and not o.large,
            compare_text="a small request to the same pod is answered",
        )
        for protocol in ("TCP", "UDP", "SCTP"):
            yield Candidate(
                "protocol at node",
                f"{protocol} at {node}",
                f"{protocol} into or out of node '{node}' fails, also by pod addresses, while other protocols pass.",
                must=lambda f, n=node, p=protocol: f.protocol == p and f.path == "pod" and f.crosses(n),
                may=lambda f, n=node, p=protocol: (
                    (f.protocol == p and (f.crosses(n) or f.from_node == n or f.entry == n))
                    or (p == "UDP" and f.path in BY_NAME)
                ),
                symptoms=AT_ADDRESS | {"dns"},
                least=2,
                rank=30,
                hint=f"Look for a firewall rule about {protocol} on '{node}'.",
            )
            yield Candidate(
                "protocol at proxy",
                f"{protocol} at {node}",
                f"Node '{node}' does not translate Service addresses for {protocol}, while other protocols work there.",
                must=lambda f, n=node, p=protocol: (
                    f.from_node == n and f.protocol == p and f.path == "vip" and f.wants_connection
                ),
                may=lambda f, n=node, p=protocol: f.protocol == p and f.proxied and (f.from_node == n or f.entry == n),
                symptoms=AT_ADDRESS,
                least=2,
                rank=31,
                hint=f"Look at the {protocol} rules of the proxy on '{node}'.",
                compare=direct,
                compare_text="the same backend answers by its pod address",
            )


def _entry(node: str) -> Iterator[Candidate]:
    """NodePorts that do not work at one node; all of them, or those of one protocol."""
    for protocol in ("", "TCP", "UDP"):
        subject = f"{node} {protocol}".strip()
        ports = f"{protocol} NodePorts".strip()
        late = 1 if protocol else 0
        yield Candidate(
            "entry node",
            subject,
            f"{ports} do not work at node '{node}': connections that enter there fail from every source, while "
            "they work at other nodes.",
            must=lambda f, n=node, p=protocol: f.entry == n and f.wants_connection and p in ("", f.protocol),
            may=lambda f, n=node, p=protocol: f.entry == n and p in ("", f.protocol),
            symptoms=AT_ADDRESS,
            least=2,
            rank=20 + 2 * late,
            hint=f"Look at the NodePort rules, the firewall and the addresses of node '{node}'.",
            compare=lambda f, o: (
                o.source == f.source
                and o.path == "nodeport"
                and o.entry != f.entry
                and o.service == f.service
                and o.protocol == f.protocol
            ),
            compare_text="the same NodePort answers at another node",
        )
        yield Candidate(
            "entry node from elsewhere",
            subject,
            f"{ports} of node '{node}' work from its own pods only: connections from other nodes fail.",
            must=lambda f, n=node, p=protocol: (
                f.entry == n and f.from_node != n and f.wants_connection and p in ("", f.protocol)
            ),
            symptoms=AT_ADDRESS,
            least=2,
            rank=21 + 2 * late,
            hint=f"Look at the firewall of node '{node}' and at the address in its Node object.",
            compare=lambda f, o: o.entry == f.entry and o.from_node == f.entry,
            compare_text="the NodePort answers on the node itself",
        )


def of_entries(case: Case) -> Iterator[Candidate]:
    """One Service's NodePort that fails at one node, while the node's other NodePorts work."""
    for node, service, protocol in most(
        (f.entry, f.service, p) for f in case.wrong if f.entry for p in ("", f.protocol)
    ):
        ports = f"{protocol} NodePort".strip()
        for elsewhere_only in (False, True):
            only = " from other nodes and from outside" if elsewhere_only else ""
            yield Candidate(
                "node port at node",
                f"{service} {protocol} at {node}".replace("  ", " "),
                f"The {ports} of Service '{service}' does not work at node '{node}'{only}, while it works at other nodes.",
                must=lambda f, n=node, s=service, p=protocol, e=elsewhere_only: (
                    f.entry == n
                    and f.service == s
                    and f.wants_connection
                    and p in ("", f.protocol)
                    and (f.from_node != n or not e)
                ),
                symptoms=AT_ADDRESS,
                least=2,
                rank=(36 if protocol else 35) + elsewhere_only,
                hint=f"Look for a rule on '{node}' about that port, and whether another program there has taken it.",
                compare=lambda f, o: (
                    o.source == f.source and o.service == f.service and o.entry not in ("", f.entry)
                    and o.protocol == f.protocol
                ),
                compare_text="the same NodePort answers at another node",
            )  # fmt: skip


def _between_pods(fact: Fact) -> bool:
    """From pod network to pod network, small packets."""
    return not fact.cell.source.host_network and not fact.to_host and not fact.large


def _stale_proxy(case: Case, node: str) -> Iterator[Candidate]:
    """A proxy that stands still: old Services work, those that were made or changed later do not."""
    ages = {s["metadata"]["name"]: s["metadata"].get("creationTimestamp", "") for s in case.world.services}
    mine = [
        f for f in case.facts if f.from_node == node and f.path == "vip" and f.wants_connection and f.service in ages
    ]
    bad = sorted(ages[f.service] for f in mine if f.wrong)
    if bad and any(not f.wrong and ages[f.service] < bad[0] for f in mine):
        yield Candidate(
            "stale proxy of node",
            node,
            f"Node '{node}' knows old Services but not those made since {bad[0]}: its kube-proxy has stopped or hangs.",
            must=lambda f, n=node: (
                f.from_node == n and f.path == "vip" and f.wants_connection and ages.get(f.service, "") >= bad[0]
            ),
            may=lambda f, n=node: (f.from_node == n or f.entry == n) and ages.get(f.service, "") >= bad[0],
            symptoms=AT_ADDRESS | {"dns"},
            least=1,
            rank=9,
            hint=f"Look whether kube-proxy runs on '{node}' and reaches the API server.",
            compare=elsewhere,
            compare_text="the same Service answers on another node",
        )


def of_pairs(case: Case) -> Iterator[Candidate]:
    for one, other in sorted(set(case.bad_pairs) | {(b, a) for a, b in case.bad_pairs}):
        if one < other:
            yield Candidate(
                "node pair",
                f"{one} and {other}",
                f"Nodes '{one}' and '{other}' do not reach each other in either direction, while both reach others. "
                "A TCP connection and a UDP answer need both directions, so one dropped direction looks like this too.",
                must=lambda f, a=one, b=other: (
                    f.path == "pod"
                    and not f.large
                    and ((f.from_node == a and f.only_to(b)) or (f.from_node == b and f.only_to(a)))
                ),
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
                must=lambda f, a=one, b=other: (
                    f.path == "pod"
                    and _between_pods(f)
                    and ((f.from_node == a and f.only_to(b)) or (f.from_node == b and f.only_to(a)))
                ),
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
            yield Candidate(
                "large packets between nodes",
                f"{one} and {other}",
                f"Large packets between '{one}' and '{other}' vanish (MTU black hole); small ones pass.",
                must=lambda f, a=one, b=other: f.large and {a, b} <= {f.from_node} | f.to_nodes,
                symptoms=STOPPED,
                rank=13,
                hint="Compare the MTU of the path with that of the pods.",
            )
        yield Candidate(
            "one direction",
            f"{one} to {other}",
            f"Node '{one}' cannot open connections to pods of node '{other}', while the way back works.",
            must=lambda f, a=one, b=other: f.path == "pod" and not f.large and f.from_node == a and f.only_to(b),
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
            must=lambda f, a=one, b=other: f.path == "pod" and _between_pods(f) and f.from_node == a and f.only_to(b),
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
                "protocol in one direction",
                f"{protocol} {one} to {other}",
                f"{protocol} from node '{one}' to pods of node '{other}' fails; other protocols and the way back work.",
                must=lambda f, a=one, b=other, p=protocol: (
                    f.path == "pod" and not f.large and f.protocol == p and f.from_node == a and f.only_to(b)
                ),
                may=lambda f, a=one, b=other, p=protocol: (
                    f.protocol == p and f.from_node == a and (b in f.to_nodes or f.entry == b)
                ),
                symptoms=AT_ADDRESS,
                rank=32,
                hint=f"Look for a {protocol} rule between the two nodes.",
            )


def of_pods(case: Case) -> Iterator[Candidate]:
    for pod in case.bad_pods:

        def to_it(f: Fact, p: str = pod) -> bool:
            return f.to_pods == {p} and not f.itself and not f.hairpin and not f.large

        seen = case.outcomes(to_it)
        if seen == {Outcome.REFUSED}:
            reason = "nothing listens on its port: the server in the pod has ended or listens on another port"
        elif seen <= {Outcome.NO_ANSWER}:
            reason = "the server takes connections and does not answer: it hangs"
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
            rank=7,
            hint=f"Look at the routes inside '{source}' (ip route), and at the host's end of its interface.",
            compare=lambda f, o, s=source, n=own: (
                o.path == "pod" and not o.itself and not o.to_host and o.from_node == n and s not in o.to_pods
                and o.source != s
            ),
            compare_text="other pods of that node reach each other and beyond",
        )  # fmt: skip
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
    for source in case.bad_sources:
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


def _ready(world: World, node: str) -> str:
    for item in world.nodes:
        if item["metadata"]["name"] == node:
            for state in item.get("status", {}).get("conditions", []):
                if state["type"] == "Ready" and state["status"] != "True":
                    return f" (the node is not Ready: {state.get('reason', 'no reason given')})"
    return ""
