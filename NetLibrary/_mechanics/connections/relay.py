"""A connection that begins at a source and ends in this process: so that HTTP and TLS need no program at the source.

A small program at the source connects and carries bytes; here they come out of a socket, which Python's own HTTP and
TLS take as any other.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.connections.results import CONNECTED, REFUSED, RESULTS, SILENT, UNREACHABLE, UNRESOLVED
from NetLibrary._mechanics.connections.run import script
from NetLibrary._mechanics.kube.exec import STDOUT

if TYPE_CHECKING:
    from NetLibrary._mechanics.connections.run import Target
    from NetLibrary._mechanics.vantage import Vantage

_PIECE = 32 * 1024
# What nc and bash say, in their own words
_WORDS = (
    (REFUSED, ("refused",)),
    (SILENT, ("timed out", "timeout")),
    (UNRESOLVED, ("not known", "bad address", "resolv", "try again", "forward host lookup failed")),
    (UNREACHABLE, ("no route", "nreachable", "prohibited")),
)


class Relay:
    """A connection from a source.

    Args:
        source: Where it begins.
        target: Where it leads to.
        family: `any`, `ipv4` or `ipv6`.
        timeout: Seconds for each step: to connect, to send, to receive.
    """

    def __init__(self, source: Vantage, target: Target, family: str, timeout: float) -> None:
        self._where = source.name
        self._said = bytearray()
        self._timeout = timeout
        self._ended = threading.Event()
        self._told = threading.Event()
        words = [target.host, str(target.port), family, f"{timeout:g}", script("relay.py")]
        self._program = source.start(["sh", "-c", script("relay.sh"), "relay", *words])
        self.socket, self._inner = socket.socketpair()
        self.socket.settimeout(timeout)
        threading.Thread(target=self._up, daemon=True).start()
        threading.Thread(target=self._down, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        for each in (self.socket, self._inner):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._program.close()

    @property
    def address(self) -> str:
        """The address that it leads to; empty where the program at the source does not tell."""
        result, text = self._words()
        return text if result == CONNECTED else ""

    def failure(self) -> tuple[str, str]:
        """Returns how the connection failed, one of `results.RESULTS`, and the words about it.

        Raises:
            EnvironmentProblem: The source has no program that connects.
            ToolMissing: It has no shell.
            ExecLost: The connection to the program at the source was lost.
        """
        self._ended.wait(1.0)
        result, text = self._words()
        if result == "unusable":
            raise errors.EnvironmentProblem(f"'{self._where}' cannot connect: {text}. Use a source with one of them.")
        if result == CONNECTED:
            return "other", f"{text} closed the connection"
        if result in RESULTS:
            return result, text
        if self._ended.is_set():
            # Without an exit status, the connection to the program was lost, which says nothing about the network
            _ = self._program.exit_code
        said = bytes(self._said).decode(errors="replace").strip()
        found = next((word for word, signs in _WORDS if any(sign in said.lower() for sign in signs)), "")
        if not found:
            # nc is silent until the kernel gives up
            found = "other" if self._ended.is_set() else SILENT
        return found, said or ("no answer" if found == SILENT else "the connection was closed")

    def _words(self) -> tuple[str, str]:
        first = bytes(self._said).decode(errors="replace").partition("\n")[0]
        result, _, text = first.partition(" ")
        return result, text

    def _up(self) -> None:
        try:
            while data := self._inner.recv(_PIECE):
                self._program.write(data)
        except (OSError, errors.NetLibraryError):
            return  # the other direction tells

    def _down(self) -> None:
        try:
            while not self._program.finished:
                got = self._program.read(1.0)
                if got is None:
                    continue
                if got[0] == STDOUT:
                    self._inner.sendall(got[1])
                else:
                    self._said += got[1]
        except OSError:
            return
        finally:
            self._ended.set()
            with contextlib.suppress(OSError):
                self._inner.shutdown(socket.SHUT_WR)
