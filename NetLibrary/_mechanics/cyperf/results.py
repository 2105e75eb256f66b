"""Statistics of a run: reading views whole, cells as numbers, columns by name, units.

Without a window the controller shows the last five minutes up to seven seconds ago: older rows
are lost and the end is missing. Here a whole run is always asked for by time since its start.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.cyperf.rest import Connection
from NetLibrary._mechanics.errors import ControllerError, InputError, NotJson
from NetLibrary.types import CyPerfAggregate

VIEWS = (
    "client-throughput", "server-throughput", "client-application-connection-rate",
    "client-application-concurrent-connections", "client-latency", "client-traffic-profile",
    "client-traffic-profile-tcp", "client-http-statistics", "server-http-statistics", "traffic-agents",
    "http-requests-rate", "traffic-agents-dns", "agent-clock-offset", "server-agents-number", "client-attack-profile",
)  # fmt: skip
PROFILE = "client-traffic-profile"

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
        except (InputError, ControllerError):
            return None

    def read_all(self, names: Iterable[str]) -> dict[str, View]:
        """Returns those of the views that can be read."""
        return {name: view for name in names if (view := self.find(name)) is not None}


# --- headline numbers -------------------------------------------------------------------------------


@dataclass
class Totals:
    """Headline numbers of a run, None where the controller has no view for it."""

    throughput_bits_per_second: float | None = None
    connections_per_second: float | None = None
    failed_connections_per_second: float | None = None
    concurrent_connections: float | None = None
    requests_per_second: float | None = None
    connect_latency_us: float | None = None
    first_byte_us: float | None = None
    last_byte_us: float | None = None
    connections_initiated: float | None = None
    connections_succeeded: float | None = None
    connections_failed: float | None = None
    connections_aborted: float | None = None
    applications_initiated: float | None = None
    applications_succeeded: float | None = None
    applications_failed: float | None = None
    http_requests: float | None = None
    http_success_percent: float | None = None
    bytes_sent: float | None = None
    bytes_received: float | None = None

    def numbers(self) -> dict[str, float | None]:
        """Returns the numbers by name."""
        return dict(vars(self))


def _steady(view: View | None, window: tuple[int, int] | None) -> View | None:
    """Rows of the steady part only; a run too short for it keeps all its rows."""
    if view is None or window is None:
        return view
    inside = view.between(*window)
    return inside if inside.rows else view


def value_of(view: View | None, column: str, how: CyPerfAggregate = CyPerfAggregate.MEAN) -> float | None:
    """Returns one number of a view, None where view or column is missing."""
    if view is None or column not in view.columns:
        return None
    return view.aggregate(column, how)


def totals(views: dict[str, View], window: tuple[int, int] | None = None) -> Totals:
    """Returns the headline numbers.

    Args:
        views: Views by name.
        window: Unix milliseconds of the steady part; rates are averaged over it.
    """
    last = CyPerfAggregate.SUM
    profile, http = views.get(PROFILE), views.get("client-http-statistics")
    rate = _steady(views.get("client-application-connection-rate"), window)
    latency = _steady(views.get("client-latency"), window)
    requests = value_of(http, "Requests Completed", last)
    good = value_of(http, "Responses Received 2xx", last)
    return Totals(
        throughput_bits_per_second=throughput_of(_steady(views.get("client-throughput"), window)),
        connections_per_second=value_of(rate, "Connections Succeeded Per Second"),
        failed_connections_per_second=value_of(rate, "Connections Failed Per Second"),
        concurrent_connections=value_of(
            _steady(views.get("client-application-concurrent-connections"), window), "Concurrent Connections"
        ),
        requests_per_second=value_of(_steady(views.get("http-requests-rate"), window), "Requests Per Second"),
        connect_latency_us=value_of(latency, "Avg Connection Latency"),
        first_byte_us=value_of(latency, "Avg Time to First Byte"),
        last_byte_us=value_of(latency, "Avg Time to Last Byte"),
        connections_initiated=value_of(profile, "Connections Initiated", last),
        connections_succeeded=value_of(profile, "Connections Succeeded", last),
        connections_failed=value_of(profile, "Connections Failed", last),
        connections_aborted=value_of(profile, "Connections Aborted", last),
        applications_initiated=value_of(profile, "Applications Initiated", last),
        applications_succeeded=value_of(profile, "Applications Succeeded", last),
        applications_failed=value_of(profile, "Applications Failed", last),
        http_requests=requests,
        http_success_percent=100.0 * good / requests if requests and good is not None else None,
        bytes_sent=value_of(profile, "Bytes Sent", last),
        bytes_received=value_of(profile, "Bytes Received", last),
    )


def throughput_of(view: View | None) -> float | None:
    """Returns the mean throughput of a view in bits per second."""
    for column in ("Throughput (bps)", "Throughput"):
        value = value_of(view, column)
        if value is not None:
            return value
    return None


def steady_window(views: dict[str, View]) -> tuple[int, int] | None:
    """Returns the Unix milliseconds between which a run was steady; None for one too short to tell.

    The first row covers the start of traffic, so it says nothing about the steady part.
    """
    rate = views.get("client-throughput")
    stamps = sorted({row.milliseconds for row in rate.rows}) if rate else []
    return (stamps[1], stamps[-1]) if len(stamps) > 2 else None


def read_run(statistics: Statistics) -> dict[str, View]:
    """Returns all views that a judgement uses."""
    return statistics.read_all(VIEWS)
