"""Which container of a pod is meant when none is named: injected sidecars are normal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from NetLibrary._mechanics import errors

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

T = TypeVar("T")
# What the API server says when a pod has several containers and none is named
_SEVERAL = "a container name must be specified"
# A kubelet whose container is gone answers with status 200 and this in the place of the log
_NO_LOG = "unable to retrieve container logs for "


def first(cluster: Cluster, namespace: str, pod: str) -> str:
    """Returns the container of a pod that is meant when none is named; see `Cluster.first_container`."""
    found = cluster.get("Pod", pod, namespace)
    names = [str(each["name"]) for each in found["spec"]["containers"]]
    wanted = (found["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    return wanted if wanted in names else names[0]


def ask(cluster: Cluster, namespace: str, pod: str, container: str | None, request: Callable[[str | None], T]) -> T:
    """Sends a request about a container; where the pod has several and none is named, again about the first one."""
    try:
        return request(container)
    except errors.Invalid as error:
        if container is not None or _SEVERAL not in str(error):
            raise
    return request(cluster.first_container(namespace, pod))


def log_in(answer: object, namespace: str, pod: str) -> str:
    """Returns the log in a kubelet's answer.

    Raises:
        NotFound: It is the kubelet's own sentence that there is none any more.
    """
    text = str(answer)
    if text.startswith(_NO_LOG):
        raise errors.NotFound(f"The log of pod '{namespace}/{pod}' is gone: {text.strip()[:200]}.", status=404)
    return text
