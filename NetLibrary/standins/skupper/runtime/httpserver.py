"""A few lines of HTTP/1.1 server: health checks, and the port where tokens are redeemed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

LARGEST_BODY = 1 << 20
REQUEST_SECONDS = 10.0
PATIENCE_SECONDS = 0.8  # a kubelet's question has a time limit of 1 s


@dataclass(frozen=True)
class Request:
    """What a client asked for; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[Request], Awaitable[tuple[int, str]]]


async def _read(reader: asyncio.StreamReader) -> Request | None:
    line = (await reader.readline()).decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (text := (await reader.readline()).decode("latin-1").strip()) and len(headers) < 100:
        name, _, value = text.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        return None
    size = int(headers.get("content-length") or 0)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(min(size, LARGEST_BODY))
    return Request(line[0], line[1], headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        if len(body) + size > LARGEST_BODY:
            raise ValueError("body too large")
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def serve(port: int | socket.socket, handler: Handler, context: ssl.SSLContext | None = None) -> asyncio.Server:
    """Starts a server; each connection carries one request.

    Args:
        port: TCP port, 0 for any, or a socket that listens already.
        handler: Gives status code and body for a request.
        context: TLS settings, None for plain HTTP.
    """

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await asyncio.wait_for(_read(reader), REQUEST_SECONDS)
            status, text = (400, "bad request") if request is None else await handler(request)
            body = text.encode()
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
                "Content-Type: text/plain; charset=utf-8\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
        except (OSError, ValueError, EOFError, asyncio.TimeoutError):
            pass  # the client went away or does not speak HTTP
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    if isinstance(port, socket.socket):
        return await asyncio.start_server(connected, sock=port, ssl=context)
    return await asyncio.start_server(connected, None, port, ssl=context)


async def serve_health(port: int | socket.socket, ready: Callable[[], bool]) -> asyncio.Server:
    """Answers /healthz with 200 while `ready` says so, else 503; /metrics with a few counters.

    A process that is about to become ready keeps the question for a moment: a kubelet that got
    a refusal asks again a whole second later.
    """

    async def handler(request: Request) -> tuple[int, str]:
        if request.path == "/metrics":
            return 200, f"netlibrary_stand_in_ready {int(ready())}\n"
        end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not ready() and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
        return (200, "ok\n") if ready() else (503, "not ready\n")

    return await serve(port, handler)
