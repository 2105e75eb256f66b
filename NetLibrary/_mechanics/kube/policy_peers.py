"""Which connections the peers and ports of a policy's rule are about."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from NetLibrary._mechanics.kube.selectors import selects

Object = Mapping[str, Any]
Labels = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, eq=False)
class Flow:
    """A connection.

    Args:
        sender: Pod that opens it.
        receiver: Pod that listens.
        port: Port at the receiver, after any translation by a Service.
        protocol: `TCP`, `UDP` or `SCTP`.
        family: 4 or 6 for pods with addresses of both; the first address of each pod when not given.
    """

    sender: Object
    receiver: Object
    port: int
    protocol: str
    family: int | None = None

    @property
    def to_itself(self) -> bool:
        """A pod speaks to itself."""
        uid = self.sender["metadata"].get("uid")
        return self.sender is self.receiver or (bool(uid) and uid == self.receiver["metadata"].get("uid"))

    @property
    def from_own_node(self) -> bool:
        """A node's own process speaks to a pod of that node."""
        node = self.sender.get("spec", {}).get("nodeName")
        return on_host(self.sender) and bool(node) and node == self.receiver.get("spec", {}).get("nodeName")


class Matcher:
    """Answers whether peers and ports fit, and remembers what pods and peers have to do with each other.

    Args:
        namespaces: Labels of each namespace.
        host_is_node: Selectors do not find pods on the host network.
    """

    def __init__(self, namespaces: Labels, *, host_is_node: bool = True) -> None:
        self._namespaces, self._host_is_node = namespaces, host_is_node
        self._known: dict[tuple[int, int, int | None, str], bool] = {}

    def ports(self, rule: Object, flow: Flow) -> bool:
        """Tells whether a rule of a NetworkPolicy is about the connection's port."""
        entries = rule.get("ports")
        return not entries or any(_port_fits(entry, flow) for entry in entries)

    def peers(self, peers: Sequence[Object] | None, policy: Object, other: Object, family: int | None) -> bool:
        """Tells whether the other end of a connection is among a rule's peers; a rule without any is about all."""
        return not peers or any(self._peer(peer, namespace_of(policy), other, family) for peer in peers)

    def _peer(self, peer: Object, home: str, other: Object, family: int | None) -> bool:
        key = (id(peer), id(other), family, home)
        if key not in self._known:
            self._known[key] = self._peer_fits(peer, home, other, family)
        return self._known[key]

    def _peer_fits(self, peer: Object, home: str, other: Object, family: int | None) -> bool:
        if peer.get("ipBlock"):
            return in_block(peer["ipBlock"], other, family)
        spaces, pods = peer.get("namespaceSelector"), peer.get("podSelector")
        if spaces is None and namespace_of(other) != home:
            return False
        return self.selected(other, spaces, pods)

    def selected(self, pod: Object, namespaces: Object | None, pods: Object | None) -> bool:
        """Tells whether selectors for namespaces and pods find a pod; a missing one does not narrow anything."""
        if self._host_is_node and on_host(pod):
            return False
        if namespaces is not None and not selects(namespaces, self._namespaces.get(namespace_of(pod), {})):
            return False
        return pods is None or selects(pods, pod["metadata"].get("labels") or {})


def on_host(pod: Object) -> bool:
    """Tells whether a pod uses its node's network."""
    return bool(pod.get("spec", {}).get("hostNetwork"))


def namespace_of(item: Object) -> str:
    """Returns an object's namespace."""
    return str(item["metadata"].get("namespace") or "default")


def name_of(item: Object) -> str:
    """Returns an object's name."""
    return str(item["metadata"]["name"])


def in_block(block: Object, pod: Object, family: int | None) -> bool:
    """Tells whether the address of a pod is in an `ipBlock` and in none of its exceptions."""
    state = pod.get("status") or {}
    texts = [entry["ip"] for entry in state.get("podIPs") or [] if entry.get("ip")] or [state.get("podIP")]
    addresses = [ipaddress.ip_address(text) for text in texts if text]
    chosen = [a for a in addresses if family in (None, a.version)][:1]
    return any(
        address in _network(block["cidr"]) and not any(address in _network(text) for text in block.get("except") or [])
        for address in chosen
    )


@cache
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _port_fits(entry: Object, flow: Flow) -> bool:
    if (entry.get("protocol") or "TCP") != flow.protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return flow.port in named_ports(flow.receiver, wanted, flow.protocol)
    return int(wanted) <= flow.port <= int(entry.get("endPort") or wanted)


def named_ports(pod: Object, name: str, protocol: str | None = None) -> set[int]:
    """Returns the ports of that name in all containers that stay; restartable init containers are such."""
    return {
        int(entry["containerPort"])
        for entry in declared_ports(pod)
        if entry.get("name") == name and protocol in (None, entry.get("protocol") or "TCP")
    }


def declared_ports(pod: Object) -> list[Object]:
    """Returns the ports that the containers which stay declare."""
    spec = pod.get("spec", {})
    stay = [c for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    return [entry for c in [*(spec.get("containers") or []), *stay] for entry in c.get("ports") or []]
