"""What AdminNetworkPolicies say (policy.networking.k8s.io/v1alpha1), from the API's own text.

- Of all AdminNetworkPolicies that select a pod, that with the smallest priority decides first; within a policy the
  first rule that fits does. Allow and Deny are final; Pass leaves the decision to the NetworkPolicies.
- What no NetworkPolicy selects is decided by the one BaselineAdminNetworkPolicy, `default`, with Allow and Deny alone.
- Selectors do not find pods on the host network. Peers of the kind `networks` are about addresses, those of the kind
  `nodes` about nodes, where no pod is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.kube.policy_peers import Flow, Matcher, in_block, name_of, named_ports

Object = Mapping[str, Any]
SIDES = {"egress": "to", "ingress": "from"}


@dataclass(frozen=True)
class Ruling:
    """A rule that decides.

    Args:
        kind: Kind of its policy.
        policy: Name of the policy.
        rule: Which rule, in words.
        denies: Whether it denies.
    """

    kind: str
    policy: str
    rule: str
    denies: bool


class AdminRules:
    """Policies of the whole cluster, in the order in which they decide.

    Args:
        policies: AdminNetworkPolicies, or BaselineAdminNetworkPolicies.
        matcher: What knows namespaces and pods.
    """

    def __init__(self, policies: Sequence[Object], matcher: Matcher) -> None:
        self._policies = sorted(policies, key=lambda p: (int(p["spec"].get("priority") or 0), name_of(p)))
        self._match = matcher

    def decide(self, flow: Flow, me: Object, other: Object, direction: str) -> Ruling | None:
        """Returns the rule that decides about a connection at the end `me`; None when none does, or one passes on."""
        for policy in self._policies:
            if not self._subject(policy["spec"].get("subject") or {}, me):
                continue
            for number, rule in enumerate(policy["spec"].get(direction) or [], 1):
                if not (self._peers(rule.get(SIDES[direction]) or [], other, flow) and _ports(rule.get("ports"), flow)):
                    continue
                if rule.get("action") == "Pass":
                    return None
                name = f" '{rule['name']}'" if rule.get("name") else ""
                kind = str(policy.get("kind") or "AdminNetworkPolicy")
                return Ruling(kind, name_of(policy), f"{direction} rule {number}{name}", rule.get("action") == "Deny")
        return None

    def _subject(self, subject: Object, pod: Object) -> bool:
        if subject.get("namespaces") is not None:
            return self._match.selected(pod, subject["namespaces"], None)
        return self._pods(subject.get("pods"), pod)

    def _pods(self, selectors: Object | None, pod: Object) -> bool:
        if selectors is None:
            return False
        return self._match.selected(pod, selectors.get("namespaceSelector") or {}, selectors.get("podSelector") or {})

    def _peers(self, peers: Sequence[Object], other: Object, flow: Flow) -> bool:
        return any(
            (peer.get("namespaces") is not None and self._match.selected(other, peer["namespaces"], None))
            or self._pods(peer.get("pods"), other)
            or any(in_block({"cidr": cidr}, other, flow.family) for cidr in peer.get("networks") or [])
            for peer in peers
        )


def _ports(entries: Sequence[Object] | None, flow: Flow) -> bool:
    return not entries or any(_port(entry, flow) for entry in entries)


def _port(entry: Object, flow: Flow) -> bool:
    if entry.get("namedPort"):
        return flow.port in named_ports(flow.receiver, str(entry["namedPort"]), flow.protocol)
    one, span = entry.get("portNumber"), entry.get("portRange")
    if one:
        return (one.get("protocol") or "TCP") == flow.protocol and int(one["port"]) == flow.port
    if span:
        fits = int(span["start"]) <= flow.port <= int(span["end"])
        return fits and (span.get("protocol") or "TCP") == flow.protocol
    return False
