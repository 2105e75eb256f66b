"""Causes that show as names: DNS cannot be reached, says no, says something wrong, is slow."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.causes.rules import At, Rule, Scope
from NetLibrary._mechanics.matrix.causes.scopes import CLUSTER, CLUSTER_OR_NODE
from NetLibrary._mechanics.matrix.model.features import BY_NAME, Fact
from NetLibrary._mechanics.matrix.model.objects import OUTSIDE_NAME

# What a resolver file says is read, and the cluster's DNS is asked from the same pod
ANOTHER_SERVER = "dns asks another server"


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


def _asks_others(case: Case) -> Iterator[At]:
    """Pods whose resolver file does not name the cluster's DNS: all, those of a node, or single ones."""
    files = case.world.resolvers
    own = {*case.world.dns_service, *(e.address for e in case.world.dns)}
    foreign = {pod for pod, servers in files.items() if not _may_be_the_clusters(servers[0], own)} if own else set()
    node_of = {f.source: f.from_node for f in case.facts if f.source in files}
    if foreign and foreign == set(files) and len(foreign) > 1:
        yield At(names=frozenset(foreign))
        return
    for node in sorted({node_of[pod] for pod in foreign if pod in node_of}):
        there = {pod for pod in files if node_of.get(pod) == node}
        if there <= foreign and len(there) > 1:
            yield At(node, names=frozenset(there))
            foreign -= there
    for pod in sorted(foreign):
        yield At(pod=pod, names=frozenset({pod}))


def _may_be_the_clusters(server: str, own: set[str]) -> bool:
    """It is the cluster's DNS, or a cache on the pod's own node, which has a link-local address or the loopback's."""
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False
    return server in own or address.is_link_local or address.is_loopback


def _what_they_ask(case: Case, at: At) -> Mapping[str, str]:
    mine = [f for f in case.wrong if f.source in at.names and f.path == "dns"]
    details = sorted({f.cell.observed.detail for f in mine if f.cell.observed.detail})
    if any("NXDOMAIN" in detail for detail in details):
        how = "it does not know the cluster's names"
    elif any(f.symptom == "records" for f in mine):
        how = "its answers are not the cluster's"
    else:
        how = f"it gives no answer{f' ({details[0]})' if details else ''}"
    pods = f"the pod '{at.pod}'" if at.pod else (f"pods of node '{at.node}'" if at.node else "all pods")
    return {
        "who": pods[0].upper() + pods[1:] + (" asks" if at.pod else " ask"),
        "place": at.pod or at.node or "cluster",
        "asked": ", ".join(sorted({case.world.resolvers[pod][0] for pod in at.names})),
        "own": ", ".join(case.world.dns_service) or ", ".join(e.address for e in case.world.dns),
        "how": how,
        "one": min(at.names),
    }


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
            f"names are not resolved {of} although Services work by address: DNS cannot be reached",
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
            "address: it is queried for another domain, or does not know the cluster's Services.",
            must=_lookup_of_something,
            may=_by_name,
            symptoms=frozenset({"dns", "blocked", "flapping", "records"}),
            words=_where,
            share=0.5,
            rank=rank - 3,
            hint="Look at the zones of the Corefile, check whether CoreDNS reaches the API server, and which server "
            "pods use.",
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
        "some lookups fail: one of several DNS servers does not answer",
        "cluster",
        "Some lookups fail while others succeed: not every DNS server answers ({servers}), or the path to one of them "
        "loses packets.",
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
        "a name outside the cluster does not resolve; the cluster's own names do",
        "cluster",
        "The name '{outside_name}' outside the cluster does not resolve, while DNS answers for the cluster's own "
        "names.",
        must=lambda f, at: f.service == OUTSIDE_NAME and f.cell.expected.an_address,
        symptoms=frozenset({"records", "dns", "blocked", "flapping", "slow"}),
        words=_outside_name,
        share=0.5,
        rank=20,
        hint="Check whether the name exists, and at 'forward' in the Corefile and the resolvers of CoreDNS's nodes.",
        command="kubectl -n kube-system get configmap coredns -o yaml",
        compare=lambda f, o, at: o.source == f.source and o.path == "dns",
        compare_text="DNS answers for the cluster's own names",
    ),
    Rule(
        ANOTHER_SERVER,
        Scope("cluster, node, pod", _asks_others),
        "names fail from pods whose resolver file names another server than the cluster's DNS, which answers them",
        "{place}",
        "{who} {asked} for names, as the resolver file says, and not the cluster's DNS {own}: {how}.",
        must=lambda f, at: f.path == "dns" and f.wants_connection and f.source in at.names,
        may=lambda f, at: f.path in BY_NAME and f.source in at.names,
        symptoms=frozenset({"dns", "blocked", "flapping", "slow", "records", "responder", "reason", "open"}),
        words=_what_they_ask,
        rank=17,
        hint="Look at dnsPolicy and dnsConfig of the pod, and at clusterDNS in the kubelet's configuration of its "
        "node.",
        command="kubectl get pod {one} -o jsonpath='{{.spec.dnsPolicy}} {{.spec.dnsConfig}}'; in {one}: cat "
        "/etc/resolv.conf",
    ),
    *_resolution(node=False),
    *_resolution(node=True),
)
