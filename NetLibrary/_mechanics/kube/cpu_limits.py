"""Containers that take part in a measurement, and how their own CPU limits hold them back meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary._mechanics.held_back import READ, CpuCounters, Held, held_between, reading
from NetLibrary._mechanics.kube.exec import RunningExec

Key = tuple[str, str]
MOST = 12
READ_S = 5.0
READY = "counted"
# To start a command in a container costs its processor time too, which a small limit feels: it is started before the
# measurement, and waits
TWICE = f"{READ}; echo {READY}; read -r _; {READ}"


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
        self._before: dict[Key, CpuCounters] = {}
        self._running: dict[Key, RunningExec] = {}

    def start(self) -> None:
        """Reads what was counted before."""
        wanted = self._wanted()
        for one, text in zip(wanted, _at_once(self._begin, wanted), strict=True):
            self._before[one.key] = reading(text).cpu

    def held(self) -> list[HeldEnd]:
        """Returns the containers that were held back since the start, the most first."""
        found, wanted = [], self._wanted()
        for one, text in zip(wanted, _at_once(self._end, wanted), strict=True):
            before = self._before.get(one.key)
            if before is not None and before.cpu_periods is None:
                continue  # it was there and could not be read
            held = held_between(before, reading(text).cpu)
            if held and held.occurred:
                found.append(HeldEnd(one.container, one.place, one.ours, held))
        self.close()
        return sorted(found, key=lambda each: (-each.held.share, -(each.held.used or 0)))

    def close(self) -> None:
        """Ends the commands that wait in the containers."""
        running, self._running = self._running, {}
        for each in running.values():
            each.close()

    def _wanted(self) -> list[_Wanted]:
        pods: Sequence[tuple[Mapping[str, Any], bool]] = ()
        with suppress(NetLibraryError):
            pods = self._find()
        return [
            _Wanted(pod["metadata"], str(container["name"]), ours)
            for pod, ours in pods
            for container in pod["spec"].get("containers") or []
            if ((container.get("resources") or {}).get("limits") or {}).get("cpu")
        ][:MOST]

    # No shell there, no right to use it, or the pod is gone: then nothing is known

    def _begin(self, one: _Wanted) -> str:
        lines: list[str] = []
        with suppress(NetLibraryError):
            running = self.cluster.start_exec(
                one.metadata["namespace"], one.metadata["name"], ["sh", "-c", TWICE], container=one.container
            )
            self._running[one.key] = running
            for line in running.lines(READ_S):
                if line == READY:
                    return "\n".join(lines)
                lines.append(line)
        return ""

    def _end(self, one: _Wanted) -> str:
        running = self._running.get(one.key)
        with suppress(NetLibraryError):
            if running is None:
                where = one.metadata["namespace"], one.metadata["name"]
                return str(self.cluster.exec(*where, ["sh", "-c", READ], container=one.container, timeout=READ_S,
                                             check=False).stdout)  # fmt: skip
            running.write("\n")
            return "\n".join(running.lines(READ_S))
        return ""


@dataclass(frozen=True)
class _Wanted:
    """A container to read from: the metadata of its pod, its name, and whether it is the measurement's own."""

    metadata: Mapping[str, Any]
    container: str
    ours: bool

    @property
    def key(self) -> Key:
        return str(self.metadata["uid"]), self.container

    @property
    def place(self) -> str:
        return f"{self.metadata['namespace']}/{self.metadata['name']}"


def _at_once(ask: Callable[[_Wanted], str], wanted: Sequence[_Wanted]) -> list[str]:
    with ThreadPoolExecutor(len(wanted) or 1, thread_name_prefix="limits") as pool:
        return list(pool.map(ask, wanted))
