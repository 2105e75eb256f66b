"""Tells who refused a connection: the pod itself, or a firewall on the way to it."""

from __future__ import annotations

from NetLibrary._mechanics.vantage import InPod


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
