"""The two ends of a link: the site that connects to another one, and the one that listens."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import uuid
from typing import Any

from .peers import CONNECT_SECONDS, KEPT, RETRY_SECONDS, SPARE, Owner, Peer
from .wire import (
    Channel,
    Lost,
    client_context,
    connect,
    secure,
    server_context,
)

log = logging.getLogger("links")


class Link:
    """The dialling side: keeps a connection to another site's router up."""

    def __init__(self, owner: Owner, name: str, settings: dict) -> None:
        self.owner, self.name, self.settings = owner, name, settings
        self.cost = max(1, int(settings.get("cost") or 1))
        self.peer: Peer | None = None
        self._context: ssl.SSLContext | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._main = asyncio.ensure_future(self._run())

    def stop(self) -> None:
        """Takes the link down for good."""
        self._main.cancel()
        for task in list(self._tasks):
            task.cancel()
        if self.peer:
            self.peer.close()

    async def _run(self) -> None:
        pause = RETRY_SECONDS[0]
        said = ""
        while True:
            try:
                await self._once()
                pause = RETRY_SECONDS[0]
            except (OSError, Lost, ValueError, asyncio.TimeoutError) as error:
                text = f"link {self.name} to {self.settings['host']}:{self.settings['port']}: {error}"
                if text != said:
                    log.info("%s", text)
                said = text
            await asyncio.sleep(pause)
            pause = min(pause * 1.6, RETRY_SECONDS[1])

    async def _open(self, greeting: dict) -> tuple[Channel, dict]:
        if self._context is None:
            self._context = await asyncio.to_thread(client_context, self.settings["directory"])
        host, port = self.settings["host"], int(self.settings["port"])
        sock = await connect(host, port, CONNECT_SECONDS)
        channel = Channel(await secure(sock, self._context, server=False, host=host))
        try:
            return channel, await channel.hello({"router": self.owner.router_id, **greeting})
        except BaseException:
            channel.close()
            raise

    async def _once(self) -> None:
        session = uuid.uuid4().hex
        control, answer = await self._open({"channel": "control", "session": session, "cost": self.cost})
        if answer["router"] == self.owner.router_id:
            control.close()
            raise Lost("the link leads to its own router")
        peer = Peer(self.owner, answer["router"], session, control, self.cost)
        peer.link, peer.more = self.name, lambda count: self._spawn("dialer", count)
        self.peer = peer
        self.owner.peer_up(peer)
        self._spawn("dialer", SPARE)
        self._spawn("acceptor", SPARE)
        try:
            await peer.run(lambda count: self._spawn("acceptor", count))
        finally:
            peer.close()
            self.peer = None

    def _spawn(self, use: str, count: int) -> None:
        for _ in range(min(count, KEPT)):
            task = asyncio.ensure_future(self._data(use))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _data(self, use: str) -> None:
        peer = self.peer
        if peer is None:
            return
        try:
            channel, _ = await self._open({"channel": "data", "session": peer.session, "use": use})
        except (OSError, Lost, ValueError, asyncio.TimeoutError) as error:
            log.info("no data channel to %s: %s", peer.router, error)
            if use == "dialer":
                peer.opened()
            return
        if use == "dialer":
            peer.opened()
            peer.give(channel)
        else:
            await peer.serve(channel)


class LinkListener:
    """The accepting side: a port where links of other sites arrive."""

    def __init__(self, owner: Owner, name: str, settings: dict) -> None:
        self.owner, self.name, self.settings = owner, name, settings
        self._context = server_context(settings["directory"])
        self._tasks: set[asyncio.Task[None]] = set()
        self._peers: dict[str, Peer] = {}
        self._sock = listening_socket(settings.get("host") or "", int(settings["port"]))
        self.port: int = self._sock.getsockname()[1]
        self._main = asyncio.ensure_future(self._accept())

    def reload(self) -> None:
        """Reads the certificates again, for connections from now on."""
        self._context = server_context(self.settings["directory"])

    def stop(self) -> None:
        """Closes the port and the links that came in by it."""
        self._main.cancel()
        self._sock.close()
        for peer in list(self._peers.values()):
            peer.close()
        for task in list(self._tasks):
            task.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(self._sock)
            except OSError as error:
                log.warning("accepting a link: %s", error)
                await asyncio.sleep(0.1)
                continue
            sock.setblocking(False)
            task = asyncio.ensure_future(self._incoming(sock, address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _incoming(self, sock: socket.socket, address: Any) -> None:
        channel = None
        try:
            channel = Channel(await secure(sock, self._context, server=True))
            greeting = await channel.hello({"router": self.owner.router_id})
            if greeting["channel"] == "control":
                await self._control(channel, greeting)
            else:
                await self._data(channel, greeting)
        except (OSError, Lost, ValueError, KeyError, asyncio.TimeoutError) as error:
            log.info("refused a connection from %s: %s", address[0], error)
            if channel:
                channel.close()
            sock.close()

    async def _control(self, channel: Channel, greeting: dict) -> None:
        session, cost = greeting["session"], int(greeting["cost"])
        peer = Peer(self.owner, greeting["router"], session, channel, cost)

        peer.more = peer.ask
        self._peers[session] = peer
        self.owner.peer_up(peer)
        try:
            await peer.run(lambda count: None)
        finally:
            self._peers.pop(session, None)

    async def _data(self, channel: Channel, greeting: dict) -> None:
        peer = self._peers.get(greeting["session"])
        if peer is None:
            raise Lost("a data channel of an unknown link")
        if greeting["use"] == "acceptor":
            peer.opened()
            peer.give(channel)
        else:
            await peer.serve(channel)


def listening_socket(host: str, port: int) -> socket.socket:
    """Opens a non-blocking listening TCP socket, for both families when no host is given."""
    if not host and socket.has_dualstack_ipv6():
        try:
            sock = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
        except OSError as error:
            if error.errno not in (97, 99):  # the pod network has no IPv6
                raise
            sock = socket.create_server(("", port), backlog=512)
    else:
        sock = socket.create_server((host, port), backlog=512)
    sock.setblocking(False)
    return sock
