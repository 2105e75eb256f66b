"""Types of single connections and names: who asks, over which family, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Source:
    """A place to connect from.

    | text | place |
    | --- | --- |
    | `shop/web-0` | the pod `web-0` in the namespace `shop` |
    | `shop/app=web` | every ready pod in `shop` with these labels |
    | `node:node1` | the node `node1`, on its own network |
    | `every node` | each node, on its own network |
    | `outside` | the machine that runs the test; with a lab, its network namespace outside the cluster |
    """

    kind: str
    namespace: str = ""
    which: str = ""

    @classmethod
    def parse(cls, value: str | Source) -> Source:
        """A pod (`namespace/name`), pods (`namespace/label=value`), `node:NAME`, `every node` or `outside`."""
        if isinstance(value, Source):
            return value
        text = str(value).strip()
        plain = " ".join(text.lower().split())
        if plain == "outside":
            return cls("outside")
        if plain == "every node":
            return cls("node", which="*")
        if plain.startswith("node:") and text[5:].strip():
            return cls("node", which=text[5:].strip())
        namespace, slash, which = text.partition("/")
        if not slash or not namespace.strip() or not which.strip():
            raise ValueError(
                "Give a pod as namespace/name, pods as namespace/label=value, node:NAME, 'every node' or 'outside'."
            )
        return cls("pods", namespace.strip(), which.strip())

    def __str__(self) -> str:
        if self.kind == "pods":
            return f"{self.namespace}/{self.which}"
        return self.kind if self.kind == "outside" else "every node" if self.which == "*" else f"node:{self.which}"


class AddressFamily(Enum):
    """Address family."""

    ANY = "any"
    """Whichever the name has; if it has both, the resolver's first one."""
    IPV4 = "ipv4"
    IPV6 = "ipv6"


class BlockedBy(Enum):
    """How the network blocks packets."""

    DROP = "drop"
    """It drops them, so the client gets no answer."""
    REJECT = "reject"
    """It answers at once with a reset, or with an ICMP message such as "unreachable"."""
    ANY = "any"
    """Either. A port that nothing listens on, or an unused address, then counts as blocked too."""


class RecordType(Enum):
    """Type of DNS record."""

    ADDRESS = "ADDRESS"
    """`A` and `AAAA` together: the addresses of both families."""
    A = "A"
    AAAA = "AAAA"
    CNAME = "CNAME"
    PTR = "PTR"
    SRV = "SRV"
    TXT = "TXT"
