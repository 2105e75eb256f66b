#!/usr/bin/env python3
"""How many datagrams per second does the e2sar_perf stand-in send and receive?

    sudo python3 benchmarks/e2sar_rate.py              three sizes through a pair of network namespaces, about 20 s
    sudo python3 benchmarks/e2sar_rate.py --rate 0.2   the same paced, so that nothing may be lost

Topology: two network namespaces joined by a veth pair, sender in one, receiver in the other, on whatever processors
there are. Exit status 0 when every row sends and receives 50 000 datagrams/s or more. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from NetLibrary._mechanics.e2sar.arithmetic import fragments
from NetLibrary._mechanics.e2sar.logs import parse
from NetLibrary._mechanics.report import text_table

FOLDER = Path(__file__).resolve().parents[1] / "NetLibrary" / "standins" / "e2sar"
GOAL = 50_000
HERE, THERE = f"e2sar-rate-a{os.getpid()}", f"e2sar-rate-b{os.getpid()}"
ROWS = ((1400, 1024, 200_000), (512, 512, 150_000), (1400, 100_000, 3_000))


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def wires() -> None:
    for name in (HERE, THERE):
        ip("netns", "add", name)
    ip("link", "add", "eth0", "netns", HERE, "type", "veth", "peer", "name", "eth0", "netns", THERE)
    for name, address in ((HERE, "192.0.2.1/24"), (THERE, "192.0.2.2/24")):
        ip("-n", name, "addr", "add", address, "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")


def perf(namespace: str, *words: object) -> subprocess.Popen[str]:
    command = ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-m", "perf", *map(str, words)]
    return subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, "E2SAR_STANDIN_STYLE": "0.3.2"})  # fmt: skip


def bound() -> bool:
    ran = subprocess.run(
        ["nsenter", f"--net=/run/netns/{THERE}", "cat", "/proc/net/udp"], capture_output=True, text=True
    )
    return ":4C42 " in ran.stdout


def measure(mtu: int, size: int, events: int, rate: float) -> list[object]:
    uri = "ejfat://unused@127.0.0.1:1234/lb/1?data=192.0.2.2:19522&sync=127.0.0.1:1234"
    receiver = perf(THERE, "-r", "-u", uri, "--ip", "192.0.2.2", "--port", 19522, "-p", 100)
    try:
        while not bound():
            time.sleep(0.05)
        sender = perf(HERE, "-s", "-u", uri, "--ip", "192.0.2.1", "-m", mtu, "-l", size, "-n", events, "--rate", rate)
        sent = parse(sender.communicate(timeout=120)[0])
        time.sleep(0.5)
        receiver.send_signal(signal.SIGINT)
        text = receiver.communicate(timeout=30)[0]
    finally:
        receiver.kill()
        receiver.wait()
    heard = parse(text)
    stamps = [tuple(map(float, found)) for found in re.findall(r"\[(\d+):(\d+):([\d.]+)\] \{info\} Stats", text)]
    seconds = [3600 * h + 60 * m + s for h, m, s in stamps]
    counts = [block.packets or 0 for block in heard.blocks]
    # the fastest half second of reports: the receiver idles before the sender starts
    speeds = [(two - one) / max(1e-6, late - early) for one, two, early, late in
              zip(counts, counts[5:], seconds, seconds[5:], strict=False)]  # fmt: skip
    frames, elapsed = sent.frames_sent or 0, (sent.elapsed_us or 1) / 1e6
    assert heard.final is not None
    return [mtu, size, fragments(size, mtu), frames, round(frames / elapsed), round(max(speeds, default=0)),
            f"{100 * heard.final.received / events:.1f} %"]  # fmt: skip


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--rate", type=float, default=0.0, help="Gbit/s of event bytes, 0 as fast as it goes")
    options = arguments.parse_args()
    try:
        wires()
        rows = [measure(*row, options.rate) for row in ROWS]
    finally:
        for name in (HERE, THERE):
            subprocess.run(["ip", "netns", "del", name], check=False)
    print(text_table(["mtu", "event", "per event", "datagrams", "sent/s", "received/s", "delivered"], rows))
    return 0 if options.rate or all(min(int(str(row[4])), int(str(row[5]))) >= GOAL for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
