"""What NetworkPolicies let through, worked out from the API objects (networking.k8s.io/v1).

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
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.kube.selectors import selects

Object = Mapping[str, Any]
Labels = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Block:
    """A policy that isolates one end of a connection without allowing the connection.

    Args:
        namespace: Namespace of the policy.
        name: Its name.
        direction: `ingress` or `egress`.
        pod: The pod that it isolates.
        end: `sender` or `receiver`, whichever that pod is.
    """

    namespace: str
    name: str
    direction: str
    pod: str
    end: str

    def __str__(self) -> str:
        return f"NetworkPolicy {self.namespace}/{self.name} ({self.direction} of {self.pod})"


def blocking(
    policies: Sequence[Object],
    namespaces: Labels,
    sender: Object,
    receiver: Object,
    port: int,
    protocol: str,
    *,
    family: int | None = None,
) -> list[Block]:
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
    flow = _Flow(sender, receiver, port, protocol, family, namespaces)
    return _blocking(policies, flow, host_is_node=True)


def disputed(
    policies: Sequence[Object],
    namespaces: Labels,
    sender: Object,
    receiver: Object,
    port: int,
    protocol: str,
    *,
    family: int | None = None,
) -> bool:
    """Tells whether implementations may differ: a pod on the host network takes part and how it counts decides."""
    if not (_on_host(sender) or _on_host(receiver)):
        return False
    flow = _Flow(sender, receiver, port, protocol, family, namespaces)
    as_node = _blocking(policies, flow, host_is_node=True)
    as_pod = _blocking(policies, flow, host_is_node=False)
    return bool(as_node) != bool(as_pod)


@dataclass(frozen=True)
class _Flow:
    """A connection, and the labels of the namespaces that rules may ask for."""

    sender: Object
    receiver: Object
    port: int
    protocol: str
    family: int | None
    namespaces: Labels


def _blocking(policies: Sequence[Object], flow: _Flow, *, host_is_node: bool) -> list[Block]:
    sender, receiver = flow.sender, flow.receiver
    if sender is receiver or _same(sender, receiver) or _own_node(sender, receiver):
        return []
    found = []
    for me, other, direction, side, end in (
        (sender, receiver, "egress", "to", "sender"),
        (receiver, sender, "ingress", "from", "receiver"),
    ):
        if host_is_node and _on_host(me):
            continue
        isolating = [p for p in policies if _isolates(p, me, direction)]
        allowed = any(
            _ports_fit(flow, rule)
            and (
                not rule.get(side)
                or any(_peer_fits(flow, peer, policy, other, host_is_node=host_is_node) for peer in rule[side])
            )
            for policy in isolating
            for rule in policy["spec"].get(direction) or []
        )
        if not allowed:
            name = me["metadata"]["name"]
            found += [Block(_namespace(p), p["metadata"]["name"], direction, name, end) for p in isolating]
    return found


def _same(one: Object, other: Object) -> bool:
    uid = one["metadata"].get("uid")
    return bool(uid) and uid == other["metadata"].get("uid")


def _own_node(sender: Object, receiver: Object) -> bool:
    """A node's own process speaks to a pod of that node."""
    node = sender.get("spec", {}).get("nodeName")
    return _on_host(sender) and bool(node) and node == receiver.get("spec", {}).get("nodeName")


def _on_host(pod: Object) -> bool:
    return bool(pod.get("spec", {}).get("hostNetwork"))


def _namespace(item: Object) -> str:
    return str(item["metadata"].get("namespace") or "default")


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}


def _isolates(policy: Object, pod: Object, direction: str) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return (
        _namespace(policy) == _namespace(pod)
        and direction.capitalize() in types
        and selects(spec.get("podSelector") or {}, _labels(pod))
    )


def _ports_fit(flow: _Flow, rule: Object) -> bool:
    entries = rule.get("ports")
    return not entries or any(_port_fits(entry, flow.receiver, flow.port, flow.protocol) for entry in entries)


def _peer_fits(flow: _Flow, peer: Object, policy: Object, other: Object, *, host_is_node: bool) -> bool:
    if peer.get("ipBlock"):
        return _in_block(peer["ipBlock"], other, flow.family)
    if host_is_node and _on_host(other):
        return False
    spaces, pods = peer.get("namespaceSelector"), peer.get("podSelector")
    if spaces is not None:
        if not selects(spaces, flow.namespaces.get(_namespace(other), {})):
            return False
    elif _namespace(other) != _namespace(policy):
        return False
    return pods is None or selects(pods, _labels(other))


def _in_block(block: Object, pod: Object, family: int | None) -> bool:
    state = pod.get("status") or {}
    texts = [entry["ip"] for entry in state.get("podIPs") or [] if entry.get("ip")] or [state.get("podIP")]
    addresses = [ipaddress.ip_address(text) for text in texts if text]
    chosen = [a for a in addresses if family in (None, a.version)][:1]
    return any(
        address in ipaddress.ip_network(block["cidr"], strict=False)
        and not any(address in ipaddress.ip_network(text, strict=False) for text in block.get("except") or [])
        for address in chosen
    )


def _port_fits(entry: Object, receiver: Object, port: int, protocol: str) -> bool:
    if (entry.get("protocol") or "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return port in _named(receiver, wanted, protocol)
    return int(wanted) <= port <= int(entry.get("endPort") or wanted)


def _named(pod: Object, name: str, protocol: str) -> set[int]:
    """Ports of that name in all containers that stay; restartable init containers are such."""
    spec = pod.get("spec", {})
    stay = [c for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    return {
        entry["containerPort"]
        for container in [*(spec.get("containers") or []), *stay]
        for entry in container.get("ports") or []
        if entry.get("name") == name and (entry.get("protocol") or "TCP") == protocol
    }
