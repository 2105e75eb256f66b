#!/usr/bin/env python3
"""What does the test-server program of kube-ovn report of an outage, and what does NetLibrary report of the same one?

    sudo python3 benchmarks/break_test_server.py

The program (test/server in kube-ovn, read at 1533681) is not run itself. Its method is: ping each 10 ms, a loop of
curl with 100 ms between two and one second each, iperf3 at 10 Mbit/s in blocks of 1 KB, and what /proc/net/snmp counted
from before to after. Two differences: iperf3 runs as long as the rest (there a constant 60 s), and Python's web server
stands where nginx does. Both methods measure from a network namespace of their own, at the same time, through the same
router, on which the outage is made. Needs root, ping (iputils), curl, iperf3, nft. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from break_accuracy import PERIODS_MS, PORT, Topology, ip

from NetLibrary._mechanics.outages.results.counters import Counters, delta, parse_groups
from NetLibrary._mechanics.outages.results.original import KnownFigures
from NetLibrary._mechanics.outages.results.stream import evaluate
from NetLibrary._mechanics.outages.run.archive import archive
from NetLibrary._mechanics.outages.run.logs import ProberLog
from NetLibrary._mechanics.outages.run.prober_config import configuration
from NetLibrary._mechanics.outages.types import ProbeKind, StreamSpec

KNOWN = "10.201.254"
SERVER = "10.201.0.2"
QUIET_S = 3.0
RULES = {
    "drop": f"ip daddr {SERVER} drop; ip saddr {SERVER} drop",
    "requests dropped": f"ip daddr {SERVER} drop",
    "rejected": f"ip daddr {SERVER} reject with icmp type admin-prohibited",
    "reset": f"ip daddr {SERVER} meta l4proto tcp reject with tcp reset",
}
SCENARIOS = (
    ("nothing", 0.0),
    ("drop", 0.3),
    ("drop", 3.0),
    ("requests dropped", 1.0),
    ("rejected", 1.0),
    ("reset", 1.0),
    ("link of the clients", 3.0),
)


class Comparison:
    """One server, one router, two clients: one for each method."""

    def __init__(self) -> None:
        self.topology = Topology(1)
        self.known = self.topology.client.replace("c", "k")
        self.server = self.topology.servers[0]
        self.extra: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Comparison:
        try:
            self.topology.up()
            ip("netns", "add", self.known)
            ip("link", "set", "lo", "up", netns=self.known)
            self.topology._join(self.known, "k", KNOWN)
            folder = tempfile.gettempdir()
            for command in (
                [sys.executable, "-m", "http.server", "80", "--directory", f"{folder}/nothing-{os.getpid()}"],
                ["iperf3", "-s"],
            ):
                self.extra.append(subprocess.Popen(self.inside(self.server, command), **QUIET))
            time.sleep(1.0)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        for process in self.extra:
            process.terminate()
        for process in self.extra:
            process.wait(10)
        self.topology.down()
        subprocess.run(["ip", "netns", "del", self.known], check=False, capture_output=True, timeout=20)

    @staticmethod
    def inside(netns: str, command: list[str]) -> list[str]:
        """Returns the command that runs in a namespace."""
        return ["ip", "netns", "exec", netns, *command]

    def outage(self, kind: str, length_s: float) -> float:
        """Makes an outage; returns how long it really was in milliseconds."""
        if not length_s:
            return 0.0
        if kind.startswith("link"):
            begin = [["ip", "-n", name, "link", "set", "eth0", "down"] for name in self.clients]
            end = [["ip", "-n", name, "link", "set", "eth0", "up"] for name in self.clients]
            for name, network in zip(self.clients, ("10.201.255", KNOWN), strict=True):
                end.append(["ip", "-n", name, "route", "replace", "default", "via", f"{network}.1"])
        else:
            table = f"table ip outage {{ chain c {{ type filter hook forward priority 0; {RULES[kind]}; }}; }}"
            begin = [self.inside(self.topology.router, ["nft", table])]
            end = [self.inside(self.topology.router, ["nft", "delete table ip outage"])]
        for command in begin:
            subprocess.run(command, check=True, timeout=20, capture_output=True)
        began = time.monotonic()
        time.sleep(length_s)
        for command in end:
            subprocess.run(command, check=True, timeout=20, capture_output=True)
        return (time.monotonic() - began) * 1000

    @property
    def clients(self) -> tuple[str, str]:
        """The namespaces of both methods."""
        return self.topology.client, self.known

    def counters(self) -> Counters:
        """Reads what the kernel counted in the known method's namespace."""
        done = subprocess.run(
            self.inside(self.known, ["cat", "/proc/net/snmp"]), check=True, capture_output=True, text=True, timeout=20
        )
        return parse_groups(done.stdout)

    def known_method(self, seconds: int) -> KnownFigures:
        """Measures as the program does."""
        before = self.counters()
        failed = total = 0
        ping = ["ping", "-D", "-O", "-c", str(seconds * 100), "-i", "0.01", SERVER]
        iperf = ["iperf3", "-c", SERVER, "-b", "10M", "-t", str(seconds), "-l", "1K"]
        beside = [subprocess.Popen(self.inside(self.known, command), **QUIET) for command in (ping, iperf)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.1)
            total += 1
            curl = ["curl", "-m", "1", f"{SERVER}:80"]
            failed += subprocess.run(self.inside(self.known, curl), **QUIET, check=False).returncode != 0
        for process in beside:
            process.wait(seconds + 90)
        changes = delta(before, self.counters())
        return KnownFigures(
            changes.get("Icmp.OutEchos"),
            changes.get("Icmp.OutEchos") - changes.get("Icmp.InEchoReps"),
            changes.get("Tcp.OutSegs"),
            changes.get("Tcp.RetransSegs"),
            total,
            failed,
        )

    def own_method(self, seconds: float) -> list[str]:
        """Measures as NetLibrary does; returns what it says of each kind of probe."""
        specs = [
            StreamSpec(number, "server", kind, SERVER, PORT, period, 900 if kind is ProbeKind.TCP_NEW else 1000)
            for number, (kind, period) in enumerate(PERIODS_MS.items(), start=1)
        ]
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "prober.pyz").write_bytes(archive())
            (Path(folder) / "config.json").write_text(json.dumps(configuration(specs, duration_s=seconds)))
            command = [sys.executable, f"{folder}/prober.pyz", f"{folder}/config.json"]
            done = subprocess.run(
                self.inside(self.topology.client, command), check=True, capture_output=True, timeout=seconds + 30
            )
        log = ProberLog("own", specs)
        log.feed(done.stdout)
        said = []
        for stream in log.stream_logs():
            result = evaluate(stream)
            windows = [f"{w.kind.value} {w.length_ms:.0f} ms ({w.shortest_ms:.0f} to {w.longest_ms:.0f})"
                       for w in result.windows]  # fmt: skip
            lost = f"{result.lost} of {result.sent} lost"
            said.append(f"{stream.spec.kind.value}: {', '.join(windows) or 'no outage'}; {lost}")
        return said


QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def main() -> int:
    """Runs both methods over each outage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10, help="length of each measurement (8 to 60)")
    options = parser.parse_args()
    if not 8 <= options.seconds <= 60:
        parser.error("--seconds must be 8 to 60")
    if os.geteuid():
        parser.error("network namespaces need root")
    with Comparison() as both:
        for kind, length_s in SCENARIOS:
            truth: list[float] = []
            own: list[str] = []

            def disturb(kind: str = kind, length_s: float = length_s, truth: list[float] = truth) -> None:
                time.sleep(QUIET_S)
                truth.append(both.outage(kind, length_s))

            def measure(own: list[str] = own) -> None:
                own += both.own_method(options.seconds)

            threads = [threading.Thread(target=disturb), threading.Thread(target=measure)]
            for thread in threads:
                thread.start()
            figures = both.known_method(options.seconds)
            for thread in threads:
                thread.join()
            print(f"\n{kind}: {truth[0]:.0f} ms" if length_s else f"\n{kind}")
            print(
                f"  its method: echoes {figures.total_icmp_echo}, lost {figures.icmp_lost} (= "
                f"{figures.icmp_lost * 10} ms at its nominal 10 ms); connections {figures.total_tcp_connection}, "
                f"failed {figures.failed_tcp_connection}; retransmitted {figures.tcp_retrans_segment} of "
                f"{figures.total_tcp_out_segments}"
            )
            for line in own:
                print(f"  NetLibrary: {line}")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
