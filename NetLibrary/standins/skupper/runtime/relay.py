"""Copies bytes between two ends of a stream: a TCP socket and a channel, or two of a kind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable

from .wire import ABORT, DATA, FIN, HEADER, Aborted, Channel, Lost

RECORD = 16384  # most bytes in one TLS record
CHUNK = 16 * RECORD - HEADER.size  # a full frame is then a whole number of records
TURNS = 8  # rounds of one direction before others get their turn
LINGER_SECONDS = 2.0
BLOCKED = -1
# One buffer for all streams: a loop thread fills and empties it in one step. Only what could not be
# sent is copied, so that idle streams need no memory.
BUFFER = memoryview(bytearray(HEADER.size + CHUNK))
PAYLOAD = BUFFER[HEADER.size :]
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError, InterruptedError)


class Sending:
    """How both kinds of ends send."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, view: memoryview) -> int:
        """Sends: number of bytes, or BLOCKED."""
        try:
            return self.sock.send(view)
        except WOULD_BLOCK:
            return BLOCKED


class PlainEnd(Sending):
    """A TCP connection to a client or a server."""

    def read(self, view: memoryview) -> int:
        """Reads into the buffer: bytes read, 0 at the end, BLOCKED."""
        try:
            return self.sock.recv_into(view)
        except WOULD_BLOCK:
            return BLOCKED

    def frame(self, buffer: memoryview, size: int) -> memoryview:
        """Gives what has to be sent for `size` payload bytes after the header's room."""
        return buffer[HEADER.size : HEADER.size + size]

    def end(self) -> memoryview | None:
        """Tells the other side that nothing follows."""
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.unwrap()  # sends its part; the answer is read like any other end
            else:
                self.sock.shutdown(socket.SHUT_WR)
        return None

    def close(self, *, reset: bool) -> None:
        """Closes; with a reset when the stream broke."""
        if reset:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class ChannelEnd(Sending):
    """A channel to another router while it carries one stream."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel.sock)
        self.channel = channel
        self._header = bytearray(HEADER.size)
        self._head, self._have, self._remaining = memoryview(self._header), 0, 0

    def read(self, view: memoryview) -> int:
        """Reads payload: bytes read, 0 at the end of the stream, BLOCKED.

        Raises:
            Lost: The channel is gone.
            Aborted: The other router gave the stream up.
        """
        total, size = 0, len(view)
        try:
            while total < size:
                if self._remaining:
                    most = min(size - total, self._remaining)
                    got = self.sock.recv_into(view[total : total + most])
                    if not got:
                        raise Lost("the channel was closed")
                    self._remaining -= got
                    total += got
                    continue
                kind = self._next_kind()
                if kind == DATA:
                    continue
                if total:  # tell about the end at the next call
                    self._have = HEADER.size
                    return total
                if kind == FIN:
                    return 0
                raise Aborted
        except WOULD_BLOCK:
            return total or BLOCKED
        return total

    def _next_kind(self) -> int:
        while self._have < HEADER.size:
            got = self.sock.recv_into(self._head[self._have :])
            if not got:
                raise Lost("the channel was closed")
            self._have += got
        self._have = 0
        kind: int
        kind, length = HEADER.unpack(self._header)
        if kind == DATA:
            self._remaining = length
        elif kind not in (FIN, ABORT):
            raise Lost(f"a frame of kind {kind} does not belong into a stream")
        return kind

    def frame(self, buffer: memoryview, size: int) -> memoryview:
        """Puts the header before the payload and gives both."""
        HEADER.pack_into(buffer, 0, DATA, size)
        return buffer[: HEADER.size + size]

    def end(self) -> memoryview | None:
        """Gives the frame that ends the stream."""
        return memoryview(HEADER.pack(FIN, 0))

    def close(self, *, reset: bool) -> None:
        """Keeps the channel after a clean end, for the next stream; closes it otherwise."""
        if reset:
            self.channel.close()


End = PlainEnd | ChannelEnd


class Direction:
    """Bytes from one end to the other."""

    def __init__(self, source: End, sink: End, relay: Relay) -> None:
        self.source, self.sink, self.relay = source, sink, relay
        self.pending: memoryview | None = None
        self.ended = self.done = False
        self._loop = asyncio.get_running_loop()
        self._reading = self._writing = self._soon = False

    def start(self) -> None:
        """Begins to copy."""
        self._soon = True
        self._loop.call_soon(self._step_soon)

    def _step_soon(self) -> None:
        self._soon = False
        self.step()

    def step(self) -> None:
        """Copies what can be copied without waiting."""
        if self.done or self.relay.over:
            return
        try:
            self._step()
        except Aborted:
            self.relay.give_up()
        except (OSError, Lost, ValueError) as error:
            self.relay.fail(error)

    def _step(self) -> None:
        held = True  # whether what is pending is this direction's own copy
        for _ in range(TURNS):
            if self.pending is None:
                if self.ended:
                    self._finish()
                    return
                size = self.source.read(PAYLOAD)
                if size == BLOCKED:
                    self._wait(read=True)
                    return
                if size:
                    self.pending = self.sink.frame(BUFFER, size)
                    held = False
                else:
                    self.ended = True
                    self.pending = self.sink.end()
                    continue
            sent = self.sink.send(self.pending)
            rest = self.pending if sent == BLOCKED else self.pending[sent:]
            if not rest:
                self.pending = None
                continue
            if not held:
                rest = memoryview(bytes(rest))
                held = True
            self.pending = rest
            if sent == BLOCKED:
                self._wait(read=False)
                return
        if not self._soon:
            self.start()

    def _wait(self, *, read: bool) -> None:
        if read != self._reading:
            self._reading = read
            if read:
                self._loop.add_reader(self.source.sock.fileno(), self.step)
            else:
                self._loop.remove_reader(self.source.sock.fileno())
        if read == self._writing:
            self._writing = not read
            if read:
                self._loop.remove_writer(self.sink.sock.fileno())
            else:
                self._loop.add_writer(self.sink.sock.fileno(), self.step)

    def release(self) -> None:
        """Takes back the readiness callbacks."""
        if self._reading and self.source.sock.fileno() >= 0:
            self._loop.remove_reader(self.source.sock.fileno())
        if self._writing and self.sink.sock.fileno() >= 0:
            self._loop.remove_writer(self.sink.sock.fileno())
        self._reading = self._writing = False

    def _finish(self) -> None:
        self.done = True
        self.release()
        self.relay.direction_done()


class Relay:
    """Both directions of one stream; `wait` tells how it ended."""

    def __init__(self, first: End, second: End) -> None:
        self.ends = (first, second)
        self.over = False
        self._result: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._directions = (Direction(first, second, self), Direction(second, first, self))
        for direction in self._directions:
            direction.start()

    async def wait(self) -> bool:
        """Waits for the end: true when channels can carry the next stream."""
        try:
            return await self._result
        finally:
            if not self.over:
                self.fail(OSError("cancelled"))

    def direction_done(self) -> None:
        """Ends the stream cleanly when both directions are done."""
        if all(direction.done for direction in self._directions):
            self._conclude(clean=True, close=lambda end: end.close(reset=False))

    def fail(self, error: Exception) -> None:
        """Ends the stream with a reset at both ends."""
        del error  # which side broke first is of no use to anyone
        self._conclude(clean=False, close=lambda end: end.close(reset=True))

    def give_up(self) -> None:
        """Ends the stream with an end-of-file at TCP ends, and tells the other router."""

        def close(end: End) -> None:
            if isinstance(end, PlainEnd):
                end_gently(end.sock)
            else:
                with contextlib.suppress(OSError, ValueError):
                    end.sock.send(HEADER.pack(ABORT, 0))
                end.close(reset=True)

        self._conclude(clean=False, close=close)

    def _conclude(self, *, clean: bool, close: Callable[[End], None]) -> None:
        if self.over:
            return
        self.over = True
        for direction in self._directions:
            direction.release()
        for end in self.ends:
            close(end)
        if not self._result.done():
            self._result.set_result(clean)


def end_gently(sock: socket.socket) -> None:
    """Sends an end-of-file and reads on for a moment: unread bytes would turn it into a reset."""
    loop = asyncio.get_running_loop()
    fd = sock.fileno()
    if fd < 0:
        return

    def close() -> None:
        if sock.fileno() >= 0:
            loop.remove_reader(fd)
            sock.close()
        timer.cancel()

    def drain() -> None:
        try:
            if not sock.recv(65536):
                close()
        except WOULD_BLOCK:
            pass
        except OSError:
            close()

    timer = loop.call_later(LINGER_SECONDS, close)
    try:
        socket.socket.shutdown(sock, socket.SHUT_WR)
        loop.add_reader(fd, drain)
    except OSError:
        close()
