"""What NetworkPolicies let through, worked out from the API objects (networking.k8s.io, policy.networking.k8s.io).

The rules, as https://kubernetes.io/docs/concepts/services-networking/network-policies/ and the API reference of
NetworkPolicySpec state them:

- A pod that no policy selects for a direction is open in that direction; the rules of all that select it add up, and a
  connection needs both the sender's egress and the receiver's ingress.
- Without `policyTypes` a policy is about ingress, and about egress too when it has at least one egress rule.
- A pod cannot be kept from itself, and a node's own processes always reach the pods of that node.
- What happens to pods on the host network is left to the implementation. Nearly all ignore policies that select such a
  pod, and take its traffic for its node's: selectors do not find it, only `ipBlock` does. That is assumed here;
  `disputed` tells where another reading would give another answer.
- `ipBlock` is about addresses, so a pod that has none yet is in no block.

Where AdminNetworkPolicies are served, those decide first, and a BaselineAdminNetworkPolicy decides what no
NetworkPolicy does; see `admin_policies`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.kube.admin_policies import AdminRules
from NetLibrary._mechanics.kube.policy_peers import Flow, Matcher, name_of, namespace_of, on_host
from NetLibrary._mechanics.kube.selectors import selects

Object = Mapping[str, Any]
Labels = Mapping[str, Mapping[str, str]]
SIDES = {"egress": "to", "ingress": "from"}


@dataclass(frozen=True)
class Block:
    """A policy that keeps a connection away at one of its ends.

    Args:
        namespace: Namespace of the policy; empty for those of the whole cluster.
        name: Its name.
        direction: `ingress` or `egress`.
        pod: The pod that it isolates.
        end: `sender` or `receiver`, whichever that pod is.
        kind: Kind of the policy.
        rule: The rule that denies, where one does; a NetworkPolicy denies by having no rule that allows.
    """

    namespace: str
    name: str
    direction: str
    pod: str
    end: str
    kind: str = "NetworkPolicy"
    rule: str = ""

    @property
    def policy(self) -> str:
        """The policy and its direction, or its rule, whatever the pod."""
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where} ({self.rule or self.direction})"

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        rule = f", {self.rule}" if self.rule else ""
        return f"{self.kind} {where} ({self.direction} of {self.pod}{rule})"


@dataclass(frozen=True)
class Decision:
    """What all policies together say of one connection.

    Args:
        blocks: Policies that keep it away; none when it is allowed.
        grants: Rules that let it through, in words; none at an end that no policy selects.
    """

    blocks: tuple[Block, ...] = ()
    grants: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the connection may come about."""
        return not self.blocks

    def __str__(self) -> str:
        if self.blocks:
            return "denied by " + " and ".join(dict.fromkeys(str(block) for block in self.blocks))
        return "allowed by " + " and ".join(self.grants) if self.grants else "no policy selects either end"


class Rulebook:
    """All policies of a cluster, or of some of its namespaces, ready for many questions about the same pods.

    Args:
        policies: NetworkPolicies.
        namespaces: Labels of each namespace.
        admin: AdminNetworkPolicies.
        baseline: BaselineAdminNetworkPolicies.
        host_is_node: How pods on the host network count, see the module's text.
        idle: Tells the pods (with a direction and a family) at which nothing is enforced; for hypotheses about faults.

    Example:
        >>> def pod(name):
        ...     return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"containers": []}}
        >>> deny = {"metadata": {"name": "deny", "namespace": "shop"}, "spec": {"podSelector": {}}}
        >>> str(Rulebook([deny], {}).decide(Flow(pod("web"), pod("db"), 5432, "TCP")))
        'denied by NetworkPolicy shop/deny (ingress of db)'
    """

    def __init__(
        self, policies: Sequence[Object], namespaces: Labels, *, admin: Sequence[Object] = (),
        baseline: Sequence[Object] = (), host_is_node: bool = True,
        idle: Callable[[Object, str, int | None], bool] | None = None,
    ) -> None:  # fmt: skip
        self._policies, self._host_is_node, self._idle = policies, host_is_node, idle
        self._match = Matcher(namespaces, host_is_node=host_is_node)
        self._first = AdminRules(admin, self._match)
        self._last = AdminRules(baseline, self._match)
        self._isolating: dict[tuple[str, int], list[Object]] = {}

    def decide(self, flow: Flow) -> Decision:
        """Returns what the policies say of a connection."""
        if flow.to_itself or flow.from_own_node:
            return Decision()
        blocks: list[Block] = []
        grants: list[str] = []
        for direction, end in (("egress", "sender"), ("ingress", "receiver")):
            me, other = (flow.sender, flow.receiver) if direction == "egress" else (flow.receiver, flow.sender)
            if self._host_is_node and on_host(me):
                continue
            if self._idle is not None and self._idle(me, direction, flow.family):
                continue
            against, for_it = self._at(flow, me, other, direction, end)
            blocks += against
            grants += for_it
        return Decision(tuple(blocks), () if blocks else tuple(grants))

    def _at(self, flow: Flow, me: Object, other: Object, direction: str, end: str) -> tuple[list[Block], list[str]]:
        """Policies against a connection and rules for it, at one of its ends."""
        found = self._first.decide(flow, me, other, direction)
        if found is None:
            isolating = self.isolating(me, direction)
            if isolating:
                grant = next((text for policy in isolating for text in self.grants(policy, flow, other, direction)), "")
                if grant:
                    return [], [grant]
                return [Block(namespace_of(p), name_of(p), direction, name_of(me), end) for p in isolating], []
            found = self._last.decide(flow, me, other, direction)
        if found is None:
            return [], []
        if found.denies:
            return [Block("", found.policy, direction, name_of(me), end, found.kind, found.rule)], []
        return [], [f"{found.rule} of {found.kind} {found.policy}"]

    def isolating(self, pod: Object, direction: str) -> list[Object]:
        """Returns the NetworkPolicies that select a pod for a direction."""
        key = (direction, id(pod))
        if key not in self._isolating:
            self._isolating[key] = [policy for policy in self._policies if isolates(policy, pod, direction)]
        return self._isolating[key]

    def grants(self, policy: Object, flow: Flow, other: Object, direction: str) -> list[str]:
        """Returns the rules of a policy that let a connection through, in words."""
        side = SIDES[direction]
        return [
            f"{direction} rule {number} of NetworkPolicy {namespace_of(policy)}/{name_of(policy)}"
            for number, rule in enumerate(policy["spec"].get(direction) or [], 1)
            if self._match.ports(rule, flow) and self._match.peers(rule.get(side), policy, other, flow.family)
        ]

    def nearly(self, policy: Object, flow: Flow, other: Object, direction: str) -> list[str]:
        """Returns what a policy's rules lack to let a connection through, a sentence's part for each rule."""
        side, found = SIDES[direction], []
        for number, rule in enumerate(policy["spec"].get(direction) or [], 1):
            ports = self._match.ports(rule, flow)
            peers = self._match.peers(rule.get(side), policy, other, flow.family)
            if not (ports and peers):
                lacks = "other ports" if peers else ("other peers" if ports else "other peers and ports")
                found.append(f"its {direction} rule {number} is for {lacks}")
        return found or [f"it has no {direction} rule"]


def blocking(
    policies: Sequence[Object], namespaces: Labels, sender: Object, receiver: Object, port: int, protocol: str,
    *, family: int | None = None,
) -> list[Block]:  # fmt: skip
    """Names the policies that keep a sender pod from a receiver pod; empty when none does.

    Args:
        policies: NetworkPolicies of both pods' namespaces.
        namespaces: Labels of each namespace.
        sender: Pod that opens the connection.
        receiver: Pod that listens.
        port: Port at the receiver, after any translation by a Service.
        protocol: `TCP`, `UDP` or `SCTP`.
        family: 4 or 6 for pods with addresses of both; the first address of each pod when not given.

    Example:
        >>> def pod(name):
        ...     return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"containers": []}}
        >>> deny = {"metadata": {"name": "deny", "namespace": "shop"}, "spec": {"podSelector": {}}}
        >>> [str(block) for block in blocking([deny], {}, pod("web"), pod("db"), 5432, "TCP")]
        ['NetworkPolicy shop/deny (ingress of db)']
    """
    return list(Rulebook(policies, namespaces).decide(Flow(sender, receiver, port, protocol, family)).blocks)


def disputed(
    policies: Sequence[Object], namespaces: Labels, sender: Object, receiver: Object, port: int, protocol: str,
    *, family: int | None = None,
) -> bool:  # fmt: skip
    """Tells whether implementations may differ: a pod on the host network takes part and how it counts decides."""
    if not (on_host(sender) or on_host(receiver)):
        return False
    flow = Flow(sender, receiver, port, protocol, family)
    as_node = Rulebook(policies, namespaces).decide(flow)
    as_pod = Rulebook(policies, namespaces, host_is_node=False).decide(flow)
    return as_node.allowed != as_pod.allowed


def isolates(policy: Object, pod: Object, direction: str) -> bool:
    """Tells whether a NetworkPolicy selects a pod for a direction."""
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return (
        namespace_of(policy) == namespace_of(pod)
        and direction.capitalize() in types
        and selects(spec.get("podSelector") or {}, pod["metadata"].get("labels") or {})
    )


__all__ = ["Block", "Decision", "Flow", "Rulebook", "blocking", "disputed", "isolates"]
