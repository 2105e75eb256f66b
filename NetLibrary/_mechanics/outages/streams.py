"""Which probes run on the paths, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.outages.objects import SOURCE, Target
from NetLibrary._mechanics.outages.types import KEPT, NEW, ProbeKind, StreamSpec

ECHO_SIZES = range(18, 9001)
#: The kernel's keepalive has no finer time than a second.
IDLE_MS = 1000.0
MOST_CONNECTIONS = 1000
#: Kept connections are asked as often as one alone up to this number, then more rarely: a thousand requests a second.
ASKED_AT_ONCE = 10


@dataclass(frozen=True)
class Rates:
    """Times between probes and their limits, in milliseconds, and how large an echo is."""

    echo_ms: float = 10
    connection_ms: float = 10
    kept_ms: float = 10
    dns_ms: float = 50
    timeout_ms: float = 1000
    echo_bytes: int = 56

    @classmethod
    def of(
        cls,
        *,
        echo_interval: timedelta,
        connection_interval: timedelta,
        request_interval: timedelta,
        silence: timedelta,
        echo_size: int,
    ) -> Rates:
        """Makes rates from arguments of a keyword.

        Raises:
            InputError: A time is too short, or the size is none that an echo can have.
        """
        if echo_size not in ECHO_SIZES:
            raise InputError(f"echo_size is {echo_size}; allowed: {ECHO_SIZES[0]} to {ECHO_SIZES[-1]} bytes.")
        return cls(
            echo_ms=milliseconds("echo_interval", echo_interval),
            connection_ms=milliseconds("connection_interval", connection_interval),
            kept_ms=milliseconds("request_interval", request_interval),
            timeout_ms=milliseconds("silence", silence),
            echo_bytes=echo_size,
        )

    def period_ms(self, kind: ProbeKind) -> float:
        """Time between two probes of a kind."""
        return {
            ProbeKind.ICMP: self.echo_ms,
            ProbeKind.UDP: self.echo_ms,
            ProbeKind.TCP_NEW: self.connection_ms,
            ProbeKind.TCP_KEPT: self.kept_ms,
            ProbeKind.DNS: self.dns_ms,
            ProbeKind.HTTP: self.connection_ms,
            ProbeKind.HTTP_KEPT: self.kept_ms,
            ProbeKind.TCP_IDLE: IDLE_MS,
        }[kind]

    def limit_ms(self, kind: ProbeKind) -> float:
        """When a probe counts as lost. A new connection gets a little less than the second after which the kernel
        repeats a SYN: an attempt that succeeds only because of that began while the path was broken.
        """
        return min(self.timeout_ms, 900) if kind in (ProbeKind.TCP_NEW, ProbeKind.HTTP) else self.timeout_ms


def milliseconds(name: str, value: timedelta) -> float:
    """Returns a time between two probes in milliseconds.

    Raises:
        InputError: It is shorter than 1 ms.
    """
    found = value.total_seconds() * 1000
    if found < 1:
        raise InputError(f"{name} is {found:g} ms; at least 1 ms is needed.")
    return found


def slower(kind: ProbeKind, connections: int) -> float:
    """Returns how much more rarely each of several connections is probed.

    All of them together see the path often enough, and do not flood it.

    New ones are opened in turn, each staying until its turn comes again. Kept ones are asked as often as one alone, up
    to a thousand requests a second.
    """
    if kind in NEW:
        return connections
    return max(1.0, connections / ASKED_AT_ONCE) if kind is not ProbeKind.TCP_IDLE else 1.0


def source_name(number: int) -> str:
    """Returns the name of a source pod among several: the first is the one that all else is measured from."""
    return SOURCE if number == 0 else f"{SOURCE} {number + 1}"


def streams(
    targets: Sequence[Target],
    rates: Rates,
    kinds: Sequence[ProbeKind] | None = None,
    *,
    connections: int = 1,
    sources: int = 1,
) -> dict[str, list[StreamSpec]]:
    """Lists the streams of all paths by source.

    Args:
        targets: Where the paths lead.
        rates: How often.
        kinds: Only these kinds of probe; all that a path allows by default.
        connections: How many connections there are at once on each path, for each kind that has any.
        sources: Over how many source pods these are spread.

    Raises:
        InputError: Nothing is left to measure, or too much.
    """
    if not 1 <= connections <= MOST_CONNECTIONS:
        raise InputError(f"connections is {connections}; allowed: 1 to {MOST_CONNECTIONS}.")
    connections = max(connections, sources)
    found: dict[str, list[StreamSpec]] = {}
    for target in targets:
        for kind in target.kinds:
            if kinds is not None and kind not in kinds:
                continue
            many = connections if kind in (*NEW, *KEPT) else 1
            for number in range(many):
                source = source_name(number % sources) if target.source == SOURCE else target.source
                of_source = found.setdefault(source, [])
                of_source.append(
                    StreamSpec(
                        len(of_source) + 1,
                        target.path,
                        kind,
                        target.address,
                        target.port,
                        rates.period_ms(kind) * slower(kind, many),
                        rates.limit_ms(kind),
                        query=target.query,
                        query_type=target.query_type,
                        endpoint=target.endpoint,
                        size=rates.echo_bytes,
                        host=target.host,
                        # Nothing is known of a foreign server but that it listens
                        exchange=bool(target.endpoint) or target.port == 0,
                        connections=many,
                        phase=number / many if many > 1 else None,
                    )
                )
    if not found:
        raise InputError(
            "probes and paths leave nothing to measure; the table of paths shows which probes each allows."
        )
    return found
