"""What the cluster's objects say about connections: whether a Service leads anywhere, and what policies say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from NetLibrary._mechanics.connections.results import CONNECTED, SILENT, UNREACHABLE, Pair
from NetLibrary._mechanics.connections.run import Target
from NetLibrary._mechanics.errors import ClusterError, InputError
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.addresses import service_port
from NetLibrary._mechanics.kube.behind import Behind, behind, nothing_behind
from NetLibrary._mechanics.kube.policies import Rulebook
from NetLibrary._mechanics.kube.policy_peers import Flow, namespace_of
from NetLibrary._mechanics.kube.port_forward import container_port

Object = Mapping[str, Any]


def explain(
    cluster: Cluster, pairs: Sequence[Pair], wanted: str, protocol: str, namespace: str,
    senders: Mapping[str, Object], targets: Sequence[Target], *, passed: bool,
) -> tuple[list[str], list[str]]:  # fmt: skip
    """Returns why what was seen shows nothing, and what explains connections that did not end as expected.

    Objects are read where the answer counts: for failures, and for silence that would pass.

    Args:
        cluster: Where pods and Services are.
        pairs: What was seen.
        wanted: `connected`, `refused` or `blocked`.
        protocol: `tcp` or `udp`.
        namespace: Namespace of the source, empty where it has none.
        senders: Pods that connect, by the name of their source.
        targets: What was asked.
        passed: Whether all was as expected.
    """
    if passed and wanted != "blocked":
        return [], []
    nothing: list[str] = []
    receivers = {}
    for target in targets:
        found = Behind(None, [dict(target.pod)]) if target.pod else behind(cluster, target.host, namespace or "default")
        text = nothing_behind(found, target.port, protocol)
        nothing += [text] if text and text not in nothing else []
        receivers[str(target)] = receivers_of(found, target.port, protocol)
    if passed:
        return nothing, []
    return [], [*nothing, *of_policies(cluster, pairs, wanted, senders, receivers, protocol)]


def of_policies(
    cluster: Cluster, pairs: Sequence[Pair], wanted: str, senders: Mapping[str, Object],
    receivers: Mapping[str, Sequence[tuple[Object, int]]], protocol: str,
) -> list[str]:  # fmt: skip
    """Returns what NetworkPolicies say of connections that did not end as expected.

    Args:
        cluster: Where the pods are.
        pairs: What was seen.
        wanted: `connected`, `refused` or `blocked`.
        senders: Pods that connect, by the name of their source.
        receivers: Pods that are reached, with the port at each, by the name of the target.
        protocol: `tcp` or `udp`.
    """
    wrong = {"connected": (SILENT, UNREACHABLE), "blocked": (CONNECTED,), "refused": (SILENT,)}[wanted]
    found: dict[str, None] = {}
    rules: Rulebook | None = None
    for pair in pairs:
        if not any(attempt.result in wrong for attempt in pair.attempts) or pair.source not in senders:
            continue
        sender = senders[pair.source]
        for receiver, port in receivers.get(pair.target, ()):
            try:
                rules = rules or _rules(cluster, [*senders.values(), *(p for g in receivers.values() for p, _ in g)])
            except ClusterError:  # the account may not read policies
                return []
            flow = Flow(sender, receiver, port, protocol.upper())
            decision = rules.decide(flow)
            name = f"{namespace_of(receiver)}/{receiver['metadata']['name']}:{port}"
            found[_words(wanted, decision.allowed, str(decision), f"'{pair.source}' to '{name}'")] = None
    return list(found)[:3]


def _words(wanted: str, allowed: bool, decision: str, path: str) -> str:
    if wanted == "blocked":
        if allowed:
            return f"NetworkPolicies allow {path}: {decision}."
        return f"NetworkPolicies deny {path} ({decision}), but the network does not block it."
    if allowed:
        return f"No NetworkPolicy is the cause: {path} is allowed ({decision})."
    return f"NetworkPolicies deny {path}: {decision}."


def _rules(cluster: Cluster, pods: Sequence[Object]) -> Rulebook:
    spaces = dict.fromkeys(namespace_of(pod) for pod in pods)
    labels = {name: cluster.get("Namespace", name)["metadata"].get("labels") or {} for name in spaces}
    policies = [policy for name in spaces for policy in cluster.list("NetworkPolicy", name)]
    return Rulebook(policies, labels)


def receivers_of(found: Behind, port: int, protocol: str) -> list[tuple[Object, int]]:
    """Returns the pods that a connection reaches, with the port at each; those that do not name it are left out."""
    if found.service is None:
        return [(pod, port) for pod in found.pods]
    try:
        entry = service_port(found.service, port, protocol.upper())
    except InputError:
        return []
    headless = found.service["spec"].get("clusterIP") == "None"
    reached: list[tuple[Object, int]] = []
    for pod in found.pods:
        try:
            reached.append((pod, port if headless else container_port(pod, entry.get("targetPort") or entry["port"])))
        except InputError:
            continue
    return reached
