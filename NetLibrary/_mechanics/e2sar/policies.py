"""What NetworkPolicies let through, worked out from the API objects (semantics of networking.k8s.io/v1)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from NetLibrary._mechanics.kube.selectors import selects

Object = Mapping[str, Any]


def blocking(
    policies: Sequence[Object], namespaces: Sequence[Object], sender: Object, receiver: Object, protocol: str, port: int
) -> list[str]:
    """Names the policies that keep a sender pod from a receiver pod, each with its direction; empty when none does.

    Args:
        policies: NetworkPolicies of both pods' namespaces.
        namespaces: Namespace objects, for their labels.
        sender: Pod that sends.
        receiver: Pod that listens.
        protocol: TCP, UDP or SCTP.
        port: Destination port at the receiver.
    """
    labels = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in namespaces}
    found = []
    for pod, other, direction, peers in ((sender, receiver, "Egress", "to"), (receiver, sender, "Ingress", "from")):
        isolating = [p for p in policies if _applies(p, pod, direction)]
        allowed = any(
            _rule_fits(rule, peers, policy, other, labels, receiver, protocol, port)
            for policy in isolating
            for rule in policy["spec"].get(direction.lower()) or []
        )
        if isolating and not allowed:
            found += [
                f"'{p['metadata']['name']}' ({direction.lower()} of the {'sender' if pod is sender else 'receiver'})"
                for p in isolating
            ]
    return found


def _applies(policy: Object, pod: Object, direction: str) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    same = policy["metadata"].get("namespace") == pod["metadata"].get("namespace")
    return same and direction in types and selects(spec.get("podSelector") or {}, pod["metadata"].get("labels") or {})


def _rule_fits(
    rule: Object,
    peers: str,
    policy: Object,
    other: Object,
    labels: Mapping[str, Any],
    target: Object,
    protocol: str,
    port: int,
) -> bool:
    listed = rule.get(peers)
    if listed and not any(_peer_fits(peer, policy, other, labels) for peer in listed):
        return False
    ports = rule.get("ports")
    return not ports or any(_port_fits(entry, target, protocol, port) for entry in ports)


def _peer_fits(peer: Object, policy: Object, other: Object, labels: Mapping[str, Any]) -> bool:
    if "ipBlock" in peer:
        address = ipaddress.ip_address(other.get("status", {}).get("podIP", "0.0.0.0"))
        block = peer["ipBlock"]
        excluded = any(address in ipaddress.ip_network(text, strict=False) for text in block.get("except") or [])
        return address in ipaddress.ip_network(block["cidr"], strict=False) and not excluded
    namespace = other["metadata"].get("namespace")
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"] or {}, labels.get(namespace, {})):
            return False
    elif namespace != policy["metadata"].get("namespace"):
        return False
    return "podSelector" not in peer or selects(peer["podSelector"] or {}, other["metadata"].get("labels") or {})


def _port_fits(entry: Object, target: Object, protocol: str, port: int) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        containers = target.get("spec", {}).get("containers", [])
        named = [
            p
            for c in containers
            for p in c.get("ports") or []
            if p.get("name") == wanted and p.get("protocol", "TCP") == protocol
        ]
        return any(p["containerPort"] == port for p in named)
    return bool(wanted <= port <= entry.get("endPort", wanted))
