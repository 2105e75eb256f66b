"""Spans of time: from `timedelta` and from text to seconds, and back to words."""

from __future__ import annotations

import re
from datetime import timedelta

from NetLibrary._mechanics.errors import InputError

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
_PART = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>[a-zµμ]+)", re.IGNORECASE)


def seconds(value: timedelta | float | str, argument: str = "time") -> float:
    """Returns a span of time in seconds; a bare number already is.

    Args:
        value: A `timedelta`, seconds, or text as `parse` takes it.
        argument: Name of the argument, for the message.

    Raises:
        InputError: The text is no span of time.

    Example:
        >>> seconds(timedelta(minutes=1)), seconds(2), seconds("1m30s"), seconds("250 ms")
        (60.0, 2.0, 90.0, 0.25)
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    return parse(value, argument).total_seconds() if isinstance(value, str) else float(value)


def milliseconds(value: timedelta | float | str, argument: str = "time") -> float:
    """Returns a span of time in milliseconds; a bare number counts seconds.

    Example:
        >>> milliseconds(timedelta(seconds=1.5)), milliseconds("20 ms")
        (1500.0, 20.0)
    """
    return round(seconds(value, argument) * 1000, 6)


def parse(text: str, argument: str = "time") -> timedelta:
    """Reads a span of time as Go, Kubernetes and people write it.

    Args:
        text: For instance `1m30s`, `500ms`, `5 s`, `2 minutes`, `1 h 30 min`, or seconds as a bare number.
        argument: Name of the argument, for the message.

    Raises:
        InputError: It is no span of time.

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
        raise InputError(f"{argument} is '{text}'; allowed is a time such as '500 ms', '5 s', '2 min' or '1m30s'.")
    try:
        return timedelta(seconds=sign * total)
    except OverflowError:
        raise InputError(f"{argument} is '{text}', which is more than any clock here can count.") from None


def text(value: timedelta | float) -> str:
    """Returns a span of time in words, in the unit that reads best.

    Example:
        >>> [text(each) for each in (0, 0.0004, 0.0123, 0.35, 4.25, 59.96, 125, 3600, 90061)]
        ['0 s', '0.4 ms', '12.3 ms', '350 ms', '4.25 s', '1 min', '2 min 5 s', '1 h', '25 h 1 min']
    """
    amount = seconds(value)
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    if amount == 0:
        return "0 s"
    if amount < 0.9995:
        return f"{sign}{amount * 1000:.3g} ms"
    if amount < 59.95:
        return f"{sign}{amount:.3g} s"
    whole = round(amount)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return sign + " ".join(f"{number} {unit}" for number, unit in parts if number)


def go(value: timedelta | float) -> str:
    """Returns a span of time as Go and Kubernetes read it.

    Example:
        >>> go(timedelta(seconds=90)), go(0.25)
        ('90s', '250ms')
    """
    amount = seconds(value)
    return f"{amount:.0f}s" if amount == int(amount) else f"{amount * 1000:g}ms"
