"""Waits for objects by watching them, with what stands in the way in the message. The goals are in `wait.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.hindrances import WORKLOADS, Advisor
from NetLibrary._mechanics.kube.reader import ClusterReader
from NetLibrary._mechanics.kube.wait import Done, Failed, Goal, Pending
from NetLibrary._mechanics.kube.watch import Watch, deadline_left
from NetLibrary._mechanics.kube.why_not_ready import Lasting, has_just_crashed, is_ready, is_steady
from NetLibrary._mechanics.polling import LongWait

# Goals that depend on time (a pull that keeps failing) are looked at again at least this often.
TICK = 1.0
# For so long a rollout's pods with the former image may still be there
REPLACED = 2.0
# Letters from which on a text is not by chance a part of another
TELLING = 12

Object = dict[str, Any]


@dataclass(frozen=True)
class Selection:
    """Which objects are watched.

    Args:
        kind: Their kind.
        namespace: Where; None for cluster-scoped kinds or all namespaces.
        name: Only this one.
        labels: Only those with these labels.
    """

    kind: str
    namespace: str | None
    name: str | None = None
    labels: str | None = None


def events(cluster: ClusterReader, selection: Selection, timeout: float) -> Iterator[tuple[str, Object]]:
    """Yields (event type, object), first the present state, for `timeout` seconds at the most."""
    deadline = time.monotonic() + timeout
    with _watch(cluster, selection) as stream:
        while (left := deadline_left(deadline)) > 0:
            event = stream.next(left)
            if event is not None and event[0] != "SYNCED":
                yield event


def wait(
    cluster: ClusterReader,
    selection: Selection,
    until: Goal,
    *,
    timeout: float,
    what: str,
    progress: Callable[[str], None] | None = None,
) -> Any:
    """Waits until a goal is reached; see `Cluster.wait`."""
    start = time.monotonic()
    objects: dict[str, Object] = {}
    said, state, synced = "", "no answer to the watch", False
    ready, ends = (bool(getattr(until, what_for, False)) for what_for in ("readiness", "completion"))
    advisor = Advisor(
        cluster, selection.kind, selection.namespace, selection.name, selection.labels, readiness=ready, completion=ends
    )
    steady, absences, told = Lasting(), cluster.connection.absences, LongWait(what, timeout)
    known = Lasting()
    pulls = cluster.connection.failed_pulls
    # A workload may get another image, and then has pods of both for a while
    starts = selection.kind == "Pod" and (ready or ends or bool(getattr(until, "start", False)))
    with _watch(cluster, selection) as stream:
        while True:
            more = absences.allowance(start, timeout)
            left = deadline_left(start + timeout + more)
            event = stream.next(min(left, TICK, advisor.due_in() if synced else TICK))
            while event is not None:
                synced = synced or event[0] == "SYNCED"
                _note(objects, event)
                event = stream.next(0.0)
            if synced:
                present = list(objects.values())
                outcome = until(present)
                if isinstance(outcome, Done):
                    unsteady = _restarted_just_now(cluster, advisor, present, steady) if ready else ""
                    if not unsteady:
                        return outcome.value
                    outcome = Pending(unsteady)
                failed = isinstance(outcome, Failed)
                certain = outcome.text if isinstance(outcome, Failed) else ""
                if starts and pulls and not certain:
                    again = pulls.again(advisor.pods(present))
                    certain = again if again and known.lasts(again, REPLACED) else ""
                state = outcome.text
                hints = advisor.look(present) if left > 0 and not certain else []
                certain = certain or next((hint.text for hint in hints if hint.certain), "")
                if certain:
                    pulls.remember(advisor.pods(present))
                    # A workload's controller tells that it gave up, and its pods why
                    words = advisor.at_the_end if failed and selection.kind in WORKLOADS else advisor.last_words
                    lines = [f"{what}: {certain.rstrip('.')}.", *words(present)]
                    raise errors.WaitFailed("\n".join(_unsaid(lines)))
                line = "; ".join(_unsaid([outcome.text, *(hint.text for hint in hints)]))
                if line != said:
                    said = line
                    if progress:
                        progress(f"{what}: {said}")
            told.goes_on(said or state)
            if left <= 0:
                state = "; ".join(filter(None, ("" if stream.trouble and not synced else state, stream.trouble)))
                first = f"{what}: not reached within {timeout + round(more):g} s; at the end: {state.rstrip('.')}."
                lines = advisor.at_the_end(list(objects.values())) if synced and not stream.trouble else []
                raise errors.WaitTimeout("\n".join(_unsaid([first, *lines])))


def _restarted_just_now(cluster: ClusterReader, advisor: Advisor, objects: list[Object], steady: Lasting) -> str:
    """Says which pod of a workload may be about to crash again; nothing when the workload can be trusted.

    Its controller counts a container without a readiness probe as available as soon as it runs, and for a moment after
    it has crashed again. When it stays with that the pod is another workload's, whose labels its selector fits too. For
    waits for pods their goal looks itself.
    """
    template = (objects[0]["spec"].get("template") or {}).get("spec") or {} if objects else {}
    if all(container.get("readinessProbe") for container in template.get("containers") or []):
        return ""
    pods = [pod for pod in advisor.pods(objects) if not pod["metadata"].get("deletionTimestamp")]
    for pod in pods:
        if is_ready(pod) and not is_steady(pod, cluster.now(), steady):
            return f"available, but pod '{pod['metadata']['name']}' has just restarted"
        if not is_ready(pod) and has_just_crashed(pod, steady):
            return f"available, but pod '{pod['metadata']['name']}' has crashed again"
    return ""


def _watch(cluster: ClusterReader, selection: Selection) -> Watch:
    field = f"metadata.name={selection.name}" if selection.name else None
    query = {"labelSelector": selection.labels, "fieldSelector": field}
    return Watch(cluster.connection, cluster.resources.find(selection.kind).path(selection.namespace), query)


def _unsaid(lines: list[str]) -> list[str]:
    """Leaves out what the first line says already; a last word such as `404` may be a part of something else there."""

    def said(line: str) -> bool:
        last = line.rpartition(": ")[2].rstrip(".")
        return last in lines[0] and (len(last) >= TELLING or line.partition(": ")[2].rstrip(".") in lines[0])

    return [lines[0], *(line for line in lines[1:] if not said(line))]


def _note(objects: dict[str, Object], event: tuple[str, Object]) -> None:
    kind, obj = event
    if kind == "SYNCED":
        return
    uid = obj["metadata"]["uid"]
    if kind == "DELETED":
        objects.pop(uid, None)
    else:
        objects[uid] = obj
