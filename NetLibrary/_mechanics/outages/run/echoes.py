"""The echo servers that probes go to: when they did not run, and our own one outside the cluster."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.errors import EnvironmentProblem, NetLibraryError
from NetLibrary._mechanics.outages.run.archive import INPOD
from NetLibrary._mechanics.outages.run.clock import SAME_CLOCK, Offset
from NetLibrary._mechanics.outages.run.inpod.echo_server import WITH_INPUT
from NetLibrary._mechanics.outages.run.probers import pod_offset
from NetLibrary._mechanics.polling import settle
from NetLibrary._mechanics.secrets import tail

LOG_LINES = 20_000
START_S = 5.0


@dataclass(frozen=True)
class Lapses:
    """What an echo server did that looks like a fault of a path and is none.

    Args:
        paused: From when to when it got no processor.
        overflows: From when to when how many requests found its receive buffer full.
    """

    paused: list[tuple[int, int]] = field(default_factory=list)
    overflows: list[tuple[int, int, int]] = field(default_factory=list)


def lapses_in(log: str, offset: Offset) -> Lapses:
    r"""Reads from an echo server's log when it was paused or overrun, on the controller's clock.

    >>> lapses_in("echo: ready\necho: paused 1000 4000\necho: overflow 2000 4000 7\n", Offset(500, 0, 0))
    Lapses(paused=[(500, 3500)], overflows=[(1500, 3500, 7)])
    """
    found = Lapses()
    for line in log.splitlines():
        match line.split():
            case ["echo:", "paused", *numbers] if len(numbers) == 2 and all(n.isdigit() for n in numbers):
                since, until = (offset.to_controller(int(number)) for number in numbers)
                found.paused.append((since, until))
            case ["echo:", "overflow", *numbers] if len(numbers) == 3 and all(n.isdigit() for n in numbers):
                since, until = (offset.to_controller(int(number)) for number in numbers[:2])
                found.overflows.append((since, until, int(numbers[2])))
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

    def lapses(self) -> Lapses:
        """Returns when the server was paused or overrun; nothing when its log cannot be read."""
        if self._offset is None:
            return Lapses()
        try:
            log = self.cluster.logs(self.namespace, self.pod, tail=LOG_LINES)
        except (NetLibraryError, OSError):
            return Lapses()
        return lapses_in(log, self._offset)

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
            [*enter, sys.executable, "-u", str(INPOD / "echo_server.py"), str(self.port), *iperf, WITH_INPUT],
            stdin=subprocess.PIPE,  # its end tells the server that this process is gone, however it went
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        process = self._process
        settle(lambda: "on port" in self._text() or process.poll() is not None, timeout=START_S, every=0.02)
        if "on port" not in self._text():
            said = tail(self._text(), 300)
            self.stop()
            raise EnvironmentProblem(f"The echo server on this machine did not start: {said}")

    def _text(self) -> str:
        return Path(f"/proc/self/fd/{self._log.fileno()}").read_text(errors="replace")

    def lapses(self) -> Lapses:
        """Returns when the server was paused or overrun."""
        return lapses_in(self._text(), SAME_CLOCK)

    def stop(self) -> None:
        """Ends the server."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(5)
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
