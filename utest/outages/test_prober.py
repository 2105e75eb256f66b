"""The prober itself, over loopback: real sockets, a real echo server, real refusals."""

from __future__ import annotations

import contextlib
import json
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import yaml

from NetLibrary._mechanics.outages.results.stream import evaluate
from NetLibrary._mechanics.outages.run.archive import INPOD, archive, echo_server_manifest
from NetLibrary._mechanics.outages.run.clock import SAME_CLOCK
from NetLibrary._mechanics.outages.run.echoes import lapses_in
from NetLibrary._mechanics.outages.run.inpod.dns import question
from NetLibrary._mechanics.outages.run.inpod.wire import MAGIC, FrameReader, Outcome, json_frame
from NetLibrary._mechanics.outages.run.logs import ProberLog
from NetLibrary._mechanics.outages.run.prober_config import configuration
from NetLibrary._mechanics.outages.run.probers import LocalProber
from NetLibrary._mechanics.outages.types import OutageKind, ProbeKind, StreamSpec
from NetLibrary._mechanics.polling import settle

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def echo_server(port: int):
    process = subprocess.Popen(
        [sys.executable, "-u", str(INPOD / "echo_server.py"), str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        while "on port" not in process.stdout.readline():
            assert process.poll() is None
        yield process
    finally:
        process.kill()
        process.wait()


def prober_process(folder: Path, specs, duration_s: float, **options) -> subprocess.Popen:
    (folder / "prober.pyz").write_bytes(archive())
    (folder / "config.json").write_text(json.dumps(configuration(specs, duration_s=duration_s, **options)))
    return subprocess.Popen(
        [sys.executable, "prober.pyz", "config.json"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run_prober(folder: Path, specs, duration_s: float = 1.0, **options) -> ProberLog:
    out, err = prober_process(folder, specs, duration_s, **options).communicate(timeout=20)
    assert not err
    log = ProberLog("test", specs)
    log.feed(out)
    return log


def all_kinds(port: int, address: str = "127.0.0.1") -> list[StreamSpec]:
    kinds = [ProbeKind.UDP, ProbeKind.TCP_NEW, ProbeKind.TCP_KEPT]
    return [StreamSpec(n, "loop", kind, address, port, 20, 500) for n, kind in enumerate(kinds, 1)]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_all_probes_of_a_good_path_are_answered(tmp_path, address):
    port = free_port()
    with echo_server(port):
        log = run_prober(tmp_path, all_kinds(port, address), 0.6)
    assert log.ended is not None
    assert log.ended["why"] == "duration"
    for stream in log.stream_logs():
        result = evaluate(stream)
        assert result.planned == pytest.approx(30, abs=2)
        assert result.answered == result.sent
        assert result.invalid is None
    assert len(log.counters) >= 2
    assert "Tcp: " in log.counters[0][1]["snmp"]


def test_a_rate_that_cannot_be_held_skips_probes_and_loses_none(tmp_path):
    """Sending must leave time for reading: answers that nobody read would look like losses."""
    port = free_port()
    kinds = [ProbeKind.UDP] * 60  # 300 000 a second, more than any machine's loop
    specs = [StreamSpec(n, f"loop {n}", kind, "127.0.0.1", port, 0.2, 1000) for n, kind in enumerate(kinds, 1)]
    with echo_server(port):
        log = run_prober(tmp_path, specs, 1.5)
    results = [evaluate(stream) for stream in log.stream_logs()]
    assert sum(result.skipped for result in results) > 0.2 * sum(result.planned for result in results)
    assert sum(result.lost for result in results) < 0.02 * sum(result.sent for result in results)


def test_nobody_listens_is_refused_and_not_lost(tmp_path):
    log = run_prober(tmp_path, all_kinds(free_port()), 0.4)
    for stream in log.stream_logs():
        assert {probe.outcome for probe in stream.probes} == {Outcome.REFUSED}
        assert "no good probe" in (evaluate(stream).invalid or "")


def test_no_route_is_told_with_its_error(tmp_path):
    """240.0.0.0/4 is refused by the routing of every Linux."""
    spec = StreamSpec(1, "nowhere", ProbeKind.UDP, "255.255.255.255", 9, 20, 300)
    log = run_prober(tmp_path, [spec], 0.3)
    (stream,) = log.stream_logs()
    assert {probe.outcome for probe in stream.probes} == {Outcome.UNSENT}
    assert all(probe.code for probe in stream.probes)


@contextlib.contextmanager
def measuring(specs):
    """Measures until the block ends; the block begins when every stream has been answered."""
    prober = LocalProber("here", specs, duration_s=30)
    prober.start()
    try:
        deadline = time.monotonic() + 10
        while len(prober.log.answered()) < len(specs) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        yield prober
        time.sleep(0.4)
    finally:
        prober.stop()
        prober.wait(5)
        prober.remove_files()


def test_a_server_that_dies_and_returns_is_an_outage_of_that_length():
    port = free_port()
    with contextlib.ExitStack() as servers:
        first = servers.enter_context(echo_server(port))
        with measuring(all_kinds(port)) as prober:
            first.kill()
            first.wait()
            died = time.monotonic_ns()
            time.sleep(0.4)
            servers.enter_context(echo_server(port))
            back = time.monotonic_ns()
    truth_ms = (back - died) / 1e6
    by_kind = {stream.spec.kind: evaluate(stream) for stream in prober.log.stream_logs()}
    kinds = {
        ProbeKind.UDP: OutageKind.REFUSED,
        ProbeKind.TCP_NEW: OutageKind.REFUSED,
        ProbeKind.TCP_KEPT: OutageKind.RESET,
    }
    for kind, expected in kinds.items():
        (window,) = by_kind[kind].windows
        assert window.kind is expected
        # What the machine took to tell us of the new server is part of our truth and not of the outage
        assert truth_ms - 300 <= window.length_ms <= truth_ms + 50
        assert window.shortest_ms <= window.length_ms <= window.longest_ms
    assert by_kind[ProbeKind.TCP_KEPT].kept_breaks == 1
    assert by_kind[ProbeKind.TCP_KEPT].kept_survived is False


def test_a_stalled_server_stalls_the_kept_connection_which_resumes():
    port = free_port()
    with echo_server(port) as server, measuring(all_kinds(port)) as prober:
        server.send_signal(signal.SIGSTOP)
        time.sleep(1.4)  # long enough to be compared with new connections, which get no answer either
        server.send_signal(signal.SIGCONT)
    kept = next(evaluate(stream) for stream in prober.log.stream_logs() if stream.spec.kind is ProbeKind.TCP_KEPT)
    window = kept.longest
    assert window is not None
    assert window.kind is OutageKind.STALLED
    assert window.length_ms == pytest.approx(1400, abs=200)
    assert kept.kept_survived is True


def one_deaf_connection(listener: socket.socket, deaf_after_s: float, done: threading.Event) -> None:
    """Echoes on all connections but the first, which it stops serving after a time without closing it."""
    first = None
    served: list[socket.socket] = []
    while not done.is_set():
        ready, _, _ = select.select([listener, *served], [], [], 0.1)
        for sock in ready:
            try:
                if sock is listener:
                    served.append(listener.accept()[0])
                    first = first or (served[-1], time.monotonic() + deaf_after_s)
                    continue
                data = sock.recv(65536)
                if data and (first is None or sock is not first[0] or time.monotonic() < first[1]):
                    sock.send(data)
            except OSError:
                data = b""
            if not data:
                served.remove(sock)


def test_a_connection_that_is_dead_while_new_ones_work_is_stranded_and_given_up():
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    server = threading.Thread(target=one_deaf_connection, args=(listener, 0.4, done), daemon=True)
    server.start()
    spec = StreamSpec(1, "loop", ProbeKind.TCP_KEPT, "127.0.0.1", listener.getsockname()[1], 20, 500)
    with measuring([spec]) as prober:
        deadline = time.monotonic() + 10
        while not prober.log.events_named("kept_broken") and time.monotonic() < deadline:
            time.sleep(0.05)
    done.set()
    server.join(5)
    listener.close()
    (log,) = prober.log.stream_logs()
    kept = evaluate(log)
    window = kept.longest  # a busy machine may add short ones
    assert window is not None
    assert window.kind is OutageKind.STRANDED
    # New ones are tried after a second of silence and work at once: given up a second after twice that time
    assert window.length_ms == pytest.approx(3000, abs=700)
    assert (kept.kept_breaks, kept.kept_resets) == (1, 0)
    assert re.search(r"new connections over the same path worked from 1\.\d s on", kept.findings[0])


def test_a_stopped_server_is_known_from_its_log():
    port = free_port()
    with echo_server(port) as server:
        time.sleep(0.1)
        server.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        server.send_signal(signal.SIGCONT)
        time.sleep(0.1)
        server.terminate()
        assert server.stdout is not None
        pauses = lapses_in(server.stdout.read(), SAME_CLOCK).paused
    assert max(until - since for since, until in pauses) / 1e6 == pytest.approx(200, abs=80)


@contextlib.contextmanager
def prober_that_delivers(folder, specs):
    """A prober whose output is collected; the block begins when each stream has got answers."""
    prober = prober_process(folder, specs, 60)
    received = bytearray()

    def collect() -> None:
        assert prober.stdout is not None
        while data := prober.stdout.read1():
            received.extend(data)

    reader = threading.Thread(target=collect)
    reader.start()
    log = ProberLog("test", specs)
    deadline = time.monotonic() + 15

    def answered() -> bool:
        seen = ProberLog("test", specs)
        seen.feed(bytes(received))
        return all(sum(p.outcome is Outcome.OK for p in s.probes) > 5 for s in seen.stream_logs())

    while received.count(b"counters") < 1 or not answered():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield prober, log
    reader.join(10)
    prober.wait(10)
    log.feed(bytes(received))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_complete_results(tmp_path, number):
    port = free_port()
    with echo_server(port), prober_that_delivers(tmp_path, all_kinds(port)) as (prober, log):
        prober.send_signal(number)
    assert prober.returncode == 0
    assert log.ended is not None
    assert log.ended["why"] == f"signal {int(number)}"


def test_what_was_measured_survives_a_kill(tmp_path):
    port = free_port()
    with echo_server(port), prober_that_delivers(tmp_path, all_kinds(port)) as (prober, log):
        prober.kill()
    assert log.ended is None
    for stream in log.stream_logs():
        result = evaluate(stream)
        assert result.answered > 3
        assert any("did not end properly" in note for note in result.notes)


def test_nobody_reading_ends_it(tmp_path):
    (tmp_path / "lease").touch()
    port = free_port()
    with echo_server(port):
        log = run_prober(tmp_path, all_kinds(port), 60, lease_file="lease", lease_s=1)
    assert log.ended is not None
    assert log.ended["why"].startswith("nothing has read the results")


def test_a_stream_that_cannot_be_opened_is_named_and_the_others_go_on(tmp_path):
    port = free_port()
    broken = StreamSpec(
        9, "names", ProbeKind.DNS, "127.0.0.1", 53, 50, 200, query="x" * 64 + ".example", query_type="NO"
    )
    with echo_server(port):
        log = run_prober(tmp_path, [*all_kinds(port), broken], 0.3)
    results = {stream.spec.number: evaluate(stream) for stream in log.stream_logs()}
    assert (results[9].invalid or "").startswith("not measured: dns to 127.0.0.1")
    assert results[1].answered > 5


def test_a_local_prober_delivers_while_it_runs_and_removes_its_files():
    port = free_port()
    with echo_server(port):
        prober = LocalProber("here", all_kinds(port), duration_s=30)
        prober.start()
        deadline = time.monotonic() + 5
        while len(prober.log.answered()) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert prober.log.open_outages() == []
        prober.stop()
        assert prober.wait(5)
        prober.remove_files()
    assert prober.failed is None
    assert prober.log.ended is not None
    assert not Path(prober._folder.name).exists()  # type: ignore[union-attr]


def test_frames_may_arrive_in_any_pieces():
    data = MAGIC + json_frame({"event": "a"}) + json_frame({"event": "b", "x": 1})
    for size in (1, 3, 7, len(data)):
        reader = FrameReader()
        found = [item for at in range(0, len(data), size) for item in reader.feed(data[at : at + size])]
        assert [content["event"] for _letter, content in found] == ["a", "b"]


def test_other_programs_output_is_refused_with_its_words():
    with pytest.raises(ValueError, match="python3: not found"):
        list(FrameReader().feed(b"sh: python3: not found\n"))


def test_dns_question_has_its_wire_form():
    assert question("a.example.", "A") == b"\x01a\x07example\x00\x00\x01\x00\x01"
    with pytest.raises(KeyError):
        question("a", "NOPE")


def test_the_archive_is_the_same_each_time_and_needs_nothing_else():
    assert archive() == archive.__wrapped__()
    names = zipfile.ZipFile(BytesIO(archive())).namelist()
    assert "__main__.py" in names
    assert not any("echo_server" in name for name in names)


def test_the_manifest_carries_the_present_echo_server():
    """`python -m NetLibrary._mechanics.outages.run.archive` writes it anew."""
    text = (ROOT / "manifests/network_break/echo-server.yaml").read_text()
    assert text == echo_server_manifest()
    assert yaml.safe_load(text)["data"]["echo_server.py"] == (INPOD / "echo_server.py").read_text()


@pytest.mark.root
@pytest.mark.parametrize(
    ("user", "group_range", "way"),
    [([], "1 0", "raw"), (["65534"], "0 65535", "ping socket"), (["65534"], "1 0", "none")],
)
def test_icmp_of_both_families_needs_only_what_ping_needs(tmp_path, user, group_range, way):
    """In a network namespace of its own: as root over a raw socket, as nobody over a ping socket, or not at all."""
    specs = [
        StreamSpec(n, f"v{n}", ProbeKind.ICMP, address, 0, 10, 300) for n, address in ((4, "127.0.0.1"), (6, "::1"))
    ]
    (tmp_path / "prober.pyz").write_bytes(archive())
    (tmp_path / "config.json").write_text(json.dumps(configuration(specs, duration_s=0.3)))
    script = f"ip link set lo up && sysctl -qw net.ipv4.ping_group_range='{group_range}' && exec \"$@\""
    # Everything is loaded as root: nobody may not be able to read the interpreter's own files
    program = (
        f"import encodings.ascii, json, os, sys\nsys.path.insert(0, '{tmp_path}/prober.pyz')\nfrom inpod.prober import run\n"
        f"config = json.load(open('{tmp_path}/config.json'))\n"
        f"for user in {user!r}:\n os.setgroups([]); os.setgid(int(user)); os.setuid(int(user))\n"
        "sys.exit(run(config, 1))\n"
    )
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script, "sh", sys.executable, "-c", program], capture_output=True, timeout=20
    )
    log = ProberLog("test", specs)
    log.feed(done.stdout)
    assert log.events_named("opened")[0]["icmp"] == way, done.stderr
    results = [evaluate(stream) for stream in log.stream_logs()]
    if way == "none":
        assert all("ping_group_range does not hold group 65534" in (result.invalid or "") for result in results)
    else:
        for result in results:
            assert result.answered == result.sent > 5, done.stderr


def test_echo_server_outside_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """It went on for ever, with its iperf3 servers, and kept their ports."""
    program = (
        "import time\nfrom NetLibrary._mechanics.outages.run.echoes import OutsideEcho\n"
        "echo = OutsideEcho('127.0.0.1')\necho.start()\nprint(echo._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        server = int(run.stdout.readline())
        assert Path(f"/proc/{server}").exists()
        run.kill()
    assert settle(lambda: not _runs(server), timeout=10, every=0.05)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
