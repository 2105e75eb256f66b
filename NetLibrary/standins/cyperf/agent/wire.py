"""Both ends of the two protocols an agent speaks, written for speed on one thread.

HTTP/1.1 with keep-alive and without pipelining; and plain TCP, where a request starts with
eight bytes that give the sizes of request and response, so that one server serves any size.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable

from .counters import ClientCounters, ServerCounters

_HEAD_END = b"\r\n\r\n"
_TCP_HEAD = struct.Struct(">II")
_BLOCK = bytes(65536)
_TCP_INFO_TOTAL_RETRANS = 100  # offset of tcpi_total_retrans in struct tcp_info, linux/tcp.h


def payload(size: int) -> bytes:
    """Returns `size` bytes of content."""
    return bytes(size) if size > len(_BLOCK) else _BLOCK[:size]


def retransmissions(transport: asyncio.BaseTransport | None) -> int:
    """Returns how many segments the kernel sent again on a connection."""
    sock = transport.get_extra_info("socket") if transport else None
    if sock is None:
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    except OSError:
        return 0
    return int(struct.unpack_from("I", info, _TCP_INFO_TOTAL_RETRANS)[0]) if len(info) >= 104 else 0


def http_request(host: str, request_bytes: int, response_bytes: int, close: bool) -> bytes:
    """Returns a request that asks for `response_bytes` of content."""
    verb = "POST" if request_bytes else "GET"
    head = f"{verb} /bytes/{response_bytes} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: cyperf-agent-stand-in\r\n"
    if request_bytes:
        head += f"Content-Length: {request_bytes}\r\n"
    if close:
        head += "Connection: close\r\n"
    return head.encode() + b"\r\n" + payload(request_bytes)


def tcp_request(request_bytes: int, response_bytes: int) -> bytes:
    """Returns a plain TCP request."""
    size = max(request_bytes, _TCP_HEAD.size)
    return _TCP_HEAD.pack(size, response_bytes) + payload(size - _TCP_HEAD.size)


class ClientConnection(asyncio.Protocol):
    """One client connection; `done(connection, status)` is called after each transaction.

    Status is the HTTP status, 200 for plain TCP, or 0 when the connection ended inside it.
    """

    __slots__ = (
        "_first",
        "_status",
        "busy",
        "closing",
        "counters",
        "done",
        "expected",
        "head",
        "http",
        "owner",
        "request",
        "response_bytes",
        "started",
        "transactions",
        "transport",
    )  # fmt: skip

    def __init__(self, counters: ClientCounters, request: bytes, http: bool, response_bytes: int,
                 done: Callable[[ClientConnection, int], None]) -> None:  # fmt: skip
        self.counters, self.request, self.http, self.response_bytes = counters, request, http, response_bytes
        self.done = done
        self.transport: asyncio.Transport | None = None
        self.busy = self.closing = False
        self.transactions = 0
        self.head = b""
        self.expected = -1
        self.started = 0.0
        self._status = 0
        self._first = False
        self.owner: object = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers the transport."""
        self.transport = transport  # type: ignore[assignment]
        self.counters.open += 1

    def send(self) -> None:
        """Starts one transaction."""
        counters = self.counters
        counters.apps_initiated += 1
        counters.requests += 1
        counters.bytes_sent += len(self.request)
        self.busy = self._first = True
        self.head, self.expected = b"", -1 if self.http else self.response_bytes
        self._status = 0 if self.http else 200
        self.started = time.perf_counter()
        assert self.transport is not None
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Takes what arrived."""
        counters = self.counters
        size = len(data)
        counters.bytes_received += size
        if self._first:
            self._first = False
            counters.time_to_first_byte(int((time.perf_counter() - self.started) * 1e6))
        if self.expected < 0:
            data = self.head + data if self.head else data
            end = data.find(_HEAD_END)
            if end < 0:
                self.head = data
                return
            self._status, self.expected = _read_head(data[:end])
            size = len(data) - end - 4
        self.expected -= size
        counters.payload_received += size
        if self.expected <= 0 and self.busy:
            self._finish()

    def _finish(self) -> None:
        counters = self.counters
        self.busy = False
        self.transactions += 1
        counters.last_byte_us += int((time.perf_counter() - self.started) * 1e6)
        counters.last_byte_count += 1
        _count_status(counters, self._status)
        if 200 <= self._status < 400:
            counters.apps_succeeded += 1
        else:
            counters.apps_failed += 1
        self.done(self, self._status)

    def close(self) -> None:
        """Ends the connection gracefully; one inside a transaction counts as aborted."""
        self.closing = True
        if self.transport is not None:
            self.counters.retransmitted += retransmissions(self.transport)
            self.transport.close()

    def abort(self) -> None:
        """Cuts the connection."""
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Counts how it ended."""
        counters = self.counters
        counters.open -= 1
        if self.busy:
            self.busy = False
            counters.apps_failed += 1
            counters.conn_aborted += 1
            if isinstance(error, ConnectionResetError):
                counters.resets += 1
            if self.expected > 0:
                counters.premature += 1
            self.done(self, 0)
        elif not self.closing:
            self.done(self, -1)


def _read_head(head: bytes) -> tuple[int, int]:
    at = head.find(b"Content-Length: ")
    if at < 0:
        at = head.lower().find(b"content-length: ")
    length = 0
    if at >= 0:
        end = head.find(b"\r\n", at)
        length = int(head[at + 16 : end if end >= 0 else None])
    try:
        return int(head[9:12]), length
    except ValueError:
        return 599, length


def _count_status(counters: ClientCounters, status: int) -> None:
    if status < 300:
        if status >= 200:
            counters.responses_2xx += 1
        else:
            counters.responses_1xx += 1
    elif status < 400:
        counters.responses_3xx += 1
    elif status < 500:
        counters.responses_4xx += 1
        counters.responses_404 += status == 404
    else:
        counters.responses_5xx += 1
        counters.responses_503 += status == 503


class CountedServer(asyncio.Protocol):
    """Server side of a connection, counted from its beginning to its end."""

    __slots__ = ("counters", "lost", "transport")

    def __init__(self, counters: ServerCounters, lost: Callable[[asyncio.Protocol], None]) -> None:
        self.counters, self.lost = counters, lost
        self.transport: asyncio.Transport | None = None

    def unfinished(self) -> bool:
        """Tells whether an end now would be too early."""
        return False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers the transport."""
        self.transport = transport  # type: ignore[assignment]
        self.counters.conn_received += 1
        self.counters.open += 1

    def connection_lost(self, error: Exception | None) -> None:
        """Counts how it ended."""
        self.counters.open -= 1
        self.lost(self)
        if error is not None or self.unfinished():
            self.counters.aborted += 1


class HttpServer(CountedServer):
    """Server side of HTTP; also answers the health check path."""

    __slots__ = ("_pending", "head", "health", "remaining", "serves")
    _answers: dict[int, bytes] = {}

    def __init__(
        self,
        counters: ServerCounters,
        lost: Callable[[asyncio.Protocol], None],
        health: Callable[[], str],
        serves: bool = True,
    ) -> None:
        super().__init__(counters, lost)
        self.health, self.serves = health, serves
        self.head = b""
        self.remaining = 0
        self._pending: tuple[bytes, bool] | None = None

    def unfinished(self) -> bool:
        """Tells whether a request is not whole yet."""
        return bool(self.remaining)

    def data_received(self, data: bytes) -> None:
        """Takes what arrived."""
        self.counters.bytes_received += len(data)
        while data:
            if self.remaining:
                taken = min(self.remaining, len(data))
                self.remaining -= taken
                self.counters.payload_received += taken
                data = data[taken:]
                if not self.remaining:
                    self._answer()
                continue
            data = self.head + data if self.head else data
            end = data.find(_HEAD_END)
            if end < 0:
                self.head = data
                return
            self._take_head(data[:end])
            self.head, data = b"", data[end + 4 :]
            if not self.remaining:
                self._answer()

    def _take_head(self, head: bytes) -> None:
        self.counters.requests += 1
        close = b"Connection: close" in head
        self._pending = (head, close)
        self.remaining = 0
        if not head.startswith(b"GET "):
            self.remaining = _read_head(head)[1]

    def _answer(self) -> None:
        assert self._pending is not None
        assert self.transport is not None
        head, close = self._pending
        path = head.split(b" ", 2)[1] if head.count(b" ") >= 2 else b""
        counters = self.counters
        if self.serves and path.startswith(b"/bytes/") and path[7:].isdigit():
            size = int(path[7:])
            answer = self._answers.get(size)
            if answer is None:
                answer = _response(200, payload(size))
                if size <= 4_000_000:
                    self._answers[size] = answer
            counters.payload_sent += size
        elif path.decode("latin-1") == self.health():
            counters.health_checks += 1
            answer = _response(200, b"OK\n")
        else:
            counters.responses_404 += 1
            answer = _response(404, b"not found\n")
        counters.responses += 1
        counters.bytes_sent += len(answer)
        self.transport.write(answer)
        if close:
            counters.retransmitted += retransmissions(self.transport)
            self.transport.close()


def _response(status: int, body: bytes) -> bytes:
    reason = {200: "OK", 404: "Not Found"}[status]
    return (
        f"HTTP/1.1 {status} {reason}\r\nServer: cyperf-agent-stand-in\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class TcpServer(CountedServer):
    """Server side of the plain TCP exchange."""

    __slots__ = ("buffer", "missing", "response_bytes")

    def __init__(self, counters: ServerCounters, lost: Callable[[asyncio.Protocol], None]) -> None:
        super().__init__(counters, lost)
        self.buffer = b""
        self.missing = self.response_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Takes what arrived."""
        counters = self.counters
        counters.bytes_received += len(data)
        counters.payload_received += len(data)
        while data:
            if not self.missing:
                self.buffer += data
                if len(self.buffer) < _TCP_HEAD.size:
                    return
                self.missing, self.response_bytes = _TCP_HEAD.unpack_from(self.buffer)
                data, self.buffer = self.buffer, b""
                counters.requests += 1
            taken = min(self.missing, len(data))
            self.missing -= taken
            data = data[taken:]
            if not self.missing:
                assert self.transport is not None
                counters.responses += 1
                counters.bytes_sent += self.response_bytes
                counters.payload_sent += self.response_bytes
                self.transport.write(payload(self.response_bytes))
