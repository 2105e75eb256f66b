"""The server's side of a command over a WebSocket (RFC 6455), in the `v4.` and `v5.channel.k8s.io` protocols."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
from typing import Any

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10


def shake_hands(handler: Any, protocol: str) -> None:
    """Answers the upgrade request."""
    key = handler.headers["Sec-WebSocket-Key"]
    accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
    handler.send_response(101)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    handler.send_header("Sec-WebSocket-Accept", accept)
    if protocol:
        handler.send_header("Sec-WebSocket-Protocol", protocol)
    handler.end_headers()
    handler.wfile.flush()


class Command:
    """A command as the container sees it: arguments, input, outputs, end."""

    def __init__(self, connection: socket.socket, argv: list[str], protocol: str, query: dict[str, str]) -> None:
        self.argv, self.protocol, self.query = argv, protocol, query
        self._socket = connection
        self._ended = False

    def stdout(self, data: bytes) -> None:
        self._send(_BINARY, b"\x01" + data)

    def stderr(self, data: bytes) -> None:
        self._send(_BINARY, b"\x02" + data)

    def ping(self) -> None:
        self._send(_PING, b"still there?")

    def exit(self, code: int) -> None:
        """Ends as a process does."""
        if code == 0:
            self._status({"status": "Success"})
        else:
            causes = [{"reason": "ExitCode", "message": str(code)}]
            message = f"command terminated with non-zero exit code: exit status {code}"
            details = {"causes": causes}
            self._status({"status": "Failure", "reason": "NonZeroExitCode", "message": message, "details": details})

    def fail(self, message: str) -> None:
        """Ends because the container runtime could not start it."""
        self._status({"status": "Failure", "reason": "InternalError", "message": message, "code": 500})

    def read(self) -> bytes | None:
        """Returns the next piece of standard input, or None when the client ended it."""
        while True:
            opcode, data = self._receive()
            if opcode == _CLOSE:
                raise EOFError
            if opcode == _PONG or not data:
                continue
            if data[0] == 255 and data[1] == 0:
                return None
            if data[0] == 0:
                return data[1:]

    def over(self) -> None:
        """Closes the connection, in order when the command has ended."""
        try:
            if self._ended:
                self._send(_CLOSE, struct.pack("!H", 1000))
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close_frame(self) -> None:
        """Says goodbye without a status, as a proxy that is shut down does."""
        self._send(_CLOSE, struct.pack("!H", 1001))

    def _status(self, body: dict[str, Any]) -> None:
        self._send(_BINARY, b"\x03" + json.dumps(body).encode())
        self._ended = True

    def _send(self, opcode: int, data: bytes) -> None:
        if len(data) < 126:
            head = struct.pack("!BB", 0x80 | opcode, len(data))
        elif len(data) < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 126, len(data))
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 127, len(data))
        self._socket.sendall(head + data)

    def _receive(self) -> tuple[int, bytes]:
        first, second = self._exactly(2)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack("!H", self._exactly(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self._exactly(8))[0]
        mask = self._exactly(4)
        data = self._exactly(length)
        if length:
            key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
            data = (int.from_bytes(data, "big") ^ key).to_bytes(length, "big")
        return first & 0x0F, data

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data
