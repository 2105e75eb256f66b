"""Runs a program at a place in the network, and tells what it said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, containers
from NetLibrary._mechanics.kube.missing import labels_without_pods, required
from NetLibrary._mechanics.kube.wait import is_ready
from NetLibrary._mechanics.programs import Ran, run_here


class Program(Protocol):
    """A program that runs at a place, with its input and outputs."""

    def write(self, data: bytes) -> None:
        """Sends bytes to its standard input."""
        ...

    def read(self, timeout: float | None = None) -> tuple[int, bytes] | None:
        """Returns the next (channel, bytes), or None after `timeout` seconds or at the end."""
        ...

    @property
    def finished(self) -> bool:
        """Tells whether it is over."""
        ...

    @property
    def exit_code(self) -> int:
        """Its exit status, when it is over."""
        ...

    def close(self) -> None:
        """Ends the connection to it, and the program where that is in our hands."""
        ...


class Vantage(Protocol):
    """A place in the network.

    Args:
        name: For tables and messages, for instance `demo/web-0`.
        repeat: The command line that runs something there by hand, the program and its arguments go behind it.
    """

    name: str
    repeat: str

    def run(self, command: Sequence[str], *, timeout: float, stdin: str | None = None) -> Ran:
        """Runs a program there to its end.

        Raises:
            errors.ToolMissing: The program is not there.
            errors.NetLibraryError: It could not be run, or did not end in time.
        """
        ...

    def start(self, command: Sequence[str]) -> Program:
        """Starts a program there and returns while it runs."""
        ...


class InPod:
    """A container of a pod.

    Args:
        cluster: Where it is.
        pod: The pod's object.
        name: For messages, `namespace/pod` by default.
    """

    def __init__(self, cluster: Cluster, pod: dict[str, Any], name: str = "") -> None:
        self._cluster = cluster
        self.pod = pod
        self._namespace, self._pod = pod["metadata"]["namespace"], pod["metadata"]["name"]
        self._container = containers.meant(cluster, pod)
        self.name = name or f"{self._namespace}/{self._pod}"
        self.repeat = f"kubectl exec -n {self._namespace} {self._pod} -c {self._container} --"

    def run(self, command: Sequence[str], *, timeout: float, stdin: str | None = None) -> Ran:
        """Runs a program in the container to its end; see `Vantage`."""
        result = self._cluster.exec(
            self._namespace, self._pod, command, container=self._container, stdin=stdin, timeout=timeout, check=False,
            again=True,
        )  # fmt: skip
        return Ran(result.stdout, result.stderr, result.exit_code)

    def start(self, command: Sequence[str]) -> Program:
        """Starts a program in the container; see `Vantage`."""
        return self._cluster.start_exec(self._namespace, self._pod, command, container=self._container)


class Outside:
    """A place outside the cluster: the lab's namespace for that, else the machine that runs this.

    Args:
        cluster: The cluster that it is outside of.
    """

    def __init__(self, cluster: Cluster) -> None:
        outside = cluster.lab.outside if cluster.is_lab else None
        self._enter = list(outside.enter) if outside else []
        self.name = "outside"
        self.repeat = f"ip netns exec {outside.netns}" if outside else ""

    def run(self, command: Sequence[str], *, timeout: float, stdin: str | None = None) -> Ran:
        """Runs a program of this machine there to its end; see `Vantage`."""
        return run_here(command, where="outside", enter=self._enter, stdin=stdin, timeout=timeout)

    def start(self, command: Sequence[str]) -> Program:
        """Starts a program of this machine there; see `Vantage`."""
        from NetLibrary._mechanics.vantage.programs import RunningHere

        return RunningHere([*self._enter, *command])


def pods_of(cluster: Cluster, namespace: str, which: str) -> list[dict[str, Any]]:
    """Returns a pod by its name, or all ready pods with some labels.

    Args:
        cluster: Where to look.
        namespace: Their namespace.
        which: Name of a pod, or a label selector, which holds a `=`.

    Raises:
        errors.NotFound: There is no such pod.
        errors.InputError: No ready pod has these labels.
    """
    if "=" not in which:
        return [required(cluster, "Pod", which, namespace)]
    found = cluster.list("Pod", namespace, labels=which)
    ready = [pod for pod in found if is_ready(pod)]
    if not found:
        text = labels_without_pods(cluster, which, namespace)
        raise errors.InputError(f"{text[0].upper()}{text[1:]}.")
    if not ready:
        count = f"{len(found)} pods have them, but none is ready"
        raise errors.InputError(f"The labels '{which}' in namespace '{namespace}' match no ready pod: {count}.")
    return sorted(ready, key=lambda pod: str(pod["metadata"]["name"]))
