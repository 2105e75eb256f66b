"""Causes at the entry nodes of NodePorts and at the cluster's border."""

from __future__ import annotations

from collections.abc import Mapping

from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.causes.rules import AT_ADDRESS, At, Rule, same_at_other_entry
from NetLibrary._mechanics.matrix.causes.scopes import ENTRY, NODE, OUTSIDE, SERVICE_AT_ENTRY
from NetLibrary._mechanics.matrix.model.features import Fact


def _all(case: Case, at: At) -> bool:
    return not at.protocol


def _one_protocol(case: Case, at: At) -> bool:
    return bool(at.protocol)


def _ports(case: Case, at: At) -> Mapping[str, str]:
    return {"port_kind": f"{at.protocol} NodePort".strip()}


def _enters(f: Fact, at: At) -> bool:
    return f.entry == at.node and at.protocol in ("", f.protocol)


def _service_enters(f: Fact, at: At) -> bool:
    return _enters(f, at) and f.service == at.service and f.wants_connection


def _at_node(*, protocol: bool) -> tuple[Rule, ...]:
    """NodePorts that do not work at one node; all of them, or those of one protocol."""
    scope, rank = (ENTRY.where(_one_protocol), 22) if protocol else (ENTRY.where(_all), 20)
    which = "NodePorts of one protocol fail" if protocol else "NodePorts fail"
    return (
        Rule(
            "entry node",
            scope,
            f"{which} at one node, from every source",
            "{node} {protocol}",
            "{port_kind}s do not work at node '{node}': connections that enter there fail from every source, while "
            "they "
            "work at other nodes.",
            must=lambda f, at: _enters(f, at) and f.wants_connection,
            may=_enters,
            symptoms=AT_ADDRESS,
            words=_ports,
            least=2,
            rank=rank,
            hint="Look at the NodePort rules, the firewall and the addresses of node '{node}'.",
            command="on {node}: nft list ruleset; ip address",
            compare=same_at_other_entry,
            compare_text="the same NodePort answers at another node",
        ),
        Rule(
            "entry node from elsewhere",
            scope,
            f"{which} at one node, from other nodes only",
            "{node} {protocol}",
            "{port_kind}s of node '{node}' work from its own pods only: connections from other nodes fail.",
            must=lambda f, at: _enters(f, at) and f.from_node != at.node and f.wants_connection,
            symptoms=AT_ADDRESS,
            words=_ports,
            least=2,
            rank=rank + 1,
            hint="Look at the firewall of node '{node}' and at the address in its Node object.",
            command="on {node}: nft list ruleset; ip address",
            compare=lambda f, o, at: o.entry == f.entry and o.from_node == f.entry,
            compare_text="the NodePort answers on the node itself",
        ),
    )


def _of_service(*, protocol: bool) -> tuple[Rule, ...]:
    """One Service's NodePort that fails at one node, while the node's other NodePorts work."""
    scope, rank = (SERVICE_AT_ENTRY.where(_one_protocol), 36) if protocol else (SERVICE_AT_ENTRY.where(_all), 35)
    hint = "Look for a rule on '{node}' about that port, and check whether another program there uses it."
    command = "on {node}: ss -lntup; nft list ruleset"
    return (
        Rule(
            "node port at node",
            scope,
            "the NodePort of one Service fails at one node, from everywhere",
            "{service} {protocol} at {node}",
            "The {port_kind} of Service '{service}' does not work at node '{node}', while it works at other nodes.",
            must=_service_enters,
            may=_service_or_source,
            symptoms=AT_ADDRESS,
            words=_ports,
            least=2,
            rank=rank,
            hint=hint,
            command=command,
            compare=same_at_other_entry,
            compare_text="the same NodePort answers at another node",
        ),
        Rule(
            "node port at node",
            scope,
            "the NodePort of one Service fails at one node, from other nodes and from outside",
            "{service} {protocol} at {node}",
            "The {port_kind} of Service '{service}' does not work at node '{node}' from other nodes and from outside, "
            "while it works at other nodes.",
            must=lambda f, at: _service_enters(f, at) and f.from_node != at.node,
            may=_service_or_source,
            symptoms=AT_ADDRESS,
            words=_ports,
            least=2,
            rank=rank + 1,
            hint=hint,
            command=command,
            compare=same_at_other_entry,
            compare_text="the same NodePort answers at another node",
        ),
    )


def _service_or_source(f: Fact, at: At) -> bool:
    return f.service == at.service and at.protocol in ("", f.protocol) and at.node in (f.from_node, f.entry)


OF_SERVICES = (*_of_service(protocol=False), *_of_service(protocol=True))

RULES = (
    *_at_node(protocol=False),
    *_at_node(protocol=True),
    Rule(
        "entry node from outside",
        NODE,
        "one node does not answer to clients outside; its NodePorts answer inside",
        "{node}",
        "Node '{node}' does not answer to clients outside the cluster, while its NodePorts answer to the cluster's own "
        "pods and other nodes answer to the outside: a firewall or a route separates the two.",
        must=lambda f, at: f.cell.source.outside and f.entry == at.node and f.wants_connection,
        may=lambda f, at: f.cell.source.outside,
        symptoms=AT_ADDRESS,
        least=2,
        rank=23,
        hint="Look at firewalls of '{node}' and in front of it, and at the path from the client to it.",
        command="on {node}: nft list ruleset; ip route",
        compare=lambda f, o, at: o.entry == f.entry and bool(o.from_node) and o.from_node != f.entry,
        compare_text="the same NodePort answers to pods of another node",
    ),
)

BORDER = (
    Rule(
        "load balancer",
        OUTSIDE,
        "LoadBalancer addresses answer inside and not outside",
        "outside",
        "LoadBalancer addresses do not answer to clients outside the cluster, while they work from inside: the address "
        "is not announced, or the path to the nodes is blocked.",
        must=lambda f, at: f.path == "loadbalancer" and f.cell.source.outside and f.wants_connection,
        symptoms=AT_ADDRESS,
        rank=21,
        hint="Look at the load balancer controller, at its announcements (ARP, BGP) and at firewalls in front of the "
        "nodes.",
        command="kubectl describe service -A; outside: ip neigh",
        compare=lambda f, o, at: o.service == f.service and bool(o.from_node),
        compare_text="the address answers from inside",
    ),
    Rule(
        "outside",
        OUTSIDE,
        "nothing answers to the client outside",
        "outside",
        "Nothing in the cluster answers to the vantage point outside it.",
        must=lambda f, at: f.cell.source.outside and f.wants_connection,
        symptoms=AT_ADDRESS | {"error"},
        least=2,
        rank=22,
        hint="Check the path from this machine to the nodes.",
        command="outside: ip route get NODE",
    ),
)
