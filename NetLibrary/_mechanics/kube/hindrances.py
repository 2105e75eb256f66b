"""What stands in the way of a wait, told by other objects than those waited for: events, controllers, nodes, logs.

Every wait of the library asks here while it waits, so that no topic has to. What is certain ends the wait; the rest is
shown as progress and in the failure. Nothing here ever fails by itself: what the account may not see is left out.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import containers, health, lingering, looks, selectors, times, why_not_ready
from NetLibrary._mechanics.kube.priority import remedy_in
from NetLibrary._mechanics.kube.reader import ClusterReader
from NetLibrary._mechanics.kube.why_not_ready import Hopeless, Lasting, Object, goes, has_ended, is_ready, problem
from NetLibrary._mechanics.secrets import head, tail

# Events come a moment after the state that they explain
FIRST_LOOK = 1.5
EVERY = 2.0
# A controller that may not make its pods says so at once, and again and again. Twice the same is certain.
REFUSED_FOR = 3.0
LIMIT = 5.0
MOST_PODS, LOG_LINES = 3, 5
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
# Refusals that often pass: an account is made after the pods that want it, and the status of a quota a moment after it
_PASSING = ("error looking up service account", "status unknown for quota")
# Each namespace gets one from a controller, which is late where the API server was away
_DEFAULT_ACCOUNT = 'serviceaccount "default" not found'
_MOUNTS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")


@dataclass(frozen=True)
class Hint:
    """Something that stands in the way.

    Args:
        text: In words.
        certain: Whether the goal is out of reach because of it.
    """

    text: str
    certain: bool = False


class Advisor:
    """Looks for what stands in the way of one wait.

    Args:
        cluster: Where.
        kind: Kind that is waited for.
        namespace: Its namespace.
        name: Name of the one object, None for several.
        labels: Label selector of several.
        readiness: Whether pods are to get ready; else what keeps one of them does not end the wait.
        completion: Whether a Job is to end: a pod that cannot even start ends the wait, while crashes are counted by
            the Job itself.
    """

    def __init__(
        self,
        cluster: ClusterReader,
        kind: str,
        namespace: str | None,
        name: str | None,
        labels: str | None,
        *,
        readiness: bool,
        completion: bool = False,
    ) -> None:
        self._cluster, self._kind = cluster, kind.partition(".")[0]
        self._full_kind, self._namespace, self._name, self._labels = kind, namespace, name, labels
        self._readiness, self._completion = readiness, completion
        self._next = time.monotonic() + FIRST_LOOK
        self._hints: list[Hint] = []
        self._lasting = Lasting()
        self._hopeless = Hopeless(self._lasting)

    def look(self, objects: Sequence[Object]) -> list[Hint]:
        """Returns what stands in the way; asks the cluster every two seconds, and when something becomes certain."""
        begin = time.monotonic()
        if begin >= self._next:
            self._hints = self._ask(objects)
            end = time.monotonic()
            # A server that takes its time is left alone for as long as it took
            self._next = max(min(begin + EVERY, self._lasting.next_end()), end + (end - begin))
        return self._hints

    def due_in(self) -> float:
        """Returns the seconds until the cluster is asked again."""
        return max(0.0, self._next - time.monotonic())

    def at_the_end(self, objects: Sequence[Object]) -> list[str]:
        """Returns lines for a failure: what stands in the way now, and the last words of containers that ended."""
        return list(dict.fromkeys([*(hint.text for hint in self._ask(objects)), *self.last_words(objects)]))

    def last_words(self, objects: Sequence[Object]) -> list[str]:
        """Returns the last lines of containers that do not come up."""
        return list(self._last_words(self.pods(objects)))

    def _ask(self, objects: Sequence[Object]) -> list[Hint]:
        try:
            return list(dict.fromkeys(self._hindrances(objects)))
        except (KeyError, TypeError, AttributeError, IndexError):  # an object that is not as it should be
            return []

    def _hindrances(self, objects: Sequence[Object]) -> Iterator[Hint]:
        if not objects:
            yield from self.nothing_there()
        yield from self._of_namespace() if any(map(goes, objects)) else ()
        if self._kind in WORKLOADS:
            for each in objects[:1]:
                yield from self._of_workload(each)
        elif self._kind == "Job":
            for each in objects[:1]:
                yield from self._of_job(each)
        elif self._kind == "Pod":
            live = [pod for pod in objects if not goes(pod)]
            yield from self._of_pods(why_not_ready.newest(live))
            if objects and all(is_ready(pod) or has_ended(pod) for pod in live) and self._labels:
                yield from self._of_controllers()
        if not self._readiness and not self._completion:
            pods_in = partial(self._list, "Pod", limit=lingering.MOST_LOOKED_AT)
            yield from map(Hint, lingering.reasons(self._kind, objects, pods_in, lambda node: self._node_lost(node)[0]))

    # --- nothing there ------------------------------------------------------------------------------------

    def nothing_there(self) -> Iterator[Hint]:
        """Yields why there is none of what is waited for."""
        if gone := list(self._of_namespace()):
            yield from gone
            return
        if self._name:
            similar = self._similar(self._full_kind, self._namespace, self._name)
            if similar:
                yield Hint(f"there is no {self._kind} '{self._name}'{similar}")
        if self._kind == "Pod" and self._labels:
            found = list(self._of_controllers())
            yield from found or [Hint(self._labels_that_fit_nothing())]

    def objects_there(self) -> list[Any]:
        """Returns what there is of the kind; nothing where the account may not list it."""
        return self._list(self._full_kind, self._namespace)

    def _of_namespace(self) -> Iterator[Hint]:
        """Yields that the namespace is not there, or ends, so that nothing can be made in it."""
        name = self._namespace or ""
        found = self._find("Namespace", None, name) if name else {}
        if found is None:
            yield Hint(f"there is no namespace '{name}'{self._similar('Namespace', None, name)}")
        elif since := (found.get("metadata") or {}).get("deletionTimestamp"):
            certain = self._readiness or self._completion
            yield Hint(f"the namespace '{name}' is being deleted since {since}, so nothing can start in it", certain)

    def _find(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """Returns an object; None when it is certainly not there, an empty one when it may not be looked at."""
        try:
            path = self._cluster.resources.find(kind).path(namespace, name)
            return self._cluster.connection.request_object("GET", path, timeout=LIMIT, patient=False)
        except errors.NotFound:
            return None
        except errors.NetLibraryError:
            return {}

    def _similar(self, kind: str, namespace: str | None, name: str) -> str:
        names = [str(each["metadata"]["name"]) for each in self._list(kind, namespace)]
        close = [each for each in difflib.get_close_matches(name, names, 3, 0.6) if each != name]
        return f"; there is {', '.join(repr(each) for each in close)}" if close else ""

    def _labels_that_fit_nothing(self) -> str:
        pods = [pod for pod in self._list("Pod", self._namespace) if not has_ended(pod)]
        where = f" in '{self._namespace}'" if self._namespace else ""
        text = f"no pod{where} has the labels '{self._labels}'"
        if not pods:
            return f"{text}; there are no pods at all"
        seen = dict.fromkeys(_shown(pod["metadata"].get("labels") or {}) for pod in pods)
        return f"{text}; there are pods with {'; '.join(list(seen)[:3])}"

    # --- controllers ----------------------------------------------------------------------------------------

    def _of_controllers(self) -> Iterator[Hint]:
        """What keeps the controllers whose pods would have the labels from making them."""
        wanted = selectors.parse(self._labels or "")
        for kind in ("ReplicaSet", "Job", "StatefulSet", "DaemonSet", "Deployment"):
            for owner in self._list(kind, self._namespace):
                spec = owner.get("spec") or {}
                made = (spec.get("template", {}).get("metadata") or {}).get("labels") or {}
                if kind == "Job":
                    made = {**made, "job-name": owner["metadata"]["name"]}
                    made["batch.kubernetes.io/job-name"] = owner["metadata"]["name"]
                if kind == "ReplicaSet":
                    made = {**made, **(owner["metadata"].get("labels") or {})}
                if wanted is None or not selectors.selects(wanted, made):
                    continue
                if kind in ("StatefulSet", "Deployment") and spec.get("replicas") == 0:
                    yield Hint(f"{kind} '{owner['metadata']['name']}' wants 0 replicas")
                if kind == "Job" and spec.get("suspend"):
                    yield Hint(f"Job '{owner['metadata']['name']}' is suspended")
                if kind != "ReplicaSet" or spec.get("replicas"):
                    yield from self._refusals(kind, owner)

    def _refusals(self, kind: str, owner: Object) -> Iterator[Hint]:
        """Pods that a controller may not make: admission, quota, a missing ServiceAccount."""
        name, uid = owner["metadata"]["name"], owner["metadata"].get("uid", "")
        messages = [
            str(entry.get("message") or entry.get("reason"))
            for entry in (owner.get("status") or {}).get("conditions") or []
            if entry.get("type") == "ReplicaFailure" and entry.get("status") == "True"
        ] or self._failed_creation(uid)
        for message in messages:
            text = " ".join(str(message).split())
            patience = why_not_ready.PATIENCE if any(words in text for words in _PASSING) else REFUSED_FOR
            lasts = self._lasting.lasts(f"refused {uid}", patience)
            certain = lasts and not (_DEFAULT_ACCOUNT in text or ("exceeded quota" in text and self._room_is_made()))
            yield Hint(f"{kind} '{name}' may not create its pods: {text}{remedy_in(self._cluster, text)}", certain)

    def _failed_creation(self, uid: str) -> list[str]:
        """Why a controller could not make a pod the last time it tried; none when it could."""
        events = [e for e in self._events(uid) if e.get("reason") in ("FailedCreate", "SuccessfulCreate")]
        latest = [each for each in events if times.of_event(each) == times.of_event(events[0])]
        if not latest or any(each["reason"] == "SuccessfulCreate" for each in latest):
            return []
        return [str(latest[0].get("message", ""))]

    def _room_is_made(self) -> bool:
        """Tells whether pods are on their way out, whose share of a quota becomes free."""
        return any(map(goes, self._list("Pod", self._namespace)))

    def _of_workload(self, owner: Object) -> Iterator[Hint]:
        namespace, selector = owner["metadata"].get("namespace"), owner["spec"].get("selector") or {}
        pods = self._list("Pod", namespace, labels=selectors.text(selector))
        pods = [pod for pod in pods if not goes(pod)]
        if self._kind != "Deployment":
            yield from self._refusals(self._kind, owner)
            yield from self._of_pods(pods)
            return
        status = owner.get("status") or {}
        if status.get("observedGeneration", 0) < owner["metadata"].get("generation", 1):
            yield from (Hint(hint.text) for hint in self._refusals(self._kind, owner))
            return  # what there is may belong to an older template
        sets = self._sets_of(owner)
        if sets:
            latest = max(sets, key=_revision)
            yield from self._refusals("ReplicaSet", latest)
            hashed = (latest["metadata"].get("labels") or {}).get("pod-template-hash")
            pods = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get("pod-template-hash") == hashed]
        else:
            for hint in self._refusals("Deployment", owner):
                yield Hint(hint.text.replace("Deployment", "ReplicaSet of Deployment"), hint.certain)
            pods = why_not_ready.newest(pods)
        yield from self._of_pods(pods)

    def _sets_of(self, deployment: Object) -> list[Object]:
        uid, labels = deployment["metadata"].get("uid"), selectors.text(deployment["spec"].get("selector") or {})
        found = self._list("ReplicaSet", deployment["metadata"].get("namespace"), labels=labels)
        return [
            each for each in found if any(o.get("uid") == uid for o in each["metadata"].get("ownerReferences") or [])
        ]

    def _of_job(self, job: Object) -> Iterator[Hint]:
        if (job.get("spec") or {}).get("suspend"):
            yield Hint(f"Job '{job['metadata']['name']}' is suspended")
        yield from self._refusals("Job", job)
        labels = f"batch.kubernetes.io/job-name={job['metadata']['name']}"
        yield from self._of_pods(self._list("Pod", job["metadata"].get("namespace"), labels=labels))

    # --- pods -------------------------------------------------------------------------------------------------

    def _of_pods(self, pods: Sequence[Object]) -> Iterator[Hint]:
        for pod in [pod for pod in pods if not is_ready(pod) and not why_not_ready.is_replaced(pod)][:MOST_PODS]:
            trouble = problem(pod)
            text, certain = self._of_pod(pod, trouble)
            hopeless = self._hopeless.is_it(pod["metadata"].get("uid", ""), trouble)
            verdict = f"cannot get ready: {text}" if hopeless or certain else text
            colon = "" if hopeless or certain else ":"
            counts = self._readiness or (self._completion and (certain or trouble.never_starts))
            yield Hint(f"pod '{pod['metadata']['name']}'{colon} {verdict}", counts and (hopeless or certain))

    def _of_pod(self, pod: Object, trouble: why_not_ready.Trouble) -> tuple[str, bool]:
        """Returns the trouble of a pod with what its events and its node say about it."""
        status, node = pod.get("status") or {}, (pod.get("spec") or {}).get("nodeName", "")
        crashed = trouble.reason == why_not_ready.CRASH_LOOP or trouble.ended_again
        if crashed and (hook := self._failed_hook(pod, trouble.container)):
            return f"{trouble.text}: {hook}", False
        if trouble.usually_final or has_ended(pod) or not node:
            return trouble.text, False
        unready, (lost, left) = "runs but" in trouble.text, self._node_lost(node, silent=not status.get("startTime"))
        if lost and (left or not unready):
            certain = left and self._lasting.lasts(f"left {pod['metadata'].get('uid')}", REFUSED_FOR)
            return f"{trouble.text}: {lost}", certain
        events = self._events(pod["metadata"].get("uid", ""))
        if unready:
            said = next((e["message"] for e in events if e.get("reason") == "Unhealthy"), "")
            why = f": {head(' '.join(str(said).split()), 300)}" if said else f"{lost and ': '}{lost}"
            return f"{trouble.text}{why}", False
        for event in events:
            if event.get("reason") in (*_MOUNTS, "FailedCreatePodSandBox"):
                said = " ".join(str(event.get("message")).split())
                text = f"{trouble.text}: {event['reason']}: {head(said, 400)}"
                missing = event["reason"] in _MOUNTS and self._source_is_missing(pod, said)
                return text, missing and self._lasting.lasts(f"mount {text}", why_not_ready.PATIENCE)
        return trouble.text, False

    def _failed_hook(self, pod: Object, container: str) -> str:
        """Tells that a postStart hook ended its container, whose state and exit code look like a crash."""
        known = (pod.get("spec") or {}).get("containers") or []
        spec: Object = next((each for each in known if each.get("name") == container), {})
        if not (spec.get("lifecycle") or {}).get("postStart"):
            return ""
        events = self._events(pod["metadata"].get("uid", ""))
        said = next((e.get("message") for e in events if e.get("reason") == "FailedPostStartHook"), None)
        return f"its postStart hook failed: {head(' '.join(str(said).split()), 300)}" if said else ""

    def _source_is_missing(self, pod: Object, text: str) -> bool:
        """Tells whether what a volume wants is missing now; a kubelet tries again only every two minutes."""
        found = re.search(r'(secret|configmap) "([^"/]+)" not found', text, re.IGNORECASE)
        if found is None:
            return False
        kind = {"secret": "Secret", "configmap": "ConfigMap"}[found[1].lower()]
        return self._find(kind, pod["metadata"].get("namespace"), found[2]) is None

    def _node_lost(self, name: str, *, silent: bool = True) -> tuple[str, bool]:
        """Returns why a node does nothing, empty where it does, and whether it has left the cluster.

        Args:
            name: Its name.
            silent: Whether its kubelet's silence counts, of which its conditions do not tell yet.
        """
        node = next(iter(self._list("Node", None, fields=f"metadata.name={name}")), None)
        if node is None:  # who sees other nodes would see this one
            left = bool(self._list("Node", None, limit=1))
            return f"its node '{name}' has left the cluster" if left else "", left
        for entry in (node.get("status") or {}).get("conditions") or []:
            if entry["type"] == "Ready" and entry["status"] != "True":
                return f"its node '{name}' is not ready ({entry.get('message') or entry.get('reason', '')})", False
        if silent and self._lasting.lasts(f"silent {name}", LIMIT):
            return health.silence(self._list("Lease", "kube-node-lease"), name), False
        return "", False

    def _last_words(self, pods: Sequence[Object]) -> Iterator[str]:
        for pod in [pod for pod in pods if not is_ready(pod)][:MOST_PODS]:
            trouble = problem(pod)
            if not trouble.container or trouble.reason in why_not_ready.PULLS:
                continue
            name, namespace = pod["metadata"]["name"], pod["metadata"].get("namespace", "")
            for previous in (False, True):
                path = self._cluster.resources.find("Pod").path(namespace, name, "log")
                query = {"container": trouble.container, "tailLines": LOG_LINES, "previous": previous or None}
                try:
                    answer = self._cluster.connection.request("GET", path, query=query, timeout=LIMIT, patient=False)
                    text = containers.log_in(answer, namespace, name).strip()
                except errors.NetLibraryError:
                    continue
                if text:
                    yield f"last lines of '{namespace}/{name}' ({trouble.container}): {tail(text, 1000)}"
                    break

    # --- asking -------------------------------------------------------------------------------------------------

    def pods(self, objects: Sequence[Object]) -> list[Object]:
        """Returns the pods of what is waited for; none where the account may not list them."""
        if self._kind == "Pod":
            return [pod for pod in objects if not goes(pod)]
        if self._kind in WORKLOADS and objects:
            selector = (objects[0].get("spec") or {}).get("selector") or {}
            return self._list("Pod", objects[0]["metadata"].get("namespace"), labels=selectors.text(selector))
        return []

    def _events(self, uid: str) -> list[Object]:
        """Events of one object, the latest first."""
        found = self._list("Event", self._namespace, fields=f"involvedObject.uid={uid}") if uid else []
        mine = [each for each in found if (each.get("involvedObject") or {}).get("uid", uid) == uid]
        return sorted(mine, key=times.of_event, reverse=True)

    def _list(
        self, kind: str, namespace: str | None, *, labels: str | None = None, fields: str | None = None,
        limit: int | None = None,
    ) -> list[Any]:  # fmt: skip
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": limit}
        try:
            return looks.glance(self._cluster, kind, namespace, query, timeout=LIMIT)
        except errors.NetLibraryError:
            return []


def _revision(replica_set: Object) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", "0")
    return int(text) if str(text).isdigit() else 0


def _shown(labels: Mapping[str, str]) -> str:
    kept = [f"{key}={value}" for key, value in labels.items() if key not in ("pod-template-hash", "netlibrary.io/run")]
    return ",".join(kept[:4]) or "no labels"
