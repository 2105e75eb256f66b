"""The sums of a test run: what CI prints last, and what counts as a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUMMARY = Path(__file__).parents[1] / ".ci" / "summary.py"
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
