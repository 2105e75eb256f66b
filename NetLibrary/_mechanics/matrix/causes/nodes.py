"""Causes that sit in a node: its link, its proxy, its kubelet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.causes.rules import (
    AT_ADDRESS,
    STOPPED,
    At,
    Rule,
    Scope,
    between_pods,
    direct,
    elsewhere,
    many_records,
    pods_at_least,
    was_told,
)
from NetLibrary._mechanics.matrix.causes.scopes import NODE, NODE_PROTOCOL
from NetLibrary._mechanics.matrix.model.features import BY_NAME, Fact


def _ready(case: Case, at: At) -> Mapping[str, str]:
    return {"ready": case.not_ready(at.node)}


def _or_the_pod(case: Case, at: At) -> Mapping[str, str]:
    """With a single pod on a node nobody can tell the two apart."""
    pods = sorted({f.source for f in case.facts if f.from_node == at.node and not f.cell.source.host_network})
    only = f", or the way out of '{pods[0]}', the only pod of the matrix there" if len(pods) == 1 else ""
    return {"or_the_pod": only}


def _proxy_in_part(case: Case, at: At) -> bool:
    """Some Services fail from a node though their backends answer there by their own addresses."""
    failing = [f for f in case.wrong if f.from_node == at.node and f.path == "vip" and f.symptom in AT_ADDRESS]
    backed = [f for f in failing if all(not o.wrong for o in case.facts if direct(f, o))]
    return len(backed) >= 0.8 * max(1, len(failing)) and len({f.service for f in backed}) >= 2


def _masquerade(case: Case, at: At) -> bool:
    """Both kinds of traffic that need their source address replaced fail at one node."""
    hairpins = any(f.from_node == at.node and f.hairpin and f.path == "vip" for f in case.wrong)
    return hairpins and any(f.entry == at.node and f.from_node != at.node for f in case.wrong)


def _stale(case: Case) -> Iterator[At]:
    """Nodes whose old Services work while those that were made or changed later do not; with the later ones."""
    world = case.world
    ages = {s["metadata"]["name"]: world.changed(s["metadata"]["name"]) for s in world.services}
    for node in case.bad_nodes:
        mine = [
            f
            for f in case.facts
            if f.from_node == node and f.path == "vip" and f.wants_connection and f.service in ages
        ]
        bad = sorted(ages[f.service] for f in mine if f.wrong)
        # what changed before the matrix was ready was followed by every proxy
        if bad and bad[0] > world.settled and any(not f.wrong and ages[f.service] < bad[0] for f in mine):
            yield At(node, names=frozenset(n for n, age in ages.items() if age >= bad[0]), since=bad[0])


def _from_pods_of(f: Fact, at: At) -> bool:
    return f.from_node == at.node and f.path == "vip" and f.wants_connection and pods_at_least(f)


RULES = (
    Rule(
        "sources not probed",
        NODE,
        "nothing can be started in the node's pods, although others still reach them",
        "{node}",
        "Nothing can be started in the pods of node '{node}', although it can be reached over the network: its kubelet "
        "or "
        "container runtime does not answer{ready}.",
        must=lambda f, at: f.from_node == at.node,
        symptoms=frozenset({"error"}),
        words=_ready,
        least=2,
        rank=5,
        hint="Look at the kubelet on '{node}'; traffic to its pods is not affected by that.",
        command="on {node}: systemctl status kubelet containerd",
        compare=lambda f, o, at: o.only_to(f.from_node) and o.from_node != f.from_node,
        compare_text="pods of that node still answer to other nodes",
    ),
    Rule(
        "node cut off",
        NODE,
        "everything into and out of the node fails, also by pod addresses",
        "{node}",
        "Node '{node}' is cut off: every connection into it and out of it fails, also by pod addresses, while the "
        "other "
        "nodes reach each other{ready}.",
        must=lambda f, at: (
            f.path == "pod" and not f.large and (f.from_node == at.node) != f.only_to(at.node) and bool(f.from_node)
        ),
        may=lambda f, at: (
            f.crosses(at.node) or f.from_node == at.node or f.path in BY_NAME or (f.proxied and at.node in f.to_nodes)
        ),
        symptoms=AT_ADDRESS | {"dns", "error", "slow"},
        words=_ready,
        least=2,
        rank=6,
        hint="Look at the link, the address and the routes of node '{node}'.",
        command="on {node}: ip -s link; ip address; ip route",
        compare=lambda f, o, at: o.path == "pod" and not o.crosses(at.node) and o.from_node != at.node,
        compare_text="pods of the other nodes still reach each other",
    ),
    Rule(
        "pod network of node",
        NODE,
        "between pods everything into and out of the node fails; its own address works",
        "{node}",
        "Pods of node '{node}' reach no pods of other nodes and are not reached by them, while the node's own address "
        "works: the pod network of that node is broken{or_the_pod}.",
        must=lambda f, at: (
            f.path == "pod" and between_pods(f) and bool(f.from_node) and (f.from_node == at.node) != f.only_to(at.node)
        ),
        may=lambda f, at: (
            not (f.cell.source.host_network and f.to_host)
            and (f.crosses(at.node) or (f.from_node == at.node and not f.cell.source.host_network))
        ),
        symptoms=AT_ADDRESS | {"dns", "slow"},
        words=_or_the_pod,
        least=2,
        rank=7,
        hint="Look at the network plugin on '{node}': its tunnel, its routes, the pod network in the Node object.",
        command="on {node}: sysctl net.ipv4.ip_forward; ip route; ip -d link",
    ),
    Rule(
        "stale proxy of node",
        Scope("node", _stale),
        "from one node, only Services that were created or changed recently fail",
        "{node}",
        "Node '{node}' serves Services as they were, but not those created or changed since {since}: its kube-proxy "
        "has "
        "stopped, hangs, or does not reach the API server.",
        must=lambda f, at: f.from_node == at.node and f.path == "vip" and f.wants_connection and f.service in at.names,
        may=lambda f, at: at.node in (f.from_node, f.entry) and f.service in at.names,
        symptoms=AT_ADDRESS | {"dns", "responder", "open"},
        share=0.4,
        rank=9,
        hint="Check whether kube-proxy runs on '{node}' and reaches the API server.",
        command="on {node}: curl -m 2 http://127.0.0.1:10256/healthz",
        compare=elsewhere,
        compare_text="the same Service answers on another node",
    ),
    Rule(
        "service proxy of node",
        NODE,
        "every Service fails from one node's pods, pod addresses work from there",
        "{node}",
        "Node '{node}' does not translate Service addresses: from its pods every Service fails, while pod addresses "
        "work "
        "from there and the same Services work from other nodes.",
        must=lambda f, at: (
            f.from_node == at.node
            and f.path in ("vip", "loadbalancer", "externalip")
            and f.wants_connection
            and not f.large
            and pods_at_least(f)
        ),
        may=lambda f, at: (
            (f.from_node == at.node and (f.proxied or f.path in BY_NAME))
            or f.entry == at.node
            or (f.path == "loadbalancer" and not f.from_node)
        ),
        symptoms=AT_ADDRESS | {"dns", "slow", "affinity", "open"},
        least=2,
        rank=10,
        hint="Look at kube-proxy on '{node}' (or what replaces it): is it running, are its rules there?",
        command="kubectl get pods -A -o wide --field-selector spec.nodeName={node}",
        compare=direct,
        compare_text="the same backend answers by its pod address",
    ),
    Rule(
        "large packets",
        NODE,
        "small requests work, large ones into or out of the node connect and then hang",
        "{node}",
        "Large packets do not get through at node '{node}' and the sender is not told (MTU black hole): small requests "
        "work, "
        "large "
        "ones connect and then hang.",
        must=lambda f, at: f.large and f.crosses(at.node),
        may=many_records,
        symptoms=STOPPED | {"dns"},
        rank=12,
        least=2,
        hint="Compare the MTU of the interfaces and tunnels of node '{node}' with the path; let ICMP 'too big' pass.",
        command="on {node}: ip link; tracepath -n ADDRESS",
        compare=lambda f, o, at: o.source == f.source and o.cell.target.pod == f.cell.target.pod and not o.large,
        compare_text="a small request to the same pod is answered",
    ),
    Rule(
        "masquerade at node",
        NODE.where(_masquerade),
        "hairpin, and NodePorts with a backend elsewhere, fail at one node",
        "{node}",
        "Node '{node}' does not replace source addresses where Services need it (masquerade): its pods do not reach "
        "themselves through a Service, and its NodePorts fail whenever the backend is on another node.",
        must=lambda f, at: f.from_node == at.node and f.hairpin and f.path == "vip",
        may=lambda f, at: f.entry == at.node or (f.from_node == at.node and f.proxied and f.source in f.to_pods),
        symptoms=STOPPED,
        rank=13,
        hint="Look at the postrouting rules of the proxy on '{node}' (KUBE-POSTROUTING), and the rules before them.",
        command="on {node}: iptables -t nat -S POSTROUTING; iptables -t nat -S KUBE-POSTROUTING",
        compare=direct,
        compare_text="the same backend answers by its pod address",
    ),
    Rule(
        "protocol at node",
        NODE_PROTOCOL,
        "one protocol fails into or out of the node, also by pod addresses",
        "{protocol} at {node}",
        "{protocol} into or out of node '{node}' fails, also by pod addresses, while other protocols pass.",
        must=lambda f, at: f.protocol == at.protocol and f.path == "pod" and f.crosses(at.node),
        may=lambda f, at: (
            (f.protocol == at.protocol and (f.crosses(at.node) or at.node in (f.from_node, f.entry)))
            or (at.protocol == "UDP" and f.path in BY_NAME)
        ),
        symptoms=AT_ADDRESS | {"dns"},
        least=2,
        rank=30,
        hint="Look for a firewall rule about {protocol} on '{node}'.",
        command="on {node}: nft list ruleset",
    ),
    Rule(
        "protocol at proxy",
        NODE_PROTOCOL,
        "one protocol fails through Services from one node",
        "{protocol} at {node}",
        "Node '{node}' does not translate Service addresses for {protocol}, while other protocols work there.",
        must=lambda f, at: f.protocol == at.protocol and _from_pods_of(f, at),
        may=lambda f, at: f.protocol == at.protocol and f.proxied and at.node in (f.from_node, f.entry),
        symptoms=AT_ADDRESS,
        least=2,
        rank=31,
        hint="Look at the {protocol} rules of the proxy on '{node}'.",
        command="on {node}: nft list ruleset",
        compare=direct,
        compare_text="the same backend answers by its pod address",
    ),
    Rule(
        "service proxy of node, in part",
        NODE.where(_proxy_in_part),
        "some Services fail from one node's pods though their backends answer there",
        "{node}",
        "Node '{node}' does not translate the addresses of some Services: from its pods these fail, while the "
        "same "
        "Services work from other nodes and others work there.",
        must=_from_pods_of,
        may=lambda f, at: (f.from_node == at.node and (f.proxied or f.path in BY_NAME)) or f.entry == at.node,
        symptoms=AT_ADDRESS | {"dns", "open", "responder"},
        share=0.2,
        least=3,
        rank=36,
        weight=0.9,
        hint="Look at kube-proxy on '{node}' (or what replaces it), and at its log: are all its rules there?",
        command="kubectl get pods -A -o wide --field-selector spec.nodeName={node}",
        compare=direct,
        compare_text="the same backend answers by its pod address",
    ),
    Rule(
        "loss at node",
        NODE,
        "some of the new connections through the node time out",
        "{node}",
        "Node '{node}' loses some of the new connections that go through it: some succeed, some time out, also by pod "
        "addresses. A full connection tracking table or a bad link has this effect.",
        must=lambda f, at: not f.itself and f.crosses(at.node) and f.wants_connection and not was_told(f),
        may=lambda f, at: (f.from_node == at.node or at.node in f.to_nodes or f.entry == at.node) and not was_told(f),
        symptoms=AT_ADDRESS | {"dns", "slow"},
        soft=True,
        share=0.04,
        least=3,
        rank=40,
        weight=0.6,
        hint="On '{node}', compare nf_conntrack_count with nf_conntrack_max and check the drops of its interfaces.",
        command="on {node}: sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max; ip -s link",
    ),
)
