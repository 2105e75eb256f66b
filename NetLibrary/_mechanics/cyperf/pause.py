"""The pause between two runs against the same pods, also when the earlier run was another process.

Entries of connection tracking outlive their connections by the TIME_WAIT timeout of the nodes, two minutes unless it
was changed. A run that meets the entries of the one before it loses connections without any fault of the network. What
counts is the pods: a ClusterIP, a nodePort and a load balancer in front of the same pods are one target.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from NetLibrary._mechanics.cyperf.nodes import NodeReading
from NetLibrary._mechanics.errors import AlreadyExists, NetLibraryError
from NetLibrary._mechanics.kube.cluster import Cluster

NAME = "netlibrary-cyperf-last-runs"
LABELS = {"app.kubernetes.io/managed-by": "netlibrary", "netlibrary.io/keeps": "cyperf-last-runs"}
# The kernel's default of nf_conntrack_tcp_timeout_time_wait
USUAL_SECONDS = 120.0
TICK_SECONDS = 0.5
SAY_SECONDS = 10.0
_FORGET_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Pause:
    """How long to wait between two runs against the same pods.

    Args:
        seconds: The pause.
        reason: Where that number comes from.
    """

    seconds: float
    reason: str


def due(
    given: float | None, *, stand_in: bool, readings: Iterable[NodeReading] = (), nodes: Iterable[str] = ()
) -> Pause:
    """Returns the pause that counts.

    Args:
        given: Seconds that the user asked for; None leaves the choice to this function.
        stand_in: Whether the traffic comes from the stand-in.
        readings: Nodes that could be read.
        nodes: Names of the nodes where agents run; all that were read when empty.

    Example:
        >>> due(None, stand_in=True).seconds, due(None, stand_in=False).seconds, due(30, stand_in=True).seconds
        (0.0, 120.0, 30)
    """
    if given is not None:
        return Pause(given, "as asked for")
    if stand_in:
        return Pause(0.0, "the traffic comes from the stand-in, whose runs are too small to affect each other")
    wanted = set(nodes)
    known = {
        each.node: float(each.time_wait_seconds)
        for each in readings
        if each.time_wait_seconds and (not wanted or each.node in wanted)
    }
    if known:
        slowest = max(known, key=lambda name: known[name])
        return Pause(known[slowest], f"nf_conntrack_tcp_timeout_time_wait of node '{slowest}'")
    return Pause(USUAL_SECONDS, "the kernel's default, since no node could be read")


@dataclass(frozen=True)
class Target:
    """What clients aim at, told by what is behind it.

    Args:
        key: The pods or the host in words; equal for everything that leads to the same place.
        pods: Identities of the pods, when they are known.
    """

    key: str
    pods: frozenset[str] = frozenset()

    def same(self, other: Target) -> bool:
        """Tells whether a run against the other one leaves entries that a run against this one meets."""
        return self.key == other.key or bool(self.pods & other.pods)


def of_service(service: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> Target:
    """Returns the target behind a Service; Services with the same selector are the same target.

    Args:
        service: The Service.
        pods: The pods that it selects.
    """
    metadata, selector = service["metadata"], service["spec"].get("selector") or {}
    words = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    place = metadata["namespace"]
    key = f"pods {words} in '{place}'" if words else f"Service '{place}/{metadata['name']}'"
    return Target(key, frozenset(str(pod["metadata"]["uid"]) for pod in pods))


def of_host(host: str) -> Target:
    """Returns the target of a host that is no Service of the cluster.

    Example:
        >>> of_host("Device.Example.").same(of_host("device.example"))
        True
    """
    return Target(f"host {host.rstrip('.').lower()}" if host else "the server agents")


@dataclass(frozen=True)
class Ended:
    """The end of a run.

    Args:
        target: What it was aimed at.
        stamp: Unix time of its end.
        run: Id of the run.
    """

    target: Target
    stamp: float
    run: str


@dataclass
class LastRuns:
    """When the last run against each target ended: of this process, and of others in the same cluster.

    Args:
        run_id: Id of this run.
        here: Ends of runs of this process.
        kept: Places where this process left a note.
    """

    run_id: str
    here: list[Ended] = field(default_factory=list)
    kept: dict[tuple[str, str], Cluster] = field(default_factory=dict)

    def note(self, target: Target, cluster: Cluster | None, namespace: str, pause: Pause) -> str:
        """Remembers that a run has just ended; returns a sentence when that could not be kept in the cluster.

        Args:
            target: What it was aimed at.
            cluster: Where to keep the time; None keeps it in this process only.
            namespace: Namespace of the note.
            pause: Pause that runs of this kind need; without one nobody needs the note.
        """
        ended = Ended(target, time.time(), self.run_id)
        self.here.append(ended)
        if cluster is None or not namespace or pause.seconds <= 0:
            return ""
        try:
            _write(cluster, namespace, ended)
        except NetLibraryError as error:
            return f"The time of this run is not kept for other processes: {error}"
        self.kept[cluster.server, namespace] = cluster
        return ""

    def last(self, target: Target, cluster: Cluster | None, namespace: str) -> Ended | None:
        """Returns the last run against the same pods, None when none is known."""
        found = [*self.here, *(read(cluster, namespace) if cluster is not None and namespace else [])]
        return max((each for each in found if each.target.same(target)), key=lambda each: each.stamp, default=None)

    def tidy(self, pause: float) -> list[str]:
        """Removes the notes that no run needs any more; returns the places of those that stay for a while.

        Args:
            pause: Seconds after which a note is of no use.
        """
        stay = []
        for (_, namespace), cluster in self.kept.items():
            ends = [each.stamp for each in read(cluster, namespace)]
            if not ends:
                continue  # gone with its namespace
            if time.time() - max(ends) < pause:
                stay.append(f"{namespace}/{NAME}")
                continue
            with suppress(NetLibraryError):
                cluster.delete("ConfigMap", NAME, namespace, allow_foreign=True)  # ours, by its labels
        return stay


def left(ended: Ended | None, pause: Pause) -> float:
    """Returns the seconds that are left of a pause; clocks that run ahead never make it longer than it is."""
    if ended is None:
        return 0.0
    return min(pause.seconds, max(0.0, pause.seconds - (time.time() - ended.stamp)))


def wait(ended: Ended | None, pause: Pause, progress: Callable[[str], None], *, tick: float = TICK_SECONDS) -> float:
    """Waits for what is left of a pause and returns how many seconds that was.

    Args:
        ended: The last run against the same pods.
        pause: The pause between two of them.
        progress: Gets a line at the start and every ten seconds.
        tick: Seconds between two looks at the clock.
    """
    rest = left(ended, pause)
    if ended is None or rest <= 0:
        return 0.0
    begin = time.monotonic()
    said = float("-inf")
    while (now := time.monotonic()) < begin + rest:
        if now - said >= SAY_SECONDS:
            said = now
            progress(
                f"CyPerf: waiting {begin + rest - now:.0f} s more, {pause.seconds:g} s between two runs against "
                f"{ended.target.key} ({pause.reason})"
            )
        time.sleep(min(tick, max(0.0, begin + rest - now)))
    return time.monotonic() - begin


# --- the note in the cluster --------------------------------------------------------------------------


def read(cluster: Cluster, namespace: str) -> list[Ended]:
    """Returns the ends of runs that are noted in a namespace; none when that cannot be read."""
    try:
        found = cluster.find("ConfigMap", NAME, namespace)
    except NetLibraryError:
        return []
    return [each for text in ((found or {}).get("data") or {}).values() if (each := _parse(text)) is not None]


def _parse(text: str) -> Ended | None:
    try:
        entry = json.loads(text)
        stamp = datetime.fromisoformat(str(entry["ended"])).timestamp()
        return Ended(Target(str(entry["target"]), frozenset(entry.get("pods") or ())), stamp, str(entry.get("run")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # somebody else's text; it says nothing about runs


def _write(cluster: Cluster, namespace: str, ended: Ended) -> None:
    """Notes the end of a run. The note is no object of the run: the next process has to find it."""
    entry = {
        "target": ended.target.key,
        "ended": datetime.fromtimestamp(ended.stamp, timezone.utc).isoformat(timespec="milliseconds"),
        "pods": sorted(ended.target.pods),
        "run": ended.run,
    }
    key = hashlib.sha256(ended.target.key.encode()).hexdigest()[:16]
    data: dict[str, str | None] = {key: json.dumps(entry)}
    present = cluster.find("ConfigMap", NAME, namespace)
    if present is not None:
        _patch(cluster, namespace, present, data)
        return
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": LABELS,
            "annotations": {
                "netlibrary.io/purpose": "When CyPerf runs ended, for the pause before the next one. May be deleted."
            },
        },
        "data": data,
    }
    try:
        cluster.raw("POST", _path(cluster, namespace), body=body)
    except AlreadyExists:
        _patch(cluster, namespace, cluster.get("ConfigMap", NAME, namespace), data)


def _patch(cluster: Cluster, namespace: str, present: Mapping[str, Any], data: dict[str, str | None]) -> None:
    labels = present["metadata"].get("labels") or {}
    if any(labels.get(name) != value for name, value in LABELS.items()):
        raise NetLibraryError(
            f"ConfigMap '{namespace}/{NAME}' is not the library's: it lacks the labels that the library sets."
        )
    old = {
        name: None
        for name, text in (present.get("data") or {}).items()
        if (each := _parse(text)) is not None and time.time() - each.stamp > _FORGET_SECONDS
    }
    cluster.patch("ConfigMap", NAME, namespace, {"data": {**old, **data}})


def _path(cluster: Cluster, namespace: str, name: str | None = None) -> str:
    return cluster.resources.find("ConfigMap").path(namespace, name)


def nodes_of(pods: Sequence[Mapping[str, Any]]) -> set[str]:
    """Returns the nodes on which pods run."""
    return {str(pod["spec"]["nodeName"]) for pod in pods if pod["spec"].get("nodeName")}
