"""Types of outages: paths, probes, targets and limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TypedDict

from NetLibrary.types.quantities import Percentage, TimeLimit


class OutagePath(Enum):
    """A path through the cluster's network, from the source pod, or from outside where its name says so."""

    ALL = "all"
    POD_ON_SAME_NODE = "pod on same node"
    POD_ON_OTHER_NODE = "pod on other node"
    OWN_NODE = "own node"
    OTHER_NODE = "other node"
    OWN_GATEWAY = "own gateway"
    OTHER_GATEWAY = "other gateway"
    SERVICE = "service"
    NODE_PORT = "node port"
    NODE_PORT_FROM_OUTSIDE = "node port from outside"
    LOAD_BALANCER_FROM_OUTSIDE = "load balancer from outside"
    OUTSIDE_ADDRESS = "outside address"
    DNS = "dns"

    @property
    def from_outside(self) -> bool:
        """Whether it is measured from the machine that runs the tests."""
        return self.value.endswith("from outside")


class ProbeKind(Enum):
    """How a path is probed."""

    ICMP = "icmp"
    UDP = "udp"
    TCP_NEW = "tcp_new"
    TCP_KEPT = "tcp_kept"
    TCP_IDLE = "tcp_idle"
    HTTP = "http"
    HTTP_KEPT = "http_kept"
    DNS = "dns"


_SCHEMES = ("icmp", "udp", "tcp", "http", "dns")
_FROM_OUTSIDE = " from outside"


@dataclass(frozen=True)
class OutageTarget:
    """A target of your own to measure, written as a URL.

    Args:
        text: The target as it was written; it names the target's streams in tables and records.
        scheme: `icmp`, `udp`, `tcp`, `http` or `dns`.
        host: Address, name of a Service with its namespace (`web.shop`), or any name that the source can resolve.
        port: Port number, or name of a Service's port; empty for the default port of the scheme.
        query: Path of the HTTP request, or name to look up at the DNS server.
        from_outside: Whether it is measured from the machine that runs the tests.
    """

    text: str
    scheme: str
    host: str
    port: str = ""
    query: str = ""
    from_outside: bool = False

    @classmethod
    def parse(cls, value: str | OutageTarget) -> OutageTarget:
        """A URL: `http://web.shop:8080/healthz` (a request over a new connection, and one over a kept one),
        `tcp://db.shop:5432` (new connections, and one that stays open and idle), `icmp://10.0.0.1`, `udp://echo.shop:7`
        (needs an echo server there), `dns://10.96.0.10/web.shop.svc.cluster.local`. The host is an address, a Service
        with its namespace, or any name that the source can resolve. With ` from outside` appended, it is measured from
        the machine that runs the tests.
        """
        if isinstance(value, OutageTarget):
            return value
        text = str(value).strip()
        match = re.fullmatch(
            r"(?P<scheme>[a-z]+)://(?P<host>\[[0-9a-fA-F:.]+\]|[^/:\s]+)(?::(?P<port>[\w-]+))?(?P<query>/\S*)?",
            text.removesuffix(_FROM_OUTSIDE).strip(),
        )
        if not match or match["scheme"] not in _SCHEMES:
            raise ValueError(
                "Give a URL, for instance http://web.shop:8080/healthz, tcp://db.shop:5432, icmp://10.0.0.1, "
                "udp://echo.shop:7 or dns://10.96.0.10/web.shop.svc.cluster.local."
            )
        scheme, port, query = match["scheme"], match["port"] or "", match["query"] or ""
        if scheme in ("tcp", "udp") and not port:
            raise ValueError(f"{scheme}:// needs a port, for instance {scheme}://{match['host']}:80.")
        if scheme == "dns":
            query = query.strip("/")
            if not query:
                raise ValueError(f"dns:// needs a name to look up, for instance dns://{match['host']}/web.shop.svc.")
        return cls(text, scheme, match["host"].strip("[]"), port, query, text.endswith(_FROM_OUTSIDE))


def limits_of(text: str) -> dict[str, str]:
    """Takes limits in one text apart: `longest_outage_at_most=3 s, resets_at_most=2`, also separated by semicolons.

    Example:
        >>> limits_of("resets_at_most=2; unaffected=['dns', 'service']")
        {'resets_at_most': '2', 'unaffected': "['dns', 'service']"}

    Raises:
        ValueError: Something in it is not a limit with its value.
    """
    found = {}
    for part in re.split(r"[ ]*[,;][ ]*(?=[a-z_]+=)", text.strip()):
        name, equal, value = part.partition("=")
        if part and not equal:
            raise ValueError(f"OUTAGE_LIMITS has '{part}'; allowed: pairs such as longest_outage_at_most=3 s.")
        if part:
            found[name] = value
    return found


class OutageLimits(TypedDict, total=False):
    """Limits for outages. The values are checked when they are given and judged at the end.

    Keys:

    - `longest_outage_at_most`: longest single outage of any stream of probes
    - `longest_outage_at_least`: an outage of at least this length must be seen; for disturbances that must have an
      effect
    - `total_outage_at_most`: sum of the outages of any stream
    - `slow_at_most`: for how long a path may answer late
    - `loss_at_most`: share of the probes of any stream that may be lost
    - `failed_connections_at_most`: how many new connections may fail in total
    - `resets_at_most`: how many kept connections may be reset
    - `lost_connections_at_most`: how many kept connections may break in any way
    - `retransmits_at_most`: share of the TCP segments that may be retransmitted
    - `unaffected`: paths that must have no outage at all
    """

    longest_outage_at_most: TimeLimit
    longest_outage_at_least: TimeLimit
    total_outage_at_most: TimeLimit
    slow_at_most: TimeLimit
    loss_at_most: Percentage
    failed_connections_at_most: int
    resets_at_most: int
    lost_connections_at_most: int
    retransmits_at_most: Percentage
    unaffected: list[OutagePath]
