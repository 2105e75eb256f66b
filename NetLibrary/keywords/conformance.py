"""A keyword that runs upstream's own tests of Kubernetes, so that they stand beside those of the library."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude

SIG_NETWORK = r"\[sig-network\].*\[Conformance\]"


class ConformanceKeywords(KeywordBase):
    """Run upstream's e2e.test."""

    @keyword(tags=["conformance"])
    def run_conformance_tests(
        self, *, e2e_test: Path, focus: str = SIG_NETWORK, skip: str = "", processes: int = 3,
        timeout: timedelta = timedelta(hours=1), name: str | None = None, cluster: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Runs upstream's end-to-end tests against the cluster, and fails when one of them does not pass.

        `e2e.test` comes with each Kubernetes release, in `kubernetes-test-PLATFORM.tar.gz`; take the one of the
        cluster's version. Its tests create and remove their own namespaces; they need administrator rights, and the
        images agnhost, busybox and others. Tests marked `[Serial]` or `[Disruptive]` run alone, after all others. The
        record has a check for each test; reports and logs are in the output folder.

        Args:
            e2e_test: Path of the program.
            focus: Regular expression for the names of tests to run; the conformance tests of sig-network by default.
            skip: Regular expression for the names of tests not to run.
            processes: How many processes run in parallel.
            timeout: Limit for the whole run; tests that have not ended by then are interrupted, and the result is an
                error.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.
        Returns:
            Numbers: `tests`, `passed`, `failed`, `skipped`, `seconds`.
        Raises:
            Failure: Tests failed; each is named with its message.
            Error: The program cannot be run, or not all tests ended.

        ```robotframework
        *** Test Cases ***
        The Network Conforms
            Run Conformance Tests    e2e_test=/usr/local/bin/e2e.test
        ```
        """
        import os

        from NetLibrary._mechanics.conformance import judge, run, show
        from NetLibrary._mechanics.errors import InputError

        if not e2e_test.is_file() or not os.access(e2e_test, os.X_OK):
            raise InputError(f"e2e_test is '{e2e_test}', which is not a program on this machine.")
        if not 1 <= processes <= 32:
            raise InputError(f"processes is {processes}; allowed: 1 to 32.")
        connection = self.session.cluster(cluster)
        label = name or _robot.current_test() or "conformance"
        limit = timeout.total_seconds()
        settings = run.Settings(e2e_test.resolve(), _folder(label), focus, skip, processes, limit)
        outcome = run.run(connection, settings, say=_robot.console)
        checks, errors = judge.checks(outcome), judge.errors(outcome)
        numbers = {
            "tests": len(outcome.wanted),
            "passed": sum(test.status == "passed" for test in outcome.tests),
            "failed": sum(not check.passed for check in checks),
            "skipped": sum(test.status == "skipped" for test in outcome.tests),
            "seconds": round(outcome.seconds, 1),
        }
        conclude(
            self.session,
            kind="conformance",
            name=label,
            parameters={"e2e_test": str(e2e_test), "focus": focus, "skip": skip, "processes": processes,
                        "timeout_seconds": limit},
            checks=checks,
            errors=errors,
            samples=[vars(test) for test in outcome.tests],
            summary=numbers,
            tables=[show.tests(outcome, label)],
            files=outcome.files,
            console=f"{label}: {numbers['passed']} of {numbers['tests']} passed, {numbers['failed']} failed, "
            f"{numbers['skipped']} skipped themselves, in {outcome.seconds:.0f} s",
        )  # fmt: skip
        return numbers


def _folder(label: str) -> Path:
    """Returns a new folder in the output folder for reports and logs."""
    words = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:60] or "tests"
    parent = _robot.output_dir() / "conformance"
    found, number = parent / words, 1
    while found.exists():
        number += 1
        found = parent / f"{words}-{number}"
    return found
