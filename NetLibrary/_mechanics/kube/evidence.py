"""What the cluster itself says about a failure: pod states, warnings, last log lines, the scenario's objects."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from typing import Any

from NetLibrary._mechanics.errors import ClusterError, Unreachable
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.kube.why_not_ready import is_ready, problem

LOG_LINES = 20
MOST_PODS = 8


def collect(cluster: Cluster, seconds: float, failure: str = "") -> list[tuple[str, str]]:
    """Returns (title, text) pairs about the namespaces in which this run made something.

    What the account may not see is left out, and so are the logs of pods of others.

    Args:
        cluster: Where the run made something.
        seconds: After this time no further question is asked.
        failure: The message of the failure; logs of a pod that it names are shown whosever the pod is.
    Raises:
        Unreachable: Nobody answers.
    """
    deadline = time.monotonic() + seconds
    found: list[tuple[str, str]] = []
    for name in sorted(cluster.places):
        if time.monotonic() > deadline:
            break
        found += _namespace(cluster, name, failure, deadline)
    return found


def _namespace(cluster: Cluster, namespace: str, failure: str, deadline: float) -> list[tuple[str, str]]:
    found = []
    pods = _quietly_list(cluster, "Pod", namespace)
    if pods:
        found.append((f"pods of '{namespace}'", "\n".join(_pod_line(pod) for pod in pods)))
    warnings = [e for e in _quietly_list(cluster, "Event", namespace) if e.get("type") != "Normal"]
    if warnings:
        warnings.sort(key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")
        found.append((f"warnings in '{namespace}'", "\n".join(_event_line(e) for e in warnings[-20:])))
    for kind in sorted(cluster.touched):
        if "." in kind and not kind.endswith((".apps", ".batch", ".k8s.io")):  # custom resources: their status tells
            objects = _quietly_list(cluster, kind, namespace)
            if objects:
                found.append((f"{kind} of '{namespace}'", "\n".join(_status_line(o) for o in objects)))
    for pod in itertools.islice(_may_be_quoted(cluster, sorted(pods, key=is_ready), failure, deadline), MOST_PODS):
        for container in pod["spec"]["containers"]:
            if time.monotonic() > deadline:
                return found
            text = _last_lines(cluster, namespace, pod["metadata"]["name"], container["name"])
            if text:
                found.append((f"last lines of '{namespace}/{pod['metadata']['name']}' ({container['name']})", text))
    return found


def _may_be_quoted(
    cluster: Cluster, pods: list[dict[str, Any]], failure: str, deadline: float
) -> Iterator[dict[str, Any]]:
    """Yields the pods whose logs may be copied into the results: the run's own, and those that the failure is about.

    A namespace that the run only works in has pods of other people; what these log is not the business of whoever
    reads the results.
    """
    resource = cluster.resources.find("Pod")
    known: dict[tuple[str, ...], bool] = {}  # whether pods of these owners are the run's: replicas are asked for once
    for pod in pods:
        if time.monotonic() > deadline:
            return
        metadata = pod["metadata"]
        owners = tuple(owner["uid"] for owner in metadata.get("ownerReferences") or [])
        if not owners or owners not in known:
            known[owners] = cluster.ownership.owns(resource, pod)
        if known[owners] or _names(failure, metadata["namespace"], metadata["name"]):
            yield pod


def _names(failure: str, namespace: str, pod: str) -> bool:
    """Tells whether a failure's message is about a pod, `pod 'NAME'` or `pod 'NAMESPACE/NAME'`."""
    return re.search(rf"\bpod '(?:{re.escape(namespace)}/)?{re.escape(pod)}'", failure, re.IGNORECASE) is not None


def _pod_line(pod: dict[str, Any]) -> str:
    state = "ready" if is_ready(pod) else problem(pod).text
    restarts = sum(s.get("restartCount", 0) for s in pod.get("status", {}).get("containerStatuses", []))
    where = f"{pod['spec'].get('nodeName', 'no node')}, {pod.get('status', {}).get('podIP', 'no address')}"
    return f"{pod['metadata']['name']}: {state} ({where}, {restarts} restarts)"


def _event_line(event: dict[str, Any]) -> str:
    about = event.get("involvedObject", {})
    return f"{about.get('kind')}/{about.get('name')}: {event.get('reason')}: {event.get('message')}"


def _status_line(obj: dict[str, Any]) -> str:
    status = obj.get("status", {})
    conditions = ", ".join(
        f"{c['type']}={c['status']}" + (f" ({c['message']})" if c.get("message") not in (None, "", "OK") else "")
        for c in status.get("conditions", [])
    )
    words = " ".join(str(status[key]) for key in ("status", "message") if status.get(key))
    return f"{obj['metadata']['name']}: {words or 'no status'}" + (f"; {conditions}" if conditions else "")


def _quietly_list(cluster: Cluster, kind: str, namespace: str) -> list[dict[str, Any]]:
    try:
        return cluster.list(kind, namespace)
    except Unreachable:
        raise
    except ClusterError:
        return []


def _last_lines(cluster: Cluster, namespace: str, pod: str, container: str) -> str:
    try:
        return cluster.logs(namespace, pod, container=container, tail=LOG_LINES).strip()
    except Unreachable:
        raise
    except ClusterError:  # a container that never started has no log
        return ""
