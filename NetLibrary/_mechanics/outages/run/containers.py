"""Containers at the ends of the paths, and how their own CPU limits hold them back while the paths are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary._mechanics.held_back import READ, CpuCounters, Held, held_between, reading

MOST = 12
READ_S = 5.0


@dataclass(frozen=True)
class HeldEnd:
    """A container that its CPU limit held back.

    Args:
        container: Its name.
        pod: Namespace and name of its pod.
        ours: Whether it probes or echoes for the measurement, and is not of the application.
        held: How it was held back.
    """

    container: str
    pod: str
    ours: bool
    held: Held

    @property
    def sentence(self) -> str:
        """That in words."""
        return f"container '{self.container}' of pod '{self.pod}' was held back: {self.held.words()}"


class Containers:
    """Reads what the cgroups of containers with a CPU limit count; those without one cost nothing.

    A pod that comes later counts since its start. Of one that goes, and where nothing can be read, nothing is known.

    Args:
        cluster: The cluster.
        find: Returns the pods, and whether they are the measurement's own.
    """

    def __init__(self, cluster: Any, find: Callable[[], Sequence[tuple[Mapping[str, Any], bool]]]) -> None:
        self.cluster, self._find = cluster, find
        self._before: dict[tuple[str, str], CpuCounters] = {}

    def start(self) -> None:
        """Reads what was counted before."""
        self._before = {key: counters for key, _, counters in self._read()}

    def held(self) -> list[HeldEnd]:
        """Returns the containers that were held back since the start, the most first."""
        found = []
        for key, end, counters in self._read():
            held = held_between(self._before.get(key), counters)
            if held and held.throttled:
                found.append(HeldEnd(*end, held))
        return sorted(found, key=lambda each: -each.held.share)

    def _read(self) -> list[tuple[tuple[str, str], tuple[str, str, bool], CpuCounters]]:
        pods: Sequence[tuple[Mapping[str, Any], bool]] = ()
        with suppress(NetLibraryError):
            pods = self._find()
        wanted = [
            (pod, str(container["name"]), ours)
            for pod, ours in pods
            for container in pod["spec"].get("containers") or []
            if ((container.get("resources") or {}).get("limits") or {}).get("cpu")
        ][:MOST]
        if not wanted:
            return []
        with ThreadPoolExecutor(len(wanted), thread_name_prefix="limits") as pool:
            texts = pool.map(lambda each: self._ask(each[0], each[1]), wanted)
            return [
                ((pod["metadata"]["uid"], name), (name, _place(pod), ours), reading(text).cpu)
                for (pod, name, ours), text in zip(wanted, texts, strict=True)
            ]

    def _ask(self, pod: Mapping[str, Any], container: str) -> str:
        with suppress(NetLibraryError):  # no shell there, no right to use it, or the pod is gone
            metadata = pod["metadata"]
            return str(
                self.cluster.exec(
                    metadata["namespace"], metadata["name"], ["sh", "-c", READ], container=container, timeout=READ_S,
                    check=False,
                ).stdout
            )  # fmt: skip
        return ""


def _place(pod: Mapping[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
