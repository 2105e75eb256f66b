"""Processors of the nodes: what scripts print, and what is made of it."""

from __future__ import annotations

import doctest
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from NetLibrary._mechanics.held_back import Datagrams, Held
from NetLibrary._mechanics.iperf3.reader import read
from NetLibrary._mechanics.iperf3.results import Iperf3Problem, Measurement
from NetLibrary._mechanics.throughput import ends
from NetLibrary._mechanics.throughput.command import Request
from NetLibrary._mechanics.throughput.judge import Limits, judge, no_traffic
from NetLibrary._mechanics.throughput.objects import ATTEMPTS
from NetLibrary._mechanics.verdict import verdict

RECORDED = next(iter(sorted(Path(__file__).parent.glob("recorded/3.18-clean.json"))))
RESULT = Measurement(2e9, 1, 1.0, 2e9)


def test_examples() -> None:
    assert doctest.testmod(ends).failed == 0


def test_steal_and_waiting_are_no_work_of_the_node() -> None:
    assert ends.busy("1 cpu 0 0 0 0 0 0 0 0", "2 cpu 0 0 0 100 100 0 0 100") == 0


@pytest.mark.parametrize("text", ["", "1", "x cpu", "1 cpu0 1 2 3 4 5 6 7 8", "1 cpu 1 2 3"])
def test_counters_that_are_none_are_unknown(text: str) -> None:
    assert ends.busy(text, text) is None


def test_the_client_prints_them_and_the_result_is_read_all_the_same(tmp_path: Path) -> None:
    """A line before the number of attempts must not make a result unreadable."""
    import json

    output = json.loads(RECORDED.read_text())
    text = output["output"] if "output" in output else json.dumps(output)
    (tmp_path / "iperf3").write_text(f"#!/bin/sh\n[ $1 = --help ] || {{ sleep 0.2; cat <<'E'\n{text}\nE\n}}\n")
    (tmp_path / "iperf3").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", ATTEMPTS, "iperf3", "0", "3000", "-c", "x"], capture_output=True, text=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.startswith("processors: ")
    cores = ends.end_in(done.stdout).cores
    assert cores is not None and cores >= 0
    assert read(done.stdout[done.stdout.index("attempts") :], exit_status=0) == read(done.stdout, exit_status=0)


def test_nodes_that_share_processors_are_counted_once() -> None:
    apart = replace(RESULT, client_node_cores=1.0, server_node_cores=0.5)
    assert apart.node_cpu_seconds_per_gigabit == 0.75
    assert replace(apart, nodes_share_processors=True).node_cpu_seconds_per_gigabit == 0.5
    assert RESULT.node_cpu_seconds_per_gigabit_text == "unknown"


class Nodes:
    def __init__(self, **boots: str) -> None:
        self.boots = boots

    def find(self, kind: str, name: str) -> dict[str, Any]:
        return {"status": {"nodeInfo": {"bootID": self.boots[name]}}}


@pytest.mark.parametrize(("other", "shared"), [("a", True), ("b", False)])
def test_nodes_of_one_machine_are_known_by_its_boot(other: str, shared: bool) -> None:
    pods = [{"spec": {"nodeName": name}} for name in ("node1", "node2")]
    server = ends.Server(Nodes(node1="a", node2=other), pods[0], 5201)  # type: ignore[arg-type]
    result = server.with_nodes(RESULT, pods[1], 1.0, 0.5)
    assert (result.nodes_share_processors, bool(result.notes)) == (shared, shared)
    assert (result.client_node_cores, result.server_node_cores) == (1.0, 0.5)


def test_the_server_is_watched_while_a_connection_stands() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        words = ["sh", "-c", ends._LOOKS, "looks", f"{port:04X}", "20"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as looking:
            with socket.create_connection(("127.0.0.1", port)):
                threading.Event().wait(0.9)
            server.accept()[0].close()
            said = looking.communicate(timeout=10)[0]
    cores = ends.end_in(said).cores
    assert cores is not None and cores >= 0


COUNTED = """kernel before:
/sys/fs/cgroup/cpu.stat:nr_periods 0
/sys/fs/cgroup/cpu.stat:nr_throttled 0
/sys/fs/cgroup/cpu.max:1000 100000
/proc/net/snmp:Udp: InDatagrams RcvbufErrors
/proc/net/snmp:Udp: 1 5
kernel after:
/sys/fs/cgroup/cpu.stat:nr_periods 50
/sys/fs/cgroup/cpu.stat:nr_throttled 40
/sys/fs/cgroup/cpu.max:1000 100000
/proc/net/snmp:Udp: InDatagrams RcvbufErrors
/proc/net/snmp:Udp: 800 32
attempts: 1
"""
HELD = ends.End(1.9, Held(40, 50, 0.01), Datagrams(0, 27))
UDP = Measurement(
    9.7e6, 1, 1.0, 1e7, packets=1000, received_packets=970, lost_packets=30, lost_percent=3.0, lost_percent_at_most=3.0,
    protocol="udp", reverse=True,
)  # fmt: skip
REQUEST = Request("10.0.0.1", seconds=1, protocol="udp", bits_per_second=1e7, reverse=True)


def judged(result: Measurement, **limits: float) -> tuple[str, str]:
    request = REQUEST if result.protocol == "udp" else replace(REQUEST, protocol="tcp", bits_per_second=None)
    checks, errors = judge(result, request, Limits(**limits))  # type: ignore[arg-type]
    found = verdict(checks, errors)
    assert found.status is not None
    return found.status.value, "\n".join(found.reasons)


def test_what_the_kernel_counted_is_read_from_either_end() -> None:
    assert ends.end_in(COUNTED) == ends.End(None, Held(40, 50, 0.01), Datagrams(0, 27))
    assert ends.end_in("attempts: 1\n") == ends.End()


def test_datagrams_lost_in_the_receivers_own_buffer_are_no_loss_of_the_network() -> None:
    """1.03 % and 3.13 % were called lost on healthy networks: the receiver had had no processor for 150 ms."""
    result = ends.with_ends(replace(UDP, lost_packets=27, lost_percent=2.7, lost_percent_at_most=2.7), HELD, ends.End())
    assert result.unread_packets == 27 and result.lost_on_the_way == (0.0, 0.0)
    assert judged(result, lost_at_most=1)[0] == "passed"
    assert result.notes == (
        "27 of the 27 lost datagrams had arrived and were lost in the receiver's own buffer, while its container was held "
        "back: its CPU limit of 10m throttled it in 80 % of the periods (40 of 50)",
    )


def test_datagrams_that_iperf3_read_after_its_end_had_arrived() -> None:
    """A client that stood still reads on when its time is over, and does not count that: 182 of 3453 seemed lost."""
    result = ends.with_ends(UDP, replace(HELD, datagrams=Datagrams(arrived=995, unread=0)), ends.End())
    assert result.unread_packets == 25 and result.lost_on_the_way == (0.5, 0.5)


def test_only_what_the_network_lost_counts_where_both_lost_something() -> None:
    result = ends.with_ends(replace(UDP, lost_packets=47, lost_percent=4.7, lost_percent_at_most=4.7), HELD, ends.End())
    status, why = judged(result, lost_at_most=1)
    assert status == "failed"
    assert why.startswith("20 of 1000 datagrams (2.00 %) were lost on the way; at most 1 % was expected. 27 of the 47")
    assert judged(result, lost_at_most=2)[0] == "passed"


def test_loss_with_empty_buffers_stays_the_networks_although_a_limit_holds_the_receiver_back() -> None:
    result = ends.with_ends(UDP, replace(HELD, datagrams=Datagrams(970, 0)), ends.End())
    assert judged(result, lost_at_most=1) == (
        "failed", "30 of 1000 datagrams (3.00 %) were lost; at most 1 % was expected.",
    )  # fmt: skip


def test_buffers_of_the_sender_excuse_nothing() -> None:
    assert judged(ends.with_ends(UDP, ends.End(), HELD), lost_at_most=1)[0] == "failed"


@pytest.mark.parametrize("options", [{"client_shares": True}, {"omitted": 1.0}])
def test_a_buffer_that_may_be_anothers_leaves_it_open(options: dict[str, Any]) -> None:
    """The node's counters are those of all sockets there; datagrams of the omitted part overran buffers too."""
    result = replace(UDP, omitted_seconds=options.pop("omitted", 0.0))
    status, why = judged(ends.with_ends(result, HELD, ends.End(), **options), lost_at_most=1)
    assert status == "error" and "cannot be determined: at least 0.30 %, at most 3.00 % were (up to 27 of the 30" in why
    assert (
        judged(ends.with_ends(result, replace(HELD, datagrams=Datagrams(0, 1)), ends.End(), **options), lost_at_most=1)[
            0
        ]
        == "failed"
    )


def test_a_receiver_that_stood_still_and_cannot_be_asked_leaves_it_open() -> None:
    status, why = judged(ends.with_ends(UDP, ends.End(None, Held(40, 50, 0.01)), ends.End()), lost_at_most=1)
    assert status == "error" and "its CPU limit of 10m throttled it in 80 % of the periods (40 of 50)" in why


def test_where_nothing_can_be_read_all_is_as_before() -> None:
    assert ends.with_ends(UDP, ends.End(), ends.End()) == UDP
    assert judged(ends.with_ends(UDP, ends.End(), ends.End()), lost_at_most=1)[0] == "failed"


@pytest.mark.parametrize(("client", "server", "name"), [(HELD, ends.End(), "client"), (ends.End(), HELD, "server")])
def test_a_rate_that_a_cpu_limit_decided_is_no_result(client: ends.End, server: ends.End, name: str) -> None:
    result = ends.with_ends(RESULT, client, server)
    status, why = judged(result, at_least=3e9)
    assert (
        status == "error" and f"no result of the network: The {name}'s container was held back by its CPU limit" in why
    )
    assert judged(result, at_least=1e9)[0] == "passed"


def test_a_limit_that_was_met_now_and_then_decides_no_rate() -> None:
    result = ends.with_ends(RESULT, replace(HELD, held=Held(2, 50, 0.5)), ends.End())
    assert judged(result, at_least=3e9)[0] == "failed"
    assert result.held_back and not result.held_back_often


def test_a_run_that_timed_out_while_the_client_stood_still_is_no_failure_of_the_network() -> None:
    problem = Iperf3Problem("timed out", "unable to connect to server: Connection timed out")
    words = ends.held_back(HELD, ends.End())
    checks, errors = no_traffic(problem, REQUEST, "demo", attempts=1, seconds=3.0, held_back=words)
    assert not checks and "That may not be the network: The client's container was held back" in errors[0]
    assert no_traffic(problem, REQUEST, "demo", attempts=1, seconds=3.0)[0]


def test_a_client_whose_buffer_cannot_be_set_goes_on_without(tmp_path: Path) -> None:
    """Some systems grant less than is asked for, and iperf3 ends then."""
    (tmp_path / "iperf3").write_text(
        "#!/bin/sh\n"
        'case "$*" in *--help*) ;; *-w*) echo "iperf3: error - socket buffer size not set correctly"; exit 1 ;;\n'
        '*) echo "without: $*" ;; esac\n'
    )
    (tmp_path / "iperf3").chmod(0o755)
    words = ["sh", "-c", ATTEMPTS, "iperf3", "0", "3000", *REQUEST.arguments()]
    done = subprocess.run(words, capture_output=True, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert "attempts: 2\n" in done.stdout and "without: -c 10.0.0.1" in done.stdout
