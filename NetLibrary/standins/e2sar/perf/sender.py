"""The sender: numbered events, cut into fragments, paced by event."""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from dataclasses import dataclass

from . import wire
from .batch import Burst

_CHANGING_LB, _CHANGING_RE = struct.Struct(">HHQ"), struct.Struct(">Q")
_SHARED_END = _CHANGING_RE.size
_SLEEPABLE = 300e-6
IP_MTU = 14


def single(value: float) -> float:
    """Rounds to single precision, in which the original calculates."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def sleep_us(rate: float, length: int) -> int:
    """Microseconds between the starts of two events, cut off like the original does.

    >>> sleep_us(0.1, 512), sleep_us(20, 2000000)
    (40, 800)
    """
    return int(single(single(length * 8) / single(single(rate) * 1000))) if rate > 0 else 0


@dataclass(frozen=True)
class Job:
    """Everything a sender needs to know."""

    address: str
    port: int
    length: int
    number: int
    mtu: int
    rate: float
    sockets: int = 4
    buffer: int = 3145728
    data_id: int = 4321
    multiport: bool = False
    smooth: bool = False
    lb_version: int = 2

    @property
    def family(self) -> int:
        """4 or 6, by the address."""
        return 6 if ":" in self.address else 4

    @property
    def largest_fragment(self) -> int:
        """Event bytes in a full datagram."""
        return self.mtu - wire.header_bytes(self.family)


@dataclass
class Outcome:
    """Counters of a sender."""

    frames: int = 0
    errors: int = 0
    last_error: str = ""
    elapsed_us: int = 0


class Sender:
    """Opens its sockets when made, sends when told to.

    Raises:
        OSError: When a socket cannot be opened or connected.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.sockets: list[socket.socket] = []
        try:
            for index in range(max(1, job.sockets)):
                self.sockets.append(self._open(index))
        except OSError:
            self.close()
            raise
        self.interface_mtu, self.interface = _outgoing(self.sockets[0])

    def _open(self, index: int) -> socket.socket:
        job = self.job
        made = socket.socket(socket.AF_INET6 if job.family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, job.buffer)
            for attempt in range(20):
                try:
                    made.bind(("", random.randint(10000, 65535)))
                    break
                except OSError:
                    if attempt == 19:
                        raise
            made.connect((job.address, job.port + (index if job.multiport else 0)))
        except OSError:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Closes all sockets."""
        for each in self.sockets:
            each.close()

    def send(self) -> Outcome:
        """Sends all events; an error gives up the rest of its event only."""
        job, outcome = self.job, Outcome()
        parts = wire.fragments(job.length, job.largest_fragment)
        event = wire.payload(job.length)
        size, middle = wire.HEADERS, wire.LB_HEADER.size
        headers = bytearray(
            b"".join(wire.headers(0, 0, 0, job.data_id, offset, job.length, job.lb_version) for offset, _ in parts)
        )
        # All fragments of an event share the load balancer's header and the event number, which are the ends of the
        # headers; what is between them is the fragment's own and never changes.
        first, last = headers[:middle], headers[size - _SHARED_END : size]
        burst = Burst(
            [
                [
                    (first, 0, middle),
                    (headers, index * size + middle, size - middle - _SHARED_END),
                    (last, 0, _SHARED_END),
                    (event, *part),
                ]
                for index, part in enumerate(parts)
            ]
        )
        pause, descriptors = sleep_us(job.rate, job.length) / 1e6, [each.fileno() for each in self.sockets]
        smooth = job.smooth and pause > 0
        draw, clock, tick_of = random.getrandbits, time.perf_counter, time.time_ns
        began = due = clock()
        for number in range(job.number):
            if pause:
                wait_until(due)
                due = clock() + pause
            tick, entropy = tick_of() // 1000, draw(16)
            if not (tick & 0xFF) & 0x3F:
                tick = tick & ~0xFF | draw(8)
            slot = tick & 0xFFFF if job.lb_version == 3 else 0
            _CHANGING_LB.pack_into(first, 4, slot, entropy, tick)
            _CHANGING_RE.pack_into(last, 0, number)
            descriptor = descriptors[number % len(descriptors)]
            sent, code = _smoothly(burst, descriptor, due, pause) if smooth else burst.send(descriptor)
            outcome.frames += sent
            if code:
                outcome.frames += 1
                outcome.errors += 1
                outcome.last_error = os.strerror(code)
        outcome.elapsed_us = int((clock() - began) * 1e6)
        return outcome


def _smoothly(burst: Burst, descriptor: int, due: float, pause: float) -> tuple[int, int]:
    """Spreads the datagrams of one event over the time until the next one is due."""
    begin, step = due - pause, pause / burst.count
    for index in range(burst.count):
        wait_until(begin + index * step)
        sent, code = burst.send(descriptor, index, index + 1)
        if code:
            return index + sent, code
    return burst.count, 0


def wait_until(due: float) -> None:
    """Sleeps, and spins through the last part that a sleep cannot hit."""
    while (rest := due - time.perf_counter()) > 0:
        if rest > _SLEEPABLE:
            time.sleep(rest - _SLEEPABLE)


def _outgoing(connected: socket.socket) -> tuple[int, str]:
    """MTU and name of the interface that a connected socket sends through."""
    v6 = connected.family == socket.AF_INET6
    try:
        mtu = connected.getsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, 24 if v6 else IP_MTU)
    except OSError:
        mtu = 0
    own, found = connected.getsockname()[0], ""
    if not v6:
        import fcntl

        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(connected.fileno(), 0x8915, request)
            except OSError:
                continue
            if socket.inet_ntoa(answer[20:24]) == own:
                found = name
    return mtu, found
