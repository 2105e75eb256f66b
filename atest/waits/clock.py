"""When it was certain, by the cluster's own times, that what a wait waits for will not come."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from robot.libraries.BuiltIn import BuiltIn

WAITS = {"Pod": "Wait Until Pods Are Ready", "Deployment": "Wait Until Deployment Is Available"}


def _cluster() -> Any:
    return BuiltIn().get_library_instance("NetLibrary").session.cluster()


def wait_should_give_up(
    kind: str, name: str, namespace: str, words: str, patience: float = 0, within: float = 5
) -> str:
    """Waits for pods with the label `app=<name>`, or for a Deployment, and holds its end against the cluster's times.

    Args:
        kind: `Pod` or `Deployment`.
        name: Label `app` of the pods, or name of the Deployment.
        namespace: Where they are.
        words: What the failure has to match.
        patience: Seconds after the state began during which it may still mend itself, as docs/waits.md has them.
        within: Seconds from certain to told.
    """
    begin = time.time()
    what = f"app={name}" if kind == "Pod" else name
    given = [namespace, what] if kind == "Pod" else [what, namespace]
    said = BuiltIn().run_keyword_and_expect_error(f"*{words}*", WAITS[kind], *given, "timeout=120s")
    told = time.time()
    assert "not reached within" not in said, f"It waited to its limit: {said}"
    sure = max(begin, _since(kind, name, namespace) + patience)
    after = told - sure
    # Times of the API are whole seconds
    assert -1.5 <= after <= within, f"told {after:.1f} s after it was certain; allowed: 0 to {within} s: {said}"
    return f"{after:.1f} s after it was certain: {said.splitlines()[0]}"


def wait_should_go_on(kind: str, name: str, namespace: str, words: str) -> str:
    """Waits for eight seconds for something that may still come, and holds the words at the end of it."""
    begin = time.time()
    what = f"app={name}" if kind == "Pod" else name
    given = [namespace, what] if kind == "Pod" else [what, namespace]
    said = BuiltIn().run_keyword_and_expect_error(f"*{words}*", WAITS[kind], *given, "timeout=8s")
    assert "not reached within 8 s" in said, f"It gave up: {said}"
    assert time.time() - begin >= 8
    return said.splitlines()[0]


def _since(kind: str, name: str, namespace: str) -> float:
    """Returns when the state began that the wait tells of: the last end of a container, or the first word about it."""
    cluster = _cluster()
    times = []
    for pod in cluster.list("Pod", namespace, labels=f"app={name}"):
        status = pod.get("status", {})
        both = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
        for container in both:
            for state in (container.get("state", {}), container.get("lastState", {})):
                if "terminated" in state and state["terminated"].get("exitCode"):
                    times.append(state["terminated"]["finishedAt"])
        if status.get("reason") == "Evicted":
            times += [each["lastTransitionTime"] for each in status["conditions"] if each["type"] == "DisruptionTarget"]
    if not times:
        times = _first_words(cluster, name, namespace)
    assert times, f"the cluster does not say since when {kind} '{name}' is so"
    return max(map(_seconds, times))


def _first_words(cluster: Any, name: str, namespace: str) -> list[str]:
    events = [
        event for event in cluster.list("Event", namespace)
        if event["involvedObject"].get("name", "").split("-")[0] == name and event.get("type") == "Warning"
    ]  # fmt: skip
    stamps = [event.get("firstTimestamp") or event.get("eventTime") or "" for event in events]
    return [min(filter(None, stamps))] if any(stamps) else []


def _seconds(stamp: str) -> float:
    return dt.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
