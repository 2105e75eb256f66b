"""Whether this machine reaches what a cluster offers to the outside, before anything is measured there."""

from __future__ import annotations

import socket
import subprocess

from NetLibrary._mechanics.polling import settle

#: A load balancer needs a moment until its address answers
PATIENCE_S = 4.0
CONNECT_S = 2.0


def missing_route(address: str, netns: str | None = None) -> str | None:
    """Returns why this machine, or one of its network namespaces, cannot send to an address; None when it can."""
    enter = ["nsenter", f"--net={netns}"] if netns else []
    try:
        done = subprocess.run([*enter, "ip", "route", "get", address], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None  # without the program nothing is known; the probes will tell
    return None if done.returncode == 0 else done.stderr.strip().removeprefix("RTNETLINK answers: ")


def silent(address: str, port: int, *, patience: float | None = None) -> str | None:
    """Returns why no connection from this machine to a port comes about; None when one does.

    Args:
        address: Where to.
        port: Port there.
        patience: Seconds for which it is tried again, a few by default.

    Example:
        >>> silent("127.0.0.1", 1, patience=0)
        'Connection refused'
    """
    said: list[str] = []

    def connected() -> bool:
        try:
            socket.create_connection((address, port), timeout=CONNECT_S).close()
        except OSError as error:
            said.append("no answer" if isinstance(error, TimeoutError) else error.strerror or str(error))
            return False
        return True

    return None if settle(connected, timeout=PATIENCE_S if patience is None else patience, every=0.5) else said[-1]
