"""The receiver: one loop over all ports, reports at a fixed period, orderly end at a signal or after its time."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .batch import Basket
from .reassembly import Counters, Reassembler
from .wire import LARGEST_DATAGRAM

_BATCH = 64


def port_count(threads: int) -> int:
    """Ports that a number of receive threads opens: the next power of two.

    >>> [port_count(n) for n in (1, 2, 3, 4, 5)]
    [1, 2, 4, 4, 8]
    """
    return 1 << max(0, threads - 1).bit_length()


@dataclass(frozen=True)
class Post:
    """Where and how a receiver listens; times in seconds, `duration` 0 means until a signal."""

    address: str
    port: int
    threads: int
    buffer: int
    duration: float
    period: float
    timeout: float
    strict: bool
    spin: bool = True


def scarce_processor() -> bool:
    """Whether a cgroup (v1 or v2) limits this process to less than one processor.

    Only then it shows outside that the original never rests: it is throttled all the time.
    """
    folder = Path("/sys/fs/cgroup")
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / "cpu" / f"cpu.cfs_{word}_us").read_text() for word in ("quota", "period"))
        return 0 < int(quota) < int(period)
    except (OSError, ValueError):
        return False


class Receiver:
    """Binds its ports when made.

    Raises:
        OSError: When an address cannot be bound.
    """

    def __init__(self, post: Post) -> None:
        self.post, self.counters = post, Counters()
        family = socket.AF_INET6 if ":" in post.address else socket.AF_INET
        self.sockets: list[socket.socket] = []
        try:
            for port in range(post.port, post.port + port_count(post.threads)):
                made = socket.socket(family, socket.SOCK_DGRAM)
                self.sockets.append(made)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, post.buffer)
                made.bind((post.address, port))
        except OSError:
            self.close()
            raise
        self.per_port = {post.port + index: 0 for index in range(len(self.sockets))}
        self._stop = False
        self._lanes: list[tuple[int, Reassembler, int]] = []

    def close(self) -> None:
        """Closes all ports."""
        for each in self.sockets:
            each.close()

    def stop(self, *_: object) -> None:
        """Ends `run` soon; fit to be a signal handler."""
        self._stop = True

    def run(self, report: Callable[[Counters], None], report_at_once: bool) -> bool:
        """Receives until the time is over or a signal comes.

        Returns:
            Whether it was a signal.
        """
        post, counters = self.post, self.counters
        basket = Basket(_BATCH, LARGEST_DATAGRAM)
        threads = [Reassembler(counters, post.timeout, post.strict) for _ in range(post.threads)]
        lanes = self._lanes = [
            (each.fileno(), threads[index % post.threads], post.port + index) for index, each in enumerate(self.sockets)
        ]
        poller = select.poll()
        for descriptor, _, _ in lanes:
            poller.register(descriptor, select.POLLIN)
        previous = signal.signal(signal.SIGINT, self.stop)
        clock, give_way = time.monotonic, os.sched_yield
        now = began = clock()
        end = began + post.duration if post.duration else float("inf")
        next_report = began if report_at_once else began + post.period
        next_expiry, armed = began, True
        try:
            while not self._stop and now < end:
                got = 0
                for descriptor, thread, port in lanes:
                    try:
                        datagrams = basket.receive(descriptor)
                    except OSError as error:
                        counters.data_errors += 1
                        counters.last_data_error = os.strerror(error.errno or 0)
                        continue
                    if datagrams:
                        got += len(datagrams)
                        self.per_port[port] += len(datagrams)
                        feed = thread.feed
                        for datagram in datagrams:
                            feed(datagram, now)
                now = clock()
                if now >= next_expiry:
                    for thread in threads:
                        thread.expire(now)
                    next_expiry = now + (post.timeout if post.strict else 0.01)
                if now >= next_report:
                    report(counters)
                    next_report += post.period * max(1, int((now - next_report) / post.period))
                if got:
                    armed = True
                elif not post.spin or armed:
                    # the original arms its select timeout once and never again: 10 ms of rest, then none
                    poller.poll(10)
                    armed = False
                    now = clock()
                else:
                    give_way()  # spinning shall use up a CPU limit, as the original does, but not starve neighbours
        finally:
            signal.signal(signal.SIGINT, previous)
        return self._stop

    def read_on(self, seconds: float) -> None:
        """Goes on reading without reporting, as the original does between its last words and its end."""
        basket, end = Basket(_BATCH, LARGEST_DATAGRAM), time.monotonic() + seconds
        while time.monotonic() < end:
            ready = select.select(self.sockets, [], [], min(0.05, seconds))[0]
            for descriptor, thread, port in self._lanes if ready else []:
                with suppress(OSError):
                    for datagram in basket.receive(descriptor):
                        self.per_port[port] += 1
                        thread.feed(datagram, time.monotonic())
