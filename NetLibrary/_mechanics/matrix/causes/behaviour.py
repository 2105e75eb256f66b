"""Causes that show as behaviour: hairpin, affinity, client addresses, traffic policies, protocols, sizes."""

from __future__ import annotations

from collections.abc import Mapping

from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.causes.rules import (
    AT_ADDRESS,
    STOPPED,
    At,
    Rule,
    Scope,
    direct,
    many_records,
)
from NetLibrary._mechanics.matrix.causes.scopes import CLUSTER, CLUSTER_OR_NODE, NODE, PROTOCOL
from NetLibrary._mechanics.matrix.model.features import BY_NAME, Fact
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.probing.types import Outcome


def _from(f: Fact, at: At) -> bool:
    """From the node of the place, or from any."""
    return f.from_node == at.node if at.node else bool(f.from_node)


def _where(case: Case, at: At) -> Mapping[str, str]:
    return {"where": f"on node '{at.node}'" if at.node else "on every node", "place": at.node or "cluster"}


def _is_local(world: World, service: str) -> bool:
    found = world.service(service)
    if found is None:
        return False
    return "Local" in (found["spec"].get("externalTrafficPolicy"), found["spec"].get("internalTrafficPolicy"))


def _local_services(case: Case) -> frozenset[str]:
    """Services with a policy Local."""
    return frozenset(s["metadata"]["name"] for s in case.world.services if _is_local(case.world, s["metadata"]["name"]))


def _opened(case: Case) -> frozenset[str]:
    return frozenset({f.service for f in case.wrong if f.symptom == "open"} & _local_services(case))


def _every_node(case: Case, at: At) -> bool:
    return not at.node


def _one_node(case: Case, at: At) -> bool:
    return bool(at.node)


def _refuses(f: Fact) -> bool:
    outcomes = f.cell.expected.outcomes
    return Outcome.REFUSED in outcomes and not outcomes & {Outcome.CONNECTED, Outcome.TIMEOUT}


def _at(*, node: bool) -> tuple[Rule, ...]:
    """The same on every node, and on one only."""
    scope = CLUSTER_OR_NODE.where(_one_node if node else _every_node)
    here, extra = ("on one node", 1) if node else ("on every node", 0)
    opened = Scope(scope.word, lambda case: (At(at.node, names=_opened(case)) for at in scope.places(case)))
    return (
        Rule(
            "hairpin",
            scope,
            f"{here} a pod does not reach itself through its own Service, although others do, and although it reaches "
            "its own address",
            "{place}",
            "A pod cannot reach itself through its own Service {where} (hairpin), while others reach it through that "
            "Service and it reaches itself by its own address.",
            must=lambda f, at: _from(f, at) and f.hairpin and f.path == "vip",
            may=lambda f, at: _from(f, at) and not f.itself and f.source in f.to_pods,
            symptoms=STOPPED | {"slow"},
            words=_where,
            rank=14 + extra,
            hint="Check hairpin mode of the pods' bridge ports and the source address translation for hairpin traffic.",
            command="on a node: bridge -d link; ip -d link show type bridge",
            compare=lambda f, o, at: o.source == f.source and o.itself,
            compare_text="the pod answers by its own address",
        ),
        Rule(
            "stale flow",
            scope,
            f"{here} UDP flows stay with a backend that is gone; new flows work",
            "{place}",
            "UDP flows that continue across a change of the backends stay with the old backends {where}: the proxy "
            "does "
            "not clear their connection tracking entries, while new flows work.",
            must=lambda f, at: _from(f, at) and f.case == "udp flows" and f.wants_connection,
            symptoms=frozenset({"stale flow"}),
            words=_where,
            share=0.3,
            rank=21 + extra,
            hint="Look for errors about conntrack in the log of kube-proxy; 'conntrack -D -p udp' on the node helps "
            "at once.",
            command="on the node: conntrack -D -p udp",
        ),
        Rule(
            "affinity",
            scope,
            f"{here} connections of one client go to several backends in spite of session affinity",
            "{place}",
            "Session affinity is ignored {where}: connections of one client go to several backends.",
            must=lambda f, at: _from(f, at) and f.cell.expected.one_responder,
            symptoms=frozenset({"affinity"}),
            words=_where,
            share=0.4,
            rank=22 + extra,
            hint="Check whether the proxy implements sessionAffinity for this kind of address.",
            command="kubectl get services -A -o jsonpath='{{.items[*].spec.sessionAffinity}}'",
        ),
        Rule(
            "affinity timeout",
            scope,
            f"{here} session affinity does not end after its time limit",
            "{place}",
            "Session affinity does not end {where} after its time limit.",
            must=lambda f, at: _from(f, at) and f.symptom == "affinity timeout",
            symptoms=frozenset({"affinity timeout"}),
            words=_where,
            rank=22 + extra,
            hint="Check whether the proxy implements sessionAffinityConfig.clientIP.timeoutSeconds.",
            command="on a node: nft list ruleset",
        ),
        Rule(
            "client address",
            scope,
            f"{here} servers see another address than the client's, where it must be kept",
            "{place}",
            "Client addresses are lost {where}: the server sees another address than the client's, where it must be "
            "kept.",
            must=lambda f, at: (
                _from(f, at) and f.cell.expected.clients is not None and f.wants_connection and f.proxied
            ),
            may=_from,
            symptoms=frozenset({"client"}),
            words=_where,
            share=0.5 if node else 0.7,
            rank=25 + extra,
            hint="Look for a masquerade rule that is too wide (cluster CIDR of the proxy, ip-masq-agent, the CNI).",
            command="on a node: iptables -t nat -S POSTROUTING",
        ),
        Rule(
            "local policy ignored",
            opened,
            f"{here} connections reach endpoints of other nodes in spite of traffic policy Local",
            "{place}",
            "Traffic policy Local is treated as Cluster {where}: connections reach endpoints of other nodes where "
            "they must "
            "be dropped.",
            must=lambda f, at: (_from(f, at) or not f.from_node) and f.service in at.names and not f.wants_connection,
            may=lambda f, at: f.service in at.names,
            symptoms=frozenset({"open", "responder", "client"}),
            words=_where,
            share=0.4,
            rank=26 + extra,
            hint="Check whether the proxy implements the policy; client addresses are then lost as well.",
            command="on a node: nft list ruleset",
        ),
        Rule(
            "dropped instead of refused",
            scope,
            f"{here} connections to Services without endpoints time out, where a refusal is promised",
            "{place}",
            "Connections to Services without endpoints are dropped {where} instead of refused: clients wait for their "
            "time "
            "limit.",
            must=lambda f, at: _from(f, at) and f.proxied and _refuses(f),
            symptoms=frozenset({"reason"}),
            words=_where,
            share=0.6,
            rank=27 + extra,
            hint="Look at the reject rules of the proxy and whether ICMP is filtered.",
            command="on a node: nft list ruleset",
        ),
    )


RULES = (
    *_at(node=False),
    *_at(node=True),
    Rule(
        "local policy ignored",
        Scope("entry node", lambda case: (At(at.node, names=_local_services(case)) for at in NODE.places(case))),
        "connections that enter at one node reach endpoints of other nodes in spite of traffic policy Local",
        "at {node}",
        "Traffic policy Local is treated as Cluster at entry node '{node}': connections that enter there reach "
        "endpoints of "
        "other nodes where they must be dropped.",
        must=lambda f, at: f.entry == at.node and f.service in at.names and not f.wants_connection,
        may=lambda f, at: f.entry == at.node and f.service in at.names,
        symptoms=frozenset({"open", "responder", "client"}),
        share=0.4,
        rank=26,
        hint="Look at the rules for that Service on '{node}'; client addresses are then lost as well.",
        command="on {node}: nft list ruleset",
    ),
    Rule(
        "pods isolated",
        CLUSTER,
        "no pod reaches any other, not even on its own node; the nodes' processes do",
        "cluster",
        "Pods do not reach each other at all, not even on the same node, while the nodes' own processes do: a policy "
        "that "
        "is not among the NetworkPolicy objects isolates these pods, or the CNI is broken.",
        must=lambda f, at: (
            f.path == "pod"
            and not f.itself
            and not f.large
            and not f.cell.source.host_network
            and bool(f.from_node)
            and not f.to_host
        ),
        may=lambda f, at: True,
        symptoms=AT_ADDRESS | {"dns", "slow"},
        least=2,
        rank=4,
        hint="Check cluster-wide policies of the network plugin and any rules that it has left behind.",
        command="kubectl api-resources --verbs=list -o name | grep -i polic",
    ),
    Rule(
        "large packets",
        CLUSTER,
        "large packets between nodes vanish everywhere",
        "cluster",
        "Large packets between nodes vanish everywhere (MTU black hole); small ones pass.",
        must=lambda f, at: f.large and len({f.from_node} | f.to_nodes) > 1,
        may=many_records,
        symptoms=STOPPED | {"dns"},
        least=3,
        rank=11,
        hint="The pods' MTU is larger than the path between the nodes; tunnels need 50 to 60 bytes.",
        command="on a node: ip -d link; tracepath -n ADDRESS",
    ),
    Rule(
        "policy not enforced",
        CLUSTER,
        "connections succeed that NetworkPolicies deny",
        "cluster",
        "NetworkPolicies are not enforced: connections succeed that they deny.",
        must=lambda f, at: "NetworkPolicy" in f.cell.expected.reason and not f.wants_connection,
        symptoms=frozenset({"open"}),
        share=0.5,
        rank=24,
        hint="Check whether the network plugin implements NetworkPolicy.",
        command="kubectl get networkpolicy -A",
    ),
    Rule(
        "protocol",
        PROTOCOL,
        "all of one protocol fails between pods of different nodes",
        "{protocol}",
        "{protocol} fails between pods everywhere, while other protocols work.",
        must=lambda f, at: (
            f.path == "pod" and f.protocol == at.protocol and not f.itself and len({f.from_node} | f.to_nodes) > 1
        ),
        may=lambda f, at: f.protocol == at.protocol or f.path in BY_NAME,
        symptoms=AT_ADDRESS | {"dns"},
        least=2,
        rank=29,
        hint="Look for a firewall between the nodes that blocks {protocol}.",
        command="on a node: nft list ruleset",
    ),
    Rule(
        "protocol through services",
        PROTOCOL,
        "one protocol fails through Services everywhere, and works by pod addresses",
        "{protocol}",
        "{protocol} fails through Services everywhere, while it works by pod address and other protocols work through "
        "Services.",
        must=lambda f, at: f.path == "vip" and f.protocol == at.protocol and f.wants_connection,
        may=lambda f, at: f.proxied and f.protocol == at.protocol,
        symptoms=AT_ADDRESS,
        least=2,
        rank=30,
        hint="Look at the proxy's {protocol} rules; for UDP also at stale connection tracking entries.",
        command="on a node: nft list ruleset; conntrack -L -p udp",
        compare=direct,
        compare_text="the backends answer by their pod addresses",
    ),
)
