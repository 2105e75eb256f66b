"""Statistics of a run: reading views whole, cells as numbers, columns by name, units.

Without a window the controller shows the last five minutes up to seven seconds ago: older rows
are lost and the end is missing. Here a whole run is always asked for by time since its start.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.cyperf.errors import CyPerfError, NotJson
from NetLibrary._mechanics.cyperf.rest import Connection
from NetLibrary._mechanics.cyperf.types import CyPerfAggregate
from NetLibrary._mechanics.errors import InputError

Value = float | str | None
_NULLS = ("null", "nan", "none", "")


@dataclass(frozen=True)
class Row:
    """One row of a view.

    Args:
        milliseconds: Unix time of its sample.
        cells: Values by column name; numbers as float, words as text, None where unknown.
    """

    milliseconds: int
    cells: dict[str, Value]


@dataclass(frozen=True)
class View:
    """One statistic with its rows, the oldest first."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def column(self, name: str) -> str:
        """Returns the column's exact name; case and blanks do not matter.

        Raises:
            InputError: There is no such column, with those there are.
        """
        wanted = _plain(name)
        for column in self.columns:
            if _plain(column) == wanted:
                return column
        raise InputError(f"The statistic '{self.name}' has no column '{name}'; it has {', '.join(self.columns)}.")

    def where(self, conditions: dict[str, str]) -> View:
        """Returns the view with the rows that fulfil all conditions, for instance `Application` is `HTTP App`."""
        exact = {self.column(name): value for name, value in conditions.items()}
        rows = tuple(
            row for row in self.rows if all(str(row.cells.get(name)) == value for name, value in exact.items())
        )
        return View(self.name, self.columns, rows)

    def between(self, begin: int, end: int) -> View:
        """Returns the view with the rows of a window of Unix milliseconds."""
        return View(self.name, self.columns, tuple(row for row in self.rows if begin <= row.milliseconds <= end))

    def last_sample(self) -> tuple[Row, ...]:
        """Returns the rows of the latest moment."""
        return tuple(row for row in self.rows if row.milliseconds == self.rows[-1].milliseconds) if self.rows else ()

    def series(self, column: str) -> list[tuple[int, float]]:
        """Returns (milliseconds, value) of each sample; several rows of one moment are added up."""
        name, found = self.column(column), dict[int, float]()
        for row in self.rows:
            value = row.cells.get(name)
            if isinstance(value, float):
                found[row.milliseconds] = found.get(row.milliseconds, 0.0) + value
        return sorted(found.items())

    def total(self, column: str) -> float:
        """Returns the sum over the rows of the latest moment; 0 without rows."""
        name = self.column(column)
        return sum(value for row in self.last_sample() if isinstance(value := row.cells.get(name), float))

    def aggregate(self, column: str, how: CyPerfAggregate) -> float | None:
        """Returns one number for a column, None when it has no numbers."""
        if how in (CyPerfAggregate.SUM, CyPerfAggregate.LAST):
            numbers = [v for row in self.last_sample() if isinstance(v := row.cells.get(self.column(column)), float)]
            return sum(numbers) if numbers else None
        values = [value for _, value in self.series(column)]
        if not values:
            return None
        pick: dict[CyPerfAggregate, Callable[[list[float]], float]] = {
            CyPerfAggregate.MIN: min,
            CyPerfAggregate.MAX: max,
            CyPerfAggregate.MEAN: lambda numbers: sum(numbers) / len(numbers),
        }
        return pick[how](values)


def _plain(name: str) -> str:
    return "".join(name.lower().split())


def cell(value: Any) -> Value:
    """Returns a cell as number, word or None: controllers send numbers as text and the word `null`.

    Example:
        >>> cell("12.5"), cell(3), cell("null"), cell("HTTP App"), cell(None)
        (12.5, 3.0, None, 'HTTP App', None)
    """
    if value is None or isinstance(value, (dict, list)):
        return None
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)):
        return float(value)
    text = str(value).strip()
    if text.lower() in _NULLS:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def parse(entry: Any, name: str) -> View:
    """Returns the view of an answer of `…/stats/{name}`.

    Raises:
        NotJson: The answer has another shape.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("columns"), list):
        raise NotJson(f"The statistic '{name}' came as {str(entry)[:100]!r}.")
    columns = tuple(str(column) for column in entry["columns"])
    rows = [
        Row(int(snapshot["timestamp"]), {column: cell(value) for column, value in zip(columns, values, strict=False)})
        for snapshot in entry.get("snapshots") or []
        for values in snapshot.get("values") or []
    ]
    return View(str(entry.get("name") or name), columns, tuple(sorted(rows, key=lambda row: row.milliseconds)))


class Statistics:
    """The statistics of one result.

    Args:
        connection: Controller.
        test_id: Id of the run.
    """

    def __init__(self, connection: Connection, test_id: str) -> None:
        self.connection, self.test_id = connection, test_id
        self._names: list[str] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the views that this result has."""
        if self._names is None:
            self._names = [
                str(each.get("name")) for each in self.connection.items(f"/api/v2/results/{self.test_id}/stats")
            ]
        return self._names

    def read(self, name: str, *, begin: int = 0) -> View:
        """Returns a view of the whole run.

        Args:
            name: Name of the view.
            begin: Milliseconds since the start of the test from which rows are wanted.
        Raises:
            InputError: The result has no such view, with similar ones.
        """
        if name not in self.names:
            self._names = None  # views appear when their first row is there
        if name not in self.names:
            close = difflib.get_close_matches(name, self.names, n=4, cutoff=0.4) or self.names[:12]
            raise InputError(f"The result has no statistic '{name}'; there is {', '.join(close) or 'none yet'}.")
        query = {"from": begin, "useRelativeTime": "true"}
        return parse(self.connection.call("GET", f"/api/v2/results/{self.test_id}/stats/{name}", query=query), name)

    def find(self, name: str) -> View | None:
        """Returns a view, or None when the result does not have it or it cannot be read.

        Some views answer with an error for some runs; that is no reason to lose the others.
        """
        try:
            return self.read(name)
        except (InputError, CyPerfError):
            return None

    def read_all(self, names: Iterable[str]) -> dict[str, View]:
        """Returns those of the views that can be read."""
        return {name: view for name in names if (view := self.find(name)) is not None}


# --- units ----------------------------------------------------------------------------------------

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
    from NetLibrary._mechanics.report import bitrate_text, bytes_text

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
