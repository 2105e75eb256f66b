"""Kills suites in their worst moment and sweeps after them; restarts the API server under suites."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from everything import differences, everything, whole_cluster
from robot.api import logger
from robot.libraries.BuiltIn import BuiltIn
from running import LIMIT_SECONDS, ROOT, STAND_INS, command_of, lab_of_run, output_folder, run_suite, tests_of

from NetLibrary._mechanics.errors import ClusterError
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.polling import rounds, until
from NetLibrary.lab import Lab

SILENCE_SECONDS = 85  # a run that was silent for 80 s may be swept
APPEARANCE_SECONDS = 240
AWAY_SECONDS = 3
RETURN_SECONDS = 120
BETWEEN_SECONDS = 40
# Kubernetes' own programs ask a server that keeps going away ever less often: after some more nothing gets done at all
RESTARTS = 3
ABSENCE = "gave no answer"
# A prober of a run that was killed ends by itself
ENDING_SECONDS = 60
# Controllers make these anew; what they belong to is compared
PASSING_BY = ("Pod/kube-system/", "EndpointSlice/kube-system/", "EndpointSlice/default/", "PodMetrics/", "NodeMetrics/")
SUITES = sorted(each.stem for each in ROOT.joinpath("suites").glob("*.robot"))


class upheaval:  # noqa: N801 - Robot looks for a class of the module's name
    """Keywords of the suite about ends and interruptions."""

    ROBOT_LIBRARY_SCOPE = "SUITE"

    def __init__(self) -> None:
        self._before: dict[str, Any] = {}
        self._places: dict[str, Any] = {}
        self._programs: set[str] = set()

    @property
    def _cluster(self) -> Cluster:
        return BuiltIn().get_library_instance("NetLibrary").session.cluster()

    @property
    def _lab(self) -> Lab:
        return lab_of_run("API servers are restarted, and everything in the cluster is compared; that is for a lab.")

    def note_what_is_there(self, node: str, label: str) -> None:
        """Puts a label on a node, as its user does, and notes everything in the cluster, stand-ins included."""
        for topic in STAND_INS.values():
            self._lab.install(topic)
        self._lab.kubectl("label", "node", node, label)
        self._before, self._places = everything(self._lab), whole_cluster(self._lab)
        self._programs = _programs()

    def take_label_off(self, node: str, key: str) -> None:
        """Takes a user's label off a node."""
        self._lab.kubectl("label", "node", node, f"{key}-")

    def kill_suite(self, suite: str, kind: str, labels: str, *options: str) -> None:
        """Kills a suite with SIGKILL as soon as an object of its appears."""
        before = everything(self._lab)
        self._kill(suite, kind, labels, *options)
        self._note_left(before)

    def _kill(self, suite: str, kind: str, labels: str, *options: str) -> None:
        there = self._named(kind, labels)
        running, _ = self._start(suite, "killed", *options)
        try:
            self._await(kind, labels, running, there)
        finally:
            os.kill(running.pid, signal.SIGKILL)
            running.wait(30)

    def suite_should_keep_everything(self, suite: str, *options: str) -> None:
        """Runs a suite to its end that is told to remove nothing."""
        before = everything(self._lab)
        folder = output_folder("kept", suite)
        tests = run_suite(suite, folder, "-v", f"CLUSTER:lab:{self._lab.name}", "-v", "SKIP_TEARDOWN:True", *options)
        wrong = [f"{test.name}: {test.message}" for test in tests if not test.passed]
        assert not wrong, "\n".join(wrong)
        self._note_left(before)

    def _note_left(self, before: dict[str, Any]) -> None:
        left = differences(before, everything(self._lab))
        logger.info("left by the run:\n" + "\n".join(left))
        assert left, "the suite left nothing; the moment is chosen badly"

    def sweep_should_bring_back_what_was_there(self) -> None:
        """Sweeps as from another machine once the runs are silent; everything in the cluster must be as noted."""
        time.sleep(SILENCE_SECONDS)
        done = subprocess.run(self._sweep(), cwd=ROOT, capture_output=True, text=True, timeout=120)
        logger.info(done.stdout + done.stderr)
        wrong = [] if done.returncode == 0 else [f"the sweep failed: {done.stderr}"]
        self._everything_should_be_back(wrong)

    def _sweep(self, *where: str) -> list[str]:
        where = where or ("--cluster", f"lab:{self._lab.name}")
        return [sys.executable, "-m", "NetLibrary.cli", "sweep", *where, "--older-than", "80s"]

    def _everything_should_be_back(self, wrong: list[str]) -> None:
        """Waits until what the sweep removed has ended, and compares the cluster and this machine with before."""
        for _ in rounds(timeout=ENDING_SECONDS, every=1):
            left = self._left()
            if not left:
                break
        wrong += [f"after the sweep: {each}" for each in left]
        if wrong:
            raise AssertionError("\n".join(wrong))

    def _left(self) -> list[str]:
        """What is another than before: values of objects, objects of any kind, and programs of ours on this machine."""
        now, after = everything(self._lab), whole_cluster(self._lab)
        # A pod of a Deployment of the cluster may be another one meanwhile
        moved = [each for each in differences(self._places, after) if not each.startswith(PASSING_BY)]
        return differences(self._before, now) + moved + [f"runs still: {each}" for each in _programs() - self._programs]

    def kill_suites_at_random(self, draws: int, seed: str = "") -> None:
        """Kills suites with SIGKILL at moments that are drawn, from their first words to their last row."""
        number = int(seed or time.time_ns() % 10**6)
        draw = random.Random(number)
        logger.info(f"seed {number}", also_console=True)
        for each in range(int(draws)):
            suite, seconds = draw.choice(SUITES), draw.uniform(3, 45)
            before = everything(self._lab)
            running, _ = self._start(suite, f"drawn-{each}")
            try:
                running.wait(seconds)
            except subprocess.TimeoutExpired:
                os.kill(running.pid, signal.SIGKILL)
                running.wait(30)
            left = differences(before, everything(self._lab))
            logger.info(f"{suite} killed after {seconds:.0f} s left {len(left)}", also_console=True)
            logger.info("\n".join(left))

    def stop_suites_at_random(self, *suites: str, seed: str = "", again: float | None = None) -> None:
        """Asks suites to end with SIGTERM at moments that are drawn, most of them in their setup; nothing may stay.

        Args:
            suites: Which ones.
            seed: Repeats what was drawn.
            again: Seconds after which a second signal ends even the removal; what stays then must have been told.
        """
        number = int(seed or time.time_ns() % 10**6)
        draw = random.Random(number)
        logger.info(f"seed {number}", also_console=True)
        for suite in suites:
            seconds, before = draw.uniform(2, 25), everything(self._lab)
            running, folder = self._start(suite, f"stopped-{again or ''}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(seconds)
            running.send_signal(signal.SIGTERM)
            if again is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(again)
                running.send_signal(signal.SIGTERM)
            running.wait(150)
            left, said = differences(before, everything(self._lab)), (folder / "console.txt").read_text()
            logger.info(f"{suite} asked to end after {seconds:.0f} s left {len(left)}", also_console=True)
            logger.info("\n".join([*left, said]))
            told = again is not None and ("A second signal ended the run" in said or "netlibrary sweep" in said)
            assert told or not left, f"{suite} left without a word: {left}"

    def suite_should_survive_restarts_of_api_server(
        self, suite: str, kind: str, labels: str, *options: str, between: float = BETWEEN_SECONDS
    ) -> None:
        """Ends the API server for three seconds when an object of the suite appears, and two times more after it.

        No test may fail for it without naming it, and not all may be skipped. A suite that met one absence only shows
        nothing of those that come while Kubernetes has not recovered.
        """
        lab = self._lab
        if suite in STAND_INS:
            lab.install(STAND_INS[suite])
        there = self._named(kind, labels)
        running, folder = self._start(suite, "restart", *options)
        server, restarts = lab.process("kube-apiserver"), 0
        deadline = time.monotonic() + LIMIT_SECONDS
        try:
            self._await(kind, labels, running, there)
            while running.poll() is None:
                assert time.monotonic() < deadline, f"{suite} did not end"
                if restarts < RESTARTS:
                    server.stop()
                    time.sleep(AWAY_SECONDS)
                    server.start()
                    # A busy machine needs several seconds for it, which are no time between two absences
                    until(lab.running, timeout=RETURN_SECONDS, every=0.3, what="The API server's return")
                    restarts += 1
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(float(between) if restarts < RESTARTS else BETWEEN_SECONDS)
        finally:
            running.terminate()
            running.wait(60)
        tests = tests_of(folder)
        passed = sum(test.passed for test in tests)
        failed = [test for test in tests if test.failed]
        wrong = [f"{test.name}: {test.message}" for test in failed if ABSENCE not in test.message]
        text = f"{suite}: {restarts} restarts, {passed} of {len(tests)} passed, {len(failed) - len(wrong)} explained"
        logger.info(text, also_console=True)
        logger.info("\n".join(f"{test.name}: {test.message}" for test in failed))
        if wrong or not (passed or failed):
            raise AssertionError("\n".join(wrong) or f"No test of {suite} was run to its end.")
        assert restarts > 1, f"{suite} ended before the server went away once more; make between= shorter"

    def _start(self, suite: str, how: str, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
        folder = output_folder(how, suite)
        folder.mkdir(parents=True, exist_ok=True)
        command = command_of(suite, folder, "-v", f"CLUSTER:lab:{self._lab.name}", *options)
        with open(folder / "console.txt", "wb") as console:
            return subprocess.Popen(command, cwd=ROOT, stdout=console, stderr=console), folder

    def _named(self, kind: str, labels: str) -> set[tuple[str, str]]:
        try:
            found = self._cluster.list(kind, labels=labels)
        except ClusterError:
            return set()
        return {(obj["metadata"].get("namespace", ""), obj["metadata"]["name"]) for obj in found}

    def _await(self, kind: str, labels: str, running: subprocess.Popen[bytes], there: set[tuple[str, str]]) -> None:
        deadline = time.monotonic() + APPEARANCE_SECONDS
        while not self._named(kind, labels) - there:
            assert running.poll() is None, "the suite ended before the object appeared"
            assert time.monotonic() < deadline, f"no new {kind} with {labels} appeared"
            time.sleep(0.2)


def _programs() -> set[str]:
    """Programs on this machine that a run has left: their parent is gone, and their names say whose they are."""
    found = subprocess.run(["ps", "-eo", "ppid=,pid=,args="], capture_output=True, text=True, check=True).stdout
    ours, machine = ("prober.pyz", "e2sar_perf", "fortio", "iperf3", "echo_server"), os.readlink("/proc/self/ns/pid")
    orphans = [line.split(maxsplit=1)[1] for line in found.splitlines() if line.split()[0] == "1"]
    return {each for each in orphans if any(name in each for name in ours) and _namespace(each) == machine}


def _namespace(process: str) -> str:
    try:
        return os.readlink(f"/proc/{process.split()[0]}/ns/pid")
    except OSError:
        return ""
