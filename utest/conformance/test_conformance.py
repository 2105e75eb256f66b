"""Upstream's tests through a program that speaks as e2e.test does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from NetLibrary._mechanics.conformance import judge, run, show
from NetLibrary._mechanics.errors import EnvironmentProblem, InputError

# Name → (status, words); the program below runs those that the focus finds
TESTS = {
    "[sig-network] DNS should resolve (really) [Conformance]": ("passed", ""),
    "[sig-network] Services should serve [Conformance]": ("passed", ""),
    "[sig-network] Services should be [Serial] alone [Conformance]": ("passed", ""),
    "[sig-apps] Job should end [Conformance]": ("passed", ""),
}
PROGRAM = """#!{python}
import json, re, sys, time
from xml.sax.saxutils import quoteattr
options = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:] if "=" in word)
if {broken}:
    sys.exit("flag provided but not defined: -ginkgo.focus")
focus, skip = re.compile(options["ginkgo.focus"]), re.compile(options.get("ginkgo.skip", "^$"))
dry, tests = "-ginkgo.dry-run" in sys.argv, json.loads({tests!r})
with open({calls!r}, "a") as calls:
    calls.write(json.dumps([options.get("kubeconfig"), options.get("context"), dry]) + "\\n")
cases = ['<testcase name="[SynchronizedBeforeSuite]" status="{before}" time="0"><failure message="no node is ready"/></testcase>']
for name, (status, words) in tests.items():
    if not focus.search(name) or skip.search(name):
        status, words = "skipped", "skipped"
    elif dry:
        status = "passed"
    if status == "hangs":
        time.sleep(60)
    title = quoteattr("[It] " + name + " [sig-network, Conformance]")
    inner = '<skipped message=%s/>' % quoteattr(words) if status == "skipped" else '<failure message=%s/>' % quoteattr(words)
    cases.append("<testcase name=%s status=%s time='1.5'>%s</testcase>" % (title, quoteattr(status), inner if words else ""))
with open(options["ginkgo.junit-report"], "w") as report:
    report.write("<testsuites><testsuite>" + "".join(cases) + "</testsuite></testsuites>")
"""


def program(
    folder: Path, changes: dict[str, Any] | None = None, *, broken: bool = False, before: str = "passed"
) -> Path:
    made = folder / "e2e.test"
    text = PROGRAM.format(python=sys.executable, tests=json.dumps({**TESTS, **(changes or {})}), broken=broken,
                          before=before, calls=str(folder / "calls"))  # fmt: skip
    made.write_text(text)
    made.chmod(0o755)
    return made


def cluster(*files: str) -> Any:
    choice = SimpleNamespace(kubeconfig=tuple(Path(file) for file in files))
    return SimpleNamespace(connection=SimpleNamespace(choice=choice, context="admin"))


def ran(folder: Path, made: Path, **settings: Any) -> run.Outcome:
    return run.run(cluster("/k"), run.Settings(made, folder / "out", **settings))


def test_each_test_of_the_focus_is_a_check(tmp_path: Path) -> None:
    outcome = ran(tmp_path, program(tmp_path))
    assert sorted(check.rule for check in judge.checks(outcome)) == sorted(n for n in TESTS if "network" in n)
    assert all(check.passed for check in judge.checks(outcome))
    assert judge.errors(outcome) == []


def test_it_is_told_of_the_cluster_that_the_library_uses(tmp_path: Path) -> None:
    ran(tmp_path, program(tmp_path))
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [call[:2] for call in calls if not call[2]] == [["/k", "admin"]] * 3


def test_a_failure_has_its_words(tmp_path: Path) -> None:
    name = "[sig-network] Services should serve [Conformance]"
    outcome = ran(tmp_path, program(tmp_path, {name: ("failed", "timed out\n <1m>")}))
    assert [check.sentence for check in judge.checks(outcome) if not check.passed] == [
        f"{name}: failed. timed out <1m>"
    ]
    assert show.tests(outcome, "x").rows[0][0] == name


def test_a_test_that_skips_itself_is_no_check(tmp_path: Path) -> None:
    name = "[sig-network] Services should serve [Conformance]"
    outcome = ran(tmp_path, program(tmp_path, {name: ("skipped", "needs two nodes")}))
    assert len(judge.checks(outcome)) == 2
    assert judge.errors(outcome) == []


def test_a_suite_whose_setup_failed_is_an_error(tmp_path: Path) -> None:
    outcome = ran(tmp_path, program(tmp_path, before="failed"))
    assert "no node is ready" in judge.errors(outcome)[0]


def test_tests_that_do_not_end_are_an_error_and_are_named(tmp_path: Path) -> None:
    name = "[sig-network] DNS should resolve (really) [Conformance]"
    outcome = ran(tmp_path, program(tmp_path, {name: ("hangs", "")}), timeout_seconds=3.0)
    assert any("did not end" in text and "DNS" in text for text in judge.errors(outcome))


def test_a_focus_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="focus='nothing like it'"):
        ran(tmp_path, program(tmp_path), focus="nothing like it")


def test_another_program_is_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="flag provided but not defined"):
        ran(tmp_path, program(tmp_path, broken=True))


def test_several_kubeconfigs_are_refused() -> None:
    with pytest.raises(InputError, match="one kubeconfig"):
        run.arguments_for(cluster("/a", "/b"))
