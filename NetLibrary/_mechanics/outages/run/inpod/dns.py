"""DNS queries at a fixed rate, each from a new port as resolvers send them."""

import os
import socket
import struct

from .echo import ask_for_errors, errors_of
from .loop import Stream, monotonic_ns
from .wire import Outcome, outcome_of

TYPES = {"A": 1, "AAAA": 28, "SRV": 33, "TXT": 16, "NS": 2}
HEADER = struct.Struct("!HHHHHH")


def question(name, kind):
    """Returns the wire form of one question (RFC 1035, 4.1.2)."""
    labels = name.rstrip(".").encode("idna" if not name.isascii() else "ascii").split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + struct.pack("!HH", TYPES[kind], 1)


class DnsStream(Stream):
    """Asks one question at every slot. A good answer has the code 0 and at least one record."""

    kind = "dns"

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.port = self.port or 53
        self.question = question(spec["query"], spec.get("query_type", "A"))
        self.sockets = {}  # sequence -> (socket, transaction)

    def send(self, sequence, now):
        self.expire(now)
        transaction = int.from_bytes(os.urandom(2), "big")
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        sock = None
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            ask_for_errors(sock)
            sock.connect((self.address, self.port))
            sock.send(HEADER.pack(transaction, 0x0100, 1, 0, 0, 0) + self.question)
        except OSError as err:
            if sock is not None:
                sock.close()
            self.loop.record(self.number, Outcome.UNSENT, err.errno or 0, sequence, now, 0)
            return
        self.outstanding[sequence] = now
        self.sockets[sequence] = (sock, transaction)
        self.loop.watch(sock.fileno(), lambda mask: self.readable(sequence))

    def readable(self, sequence):
        """Takes an answer or an error."""
        sock, transaction = self.sockets[sequence]
        try:
            data = sock.recv(4096)
        except OSError as err:
            failed = [code for _data, code, _when in errors_of(sock, self.loop.shift)] or [err.errno]
            if isinstance(err, BlockingIOError) and failed == [err.errno]:
                return
            self._close(sequence)
            self.resolve(sequence, outcome_of(failed[0]), failed[0], monotonic_ns())
            return
        if len(data) < HEADER.size:
            return
        identifier, flags, _questions, answers, _authority, _additional = HEADER.unpack_from(data)
        if identifier != transaction:
            return
        code = flags & 15
        self._close(sequence)
        good = code == 0 and answers > 0
        self.resolve(sequence, Outcome.OK if good else Outcome.WRONG, code, monotonic_ns())

    def _close(self, sequence):
        entry = self.sockets.pop(sequence, None)
        if entry is not None:
            self.loop.unwatch(entry[0].fileno())
            entry[0].close()

    def expire(self, now):
        before = list(self.sockets) if self.outstanding else ()
        super().expire(now)
        for sequence in before:
            if sequence not in self.outstanding:
                self._close(sequence)

    def finish(self):
        super().finish()
        for sequence in list(self.sockets):
            self._close(sequence)
