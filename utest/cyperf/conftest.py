from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from NetLibrary._mechanics.cyperf import run
from NetLibrary._mechanics.cyperf.controller import Controller
from NetLibrary._mechanics.cyperf.rest import Connection

from .scripted_controller import ScriptedController

ROOT = Path(__file__).parents[2]
PACKAGE = "NetLibrary.standins.cyperf"
USER, PASSWORD = "admin", "CyPerf&Keysight#1"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class StandIn:
    """A stand-in controller with a client and a server agent, all on loopback."""

    def __init__(self, folder: Path) -> None:
        self.https, self.http, self.traffic = free_port(), free_port(), free_port()
        self.certificate = folder / "tls.crt"
        self._processes = [
            self._start(
                "controller", "--address", "127.0.0.1", "--https", str(self.https), "--http", str(self.http),
                "--certificates", str(folder),
            )
        ]  # fmt: skip
        try:
            self._wait()
        except AssertionError:
            self.stop()
            raise
        for number, role in ((1, "client"), (2, "server")):
            self._processes.append(self._start("agent", role=role, address=f"127.0.0.{number}"))

    def _start(self, part: str, *arguments: str, role: str = "", address: str = "") -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "CYPERF_STANDIN_MINIMUM_DURATION": "1",
            "CYPERF_STANDIN_STATISTICS_STEP": "0.25",
            "CYPERF_STANDIN_REPORT_SECONDS": "0.1",
            "CYPERF_STANDIN_STATISTICS_LAG": "0",
            "CYPERF_STANDIN_OFFLINE_AFTER": "3",
            "AGENT_CONTROLLER": f"127.0.0.1:{self.https}",
            "AGENT_TAGS": f"role={role}",
            "POD_IP": address,
        }
        command = [sys.executable, "-m", f"{PACKAGE}.{part}", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    def _wait(self) -> None:
        for _ in range(1200):  # the machine may be busy
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.http)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("the stand-in did not start")

    def controller(self) -> Controller:
        made = Controller(Connection(f"http://127.0.0.1:{self.http}", username=USER, password=PASSWORD))
        made.open()
        return made

    def faults(self, **faults: object) -> None:
        import requests

        answer = requests.put(f"http://127.0.0.1:{self.http}/stand-in/faults", json=faults, timeout=5)
        assert answer.status_code == 200, answer.text

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(10)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "POLL_SECONDS", 0.05)


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    made = StandIn(tmp_path_factory.mktemp("stand-in"))
    try:
        controller = made.controller()
        deadline = time.monotonic() + 60
        while len(controller.agents()) < 2:
            assert time.monotonic() < deadline, "the agents did not register"
            time.sleep(0.1)
        yield made
    finally:
        made.stop()


@pytest.fixture
def healthy(stand_in: StandIn) -> Iterator[StandIn]:
    yield stand_in
    stand_in.faults(reset=True)


@pytest.fixture
def scripted() -> Iterator[ScriptedController]:
    made = ScriptedController()
    yield made
    made.close()
