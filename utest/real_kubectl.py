"""The kubectl that tests compare with: the one on PATH, else the one of the lab's programs once they are built."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from NetLibrary.lab.paths import cache


def _find() -> str | None:
    on_path = shutil.which("kubectl")
    built = sorted((cache() / "programs").glob("*/labnode"), key=lambda file: file.stat().st_mtime)
    if on_path or not built:
        return on_path
    folder = Path(tempfile.mkdtemp(prefix="kubectl-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = folder / "kubectl"  # the program goes by the name that it is called by
    link.symlink_to(built[-1])
    return str(link)


KUBECTL = _find()
