"""Folders that a network's daemons write to: each node of a lab has its own, and keeps them over a loss of power.

A real machine has these to itself. Nodes of a lab share their machine's files, so that without folders of their own one
node would read the other's plugin configuration, leases and sockets.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path

PLUGINS, CONFIGURATION = "/opt/cni/bin", "/etc/cni/net.d"
# What the common networks and their plugins keep on a node
OWN = (
    "/var/lib/cni",
    "/var/lib/calico",
    "/var/lib/cilium",
    "/var/lib/kube-router",
    "/var/log/calico",
    "/run/calico",
    "/run/cilium",
    "/run/flannel",
)


def prepare(node: Path, plugins: Path | None) -> Path:
    """Makes a node's own folders below its folder.

    Args:
        node: Folder of the node.
        plugins: Where the distribution keeps the CNI plugins; the node gets copies, beside which daemons put theirs.
    Returns:
        The node's folder of plugins.
    """
    target = node / "own" / "cni-plugins"
    if not target.exists() and plugins:
        shutil.copytree(plugins, target)
    for path in OWN:
        _mine(node, path).mkdir(parents=True, exist_ok=True)
    return target


def binds(node: Path) -> list[tuple[Path, str]]:
    """Returns which folders of a node lie over which of the machine; none where the lab connects its pods itself."""
    plugins = node / "own" / "cni-plugins"
    if not plugins.exists():
        return []
    return [(plugins, PLUGINS), (node / "cni", CONFIGURATION), *((_mine(node, path), path) for path in OWN)]


def forget_run(node: Path) -> None:
    """Empties what a machine's /run holds: it does not survive a loss of power."""
    for path in OWN:
        if path.startswith("/run/") and _mine(node, path).exists():
            shutil.rmtree(_mine(node, path))
            _mine(node, path).mkdir()


def make_places() -> list[str]:
    """Makes the folders of the machine that nodes' own ones are to lie over.

    Returns:
        Those that were not there before, the outermost first; they go with the lab.
    """
    made = []
    for path in (Path(PLUGINS), Path(CONFIGURATION), *map(Path, OWN)):
        missing = [folder for folder in reversed([path, *path.parents]) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        made += [str(folder) for folder in missing]
    return made


def remove_places(made: Iterable[str]) -> None:
    """Removes folders of the machine that a lab made, unless somebody has put something there."""
    for path in reversed(list(made)):
        with contextlib.suppress(OSError):
            Path(path).rmdir()


def _mine(node: Path, path: str) -> Path:
    return node / "own" / path.strip("/").replace("/", "-")
