"""Why a pod is not ready, told from the pod itself; and when it is certain that it never will be.

The table of states, words and times is in docs/waits.md. What only other objects tell (events, nodes, controllers) is
in `hindrances.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from NetLibrary._mechanics import images
from NetLibrary._mechanics.kube import times
from NetLibrary._mechanics.kube.remedies import remedy
from NetLibrary._mechanics.secrets import tail

Object = dict[str, Any]
# How long a pod may sit in a bad state that sometimes passes (a pull is retried, a ConfigMap is still to come).
PATIENCE = 10.0
# Shorter where nothing that comes later can change the state: one more look, in case that it was seen half made.
SECOND_LOOK = 2.0
PULLS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
DEFINITE_PULLS = ("InvalidImageName", "ErrImageNeverPull")
DEFINITE_WORDS = (
    "no such host", "not found", "manifest unknown", "access denied", "unauthorized", "authorization failed",
    "name unknown", "no match for platform", "no basic auth credentials", "403 Forbidden",
)  # fmt: skip
CRASH_LOOP = "CrashLoopBackOff"
ENDED = "ended"
# Waiting states that every start goes through
_STARTING = (None, "", "ContainerCreating", "PodInitializing")
# A restart longer ago than this says nothing about the container that runs now.
RECENTLY = 30.0
# A container without a readiness probe is ready as soon as it runs, also the moment before it crashes again. One that
# was restarted a short while ago counts only after it has stayed ready for so long.
STEADY = 3.0


@dataclass(frozen=True)
class Trouble:
    """Why a pod is not ready.

    Args:
        text: The reason in words, for messages.
        reason: Kubernetes' own word for a state that usually does not pass, for instance `ErrImagePull`; else empty.
        container: Whose state it is; empty when it is the pod's.
        restarts: How often that container has been started again.
        ended_again: Whether the container has ended and is about to be started again.
    """

    text: str
    reason: str = ""
    container: str = ""
    restarts: int = 0
    ended_again: bool = False

    @property
    def usually_final(self) -> bool:
        """Tells whether most pods do not get out of this state."""
        return bool(self.reason)

    @property
    def never_starts(self) -> bool:
        """Tells whether the container was never started, so that nothing of it can end."""
        return self.reason in PULLS or self.reason.startswith("CreateContainer")

    @property
    def patience(self) -> float:
        """Seconds after which the pod is given up."""
        said = self.reason in PULLS and any(words in self.text for words in DEFINITE_WORDS)
        definite = said or self.reason in DEFINITE_PULLS or self.reason == ENDED
        return min(SECOND_LOOK, PATIENCE) if definite else PATIENCE


class Lasting:
    """Remembers since when something is known.

    A break in between does not count: a container that crashes again and again runs for a moment each time.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._ends: dict[str, float] = {}

    def lasts(self, key: str, seconds: float) -> bool:
        """Tells whether it has been known for so many seconds; it is known from the first question on."""
        now = time.monotonic()
        self._ends[key] = self._since.setdefault(key, now) + seconds
        return now >= self._ends[key]

    def next_end(self) -> float:
        """Returns when the next of what was asked for will have lasted long enough; infinity if there is none."""
        now = time.monotonic()
        return min((end for end in self._ends.values() if end > now), default=math.inf)


class Hopeless:
    """Remembers the troubles of pods and tells which of them will not pass."""

    def __init__(self, lasting: Lasting | None = None) -> None:
        self._lasting = lasting or Lasting()
        self._restarts: dict[str, int] = {}

    def is_it(self, pod: str, trouble: Trouble) -> bool:
        """Tells whether a pod will certainly not get ready.

        A container that crashed may have waited for something that is there now. It is given up when it was started
        once more, while somebody looked, and crashed again.
        """
        crashed = f"{pod}/{trouble.container}"
        if trouble.reason == CRASH_LOOP or trouble.ended_again:  # which of them is shown differs by kubelet
            first = self._restarts.setdefault(crashed, trouble.restarts)
            # the first two ends come within a second, before there is any pause
            return trouble.restarts > first and trouble.restarts >= 2
        # one trouble under two names, which take turns at every try
        reason = "ErrImagePull" if trouble.reason == "ImagePullBackOff" else trouble.reason
        return trouble.usually_final and self._lasting.lasts(f"{pod}: {reason}", trouble.patience)


def is_ready(pod: Object) -> bool:
    """Tells whether a pod's Ready condition is true."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions") or [])


def has_ended(pod: Object) -> bool:
    """Tells whether a pod has ended, for instance because it was evicted; it is an object still, and stays ended."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def goes(obj: Object) -> bool:
    """Tells whether an object is on its way out."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def problem(pod: Object) -> Trouble:
    """Returns what keeps a pod from being ready."""
    if is_ready(pod):
        return Trouble(f"it is ready, but was restarted {_restarts(pod)} times, the last time just now")
    status = pod.get("status", {})
    if has_ended(pod):
        said = status.get("message") or status.get("reason") or exit_text(pod)
        jobs = any(o.get("kind") == "Job" for o in pod["metadata"].get("ownerReferences") or [])  # makes another one
        return Trouble(f"it ended ({status['phase']}): {said}{remedy(said)}", status["phase"] if jobs else ENDED)
    for entry in status.get("conditions") or []:
        if entry["type"] == "PodScheduled" and entry["status"] == "False":
            return _unscheduled(pod, entry)
    containers = list(_containers(pod))
    for look in (_stuck, _over, _unready):
        found = [trouble for each in containers if (trouble := look(pod, each)) is not None]
        if found:
            return _first_of(found) if look is _stuck else found[0]
    return _ready_but_for(pod, containers)


def _first_of(found: Sequence[Trouble]) -> Trouble:
    """Returns the trouble that is certain first, in the words of all: mending one alone helps nobody."""
    found = sorted(found, key=lambda trouble: (trouble.reason == CRASH_LOOP, trouble.patience))
    return replace(found[0], text="; ".join(trouble.text for trouble in found))


# --- one container ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Container:
    word: str  # "container 'web'", "init container 'wait'", "sidecar 'istio-proxy'"
    init: bool
    status: Object

    @property
    def name(self) -> str:
        return str(self.status.get("name", ""))

    @property
    def state(self) -> Object:
        return self.status.get("state") or {}

    def exit(self) -> str:
        return _exit(self.status) or "no exit status known"

    def trouble(self, text: str, reason: str = "") -> Trouble:
        return Trouble(text, reason, self.name, int(self.status.get("restartCount") or 0))


def _containers(pod: Object) -> Iterator[_Container]:
    status, spec = pod.get("status", {}), pod.get("spec") or {}
    sidecars = {c["name"] for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"}
    for entry in status.get("initContainerStatuses") or []:
        sidecar = entry.get("name") in sidecars
        yield _Container(f"{'sidecar' if sidecar else 'init container'} '{entry['name']}'", not sidecar, entry)
    for entry in status.get("containerStatuses") or []:
        yield _Container(f"container '{entry['name']}'", False, entry)


def _stuck(pod: Object, container: _Container) -> Trouble | None:
    """A container that cannot be started, or crashes again and again."""
    waiting = container.state.get("waiting") or {}
    reason = waiting.get("reason")
    if reason in _STARTING:
        return None
    text = f"{container.word} is {reason}: {waiting.get('message', '')}".rstrip(": ")
    if reason == CRASH_LOOP:
        text += f" ({container.exit()})"
    if reason in PULLS:
        text = f"{text.rstrip('.')}{images.help_for(str(container.status.get('image', '')))}"
    return container.trouble(text + remedy(text), str(reason))


def _over(pod: Object, container: _Container) -> Trouble | None:
    """A container that has ended although it should not have, or whose next start is due."""
    ended = container.state.get("terminated")
    if not ended or (container.init and not ended.get("exitCode")):
        return None
    policy = (pod.get("spec") or {}).get("restartPolicy", "Always")
    stays = policy == "Never" or (policy == "OnFailure" and not ended.get("exitCode"))
    final = ENDED if stays and not container.init else ""
    return replace(container.trouble(f"{container.word} ended: {container.exit()}", final), ended_again=not stays)


def _unready(pod: Object, container: _Container) -> Trouble | None:
    if "running" not in container.state:
        return None
    if container.init:
        return container.trouble(f"{container.word} still runs")
    if container.status.get("ready"):
        return None
    if container.status.get("started") is False:
        return container.trouble(f"{container.word} runs but has not passed its startup probe")
    return container.trouble(f"{container.word} runs but is not ready")


# --- the pod ------------------------------------------------------------------------------------------------


def _unscheduled(pod: Object, entry: Object) -> Trouble:
    if entry.get("reason") == "SchedulingGated":
        gates = ", ".join(f"'{gate['name']}'" for gate in (pod.get("spec") or {}).get("schedulingGates") or [])
        return Trouble(f"it waits for its scheduling gates {gates}")
    # A node may join, become free or get a label: as long as somebody wants to wait it is not lost
    said = str(entry.get("message") or entry.get("reason", ""))
    return Trouble(f"Unschedulable: {said}{remedy(said)}")


def _ready_but_for(pod: Object, containers: list[_Container]) -> Trouble:
    status, spec = pod.get("status", {}), pod.get("spec") or {}
    known = {entry["type"]: entry for entry in status.get("conditions") or []}
    regular = [each for each in containers if not each.init]
    if regular and all(each.status.get("ready") for each in regular):
        for gate in spec.get("readinessGates") or []:
            entry = known.get(gate["conditionType"], {})
            if entry.get("status") != "True":
                said = entry.get("message") or entry.get("reason") or ("not set" if not entry else entry.get("status"))
                return Trouble(f"its readiness gate '{gate['conditionType']}' is not true ({said})")
        ready = known.get("Ready", {})
        said = ready.get("message") or ready.get("reason")
        where = f" on node '{spec['nodeName']}'" if spec.get("nodeName") else ""
        return Trouble(f"its containers are ready, but it is not{where}" + (f" ({said})" if said else ""))
    creating = next(
        (c.state["waiting"]["reason"] for c in containers if (c.state.get("waiting") or {}).get("reason")), ""
    )
    if not containers and spec.get("nodeName"):
        return Trouble(f"node '{spec['nodeName']}' has not started it yet")
    return Trouble(creating or status.get("phase") or "Pending")


def recent_restarts(pod: Object, now: float) -> int:
    """Returns how often the containers were restarted, those left out whose last start was a while ago.

    Args:
        pod: The Pod object.
        now: Present time by the cluster's clock, in seconds since 1970.
    """
    found = 0
    for container in pod.get("status", {}).get("containerStatuses") or []:
        started = ((container.get("state") or {}).get("running") or {}).get("startedAt")
        if container.get("restartCount") and started and now - (times.seconds(started) or 0.0) < RECENTLY:
            found += int(container["restartCount"])
    return found


def is_steady(pod: Object, now: float, steady: Lasting) -> bool:
    """Tells whether a ready pod counts as such: it was not restarted just now, or has stayed ready since.

    Args:
        pod: The Pod object.
        now: Present time by the cluster's clock, in seconds since 1970.
        steady: What the wait remembers of such pods.
    """
    restarts = recent_restarts(pod, now)
    return not restarts or steady.lasts(f"{pod['metadata']['uid']} {restarts}", STEADY)


def has_just_crashed(pod: Object, steady: Lasting) -> bool:
    """Tells whether a container that was restarted before does not run now, and did not for no longer than a moment.

    Args:
        pod: The Pod object.
        steady: What the wait remembers of such pods.
    """
    statuses = pod.get("status", {}).get("containerStatuses") or []
    crashed = any(each.get("restartCount") and not (each.get("state") or {}).get("running") for each in statuses)
    return crashed and not has_ended(pod) and not steady.lasts(f"{pod['metadata']['uid']} crashed", STEADY)


def _restarts(pod: Object) -> int:
    return sum(int(c.get("restartCount") or 0) for c in pod.get("status", {}).get("containerStatuses") or [])


def exit_text(pod: Object) -> str:
    """Returns how the pod's containers ended, the bad ends only, for instance `exit code 137, OOMKilled`."""
    found = {c.word: _exit(c.status) for c in _containers(pod)}
    bad = {word: text for word, text in found.items() if text}
    if len(found) == 1 and bad:
        return next(iter(bad.values()))
    return "; ".join(f"{word}: {text}" for word, text in bad.items()) or "no exit status known"


def _exit(status: Object) -> str:
    for state in (status.get("state") or {}, status.get("lastState") or {}):
        ended = state.get("terminated")
        if ended and (ended.get("exitCode") or ended.get("reason") not in (None, "Completed")):
            text = f"exit code {ended.get('exitCode')}, {ended.get('reason', 'no reason given')}"
            return f"{text}: {tail(ended['message'].strip(), 300)}" if ended.get("message") else text
    for state in (status.get("state") or {}, status.get("lastState") or {}):
        if state.get("terminated"):
            return "exit code 0, Completed"
    return ""


# --- several pods -------------------------------------------------------------------------------------------


def newest(pods: list[Object]) -> list[Object]:
    """Leaves out the pods of a Deployment's older templates, which a rollout replaces.

    Of the ReplicaSets of one Deployment the newest is the one whose first pod was made last.
    """
    born: dict[str, dict[str, str]] = {}
    for pod in pods:
        deployment, replica_set = _template(pod)
        if deployment:
            stamp = str(pod["metadata"].get("creationTimestamp") or "")
            known = born.setdefault(deployment, {})
            known[replica_set] = min(stamp, known.get(replica_set, stamp))
    latest = {name: max(known, key=lambda each: known[each]) for name, known in born.items()}
    return [pod for pod in pods if _template(pod)[1] == latest.get(_template(pod)[0], "")]


def _template(pod: Object) -> tuple[str, str]:
    """Returns the names of a pod's Deployment and ReplicaSet, empty texts for other pods."""
    labels = pod["metadata"].get("labels") or {}
    for owner in pod["metadata"].get("ownerReferences") or []:
        if owner.get("kind") == "ReplicaSet" and owner.get("controller") and "pod-template-hash" in labels:
            name = str(owner.get("name", ""))
            return name.removesuffix(f"-{labels['pod-template-hash']}"), name
    return "", ""


def is_replaced(pod: Object) -> bool:
    """Tells whether a pod has ended and its controller makes another one, for instance after an eviction."""
    owners = pod["metadata"].get("ownerReferences") or []
    return has_ended(pod) and any(o.get("controller") and o.get("kind") != "Job" for o in owners)
