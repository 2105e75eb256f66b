"""File systems: where nodes can unpack images, and what to do where they cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.processes import run

OVERLAY = 'cd "$1" && mkdir l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w o m && echo works >m/file'


def existing(path: Path) -> Path:
    """Returns the folder itself, or the nearest one above it that exists."""
    while not path.exists():
        path = path.parent
    return path


def overlay_problem(folder: Path) -> str | None:
    """Tries whether layers can be stacked on the file system of a folder, in a mount namespace of its own.

    Returns:
        None when they can, else what the kernel said. A container's own root is such a stack already, and the kernel
        does not put another one on top.
    """
    with tempfile.TemporaryDirectory(prefix=".netlibrary-overlay-", dir=existing(folder)) as trial:
        words = ["unshare", "--mount", "--", "sh", "-c", OVERLAY, "sh", trial]
        done = subprocess.run(words, capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def prepare(base: Path) -> bool:
    """Makes the folder of a lab, in memory when the file system below it cannot stack layers.

    Returns:
        Whether it is in memory.
    Raises:
        EnvironmentProblem: Layers cannot be stacked in memory either.
    """
    base.mkdir(parents=True, exist_ok=True)
    if overlay_problem(base) is None:
        return False
    run("mount", "-t", "tmpfs", "-o", "mode=755", "netlibrary-lab", base)
    problem = overlay_problem(base)
    if problem:
        run("umount", base, check=False)
        raise EnvironmentProblem(f"Nodes cannot unpack images: the overlay file system does not work here: {problem}")
    return True


def remove(base: Path) -> None:
    """Unmounts all that is mounted on a folder or below it, and removes it."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        points = [line.split()[1] for line in mounts]
    for point in sorted((p for p in points if p == str(base) or p.startswith(f"{base}{os.sep}")), reverse=True):
        run("umount", "-l", point, check=False)
    shutil.rmtree(base, ignore_errors=True)
    if base.exists():
        shutil.rmtree(base)  # once more, and this time say what is in the way


def same(one: Path, other: Path) -> bool:
    """Tells whether two folders are on one file system, so that files of one can be linked into the other."""
    return existing(one).stat().st_dev == existing(other).stat().st_dev
