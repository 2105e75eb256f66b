"""Batch prober for source images that have python3 (3.6 or newer): everything in one process, no process per probe.

Runs inside the source pod, fed over standard input; speaks the same protocol as prober.bash, see ../plan.py.
"""

# It has to run on the Python of the source image, not on ours:
# ruff: noqa: UP031, RUF005, B007
# mypy: ignore-errors
import asyncio
import errno
import os
import random
import socket
import struct
import sys
import time

RESEND_AFTER = (0.0, 0.2, 0.5, 1.0)
CLOSE_AFTER = "HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"
ASK_BOTH = "GET /hostname HTTP/1.1\r\nHost: n\r\n\r\nGET /clientip " + CLOSE_AFTER
CONCURRENT = 512
# An answer is told to be late from here on; whether that is wrong is not decided here
LATE_MS = 300
DNS_TYPES = {"A": 1, "AAAA": 28, "CNAME": 5, "SRV": 33, "PTR": 12}
DNS_CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


class Failed(Exception):
    """The probe ran and the network said no, after a number of tries."""

    def __init__(self, text, tries=1):
        super().__init__(text)
        self.tries = tries


class CannotRun(Exception):
    """The probe could not run at all."""


def clean(text):
    """One field of a result line."""
    text = "".join(c if c.isprintable() and c != "\t" else " " for c in str(text))[:160]
    return text if text else "-"


def reason(error):
    """The operating system's word for an error."""
    if isinstance(error, socket.gaierror):
        return error.strerror or "name resolution failed"
    if getattr(error, "errno", None):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


async def resolve(host, port, kind):
    """First address of a host name, as the C library of the image resolves it."""
    loop = asyncio.get_event_loop()
    found = await loop.getaddrinfo(host, int(port), type=kind)
    return found[0][0], found[0][4]


async def probe_stream(kind, host, port, extra, until):
    """Connects, asks, and reads until the server closes."""
    loop = asyncio.get_event_loop()
    family, address = await resolve(host, port, socket.SOCK_STREAM)
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        begin = time.monotonic()
        await asyncio.wait_for(loop.sock_connect(sock, address), max(0.01, until - begin))
        latency = time.monotonic() - begin
        tries = 1 + resent(sock)
        if kind == "connect":
            return latency, tries, "-", "-", "-"
        if kind == "http":
            if extra == "-":
                request = ASK_BOTH
            elif extra.startswith("size="):
                request = "GET /echo?msg=" + "x" * int(extra[5:]) + " " + CLOSE_AFTER
            else:
                request = "GET " + extra + " " + CLOSE_AFTER
            await loop.sock_sendall(sock, request.encode())
        answer = b""
        try:
            while len(answer) < 65536:
                piece = await asyncio.wait_for(loop.sock_recv(sock, 65536), max(0.01, until - 0.03 - time.monotonic()))
                if not piece:
                    break
                answer += piece
        except asyncio.TimeoutError:
            if not answer:
                raise Failed("connected but no answer") from None
        if not answer:
            raise Failed("connected but closed without answer")
        who, client, detail = split(kind, answer.decode("latin-1"), extra)
        whole = int((time.monotonic() - begin) * 1000)
        if detail == "-" and whole >= LATE_MS:
            detail = "answered after %d ms" % whole
        return latency, tries, who, client, detail
    except asyncio.TimeoutError:
        raise Failed("no answer to connect", 2) from None
    finally:
        sock.close()


def resent(sock):
    """How often the kernel had to send the SYN again: tcpi_total_retrans, before there is any data."""
    try:
        return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]
    except (OSError, struct.error, AttributeError):
        return 0


def split(kind, answer, extra):
    """Responder, client address and detail of what a server said."""
    if kind == "tcp":
        return answer, "-", "-"
    if not answer.startswith("HTTP/1."):
        return "-", "-", "not HTTP: " + answer[:80]
    status = answer.split("\r\n", 1)[0].split(" ", 1)[-1]
    parts = answer.split("\r\n\r\n", 1)
    body = parts[1] if len(parts) > 1 else ""
    if extra.startswith("size="):
        return "-", "-", "bytes=%d" % len(body)
    first = body.split("HTTP/1.", 1)[0]
    if not status.startswith("200") or extra != "-":
        return "-", "-", "HTTP %s %s" % (status, first[:100])
    rest = body.split("\r\n\r\n", 1)
    return first, rest[1] if len(rest) > 1 else "-", "-"


async def probe_udp(host, port, extra, until):
    """Asks for the server's name, then for the client's address, over one socket; sends again on silence.

    What was asked again and answered twice was late and not lost, so attempts are those without an answer, and one.
    """
    loop = asyncio.get_event_loop()
    family, address = await resolve(host, port, socket.SOCK_DGRAM)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    tries, answers, latency, begin = 0, 0, 0.0, time.monotonic()
    try:
        sock.connect(address)
        name = None
        for question in (b"hostname\n", b"clientip\n"):
            if question != b"hostname\n" and extra == "plain":
                break
            started = time.monotonic()
            for number, pause in enumerate(RESEND_AFTER):
                sock.send(question)
                tries += name is None
                following = RESEND_AFTER[number + 1] if number + 1 < len(RESEND_AFTER) else 1e9
                stop = min(until - 0.03, started + following)
                try:
                    answer = await asyncio.wait_for(loop.sock_recv(sock, 2000), max(0.005, stop - time.monotonic()))
                    while name is not None and answer == name:  # answer to a question sent twice
                        answers += 1
                        answer = await asyncio.wait_for(loop.sock_recv(sock, 2000), max(0.005, stop - time.monotonic()))
                except asyncio.TimeoutError:
                    if time.monotonic() >= until - 0.04:
                        if name is None:
                            raise Failed("no answer", max(tries, 1)) from None
                        return latency, lost(tries, answers), name.decode("latin-1"), "-", "no answer to clientip"
                    continue
                if name is None:
                    name, latency = answer, time.monotonic() - begin
                    answers = 1
                    break
                return latency, lost(tries, answers), name.decode("latin-1"), answer.decode("latin-1"), "-"
        return latency, lost(tries, answers), name.decode("latin-1"), "-", "-"
    except OSError as error:
        raise Failed(reason(error), max(tries, 1)) from None
    finally:
        sock.close()


async def probe_udp_size(host, port, size, until):
    """Sends datagrams of so many bytes to be echoed; any answer shows that they arrive whole."""
    loop = asyncio.get_event_loop()
    family, address = await resolve(host, port, socket.SOCK_DGRAM)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    question, begin, tries = b"echo " + b"x" * (size - 6) + b"\n", time.monotonic(), 0
    try:
        sock.connect(address)
        for number, pause in enumerate(RESEND_AFTER):
            following = RESEND_AFTER[number + 1] if number + 1 < len(RESEND_AFTER) else 1e9
            try:
                tries += 1
                sock.send(question)
                stop = min(until - 0.03, begin + following)
                answer = await asyncio.wait_for(loop.sock_recv(sock, 65536), max(0.005, stop - time.monotonic()))
                return time.monotonic() - begin, tries, "-", "-", "bytes=%d" % len(answer)
            except asyncio.TimeoutError:
                if time.monotonic() >= until - 0.04:
                    break
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                raise Failed("no answer: %s" % reason(error), tries) from None
        raise Failed("no answer", tries)
    finally:
        sock.close()


def lost(tries, answers):
    """Attempts as they are told: one, and those that were lost."""
    return max(1, 1 + tries - answers)


async def probe_sctp(host, port, until):
    """One SCTP association, set up and shut down."""
    loop = asyncio.get_event_loop()
    family, address = await resolve(host, port, socket.SOCK_STREAM)
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, 132)
    except OSError as error:
        raise Failed(reason(error).lower()) from None
    sock.setblocking(False)
    try:
        begin = time.monotonic()
        await asyncio.wait_for(loop.sock_connect(sock, address), max(0.01, until - begin))
        return time.monotonic() - begin, 1, "-", "-", "-"
    except asyncio.TimeoutError:
        raise Failed("no answer to connect") from None
    finally:
        sock.close()


def read_name(packet, at):
    """A possibly compressed DNS name and the offset behind it (RFC 1035 section 4.1.4)."""
    labels, end, hops = [], None, 0
    while packet[at]:
        if packet[at] >= 0xC0:
            end = at + 2 if end is None else end
            at = struct.unpack("!H", packet[at : at + 2])[0] & 0x3FFF
            hops += 1
            if hops > 20:
                break
            continue
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    return ".".join(labels) + ".", (at + 1 if end is None else end)


def read_records(packet):
    """Response code and the data of every answer record."""
    questions, answers = struct.unpack("!HH", packet[4:8])
    at, records = 12, []
    for _ in range(questions):
        at = read_name(packet, at)[1] + 4
    for _ in range(answers):
        at = read_name(packet, at)[1]
        kind, _, _, length = struct.unpack("!HHIH", packet[at : at + 10])
        at += 10
        data = packet[at : at + length]
        if kind == 1:
            records.append(socket.inet_ntop(socket.AF_INET, data))
        elif kind == 28:
            records.append(socket.inet_ntop(socket.AF_INET6, data))
        elif kind in (5, 12):
            records.append(read_name(packet, at)[0])
        elif kind == 33:
            records.append("%d_%d_%d_%s" % (struct.unpack("!HHH", data[:6]) + (read_name(packet, at + 6)[0],)))
        at += length
    return DNS_CODES.get(packet[3] & 15, "RCODE %d" % (packet[3] & 15)), records


def resolver():
    """Server and search list of the image."""
    server, search, ndots = None, [], 1
    with open("/etc/resolv.conf") as lines:
        for line in lines:
            words = line.split()
            if words[:1] == ["nameserver"] and server is None:
                server = words[1]
            elif words[:1] == ["search"]:
                search = words[1:]
            elif words[:1] == ["options"]:
                ndots = next((int(w[6:]) for w in words if w.startswith("ndots:")), ndots)
    if server is None:
        raise CannotRun("no nameserver in /etc/resolv.conf")
    return server, search, ndots


async def ask_dns(server, port, kind, name, until, room=0):
    """One DNS question over UDP; with `room` for so large an answer (EDNS), which must not be cut."""
    loop = asyncio.get_event_loop()
    number = random.randrange(65536)
    question = b"".join(bytes([len(p)]) + p.encode() for p in name.strip(".").split(".")) + b"\0"
    packet = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, int(room > 0)) + question
    packet += struct.pack("!HH", DNS_TYPES[kind], 1)
    if room:
        packet += b"\0" + struct.pack("!HHIH", 41, room, 0, 0)
    family, address = await resolve(server, port, socket.SOCK_DGRAM)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    try:
        sock.connect(address)
        while True:
            sock.send(packet)
            left = until - 0.03 - time.monotonic()
            if left <= 0:
                raise Failed("DNS server does not answer")
            try:
                answer = await asyncio.wait_for(loop.sock_recv(sock, 65536), min(left, 2.0))
            except asyncio.TimeoutError:
                continue
            if room and len(answer) > 11 and answer[2] & 2:
                raise Failed("DNS answer was cut short")
            if len(answer) > 11 and struct.unpack("!H", answer[:2])[0] == number:
                return read_records(answer)
    finally:
        sock.close()


async def probe_dns(host, port, extra, until):
    """Looks a name up, at the given server or as the pod itself would."""
    kind, name, room = (extra + "/0").split("/")[:3]
    begin, search, ndots = time.monotonic(), [], 0
    if host == "-":
        host, search, ndots = resolver()
    names = [name]
    if host and not name.endswith(".") and name.count(".") < ndots:
        names = [name + "." + s for s in search] + names
    code, records = "NXDOMAIN", []
    for candidate in names:
        code, records = await ask_dns(host, port, kind, candidate, until, int(room))
        if records:
            break
    if code != "NOERROR":
        raise Failed("DNS " + code)
    if int(room):
        return time.monotonic() - begin, 1, "-", "-", "records=%d" % len(records)
    return time.monotonic() - begin, 1, ",".join(records) or "-", "-", code


async def run_one(gate, limit, line):
    """Runs one probe and writes its result line."""
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
    sys.stdout.write("\t".join(map(str, fields)) + "\n")


async def run_plan(lines, limit):
    """Runs a plan: all probes at once, one time limit for all."""
    begin = time.monotonic()
    sys.stdout.write("BEGIN\n")
    sys.stdout.flush()
    gate = asyncio.Semaphore(CONCURRENT)
    tasks = {asyncio.ensure_future(run_one(gate, limit, line)) for line in lines}
    told, lag = False, 0.0
    while tasks:
        before = time.monotonic()
        done, tasks = await asyncio.wait(tasks, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
        lag = max(lag, time.monotonic() - before - 0.1)
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
            except TimeoutError:
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


main()
