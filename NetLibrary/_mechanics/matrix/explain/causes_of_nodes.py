"""Causes that sit in a node: its link, its proxy, its entry for NodePorts."""

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
    direct,
    elsewhere,
    most,
    pods_at_least,
)
from NetLibrary._mechanics.matrix.model.features import BY_NAME
from NetLibrary._mechanics.matrix.model.world import World


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
            f"works: the pod network of that node is broken{_or_the_pod(case, node)}.",
            must=lambda f, n=node: (
                f.path == "pod" and between_pods(f) and bool(f.from_node) and (f.from_node == n) != f.only_to(n)
            ),
            may=lambda f, n=node: (
                not (f.cell.source.host_network and f.to_host)
                and (f.crosses(n) or (f.from_node == n and not f.cell.source.host_network))
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
                and pods_at_least(f)
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
        yield from _part_of_proxy(case, node)
        yield from _stale_proxy(case, node)
        yield from _no_masquerade(case, node)
        yield from _entry(node)
        yield from _entry_from_outside(node)
        yield Candidate(
            "loss at node",
            node,
            f"Node '{node}' loses part of the new connections that go through it: some succeed, some time out, also by "
            "pod addresses. A full connection tracking table or a bad link does that.",
            must=lambda f, n=node: not f.itself and f.crosses(n) and f.wants_connection,
            may=lambda f, n=node: f.from_node == n or n in f.to_nodes or f.entry == n,
            symptoms=AT_ADDRESS | {"dns", "slow"},
            soft=True,
            share=0.04,
            least=3,
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
            may=lambda f: f.path == "dns" and f.cell.target.extra.count("/") > 1,
            symptoms=STOPPED | {"dns"},
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
                    f.from_node == n and f.protocol == p and f.path == "vip" and f.wants_connection and pods_at_least(f)
                ),
                may=lambda f, n=node, p=protocol: f.protocol == p and f.proxied and (f.from_node == n or f.entry == n),
                symptoms=AT_ADDRESS,
                least=2,
                rank=31,
                hint=f"Look at the {protocol} rules of the proxy on '{node}'.",
                compare=direct,
                compare_text="the same backend answers by its pod address",
            )


def _part_of_proxy(case: Case, node: str) -> Iterator[Candidate]:
    """Some Services fail from a node though their backends answer there by their own addresses."""
    failing = [f for f in case.wrong if f.from_node == node and f.path == "vip" and f.symptom in AT_ADDRESS]
    backed = [f for f in failing if all(not o.wrong for o in case.facts if direct(f, o))]
    if len(backed) < 0.8 * max(1, len(failing)) or len({f.service for f in backed}) < 2:
        return
    yield Candidate(
        "service proxy of node, in part",
        node,
        f"Node '{node}' does not translate the addresses of part of the Services: from its pods some fail, while the same "
        "Services work from other nodes and others work there.",
        must=lambda f, n=node: f.from_node == n and f.path == "vip" and f.wants_connection and pods_at_least(f),
        may=lambda f, n=node: (f.from_node == n and (f.proxied or f.path in BY_NAME)) or f.entry == n,
        symptoms=AT_ADDRESS | {"dns", "open", "responder"},
        share=0.2,
        least=3,
        rank=36,
        weight=0.9,
        hint=f"Look at kube-proxy on '{node}' (or what replaces it), and at its log: are all its rules there?",
        compare=direct,
        compare_text="the same backend answers by its pod address",
    )


def _or_the_pod(case: Case, node: str) -> str:
    """With a single pod on a node nobody can tell the two apart."""
    pods = sorted({f.source for f in case.facts if f.from_node == node and not f.cell.source.host_network})
    return f", or the way out of '{pods[0]}', the only pod of the matrix there" if len(pods) == 1 else ""


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
                may=lambda f, n=node, s=service, p=protocol: (
                    f.service == s and p in ("", f.protocol) and n in (f.from_node, f.entry)
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


def _entry_from_outside(node: str) -> Iterator[Candidate]:
    """A firewall that stands between the outside and one node."""
    yield Candidate(
        "entry node from outside",
        node,
        f"Node '{node}' does not answer to clients outside the cluster, while its NodePorts answer to the cluster's own "
        "pods and other nodes answer to the outside: a firewall or a route keeps the two apart.",
        must=lambda f, n=node: f.cell.source.outside and f.entry == n and f.wants_connection,
        may=lambda f: f.cell.source.outside,
        symptoms=AT_ADDRESS,
        least=2,
        rank=23,
        hint=f"Look at firewalls of '{node}' and in front of it, and at the way from the client to it.",
        compare=lambda f, o: o.entry == f.entry and bool(o.from_node) and o.from_node != f.entry,
        compare_text="the same NodePort answers to pods of another node",
    )


def _no_masquerade(case: Case, node: str) -> Iterator[Candidate]:
    """Both kinds of traffic that need their source address replaced fail at one node, and nothing else."""
    hairpins = [f for f in case.wrong if f.from_node == node and f.hairpin and f.path == "vip"]
    entries = [f for f in case.wrong if f.entry == node and f.from_node != node]
    if not (hairpins and entries):
        return
    yield Candidate(
        "masquerade at node",
        node,
        f"Node '{node}' does not replace source addresses where Services need it (masquerade): its pods do not reach "
        "themselves through a Service, and its NodePorts fail whenever the backend is on another node.",
        must=lambda f, n=node: f.from_node == n and f.hairpin and f.path == "vip",
        may=lambda f, n=node: f.entry == n or (f.from_node == n and f.proxied and f.source in f.to_pods),
        symptoms=STOPPED,
        rank=13,
        hint=f"Look at the postrouting rules of the proxy on '{node}' (KUBE-POSTROUTING), and what stands ahead of them.",
        compare=direct,
        compare_text="the same backend answers by its pod address",
    )


def _stale_proxy(case: Case, node: str) -> Iterator[Candidate]:
    """A proxy that stands still: old Services work, those that were made or changed later do not."""
    world = case.world
    ages = {s["metadata"]["name"]: world.changed(s["metadata"]["name"]) for s in world.services}
    mine = [
        f for f in case.facts if f.from_node == node and f.path == "vip" and f.wants_connection and f.service in ages
    ]
    bad = sorted(ages[f.service] for f in mine if f.wrong)
    # what changed before the matrix was ready was followed by every proxy
    if bad and bad[0] > world.settled and any(not f.wrong and ages[f.service] < bad[0] for f in mine):
        yield Candidate(
            "stale proxy of node",
            node,
            f"Node '{node}' serves Services as they were, but not those made or changed since {bad[0]}: its kube-proxy has "
            "stopped, hangs, or does not reach the API server.",
            must=lambda f, n=node: (
                f.from_node == n and f.path == "vip" and f.wants_connection and ages.get(f.service, "") >= bad[0]
            ),
            may=lambda f, n=node: (f.from_node == n or f.entry == n) and ages.get(f.service, "") >= bad[0],
            symptoms=AT_ADDRESS | {"dns", "responder", "open"},
            share=0.4,
            least=1,
            rank=9,
            hint=f"Look whether kube-proxy runs on '{node}' and reaches the API server.",
            compare=elsewhere,
            compare_text="the same Service answers on another node",
        )


def _ready(world: World, node: str) -> str:
    for item in world.nodes:
        if item["metadata"]["name"] == node:
            for state in item.get("status", {}).get("conditions", []):
                if state["type"] == "Ready" and state["status"] != "True":
                    return f" (the node is not Ready: {state.get('reason', 'no reason given')})"
    return ""
