"""Takes a lab down, however much of it is there and however its start ended."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from NetLibrary.lab import cgroups, folders, network, sysctls
from NetLibrary.lab.paths import Paths, lock, root
from NetLibrary.lab.plan import AddressPlan
from NetLibrary.lab.processes import Component, run
from NetLibrary.lab.state import State, boot_id, others, whoami


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
            signal.signal(number, handler or signal.SIG_DFL)  # None: set by something other than Python


def take_down(state: State) -> None:
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
        network.remove(plan)
        cgroups.remove(plan.cgroup)
        cgroups.give_back_root()
        with lock(root() / ".index.lock"):
            sysctls.give_back(state)
            _give_back_places(state)
            if not others(state.name):
                network.forget_namespaces_folder()
    paths.remove()


def _give_back_places(state: State) -> None:
    """Removes the folders that nodes' own ones lay over, or leaves that to another lab that still uses them."""
    heirs = [other for other in others(state.name) if other.options.network != "bridge"]
    if heirs:
        heirs[0].places = [*heirs[0].places, *state.places]
        heirs[0].save()
    else:
        folders.remove_places(state.places)


def take_remains(name: str) -> bool:
    """Removes what is found under a lab's name when nothing is written down about it.

    Returns:
        Whether anything was found.
    """
    paths, plan = Paths.of(name), AddressPlan(name, 0, 0)
    namespaces = sorted(network.NETNS.glob(f"lab-{name}-*"))
    groups = [group for group in cgroups.hierarchies() if (group / plan.cgroup).exists()]
    if groups:
        cgroups.kill(plan.cgroup)
    for netns in namespaces:  # their links to the machine go with them
        run("ip", "netns", "del", netns.name, check=False)
    if groups:
        cgroups.remove(plan.cgroup)
    found = bool(namespaces or groups or paths.base.exists())
    if found:
        paths.remove()
    return found


def _end_recorded(paths: Paths) -> None:
    """Kills the programs that the lab's files name, in case one of them left its control group."""
    for record in paths.base.glob("*/*.json"):
        identity = Component(record.stem, record.parent).identity
        if identity:
            identity.signal(signal.SIGKILL)
