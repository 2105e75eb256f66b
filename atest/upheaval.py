"""Kills suites in their worst moment and sweeps after them; restarts the API server under suites."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from everything import differences, everything
from robot.api import ExecutionResult, logger
from robot.libraries.BuiltIn import BuiltIn
from running import LIMIT_SECONDS, ROOT, STAND_INS, command_of, output_folder

from NetLibrary.lab import Lab

SILENCE_SECONDS = 85  # a run that was silent for 80 s may be swept
APPEARANCE_SECONDS = 240


class upheaval:  # noqa: N801 - Robot looks for a class of the module's name
    """Keywords of the suite about ends and interruptions."""

    ROBOT_LIBRARY_SCOPE = "SUITE"

    @property
    def _lab(self) -> Lab:
        cluster = BuiltIn().get_library_instance("NetLibrary").session.cluster()
        if not cluster.is_lab:
            BuiltIn().skip("API servers are restarted, and everything in the cluster is compared; that is for a lab.")
        return cluster.lab

    def killed_suite_should_be_swept(self, suite: str, kind: str, labels: str, *options: str) -> None:
        """Kills a suite with SIGKILL as soon as an object appears, sweeps, and compares the cluster with before."""
        before = everything(self._prepared(suite))
        running, _ = self._start(suite, "killed", *options)
        try:
            self._await(kind, labels, running)
        finally:
            os.kill(running.pid, signal.SIGKILL)
            running.wait(30)
        left = differences(before, everything(self._lab))
        assert left, "the suite had made nothing yet; the moment is chosen badly"
        logger.info("left by the killed run:\n" + "\n".join(left))
        time.sleep(SILENCE_SECONDS)
        words = [sys.executable, "-m", "NetLibrary.cli", "sweep", "--cluster", f"lab:{self._lab.name}"]
        done = subprocess.run([*words, "--older-than", "80s"], cwd=ROOT, capture_output=True, text=True, timeout=120)
        logger.info(done.stdout + done.stderr)
        wrong = differences(before, everything(self._lab))
        if wrong or done.returncode:
            raise AssertionError("\n".join([f"after the sweep: {each}" for each in wrong] + [done.stderr]))

    def suite_should_survive_restart_of_api_server(self, suite: str, kind: str, labels: str, *options: str) -> None:
        """Ends the API server for three seconds when an object of the suite appears; no test may fail for it."""
        lab = self._prepared(suite)
        running, folder = self._start(suite, "restart", *options)
        self._await(kind, labels, running)
        server = lab.process("kube-apiserver")
        server.stop()
        time.sleep(3)
        server.start()
        running.wait(LIMIT_SECONDS)
        tests = list(ExecutionResult(str(folder / "output.xml")).suite.all_tests)
        wrong = [f"{test.name}: {test.message}" for test in tests if test.failed]
        if wrong or not any(test.passed for test in tests):
            raise AssertionError("\n".join(wrong) or f"No test of {suite} passed.")

    def _prepared(self, suite: str) -> Lab:
        if suite in STAND_INS:
            self._lab.install(STAND_INS[suite])
        return self._lab

    def _start(self, suite: str, how: str, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
        folder = output_folder(how, suite)
        folder.mkdir(parents=True, exist_ok=True)
        command = command_of(suite, folder, "-v", f"CLUSTER:lab:{self._lab.name}", *options)
        with open(folder / "console.txt", "wb") as console:
            return subprocess.Popen(command, cwd=ROOT, stdout=console, stderr=console), folder

    def _await(self, kind: str, labels: str, running: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + APPEARANCE_SECONDS
        while not self._lab.kubectl("get", kind, "--all-namespaces", "-l", labels, "-o", "name").strip():
            assert running.poll() is None, "the suite ended before the object appeared"
            assert time.monotonic() < deadline, f"no {kind} with {labels} appeared"
            time.sleep(0.2)
