"""Runs a suite in a Robot of its own, as a user does, and returns its tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robot.api import ExecutionResult, logger
from robot.libraries.BuiltIn import BuiltIn

from NetLibrary.lab import Lab

ROOT = Path(__file__).resolve().parents[1]
LIMIT_SECONDS = 900
# Where suites find the stand-ins that a lab can install: suite → topic
STAND_INS = {"e2sar": "e2sar", "cyperf": "cyperf", "skupper_iperf3": "skupper"}
# Namespaces of the suite that works in three
SKUPPER = ("hub", "client", "workload")
QUIET = ["--exclude", "slow", "--exclude", "disruptive"]


def lab_of_run(why: str) -> Lab:
    """Returns the lab that the run is connected to; skips the test where it is another cluster, with the reason."""
    cluster = BuiltIn().get_library_instance("NetLibrary").session.cluster()
    if not cluster.is_lab:
        BuiltIn().skip(why)
    return cluster.lab


def output_folder(*parts: str) -> Path:
    """Returns a folder below that of the run's own results."""
    return Path(BuiltIn().get_variable_value("${OUTPUT DIR}")).joinpath(*parts)


def command_of(suite: str, folder: Path, *options: str, quiet: Sequence[str] = QUIET) -> list[str]:
    """Returns the command that runs a suite, but for some rows, with its results in a folder."""
    return [sys.executable, "-m", "robot", "-d", str(folder), *quiet, *options, f"suites/{suite}.robot"]


def run_suite(suite: str, folder: Path, *options: str) -> list[Any]:
    """Runs a suite without its slow and disruptive rows and returns its tests.

    Raises:
        AssertionError: It did not run at all.
    """
    done = subprocess.run(
        command_of(suite, folder, *options), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    logger.info(done.stdout)
    if not (folder / "output.xml").exists():
        raise AssertionError(f"{suite} did not run: {(done.stdout + done.stderr)[-1000:]}")
    return tests_of(folder)


def tests_of(folder: Path) -> list[Any]:
    """Returns the tests of a run that has its results in a folder."""
    return list(ExecutionResult(str(folder / "output.xml")).suite.all_tests)
