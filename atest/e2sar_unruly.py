#!/usr/bin/env python3
"""Takes the options of `e2sar_perf -s` and sends the datagrams of each event in reverse, or each one twice.

The environment variable E2SAR_UNRULY is `reverse` or `double`. It stands for a network that does so.
"""

import os
import re
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "NetLibrary" / "standins" / "e2sar"))

from perf import wire
from perf.options import parse


def main() -> None:
    given = parse(sys.argv[1:], (0, 1))
    address, port = re.search(r"data=([^:&]+):(\d+)", given.text("uri")).groups()
    event = wire.payload(given.int("length"))
    parts = wire.fragments(len(event), given.int("mtu") - wire.header_bytes())
    order = {"reverse": parts[::-1], "double": [part for part in parts for _ in range(2)]}[os.environ["E2SAR_UNRULY"]]
    pause = given.int("length") * 8 / (given.float("rate") * 1e9)
    print(f"Sending {given.int('num')} event buffers", f"Using MTU {given.int('mtu')}", sep="\n", flush=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect((address, int(port)))
        for number in range(given.int("num")):
            for offset, size in order:
                head = wire.headers(time.time_ns() // 1000, 1, number, given.int("dataid"), offset, len(event))
                out.send(head + event[offset : offset + size])
            time.sleep(pause)
    print(f"Completed, {given.int('num') * len(order)} frames sent, 0 errors", "Stopping threads", sep="\n")


main()
