"""Connections and names: what the scripts say on this machine, and what is made of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from NetLibrary._mechanics.connections import judge, results, run, show
from NetLibrary._mechanics.connections.results import Answer, Attempt, Pair, PathMtu
from NetLibrary._mechanics.connections.run import Request, Target
from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.vantage import Ran
from NetLibrary._mechanics.vantage.programs import RunningHere
from NetLibrary.types import Source


class Here:
    """This machine, with only some of its programs."""

    repeat = ""

    def __init__(self, folder: Path, programs: Sequence[str]) -> None:
        self.name = "demo/here"
        self._path = folder / "bin"
        self._path.mkdir(exist_ok=True)
        for program in ("sh", "sleep", "tr", "sed", "awk", "head", "tail", "sort", "cat", *programs):
            # not shutil.which("python3"): that may be a script of a version manager, which needs more programs
            found = os.path.realpath(sys.executable) if program == "python3" else shutil.which(program)
            assert found, program
            (self._path / program).symlink_to(found)

    def run(self, command: Sequence[str], *, timeout: float) -> Ran:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env={**os.environ, "PATH": str(self._path)}
        )
        return Ran(done.stdout, done.stderr, done.returncode)

    def start(self, command: Sequence[str]) -> RunningHere:
        return RunningHere(["env", f"PATH={self._path}", *command])


@pytest.fixture
def listening() -> Iterator[int]:
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


@pytest.fixture
def closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


PROGRAMS = [["python3"], ["bash", "timeout"]]
QUICK = Request(attempts=2, limit_seconds=1, settle_seconds=0)


@pytest.mark.parametrize("programs", PROGRAMS, ids=lambda p: p[0])
def test_a_listening_port_connects_and_a_closed_one_refuses(
    tmp_path: Path, programs: list[str], listening: int, closed: int
) -> None:
    here = Here(tmp_path, programs)
    pairs = run.connect([here], [Target("127.0.0.1", listening), Target("127.0.0.1", closed)], QUICK, lambda r: True)
    assert [pair.count("connected") for pair in pairs] == [2, 0]
    assert [pair.count("refused") for pair in pairs] == [0, 2]


@pytest.mark.parametrize("programs", PROGRAMS, ids=lambda p: p[0])
def test_silence_is_told_from_a_refusal(tmp_path: Path, programs: list[str]) -> None:
    # A full backlog of a socket that nobody accepts from: the kernel drops further SYNs
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        pairs = run.connect([Here(tmp_path, programs)], [Target("127.0.0.1", port)], QUICK, lambda r: True)
        for filler in fillers:
            filler.close()
    assert [attempt.result for attempt in pairs[0].attempts] == ["silent", "silent"]
    assert 900 <= pairs[0].attempts[0].ms < 3000


def test_an_unknown_name_is_no_blocked_connection(tmp_path: Path) -> None:
    pairs = run.connect([Here(tmp_path, ["python3"])], [Target("no-such-name.invalid", 80)], QUICK, lambda r: True)
    assert {attempt.result for attempt in pairs[0].attempts} == {"unresolved"}
    check = judge.connections(pairs, "blocked", judge.BLOCKED["any"].__contains__)[0]
    assert not check.passed
    assert "the name was not resolved (2 of 2)" in check.sentence


def script(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_silent_name_server_is_no_blocked_connection(tmp_path: Path) -> None:
    """A policy for egress that forgets DNS made every other name "blocked", or the keyword ended with a killed command."""
    here = Here(tmp_path, ["timeout", "grep"])
    script(tmp_path, "agnhost", "exec sleep 60")
    pair = run.connect([here], [Target("web.shop", 80)], Request(attempts=1, limit_seconds=1), lambda r: True)[0]
    assert [(a.result, a.text) for a in pair.attempts] == [("unresolved", "no name server answered in time")]


def test_a_silent_name_server_is_no_blocked_connection_for_bash_either(tmp_path: Path) -> None:
    here = Here(tmp_path, ["timeout", "grep"])
    script(tmp_path, "bash", "exec sleep 60")
    script(tmp_path, "getent", "exit 2")
    pair = run.connect([here], [Target("web.shop", 80)], Request(attempts=1, limit_seconds=1), lambda r: True)[0]
    assert [a.result for a in pair.attempts] == ["unresolved"]
    script(tmp_path, "getent", "echo 10.0.0.1 web.shop")
    pair = run.connect([here], [Target("web.shop", 80)], Request(attempts=1, limit_seconds=1), lambda r: True)[0]
    assert [a.result for a in pair.attempts] == ["silent"]


def test_the_family_of_a_name_is_chosen_by_dig(tmp_path: Path) -> None:
    """Probers of the usual image have no Python, so `family=ipv6` was refused in each of them."""
    here = Here(tmp_path, ["timeout", "grep"])
    script(tmp_path, "agnhost", 'for last; do :; done; echo "said $last"')
    script(tmp_path, "dig", 'case "$*" in *AAAA*) echo web.shop.; echo fd00::7 ;; *) echo 10.0.0.7 ;; esac')
    for family, target in (("ipv4", "10.0.0.7:80"), ("ipv6", "[fd00::7]:80")):
        request = Request(attempts=1, limit_seconds=1, family=family)
        pair = run.connect([here], [Target("web.shop", 80)], request, lambda r: True)[0]
        assert [(a.result, a.text) for a in pair.attempts] == [("connected", f"said {target}")]


def test_a_source_without_any_tool_is_an_error_that_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="none of python3, agnhost, bash and nc"):
        run.connect([Here(tmp_path, [])], [Target("127.0.0.1", 9)], QUICK, lambda r: True)


def test_attempts_before_the_first_expected_one_do_not_count_and_are_kept(tmp_path: Path, closed: int) -> None:
    answers = iter(["refused", "refused", "connected"])

    class Settling(Here):
        def run(self, command: Sequence[str], *, timeout: float) -> Ran:
            count = int(command[8])
            return Ran("".join(f"{next(answers, 'connected')} 1.0 x\n" for _ in range(count)), "", 0)

    pair = run.connect(
        [Settling(tmp_path, [])], [Target("h", 1)], Request(settle_seconds=9), {"connected"}.__contains__
    )[0]
    assert [attempt.result for attempt in pair.settling] == ["refused", "refused"]
    assert pair.count("connected") == 3


def test_one_lost_attempt_of_three_is_no_success() -> None:
    pair = Pair(
        "demo/a", "web:80", [Attempt("connected", 1), Attempt("silent", 2000, "no answer"), Attempt("connected", 1)]
    )
    check = judge.connections([pair], "connected", {"connected"}.__contains__)[0]
    assert not check.passed
    assert "expected connected, seen connected (2 of 3), no answer within the limit (1 of 3)" in check.sentence


def test_a_refusal_is_blocked_only_when_asked_for() -> None:
    pair = Pair("demo/a", "web:80", [Attempt("refused", 1)])
    assert "by=any accepts both" in judge.connections([pair], "blocked", judge.BLOCKED["drop"].__contains__)[0].sentence
    assert judge.connections([pair], "blocked", judge.BLOCKED["any"].__contains__)[0].passed


def test_nothing_to_judge_does_not_pass() -> None:
    assert not judge.connections([Pair("a", "b")], "connected", {"connected"}.__contains__)[0].passed


@pytest.mark.parametrize("programs", [["python3"], ["getent"]], ids=lambda p: p[0])
def test_names_are_resolved_with_what_is_there(tmp_path: Path, programs: list[str]) -> None:
    here = Here(tmp_path, programs)
    assert run.resolve([here], "localhost", "A", 2)[0][1].values == ("127.0.0.1",)
    assert run.resolve([here], "no-such-name.invalid", "A", 2)[0][1].values == ()
    assert "127.0.0.1" in run.resolve([here], "localhost", "ADDRESS", 2)[0][1].values


def test_the_start_of_the_program_is_not_the_time_of_the_name_server(tmp_path: Path) -> None:
    """All times were multiples of 10 ms, and the start of dig was in them: DNS was accused of a busy prober."""
    here = Here(tmp_path, [])
    said = ";; ->>HEADER<<- opcode: QUERY, status: {}, id: 1"
    lines = [said.format("NXDOMAIN"), ";; Query time: 1500 usec", said.format("NOERROR"), "web. 5 IN A 10.0.0.7"]
    script(tmp_path, "dig", "sleep 0.3; " + "; ".join(f"echo '{line}'" for line in [*lines, ";; Query time: 2 msec"]))
    assert run.resolve([here], "web", "A", 2)[0][1] == Answer("NOERROR", 3.5, ("10.0.0.7",))


def test_the_start_of_getent_is_not_the_time_of_the_name_server(tmp_path: Path) -> None:
    here = Here(tmp_path, [])
    script(tmp_path, "getent", "sleep 0.3; echo 10.0.0.7 STREAM web")
    found = run.resolve([here], "web", "A", 2)[0][1]
    assert found.values == ("10.0.0.7",)
    assert found.ms < 150


def test_a_name_server_that_falls_silent_after_a_no_has_not_said_that_there_is_no_name(tmp_path: Path) -> None:
    here = Here(tmp_path, [])
    no = ";; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: 1"
    script(tmp_path, "dig", f"echo '{no}'; echo ';; no servers could be reached'; return 9")
    assert run.resolve([here], "web", "A", 2)[0][1].status == "TIMEOUT"


@pytest.mark.parametrize(("name", "status"), [("web", "NXDOMAIN"), ("web.example", "SERVFAIL")])
def test_a_cluster_without_a_way_to_dns_outside_says_that_a_service_does_not_exist(
    tmp_path: Path, name: str, status: str
) -> None:
    """The last question is for the name as it stands, and goes to servers outside."""
    here = Here(tmp_path, [])
    said = ";; ->>HEADER<<- opcode: QUERY, status: {}, id: 1"
    script(tmp_path, "dig", "; ".join(f"echo '{said.format(word)}'" for word in ("NXDOMAIN", "NXDOMAIN", "SERVFAIL")))
    assert run.resolve([here], name, "A", 2)[0][1].status == status


def test_the_start_of_the_program_is_not_the_time_of_a_connection(tmp_path: Path) -> None:
    here = Here(tmp_path, [])
    script(tmp_path, "agnhost", "sleep 0.3")
    pair = run.connect([here], [Target("127.0.0.1", 80)], QUICK, {"connected"}.__contains__)[0]
    assert max(attempt.ms for attempt in pair.attempts) < 150


def test_a_silent_name_server_has_not_said_that_a_name_does_not_exist() -> None:
    answers = [("a", Answer("TIMEOUT", 5000)), ("b", Answer("NXDOMAIN", 3)), ("c", Answer("SERVFAIL", 3))]
    assert [check.passed for check in judge.no_names(answers, "x")] == [False, True, False]
    assert "no DNS server answered" in judge.no_names(answers, "x")[0].sentence


def test_records_must_be_just_those_that_were_named() -> None:
    answers = [("a", Answer("NOERROR", 3, ("10.0.0.1", "10.0.0.2")))]
    assert judge.names(answers, "x", ["10.0.0.2", "10.0.0.1"], None)[0].passed
    assert not judge.names(answers, "x", ["10.0.0.1"], None)[0].passed
    assert judge.names(answers, "x", [], None)[0].passed
    assert [check.passed for check in judge.names(answers, "x", [], 2.0)] == [True, False]


def test_a_black_hole_fails_at_any_size() -> None:
    assert judge.path_mtu(PathMtu(1450, "told"), 1450, "a", "b").passed
    hole = judge.path_mtu(PathMtu(1450, "silent"), 1450, "a", "b")
    assert not hole.passed
    assert "larger ones are dropped without notice" in hole.sentence


def test_the_path_to_loopback_is_as_wide_as_its_device(tmp_path: Path) -> None:
    if Path("/proc/sys/net/ipv4/ping_group_range").read_text().split() == ["1", "0"]:
        pytest.skip("this user may not open ping sockets")
    found = run.measure_path_mtu(Here(tmp_path, ["python3"]), "127.0.0.1")
    assert found.how in ("device", "silent")


@pytest.mark.parametrize(
    ("text", "kind", "which"),
    [
        ("demo/web-0", "pods", "web-0"),
        ("demo/app=web,tier!=db", "pods", "app=web,tier!=db"),
        ("node:node1", "node", "node1"),
        ("Every  Node", "node", "*"),
        ("outside", "outside", ""),
    ],
)
def test_sources_are_read(text: str, kind: str, which: str) -> None:
    source = Source.parse(text)
    assert (source.kind, source.which) == (kind, which)
    assert Source.parse(str(source)) == source


@pytest.mark.parametrize("text", ["web", "node:", "/x", "demo/", ""])
def test_what_is_no_source_says_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="namespace/name"):
        Source.parse(text)


def test_a_crashed_script_is_an_error_with_its_words() -> None:
    with pytest.raises(EnvironmentProblem, match="Segmentation fault"):
        results.attempts(Ran("", "Segmentation fault", 139), "demo/a")


def test_the_table_of_a_name_with_time_in_it_is_drawn() -> None:
    answers = [("a", Answer("NOERROR", 3, ("10.0.0.1",)))]
    for limit in (None, 5.0):
        table = show.names(answers, judge.names(answers, "runtime.shop", [], limit), "runtime.shop")
        assert [str(cell) for cell in table.rows[0]] == ["a", "NOERROR", "10.0.0.1", "3.0 ms"]


def test_a_wrong_port_8080_does_not_colour_port_80() -> None:
    pairs = [Pair("a", "web:80", [Attempt("connected", 1)]), Pair("a", "web:8080", [Attempt("silent", 2000)])]
    table = show.connections(pairs, judge.connections(pairs, "connected", {"connected"}.__contains__), "web")
    assert [row[4].css_class for row in table.rows] == ["good", "bad"]
    slow = [Pair("a", "web:80", [Attempt("connected", 900)])]
    table = show.connections(slow, judge.connections(slow, "connected", {"connected"}.__contains__, 100.0), "web")
    assert [row[4].css_class for row in table.rows] == ["bad"]
