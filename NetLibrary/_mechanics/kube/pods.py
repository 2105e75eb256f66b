"""What every pod of a run gets, whichever suite makes it: registry, pull secret, place on the nodes, labels, requests.

There is one place for this: whatever a run creates passes through `dressed`, a Pod or the template in a Deployment.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube.quantities import quantity

Object = dict[str, Any]
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
ANY_USER = "any"
SCRATCH = "netlibrary-tmp"  # volume
RESOURCES = ("cpu", "memory", "ephemeral-storage")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True)
class PodSettings:
    """Settings for all pods of a run; empty ones leave manifests as they are.

    Args:
        registry: Takes the place of the registry in every image: `registry.example/mirror`.
        pull_secrets: Names of Secrets of the pods' namespaces with the registry's credentials.
        pull_policy: `Always`, `IfNotPresent` or `Never`.
        tolerations: Taints that do not keep the pods away.
        node_selector: Labels of nodes, besides those that a manifest asks for.
        priority_class: Name of a PriorityClass.
        labels: Further labels of the pods.
        annotations: Further annotations of the pods.
        requests: Resources for containers that ask for none, or for less.
        limits: Limits for containers that have none.
        user: User id of all processes that are not root's; `any` leaves it to the cluster. Empty as in the manifest.
        read_only_root: Whether containers get a read-only root, with an empty volume at /tmp.
    """

    registry: str = ""
    pull_secrets: tuple[str, ...] = ()
    pull_policy: str = ""
    tolerations: tuple[Object, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    priority_class: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    read_only_root: bool = False

    @classmethod
    def of_variables(cls, value: Any) -> PodSettings:
        """Reads the settings from the variables of suites.

        Args:
            value: Called with a variable's name, returns its value or None.
        Raises:
            InputError: A value is not of the allowed form; the text names the variable.
        """
        policy = str(value("IMAGE_PULL_POLICY") or "")
        if policy and policy not in PULL_POLICIES:
            raise InputError(f"IMAGE_PULL_POLICY is '{policy}'; allowed: {', '.join(PULL_POLICIES)}.")
        user = str(value("POD_USER") or "").strip().lower()
        if user not in ("", ANY_USER) and not (user.isdigit() and int(user)):
            raise InputError(f"POD_USER is '{user}'; allowed: a number above 0, and {ANY_USER}.")
        return cls(
            registry_of(str(value("REGISTRY") or ""), "REGISTRY"),
            tuple(_words(value("PULL_SECRET"))),
            policy,
            tuple(_tolerations(value("TOLERATIONS"))),
            _pairs(value("NODE_SELECTOR"), "NODE_SELECTOR"),
            str(value("PRIORITY_CLASS") or ""),
            _pairs(value("POD_LABELS"), "POD_LABELS"),
            _pairs(value("POD_ANNOTATIONS"), "POD_ANNOTATIONS"),
            _amounts(value("POD_REQUESTS"), "POD_REQUESTS"),
            _amounts(value("POD_LIMITS"), "POD_LIMITS"),
            user,
            bool(value("POD_READ_ONLY_ROOT")),
        )


def dressed(obj: Object, settings: PodSettings) -> Object:
    """Returns an object with the settings in its pod, or in its template for pods; others come back as they are."""
    if settings == PodSettings() or _template(obj) is None:
        return obj
    result = copy.deepcopy(obj)
    template = _template(result)
    assert template is not None
    metadata = template["metadata"] = template.get("metadata") or {}
    for key, values in (("labels", settings.labels), ("annotations", settings.annotations)):
        if values:
            metadata[key] = {**values, **(metadata.get(key) or {})}
    spec = template["spec"]
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        if settings.registry and container.get("image"):
            container["image"] = in_registry(str(container["image"]), settings.registry)
        if settings.pull_policy:
            container["imagePullPolicy"] = settings.pull_policy
        if settings.requests or settings.limits:
            container["resources"] = _resources(container.get("resources") or {}, settings)
        if settings.read_only_root:
            _make_root_read_only(container)
    if settings.read_only_root:
        spec["volumes"] = [*(spec.get("volumes") or []), {"name": SCRATCH, "emptyDir": {}}]
    if settings.user:
        _set_user(spec, settings.user)
    if settings.pull_secrets:
        there = [entry["name"] for entry in spec.get("imagePullSecrets") or []]
        spec["imagePullSecrets"] = [{"name": name} for name in dict.fromkeys([*there, *settings.pull_secrets])]
    if settings.tolerations:
        spec["tolerations"] = [*(spec.get("tolerations") or []), *settings.tolerations]
    # A pod that names its node passes the scheduler by, and its kubelet would refuse it for a wrong label
    if settings.node_selector and not spec.get("nodeName"):
        spec["nodeSelector"] = {**settings.node_selector, **(spec.get("nodeSelector") or {})}
    if settings.priority_class:
        spec.setdefault("priorityClassName", settings.priority_class)
    return result


def _make_root_read_only(container: Object) -> None:
    container["securityContext"] = {**(container.get("securityContext") or {}), "readOnlyRootFilesystem": True}
    mounts = container["volumeMounts"] = list(container.get("volumeMounts") or [])
    if not any(mount.get("mountPath") == "/tmp" for mount in mounts):
        mounts.append({"name": SCRATCH, "mountPath": "/tmp"})


def _set_user(spec: Object, user: str) -> None:
    """Gives processes another user id, or none, for a cluster that chooses it. Those that need root stay root's."""
    every = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    contexts = [holder["securityContext"] for holder in (spec, *every) if holder.get("securityContext")]
    if any(context.get("runAsUser") == 0 for context in contexts):
        return
    for context in contexts:
        for key in ("runAsUser", "runAsGroup"):
            if context.pop(key, None) is not None and user != ANY_USER:
                context[key] = int(user)


def _resources(given: Object, settings: PodSettings) -> Object:
    """Returns a container's resources with requests of each kind that it asks less of, and limits where it has none."""
    # Where only a limit stands, the API server asks for as much; and nobody may ask for more than his limit
    asked, limited = given.get("requests") or {}, given.get("limits") or {}
    added = {
        key: amount
        for key, amount in settings.requests.items()
        if key not in limited and quantity(amount) > quantity(asked.get(key, 0))
    }
    found = {**given, "requests": {**asked, **added}} if added else dict(given)
    if settings.limits:
        found.setdefault("limits", dict(settings.limits))
    return found


def registry_of(text: str, name: str) -> str:
    """Returns the registry that a user names, without the slash at its end.

    Args:
        text: Host and path, for instance `registry.example/mirror`.
        name: Name of the variable or option, for the message.

    Raises:
        InputError: It is an address for a browser, or contains white space: no node could pull from there.
    """
    registry = text.strip().rstrip("/")
    if "://" in registry or " " in registry:
        raise InputError(
            f"{name} is '{text}'; allowed: a host and a path without a scheme, such as registry.example/mirror."
        )
    return registry


def in_registry(image: str, registry: str) -> str:
    """Returns the reference of an image in another registry.

    Example:
        >>> in_registry("quay.io/skupper/lanyard:latest", "registry.example/mirror")
        'registry.example/mirror/skupper/lanyard:latest'
        >>> in_registry("busybox:1.36", "registry.example")
        'registry.example/library/busybox:1.36'
    """
    if not registry or image.startswith(f"{registry}/"):
        return image
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return f"{registry}/{rest}" if first != "docker.io" or "/" in rest else f"{registry}/library/{rest}"
    return f"{registry}/{image}" if slash else f"{registry}/library/{image}"


def _template(obj: Object) -> Object | None:
    """Returns the part of an object with a pod's `metadata` and `spec`."""
    spec = obj.get("spec") or {}
    if obj.get("kind") == "Pod":
        return obj
    if obj.get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    template = spec.get("template")
    built_in = str(obj.get("apiVersion", "")).split("/")[0] in ("apps", "batch")
    return template if built_in and isinstance(template, dict) and isinstance(template.get("spec"), dict) else None


def _words(value: Any) -> list[str]:
    parts = value if isinstance(value, (list, tuple)) else str(value or "").split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def _pairs(value: Any, name: str) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(key): str(each) for key, each in value.items()}
    pairs = {}
    for word in _words(value):
        key, equal, text = word.partition("=")
        if not equal or not key:
            raise InputError(f"{name} has '{word}'; allowed: pairs such as key=value, separated by commas.")
        pairs[key] = text
    return pairs


def _amounts(value: Any, name: str) -> dict[str, str]:
    """Reads resources of containers with their amounts, as the API server accepts them."""
    amounts = _pairs(value, name)
    for key, amount in amounts.items():
        # Others have the domain of whoever offers them in front
        if key not in RESOURCES and not key.startswith("hugepages-") and "/" not in key:
            raise InputError(f"{name} has '{key}={amount}'; allowed resources: {', '.join(RESOURCES)}.")
        try:
            right = quantity(amount, name) >= 0
        except InputError as error:
            raise InputError(f"{name} has '{key}={amount}'; {str(error).partition('; ')[2]}") from None
        if not right:
            raise InputError(f"{name} has '{key}={amount}'; allowed: 0 and more.")
    return amounts


def _tolerations(value: Any) -> list[Object]:
    """Reads `key=value:Effect`, `key:Effect`, `key` or `*`, separated by commas; JSON as in a pod does as well."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InputError(f"TOLERATIONS looks like JSON but is not valid: {error}.") from error
    if isinstance(value, (list, tuple)) and all(isinstance(each, Mapping) for each in value):
        return [dict(each) for each in value]
    found: list[Object] = []
    for word in _words(value):
        taint, _, effect = word.partition(":")
        key, equal, text = taint.partition("=")
        if effect and effect not in EFFECTS:
            raise InputError(f"TOLERATIONS has '{word}'; allowed effects are {', '.join(EFFECTS)}.")
        one: Object = {"operator": "Equal", "value": text} if equal else {"operator": "Exists"}
        if key != "*":
            one["key"] = key
        found.append({**one, **({"effect": effect} if effect else {})})
    return found
