"""The sender: numbered events, cut into fragments, paced by event."""

from __future__ import annotations

import heapq
import os
import random
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from . import wire
from .batch import Burst

_CHANGING_LB, _CHANGING_RE = struct.Struct(">HHQ"), struct.Struct(">Q")
_SHARED_END = _CHANGING_RE.size
_SLEEPABLE = 300e-6
QUEUE = 2047  # events that 0.3 keeps between its main loop and its sending threads
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
        self.outcome = Outcome()
        self._began = time.perf_counter()
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

    def send(self, at_first_error: Callable[[Outcome], None] | None = None) -> Outcome:
        """Sends all events; an error gives up the rest of its event only.

        Args:
            at_first_error: Called once when a send has failed and the rest fits into the queue of the original, which
                then says that it is done and goes on sending.
        """
        job, outcome = self.job, self.outcome
        self._began = time.perf_counter()
        if job.smooth and sleep_us(job.rate, job.length) > 0:
            self._send_smoothly()
        else:
            self._send_in_bursts(at_first_error)
        outcome.elapsed_us = self.elapsed_us
        return outcome

    @property
    def elapsed_us(self) -> int:
        """Microseconds since the first event."""
        return int((time.perf_counter() - self._began) * 1e6)

    def _send_in_bursts(self, at_first_error: Callable[[Outcome], None] | None) -> None:
        job, outcome, event = self.job, self.outcome, _Event(self.job)
        pause, descriptors = sleep_us(job.rate, job.length) / 1e6, [each.fileno() for each in self.sockets]
        clock, due = time.perf_counter, self._began
        for number in range(job.number):
            if pause:
                wait_until(due)
                due = clock() + pause
            event.stamp(number)
            sent, code = event.burst.send(descriptors[number % len(descriptors)])
            self._count(sent, code)
            if code and at_first_error and job.number - number <= QUEUE:
                outcome.elapsed_us = self.elapsed_us
                at_first_error(outcome)
                at_first_error = None

    def _send_smoothly(self) -> None:
        """Spreads the datagrams of each event over the time of as many events as there are sockets.

        The original paces each of its threads, one for each socket, at its part of the rate.
        """
        job, lanes = self.job, [_Event(self.job) for _ in self.sockets]
        pause, descriptors = sleep_us(job.rate, job.length) / 1e6, [each.fileno() for each in self.sockets]
        count = lanes[0].burst.count
        step = pause * len(lanes) / count
        queue = [(self._began + number * pause, number, 0) for number in range(min(len(lanes), job.number))]
        while queue:
            due, number, index = heapq.heappop(queue)
            lane = number % len(lanes)
            wait_until(due)
            if index == 0:
                lanes[lane].stamp(number)
            sent, code = lanes[lane].burst.send(descriptors[lane], index, index + 1)
            self._count(sent, code)
            if code or index + 1 == count:
                following = number + len(lanes)
                if following < job.number:
                    heapq.heappush(queue, (self._began + following * pause, following, 0))
            else:
                heapq.heappush(queue, (due + step, number, index + 1))

    def _count(self, sent: int, code: int) -> None:
        self.outcome.frames += sent
        if code:
            self.outcome.frames += 1
            self.outcome.errors += 1
            self.outcome.last_error = os.strerror(code)


class _Event:
    """The datagrams of one event, to be stamped and sent again and again.

    All fragments of an event share the load balancer's header and the event number, which are the ends of the headers;
    what is between them is the fragment's own and never changes.
    """

    def __init__(self, job: Job) -> None:
        self._version = job.lb_version
        parts, payload = wire.fragments(job.length, job.largest_fragment), wire.payload(job.length)
        size, middle = wire.HEADERS, wire.LB_HEADER.size
        headers = bytearray(
            b"".join(wire.headers(0, 0, 0, job.data_id, offset, job.length, job.lb_version) for offset, _ in parts)
        )
        self._first, self._last = headers[:middle], headers[size - _SHARED_END : size]
        self.burst = Burst(
            [
                [
                    (self._first, 0, middle),
                    (headers, index * size + middle, size - middle - _SHARED_END),
                    (self._last, 0, _SHARED_END),
                    (payload, *part),
                ]
                for index, part in enumerate(parts)
            ]
        )

    def stamp(self, number: int) -> None:
        """Makes it the event of that number, now."""
        tick, entropy = time.time_ns() // 1000, random.getrandbits(16)
        if not (tick & 0xFF) & 0x3F:
            tick = tick & ~0xFF | random.getrandbits(8)
        slot = tick & 0xFFFF if self._version == 3 else 0
        _CHANGING_LB.pack_into(self._first, 4, slot, entropy, tick)
        _CHANGING_RE.pack_into(self._last, 0, number)


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
