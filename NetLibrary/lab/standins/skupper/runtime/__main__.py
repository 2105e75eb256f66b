"""Runs one of the stand-in's processes: `controller`, `router` or `adaptor`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys


def main(arguments: list[str]) -> None:
    """Runs the part that the first argument names."""
    part = arguments[0] if arguments else ""
    if part not in ("controller", "router", "adaptor"):
        sys.exit("stand-in: say controller, router or adaptor")
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO"),
        format="stand-in skupper %(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    if part == "router":
        from .management import run_router

        asyncio.run(run_router())
    elif part == "adaptor":
        from .adaptor import run_adaptor

        asyncio.run(run_adaptor())
    else:
        from .controller import run_controller

        asyncio.run(run_controller())


def _stop(number: int, frame: object) -> None:
    """Ends at once: nothing here outlives the process, and peers notice the closed sockets."""
    del frame
    logging.getLogger("main").info("ending after signal %d", number)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
