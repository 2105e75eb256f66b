"""Judges a run: acceptance rules, thresholds, comparison with a baseline.

The acceptance rules are those that Keysight's published regression scripts apply to their own
runs: traffic on both sides, nothing failed or aborted, everything begun was ended, no agent
idle. With a device under test in between only the sums have to agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from NetLibrary._mechanics.cyperf.statistics import Statistics, View, quantity, shown, unit_of
from NetLibrary._mechanics.cyperf.types import CyPerfAggregate

VIEWS = (
    "client-throughput", "server-throughput", "client-application-connection-rate",
    "client-application-concurrent-connections", "client-latency", "client-traffic-profile",
    "client-traffic-profile-tcp", "client-http-statistics", "server-http-statistics", "traffic-agents",
    "http-requests-rate", "traffic-agents-dns", "agent-clock-offset", "server-agents-number",
)  # fmt: skip
PROFILE = "client-traffic-profile"


@dataclass(frozen=True)
class Finding:
    """One rule and how it came out.

    Args:
        rule: What is demanded.
        expected: Value or relation that is demanded.
        seen: What the run has.
        passed: Whether it holds; None when it could not be looked at.
    """

    rule: str
    expected: str
    seen: str
    passed: bool | None

    def __str__(self) -> str:
        return f"{self.rule}: expected {self.expected}, seen {self.seen}"


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
    units: dict[str, str] = field(default_factory=dict, repr=False)

    def numbers(self) -> dict[str, float | None]:
        """Returns the numbers by name."""
        return {key: value for key, value in vars(self).items() if key != "units"}


def _steady(view: View | None, window: tuple[int, int] | None) -> View | None:
    """Rows of the steady part only; a run too short for it keeps all its rows."""
    if view is None or window is None:
        return view
    inside = view.between(*window)
    return inside if inside.rows else view


def _value(view: View | None, column: str, how: CyPerfAggregate = CyPerfAggregate.MEAN) -> float | None:
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
    requests = _value(http, "Requests Completed", last)
    good = _value(http, "Responses Received 2xx", last)
    return Totals(
        throughput_bits_per_second=_throughput(_steady(views.get("client-throughput"), window)),
        connections_per_second=_value(rate, "Connections Succeeded Per Second"),
        failed_connections_per_second=_value(rate, "Connections Failed Per Second"),
        concurrent_connections=_value(
            _steady(views.get("client-application-concurrent-connections"), window), "Concurrent Connections"
        ),
        requests_per_second=_value(_steady(views.get("http-requests-rate"), window), "Requests Per Second"),
        connect_latency_us=_value(latency, "Avg Connection Latency"),
        first_byte_us=_value(latency, "Avg Time to First Byte"),
        last_byte_us=_value(latency, "Avg Time to Last Byte"),
        connections_initiated=_value(profile, "Connections Initiated", last),
        connections_succeeded=_value(profile, "Connections Succeeded", last),
        connections_failed=_value(profile, "Connections Failed", last),
        connections_aborted=_value(profile, "Connections Aborted", last),
        applications_initiated=_value(profile, "Applications Initiated", last),
        applications_succeeded=_value(profile, "Applications Succeeded", last),
        applications_failed=_value(profile, "Applications Failed", last),
        http_requests=requests,
        http_success_percent=100.0 * good / requests if requests and good is not None else None,
        bytes_sent=_value(profile, "Bytes Sent", last),
        bytes_received=_value(profile, "Bytes Received", last),
    )


def _throughput(view: View | None) -> float | None:
    for column in ("Throughput (bps)", "Throughput"):
        value = _value(view, column)
        if value is not None:
            return value
    return None


def acceptance(views: dict[str, View], numbers: Totals, *, dut: bool, http_success_percent: float) -> list[Finding]:
    """Applies the acceptance rules.

    Args:
        views: Views by name.
        numbers: Headline numbers of the run.
        dut: Whether something stands in between that may fail connections on purpose.
        http_success_percent: Least share of HTTP requests that end with 2xx.
    """
    found = []
    for side in ("client", "server"):
        value = _throughput(views.get(f"{side}-throughput"))
        # Servers that are no agents have no view; that is no failure of the network.
        passed = None if value is None and side == "server" else bool(value)
        found.append(Finding(f"{side} throughput", "above 0", shown(value, "bit/s"), passed))
    initiated, succeeded = numbers.connections_initiated, numbers.connections_succeeded
    failed, aborted = numbers.connections_failed, numbers.connections_aborted
    if dut:
        ended = None if None in (succeeded, failed, aborted) else succeeded + failed + aborted  # type: ignore[operator]
        found.append(_equal("connections succeeded + failed + aborted = initiated", initiated, ended))
    else:
        found += [
            _equal("connections succeeded = initiated", initiated, succeeded),
            _equal("connections failed", 0.0, failed),
            _equal("connections aborted", 0.0, aborted),
            _equal(
                "applications succeeded = initiated", numbers.applications_initiated, numbers.applications_succeeded
            ),
            _equal("applications failed", 0.0, numbers.applications_failed),
            _equal("failed connections per second", 0.0, numbers.failed_connections_per_second),
        ]
    found += _idle_agents(views.get("traffic-agents"))
    established = _value(views.get("client-traffic-profile-tcp"), "Connections Established", CyPerfAggregate.SUM)
    found.append(Finding("TCP connections established", "above 0", shown(established, ""), _above_zero(established)))
    if numbers.http_requests:
        share = numbers.http_success_percent
        found.append(
            Finding(
                "HTTP requests answered with 2xx", f"at least {http_success_percent:g} %", shown(share, "%"),
                share is not None and share >= http_success_percent,
            )
        )  # fmt: skip
    return found


def _above_zero(value: float | None) -> bool | None:
    return None if value is None else value > 0


def _equal(rule: str, expected: float | None, seen: float | None) -> Finding:
    passed = None if expected is None or seen is None else math.isclose(expected, seen, abs_tol=1e-9)
    return Finding(rule, shown(expected, ""), shown(seen, ""), passed)


def _idle_agents(view: View | None) -> list[Finding]:
    if view is None or not view.rows:
        return [Finding("agents with connections", "all", "no view 'traffic-agents'", None)]
    idle, every = [], view.last_sample()
    for row in every:
        began = [row.cells.get(name) for name in ("Connections Initiated", "Connections Received")]
        if not any(isinstance(value, float) and value > 0 for value in began):
            idle.append(f"{row.cells.get('Agent')} ({row.cells.get('IP')})")
    seen = f"{len(every) - len(idle)} of {len(every)}" + (f", idle: {', '.join(idle)}" if idle else "")
    return [Finding("agents with connections", f"all {len(every)}", seen, not idle)]


# --- thresholds -------------------------------------------------------------------------------------

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


def limits(numbers: Totals, wanted: dict[str, str | int | float]) -> list[Finding]:
    """Compares the headline numbers with thresholds; a number the run does not have fails.

    Args:
        numbers: Headline numbers.
        wanted: Thresholds by the names of `LIMITS`.
    """
    found = []
    for name, text in wanted.items():
        attribute, unit, least = LIMITS[name]
        limit, value = quantity(text, unit, name), getattr(numbers, attribute)
        passed = value is not None and (value >= limit if least else value <= limit)
        relation = "at least" if least else "at most"
        found.append(Finding(name.replace("_", " "), f"{relation} {shown(limit, unit)}", shown(value, unit), passed))
    return found


def statistic(
    view: View, column: str, how: CyPerfAggregate, least: str | None, most: str | None
) -> tuple[float | None, str, list[Finding]]:
    """Compares one column with limits; returns value, unit and findings."""
    name = view.column(column)
    unit, value = unit_of(view.name, name), view.aggregate(name, how)
    found = []
    for text, relation, argument in ((least, "at least", "at_least"), (most, "at most", "at_most")):
        if text is None:
            continue
        limit = quantity(text, unit, argument)
        passed = value is not None and (value >= limit if argument == "at_least" else value <= limit)
        found.append(
            Finding(
                f"{how.value} of '{name}' in {view.name}",
                f"{relation} {shown(limit, unit)}",
                shown(value, unit),
                passed,
            )
        )
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
) -> Finding:
    """Compares the rows of a run with those of an earlier one.

    A run is worse only when both hold: its mean is worse by more than the tolerance, and the
    difference is no accident of the spread (one-sided Mann-Whitney U test at 5 %, when both runs
    have at least five rows).

    Args:
        now: Rows of this run.
        before: Rows of the baseline.
        name: Quantity for the message.
        unit: Its unit.
        tolerance_percent: How much worse the mean may be.
        higher_is_better: Whether smaller values are worse.
    """
    if not now or not before:
        return Finding(f"{name} against the baseline", "rows in both runs", f"{len(now)} and {len(before)} rows", None)
    mean, base = sum(now) / len(now), sum(before) / len(before)
    change = (mean - base) / base * 100 if base else math.copysign(math.inf, mean) if mean else 0.0
    worse = (-change if higher_is_better else change) > tolerance_percent
    note = ""
    if worse and min(len(now), len(before)) >= 5:
        from scipy.stats import mannwhitneyu

        p = float(mannwhitneyu(now, before, alternative="less" if higher_is_better else "greater").pvalue)
        worse, note = p < 0.05, f", p = {p:.2g}"
    return Finding(
        f"{name} against the baseline",
        f"{shown(base, unit)}, at most {tolerance_percent:g} % worse",
        f"{shown(mean, unit)} ({change:+.1f} %{note})",
        not worse,
    )


def read_run(statistics: Statistics) -> dict[str, View]:
    """Returns all views that a judgement uses."""
    return statistics.read_all(VIEWS)
