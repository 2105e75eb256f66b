"""Many datagrams per system call: `sendmmsg` and `recvmmsg` of the C library through ctypes.

Each datagram stays one packet on the wire, which segmentation offload would not guarantee for the counters of the
interfaces on the way. Python spends about 5 us on a call of its socket module, so 50 000 datagrams/s need this.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Sequence


class _IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Message(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_IoVec)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Entry(ctypes.Structure):
    _fields_ = [("message", _Message), ("length", ctypes.c_uint)]


_LIBRARY = ctypes.CDLL(None, use_errno=True)
_SENDMMSG, _RECVMMSG = _LIBRARY.sendmmsg, _LIBRARY.recvmmsg
LARGEST_BATCH = 1024


def _address(buffer: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))


Piece = tuple[bytearray, int, int]


class Burst:
    """A row of datagrams, each gathered from pieces of memory, sent in as few system calls as possible.

    Pieces may be shared by all datagrams and changed between sends, so that what all fragments of an event have in
    common is written once for each event and not once for each fragment.

    Args:
        rows: Buffer, offset and size of the pieces of each datagram.
    """

    def __init__(self, rows: Sequence[Sequence[Piece]]) -> None:
        self._keep = rows
        addresses: dict[int, int] = {}
        self.count = len(rows)
        self._vectors = (_IoVec * sum(map(len, rows)))()
        self._entries = (_Entry * self.count)()
        place = 0
        for index, row in enumerate(rows):
            message = self._entries[index].message
            message.vectors, message.vector_count = ctypes.pointer(self._vectors[place]), len(row)
            for buffer, offset, size in row:
                base = addresses.setdefault(id(buffer), 0) or _address(buffer)
                addresses[id(buffer)] = base
                vector = self._vectors[place]
                vector.base, vector.length = base + offset, size
                place += 1
        self._where = ctypes.addressof(self._entries)

    def send(self, descriptor: int, first: int = 0, last: int | None = None) -> tuple[int, int]:
        """Sends the row, or a part of it, on a connected socket and stops at the first error.

        Returns:
            Datagrams handed to the kernel, and the error number of the one after them (0 when all went).
        """
        done, end = first, self.count if last is None else last
        while done < end:
            where = ctypes.c_void_p(self._where + done * ctypes.sizeof(_Entry))
            sent = _SENDMMSG(descriptor, where, min(end - done, LARGEST_BATCH), 0)
            if sent < 0:
                code = ctypes.get_errno()
                if code in (errno.EINTR, errno.EAGAIN):
                    continue
                return done - first, code
            done += sent
        return done - first, 0


class Basket:
    """Buffers that take up to `count` datagrams with one system call."""

    def __init__(self, count: int, size: int) -> None:
        self._memory = bytearray(count * size)
        view = memoryview(self._memory)
        self.views = [view[index * size : (index + 1) * size] for index in range(count)]
        base = _address(self._memory)
        self._vectors = (_IoVec * count)()
        self._entries = (_Entry * count)()
        for index in range(count):
            vector = self._vectors[index]
            vector.base, vector.length = base + index * size, size
            message = self._entries[index].message
            message.vectors, message.vector_count = ctypes.pointer(vector), 1
        self._count = count

    def receive(self, descriptor: int) -> list[memoryview]:
        """Takes what waits on the socket, without waiting.

        Returns:
            The datagrams; they are valid until the next call.
        Raises:
            OSError: When the kernel reports anything else than an empty queue.
        """
        got = _RECVMMSG(descriptor, self._entries, self._count, socket.MSG_DONTWAIT, None)
        if got < 0:
            code = ctypes.get_errno()
            if code in (errno.EAGAIN, errno.EINTR):
                return []
            raise OSError(code, os.strerror(code))
        entries, views = self._entries, self.views
        return [views[index][: entries[index].length] for index in range(got)]
