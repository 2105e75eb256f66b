"""A run that is asked to stop, as Jenkins does, tidies up and ends, wherever it is just then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from robot.api import ExecutionResult
from scripted_api import ApiServer

from NetLibrary._mechanics.kube.ownership import is_marked
from NetLibrary._mechanics.kube.resources import BUILT_IN

LIMIT = 60
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(api: ApiServer, tmp_path: Path) -> Iterator[Start]:
    """Starts robot on a suite with one keyword in the middle, in a process of its own."""
    started: list[subprocess.Popen[str]] = []
    config = api.kubeconfig(tmp_path / "kubeconfig")

    def process(row: str) -> subprocess.Popen[str]:
        suite = tmp_path / "suite.robot"
        suite.write_text(
            "*** Settings ***\nLibrary    NetLibrary    timeout=50s\nSuite Teardown    Log    teardown ran\n"
            f"*** Test Cases ***\nFirst\n    Create Namespace    demo\n    {row}\nSecond\n    No Operation\n"
        )
        command = [sys.executable, "-m", "robot", "-d", str(tmp_path / "out"), "-v", f"KUBECONFIG:{config}", str(suite)]
        started.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))
        )
        return started[-1]

    yield process
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


def waiting(api: ApiServer) -> None:
    api.wait_for_watches()


def listing(api: ApiServer) -> None:
    api.wait_for_requests("GET", "^/api/v1/pods")


def commanding(api: ApiServer) -> None:
    api.wait_for_requests("GET", "/exec")


PLACES: dict[str, tuple[str, Callable[[ApiServer], None]]] = {
    "wait": ("Wait Until Pods Are Ready    demo    app=never", waiting),
    "silent server": ("Get Objects    Pod", listing),
    "command in a pod": ("Run In Pod    web    demo    sleep    1000    timeout=50s", commanding),
}


@pytest.mark.parametrize("place", PLACES)
def test_sigterm_in_the_middle_ends_the_run_in_order(api: ApiServer, start: Start, tmp_path: Path, place: str) -> None:
    row, reached = PLACES[place]
    api.on("GET", "^/api/v1/pods", lambda handler: handler.hang())
    api.command = lambda command: (api.released.wait(50), None)[1]
    process = start(row)
    reached(api)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=LIMIT)
    assert "Second signal will force exit" in output
    assert output.count("Interrupted: removing what the run created") == 1, "an impatient user pressed again"
    assert process.returncode == 2, output  # the number of failed tests
    result = ExecutionResult(str(tmp_path / "out" / "output.xml"))
    first, second = result.suite.tests
    assert "Execution terminated by signal" in first.message
    assert second.status == "FAIL"
    assert result.suite.teardown.status == "PASS"
    assert (tmp_path / "out" / "log.html").stat().st_size > 10_000
    assert not api.objects["/api/v1/namespaces"], "what the run made is gone"
    assert api.seen("DELETE", "/namespaces/demo")


def test_a_signal_while_a_listener_reads_a_message_comes_after_it(start: Start, tmp_path: Path) -> None:
    """Robot took it for a fault of the listener: the keyword went on, and the message was written with its secrets."""
    (tmp_path / "hasty.py").write_text(
        "import os, signal, time\nfrom robot.api import logger\n"
        "class hasty:\n    ROBOT_LIBRARY_LISTENER = 'SELF'\n    ROBOT_LIBRARY_SCOPE = 'GLOBAL'\n"
        "    def _log_message(self, message):\n"
        "        if message.message == 'now':\n            os.kill(os.getpid(), signal.SIGTERM)\n"
        "    def say_and_wait(self):\n        logger.info('now')\n        time.sleep(50)\n"
    )
    begin = time.monotonic()
    process = start(f"Import Library    {tmp_path / 'hasty.py'}\n    Say And Wait")
    output, _ = process.communicate(timeout=LIMIT)
    assert time.monotonic() - begin < 40, "the keyword went on"
    assert "Calling method" not in output
    first = ExecutionResult(str(tmp_path / "out" / "output.xml")).suite.tests[0]
    assert "Execution terminated by signal" in first.message, output


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("by", ["a keyword", "the end of the run"])
def test_second_signal_while_the_run_tidies_up_ends_it_and_leaves_the_rest_to_a_sweep(
    api: ApiServer, start: Start, sign: signal.Signals, by: str
) -> None:
    """It began to tidy up once more, for up to two minutes, instead of ending."""
    api.on("DELETE", "/namespaces/demo", lambda handler: handler.hang(), times=9)
    teardown = "\n    [Teardown]    Delete Everything This Run Created" if by == "a keyword" else ""
    process = start(f"Wait Until Pods Are Ready    demo    app=never{teardown}")
    waiting(api)
    process.send_signal(sign)
    api.wait_for_requests("DELETE", "/namespaces/demo")
    begin = time.monotonic()
    process.send_signal(sign)
    output, _ = process.communicate(timeout=LIMIT)
    assert time.monotonic() - begin < 15, "who presses twice wants it to end"
    assert "leaves the rest to 'netlibrary sweep'" in output
    assert "A second signal ended the run, so this stays in cluster 'default':\n  namespace demo: " in output
    assert process.returncode == 253  # Robot's own: stopped by the user
    assert "Traceback" not in output
    assert is_marked(BUILT_IN["namespace"], api.objects["/api/v1/namespaces"]["demo"]), "by which a sweep finds it"


def test_test_timeout_ends_a_wait_and_the_run_goes_on(api: ApiServer, tmp_path: Path, start: Start) -> None:
    row: Any = "[Timeout]    0.5s\n    Wait Until Pods Are Ready    demo    app=never"
    process = start(row)
    output, _ = process.communicate(timeout=LIMIT)
    first, second = ExecutionResult(str(tmp_path / "out" / "output.xml")).suite.tests
    assert first.message == "Test timeout 500 milliseconds exceeded.", output
    assert second.status == "PASS"
    assert not api.objects["/api/v1/namespaces"]


def test_run_whose_console_nobody_reads_any_more_goes_on_and_tidies_up(
    api: ApiServer, tmp_path: Path, start: Start
) -> None:
    """With `robot … | head` each line of ours was a BrokenPipeError, at the end of the run in place of its clean-up."""
    api.put("/api/v1/nodes", {"metadata": {"name": "node1"}})
    process = start("Label Object    Node    node1    role=client")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None  # so that nobody reads it at the end of the test either
    process.wait(LIMIT)
    result = ExecutionResult(str(tmp_path / "out" / "output.xml"))
    assert [(test.status, test.message) for test in result.suite.tests] == [("PASS", "")] * 2
    assert not api.objects["/api/v1/namespaces"]
    assert not api.objects["/api/v1/nodes"]["node1"]["metadata"].get("labels")
