"""The prober's configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from NetLibrary._mechanics.outages.types import NEW, StreamSpec

#: Closed connections that one prober may leave in a table of connection tracking: half of what kube-proxy gives the
#: smallest node (131072).
TRACKED = 65_536
#: How long a closed connection stays there (`nf_conntrack_tcp_timeout_time_wait`).
TRACKED_FOR_MS = 120_000


def configuration(
    streams: Sequence[StreamSpec],
    *,
    duration_s: float,
    iperf: Sequence[dict[str, Any]] = (),
    lease_file: str | None = None,
    lease_s: float = 120,
) -> dict[str, Any]:
    """Returns what `inpod.prober` is to be told.

    Args:
        streams: What to probe.
        duration_s: The prober ends by itself after this time.
        iperf: iperf3 clients to run beside: name, address, port, protocol, bits_per_second, length.
        lease_file: File whose age says how long nobody has read.
        lease_s: The prober ends when the file gets older than this.
    """
    # All connections of a path together are opened as often as one alone would be.
    paths = sum(1 / spec.connections for spec in streams if spec.kind in NEW)
    share = TRACKED / max(1.0, paths)
    return {
        "streams": [
            {
                "number": spec.number,
                "kind": spec.kind.value,
                "address": spec.address,
                "port": spec.port,
                "period_ms": spec.period_ms,
                "timeout_ms": spec.timeout_ms,
                "query": spec.query,
                "query_type": spec.query_type,
                "host": spec.host,
                "exchange": spec.exchange,
                "size": spec.size,
                "hold": spec.connections > 1,
                "phase": spec.phase,
                "ease_after": max(1, int(share / spec.connections)),
                "eased_ms": TRACKED_FOR_MS / share * spec.connections,
            }
            for spec in streams
        ],
        "duration_s": duration_s,
        "iperf": list(iperf),
        "lease_file": lease_file,
        "lease_s": lease_s,
    }
