"""Evaluates NetworkPolicies: may this pod talk to that pod and port, and which policy says no.

Semantics: https://kubernetes.io/docs/concepts/services-networking/network-policies/ - a pod that no policy selects
for a direction is open in that direction; the rules of all policies that select it are added up.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from NetLibrary._mechanics.kube.selectors import selects

Object = Mapping[str, Any]


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _types(policy: Object) -> list[str]:
    spec = policy["spec"]
    return list(spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"]))


def _peer_fits(peer: Object, policy: Object, other: Object, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    block = peer.get("ipBlock")
    if block:
        address = (other.get("status") or {}).get("podIP")
        if not address:
            return False
        ip = ipaddress.ip_address(address)
        inside = ip in ipaddress.ip_network(block["cidr"], strict=False)
        return inside and not any(ip in ipaddress.ip_network(e, strict=False) for e in block.get("except") or [])
    namespace = other["metadata"]["namespace"]
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], namespaces.get(namespace, {})):
            return False
    elif namespace != policy["metadata"]["namespace"]:
        return False
    return selects(peer["podSelector"], _labels(other)) if "podSelector" in peer else True


def _port_fits(port: Object, number: int, protocol: str, target: Object) -> bool:
    if (port.get("protocol") or "TCP") != protocol:
        return False
    wanted = port.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        named = [
            p["containerPort"]
            for container in target["spec"].get("containers", [])
            for p in container.get("ports") or []
            if p.get("name") == wanted and (p.get("protocol") or "TCP") == protocol
        ]
        return number in named
    return int(wanted) <= number <= int(port.get("endPort") or wanted)


def _rule_fits(
    rule: Object, side: str, policy: Object, other: Object, target: Object, number: int, protocol: str, namespaces: Any
) -> bool:
    ports, peers = rule.get("ports"), rule.get(side)
    if ports and not any(_port_fits(port, number, protocol, target) for port in ports):
        return False
    return not peers or any(_peer_fits(peer, policy, other, namespaces) for peer in peers)


def blocking_policy(
    policies: Sequence[Object],
    namespaces: Mapping[str, Mapping[str, str]],
    source: Object,
    target: Object,
    port: int,
    protocol: str,
) -> str | None:
    """Names the policy that keeps a pod from talking to another pod; None when it may.

    Args:
        policies: NetworkPolicy objects of all namespaces.
        namespaces: Labels of each namespace.
        source: Pod that opens the connection.
        target: Pod that is asked.
        port: Port of the target pod.
        protocol: `TCP`, `UDP` or `SCTP`.
    """
    if source["metadata"].get("uid") and source["metadata"].get("uid") == target["metadata"].get("uid"):
        return None  # a pod cannot be kept from itself
    for kind, field, side, me, other in (
        ("Egress", "egress", "to", source, target),
        ("Ingress", "ingress", "from", target, source),
    ):
        if me["spec"].get("hostNetwork"):
            continue  # undefined by the API and ignored by nearly all implementations
        chosen = [
            policy
            for policy in policies
            if policy["metadata"]["namespace"] == me["metadata"]["namespace"]
            and kind in _types(policy)
            and selects(policy["spec"].get("podSelector") or {}, _labels(me))
        ]
        if chosen and not any(
            _rule_fits(rule, side, policy, other, target, port, protocol, namespaces)
            for policy in chosen
            for rule in policy["spec"].get(field) or []
        ):
            first = chosen[0]["metadata"]
            return f"NetworkPolicy {first['namespace']}/{first['name']} ({kind.lower()} of {me['metadata']['name']})"
    return None
