#!/usr/bin/env python3
"""How exactly are outages measured? Known outages, injected in network namespaces, against what is reported.

    sudo python3 benchmarks/break_accuracy.py            12 paths, 20 outages of each length and kind, 2 min
    sudo python3 benchmarks/break_accuracy.py --short    the same with 2 of each, about 20 s
    sudo python3 benchmarks/break_accuracy.py --paths 1 --repeats 5      one path alone
    sudo python3 benchmarks/break_accuracy.py --lengths 60000 --repeats 3    outages of a minute, 75 s
    sudo python3 benchmarks/break_accuracy.py --quiet 600      ten minutes without outages: nothing may be found

Topology: one client namespace, a router, one server namespace per path. The router cuts the link to a server (link),
drops silently in both directions (drop), rejects with ICMP (reject) or resets TCP (reset). The truth is the time
before and after the command that injects; it does not depend on any probe. A kept TCP connection resumes only when TCP
repeats a segment, so for it the time beyond the outage is shown instead of an error (its resets are compared).
Exit status 0 when all limits are kept. Nothing is left behind, also after a signal.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from NetLibrary._mechanics.outages.results.stream import evaluate
from NetLibrary._mechanics.outages.run.archive import INPOD, archive
from NetLibrary._mechanics.outages.run.clock import SAME_CLOCK
from NetLibrary._mechanics.outages.run.echoes import lapses_in
from NetLibrary._mechanics.outages.run.logs import ProberLog
from NetLibrary._mechanics.outages.run.prober_config import configuration
from NetLibrary._mechanics.outages.types import ProbeKind, StreamResult, StreamSpec, Window

LENGTHS_MS = (50, 100, 300, 1000, 3000)
FAULTS = ("link", "drop", "reject", "reset")
PERIODS_MS = {ProbeKind.ICMP: 10, ProbeKind.UDP: 10, ProbeKind.TCP_NEW: 10, ProbeKind.TCP_KEPT: 10}
PORT = 7007
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
PATIENCE_S = 900

RULES = """
table inet faults {
  set dropped { type ipv4_addr; }
  set rejected { type ipv4_addr; }
  set torn { type ipv4_addr; }
  chain forward {
    type filter hook forward priority 0;
    ip daddr @dropped drop
    ip saddr @dropped drop
    ip daddr @rejected reject with icmp type host-unreachable
    ip daddr @torn meta l4proto tcp reject with tcp reset
  }
}
"""


@dataclass
class Injected:
    """One outage as it was made; each end is known to lie between two times."""

    path: int
    fault: str
    wanted_ms: int
    start: tuple[int, int]
    end: tuple[int, int] = (0, 0)

    @property
    def length_ms(self) -> float:
        """True length, the middle of what is known."""
        return (sum(self.end) - sum(self.start)) / 2e6

    @property
    def doubt_ms(self) -> float:
        """Range of what is known about the length."""
        return (self.end[1] - self.end[0] + self.start[1] - self.start[0]) / 2e6


def ip(*words: str, netns: str | None = None) -> None:
    """Runs the program ip."""
    where = ["-n", netns] if netns else []
    subprocess.run(["ip", *where, *words], check=True, capture_output=True, text=True, timeout=20)


class Topology:
    """Client, router and servers in namespaces named after this process."""

    def __init__(self, paths: int) -> None:
        tag = f"nlb{os.getpid()}"
        self.client, self.router = f"{tag}c", f"{tag}r"
        self.servers = [f"{tag}s{index}" for index in range(paths)]
        self.processes: list[subprocess.Popen] = []
        self.logs: list = []
        self.macs: list[str] = []

    def addresses(self) -> list[str]:
        """Returns the servers' addresses in order of the paths."""
        return [f"10.201.{index}.2" for index in range(len(self.servers))]

    def neighbour(self, path: int) -> str:
        """Returns the words that tell the router a server's link address."""
        return f"neigh replace 10.201.{path}.2 lladdr {self.macs[path]} dev s{path} nud permanent"

    def up(self) -> None:
        """Makes everything and starts the echo servers."""
        for name in (self.client, self.router, *self.servers):
            ip("netns", "add", name)
            ip("link", "set", "lo", "up", netns=name)
        self._join(self.client, "c", "10.201.255")
        for index, name in enumerate(self.servers):
            self._join(name, f"s{index}", f"10.201.{index}")
        for setting in ("ip_forward=1", "icmp_ratelimit=0"):
            self.run(self.router, "sysctl", "-qw", f"net.ipv4.{setting}")
        subprocess.run(
            ["ip", "netns", "exec", self.router, "nft", "-f", "-"], input=RULES, text=True, check=True, timeout=20
        )
        for index, name in enumerate(self.servers):
            mac = subprocess.run(
                ["ip", "-n", name, "-br", "link", "show", "eth0"], check=True, capture_output=True, text=True
            ).stdout.split()[2]
            self.macs.append(mac)
            ip(*self.neighbour(index).split(), netns=self.router)
            own = subprocess.run(
                ["ip", "-n", self.router, "-br", "link", "show", f"s{index}"],
                check=True, capture_output=True, text=True,
            ).stdout.split()[2]  # fmt: skip
            ip("neigh", "replace", f"10.201.{index}.1", "lladdr", own, "dev", "eth0", "nud", "permanent", netns=name)
            log = tempfile.TemporaryFile()  # noqa: SIM115  (read when all is over)
            self.logs.append(log)
            self.processes.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", name, sys.executable, str(INPOD / "echo_server.py"), str(PORT)],
                    stdout=log,
                )
            )

    def _join(self, name: str, link: str, network: str) -> None:
        ip("link", "add", link, "netns", self.router, "type", "veth", "peer", "name", "eth0", "netns", name)
        for where, device, address in ((self.router, link, f"{network}.1/30"), (name, "eth0", f"{network}.2/30")):
            ip("addr", "add", address, "dev", device, netns=where)
            ip("link", "set", device, "up", netns=where)
        ip("route", "add", "default", "via", f"{network}.1", netns=name)

    @staticmethod
    def run(netns: str, *command: str) -> None:
        """Runs a command in a namespace."""
        subprocess.run(["ip", "netns", "exec", netns, *command], check=True, timeout=20, capture_output=True)

    def down(self) -> None:
        """Ends the processes and removes the namespaces."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(10)
        for name in (self.client, self.router, *self.servers):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=20)


class Injector(threading.Thread):
    """Breaks and mends in the router's namespace, from a thread that entered it (a command would cost 10 ms)."""

    def __init__(self, topology: Topology, plans: list[list[tuple[float, str, int]]]) -> None:
        super().__init__(daemon=True)
        self.topology = topology
        self.plans = plans
        self.done: list[Injected] = []
        self.error: BaseException | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        """Carries out the plans."""
        try:
            # An injector that waits for the processor would bring two outages together and blur the truth.
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(2))
            self._enter()
            try:
                self._work()
            finally:
                self.neighbours.kill()
                self.neighbours.wait()
        except BaseException as err:  # handed to the main thread, which raises it
            self.error = err

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{self.topology.router}") as netns:
            if libc.setns(netns.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        # Neighbour entries are lost with the link; finding them again takes up to a second, which is a true outage of
        # the path but not the one that the injection is timed by.
        self.neighbours = subprocess.Popen(["ip", "-force", "-batch", "-"], stdin=subprocess.PIPE, text=True)
        self.nft = ctypes.CDLL("libnftables.so.1")
        self.nft.nft_ctx_new.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.nft.nft_ctx_new(0))
        self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def _work(self) -> None:
        start = time.monotonic() + 1.0
        actions = []
        for path, plan in enumerate(self.plans):
            at = start
            for gap, fault, wanted in plan:
                at += gap
                actions.append((at, 0, path, fault, wanted))
                # A few milliseconds more or less: whole multiples of the probes' period would flatter the result.
                at_end = at + wanted / 1000 + random.uniform(-0.005, 0.005)
                actions.append((at_end, 1, path, fault, wanted))
                at = at_end
        current: dict[int, Injected] = {}
        for at, ends, path, fault, wanted in sorted(actions):
            if self.stop.wait(max(0.0, at - time.monotonic())):
                return
            before = time.monotonic_ns()
            self._apply(path, fault, bool(ends))
            span = (before, time.monotonic_ns())
            if ends:
                injected = current.pop(path)
                injected.end = span
                self.done.append(injected)
            else:
                current[path] = Injected(path, fault, wanted, span)

    def _apply(self, path: int, fault: str, mend: bool) -> None:
        if fault == "link":
            flags = struct.pack("16sh14x", f"s{path}".encode(), IFF_UP if mend else 0)
            fcntl.ioctl(self.control, SIOCSIFFLAGS, flags)
            if mend and self.neighbours.stdin:
                self.neighbours.stdin.write(self.topology.neighbour(path) + "\n")
                self.neighbours.stdin.flush()
            return
        name = {"drop": "dropped", "reject": "rejected", "reset": "torn"}[fault]
        verb = "delete" if mend else "add"
        command = f"{verb} element inet faults {name} {{ {self.topology.addresses()[path]} }}"
        if self.nft.nft_run_cmd_from_buffer(self.context, command.encode()):
            raise RuntimeError(f"nft refused: {command}")


def plan_for(faults: list[tuple[str, int]]) -> list[tuple[float, str, int]]:
    """Spaces outages out: after a silent one TCP needs up to its length again to resume."""
    plan, rest = [], 0.0
    for fault, wanted in faults:
        plan.append((0.9 + random.uniform(0, 0.5) + rest, fault, wanted))
        rest = wanted / 1000 * 1.15
    return plan


def measure(paths: int, plans: list[list[tuple[float, str, int]]], duration_s: float) -> tuple[list, ProberLog, list]:
    """Runs prober and injector; returns the injected outages, the prober's log, the servers' pauses."""
    topology = Topology(paths)
    specs = [
        StreamSpec(number, f"path{index}", kind, address, PORT, period, 900 if kind is ProbeKind.TCP_NEW else 1000)
        for number, (index, address, (kind, period)) in enumerate(
            (index, address, item) for index, address in enumerate(topology.addresses()) for item in PERIODS_MS.items()
        )
    ]
    log = ProberLog("benchmark", specs)
    injector = Injector(topology, plans)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "prober.pyz").write_bytes(archive())
        (Path(folder) / "config.json").write_text(json.dumps(configuration(specs, duration_s=duration_s)))
        try:
            topology.up()
            time.sleep(0.5)
            with open(Path(folder) / "out", "wb") as out:
                prober = subprocess.Popen(
                    ["ip", "netns", "exec", topology.client, sys.executable, f"{folder}/prober.pyz",
                     f"{folder}/config.json"], stdout=out)  # fmt: skip
                topology.processes.append(prober)
                injector.start()
                prober.wait(duration_s + 30)
            injector.join(5)
            log.feed((Path(folder) / "out").read_bytes())
        finally:
            injector.stop.set()
            topology.down()
    if injector.error:
        raise injector.error
    pauses = []
    for server in topology.logs:
        server.seek(0)
        pauses.append(lapses_in(server.read().decode(), SAME_CLOCK).paused)
    return injector.done, log, pauses


def expected(fault: str, kind: ProbeKind) -> bool:
    """Whether a fault breaks a kind of probe at all: a TCP reset leaves ICMP and UDP alone."""
    return fault != "reset" or kind in (ProbeKind.TCP_NEW, ProbeKind.TCP_KEPT)


def match(done: list[Injected], results: list[StreamResult], kinds_seen: dict) -> tuple[dict, list[str], list[str]]:
    """Compares; returns errors by (probe, fault, length), the missed and the invented outages."""
    errors: dict = defaultdict(list)
    missed, invented = [], []
    first = min((w.start_ns for result in results for w in result.windows), default=0)
    for result in results:
        kind, path = result.spec.kind, int(result.spec.path[4:])
        windows: list[Window] = list(result.windows)
        for injected in sorted((i for i in done if i.path == path), key=lambda i: i.start):
            if not expected(injected.fault, kind):
                continue
            slack = 60_000_000
            near = [w for w in windows if w.start_ns < injected.end[1] + slack and w.end_ns > injected.start[0] - slack]
            if not near:
                missed.append(f"{result.spec.name} {injected.fault} {injected.wanted_ms} ms")
                continue
            for window in near:
                windows.remove(window)
            measured = (max(w.end_ns for w in near) - min(w.start_ns for w in near)) / 1e6
            inside = (
                near[0].shortest_ms - injected.doubt_ms <= injected.length_ms <= near[0].longest_ms + injected.doubt_ms
            )
            errors[kind, injected.fault, injected.wanted_ms].append((measured - injected.length_ms, inside, len(near)))
            kinds_seen[kind, injected.fault][near[0].kind.value] += 1
        invented += [
            f"{result.spec.name} {w.kind.value} {w.length_ms:.0f} ms at {(w.start_ns - first) / 1e9:.2f} s {w.outcomes}"
            for w in windows
        ]
    return errors, missed, invented


def percentile(values: list[float], share: float) -> float:
    """Returns the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(done: list[Injected], log: ProberLog, pauses: list) -> bool:
    """Prints the comparison; returns whether the limits are kept."""
    streams = log.stream_logs()
    for stream in streams:
        stream.paused += pauses[int(stream.spec.path[4:])]
    results = [evaluate(stream) for stream in streams]
    kinds_seen: dict = defaultdict(lambda: defaultdict(int))
    errors, missed, invented = match(done, results, kinds_seen)
    good = True
    if done:
        doubts = [i.doubt_ms for i in done]
        print(f"{len(done)} outages; the injection itself is known to ±{statistics.median(doubts) / 2:.1f} ms "
              f"(median; worst ±{max(doubts) / 2:.1f} ms)")  # fmt: skip
        print(
            "probe     fault    length   n   error ms: median   p5    p95    worst   |e|<=limit  truth in bounds  kinds"
        )
    for (kind, fault, wanted), found in sorted(errors.items(), key=lambda e: (e[0][0].value, e[0][1], e[0][2])):
        values = [e for e, _inside, _n in found]
        stalls = kind is ProbeKind.TCP_KEPT and fault != "reset"
        limit = 10 if kind in (ProbeKind.ICMP, ProbeKind.UDP) else PERIODS_MS[kind] + 10
        share = sum(abs(v) <= limit for v in values) / len(values)
        inside = sum(i for _e, i, _n in found) / len(found)
        worst = max(values, key=abs)
        kinds = ", ".join(f"{k} {n}" for k, n in sorted(kinds_seen[kind, fault].items(), key=lambda x: -x[1]))
        tail = "(time beyond the outage)" if stalls else f"{share:7.0%} of ±{limit:.0f}  {inside:10.0%}   {kinds}"
        print(f"{kind.value:9} {fault:7} {wanted:6} {len(values):4} {statistics.median(values):14.1f} "
              f"{percentile(values, 0.05):7.1f} {percentile(values, 0.95):6.1f} {worst:8.1f}   {tail}")  # fmt: skip
    for kinds, limit in (
        ((ProbeKind.ICMP, ProbeKind.UDP), 10),
        ((ProbeKind.TCP_NEW,), 15),
        ((ProbeKind.TCP_KEPT,), 20),
    ):
        values = [
            e for (kind, fault, _w), found in errors.items() for e, _i, _n in found
            if kind in kinds and (kind is not ProbeKind.TCP_KEPT or fault == "reset")
        ]  # fmt: skip
        if values:
            share = sum(abs(v) <= limit for v in values) / len(values)
            good &= share >= 0.95
            names = " and ".join(kind.value for kind in kinds)
            print(f"{names}: {share:.1%} of {len(values)} windows within ±{limit} ms "
                  f"(p95 of |error| {percentile([abs(v) for v in values], 0.95):.1f} ms)")  # fmt: skip
    print(f"missed: {len(missed)} {missed[:6]}\ninvented: {len(invented)} {invented[:12]}")
    end = log.ended or {}
    skipped, planned = sum(r.skipped for r in results), sum(r.planned for r in results)
    print(f"prober: {planned} probes planned, {skipped} not sent in time; {end.get('cpu_s')} s CPU "
          f"in {end.get('wall_s')} s = {100 * end.get('cpu_s', 0) / max(1, end.get('wall_s', 1)):.0f} % of one core; "
          f"longest delay {max((r.get('latest_ms', 0) for r in end.get('streams', {}).values()), default=0):.0f} ms; "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    return good and not missed and not invented and bool(end)


def main() -> int:
    """Runs the benchmark as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, default=12, help="paths measured at once (1 to 12)")
    parser.add_argument("--repeats", type=int, default=20, help="outages of each length and kind")
    parser.add_argument("--short", action="store_true", help="two outages of each length and kind")
    parser.add_argument("--lengths", default=",".join(map(str, LENGTHS_MS)), help="lengths in ms, with commas between")
    parser.add_argument("--quiet", type=float, default=0, help="measure this many seconds without any outage")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    if not 1 <= options.paths <= 12 or options.repeats < 1 or not 0 <= options.quiet <= PATIENCE_S:
        parser.error(f"--paths must be 1 to 12, --repeats at least 1, --quiet 0 to {PATIENCE_S} seconds")
    if os.geteuid():
        parser.error("network namespaces need root")
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    random.seed(seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plans: list[list[tuple[float, str, int]]] = [[] for _ in range(options.paths)]
    duration = options.quiet
    if not options.quiet:
        repeats = 2 if options.short else options.repeats
        lengths = [int(word) for word in options.lengths.split(",")]
        todo = [(fault, wanted) for fault in FAULTS for wanted in lengths for _ in range(repeats)]
        random.shuffle(todo)
        # Longest first to the least busy path, then shuffled again: all paths are done at about the same time.
        shares: list[list[tuple[str, int]]] = [[] for _ in plans]
        for item in sorted(todo, key=lambda entry: -entry[1]):
            min(shares, key=lambda share: sum(1.2 + 2.15 * w / 1000 for _f, w in share)).append(item)
        for share in shares:
            random.shuffle(share)
        plans = [plan_for(share) for share in shares]
        duration = max(sum(g + w / 1000 for g, _f, w in plan) for plan in plans) + 9
    print(f"{options.paths} paths at once for {duration:.0f} s, seed {seed}", flush=True)
    if duration > PATIENCE_S:
        parser.error(f"that would take {duration:.0f} s; more paths at once or fewer repeats")
    done, log, pauses = measure(options.paths, plans, duration)
    return 0 if report(done, log, pauses) else 1


if __name__ == "__main__":
    sys.exit(main())
