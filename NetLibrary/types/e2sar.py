"""Types of E2SAR streams."""

from __future__ import annotations

from enum import Enum


class E2SARPath(Enum):
    """How an E2SAR sender addresses its receiver."""

    POD_IP = "pod address"
    DNS = "stable DNS name of the receiver"
    SERVICE = "cluster address of a Service"
    NODE_PORT = "NodePort of a node"
    LOAD_BALANCER = "address of a load balancer"


class E2SARPlacement(Enum):
    """Where an E2SAR sender runs, relative to its receiver."""

    OTHER_NODE = "other node"
    SAME_NODE = "same node"
    ANY = "any"


class E2SARRisk(Enum):
    """What an E2SAR run may do on purpose although it looks like a mistake."""

    OVERLOAD = "send faster than the bandwidth limit allows"
    FRAGMENTATION = "send IP packets larger than the interface's MTU"
    SHORT_RECEIVER = "let the receiver end before the sender"
    CAPPED_BUFFER = "request a larger socket buffer than the kernel grants"


class E2SARRisks(frozenset[E2SARRisk]):
    """Risks that are taken on purpose: names of E2SARRisk, separated by commas."""

    def __str__(self) -> str:
        return ", ".join(sorted(each.name for each in self))

    @classmethod
    def parse(cls, value: str | E2SARRisk | frozenset[E2SARRisk]) -> E2SARRisks:
        """Risks taken on purpose, separated by commas: OVERLOAD, FRAGMENTATION, SHORT_RECEIVER, CAPPED_BUFFER."""
        if isinstance(value, E2SARRisk):
            return cls({value})
        if isinstance(value, frozenset):
            return cls(value)
        found = set()
        for word in filter(None, (part.strip() for part in value.split(","))):
            key = word.upper().replace(" ", "_").replace("-", "_")
            if key not in E2SARRisk.__members__:
                raise ValueError(f"Give one or more of {', '.join(E2SARRisk.__members__)}, separated by commas.")
            found.add(E2SARRisk[key])
        return cls(found)
