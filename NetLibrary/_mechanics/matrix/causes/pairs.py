"""Causes that sit between two nodes."""

from __future__ import annotations

from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.causes.rules import (
    AT_ADDRESS,
    STOPPED,
    At,
    Rule,
    between_pods,
    either_way,
    many_records,
    one_way,
    touches_both,
    was_told,
    way_back,
)
from NetLibrary._mechanics.matrix.causes.scopes import PAIR, PAIR_PROTOCOL, WAY, WAY_PROTOCOL
from NetLibrary._mechanics.matrix.model.features import BY_NAME, Fact


def _from_host(f: Fact, at: At) -> bool:
    return f.cell.source.host_network and one_way(f, at) and not f.to_host


def _hosts_reach_back(case: Case, at: At) -> bool:
    """The other node's own programs reach the pods of this one: then it is not both, but one node's route."""
    back = [f for f in case.facts if _from_host(f, At(at.other, at.node))]
    return bool(back) and not any(f.wrong for f in back)


def _enters_or_is_there(f: Fact, at: At) -> bool:
    return (f.from_node == at.node and f.entry == at.other) or _from_or_by_way_of(f, at)


def _from_or_by_way_of(f: Fact, at: At) -> bool:
    """Goes from one node to a backend on the other; what enters at a NodePort goes on from there."""
    return at.node in (f.from_node, f.entry) and at.other in f.to_nodes


RULES = (
    Rule(
        "large packets between nodes",
        PAIR,
        "large packets between two nodes vanish, small ones pass",
        "{node} and {other}",
        "Large packets between '{node}' and '{other}' vanish (MTU black hole); small ones pass.",
        must=lambda f, at: f.large and {at.node, at.other} <= {f.from_node} | f.to_nodes,
        may=many_records,
        symptoms=STOPPED | {"dns"},
        rank=13,
        hint="Compare the MTU of the path with that of the pods.",
        command="on {node}: ip link; tracepath -n ADDRESS",
    ),
    Rule(
        "route to pods",
        WAY.where(_hosts_reach_back),
        "one node's pods and its own processes do not reach another node's pods; the reverse direction works",
        "{node} to {other}",
        "Node '{node}' does not reach the pods of node '{other}', neither from its own processes nor from its pods, "
        "while "
        "the nodes themselves reach each other and '{other}' reaches the pods of '{node}' from its own address: the "
        "route "
        "on '{node}' to the pods of '{other}' is missing or wrong.",
        must=lambda f, at: _from_host(f, at) or (between_pods(f) and either_way(f, at)),
        may=touches_both,
        symptoms=AT_ADDRESS | {"dns", "slow"},
        least=3,
        rank=14,
        hint="On '{node}', check 'ip route get' for an address of a pod on '{other}', and the network plugin there.",
        command="on {node}: ip route; ip route get POD",
    ),
    Rule(
        "node pair",
        PAIR,
        "nothing passes between two nodes in either direction",
        "{node} and {other}",
        "Nodes '{node}' and '{other}' do not reach each other in either direction, while both reach others. A TCP "
        "connection and a UDP answer need both directions, so one dropped direction looks like this too.",
        must=either_way,
        may=touches_both,
        symptoms=AT_ADDRESS | {"dns", "slow"},
        least=2,
        rank=15,
        hint="Look at routes, tunnels and firewalls between '{node}' and '{other}'; see which of the two directions "
        "loses "
        "the packets with a capture on both.",
        command="on {node} and {other}: ip route; ip neigh; tcpdump -ni any host ADDRESS",
    ),
    Rule(
        "pod network of pair",
        PAIR,
        "pods of two nodes do not reach each other; the nodes' own addresses do",
        "{node} and {other}",
        "Pods of nodes '{node}' and '{other}' do not reach each other, while the nodes' own addresses do: the pod "
        "network "
        "between the two is broken.",
        must=lambda f, at: between_pods(f) and either_way(f, at),
        may=lambda f, at: {at.node, at.other} <= {f.from_node} | f.to_nodes,
        symptoms=AT_ADDRESS | {"dns", "slow"},
        least=2,
        rank=16,
        hint="Look at the tunnel or the routes for pod networks between '{node}' and '{other}'.",
        command="on {node} and {other}: ip route; ip -d link",
    ),
    Rule(
        "one direction",
        WAY,
        "connections to another node's pods fail, those the other way work",
        "{node} to {other}",
        "Node '{node}' cannot open connections to pods of node '{other}', while the reverse direction works.",
        must=one_way,
        may=_enters_or_is_there,
        symptoms=AT_ADDRESS | {"dns"},
        rank=16,
        hint="Look for a firewall rule or a missing route from '{node}' to the pods of '{other}'.",
        command="on {node} and {other}: nft list ruleset; ip route",
        compare=way_back,
        compare_text="connections the other way round work",
    ),
    Rule(
        "pod network in one direction",
        WAY,
        "the same between pods; the nodes' own addresses reach each other",
        "{node} to {other}",
        "Pods of node '{node}' cannot open connections to pods of node '{other}', while the reverse direction works "
        "and the "
        "nodes' "
        "own addresses reach each other.",
        must=lambda f, at: between_pods(f) and one_way(f, at),
        may=_from_or_by_way_of,
        symptoms=AT_ADDRESS | {"dns"},
        least=2,
        rank=17,
        hint="Look for a firewall or policy rule from the pod network of '{node}' to that of '{other}'.",
        command="on {node} and {other}: nft list ruleset; ip route",
        compare=way_back,
        compare_text="connections the other way round work",
    ),
    Rule(
        "protocol between nodes",
        PAIR_PROTOCOL,
        "one protocol fails between two nodes in both directions",
        "{protocol} between {node} and {other}",
        "{protocol} between nodes '{node}' and '{other}' fails in both directions, while other protocols pass between "
        "them.",
        must=lambda f, at: f.protocol == at.protocol and either_way(f, at),
        may=lambda f, at: (
            (f.protocol == at.protocol or (at.protocol == "UDP" and f.path in BY_NAME)) and touches_both(f, at)
        ),
        symptoms=AT_ADDRESS | {"dns"},
        least=2,
        rank=31,
        hint="Look for a {protocol} rule on '{node}', on '{other}' and between the two.",
        command="on {node} and {other}: nft list ruleset",
    ),
    Rule(
        "protocol in one direction",
        WAY_PROTOCOL,
        "one protocol fails one way; other protocols and the reverse direction work",
        "{protocol} {node} to {other}",
        "{protocol} from node '{node}' to pods of node '{other}' fails; other protocols and the reverse direction "
        "work.",
        must=lambda f, at: f.protocol == at.protocol and one_way(f, at),
        may=lambda f, at: f.protocol == at.protocol and _enters_or_is_there(f, at),
        symptoms=AT_ADDRESS | {"dns"},
        rank=32,
        hint="Look for a {protocol} rule between the two nodes.",
        command="on {node} and {other}: nft list ruleset",
    ),
    Rule(
        "protocol to pods in one direction",
        WAY_PROTOCOL,
        "the same to pods; the node's own address works",
        "{protocol} {node} to {other}",
        "{protocol} from node '{node}' to the pods of node '{other}' is lost; other protocols, the reverse direction "
        "and the "
        "address of '{other}' itself work.",
        must=lambda f, at: f.protocol == at.protocol and not f.to_host and one_way(f, at),
        may=lambda f, at: f.protocol == at.protocol and at.other in f.to_nodes and at.node in (f.from_node, f.entry),
        symptoms=AT_ADDRESS | {"dns"},
        rank=33,
        hint="Look for a {protocol} rule about pods on '{node}' and '{other}'.",
        command="on {node} and {other}: nft list ruleset",
    ),
    Rule(
        "protocol between pods in one direction",
        WAY_PROTOCOL,
        "the same between pods only; the nodes' own processes get through",
        "{protocol} {node} to {other}",
        "{protocol} from pods of node '{node}' to pods of node '{other}' is lost; other protocols, the reverse "
        "direction and "
        "the nodes' own processes get through.",
        must=lambda f, at: f.protocol == at.protocol and between_pods(f) and one_way(f, at),
        may=lambda f, at: (
            f.protocol == at.protocol
            and f.from_node == at.node
            and at.other in f.to_nodes
            and not f.cell.source.host_network
        ),
        symptoms=AT_ADDRESS | {"dns"},
        rank=34,
        hint="Look for a {protocol} rule about these pods on '{node}' and '{other}'.",
        command="on {node} and {other}: nft list ruleset",
    ),
    Rule(
        "loss between nodes",
        PAIR,
        "some of the new connections between two nodes time out",
        "{node} and {other}",
        "Some of the new connections between nodes '{node}' and '{other}' are lost: some succeed, some time out, also "
        "by "
        "pod addresses, while both nodes reach the others well.",
        must=lambda f, at: f.path == "pod" and {at.node, at.other} == {f.from_node} | f.to_nodes and not was_told(f),
        may=touches_both,
        symptoms=AT_ADDRESS | {"dns", "slow"},
        soft=True,
        share=0.15,
        least=2,
        rank=39,
        weight=0.6,
        hint="Look at the drops and errors of the links between '{node}' and '{other}'.",
        command="on {node} and {other}: ip -s link",
    ),
)
