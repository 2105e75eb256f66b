"""The echo servers that probes go to: when they did not run, and our own one outside the cluster."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.errors import EnvironmentProblem, NetLibraryError
from NetLibrary._mechanics.outages.run.archive import INPOD
from NetLibrary._mechanics.outages.run.clock import SAME_CLOCK, Offset
from NetLibrary._mechanics.outages.run.probers import pod_offset
from NetLibrary._mechanics.polling import settle

LOG_LINES = 20_000
START_S = 5.0

Pauses = list[tuple[int, int]]


def pauses_in(log: str, offset: Offset) -> Pauses:
    r"""Reads from an echo server's log when it was paused, on the controller's clock.

    >>> pauses_in("echo: ready\necho: paused 1000 4000\n", Offset(500, 0, 0))
    [(500, 3500)]
    """
    found = []
    for line in log.splitlines():
        words = line.split()
        if words[:2] == ["echo:", "paused"] and len(words) == 4 and words[2].isdigit() and words[3].isdigit():
            found.append((offset.to_controller(int(words[2])), offset.to_controller(int(words[3]))))
    return found


class EchoPod:
    """An echo server in a pod.

    Args:
        role: Its role among the endpoints, for instance `far`.
    """

    def __init__(self, cluster: Any, namespace: str, pod: str, role: str) -> None:
        self.cluster, self.namespace, self.pod, self.role = cluster, namespace, pod, role
        self._offset: Offset | None = None

    def start(self) -> None:
        """Takes the pod's clock; without it its pauses cannot be used, and late answers count as they are."""
        with contextlib.suppress(NetLibraryError, OSError, ValueError):
            self._offset = pod_offset(self.cluster, self.namespace, self.pod)

    def pauses(self) -> Pauses:
        """Returns when the server was paused; nothing when its log cannot be read."""
        if self._offset is None:
            return []
        try:
            log = self.cluster.logs(self.namespace, self.pod, tail=LOG_LINES)
        except (NetLibraryError, OSError):
            return []
        return pauses_in(log, self._offset)

    def stop(self) -> None:
        """The pod stays."""


class OutsideEcho:
    """Our own echo server on this machine, as an address outside the cluster.

    Args:
        address: The address that it is reached by.
        netns: Path of the network namespace that it is to run in, this process's own by default.
    """

    role = "outside"

    def __init__(self, address: str, *, netns: str | None = None) -> None:
        self.address = address
        self.port = random.randrange(20_000, 29_990)
        self.iperf_port = self.port + 1 if shutil.which("iperf3") else 0
        self._netns = netns
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Any = None

    def start(self) -> None:
        """Starts the server and waits until it listens.

        Raises:
            EnvironmentProblem: It did not start.
        """
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the server)
        enter = ["nsenter", f"--net={self._netns}"] if self._netns else []
        iperf = [str(self.iperf_port), "2"] if self.iperf_port else []
        self._process = subprocess.Popen(
            [*enter, sys.executable, "-u", str(INPOD / "echo_server.py"), str(self.port), *iperf],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        process = self._process
        settle(lambda: "on port" in self._text() or process.poll() is not None, timeout=START_S, every=0.02)
        if "on port" not in self._text():
            said = self._text()[-300:]
            self.stop()
            raise EnvironmentProblem(f"The echo server on this machine did not start: {said}")

    def _text(self) -> str:
        return Path(f"/proc/self/fd/{self._log.fileno()}").read_text(errors="replace")

    def pauses(self) -> Pauses:
        """Returns when the server was paused."""
        return pauses_in(self._text(), SAME_CLOCK)

    def stop(self) -> None:
        """Ends the server."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(5)
