"""Types that keyword signatures show, with the converters that make texts of suites into them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:bit/s|bits/s|bps|b/s)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True, order=True)
class Bitrate:
    """A rate in bits per second, with decimal prefixes as iperf3 takes them: `10M`, `2.5 Gbit/s`, `800k`, `0`."""

    bits_per_second: float

    @classmethod
    def parse(cls, value: str | int | float | Bitrate) -> Bitrate:
        """A rate in bits per second: a number with an optional k, M, G or T, for instance `10M` or `2.5 Gbit/s`."""
        if isinstance(value, Bitrate):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not 0 <= value < float("inf"):
                raise ValueError("A rate is a number from 0 on.")
            return cls(float(value))
        match = _RATE.fullmatch(str(value).strip())
        if not match:
            raise ValueError("Give a number with an optional k, M, G or T, for instance 10M or 2.5 Gbit/s.")
        return cls(float(match[1]) * _FACTORS[match[2].lower()])

    @property
    def iperf3(self) -> str:
        """The rate as iperf3's `--bitrate` takes it."""
        return f"{self.bits_per_second:.0f}"

    def __str__(self) -> str:
        from NetLibrary._mechanics.report import bitrate_text

        return bitrate_text(self.bits_per_second)


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
