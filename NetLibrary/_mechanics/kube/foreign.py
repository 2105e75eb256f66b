"""Changes to objects that existed before the run: recorded in the object itself, and put back at the end.

The record is written by the very request that makes the change, so that a sweep from another machine can put it back
when the run dies. A value that somebody else has changed since is left as it is, and named.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.change_records import ABSENT, RECORD_PREFIX, Path, Record, Step
from NetLibrary._mechanics.kube.ownership import RUN_LABEL, TRIES, Object, Place, joined, place_of
from NetLibrary._mechanics.kube.reader import ClusterReader
from NetLibrary._mechanics.kube.resources import Resource
from NetLibrary._mechanics.kube.taints import undone

# Lets a sweep find changed objects; it is no sign of ownership, and goes when the last change was put back
CHANGED_LABEL = "netlibrary.io/changed"
# All annotations of an object together may have 256 KiB
RECORD_LIMIT = 60_000
# Kubernetes sets and removes taints too, so they are put back one by one
TAINTS = ("spec", "taints")
# Identity of the object, not configuration
_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "managedFields", "creationTimestamp", "generation")


@dataclass
class Outcome:
    """What came of putting one object back.

    Args:
        back: Fields that have their old value again.
        left: What stays changed and why, in words.
    """

    place: Place
    back: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class ForeignChanges:
    """The changes that one run made to objects of others in one cluster.

    Args:
        cluster: Where.
        run_id: Whose changes; the cluster's run by default.
    """

    def __init__(self, cluster: ClusterReader, run_id: str = "") -> None:
        self._cluster = cluster
        self._run = run_id or cluster.run_id or "no-run"
        self._records: dict[Place, tuple[Resource, str, Record]] = {}

    @property
    def manager(self) -> str:
        """Field manager of the changes: one for each run, so that two runs do not take back each other's."""
        return f"netlibrary-{self._run}"

    @property
    def annotation(self) -> str:
        """Key of the annotation with the record."""
        return RECORD_PREFIX + self._run

    @property
    def places(self) -> list[Place]:
        """The objects of others that are changed now."""
        return list(self._records)

    # --- changing -----------------------------------------------------------------------------------------

    def apply(self, resource: Resource, found: Object, desired: Object, *, force: bool) -> Object:
        """Changes an object by server-side apply, without taking it over.

        Args:
            resource: Its kind.
            found: The object as it was seen.
            desired: The fields to set.
            force: Whether fields that others manage may be set.
        """
        wanted = _configuration(desired)

        def send(seen: Object, extra: Object) -> Object:
            body = copy.deepcopy(wanted)
            metadata = body.setdefault("metadata", {})
            known = ("name", "namespace", "uid", "resourceVersion")
            metadata |= {key: seen["metadata"][key] for key in known if key in seen["metadata"]}
            metadata |= {key: {**(metadata.get(key) or {}), **values} for key, values in extra.items()}
            body["apiVersion"], body["kind"] = desired["apiVersion"], desired["kind"]
            query = {"fieldManager": self.manager, "force": force, "fieldValidation": "Strict"}
            return self._cluster.connection.request_object(
                "PATCH", _path(resource, seen), query=query, body=body, content_type="application/apply-patch+yaml"
            )

        return self._change(resource, found, wanted, send)

    def merge(self, resource: Resource, found: Object, body: Object) -> Object:
        """Changes an object by a JSON merge patch; `None` removes a value."""
        wanted = _configuration(body)

        def send(seen: Object, extra: Object) -> Object:
            patch = copy.deepcopy(wanted)
            metadata = patch.setdefault("metadata", {})
            metadata["resourceVersion"] = seen["metadata"]["resourceVersion"]
            metadata |= {key: {**(metadata.get(key) or {}), **values} for key, values in extra.items()}
            return self._patch(resource, seen, patch, strict=True)

        return self._change(resource, found, wanted, send)

    def _change(self, resource: Resource, found: Object, wanted: Object, send: Any) -> Object:
        place = place_of(resource, found["metadata"])
        for last in (False,) * (TRIES - 1) + (True,):
            record = self._record(place, found)
            record.add(_steps(found, wanted, self._of_others(found)))
            if not record.steps:
                self._cluster.say(f"{place} existed before this run and is already as wanted: it is left alone.")
                return found
            try:
                changed: Object = send(found, self._marks(resource, record))
            except errors.ClusterError as error:
                if error.after_lost or (isinstance(error, errors.Unreachable) and error.sent):
                    self._remember(resource, place, found, record)  # perhaps changed; putting back is no harm
                if last or not isinstance(error, errors.Conflict) or "has been modified" not in str(error):
                    raise
                found = self._cluster.get(place.kind, place.name, place.namespace or None)
                continue
            self._remember(resource, place, found, record)
            return changed
        raise AssertionError("not reached")

    def _remember(self, resource: Resource, place: Place, found: Object, record: Record) -> None:
        if place not in self._records:
            self._cluster.say(f"{place} existed before this run: it is changed and will be restored at the end.")
            record.managers = found["metadata"].get("managedFields") or []
        self._records[place] = (resource, found["metadata"]["uid"], record)

    def _of_others(self, found: Object) -> dict[Path, Step]:
        """Returns what other runs have changed on the object and still need."""
        notes = found["metadata"].get("annotations") or {}
        records = [Record.of(found, k) for k in notes if k.startswith(RECORD_PREFIX) and k != self.annotation]
        return {step.path: step for record in records for step in record.steps}

    def _record(self, place: Place, found: Object) -> Record:
        known = self._records.get(place)
        if known is not None and known[1] == found["metadata"]["uid"]:
            return Record([Step(s.path, s.was, s.now) for s in known[2].steps], known[2].managers, known[1])
        return Record(Record.of(found, self.annotation).steps, uid=found["metadata"]["uid"])

    def _marks(self, resource: Resource, record: Record) -> Object:
        marks: Object = {"labels": {CHANGED_LABEL: "true"}}
        text = record.dump(self._cluster.now())
        # The values of a Secret are for this process only, and for the Secret
        if resource.kind != "Secret" and len(text) <= RECORD_LIMIT:
            marks["annotations"] = {self.annotation: text}
        return marks

    def refresh(self) -> None:
        """Writes all records anew, whose time is the sign of life of a run that has no namespace for a heartbeat."""
        for place, (resource, uid, record) in list(self._records.items()):
            found = self._cluster.find(place.kind, place.name, place.namespace or None)
            if found is not None and found["metadata"]["uid"] == uid:
                self._patch(resource, found, {"metadata": self._marks(resource, record)})

    # --- putting back -------------------------------------------------------------------------------------

    def put_back(self) -> list[Outcome]:
        """Puts all objects back that this object changed, the latest first."""
        outcomes = []
        for place, (resource, uid, record) in reversed(list(self._records.items())):
            outcomes.append(self.put_back_one(resource, place, uid, record))
            del self._records[place]
        return outcomes

    def put_back_one(self, resource: Resource, place: Place, uid: str = "", record: Record | None = None) -> Outcome:
        """Puts one object back.

        Args:
            resource: Its kind.
            place: Where it is.
            uid: Which object it was; any by default.
            record: What was changed, where no annotation tells it.
        """
        outcome = Outcome(place)
        try:
            for _ in range(TRIES):
                outcome.back, outcome.left = [], []
                try:
                    found = self._cluster.get(place.kind, place.name, place.namespace or None)
                    if uid and found["metadata"]["uid"] != uid:
                        return outcome  # another object of that name, which nobody changed
                    self._put_back(resource, found, record, outcome)
                    return outcome
                except errors.Conflict:
                    continue
            outcome.left.append("something else keeps changing it")
        except errors.NotFound:
            pass  # gone, and the changes with it
        except errors.ClusterError as error:
            outcome.back, outcome.left = [], [str(error).rstrip(".")]
        return outcome

    def _put_back(self, resource: Resource, found: Object, record: Record | None, outcome: Outcome) -> None:
        annotations = found["metadata"].get("annotations") or {}
        written = Record.of(found, self.annotation)
        record = record or written
        patch: Object = {}
        needed = self._of_others(found)
        for step in reversed(record.steps):
            if step.path not in needed:  # the last run that needs a value puts it back
                _undo(found, step, patch, outcome)
        without = self._without_marks(annotations)
        try:
            changed = self._patch(resource, found, joined(patch, without))
        except errors.Invalid as error:
            outcome.left += [f"{name}: {error}".rstrip(".") for name in outcome.back]
            outcome.back = []
            changed = self._patch(resource, found, without)
        self._hand_fields_back(resource, changed, record.managers)

    def _without_marks(self, annotations: Mapping[str, str]) -> Object:
        others = [key for key in annotations if key.startswith(RECORD_PREFIX) and key != self.annotation]
        metadata: Object = {"annotations": {self.annotation: None}}
        if not others:
            metadata["labels"] = {CHANGED_LABEL: None}
        return {"metadata": metadata}

    def _patch(self, resource: Resource, found: Object, patch: Object, *, strict: bool = False) -> Object:
        metadata = {**(patch.get("metadata") or {}), "resourceVersion": found["metadata"]["resourceVersion"]}
        return self._cluster.connection.request_object(
            "PATCH", _path(resource, found),
            query={"fieldManager": self.manager, "fieldValidation": "Strict" if strict else None},
            body={**patch, "metadata": metadata}, content_type="application/merge-patch+json",
        )  # fmt: skip

    def _hand_fields_back(self, resource: Resource, found: Object, before: list[Object]) -> None:
        """Makes the former managers of fields their managers again, or their next apply would meet a conflict."""
        now = found["metadata"].get("managedFields") or []
        if not any(entry.get("manager") == self.manager for entry in now):
            return
        kept = [copy.deepcopy(entry) for entry in now if entry.get("manager") != self.manager]
        for old in before:
            if old.get("manager", "").startswith("netlibrary-") or old.get("subresource"):
                continue
            same = next((e for e in kept if _who(e) == _who(old)), None)
            if same is None:
                kept.append(old)
            else:
                same["fieldsV1"] = joined(old.get("fieldsV1") or {}, same.get("fieldsV1") or {})
        try:
            # An empty list would be taken for "forget them all"; one empty entry is how to say so
            self._patch(resource, found, {"metadata": {"managedFields": kept or [{}]}})
        except errors.ClusterError:
            return  # the values are back, which is what counts


def _path(resource: Resource, obj: Object) -> str:
    return resource.path(obj["metadata"].get("namespace"), obj["metadata"]["name"])


def _who(entry: Object) -> tuple[Any, ...]:
    return tuple(entry.get(key) for key in ("manager", "operation", "apiVersion", "subresource"))


def _configuration(obj: Object) -> Object:
    """Returns what an object configures: no identity, no status, and never the run's label."""
    result = {k: copy.deepcopy(v) for k, v in obj.items() if k not in ("apiVersion", "kind", "status", "metadata")}
    metadata = {k: copy.deepcopy(v) for k, v in (obj.get("metadata") or {}).items() if k not in _IDENTITY}
    if metadata.get("labels"):
        metadata["labels"].pop(RUN_LABEL, None)
    if obj.get("kind") == "Secret" and result.get("stringData"):  # only a way to write `data`
        texts = {key: base64.b64encode(str(text).encode()).decode() for key, text in result.pop("stringData").items()}
        result["data"] = {**(result.get("data") or {}), **texts}
    kept = {key: value for key, value in metadata.items() if value or value is None}
    return {**result, "metadata": kept} if kept else result


def _steps(found: Object, wanted: Object, others: Mapping[Path, Step], path: Path = ()) -> list[Step]:
    """Returns what setting `wanted` changes, or shares with a change of another run; lists are one value."""
    steps: list[Step] = []
    for key, value in wanted.items():
        was = found.get(key, ABSENT)
        at = (*path, key)
        if isinstance(value, dict) and (isinstance(was, dict) or path == ("metadata",)):  # labels one by one
            steps += _steps(was if isinstance(was, dict) else {}, value, others, at)
        elif value is None:
            if was is not ABSENT:
                steps.append(Step(at, was, ABSENT))
        elif not _covers(was, value):
            steps.append(Step(at, was, value))
        elif at in others and _covers(others[at].now, value):
            steps.append(Step(at, others[at].was, value))
    return steps


def _undo(found: Object, step: Step, patch: Object, outcome: Outcome) -> None:
    """Adds what undoes a step to a merge patch, unless somebody else has changed the value meanwhile."""
    name = ".".join(step.path)
    current = _at(found, step.path)
    if step.was is ABSENT and current is ABSENT:
        return
    if step.was is not ABSENT and current is not ABSENT and current == step.was:
        return
    if step.path == TAINTS:
        lists = (value if isinstance(value, list) else [] for value in (current, step.was, step.now))
        patch.setdefault("spec", {})["taints"] = undone(*lists) or None
        outcome.back.append(name)
        return
    untouched = current is ABSENT if step.now is ABSENT else current is not ABSENT and _covers(current, step.now)
    if not untouched:
        outcome.left.append(f"{name} was changed by something else in the meantime")
        return
    place = patch
    for part in step.path[:-1]:
        place = place.setdefault(part, {})
    place[step.path[-1]] = None if step.was is ABSENT else step.was
    outcome.back.append(name)


def _at(obj: Any, path: Path) -> Any:
    for part in path:
        if not isinstance(obj, dict) or part not in obj:
            return ABSENT
        obj = obj[part]
    return obj


def _covers(current: Any, wanted: Any) -> bool:
    """Tells whether a value has everything that was set; the server adds defaults to it."""
    if isinstance(wanted, dict):
        return isinstance(current, dict) and all(k in current and _covers(current[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(current, list) and all(any(_covers(c, w) for c in current) for w in wanted)
    return bool(current == wanted)
