"""Quantities with units: rates, shares, numbers and times, as suites write them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from NetLibrary.types.durations import parse

_RATE = r"(?i)(\d+(?:\.\d+)?)\s*(?:([kmgt]?)(bit/s|bits/s|bps|b/s)?)"
_ALLOWED = "Give bits per second: 0 or more, with an optional k, M, G or T, for instance 10M or 2.5 Gbit/s."
_BYTES = r"\d[\d.]*\s*[kKmMgGtT]?i?B(?:ytes?)?(?:/s|ps)?"
_BINARY = r"(?i)\d[\d.]*\s*[kmgt]i(?:bit/s|bits/s|bps|b/s)?"
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True, order=True)
class Bitrate:
    """A rate in bits per second, with decimal prefixes as iperf3 takes them: `10M`, `2.5 Gbit/s`, `800k`, `0`.

    Args:
        bits_per_second: The rate.
        bare: Whether it was written as a number without a unit.
    """

    bits_per_second: float
    bare: bool = field(default=False, compare=False, repr=False)

    @classmethod
    def parse(cls, value: str | int | float | Bitrate) -> Bitrate:
        """A rate in bits per second: a number with an optional k, M, G or T, for instance `10M` or `2.5 Gbit/s`.

        Prefixes are decimal: `1k` is 1000 bit/s. A number without a unit is bits per second: `1000` is 1 kbit/s.
        """
        if isinstance(value, Bitrate):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not 0 <= value < float("inf"):
                raise ValueError(_ALLOWED)
            return cls(float(value))
        text = str(value).strip()
        match = re.fullmatch(_RATE, text)
        if not match or (match[3] or "").startswith(("B/", "Bp")):
            raise ValueError(_ALLOWED + _what_it_looks_like(text))
        return cls(float(match[1]) * _FACTORS[match[2].lower()], bare=not match[2] and not match[3])

    @property
    def iperf3(self) -> str:
        """The rate as iperf3's `--bitrate` takes it."""
        return f"{self.bits_per_second:.0f}"

    def __str__(self) -> str:
        return bitrate_text(self.bits_per_second)


def _what_it_looks_like(text: str) -> str:
    if re.fullmatch(_BYTES, text):
        return f" '{text}' looks like bytes: a byte has 8 bits."
    if re.fullmatch(_BINARY, text):
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
            raise ValueError("A percentage must be 0 or more.")
        return cls(percent)

    @property
    def fraction(self) -> float:
        """The share as a number from 0 to 1."""
        return self.percent / 100

    def __str__(self) -> str:
        return f"{self.percent:g} %"


_COUNT = r"(?i)(\d+(?:\.\d+)?)\s*([kmg]?)(?:\s*/\s*s)?"


@dataclass(frozen=True, order=True)
class Count:
    """A number of things, or of things per second: `150`, `2k`, `1.5M`, `300 /s`."""

    value: float

    @classmethod
    def parse(cls, value: str | int | float | Count) -> Count:
        """A number with an optional decimal prefix k, M or G: `150`, `2k`, `1.5M`; rates also as `300 /s`."""
        if isinstance(value, Count):
            return value
        match = None if isinstance(value, bool) else re.fullmatch(_COUNT, str(value).strip())
        if not match:
            raise ValueError("Give a number with an optional k, M or G, for instance 150, 2k or 300 /s.")
        return cls(float(match[1]) * _FACTORS[match[2].lower()])

    def __str__(self) -> str:
        return f"{self.value:g}"


class TimeLimit(timedelta):
    """A time with its unit, for instance `500 ms`, `2 s`, `1 min 30 s` or `00:01:30`; only `0` needs no unit."""

    @classmethod
    def parse(cls, value: str | int | float | timedelta) -> TimeLimit:
        """A time with its unit: `500 ms`, `2 s`, `1 min 30 s`, `00:01:30`. A number other than 0 needs a unit."""
        if not isinstance(value, timedelta):
            text = str(value).strip()
            try:
                number: float | None = float(text)
            except ValueError:
                number = None
            if number and math.isfinite(number):
                raise ValueError(f"Give a unit: '{text} ms' or '{text} s'.")
            if clock := re.fullmatch(r"(\d+):(\d{2}):(\d{2}(?:\.\d+)?)", text):
                value = timedelta(hours=int(clock[1]), minutes=int(clock[2]), seconds=float(clock[3]))
            else:
                value = parse(text, "The time")
        if value < timedelta(0):
            raise ValueError("A limit cannot be negative.")
        return cls(seconds=value.total_seconds())

    @property
    def milliseconds(self) -> float:
        """The time in milliseconds."""
        return round(self.total_seconds() * 1000, 3)


def bitrate_text(bits_per_second: float) -> str:
    """Returns a rate as people say it, for instance `1.25 Gbit/s`."""
    return _scaled(bits_per_second, 1000, ("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"))


def bytes_text(count: float) -> str:
    """Returns an amount of data in binary units, for instance `1.5 MiB`."""
    return _scaled(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def _scaled(value: float, step: int, units: Sequence[str]) -> str:
    """Returns a number with three digits in the largest unit in which it is at least one."""
    rest = list(units)
    # 999.6 would be rounded to the next unit's 1, and in three digits become 1e+03
    while len(rest) > 1 and abs(value) >= step - 0.5:
        value /= step
        rest.pop(0)
    return f"{value:.0f} {rest[0]}" if abs(value) >= 999.5 else f"{value:.3g} {rest[0]}"
