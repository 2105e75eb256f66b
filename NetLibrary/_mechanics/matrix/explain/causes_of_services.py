"""Causes that sit in one Service: its rules, its ports, its backends."""

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
    direct,
    elsewhere,
    pods_at_least,
)
from NetLibrary._mechanics.matrix.model.features import Fact


def of_services(case: Case) -> Iterator[Candidate]:
    for service in case.bad_services:

        def of_it(f: Fact, s: str = service) -> bool:
            return f.service == s and f.path != "dns"

        where = sorted({f.from_node for f in case.wrong if of_it(f) and f.symptom == "responder" and f.from_node})
        who = ", ".join(case.strangers(of_it)[:4])
        everywhere = "on every node" if len(where) == len(case.nodes) else "on " + ", ".join(f"'{n}'" for n in where)
        yield Candidate(
            "wrong backend",
            f"{service} {everywhere}",
            f"Service '{service}' leads to '{who}' {everywhere}, which is none of its endpoints: its rules there are "
            "stale or foreign.",
            must=lambda f, s=service, w=tuple(where): f.service == s and f.proxied and f.from_node in w,
            may=lambda f, s=service: f.service == s,
            symptoms=frozenset({"responder"}),
            share=0.2,
            rank=17,
            hint=f"Compare the rules for '{service}' on that node with its EndpointSlices.",
            compare=direct,
            compare_text="the right backend answers by its pod address",
        )
        yield Candidate(
            "service",
            service,
            f"Service '{service}' fails from everywhere, while its pods answer by their own addresses: its target port, "
            "selector or endpoints are wrong.",
            must=lambda f, s=service: f.service == s and f.proxied and f.wants_connection and not f.hairpin,
            may=lambda f, s=service: f.service == s,
            symptoms=frozenset({"blocked", "reason", "dns"}),
            least=2,
            rank=18,
            hint=f"Compare targetPort and endpoints of '{service}' with the ports on which its pods listen.",
            compare=direct,
            compare_text="its backends answer by their pod addresses",
        )
        for port in sorted(
            {(f.cell.target.service_port or f.cell.target.port, f.protocol) for f in case.wrong if of_it(f)}
        ):
            yield Candidate(
                "service port",
                f"{service} {port[0]}/{port[1]}",
                f"Port {port[0]}/{port[1]} of Service '{service}' fails from everywhere; its other ports work.",
                must=lambda f, s=service, q=port: (
                    f.service == s
                    and f.proxied
                    and f.wants_connection
                    and (f.cell.target.service_port or f.cell.target.port, f.protocol) == q
                ),
                symptoms=AT_ADDRESS,
                least=2,
                rank=34,
                hint=f"Look at the targetPort and the name of that port in Service and EndpointSlice of '{service}'.",
                compare=direct,
                compare_text="its backends answer by their pod addresses",
            )
            for node in case.bad_nodes:
                yield Candidate(
                    "service port on node",
                    f"{service} {port[0]}/{port[1]} on {node}",
                    f"Port {port[0]}/{port[1]} of Service '{service}' fails from node '{node}' only: that node's rules for it "
                    "are missing or wrong; its other ports, other Services and other nodes work.",
                    must=lambda f, s=service, q=port, n=node: (
                        f.service == s
                        and f.path == "vip"
                        and f.from_node == n
                        and f.wants_connection
                        and pods_at_least(f)
                        and (f.cell.target.service_port or f.cell.target.port, f.protocol) == q
                    ),
                    may=lambda f, s=service, q=port, n=node: (
                        f.service == s and n in (f.from_node, f.entry) and f.protocol == q[1]
                    ),
                    symptoms=AT_ADDRESS,
                    rank=37,
                    hint=f"Compare the rules for that port of '{service}' on '{node}' with another node's.",
                    compare=elsewhere,
                    compare_text="the same port answers on another node",
                )
        for node in ("", *case.bad_nodes):
            at = f"on node '{node}'" if node else "on every node"
            yield Candidate(
                "open",
                f"{service} on {node}" if node else service,
                f"Service '{service}' answers {at} though it must not: it was withdrawn, or has no endpoint there.",
                must=lambda f, s=service, n=node: (
                    f.service == s and f.proxied and not f.wants_connection and (f.from_node == n or not n)
                ),
                symptoms=frozenset({"open"}),
                share=0.5,
                rank=31 if node else 30,
                hint="The proxy keeps rules that it ought to have removed.",
            )
        yield from _dead_backends(case, service)
        for node in case.bad_nodes:
            yield Candidate(
                "service on node",
                f"{service} on {node}",
                f"Service '{service}' fails from the pods of node '{node}' only: that node's rules for it are missing or "
                "stale; other Services work there.",
                must=lambda f, s=service, n=node: (
                    f.service == s and f.path == "vip" and f.from_node == n and f.wants_connection and pods_at_least(f)
                ),
                may=lambda f, s=service, n=node: f.service == s and (f.from_node == n or f.entry == n),
                symptoms=AT_ADDRESS,
                rank=35,
                hint=f"Compare the rules for '{service}' on '{node}' with another node's.",
                compare=elsewhere,
                compare_text="the same Service answers on another node",
            )


def _dead_backends(case: Case, service: str) -> Iterator[Candidate]:
    """Flapping: each connection goes to one of n backends, and k of them are dead."""
    mine = [f for f in case.facts if f.service == service and f.proxied and len(f.to_pods) > 1]
    flapping = [f for f in mine if f.symptom in ("flapping", "blocked")]
    if not flapping:
        return
    everybody = {pod for f in mine for pod in f.to_pods}
    answered = {pod for f in mine for pod in f.cell.observed.responders}
    silent = sorted(everybody - answered)
    if silent and answered:
        names = ", ".join(f"'{pod}'" for pod in silent)
        yield Candidate(
            "dead backends",
            f"{service}: {', '.join(silent)}",
            f"{len(silent)} of {len(everybody)} backends of Service '{service}' never answer: {names}. Connections that "
            "happen to go there fail, so the cells flap.",
            must=lambda f, s=service: f.service == s and f.proxied and len(f.to_pods) > 1,
            symptoms=STOPPED,
            share=0.3,
            rank=16,
            hint="The endpoints say ready while the servers are dead: look at their readiness probes.",
        )
