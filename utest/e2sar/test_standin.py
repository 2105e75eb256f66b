"""The stand-in: datagrams, options, exit codes, reassembly rules, and both roles over loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from NetLibrary._mechanics.e2sar.logs import Report, parse
from NetLibrary.standins.e2sar.perf import wire
from NetLibrary.standins.e2sar.perf.options import OptionError, check_combinations
from NetLibrary.standins.e2sar.perf.options import parse as options
from NetLibrary.standins.e2sar.perf.reassembly import Counters, Reassembler
from NetLibrary.standins.e2sar.perf.sender import sleep_us
from NetLibrary.standins.e2sar.perf.uri import UriError
from NetLibrary.standins.e2sar.perf.uri import parse as uri

FOLDER = Path(wire.__file__).parent.parent
OLD, NEW = (0, 1), (0, 3)


def url(port: int) -> str:
    return f"ejfat://useless@10.10.10.10:1234/lb/1?data=127.0.0.1:{port}&sync=192.168.77.7:1234"


def perf(*arguments: object, style: str = "0.1.4", **more: str) -> subprocess.Popen[str]:
    """Starts the stand-in as the image does: from its folder, with nothing else of this project in reach."""
    return subprocess.Popen(
        [sys.executable, "-I", "-c", "import sys; sys.path.insert(0, sys.argv.pop(1)); from perf.command import main; sys.exit(main(sys.argv[1:]))",
         str(FOLDER), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "E2SAR_STANDIN_STYLE": style, "E2SAR_STANDIN_SPIN": "0", **more},
    )  # fmt: skip


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return max(1024, int(probe.getsockname()[1]) - 8)


def wait_bound(port: int) -> None:
    deadline = time.monotonic() + 30
    while f":{port:04X} " not in Path("/proc/net/udp").read_text():
        assert time.monotonic() < deadline, "the receiver did not bind"
        time.sleep(0.02)


def exchange(style: str, *sender: object, receiver: tuple[object, ...] = ()) -> tuple[Report, Report]:
    port = free_port()
    listening = perf("-r", "-u", url(port), "--ip", "127.0.0.1", "--port", port, "-p", 100, *receiver, style=style)
    try:
        wait_bound(port)
        text, _ = perf("-s", "-u", url(port), "--ip", "127.0.0.1", *sender, style=style).communicate(timeout=60)
        time.sleep(0.9)
        listening.send_signal(signal.SIGINT)
        heard, _ = listening.communicate(timeout=60)
        assert listening.returncode == 0
    finally:
        listening.kill()
        listening.wait()
    return parse(text), parse(heard)


# --- the wire ---------------------------------------------------------------------------------------


def test_headers_equal_the_recorded_vector() -> None:
    tick, entropy = 0x000660BE572ED8EF, 0x5705
    first = wire.headers(tick, entropy, 0, 4321, 0, 512)
    second = wire.headers(tick, entropy, 0, 4321, 448, 512)
    assert first.hex() == "4c42020100005705000660be572ed8ef100010e100000000000002000000000000000000"
    assert second.hex()[40:48] == "000001c0"
    assert wire.fragments(512, 448) == [(0, 448), (448, 64)]


def test_version_3_header_carries_the_tick_as_slot() -> None:
    assert wire.headers(0x12345678, 7, 0, 1, 0, 42, 3)[:8].hex() == "4c42030156780007"


def test_what_the_sender_puts_on_the_wire() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(30)
        port = sink.getsockname()[1]
        sender = perf(
            "-s", "-u", url(port), "--ip", "127.0.0.1", "-n", 6, "-l", 512, "-m", 512, "--dataid", 77, "--enum", 900
        )
        got = [sink.recvfrom(9000) for _ in range(12)]
        sender.communicate(timeout=60)
    assert [len(data) for data, _ in got] == [484, 100] * 6
    assert len({peer for _, peer in got}) == 4, "four source sockets, taken in turn"
    for index, (data, _) in enumerate(got):
        _, reserved, data_id, offset, length, number = wire.RE_HEADER.unpack_from(data, 16)
        assert (reserved, data_id, offset, length, number) == (0, 77, 448 * (index % 2), 512, index // 2)
        magic, version, protocol, _, entropy, tick = wire.LB_HEADER.unpack_from(data)
        assert (magic, version, protocol) == (b"LB", 2, 1)
        assert abs(tick / 1e6 - time.time()) < 60
        assert (entropy, tick) == wire.LB_HEADER.unpack_from(got[index - index % 2][0])[4:]
    event = got[0][0][36:] + got[1][0][36:]
    assert event.startswith(b"This is a start of event payload") and event.endswith(b"...the end")


def test_pacing_is_cut_off_in_single_precision() -> None:
    assert [sleep_us(rate, length) for rate, length in ((0.1, 512), (20, 2_000_000), (1, 1048576), (0.01, 512))] == [
        40,
        800,
        8388,
        409,
    ]


# --- options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["--num=7", "--num 7", "-n 7", "-n7", "--nu 7", "-4 -n 7", "-4n7"],
)
def test_ways_to_write_an_option(line: str) -> None:
    assert options(line.split(), OLD)["num"] == 7


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--foo", "unrecognised option '--foo'"),
        ("-x", "unrecognised option '-x'"),
        ("--s", "option '--s' is ambiguous and matches '--send', '--src', '--sockets', '--seq'"),
        ("--num x", "the argument ('x') for option '--num' is invalid"),
        ("--mtu 70000", "the argument ('70000') for option '--mtu' is invalid"),
        ("--num", "the required argument for option '--num' is missing"),
        ("--num --mtu 5", "the required argument for option '--num' is missing"),
        ("-n 1 -n 2", "option '--num' cannot be specified more than once"),
        ("--send=1", "option '--send' does not take any arguments"),
        ("stray", "too many positional options"),
        ("--smooth", "unrecognised option '--smooth'"),
    ],
)
def test_refused_like_boost(line: str, words: str) -> None:
    with pytest.raises(OptionError) as error:
        options(line.split(), OLD)
    assert words in str(error.value)


def test_negative_rate_is_a_value_and_not_an_option() -> None:
    assert options(["--rate", "-1"], NEW)["rate"] == -1.0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-s -r --ip 1.1.1.1", "Conflicting options 'send' and 'recv'."),
        ("-r --ip 1.1.1.1 --port 2000 -n 5", "Conflicting options 'recv' and 'num'."),
        ("-s --ip 1.1.1.1 -d 5", "Conflicting options 'send' and 'duration'."),
        ("-s", "Option 'send' requires option 'ip'."),
        ("-r --ip 1.1.1.1", "Option 'recv' requires option 'port'."),
    ],
)
def test_companions(line: str, words: str) -> None:
    with pytest.raises(OptionError) as error:
        check_combinations(options(line.split(), OLD), OLD)
    assert str(error.value) == words


def test_uris() -> None:
    assert uri(url(20000)).data_port == 20000
    assert uri("ejfats://10.1.1.1:2000/?data=[fd00::1]&data=10.1.1.2:85058").data_port == 19522
    for bad in ("", "EJFAT://a@1.1.1.1:2000/", "ejfat://a@1.1.1.1/", "ejfat://a@1.1.1.1:80/", "ejfat://1.1.1.1:2000/?data=name:1", "ejfat://1.1.1.1:2000/?sess=1",
                "ejfat://1.1.1.1:2000/?data=:19522", "ejfat://1.1.1.1:2000/?data=1.1.1.1:80"):  # fmt: skip
        with pytest.raises(UriError):
            uri(bad)


GOOD = url(19522)


@pytest.mark.parametrize(
    ("style", "arguments", "code", "words"),
    [
        ("0.1.4", [], 0, "Command-line options"),
        ("0.3.2", [], 255, "One of --ip or --autoip must be specified"),
        ("0.1.4", ["--foo"], -6, "unrecognised option '--foo'"),
        ("0.3.2", ["--foo"], 255, "Unable to parse command line: unrecognised option '--foo'"),
        ("0.1.4", ["-s", "-u", GOOD, "--ip", "1.1.1.1", "-n", ""], -6, "terminate called"),
        ("0.1.4", ["-s", "-u", GOOD], 255, "Option 'send' requires option 'ip'."),
        ("0.1.4", ["-s", "--ip", "1.1.1.1", "-u", "ejfat://x"], 255, "Error in parsing URI from command-line, error"),
        (
            "0.1.4",
            ["-s", "--ip", "1.1.1.1", "-u", "ejfat://a@1.1.1.1:2000/lb/1?sync=1.1.1.1:2000"],
            0,
            "Unable to create segmenter: Data address",
        ),
        (
            "0.1.4",
            ["-s", "--ip", "1.1.1.1", "-u", "ejfat://a@1.1.1.1:2000/lb/1?data=127.0.0.1"],
            0,
            "Sync address not present in the URI",
        ),
        ("0.1.4", ["-s", "--ip", "1.1.1.1", "-u", GOOD, "-m", "9001"], 0, "Unable to create segmenter"),
        ("0.1.4", ["-s", "--ip", "1.1.1.1", "-u", GOOD, "-m", "105"], 0, "MTU is too short to send needed payload"),
        (
            "0.1.4",
            ["-r", "--ip", "192.0.2.1", "--port", "19522", "-u", GOOD],
            0,
            "Unable to open receive sockets: Cannot assign requested address",
        ),
        ("0.1.4", ["-r", "--ip", "127.0.0.1", "--port", "80", "-u", GOOD], 0, "Unable to create reassembler"),
        ("0.3.2", ["-r", "--ip", "127.0.0.1", "--timeout", "20000", "-u", GOOD], 0, "Unable to create reassembler"),
        ("0.1.4", ["-r", "--ip", "name", "--port", "19522", "-u", GOOD], -6, "terminate called"),
        (
            "0.3.2",
            ["-s", "--ip", "1.1.1.1", "-u", GOOD, "-o", "liburing_send"],
            255,
            "Requested optimization liburing_send is not available",
        ),
        ("0.3.2", ["-s", "--ip", "1.1.1.1", "-u", GOOD, "--withcp"], 255, "stand-in has no control plane"),
    ],
)
def test_exit_codes(style: str, arguments: list[str], code: int, words: str) -> None:
    process = perf(*arguments, style=style)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert words in text
    assert "0.1.4" not in text and "0.3.2" not in text


def test_help_says_what_it_is() -> None:
    text, _ = perf("-h").communicate(timeout=60)
    assert text.startswith("E2SAR Version: netlibrary-stand-in")


# --- reassembly -------------------------------------------------------------------------------------


def event(number: int = 0, length: int = 1200, size: int = 500) -> list[memoryview]:
    body = wire.payload(length)
    return [
        memoryview(wire.headers(1, 1, number, 4321, at, length) + body[at : at + count])
        for at, count in wire.fragments(length, size)
    ]


def reassemble(*datagrams: memoryview | bytes, strict: bool = False) -> Counters:
    counters = Counters()
    thread = Reassembler(counters, 0.5, strict)
    for datagram in datagrams:
        thread.feed(memoryview(datagram), 0.0)
    thread.expire(0.4)
    thread.expire(0.6)
    return counters


def test_in_order_and_swapped_inside_an_event() -> None:
    one, two, three = event()
    assert reassemble(one, two, three).received == 1
    assert reassemble(one, three, two).received == 1


def test_late_first_fragment_starts_the_event_anew() -> None:
    one, two, three = event()
    counters = reassemble(two, three, one)
    assert (counters.received, counters.lost) == (0, 1)


def test_duplicates() -> None:
    one, two, three = event()
    assert reassemble(one, two, two, three).received == 1
    assert reassemble(one, two, two, three, strict=True).lost == 1
    ghost = reassemble(one, two, three, three)
    assert (ghost.received, ghost.lost) == (1, 1)
    assert reassemble(one, one, two, three).received == 1


def test_an_event_of_which_nothing_came_is_not_counted() -> None:
    assert reassemble(*event(0), event(2)[0]).lost_list == [(2, 4321, 1)]


def test_stray_datagrams_do_no_harm() -> None:
    stray = [b"", b"hello", b"x" * 20, b"y" * 36, bytes(36), b"z" * 9000]
    counters = reassemble(*stray, *event(), strict=True)
    assert (counters.received, counters.bad_headers, counters.packets) == (1, 6, 9)


def test_mangled_ends_are_seen() -> None:
    (whole,) = event(length=400)
    broken = bytearray(whole)
    broken[40] ^= 1
    assert reassemble(bytes(broken)).mangled == 1


# --- both roles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["0.1.4", "0.3.2"])
def test_everything_arrives_over_loopback(style: str) -> None:
    sender, receiver = exchange(style, "-n", 300, "-l", 512, "-m", 512, "--rate", 0.05)
    assert (sender.frames_sent, sender.errors, receiver.role, sender.role) == (600, 0, "receiver", "sender")
    assert receiver.final is not None and (receiver.final.received, receiver.final.lost, receiver.final.mangled) == (
        300,
        0,
        0,
    )
    assert receiver.completed and sender.completed
    if style == "0.3.2":
        assert (receiver.total_frames, receiver.final.bytes) == (600, 300 * (512 + 72))


def test_a_small_buffer_overruns() -> None:
    port = free_port()
    listening = perf("-r", "-u", url(port), "--ip", "127.0.0.1", "--port", port, "-p", 100, "-b", 8192)
    try:
        wait_bound(port)
        listening.send_signal(signal.SIGSTOP)
        perf("-s", "-u", url(port), "--ip", "127.0.0.1", "-n", 100, "-l", 512, "-m", 512, "--rate", 10).communicate(
            timeout=20
        )
        row = next(line for line in Path("/proc/net/udp").read_text().splitlines() if f":{port:04X} " in line)
        listening.send_signal(signal.SIGCONT)
        time.sleep(0.9)
        listening.send_signal(signal.SIGINT)
        heard, _ = listening.communicate(timeout=60)
    finally:
        listening.kill()
        listening.wait()
    assert int(row.split()[-1]) > 150
    final = parse(heard).final
    assert final is not None and final.received < 30


def test_nobody_listens() -> None:
    text, _ = perf(
        "-s", "-u", url(free_port()), "--ip", "127.0.0.1", "-n", 20, "-l", 512, "-m", 1500, "--rate", 0.001
    ).communicate(timeout=60)
    report = parse(text)
    assert report.errors and report.last_error == "Connection refused"


def test_four_threads_open_four_ports() -> None:
    port = free_port()
    listening = perf("-r", "-u", url(port), "--ip", "127.0.0.1", "--port", port, "--threads", 3, "-d", 1)
    heard, _ = listening.communicate(timeout=60)
    assert parse(heard).ports == (port, port + 3)


def test_sigterm_ends_it_without_closing_lines() -> None:
    port = free_port()
    listening = perf("-r", "-u", url(port), "--ip", "127.0.0.1", "--port", port)
    wait_bound(port)
    listening.terminate()
    heard, _ = listening.communicate(timeout=60)
    assert listening.returncode == -signal.SIGTERM and not parse(heard).completed


@pytest.mark.parametrize(("spin", "least", "most"), [("1", 0.5, 9.0), ("0", 0.0, 0.4)])
def test_an_idle_receiver_spins_only_when_told(spin: str, least: float, most: float) -> None:
    port = free_port()
    listening = perf("-r", "-u", url(port), "--ip", "127.0.0.1", "--port", port, E2SAR_STANDIN_SPIN=spin)
    wait_bound(port)
    deadline = time.monotonic() + 30  # on a busy machine a second of processor time takes longer
    began, used = time.monotonic(), 0.0
    while time.monotonic() < deadline and (used < least or time.monotonic() - began < 1.0):
        time.sleep(0.1)
        fields = Path(f"/proc/{listening.pid}/stat").read_text().rpartition(")")[2].split()
        used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    listening.terminate()
    listening.communicate(timeout=60)
    assert least <= used <= most


def test_smooth_spreads_the_datagrams_of_an_event() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(30)
        port = sink.getsockname()[1]
        arguments = (
            "-s",
            "-u",
            url(port),
            "--ip",
            "127.0.0.1",
            "-n",
            1,
            "-l",
            44800,
            "-m",
            512,
            "--rate",
            "0.001",
            "--smooth",
        )
        sender = perf(*arguments, style="0.3.2")
        seen = []
        for _ in range(100):
            sink.recv(9000)
            seen.append(time.monotonic())
        sender.communicate(timeout=60)
    assert 1.0 < seen[-1] - seen[0] < 9, "44800 bytes at a quarter of 1 Mbit/s, the part of one socket, take 1.43 s"


def test_completed_comes_at_the_first_error_and_sending_goes_on() -> None:
    port = free_port()
    began = time.monotonic()
    sender = perf(
        "-s", "-u", url(port), "--ip", "127.0.0.1", "-n", 100, "-l", 1000, "-m", 1400, "--rate", 0.0005, style="0.3.2"
    )
    said = ""
    assert sender.stdout is not None
    while "Completed," not in said:
        said = sender.stdout.readline()
    early = time.monotonic() - began
    rest, _ = sender.communicate(timeout=60)
    assert int(said.split()[1]) < 10 and "1 errors" in said, said
    assert time.monotonic() - began > early + 1.0, "100 events at 16 ms take 1.6 s"
    assert "Completed" not in rest


@pytest.mark.parametrize("style", ["0.1.4", "0.3.2"])
def test_an_interrupted_sender_says_how_much_it_sent(style: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        port = sink.getsockname()[1]
        sender = perf(
            "-s",
            "-u",
            url(port),
            "--ip",
            "127.0.0.1",
            "-n",
            1000,
            "-l",
            1000,
            "-m",
            1400,
            "--rate",
            0.0005,
            style=style,
        )
        sink.settimeout(30)
        sink.recv(9000)
        time.sleep(0.2)
        sender.send_signal(signal.SIGINT)
        text, _ = sender.communicate(timeout=60)
    report = parse(text)
    assert report.completed and not report.errors and report.frames_sent is not None
    assert 1 <= report.frames_sent < 1000 and report.frame_shortfall == report.frames_sent


@pytest.mark.parametrize("style", ["0.1.4", "0.3.2"])
def test_a_receiver_reads_on_after_its_last_words(style: str) -> None:
    port = free_port()
    listening = perf(
        "-r",
        "-u",
        url(port),
        "--ip",
        "127.0.0.1",
        "--port",
        port,
        "-p",
        100,
        "-d",
        1,
        style=style,
        E2SAR_STANDIN_LINGER="1",
    )
    wait_bound(port)
    assert listening.stdout is not None
    heard = []
    while not heard or "Completed" not in heard[-1]:
        heard.append(listening.stdout.readline())
    ended = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect(("127.0.0.1", port))
        for _ in range(5):
            out.send(bytes(100))  # refused if the port were closed
            time.sleep(0.02)
    rest, _ = listening.communicate(timeout=60)
    assert time.monotonic() - ended > 1.5, "a second of reading on, a second of rest"
    assert "Stats:" not in rest.replace("Port Stats:", "")
    if style == "0.3.2":
        assert "Total: 5" in rest


@pytest.mark.parametrize(("style", "code"), [("0.1.4", 0), ("0.3.2", -signal.SIGABRT)])
def test_mtu_without_room_for_any_payload(style: str, code: int) -> None:
    sender = perf("-s", "-u", url(19522), "--ip", "127.0.0.1", "-m", 64, style=style)
    sender.communicate(timeout=60)
    assert sender.returncode == code
