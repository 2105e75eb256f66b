"""Runs against their limits: what fails, what cannot be told, and that the record says the same as the test."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from robot.api import Error, Failure

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube.absences import Absences
from NetLibrary._mechanics.throughput import Interval, Iperf3Problem, Measurement, Request, causes, ends, run
from NetLibrary._mechanics.throughput.judge import Limits, judge, no_traffic
from NetLibrary._mechanics.throughput.run import Outcome
from NetLibrary._mechanics.verdict import verdict
from NetLibrary.keywords import _robot
from NetLibrary.keywords._session import Session
from NetLibrary.keywords.throughput import ThroughputKeywords, _never_connected
from NetLibrary.keywords.throughput_servers import ThroughputServerKeywords
from NetLibrary.types import Bitrate, Percentage, Protocol

TCP = Measurement(5e6, 625_000, 1.0, 5e6, sent_bytes=625_000, retransmits=3, intervals=(Interval(0, 1, 5e6),))
UDP = Measurement(
    9e6, 1_125_000, 1.0, 1e7, sent_bytes=1_250_000, packets=1000, received_packets=900, lost_packets=100,
    lost_percent=10.0, lost_percent_at_most=10.0, jitter_ms=0.1, protocol="udp",
)  # fmt: skip
BROKEN = Iperf3Problem(
    "closed", "control socket has closed unexpectedly", exit_status=1,
    intervals=tuple(Interval(i, i + 1, 8e6) for i in range(3)),
)  # fmt: skip
POD = {
    "metadata": {"name": "c", "namespace": "demo"},
    "spec": {"nodeName": "node2", "containers": [{"name": "iperf3", "image": "i:1"}]},
    "status": {"podIP": "10.0.0.3", "containerStatuses": [{"name": "iperf3", "image": "i:1", "imageID": "i@sha256:1"}]},
}


def status(result: Measurement, limits: Limits, **request: Any) -> str:
    checks, errors = judge(result, Request("s", **request), limits)
    found = verdict(checks, errors).status
    assert found is not None
    return found.value


@pytest.mark.parametrize(
    ("result", "limits", "right"),
    [
        (TCP, Limits(), "not judged"),
        (TCP, Limits(at_least=5e6, at_most=5e6), "passed"),
        (TCP, Limits(at_least=5.1e6), "failed"),
        (TCP, Limits(at_most=4.9e6), "failed"),
        (TCP, Limits(retransmits_at_most=3), "passed"),
        (TCP, Limits(retransmits_at_most=2), "failed"),
        (replace(TCP, retransmits=None), Limits(retransmits_at_most=2), "error"),
        (replace(TCP, streams=4, silent_streams=1, duration_seconds=2.0), Limits(), "failed"),
        (replace(TCP, streams=4, silent_streams=1), Limits(), "not judged"),  # too short to tell
        # A stream has four blocks on average before one without any is told
        (
            replace(TCP, streams=4, silent_streams=1, duration_seconds=2.0, uncounted_bytes=160_000),
            Limits(),
            "not judged",
        ),
        (replace(TCP, streams=4, silent_streams=1, duration_seconds=2.0, uncounted_bytes=150_000), Limits(), "failed"),
        # 131072 bytes more would be 6.05 Mbit/s
        (replace(TCP, uncounted_bytes=131_072), Limits(at_least=6e6), "error"),
        (replace(TCP, uncounted_bytes=131_072), Limits(at_least=6.1e6), "failed"),
        (replace(TCP, uncounted_bytes=131_072), Limits(at_least=5e6), "passed"),
        (UDP, Limits(lost_at_most=10), "passed"),
        (UDP, Limits(lost_at_most=9), "failed"),
        # Late and doubled datagrams leave the loss between 0 and 10 %
        (replace(UDP, lost_percent=0.0, lost_percent_at_most=10.0), Limits(lost_at_most=10), "passed"),
        (replace(UDP, lost_percent=0.0, lost_percent_at_most=10.0), Limits(lost_at_most=1), "error"),
        (replace(UDP, lost_percent=0.0, lost_percent_at_most=None), Limits(lost_at_most=1), "error"),
        (replace(UDP, lost_percent=5.0, lost_percent_at_most=None), Limits(lost_at_most=1), "failed"),
        (replace(UDP, lost_percent=None, lost_percent_at_most=None), Limits(lost_at_most=1), "error"),
        (replace(UDP, contradictions=("both",)), Limits(lost_at_most=100), "error"),
        (replace(TCP, contradictions=("both",)), Limits(), "error"),
    ],
)
def test_limit_is_met_or_missed_or_cannot_be_told(result: Measurement, limits: Limits, right: str) -> None:
    assert status(result, limits) == right


def test_limits_that_nothing_can_meet_or_miss_are_refused_before_anything_runs() -> None:
    with pytest.raises(InputError, match=r"at_least is 5 Mbit/s and at_most is 1 Mbit/s; no rate is both\."):
        Limits(at_least=5e6, at_most=1e6)
    with pytest.raises(InputError, match=r"lost_at_most is 101 %"):
        Limits(lost_at_most=101)
    Limits(at_least=5e6, at_most=5e6, lost_at_most=100)


def test_sender_above_its_limit_fails() -> None:
    assert status(TCP, Limits(), bits_per_second=5e6) == "passed"
    assert status(TCP, Limits(), bits_per_second=4e6) == "failed"


def test_run_that_broke_is_told_with_how_far_it_came() -> None:
    checks, errors = no_traffic(BROKEN, Request("s", seconds=6), "demo", attempts=1, seconds=3.4)
    assert not errors
    assert checks[0].sentence == (
        "The traffic from 'demo' to 's:5201' broke off after 3.0 s of 6 s: closed: control socket has closed unexpectedly "
        "(exit status 1). Until then 8 Mbit/s."
    )


@pytest.mark.parametrize(
    ("kind", "of_the_network"),
    [
        ("refused", True), ("unreachable", True), ("timed out", True), ("reset", True), ("closed", True),
        ("unresolved", True), ("nothing arrived", True), ("no data", True), ("busy", False), ("one-sided", False),
        ("contradiction", False), ("cut off", False), ("unsupported", False), ("cannot start", False),
        ("crashed", False), ("killed", False), ("unreadable", False), ("interrupted", False), ("failed", False),
    ],
)  # fmt: skip
def test_only_what_the_network_did_is_a_failure(kind: str, of_the_network: bool) -> None:
    checks, errors = no_traffic(Iperf3Problem(kind, "words"), Request("s"), "demo", attempts=2, seconds=1.0)
    assert (bool(checks), bool(errors)) == (of_the_network, not of_the_network)
    assert "No throughput from 'demo' to 's:5201' (2 attempts, 1.0 s): " in [*errors, *(c.sentence for c in checks)][0]


# --- the keyword ----------------------------------------------------------------------------------------


class Rig:
    """The keyword over a client that ends as told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outcome = Outcome(TCP, None, 1, "", POD, 1.0)
        self.keywords = ThroughputKeywords()
        self.keywords.session = Session(timeout=1)
        self.path = folder / "measurements.jsonl"
        monkeypatch.setattr(_robot, "output_dir", lambda: folder)
        self.keywords.session.recorder._folder = lambda: folder
        cluster: Any = SimpleNamespace(connection=SimpleNamespace(absences=Absences()))
        self.keywords.session.cluster = lambda alias=None: cluster  # type: ignore[method-assign]
        monkeypatch.setattr(run, "run_job", lambda *_, **__: self.outcome)
        monkeypatch.setattr(causes, "several_servers", lambda *_: "")
        monkeypatch.setattr(causes, "closed_port", lambda *_: "")
        monkeypatch.setattr(causes, "known_name", lambda *_: False)
        monkeypatch.setattr(ends.Server, "behind", lambda *_: None)
        monkeypatch.setattr(causes, "about_the_server", lambda *_: ["It is held by 10.0.0.9."])

    def ends(self, end: Measurement | Iperf3Problem) -> None:
        measured = isinstance(end, Measurement)
        self.outcome = Outcome(end if measured else None, None if measured else end, 1, "", POD, 1.0)  # type: ignore[arg-type]

    def measure(self, **options: Any) -> Measurement:
        return self.keywords.measure_throughput("s", "demo", duration=timedelta(seconds=6), name="n", **options)

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text().splitlines()[-1])
        return found


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


def test_passed_run_is_recorded_as_passed(rig: Rig) -> None:
    assert rig.measure(at_least=Bitrate(1e6)) == TCP
    record = rig.record()
    assert (record["verdict"]["status"], record["summary"]["bits_per_second"]) == ("passed", 5e6)
    assert [check["rule"] for check in record["checks"]] == ["throughput at least"]


def test_run_without_traffic_is_recorded(rig: Rig) -> None:
    """It left a hole in the trend just where it matters."""
    rig.ends(Iperf3Problem("refused", "Connection refused"))
    with pytest.raises(Failure, match="refused: Connection refused"):
        rig.measure()
    record = rig.record()
    assert record["verdict"]["status"] == "failed"
    assert (record["summary"]["bits_per_second"], record["summary"]["outcome"]) == (0.0, "refused")


def test_run_that_broke_counts_with_what_got_through(rig: Rig) -> None:
    rig.ends(BROKEN)
    with pytest.raises(Failure, match=r"(?s)broke off after 3\.0 s of 6 s.*It is held by 10\.0\.0\.9\."):
        rig.measure()
    summary = rig.record()["summary"]
    assert (summary["bits_per_second"], summary["broke_after_seconds"]) == (4e6, 3)
    assert len(rig.record()["series"]["intervals"]) == 3


def test_client_that_cannot_tell_is_an_error_without_figures(rig: Rig) -> None:
    rig.ends(Iperf3Problem("one-sided", "iperf 3.9 tells only what was sent"))
    with pytest.raises(Error, match="tells only what was sent"):
        rig.measure(protocol=Protocol.UDP, lost_at_most=Percentage(1))
    assert rig.record()["verdict"]["status"] == "error"
    assert rig.record()["summary"]["bits_per_second"] is None


def test_contradiction_is_an_error_whatever_the_limits(rig: Rig) -> None:
    rig.ends(replace(UDP, contradictions=("more arrived than was sent",)))
    with pytest.raises(Error, match="The two ends contradict each other: more arrived than was sent"):
        rig.measure(protocol=Protocol.UDP, lost_at_most=Percentage(100))


def test_former_arguments_go_on_working(rig: Rig) -> None:
    rig.ends(UDP)
    with pytest.raises(Failure, match="at most 1 % was expected"):
        rig.measure(protocol=Protocol.UDP, at_most_lost=Percentage(1), retry=timedelta(0))


@pytest.mark.parametrize(("protocol", "limit"), [("TCP", "lost_at_most"), ("UDP", "retransmits_at_most")])
def test_limit_of_the_other_protocol_is_refused_before_anything_runs(rig: Rig, protocol: str, limit: str) -> None:
    with pytest.raises(Error, match=limit):
        rig.measure(protocol=Protocol[protocol], **{limit: Percentage(1) if protocol == "TCP" else 1})
    assert not rig.path.exists()


@pytest.mark.parametrize(
    ("end", "raised", "recorded"),
    [
        (Iperf3Problem("refused", "r"), None, "passed"),
        (TCP, Failure, "failed"),
        (Iperf3Problem("timed out", "t"), Failure, "failed"),
        (Iperf3Problem("busy", "b"), Failure, "failed"),
        (Iperf3Problem("cannot start", "c"), Error, "error"),
    ],
)
def test_refusal_is_judged_and_recorded(rig: Rig, end: Any, raised: Any, recorded: str) -> None:
    rig.ends(end)
    if raised:
        with pytest.raises(raised):
            rig.keywords.traffic_should_be_refused("s", "demo", timeout=timedelta(0), name="n")
    else:
        assert rig.keywords.traffic_should_be_refused("s", "demo", timeout=timedelta(0), name="n") == "r"
    assert rig.record()["verdict"]["status"] == recorded


def test_repeats_are_judged_by_their_variation(rig: Rig) -> None:
    keywords = ThroughputServerKeywords()
    keywords.session = rig.keywords.session
    runs = [replace(TCP, bits_per_second=rate) for rate in (90e6, 100e6, 110e6)]
    assert keywords.repeats_should_be_steady(*runs, name="r").median == 100e6
    assert rig.record()["verdict"]["status"] == "not judged"
    assert rig.record()["summary"]["variation_percent"] == pytest.approx(10)
    with pytest.raises(Failure, match="variation at most 5 %: seen 10 %"):
        keywords.repeats_should_be_steady(*runs, variation_at_most=Percentage(5), name="r")
    with pytest.raises(Error, match="There are 1 results"):
        keywords.repeats_should_be_steady(TCP)


def test_paths_are_compared_with_one_of_them(rig: Rig) -> None:
    keywords = ThroughputServerKeywords()
    keywords.session = rig.keywords.session
    keywords.paths_should_carry_their_share("pod", Percentage(50), name="p", pod=UDP, service=TCP)
    assert (rig.record()["verdict"]["status"], rig.record()["summary"]["pod_share_percent"]) == ("passed", 100)
    with pytest.raises(Failure, match="share of service at least 60 %"):
        keywords.paths_should_carry_their_share("pod", Percentage(60), name="p", pod=UDP, service=TCP)
    with pytest.raises(Error, match="reference is 'x'; there are pod"):
        keywords.paths_should_carry_their_share("x", pod=UDP)


def test_share_of_another_run_is_judged_and_recorded(rig: Rig) -> None:
    assert rig.keywords.throughput_should_be_at_least_share(TCP, UDP, Percentage(50)) == pytest.approx(55.6, abs=0.1)
    with pytest.raises(Failure, match="at least 60 % was expected"):
        rig.keywords.throughput_should_be_at_least_share(TCP, UDP, Percentage(60))
    assert rig.record()["verdict"]["status"] == "failed"
    with pytest.raises(Error, match="carried no data"):
        rig.keywords.throughput_should_be_at_least_share(TCP, replace(UDP, bits_per_second=0.0), Percentage(1))


@pytest.mark.parametrize(
    ("problem", "again"),
    [
        (Iperf3Problem("timed out", "Operation timed out"), True),
        (Iperf3Problem("refused", "Connection refused"), True),
        (Iperf3Problem("unresolved", "Name does not resolve"), True),
        (Iperf3Problem("timed out", "idle timeout", intervals=(Interval(0, 1, 5e6),)), False),
        (Iperf3Problem("nothing arrived", "893 datagrams were sent and none arrived"), False),
        (Iperf3Problem("busy", "the server is busy"), False),
        (None, False),
    ],
)
def test_after_an_absence_only_a_client_that_never_connected_is_started_again(
    problem: Iperf3Problem | None, again: bool
) -> None:
    assert _never_connected(Outcome(None, problem, 1, "", {}, 1.0)) is again
