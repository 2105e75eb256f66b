"""Goals of waits: what counts as reached, and what tells that a goal cannot be reached any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import jsonpath
from NetLibrary._mechanics.kube.why_not_ready import (
    Hopeless,
    Lasting,
    exit_text,
    has_ended,
    is_ready,
    is_replaced,
    is_steady,
    newest,
    problem,
)

Object = dict[str, Any]


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
    """Goal: no object is left. Says what keeps those that are: finalizers, and a namespace's own conditions."""

    def goal(objects: list[Object]) -> Outcome:
        names = sorted(o["metadata"]["name"] for o in objects)
        if not names:
            return Done()
        why = [reason for o in objects[:5] for reason in _kept_by(o)]
        return Pending(f"{len(names)} left ({', '.join(names[:5])})" + (f": {'; '.join(why)}" if why else ""))

    return goal


def _kept_by(obj: Object) -> list[str]:
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp"):
        return []
    said = [
        str(entry.get("message") or entry.get("reason"))
        for entry in (obj.get("status") or {}).get("conditions") or []
        if obj.get("kind") in ("Namespace", None)
        and entry.get("status") == "True"
        and entry["type"].startswith("Namespace")
    ]
    finalizers = ", ".join(f"'{each}'" for each in metadata.get("finalizers") or [])
    return said + ([f"'{metadata['name']}' is kept by the finalizer {finalizers}"] if finalizers else [])


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


def field(path: str, expected: str | None = None) -> Goal:
    """Goal: a field of the (one) object has a value, or any value at all; the value is the object's.

    Args:
        path: Path of the field, see `jsonpath.py`.
        expected: Its value as kubectl prints it.
    """

    def goal(objects: list[Object]) -> Outcome:
        if not objects:
            return Pending("not there yet")
        found = jsonpath.values(objects[0], path)
        seen = [jsonpath.text(value) for value in found]
        if found and (expected is None or seen == [expected]):
            return Done(found[0])
        return Pending(f"{path} is {', '.join(map(repr, seen)) if seen else 'not set'}")

    return goal


def pods_ready(count: int = 1, *, now: Callable[[], float] = time.time) -> Goal:
    """Goal: `count` pods are ready; fails when one of them evidently never will be. Value: the ready pods.

    Of the pods of a Deployment those of its newest template count. With `count` 0, no pod may be left.

    Args:
        count: How many.
        now: Tells the cluster's time (`Cluster.now`), by which a restart was just now or a while ago.

    Raises:
        InputError: The count is below 0: no pod at all would be enough.
    """
    if count < 0:
        raise InputError(f"count is {count}; allowed: 0 and more.")
    hopeless, steady = Hopeless(), Lasting()

    def goal(pods: list[Object]) -> Outcome:
        if count == 0:
            left = sorted(pod["metadata"]["name"] for pod in pods if not has_ended(pod))
            return Pending(f"{len(left)} left ({', '.join(left[:5])})") if left else Done([])
        live = newest([pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and not is_replaced(pod)])
        ready = [pod for pod in live if is_ready(pod) and is_steady(pod, now(), steady)]
        if len(ready) >= count:
            return Done(ready)
        reasons = {pod["metadata"]["name"]: problem(pod) for pod in live if pod not in ready}
        for name, trouble in reasons.items():
            if hopeless.is_it(name, trouble):
                return Failed(f"pod '{name}' cannot get ready: {trouble.text}")
        detail = "; ".join(f"{name}: {reasons[name].text}" for name in sorted(reasons)[:3])
        return Pending(f"{len(ready)}/{count} ready" + (f" ({detail})" if detail else "" if live else ", no pod there"))

    return _about_readiness(goal) if count else goal


def pod_ready_or_succeeded(*, now: Callable[[], float] = time.time) -> Goal:
    """Goal: the (one) pod is ready, or ran to a good end; fails when it evidently never will. Value: the pod."""
    ready, ended = pods_ready(1, now=now), pod_ended()

    def goal(pods: list[Object]) -> Outcome:
        over = ended(pods)
        if not isinstance(over, Done):
            return over if isinstance(over, Failed) else ready(pods)
        if (pods[0].get("status") or {}).get("phase") == "Succeeded" or _all_ended_well(pods[0]):
            return Done(pods[0])
        return Failed(f"pod '{pods[0]['metadata']['name']}' has ended: {exit_text(pods[0])}")

    return _about_readiness(goal)


def _all_ended_well(pod: Object) -> bool:
    states = [c.get("state") or {} for c in pod.get("status", {}).get("containerStatuses") or []]
    return bool(states) and all((state.get("terminated") or {}).get("exitCode") == 0 for state in states)


def about_start(goal: Goal) -> Goal:
    """Marks a goal whose pods must start: an image that their node could not pull before ends the wait."""
    goal.start = True  # type: ignore[attr-defined]
    return goal


def _about_completion(goal: Goal) -> Goal:
    """Marks a goal as one of pods that run to their end: what certainly keeps them from starting ends the wait."""
    goal.completion = True  # type: ignore[attr-defined]
    return goal


def _about_readiness(goal: Goal) -> Goal:
    """Marks a goal as one of pods that get ready: what certainly keeps them from it ends the wait."""
    goal.readiness = True  # type: ignore[attr-defined]
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
        text = f"{available}/{wanted} available, {updated} of the newest template"
        paused = obj["spec"].get("paused") and updated < wanted
        return Pending(f"{text}; it is paused, until somebody resumes it (spec.paused)" if paused else text)

    return _about_readiness(goal)


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

    return _about_readiness(goal)


def statefulset_rolled_out() -> Goal:
    """Goal: every pod of the StatefulSet is ready and, as far as its partition lets, runs the newest template."""

    def goal(objects: list[Object]) -> Outcome:
        if not objects:
            return Pending("not there yet")
        obj, status = objects[0], objects[0].get("status", {})
        strategy = obj["spec"].get("updateStrategy") or {}
        wanted, ready = obj["spec"].get("replicas", 1), status.get("readyReplicas", 0)
        held = (strategy.get("rollingUpdate") or {}).get("partition") or 0
        if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 1):
            return Pending("the controller has not seen it yet")
        one_revision = status.get("updateRevision") == status.get("currentRevision")
        renewed = wanted if one_revision or strategy.get("type") == "OnDelete" else status.get("updatedReplicas", 0)
        if status.get("replicas", 0) == wanted and ready >= wanted and renewed >= wanted - held:
            return Done(obj)
        return Pending(f"{ready}/{wanted} ready, {renewed} of the newest template")

    return _about_readiness(goal)


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

    return _about_completion(goal)


def job_complete() -> Goal:
    """Goal: the Job has completed; fails with the controller's words when it has failed. Value: the Job."""
    finished = job_finished()

    def goal(objects: list[Object]) -> Outcome:
        outcome = finished(objects)
        if not isinstance(outcome, Done):
            return outcome
        for entry in outcome.value["status"]["conditions"]:
            if entry["type"] in ("Failed", "FailureTarget") and entry["status"] == "True":
                return Failed(f"it failed: {entry.get('message') or entry.get('reason') or 'no reason given'}")
        return outcome

    return _about_completion(goal)


def pod_ended(container: str | None = None) -> Goal:
    """Goal: the (one) pod ran to its end, well or not; fails when it evidently never starts. Value: the pod.

    Args:
        container: The one whose end counts, so that sidecars beside it may go on; all of the pod's by default.
    """
    hopeless = Hopeless()

    def goal(pods: list[Object]) -> Outcome:
        if not pods:
            return Pending("no pod yet")
        pod = pods[0]
        # The kubelet shows the end of the containers about a second before it changes the phase
        if has_ended(pod) or _ran_out(pod, container):
            return Done(pod)
        trouble = problem(pod)
        if hopeless.is_it(pod["metadata"]["uid"], trouble):
            return Failed(f"pod '{pod['metadata']['name']}' cannot start: {trouble.text}")
        running = any(c.get("state", {}).get("running") for c in pod.get("status", {}).get("containerStatuses") or [])
        return Pending("running" if running else trouble.text)

    return about_start(goal)


def _ran_out(pod: Object, container: str | None) -> bool:
    """Tells whether the containers that count have ended and will not be started again."""
    states = {c.get("name"): c.get("state") or {} for c in pod.get("status", {}).get("containerStatuses") or []}
    if pod["spec"].get("restartPolicy") != "Never":
        return False
    if container is not None:
        return bool(states.get(container, {}).get("terminated"))
    return len(states) == len(pod["spec"]["containers"]) and all(s.get("terminated") for s in states.values())
