"""Measures what a dry run of each suite costs beside two others, in processor time.

    python benchmarks/dry_run.py [--runs 5] [SUITE …]

One is the same suite, with its resources, over a library of the same keywords that take anything and do nothing: the
difference is what our library costs. The other is a suite of one step without a library: the difference is what all of
it costs, with what Robot Framework needs to read our files. Editors and libdoc import the library as a dry run does.
The runs take turns, and each figure is the least of all, so that other programs of the machine count little.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from robot.libdocpkg import LibraryDocumentation
from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
GOAL = 1.3
BARE = "*** Test Cases ***\nNothing\n    Log    x\n"


EMPTY = """
def nothing(*args, **named):
    pass


class NetLibrary:
    ROBOT_LIBRARY_SCOPE = "GLOBAL"

    def get_keyword_names(self):
        return {names!r}

    def __getattr__(self, name):
        return nothing
"""


def empty_library(folder: Path) -> None:
    """Makes a library of the same name and keywords, with the same resources, that does nothing."""
    package = folder / "NetLibrary"
    package.mkdir()
    sys.path.insert(0, str(ROOT))
    names = [each.name for each in LibraryDocumentation("NetLibrary").keywords]
    package.joinpath("__init__.py").write_text(EMPTY.format(names=names))
    # KubeLibrary is ours only in that it connects late
    package.joinpath("deferred.py").write_bytes(Path(ROOT, "NetLibrary", "deferred.py").read_bytes())
    package.joinpath("resources").symlink_to(ROOT / "resources")


def seconds(source: Path, library: Path, cache: Path) -> float:
    """Returns the processor time, in seconds, of a dry run."""
    words = [sys.executable, "-m", "robot", "--dryrun", "--output", "NONE", "--log", "NONE", "--report", "NONE"]
    # Compiled once, as for everybody, also where this is switched off
    environment = {**os.environ, "PYTHONPATH": str(library), "PYTHONPYCACHEPREFIX": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Over the empty library a few steps are refused: it cannot tell `a=b` as a text from an argument's name
    subprocess.run(
        [*words, "--console", "none", "--pythonpath", str(library), str(source)],
        check=False, cwd=library, env=environment,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="number of dry runs of each suite")
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help="name of a suite's file without its ending; else all"
    )
    arguments = parser.parse_args()
    rows = []
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder, "bare.robot")
        bare.write_text(BARE)
        empty = Path(folder)
        empty_library(empty)
        for suite in sorted((ROOT / "suites").glob("*.robot")):
            if arguments.suites and suite.stem not in arguments.suites:
                continue
            turns = ((suite, ROOT), (suite, empty), (bare, empty))
            figures = [[seconds(*turn, empty / "cache") for turn in turns] for _ in range(arguments.runs + 1)][1:]
            ours, same, least = (min(each) for each in zip(*figures, strict=True))
            worst = max(worst, ours / same)
            rows.append(
                [suite.stem, *(f"{n:.2f}" for n in (ours, same, least, ours / same, ours / least, same / least))]
            )
    columns = [
        "dry run of",
        "seconds",
        "over an empty library",
        "one step",
        "ratio",
        "to one step",
        "of that the suite's text",
    ]
    print(tabulate(rows, columns, disable_numparse=True))
    print(f"\nworst ratio to the same suite over an empty library: {worst:.2f}, goal {GOAL}")
    return int(worst > GOAL)


if __name__ == "__main__":
    sys.exit(main())
