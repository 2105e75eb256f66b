from __future__ import annotations

import pytest

from NetLibrary._mechanics.cyperf.rest import Connection
from NetLibrary._mechanics.cyperf.results import Statistics, View, cell, parse
from NetLibrary._mechanics.cyperf.units import quantity, shown, unit_of
from NetLibrary._mechanics.errors import InputError, NotJson
from NetLibrary.types import CyPerfAggregate

from .scripted_controller import ScriptedController

ENTRY = {
    "name": "client-traffic-profile",
    "columns": ["Profile", "Application", "Connections Failed"],
    "snapshots": [
        {"timestamp": 2000, "values": [["P", "HTTP App", "3"], ["P", "TCP App", "null"]]},
        {"timestamp": 1000, "values": [["P", "HTTP App", 1]]},
    ],
}


def view() -> View:
    return parse(ENTRY, "client-traffic-profile")


def test_rows_are_in_order_and_numbers_are_numbers() -> None:
    assert [row.milliseconds for row in view().rows] == [1000, 2000, 2000]
    assert view().series("connections failed") == [(1000, 1.0), (2000, 3.0)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("null", None), ("NaN", None), ("", None), (None, None), ("12", 12.0), (" 1e3 ", 1000.0), (True, 1.0), ("x", "x")],
)
def test_cells(given: object, expected: object) -> None:
    assert cell(given) == expected


@pytest.mark.parametrize(
    ("how", "expected"),
    [("MEAN", 2.0), ("MIN", 1.0), ("MAX", 3.0), ("LAST", 3.0), ("SUM", 3.0)],
)
def test_aggregates(how: str, expected: float) -> None:
    assert view().aggregate("Connections Failed", CyPerfAggregate[how]) == expected


def test_rows_can_be_chosen() -> None:
    chosen = view().where({"application": "TCP App"})
    assert len(chosen.rows) == 1
    assert chosen.aggregate("Connections Failed", CyPerfAggregate.LAST) is None


def test_unknown_column_names_those_there_are() -> None:
    with pytest.raises(InputError, match="no column 'Speed'; it has Profile, Application, Connections Failed"):
        view().column("Speed")


def test_other_shape_is_refused() -> None:
    with pytest.raises(NotJson):
        parse({"rows": []}, "x")


def test_whole_run_is_asked_for(scripted: ScriptedController) -> None:
    scripted.on("GET", "/api/v2/results/t/stats", (200, {"data": [{"name": ENTRY["name"]}], "totalCount": 1}))
    scripted.on("GET", f"/api/v2/results/t/stats/{ENTRY['name']}", (200, ENTRY))
    statistics = Statistics(Connection(scripted.url, refresh_token="x"), "t")
    assert len(statistics.read("client-traffic-profile").rows) == 3
    assert "from=0&useRelativeTime=true" in scripted.seen[-1][1]
    with pytest.raises(InputError, match="no statistic 'client-trafic-profile'; there is client-traffic-profile"):
        statistics.read("client-trafic-profile")


def test_a_view_that_errs_does_not_lose_the_others(scripted: ScriptedController) -> None:
    scripted.on("GET", "/api/v2/results/t/stats", (200, [{"name": "good"}, {"name": "bad"}]))
    scripted.on("GET", "/api/v2/results/t/stats/good", (200, {**ENTRY, "name": "good"}))
    scripted.on("GET", "/api/v2/results/t/stats/bad", (500, {"message": "not for this run"}))
    statistics = Statistics(Connection(scripted.url, refresh_token="x"), "t")
    assert list(statistics.read_all(["good", "bad", "absent"])) == ["good"]


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("100M", "bit/s", 1e8), ("2.5 Gbit/s", "bit/s", 2.5e9), ("5 ms", "us", 5000.0), ("1 s", "us", 1e6),
        ("300", "/s", 300.0), ("2k", "/s", 2000.0), ("99.5 %", "%", 99.5), ("1 MiB", "B", 1048576.0), (7, "", 7.0),
    ],
)  # fmt: skip
def test_quantities(text: str, unit: str, expected: float) -> None:
    assert quantity(text, unit, "limit") == expected


@pytest.mark.parametrize(("text", "unit"), [("5 ms", "bit/s"), ("100M", "us"), ("fast", ""), ("5 parsec", "us")])
def test_wrong_quantities_name_the_argument(text: str, unit: str) -> None:
    with pytest.raises(InputError, match="at_most is"):
        quantity(text, unit, "at_most")


@pytest.mark.parametrize(
    ("name", "column", "unit"),
    [
        ("client-throughput", "Throughput (bps)", "bit/s"), ("client-latency", "Max Time To First Byte", "us"),
        ("client-traffic-profile", "Bytes Sent", "B"), ("traffic-agents-instant", "Bytes Sent Per Second", "/s"),
        ("agent-metrics-cpu", "CPU Percent", "%"), ("agent-clock-offset", "Clock offset sec", "sec"),
        ("client-traffic-profile", "Connections Failed", ""),
    ],
)  # fmt: skip
def test_units(name: str, column: str, unit: str) -> None:
    assert unit_of(name, column) == unit


def test_values_read_well() -> None:
    assert [shown(0.0, "us"), shown(None, ""), shown(1234.0, "/s")] == ["0 µs", "no value", "1234/s"]
