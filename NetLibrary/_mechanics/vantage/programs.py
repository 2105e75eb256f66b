"""A program of this machine that runs, with the interface of one that runs in a pod."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
from collections.abc import Sequence

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.exec import STDERR, STDOUT


class RunningHere:
    """A program that was started on this machine.

    Args:
        command: Program and arguments.
    Raises:
        errors.ToolMissing: It is not there.
    """

    def __init__(self, command: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(list(command), stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
        except FileNotFoundError as error:
            raise errors.ToolMissing(f"'{command[0]}' is not on this machine.") from error
        self._selector = selectors.DefaultSelector()
        for channel, stream in ((STDOUT, self._process.stdout), (STDERR, self._process.stderr)):
            assert stream is not None
            # A descriptor of its own, which the reader closes at the end
            self._selector.register(os.dup(stream.fileno()), selectors.EVENT_READ, channel)
            stream.close()

    def write(self, data: bytes) -> None:
        """Sends bytes to its standard input."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except (OSError, ValueError) as error:
            raise errors.ExecLost(f"The program on this machine no longer accepts input: {error}.") from error

    def read(self, timeout: float | None = None) -> tuple[int, bytes] | None:
        """Returns the next (channel, bytes), or None after `timeout` seconds or at the end."""
        for key, _ in self._selector.select(timeout):
            data = os.read(key.fd, 65536)
            if data:
                return key.data, data
            self._selector.unregister(key.fileobj)
            os.close(key.fd)
        return None

    @property
    def finished(self) -> bool:
        """Tells whether it has said everything."""
        return not self._selector.get_map()

    @property
    def exit_code(self) -> int:
        """Its exit status, when it is over."""
        return self._process.wait()

    def close(self) -> None:
        """Ends it; a thread that reads sees the end and closes the outputs."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()  # type: ignore[union-attr]
