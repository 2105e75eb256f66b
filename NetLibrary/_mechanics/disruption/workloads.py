"""Disturbances of a cluster that need nothing but its API; each returns when it is really over."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import times
from NetLibrary._mechanics.kube.wait import (
    Done,
    Goal,
    Outcome,
    Pending,
    daemonset_rolled_out,
    deployment_available,
)
from NetLibrary._mechanics.kube.why_not_ready import has_ended, is_ready

Say = Callable[[str], None]
ROLLOUTS: dict[str, Callable[[], Goal]] = {"Deployment": deployment_available, "DaemonSet": daemonset_rolled_out}
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


def restart_workload(cluster: Any, kind: str, name: str, namespace: str, *, timeout: float, say: Say) -> None:
    """Restarts a Deployment or DaemonSet as `kubectl rollout restart` does, and waits for the rollout by watching.

    Raises:
        InputError: The kind cannot be restarted.
        WaitFailed: The rollout cannot succeed any more.
        WaitTimeout: It did not end in time.
    """
    if kind not in ROLLOUTS:
        raise InputError(f"kind is '{kind}'; allowed are {', '.join(ROLLOUTS)}.")
    stamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: stamp}}}}}
    changed = cluster.patch(kind, name, namespace, body, strategy="strategic")
    if changed["spec"].get("updateStrategy", {}).get("type") == "OnDelete":
        raise InputError(
            f"DaemonSet '{namespace}/{name}' has the update strategy OnDelete: a rollout restarts nothing; "
            "use 'Delete Pods And Wait'."
        )
    cluster.wait(
        kind,
        namespace,
        _of_generation(ROLLOUTS[kind](), changed["metadata"].get("generation", 0)),
        name=name,
        timeout=timeout,
        what=f"Rollout of {kind} '{namespace}/{name}'",
        progress=say,
    )


def _of_generation(goal: Goal, generation: int) -> Goal:
    """Makes sure that the goal is judged on what came after our change, not on a watch that lags behind."""

    def newer(objects: list[dict[str, Any]]) -> Outcome:
        if objects and objects[0]["metadata"].get("generation", 0) < generation:
            return Pending("the change is not seen yet")
        return goal(objects)

    return newer


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
        raise InputError(f"labels '{labels}' fit no pod in namespace '{namespace}'.")
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
        since: Seconds of the wall clock; a report from before that may be stale. Now by default.
    """
    moment = time.time() if since is None else since

    def goal(nodes: list[dict[str, Any]]) -> Outcome:
        if not nodes:
            return Pending("not there")
        for entry in nodes[0].get("status", {}).get("conditions", []):
            if entry["type"] == "Ready":
                beat = times.seconds(entry.get("lastHeartbeatTime")) or 0.0
                if entry["status"] == "True" and beat >= int(moment):
                    return Done()
                return Pending(
                    f"Ready is {entry['status']} ({entry.get('reason', '')}), heard {time.time() - beat:.0f} s ago"
                )
        return Pending("no condition Ready")

    cluster.wait("Node", None, goal, name=node, timeout=timeout, what=f"Node '{node}' ready", progress=say)
