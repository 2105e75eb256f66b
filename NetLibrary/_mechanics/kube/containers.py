"""Which container of a pod is meant when none is named: injected sidecars are normal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.reader import ClusterReader
from NetLibrary._mechanics.secrets import head

T = TypeVar("T")
# What the API server says when a pod has several containers and none is named
_SEVERAL = "a container name must be specified"
# A kubelet whose container is gone answers with status 200 and this in the place of the log
_NO_LOG = "unable to retrieve container logs for "
DEFAULT = "kubectl.kubernetes.io/default-container"


def named(obj: dict[str, Any]) -> dict[str, Any]:
    """Returns a pod that says which container is meant when none is named; other objects come back as they are.

    A template says it by itself, see `meant`; a note in it would restart the pods of what existed before.
    """
    containers = (obj.get("spec") or {}).get("containers")
    if obj.get("kind") != "Pod" or not containers:
        return obj
    notes = {DEFAULT: containers[0]["name"], **(obj["metadata"].get("annotations") or {})}
    return {**obj, "metadata": {**obj["metadata"], "annotations": notes}}


def first(cluster: ClusterReader, namespace: str, pod: str) -> str:
    """Returns the container of a pod that is meant when none is named; see `Cluster.first_container`."""
    return meant(cluster, cluster.get("Pod", pod, namespace))


def meant(cluster: ClusterReader, pod: Mapping[str, Any]) -> str:
    """Returns the container of a pod that is meant when none is named.

    Injectors put sidecars behind the others or, to have them start first, before them. So the pod's annotation counts,
    then the template of what made the pod, which no injector touches.

    Args:
        cluster: Where the pod is.
        pod: The Pod object.
    """
    names = [str(each["name"]) for each in pod["spec"]["containers"]]
    if len(names) == 1:
        return names[0]
    wanted = (pod["metadata"].get("annotations") or {}).get(DEFAULT)
    return next((name for name in (wanted, *_declared(cluster, pod)) if name in names), names[0])


def _declared(cluster: ClusterReader, pod: Mapping[str, Any]) -> list[str]:
    """Returns the containers in the template of a pod's owner, without those that were injected into the pod."""
    for owner in pod["metadata"].get("ownerReferences") or []:
        if not owner.get("controller"):
            continue
        group = owner["apiVersion"].rpartition("/")[0]
        kind = owner["kind"] if group in ("", "apps", "batch") else f"{owner['kind']}.{group}"
        try:
            found = cluster.get(kind, owner["name"], pod["metadata"]["namespace"])
        except errors.NetLibraryError:
            return []  # it is gone, or this account may not see it
        template = (found.get("spec") or {}).get("template") or {}
        return [str(each["name"]) for each in (template.get("spec") or {}).get("containers") or []]
    return []


def ask(
    cluster: ClusterReader, namespace: str, pod: str, container: str | None, request: Callable[[str | None], T]
) -> T:
    """Sends a request about a container; where the pod has several and none is named, again about the first one."""
    try:
        return request(container)
    except errors.Invalid as error:
        if container is not None or _SEVERAL not in str(error):
            raise
    return request(first(cluster, namespace, pod))


def log_in(answer: object, namespace: str, pod: str) -> str:
    """Returns the log in a kubelet's answer.

    Raises:
        NotFound: It is the kubelet's own sentence that there is none any more.
    """
    text = str(answer)
    if text.startswith(_NO_LOG):
        raise errors.NotFound(f"The log of pod '{namespace}/{pod}' is gone: {head(text.strip(), 200)}.", status=404)
    return text
