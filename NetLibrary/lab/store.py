"""The image store that every node of a lab starts from.

The default images are imported and unpacked once, by a containerd that runs for that alone. Nodes get a copy in which
all files are hard links: containerd never writes to a blob or to an unpacked layer, so only its two databases are real
copies. This makes a start independent of the size of the images.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.console import Say
from NetLibrary.lab.paths import lock
from NetLibrary.lab.processes import CommandFailed, Component, run
from NetLibrary.lab.tools import find

KEPT = 1
IMPORT_LIMIT = 1200.0  # seconds; the usual is one or two, a loaded or emulated machine takes far longer
IMPORT_TRIES = 3


def import_archive(socket: Path, archive: Path, snapshotter: str) -> None:
    """Imports an image archive into a containerd, unpacked and ready to run.

    containerd clears away what the former image of the same name leaves behind, and may do so just when the new one is
    about to build on it; once that is over the import succeeds.
    """
    ctr = find("ctr") or "ctr"
    words = ("--address", socket, "--namespace", "k8s.io", "images", "import", "--snapshotter", snapshotter, archive)
    for tries_left in range(IMPORT_TRIES - 1, -1, -1):
        try:
            run(ctr, *words, timeout=IMPORT_LIMIT)
        except CommandFailed as error:
            if not tries_left or "snapshot" not in str(error) or "does not exist" not in str(error):
                raise
            time.sleep(0.5)
        else:
            return


def import_on_nodes(sockets: Sequence[Path], archives: Sequence[Path], snapshotter: str) -> None:
    """Imports archives on several nodes side by side.

    Args:
        sockets: Socket of each node's containerd.
        archives: Image archives.
        snapshotter: Kind of snapshots the nodes use.
    """

    def import_all(socket: Path) -> None:
        for archive in archives:
            import_archive(socket, archive, snapshotter)

    with ThreadPoolExecutor(max(1, len(sockets))) as pool:
        list(pool.map(import_all, sockets))


def prepared(
    base: Path, key: str, archives: list[Path], snapshotter: str, start: Callable[[Path, Path], Component], say: Say
) -> Path:
    """Returns a folder with the root of a containerd that has the images; makes it when the cache does not have it.

    Args:
        base: Folder of all stores.
        key: Hash over the images.
        archives: Archives of the images.
        snapshotter: Kind of snapshots that they are unpacked to.
        start: Starts a containerd: its root and its socket's folder → the running program.
        say: Tells what takes time.
    """
    target = base / f"{key}-{snapshotter}"
    if target.exists():
        os.utime(target)
        return target
    base.mkdir(parents=True, exist_ok=True)
    with lock(base / "store.lock", waiting="another start unpacks the images", tell=say):
        if target.exists():
            return target
        for left in base.glob("*.new"):
            shutil.rmtree(left)
        say("unpacking the images, once")
        new = target.with_name(f"{target.name}.new")
        new.mkdir(mode=0o700)
        runtime = start(new, new)
        try:
            # one by one: they share layers, and of several imports containerd lets one at a time write a layer
            for archive in archives:
                import_archive(new / "containerd.sock", archive, snapshotter)
        except CommandFailed as error:
            raise EnvironmentProblem(f"The images cannot be unpacked: {error}\n{runtime.tail()}") from error
        finally:
            runtime.stop()
        (new / "containerd.sock").unlink(missing_ok=True)
        new.rename(target)
        for old in sorted((f for f in base.iterdir() if f.is_dir() and f != target), key=lambda f: f.stat().st_mtime)[
            :-KEPT
        ]:
            shutil.rmtree(old, ignore_errors=True)
    return target


def clone(store: Path, target: Path) -> None:
    """Copies a store for one node, by hard links where the file system is the same."""
    target.parent.mkdir(parents=True, exist_ok=True)
    linked = subprocess.run(["cp", "-a", "--link", str(store), str(target)], capture_output=True)
    if linked.returncode:
        shutil.rmtree(target, ignore_errors=True)
        run("cp", "-a", "--reflink=auto", store, target, timeout=IMPORT_LIMIT)
        return
    for database in target.rglob("*.db"):
        data = database.read_bytes()
        database.unlink()  # the link; writing to it would change the store
        database.write_bytes(data)
