"""Skupper v2 as its API shows it: kinds, status, and what explains a network that does not come up."""

from __future__ import annotations

from NetLibrary._mechanics.skupper.diagnosis import diagnose
from NetLibrary._mechanics.skupper.installation import Installation, find_installation
from NetLibrary._mechanics.skupper.status import ready, state_text

__all__ = ["Installation", "diagnose", "find_installation", "ready", "state_text"]
