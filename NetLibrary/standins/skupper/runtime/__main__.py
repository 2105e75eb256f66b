"""Runs one of the stand-in's processes: `controller`, `router` or `adaptor`."""

from __future__ import annotations

import os
import socket
import sys

HEALTH_PORTS = {"controller": 9000, "router": 9090, "adaptor": 9191}


def main(arguments: list[str]) -> None:
    """Runs the part that the first argument names."""
    part = arguments[0] if arguments else ""
    if part not in HEALTH_PORTS:
        sys.exit(f"stand-in: '{part}' is no part; allowed: {', '.join(HEALTH_PORTS)}")
    # The port for health checks opens before the slow imports: the first check comes at once,
    # waits in the backlog, and need not be repeated a second later.
    health = _open(HEALTH_PORTS[part])
    _set_up()
    if part == "router":
        from .management import run_router as run
    elif part == "adaptor":
        from .adaptor import run_adaptor as run
    else:
        from .controller import run_controller as run
    import asyncio

    asyncio.run(run(health))


def _open(port: int) -> socket.socket:
    """Listens on all addresses; a kernel may have been started without IPv6."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError:
            pass
    return socket.create_server(("", port))


def _set_up() -> None:
    import logging
    import signal

    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO"),
        format="stand-in skupper %(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)


def _stop(number: int, frame: object) -> None:
    """Ends at once: nothing here outlives the process, and peers notice the closed sockets."""
    import logging

    del frame
    logging.getLogger("main").info("ending after signal %d", number)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
