"""Times the whole Service matrix suite on a broken lab beside a healthy one, in the same state of the machine.

    python benchmarks/matrix_broken.py [--lab NAME] [--network flannel] [--faults route,forwarding,tunnel,dns]

Each fault is there before the suite starts, so that every row meets it. Prints one line for each run: seconds, how
often that of the healthy run, seconds from the start of the first failed row to the first finding on the console, rows,
and the slowest rows with those of the healthy run beside them. The healthy suite runs first and last.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.report import text_table
from NetLibrary.lab import Lab, Options
from NetLibrary.lab.faults import FaultPlan, Faults
from NetLibrary.lab.faults.names import break_dns
from NetLibrary.lab.faults.network import drop
from NetLibrary.lab.faults.plan import shell

FINDING = re.compile(r"^\[(confirmed|likely|in doubt|not explained)\]")
SUITES = Path(__file__).resolve().parents[1] / "suites"
SLOWEST = 5
# Seconds after a repair, in which the network gets as it was
SETTLE = 3.0
Run = dict[str, Any]


def plans(lab: Lab) -> dict[str, FaultPlan]:
    """The faults by name."""
    pods = next(str(n.pods) for n in lab.nodes if n.name == "node2")
    kept = "/run/netlibrary-benchmark-route"
    route = FaultPlan(
        "route", "node1", f"node1 has no route to {pods}",
        (shell("node1", f"ip route show {pods} | head -1 > {kept}; ip route del {pods}"),),
        (shell("node1", f"ip route replace $(cat {kept}); rm {kept}"),),
    )  # fmt: skip
    # not ip_forward: the bridge plugin sets that to 1 for each pod that it connects
    each = "for f in /proc/sys/net/ipv4/conf/*/forwarding; do case $f in */all/*) ;; *) echo {0} > $f;; esac; done"
    forwarding = FaultPlan(
        "forwarding", "node2", "node2 forwards nothing",
        (shell("node2", each.format(0)),), (shell("node2", each.format(1)),),
    )  # fmt: skip
    everything = [str(n.pods) for n in lab.nodes if n.name != "node2"]
    tunnel = (
        drop("node2", "tunnel", protocol="udp", ports=[8472], hooks=("prerouting",))
        if lab.state and "flannel.1" in lab.node("node2").run(["ip", "-o", "link"]).stdout
        else drop("node2", "pods of other nodes", source=everything, hooks=("prerouting",), interface="eth0")
    )
    return {
        "route": route,
        "forwarding": forwarding,
        "tunnel": tunnel,
        "dns": break_dns("down", [n.name for n in lab.nodes]),
    }


def suite(lab: str, more: list[str], folder: Path) -> Run:
    """Runs the suite and reads its times."""
    words = [sys.executable, "-m", "robot", "-d", str(folder), "-v", f"CLUSTER:lab:{lab}", "--exclude", "slow",
             "--console", "dotted", *more, str(SUITES / "service_matrix.robot")]  # fmt: skip
    begin = time.monotonic()
    found = None
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    wall = time.time()
    with (folder / "console.txt").open("w") as console:
        for line in process.stdout:
            console.write(line)
            if found is None and FINDING.match(line):
                found = time.time()
    process.wait()
    from robot.api import ExecutionResult

    result = ExecutionResult(folder / "output.xml")
    tests = list(result.suite.all_tests)
    failed = [t for t in tests if t.status == "FAIL"]
    first = min((t.start_time.timestamp() for t in failed), default=0.0)
    return {
        "seconds": time.monotonic() - begin,
        "setup": result.suite.setup.elapsed_time.total_seconds(),
        "teardown": result.suite.teardown.elapsed_time.total_seconds(),
        "rows": {t.name: t.elapsed_time.total_seconds() for t in tests},
        "said": "" if found is None else f"{found - max(first, wall):.1f}",
        "count": f"{sum(t.passed for t in tests)}/{len(failed)}/{sum(t.skipped for t in tests)}",
        "load": os.getloadavg()[0],
    }


def one_run(lab: Lab, name: str, more: list[str], folder: Path) -> Run:
    """The suite once, with a fault or without."""
    faults = Faults(lab)
    fault = None if name.startswith("healthy") else faults.apply(plans(lab)[name])
    try:
        return suite(lab.name, more, folder)
    finally:
        if fault is not None:
            faults.repair(fault)
            time.sleep(SETTLE)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", default="bench")
    parser.add_argument("--network", default="bridge")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--faults", default="route,forwarding,tunnel,dns")
    parser.add_argument("--keep", help="folder for the results of the runs")
    given, more = parser.parse_known_args()
    lab = Lab(given.lab)
    was_up = bool(lab.state)
    lab.up(given.nodes, Options(network=given.network))
    runs: list[tuple[str, Run]] = []
    try:
        with tempfile.TemporaryDirectory() as temporary:
            for name in ("healthy", *given.faults.split(","), "healthy again"):
                folder = Path(given.keep or temporary) / name.replace(" ", "-")
                folder.mkdir(parents=True, exist_ok=True)
                runs.append((name, one_run(lab, name, more, folder)))
                report(runs[0][1], *runs[-1])
    finally:
        if not was_up:
            lab.down()
    healthy = sum(r["seconds"] for n, r in runs if n.startswith("healthy")) / 2
    rows = [[n, f"{r['seconds']:.1f}", f"{r['seconds'] / healthy:.2f}", f"{r['setup']:.1f}", r["said"], r["count"],
             f"{r['load']:.1f}"] for n, r in runs]  # fmt: skip
    print(text_table(["run", "s", "of healthy", "setup s", "first finding s", "pass/fail/skip", "load"], rows))


def report(healthy: Run, name: str, run: Run) -> None:
    """Says which rows take longer than in the healthy run."""
    longer = sorted(run["rows"], key=lambda row: healthy["rows"].get(row, 0.0) - run["rows"][row])[:SLOWEST]
    slow = ", ".join(f"{row} {run['rows'][row]:.1f} ({healthy['rows'].get(row, 0.0):.1f})" for row in longer)
    print(
        f"{name}: {run['seconds']:.1f} s, setup {run['setup']:.1f}, teardown {run['teardown']:.1f}; {slow}", flush=True
    )


if __name__ == "__main__":
    main()
