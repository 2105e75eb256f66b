"""What keeps a pod from being ready, and for how long that may go on before it is given up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.kube import times

Object = dict[str, Any]
# How long a pod may sit in a bad state that sometimes passes (a pull that is retried, a node that is added).
PATIENCE = 10.0
# Shorter where a registry or the name service has said what no later try of the same pull will change.
SECOND_LOOK = 2.0
PULLS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
DEFINITE_PULLS = ("InvalidImageName", "ErrImageNeverPull")
DEFINITE_WORDS = ("no such host", "not found", "manifest unknown", "access denied")
# A restart longer ago than this says nothing about the container that runs now.
RECENTLY = 30.0


@dataclass(frozen=True)
class Trouble:
    """Why a pod is not ready.

    Args:
        text: The reason in words, for messages.
        reason: Kubernetes' own word for a state that usually does not pass, for instance `ErrImagePull`; else empty.
    """

    text: str
    reason: str = ""

    @property
    def usually_final(self) -> bool:
        """Tells whether most pods do not get out of this state."""
        return bool(self.reason)

    @property
    def patience(self) -> float:
        """Seconds after which the pod is given up."""
        said = self.reason in PULLS and any(words in self.text for words in DEFINITE_WORDS)
        return min(SECOND_LOOK, PATIENCE) if said or self.reason in DEFINITE_PULLS else PATIENCE


class Lasting:
    """Remembers since when something is known.

    A break in between does not count: a container that crashes again and again runs for a moment each time.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def lasts(self, key: str, seconds: float) -> bool:
        """Tells whether it has been known for so many seconds; it is known from the first question on."""
        now = time.monotonic()
        return now - self._since.setdefault(key, now) >= seconds


class Hopeless:
    """Remembers the troubles of pods and tells which have lasted too long."""

    def __init__(self) -> None:
        self._lasting = Lasting()

    def is_it(self, pod: str, trouble: Trouble) -> bool:
        """Tells whether a pod has been in that trouble for so long that it is given up."""
        # one trouble under two names, which take turns at every try
        reason = "ErrImagePull" if trouble.reason == "ImagePullBackOff" else trouble.reason
        return trouble.usually_final and self._lasting.lasts(f"{pod}: {reason}", trouble.patience)


def is_ready(pod: Object) -> bool:
    """Tells whether a pod's Ready condition is true."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def problem(pod: Object) -> Trouble:
    """Returns what keeps a pod from being ready."""
    status = pod.get("status", {})
    if is_ready(pod):
        return Trouble(f"it is ready, but was restarted {recent_restarts(pod)} times, just now")
    phase = status.get("phase")
    if phase in ("Failed", "Succeeded"):
        said = status.get("message") or status.get("reason") or exit_text(pod)
        return Trouble(f"it ended ({phase}): {said}", phase)
    for entry in status.get("conditions", []):
        if entry["type"] == "PodScheduled" and entry["status"] == "False":
            return Trouble(f"Unschedulable: {entry.get('message', entry.get('reason', ''))}", "Unschedulable")
    for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason")
        if reason not in (None, "ContainerCreating", "PodInitializing"):
            text = f"{reason}: {waiting.get('message', '')}".rstrip(": ")
            if reason == "CrashLoopBackOff":
                text += f" ({exit_text(pod)})"
            return Trouble(f"container '{container['name']}' is {text}", reason)
    for container in status.get("containerStatuses", []):
        if container.get("state", {}).get("terminated"):
            return Trouble(f"container '{container['name']}' ended: {exit_text(pod)}")
        if not container.get("ready") and container.get("state", {}).get("running"):
            return Trouble(f"container '{container['name']}' runs but is not ready")
    return Trouble(phase or "Pending")


def recent_restarts(pod: Object) -> int:
    """Returns how often the containers were restarted, 0 when the last time was a while ago by the wall clock."""
    found = 0
    for container in pod.get("status", {}).get("containerStatuses", []):
        started = ((container.get("state") or {}).get("running") or {}).get("startedAt")
        if container.get("restartCount") and started and time.time() - (times.seconds(started) or 0.0) < RECENTLY:
            found += int(container["restartCount"])
    return found


def exit_text(pod: Object) -> str:
    """Returns how the pod's containers ended last, for instance `exit code 137, OOMKilled`."""
    for container in pod.get("status", {}).get("containerStatuses", []):
        for state in (container.get("state", {}), container.get("lastState", {})):
            ended = state.get("terminated")
            if ended and (ended.get("exitCode") or ended.get("reason") not in (None, "Completed")):
                return f"exit code {ended.get('exitCode')}, {ended.get('reason', 'no reason given')}"
    return "no exit status known"
