"""Where a lab keeps its files, and locks that leave nothing behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.polling import settle
from NetLibrary.lab import disk
from NetLibrary.lab.console import Say

ROOT_VARIABLE = "NETLIBRARY_LAB_ROOT"


def root() -> Path:
    """Returns the folder of all labs' running state; the environment variable NETLIBRARY_LAB_ROOT moves it."""
    return Path(os.environ.get(ROOT_VARIABLE, "/var/lib/netlibrary-lab"))


def cache() -> Path:
    """Returns the folder of built programs and assembled images in the user's cache."""
    return Path(platformdirs.user_cache_dir("netlibrary")) / "lab"


@dataclass(frozen=True)
class Paths:
    """Files of one lab, all below one folder that `down` removes.

    Args:
        base: The lab's folder.
    """

    base: Path

    @classmethod
    def of(cls, name: str) -> Paths:
        """Returns the paths of the lab of that name."""
        return cls(root() / name)

    @property
    def state(self) -> Path:
        """What the lab is made of, as JSON."""
        return self.base / "state.json"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.base / "pki"

    @property
    def credentials(self) -> Path:
        """Kubeconfigs of the components."""
        return self.base / "credentials"

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the administrator."""
        return self.base / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """What service accounts asked the API server for, one JSON object in each line."""
        return self.base / "audit.log"

    @property
    def processes(self) -> Path:
        """Records and logs of the control plane's programs."""
        return self.base / "control-plane"

    @property
    def programs(self) -> Path:
        """Folder with `kubectl`, to be put on PATH."""
        return self.base / "bin"

    @property
    def uses(self) -> Path:
        """One file for each program that uses the lab just now."""
        return self.base / "uses"

    def node(self, number: int) -> Path:
        """Folder of a node; nodes count from 1."""
        return self.base / f"node{number}"

    def remove(self) -> None:
        """Removes the lab's folder, and the folder of all labs when it was the last one."""
        disk.remove(self.base)
        with contextlib.suppress(OSError):
            self.base.parent.rmdir()  # unless another lab has files there


def labs() -> list[str]:
    """Returns the names of all labs that have files here, running or not."""
    return sorted(path.parent.name for path in root().glob("*/state.json"))


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


@contextmanager
def lock(path: Path, *, wait: float = 600.0, waiting: str = "", tell: Say | None = None) -> Iterator[None]:
    """Holds a lock that ends with the process, whatever ends it; its file is removed again.

    Args:
        path: File that stands for what is locked.
        wait: Seconds to wait for another holder.
        waiting: What to tell while another holds it.
        tell: Function that tells it.
    """
    told = False

    def held() -> list[int]:
        nonlocal told
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except (FileNotFoundError, FileExistsError):
            if path.parent.is_file():
                raise
            return []  # the holder before us removed the folder just now, as the last one in it
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same_file(handle, path):
                return [handle]
            os.close(handle)  # the holder before us removed the file that we have locked: again, with the new one
        except BlockingIOError:
            os.close(handle)
            if waiting and tell and not told:
                tell(f"waiting: {waiting}")
                told = True
        return []

    handles = settle(held, timeout=wait)
    if not handles:
        raise EnvironmentProblem(f"{waiting or path} is still locked after {wait:g} s.")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handles[0])
        with contextlib.suppress(OSError):
            path.parent.rmdir()
