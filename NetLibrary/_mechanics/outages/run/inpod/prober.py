"""The prober: measures many paths at once from where it runs and says what it could not do.

Its configuration is one JSON object (see `configuration` in `NetLibrary/_mechanics/outages/run/prober_config.py`), its
result is the stream described in `wire`. It ends by itself after its duration, on TERM or INT (the open probes are
awaited, the results are complete), and when nobody has touched its lease file for too long.
"""

import json
import os
import platform
import resource
import signal
import socket
import sys
import time
from typing import Any

from .dns import DnsStream
from .echo import IcmpSocket, IcmpStream, UdpStream
from .http import HttpStream, KeptHttpStream
from .idle import IdleConnectionStream
from .iperf import IperfRun
from .kept import KeptConnectionStream
from .loop import Loop, monotonic_ns
from .tcp import NewConnectionStream
from .wire import MAGIC  # noqa: F401  (part of the archive's public names)

KINDS = {
    "udp": UdpStream,
    "tcp_new": NewConnectionStream,
    "tcp_kept": KeptConnectionStream,
    "tcp_idle": IdleConnectionStream,
    "dns": DnsStream,
    "http": HttpStream,
    "http_kept": KeptHttpStream,
}
COUNTER_FILES = ("/proc/net/snmp", "/proc/net/netstat", "/proc/net/snmp6")
COUNTERS_EVERY_NS = 10_000_000_000


def read_counters():
    """Returns the kernel's counter files as text; a file that is not there is left out."""
    found = {}
    for path in COUNTER_FILES:
        try:
            with open(path, encoding="ascii") as source:
                found[os.path.basename(path)] = source.read()
        except OSError:
            pass
    return found


def icmp_sockets(loop, families):
    """Opens what ping would open. Returns ({family: shared raw socket or None}, [what is impossible and why])."""
    sockets: dict = {}
    impossible: dict = {}
    for family, protocol, name in (
        (socket.AF_INET, socket.IPPROTO_ICMP, "ICMP"),
        (socket.AF_INET6, socket.IPPROTO_ICMPV6, "ICMPv6"),
    ):
        if family not in families:
            continue
        try:
            sockets[family] = IcmpSocket(loop, family)
            continue
        except OSError as raw_error:
            why = f"no raw socket ({raw_error.strerror}: the capability NET_RAW is missing)"
        try:
            socket.socket(family, socket.SOCK_DGRAM, protocol).close()
            sockets[family] = None
        except OSError as err:
            impossible[family] = (
                f"{name}: {why} and no ping socket ({err.strerror}: sysctl net.ipv4.ping_group_range does not "
                f"hold group {os.getgid()})"
            )
    return sockets, impossible


def open_streams(loop, specs):
    """Makes the streams; one that cannot be made becomes an event `cannot`, the others go on."""
    families = {
        socket.AF_INET6 if ":" in spec["address"] else socket.AF_INET for spec in specs if spec["kind"] == "icmp"
    }
    sockets, impossible = icmp_sockets(loop, families)
    for spec in specs:
        try:
            if spec["kind"] == "icmp":
                family = socket.AF_INET6 if ":" in spec["address"] else socket.AF_INET
                if family in impossible:
                    raise OSError(None, impossible[family])
                stream: Any = IcmpStream(loop, dict(spec, identifier=os.getpid() << 8), sockets[family])
            else:
                stream = KINDS[spec["kind"]](loop, spec)
        except (OSError, KeyError, ValueError) as err:
            why = getattr(err, "strerror", None) or str(err)
            loop.event("cannot", stream=spec["number"], what=f"{spec['kind']} to {spec['address']}", why=why)
            continue
        loop.streams.append(stream)
    return {"icmp": "raw" if any(sockets.values()) else "ping socket" if sockets else "none"}


class Lease:
    """Ends the run when the reader has been gone for too long: nothing keeps running for nobody."""

    def __init__(self, loop, path, limit_s):
        self.loop, self.path, self.limit = loop, path, limit_s

    def __call__(self, now):
        try:
            age = time.time() - os.stat(self.path).st_mtime
        except OSError:
            return
        if age > self.limit:
            self.loop.stopping = f"nothing has read the results for {age:.0f} s"


def raise_limits():
    """Allows as many sockets as permitted and asks for a little priority; returns what was granted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        # Real time where that is allowed: the prober needs little, but at once.
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        priority = "real time"
    except OSError:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -10)
            priority = "nice -10"
        except OSError:
            priority = "normal"
    return {"descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0], "priority": priority}


def run(config, descriptor):
    """Measures as configured and writes the stream to a descriptor; returns the exit code."""
    os.set_blocking(descriptor, False)
    loop = Loop(descriptor)
    granted = raise_limits()

    def stop(number, _frame):
        loop.stopping = f"signal {number}"

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    loop.event(
        "hello",
        pid=os.getpid(),
        host=socket.gethostname(),
        python=platform.python_version(),
        kernel=platform.release(),
        realtime_ns=time.time_ns(),
        processors=os.cpu_count(),
        **granted,
    )
    facts = open_streams(loop, config["streams"])
    loop.event("opened", streams=[s.number for s in loop.streams], **facts)
    duration_s = config["duration_s"]
    iperfs = [IperfRun(loop, spec, duration_s) for spec in config.get("iperf", ())]
    if not loop.streams and not any(run.process for run in iperfs):
        loop.event("end", why="nothing could be measured", streams={})
        loop.flush()
        return 1
    if config.get("lease_file"):
        loop.timers.append(Lease(loop, config["lease_file"], config["lease_s"]))
    next_counters = [0]

    def counters(now):
        if now >= next_counters[0]:
            next_counters[0] = now + COUNTERS_EVERY_NS
            loop.event("counters", files=read_counters())

    loop.timers.append(counters)
    used = resource.getrusage(resource.RUSAGE_SELF)
    began = monotonic_ns()
    drain_ns = max([stream.limit for stream in loop.streams] or [0]) + 50_000_000
    why = loop.run(int(duration_s * 1e9), drain_ns)
    for iperf in iperfs:
        iperf.finish()
    loop.event("counters", files=read_counters())
    after = resource.getrusage(resource.RUSAGE_SELF)
    loop.event(
        "end",
        why=why,
        cpu_s=round(after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime, 3),
        wall_s=round((monotonic_ns() - began) / 1e9, 3),
        streams={
            s.number: {"sent": s.sent, "skipped": s.skipped, "latest_ms": round(s.latest / 1e6, 3)}
            for s in loop.streams
        },
    )
    os.set_blocking(descriptor, True)
    loop.flush()
    return 0


def main(arguments=None):
    """Runs with the configuration file that is named first, writing to the file named second or to stdout."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with open(arguments[0], encoding="utf-8") as source:
        config = json.load(source)
    if len(arguments) > 1:
        return run(config, os.open(arguments[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    return run(config, 1)
