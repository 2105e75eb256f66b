"""Measures what the CyPerf stand-in does on this machine: one controller, one client, one server, on loopback.

    python benchmarks/cyperf_stand_in.py [seconds]

Prints one line for each objective. The CPU share is that of all three programs together.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from NetLibrary._mechanics.cyperf import results, run  # noqa: E402
from NetLibrary._mechanics.cyperf.controller import Controller  # noqa: E402
from NetLibrary._mechanics.cyperf.rest import Connection  # noqa: E402
from NetLibrary._mechanics.cyperf.results import Statistics  # noqa: E402
from NetLibrary._mechanics.cyperf.session import TestSession  # noqa: E402
from NetLibrary._mechanics.cyperf.units import shown  # noqa: E402
from NetLibrary.types import CyPerfObjective, CyPerfRole  # noqa: E402

PACKAGE = "NetLibrary.standins.cyperf"
CASES = (
    ("HTTP App", CyPerfObjective.SIMULATED_USERS, 16),
    ("HTTPS App", CyPerfObjective.SIMULATED_USERS, 16),
    ("HTTP App", CyPerfObjective.CONNECTIONS_PER_SECOND, 2000),
    ("HTTPS App", CyPerfObjective.CONNECTIONS_PER_SECOND, 500),
    ("HTTP GET 1MB", CyPerfObjective.THROUGHPUT, 20e9),
    ("HTTP App", CyPerfObjective.CONCURRENT_CONNECTIONS, 2000),
)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def cpu_seconds(processes: list[subprocess.Popen[bytes]]) -> float:
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(
    controller: Controller, port: int, application: str, objective: CyPerfObjective, value: float, seconds: int
) -> str:
    config = controller.configuration("CyPerf Two Arm Base")
    session = TestSession.create(controller, config["configUrl"], config["displayName"])
    session.use_applications([application])
    session.assign_tag(CyPerfRole.CLIENT, "role=client")
    session.assign_tag(CyPerfRole.SERVER, "role=server")
    session.aim_at("127.0.0.1")
    session.set_health_check(False, port, "")
    session.set_ports(port, port)
    session.set_objective(objective, value, seconds)
    test_id = run.start(session, timeout=30).test_id
    run.watch(session, timeout=seconds + 60)
    run.wait_for_result(session, test_id)
    views = results.read_run(Statistics(session.connection, test_id))
    rows = sorted({row.milliseconds for row in views["client-throughput"].rows})
    numbers = results.totals(views, (rows[1], rows[-1]) if len(rows) > 2 else None)
    session.delete()
    return (
        f"{shown(numbers.requests_per_second, '/s'):>9} transactions  "
        f"{shown(numbers.connections_per_second, '/s'):>8} connections  "
        f"{shown(numbers.throughput_bits_per_second, 'bit/s'):>12}  "
        f"first byte {shown(numbers.first_byte_us, 'us'):>8}  "
        f"failed {shown(numbers.connections_failed, '')}"
    )


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    http, traffic = free_port(), free_port()
    environment = {
        **os.environ,
        "CYPERF_STANDIN_MINIMUM_DURATION": "1",
        "CYPERF_STANDIN_STATISTICS_STEP": "1",
        "AGENT_CONTROLLER": f"http://127.0.0.1:{http}",
    }
    start = [
        sys.executable,
        "-m",
        f"{PACKAGE}.controller",
        "--address",
        "127.0.0.1",
        "--https",
        "0",
        "--http",
        str(http),
    ]
    processes = [subprocess.Popen(start, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)]
    try:
        controller = Controller(Connection(f"http://127.0.0.1:{http}", username="admin", password="CyPerf&Keysight#1"))
        for number, role in enumerate(("client", "server"), start=1):
            own = {**environment, "AGENT_TAGS": f"role={role}", "POD_IP": f"127.0.0.{number}"}
            command = [sys.executable, "-m", f"{PACKAGE}.agent"]
            processes.append(subprocess.Popen(command, cwd=ROOT, env=own, stdout=subprocess.DEVNULL))
        deadline = time.monotonic() + 120
        while True:
            try:
                if len(controller.agents()) == 2:
                    break
            except Exception:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {seconds} s each")
        for application, objective, value in CASES:
            before, begin = cpu_seconds(processes), time.monotonic()
            text = measure(controller, traffic, application, objective, value, seconds)
            share = (cpu_seconds(processes) - before) / (time.monotonic() - begin)
            print(f"{application:<13} {objective.value:<23} {text}  {share:.2f} processors", flush=True)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


if __name__ == "__main__":
    main()
