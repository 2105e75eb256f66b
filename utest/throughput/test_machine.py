"""The iperf3 of this machine on loopback: what we ask of it and what we read is what it takes and prints."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from NetLibrary._mechanics.iperf3.reader import SEEN_FIRST
from NetLibrary._mechanics.throughput import Iperf3Problem, Measurement, Request, read
from NetLibrary._mechanics.throughput.objects import ATTEMPTS

pytestmark = pytest.mark.skipif(not shutil.which("iperf3"), reason="this machine has no iperf3")
LIMIT = 30
# What the script prints ahead of the client: its processors, and how often it tried
HEAD = SEEN_FIRST + r"attempts: {}\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """An iperf3 server; `--forceflush` lets us see when it listens, and when it is busy."""

    def __init__(self, port: int) -> None:
        self.port = port
        command = ["iperf3", "-s", "-p", str(port), "--forceflush"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.wait_for("Server listening")

    def wait_for(self, words: str) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            if words in line:
                return
        raise AssertionError(f"the server ended without '{words}'")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(free_port())
    yield running
    running.stop()


def start(request: Request) -> subprocess.Popen[str]:
    return subprocess.Popen(["iperf3", *request.arguments()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(request: Request) -> Measurement:
    process = start(request)
    output, errors = process.communicate(timeout=LIMIT)
    return read(output, errors)


def ask(port: int, **options: object) -> Request:
    return Request("127.0.0.1", port, 1, **options)  # type: ignore[arg-type]


def test_tcp_with_a_rate_and_streams(server: Server) -> None:
    result = run(ask(server.port, bits_per_second=20e6, streams=2))
    assert (result.protocol, result.streams, result.reverse) == ("tcp", 2, False)
    assert 0 < result.bits_per_second < 26e6
    assert result.retransmits is not None
    assert result.version.startswith("iperf 3.")
    assert result.remote == f"127.0.0.1:{server.port}"
    assert len(result.intervals) >= 5
    assert result.intervals[-1].end_seconds == pytest.approx(1, abs=0.3)


def test_udp_in_both_directions(server: Server) -> None:
    for reverse in (False, True):
        result = run(ask(server.port, protocol="udp", bits_per_second=2e6, reverse=reverse))
        assert (result.protocol, result.reverse) == ("udp", reverse)
        assert result.packets
        assert result.lost_packets is not None
        assert result.lost_percent is not None
        assert result.jitter_ms is not None
        assert result.retransmits is None
        assert 0 < result.bits_per_second < 3e6
        server.wait_for("Server listening")


def test_omitted_second_does_not_count(server: Server) -> None:
    result = run(ask(server.port, bits_per_second=20e6, omit_seconds=1))
    assert result.duration_seconds < 1.6
    assert result.intervals[0].start_seconds < 0.2


def test_nobody_listens() -> None:
    with pytest.raises(Iperf3Problem) as caught:
        run(ask(free_port()))
    assert caught.value.kind == "refused"


def test_unknown_name() -> None:
    with pytest.raises(Iperf3Problem) as caught:
        run(Request("no-such-host.invalid", seconds=1))
    assert caught.value.kind == "unresolved"


def test_server_that_is_busy_and_server_that_is_killed(server: Server) -> None:
    first = start(Request("127.0.0.1", server.port, 20, bits_per_second=1e6))
    try:
        server.wait_for("connected to")
        with pytest.raises(Iperf3Problem) as busy:
            run(ask(server.port))
        assert busy.value.kind == "busy"
        server.process.kill()
        output, errors = first.communicate(timeout=LIMIT)
        with pytest.raises(Iperf3Problem) as killed:
            read(output, errors)
        assert killed.value.kind in ("closed", "reset")
    finally:
        first.kill()
        first.communicate()


def test_client_that_is_interrupted(server: Server) -> None:
    client = start(Request("127.0.0.1", server.port, 20, bits_per_second=1e6))
    server.wait_for("connected to")
    client.terminate()
    output, errors = client.communicate(timeout=LIMIT)
    with pytest.raises(Iperf3Problem) as caught:
        read(output, errors)
    assert caught.value.kind == "interrupted"


def attempts(seconds: int, request: Request, path: str | None = None) -> tuple[str, int]:
    """Runs the script that a client's pod runs."""
    command = [shutil.which("sh") or "sh", "-c", ATTEMPTS, "iperf3", str(seconds), "3000", *request.arguments()]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT, check=False, env={"PATH": path} if path else None
    )
    assert done.stderr == ""
    return done.stdout, done.returncode


def test_script_tries_once_when_it_shall_not_try_again() -> None:
    output, _ = attempts(0, ask(free_port()))
    assert re.match(HEAD.format(1), output)
    with pytest.raises(Iperf3Problem, match=r"^refused"):
        read(output)


def test_script_tries_again_until_somebody_listens() -> None:
    port = free_port()
    command = [
        shutil.which("sh") or "sh",
        "-c",
        ATTEMPTS,
        "iperf3",
        "20",
        "3000",
        *ask(port, bits_per_second=1e6).arguments(),
    ]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    server = None
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.5)
        server = Server(port)
        output, _ = client.communicate(timeout=LIMIT)
    finally:
        client.kill()
        if server:
            server.stop()
    assert int(re.match(HEAD.format(r"(\d+)"), output)[1]) > 1  # type: ignore[index]
    assert read(output).bytes > 0


def test_script_without_iperf3_says_so(tmp_path: Path) -> None:
    for tool in ("date", "sleep"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    output, code = attempts(0, ask(1), str(tmp_path))
    assert code == 127
    assert "iperf3: not found" in output or "iperf3: command not found" in output


def test_run_that_broke_is_not_tried_again(server: Server) -> None:
    """A server killed after 3 of 6 seconds passed with "attempts: 14": the rerun hid the break."""
    request = Request("127.0.0.1", server.port, seconds=6, bits_per_second=1e7)
    command = [shutil.which("sh") or "sh", "-c", ATTEMPTS, "iperf3", "20", "3000", *request.arguments()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        time.sleep(3)
        server.stop()
        again = Server(server.port)
        try:
            output, _ = client.communicate(timeout=LIMIT)
        finally:
            again.stop()
    assert re.match(HEAD.format(1) + "exit status: ", output)
    with pytest.raises(Iperf3Problem) as caught:
        read(output)
    assert caught.value.kind in ("closed", "reset")
    assert caught.value.broke_after == pytest.approx(2.8, abs=0.5)
    assert caught.value.exit_status is not None
    assert caught.value.of_the_network


@pytest.mark.parametrize(("failures", "tries"), [(1, 2), (5, 2)])
def test_first_datagram_of_a_stream_that_is_lost_is_sent_once_more(tmp_path: Path, failures: int, tries: int) -> None:
    """One lost datagram made "No throughput … timed out": iperf3 never repeats the one that a stream begins with."""
    program = f"""#!/bin/sh
[ "$1" = --help ] && exit 0
n=$(cat {tmp_path}/n 2>/dev/null || echo 0); n=$((n + 1)); echo $n >{tmp_path}/n
[ $n -gt {failures} ] || {{ echo '{{"error": "unable to read from stream socket: Resource temporarily unavailable"}}'; exit 1; }}
echo '{{"end": {{"sum_received": {{"bits_per_second": 1}}}}}}'
"""
    (tmp_path / "iperf3").write_text(program)
    (tmp_path / "iperf3").chmod(0o755)
    output, code = attempts(0, ask(1), f"{tmp_path}:/usr/bin:/bin")
    assert re.match(HEAD.format(tries), output)
    assert code == (0 if failures < tries else 1)


def test_client_without_the_option_for_the_connection_does_without_it(tmp_path: Path) -> None:
    """Clients before 3.2 refused the whole command."""
    old = tmp_path / "iperf3"
    old.write_text('#!/bin/sh\nif [ "$1" = --help ]; then echo "Usage: iperf3"; else echo "asked: $*"; fi\n')
    old.chmod(0o755)
    output, _ = attempts(0, Request("s", protocol="udp"), f"{tmp_path}:/usr/bin:/bin")
    assert "asked: -c s -p 5201 -t 10 -i 0.2 -J -u --get-server-output -b 0" in output
    old.write_text(old.read_text().replace("Usage: iperf3", "--connect-timeout #"))
    output, _ = attempts(0, Request("s"), f"{tmp_path}:/usr/bin:/bin")
    assert "asked: -c s -p 5201 -t 10 -i 0.2 -J --connect-timeout 3000" in output
