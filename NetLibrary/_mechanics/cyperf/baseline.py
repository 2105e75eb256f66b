"""An earlier run to compare with: found in its file, checked for being comparable, compared row by row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from NetLibrary._mechanics import records
from NetLibrary._mechanics.cyperf import judge
from NetLibrary._mechanics.cyperf.results import View
from NetLibrary._mechanics.cyperf.units import unit_of
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.verdict import Check

# Series of a record: name, view, column, whether more is better
SERIES = (
    ("throughput_bits_per_second", "client-throughput", "Throughput (bps)", True),
    ("connections_per_second", "client-application-connection-rate", "Connections Succeeded Per Second", True),
    ("requests_per_second", "http-requests-rate", "Requests Per Second", True),
    ("concurrent_connections", "client-application-concurrent-connections", "Concurrent Connections", True),
    ("first_byte_us", "client-latency", "Avg Time to First Byte", False),
)


def series(views: Mapping[str, View], window: tuple[int, int] | None) -> dict[str, list[float]]:
    """Returns the rows of a run's main quantities.

    Args:
        views: Views by name.
        window: Unix milliseconds of the steady part, or None for all rows.
    """
    found = {}
    for key, name, column, _ in SERIES:
        view = views.get(name)
        if view is not None and column in view.columns:
            inside = view.between(*window) if window else view
            found[key] = [value for _, value in inside.series(column)]
    return found


def find(file: Path, name: str, kind: str, *, stand_in: bool) -> dict[str, Any]:
    """Returns the latest record of a measurement in a file.

    Args:
        file: `measurements.jsonl` of the earlier run.
        name: Name of the measurement.
        kind: Kind of its record.
        stand_in: Whether the run to compare was made with the stand-in.
    Raises:
        InputError: The file cannot be read, has no such measurement, or not one of the same make.
    """
    try:
        known = [each for each in records.read(file) if each.get("kind") == kind and each.get("series")]
    except (OSError, ValueError) as error:
        raise InputError(f"The baseline '{file}' cannot be read: {error}.") from error
    found = next((each for each in reversed(known) if each.get("name") == name), None)
    if found is None:
        names = ", ".join(sorted({f"'{each['name']}'" for each in known})) or "none"
        raise InputError(f"The baseline '{file}' has no CyPerf measurement '{name}'; it has {names}.")
    if ("CyPerf" in (found.get("stand_ins") or {})) != stand_in:
        raise InputError(
            f"The baseline '{file}' and this run cannot be compared: one is from a real product and the "
            "other from stand-ins."
        )
    return found


def comparable(before: Mapping[str, Any], now: Mapping[str, Any], file: Path) -> None:
    """Refuses to compare runs that were asked for different things.

    Args:
        before: Parameters of the earlier run.
        now: Parameters of this run.
        file: Where the earlier run was found, for the message.
    Raises:
        InputError: They differ in what decides the numbers; names both values.
    """
    for key in ("configuration", "objective"):
        if before.get(key) != now.get(key):
            raise InputError(
                f"The run in '{file}' has the {key} '{before.get(key)}' and this one '{now.get(key)}'; they cannot be "
                "compared."
            )
    for key, names in (
        ("applications", [_names(each) for each in (before, now)]),
        ("objective value", [_values(each) for each in (before, now)]),
    ):
        if names[0] != names[1]:
            raise InputError(
                f"The run in '{file}' has the {key} {names[0]} and this one {names[1]}; they cannot be compared."
            )


def _names(parameters: Mapping[str, Any]) -> list[str]:
    return sorted({str(each.get("name")) for each in parameters.get("applications") or []})


def _values(parameters: Mapping[str, Any]) -> list[float]:
    steady = [each for each in parameters.get("timeline") or [] if each.get("Enabled")]
    return [float(each["ObjectiveValue"]) for each in steady if each.get("ObjectiveValue") is not None]


def compare(
    views: Mapping[str, View], window: tuple[int, int] | None, before: Mapping[str, list[float]], tolerance: float
) -> list[Check]:
    """Compares the rows of a run with those of an earlier one.

    Args:
        views: Views of this run.
        window: Unix milliseconds of its steady part.
        before: Series of the earlier run.
        tolerance: Percent that a median may be worse.
    Raises:
        InputError: The runs have no quantity in common.
    """
    now = series(views, window)
    found = [
        judge.against_baseline(
            now[key], before[key], key.replace("_", " "),
            unit_of(view, column), tolerance_percent=tolerance, higher_is_better=more,
        )
        for key, view, column, more in SERIES
        if now.get(key) and before.get(key)
    ]  # fmt: skip
    if not found:
        raise InputError("This run and the baseline have no quantity in common that could be compared.")
    return found
