"""UDP streams: a client sends numbered datagrams at a steady pace, a server counts what came and in which order."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from .counters import ClientCounters

HEAD = struct.Struct(">4sIQ")
MAGIC = b"NLst"
DATAGRAM_BYTES = 1000
PAUSE_SECONDS = 0.1
TRANSACTION_SECONDS = 1.0
_PADDING = bytes(DATAGRAM_BYTES - HEAD.size)


class ClientStream(asyncio.DatagramProtocol):
    """One emulated user's stream; `done(stream, status)` is called after each second of it, with 0 when it failed."""

    def __init__(self, counters: ClientCounters, done: Callable[[ClientStream, int], None]) -> None:
        self.counters, self.done = counters, done
        self.transport: asyncio.DatagramTransport | None = None
        self.busy = False
        self.transactions = 0
        self.started = 0.0
        self.owner: object = None
        self.error = ""
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers the transport."""
        self.transport = transport  # type: ignore[assignment]
        self.counters.open += 1

    def send(self) -> None:
        """Starts one second of the stream."""
        self.counters.apps_initiated += 1
        self.busy, self.started = True, time.perf_counter()
        self._beat()

    def _beat(self) -> None:
        if not self.busy or self.transport is None or self.transport.is_closing():
            return
        if time.perf_counter() - self.started >= TRANSACTION_SECONDS:
            self.busy = False
            self.transactions += 1
            self.counters.apps_succeeded += 1
            self.done(self, 200)
            return
        self.transport.sendto(HEAD.pack(MAGIC, self._number, time.time_ns()) + _PADDING)
        self._number += 1
        self.counters.stream_sent += 1
        self.counters.bytes_sent += DATAGRAM_BYTES
        asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._beat)

    def error_received(self, error: Exception) -> None:
        """Ends the stream: nobody listens there."""
        if self.busy:
            self.busy = False
            self.error = os.strerror(getattr(error, "errno", 0) or 0)
            self.counters.apps_failed += 1
            self.close()
            self.done(self, 0)

    def connection_lost(self, error: Exception | None) -> None:
        """Counts the end."""
        self.counters.open -= 1
        if self.busy:
            self.busy = False
            self.counters.apps_failed += 1

    def close(self) -> None:
        """Closes the stream."""
        if self.transport is not None:
            self.transport.close()

    abort = close


@dataclass
class StreamCounters:
    """What one UDP port received."""

    received: int = 0
    bytes_received: int = 0
    lost: int = 0
    misordered: int = 0
    duplicate: int = 0


class ServerStreams(asyncio.DatagramProtocol):
    """All streams that come to one UDP port. A gap in the numbers is a loss until the missing datagram comes late."""

    def __init__(self) -> None:
        self.counters = StreamCounters()
        self._next: dict[object, int] = {}

    def datagram_received(self, data: bytes, address: object) -> None:
        """Counts one datagram; others than those of a stream are left alone."""
        if len(data) < HEAD.size or data[:4] != MAGIC:
            return
        _, number, _ = HEAD.unpack_from(data)
        counters, expected = self.counters, self._next.get(address, 0)
        counters.received += 1
        counters.bytes_received += len(data)
        if number >= expected:
            counters.lost += number - expected
            self._next[address] = number + 1
        elif number == expected - 1:
            counters.duplicate += 1
        else:
            counters.misordered += 1
            counters.lost = max(0, counters.lost - 1)

    def report(self) -> dict[str, int]:
        """Returns the counters."""
        return asdict(self.counters)
