"""Tells who refused a connection: the pod itself, or a firewall on the way to it."""

from __future__ import annotations

from typing import Any

from NetLibrary._mechanics.connections import objects, run
from NetLibrary._mechanics.connections.results import REFUSED, SILENT, UNREACHABLE, Pair
from NetLibrary._mechanics.kube import Cluster, addresses
from NetLibrary._mechanics.vantage import InPod


def at_closed_pod(cluster: Cluster, closed: dict[str, Any], asking: dict[str, Any]) -> tuple[Pair, bool]:
    """Connects to a port where nobody listens, of a pod whose policy allows nobody.

    Where the pod itself refuses, it is asked again for as long as whoever enforces policies may not have noticed yet
    that the API server is back.

    Returns:
        The attempt, and whether the answer was the pod's own, which is assumed where its kernel cannot be asked.
    """
    behind, target = InPod(cluster, closed), run.Target(addresses.of_pod(closed)[0], objects.UNUSED_PORT)
    request = run.Request(attempts=1, limit_seconds=1.0)

    def attempt() -> tuple[Pair, bool]:
        before = resets_sent(behind)
        pair = run.connect([InPod(cluster, asking)], [target], request, {SILENT, UNREACHABLE}.__contains__)[0]
        after = resets_sent(behind)
        return pair, None in (before, after) or before != after

    return cluster.connection.absences.retried(attempt, lambda found: bool(found[0].count(REFUSED)) and found[1])


def resets_sent(place: InPod) -> int | None:
    """Returns how many resets a pod's kernel has sent; None where it cannot be read.

    A pod answers a connection to a port where nobody listens by a reset. A network that rejects what a policy denies
    answers in its place, and the pod's kernel knows nothing of it.
    """
    return parse(place.run(["cat", "/proc/net/snmp"], timeout=10.0).stdout)


def parse(snmp: str) -> int | None:
    r"""Reads the number of sent resets from the two lines that begin with `Tcp:`.

    >>> parse("Tcp: RtoMin OutRsts\nTcp: 200 7\n")
    7
    """
    lines = [line.split()[1:] for line in snmp.splitlines() if line.startswith("Tcp:")]
    if len(lines) != 2:
        return None
    value = dict(zip(lines[0], lines[1], strict=False)).get("OutRsts", "")
    return int(value) if value.isdigit() else None
