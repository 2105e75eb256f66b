"""What is not on one node as on the others, and which causes it can be the mechanism of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Causes by what they are about, for the question whether a difference can do that
REACH = frozenset({
    "node cut off", "pod network of node", "node pair", "pod network of pair", "one direction", "route to pods",
    "pod network in one direction", "protocol at node", "protocol in one direction", "protocol between nodes",
    "protocol to pods in one direction", "protocol between pods in one direction", "source protocol",
    "protocol",
    "pod cut off", "source pod", "target pod", "target pod protocol", "pod reaches its own node only", "pods isolated",
    "loss at node", "loss between nodes", "link flaps", "unknown", "outside", "load balancer",
})  # fmt: skip
SERVICES = frozenset({
    "service proxy of node", "stale proxy of node", "protocol at proxy", "service", "service on node", "service port",
    "service port on node", "entry node", "entry node from elsewhere", "entry node from outside", "node port at node",
    "masquerade at node", "protocol through services", "dns", "dns partly", "open", "wrong backend", "hairpin",
    "unknown", "client address", "affinity", "local policy ignored", "service proxy of node, in part",
})  # fmt: skip
# What leaves the cluster, or comes from outside
BEYOND = frozenset({
    "outside", "entry node from outside", "load balancer", "dns outside", "loss at node", "unknown",
    "node port at node", "entry node",
})  # fmt: skip
SIZES = frozenset({"large packets", "large packets between nodes"})
SLOW = frozenset({"slow node", "slow pod", "loss at node", "loss between nodes", "dns slow", "unknown"})
ANY = REACH | SERVICES | SIZES | SLOW
# Causes whose sentence names a mechanism; another mechanism with the same effect must not confirm it
CLAIMS = frozenset({
    "route to pods", "service proxy of node", "stale proxy of node", "service proxy of node, in part",
    "protocol at proxy", "service on node", "service port on node", "masquerade at node", "wrong backend",
})  # fmt: skip
OWN = {"route": frozenset({"route to pods"}), "proxy": SERVICES}
PODS = frozenset({
    "pod cut off", "source pod", "target pod", "target pod protocol", "pod reaches its own node only", "pods isolated",
    "pod network of node", "pod network of pair", "pod network in one direction", "slow pod", "unknown",
    "large packets", "one direction", "node pair", "service", "hairpin", "service on node", "loss at node",
    "loss between nodes",
})  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """One thing that is not as on the other nodes.

    Args:
        node: Where.
        text: What, in words that go behind "there".
        command: The command that mends it, or that shows more of it.
        explains: Keys of the causes whose cells it can make wrong.
        kind: `route`, `proxy`, `hairpin`, or empty.
    """

    node: str
    text: str
    command: str
    explains: frozenset[str]
    kind: str = ""

    def confirms(self, key: str) -> bool:
        """It is what the sentence of the cause claims, and not only something that has the same effect."""
        return key not in CLAIMS or key in OWN.get(self.kind, frozenset())


def same(values: Sequence[object]) -> bool:
    """Tells whether there are values, and all are alike."""
    return bool(values) and all(v == values[0] for v in values)


__all__ = ["ANY", "BEYOND", "PODS", "REACH", "SERVICES", "SIZES", "SLOW", "Difference", "same"]
