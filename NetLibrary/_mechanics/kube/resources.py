"""From a kind's name to its API path: a table for what every cluster has, discovery for the rest."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from NetLibrary._mechanics.errors import ClusterError, InputError, NotFound
from NetLibrary._mechanics.kube.connection import Connection


@dataclass(frozen=True)
class Resource:
    """One kind as the API server serves it."""

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Returns the path of the collection or of one object.

        Raises:
            InputError: It is one object of a namespace that is not named.
        """
        if name and self.namespaced and not namespace:
            raise InputError(
                f"namespace is missing: a {self.kind} is namespaced, so the name '{name}' alone is not enough."
            )
        parts = ["", "apis", self.group, self.version] if self.group else ["", "api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


def _table() -> dict[str, Resource]:
    known: dict[str, Resource] = {}
    for group, version, entries in (
        (
            "",
            "v1",
            "Namespace/namespaces- Node/nodes- PersistentVolume/persistentvolumes- Pod/pods Service/services "
            "ConfigMap/configmaps Secret/secrets Event/events Endpoints/endpoints ServiceAccount/serviceaccounts "
            "PersistentVolumeClaim/persistentvolumeclaims",
        ),
        (
            "apps",
            "v1",
            "Deployment/deployments DaemonSet/daemonsets ReplicaSet/replicasets StatefulSet/statefulsets "
            "ControllerRevision/controllerrevisions",
        ),
        ("policy", "v1", "PodDisruptionBudget/poddisruptionbudgets"),
        ("batch", "v1", "Job/jobs CronJob/cronjobs"),
        ("discovery.k8s.io", "v1", "EndpointSlice/endpointslices"),
        ("networking.k8s.io", "v1", "NetworkPolicy/networkpolicies Ingress/ingresses"),
        (
            "rbac.authorization.k8s.io",
            "v1",
            "Role/roles RoleBinding/rolebindings ClusterRole/clusterroles- ClusterRoleBinding/clusterrolebindings-",
        ),
        ("scheduling.k8s.io", "v1", "PriorityClass/priorityclasses-"),
        ("coordination.k8s.io", "v1", "Lease/leases"),
        ("apiextensions.k8s.io", "v1", "CustomResourceDefinition/customresourcedefinitions-"),
    ):
        for entry in entries.split():
            kind, plural = entry.split("/")
            known[kind.lower()] = Resource(kind, group, version, plural.rstrip("-"), not plural.endswith("-"))
    return known


BUILT_IN = _table()
# What all groups serve, in one answer: from Kubernetes 1.26 on. Others answer with the names of the groups.
_AT_ONCE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
_SHORT = (
    "ns/namespace no/node pv/persistentvolume po/pod svc/service cm/configmap ev/event ep/endpoints sa/serviceaccount "
    "pvc/persistentvolumeclaim deploy/deployment ds/daemonset rs/replicaset sts/statefulset cj/cronjob "
    "netpol/networkpolicy ing/ingress pdb/poddisruptionbudget crd/customresourcedefinition "
    "pc/priorityclass"
)


def _words() -> dict[str, Resource]:
    """Returns what kubectl takes for the built-in kinds too: plurals and short names."""
    words = {resource.plural: resource for resource in BUILT_IN.values()}
    for entry in _SHORT.split():
        short, kind = entry.split("/")
        words[short] = BUILT_IN[kind]
    return {**words, **BUILT_IN}


_BY_WORD = _words()


class Resources:
    """Finds resources of one cluster; what was discovered is remembered, a miss is looked up anew.

    Args:
        connection: Where to ask.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._found: dict[str, Resource] = {}
        self.silent: dict[str, str] = {}  # groups whose server did not answer when everything was asked for, and why

    def find(self, kind: str) -> Resource:
        """Returns the resource for `Kind` or `Kind.group`, for instance `Site.skupper.io`.

        Plurals and kubectl's short names, such as `svc`, do as well.

        Raises:
            InputError: The kind is empty.
            NotFound: The cluster does not serve it, for instance because a CRD is not installed.
        """
        if not kind:
            raise InputError("kind is empty; give a kind as kubectl does, for instance 'Pod' or 'Site.skupper.io'.")
        key = kind.lower()
        if key in _BY_WORD:
            return _BY_WORD[key]
        word, _, group = kind.partition(".")
        if (common := _BY_WORD.get(word.lower())) and common.group == group:  # an owner's reference names the group
            return common
        if key not in self._found:
            served = self._discover(group or None)
            for resource, entry in served:
                names = {resource.kind.lower(), resource.plural, *(entry.get("shortNames") or [])}
                if word.lower() in names:
                    self._found[key] = resource
                    break
            else:
                where = f"API group '{group}'" if group else "any API group"
                close = difflib.get_close_matches(word, [resource.kind for resource, _ in served], 1, 0.75)
                hint = f"did you mean '{close[0]}'?" if close else "is its custom resource definition installed?"
                raise NotFound(
                    f"Cluster '{self._connection.alias}' does not serve the kind '{word}' in {where}: {hint}",
                    status=404,
                    reason="NotFound",
                )
        return self._found[key]

    def of(self, obj: dict[str, Any]) -> Resource:
        """Returns the resource an object belongs to, from its `apiVersion` and `kind`."""
        kind, api_version = obj.get("kind", ""), obj.get("apiVersion", "")
        if not kind or not api_version:
            raise InputError(f"A Kubernetes object needs 'apiVersion' and 'kind'; this one has {sorted(obj)}.")
        group, _, version = api_version.rpartition("/")
        built_in = BUILT_IN.get(kind.lower())
        if built_in and built_in.api_version == api_version:
            return built_in
        found = self.find(f"{kind}.{group}" if group else kind)
        return found if found.version == version else Resource(kind, group, version, found.plural, found.namespaced)

    def groups(self) -> set[str]:
        """Returns the names of all API groups that the cluster serves."""
        return {group["name"] for group in self._connection.request_object("GET", "/apis")["groups"]}

    def served(self) -> list[tuple[Resource, set[str]]]:
        """Returns every resource that the cluster serves in its preferred version, with its verbs."""
        return [(resource, set(entry.get("verbs") or [])) for resource, entry in self._discover(None)]

    def _discover(self, group: str | None) -> list[tuple[Resource, dict[str, Any]]]:
        answer = self._connection.request_object("GET", "/apis", accept=_AT_ONCE)
        self.silent = {}
        if answer.get("kind") == "APIGroupDiscoveryList":
            if group is None:
                core = self._connection.request_object("GET", "/api", accept=_AT_ONCE)
                answer = {"items": [*(core.get("items") or []), *(answer.get("items") or [])]}
            return [found for each in answer["items"] or [] if group in (None, _name(each))
                    for found in self._in_group(each)]  # fmt: skip
        result = [] if group else self._served("", "v1", "/api/v1")
        for entry in answer["groups"]:
            if group is not None and entry["name"] != group:
                continue
            version = entry["preferredVersion"]["version"]
            path = f"/apis/{entry['name']}/{version}"
            try:
                result += self._served(entry["name"], version, path, patient=group is not None)
            except ClusterError as error:
                # One extension server that is down, such as metrics, must not hide everything else, nor be waited for
                if group is not None or (error.status and error.status < 500):
                    raise
                self.silent[entry["name"]] = str(error)
        return result

    def _in_group(self, group: dict[str, Any]) -> list[tuple[Resource, dict[str, Any]]]:
        """Reads one group of an answer that has all of them; the preferred version is the first."""
        name, version = _name(group), (group.get("versions") or [{}])[0]
        if version.get("freshness") == "Stale":
            self.silent[name] = f"the server of API group '{name}' does not answer; the API server knows it from before"
        return [
            (
                Resource(entry["responseKind"]["kind"], name, version["version"], entry["resource"],
                         entry.get("scope") == "Namespaced"),
                entry,
            )
            for entry in version.get("resources") or []
            if (entry.get("responseKind") or {}).get("kind")
        ]  # fmt: skip

    def _served(
        self, group: str, version: str, path: str, *, patient: bool = True
    ) -> list[tuple[Resource, dict[str, Any]]]:
        return [
            (Resource(r["kind"], group, version, r["name"], r["namespaced"]), r)
            for r in self._connection.request_object("GET", path, patient=patient).get("resources") or []
            if "/" not in r["name"]
        ]


def _name(group: dict[str, Any]) -> str:
    return str((group.get("metadata") or {}).get("name") or "")
