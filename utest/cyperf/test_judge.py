"""Each rule of the judgement must fail when its fault is there, with words that name it."""

from __future__ import annotations

from typing import Any

import pytest

from NetLibrary._mechanics.cyperf import judge
from NetLibrary._mechanics.cyperf.judge import Judged
from NetLibrary._mechanics.cyperf.results import View, parse, totals
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.verdict import Check
from NetLibrary.types import CyPerfAggregate


def views(**changes: Any) -> dict[str, View]:
    cells = {
        "client": "8000000", "server": "7900000", "initiated": 100, "succeeded": 100, "failed": 0, "aborted": 0,
        "apps": 500, "apps_good": 500, "apps_failed": 0, "rate_failed": 0, "requests": 500, "good": 500,
        "server_received": 100, "established": 100,
    } | changes  # fmt: skip

    def view(name: str, columns: list[str], *rows: list[Any]) -> View:
        return parse({"name": name, "columns": columns, "snapshots": [{"timestamp": 1, "values": list(rows)}]}, name)

    made = [
        view("client-throughput", ["timestamp", "Throughput (bps)"], [1, cells["client"]]),
        view("server-throughput", ["timestamp", "Throughput (bps)"], [1, cells["server"]]),
        view(
            "client-traffic-profile",
            ["Application", "Connections Initiated", "Connections Succeeded", "Connections Failed",
             "Connections Aborted", "Applications Initiated", "Applications Succeeded", "Applications Failed"],
            ["HTTP App", *(cells[n] for n in ("initiated", "succeeded", "failed", "aborted", "apps", "apps_good",
                                              "apps_failed"))],
        ),
        view(
            "client-application-connection-rate",
            ["filter", "Connections Failed Per Second", "Connections Succeeded Per Second"],
            ["All", cells["rate_failed"], 10],
        ),
        view("client-traffic-profile-tcp", ["filter", "Connections Established"], ["All", cells["established"]]),
        view(
            "client-http-statistics", ["A", "Requests Completed", "Responses Received 2xx"],
            ["HTTP App", cells["requests"], cells["good"]],
        ),
        view(
            "traffic-agents", ["IP", "Agent", "Connections Initiated", "Connections Received"],
            ["10.0.0.1", "client-1", 100, 0], ["10.0.0.2", "server-1", 0, cells["server_received"]],
        ),
    ]  # fmt: skip
    return {each.name: each for each in made}


def judged(dut: bool = False, **changes: Any) -> Judged:
    found = views(**changes)
    return judge.acceptance(found, totals(found), dut=dut, http_success_percent=100.0)


def bad(found: Judged) -> list[str]:
    return [each.sentence for each in found.checks if not each.passed]


def test_good_run_meets_every_rule() -> None:
    found = judged()
    assert (bad(found), found.errors, found.unseen) == ([], [], [])
    assert len(found.checks) == 11


@pytest.mark.parametrize("name", judge.NEEDED)
def test_run_whose_statistics_are_missing_is_not_passed_in_silence(name: str) -> None:
    found = views()
    del found[name]
    result = judge.acceptance(found, totals(found), dut=False, http_success_percent=100.0)
    assert result.errors == [f"the controller returned no statistic {name}; the run cannot be judged"]


def test_attacks_have_no_applications_to_judge() -> None:
    found = views()
    found[judge.ATTACKS] = found.pop("client-traffic-profile")
    result = judge.acceptance(found, totals(found), dut=False, http_success_percent=100.0)
    assert result.errors == []
    assert ("connections failed", "the controller has no such number") in result.unseen


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client": 0}, "client throughput: expected above 0, seen 0 bit/s"),
        ({"server": "null"}, ""),
        ({"succeeded": 99}, "connections succeeded = initiated: expected 100, seen 99"),
        ({"failed": 1}, "connections failed: expected 0, seen 1"),
        ({"aborted": 2}, "connections aborted: expected 0, seen 2"),
        ({"apps_good": 499}, "applications succeeded = initiated: expected 500, seen 499"),
        ({"apps_failed": 1}, "applications failed: expected 0, seen 1"),
        ({"rate_failed": 0.5}, "failed connections per second: expected 0, seen 0.5"),
        ({"server_received": 0}, "agents with connections: expected all 2, seen 1 of 2, idle: server-1 (10.0.0.2)"),
        ({"established": 0}, "TCP connections established: expected above 0, seen 0"),
        ({"good": 499}, "HTTP requests answered with 2xx: expected at least 100 %, seen 99.8 %"),
    ],
)
def test_each_fault_breaks_its_rule(change: dict[str, Any], words: str) -> None:
    assert bad(judged(**change)) == ([words] if words else [])


def test_a_server_beside_the_pod_that_clients_aim_at_is_not_called_idle() -> None:
    """With two servers and a pod's address as target, the other server was accused of getting no connections."""
    found = views(server_received=0)
    result = judge.acceptance(
        found, totals(found), dut=False, http_success_percent=100.0, bypassed=frozenset({"10.0.0.2"})
    )
    assert bad(result) == []
    (agents,) = [each for each in result.checks if each.rule == "agents with connections"]
    assert agents.sentence == "agents with connections: expected all 1, seen 1 of 1"
    aimed_at = judge.acceptance(found, totals(found), dut=False, http_success_percent=100.0, bypassed={"10.0.0.9"})
    assert len(bad(aimed_at)) == 1, "a server that clients aim at must not be idle"


def test_dut_may_fail_connections_but_not_lose_count() -> None:
    assert not bad(judged(dut=True, succeeded=90, failed=6, aborted=4))
    assert bad(judged(dut=True, succeeded=90, failed=6)) == [
        "connections succeeded + failed + aborted = initiated: expected 100, seen 96"
    ]


def test_limits() -> None:
    wanted = {"throughput": 5e6, "connections_per_second": 20.0, "failed_connections": 0.0}
    found = judge.limits(totals(views()), wanted)
    assert [each.passed for each in found] == [True, False, True]
    assert found[1].sentence == "connections per second: expected at least 20/s, seen 10/s"
    assert (found[1].rule, found[1].expected, found[1].seen, found[1].unit) == (
        "connections per second at least", 20.0, 10.0, "/s",
    )  # fmt: skip


def test_number_that_the_run_lacks_fails_its_limit() -> None:
    found = judge.limits(totals(views()), {"first_byte": 5000.0})
    assert found[0].passed is False
    assert found[0].sentence == "first byte: expected at most 5 ms, seen no value"


def test_statistic_with_a_limit_in_a_wrong_unit_is_refused() -> None:
    view = views()["client-throughput"]
    with pytest.raises(InputError, match="at_least is '5 ms'"):
        judge.statistic(view, "Throughput (bps)", CyPerfAggregate.MEAN, "5 ms", None)
    value, unit, found = judge.statistic(view, "throughput (bps)", CyPerfAggregate.MEAN, "9M", "7 Mbit/s")
    assert (value, unit, [each.passed for each in found]) == (8e6, "bit/s", [False, False])


def against(now: list[float], before: list[float], more: bool = True) -> Check:
    return judge.against_baseline(now, before, "throughput", "bit/s", tolerance_percent=10, higher_is_better=more)


def test_baseline() -> None:
    base = [100.0, 101.0, 99.0, 100.0, 102.0, 98.0]
    assert against([95.0, 96.0, 94.0, 95.0, 97.0], base).passed
    worse = against([50.0, 51.0, 49.0, 50.0, 52.0], base)
    assert worse.passed is False
    assert (worse.expected, worse.seen, worse.unit) == (100.0, 50.0, "bit/s")
    assert "-50.0 %; Mann-Whitney U test, p = 0.00" in worse.sentence


def test_a_difference_within_the_spread_is_no_regression() -> None:
    wild = [10.0, 500.0, 20.0, 400.0, 30.0, 300.0]
    assert against([10.0, 380.0, 20.0, 290.0, 30.0, 250.0], wild).passed


def test_latency_is_worse_when_higher() -> None:
    assert against([200.0] * 5, [100.0] * 5, more=False).passed is False
    assert against([50.0] * 5, [100.0] * 5, more=False).passed
