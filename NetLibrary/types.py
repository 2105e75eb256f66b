"""Types that keyword signatures show, with the converters that make texts of suites into them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt]?)(bit/s|bits/s|bps|b/s)?)", re.IGNORECASE)
_ALLOWED = "Give bits per second: a number from 0 on with an optional k, M, G or T, for instance 10M or 2.5 Gbit/s."
_BYTES = re.compile(r"\d[\d.]*\s*[kKmMgGtT]?i?B(?:ytes?)?(?:/s|ps)?")
_BINARY = re.compile(r"\d[\d.]*\s*[kmgt]i(?:bit/s|bits/s|bps|b/s)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True, order=True)
class Bitrate:
    """A rate in bits per second, with decimal prefixes as iperf3 takes them: `10M`, `2.5 Gbit/s`, `800k`, `0`.

    Args:
        bits_per_second: The rate.
        bare: Whether it was written as a number without any unit.
    """

    bits_per_second: float
    bare: bool = field(default=False, compare=False, repr=False)

    @classmethod
    def parse(cls, value: str | int | float | Bitrate) -> Bitrate:
        """A rate in bits per second: a number with an optional k, M, G or T, for instance `10M` or `2.5 Gbit/s`.

        The prefixes are decimal, `1k` is 1000 bit/s. A bare number is bits per second: `1000` is 1 kbit/s.
        """
        if isinstance(value, Bitrate):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not 0 <= value < float("inf"):
                raise ValueError(_ALLOWED)
            return cls(float(value))
        text = str(value).strip()
        match = _RATE.fullmatch(text)
        if not match:
            raise ValueError(_ALLOWED + _what_it_looks_like(text))
        return cls(float(match[1]) * _FACTORS[match[2].lower()], bare=not match[2] and not match[3])

    @property
    def iperf3(self) -> str:
        """The rate as iperf3's `--bitrate` takes it."""
        return f"{self.bits_per_second:.0f}"

    def __str__(self) -> str:
        from NetLibrary._mechanics.report import bitrate_text

        return bitrate_text(self.bits_per_second)


def _what_it_looks_like(text: str) -> str:
    if _BYTES.fullmatch(text):
        return f" '{text}' looks like bytes: a byte has 8 bits."
    if _BINARY.fullmatch(text):
        return f" '{text}' has a binary prefix; rates have decimal ones, 1k is 1000."
    return ""


@dataclass(frozen=True, order=True)
class Percentage:
    """A share in percent: `5 %`, `5%` or `5`."""

    percent: float

    @classmethod
    def parse(cls, value: str | int | float | Percentage) -> Percentage:
        """A share in percent, with or without the sign: `99.5 %`, `5%` or `5`."""
        if isinstance(value, Percentage):
            return value
        try:
            percent = float(str(value).strip().removesuffix("%").strip())
        except ValueError:
            raise ValueError("Give a number of percent, for instance 5 % or 99.5.") from None
        if not 0 <= percent < float("inf"):
            raise ValueError("A percentage is a number from 0 on.")
        return cls(percent)

    @property
    def fraction(self) -> float:
        """The share as a number from 0 to 1."""
        return self.percent / 100

    def __str__(self) -> str:
        return f"{self.percent:g} %"


class Protocol(Enum):
    """Transport protocol of a measurement."""

    TCP = "tcp"
    UDP = "udp"


CONVERTERS: dict[type, Any] = {Bitrate: Bitrate.parse, Percentage: Percentage.parse}
