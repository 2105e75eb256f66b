"""Skupper v2 as its API shows it: kinds, status, and what explains a network that does not come up."""

from __future__ import annotations

from NetLibrary._mechanics.skupper.causes import diagnose
from NetLibrary._mechanics.skupper.results import is_ready, ready, site_with_endpoints, state_text
from NetLibrary._mechanics.skupper.run import Installation, find_installation

__all__ = [
    "Installation", "diagnose", "find_installation", "is_ready", "ready", "site_with_endpoints", "state_text",
]  # fmt: skip
