"""TCP streams: new connections at a fixed rate, and one connection that is kept."""

import errno
import select
import socket
from typing import Any

from .echo import PATIENCE_NS, arrival, stamped
from .loop import Stream, monotonic_ns
from .wire import MARK, PAYLOAD, Outcome, outcome_of

IN, OUT, ERR, HUP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR, select.EPOLLHUP
OPEN_LIMIT = 400


class Attempt:
    """One connection on its way: connecting, then (unless only the handshake counts) awaiting its echo."""

    __slots__ = ("connected", "received", "sent", "sequence", "sock", "stream")

    def __init__(self, stream, sequence, now):
        self.stream = stream
        self.sequence = sequence
        self.sent = now
        self.connected = False
        self.received = b""
        family = socket.AF_INET6 if ":" in stream.address else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.sock.setblocking(False)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = self.sock.connect_ex((stream.address, stream.port))
        except BaseException:
            self.sock.close()
            raise
        if code not in (0, errno.EINPROGRESS):
            self.sock.close()
            raise OSError(code, "connect")
        after = monotonic_ns()
        if after - now > PATIENCE_NS:
            self.sent = after  # the processor was taken away meanwhile: that is our delay, not the path's
        stream.loop.watch(self.sock.fileno(), self.news, OUT)

    def news(self, mask):
        """Goes one step on."""
        if not self.connected:
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.end(outcome_of(code), code)
                return
            self.connected = True
            if not self.stream.exchange:
                self.end(Outcome.OK, 0)
                return
            try:
                self.sock.send(PAYLOAD.pack(MARK, self.stream.number, self.sequence, self.sent))
            except OSError as err:
                self.end(outcome_of(err.errno), err.errno)
                return
            self.stream.loop.rewatch(self.sock.fileno(), IN)
            return
        try:
            data = self.sock.recv(64)
        except BlockingIOError:
            return
        except OSError as err:
            self.end(outcome_of(err.errno), err.errno)
            return
        if not data:
            self.end(Outcome.CLOSED, 0)
            return
        self.received += data
        if len(self.received) >= PAYLOAD.size:
            right = PAYLOAD.unpack_from(self.received)[:3] == (MARK, self.stream.number, self.sequence)
            self.end(Outcome.OK if right else Outcome.WRONG, 0)

    def end(self, outcome, code):
        """Records the attempt and forgets it; an established one may be taken over first."""
        if outcome == Outcome.OK and self.stream.take_over(self):
            return
        self.drop()
        self.stream.attempt_ended(self, outcome, code)

    def drop(self):
        """Closes the socket."""
        self.stream.loop.unwatch(self.sock.fileno())
        self.sock.close()


class TcpStream(Stream):
    """What both TCP streams do with attempts: any number at once, each with its own time limit."""

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.exchange = spec.get("exchange", True)
        self.attempts = {}  # sequence -> Attempt, oldest first

    def attempt(self, sequence, now):
        """Starts a connection; a failure at once is recorded at once."""
        if len(self.attempts) >= OPEN_LIMIT:
            self.loop.record(self.number, Outcome.NO_DESCRIPTOR, 0, sequence, now, 0)
            return
        try:
            self.attempts[sequence] = Attempt(self, sequence, now)
        except OSError as err:
            code = err.errno or 0
            if code in (errno.EMFILE, errno.ENFILE):
                outcome = Outcome.NO_DESCRIPTOR
            elif code == errno.ECONNREFUSED:
                outcome = Outcome.REFUSED  # loopback and own addresses answer within the call
            else:
                outcome = Outcome.UNSENT
            self.loop.record(self.number, outcome, code, sequence, now, 0)

    def attempt_ended(self, attempt, outcome, code):
        """Records how an attempt ended."""
        self.attempts.pop(attempt.sequence, None)
        elapsed = monotonic_ns() - attempt.sent
        self.loop.record(self.number, outcome, code, attempt.sequence, attempt.sent, elapsed)

    def take_over(self, attempt):
        """Tells whether the connection lives on."""
        return False

    def expire(self, now):
        super().expire(now)
        now = min(now, self.loop.polled)
        attempts = self.attempts
        while attempts:
            attempt = next(iter(attempts.values()))
            if now - attempt.sent < self.limit:
                return
            attempt.drop()
            self.attempt_ended(attempt, Outcome.LOST, errno.ETIMEDOUT if attempt.connected else 0)

    def busy(self):
        return bool(self.outstanding or self.attempts)

    def finish(self):
        super().finish()
        for attempt in list(self.attempts.values()):
            attempt.drop()
        self.attempts.clear()


class NewConnectionStream(TcpStream):
    """Opens a connection at every slot, exchanges one small message, closes it.

    A hanging attempt delays no other. The client closes in good order; resetting would be cheaper (no TIME_WAIT) but
    would raise EstabResets, the very counter that tells whether kept connections were reset.
    """

    kind = "tcp_new"

    def send(self, sequence, now):
        self.expire(now)
        self.attempt(sequence, now)


class KeptConnectionStream(TcpStream):
    """Sends a small request at every slot over one connection, without waiting for the answer to the last.

    When the connection breaks, every slot opens a new one; the first that is established and answers is kept.
    """

    kind = "tcp_kept"

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.sock: Any = None
        self.received = bytearray()
        self.breaks = 0
        self.connections = 0

    def send(self, sequence, now):
        self.expire(now)
        if self.sock is None:
            self.attempt(sequence, now)
            return
        try:
            size = self.sock.send(PAYLOAD.pack(MARK, self.number, sequence, now))
        except BlockingIOError:
            self.loop.record(self.number, Outcome.UNSENT, errno.EAGAIN, sequence, now, 0)
            return
        except OSError as err:
            self.outstanding[sequence] = now
            self.broken(outcome_of(err.errno), err.errno)
            return
        after = monotonic_ns()
        self.outstanding[sequence] = after if after - now > PATIENCE_NS else now
        if size != PAYLOAD.size:  # a full socket buffer cut the request in two: the stream of requests is ruined
            self.broken(Outcome.WRONG, errno.EMSGSIZE)

    def take_over(self, attempt):
        self.attempts.pop(attempt.sequence, None)
        for other in list(self.attempts.values()):
            other.drop()
            if other.sequence < attempt.sequence:
                # A later one succeeded first: this one met the outage.
                self.attempt_ended(other, Outcome.LOST, 0)
            else:
                del self.attempts[other.sequence]  # no longer needed, and no verdict about the path
        self.sock = attempt.sock
        stamped(self.sock)
        self.received.clear()
        self.connections += 1
        self.loop.handlers[self.sock.fileno()] = self.readable
        self.loop.rewatch(self.sock.fileno(), IN)
        now = monotonic_ns()
        self.loop.record(self.number, Outcome.OK, 0, attempt.sequence, attempt.sent, now - attempt.sent)
        local = self.sock.getsockname()
        self.loop.event("kept_open", stream=self.number, port=local[1], attempt=attempt.sent)
        return True

    def readable(self, _mask):
        """Takes answers."""
        try:
            data, ancillary, _flags, _peer = self.sock.recvmsg(65536, 64)
        except BlockingIOError:
            return
        except OSError as err:
            self.broken(outcome_of(err.errno), err.errno)
            return
        if not data:
            self.broken(Outcome.CLOSED, 0)
            return
        now = arrival(ancillary, self.loop.shift, monotonic_ns())
        received = self.received
        received += data
        position = 0
        while len(received) - position >= PAYLOAD.size:
            mark, stream, sequence, sent = PAYLOAD.unpack_from(received, position)
            position += PAYLOAD.size
            if mark != MARK or stream != self.number:
                self.broken(Outcome.WRONG, 0)
                return
            if sequence in self.outstanding:
                self.resolve(sequence, Outcome.OK, 0, now)
            else:
                self.loop.record(self.number, Outcome.LATE, 0, sequence, sent, now - sent)
        del received[:position]

    def broken(self, outcome, code):
        """The connection is gone, and with it every request that was on its way."""
        now = monotonic_ns()
        self.breaks += 1
        self.loop.unwatch(self.sock.fileno())
        self.sock.close()
        self.sock = None
        for sequence, sent in list(self.outstanding.items()):
            self.loop.record(self.number, outcome, code, sequence, sent, now - sent)
        self.outstanding.clear()
        self.loop.event("kept_broken", stream=self.number, how=outcome.name, errno=code)

    def finish(self):
        super().finish()
        if self.sock is not None:
            self.loop.unwatch(self.sock.fileno())
            self.sock.close()
            self.sock = None
