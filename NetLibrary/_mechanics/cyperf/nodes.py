"""Reads connection tracking and clocks of the nodes, through one small pod on each.

A run that opens connections faster than entries of the table expire fills it: entries of even
short connections stay about two minutes (nf_conntrack_tcp_timeout_time_wait). The kernel then
drops the first packet of new connections, which shows at the clients as failures in bursts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary._mechanics.kube import manifests, wait
from NetLibrary._mechanics.kube.cluster import Cluster

NAME, CONTAINER = "cyperf-node-reader", "reader"
_SCRIPT = (
    "date +%s.%N 2>/dev/null; cd /proc/sys/net/netfilter 2>/dev/null && "
    "for f in nf_conntrack_max nf_conntrack_count nf_conntrack_tcp_timeout_time_wait; do echo $f $(cat $f); done; "
    "cat /proc/net/stat/nf_conntrack 2>/dev/null"
)
# Columns of /proc/net/stat/nf_conntrack that count refused entries (net/netfilter/nf_conntrack_standalone.c).
_LOSSES = ("insert_failed", "drop", "early_drop")


@dataclass(frozen=True)
class NodeReading:
    """State of one node.

    Args:
        node: Name of the node.
        clock: Its time minus ours in seconds; None when its shell could not tell.
        table_size: Entries that its connection tracking table holds; None when not tracking.
        entries: Entries in use.
        time_wait_seconds: How long an entry stays after its connection was closed.
        losses: Refused entries since the start of the node, by kind.
    """

    node: str
    clock: float | None
    table_size: int | None
    entries: int | None
    time_wait_seconds: int | None
    losses: dict[str, int]

    def lost_since(self, before: NodeReading | None) -> dict[str, int]:
        """Returns the refused entries since an earlier reading, only those above 0."""
        old = before.losses if before else {}
        return {name: count - old.get(name, 0) for name, count in self.losses.items() if count > old.get(name, 0)}


def parse(node: str, text: str, sent: float, received: float) -> NodeReading:
    """Returns the reading of one node.

    Args:
        node: Its name.
        text: What the script printed there.
        sent: Our time when it was asked.
        received: Our time of the answer; the clock is compared with the middle of both.
    """
    numbers: dict[str, int] = {}
    clock: float | None = None
    header: list[str] = []
    losses: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0].startswith("nf_conntrack") and len(words) == 2 and words[1].isdigit():
            numbers[words[0]] = int(words[1])
        elif words[0] == "entries":
            header = words
        elif header:
            for name, value in zip(header, words, strict=False):
                if name in _LOSSES:
                    losses[name] = losses.get(name, 0) + int(value, 16)
        elif clock is None:
            try:
                stamp = float(words[0].removesuffix(".%N").removesuffix(".N"))
            except ValueError:
                continue
            # Shells without nanoseconds cut off; half a second is the best guess then.
            clock = stamp + (0.0 if "." in words[0] and "N" not in words[0] else 0.5) - (sent + received) / 2
    return NodeReading(
        node, clock, numbers.get("nf_conntrack_max"), numbers.get("nf_conntrack_count"),
        numbers.get("nf_conntrack_tcp_timeout_time_wait"), losses,
    )  # fmt: skip


def deploy(cluster: Cluster, file: Path, namespace: str, image: str | None, timeout: float) -> None:
    """Starts the reading pods and waits until they run."""
    for obj in manifests.load(file):
        obj["metadata"]["namespace"] = namespace
        if image:
            obj["spec"]["template"]["spec"]["containers"][0]["image"] = image
        cluster.apply(obj)
    cluster.wait(
        "DaemonSet", namespace, wait.daemonset_rolled_out(), name=NAME, timeout=timeout, what="Node readers of CyPerf"
    )


def read(cluster: Cluster, namespace: str) -> list[NodeReading]:
    """Returns the state of every node that has a reading pod; empty when there are none."""
    found = []
    for pod in cluster.list("Pod", namespace, labels=f"app={NAME}"):
        name = str(pod["metadata"]["name"])
        try:
            sent = time.time()
            result = cluster.exec(namespace, name, ["sh", "-c", _SCRIPT], container=CONTAINER, timeout=10, check=False)
            found.append(parse(str(pod["spec"].get("nodeName")), result.stdout, sent, time.time()))
        except NetLibraryError:
            continue  # a node that cannot be asked has no reading; others have
    return sorted(found, key=lambda each: each.node)


def advice(entries: float) -> str:
    """Returns what to do on a node whose connection tracking is too small, in commands.

    Args:
        entries: How many entries it has to hold.
    """
    size = -(-int(entries) // 65536) * 65536
    return (
        f"on the node 'sysctl -w net.netfilter.nf_conntrack_max={size}'; with pod IP as target, which needs no "
        "Service, tracking can be switched off for the traffic instead: 'iptables -t raw -I PREROUTING -p tcp "
        "--dport 80 -j CT --notrack' and the same with --sport 80, both in OUTPUT too"
    )


def exhaustion(before: list[NodeReading], after: list[NodeReading]) -> list[str]:
    """Returns a sentence for each node whose table was full during a run, or is nearly so."""
    old = {reading.node: reading for reading in before}
    found = []
    for reading in after:
        lost = reading.lost_since(old.get(reading.node))
        dropped = {name: count for name, count in lost.items() if name != "insert_failed"}
        share = reading.entries / reading.table_size if reading.entries and reading.table_size else 0.0
        if dropped or share > 0.9:
            counts = ", ".join(f"{name} +{count}" for name, count in dropped.items()) or "no drops counted"
            found.append(
                f"Connection tracking of node '{reading.node}' is exhausted: {reading.entries} of "
                f"{reading.table_size} entries, {counts} during the run. New connections fail in bursts (needed: "
                f"connections per second x {reading.time_wait_seconds or 120} s); lower the rate, or "
                f"{advice(2.0 * (reading.table_size or 0))}."
            )
    return found
