"""Creating and changing objects so that it is always known which of them are the run's."""

from __future__ import annotations

from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import signs_of_life
from NetLibrary._mechanics.kube.containers import named
from NetLibrary._mechanics.kube.missing import no_such_namespace
from NetLibrary._mechanics.kube.ownership import RUN_LABEL, Object, is_marked, joined, place_of
from NetLibrary._mechanics.kube.pods import dressed
from NetLibrary._mechanics.kube.priority import instead
from NetLibrary._mechanics.kube.resources import Resource
from NetLibrary._mechanics.kube.wait import gone
from NetLibrary._mechanics.kube.writer import ClusterWriter
from NetLibrary._mechanics.polling import settle

FIELD_MANAGER = "netlibrary"
# A controller makes the default account of a new namespace
ACCOUNT_PATIENCE = 20.0
# How long an object that is being deleted is waited for before another one takes its name
ENDING_PATIENCE = 60.0
# Not that of `apply`, or the next apply would take back what was patched
PATCH_MANAGER = "netlibrary-patch"
_PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}


def prepare(cluster: ClusterWriter, obj: Object) -> tuple[Resource, Object]:
    """Returns the resource of an object and a copy of the object, checked for what every object needs."""
    resource = cluster.resources.of(obj)
    metadata = {**obj.get("metadata", {})}
    if resource.namespaced and not metadata.get("namespace"):
        raise errors.InputError(f"{resource.kind} '{metadata.get('name', '?')}' needs metadata.namespace.")
    return resource, {**obj, "metadata": metadata}


def patch(
    cluster: ClusterWriter, kind: str, name: str, namespace: str | None, body: Any, *, subresource: str | None,
    strategy: str, strict: bool,
) -> Object:  # fmt: skip
    """Changes parts of an object; see `Cluster.patch`."""
    if strategy not in _PATCHES:
        raise errors.InputError(f"strategy is '{strategy}'; allowed: {', '.join(_PATCHES)}.")
    path = cluster.resources.find(kind).path(namespace, name, subresource)
    result: Object = cluster.connection.request_object(
        "PATCH",
        path,
        query={"fieldManager": PATCH_MANAGER, "fieldValidation": "Strict" if strict else None},
        body=body,
        content_type=_PATCHES[strategy],
    )
    return result


def create(cluster: ClusterWriter, obj: Object) -> Object:
    """Creates an object, which is the run's from then on.

    Raises:
        errors.AlreadyExists: There is one of that name.
    """
    resource, obj = prepare(cluster, obj)
    obj = named(dressed(obj, cluster.opening.pod_settings(obj["metadata"].get("namespace"))))
    path = resource.path(obj["metadata"].get("namespace"))
    query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
    refused: list[errors.ClusterError] = []

    def posted() -> Object | None:
        made: Object | None
        try:
            body = cluster.ownership.marked(resource, obj)
            made = cluster.connection.request_object("POST", path, query=query, body=body)
        except (errors.Unreachable, errors.AlreadyExists) as error:
            lost = isinstance(error, errors.Unreachable)
            if lost:
                cluster.ownership.perhaps_created(resource, obj["metadata"])
            elif not any(isinstance(each, errors.Unreachable) for each in refused):
                if not resource.namespaced:
                    raise
                advice = "Choose another namespace or another name."
                raise errors.AlreadyExists(f"{error} {advice}", status=error.status, reason=error.reason) from error
            after_all = _made_after_all(cluster, resource, obj, error)
            if after_all is None and not lost:
                raise
            refused.append(error)
            made = after_all
        except errors.Forbidden as error:
            if "error looking up service account" not in str(error):
                if there := instead(cluster, str(error)):
                    text = f"{str(error).rstrip('.')}{there}."
                    raise errors.Forbidden(text, status=error.status, reason=error.reason) from error
                raise
            refused.append(error)
            return None
        if made is not None:
            cluster.ownership.created(resource, made)
        return made

    found = settle(
        posted, timeout=ACCOUNT_PATIENCE, every=0.2, what=f"Account for {obj['kind']} '{obj['metadata'].get('name')}'"
    )
    if found is None:
        raise refused[-1]
    return found


def _made_after_all(
    cluster: ClusterWriter, resource: Resource, obj: Object, error: errors.ClusterError
) -> Object | None:
    """Returns what a create made whose answer was lost, None where it made nothing and may be sent again.

    Raises:
        errors.ClusterError: The given one, where that cannot be told.
    """
    name, sent = obj["metadata"].get("name"), not isinstance(error, errors.Unreachable) or error.sent
    if not name or not sent or not cluster.run_id:
        raise error
    try:
        found = cluster.connection.request_object("GET", resource.path(obj["metadata"].get("namespace"), name))
    except errors.NotFound:
        return None
    except errors.ClusterError:  # this account may not look, or nobody answers
        raise error from None
    # Ours of before has a UID that is known
    return found if is_marked(resource, found, cluster.run_id) and not cluster.ownership.made(found) else None


def apply(cluster: ClusterWriter, obj: Object, *, force: bool = True, allow_foreign: bool = False) -> Object:
    """Creates an object, or changes one that exists by server-side apply.

    What is created is the run's. What existed before is changed only where that is allowed: it gets no label of the
    run, it is never deleted, and what this changes of it is put back at the end of the run.

    Raises:
        errors.NotOwned: It exists, and others made it; a run that is still alive, whatever is allowed.
    """
    resource, obj = prepare(cluster, obj)
    name, namespace = obj["metadata"].get("name"), obj["metadata"].get("namespace")
    if not name:
        also = "; metadata.generateName is not enough" if obj["metadata"].get("generateName") else ""
        raise errors.InputError(f"A {resource.kind} to apply needs metadata.name{also}.")
    kind = place_of(resource, obj["metadata"]).kind
    for _ in range(2):
        try:
            return create(cluster, obj)
        # A Service that asks for the port that it has is invalid; an account of one namespace may not create that
        except (errors.AlreadyExists, errors.Forbidden, errors.Invalid) as error:
            refusal = error
        try:
            found = cluster.connection.request_object("GET", resource.path(namespace, name))
        except errors.NotFound:
            if isinstance(refusal, errors.AlreadyExists):
                continue  # it went between the two requests
            break
        # Somebody who gives its finalizers wants to let it go, which waiting for its end would keep from happening
        if not found["metadata"].get("deletionTimestamp") or "finalizers" in obj["metadata"]:
            return _change(cluster, resource, found, obj, force, allow_foreign)
        cluster.wait(
            kind, namespace, gone(), name=name, timeout=ENDING_PATIENCE,
            what=f"Removal of the former {resource.kind} '{name}'",
        )  # fmt: skip
    raise refusal


def _change(
    cluster: ClusterWriter, resource: Resource, found: Object, obj: Object, force: bool, allow_foreign: bool
) -> Object:
    if not cluster.ownership.owns(resource, found):
        if living := signs_of_life.living_owner(cluster, resource, found):
            raise errors.NotOwned(
                f"{place_of(resource, found['metadata'])} belongs to {living}, so it is left as it is. Let that run "
                "end, or choose another namespace or another name."
            )
        if not allow_foreign and not is_marked(resource, found):
            raise errors.NotOwned(
                f"{place_of(resource, found['metadata'])} exists and was not created by this run, so it is left as it "
                "is. Choose another namespace or another name."
            )
        return cluster.foreign.apply(resource, found, obj, force=force)
    obj = named(dressed(obj, cluster.opening.pod_settings(obj["metadata"].get("namespace"))))
    if cluster.ownership.made(found):
        obj = cluster.ownership.marked(resource, obj, found)
        _take_fields(cluster, resource, found)
    query = {"fieldManager": FIELD_MANAGER, "force": force, "fieldValidation": "Strict"}
    # The UID makes sure that nobody's new object is changed or created by this
    body = {**obj, "metadata": {**obj["metadata"], "uid": found["metadata"]["uid"]}}
    return cluster.connection.request_object(
        "PATCH", _path(resource, found), query=query, body=body, content_type="application/apply-patch+yaml"
    )


def _take_fields(cluster: ClusterWriter, resource: Resource, found: Object) -> None:
    """Turns created fields into applied ones, so that the next apply removes those that it leaves out."""
    entries = found["metadata"].get("managedFields") or []
    created = [entry for entry in entries if _was_created(entry)]
    if not created:
        return
    applied = [e for e in entries if e.get("manager") == FIELD_MANAGER and e.get("operation") == "Apply"]
    rest = [entry for entry in entries if entry not in created and entry not in applied]
    fields: Object = {}
    for entry in (*applied, *created):
        fields = joined(fields, entry.get("fieldsV1") or {})
    metadata = {
        "managedFields": [*rest, {**created[0], "operation": "Apply", "fieldsV1": fields}],
        "resourceVersion": found["metadata"]["resourceVersion"],
    }
    try:
        cluster.connection.request_object(
            "PATCH", _path(resource, found), query={"fieldManager": FIELD_MANAGER}, body={"metadata": metadata},
            content_type="application/merge-patch+json",
        )  # fmt: skip
    except errors.Conflict:
        return  # fields that are left out stay then, as kubectl leaves what somebody else has created


def _was_created(entry: Object) -> bool:
    ours = entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Update"
    return ours and not entry.get("subresource")


def _path(resource: Resource, obj: Object) -> str:
    return resource.path(obj["metadata"].get("namespace"), obj["metadata"]["name"])


def change(cluster: ClusterWriter, kind: str, name: str, namespace: str | None, body: Object) -> Object:
    """Changes parts of an object by a merge patch; those of an object of others are put back at the end of the run."""
    resource = cluster.resources.find(kind)
    found = cluster.get(kind, name, namespace)
    if cluster.ownership.owns(resource, found):
        return patch(cluster, kind, name, namespace, body, subresource=None, strategy="merge", strict=True)
    return cluster.foreign.merge(resource, found, body)


# --- namespaces ---------------------------------------------------------------------------------------------


def _existing_namespace(cluster: ClusterWriter, name: str) -> Object | None:
    """Returns a namespace, None when there is none, an empty object where it may not be looked at."""
    try:
        return cluster.find("Namespace", name)
    except errors.Forbidden:  # an account of one namespace may perhaps not even look at it
        return {}


def enter_namespace(cluster: ClusterWriter, name: str, labels: dict[str, str], *, use_existing: bool) -> bool:
    """Creates a namespace, or begins to work in one that exists; returns whether it was created."""
    wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    found = _existing_namespace(cluster, name) if use_existing else None
    if not found:
        try:
            create(cluster, wanted)
            return True
        except (errors.AlreadyExists, errors.Forbidden) as error:
            if not use_existing:
                if isinstance(error, errors.Forbidden):
                    error.args = (f"{error} An account that owns a namespace works there with use_existing=True.",)
                    raise
                if not _is_ending_here(cluster, name):
                    raise errors.AlreadyExists(_of_another(cluster, name), status=409) from error
                what = f"The end of namespace '{name}', which this run has deleted"
                cluster.wait("Namespace", None, gone(), name=name, timeout=ENDING_PATIENCE, what=what)
                create(cluster, wanted)
                return True
            if found is None and isinstance(error, errors.Forbidden):
                why = f"{no_such_namespace(cluster, name)} The account may not create it: {error}"
                raise errors.InputError(why) from error
        found = _existing_namespace(cluster, name) or {}
    if found.get("metadata", {}).get("deletionTimestamp"):
        raise errors.InputError(f"The namespace '{name}' is being deleted; give another one, or wait until it is gone.")
    if found and cluster.ownership.made(found):
        return True
    if name not in cluster.ownership.foreign_namespaces:
        cluster.ownership.foreign_namespaces.add(name)
        known = f"Namespace '{name}' existed before this run: it is worked in and stays"
        taken = f"Namespace '{name}' is taken to exist, because the account may neither read nor create it"
        cluster.say(f"{known if found else taken}; at the end only what the run created in it is removed.")
    cluster.opening.look(name)
    return False


def _is_ending_here(cluster: ClusterWriter, name: str) -> bool:
    """Tells whether a namespace is on its way out that this run has made: an earlier suite of it used the name."""
    found = (_existing_namespace(cluster, name) or {}).get("metadata", {})
    return bool(found.get("deletionTimestamp")) and (found.get("labels") or {}).get(RUN_LABEL) == cluster.run_id


def _of_another(cluster: ClusterWriter, name: str) -> str:
    """Returns words about a namespace that is there already: whose it is, and what to do."""
    found = _existing_namespace(cluster, name) or {"metadata": {}}
    run = (found["metadata"].get("labels") or {}).get(RUN_LABEL)
    if run == cluster.run_id:
        return f"The namespace '{name}' already exists: this run has created it before."
    ways = "give another one, or use_existing=True to work in it"
    if run:
        text = f"The namespace '{name}' already exists: it belongs to run {run}, which is still running or was killed. "
        return f"{text}Wait for that run to end, {ways}; 'netlibrary sweep --run {run}' removes what a killed run left."
    return f"The namespace '{name}' already exists, and no run of these tests created it: {ways}."


def leave_namespace(cluster: ClusterWriter, name: str) -> None:
    """Deletes a namespace of the run, or what the run created in one that it only works in."""
    if name not in cluster.ownership.foreign_namespaces:
        cluster.delete("Namespace", name)
        return
    for place in cluster.ownership.inside(name):
        cluster.delete(place.kind, place.name, place.namespace)
