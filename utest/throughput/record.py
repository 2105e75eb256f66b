"""Records what real versions of iperf3 print over real paths, with the truth that the kernel counted.

    python -m utest.throughput.record FOLDER...

Each folder holds one version's `iperf3` (a script that starts it will do). Needs root. Versions that Debian and Ubuntu
have packaged over the years are in their archives; those in `recorded/` come from there.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path

from utest.throughput import real_path

FOLDER = Path(__file__).parent / "recorded"
# Name: what the path does, what the client is asked for
RUNS: dict[str, tuple[str, dict[str, object]]] = {
    "clean": (real_path.CLEAN, {}),
    "drop": (real_path.DROP_30, {"seconds": 2}),
    "drop-reverse": (real_path.DROP_30, {"seconds": 2, "reverse": True}),
    "drop-streams": (real_path.DROP_30, {"streams": 3}),
    "drop-omit": (real_path.DROP_30, {"omit_seconds": 1}),
    "drop-all": (real_path.DROP_ALL, {}),
    "cut": (real_path.CUT, {}),
    "cut-reverse": (real_path.CUT, {"reverse": True}),
    "double": (real_path.DOUBLE_20, {}),
    "late": (real_path.LATE_20, {}),
}


def without_the_machine(output: str) -> str:
    """Takes out what names the machine and its processes, and the spaces that only indent."""
    output = re.sub(r'("(?:system_info|cookie)":\s*)"[^"]*"', r'\1"-"', output)
    return re.sub(r"\n\t+", "\n", output)


def main(folders: list[str]) -> None:
    """Records all runs of all versions."""
    FOLDER.mkdir(exist_ok=True)
    for folder in folders:
        for name, (rule, options) in RUNS.items():
            output, truth = real_path.run(rule, client=folder, server=folder, **options)
            found = re.search(r'"version":\s*"iperf ([\d.]+)', output)
            version = found[1] if found else Path(folder).name
            entry = {"asked": options, "truth": asdict(truth), "output": without_the_machine(output)}
            (FOLDER / f"{version}-{name}.json").write_text(json.dumps(entry, indent=1) + "\n")
            print(version, name, truth, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
