"""Nodes that take pods, and drops and errors of their interfaces, which only a lab lets us look at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import looks, placement
from NetLibrary._mechanics.kube.cluster import Cluster

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


def require_nodes(cluster: Cluster, count: int) -> None:
    """Makes sure that ordinary pods can run on so many nodes.

    Raises:
        errors.Unavailable: They cannot; says how many nodes there are.
        errors.EnvironmentProblem: No node takes pods.
    """
    try:
        every = looks.look(cluster, "Node")
    except errors.Forbidden:
        return  # the scheduler will tell
    settings = cluster.pod_settings()
    why = {str(each["metadata"]["name"]): placement.keeps_away(each, settings) for each in every}
    fit = placement.takers(why)
    if len(fit) < count:
        raise errors.Unavailable(
            f"Sender and receiver are to run on {count} nodes, but {len(fit)} of {len(every)} nodes "
            f"{'accepts' if len(fit) == 1 else 'accept'} pods ({', '.join(fit) or 'none'}); give "
            "placement=same node or placement=any to run on one."
        )


def look(cluster: Cluster, say: Callable[[str], None]) -> dict[str, int]:
    """Returns the counters of all nodes of a lab; nothing elsewhere, or where they cannot be read."""
    try:
        names = [each["metadata"]["name"] for each in cluster.list("Node")] if cluster.is_lab else []
        return snapshot(cluster.lab, names)
    except (errors.NetLibraryError, OSError, ValueError) as error:
        say(f"The nodes' interfaces could not be read: {error}")
        return {}
