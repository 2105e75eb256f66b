"""Drops and errors of the nodes' own interfaces; only a lab lets us look into its nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

INTERFACES = ("eth0", "cni0")
COUNTERS = ("dropped", "errors", "over_errors", "fifo_errors")


def read_links(text: str) -> dict[str, int]:
    """Reads the output of `ip -s -j link` into counters named `<interface> rx dropped`.

    >>> read_links('[{"ifname": "eth0", "stats64": {"rx": {"dropped": 3}, "tx": {"errors": 0}}}]')
    {'eth0 rx dropped': 3, 'eth0 tx errors': 0}
    """
    found = {}
    for link in json.loads(text or "[]"):
        if link.get("ifname") not in INTERFACES:
            continue
        for direction in ("rx", "tx"):
            for name, value in (link.get("stats64", {}).get(direction) or {}).items():
                if name in COUNTERS:
                    found[f"{link['ifname']} {direction} {name}"] = int(value)
    return found


def snapshot(lab: Any, nodes: Iterable[str]) -> dict[str, int]:
    """Returns the counters of some nodes, each named after node and interface; empty where nobody may look."""
    found: dict[str, int] = {}
    if lab is None:
        return found
    for name in sorted(set(filter(None, nodes))):
        ran = lab.node(name).run(["ip", "-s", "-j", "link"], check=False, timeout=10)
        if ran.exit_code == 0:
            found.update({f"{name} {key}": value for key, value in read_links(ran.stdout).items()})
    return found


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Returns the counters that rose.

    >>> grown({"node1 eth0 rx dropped": 1}, {"node1 eth0 rx dropped": 4, "node2 eth0 rx dropped": 2})
    {'node1 eth0 rx dropped': 3}
    """
    return {key: value - before[key] for key, value in after.items() if key in before and value > before[key]}
