"""Measures what a dry run of each suite costs beside a dry run without any library, in processor time.

    python benchmarks/dry_run.py [--runs 5]

Editors, libdoc and robocop import the library as a dry run does. Each figure is the least of all runs, so that other
programs of the machine count little.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
GOAL = 1.3
BARE = "*** Test Cases ***\nNothing\n    Log    x\n"


def seconds(source: Path, runs: int) -> float:
    """Returns the least processor time, in seconds, of a dry run."""
    words = [sys.executable, "-m", "robot", "--dryrun", "--output", "NONE", "--log", "NONE", "--report", "NONE"]
    found = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*words, "--console", "none", str(source)], check=True, cwd=ROOT, env=dict(os.environ))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="number of dry runs of each suite")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder, "bare.robot")
        bare.write_text(BARE)
        reference = seconds(bare, runs)
    rows = [["no library", f"{reference:.2f}", "1.0"]]
    worst = 0.0
    for suite in sorted((ROOT / "suites").glob("*.robot")):
        ratio = (took := seconds(suite, runs)) / reference
        worst = max(worst, ratio)
        rows.append([suite.stem, f"{took:.2f}", f"{ratio:.1f}"])
    print(tabulate(rows, ["dry run of", "seconds", "ratio"], disable_numparse=True))
    print(f"\nworst ratio {worst:.1f}, goal {GOAL}")
    return int(worst > GOAL)


if __name__ == "__main__":
    sys.exit(main())
