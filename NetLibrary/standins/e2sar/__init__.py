"""The image of the `e2sar_perf` stand-in; the program itself is in the folder `perf`."""

from __future__ import annotations

from pathlib import Path

from NetLibrary.lab.images import Recipe

IMAGE = "ghcr.io/netlibrary/e2sar-perf-standin:1"
_HOME = "/opt/e2sar-standin"
_LAUNCHER = f"""#!/usr/local/bin/python3 -I
import sys
sys.path.insert(0, "{_HOME}")
from perf.command import main
sys.exit(main(sys.argv[1:]))
"""

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "e2sar-standin",
        (IMAGE,),
        programs=("getent",),
        files={
            "/usr/local/bin/e2sar_perf": _LAUNCHER.encode(),
            **{f"{_HOME}/perf/{file.name}": file for file in sorted((Path(__file__).parent / "perf").glob("*.py"))},
        },
        python=True,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        stand_in_for="e2sar_perf (EJFAT E2SAR) in direct mode",
    ),
)


def manifests() -> list[dict[str, object]]:
    """Nothing has to be installed in a cluster."""
    return []
