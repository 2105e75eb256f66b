"""Many connections at once, an idle one, and the server that `netlibrary echo` starts."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import urllib.request

import pytest
from click.testing import CliRunner

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.iperf3.paced import IperfResult, iperf_result, retransmit_percent
from NetLibrary._mechanics.outages import outside_servers
from NetLibrary._mechanics.outages.objects import SOURCE, Endpoints, Outside, Target
from NetLibrary._mechanics.outages.places import iperf_runs
from NetLibrary._mechanics.outages.results.combine import evaluate_all, joined, over_sources, together
from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.results.stream import evaluate
from NetLibrary._mechanics.outages.run.probers import LocalProber
from NetLibrary._mechanics.outages.show.tables import published_rows
from NetLibrary._mechanics.outages.streams import Rates, streams
from NetLibrary._mechanics.outages.types import OutageKind, ProbeKind, StreamLog, StreamResult, StreamSpec, Window
from NetLibrary.cli import main

from .conftest import MS, T0, Timeline
from .test_prober import echo_server, free_port, run_prober

TARGET = Target("service", SOURCE, "10.0.0.1", 7007, (ProbeKind.ICMP, ProbeKind.TCP_NEW, ProbeKind.TCP_KEPT))


@pytest.mark.parametrize(
    ("connections", "new_ms", "kept_ms"), [(1, 10, 10), (10, 100, 10), (100, 1000, 100), (1000, 10_000, 1000)]
)
def test_many_connections_share_the_rate_of_a_path(connections, new_ms, kept_ms):
    found = streams([TARGET], Rates(), connections=connections)[SOURCE]
    of_kind = {kind: [spec for spec in found if spec.kind is kind] for kind in TARGET.kinds}
    assert [len(of_kind[kind]) for kind in TARGET.kinds] == [1, connections, connections]
    assert {spec.period_ms for spec in of_kind[ProbeKind.TCP_NEW]} == {new_ms}
    assert {spec.period_ms for spec in of_kind[ProbeKind.TCP_KEPT]} == {kept_ms}
    assert of_kind[ProbeKind.TCP_NEW][-1].phase in (None, (connections - 1) / connections)
    assert len({spec.number for spec in found}) == len(found)


def test_connections_are_spread_over_the_sources_and_each_source_opens_one_at_least():
    found = streams([TARGET], Rates(), connections=5, sources=2)
    assert {place: len(specs) for place, specs in found.items()} == {"source": 1 + 3 + 3, "source 2": 2 + 2}
    assert [spec.kind for spec in streams([TARGET], Rates(), sources=2)["source 2"]] == list(TARGET.kinds[1:])


@pytest.mark.parametrize("connections", [0, 1001])
def test_a_number_of_connections_that_cannot_be_is_refused(connections):
    with pytest.raises(InputError, match="allowed: 1 to 1000"):
        streams([TARGET], Rates(), connections=connections)


def window(start_ms: float, length_ms: float, kind: OutageKind = OutageKind.RESET) -> Window:
    start = T0 + int(start_ms * MS)
    return Window(start, start + int(length_ms * MS), length_ms - 5, length_ms + 5, kind, {"RESET": 1}, 1)


def test_outages_of_several_connections_that_overlap_are_one_as_long_as_the_longest():
    found = together([window(0, 100), window(40, 250), window(1000, 50), window(280, 10)])
    assert [(round(w.length_ms), w.connections, w.outcomes) for w in found] == [
        (250, 3, {"RESET": 3}), (50, 1, {"RESET": 1}),
    ]  # fmt: skip


def test_each_connection_that_breaks_is_counted_and_those_without_a_result_are_told():
    spec = StreamSpec(1, "service", ProbeKind.TCP_KEPT, "10.0.0.1", connections=3)
    broken = StreamResult(spec, sent=10, answered=8, kept_breaks=1, kept_resets=1, windows=[window(0, 100)])
    whole = joined([broken, StreamResult(spec, sent=10, answered=10), StreamResult(spec, invalid="no good probe")])
    assert (whole.sent, whole.lost, whole.kept_breaks, whole.kept_resets, len(whole.windows)) == (20, 2, 1, 1, 1)
    assert whole.findings == ["service tcp_kept (3 connections): 1 of 3 connections have no result: no good probe"]
    assert over_sources([broken, broken])[0].kept_resets == 2


def test_new_connections_in_turn_are_one_stream_with_a_finer_time():
    """Each of ten streams opens one each 100 ms; together they see an outage of 300 ms as one that opens each 10 ms."""
    logs = []
    for number in range(10):
        line = Timeline(ProbeKind.TCP_NEW, period_ms=100)
        spec = StreamSpec(number + 1, "p", ProbeKind.TCP_NEW, "10.0.0.1", period_ms=100, connections=10)
        probes = line.probes(3, [(1000, 300)], phase_ms=number * 10, jitter_ms=0)
        logs.append(StreamLog(spec, probes, end_ns=T0 + 3000 * MS))
    (result,) = evaluate_all(logs)
    (outage,) = result.outages
    assert outage.length_ms == pytest.approx(300, abs=10)
    assert outage.longest_ms - outage.shortest_ms <= 20
    assert (result.sent, result.path_spacing_ms) == (300, 10)


def test_ten_connections_at_once_are_open_together(tmp_path):
    """A connection is held until its stream opens the next, so that as many are open as were asked for."""
    port = free_port()
    target = Target("loop", SOURCE, "127.0.0.1", port, (ProbeKind.TCP_NEW, ProbeKind.TCP_KEPT), endpoint="x")
    specs = streams([target], Rates(connection_ms=10), connections=10)[SOURCE]
    most = 0
    with echo_server(port):
        prober = LocalProber("here", specs, duration_s=30)
        prober.start()
        until = time.monotonic() + 15
        while most < 20 and time.monotonic() < until:
            with open("/proc/net/tcp", encoding="ascii") as lines:
                most = max(most, sum(1 for line in lines if f":{port:04X} 01 " in " ".join(line.split()[2:4]) + " "))
            time.sleep(0.02)
        prober.stop()
        prober.wait(10)
        prober.remove_files()
    assert most >= 20
    results = evaluate_all(prober.log.stream_logs())
    assert [result.lost for result in results] == [0, 0]


class Greeter:
    """A server with a protocol of its own: greets, and says nothing else until it is told how to end."""

    def __init__(self, how: str, after_s: float) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.how, self.after_s = how, after_s
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                sock, _peer = self.listener.accept()
            except OSError:
                return
            sock.sendall(b"220 greetings\r\n")
            time.sleep(self.after_s)
            if self.how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


@pytest.mark.parametrize(
    ("how", "after_s", "breaks", "closed"),
    [("reset", 0.4, True, False), ("close", 0.4, False, True), ("stay", 60, False, False)],
)
def test_an_idle_connection_tells_a_reset_from_an_end_in_good_order(tmp_path, how, after_s, breaks, closed):
    """A server that closes what is idle is no fault of the network, and must not be counted as one."""
    server = Greeter(how, after_s)
    spec = StreamSpec(1, "loop", ProbeKind.TCP_IDLE, "127.0.0.1", server.port, 1000, 900, exchange=False)
    log = run_prober(tmp_path, [spec], 3.3)
    server.listener.close()
    (stream,) = log.stream_logs()
    result = evaluate(stream)
    assert (result.kept_resets > 0, result.kept_breaks > 0, bool(stream.ended_by_server)) == (breaks, breaks, closed)
    assert bool(result.outages) == breaks
    assert any("in an orderly way" in note for note in result.notes) == closed
    assert result.invalid is None


def test_the_echo_server_says_what_it_offers_and_answers_http():
    port = free_port()
    with echo_server(port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/netlibrary", timeout=5) as page:
            assert json.load(page) == {"netlibrary-echo": 1, "port": port, "iperf3": []}
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
            assert page.status == 200
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(b"NLBKGET ")
            assert sock.recv(100) == b"NLBKGET "


def test_echo_prints_itself_for_a_machine_without_the_library():
    done = CliRunner().invoke(main, ["echo", "--print"])
    assert done.exit_code == 0
    compile(done.output, "echo_server.py", "exec")
    assert "class EchoServer" in done.output


class Asked:
    """A cluster whose source pod asks a server: runs the question here."""

    is_lab = False

    def exec(self, _namespace, _pod, command, **_options):
        import subprocess
        import sys

        return subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, timeout=20, check=False)


ENDPOINTS = {"source": {"metadata": {"name": "source"}}}


def asked(address: str, port: int) -> Outside:
    endpoints = Endpoints(ENDPOINTS)
    outside_servers.add(Asked(), "demo", endpoints, [], (address, port))
    (server,) = endpoints.outside
    return server


def test_our_server_outside_is_probed_in_all_ways_and_a_foreign_one_only_by_tcp():
    port = free_port()
    with echo_server(port):
        ours = asked("127.0.0.1", port)
    assert (ours.echo, ours.udp, ours.iperf_port) == (True, True, 0)
    assert {ProbeKind.UDP, ProbeKind.HTTP, ProbeKind.TCP_KEPT} < set(ours.kinds)
    foreign = Greeter("stay", 60)
    assert asked("127.0.0.1", foreign.port).kinds == (ProbeKind.ICMP, ProbeKind.TCP_NEW, ProbeKind.TCP_IDLE)
    foreign.listener.close()
    assert asked("127.0.0.1", 0).kinds == (ProbeKind.ICMP,)


def test_a_name_as_address_outside_is_refused():
    with pytest.raises(InputError, match=r"outside_address has 'example\.test'"):
        asked("example.test", 80)


def test_the_original_s_own_table_stands_beside_ours():
    icmp = StreamResult(StreamSpec(1, "own node", ProbeKind.ICMP, "10.0.0.9"), sent=100, answered=97)
    new = StreamResult(StreamSpec(2, "service", ProbeKind.TCP_NEW, "10.96.0.1", 80), sent=50, answered=48)
    foreign = StreamResult(StreamSpec(3, "dns", ProbeKind.DNS, "10.96.0.10", 53), sent=9, answered=9)
    result = OutageResult("reload", [icmp, new, foreign], [], iperf=[IperfResult("service tcp", retransmits=7)])
    assert published_rows(result) == [
        ["own node", "ICMP lost", "15", "1", "3 of 100"],
        ["service", "retransmits / connection failures", "86 / 0", "16 / 0", "7 / 2"],
    ]
    result.iperf.clear()
    assert published_rows(result)[1][-1] == "not measured / 2"
    assert published_rows(OutageResult("dns", [foreign], [])) == []


def test_what_a_client_of_iperf3_sent_again_is_known_although_it_is_interrupted():
    """With -R the client never learns it, so that `retransmits_at_most` judged nothing on any path."""
    (run,) = iperf_runs([Target("service", SOURCE, "10.0.0.1", iperf_port=5203)], 10_000_000)
    assert run["reverse"] is False
    (udp,) = iperf_runs([Target("service", SOURCE, "10.0.0.1", iperf_udp_port=5204)], 10_000_000, ["udp"])
    assert udp["reverse"] is True
    entry = {"bytes": 100_000, "seconds": 0.1, "sender": True, "retransmits": 1}
    document = {
        "start": {"test_start": {"blksize": 1000}},
        "intervals": [{"sum": entry}] * 10,
        "end": {"sum_sent": {"bytes": 1_000_000, "seconds": 1, "retransmits": 10}, "sum_received": {"bytes": 0}},
        "error": "interrupt - the client has terminated",
    }
    found = iperf_result({"name": "service tcp", "document": document})
    assert (found.retransmits, found.blocks, found.longest_gap_ms, found.error) == (10, 1000, None, None)
    assert retransmit_percent(found) == pytest.approx(100 * 10 / 1010)
