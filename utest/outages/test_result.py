"""From a finished measurement to tables, record, files and picture; the probers are made up."""

from __future__ import annotations

import gzip
import json
import threading
import time
from types import SimpleNamespace

import jsonschema
import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary._mechanics.iperf3.paced import iperf_result, retransmit_percent
from NetLibrary._mechanics.kube.absences import Absences
from NetLibrary._mechanics.outages.causes import impacts_of
from NetLibrary._mechanics.outages.judge import Limits, checks
from NetLibrary._mechanics.outages.objects import Endpoints
from NetLibrary._mechanics.outages.results.outcome import read
from NetLibrary._mechanics.outages.run.inpod.wire import FRAME, MAGIC, RECORD, Outcome, json_frame
from NetLibrary._mechanics.outages.run.measurement import Measurement, check_times
from NetLibrary._mechanics.outages.run.probers import Prober
from NetLibrary._mechanics.outages.show import tables
from NetLibrary._mechanics.outages.show.probes import write_probes
from NetLibrary._mechanics.outages.show.timeline import draw
from NetLibrary._mechanics.outages.types import ProbeKind, StreamSpec
from NetLibrary._mechanics.records import Recorder, Surroundings, plain, schema
from NetLibrary._mechanics.report import html_table
from NetLibrary.keywords import _robot
from NetLibrary.keywords._outages import begin_on_good_paths, state_of
from NetLibrary.keywords._session import Session

MS = 1_000_000
SNMP = "Icmp: OutEchos InEchoReps\nIcmp: {0} {0}\nTcp: OutSegs RetransSegs\nTcp: {1} {2}\n"


class MadeUp(Prober):
    """A prober whose records are made when it is told to end: an outage on stream 1 while its step ran."""

    def __init__(self, specs, **options):
        super().__init__("made up", specs, duration_s=60)
        self.began = 0
        self.options = options

    def start(self):
        self.began = time.monotonic_ns()
        if self.options.get("dead"):
            self.log.feed(
                MAGIC + json_frame({"event": "cannot", "stream": 1, "what": "icmp", "why": "no socket", "t": 1})
            )
            self._done.set()
            return
        first = {"event": "start", "first": self.began, "t": self.began, "streams": {"1": self.began}}
        self.log.feed(MAGIC + json_frame(first) + self._counters(0) + self._frame([self._probe(1, 0, Outcome.OK)]))
        for number in list(self.log.specs)[1:]:
            self.log.feed(self._frame([self._probe(number, 0, Outcome.OK)]))

    @staticmethod
    def _frame(records):
        data = b"".join(RECORD.pack(*record) for record in records)
        return FRAME.pack(b"P", len(data)) + data

    def _probe(self, stream, sequence, outcome):
        sent = self.began + sequence * 10 * MS
        return (stream, outcome, 0, sequence, sent, MS if outcome == Outcome.OK else 1000 * MS)

    def _counters(self, count):
        files = {"snmp": SNMP.format(count, 1000 + count, count // 10)}
        return json_frame({"event": "counters", "files": files, "t": time.monotonic_ns()})

    def stop(self):
        if self._done.is_set():
            return
        last = (time.monotonic_ns() - self.began) // (10 * MS)
        for number in self.log.specs:
            bad = range(20, 30) if number == 1 else ()
            outcomes = [Outcome.LOST if n in bad else Outcome.OK for n in range(1, last)]
            self.log.feed(self._frame([self._probe(number, n, o) for n, o in enumerate(outcomes, 1)]))
        end = {"event": "end", "why": "signal 15", "t": time.monotonic_ns(), "streams": {}}
        self.log.feed(self._counters(last) + json_frame(end))
        self._done.set()


SPECS = [
    StreamSpec(1, "pod", ProbeKind.ICMP, "10.0.0.1"),
    StreamSpec(2, "pod", ProbeKind.TCP_NEW, "10.0.0.1", 7007, 10),
]


@pytest.fixture
def result():
    said: list[str] = []
    measurement = Measurement("test", [MadeUp(SPECS)], [], quiet_s=0.03, settle_s=0.1, progress=said.append)
    measurement.start()
    measurement.wait_quiet()
    with measurement.step("stop agent"):
        time.sleep(0.4)
    with measurement.step("start agent"):
        time.sleep(0.01)
    recording = measurement.finish()
    assert measurement.finish() is recording
    assert any("step 'stop agent'" in line for line in said)
    return read(recording)


def test_outages_are_attributed_and_counted(result):
    assert result.errors == []
    assert [impact.step for impact in impacts_of(result)] == ["stop agent", "start agent"]
    assert impacts_of(result)[0].paths == ["pod"]
    assert impacts_of(result)[1].paths == []
    assert result.longest_outage_ms == pytest.approx(100, abs=1)
    assert result.figures["made up"].total_icmp_echo == result.deltas["made up"].get("Icmp.OutEchos")


def test_the_figures_are_printed_as_the_original_does(result):
    (document,) = json.loads(tables.as_the_original_prints(result))
    assert list(document) == [
        "DurationSeconds", "RemoteAddress", "RemotePort", "TotalIcmpEcho", "IcmpLost", "TotalTCPOutSegments",
        "TCPRetransSegment", "TotalTCPConnection", "FailedTCPConnection",
    ]  # fmt: skip
    assert document["IcmpLost"] == 10
    assert document["RemotePort"] == 7007


def test_retransmits_are_judged_for_each_path(result):
    end = {"sum_sent": {"retransmits": 50}, "sum_received": {"bytes": 950_000, "seconds": 1}}
    run = iperf_result({"name": "service tcp", "document": {"start": {"test_start": {"blksize": 1000}}, "end": end}})
    assert retransmit_percent(run) == pytest.approx(5)
    result.iperf = [run]
    found = checks(Limits(retransmits_at_most=1), result)
    assert [check.text for check in found if not check.passed][-1] == (
        "service tcp (iperf3): 50 of 1000 segments were sent again (5.00%), limit 1.00%"
    )


def test_tables_hold_the_figures_and_escape_foreign_text(result):
    text = html_table(tables.STREAM_COLUMNS, tables.stream_rows(result), "<b>")
    assert "100 (90 to 110)" in text
    assert "&lt;b&gt;" in text
    steps = html_table(tables.STEP_COLUMNS, tables.step_rows(result))
    assert "silent drop" in steps
    assert len(tables.figure_rows(result)) == 2


def test_the_record_is_plain_json_with_units_in_its_names(result):
    record = plain({"s": tables.summary(result), "p": tables.samples(result), "r": tables.series(result)})
    text = json.dumps(record)
    assert record["s"]["longest_outage_ms"] == pytest.approx(100, abs=1)
    assert record["s"]["longest_ms pod icmp"] == pytest.approx(100, abs=1)
    assert record["s"]["longest_outage_stream"] == "pod icmp"
    assert record["r"]["impacts"][0]["kinds"] == ["silent drop"]
    assert '"length_ms"' in text


def test_the_record_fulfils_the_schema(result, tmp_path):
    recorder = Recorder(lambda: tmp_path, Surroundings)
    record = recorder.add(
        kind="network_break", name="x", samples=tables.samples(result), series=tables.series(result),
        summary=tables.summary(result),
    )  # fmt: skip
    jsonschema.validate(record, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**record, "summary": {}}, schema())


def test_every_probe_is_in_the_compressed_file(result, tmp_path):
    path = tmp_path / "probes.jsonl.gz"
    count = write_probes(path, result)
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    probes = [line for line in lines if "outcome" in line]
    assert len(probes) == count == sum(len(log.probes) for _source, log, _shift in result.logs)
    assert sum(line["outcome"] == "LOST" for line in probes) == 10
    assert [line["step"] for line in lines if "step" in line] == ["stop agent", "start agent"]


def test_the_picture_is_drawn_also_when_nothing_happened(result, tmp_path):
    draw(tmp_path / "one.png", result)
    for stream in result.streams:
        stream.windows = []
    draw(tmp_path / "none.png", result)
    result.streams, result.steps = [], []
    draw(tmp_path / "empty.png", result)
    assert all(path.stat().st_size > 3000 for path in tmp_path.glob("*.png"))


def test_a_step_that_fails_is_kept_with_its_error_and_the_rest_is_measured():
    measurement = Measurement("test", [MadeUp(SPECS)], [], quiet_s=0.1, settle_s=0.05)
    measurement.start()
    measurement.wait_quiet()
    with pytest.raises(RuntimeError, match="boom"), measurement.step("reload"):
        raise RuntimeError("boom")
    found = read(measurement.finish())
    assert found.steps[0].error == "boom"
    assert found.streams[0].answered > 5


def test_a_limit_that_ends_before_the_disturbance_and_a_rate_that_cannot_be_held_are_errors():
    prober = MadeUp(SPECS[:1])
    measurement = Measurement("test", [prober], [], quiet_s=0.1, settle_s=0.05)
    measurement.start()
    measurement.wait_quiet()
    skipped = [(1, Outcome.SKIPPED, 0, 1000, prober.began, 400)]
    end = {"event": "end", "why": "duration", "t": time.monotonic_ns(), "streams": {}}
    prober.log.feed(prober._frame(skipped) + json_frame(end))
    prober._done.set()
    found = read(measurement.finish())
    assert "could not hold the rate: 400 of 401 probes" in found.errors[0]
    assert "time limit ended the prober in made up before the disturbance was over" in found.errors[1]


def test_a_prober_that_cannot_measure_is_an_error_at_once():
    measurement = Measurement("test", [MadeUp(SPECS[:1], dead=True)], [], quiet_s=0.1)
    with pytest.raises(EnvironmentProblem, match="Nothing can be measured from made up: icmp: no socket"):
        measurement.start()


@pytest.mark.parametrize(
    ("times", "words"),
    [((60, -1, 2), "quiet is -1 s"), ((60, 0.1, 2), "at least 0.5 s"), ((5, 3, 2), "timeout is 5 s, which leaves")],
)
def test_times_that_cannot_work_are_refused(times, words):
    with pytest.raises(InputError, match=words):
        check_times(*times)


INTERVALS = [
    {"sum": {"bytes": got, "seconds": 0.1, "packets": 10, "lost_packets": lost}}
    for got, lost in ((1000, 0), (0, 0), (0.0, 0), (0, 7), (1000, 3))
]


def test_iperf3_gap_is_the_longest_run_without_a_byte():
    end = {"sum_received": {"bytes": 2000, "seconds": 0.5, "jitter_ms": 0.1, "lost_packets": 10, "packets": 50}}
    found = iperf_result({"name": "pod udp", "document": {"start": {"version": "iperf 3.16"}, "intervals": INTERVALS,
                                                          "end": end}})  # fmt: skip
    assert found.longest_gap_ms == pytest.approx(300)
    assert (found.lost_packets, found.packets, found.error) == (10, 50, None)
    assert found.bits_per_second == pytest.approx(32_000)


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"error": "unable to connect to server: Connection refused", "end": {}}, "Connection refused"),
        ({"intervals": [], "end": {}}, "nothing was transferred"),
        ({"error": "interrupt - the client has terminated", "intervals": INTERVALS, "end": {}}, None),
        (None, "no JSON output, exit status 1"),
    ],
)
def test_iperf3_success_is_told_by_its_bytes_and_not_by_its_exit_status(document, error):
    """3.12 ends with 0 after a refused connection, 3.19 with 0 after a signal; our own signal is no error."""
    found = iperf_result({"name": "x", "document": document, "exit_code": 1, "stderr": ""})
    assert (error in (found.error or "")) if error else found.error is None
    if error is None:
        assert (found.bytes, found.lost_packets) == (2000, 10)


def test_a_count_of_iperf3_that_is_no_number_ends_no_measurement() -> None:
    """The stream beside the probes had a reader of its own, which raised ValueError at the end of a measurement."""
    damaged = {"end": {"sum_received": {"bytes": "nan", "seconds": None}}, "intervals": [None, {"sum": {"bytes": "x"}}]}
    found = iperf_result({"name": "service tcp", "document": damaged})
    assert (found.bytes, found.error) == (0, "nothing was transferred")


class Late(MadeUp):
    """A prober whose stream 1 gets its first answer a moment after it was started."""

    def start(self):
        super().start()
        self.log.feed(self._frame([self._probe(1, 1, Outcome.LOST)]))
        if self.options.get("seconds") is not None:
            threading.Timer(self.options["seconds"], self._answer).start()

    def _answer(self):
        self.log.feed(self._frame([self._probe(1, 40, Outcome.OK), self._probe(2, 40, Outcome.OK)]))


@pytest.mark.parametrize("away", [True, False])
def test_paths_that_come_late_after_an_absence_of_the_api_server_are_no_outage(away, monkeypatch):
    """kube-proxy learned of the Service half a minute later, which was told as an outage of the row's disturbance."""
    said: list[str] = []
    monkeypatch.setattr(_robot, "console", said.append)
    absences = Absences(lambda: 10.0, pause=lambda seconds: None)
    if away:
        absences.silent(7.0)
        absences.heard()
    cluster = SimpleNamespace(connection=SimpleNamespace(absences=absences))
    session, probers = Session(timeout=1), [Late(SPECS, seconds=0.3), MadeUp(SPECS)]
    begun = [Measurement("test", [prober], [], quiet_s=0.03, settle_s=0.1) for prober in probers]
    running = begin_on_good_paths(session, cluster, begun[0], lambda: begun[1], parameters={}, endpoints=Endpoints({}))
    assert running is begun[1 if away else 0] is state_of(session).running
    assert ["Not measured yet: pod icmp. The API server was away" in text for text in said] == ([True] if away else [])
    running.abandon()


def test_paths_that_stay_broken_are_measured_as_they_are():
    absences = Absences(lambda: 10.0)
    cluster, session = SimpleNamespace(connection=SimpleNamespace(absences=absences)), Session(timeout=1)
    first = Measurement("test", [Late(SPECS)], [], quiet_s=0.03, settle_s=0.1)
    given = {"parameters": {}, "endpoints": Endpoints({}), "patience": 0.5}
    assert begin_on_good_paths(session, cluster, first, pytest.fail, **given) is first
    first.abandon()
