"""Why pods stay although they, or their namespace, were deleted: finalizers, and nodes that do not end them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from NetLibrary._mechanics.kube.why_not_ready import goes

Object = dict[str, Any]
MOST = 3
# A namespace may hold thousands of pods, and a few of them tell why
MOST_LOOKED_AT = 20


def reasons(
    kind: str, objects: Sequence[Object], pods_in: Callable[[str], list[Object]], lost: Callable[[str], str]
) -> Iterator[str]:
    """Yields sentences about pods that stay.

    From 1.33 on Kubernetes removes the pods of a namespace before anything else, and until they are gone the conditions
    of the namespace say that all of its content was removed.

    Args:
        kind: Kind of the objects that are to go; those of others have nothing to do with pods.
        objects: The objects.
        pods_in: Returns pods of a namespace.
        lost: Tells that a node does not answer; empty where it does.
    """
    going = [each for each in objects if goes(each)]
    if kind == "Pod":  # whose own finalizers are told already
        yield from (text for pod in going[:MOST] if (text := _of_its_node(pod, lost)))
    elif kind == "Namespace":
        for namespace in going[:MOST]:
            pods = [pod for pod in pods_in(namespace["metadata"]["name"]) if goes(pod)]
            found = [text for pod in pods if (text := _of_finalizers(pod) or _of_its_node(pod, lost))]
            yield from found[:MOST]


def _name(pod: Object) -> str:
    return f"pod '{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}'"


def _of_finalizers(pod: Object) -> str:
    names = ", ".join(f"'{each}'" for each in pod["metadata"].get("finalizers") or [])
    return f"{_name(pod)} is kept by the finalizer {names}" if names else ""


def _of_its_node(pod: Object, lost: Callable[[str], str]) -> str:
    node = (pod.get("spec") or {}).get("nodeName")
    why = lost(node) if node else ""
    return f"{_name(pod)} cannot end: {why}" if why else ""
