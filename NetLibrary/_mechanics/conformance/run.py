"""Runs `e2e.test` in some processes side by side, each with its share of the tests."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from NetLibrary._mechanics.conformance import results
from NetLibrary._mechanics.conformance.results import Test
from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary._mechanics.polling import settle
from NetLibrary._mechanics.secrets import clean, tail

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

CONFORMANCE = r"\[sig-network\].*\[Conformance\]"
LIST_SECONDS = 120.0
# After an interrupt a test still removes what it has made
ENDING_SECONDS = 60.0
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Settings:
    """What to run.

    Args:
        program: The `e2e.test` of the cluster's version of Kubernetes.
        focus: Regular expression of names that run.
        skip: Regular expression of names that do not.
        processes: How many run side by side; tests that must be alone run after them.
        timeout_seconds: Limit for all of it.
        folder: Where reports and logs are written.
    """

    program: Path
    folder: Path
    focus: str = CONFORMANCE
    skip: str = ""
    processes: int = 3
    timeout_seconds: float = 3600.0


@dataclass
class Outcome:
    """What came of it.

    Args:
        wanted: Names of the tests that were to run.
        tests: What became of them.
        around: What went wrong outside of any test.
        seconds: How long it took.
        files: Reports and logs.
    """

    wanted: list[str]
    tests: list[Test] = field(default_factory=list)
    around: list[str] = field(default_factory=list)
    seconds: float = 0.0
    files: list[Path] = field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        """Tests of which no report tells."""
        told = {test.name for test in self.tests}
        return [name for name in self.wanted if name not in told]


def arguments_for(cluster: Cluster) -> list[str]:
    """Returns how `e2e.test` is told of the cluster.

    Raises:
        InputError: It is known by several kubeconfigs; e2e.test takes one.
    """
    choice = cluster.connection.choice
    if not choice.kubeconfig:
        return []
    if len(choice.kubeconfig) > 1:
        raise InputError(
            "e2e.test takes one kubeconfig file, but the cluster is defined by several; give a single one."
        )
    found = [f"-kubeconfig={Path(choice.kubeconfig[0]).resolve()}"]
    context = str(cluster.connection.context or "")
    return [*found, f"-context={context}"] if context else found


def wanted(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Returns the names of the tests that focus and skip leave.

    Raises:
        EnvironmentProblem: The program cannot be run.
        InputError: There is none.
    """
    report = settings.folder / "wanted.xml"
    words = [*_command(settings), "-kubeconfig=/dev/null", f"-ginkgo.focus={settings.focus}", "-ginkgo.dry-run",
             f"-ginkgo.junit-report={report}"]  # fmt: skip
    if settings.skip:
        words.append(f"-ginkgo.skip={settings.skip}")
    try:
        done = subprocess.run(
            words, env=dict(environment), capture_output=True, text=True, timeout=LIST_SECONDS, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentProblem(f"'{settings.program}' cannot list its tests: {error}.") from error
    if not report.exists():
        said = tail(done.stderr.strip() or done.stdout.strip(), 500)
        raise EnvironmentProblem(f"'{settings.program}' does not list its tests as e2e.test does: {said}")
    found = list(dict.fromkeys(test.name for test in results.read(report)[0] if test.status == "passed"))
    report.unlink()
    if not found:
        raise InputError(f"No test of '{settings.program}' has a name that matches focus='{settings.focus}'.")
    return found


def run(cluster: Cluster, settings: Settings, *, say: Callable[[str], None] = lambda text: None) -> Outcome:
    """Runs the tests and reads their reports.

    Raises:
        EnvironmentProblem: The program cannot be run.
        InputError: No test has such a name.
    """
    environment = dict(os.environ)
    settings.folder.mkdir(parents=True, exist_ok=True)
    cluster_words = arguments_for(cluster)
    outcome = Outcome(wanted(settings, environment))
    begun = time.monotonic()
    alone = [name for name in outcome.wanted if Test(name, "").serial]
    together = [name for name in outcome.wanted if name not in set(alone)]
    count = max(1, min(settings.processes, len(together)))
    say(f"{len(outcome.wanted)} tests of {settings.program.name} in {count} processes")
    shares = [share for share in (together[i::count] for i in range(count)) if share]
    for number, round_ in enumerate((shares, [alone] if alone else [])):
        left = settings.timeout_seconds - (time.monotonic() - begun)
        if round_ and left > 0:
            _side_by_side(settings, cluster_words, environment, round_, left, outcome, f"{number}")
    outcome.seconds = time.monotonic() - begun
    return outcome


def _side_by_side(
    settings: Settings, cluster_words: Sequence[str], environment: Mapping[str, str], shares: Sequence[Sequence[str]],
    limit: float, outcome: Outcome, mark: str,
) -> None:  # fmt: skip
    with contextlib.ExitStack() as stack:
        running = []
        for number, share in enumerate(shares, 1):
            report, log = (settings.folder / f"e2e-{mark}-{number}.{kind}" for kind in ("xml", "log"))
            report.unlink(missing_ok=True)
            words = [*_command(settings), *cluster_words, f"-ginkgo.focus={focus_of(share)}",
                     f"-ginkgo.junit-report={report}", f"-ginkgo.timeout={int(limit) + 60}s"]  # fmt: skip
            writer = stack.enter_context(log.open("w"))
            process = subprocess.Popen(
                words, env=dict(environment), stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            stack.callback(_end, process)
            running.append((process, report, log))
        settle(
            lambda: all(p.poll() is not None for p, _, _ in running),
            timeout=limit, every=POLL_SECONDS, what="Conformance tests",
        )  # fmt: skip
        for process, _, _ in running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
    for process, report, log in running:
        for file in (report, log):
            if file.exists():
                clean(file)
        outcome.files += [file for file in (report, log) if file.exists()]
        if not report.exists():
            said = log.read_text(errors="replace").strip()[:300]  # a flag that it does not know is its first line
            outcome.around.append(f"a process ended with status {process.returncode} and wrote no report: {said}")
            continue
        tests, around = results.read(report)
        outcome.tests += tests
        outcome.around += around


def _end(process: subprocess.Popen[bytes]) -> None:
    """Lets a process remove what it has made, and ends it when it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _command(settings: Settings) -> list[str]:
    return [str(settings.program), "-provider=local", "-ginkgo.no-color", "-num-nodes=2"]


def focus_of(names: Sequence[str]) -> str:
    """Returns the expression that finds tests by their names, as Go reads it."""
    return "|".join(re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", name) for name in names)
