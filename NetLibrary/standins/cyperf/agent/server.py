"""The emulated servers of an agent: listens on the ports that a run asks for."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from typing import Any

from .counters import ServerCounters
from .streams import ServerStreams
from .wire import HttpServer, TcpServer


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """Returns a TLS context for a certificate and key in PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, text in (("certificate.pem", certificate), ("key.pem", key)):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
            paths.append(path)
        context.load_cert_chain(*paths)
    return context


class Servers:
    """All listening ports of one agent."""

    def __init__(self, address: str | None = None) -> None:
        self.address = address
        self.counters: dict[int, ServerCounters] = {}
        self._listening: dict[int, asyncio.AbstractServer] = {}
        self.streams: dict[int, ServerStreams] = {}
        self._datagrams: dict[int, asyncio.DatagramTransport] = {}
        self._connections: set[asyncio.Protocol] = set()
        self._health_path = ""
        self.run = ""

    async def start(self, orders: dict[str, Any]) -> None:
        """Listens as ordered; ports that are open already for this run stay open.

        Raises:
            OSError: When a port cannot be opened.
        """
        if orders["run"] != self.run:
            await self.stop()
            self.counters.clear()
            self.streams.clear()
            self.run = orders["run"]
        health = orders.get("health")
        self._health_path = health["path"] if health else ""
        listeners = {entry["port"]: entry for entry in orders["listeners"] if entry["protocol"] != "udp"}
        if health:
            check_only = {"port": health["port"], "protocol": "http", "encrypted": False, "check_only": True}
            listeners.setdefault(health["port"], check_only)
        try:
            for entry in orders["listeners"]:
                if entry["protocol"] == "udp" and entry["port"] not in self._datagrams:
                    await self._take_streams(entry["port"])
            for port, entry in listeners.items():
                if port not in self._listening:
                    await self._listen(port, entry, orders)
        except OSError:
            await self.stop()
            raise

    async def _listen(self, port: int, entry: dict[str, Any], orders: dict[str, Any]) -> None:
        counters = self.counters.setdefault(port, ServerCounters())
        context = server_context(orders["certificate"], orders["key"]) if entry.get("encrypted") else None

        def accept() -> asyncio.Protocol:
            if entry["protocol"] == "tcp":
                made: asyncio.Protocol = TcpServer(counters, self._connections.discard)
            else:
                made = HttpServer(
                    counters, self._connections.discard, lambda: self._health_path, not entry.get("check_only")
                )
            self._connections.add(made)
            return made

        self._listening[port] = await asyncio.get_running_loop().create_server(
            accept, self.address, port, backlog=4096, ssl=context
        )

    async def _take_streams(self, port: int) -> None:
        made = self.streams.setdefault(port, ServerStreams())
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: made, local_addr=(self.address or "0.0.0.0", port)
        )
        self._datagrams[port] = transport

    async def stop(self) -> None:
        """Closes every port and every connection."""
        for server in self._listening.values():
            server.close()
        for datagrams in self._datagrams.values():
            datagrams.close()
        self._datagrams.clear()
        for connection in list(self._connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.close()
        self._listening.clear()
        self._connections.clear()
        self._health_path = ""

    def report(self) -> dict[str, dict[str, int]]:
        """Returns the counters by port."""
        return {str(port): counters.report() for port, counters in self.counters.items()}
