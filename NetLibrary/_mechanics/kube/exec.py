"""Commands in containers over a WebSocket of our own.

`kubernetes.stream` replaces a method of the shared client while a command runs, so that other calls of the same
client fail meanwhile (kubernetes-client/python issue 928). Here every command has its own connection and nothing
is patched. Protocol: `v5.channel.k8s.io` and `v4.channel.k8s.io`, first byte of each message is the channel
(0 stdin, 1 stdout, 2 stderr, 3 status, 255 close of a channel in v5).
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import answers, transport
from NetLibrary._mechanics.kube.answers import cause
from NetLibrary._mechanics.kube.connection import CONNECT_TIMEOUT, Connection, of_trust
from NetLibrary._mechanics.kube.credentials import Credential
from NetLibrary._mechanics.secrets import head, tail

if TYPE_CHECKING:
    import websocket

STDIN, STDOUT, STDERR, STATUS, CLOSE = 0, 1, 2, 3, 255
PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
# A frame larger than this is split, so that slow readers do not stall the whole connection.
WRITE_SIZE = 64 * 1024
# Between the first and the last byte of one frame; a connection that hangs longer is lost.
FRAME_TIMEOUT = 30.0


@dataclass(frozen=True)
class ExecResult:
    """What a command left behind.

    Args:
        stdout: Its standard output.
        stderr: Its standard error.
        exit_code: Its exit status.
        seconds: Time from request to end, on our clock.
    """

    stdout: str
    stderr: str
    exit_code: int
    seconds: float

    def checked(self, command: Sequence[str], where: str) -> ExecResult:
        """Returns itself, unless the command failed.

        Raises:
            errors.ExecFailed: The exit status is not 0.
        """
        if not self.exit_code:
            return self
        said = tail(self.stderr.strip() or self.stdout.strip(), 500) or "it printed nothing"
        raise errors.ExecFailed(
            f"'{head(' '.join(command), 120)}' in {where} ended with exit status {self.exit_code}: {said}",
            exit_code=self.exit_code,
        )


class RunningExec:
    """A command that runs in a container.

    Args:
        connection: API server.
        path: Path of the pod's exec subresource.
        query: Command, container and streams.
        where: Words for messages, for instance "pod 'demo/web-0'".

    Raises:
        errors.ClusterError: The API server or the kubelet refused it.
    """

    def __init__(self, connection: Connection, path: str, query: list[tuple[str, Any]], where: str) -> None:

        self.where = where
        self._lost: str | None = None
        self._status: dict[str, Any] | None = None
        self._ws: websocket.WebSocket = connection.start(
            lambda credential: open_websocket(connection, credential, path, query, where), path
        )
        self._ws.settimeout(FRAME_TIMEOUT)

    @property
    def can_close_stdin(self) -> bool:
        """Tells whether the server understands the end of standard input (Kubernetes 1.30 and newer)."""
        return str(self._ws.subprotocol or "") == PROTOCOLS[0]

    def write(self, data: bytes | str) -> None:
        """Sends bytes to the command's standard input.

        Raises:
            errors.ExecLost: The connection is gone.
        """
        import websocket

        raw = data.encode() if isinstance(data, str) else data
        try:
            for start in range(0, len(raw), WRITE_SIZE):
                self._ws.send_binary(bytes([STDIN]) + raw[start : start + WRITE_SIZE])
        # AttributeError: the library's socket is None once it was closed
        except (websocket.WebSocketException, OSError, AttributeError) as error:
            raise errors.ExecLost(
                f"The connection to the command in {self.where} was lost while writing: {error}."
            ) from error

    def close_stdin(self) -> bool:
        """Ends standard input where the protocol can; returns whether it could."""
        import websocket

        if self.can_close_stdin:
            try:
                self._ws.send_binary(bytes([CLOSE, STDIN]))
            except (websocket.WebSocketException, OSError, AttributeError):
                return False  # the command may have ended meanwhile; its status tells
        return self.can_close_stdin

    def read(self, timeout: float | None = None) -> tuple[int, bytes] | None:
        """Returns the next (channel, bytes), or None after `timeout` seconds or at the end.

        `finished` tells the two apart.
        """
        import websocket

        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.finished:
            if not self._readable(None if deadline is None else max(0.0, deadline - time.monotonic())):
                return None
            try:
                # With control frames: behind a ping it would block until data comes
                opcode, data = self._ws.recv_data(control_frame=True)
            except (websocket.WebSocketException, OSError, AttributeError) as error:
                self._lost = self._lost or cause(error)
                return None
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                self._lost = self._lost or "the server closed it"
                return None
            if opcode in (websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG) or not data:
                continue
            channel, payload = data[0], data[1:]
            if channel == STATUS:
                self._status = _status(payload)
                self.close()
                return None
            if channel in (STDOUT, STDERR) and payload:
                return channel, payload
        return None

    @property
    def finished(self) -> bool:
        """Tells whether the exit status is known or the connection is lost."""
        return self._status is not None or self._lost is not None

    @property
    def exit_code(self) -> int:
        """Exit status of a finished command.

        Raises:
            errors.ExecLost: The connection ended without one.
            errors.ExecFailed: The command could not be started at all.
        """
        if self._status is None:
            raise errors.ExecLost(
                f"The connection to the command in {self.where} ended without an exit status: "
                f"{self._lost or 'it is still running'}."
            )
        return _exit_code(self._status, self.where)

    def lines(self, timeout: float | None = None) -> Iterator[str]:
        """Yields lines of standard output; ends with the command, or when no data came for `timeout` seconds."""
        pending = b""
        while True:
            got = self.read(timeout)
            if got is None:
                break
            if got[0] != STDOUT:
                continue
            *whole, pending = (pending + got[1]).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
        if pending:
            yield pending.decode(errors="replace")

    def wait(self, timeout: float) -> int:
        """Reads away what comes and returns the exit status.

        Raises:
            errors.WaitTimeout: It still runs after `timeout` seconds; it is left running.
        """
        deadline = time.monotonic() + timeout
        while not self.finished:
            if time.monotonic() >= deadline:
                raise errors.WaitTimeout(f"The command in {self.where} did not end within {timeout:g} s.")
            self.read(min(1.0, max(0.0, deadline - time.monotonic())))
        return self.exit_code

    def close(self) -> None:
        """Closes the connection. The command gets no signal by that: end its input or make it end by itself."""
        sock = self._ws.sock
        try:
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)  # also wakes a thread that is writing
            self._ws.shutdown()
        except (OSError, AttributeError):  # closing must not hide why we close
            self._lost = self._lost or "closed"
        if self._status is None:
            self._lost = self._lost or "closed by us"

    def __enter__(self) -> RunningExec:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _readable(self, timeout: float | None) -> bool:
        sock = self._ws.sock
        if sock is None:
            self._lost = self._lost or "closed"
            return False
        if self._ws.frame_buffer.recv_buffer or (isinstance(sock, ssl.SSLSocket) and sock.pending()):
            return True
        # Not select.select: it fails in a process with more than 1024 open files
        waiting = select.poll()
        try:
            waiting.register(sock, select.POLLIN)
        except ValueError:  # another thread closed it just now
            self._lost = self._lost or "closed"
            return False
        return bool(waiting.poll(None if timeout is None else timeout * 1000))


def open_websocket(
    connection: Connection,
    credential: Credential,
    path: str,
    query: list[tuple[str, Any]],
    where: str,
    protocols: Sequence[str] = tuple(PROTOCOLS),
) -> websocket.WebSocket:
    """Opens a WebSocket to a subresource of a pod.

    Raises:
        errors.ClusterError: The API server or the kubelet refused it, or nobody answered.
    """
    import websocket

    began, asked = time.monotonic(), False
    try:
        way = transport.websocket_way(connection.target, credential)
        asked = True  # nothing had been before there was a connection
        opened = websocket.create_connection(
            connection.url(path, query).replace("http", "ws", 1),
            timeout=CONNECT_TIMEOUT + 5,
            # This package writes texts as UTF-8 and not, as http.client does, as Latin-1
            header=[
                f"{k}: {v}".encode("latin-1").decode()
                for k, v in connection.headers(credential).items()
                if k != "Accept"
            ],
            subprotocols=list(protocols),
            enable_multithread=True,
            skip_utf8_validation=True,
            suppress_origin=True,
            **way,
        )
        connection.answered(101)
        return opened
    except websocket.WebSocketBadStatusException as error:
        body = error.resp_body or b""
        text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
        connection.answered(error.status_code)
        refusal = answers.refused(connection.alias, "EXEC", path, error.status_code, text)
        refusal.retry_after = answers.retry_after(error.resp_headers or {})
        raise refusal from error
    except (websocket.WebSocketException, OSError) as error:
        asked = asked and not isinstance(error, ConnectionRefusedError)
        found = errors.Unreachable(
            f"Cluster '{connection.alias}' at {connection.server} did not accept the command for {where}: "
            f"{cause(error)}.",
            sent=asked,
        )
        found.final = of_trust(error)
        if not asked and not found.final:
            connection.absences.silent(began)
        raise found from error


def run(running: RunningExec, stdin: bytes | str | None, timeout: float) -> ExecResult:
    """Feeds a command, collects both of its outputs and waits for its end.

    Raises:
        errors.WaitTimeout: It did not end in time; what it printed so far is in the text.
        errors.ExecLost: The connection ended without an exit status.
    """
    start = time.monotonic()
    output: dict[int, bytearray] = {STDOUT: bytearray(), STDERR: bytearray()}
    with running:
        if stdin is not None:
            feed(running, stdin)
        while not running.finished:
            left = start + timeout - time.monotonic()
            if left <= 0:
                said = " ".join(tail(output[each].decode(errors="replace"), 300) for each in (STDOUT, STDERR)).strip()
                raise errors.WaitTimeout(
                    f"The command in {running.where} did not end within {timeout:g} s; "
                    f"so far it printed: {said or 'nothing'}."
                )
            got = running.read(min(left, 1.0))
            if got is not None:
                output[got[0]] += got[1]
        code = running.exit_code
    return ExecResult(
        bytes(output[STDOUT]).decode(errors="replace"),
        bytes(output[STDERR]).decode(errors="replace"),
        code,
        time.monotonic() - start,
    )


def feed(running: RunningExec, stdin: bytes | str) -> None:
    """Writes standard input to its end.

    A command such as `cat` stops reading when nobody reads what it prints; more than a little is therefore written by
    a thread, beside the reading.
    """

    def write() -> None:
        try:
            running.write(stdin)
        except errors.ExecLost:
            return  # the reader sees the same, and more: the exit status may have come before
        running.close_stdin()

    if len(stdin) <= WRITE_SIZE:
        write()
    else:
        threading.Thread(target=write, name=f"input of {running.where}", daemon=True).start()


def _status(payload: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(payload)
    except ValueError:
        return {"status": "Failure", "message": payload.decode(errors="replace")}
    return loaded if isinstance(loaded, dict) else {"status": "Failure", "message": str(loaded)}


def _exit_code(status: dict[str, Any], where: str) -> int:
    if status.get("status") == "Success":
        return 0
    for entry in status.get("details", {}).get("causes", []):
        if entry.get("reason") == "ExitCode":
            return int(entry["message"])
    message = str(status.get("message", "no reason given"))
    if "executable file not found" in message or "no such file or directory" in message:
        program = message.split('exec: "')[1].split('"')[0] if 'exec: "' in message else "the program"
        raise errors.ToolMissing(f"The image of {where} has no '{program}': {message}.", exit_code=127)
    raise errors.ExecFailed(f"The command in {where} could not be started: {message}.", exit_code=126)
