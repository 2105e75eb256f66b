"""Stand-ins for a CyPerf controller and its agents, for labs without a licence or images of Keysight.

They speak the controller's published REST interface, and the agents send real HTTP, HTTPS and
TCP traffic. Neither gives out the name or version of the product as its own. The agents talk to
the controller in a protocol of their own: that of the product is not public.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from NetLibrary.lab.images import Recipe

CONTROLLER_IMAGE = "ghcr.io/netlibrary/cyperf-controller-stand-in:1"
AGENT_IMAGE = "ghcr.io/netlibrary/cyperf-agent-stand-in:1"
_COMMAND = b'#!/bin/sh\nexec /usr/local/bin/python3 -m cyperf_stand_in.agent.command "$@"\n'
_HOME = "/opt/python/cyperf_stand_in"  # the lab puts /opt/python on the path


def _sources(package: str) -> dict[str, bytes | Path]:
    folder = Path(__file__).parent / package
    found: dict[str, bytes | Path] = {f"{_HOME}/{package}/{file.name}": file for file in sorted(folder.glob("*.py"))}
    return found


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "cyperf-controller-stand-in",
        (CONTROLLER_IMAGE,),
        files=_sources("controller"),
        python_packages=("aiohttp", "cryptography"),
        entrypoint=("/usr/local/bin/python3", "-m", "cyperf_stand_in.controller"),
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        stand_in_for="CyPerf controller",
    ),
    Recipe(
        "cyperf-agent-stand-in",
        (AGENT_IMAGE,),
        files={**_sources("agent"), "/usr/local/bin/cyperfagent": _COMMAND},
        python=True,
        entrypoint=("/usr/local/bin/python3", "-m", "cyperf_stand_in.agent"),
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        stand_in_for="CyPerf agent",
    ),
)


def manifests() -> list[dict[str, Any]]:
    """Returns what the lab has to install beside the images: nothing, suites deploy both themselves."""
    return []
