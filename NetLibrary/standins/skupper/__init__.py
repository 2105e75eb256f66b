"""Stand-in for the controller and the router of Skupper v2, for labs without Skupper's images.

It speaks the real interface: custom resources, statuses, Services, grants and tokens, links with
mutual TLS, TCP adaptation. It never gives out the product's name or version as its own. What runs
in pods is in the folder `runtime`; `docs/skupper_stand_in.md` tells what is covered.
"""

from __future__ import annotations

import py_compile
import sys
import tempfile
from functools import cache
from pathlib import Path

from NetLibrary._mechanics import encoded, plain_api, secrets
from NetLibrary.lab.images import Recipe

from .manifests import IMAGE, manifests

__all__ = ["IMAGE", "RECIPES", "manifests"]

_HOME = "/opt/skupper-stand-in"
_PACKAGE = f"{_HOME}/skupper_stand_in"


@cache
def _sources() -> dict[str, bytes | Path]:
    """Gives the runtime's modules with their byte code: compiling them at each start takes longer
    than all the rest of it.
    """
    found: dict[str, bytes | Path] = {}
    for file in sorted((Path(__file__).parent / "runtime").glob("*.py")):
        found |= _compiled(file, f"{_PACKAGE}/{file.name}")
    # The modules of ours that it shares, at the place where they are imported from
    for shared in map(Path, (plain_api.__file__, secrets.__file__, encoded.__file__)):
        found |= _compiled(shared, f"{_HOME}/NetLibrary/_mechanics/{shared.name}")
    return {**found, f"{_HOME}/NetLibrary/__init__.py": b"", f"{_HOME}/NetLibrary/_mechanics/__init__.py": b""}


def _compiled(file: Path, place: str) -> dict[str, bytes | Path]:
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "code")
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(file), str(code), place, doraise=True, invalidation_mode=mode)
        compiled = f"{place.rpartition('/')[0]}/__pycache__/{file.stem}.{sys.implementation.cache_tag}.pyc"
        return {place: file, compiled: code.read_bytes()}


def __getattr__(name: str) -> object:
    """Makes RECIPES when it is asked for: only who assembles images pays for compiling."""
    if name != "RECIPES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return (
        Recipe(
            "skupper-stand-in",
            (IMAGE,),
            files=_sources(),
            python_packages=("cryptography", "pyyaml"),
            entrypoint=("/usr/local/bin/python3", "-s", "-m", "skupper_stand_in"),
            env={"PYTHONPATH": f"{_HOME}:/opt/python", "PYTHONDONTWRITEBYTECODE": "1"},
            stand_in_for="Skupper",
        ),
    )
