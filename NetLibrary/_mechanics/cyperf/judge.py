"""Judges a run: acceptance rules, limits, comparison with a baseline. Checks from numbers and limits, nothing else.

The acceptance rules are those that Keysight's published regression scripts apply to their own runs: traffic on both
sides, nothing failed or aborted, everything begun was ended, no agent idle. With a device under test in between only
the sums have to agree.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from NetLibrary._mechanics.cyperf.results import PROFILE, Totals, View, throughput_of, value_of
from NetLibrary._mechanics.cyperf.units import quantity, shown, unit_of
from NetLibrary._mechanics.statistics import block_means, compare
from NetLibrary._mechanics.verdict import Check
from NetLibrary.types import CyPerfAggregate

# Views without which nothing can be said about a run with applications
NEEDED = ("client-throughput", PROFILE, "traffic-agents")
ATTACKS = "client-attack-profile"


@dataclass
class Judged:
    """What a judgement came to.

    Args:
        checks: Rules that could be looked at.
        errors: Why the run cannot be judged at all.
        unseen: Rules that could not be looked at, and why.
    """

    checks: list[Check] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unseen: list[tuple[str, str]] = field(default_factory=list)


def _check(
    rule: str, relation: str, limit: float, seen: float | None, unit: str, passed: bool, name: str = ""
) -> Check:
    """Returns a check whose sentence has both values in units that people read."""
    words = f"{relation} {shown(limit, unit if limit else '')}".strip()
    return Check(name or rule, limit, seen, unit, passed, f"{rule}: expected {words}, seen {shown(seen, unit)}")


def acceptance(
    views: Mapping[str, View], numbers: Totals, *, dut: bool, http_success_percent: float,
    bypassed: Collection[str] = (),
) -> Judged:  # fmt: skip
    """Applies the acceptance rules.

    Args:
        views: Views by name.
        numbers: Headline numbers of the run.
        dut: Whether something stands in between that may fail connections on purpose.
        http_success_percent: Least share of HTTP requests that end with 2xx.
        bypassed: Addresses of server agents that the clients do not aim at.
    """
    found = Judged()
    attacks_only = ATTACKS in views and PROFILE not in views
    missing = [name for name in NEEDED if name not in views and not (attacks_only and name == PROFILE)]
    if missing:
        found.errors.append(f"the controller returned no statistic {', '.join(missing)}; the run cannot be judged")
    _traffic(found, views)
    if dut:
        _sums(found, numbers)
    else:
        _nothing_lost(found, numbers)
    _idle_agents(found, views.get("traffic-agents"), bypassed)
    established = value_of(views.get("client-traffic-profile-tcp"), "Connections Established", CyPerfAggregate.SUM)
    _above_zero(found, "TCP connections established", established, "")
    if numbers.http_requests:
        share = numbers.http_success_percent
        found.checks.append(
            _check(
                "HTTP requests answered with 2xx", "at least", http_success_percent, share, "%",
                share is not None and share >= http_success_percent, "HTTP success at least",
            )
        )  # fmt: skip
    return found


def _traffic(found: Judged, views: Mapping[str, View]) -> None:
    for side in ("client", "server"):
        value = throughput_of(views.get(f"{side}-throughput"))
        if value is None and side == "server":
            # Servers that are no agents have no view; that is no failure of the network.
            found.unseen.append((f"{side} throughput", "the controller has no such statistic"))
        else:
            passed = bool(value)
            found.checks.append(_check(f"{side} throughput", "above", 0.0, value, "bit/s", passed))


def _sums(found: Judged, numbers: Totals) -> None:
    ends = (numbers.connections_succeeded, numbers.connections_failed, numbers.connections_aborted)
    known = [each for each in ends if each is not None]
    ended = sum(known) if len(known) == len(ends) else None
    _equal(found, "connections succeeded + failed + aborted = initiated", numbers.connections_initiated, ended)


def _nothing_lost(found: Judged, numbers: Totals) -> None:
    _equal(found, "connections succeeded = initiated", numbers.connections_initiated, numbers.connections_succeeded)
    _equal(found, "connections failed", 0.0, numbers.connections_failed)
    _equal(found, "connections aborted", 0.0, numbers.connections_aborted)
    _equal(found, "applications succeeded = initiated", numbers.applications_initiated, numbers.applications_succeeded)
    _equal(found, "applications failed", 0.0, numbers.applications_failed)
    _equal(found, "failed connections per second", 0.0, numbers.failed_connections_per_second)


def _equal(found: Judged, rule: str, expected: float | None, seen: float | None) -> None:
    if expected is None or seen is None:
        found.unseen.append((rule, "the controller has no such number"))
        return
    passed = math.isclose(expected, seen, abs_tol=1e-9)
    found.checks.append(_check(rule, "", expected, seen, "", passed))


def _above_zero(found: Judged, rule: str, value: float | None, unit: str) -> None:
    if value is None:
        found.unseen.append((rule, "the controller has no such number"))
    else:
        found.checks.append(_check(rule, "above", 0.0, value, unit, value > 0))


def _idle_agents(found: Judged, view: View | None, bypassed: Collection[str]) -> None:
    if view is None or not view.rows:
        return
    idle, every = [], [row for row in view.last_sample() if row.cells.get("IP") not in bypassed]
    for row in every:
        began = [row.cells.get(name) for name in ("Connections Initiated", "Connections Received")]
        if not any(isinstance(value, float) and value > 0 for value in began):
            idle.append(f"{row.cells.get('Agent')} ({row.cells.get('IP')})")
    busy = len(every) - len(idle)
    words = f"{busy} of {len(every)}" + (f", idle: {', '.join(idle)}" if idle else "")
    text = f"agents with connections: expected all {len(every)}, seen {words}"
    found.checks.append(Check("agents with connections", len(every), busy, "", not idle, text))


# --- limits -----------------------------------------------------------------------------------------

# name of the limit: headline number, unit, whether the value must not be below it
LIMITS: dict[str, tuple[str, str, bool]] = {
    "throughput": ("throughput_bits_per_second", "bit/s", True),
    "connections_per_second": ("connections_per_second", "/s", True),
    "concurrent_connections": ("concurrent_connections", "", True),
    "requests_per_second": ("requests_per_second", "/s", True),
    "http_success": ("http_success_percent", "%", True),
    "connect_latency": ("connect_latency_us", "us", False),
    "first_byte": ("first_byte_us", "us", False),
    "last_byte": ("last_byte_us", "us", False),
    "failed_connections": ("connections_failed", "", False),
    "aborted_connections": ("connections_aborted", "", False),
    "failed_transactions": ("applications_failed", "", False),
}


def limits(numbers: Totals, wanted: Mapping[str, float]) -> list[Check]:
    """Compares the headline numbers with limits; a number that the run does not have fails.

    Args:
        numbers: Headline numbers.
        wanted: Limits by the names of `LIMITS`, in the units given there.
    """
    found = []
    for name, limit in wanted.items():
        attribute, unit, least = LIMITS[name]
        found.append(_limit(name.replace("_", " "), limit, getattr(numbers, attribute), unit, least))
    return found


def _limit(rule: str, limit: float, value: float | None, unit: str, least: bool) -> Check:
    passed = value is not None and (value >= limit if least else value <= limit)
    relation = "at least" if least else "at most"
    return _check(rule, relation, limit, value, unit, passed, f"{rule} {relation}")


def statistic(
    view: View, column: str, how: CyPerfAggregate, least: str | None, most: str | None
) -> tuple[float | None, str, list[Check]]:
    """Compares one column with limits; returns value, unit and checks."""
    name = view.column(column)
    unit, value = unit_of(view.name, name), view.aggregate(name, how)
    rule = f"{how.value} of '{name}' in {view.name}"
    found = []
    if least is not None:
        found.append(_limit(rule, quantity(least, unit, "at_least"), value, unit, least=True))
    if most is not None:
        found.append(_limit(rule, quantity(most, unit, "at_most"), value, unit, least=False))
    return value, unit, found


# --- baseline ---------------------------------------------------------------------------------------


def against_baseline(
    now: Sequence[float],
    before: Sequence[float],
    name: str,
    unit: str,
    *,
    tolerance_percent: float,
    higher_is_better: bool,
) -> Check:
    """Compares the rows of a run with those of an earlier one, under the assumptions of `statistics`.

    Rows that follow each other are alike; means of blocks of them are compared instead.

    Args:
        now: Rows of this run, at least one.
        before: Rows of the baseline, at least one.
        name: Quantity for the message.
        unit: Its unit.
        tolerance_percent: How much worse the median may be.
        higher_is_better: Whether smaller values are worse.
    """
    old, new = block_means(before), block_means(now)
    result = compare(old, new, tolerance=tolerance_percent / 100, higher_is_better=higher_is_better)
    rule = f"{name} against the baseline"
    text = (
        f"{rule}: expected {shown(result.before, unit)}, at most {tolerance_percent:g} % worse, "
        f"seen {shown(result.now, unit)} ({result.change * 100:+.1f} %; {result.basis})"
    )
    return Check(rule, result.before, result.now, unit, not result.worse, text)
