"""Time stamps of the Kubernetes API."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:[.,](\d+))?\s*(Z|z|[+-]\d\d:?\d\d)?")


def seconds(stamp: object) -> float | None:
    """Returns a time stamp as seconds since 1970, or None when it is none.

    Fractions may be as long as a container runtime writes them (nine digits); a stamp without a zone is UTC.

    Example:
        >>> seconds("1970-01-01T00:00:01Z"), seconds("1970-01-01T01:00:01.500000000+01:00"), seconds(None)
        (1.0, 1.5, None)
    """
    found = _STAMP.fullmatch(str(stamp or "").strip())
    if found is None:
        return None
    whole, fraction, zone = found.groups()
    try:
        moment = datetime.strptime(whole.upper().replace(" ", "T"), "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    offset = 0.0
    if zone and zone not in "Zz":
        digits = zone[1:].replace(":", "")
        offset = (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (-1 if zone[0] == "-" else 1)
    return moment.replace(tzinfo=timezone.utc).timestamp() - offset + float(f"0.{fraction or 0}")


def of_event(event: Mapping[str, Any]) -> float:
    """Returns when an event was seen last, as seconds since 1970; 0.0 when it does not say.

    Example:
        >>> of_event({"metadata": {"creationTimestamp": "1970-01-01T00:00:02Z"}, "lastTimestamp": None})
        2.0
    """
    series = event.get("series") or {}
    stamps = (
        event.get("lastTimestamp"),
        series.get("lastObservedTime"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
        (event.get("metadata") or {}).get("creationTimestamp"),
    )
    return next((found for found in map(seconds, stamps) if found is not None), 0.0)


def stamp(moment: float | None = None) -> str:
    """Returns a moment, now by default, as the API writes it.

    Example:
        >>> stamp(1.5)
        '1970-01-01T00:00:01Z'
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() if moment is None else moment))
