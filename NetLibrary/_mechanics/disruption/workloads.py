"""Disturbances of a cluster that need nothing but its API; each returns when it is really over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import times
from NetLibrary._mechanics.kube.wait import Done, Outcome, Pending
from NetLibrary._mechanics.kube.why_not_ready import has_ended, is_ready

Say = Callable[[str], None]


def delete_pods(cluster: Any, namespace: str, labels: str, *, timeout: float, say: Say) -> int:
    """Deletes all pods with certain labels and waits until as many new ones are ready and the old ones are gone.

    Whose pods they are does not matter: whoever calls this has made sure that the cluster may be disturbed.

    Returns:
        How many were deleted, leaving out those that nobody makes again beside others.

    Raises:
        InputError: There is none.
    """
    # Pods that have ended, after an eviction for instance, are made again by nobody
    live = [pod for pod in cluster.list("Pod", namespace, labels=labels) if not has_ended(pod)]
    of_controllers = [any(o.get("controller") for o in p["metadata"].get("ownerReferences") or []) for p in live]
    made_again = sum(of_controllers) or len(live)
    old = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in live}
    if not old:
        raise InputError(f"labels '{labels}' match no pod in namespace '{namespace}'.")
    for name in old.values():
        cluster.delete("Pod", name, namespace, allow_foreign=True)

    def replaced(pods: list[dict[str, Any]]) -> Outcome:
        left = [pod for pod in pods if pod["metadata"]["uid"] in old]
        new = [pod for pod in pods if pod["metadata"]["uid"] not in old and is_ready(pod)]
        if not left and len(new) >= made_again:
            return Done()
        return Pending(f"{len(left)} old left, {len(new)} of {made_again} new ready")

    cluster.wait(
        "Pod",
        namespace,
        replaced,
        labels=labels,
        timeout=timeout,
        what=f"Replacement of pods '{labels}' in '{namespace}'",
        progress=say,
    )
    return made_again


def wait_node_ready(cluster: Any, node: str, *, timeout: float, say: Say, since: float | None = None) -> None:
    """Waits until a node reports ready, with a heartbeat that is younger than a moment.

    Args:
        cluster: The node's cluster.
        node: Its name.
        timeout: Seconds.
        say: Gets progress.
        since: Seconds by the cluster's clock; a report from before that may be stale. Now by default.
    """
    moment = cluster.now() if since is None else since

    def goal(nodes: list[dict[str, Any]]) -> Outcome:
        if not nodes:
            return Pending("not there")
        for entry in nodes[0].get("status", {}).get("conditions", []):
            if entry["type"] == "Ready":
                beat = times.seconds(entry.get("lastHeartbeatTime")) or 0.0
                if entry["status"] == "True" and beat >= int(moment):
                    return Done()
                return Pending(
                    f"Ready is {entry['status']} ({entry.get('reason', '')}), heard {cluster.now() - beat:.0f} s ago"
                )
        return Pending("no condition Ready")

    cluster.wait("Node", None, goal, name=node, timeout=timeout, what=f"Node '{node}' ready", progress=say)
