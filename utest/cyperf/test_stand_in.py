"""The stand-in through our own client: traffic is real, faults are seen, and the interface keeps its traps."""

from __future__ import annotations

from pathlib import Path

import pytest

from NetLibrary._mechanics.cyperf import judge, reports, results, run
from NetLibrary._mechanics.cyperf.controller import Controller
from NetLibrary._mechanics.cyperf.results import Statistics
from NetLibrary._mechanics.cyperf.session import TestSession
from NetLibrary._mechanics.errors import ControllerError, InputError, LicenceMissing, Missing, RunFailed
from NetLibrary.types import CyPerfAggregate, CyPerfObjective, CyPerfReport, CyPerfRole

from .conftest import StandIn

SUM = CyPerfAggregate.SUM


def open_session(controller: Controller, configuration: str = "CyPerf Two Arm Base") -> TestSession:
    config = controller.configuration(configuration)
    return TestSession.create(controller, config["configUrl"], config["displayName"])


def prepare(
    stand_in: StandIn, application: str, objective: CyPerfObjective, value: float, seconds: int = 1
) -> TestSession:
    session = open_session(stand_in.controller())
    session.use_applications([application])
    session.assign_tag(CyPerfRole.CLIENT, "role=client")
    session.assign_tag(CyPerfRole.SERVER, "role=server")
    session.use_automatic_addresses()
    session.aim_at("127.0.0.1")
    session.set_health_check(False, stand_in.traffic, "")
    session.set_ports(stand_in.traffic, stand_in.traffic)
    session.set_objective(objective, value, seconds)
    return session


def finish(session: TestSession) -> tuple[Statistics, str]:
    begun = run.start(session, timeout=20)
    run.watch(session, timeout=30)
    run.wait_for_result(session, begun.test_id, timeout=20)
    return Statistics(session.connection, begun.test_id), begun.test_id


@pytest.mark.parametrize(
    ("application", "objective", "value"),
    [
        ("HTTP App", CyPerfObjective.SIMULATED_USERS, 4),
        ("HTTPS App", CyPerfObjective.CONNECTIONS_PER_SECOND, 20),
        ("HTTP POST 32K", CyPerfObjective.THROUGHPUT, 20e6),
        ("TCP App", CyPerfObjective.CONCURRENT_CONNECTIONS, 30),
    ],
)
def test_traffic_is_real_and_both_sides_agree(
    healthy: StandIn, application: str, objective: CyPerfObjective, value: float
) -> None:
    session = prepare(healthy, application, objective, value)
    statistics, _ = finish(session)
    views = results.read_run(statistics)
    numbers = results.totals(views)
    found = judge.acceptance(views, numbers, dut=False, http_success_percent=100)
    assert found.errors == []
    assert [each.sentence for each in found.checks if not each.passed] == []
    server = views["server-http-statistics"].aggregate("Requests Received", SUM)
    assert server == numbers.applications_succeeded
    assert server is not None
    assert server > 0
    sent = statistics.read("server-profile").aggregate("Bytes Received", SUM)
    assert sent == numbers.bytes_sent
    if objective is CyPerfObjective.CONCURRENT_CONNECTIONS:
        assert numbers.connections_initiated == 30
    session.delete()


def test_reports_are_complete_and_say_stand_in(healthy: StandIn, tmp_path: Path) -> None:
    import csv
    import io
    import zipfile

    session = prepare(healthy, "HTTP App", CyPerfObjective.CONNECTIONS_PER_SECOND, 20, 1)
    statistics, test_id = finish(session)
    files = {
        kind: reports.download(session.connection, test_id, kind, tmp_path, "x", timeout=10) for kind in CyPerfReport
    }
    assert "STAND-IN" in files[CyPerfReport.PDF].read_bytes().decode("latin-1")
    assert set(reports.csv_views(files[CyPerfReport.CSV])) == set(statistics.names)
    with zipfile.ZipFile(files[CyPerfReport.CSV]) as archive:
        rows = list(csv.reader(io.StringIO(archive.read("client-traffic-profile.csv").decode())))
    assert rows[0][:4] == ["Timestamp epoch ms", "Profile", "Application", "Timestamp"]
    assert rows[0][4:] == sorted(rows[0][4:])
    last = dict(zip(rows[0], rows[-1], strict=True))
    assert int(last["Connections Succeeded"]) == int(last["Connections Initiated"]) > 0
    assert last["Timestamp"].endswith("Z")
    session.delete()


def test_default_window_ends_before_now(healthy: StandIn) -> None:
    session = prepare(healthy, "HTTP App", CyPerfObjective.CONNECTIONS_PER_SECOND, 20, 1)
    _, test_id = finish(session)
    path = f"/api/v2/results/{test_id}/stats/client-throughput"
    whole = session.connection.call("GET", path, query={"from": 0, "useRelativeTime": "true"})
    later = session.connection.call("GET", path, query={"from": 60_000, "useRelativeTime": "true"})
    assert len(whole["snapshots"]) >= 1
    assert later["snapshots"] == []
    assert all(isinstance(cell, str) for cell in whole["snapshots"][0]["values"][0][1:])
    session.delete()


@pytest.mark.parametrize(
    ("faults", "error", "words"),
    [
        ({"licence_missing": True}, LicenceMissing, "No license is available"),
        ({"operation_errors": {"start": "disk full"}}, RunFailed, "disk full"),
    ],
)
def test_faults_stop_a_start(healthy: StandIn, faults: dict[str, object], error: type[Exception], words: str) -> None:
    session = prepare(healthy, "HTTP App", CyPerfObjective.SIMULATED_USERS, 1)
    healthy.faults(**faults)
    with pytest.raises(error, match=words):
        run.start(session, timeout=10)
    assert [agent.status for agent in session.controller.agents()] == ["STOPPED", "STOPPED"]
    session.delete()


def test_missing_netmask_is_mended_by_the_agents_addresses(healthy: StandIn) -> None:
    session = prepare(healthy, "HTTP App", CyPerfObjective.SIMULATED_USERS, 1)
    healthy.faults(netmask_missing=True)
    assert run.start(session, timeout=10).status == "STARTED"
    ranges = {segment["Name"]: segment["IPRanges"][0] for role in CyPerfRole for segment in session.segments(role)}
    assert {name: (each["IpAuto"], each["IpStart"]) for name, each in ranges.items()} == {
        "IP Network 1": (False, "127.0.0.1"), "IP Network 2": (False, "127.0.0.2")
    }  # fmt: skip
    run.abort(session)
    session.delete()


def test_unassigned_segments_are_named(healthy: StandIn) -> None:
    session = open_session(healthy.controller(), "CyPerf AppMix")
    with pytest.raises(RunFailed, match=r"Not enough agents .*\[IP Network 1\] \(0 of 1\)"):
        run.start(session, timeout=10)
    session.delete()


def test_agents_belong_to_one_session_at_a_time(healthy: StandIn) -> None:
    first = prepare(healthy, "HTTP App", CyPerfObjective.CONNECTIONS_PER_SECOND, 5, 20)
    second = prepare(healthy, "HTTP App", CyPerfObjective.CONNECTIONS_PER_SECOND, 5, 20)
    run.start(first, timeout=10)
    with pytest.raises(RunFailed, match=r"is owned by session '.*' of admin"):
        run.start(second, timeout=10)
    with pytest.raises(ControllerError, match="409"):
        first.delete()
    found = run.stop(first, timeout=20)
    assert found.status == "STOPPED"
    first.delete()
    second.delete()


def test_stop_that_hangs_ends_in_an_abort(healthy: StandIn) -> None:
    session = prepare(healthy, "HTTP App", CyPerfObjective.CONNECTIONS_PER_SECOND, 5, 30)
    run.start(session, timeout=10)
    healthy.faults(ignore_stop=True)
    with pytest.raises(RunFailed, match=r"did not end within 0.5 s.* It was aborted"):
        run.stop(session, timeout=0.5)
    assert run.state(session).status == "STOPPED"
    session.controller.release_agents(session.id)
    session.delete()


def test_step_timeline(healthy: StandIn) -> None:
    session = prepare(healthy, "HTTP App", CyPerfObjective.CONNECTIONS_PER_SECOND, 40, 2)
    session.set_objective(CyPerfObjective.CONNECTIONS_PER_SECOND, 40, 1, ramp_up=2)
    statistics, _ = finish(session)
    assert run.state(session).duration_seconds == 3
    points = statistics.read("client-application-connection-rate").series("Connections Initiated Per Second")
    assert points[0][1] < 35  # the first step is half of it
    session.delete()


def test_session_is_shaped_through_the_tree(healthy: StandIn) -> None:
    session = open_session(healthy.controller(), "CyPerf AppMix")
    session.set_tls(True, "1.2")
    session.set_name_servers(["10.96.0.10"])
    session.set_ports(8080, None, application="HTTP App")
    tree = session.snapshot()
    applications = tree["TrafficProfiles"][0]["Applications"]
    effective = [
        a["Connections"][0]["PortSettings"]["EffectivePorts"]["EffectiveDestinationPort"] for a in applications
    ]
    assert effective == ["8080", "443"]
    segment = tree["NetworkProfiles"][0]["IPNetworkSegment"][0]
    assert segment["DNSResolver"]["nameServers"] == [{"name": "10.96.0.10"}]
    with pytest.raises(
        InputError, match="No application of the session is named 'FTP'; there are 'HTTP App', 'HTTPS App'"
    ):
        session.set_ports(1, 1, application="FTP")
    with pytest.raises(Missing):
        session.read("TrafficProfiles/1/Applications/99")
    session.delete()


def test_configurations_travel_as_zip(healthy: StandIn, tmp_path: Path) -> None:
    controller = healthy.controller()
    session = open_session(controller, "CyPerf AppMix")
    identifier = session.save_as("Kept For A Test")
    file = controller.connection.download(f"/api/v2/configs/{identifier}", tmp_path / "c.json")
    assert b"Kept For A Test" in file.read_bytes()
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("config-metadata.json", '{"displayName": "From A File"}')
        archive.writestr("config-data.bin", '{"TrafficProfiles": [{"Name": "P", "id": "1"}]}')
    (tmp_path / "c.zip").write_bytes(packed.getvalue())
    imported = controller.import_configuration(tmp_path / "c.zip")
    assert controller.configuration("From A File")["id"] == imported["id"]
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(ControllerError, match="no zip file"):
        controller.import_configuration(tmp_path / "broken.zip")
    for each in (identifier, imported["id"]):
        controller.delete_configuration(each)
        controller.delete_configuration(each)
    session.delete()


def test_unknown_fault_is_refused(stand_in: StandIn) -> None:
    import requests

    answer = requests.put(f"http://127.0.0.1:{stand_in.http}/stand-in/faults", json={"rain": 1}, timeout=5)
    assert answer.status_code == 400
    assert "unknown fault 'rain'" in answer.json()["message"]
