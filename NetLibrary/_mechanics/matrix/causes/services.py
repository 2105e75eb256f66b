"""Causes that sit in one Service: its rules, its ports, its backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.causes.rules import (
    AT_ADDRESS,
    STOPPED,
    At,
    Rule,
    Scope,
    direct,
    elsewhere,
    pods_at_least,
    port_of,
)
from NetLibrary._mechanics.matrix.causes.scopes import (
    SERVICE,
    SERVICE_AT_NODE,
    SERVICE_OR_AT_NODE,
    SERVICE_PORT,
    SERVICE_PORT_AT_NODE,
)
from NetLibrary._mechanics.matrix.model.features import Fact


def _mine(f: Fact, service: str) -> bool:
    return f.service == service and f.path != "dns"


def _with_strangers(case: Case) -> Iterator[At]:
    """Services that strangers answer for, with the nodes where they do."""
    for service in case.bad_services:
        where = {f.from_node for f in case.wrong if _mine(f, service) and f.symptom == "responder" and f.from_node}
        yield At(service=service, names=frozenset(where))


def _strangers(case: Case, at: At) -> Mapping[str, str]:
    where = sorted(at.names)
    everywhere = "on every node" if len(where) == len(case.nodes) else "on " + ", ".join(f"'{n}'" for n in where)
    return {"who": ", ".join(case.strangers(lambda f: _mine(f, at.service))[:4]), "where": everywhere}


def _with_dead_backends(case: Case) -> Iterator[At]:
    """Services of several backends whose cells flap, with the backends that never answer."""
    for service in case.bad_services:
        mine = [f for f in case.facts if f.service == service and f.proxied and len(f.to_pods) > 1]
        answered = {pod for f in mine for pod in f.cell.observed.responders}
        silent = {pod for f in mine for pod in f.to_pods} - answered
        if silent and answered and any(f.symptom in ("flapping", "blocked") for f in mine):
            yield At(service=service, names=frozenset(silent))


def _dead(case: Case, at: At) -> Mapping[str, str]:
    mine = [f for f in case.facts if f.service == at.service and f.proxied and len(f.to_pods) > 1]
    return {
        "dead": ", ".join(f"'{pod}'" for pod in sorted(at.names)),
        "share": f"{len(at.names)} of {len({pod for f in mine for pod in f.to_pods})}",
    }


def _where(case: Case, at: At) -> Mapping[str, str]:
    return {"where": f"on node '{at.node}'" if at.node else "on every node", "on_node": f"on {at.node}" * bool(at.node)}


def _every_node(case: Case, at: At) -> bool:
    return not at.node


def _one_node(case: Case, at: At) -> bool:
    return bool(at.node)


def _open(*, node: bool) -> Rule:
    """It answers though it must not, from one node or from all."""
    return Rule(
        "open",
        SERVICE_OR_AT_NODE.where(_one_node if node else _every_node),
        f"a Service answers although it was withdrawn or has no endpoint{' there' if node else ''}",
        "{service} {on_node}",
        "Service '{service}' answers {where} although it must not: it was withdrawn, or has no endpoint there.",
        must=lambda f, at: (
            f.service == at.service and f.proxied and not f.wants_connection and at.node in ("", f.from_node)
        ),
        symptoms=frozenset({"open"}),
        words=_where,
        share=0.5,
        rank=31 if node else 30,
        hint="The proxy keeps rules that it should have removed.",
        command="on a node: nft list ruleset",
    )


def _this_port(f: Fact, at: At) -> bool:
    return f.service == at.service and f.wants_connection and (port_of(f), f.protocol) == (at.port, at.protocol)


RULES = (
    Rule(
        "dead backends",
        Scope("Service", _with_dead_backends),
        "some of a Service's backends never answer, so its cells flap",
        "{service}: {names}",
        "{share} backends of Service '{service}' never answer: {dead}. Connections that happen to go there fail, so "
        "the "
        "cells flap.",
        must=lambda f, at: f.service == at.service and f.proxied and len(f.to_pods) > 1,
        symptoms=STOPPED,
        words=_dead,
        share=0.3,
        rank=16,
        hint="The endpoints are marked ready while the servers are dead: check their readiness probes.",
        command="kubectl get endpointslice -A -l kubernetes.io/service-name={service} -o yaml",
    ),
    Rule(
        "wrong backend",
        Scope("Service at nodes", _with_strangers),
        "a Service is answered by something that is not one of its endpoints",
        "{service} {where}",
        "Service '{service}' leads to '{who}' {where}, which is not one of its endpoints: its rules there are stale or "
        "foreign.",
        must=lambda f, at: f.service == at.service and f.proxied and f.from_node in at.names,
        may=lambda f, at: f.service == at.service,
        symptoms=frozenset({"responder"}),
        words=_strangers,
        share=0.2,
        rank=17,
        hint="Compare the rules for '{service}' on that node with its EndpointSlices.",
        command="kubectl get endpointslice -A -l kubernetes.io/service-name={service} -o yaml",
        compare=direct,
        compare_text="the right backend answers by its pod address",
    ),
    Rule(
        "service",
        SERVICE,
        "a Service fails from everywhere; its pods answer by their own addresses",
        "{service}",
        "Service '{service}' fails from everywhere, while its pods answer by their own addresses: its target port, "
        "selector or endpoints are wrong.",
        must=lambda f, at: f.service == at.service and f.proxied and f.wants_connection and not f.hairpin,
        may=lambda f, at: f.service == at.service,
        symptoms=frozenset({"blocked", "reason", "dns"}),
        least=2,
        rank=18,
        hint="Compare targetPort and endpoints of '{service}' with the ports on which its pods listen.",
        command="kubectl get endpointslice -A -l kubernetes.io/service-name={service} -o yaml",
        compare=direct,
        compare_text="its backends answer by their pod addresses",
    ),
    _open(node=False),
    _open(node=True),
    Rule(
        "service port",
        SERVICE_PORT,
        "one port of a Service fails from everywhere; its other ports work",
        "{service} {port}/{protocol}",
        "Port {port}/{protocol} of Service '{service}' fails from everywhere; its other ports work.",
        must=lambda f, at: f.proxied and _this_port(f, at),
        symptoms=AT_ADDRESS,
        least=2,
        rank=34,
        hint="Look at the targetPort and the name of that port in Service and EndpointSlice of '{service}'.",
        command="kubectl get endpointslice -A -l kubernetes.io/service-name={service} -o yaml",
        compare=direct,
        compare_text="its backends answer by their pod addresses",
    ),
    Rule(
        "service on node",
        SERVICE_AT_NODE,
        "one Service fails from one node's pods; other Services work there",
        "{service} on {node}",
        "Service '{service}' fails only from the pods of node '{node}': that node's rules for it are missing or stale; "
        "other Services work there.",
        must=lambda f, at: (
            f.service == at.service
            and f.path == "vip"
            and f.from_node == at.node
            and f.wants_connection
            and pods_at_least(f)
        ),
        may=lambda f, at: f.service == at.service and at.node in (f.from_node, f.entry),
        symptoms=AT_ADDRESS,
        rank=35,
        hint="Compare the rules for '{service}' on '{node}' with another node's.",
        command="on {node}: nft list ruleset",
        compare=elsewhere,
        compare_text="the same Service answers on another node",
    ),
    Rule(
        "service port on node",
        SERVICE_PORT_AT_NODE,
        "one port of a Service fails from one node's pods",
        "{service} {port}/{protocol} on {node}",
        "Port {port}/{protocol} of Service '{service}' fails only from node '{node}': that node's rules for it are "
        "missing "
        "or wrong; its other ports, other Services and other nodes work.",
        must=lambda f, at: f.path == "vip" and f.from_node == at.node and _this_port(f, at) and pods_at_least(f),
        may=lambda f, at: f.service == at.service and at.node in (f.from_node, f.entry) and f.protocol == at.protocol,
        symptoms=AT_ADDRESS,
        rank=37,
        hint="Compare the rules for that port of '{service}' on '{node}' with another node's.",
        command="on {node}: nft list ruleset",
        compare=elsewhere,
        compare_text="the same port answers on another node",
    ),
)
