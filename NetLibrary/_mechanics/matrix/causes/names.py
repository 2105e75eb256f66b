"""Causes that show as names: DNS cannot be reached, says no, says something wrong, is slow."""

from __future__ import annotations

from collections.abc import Mapping

from NetLibrary._mechanics.matrix.causes.case import CLUSTER, CLUSTER_OR_NODE, Case
from NetLibrary._mechanics.matrix.causes.rules import At, Rule
from NetLibrary._mechanics.matrix.model.features import BY_NAME, Fact
from NetLibrary._mechanics.matrix.model.objects import OUTSIDE_NAME


def _by_name(f: Fact, at: At) -> bool:
    return f.path in BY_NAME and at.node in ("", f.from_node)


def _lookup(f: Fact, at: At) -> bool:
    return f.path == "dns" and at.node in ("", f.from_node)


def _lookup_of_something(f: Fact, at: At) -> bool:
    return _lookup(f, at) and f.wants_connection


def _any_name(f: Fact, at: At) -> bool:
    return f.path in BY_NAME and f.wants_connection


def _where(case: Case, at: At) -> Mapping[str, str]:
    details = sorted(
        {f.cell.observed.detail for f in case.wrong if f.path in BY_NAME and f.symptom in ("dns", "blocked")}
    )
    return {
        "where": f"from the pods of node '{at.node}' only" if at.node else "from everywhere",
        "place": at.node or "cluster",
        "said": f" ({details[0]})" if details else "",
        "what": f"cannot be reached from node '{at.node}'" if at.node else "is down or cannot be reached",
    }


def _is_wrong(case: Case, at: At) -> bool:
    return any(f.symptom == "records" for f in case.wrong if _by_name(f, at))


def _is_slow(case: Case, at: At) -> bool:
    return any(f.symptom == "slow" for f in case.wrong if _by_name(f, at))


def _denied(case: Case, at: At) -> bool:
    return any("NXDOMAIN" in f.cell.observed.detail for f in case.wrong if _by_name(f, at))


def _part_succeeds(case: Case, at: At) -> bool:
    """Lookups go to any of the servers, so a dead one makes part of them fail, from everywhere."""
    return len(case.world.dns) > 1 and any(not f.wrong for f in case.facts if _any_name(f, at))


def _servers(case: Case, at: At) -> Mapping[str, str]:
    return {"servers": ", ".join(f"'{e.pod}' on '{e.node}'" for e in case.world.dns)}


def _outside_name(case: Case, at: At) -> Mapping[str, str]:
    service = case.world.service(OUTSIDE_NAME) or {"spec": {"externalName": ""}}
    return {"outside_name": str(service["spec"]["externalName"])}


def _has_outside_name(case: Case, at: At) -> bool:
    return case.world.service(OUTSIDE_NAME) is not None


def _same_by_address(f: Fact, o: Fact, at: At) -> bool:
    return o.source == f.source and o.path == "vip"


def _everywhere(case: Case, at: At) -> bool:
    return not at.node


def _one_node(case: Case, at: At) -> bool:
    return bool(at.node)


def _resolution(*, node: bool) -> tuple[Rule, ...]:
    """The same from everywhere, and from one node only."""
    scope, rank = (CLUSTER_OR_NODE.where(_one_node), 24) if node else (CLUSTER_OR_NODE.where(_everywhere), 23)
    of = "from one node" if node else "from everywhere"
    return (
        Rule(
            "dns",
            scope,
            f"names are not resolved {of}, Services work by address: DNS cannot be reached",
            "{place}",
            "Names are not resolved {where}{said}, while the same Services work by address: the cluster's DNS {what}.",
            must=_lookup_of_something,
            may=_by_name,
            symptoms=frozenset({"dns", "blocked", "flapping", "slow"}),
            words=_where,
            rank=rank,
            hint="Look at the CoreDNS pods, at the kube-dns Service and its endpoints, and ask a CoreDNS pod directly.",
            command="kubectl -n kube-system get pods,endpointslice -l k8s-app=kube-dns -o wide",
            compare=_same_by_address,
            compare_text="Services work by address",
        ),
        Rule(
            "dns says no",
            scope.where(_denied),
            f"DNS answers {of} that the names do not exist",
            "{place}",
            "DNS answers {where} and says that the names do not exist (NXDOMAIN), while the same Services work by "
            "address: "
            "it is asked for another domain, or does not know the cluster's Services.",
            must=_lookup_of_something,
            may=_by_name,
            symptoms=frozenset({"dns", "blocked", "flapping", "records"}),
            words=_where,
            share=0.5,
            rank=rank - 3,
            hint="Look at the zones of the Corefile, whether CoreDNS reaches the API server, and which server pods "
            "ask.",
            command="kubectl -n kube-system get configmap coredns -o yaml",
        ),
        Rule(
            "dns wrong",
            scope.where(_is_wrong),
            f"DNS gives wrong addresses {of}",
            "{place}",
            "DNS gives wrong addresses {where}, while the same Services work by address.",
            must=_lookup,
            may=_by_name,
            symptoms=frozenset({"records", "responder", "blocked", "reason", "dns", "open"}),
            words=_where,
            share=0.5,
            rank=rank - 1,
            hint="Compare the answers with the Services' addresses; look at the Corefile, stub domains and caches.",
            command="kubectl -n kube-system get configmap coredns -o yaml",
            compare=_same_by_address,
            compare_text="Services work by address",
        ),
        Rule(
            "dns slow",
            scope.where(_is_slow),
            f"DNS answers late {of}",
            "{place}",
            "DNS answers slowly {where}, while the same Services work by address without delay.",
            must=_lookup,
            may=_by_name,
            symptoms=frozenset({"slow", "dns", "blocked"}),
            words=_where,
            share=0.5,
            rank=rank - 2,
            hint="Look at the load of CoreDNS, at its upstream servers, and for lost packets on the way to it.",
            command="kubectl -n kube-system top pods -l k8s-app=kube-dns",
        ),
    )


RULES = (
    Rule(
        "dns partly",
        CLUSTER.where(_part_succeeds),
        "part of the lookups fails: one of several DNS servers does not answer",
        "cluster",
        "Part of the lookups fails while others succeed: not every DNS server answers ({servers}), or the way to one "
        "of "
        "them loses packets.",
        must=_any_name,
        symptoms=frozenset({"dns", "blocked", "flapping", "slow"}),
        words=_servers,
        share=0.15,
        least=2,
        soft=True,
        weight=0.8,
        rank=25,
        hint="Look at the DNS pod that does not answer below, and at its node.",
        command="kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide",
    ),
    Rule(
        "dns outside",
        CLUSTER.where(_has_outside_name),
        "a name outside the cluster leads to no address; the cluster's own names do",
        "cluster",
        "The name '{outside_name}' outside the cluster leads to no address, while DNS answers for the cluster's own "
        "names.",
        must=lambda f, at: f.service == OUTSIDE_NAME and f.cell.expected.an_address,
        symptoms=frozenset({"records", "dns", "blocked", "flapping", "slow"}),
        words=_outside_name,
        share=0.5,
        rank=20,
        hint="Look whether the name exists, and at 'forward' in the Corefile and the resolvers of CoreDNS's nodes.",
        command="kubectl -n kube-system get configmap coredns -o yaml",
        compare=lambda f, o, at: o.source == f.source and o.path == "dns",
        compare_text="DNS answers for the cluster's own names",
    ),
    *_resolution(node=False),
    *_resolution(node=True),
)
