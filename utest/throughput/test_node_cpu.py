"""Processors of the nodes: what scripts print, and what is made of it."""

from __future__ import annotations

import doctest
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from NetLibrary._mechanics.iperf3.reader import read
from NetLibrary._mechanics.iperf3.results import Measurement
from NetLibrary._mechanics.throughput import node_cpu
from NetLibrary._mechanics.throughput.objects import ATTEMPTS

RECORDED = next(iter(sorted(Path(__file__).parent.glob("recorded/3.18-clean.json"))))
RESULT = Measurement(2e9, 1, 1.0, 2e9)


def test_examples() -> None:
    assert doctest.testmod(node_cpu).failed == 0


def test_steal_and_waiting_are_no_work_of_the_node() -> None:
    assert node_cpu.busy("1 cpu 0 0 0 0 0 0 0 0", "2 cpu 0 0 0 100 100 0 0 100") == 0


@pytest.mark.parametrize("text", ["", "1", "x cpu", "1 cpu0 1 2 3 4 5 6 7 8", "1 cpu 1 2 3"])
def test_counters_that_are_none_are_unknown(text: str) -> None:
    assert node_cpu.busy(text, text) is None


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
    cores = node_cpu.of_client(done.stdout)
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
    server = node_cpu.Server(Nodes(node1="a", node2=other), pods[0], 5201)  # type: ignore[arg-type]
    result = server.with_nodes(RESULT, pods[1], 1.0, [0.5])
    assert (result.nodes_share_processors, bool(result.notes)) == (shared, shared)
    assert (result.client_node_cores, result.server_node_cores) == (1.0, 0.5)


def test_the_server_is_watched_while_a_connection_stands() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        words = ["sh", "-c", node_cpu._LOOKS, "looks", f"{port:04X}", "20"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as looking:
            with socket.create_connection(("127.0.0.1", port)):
                threading.Event().wait(0.9)
            server.accept()[0].close()
            said = looking.communicate(timeout=10)[0]
    before, _, after = said.strip().partition(" | ")
    cores = node_cpu.busy(before, after)
    assert cores is not None and cores >= 0
