"""The version under which the stand-in shows itself: its own, never that of the real product."""

from __future__ import annotations

import os

CONTROLLER = "netlibrary-skupper-stand-in"


def like_2_1() -> bool:
    """Tells whether to behave like releases before 2.2 where users can see the difference.

    These are: the label of a listener's Service has the value `true`, an omitted `redemptionsAllowed` means 0, and
    (by the manifests) there is no MultiKeyListener.
    """
    return os.environ.get("SKUPPER_STAND_IN_LIKE", "") == "2.1"


def version() -> str:
    """Gives `stand-in-<version of NetLibrary>`, as the image carries it."""
    return f"stand-in-{os.environ.get('NETLIBRARY_VERSION', '0')}"
