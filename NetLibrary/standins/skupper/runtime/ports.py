"""Where streams enter and leave a router: ports for clients, and addresses of servers."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
from typing import TYPE_CHECKING

from .link_ends import listening_socket
from .relay import Relay
from .wire import client_port_context, nodelay, server_side_context

if TYPE_CHECKING:
    from .router import Router

log = logging.getLogger("router")


class Target:
    """A place where streams of a routing key can end: a server address."""

    def __init__(self, name: str, settings: dict) -> None:
        self.name, self.settings = name, settings
        self.key: str = settings["address"]
        self.open = 0
        self.tls: ssl.SSLContext | None = None
        if directory := settings.get("directory"):
            self.tls = server_side_context(
                directory,
                certificate=bool(settings.get("useClientCert")),
                check_name=bool(settings.get("verifyHostname")),
            )
        self.relays: set[Relay] = set()

    def close(self) -> None:
        """Ends the streams to this server, after its connector went away."""
        for relay in list(self.relays):
            relay.give_up()


class Port:
    """A client port. It is open only while some connector of its keys can be reached."""

    def __init__(self, router: Router, name: str, settings: dict) -> None:
        self.router, self.name, self.settings = router, name, settings
        self._sock: socket.socket | None = None
        self._strategy: dict = settings.get("strategy") or {}
        self.tls: ssl.SSLContext | None = None
        if directory := settings.get("directory"):
            wanted = bool(settings.get("authenticatePeer"))
            self.tls = client_port_context(directory, certificate_wanted=wanted)

    @property
    def keys(self) -> list[str]:
        """Routing keys that this port leads to."""
        keys = self._strategy.get("priority") or list(self._strategy.get("weighted") or ())
        return keys or [self.settings["address"]]

    @property
    def bound(self) -> int | None:
        """Port number while it is open."""
        return self._sock.getsockname()[1] if self._sock else None

    def choose(self) -> str | None:
        """Picks the routing key for a new connection, None when none can be reached."""
        usable = [key for key in self.keys if self.router.destinations(key)]
        weights: dict = self._strategy.get("weighted") or {}
        if weights and usable:
            return random.choices(usable, [max(weights[key], 0) or 1e-9 for key in usable])[0]
        return usable[0] if usable else None

    def refresh(self) -> None:
        """Opens or closes the socket as reachability demands."""
        wanted = self.choose() is not None
        if wanted and self._sock is None:
            try:
                self._sock = listening_socket(self.settings.get("host") or "", int(self.settings["port"]))
            except OSError as error:
                log.warning("%s: cannot listen: %s", self.name, error)
                return
            asyncio.get_running_loop().add_reader(self._sock.fileno(), self._accept)
            log.info("%s: open on port %s", self.name, self.bound)
        elif not wanted and self._sock is not None:
            self.stop()
            log.info("%s: closed, no connector can be reached", self.name)

    def _accept(self) -> None:
        assert self._sock is not None
        for _ in range(64):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, OSError):
                return
            sock.setblocking(False)
            nodelay(sock)
            self.router.spawn(self.router.from_client(self, sock))

    def stop(self) -> None:
        """Closes the socket; streams go on."""
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None
