"""Fills the connection tracking table of a lab's node.

The limit (nf_conntrack_max) belongs to the whole machine and cannot be lowered for one node, but
the count belongs to the node's network namespace. Entries with the flag ASSURED are not evicted
when the table is full (net/netfilter/nf_conntrack_core.c, early_drop), so these stay until they
expire. Their addresses are from a block for documentation (RFC 5737), so they meet no traffic.
"""

from __future__ import annotations

from typing import Any

from NetLibrary._mechanics.errors import EnvironmentProblem

_SERVER = "203.0.113.1"
_PORTS = range(1024, 65536)
_CHUNK = 65536


def fill(node: Any, seconds: int) -> int:
    """Adds entries until the table is full; returns how many.

    Args:
        node: Node of a lab.
        seconds: How long they stay.
    Raises:
        EnvironmentProblem: The table was not filled.
    """
    size, used = _numbers(node)
    # A little more than there is room for: what is refused is the proof that it is full.
    wanted = max(0, size - used) + 64
    lines = []
    for number in range(wanted):
        host, port = divmod(number, len(_PORTS))
        lines.append(
            f"-I -p tcp -s 198.51.100.{host + 1} -d {_SERVER} --sport {_PORTS[port]} --dport 9 "
            f"--state ESTABLISHED -u SEEN_REPLY,ASSURED -t {seconds}"
        )
    for start in range(0, wanted, _CHUNK):
        # The last chunk ends in an error by design.
        node.run(
            ["conntrack", "-R", "-"], stdin="\n".join(lines[start : start + _CHUNK]) + "\n", timeout=60, check=False
        )
    size, now = _numbers(node)
    if now < 0.99 * size:
        raise EnvironmentProblem(f"The connection tracking table of node '{node.name}' has {now} of {size} entries.")
    return now - used


def clear(node: Any) -> None:
    """Removes the entries; those that expired already are fine."""
    node.run(["conntrack", "-D", "-d", _SERVER], timeout=60, check=False)


def _numbers(node: Any) -> tuple[int, int]:
    folder = "/proc/sys/net/netfilter"
    said = node.run(["cat", f"{folder}/nf_conntrack_max", f"{folder}/nf_conntrack_count"]).stdout.split()
    return int(said[0]), int(said[1])
