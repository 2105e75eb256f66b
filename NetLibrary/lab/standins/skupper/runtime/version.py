"""The version under which the stand-in shows itself: its own, never that of the real product."""

from __future__ import annotations

import os

CONTROLLER = "netlibrary-skupper-stand-in"


def version() -> str:
    """Gives `stand-in-<version of NetLibrary>`, as the image carries it."""
    return f"stand-in-{os.environ.get('NETLIBRARY_VERSION', '0')}"
