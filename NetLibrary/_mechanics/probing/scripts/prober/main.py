"""Runs plans: reads them from standard input, probes, writes a line for each answer."""

# It has to run on the Python of the source image, not on ours
# mypy: ignore-errors
import asyncio
import errno
import socket
import sys
import time

from .basics import CannotRun, Failed, clean, reason
from .connecting import probe_sctp, probe_stream, probe_udp, probe_udp_size
from .names import probe_dns, resolver

CONCURRENT = 512
# Results are told so often, in seconds
TELL_EVERY = 0.02


async def run_one(gate, limit, line):
    """Runs one probe and returns its result line."""
    number, kind, host, port, extra, own = line.split(" ", 5)
    begin = time.monotonic()
    until = begin + max(limit, int(own) / 1000.0)
    async with gate:
        try:
            if kind in ("http", "tcp", "connect"):
                work = probe_stream(kind, host, port, extra, until)
            elif kind == "udp":
                work = probe_udp(host, port, extra, until)
            elif kind == "udpsize":
                work = probe_udp_size(host, port, int(extra), until)
            elif kind == "sctp":
                work = probe_sctp(host, port, until)
            elif kind == "dns":
                work = probe_dns(host, port, extra, until)
            else:
                raise CannotRun("unknown kind " + kind)
            latency, tries, who, client, detail = await asyncio.wait_for(work, max(0.01, until + 0.05 - begin))
            state = "OK"
        except (Failed, OSError, asyncio.TimeoutError) as error:
            state, who, client = "FAILED", "-", "-"
            latency, tries = time.monotonic() - begin, getattr(error, "tries", 1)
            detail = "no answer" if isinstance(error, asyncio.TimeoutError) else reason(error)
        except Exception as error:
            state, latency, tries, who, client, detail = (
                "ERROR",
                0.0,
                0,
                "-",
                "-",
                "%s: %s" % (type(error).__name__, error),
            )
    fields = ("R", number, state, int(latency * 1e6), tries, clean(who), clean(client), clean(detail))
    return "\t".join(map(str, fields)) + "\n"


async def run_plan(lines, limit):
    """Runs a plan: all probes at once, one time limit for all."""
    begin = time.monotonic()
    sys.stdout.write("BEGIN\n")
    sys.stdout.flush()
    gate = asyncio.Semaphore(CONCURRENT)
    tasks = {asyncio.ensure_future(run_one(gate, limit, line)) for line in lines}
    told, lag = False, 0.0
    ready, tell_at = [], time.monotonic() + TELL_EVERY
    while tasks:
        before = time.monotonic()
        done, tasks = await asyncio.wait(tasks, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
        lag = max(lag, time.monotonic() - before - 0.1)
        # Together: each write of its own is a message of its own to everybody on the way to the reader
        ready += [task.result() for task in done]
        if ready and (not done or not tasks or time.monotonic() > tell_at):
            sys.stdout.write("".join(ready))
            sys.stdout.flush()
            ready, tell_at = [], time.monotonic() + TELL_EVERY
        if not done and not told:
            told = True
            sys.stdout.write("IDLE\n")
            sys.stdout.flush()
    sys.stdout.write("END\t%d\t%d\t%d\n" % (len(lines), (time.monotonic() - begin) * 1e6, lag * 1e6))
    sys.stdout.flush()


def watch_flow(host, port, interval, duration):
    """One UDP socket for the whole time; writes a line whenever the answer changes."""
    family, _, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    begin, before, connected = time.monotonic(), None, False
    try:
        while time.monotonic() - begin < duration:
            pause_end = time.monotonic() + interval
            now = ("FAILED", "-", "no answer")
            try:
                if not connected:
                    # fails where a Service without endpoints is refused by its route; the flow begins after that
                    sock.connect(address)
                    connected = True
                sock.send(b"hostname\n")
                sock.settimeout(interval)
                now = ("OK", clean(sock.recv(2000).decode("latin-1")), "-")
            except socket.timeout:  # before Python 3.10 this is no TimeoutError
                pass
            except OSError as error:
                now = ("FAILED", "-", reason(error) if error.errno != errno.EAGAIN else "no answer")
            if now != before:
                before = now
                sys.stdout.write("F\t%d\t%s\t%s\t%s\n" % (((time.monotonic() - begin) * 1e6,) + now))
                sys.stdout.flush()
            time.sleep(max(0.0, pause_end - time.monotonic()))
    finally:
        sock.close()
    sys.stdout.write("END\t0\t0\n")
    sys.stdout.flush()


def mtu():
    """Largest packet of the image's first interface."""
    try:
        with open("/sys/class/net/eth0/mtu") as text:
            return text.read().strip()
    except OSError:
        return "-"


def searched():
    """Search list of the image's resolver."""
    try:
        return clean(" ".join(resolver()[1]))
    except (OSError, CannotRun):
        return "-"


def main():
    """Reads plans until the end of standard input."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    told = (sys.version.split()[0], clean(socket.gethostname()), searched(), mtu())
    sys.stdout.write("HELLO\tpython\t%s\t%s\t%s\t%s\n" % told)
    sys.stdout.flush()
    lines, limit = [], 1.5
    while True:
        line = sys.stdin.readline()
        text = line.strip()
        if not line or text == "QUIT":
            return
        if text.startswith("PLAN "):
            lines, limit = [], int(text[5:]) / 1000.0
        elif text == "END":
            loop.run_until_complete(run_plan(lines, limit))
        elif text.startswith("FLOW "):
            host, port, interval, duration = text[5:].split()
            watch_flow(host, port, int(interval) / 1000.0, int(duration) / 1000.0)
        elif text:
            lines.append(text)
