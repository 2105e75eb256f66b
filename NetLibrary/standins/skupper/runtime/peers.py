"""Adjacent routers: one control channel and a pool of data channels each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Protocol

from .wire import (
    ALIVE,
    OPEN,
    ROUTES,
    WANT,
    Channel,
    Lost,
)

log = logging.getLogger("links")

SPARE = 3  # data channels opened before they are needed, per side
KEPT = 128  # idle data channels kept per side
ALIVE_SECONDS = 1.0
MAX_AGE_SECONDS = 8.0  # a busy machine may let a process wait for seconds
CONNECT_SECONDS = 5.0
RETRY_SECONDS = (0.1, 2.0)
TAKE_SECONDS = 10.0
ASK_AGAIN_SECONDS = 1.0


class Owner(Protocol):
    """What a link needs of its router."""

    router_id: str

    def peer_up(self, peer: Peer) -> None:
        """Takes note of a new neighbour."""

    def peer_down(self, peer: Peer) -> None:
        """Takes note of a lost neighbour."""

    def routes_from(self, peer: Peer, routes: list[dict]) -> None:
        """Takes in what the neighbour tells."""

    async def serve_stream(self, channel: Channel, request: dict) -> bool:
        """Carries one stream that the neighbour opened; true when the channel stays usable."""


class Peer:
    """An adjacent router, from the moment the control channel is up.

    Only the dialling side can open TLS connections. So it opens data channels for both: those
    of use `dialer` carry streams that it starts, those of use `acceptor` streams that the
    other side starts.
    """

    def __init__(self, owner: Owner, router: str, session: str, control: Channel, cost: int) -> None:
        self.owner, self.router, self.session, self.cost = owner, router, session, cost
        self.control = control
        self.link: str | None = None  # name of the link on the side that dialled
        self.more: Callable[[int], None] = lambda count: None
        self._opening = 0
        self._asked = 0.0
        self._idle: list[Channel] = []
        self._waiting: list[asyncio.Future[Channel]] = []
        self._all: set[Channel] = set()
        self._outbox: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self.down = False

    # --- streams ---------------------------------------------------------------------------
    async def take(self) -> Channel:
        """Gives a data channel for a new stream.

        Raises:
            Lost: The link went down, or no channel came in time.
        """
        while self._idle:
            channel = self._idle.pop()
            self._unguard(channel)
            if not channel.closed:
                self._top_up()
                return channel
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Channel] = loop.create_future()
        self._waiting.append(future)
        end = loop.time() + TAKE_SECONDS
        try:
            while not self.down and loop.time() < end:
                self._top_up()
                done, _ = await asyncio.wait((future,), timeout=ASK_AGAIN_SECONDS)
                if done:
                    return future.result()
                if loop.time() - self._asked >= ASK_AGAIN_SECONDS:  # once, not once for each who waits
                    self._opening = 0  # what was asked for did not come
        finally:
            if future in self._waiting:
                self._waiting.remove(future)
        raise Lost("the link is down" if self.down else "no data channel in time")

    def _top_up(self) -> None:
        """Has channels opened for those who wait and some to spare, less those on their way."""
        need = SPARE + len(self._waiting) - len(self._idle) - self._opening
        if need > 0:
            self._opening += need
            self._asked = asyncio.get_running_loop().time()
            self.more(need)

    def opened(self) -> None:
        """Notes that a channel which was asked for is there, or failed to open."""
        self._asked = asyncio.get_running_loop().time()
        self._opening = max(0, self._opening - 1)

    def give(self, channel: Channel) -> None:
        """Adds a channel that this side may use (new, or after a stream that ended cleanly)."""
        if self.down or channel.closed:
            channel.close()
            return
        self._all.add(channel)
        while self._waiting:
            future = self._waiting.pop(0)
            if not future.done():
                future.set_result(channel)
                return
        if len(self._idle) >= KEPT:
            self._all.discard(channel)
            channel.close()
            return
        self._idle.append(channel)
        loop = asyncio.get_running_loop()
        loop.add_reader(channel.sock.fileno(), self._idle_readable, channel)

    def _unguard(self, channel: Channel) -> None:
        if channel.sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(channel.sock.fileno())

    def _idle_readable(self, channel: Channel) -> None:
        """Drops an idle channel that the other side closed; nothing else may arrive on it."""
        try:
            channel.sock.recv(1)
        except ssl.SSLWantReadError:
            return
        except (OSError, ValueError):
            pass
        if channel in self._idle:
            self._idle.remove(channel)
        self._all.discard(channel)
        channel.close()

    async def serve(self, channel: Channel) -> None:
        """Waits on a channel that the other side uses, and carries its streams."""
        self._all.add(channel)
        try:
            while not self.down:
                kind, payload = await channel.receive()
                if kind != OPEN:
                    break
                if not await self.owner.serve_stream(channel, json.loads(payload)):
                    break
        except Lost:
            pass
        finally:
            self._all.discard(channel)
            channel.close()

    # --- control ---------------------------------------------------------------------------
    def tell(self, routes: list[dict]) -> None:
        """Queues advertisements for the neighbour."""
        self._outbox.put_nowait((ROUTES, routes))

    def ask(self, count: int) -> None:
        """Asks the dialling side for data channels."""
        self._outbox.put_nowait((WANT, count))

    async def run(self, on_want: Callable[[int], None]) -> None:
        """Keeps the control channel until it is lost."""
        sender = asyncio.ensure_future(self._send())
        try:
            while True:
                message = await asyncio.wait_for(self.control.receive(), MAX_AGE_SECONDS)
                kind, payload = message
                if kind == ROUTES:
                    self.owner.routes_from(self, json.loads(payload))
                elif kind == WANT:
                    on_want(json.loads(payload))
        except (Lost, asyncio.TimeoutError, ValueError) as error:
            log.info("link with %s lost: %s", self.router, error or "silence")
        finally:
            sender.cancel()
            self.close()

    async def _send(self) -> None:
        with contextlib.suppress(Lost):
            while True:
                try:
                    kind, value = await asyncio.wait_for(self._outbox.get(), ALIVE_SECONDS)
                    await self.control.send_json(kind, value)
                except asyncio.TimeoutError:
                    await self.control.send(ALIVE)

    def close(self) -> None:
        """Ends the link and all streams on it."""
        if self.down:
            return
        self.down = True
        self.control.close()
        for channel in list(self._all):
            abandon(channel)
        for future in self._waiting:
            if not future.done():
                future.set_exception(Lost("the link went down"))
        self._idle.clear()
        self.owner.peer_down(self)


def abandon(channel: Channel) -> None:
    """Shuts a channel's socket down; whoever uses it sees the end and closes it."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(channel.sock, socket.SHUT_RDWR)


def millis() -> int:
    """Gives the time in milliseconds; sequences start with it, so that a restart counts as news."""
    return time.time_ns() // 1_000_000
