"""The sums of a test run: what CI prints last, and what counts as a failure."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from robot.api import TestSuite as RobotSuite

ROOT = Path(__file__).parents[1]
SUMMARY = ROOT / ".ci" / "summary.py"
GOOD = '<testsuite><testcase classname="a" name="one"/><testcase classname="a" name="two"><skipped/></testcase></testsuite>'
BAD = '<testsuite><testcase classname="a" name="three"><failure message="expected 1, got 2"/></testcase></testsuite>'


def summed(status: int, *paths: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, SUMMARY, str(status), *paths], capture_output=True, text=True)
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("status", "files", "code", "last", "said"),
    [
        (0, [GOOD], 0, "1 passed, 0 failed, 1 skipped", ""),
        (1, [GOOD, BAD], 1, "1 passed, 1 failed, 1 skipped", "FAILED a :: three\n    expected 1, got 2"),
        (1, [GOOD], 1, "1 passed, 1 failed, 1 skipped", "status 1, though no test failed"),
        (0, [], 1, "0 passed, 1 failed, 0 skipped", "No test ran."),
        (143, [GOOD, "<testsuite><testca"], 1, "1 passed, 1 failed, 1 skipped", "cannot be read"),
    ],
    ids=["green", "a test fails", "a linter fails", "nothing ran", "a file is cut off"],
)
def test_the_last_line_says_how_the_run_went(
    tmp_path: Path, status: int, files: list[str], code: int, last: str, said: str
) -> None:
    paths = [tmp_path / f"{number}.xml" for number in range(len(files))]
    for path, text in zip(paths, files, strict=True):
        path.write_text(text)
    found, out = summed(status, *paths)
    assert (found, out.splitlines()[-1]) == (code, last)
    assert said in out


# --- Jenkins: the shell steps as they stand -----------------------------------------------------------------------------


def steps() -> list[str]:
    """The shell steps of the Jenkinsfile, with Groovy's escapes undone as Jenkins does it."""
    text = (ROOT / "Jenkinsfile").read_text()
    found = re.findall(r"\bsh '''(.*?)'''|\bsh '([^'\n]+)'", text, re.DOTALL)
    escapes = {"\\\\": "\\", "\\n": "\n", '\\"': '"', "\\'": "'", "\\$": "$"}
    return [re.sub(r"\\.", lambda m: escapes[m[0]], long or short) for long, short in found]


def step(folder: Path, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder), **environment}
    return subprocess.run(["sh", "-xe", "-c", text], cwd=folder, env=env, capture_output=True, text=True)


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_jenkins_installs_into_an_environment_of_its_own(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3", 'mkdir -p .venv/bin; printf "#!/bin/sh\\necho pip \\$@\\n" > .venv/bin/pip; chmod +x .venv/bin/pip')  # fmt: skip
    done = step(tmp_path, steps()[0])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "pip install -q -e .[lab]\n"


@pytest.mark.parametrize(("status", "code"), [(0, 0), (7, 0), (249, 0), (252, 1), (255, 1)])
def test_jenkins_runs_suites_on_several_clusters(tmp_path: Path, status: int, code: int) -> None:
    program(tmp_path / ".venv" / "bin" / "robot", f'printf "%s|" "$@" > called; exit {status}')
    done = step(
        tmp_path, steps()[1], SUITES="suites/a.robot suites/b.robot", OPTIONS="--exclude slow\n-v COMMAND:kubectl ko reload",
        NAMES="HUB_KUBECONFIG CLIENT_KUBECONFIG", HUB_KUBECONFIG="/secret files/hub", CLIENT_KUBECONFIG="/s/edge",
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    expected = "-d|results|--xunit|xunit.xml|--argumentfile|robot.args|suites/a.robot|suites/b.robot|"
    assert (tmp_path / "called").read_text() == expected
    assert (tmp_path / "robot.args").read_text().splitlines() == [
        "--exclude slow", "-v COMMAND:kubectl ko reload", "--variable HUB_KUBECONFIG:/secret files/hub",
        "--variable CLIENT_KUBECONFIG:/s/edge",
    ]  # fmt: skip


def test_jenkins_without_kubeconfigs_takes_what_the_library_finds(tmp_path: Path) -> None:
    program(tmp_path / ".venv" / "bin" / "robot", "exit 0")
    assert step(tmp_path, steps()[1], SUITES="suites", OPTIONS="--exclude slow", NAMES="").returncode == 0
    assert (tmp_path / "robot.args").read_text() == "--exclude slow\n"


def groovy() -> list[str]:
    """The command that runs Groovy: Debian's package, or Java with the archive that GROOVY_JAR names."""
    if archive := os.environ.get("GROOVY_JAR"):
        opened = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("lang", "util")]
        return ["java", *opened, "-cp", archive, "groovy.ui.GroovyMain"]
    return ["groovy"] if shutil.which("groovy") else []


@pytest.mark.skipif(not groovy(), reason="there is no Groovy here")
def test_jenkins_binds_a_credential_to_each_variable_that_a_line_names() -> None:
    """The pipeline's own code, which Jenkins runs with Groovy 2.4."""
    given = {
        "SUITES": "suites/a.robot",
        "OPTIONS": "--exclude slow",
        "KUBECONFIGS": "HUB=hub\n EDGE = edge one \n\nnonsense",
    }
    words = [*groovy(), str(ROOT / "utest" / "jenkins_steps.groovy"), str(ROOT / "Jenkinsfile")]
    done = subprocess.run(words, env={**os.environ, **given}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    called = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["withCredentials", [
        {"variable": "HUB", "credentialsId": "hub"}, {"variable": "EDGE", "credentialsId": "edge one"},
    ]] in called  # fmt: skip
    assert ["withEnv", ["NAMES=HUB EDGE", "SUITES=suites/a.robot", "OPTIONS=--exclude slow"]] in called
    assert [name for name, _ in called if name in ("sh", "robot", "junit")] == ["sh", "sh", "robot", "junit"]
    scripts = [arguments[0] for name, arguments in called if name == "sh"]
    assert scripts == steps(), "the tests above run other steps than Jenkins does"


# --- The environments of tox.ini ----------------------------------------------------------------------------------------


def environments() -> dict[str, list[str]]:
    """Commands of each environment of tox.ini."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini")
    return {
        name.removeprefix("testenv:"): [line for line in parser[name].get("commands", "").splitlines() if line.strip()]
        for name in parser.sections()
        if name.startswith("testenv:")
    }


def test_no_environment_hides_that_a_test_failed() -> None:
    """`tox -e nightly` ran its acceptance tests with `--nostatusrc`: a failing night was green."""
    hidden = [
        (name, line)
        for name, lines in environments().items()
        for line in lines
        if "--nostatusrc" in line.lower() or line.startswith("-") or re.search(r"\|\||; *true", line)
    ]
    assert hidden == []


def test_a_failure_in_the_night_ends_nothing_and_is_in_the_status_at_the_end(tmp_path: Path) -> None:
    """The first command that failed kept the others from running."""
    pytest.importorskip("tox")  # among the oldest versions of dependencies is none
    text = (ROOT / "tox.ini").read_text()
    nightly = re.search(r"^\[testenv:nightly\]\n.*?(?=^\[)", text, re.MULTILINE | re.DOTALL)
    assert nightly
    commands = re.search(r"^commands =\n(?:    .*\n)+", nightly[0], re.MULTILINE)
    assert commands
    ours = nightly[0].replace(commands[0], "commands =\n    python -c 'raise SystemExit(3)'\n    python -c 'print(\"went on\")'\n")  # fmt: skip
    (tmp_path / "tox.ini").write_text(f"[tox]\nskipsdist = true\n[testenv]\nskip_install = true\n{ours}")
    words = [sys.executable, "-m", "tox", "-q", "-e", "nightly", "--runner", "virtualenv"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert "went on" in done.stdout, done.stdout + done.stderr
    assert done.returncode != 0


def selected(line: str, folder: str) -> set[str]:
    """Long names of the tests that a robot command of tox.ini runs."""
    words = line.split()
    tags = {
        option: [words[at + 1] for at, word in enumerate(words) if word == f"--{option}"]
        for option in ("include", "exclude")
    }
    suite = RobotSuite.from_file_system(ROOT / folder)
    suite.configure(include_tags=tags["include"] or None, exclude_tags=tags["exclude"], empty_suite_ok=True)
    return {test.full_name for test in suite.all_tests}


def test_every_acceptance_test_is_run_by_one_environment() -> None:
    lines = [line for name, found in environments().items() if name != "nightly" for line in found]
    runs = [selected(line, "atest") for line in lines if re.search(r"^ *robot -d .* atest$", line)]
    foreign = {
        test.full_name for test in RobotSuite.from_file_system(ROOT / "atest").all_tests if "foreign" in test.tags
    }
    everything = {test.full_name for test in RobotSuite.from_file_system(ROOT / "atest").all_tests}
    assert everything - set.union(*runs) == foreign  # those are run by file, by `foreign` and `unusual`
    assert sum(len(run) for run in runs) == len(set.union(*runs))


def test_the_whole_night_is_all_of_its_parts() -> None:
    found = environments()
    parts = [name for name in found if name.startswith("nightly-")]
    assert [line.strip() for line in found["nightly"]] == [f"{{[testenv:{name}]commands}}" for name in parts]
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert [name for name in parts if name.removeprefix("nightly") not in text] == []
