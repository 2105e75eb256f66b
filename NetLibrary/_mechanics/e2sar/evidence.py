"""Counters of a pod before, while and after a run, read from the lines that the scripts around e2sar_perf print.

Counters of `/proc/net/snmp` belong to the pod's network and outlive a socket; `/proc/net/udp` shows drops of a socket
only while it is open; `cpu.stat` belongs to the container. Both cgroup versions are understood.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from NetLibrary._mechanics.held_back import CpuCounters, Held, held_between

MARK = "@netlibrary "


@dataclass
class Socket:
    """A UDP socket: its port, bytes waiting in it, and datagrams dropped because it was full."""

    port: int
    queued_bytes: int
    drops: int


@dataclass
class Snapshot(CpuCounters):
    """Counters at one moment; None where a file could not be read. `counters` has keys such as `Udp.InDatagrams`."""

    when: float = 0.0
    counters: dict[str, int] = field(default_factory=dict)
    interface: dict[str, int] = field(default_factory=dict)
    sockets: list[Socket] = field(default_factory=list)
    rmem_max: int | None = None
    wmem_max: int | None = None
    mtu: int | None = None


_INTERFACE = (
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",
    "",
    "",
    "",
    "",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
)


class Evidence:
    """Everything that the scripts of one pod noted.

    Feed it lines in order; lines of other origin are ignored and reported as not taken.
    """

    def __init__(self) -> None:
        self.before: Snapshot | None = None
        self.after: Snapshot | None = None
        self.samples: list[Snapshot] = []
        self.uri = ""
        self.command = ""
        self.exit_code: int | None = None
        self.failure = ""
        self.failed_step = ""
        self._names: dict[str, list[str]] = {}
        self._open: Snapshot | None = None

    def feed(self, lines: Iterable[str]) -> Evidence:
        """Takes several lines."""
        for line in lines:
            self.line(line)
        return self

    def line(self, line: str) -> bool:
        """Takes one line and tells whether it was evidence."""
        if not line.startswith(MARK):
            return False
        word, when, rest = [*line[len(MARK) :].split(" ", 2), "", ""][:3]
        with suppress(ValueError, IndexError):  # a line that was cut off
            self._take(word, when, rest)
        return True

    def _take(self, word: str, when: str, rest: str) -> None:
        if word == "uri":
            self.uri = rest.split(" ")[-1]
        elif word == "command":
            self.command = rest
        elif word == "exit":
            self.exit_code = int(rest)
        elif word == "failed":
            self.failed_step, _, self.failure = rest.partition(" ")
        elif word == "before":
            self.before = self.before or Snapshot(float(when))
            self._read(self.before, rest)
        elif word == "after":
            self.after = self.after or Snapshot(float(when))
            self._read(self.after, rest)
        elif word == "sample" and rest == "end":
            if self._open is not None:
                self.samples.append(self._open)
            self._open = None
        elif word == "sample":
            self._open = self._open or Snapshot(float(when))
            self._read(self._open, rest)

    def _read(self, snapshot: Snapshot, rest: str) -> None:
        file, _, text = rest.partition(" ")
        words = text.split()
        if file == "/proc/net/snmp":
            kind = words[0].rstrip(":")
            if words[1].lstrip("-").isdigit():
                for name, value in zip(self._names.get(kind, []), words[1:], strict=False):
                    snapshot.counters[f"{kind}.{name}"] = int(value)
            else:
                self._names[kind] = words[1:]
        elif file == "/proc/net/dev":
            numbers = text.split(":", 1)[1].split()
            snapshot.interface = {name: int(value) for name, value in zip(_INTERFACE, numbers, strict=False) if name}
        elif file in ("/proc/net/udp", "/proc/net/udp6"):
            if words[0].rstrip(":").isdigit() and len(words) >= 13:
                port, queued = int(words[1].rpartition(":")[2], 16), int(words[4].partition(":")[2], 16)
                snapshot.sockets.append(Socket(port, queued, int(words[12])))
        else:
            _read_knob(snapshot, file.rpartition("/")[2], words)

    # --- what it means ----------------------------------------------------------------------------------

    @property
    def latest(self) -> Snapshot | None:
        """The last counters that are known: those after the run, or the last sample when it never came to that."""
        if self.after is not None:
            return self.after
        return self.samples[-1] if self.samples else None

    @property
    def earliest(self) -> Snapshot | None:
        """The first counters that are known: an observer sees the pod's network before the program starts."""
        known = [*([self.before] if self.before else []), *self.samples[:1]]
        return min(known, key=lambda each: each.when, default=None)

    def grown(self, name: str) -> int | None:
        """How much a counter such as `Udp.RcvbufErrors` grew during the run; None when it is not known."""
        start, end = self.earliest, self.latest
        if start is None or end is None or name not in end.counters:
            return None
        return end.counters[name] - start.counters.get(name, 0)

    def interface_grown(self, name: str) -> int | None:
        """How much a counter of the pod's interface such as `rx_dropped` grew."""
        start, end = self.earliest, self.latest
        if start is None or end is None or name not in end.interface or name not in start.interface:
            return None
        return end.interface[name] - start.interface[name]

    def drops(self, ports: Iterable[int]) -> int | None:
        """Most drops that a socket on one of the ports ever showed, summed over the ports."""
        wanted = set(ports)
        seen: dict[int, int] = {}
        for snapshot in (*self.samples, *([self.after] if self.after else [])):
            for socket in snapshot.sockets:
                if socket.port in wanted:
                    seen[socket.port] = max(seen.get(socket.port, 0), socket.drops)
        return sum(seen.values()) if seen else None

    def bound(self, port: int) -> bool:
        """Whether the port was ever seen bound."""
        return any(socket.port == port for snapshot in self.samples for socket in snapshot.sockets)

    def bound_ports(self) -> list[int]:
        """All ports that were ever seen bound."""
        return sorted({socket.port for snapshot in self.samples for socket in snapshot.sockets})

    @property
    def held(self) -> Held | None:
        """How its CPU limit held the container back; None when that is not known."""
        return held_between(self.before, self.after)

    def knob(self, name: str) -> int | None:
        """A setting such as `mtu` or `rmem_max` from the first snapshot that has it."""
        for snapshot in (self.before, self.after):
            value = getattr(snapshot, name, None) if snapshot else None
            if value is not None:
                return int(value)
        return None

    def rate_series(self, name: str = "Udp.InDatagrams") -> list[tuple[float, float]]:
        """Growth per second of a counter from sample to sample, as (seconds since the first sample, per second)."""
        series = []
        for one, two in zip(self.samples, self.samples[1:], strict=False):
            span = two.when - one.when
            if span > 0 and name in one.counters and name in two.counters:
                series.append((two.when - self.samples[0].when, (two.counters[name] - one.counters[name]) / span))
        return series


def _read_knob(snapshot: Snapshot, name: str, words: list[str]) -> None:
    if name in ("rmem_max", "wmem_max", "mtu"):
        setattr(snapshot, name, int(words[0]))
    else:
        snapshot.take(name, words)
