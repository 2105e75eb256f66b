"""Finds and removes what runs left in a cluster that ended without tidying up, on whatever machine they ran."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import times
from NetLibrary._mechanics.kube.change_records import RECORD_PREFIX, Record
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.kube.foreign import CHANGED_LABEL, ForeignChanges
from NetLibrary._mechanics.kube.missing import no_such_namespace, unreadable_namespace
from NetLibrary._mechanics.kube.ownership import (
    RUN_LABEL,
    Object,
    Place,
    is_marked,
    is_marked_as_formerly,
    place_of,
)
from NetLibrary._mechanics.kube.resources import Resource
from NetLibrary._mechanics.kube.rights import may
from NetLibrary._mechanics.kube.signs_of_life import DEAD_AFTER
from NetLibrary._mechanics.kube.signs_of_life import NAME as LEASE_NAME

LEAST_AGE = DEAD_AFTER
# Made by controllers, which copy labels to them and remove them
_NOBODYS = ("events", "endpoints")
# What people put into a namespace to work with it. Other kinds are made by controllers in all namespaces, at any time.
_WORK = (
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "PersistentVolumeClaim",
    "Service",
    "Ingress",
)
# What appears so long after the last sign of life of a run is not a late effect of it
_AFTER = 60.0
_REFUSED = "this account may not list them"
_MOST_KINDS = 8  # that are named one by one
LABEL_NOTE = "netlibrary.io/labels-"  # keys of labels that a run has set on a node for CyPerf agents


@dataclass
class Remains:
    """What one run has left.

    Args:
        run: Its id.
        created: Objects that it created, with their resources.
        changed: Places of objects of others that it changed.
        not_its: Objects with its marks that it did not create or change, or may not have, and why.
        seen: Seconds since its last sign of life.
        holder: Machine and process that it ran as, where it is known.
    """

    run: str
    created: list[tuple[Resource, Object]] = field(default_factory=list)
    changed: list[tuple[Resource, Object]] = field(default_factory=list)
    not_its: list[tuple[Place, str]] = field(default_factory=list)
    seen: float = float("inf")
    holder: str = ""

    @property
    def places(self) -> list[Place]:
        """Where its objects are, without those that go with their namespace or their owner."""
        namespaces = {o["metadata"]["name"] for r, o in self.created if r.kind == "Namespace"}
        return sorted(
            place_of(r, o["metadata"])
            for r, o in self.created
            if o["metadata"].get("namespace") not in namespaces and not o["metadata"].get("ownerReferences")
        )


@dataclass
class Swept:
    """What a sweep did, one line for each object.

    Args:
        removed: What was removed or put back, or would be.
        left: What was left, and why.
        unseen: What could not be looked at.
    """

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)


def survey(cluster: Cluster, namespace: str | None = None) -> tuple[list[Remains], list[str]]:
    """Looks for the marks of all runs.

    Args:
        cluster: Where.
        namespace: Only there, for accounts that may not look elsewhere.
    Returns:
        What each run has, and which kinds could not be looked at.
    Raises:
        errors.InputError: There is no such namespace, or the account may look at nothing there.
    """
    readable = _is_readable(cluster, namespace)
    listed = 0
    runs: dict[str, Remains] = {}
    unseen: dict[str, list[str]] = defaultdict(list)
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="sweep") as pool:
        asked = [(r, pool.submit(_marked, cluster, r, namespace)) for r in _kinds(cluster, namespace)]
        for resource, answer in asked:
            try:
                created, changed = answer.result()
                listed += 1
            except errors.Forbidden:
                unseen[_REFUSED].append(resource.plural)
                continue
            except errors.ClusterError as error:
                if error.status not in (404, 405):
                    unseen[str(error).rstrip(".")].append(resource.plural)
                continue
            _sort(runs, resource, created, changed, cluster.now())
    if unseen[_REFUSED] and not listed:
        raise errors.InputError(unreadable_namespace(namespace) if namespace and not readable else _nothing(namespace))
    words = [f"{_some(kinds)}: {reason}" for reason, kinds in unseen.items() if kinds]
    words += [
        f"what is in API group {group}: {reason.rstrip('.')}" for group, reason in cluster.resources.silent.items()
    ]
    if namespace and not readable:
        words.append(f"namespace '{namespace}': this account may not read it; is this its name?")
    return sorted(runs.values(), key=lambda r: r.run), words


def _is_readable(cluster: Cluster, namespace: str | None) -> bool:
    """Tells whether the account may read a namespace; raises where its name is most likely misspelt."""
    if not namespace:
        return True
    try:
        found = cluster.find("Namespace", namespace)
    except errors.Forbidden as error:
        if may(cluster, "list", "Pod", namespace):
            return False  # some accounts of one namespace may work in it without being allowed to look at it
        raise errors.InputError(unreadable_namespace(namespace)) from error
    if found is None:
        raise no_such_namespace(cluster, namespace)
    return True


def _nothing(namespace: str | None) -> str:
    if namespace:
        return f"This account may not list objects of any kind in namespace '{namespace}'."
    way = "with 'namespace', or --namespace in a terminal, it looks only in one that it may work in"
    return f"This account may not list objects of any kind in the whole cluster; {way}."


def _some(kinds: list[str]) -> str:
    """Names kinds, each unless they are many."""
    return ", ".join(kinds) if len(kinds) <= _MOST_KINDS else f"{len(kinds)} kinds, for instance {', '.join(kinds[:3])}"


def _kinds(cluster: Cluster, namespace: str | None) -> list[Resource]:
    """Returns all kinds that objects can be listed and deleted of, each once."""
    found = []
    seen = set()
    for resource, verbs in cluster.resources.served():
        # Old kinds are served by two groups
        key = (resource.kind, resource.plural)
        wanted = {"list", "delete"} <= verbs and resource.plural not in _NOBODYS and key not in seen
        if wanted and (namespace is None or resource.namespaced):
            seen.add(key)
            found.append(resource)
    return found


def _marked(cluster: Cluster, resource: Resource, namespace: str | None) -> tuple[list[Object], list[Object]]:
    found = []
    for label in (RUN_LABEL, CHANGED_LABEL):
        answer = cluster.connection.request_object("GET", resource.path(namespace), query={"labelSelector": label})
        found.append(answer.get("items") or [])
    if resource.kind == "Node":
        everyone = cluster.connection.request_object("GET", resource.path())["items"] or []
        noted = [n for n in everyone if any(k.startswith(LABEL_NOTE) for k in n["metadata"].get("annotations") or {})]
        found[1] += [n for n in noted if n["metadata"]["name"] not in {o["metadata"]["name"] for o in found[1]}]
    return found[0], found[1]


def _sort(
    runs: dict[str, Remains], resource: Resource, created: list[Object], changed: list[Object], now: float
) -> None:
    for obj in created:
        metadata = obj["metadata"]
        run = metadata["labels"][RUN_LABEL]
        remains = runs.setdefault(run, Remains(run))
        if metadata.get("ownerReferences"):
            continue  # goes with its owner
        if not is_marked(resource, obj, run):
            remains.not_its.append((place_of(resource, metadata), _why_not_its(resource, obj, run)))
            continue
        remains.created.append((resource, obj))
        remains.seen = min(remains.seen, _age(metadata.get("creationTimestamp"), now))
        if resource.kind == "Lease" and metadata["name"] == LEASE_NAME + run:
            remains.holder = str(obj["spec"].get("holderIdentity", ""))
            remains.seen = min(remains.seen, _age(obj["spec"].get("renewTime"), now))
    for obj in changed:
        for key, value in (obj["metadata"].get("annotations") or {}).items():
            for prefix in (RECORD_PREFIX, LABEL_NOTE):
                if not key.startswith(prefix):
                    continue
                run = key.removeprefix(prefix)
                remains = runs.setdefault(run, Remains(run))
                record = Record.load(value) if prefix == RECORD_PREFIX else Record()
                if record.steps and not record.is_about(obj):
                    why = f"is a copy of an object that run {run} changed, and carries its record; it was not changed"
                    remains.not_its.append((place_of(resource, obj["metadata"]), why))
                    continue
                remains.changed.append((resource, obj))
                remains.seen = min(remains.seen, _age(_time_of(value), now))


def _why_not_its(resource: Resource, obj: Object, run: str) -> str:
    if is_marked_as_formerly(obj):
        delete = f"kubectl delete {place_of(resource, obj['metadata']).as_arguments}"
        return f"has the marks of run {run} in a former form, which copies have too: look at it, then '{delete}'"
    return f"has the label of run {run}, which did not create it"


def _time_of(record: str) -> str:
    try:
        return str(json.loads(record)["time"])
    except (ValueError, KeyError, TypeError):
        return ""


def _age(stamp: object, now: float) -> float:
    moment = times.seconds(stamp)
    return float("inf") if moment is None else now - moment


def sweep(
    cluster: Cluster, *, older_than: float = 3600.0, run: str = "", dry_run: bool = False,
    namespace: str | None = None, say: Callable[[str], None] = lambda _: None,
) -> Swept:  # fmt: skip
    """Removes what dead runs left: namespaces and other objects, and what they changed on objects of others.

    Args:
        cluster: Where.
        older_than: Seconds without a sign of life after which a run counts as dead; at least 80.
        run: Only what this run left; all runs by default.
        dry_run: Only look.
        namespace: Look only there.
        say: Gets a line for each run.
    """
    patience = max(older_than, LEAST_AGE)
    swept = Swept()
    found, swept.unseen = survey(cluster, namespace)
    for remains in found:
        if run and remains.run != run:
            continue
        inside = {o["metadata"]["name"] for r, o in remains.created if r.kind == "Namespace"}
        names = [*remains.places, *(place_of(r, o["metadata"]) for r, o in remains.changed)]
        swept.left += [f"{place}: {why}" for place, why in remains.not_its if place.namespace not in inside]
        if not names:
            continue
        who = f"run {remains.run}" + (f" ({remains.holder})" if remains.holder else "")
        if remains.run == cluster.run_id:
            swept.left += [f"{place}: belongs to this run" for place in names]
        elif remains.seen < patience:
            sign = f"{who} gave a sign of life {remains.seen:.0f} s ago; the limit is {patience:.0f} s"
            swept.left += [f"{place}: {sign}" for place in names]
        else:
            ago = f"{_duration(remains.seen)} ago" if remains.seen < float("inf") else "never"
            say(f"{who}: last sign of life {ago}, objects: {len(names)}")
            _remove(cluster, remains, swept, dry_run)
    return swept


def _remove(cluster: Cluster, remains: Remains, swept: Swept, dry_run: bool) -> None:
    for resource, obj in remains.changed:
        place = place_of(resource, obj["metadata"])
        if dry_run:
            swept.removed.append(f"{place}: changes of run {remains.run} would be undone")
            continue
        outcome = ForeignChanges(cluster, remains.run).put_back_one(resource, place)
        back = outcome.back + _labels_off(cluster, obj, remains.run)
        swept.removed += [f"{place}: {path} restored" for path in back]
        swept.left += [f"{place}: {reason}" for reason in outcome.left]
    wanted = set(remains.places)
    namespaces_first = sorted(remains.created, key=lambda pair: pair[0].kind != "Namespace")
    for resource, obj in namespaces_first:
        place = place_of(resource, obj["metadata"])
        if place not in wanted:
            continue
        since = obj["metadata"].get("deletionTimestamp")
        later = [] if since or resource.kind != "Namespace" else _later_work(cluster, place.name, remains.seen)
        if since:
            swept.left.append(_terminating(place, obj))
        elif later:
            swept.left.append(
                f"{place}: others work in it since run {remains.run} ended: {', '.join(map(str, later))}; "
                f"look at them, then 'kubectl delete {place.as_arguments}'"
            )
        elif dry_run:
            swept.removed.append(f"{place}: would be removed")
        else:
            try:
                cluster.ownership.delete_left(resource, obj, remains.run)
                swept.removed.append(f"{place}: removed")
            except errors.NotFound:
                continue
            except errors.Conflict:
                swept.left += _changed_meanwhile(cluster, place)
            except errors.NetLibraryError as error:
                swept.left.append(f"{place}: {str(error).rstrip('.')}")


def _changed_meanwhile(cluster: Cluster, place: Place) -> list[str]:
    """Returns words about an object that somebody has changed, or another sweep has removed, since it was looked at."""
    try:
        found = cluster.find(place.kind, place.name, place.namespace or None)
    except errors.ClusterError as error:
        return [f"{place}: {str(error).rstrip('.')}"]
    if found is None:
        return []
    if found["metadata"].get("deletionTimestamp"):
        return [_terminating(place, found)]
    return [f"{place}: was changed while it was looked at; another sweep looks again"]


def _terminating(place: Place, obj: Object) -> str:
    return f"{place}: has been terminating since {obj['metadata']['deletionTimestamp']}{_finalizers(obj)}"


def _later_work(cluster: Cluster, namespace: str, seen: float) -> list[Place]:
    """Returns what somebody has put into a namespace of a run after the run's end."""
    found = []
    for kind in _WORK:
        try:
            objects = cluster.list(kind, namespace)
        except errors.ClusterError:
            continue  # this account may not look, or there is no such kind
        for obj in objects:
            metadata = obj["metadata"]
            ours = RUN_LABEL in (metadata.get("labels") or {}) or metadata.get("ownerReferences")
            if not ours and _age(metadata.get("creationTimestamp"), cluster.now()) < seen - _AFTER:
                found.append(place_of(cluster.resources.find(kind), metadata))
    return found


def _labels_off(cluster: Cluster, obj: Object, run: str) -> list[str]:
    """Takes off labels of a node of which only the keys were noted, unless another run has noted them too."""
    annotations = obj["metadata"].get("annotations") or {}
    keys = str(annotations.get(LABEL_NOTE + run, ""))
    if not keys:
        return []
    notes = [v for name, v in annotations.items() if name.startswith(LABEL_NOTE) and name != LABEL_NOTE + run]
    others = {key for note in notes for key in note.split(",")}
    gone = [key for key in keys.split(",") if key not in others]
    body = {"metadata": {"labels": dict.fromkeys(gone), "annotations": {LABEL_NOTE + run: None}}}
    cluster.patch("Node", obj["metadata"]["name"], None, body)
    return [f"metadata.labels.{key}" for key in gone]


def _finalizers(obj: Object) -> str:
    names: Iterable[str] = obj["metadata"].get("finalizers") or obj.get("spec", {}).get("finalizers") or []
    return f", finalizers {', '.join(names)}" if names else ""


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
