"""A sender on a host outside the cluster: a program of that host instead of a pod."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from NetLibrary._mechanics import errors, secrets
from NetLibrary._mechanics.e2sar.parameters import SenderSettings

STAND_IN = "NetLibrary.standins.e2sar.perf"


def program(name: str, *, stand_in: bool) -> list[str]:
    """Returns the command that starts `e2sar_perf` on this machine.

    Args:
        name: Its name or path; by default the stand-in where one is wanted, else `e2sar_perf`.
        stand_in: Whether the default is the stand-in.
    Raises:
        errors.InputError: There is no such program.
    """
    if stand_in and not name:
        return [sys.executable, "-m", STAND_IN]
    wanted = name or "e2sar_perf"
    found = shutil.which(wanted)
    if found is None:
        raise errors.InputError(
            f"program is '{wanted}', which is not on this machine; give the name or path of an "
            "e2sar_perf on this machine."
        )
    return [found]


def arguments(settings: SenderSettings, target: str) -> list[str]:
    """Returns the options of a sender.

    Args:
        settings: What it sends.
        target: `address:port` to send to.

    >>> arguments(SenderSettings(events=5), "192.0.2.1:30522")[:3]
    ['-s', '-u', 'ejfat://unused@127.0.0.1:1234/lb/1?data=192.0.2.1:30522&sync=127.0.0.1:1234']
    """
    named: dict[str, object] = {
        "--mtu": settings.mtu, "--rate": f"{settings.rate_gbps:.9g}", "--length": settings.event_bytes,
        "-n": settings.events, "-b": settings.buffer_bytes, "--sockets": settings.sockets,
        "--src": settings.source_id, "--dataid": settings.data_id,
    }  # fmt: skip
    uri = f"ejfat://unused@127.0.0.1:1234/lb/1?data={target}&sync=127.0.0.1:1234"
    pairs = [str(word) for pair in named.items() for word in pair]
    return ["-s", "-u", uri, "--ip", "0.0.0.0", *pairs, *settings.options]


def run(command: Sequence[str], file: Path, *, timeout: float) -> int:
    """Runs a program, keeps what it says in a file, and returns its exit status.

    Raises:
        errors.WaitTimeout: It did not end in time; it is ended then.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"}
    with file.open("wb") as kept:
        try:
            done = subprocess.run(command, stdout=kept, stderr=subprocess.STDOUT, env=environment, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise errors.WaitTimeout(f"The sender outside did not end within {timeout:g} s.") from error
        finally:
            secrets.clean(file)
    return done.returncode
