"""The wire between router and adaptor of one pod: JSON lines on a loopback port."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from typing import Any

from .httpserver import serve_health
from .names import PORT_MANAGEMENT
from .router import Router

log = logging.getLogger("router")
LINE_LIMIT = 64 << 20


class Management:
    """Takes configurations from the adaptor and tells it the state of the network."""

    def __init__(self) -> None:
        self.router: Router | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> asyncio.Server:
        """Listens on the loopback address."""
        return await asyncio.start_server(self._connected, "127.0.0.1", port, limit=LINE_LIMIT)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                self._take(json.loads(line))
                self._report()
        except (OSError, ValueError) as error:
            log.warning("management: %s", error)
        finally:
            self._writers.discard(writer)
            writer.close()

    def _take(self, message: dict[str, Any]) -> None:
        if self.router is None or self.router.router_id != message["router"]:
            if self.router is not None:
                self.router.stop()
            self.router = Router(message["router"], message["site"], self._report)
        self.router.configure(message["entities"])

    def _report(self) -> None:
        if self.router is None:
            return
        line = json.dumps(self.router.network()).encode() + b"\n"
        for writer in self._writers:
            writer.write(line)


async def run_router(health: socket.socket) -> None:
    """Runs the router's process."""
    management = Management()
    await serve_health(health, lambda: True)
    await management.start(PORT_MANAGEMENT)
    log.info("waiting for the adaptor's configuration")
    await asyncio.Event().wait()
