"""A proxy that has an API server below a path: it speaks TLS, takes the path away and passes on the rest."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from pathlib import Path


class PathProxy:
    """Listens on a port of this machine.

    Args:
        folder: Has its certificate and key, `server.crt` and `server.key`.
        path: What requests must begin with.
        host: Address of the API server; its certificate is not looked at.
        port: Its port.
        heard: Gets the method of each request before it is passed on.
        identity: File with certificate and key by which the API server knows who asks; else requests say it themselves.
    """

    def __init__(
        self, folder: Path, path: str, host: str, port: int, *, heard: Callable[[str], None] = lambda _: None,
        identity: Path | None = None,
    ) -> None:  # fmt: skip
        self._path, self._target, self.port, self._heard = path, (host, port), 0, heard
        self._serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._serving.load_cert_chain(folder / "server.crt", folder / "server.key")
        self._asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._asking.check_hostname, self._asking.verify_mode = False, ssl.CERT_NONE
        if identity:
            self._asking.load_cert_chain(identity)
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(10)

    def close(self) -> None:
        """Ends it with all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self, ready: threading.Event) -> None:
        start = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._serving, backlog=64)
        server = self._loop.run_until_complete(start)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            head = (await client.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            method, target, version = head[0].split(" ")
            if not target.startswith(f"{self._path}/"):
                answers.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                answers.close()
                return
            self._heard(method)
            server, requests = await asyncio.open_connection(*self._target, ssl=self._asking, server_hostname="")
            lines = [f"{method} {target.removeprefix(self._path)} {version}", *head[1:]]
            if not any(line.lower().startswith("upgrade:") for line in lines):
                # One request for each connection, so that every request line is seen
                lines = [line for line in lines if not line.lower().startswith("connection:")] + ["Connection: close"]
            requests.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
            sending = asyncio.ensure_future(_pass(client, requests))
            await _pass(server, answers)
            sending.cancel()
            requests.close()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
