"""Reassembly of events with the rules of the original, its flaws included where they cannot hurt anybody."""

from __future__ import annotations

from dataclasses import dataclass, field

from .wire import HEADERS, LB_HEADER, RE_HEADER, RE_VERSION, SHORTEST_EVENT, is_mangled

LARGEST_EVENT = 1 << 28


class _Partial:
    __slots__ = ("buffer", "count", "length", "pieces", "seen", "started")

    def __init__(self, length: int, started: float) -> None:
        self.buffer = bytearray(length)
        self.length, self.started = length, started
        self.count = self.pieces = 0
        self.seen: set[int] = set()


@dataclass
class Counters:
    """What the report of a receiver shows; `lost_list` keeps the order of detection."""

    received: int = 0
    mangled: int = 0
    lost: int = 0
    data_errors: int = 0
    last_data_error: str = ""
    bad_headers: int = 0
    bytes: int = 0
    packets: int = 0
    lost_list: list[tuple[int, int, int]] = field(default_factory=list)
    _known: set[tuple[int, int]] = field(default_factory=set)

    def lose(self, key: tuple[int, int], pieces: int) -> None:
        """Counts an event as lost; a number counts once in the life of a receiver."""
        if key not in self._known:
            self._known.add(key)
            self.lost += 1
            self.lost_list.append((*key, pieces))


class Reassembler:
    """The state of one receive thread.

    Args:
        counters: Shared by all threads of a receiver.
        timeout: Seconds from the first fragment until an incomplete event is lost.
        strict: True for the rules of 0.3: headers are checked and duplicates count as bytes.
    """

    def __init__(self, counters: Counters, timeout: float, strict: bool) -> None:
        self.counters, self._timeout, self._strict = counters, timeout, strict
        self._partial: dict[tuple[int, int], _Partial] = {}
        self._unpack = RE_HEADER.unpack_from

    def feed(self, datagram: memoryview, now: float) -> None:
        """Takes one datagram. Short ones are counted and dropped (the original 0.1.4 dies of them)."""
        counters, size = self.counters, len(datagram)
        counters.packets += 1
        counters.bytes += size
        if size < HEADERS:
            counters.bad_headers += 1
            return
        version, reserved, data_id, offset, length, number = self._unpack(datagram, LB_HEADER.size)
        fragment = size - HEADERS
        if self._strict and (version != RE_VERSION or reserved):
            counters.bad_headers += 1
            return
        if not fragment or offset + fragment > length or length > LARGEST_EVENT:
            counters.bad_headers += 1
            return
        if fragment == length:
            self._partial.pop((number, data_id), None)
            self._complete(datagram[HEADERS:], length)
            return
        key = (number, data_id)
        partial = self._partial.get(key)
        if partial is None or offset == 0 or partial.length != length:
            partial = self._partial[key] = _Partial(length, now)
        partial.buffer[offset : offset + fragment] = datagram[HEADERS:]
        partial.pieces += 1
        if self._strict or offset not in partial.seen:
            partial.count += fragment
            partial.seen.add(offset)
        if partial.count == length:
            del self._partial[key]
            self._complete(partial.buffer, length)

    def _complete(self, event: bytearray | memoryview, length: int) -> None:
        self.counters.received += 1
        if length < SHORTEST_EVENT or is_mangled(event):
            self.counters.mangled += 1

    def expire(self, now: float) -> None:
        """Gives up on events whose first fragment is older than the timeout."""
        limit = now - self._timeout
        late = [(key, partial.pieces) for key, partial in self._partial.items() if partial.started < limit]
        for key, pieces in late:
            del self._partial[key]
            self.counters.lose(key, pieces)
