"""The version, where whoever needs nothing else finds it."""

__version__ = "0.1.0"
