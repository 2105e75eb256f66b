"""Takes a lab down, however much of it is there and however its start ended."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from NetLibrary.lab import cgroups, network
from NetLibrary.lab.console import Say
from NetLibrary.lab.paths import Paths, labs
from NetLibrary.lab.processes import Component, run
from NetLibrary.lab.state import State, boot_id, whoami


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignores requests to end while something is taken down; a second Ctrl-C must not leave half of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def take_down(state: State, say: Say) -> None:
    """Removes every trace of a lab.

    Raises:
        EnvironmentProblem: Something cannot be removed; the rest is gone, and the next try takes up here.
    """
    paths, plan = Paths.of(state.name), state.plan
    state.phase, state.worker = "stopping", whoami()
    state.save()
    if state.boot == boot_id():  # after a restart of the machine only files are left, and pids are others'
        _end_recorded(paths)
        cgroups.kill(plan.cgroup)
        _unmount(paths.base)
        network.remove(plan)
        cgroups.remove(plan.cgroup)
        if state.forwarding == "0" and labs() == [state.name]:
            run("sysctl", "-qw", "net.ipv4.ip_forward=0", check=False)
    paths.remove()
    say(f"lab '{state.name}' is gone")


def _end_recorded(paths: Paths) -> None:
    """Kills the programs that the lab's files name, in case one of them left its control group."""
    for record in paths.base.glob("*/*.json"):
        identity = Component(record.stem, record.parent).identity
        if identity:
            identity.signal(signal.SIGKILL)


def _unmount(base: Path) -> None:
    """Unmounts what is mounted below a folder; nothing is, unless a node's programs ran outside of its namespaces."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        points = [line.split()[1] for line in mounts]
    for point in sorted((p for p in points if p.startswith(f"{base}{os.sep}")), reverse=True):
        run("umount", "-l", point, check=False)
