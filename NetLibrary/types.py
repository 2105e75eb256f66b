"""Types that keyword signatures show, with the converters that make texts of suites into them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, TypedDict

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt]?)(bit/s|bits/s|bps|b/s)?)", re.IGNORECASE)
_ALLOWED = "Give bits per second: a number from 0 on with an optional k, M, G or T, for instance 10M or 2.5 Gbit/s."
_BYTES = re.compile(r"\d[\d.]*\s*[kKmMgGtT]?i?B(?:ytes?)?(?:/s|ps)?")
_BINARY = re.compile(r"\d[\d.]*\s*[kmgt]i(?:bit/s|bits/s|bps|b/s)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True, order=True)
class Bitrate:
    """A rate in bits per second, with decimal prefixes as iperf3 takes them: `10M`, `2.5 Gbit/s`, `800k`, `0`.

    Args:
        bits_per_second: The rate.
        bare: Whether it was written as a number without any unit.
    """

    bits_per_second: float
    bare: bool = field(default=False, compare=False, repr=False)

    @classmethod
    def parse(cls, value: str | int | float | Bitrate) -> Bitrate:
        """A rate in bits per second: a number with an optional k, M, G or T, for instance `10M` or `2.5 Gbit/s`.

        The prefixes are decimal, `1k` is 1000 bit/s. A bare number is bits per second: `1000` is 1 kbit/s.
        """
        if isinstance(value, Bitrate):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not 0 <= value < float("inf"):
                raise ValueError(_ALLOWED)
            return cls(float(value))
        text = str(value).strip()
        match = _RATE.fullmatch(text)
        if not match or (match[3] or "").startswith(("B/", "Bp")):
            raise ValueError(_ALLOWED + _what_it_looks_like(text))
        return cls(float(match[1]) * _FACTORS[match[2].lower()], bare=not match[2] and not match[3])

    @property
    def iperf3(self) -> str:
        """The rate as iperf3's `--bitrate` takes it."""
        return f"{self.bits_per_second:.0f}"

    def __str__(self) -> str:
        from NetLibrary._mechanics.report import bitrate_text

        return bitrate_text(self.bits_per_second)


def _what_it_looks_like(text: str) -> str:
    if _BYTES.fullmatch(text):
        return f" '{text}' looks like bytes: a byte has 8 bits."
    if _BINARY.fullmatch(text):
        return f" '{text}' has a binary prefix; rates have decimal ones, 1k is 1000."
    return ""


@dataclass(frozen=True, order=True)
class Percentage:
    """A share in percent: `5 %`, `5%` or `5`."""

    percent: float

    @classmethod
    def parse(cls, value: str | int | float | Percentage) -> Percentage:
        """A share in percent, with or without the sign: `99.5 %`, `5%` or `5`."""
        if isinstance(value, Percentage):
            return value
        try:
            percent = float(str(value).strip().removesuffix("%").strip())
        except ValueError:
            raise ValueError("Give a number of percent, for instance 5 % or 99.5.") from None
        if not 0 <= percent < float("inf"):
            raise ValueError("A percentage is a number from 0 on.")
        return cls(percent)

    @property
    def fraction(self) -> float:
        """The share as a number from 0 to 1."""
        return self.percent / 100

    def __str__(self) -> str:
        return f"{self.percent:g} %"


_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:\s*/\s*s)?", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Count:
    """A number of things, or of things per second: `150`, `2k`, `1.5M`, `300 /s`."""

    value: float

    @classmethod
    def parse(cls, value: str | int | float | Count) -> Count:
        """A number with an optional decimal prefix k, M or G: `150`, `2k`, `1.5M`; rates also as `300 /s`."""
        if isinstance(value, Count):
            return value
        match = None if isinstance(value, bool) else _COUNT.fullmatch(str(value).strip())
        if not match:
            raise ValueError("Give a number with an optional k, M or G, for instance 150, 2k or 300 /s.")
        return cls(float(match[1]) * _FACTORS[match[2].lower()])

    def __str__(self) -> str:
        return f"{self.value:g}"


class Protocol(Enum):
    """Transport protocol of a measurement."""

    TCP = "tcp"
    UDP = "udp"


class ThroughputPath(Enum):
    """A path from a client to a server in a cluster.

    `SAME_NODE` and `OTHER_NODE` go from pod to pod, `HOST_NETWORK` from node to node without the pods' network.
    `OUTSIDE` begins at the machine that runs the tests and leads through the load balancer, else through a NodePort.
    The others lead to a pod on another node, through a Service.
    """

    SAME_NODE = "same node"
    OTHER_NODE = "other node"
    HOST_NETWORK = "host network"
    CLUSTER_IP = "cluster IP"
    NODE_PORT = "node port"
    LOAD_BALANCER = "load balancer"
    OUTSIDE = "outside"


class ServiceType(Enum):
    """Type of a Service, each with all that the one before it has."""

    ClusterIP = "ClusterIP"
    NodePort = "NodePort"
    LoadBalancer = "LoadBalancer"


class TimeLimit(timedelta):
    """A time with its unit, for instance `500 ms`, `2 s`, `1 min 30 s` or `00:01:30`; only `0` needs none."""

    @classmethod
    def parse(cls, value: str | int | float | timedelta) -> TimeLimit:
        """A time with its unit: `500 ms`, `2 s`, `1 min 30 s`, `00:01:30`. A bare number other than 0 is refused."""
        if not isinstance(value, timedelta):
            from NetLibrary._mechanics.durations import parse

            text = str(value).strip()
            try:
                number: float | None = float(text)
            except ValueError:
                number = None
            if number:
                raise ValueError(f"Give a unit: '{text} ms' or '{text} s'.")
            if clock := re.fullmatch(r"(\d+):(\d{2}):(\d{2}(?:\.\d+)?)", text):
                value = timedelta(hours=int(clock[1]), minutes=int(clock[2]), seconds=float(clock[3]))
            else:
                value = parse(text, "The time")
        if value < timedelta(0):
            raise ValueError("A limit cannot be negative.")
        return cls(seconds=value.total_seconds())

    @property
    def milliseconds(self) -> float:
        """The time in milliseconds."""
        return round(self.total_seconds() * 1000, 3)


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
        """Whether it is measured from the machine that the tests run on."""
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
    """Something of the user's own that is measured, written as a URL.

    Args:
        text: The target as it was written; names its streams in tables and records.
        scheme: `icmp`, `udp`, `tcp`, `http` or `dns`.
        host: Address, name of a Service with its namespace (`web.shop`), or any name that the source resolves.
        port: Port or name of a Service's port; empty for the usual one.
        query: Path of an HTTP request, or the name to ask a DNS server for.
        from_outside: Whether it is measured from the machine that the tests run on.
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
        `tcp://db.shop:5432` (new connections, and one kept without a word), `icmp://10.0.0.1`, `udp://echo.shop:7` (an
        echo server answers there),
        `dns://10.96.0.10/web.shop.svc.cluster.local`. The host is an address, a Service with its namespace, or any name
        that the source can resolve. With ` from outside` behind it, it is measured from the machine the tests run on.
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
                raise ValueError(f"dns:// needs a name to ask for, for instance dns://{match['host']}/web.shop.svc.")
        return cls(text, scheme, match["host"].strip("[]"), port, query, text.endswith(_FROM_OUTSIDE))


class OutageLimits(TypedDict, total=False):
    """What outages may cost. Each limit that is given is checked when it is given and judged at the end.

    Keys:

    - `longest_outage_at_most`: longest single outage of any stream of probes
    - `longest_outage_at_least`: an outage of at least this length must be seen, for disturbances that must show
    - `total_outage_at_most`: sum of the outages of any stream
    - `slow_at_most`: how long a path may answer, but late
    - `loss_at_most`: share of the probes of any stream that may be lost
    - `failed_connections_at_most`: how many new connections may fail in all
    - `resets_at_most`: how many kept connections may be reset
    - `lost_connections_at_most`: how many kept connections may break in any way
    - `retransmits_at_most`: share of the TCP segments that may be sent again
    - `unaffected`: paths on which there must be no outage at all
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


class E2SARPath(Enum):
    """How an E2SAR sender addresses its receiver."""

    POD_IP = "pod address"
    DNS = "stable DNS name of the receiver"
    SERVICE = "cluster address of a Service"
    NODE_PORT = "NodePort of a node"
    LOAD_BALANCER = "address of a load balancer"


class E2SARPlacement(Enum):
    """Where an E2SAR sender runs, seen from its receiver."""

    OTHER_NODE = "other node"
    SAME_NODE = "same node"
    ANY = "any"


class E2SARRisk(Enum):
    """What an E2SAR run may do although it looks like a mistake."""

    OVERLOAD = "send faster than the bandwidth limit lets through"
    FRAGMENTATION = "send IP packets larger than the interface takes"
    SHORT_RECEIVER = "let the receiver end before the sender does"
    CAPPED_BUFFER = "ask for a socket buffer that the kernel cuts"


class E2SARRisks(frozenset[E2SARRisk]):
    """Risks that are meant: names of E2SARRisk, separated by commas."""

    def __str__(self) -> str:
        return ", ".join(sorted(each.name for each in self))

    @classmethod
    def parse(cls, value: str | E2SARRisk | frozenset[E2SARRisk]) -> E2SARRisks:
        """Risks that are meant, separated by commas: OVERLOAD, FRAGMENTATION, SHORT_RECEIVER, CAPPED_BUFFER."""
        if isinstance(value, E2SARRisk):
            return cls({value})
        if isinstance(value, frozenset):
            return cls(value)
        found = set()
        for word in filter(None, (part.strip() for part in value.split(","))):
            key = word.upper().replace(" ", "_").replace("-", "_")
            if key not in E2SARRisk.__members__:
                raise ValueError(f"allowed are {', '.join(E2SARRisk.__members__)}, separated by commas.")
            found.add(E2SARRisk[key])
        return cls(found)


class MatrixCase(Enum):
    """A row of the Service matrix: which sources ask what.

    Case, spaces, underscores and hyphens do not matter. `ENDLESS` is the old name of `NO_ENDPOINTS`.
    """

    POD_IP = "pod ip"
    """Every pod by its own address, from every pod and node."""
    LARGE_PACKETS = "large packets"
    """Packets up to the MTU of the path over TCP, UDP and DNS."""
    CLUSTER_IP = "cluster ip"
    """One Service for each pod."""
    HAIRPIN = "hairpin"
    """A pod to itself through its own Service."""
    SPREAD = "spread"
    """One Service with all pods behind it, several connections a cell."""
    SEVERAL_PORTS = "several ports"
    """Several ports and protocols of one Service."""
    NO_ENDPOINTS = "no endpoints"
    """A Service without endpoints gives no connection."""
    READINESS = "readiness"
    """A pod that is not ready: hidden by one Service, published by another."""
    NAMES = "names"
    """DNS names of Services."""
    HEADLESS = "headless"
    """The name of a headless Service leads to its pods."""
    EXTERNAL_NAME = "external name"
    """An ExternalName Service that leads to a name inside the cluster."""
    OUTSIDE_NAME = "outside name"
    """An ExternalName Service that leads to a name outside the cluster."""
    HOST_BACKENDS = "host backends"
    """Services with backends on the host network."""
    INTERNAL_LOCAL = "internal local"
    """internalTrafficPolicy Local."""
    NEAR = "near"
    """trafficDistribution PreferSameNode."""
    NODE_PORT = "node port"
    """NodePorts, from every source through every entry node."""
    NODE_PORT_LOCAL = "node port local"
    """NodePorts with externalTrafficPolicy Local."""
    AFFINITY = "affinity"
    """Session affinity on the ClusterIP."""
    AFFINITY_NODE_PORT = "affinity node port"
    """Session affinity on NodePorts."""
    EXTERNAL_IP = "external ip"
    """A Service with externalIPs."""
    LOAD_BALANCER = "load balancer"
    """LoadBalancer addresses from inside."""
    LOAD_BALANCER_OUTSIDE = "load balancer outside"
    """LoadBalancer addresses from outside."""
    AFFINITY_LOAD_BALANCER = "affinity load balancer"
    """Session affinity on LoadBalancer addresses."""
    SOURCE_RANGES = "source ranges"
    """loadBalancerSourceRanges that list nobody."""
    SCTP = "sctp"
    """SCTP, pod to pod."""
    DUAL_STACK = "dual stack"
    """Addresses of the second family."""
    PROXY_NAME_LABEL = "proxy name label"
    """The label service-proxy-name takes a Service from the proxy, and gives it back."""
    HEADLESS_LABEL = "headless label"
    """The label headless does the same."""
    TYPE_CHANGE = "type change"
    """A Service that changes its type."""
    TERMINATING = "terminating"
    """A terminating backend that still serves."""
    UDP_FLOWS = "udp flows"
    """UDP flows over changes of the backend."""
    AFFINITY_TIMEOUT = "affinity timeout"
    """Session affinity ends after its time limit."""
    ENDLESS = "endless"
    """Deprecated: `NO_ENDPOINTS`."""

    @property
    def key(self) -> str:
        """Its name in tables, files and records; that of the new case for a deprecated one."""
        return MatrixCase.NO_ENDPOINTS.value if self is MatrixCase.ENDLESS else str(self.value)


@dataclass(frozen=True)
class Source:
    """A place to connect from.

    | text | place |
    | --- | --- |
    | `shop/web-0` | the pod `web-0` in the namespace `shop` |
    | `shop/app=web` | every ready pod in `shop` with these labels |
    | `node:node1` | the node `node1`, on its own network |
    | `every node` | each node, on its own network |
    | `outside` | the machine that runs the test; in a lab its namespace outside the cluster |
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
    """Family of addresses."""

    ANY = "any"
    """Whichever the name has; the resolver's first one where it has both."""
    IPV4 = "ipv4"
    IPV6 = "ipv6"


class BlockedBy(Enum):
    """How a network keeps packets away."""

    DROP = "drop"
    """It drops them, so that the client waits in vain, or says that there is no way."""
    REJECT = "reject"
    """It answers at once with an ICMP message or a reset."""
    ANY = "any"
    """Either. A port where nobody listens passes for blocked then."""


class RecordType(Enum):
    """Type of DNS records."""

    ADDRESS = "ADDRESS"
    """`A` and `AAAA` together: the addresses of both families."""
    A = "A"
    AAAA = "AAAA"
    CNAME = "CNAME"
    PTR = "PTR"
    SRV = "SRV"
    TXT = "TXT"


class CyPerfObjective(Enum):
    """What a run strives for."""

    THROUGHPUT = "Throughput"
    CONNECTIONS_PER_SECOND = "Connections per second"
    SIMULATED_USERS = "Simulated users"
    CONCURRENT_CONNECTIONS = "Concurrent connections"


class CyPerfRole(Enum):
    """Side of an agent."""

    CLIENT = "Client"
    SERVER = "Server"


class CyPerfTarget(Enum):
    """Where clients aim at the server agents."""

    POD_IP = "pod ip"
    """Address of one server pod."""
    CLUSTER_IP = "cluster ip"
    """Virtual address of the Service."""
    FQDN = "fqdn"
    """DNS name of the Service, resolved by the cluster's DNS."""
    NODE_PORT = "node port"
    """Address of a node and the Service's nodePort."""
    LOAD_BALANCER = "load balancer"
    """External address of the Service."""


class CyPerfAggregate(Enum):
    """How the rows of a statistic become one number."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    LAST = "last"
    SUM = "sum"
    """Sum over the rows of the last sample (applications, agents)."""


class CyPerfReport(Enum):
    """Reports that a controller makes of a result."""

    CSV = "csv"
    PDF = "pdf"
    ALL = "all"


class CommandOutput(str):
    """The standard output of a command, as text; what else it gave is in its attributes.

    | attribute | what |
    | --- | --- |
    | `exit_status` | its exit status |
    | `stderr` | its standard error |
    | `seconds` | how long it ran |
    """

    exit_status: int
    stderr: str
    seconds: float

    @classmethod
    def of(cls, stdout: str, exit_status: int, stderr: str, seconds: float) -> CommandOutput:
        """Returns an output with all of its attributes."""
        output = cls(stdout)
        output.exit_status, output.stderr, output.seconds = exit_status, stderr, seconds
        return output


CONVERTERS: dict[type, Any] = {
    Bitrate: Bitrate.parse,
    Percentage: Percentage.parse,
    Count: Count.parse,
    Source: Source.parse,
    TimeLimit: TimeLimit.parse,
    E2SARRisks: E2SARRisks.parse,
    OutageTarget: OutageTarget.parse,
}
