"""Keysight's own Python client against the stand-in, in the steps of its published samples.

Skipped unless `KEYSIGHT_CYPERF_PYTHON` names interpreters (separated by colons) that have the
package `cyperf` of PyPI; it is a tool of these tests and no dependency of the product.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import StandIn

PROGRAM = Path(__file__).with_name("keysight_client_flows.py")
#: A flow takes 10 to 40 s on a machine of its own; the client polls each second and imports for several.
FLOW_S = 300
INTERPRETERS = [each for each in os.environ.get("KEYSIGHT_CYPERF_PYTHON", "").split(":") if each]

pytestmark = pytest.mark.skipif(not INTERPRETERS, reason="KEYSIGHT_CYPERF_PYTHON names no interpreter with 'cyperf'")


@pytest.fixture(params=INTERPRETERS or [""])
def interpreter(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def flow(interpreter: str, name: str, stand_in: StandIn) -> dict[str, Any]:
    done = subprocess.run(
        [interpreter, str(PROGRAM), name, f"127.0.0.1:{stand_in.https}"], capture_output=True, text=True, timeout=FLOW_S
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_built_in_configuration_runs(interpreter: str, healthy: StandIn) -> None:
    found = flow(interpreter, "precanned", healthy)
    assert found["states"][-1] == "STOPPED"
    assert "STARTED" in found["states"]
    assert sorted(found["files"]) == ["config.zip", "csv.zip", "report.pdf"]
    assert found["result_listed"]


def test_configuration_is_built_run_saved_exported_and_imported(interpreter: str, healthy: StandIn) -> None:
    found = flow(interpreter, "built_from_empty", healthy)
    assert found["states"][-1] == "STOPPED"
    assert found["apps"] == ["Google Docs", "Google Drive", "Google Mail", "Google Maps"]
    assert found["imported"] == ["Replica of a sample"]


def test_helpers_of_the_client_run_and_collect(interpreter: str, healthy: StandIn) -> None:
    found = flow(interpreter, "runner", healthy)
    assert found["polled"] > 0
    last = found["last"]
    assert int(last["Connections Succeeded"]) == int(last["Connections Initiated"]) == 10
    assert "client-latency" in found["views"]


def test_list_updates(interpreter: str, healthy: StandIn) -> None:
    found = flow(interpreter, "list_update", healthy)
    assert found == {
        "before": 2, "added": ["HTTP App", "HTTPS App", "HTTP App", "TCP App"], "unique": True,
        "after": ["HTTP App", "TCP App"], "active": False,
    }  # fmt: skip


@pytest.mark.root  # strikes go to port 80
def test_attacks_are_sent_once_and_counted(interpreter: str, healthy: StandIn) -> None:
    found = flow(interpreter, "attacks", healthy)
    assert found["states"][-1] == "STOPPED"
    assert "all-strikes-attack.csv" in found["csvs"]
    assert len(found["names"]) == 2
    assert found["rows"] == {name: [1, 1, 0] for name in found["names"]}


def test_udp_streams_run_and_nothing_is_lost(interpreter: str, healthy: StandIn) -> None:
    found = flow(interpreter, "streaming", healthy)
    assert found["status"] == "STOPPED"
    assert found["rates"] == ["client-streaming-rate", "server-streaming-rate"]
    final = found["final"]
    assert int(final["Packets Received"]) == int(final["Packets Sent"]) > 10
    assert int(final["Packets Lost"]) == int(final["Packets Misordered"]) == int(final["Packets Duplicate"]) == 0


def test_lists_health_and_housekeeping(interpreter: str, healthy: StandIn) -> None:
    found = flow(interpreter, "paging", healthy)
    assert found["bare"] == found["total"] >= 6
    assert found["empty"] == 0
    assert found["licence"] == "ESTABLISHED"
    assert found["tags"] == ["role:client", "role:server"]
