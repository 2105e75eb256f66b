"""Goals of waits: what counts as reached, and what tells that a goal cannot be reached any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Object = dict[str, Any]
# How long a pod may sit in a bad state that sometimes passes (a pull that is retried, a node that is added).
PATIENCE = 10.0
# Shorter where a registry or the name service has said what no later try of the same pull will change.
SECOND_LOOK = 2.0
DEFINITE = ("no such host", "not found", "manifest unknown", "access denied", "InvalidImageName", "ErrImageNeverPull")
# A container without a readiness probe is ready as soon as it runs, also the moment before it crashes again. One that
# was restarted a short while ago counts only after it has stayed ready for so long.
STEADY = 3.0
RECENTLY = 30.0


@dataclass(frozen=True)
class Done:
    """The goal is reached; `value` becomes the result of the wait."""

    value: Any = None


@dataclass(frozen=True)
class Pending:
    """Not yet; `text` says where things stand and is logged whenever it changes."""

    text: str


@dataclass(frozen=True)
class Failed:
    """The goal is out of reach; `text` says why."""

    text: str


Outcome = Done | Pending | Failed
Goal = Callable[[list[Object]], Outcome]


def gone() -> Goal:
    """Goal: no object is left."""

    def goal(objects: list[Object]) -> Outcome:
        names = sorted(o["metadata"]["name"] for o in objects)
        return Pending(f"{len(names)} left ({', '.join(names[:5])})") if names else Done()

    return goal


def exists() -> Goal:
    """Goal: at least one object is there; its value is the first."""
    return lambda objects: Done(objects[0]) if objects else Pending("not there yet")


def condition(kind: str, status: str = "True") -> Goal:
    """Goal: the (one) object has a condition of that type with that status."""

    def goal(objects: list[Object]) -> Outcome:
        if not objects:
            return Pending("not there yet")
        for entry in objects[0].get("status", {}).get("conditions", []):
            if entry["type"] == kind:
                if entry["status"] == status:
                    return Done(objects[0])
                return Pending(f"{kind} is {entry['status']}: {entry.get('message') or entry.get('reason') or '-'}")
        return Pending(f"condition {kind} is not set yet")

    return goal


def pods_ready(count: int = 1) -> Goal:
    """Goal: `count` pods are ready; fails when one of them evidently never will be. Value: the ready pods."""
    trouble, steady = _Lasting(), _Lasting()

    def settled(pod: Object) -> bool:
        restarts = _recent_restarts(pod)
        return not restarts or steady.lasts(f"{pod['metadata']['uid']} {restarts}", STEADY)

    def goal(pods: list[Object]) -> Outcome:
        live = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and not _replaced(pod)]
        ready = [pod for pod in live if is_ready(pod) and settled(pod)]
        if len(ready) >= count:
            return Done(ready)
        reasons = {pod["metadata"]["name"]: problem(pod) for pod in live if pod not in ready}
        for name, (text, lost) in reasons.items():
            if lost and trouble.final(name, text):
                return Failed(f"pod '{name}' cannot get ready: {text}")
        detail = "; ".join(f"{name}: {text}" for name, (text, _) in sorted(reasons.items())[:3])
        return Pending(f"{len(ready)}/{count} ready" + (f" ({detail})" if detail else ""))

    return goal


def deployment_available() -> Goal:
    """Goal: the newest ReplicaSet of the Deployment is fully there (as `kubectl rollout status` says)."""

    def goal(objects: list[Object]) -> Outcome:
        if not objects:
            return Pending("not there yet")
        obj, status = objects[0], objects[0].get("status", {})
        wanted = obj["spec"].get("replicas", 1)
        if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 1):
            return Pending("the controller has not seen it yet")
        for entry in status.get("conditions", []):
            if entry["type"] == "Progressing" and entry.get("reason") == "ProgressDeadlineExceeded":
                return Failed(entry.get("message", "its progress deadline is exceeded"))
        updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
        available = status.get("availableReplicas", 0)
        if updated >= wanted and total <= updated and available >= updated:
            return Done(obj)
        return Pending(f"{available}/{wanted} available, {updated} of the newest template")

    return goal


def daemonset_rolled_out() -> Goal:
    """Goal: every pod of the DaemonSet runs the newest template and is available."""

    def goal(objects: list[Object]) -> Outcome:
        if not objects:
            return Pending("not there yet")
        obj, status = objects[0], objects[0].get("status", {})
        wanted = status.get("desiredNumberScheduled", 0)
        if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 1):
            return Pending("the controller has not seen it yet")
        updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
        if updated >= wanted and available >= wanted:
            return Done(obj)
        return Pending(f"{available}/{wanted} available, {updated} of the newest template")

    return goal


def job_finished() -> Goal:
    """Goal: the Job ended, well or not; the value is the Job, its conditions tell which."""

    def goal(objects: list[Object]) -> Outcome:
        if not objects:
            return Pending("not there yet")
        status = objects[0].get("status", {})
        for entry in status.get("conditions", []):
            if entry["status"] == "True" and entry["type"] in (
                "Complete",
                "SuccessCriteriaMet",
                "Failed",
                "FailureTarget",
            ):
                return Done(objects[0])
        return Pending(f"{status.get('active', 0)} active, {status.get('failed', 0)} failed")

    return goal


def pod_ended() -> Goal:
    """Goal: the (one) pod ran to its end, well or not; fails when it evidently never starts. Value: the pod."""
    trouble = _Lasting()

    def goal(pods: list[Object]) -> Outcome:
        if not pods:
            return Pending("no pod yet")
        pod = pods[0]
        # The kubelet shows the end of the containers about a second before it changes the phase
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed") or _ran_out(pod):
            return Done(pod)
        text, lost = problem(pod)
        if lost and trouble.final(pod["metadata"]["uid"], text):
            return Failed(f"pod '{pod['metadata']['name']}' cannot start: {text}")
        running = any(c.get("state", {}).get("running") for c in pod.get("status", {}).get("containerStatuses", []))
        return Pending("running" if running else text)

    return goal


def _ran_out(pod: Object) -> bool:
    """Tells whether all containers have ended and none will be started again."""
    states = [c.get("state") or {} for c in pod.get("status", {}).get("containerStatuses", [])]
    never = pod["spec"].get("restartPolicy") == "Never"
    return never and len(states) == len(pod["spec"]["containers"]) and all(s.get("terminated") for s in states)


def _recent_restarts(pod: Object) -> int:
    """Returns how often the containers were restarted, 0 when the last time was a while ago by the wall clock."""
    found = 0
    for container in pod.get("status", {}).get("containerStatuses", []):
        started = ((container.get("state") or {}).get("running") or {}).get("startedAt")
        if container.get("restartCount") and started and time.time() - _seconds(started) < RECENTLY:
            found += int(container["restartCount"])
    return found


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def _replaced(pod: Object) -> bool:
    """Tells whether a pod has ended and its controller makes another one, for instance after an eviction."""
    owners = pod["metadata"].get("ownerReferences") or []
    ended = pod.get("status", {}).get("phase") in ("Failed", "Succeeded")
    return ended and any(o.get("controller") and o.get("kind") != "Job" for o in owners)


def is_ready(pod: Object) -> bool:
    """Tells whether a pod's Ready condition is true."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def problem(pod: Object) -> tuple[str, bool]:
    """Returns what keeps a pod from being ready, and whether that state is usually final."""
    status = pod.get("status", {})
    if is_ready(pod):
        return f"it is ready, but was restarted {_recent_restarts(pod)} times, just now", False
    if status.get("phase") in ("Failed", "Succeeded"):
        return f"it ended ({status['phase']}): {status.get('message') or status.get('reason') or exit_text(pod)}", True
    for entry in status.get("conditions", []):
        if entry["type"] == "PodScheduled" and entry["status"] == "False":
            return f"Unschedulable: {entry.get('message', entry.get('reason', ''))}", True
    for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            text = f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
            if waiting["reason"] == "CrashLoopBackOff":
                text += f" ({exit_text(pod)})"
            return f"container '{container['name']}' is {text}", True
    for container in status.get("containerStatuses", []):
        if container.get("state", {}).get("terminated"):
            return f"container '{container['name']}' ended: {exit_text(pod)}", False
        if not container.get("ready") and container.get("state", {}).get("running"):
            return f"container '{container['name']}' runs but is not ready", False
    return status.get("phase", "Pending"), False


def exit_text(pod: Object) -> str:
    """Returns how the pod's containers ended last, for instance `exit code 137, OOMKilled`."""
    for container in pod.get("status", {}).get("containerStatuses", []):
        for state in (container.get("state", {}), container.get("lastState", {})):
            ended = state.get("terminated")
            if ended and (ended.get("exitCode") or ended.get("reason") not in (None, "Completed")):
                return f"exit code {ended.get('exitCode')}, {ended.get('reason', 'no reason given')}"
    return "no exit status known"


class _Lasting:
    """Remembers since when each trouble is known.

    A break in between does not count: a container that crashes again and again runs for a moment each time.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def lasts(self, key: str, seconds: float) -> bool:
        now = time.monotonic()
        return now - self._since.setdefault(key, now) >= seconds

    def final(self, pod: str, text: str) -> bool:
        """Tells whether what `problem` said of a pod has lasted long enough to give it up."""
        state = text.partition(":")[0]
        # one trouble under two names, which take turns at every try
        state = state.replace("ImagePullBackOff", "ErrImagePull")
        pull = "ErrImage" in state or "InvalidImageName" in state
        definite = pull and any(words in text for words in DEFINITE)
        return self.lasts(f"{pod}: {state}", min(SECOND_LOOK, PATIENCE) if definite else PATIENCE)
