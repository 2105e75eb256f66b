"""Measures how long a lab takes to start and to stop, and which phase takes the time.

    python benchmarks/lab_start.py [--runs 5] [--nodes 3]

Needs root. The programs and images are made beforehand, so that the runs measure what every start costs. Phases run
side by side, so that their times do not add up to the total; `nodes ready` and `DNS ready` are what is left to wait for
after everything has been started.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time

from tabulate import tabulate

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary.lab import Lab, Options
from NetLibrary.lab.console import say, silent

LIMIT = 15.0  # seconds within which 3 nodes have to be ready with DNS on 2 processors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="number of starts that are measured")
    parser.add_argument("--nodes", type=int, default=3, help="number of nodes")
    parser.add_argument("--name", default="bench", help="name of the lab; it must not be up")
    parser.add_argument("--proxy-mode", choices=["iptables", "nftables"], default="iptables")
    arguments = parser.parse_args()
    lab = Lab(arguments.name, tell=silent)
    if lab.state:
        print(f"The lab '{arguments.name}' is up; take it down or name another.", file=sys.stderr)
        return 1
    seconds: dict[str, list[float]] = {}
    Lab(arguments.name, tell=say).up(
        arguments.nodes, Options(proxy_mode=arguments.proxy_mode)
    ).down()  # fills the caches
    for number in range(arguments.runs):
        lab.up(arguments.nodes, Options(proxy_mode=arguments.proxy_mode))
        state = lab.state
        assert state, "the lab is up"
        begin = time.monotonic()
        lab.down()
        for phase, spent in {**state.timings, "down": time.monotonic() - begin}.items():
            seconds.setdefault(phase, []).append(spent)
        load = os.getloadavg()[0]
        print(
            f"run {number + 1}: up {state.timings['total']:.1f} s, down {seconds['down'][-1]:.1f} s (load {load:.1f})"
        )
    rows = [
        [phase, min(values), statistics.median(values), max(values)]
        for phase, values in sorted(seconds.items(), key=lambda item: item[0] in ("total", "down"))
    ]
    print()
    print(tabulate(rows, ["phase", "min s", "median s", "max s"], floatfmt=".2f"))
    worst = max(seconds["total"])
    print(
        f"\n{arguments.nodes} nodes on {len(os.sched_getaffinity(0))} processors: "
        f"worst start {worst:.1f} s, {'within' if worst <= LIMIT else 'NOT within'} {LIMIT:g} s"
    )
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NetLibraryError as error:
        sys.exit(f"error: {error}")
