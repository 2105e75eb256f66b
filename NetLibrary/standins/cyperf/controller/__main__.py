"""Stand-in controller: `python -m ….controller [--https PORT] [--http PORT] [--address A]`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import tempfile
from pathlib import Path

from aiohttp import web

from . import certificate
from .app import make_app, tls_context
from .store import Settings


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Stand-in for a CyPerf controller.")
    parser.add_argument("--address", help="address to listen on (all, of both families)")
    parser.add_argument("--https", type=int, default=443, help="HTTPS port, 0 for none (443)")
    parser.add_argument("--http", type=int, default=0, help="plain HTTP port, 0 for none (0)")
    parser.add_argument("--name", action="append", default=[], help="further name in the certificate")
    parser.add_argument("--certificates", default="", help="folder that gets tls.crt and tls.key")
    return parser.parse_args()


async def serve(arguments: argparse.Namespace) -> None:
    """Serves until SIGTERM or SIGINT."""
    names = ["localhost", "127.0.0.1", socket.gethostname(), *arguments.name]
    with contextlib.ExitStack() as stack:
        folder = Path(arguments.certificates or stack.enter_context(tempfile.TemporaryDirectory()))
        pair = certificate.write(folder, names)
        runner = web.AppRunner(make_app(Settings.from_environment(), pair), access_log=None)
        await runner.setup()
        if arguments.https:
            await web.TCPSite(runner, arguments.address, arguments.https, ssl_context=tls_context(str(folder))).start()
        if arguments.http:
            await web.TCPSite(runner, arguments.address, arguments.http).start()
        print(f"CyPerf controller stand-in: https {arguments.https or '-'}, http {arguments.http or '-'}", flush=True)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(_arguments()))
