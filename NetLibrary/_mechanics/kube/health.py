"""What is wrong with nodes and pods by their own status, and which nodes take ordinary pods."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from NetLibrary._mechanics.kube import times, why_not_ready

Object = dict[str, Any]

# A kubelet renews its Lease each 10 s
STALE = 25.0
# Conditions of a node that are trouble when they are true. Source: Kubernetes, "Node Status".
PRESSURE = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


def node_problems(node: Object) -> list[str]:
    """Returns what a node's conditions say against it.

    Args:
        node: The Node object.

    Example:
        >>> node_problems({"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeLost"}]}})
        ['Ready is Unknown (NodeLost)']
    """
    conditions = {entry["type"]: entry for entry in node.get("status", {}).get("conditions", [])}
    if "Ready" not in conditions:
        return ["its kubelet has reported nothing yet"]
    wrong = [kind for kind in PRESSURE if conditions.get(kind, {}).get("status") == "True"]
    if conditions["Ready"].get("status") != "True":
        wrong.insert(0, "Ready")
    return [_condition(conditions[kind]) for kind in wrong]


def _condition(entry: Object) -> str:
    why = entry.get("reason") or "no reason given"
    said = f": {entry['message']}" if entry.get("message") else ""
    return f"{entry['type']} is {entry.get('status')} ({why}{said})"


def pod_problems(pod: Object, *, restarts_within: float, now: float | None = None) -> list[str]:
    """Returns what keeps a pod from doing its work, and restarts that were a short while ago.

    A pod that has completed or is being deleted has no problem.

    Args:
        pod: The Pod object.
        restarts_within: Seconds back from now in which a restart counts; 0 counts none.
        now: Present time in seconds since 1970; by default our clock.
    """
    if pod.get("metadata", {}).get("deletionTimestamp") or pod.get("status", {}).get("phase") == "Succeeded":
        return []
    found = [] if why_not_ready.is_ready(pod) else [str(why_not_ready.problem(pod).text)]
    present = time.time() if now is None else now
    for container in pod.get("status", {}).get("containerStatuses", []):
        ended = (container.get("lastState") or {}).get("terminated") or {}
        at = times.seconds(ended.get("finishedAt"))
        if at is not None and restarts_within > 0 and present - at < restarts_within:
            why = f"exit code {ended.get('exitCode')}, {ended.get('reason', 'no reason given')}"
            found.append(
                f"container '{container['name']}' was restarted {max(0, present - at):.0f} s ago ({why}; "
                f"{container.get('restartCount', 1)} restarts in total)"
            )
    return found


def starting(pods: list[Object], within: float, now: float | None = None) -> list[str]:
    """Returns the names of pods that are not ready yet and so young that they may still get ready.

    Args:
        pods: Pod objects.
        within: Seconds from its creation that a pod may take.
        now: Present time in seconds since 1970; by default our clock.

    Example:
        >>> starting([{"metadata": {"name": "web", "creationTimestamp": "1970-01-01T00:00:09Z"}}], 5, now=10)
        ['web']
    """
    present = time.time() if now is None else now
    found = []
    for pod in pods:
        created = times.seconds(pod["metadata"].get("creationTimestamp"))
        young = created is not None and present - created < within
        ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if young and not ended and not why_not_ready.is_ready(pod):
            found.append(pod["metadata"]["name"])
    return found


def cannot_run(node: Object) -> str:
    """Returns why no pod of ours can run on a node, whatever it tolerates; empty when one can."""
    labels, status = node.get("metadata", {}).get("labels") or {}, node.get("status") or {}
    ready = [c for c in status.get("conditions") or [] if c["type"] == "Ready"]
    if not ready or ready[0]["status"] != "True":
        return f"not Ready ({ready[0].get('reason', 'no reason given') if ready else 'no status'})"
    if str((status.get("allocatable") or {}).get("pods", "")) == "0":
        return "has no room for any pod"
    system = (status.get("nodeInfo") or {}).get("operatingSystem") or labels.get("kubernetes.io/os", "linux")
    if system != "linux":
        return f"runs {system}, and the pods need Linux"
    taints = node.get("spec", {}).get("taints") or []
    virtual = labels.get("type") == "virtual-kubelet" or "kubernetes.azure.com/virtual-node" in labels
    if virtual or any(taint.get("key") == "virtual-kubelet.io/provider" for taint in taints):
        return "a virtual node, which has no network of its own"
    return ""


def silence(leases: Iterable[Object], node: str) -> str:
    """Returns how long a node's kubelet has not been heard of, as half a sentence; empty when it has, or nobody knows.

    The Ready condition follows only 40 s after a kubelet has died, and a node that never had one keeps what somebody
    wrote into it. The kubelet's Lease tells at once.

    Args:
        leases: Lease objects of the namespace `kube-node-lease`.
        node: Name of the node.

    Example:
        >>> silence([{"metadata": {"name": "a"}, "spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}], "b")
        "no kubelet of node 'b' reports to the cluster"
    """
    renewed = {each["metadata"]["name"]: times.seconds((each.get("spec") or {}).get("renewTime")) for each in leases}
    known = [moment for moment in renewed.values() if moment]
    if not known:
        return ""
    last = renewed.get(node)
    if not last:
        return f"no kubelet of node '{node}' reports to the cluster"
    # against the newest of them, not against the clock of this machine
    age = max(known) - last
    return f"the kubelet of node '{node}' has not been heard of for {age:.0f} s" if age > STALE else ""


def cluster_domain(resolv_conf: str) -> str | None:
    r"""Returns the cluster's DNS domain, read from the search list of a pod's resolv.conf; None when it has none.

    Example:
        >>> cluster_domain("search demo.svc.corp.example svc.corp.example corp.example\nnameserver 10.96.0.10\n")
        'corp.example'
    """
    searched = [line.split()[1:] for line in resolv_conf.splitlines() if line.split()[:1] == ["search"]]
    return domain_of(searched[-1]) if searched else None


def name_servers(resolv_conf: str) -> list[str]:
    r"""Returns the servers that a pod's resolver file names.

    Example:
        >>> name_servers("search svc.cluster.local\nnameserver 10.96.0.10\n# nameserver 192.0.2.1\n")
        ['10.96.0.10']
    """
    lines = (line.split() for line in resolv_conf.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def domain_of(search: Sequence[str]) -> str | None:
    """Returns the cluster's DNS domain, read from a pod's search list; None when it has none.

    A kubelet writes `NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN` and what it found on its node behind that, with a dot at
    the end where its own setting has one.

    Example:
        >>> domain_of(["svc.svc.corp.example.", "svc.corp.example.", "corp.example."])
        'corp.example'
    """
    words = [word.rstrip(".") for word in search]
    ours = [second for first, second in pairwise(words) if second.startswith("svc.") and first.endswith(f".{second}")]
    return next((word[4:] for word in (*ours, *words) if word.startswith("svc.")), None)


def entry_nodes(nodes: Iterable[Object]) -> list[Object]:
    """Returns the nodes at whose NodePorts an answer is due: those that pods of ours can run on, cordoned and tainted
    ones too. Nobody promises one at a node that is not ready, virtual, or runs another system.
    """
    return [node for node in nodes if not cannot_run(node)]


def sentences(problems: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """Returns one sentence for each thing that has problems: `'node1': Ready is False (…)`."""
    return [f"'{name}': {'; '.join(texts)}" for name, texts in problems if texts]
