"""What a run owns in a cluster: what it created itself, and nothing else. Every delete passes through here.

Ownership begins with a create that succeeded: the object gets the run's label in that very request, and its UID is
remembered. An object that existed before is never labelled, so it is never taken for the run's. What belongs to an
owned object (pods of its Job) or lies in a namespace that the run created is the run's too.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import times
from NetLibrary._mechanics.kube.reader import ClusterReader
from NetLibrary._mechanics.kube.resources import Resource

RUN_LABEL = "netlibrary.io/run"
# Says which object the run has created, and when. Labels and annotations get copied: by controllers, templates, people,
# backups. A copy is of another name, in another namespace or of another time, and was not created by that run.
CREATED_BY = "netlibrary.io/created-by"
# Between the note and the object's own time: a create is not repeated for as long, and clocks of servers differ less
NOTE_SECONDS = 300.0
TRIES = 5
# Pods of a CronJob's Job, or of a custom resource's Deployment, are three steps away from what was created
GENERATIONS = 4

Object = dict[str, Any]


@dataclass(frozen=True, order=True)
class Place:
    """Where an object is: its kind (with its group, as `Resources.find` takes it), namespace and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} '{self.namespace}/{self.name}'" if self.namespace else f"{self.kind} '{self.name}'"

    @property
    def as_arguments(self) -> str:
        """How kubectl is told of it."""
        return f"{self.kind.lower()} {self.name}" + (f" --namespace {self.namespace}" if self.namespace else "")


def place_of(resource: Resource, metadata: Object) -> Place:
    """Returns where an object of a resource is."""
    kind = f"{resource.kind}.{resource.group}" if resource.group and not _is_common(resource) else resource.kind
    return Place(kind, (metadata.get("namespace") or "") if resource.namespaced else "", str(metadata.get("name", "")))


def _is_common(resource: Resource) -> bool:
    from NetLibrary._mechanics.kube.resources import BUILT_IN

    return BUILT_IN.get(resource.kind.lower()) == resource


def note_of(run_id: str, resource: Resource, metadata: Object, moment: float) -> str:
    """Returns what the annotation says about an object that a run creates: the run, the object and the moment."""
    return f"{_maker_and_place(run_id, resource, metadata)} {times.stamp(moment)}"


def _maker_and_place(run_id: str, resource: Resource, metadata: Object) -> str:
    name = metadata.get("name") or f"{metadata.get('generateName', '')}*"
    where = f"{metadata['namespace']}/" if resource.namespaced else ""
    return f"{run_id} {resource.kind} {where}{name}"


def is_marked(resource: Resource, obj: Object, run_id: str | None = None) -> bool:
    """Tells whether an object carries the marks that a run, any by default, put on this very object at its creation."""
    metadata = obj["metadata"]
    label = str((metadata.get("labels") or {}).get(RUN_LABEL) or "")
    given, _, moment = str((metadata.get("annotations") or {}).get(CREATED_BY) or "").rpartition(" ")
    noted, made = times.seconds(moment), times.seconds(metadata.get("creationTimestamp"))
    if not label or noted is None or made is None or (run_id is not None and label != run_id):
        return False
    if abs(made - noted) > NOTE_SECONDS:
        return False
    expected = _maker_and_place(label, resource, metadata)
    # The server has put the end to a name of which the run gave only the begin
    return expected.startswith(given[:-1]) if given.endswith("*") else expected == given


def is_marked_as_formerly(obj: Object) -> bool:
    """Tells whether an object carries the marks of a former version, which a copy of it carries as well."""
    label = (obj["metadata"].get("labels") or {}).get(RUN_LABEL)
    return bool(label) and label == (obj["metadata"].get("annotations") or {}).get(CREATED_BY)


class Ownership:
    """The objects that one run created in one cluster. Safe to use from several threads.

    Args:
        cluster: Where.
    """

    def __init__(self, cluster: ClusterReader) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._uids: dict[Place, str] = {}  # latest object of ours at each place
        self._made: set[str] = set()  # UIDs; kept after the end of an object, since its children end later
        self._perhaps: set[Place] = set()  # asked for, but the answer was lost
        self._ended: set[str] = set()  # UIDs that were asked to go
        self.kinds: set[str] = set()  # kinds of all of these; cleaning up asks for them
        self.places: set[str] = set()  # namespaces that were made here or got something
        self.foreign_namespaces: set[str] = set()  # namespaces of others that the run works in

    # --- beginning ----------------------------------------------------------------------------------------

    def marked(self, resource: Resource, obj: Object, made: Object | None = None) -> Object:
        """Returns a copy of an object with the marks of the run.

        Args:
            resource: Its kind.
            obj: The object, to be sent.
            made: The object as the run has created it, where it is changed only.
        """
        run = self._cluster.run_id
        if not run:
            return obj
        metadata = dict(obj["metadata"])
        note = ((made or {"metadata": {}})["metadata"].get("annotations") or {}).get(CREATED_BY)
        note = note or note_of(run, resource, metadata, self._cluster.now())
        metadata["labels"] = {**(metadata.get("labels") or {}), RUN_LABEL: run}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), CREATED_BY: note}
        return {**obj, "metadata": metadata}

    def created(self, resource: Resource, obj: Object) -> None:
        """Remembers an object that the server says it has created."""
        place = place_of(resource, obj["metadata"])
        with self._lock:
            self._uids[place] = str(obj["metadata"].get("uid", ""))
            self._made.add(self._uids[place])
            self._perhaps.discard(place)
        self._noted(resource, obj["metadata"])

    def perhaps_created(self, resource: Resource, metadata: Object) -> None:
        """Remembers that an object may have been created: the request left, and no answer came."""
        with self._lock:
            self._perhaps.add(place_of(resource, metadata))
        self._noted(resource, metadata)

    def _noted(self, resource: Resource, metadata: Object) -> None:
        place = place_of(resource, metadata)
        where = place.name if resource.kind == "Namespace" else place.namespace
        with self._lock:
            self.kinds.add(place.kind)
            if where:
                self.places.add(where)

    # --- judging ------------------------------------------------------------------------------------------

    def made(self, obj: Object) -> bool:
        """Tells whether the run created this very object, by its UID."""
        return str(obj["metadata"].get("uid", "")) in self._made

    def owns(self, resource: Resource, obj: Object) -> bool:
        """Tells whether an object is the run's, as it is in the cluster now.

        It is when the run created it, or the namespace that it lies in, or an object that it belongs to.
        """
        metadata = obj["metadata"]
        if self.made(obj):
            return True
        if place_of(resource, metadata) in self._perhaps and is_marked(resource, obj, self._cluster.run_id):
            self.created(resource, obj)
            return True
        namespace = metadata.get("namespace")
        if namespace and self._owns_namespace(namespace):
            return True
        return self._descends(metadata, namespace, GENERATIONS)

    def _owns_namespace(self, name: str) -> bool:
        uid = self._uids.get(Place("Namespace", "", name))
        if uid is None:
            return False
        try:
            found = self._cluster.find("Namespace", name)
        except errors.Forbidden:
            return True
        # Somebody may have made another one of that name after ours was gone
        return found is not None and found["metadata"]["uid"] == uid

    def _descends(self, metadata: Object, namespace: str | None, generations: int) -> bool:
        for owner in metadata.get("ownerReferences") or []:
            if owner["uid"] in self._made:
                return True
            if generations > 1:
                group = owner["apiVersion"].rpartition("/")[0]
                kind = f"{owner['kind']}.{group}" if group else owner["kind"]
                try:
                    found = self._cluster.find(kind, owner["name"], namespace)
                except errors.ClusterError:
                    continue  # what cannot be looked at is no evidence
                same = found is not None and found["metadata"]["uid"] == owner["uid"]
                if found and same and self._descends(found["metadata"], namespace, generations - 1):
                    return True
        return False

    # --- end ----------------------------------------------------------------------------------------------

    def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, grace_seconds: int | None = None,
        allow_foreign: bool = False,
    ) -> None:  # fmt: skip
        """Asks for the deletion of an object, after making sure that it is the run's; the gate of all deletes.

        The request names the UID that was looked at, so an object that took its place meanwhile is safe.

        Args:
            resource: Its kind.
            name: Its name.
            namespace: Its namespace.
            grace_seconds: Time for pods to end by themselves; that of the pod by default.
            allow_foreign: Whether an object that the run did not create may be deleted.
        Raises:
            errors.NotFound: It does not exist.
            errors.NotOwned: The run did not create it.
        """
        path = resource.path(namespace, name)
        place = place_of(resource, {"name": name, "namespace": namespace})
        known, lost = self._uids.get(place), False
        if known:
            try:
                return self._send(path, {"uid": known}, grace_seconds)
            except errors.Conflict as error:
                lost = error.after_lost  # else another object has the name now, or it is ending already: look
        for _ in range(TRIES):
            try:
                found = self._cluster.connection.request_object("GET", path)
            except errors.NotFound:
                if lost:  # the request whose answer was lost has done it
                    return None
                raise
            metadata = found["metadata"]
            if not allow_foreign and not self.owns(resource, found):
                raise errors.NotOwned(
                    f"{place} was not created by this run, so it is not deleted. 'Delete Object' deletes it anyway "
                    "with allow_foreign=True."
                )
            if metadata.get("deletionTimestamp") and grace_seconds is None:
                return None
            precondition = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
            try:
                return self._send(path, precondition, grace_seconds)
            except errors.Conflict as error:
                changed, lost = error, lost or error.after_lost
        raise changed

    def delete_left(self, resource: Resource, obj: Object, run_id: str) -> None:
        """Asks for the deletion of what another run has left, by the marks that this run put on it at its creation.

        Raises:
            errors.NotOwned: It does not carry these marks.
            errors.Conflict: It was changed since it was looked at.
        """
        metadata = obj["metadata"]
        place = place_of(resource, metadata)
        if not is_marked(resource, obj, run_id):
            raise errors.NotOwned(f"{place} was not created by run '{run_id}', so it is not deleted.")
        precondition = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        self._send(resource.path(metadata.get("namespace"), metadata["name"]), precondition, None)

    def _send(self, path: str, precondition: Object, grace_seconds: int | None) -> None:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        options["preconditions"] = precondition
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self._cluster.connection.request_object("DELETE", path, body=options)
        except errors.NotFound as error:
            if not error.after_lost:
                raise
        self._ended.add(str(precondition["uid"]))

    def inside(self, namespace: str) -> list[Place]:
        """Returns the places in a namespace where the run created something, the latest first."""
        with self._lock:
            places = [*self._uids, *self._perhaps]
        return [place for place in reversed(places) if place.namespace == namespace]

    def own_namespaces(self) -> set[str]:
        """Returns the namespaces that the run created and did not delete yet."""
        with self._lock:
            return {p.name for p, uid in self._uids.items() if p.kind == "Namespace" and uid not in self._ended}

    def overview(self) -> tuple[list[str], list[Place]]:
        """Returns the namespaces that the run created, and what it created outside of these; none that it deleted.

        What is in a namespace that it deleted goes with it.
        """
        with self._lock:
            doomed = {p.name for p, uid in self._uids.items() if p.kind == "Namespace" and uid in self._ended}
            kept = [place for place, uid in self._uids.items() if uid not in self._ended]
            places = [place for place in (*kept, *self._perhaps) if place.namespace not in doomed]
        namespaces = sorted({place.name for place in places if place.kind == "Namespace"})
        return namespaces, sorted(p for p in places if p.kind != "Namespace" and p.namespace not in namespaces)


def joined(first: Object, second: Object) -> Object:
    """Returns two nested dictionaries in one; the second counts where both have a value."""
    result = dict(first)
    for key, value in second.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = joined(result[key], value) if both else value
    return result
