"""Resolves names as the traffic engine does: only at the name servers of the client's segment.

RFC 1035 queries over UDP. The machine's own resolver is not asked on purpose: a segment
without name server and a device under test given by name is a mistake that must show.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import time

from .counters import DnsCounters


class ResolutionError(Exception):
    """A name could not be resolved."""


class _Exchange(asyncio.DatagramProtocol):
    def __init__(self, query: bytes) -> None:
        self.query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers the transport."""
        transport.sendto(self.query)  # type: ignore[attr-defined]

    def datagram_received(self, data: bytes, _address: object) -> None:
        """Takes the answer to this query."""
        if data[:2] == self.query[:2] and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        """Passes on what the network said."""
        if not self.answer.done():
            self.answer.set_exception(error)


def _query(name: str) -> bytes:
    labels = b"".join(bytes([len(part)]) + part for part in name.rstrip(".").encode("idna").split(b"."))
    head = struct.pack(">HHHHHH", secrets.randbelow(65536), 0x0100, 1, 0, 0, 0)
    return head + labels + b"\0" + struct.pack(">HH", 1, 1)


def _skip_name(message: bytes, offset: int) -> int:
    while message[offset]:
        if message[offset] & 0xC0:
            return offset + 2
        offset += message[offset] + 1
    return offset + 1


def _addresses(message: bytes) -> tuple[int, list[str]]:
    _, flags, questions, answers, _, _ = struct.unpack(">HHHHHH", message[:12])
    offset = 12
    for _ in range(questions):
        offset = _skip_name(message, offset) + 4
    found = []
    for _ in range(answers):
        offset = _skip_name(message, offset)
        kind, _, _, length = struct.unpack(">HHIH", message[offset : offset + 10])
        offset += 10
        if kind == 1 and length == 4:
            found.append(socket.inet_ntoa(message[offset : offset + 4]))
        offset += length
    return flags & 0xF, found


class Names:
    """Resolver with a cache."""

    def __init__(self, servers: list[str], counters: DnsCounters, cache_seconds: float = 5.0) -> None:
        self.servers = servers
        self.counters = counters
        self.cache_seconds = cache_seconds
        self._cache: dict[str, tuple[float, list[str]]] = {}

    async def resolve(self, host: str, timeout: float = 2.0) -> list[str]:
        """Returns the IPv4 addresses of `host`; an address is returned as it is.

        Raises:
            ResolutionError: When no name server is set or none has an answer.
        """
        try:
            socket.inet_aton(host)
            return [host]
        except OSError:
            pass
        known = self._cache.get(host)
        if known and known[0] > time.monotonic():
            self.counters.cached += 1
            return known[1]
        if not self.servers:
            raise ResolutionError(f"no name server is set for '{host}'")
        problem = ""
        for server in self.servers:
            addresses, problem = await self._ask(server, host, timeout)
            if addresses:
                self._cache[host] = (time.monotonic() + self.cache_seconds, addresses)
                return addresses
        raise ResolutionError(f"'{host}' was not resolved: {problem}")

    async def _ask(self, server: str, host: str, timeout: float) -> tuple[list[str], str]:
        address, _, port = server.partition(":")
        self.counters.sent += 1
        query = _query(host)
        transport = None
        try:
            transport, exchange = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Exchange(query), remote_addr=(address, int(port or 53))
            )
            answer = await asyncio.wait_for(exchange.answer, timeout)
        except (OSError, asyncio.TimeoutError) as error:
            self.counters.timed_out += 1
            return [], f"name server {address} did not answer ({error or 'timeout'})"
        finally:
            if transport:
                transport.close()
        code, addresses = _addresses(answer)
        if addresses:
            self.counters.resolved += 1
            return addresses, ""
        if code == 5:
            self.counters.refused += 1
        elif code == 2:
            self.counters.server_failure += 1
        return [], f"name server {address} answered code {code} without an address"
