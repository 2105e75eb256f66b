"""Causes that show as behaviour: names, hairpin, affinity, client addresses, traffic policies, protocols, sizes."""

# Sentences for people are easier to keep right in one piece:
# ruff: noqa: E501
# Names of a loop are bound as defaults of the tests, which mypy cannot infer:
# mypy: disable-error-code="misc"
from __future__ import annotations

from collections.abc import Iterator

from NetLibrary._mechanics.matrix.explain.causes import AT_ADDRESS, STOPPED, Candidate, Case, Test, direct
from NetLibrary._mechanics.matrix.model.features import BY_NAME, Fact
from NetLibrary._mechanics.matrix.model.objects import OUTSIDE_NAME
from NetLibrary._mechanics.matrix.model.types import Outcome
from NetLibrary._mechanics.matrix.model.world import World


def of_names(case: Case) -> Iterator[Candidate]:
    yield from _one_dns_server(case)
    yield from _outside_name(case)

    def is_name(f: Fact) -> bool:
        return f.path in BY_NAME

    details = sorted({f.cell.observed.detail for f in case.wrong if is_name(f) and f.symptom in ("dns", "blocked")})
    said = f" ({details[0]})" if details else ""
    for node, scope in (("", "cluster"), *((n, n) for n in case.bad_nodes)):
        where = f"from the pods of node '{node}' only" if node else "from everywhere"
        inside: Test = (lambda f, n=node: f.path in BY_NAME and f.from_node == n) if node else is_name
        rank = 24 if node else 23
        addresses = "while the same Services work by address"
        yield Candidate(
            "dns",
            scope,
            f"Names are not resolved {where}{said}, {addresses}: the cluster's DNS "
            + (f"cannot be reached from node '{node}'." if node else "is down or cannot be reached."),
            must=lambda f, t=inside: t(f) and f.path == "dns" and f.wants_connection,
            may=inside,
            symptoms=frozenset({"dns", "blocked", "flapping", "slow"}),
            least=1,
            rank=rank,
            hint="Look at the CoreDNS pods, at the kube-dns Service and its endpoints, and ask a CoreDNS pod directly.",
            compare=lambda f, o: o.source == f.source and o.path == "vip",
            compare_text="Services work by address",
        )
        denied = [f for f in case.wrong if inside(f) and "NXDOMAIN" in f.cell.observed.detail]
        if denied:
            yield Candidate(
                "dns says no",
                scope,
                f"DNS answers {where} and says that the names do not exist (NXDOMAIN), {addresses}: it is asked for another "
                "domain, or does not know the cluster's Services.",
                must=lambda f, t=inside: t(f) and f.path == "dns" and f.wants_connection,
                may=inside,
                symptoms=frozenset({"dns", "blocked", "flapping", "records"}),
                share=0.5,
                least=1,
                rank=rank - 3,
                hint="Look at the zones of the Corefile, whether CoreDNS reaches the API server, and which server pods ask.",
            )
        if any(f.symptom == "records" for f in case.wrong if inside(f)):
            yield Candidate(
                "dns wrong",
                scope,
                f"DNS gives wrong addresses {where}, {addresses}.",
                must=lambda f, t=inside: t(f) and f.path == "dns",
                may=inside,
                symptoms=frozenset({"records", "responder", "blocked", "reason", "dns", "open"}),
                share=0.5,
                rank=rank - 1,
                least=1,
                hint="Compare the answers with the Services' addresses; look at the Corefile, stub domains and caches.",
                compare=lambda f, o: o.source == f.source and o.path == "vip",
                compare_text="Services work by address",
            )
        if any(f.symptom == "slow" for f in case.wrong if inside(f)):
            yield Candidate(
                "dns slow",
                scope,
                f"DNS answers slowly {where}, {addresses} without delay.",
                must=lambda f, t=inside: t(f) and f.path == "dns",
                may=inside,
                symptoms=frozenset({"slow", "dns", "blocked"}),
                share=0.5,
                rank=rank - 2,
                hint="Look at the load of CoreDNS, at its upstream servers, and for lost packets on the way to it.",
            )


def _one_dns_server(case: Case) -> Iterator[Candidate]:
    """Lookups go to any of the servers, so a dead one makes part of them fail, from everywhere."""
    names = [f for f in case.facts if f.path in BY_NAME and f.wants_connection]
    if len(case.world.dns) < 2 or not any(not f.wrong for f in names):
        return
    servers = ", ".join(f"'{e.pod}' on '{e.node}'" for e in case.world.dns)
    yield Candidate(
        "dns partly",
        "cluster",
        f"Part of the lookups fails while others succeed: not every DNS server answers ({servers}), or the way to one of "
        "them loses packets.",
        must=lambda f: f.path in BY_NAME and f.wants_connection,
        symptoms=frozenset({"dns", "blocked", "flapping", "slow"}),
        share=0.15,
        least=2,
        soft=True,
        weight=0.8,
        rank=25,
        hint="Look at the DNS pod that does not answer below, and at its node.",
    )


def _outside_name(case: Case) -> Iterator[Candidate]:
    """The cluster's own names are resolved, but not the one outside that a Service leads to."""
    service = case.world.service(OUTSIDE_NAME)
    if service is None:
        return
    name = service["spec"]["externalName"]
    yield Candidate(
        "dns outside",
        "cluster",
        f"The name '{name}' outside the cluster leads to no address, while DNS answers for the cluster's own names.",
        must=lambda f: f.service == OUTSIDE_NAME and f.cell.expected.an_address,
        symptoms=frozenset({"records", "dns", "blocked", "flapping", "slow"}),
        share=0.5,
        rank=20,
        hint="Look whether the name exists, and at 'forward' in the Corefile and the resolvers of CoreDNS's nodes.",
        compare=lambda f, o: o.source == f.source and o.path == "dns",
        compare_text="DNS answers for the cluster's own names",
    )


def of_behaviour(case: Case) -> Iterator[Candidate]:
    """Connections that come about, or fail, in the wrong way."""
    opened = {f.service for f in case.wrong if f.symptom == "open" and _is_local(case.world, f)}
    for node, scope in (("", "cluster"), *((n, n) for n in case.bad_nodes)):
        at = f"on node '{node}'" if node else "on every node"
        mine: Test = (lambda f, n=node: f.from_node == n) if node else (lambda f: bool(f.from_node))
        extra = 1 if node else 0
        yield Candidate(
            "hairpin",
            scope,
            f"A pod cannot reach itself through its own Service {at} (hairpin), while others reach it "
            "through that Service and it reaches itself by its own address.",
            must=lambda f, m=mine: m(f) and f.hairpin and f.path == "vip",
            may=lambda f, m=mine: m(f) and not f.itself and f.source in f.to_pods,
            symptoms=STOPPED | {"slow"},
            rank=14 + extra,
            hint="Look at hairpin mode of the pods' bridge ports and at the source address translation for hairpin traffic.",
            compare=lambda f, o: o.source == f.source and o.itself,
            compare_text="the pod answers by its own address",
        )
        yield Candidate(
            "affinity",
            scope,
            f"Session affinity is ignored {at}: connections of one client go to several backends.",
            must=lambda f, m=mine: m(f) and f.cell.expected.one_responder,
            symptoms=frozenset({"affinity"}),
            share=0.4,
            rank=22 + extra,
            hint="Look whether the proxy implements sessionAffinity for this kind of address.",
        )
        yield Candidate(
            "stale flow",
            scope,
            f"UDP flows that go on over a change of the backends stay with what was there before {at}: the proxy does "
            "not clear their connection tracking entries, while new flows work.",
            must=lambda f, m=mine: m(f) and f.case == "udp flows" and f.wants_connection,
            symptoms=frozenset({"stale flow"}),
            share=0.3,
            rank=21 + extra,
            hint="Look for errors about conntrack in the log of kube-proxy; 'conntrack -D -p udp' on the node helps at once.",
        )
        yield Candidate(
            "affinity timeout",
            scope,
            f"Session affinity does not end {at} after its time limit.",
            must=lambda f, m=mine: m(f) and f.symptom == "affinity timeout",
            symptoms=frozenset({"affinity timeout"}),
            rank=22 + extra,
            hint="Look whether the proxy implements sessionAffinityConfig.clientIP.timeoutSeconds.",
        )
        yield Candidate(
            "client address",
            scope,
            f"Client addresses are lost {at}: the server sees another address than the client's, "
            "where it must be kept.",
            must=lambda f, m=mine: m(f) and f.cell.expected.clients is not None and f.wants_connection and f.proxied,
            may=lambda f, m=mine: m(f),
            symptoms=frozenset({"client"}),
            share=0.5 if node else 0.7,
            rank=25 + extra,
            hint="Look for a masquerade rule that is too wide (cluster CIDR of the proxy, ip-masq-agent, the CNI).",
        )
        yield Candidate(
            "local policy ignored",
            scope,
            f"Traffic policy Local is treated as Cluster {at}: connections reach endpoints "
            "of other nodes where they must be dropped.",
            must=lambda f, m=mine, o=opened: (m(f) or not f.from_node) and f.service in o and not f.wants_connection,
            may=lambda f, o=opened: f.service in o,
            symptoms=frozenset({"open", "responder", "client"}),
            share=0.4,
            rank=26 + extra,
            hint="Look whether the proxy implements the policy; client addresses are lost as well then.",
        )
        if node:
            yield Candidate(
                "local policy ignored",
                f"at {node}",
                f"Traffic policy Local is treated as Cluster at entry node '{node}': connections that enter there reach "
                "endpoints of other nodes where they must be dropped.",
                must=lambda f, n=node: f.entry == n and _is_local(case.world, f) and not f.wants_connection,
                may=lambda f, n=node: f.entry == n and _is_local(case.world, f),
                symptoms=frozenset({"open", "responder", "client"}),
                share=0.4,
                rank=26,
                hint=f"Look at the rules for that Service on '{node}'; client addresses are lost as well then.",
            )
        yield Candidate(
            "dropped instead of refused",
            scope,
            f"Connections to Services without endpoints are dropped {at} instead of "
            "refused: clients wait for their time limit.",
            must=lambda f, m=mine: (
                m(f)
                and f.proxied
                and Outcome.REFUSED in f.cell.expected.outcomes
                and not f.cell.expected.outcomes & {Outcome.CONNECTED, Outcome.TIMEOUT}
            ),
            symptoms=frozenset({"reason"}),
            share=0.6,
            rank=27 + extra,
            hint="Look at the reject rules of the proxy and whether ICMP is filtered.",
        )
    yield Candidate(
        "policy not enforced",
        "cluster",
        "NetworkPolicies are not enforced: connections come about that they forbid.",
        must=lambda f: "NetworkPolicy" in f.cell.expected.reason and not f.wants_connection,
        symptoms=frozenset({"open"}),
        share=0.5,
        rank=24,
        hint="Look whether the network plugin implements NetworkPolicy.",
    )
    yield Candidate(
        "pods isolated",
        "cluster",
        "Pods do not reach each other at all, not even on the same node, while the nodes' own "
        "processes do: a policy that is not among the NetworkPolicy objects isolates these pods, or the CNI is broken.",
        must=lambda f: (
            f.path == "pod"
            and not f.itself
            and not f.large
            and not f.cell.source.host_network
            and bool(f.from_node)
            and not f.to_host
        ),
        may=lambda f: True,
        symptoms=AT_ADDRESS | {"dns", "slow"},
        least=2,
        rank=4,
        hint="Look at cluster-wide policies of the network plugin and at the rules it has left behind.",
    )
    for protocol in ("TCP", "UDP", "SCTP"):
        yield Candidate(
            "protocol",
            protocol,
            f"{protocol} fails between pods everywhere, while other protocols work.",
            must=lambda f, p=protocol: (
                f.path == "pod" and f.protocol == p and not f.itself and len({f.from_node} | f.to_nodes) > 1
            ),
            may=lambda f, p=protocol: f.protocol == p or f.path in BY_NAME,
            symptoms=AT_ADDRESS | {"dns"},
            least=2,
            rank=29,
            hint=f"Look for a firewall between the nodes that does not let {protocol} pass.",
        )
        yield Candidate(
            "protocol through services",
            protocol,
            f"{protocol} fails through Services everywhere, while it works by pod "
            "address and other protocols work through Services.",
            must=lambda f, p=protocol: f.path == "vip" and f.protocol == p and f.wants_connection,
            may=lambda f, p=protocol: f.proxied and f.protocol == p,
            symptoms=AT_ADDRESS,
            least=2,
            rank=30,
            hint=f"Look at the proxy's {protocol} rules; for UDP also at stale connection tracking entries.",
            compare=direct,
            compare_text="the backends answer by their pod addresses",
        )
    yield Candidate(
        "large packets",
        "cluster",
        "Large packets between nodes vanish everywhere (MTU black hole); small ones pass.",
        must=lambda f: f.large and len({f.from_node} | f.to_nodes) > 1,
        may=lambda f: f.path == "dns" and f.cell.target.extra.count("/") > 1,
        symptoms=STOPPED | {"dns"},
        least=3,
        rank=11,
        hint="The pods' MTU is larger than the path between the nodes; tunnels need 50 to 60 bytes.",
    )
    yield Candidate(
        "load balancer",
        "outside",
        "LoadBalancer addresses do not answer to clients outside the cluster, while they work "
        "from inside: the address is not announced, or the way to the nodes is closed.",
        must=lambda f: f.path == "loadbalancer" and f.cell.source.outside and f.wants_connection,
        symptoms=AT_ADDRESS,
        rank=21,
        hint="Look at the load balancer controller, at its announcements (ARP, BGP) and at firewalls before the nodes.",
        compare=lambda f, o: o.service == f.service and bool(o.from_node),
        compare_text="the address answers from inside",
    )
    yield Candidate(
        "outside",
        "outside",
        "Nothing in the cluster answers to the vantage point outside it.",
        must=lambda f: f.cell.source.outside and f.wants_connection,
        symptoms=AT_ADDRESS | {"error"},
        least=2,
        rank=22,
        hint="Look at the way from this machine to the nodes.",
    )


def _is_local(world: World, fact: Fact) -> bool:
    service = world.service(fact.service)
    if service is None:
        return False
    return "Local" in (service["spec"].get("externalTrafficPolicy"), service["spec"].get("internalTrafficPolicy"))
