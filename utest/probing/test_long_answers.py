"""Answers with many records arrive whole: a headless Service of 16 pods was told with 12, and DNS was accused."""

from __future__ import annotations

import subprocess
from pathlib import Path

from NetLibrary._mechanics.probing.scripts.prober.basics import clean

RECORDS = ",".join(f"198.18.{n}.200" for n in range(250))
BASH = Path(__file__).parents[2] / "NetLibrary" / "_mechanics" / "probing" / "scripts" / "prober.bash"


def test_records_of_many_pods_fit_into_a_result() -> None:
    assert clean(RECORDS) == RECORDS


def test_records_of_many_pods_fit_into_a_result_of_the_bash_prober() -> None:
    line = next(line for line in BASH.read_text().splitlines() if line.startswith("clean() {"))
    done = subprocess.run(
        ["bash", "-c", f'{line}\nclean "$1"; echo "$clean"', "x", RECORDS], capture_output=True, text=True
    )
    assert done.stdout.strip() == RECORDS
