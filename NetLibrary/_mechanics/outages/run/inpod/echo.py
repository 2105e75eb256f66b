"""ICMP and UDP echo streams."""

import bisect
import contextlib
import errno
import socket
import struct

from .loop import Stream, monotonic_ns
from .wire import MARK, PAYLOAD, Outcome, outcome_of

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the socket module names neither
SO_RXQ_OVFL = 40
IP_RECVERR = 11
IPV6_RECVERR = 25
ICMP_FILTER = 1
ICMP6_FILTER = 1
SOL_RAW = 255
TIMESPEC = struct.Struct("@qq")
DROPS = struct.Struct("@I")
RECEIVE_BUFFER = 1 << 20  # the kernel grants net.core.rmem_max at most
EXTENDED_ERR = struct.Struct("@IBBBBII")
LIKE_PING = 56  # bytes of payload
LARGEST = 9216  # what is read at once: a jumbo frame
PATIENCE_NS = 2_000_000
COUNT = struct.Struct("!I")
TELLING = 3  # so many probes in a row have to be missing before it is told which way they were lost


def stamped(sock):
    """Asks the kernel to stamp what arrives; not every sandbox allows it, then arrival is when we read it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        return True
    except OSError:
        return False


def arrival(ancillary, shift, now):
    """Returns when a datagram arrived on the monotonic clock, from the kernel's stamp if it is there and plausible."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack_from(data)
            when = seconds * 1_000_000_000 + nanoseconds - shift
            if now - 10_000_000_000 < when <= now:
                return when
    return now


class Overflow:
    """Counts the datagrams that the kernel threw away because a socket's receive buffer was full.

    A prober that gets no processor does not read, and what comes meanwhile is lost here and on no path.
    """

    def __init__(self, sock):
        self.count = 0
        with contextlib.suppress(OSError):  # a sandbox without it: losses count as they are
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)

    def grown(self, ancillary):
        """Returns how many were thrown away between the datagram before and the one with this ancillary data."""
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL and len(data) >= DROPS.size:
                before, self.count = self.count, DROPS.unpack_from(data)[0]
                return (self.count - before) & 0xFFFFFFFF
        return 0


def checksum(data):
    """Returns the Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


class EchoStream(Stream):
    """What ICMP and UDP echo have in common: a payload that comes back."""

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.padding = b"\0" * max(0, spec.get("size", LIKE_PING) - PAYLOAD.size)
        self.newest = None  # when the probe was sent that was answered last

    def overflown(self, payload, dropped):
        """Tells that answers between the one before and this one found the receive buffer full."""
        if dropped and len(payload) >= PAYLOAD.size:
            since = self.first if self.newest is None else self.newest
            until = PAYLOAD.unpack_from(payload)[3]
            self.loop.event("overflow", streams=[self.number], since=since, until=until, dropped=dropped)

    def answered(self, payload, when):
        """Takes one echo that came back."""
        if len(payload) < PAYLOAD.size:
            return
        mark, stream, sequence, sent = PAYLOAD.unpack_from(payload)
        if mark != MARK or stream != self.number:
            return
        self.newest = sent
        true_sent = self.outstanding.pop(sequence, None)
        if true_sent is not None:
            self.loop.record(self.number, Outcome.OK, 0, sequence, true_sent, max(0, when - true_sent))
        elif when - sent >= self.limit:
            self.loop.record(self.number, Outcome.LATE, 0, sequence, sent, when - sent)
        else:
            self.loop.record(self.number, Outcome.DUPLICATE, 0, sequence, sent, max(0, when - sent))

    def keep(self, sequence, before):
        """Notes a probe as sent. If the processor was taken away around the call, the later time is the true one:
        counting from the earlier would show our own pause as a slow answer.
        """
        after = monotonic_ns()
        self.outstanding[sequence] = after if after - before > PATIENCE_NS else before

    def failed_to_send(self, sequence, now, err):
        """Notes a probe that never left."""
        if err.errno in (errno.EAGAIN, errno.ENOBUFS):
            # Queues are full because nothing gets through; nobody has refused anything.
            self.loop.record(self.number, Outcome.LOST, err.errno, sequence, now, 0)
        else:
            self.loop.record(self.number, Outcome.UNSENT, err.errno or 0, sequence, now, 0)


class IcmpSocket:
    """One raw ICMP socket for all streams of an address family.

    Every raw socket gets a copy of every ICMP packet, so a socket per path would cost the square of the paths.
    """

    def __init__(self, loop, family):
        self.loop = loop
        self.family = family
        self.streams = {}
        if family == socket.AF_INET:
            self.sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            # Everything but echo reply, unreachable and time exceeded is filtered out in the kernel.
            self.sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("@I", 0xFFFFFFFF & ~(1 << 0 | 1 << 3 | 1 << 11)))
        else:
            self.sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            words = [0xFFFFFFFF] * 8
            for kind in (1, 3, 129):
                words[kind >> 5] &= ~(1 << (kind & 31))
            self.sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, struct.pack("@8I", *words))
        self.sock.setblocking(False)
        self.overflow = Overflow(self.sock)
        self.emptied = monotonic_ns()
        self.stamped = stamped(self.sock)
        loop.watch(self.sock.fileno(), self.readable)

    def readable(self, _mask):
        """Reads all that has come and hands it to the streams."""
        sock, shift = self.sock, self.loop.shift
        for _ in range(256):
            try:
                data, ancillary, _flags, _peer = sock.recvmsg(LARGEST, 64)
            except BlockingIOError:
                self.emptied = monotonic_ns()
                return
            except OSError:
                continue
            now = monotonic_ns()
            dropped = self.overflow.grown(ancillary)
            if dropped:
                streams = [stream.number for stream in self.streams.values()]
                self.loop.event("overflow", streams=streams, since=self.emptied, until=now, dropped=dropped)
            if self.family == socket.AF_INET:
                data = data[(data[0] & 15) * 4 :]
            if len(data) < 8:
                continue
            kind, code, _sum, identifier, _seq = struct.unpack_from("!BBHHH", data)
            if kind in (0, 129):
                stream = self.streams.get(identifier)
                if stream is not None:
                    stream.answered(data[8:], arrival(ancillary, shift, now))
            else:
                self._error(data[8:], code, arrival(ancillary, shift, now))

    def _error(self, inner, code, when):
        """Finds the probe that an ICMP error is about: the error quotes its headers."""
        header = (inner[0] & 15) * 4 if self.family == socket.AF_INET and inner else 40
        if len(inner) < header + 8:
            return
        kind, _code, _sum, identifier, low = struct.unpack_from("!BBHHH", inner, header)
        stream = self.streams.get(identifier)
        if kind not in (8, 128) or stream is None:
            return
        # The sequence number in the header has 16 bits; ours goes on counting.
        sequence = stream.sequence - ((stream.sequence - low) & 0xFFFF)
        stream.resolve(sequence, Outcome.UNREACHABLE, code, when)


class IcmpStream(EchoStream):
    """ICMP echo at a fixed rate, over the raw socket or over a datagram socket of its own (ping group)."""

    kind = "icmp"

    def __init__(self, loop, spec, shared):
        super().__init__(loop, spec)
        self.family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self.request = 128 if self.family == socket.AF_INET6 else 8
        self.raw = shared
        self.identifier = (spec.get("identifier", 0x4E00) + self.number) & 0xFFFF
        self.target = (self.address, 0)
        if shared is not None:
            self.sock = shared.sock
            shared.streams[self.identifier] = self
        else:
            protocol = socket.IPPROTO_ICMPV6 if self.family == socket.AF_INET6 else socket.IPPROTO_ICMP
            self.sock = socket.socket(self.family, socket.SOCK_DGRAM, protocol)
            self.sock.setblocking(False)
            self.overflow = Overflow(self.sock)
            ask_for_errors(self.sock)
            stamped(self.sock)
            loop.watch(self.sock.fileno(), self.readable)

    def send(self, sequence, now):
        self.expire(now)
        payload = PAYLOAD.pack(MARK, self.number, sequence, now) + self.padding
        head = struct.pack("!BBHHH", self.request, 0, 0, self.identifier, sequence & 0xFFFF)
        if self.raw is not None and self.request == 8:
            head = struct.pack("!BBHHH", 8, 0, checksum(head + payload), self.identifier, sequence & 0xFFFF)
        try:
            self.sock.sendto(head + payload, self.target)
        except OSError as err:
            if self.raw is None:
                for payload, code, _when in errors_of(self.sock, self.loop.shift):
                    self.failed_echo(payload[8:], code, now)
            self.failed_to_send(sequence, now, err)
            return
        self.keep(sequence, now)

    def readable(self, _mask):
        """Reads from the stream's own datagram socket."""
        for payload, code, when in errors_of(self.sock, self.loop.shift):
            self.failed_echo(payload[8:], code, when)
        try:
            data, ancillary, _flags, _peer = self.sock.recvmsg(LARGEST, 64)
        except OSError:
            return
        self.overflown(data[8:], self.overflow.grown(ancillary))
        self.answered(data[8:], arrival(ancillary, self.loop.shift, monotonic_ns()))

    def failed_echo(self, payload, code, when):
        """Takes an ICMP error about one of our probes."""
        if len(payload) >= PAYLOAD.size and payload[:4] == MARK:
            self.resolve(PAYLOAD.unpack_from(payload)[2], Outcome.UNREACHABLE, code, when)


class UdpStream(EchoStream):
    """UDP echo at a fixed rate from one port, so that it stays one flow to every table on the way."""

    kind = "udp"

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.last = None
        self.skips = [(0, 0)]  # (sequence, how many before it were never sent)
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.overflow = Overflow(self.sock)
        ask_for_errors(self.sock)
        stamped(self.sock)
        self.connected = False
        loop.watch(self.sock.fileno(), self.readable)

    def _ready(self):
        if not self.connected:
            self.sock.connect((self.address, self.port))
            self.connected = True

    def send(self, sequence, now):
        self.expire(now)
        if self.skipped != self.skips[-1][1]:
            self.skips.append((sequence, self.skipped))
        payload = PAYLOAD.pack(MARK, self.number, sequence, now) + self.padding
        try:
            self._ready()
            self.sock.send(payload)
        except OSError:
            # The error may belong to an earlier probe (the kernel reports it at the next call): read it, try again.
            self._read_errors()
            try:
                self._ready()
                self.sock.send(payload)
            except OSError as err:
                self.failed_to_send(sequence, now, err)
                return
        self.keep(sequence, now)

    def _read_errors(self):
        for payload, code, when in errors_of(self.sock, self.loop.shift):
            if len(payload) >= PAYLOAD.size and payload[:4] == MARK:
                self.resolve(PAYLOAD.unpack_from(payload)[2], outcome_of(code), code, when)

    def readable(self, _mask):
        """Reads an answer, or the errors that came instead."""
        try:
            data, ancillary, _flags, _peer = self.sock.recvmsg(LARGEST, 64)
        except OSError:
            self._read_errors()
            return
        self._count(data)
        self.overflown(data, self.overflow.grown(ancillary))
        self.answered(data, arrival(ancillary, self.loop.shift, monotonic_ns()))

    def _count(self, data):
        """After a gap: the server's own count says how many of the missing requests had reached it."""
        if len(data) < PAYLOAD.size + COUNT.size or data[:4] != MARK:
            return
        _mark, _stream, sequence, sent = PAYLOAD.unpack_from(data)
        count = COUNT.unpack_from(data, len(data) - COUNT.size)[0]
        before = self.last
        if before is not None and (sequence <= before[0] or not count):
            return
        self.last = (sequence, count, sent)
        # What this side never sent, for want of a processor, was lost on neither way
        missing = sequence - before[0] - 1 - self._skipped(before[0], sequence) if before else 0
        if missing >= TELLING and count > before[1]:
            reached = min(missing, count - before[1] - 1)
            self.loop.event("way", stream=self.number, since=before[2], until=sent, missing=missing, reached=reached)

    def _skipped(self, since, until):
        """Returns how many probes between two that were sent were not."""
        first, last = (self.skips[bisect.bisect_right(self.skips, (at, 1 << 62)) - 1][1] for at in (since, until))
        return last - first


def ask_for_errors(sock):
    """Makes the kernel queue ICMP errors with the datagram that they are about."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)


def errors_of(sock, shift):
    """Yields (datagram, errno, when) for each queued error of a socket."""
    while True:
        try:
            data, ancillary, _flags, _peer = sock.recvmsg(LARGEST, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return
        now = monotonic_ns()
        code = errno.EHOSTUNREACH
        for level, kind, value in ancillary:
            if (level, kind) in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)):
                code = EXTENDED_ERR.unpack_from(value)[0]
        yield data, code, arrival(ancillary, shift, now)
