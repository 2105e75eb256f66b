"""Lookups of names over DNS, asked for by hand: images have no resolver that tells as much."""

# It has to run on the Python of the source image, not on ours
# mypy: ignore-errors
import asyncio
import random
import socket
import struct
import time

from .basics import CannotRun, Failed, resolve

DNS_TYPES = {"A": 1, "AAAA": 28, "CNAME": 5, "SRV": 33, "PTR": 12}
DNS_CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


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
    longer = [] if name.endswith(".") else [name + "." + s for s in search]
    # As the C library: a name with many dots is asked for as it is first, and with the search list then
    names = [*longer, name] if name.count(".") < ndots else [name, *longer]
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
