"""The datagram of direct mode: load balancer header (16 bytes), reassembly header (20 bytes), fragment."""

from __future__ import annotations

import struct

LB_HEADER = struct.Struct(">2sBBHHQ")
RE_HEADER = struct.Struct(">BBHIIQ")
HEADERS = LB_HEADER.size + RE_HEADER.size
IP_UDP = {4: 28, 6: 48}
LARGEST_DATAGRAM = 9000
DEFAULT_PORT = 19522
RE_VERSION = 0x10

HEAD = b"This is a start of event payload"
TAIL = b"...the end"
SHORTEST_EVENT = len(HEAD) + len(TAIL)


def header_bytes(family: int = 4) -> int:
    """Bytes of an IP packet that are not fragment: IP, UDP and both headers (64 with IPv4, 84 with IPv6)."""
    return IP_UDP[family] + HEADERS


def payload(length: int) -> bytearray:
    """One event of `length` bytes with the recognisable head and tail."""
    event = bytearray(length)
    event[: len(HEAD)] = HEAD[:length]
    if length >= SHORTEST_EVENT:
        event[length - len(TAIL) :] = TAIL
    return event


def is_mangled(event: bytes | bytearray | memoryview) -> bool:
    """Tells whether head or tail differ; like the original it looks at 31 bytes of the head and 9 of the tail."""
    return bytes(event[:31]) != HEAD[:31] or bytes(event[-10:-1]) != TAIL[:9]


def fragments(length: int, largest: int) -> list[tuple[int, int]]:
    """Offsets and sizes of the fragments of one event.

    >>> fragments(512, 448)
    [(0, 448), (448, 64)]
    """
    return [(offset, min(largest, length - offset)) for offset in range(0, length, largest)]


def headers(tick: int, entropy: int, number: int, data_id: int, offset: int, length: int, lb_version: int = 2) -> bytes:
    """Both headers of one fragment, 36 bytes, big-endian and packed."""
    slot = tick & 0xFFFF if lb_version == 3 else 0
    return LB_HEADER.pack(b"LB", lb_version, 1, slot, entropy, tick) + RE_HEADER.pack(
        RE_VERSION, 0, data_id, offset, length, number
    )
