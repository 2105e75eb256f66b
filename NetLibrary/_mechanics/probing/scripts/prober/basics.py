"""What all kinds of probes share: how they fail, and plain fields of a result line."""

# It has to run on the Python of the source image, not on ours
# mypy: ignore-errors
import asyncio
import os
import socket


class Failed(Exception):
    """The probe ran and the network said no, after a number of tries."""

    def __init__(self, text, tries=1):
        super().__init__(text)
        self.tries = tries


class CannotRun(Exception):
    """The probe could not run at all."""


# All records that one answer of DNS can hold must fit into a field
MOST = 8000


def clean(text):
    """One field of a result line."""
    text = "".join(c if c.isprintable() and c != "\t" else " " for c in str(text))[:MOST]
    return text if text else "-"


def reason(error):
    """The operating system's word for an error."""
    if isinstance(error, socket.gaierror):
        return error.strerror or "name resolution failed"
    if getattr(error, "errno", None):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


async def resolve(host, port, kind):
    """First address of a host name, as the C library of the image resolves it."""
    loop = asyncio.get_event_loop()
    found = await loop.getaddrinfo(host, int(port), type=kind)
    return found[0][0], found[0][4]
