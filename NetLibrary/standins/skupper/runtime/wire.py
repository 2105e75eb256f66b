"""Framed TLS connections between two routers of the stand-in.

The wire is private to the stand-in; only ports and mutual TLS are those of the real thing.
A frame is one byte of kind, four bytes of length, then the payload. Sockets are non-blocking
and driven by the event loop's readiness callbacks: asyncio's own TLS transport copies each
byte several times, which halves the throughput.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

HEADER = struct.Struct("!BI")
HELLO, ROUTES, ALIVE, WANT, OPEN, DATA, FIN, ABORT = range(1, 9)
LIMIT = 16 << 20  # a longer control frame is no frame
HANDSHAKE_SECONDS = 10.0
T = TypeVar("T")


class Lost(Exception):
    """The connection to the other router ended without a word."""


class Aborted(Exception):
    """The other router gave up this stream: nothing answers at its end."""


def nodelay(sock: socket.socket) -> None:
    """Turns off Nagle's algorithm; each frame is complete when it is sent."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def ready(sock: socket.socket, *, write: bool) -> None:
    """Waits until a non-blocking socket can be read or written."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    add = loop.add_writer if write else loop.add_reader
    remove = loop.remove_writer if write else loop.remove_reader
    add(sock.fileno(), lambda: None if future.done() else future.set_result(None))
    try:
        await future
    finally:
        if sock.fileno() >= 0:
            remove(sock.fileno())


async def retry(sock: ssl.SSLSocket, action: Callable[[], T]) -> T:
    """Repeats a TLS operation until it need not wait any more."""
    while True:
        try:
            return action()
        except ssl.SSLWantReadError:
            await ready(sock, write=False)
        except ssl.SSLWantWriteError:
            await ready(sock, write=True)


async def secure(
    sock: socket.socket, context: ssl.SSLContext, *, server: bool, host: str | None = None
) -> ssl.SSLSocket:
    """Does the TLS handshake on a connected non-blocking socket."""
    nodelay(sock)
    wrapped = context.wrap_socket(sock, server_side=server, server_hostname=host, do_handshake_on_connect=False)
    try:
        await asyncio.wait_for(retry(wrapped, wrapped.do_handshake), HANDSHAKE_SECONDS)
    except BaseException:
        wrapped.close()
        raise
    return wrapped


async def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Opens a non-blocking TCP connection, trying each address of the host in turn."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await asyncio.wait_for(loop.sock_connect(sock, address), timeout)
            return sock
        except (OSError, asyncio.TimeoutError) as error:
            sock.close()
            failure = error if isinstance(error, OSError) else TimeoutError(f"{host}:{port}")
        except BaseException:
            sock.close()
            raise
    raise failure


class Channel:
    """One framed TLS connection; carries control messages or one stream at a time."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self._lock = asyncio.Lock()
        self.closed = False

    async def send(self, kind: int, payload: bytes = b"") -> None:
        """Sends one frame.

        Raises:
            Lost: The connection is gone.
        """
        data = memoryview(HEADER.pack(kind, len(payload)) + payload)
        async with self._lock:
            try:
                while data:
                    sent = await retry(self.sock, partial(self.sock.send, data))
                    data = data[sent:]
            except (OSError, ValueError) as error:
                raise Lost(str(error)) from error

    async def send_json(self, kind: int, value: Any) -> None:
        """Sends one frame with a JSON payload."""
        await self.send(kind, json.dumps(value, separators=(",", ":")).encode())

    async def receive(self) -> tuple[int, bytes]:
        """Waits for one frame.

        Raises:
            Lost: The connection is gone, or speaks another protocol.
        """
        kind, length = HEADER.unpack(await self._exactly(HEADER.size))
        if length > LIMIT:
            raise Lost(f"a frame of {length} bytes is longer than allowed")
        return kind, await self._exactly(length)

    async def _exactly(self, size: int) -> bytes:
        buffer = bytearray(size)
        view, have = memoryview(buffer), 0
        while have < size:
            try:
                got = await retry(self.sock, partial(self.sock.recv_into, view[have:]))
            except (OSError, ValueError) as error:
                raise Lost(str(error)) from error
            if not got:
                raise Lost("the other router closed the connection")
            have += got
        return bytes(buffer)

    async def hello(self, mine: dict) -> dict:
        """Exchanges the first frame of a connection."""
        await self.send_json(HELLO, mine)
        kind, payload = await asyncio.wait_for(self.receive(), HANDSHAKE_SECONDS)
        if kind != HELLO:
            raise Lost(f"expected a greeting, got a frame of kind {kind}")
        theirs: dict = json.loads(payload)
        return theirs

    def close(self) -> None:
        """Closes the connection; a waiting reader notices."""
        if self.closed:
            return
        self.closed = True
        loop = asyncio.get_running_loop()
        fd = self.sock.fileno()
        if fd >= 0:
            loop.remove_reader(fd)
            loop.remove_writer(fd)
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        self.sock.close()


def server_context(directory: str) -> ssl.SSLContext:
    """Makes the TLS settings of the accepting side; the peer must show a certificate of the CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{directory}/tls.crt", f"{directory}/tls.key")
    context.load_verify_locations(f"{directory}/ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    return context


def client_context(directory: str) -> ssl.SSLContext:
    """Makes the TLS settings of the connecting side, which shows its own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(f"{directory}/tls.crt", f"{directory}/tls.key")
    context.load_verify_locations(f"{directory}/ca.crt")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def client_port_context(directory: str, *, certificate_wanted: bool) -> ssl.SSLContext:
    """Makes the TLS settings of a port for clients, which may have to show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{directory}/tls.crt", f"{directory}/tls.key")
    if certificate_wanted:
        context.load_verify_locations(f"{directory}/ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def server_side_context(directory: str, *, certificate: bool, check_name: bool) -> ssl.SSLContext:
    """Makes the TLS settings for a connection to a server behind a connector."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_name
    context.load_verify_locations(f"{directory}/ca.crt")
    if certificate:
        context.load_cert_chain(f"{directory}/tls.crt", f"{directory}/tls.key")
    return context
