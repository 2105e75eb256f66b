"""Several runs of the same measurement: median and spread, as everywhere in the library."""

from __future__ import annotations

from NetLibrary._mechanics.statistics import Spread, spread

__all__ = ["Spread", "spread"]
