"""Units of the controller's columns: which one a column has, limits read in it, values as people read them."""

from __future__ import annotations

import re

from NetLibrary._mechanics.errors import InputError
from NetLibrary.types.quantities import bitrate_text, bytes_text

_UNITS: dict[str, tuple[str, float]] = {
    "bit/s": ("bit/s", 1.0), "bps": ("bit/s", 1.0), "kbit/s": ("bit/s", 1e3), "kbps": ("bit/s", 1e3),
    "mbit/s": ("bit/s", 1e6), "mbps": ("bit/s", 1e6), "gbit/s": ("bit/s", 1e9), "gbps": ("bit/s", 1e9),
    "us": ("us", 1.0), "µs": ("us", 1.0), "ms": ("us", 1e3), "s": ("us", 1e6),
    "b": ("B", 1.0), "kb": ("B", 1e3), "mb": ("B", 1e6), "gb": ("B", 1e9),
    "kib": ("B", 1024.0), "mib": ("B", 1024.0**2), "gib": ("B", 1024.0**3),
    "/s": ("/s", 1.0), "k/s": ("/s", 1e3), "%": ("%", 1.0),
}  # fmt: skip
_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_QUANTITY = re.compile(r"\s*([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)\s*(\S*)\s*", re.IGNORECASE)


def unit_of(view: str, column: str) -> str:
    """Returns the unit of a column: `bit/s`, `us`, `B`, `/s`, `%`, `sec`, or empty for a plain number.

    Latencies are microseconds and throughput is bits per second in every export seen.

    Example:
        >>> unit_of("client-throughput", "Throughput"), unit_of("client-latency", "Avg Time to First Byte")
        ('bit/s', 'us')
    """
    name = column.lower()
    if "(bps)" in name or name == "throughput":
        return "bit/s"
    if "latency" in view and ("latency" in name or "byte" in name):
        return "us"
    if name.endswith("per second"):
        return "/s"
    if "percent" in name:
        return "%"
    if name.endswith(" sec"):
        return "sec"
    if "bytes" in name or name.startswith(("memory", "swap memory")):
        return "B"
    return ""


def quantity(text: str | int | float, unit: str, argument: str) -> float:
    """Returns a threshold in the unit of a column.

    Args:
        text: Number with an optional unit or decimal prefix, for instance `100M`, `5 ms`, `2000/s`.
        unit: Unit of the column.
        argument: Name for the message.
    Raises:
        InputError: It is no quantity, or of another kind.

    Example:
        >>> quantity("5 ms", "us", "at_most"), quantity("1.5G", "bit/s", "at_least"), quantity("300 /s", "/s", "x")
        (5000.0, 1500000000.0, 300.0)
    """
    match = _QUANTITY.fullmatch(str(text))
    if match:
        number, word = float(match[1]), match[2].lower()
        if word in _PREFIXES and unit != "us":
            return number * _PREFIXES[word]
        if word == "":
            return number
        kind, factor = _UNITS.get(word, ("", 0.0))
        if kind == unit:
            return number * factor
        if kind:
            raise InputError(f"{argument} is '{text}', but the column is in {unit or 'plain numbers'}.")
    raise InputError(f"{argument} is '{text}'; give a number with a unit such as 100M, 2.5 Gbit/s, 5 ms, 300 /s.")


def shown(value: float | None, unit: str) -> str:
    """Returns a value with its unit as people read it.

    Example:
        >>> shown(2.5e9, "bit/s"), shown(1500, "us"), shown(3.0, ""), shown(None, "B")
        ('2.5 Gbit/s', '1.5 ms', '3', 'no value')
    """
    if value is None:
        return "no value"
    if unit == "bit/s":
        return bitrate_text(value)
    if unit == "B":
        return bytes_text(value)
    if unit == "us":
        return f"{value / 1000:.3g} ms" if value >= 1000 else f"{value:.3g} µs"
    number = f"{value:.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"
    return f"{number} {unit}".strip() if unit not in ("/s",) else f"{number}/s"
