"""Control groups of a lab, in both worlds: one hierarchy (version 2) and one for each controller (version 1).

    netlibrary-NAME/system          control plane
    netlibrary-NAME/node1/system    the node's containerd, kubelet, kube-proxy
    netlibrary-NAME/node1/pods      the node's pods, managed by its kubelet

Version 2 allows processes in leaves only, and a controller is there only where every parent hands it on.
Source: Linux, Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint".
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.polling import settle

ROOT = Path("/sys/fs/cgroup")
SHELTER = "netlibrary-init"  # for the processes of a container's root group
NEEDED = ("cpu", "memory", "pids")  # a kubelet refuses to run without them
WANTED = ("cpuset", "cpu", "io", "memory", "pids", "hugetlb")


def version(root: Path = ROOT) -> int:
    """Returns 2 when the machine has one hierarchy for all controllers, else 1."""
    return 2 if (root / "cgroup.controllers").exists() else 1


def hierarchies(root: Path = ROOT) -> list[Path]:
    """Returns the mounted hierarchies: one on version 2, one for each controller on version 1."""
    if version(root) == 2:
        return [root]
    return [path for path in sorted(root.iterdir()) if (path / "cgroup.procs").exists() and not path.is_symlink()]


def controllers(root: Path = ROOT) -> set[str]:
    """Returns the names of the controllers that the machine has."""
    if version(root) == 2:
        return set((root / "cgroup.controllers").read_text().split())
    return {name for path in hierarchies(root) for name in path.name.split(",")}


def tracker(root: Path = ROOT) -> Path:
    """Returns the hierarchy by which processes are found again."""
    for name in (".", "pids", "freezer", "systemd", "memory", "cpu", "cpu,cpuacct"):
        if (root / name / "cgroup.procs").exists():
            return root / name
    raise EnvironmentProblem(f"No control group hierarchy is mounted below {root}.")


def _hand_on(group: Path) -> None:
    """Enables the controllers of a group for its children (version 2)."""
    available = set((group / "cgroup.controllers").read_text().split())
    for name in WANTED:
        if name in available:
            # one at a time: a controller that the kernel refuses must not cost the others
            with contextlib.suppress(OSError):
                (group / "cgroup.subtree_control").write_text(f"+{name}")
    enabled = set((group / "cgroup.subtree_control").read_text().split())
    missing = [name for name in NEEDED if name in available and name not in enabled]
    if missing:
        raise EnvironmentProblem(f"The controllers {', '.join(missing)} cannot be enabled in {group}.")


def _clear_namespace_root(root: Path) -> None:
    """Moves the processes of a container's root group into a child, as it may not hold both (version 2)."""
    if not (root / "cgroup.type").exists():
        return  # the machine's real root, which may hold processes and hand on controllers
    child = root / SHELTER
    child.mkdir(exist_ok=True)
    for pid in (root / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):  # ended meanwhile, or a kernel thread
            (child / "cgroup.procs").write_text(pid)


def give_back_root(root: Path = ROOT) -> None:
    """Moves a container's processes back into its root group when no lab needs them out of it any more."""
    child = root / SHELTER
    if version(root) == 1 or not child.exists() or any(g.name != SHELTER for g in root.glob("netlibrary-*")):
        return
    with contextlib.suppress(OSError):  # another program may have groups of its own by now that need the controllers
        for name in (root / "cgroup.subtree_control").read_text().split():
            (root / "cgroup.subtree_control").write_text(f"-{name}")
        for pid in (child / "cgroup.procs").read_text().split():
            (root / "cgroup.procs").write_text(pid)
        child.rmdir()


def create(name: str, nodes: int, root: Path = ROOT) -> None:
    """Makes the groups of a lab.

    Args:
        name: Name of the lab's top group.
        nodes: Number of nodes.
        root: Where control groups are mounted.
    """
    leaves = ["system", *(f"node{n}/{leaf}" for n in range(1, nodes + 1) for leaf in ("system", "pods"))]
    if version(root) == 2:
        try:
            _hand_on(root)
        except (OSError, EnvironmentProblem):
            _clear_namespace_root(root)
            _hand_on(root)
        for leaf in leaves:
            (root / name / leaf).mkdir(parents=True, exist_ok=True)
        for group in [root / name, *(root / name / f"node{n}" for n in range(1, nodes + 1))]:
            _hand_on(group)
        _weigh(root / name)
        return
    for hierarchy in hierarchies(root):
        for leaf in leaves:
            parent = hierarchy
            for part in (name, *leaf.split("/")):
                (parent / part).mkdir(exist_ok=True)
                # a new cpuset group starts empty, and nothing can run in it before it has processors and memory
                for knob in ("cpuset.cpus", "cpuset.mems"):
                    if (parent / knob).exists():
                        (parent / part / knob).write_text((parent / knob).read_text())
                parent = parent / part
        _weigh(hierarchy / name)


def _weigh(group: Path) -> None:
    """Has a lab's pods compete with the machine's programs as ten of them, and not all together as a single one.

    Otherwise the pods of a lab on a busy machine starve, and whatever is measured in them is the machine's load.
    """
    for knob, value in (("cpu.weight", "1000"), ("cpu.shares", "10240")):  # version 2 (100 is usual), version 1 (1024)
        if (group / knob).exists():
            with contextlib.suppress(OSError):  # a machine that refuses has a slower lab, and that is all
                (group / knob).write_text(value)


def members(name: str, root: Path = ROOT) -> set[int]:
    """Returns the pids of all processes below the group, in any hierarchy."""
    pids: set[int] = set()
    for hierarchy in hierarchies(root):
        for folder, _, _ in os.walk(hierarchy / name):
            with contextlib.suppress(OSError):
                pids.update(int(pid) for pid in Path(folder, "cgroup.procs").read_text().split())
    return pids


def kill(name: str, timeout: float = 30.0, root: Path = ROOT) -> None:
    """Kills every process below the group and waits until all are gone."""
    switch = root / name / "cgroup.kill"  # Linux 5.14
    left: set[int] = set()

    def gone() -> bool:
        nonlocal left
        with contextlib.suppress(OSError):
            if switch.exists():
                switch.write_text("1")
        for frozen in (root / "freezer" / name).glob("**/freezer.state"):
            with contextlib.suppress(OSError):
                frozen.write_text("THAWED")  # a frozen process of version 1 does not die
        left = members(name, root) - {os.getpid()}
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    if not settle(gone, timeout=timeout, every=0.02):
        raise EnvironmentProblem(f"Processes of {name} do not end: {', '.join(map(str, sorted(left)))}.")


def remove(name: str, timeout: float = 5.0, root: Path = ROOT) -> None:
    """Removes the group and all below it; they must be empty."""
    busy: list[str] = []

    def removed() -> bool:
        busy.clear()
        for hierarchy in hierarchies(root):
            for folder, _, _ in os.walk(hierarchy / name, topdown=False):
                try:
                    os.rmdir(folder)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    busy.append(f"{hierarchy / name} cannot be removed: {error}")
        return not any((hierarchy / name).exists() for hierarchy in hierarchies(root))

    if not settle(removed, timeout=timeout, every=0.05):
        raise EnvironmentProblem(f"The control group {busy[-1] if busy else f'{name} comes back'}.")
