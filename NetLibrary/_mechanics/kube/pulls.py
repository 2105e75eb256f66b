"""Images that nodes could not pull earlier in a run: the next pod that cannot get one is not waited for as long."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from NetLibrary._mechanics.kube.why_not_ready import PULLS, problem

Object = dict[str, Any]


class FailedPulls:
    """Remembers which node gave up which image. The first failure of a pull may pass; one after that hardly does."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Whether any are known."""
        return bool(self._known)

    def remember(self, pods: Sequence[Object]) -> None:
        """Takes note of the images of pods that were given up."""
        with self._lock:
            self._known.update(key for pod in pods for key in _failing(pod))

    def again(self, pods: Sequence[Object]) -> str:
        """Returns words about a pod whose image fails on a node that has failed with it before; empty if none does."""
        for pod in pods:
            for image, node in _failing(pod):
                if (image, node) in self._known:
                    text = f"pod '{pod['metadata']['name']}' cannot start: {problem(pod).text.rstrip('.')}"
                    return f"{text}. Node '{node}' could not pull this image earlier in this run either"
        return ""


def _failing(pod: Object) -> Iterator[tuple[str, str]]:
    """Yields each image that a pod cannot get, with its node."""
    node, status = (pod.get("spec") or {}).get("nodeName"), pod.get("status") or {}
    for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        if node and ((each.get("state") or {}).get("waiting") or {}).get("reason") in PULLS:
            yield str(each.get("image", "")), str(node)
