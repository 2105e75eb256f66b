"""Spans of time as Go, Kubernetes and people write them."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {
    **dict.fromkeys(("ns", "nanosecond"), 1e-9),
    **dict.fromkeys(("us", "µs", "μs", "microsecond"), 1e-6),
    **dict.fromkeys(("ms", "millisecond", "milli", "millis"), 1e-3),
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86400.0),
    **dict.fromkeys(("w", "week"), 604800.0),
}
ALLOWED = "a time such as '500 ms', '5 s', '2 min' or '1m30s'"
_PART = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>[a-zµμ]+)", re.IGNORECASE)


def parse(text: str, argument: str = "time") -> timedelta:
    """Reads a span of time.

    Args:
        text: For instance `1m30s`, `500ms`, `5 s`, `2 minutes`, `1 h 30 min`, or seconds as a bare number.
        argument: Name of the argument, for the message.

    Raises:
        ValueError: It is no span of time.

    Example:
        >>> parse("1h30m"), parse("2 minutes"), parse("1.5"), parse("-3s")
        (datetime.timedelta(seconds=5400), datetime.timedelta(seconds=120), datetime.timedelta(seconds=1, microseconds=500000), datetime.timedelta(days=-1, seconds=86397))
    """  # noqa: E501
    words = text.strip()
    sign, rest = (-1, words[1:]) if words.startswith("-") else (1, words.removeprefix("+"))
    total, position = 0.0, 0
    if re.fullmatch(r"\d+(\.\d+)?|\.\d+", rest):
        return timedelta(seconds=sign * float(rest))
    while position < len(rest):
        part = _PART.match(rest, position)
        word = part["unit"].lower() if part else ""
        factor = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
        if part is None or factor is None:
            break
        total, position = total + float(part["number"]) * factor, part.end()
    if not rest or position < len(rest):
        raise ValueError(f"{argument} is '{text}'; allowed: {ALLOWED}.")
    try:
        return timedelta(seconds=sign * total)
    except OverflowError:
        raise ValueError(f"{argument} is '{text}', which is too long.") from None
