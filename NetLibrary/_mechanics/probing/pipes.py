"""Ways to a running prober: over an exec in a pod, or as a process on this machine."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.probing.types import Source

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

SCRIPT_END = "#END-OF-PROBER"
CONTAINER = "agnhost"
# Opens the best interpreter of the image and has it read its program from standard input: a program in the command
# itself would make a URL of 40 kB, which proxies in front of API servers refuse.
SELECT = r"""
want=$1; nl='
'
has() { command -v "$1" >/dev/null 2>&1; }
[ "$want" = agnhost ] && want=sh
if [ "$want" != bash ] && [ "$want" != sh ] && has python3; then
  echo "READY python"
  exec python3 -u -c 'import sys
exec(compile("".join(iter(sys.stdin.readline, "#END-OF-PROBER\n")), "prober", "exec"))'
fi
if [ "$want" != sh ] && has bash && [ "$(bash -c 'echo ${BASH_VERSINFO[0]}')" -ge 5 ]; then
  echo "READY bash"
  exec bash -c 'while IFS= read -r l && [ "$l" != "#END-OF-PROBER" ]; do s+="$l
"; done; eval "$s"'
fi
echo "READY sh"
s=''
while IFS= read -r l && [ "$l" != "#END-OF-PROBER" ]; do s="$s$l$nl"; done
eval "$s"
"""
# The modules of the prober for python3, each after those that it imports
PYTHON = ("basics", "names", "connecting", "main")
# Makes modules of texts: images may have no folder that can be written to
_ADD = """\
import sys, types
def add(name, source):
    module = sys.modules[name] = types.ModuleType(name)
    module.__package__, module.__path__ = "prober", []
    exec(compile(source, name, "exec"), module.__dict__)
"""
PREFER = ("auto", "python", "bash", "sh", "agnhost")


class Pipe(Protocol):
    """The two ends of a running prober."""

    def write(self, text: str) -> None:
        """Sends text to it."""

    def line(self, timeout: float) -> str | None:
        """Its next line, or None when none came in time."""

    def close(self) -> None:
        """Ends it."""


class ExecPipe:
    """A prober in a pod."""

    def __init__(self, cluster: Cluster, source: Source, prefer: str) -> None:
        words = ["sh", "-c", SELECT, "sh", prefer]
        self._running = cluster.start_exec(source.namespace, source.pod, words, container=source.container, stdin=True)
        self._pending = b""
        self._lines: list[str] = []

    def write(self, text: str) -> None:
        """Sends text to the prober."""
        self._running.write(text)

    def line(self, timeout: float) -> str | None:
        """Its next line; raises when the prober is gone."""
        deadline = time.monotonic() + timeout
        while not self._lines:
            got = self._running.read(max(0.0, deadline - time.monotonic()))
            if got is None:
                if self._running.finished:
                    code = self._running.exit_code
                    raise errors.ExecLost(f"the prober ended with status {code}")
                if time.monotonic() >= deadline:
                    return None
                continue
            channel, data = got
            if channel == 1:
                *whole, self._pending = (self._pending + data).split(b"\n")
                self._lines.extend(part.decode(errors="replace") for part in whole)
        return self._lines.pop(0)

    def close(self) -> None:
        """Asks the prober to end and closes the connection."""
        with contextlib.suppress(errors.NetLibraryError):  # it may be gone already
            self._running.write("QUIT\n")
        self._running.close()


class LocalPipe:
    """A prober on this machine, for the vantage point outside the cluster.

    Args:
        prefix: Words ahead of the interpreter, for instance `nsenter --net=…` for another namespace.
    """

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        command = [*prefix, sys.executable, "-u", "-c", _bootstrap()]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines: list[str] = ["READY python"]
        self._arrived = threading.Condition()
        self._ended, self._said = False, ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._arrived:
                self._said = line.strip()[:200]
                self._lines.append(line.rstrip("\n"))
                self._arrived.notify()
        with self._arrived:
            self._ended = True
            self._arrived.notify()

    def write(self, text: str) -> None:
        """Sends text to the prober."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except OSError as error:
            raise errors.ExecLost(f"the local prober is gone: {self._said or error}") from error

    def line(self, timeout: float) -> str | None:
        """Its next line; raises when the prober is gone."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._lines or self._ended, timeout)
            if self._lines:
                return self._lines.pop(0)
            if self._ended:
                raise errors.ExecLost(f"the local prober ended: {self._said or 'it said nothing'}")
            return None

    def close(self) -> None:
        """Ends the prober."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _bootstrap() -> str:
    return 'import sys; exec(compile("".join(iter(sys.stdin.readline, "#END-OF-PROBER\\n")), "prober", "exec"))'


def script(flavour: str) -> str:
    """Returns the program of a prober for `python`, `bash` or `sh`."""
    folder = files("NetLibrary._mechanics.probing.scripts")
    if flavour != "python":
        return folder.joinpath(f"prober.{flavour}").read_text()
    sources = {f"prober.{name}": folder.joinpath("prober").joinpath(f"{name}.py").read_text() for name in PYTHON}
    added = [f"add({name!r}, {source!r})" for name, source in {"prober": "", **sources}.items()]
    return _ADD + "\n".join(added) + '\nsys.modules["prober.main"].main()\n'
