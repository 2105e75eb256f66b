"""TCP streams: attempts to connect, and new connections at a fixed rate."""

import errno
import select
import socket
from typing import Any

from .echo import PATIENCE_NS
from .loop import Stream, monotonic_ns
from .wire import MARK, PAYLOAD, Outcome, outcome_of

IN, OUT, ERR, HUP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR, select.EPOLLHUP
OPEN_LIMIT = 400
ESTABLISHED = 1  # state of a socket, the first byte of TCP_INFO
TROUBLED_NS = 1_000_000_000  # so long after a failure the path counts as in trouble


class Attempt:
    """One connection on its way: connecting, then (unless only the handshake counts) awaiting its echo."""

    __slots__ = ("connected", "received", "sent", "sequence", "sock", "stream")
    room = 65536

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
                self.sock.send(self.message())
            except OSError as err:
                self.end(outcome_of(err.errno), err.errno)
                return
            self.stream.loop.rewatch(self.sock.fileno(), IN)
            return
        try:
            data = self.sock.recv(self.room)
        except BlockingIOError:
            return
        except OSError as err:
            self.end(outcome_of(err.errno), err.errno)
            return
        self.take(data)

    def got_through(self):
        """Tells whether the server has taken the connection, also where nobody has looked at the socket since."""
        return self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED

    def message(self):
        """Returns what is sent once it is connected."""
        return PAYLOAD.pack(MARK, self.stream.number, self.sequence, self.sent)

    def take(self, data):
        """Takes what the server says; nothing when it has closed."""
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
    """What all TCP streams do with attempts: any number at once, each with its own time limit."""

    attempt_class: Any = Attempt

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.exchange = spec.get("exchange", True)
        self.dense = self.period
        self.ease_after = spec.get("ease_after", 6000)
        self.eased = max(self.dense, int(spec.get("eased_ms", 40) * 1_000_000))
        self.opened = self.extra = 0  # connections at the full rate, before and after the first easing
        self.failed = 0  # when an attempt last failed
        self.attempts = {}  # sequence -> Attempt, oldest first

    def attempt(self, sequence, now):
        """Starts a connection; a failure at once is recorded at once."""
        if len(self.attempts) >= OPEN_LIMIT:
            self.loop.record(self.number, Outcome.NO_DESCRIPTOR, 0, sequence, now, 0)
            return
        try:
            self.attempts[sequence] = self.attempt_class(self, sequence, now)
        except OSError as err:
            code = err.errno or 0
            if code in (errno.EMFILE, errno.ENFILE):
                outcome = Outcome.NO_DESCRIPTOR
            elif code == errno.ECONNREFUSED:
                outcome = Outcome.REFUSED  # loopback and own addresses answer within the call
            else:
                outcome = Outcome.UNSENT
            self.note(outcome, now)
            self.loop.record(self.number, outcome, code, sequence, now, 0)

    def ease(self, now):
        """Opens connections less often when it has gone on for long, and at the full rate again while they fail.

        Each stays in the tables of connection tracking on its way for two minutes after its end, which would fill those
        of small nodes in ten minutes. How exactly the end of an outage is told depends on the distance of attempts, so
        the full rate comes back for as many of them as there were at first; time without failures earns them again.
        """
        if self.opened < self.ease_after:
            self.opened += 1
            return
        troubled = now - self.failed < TROUBLED_NS
        period = self.dense if troubled and self.extra < self.ease_after else self.eased
        self.extra = self.extra + (period < self.eased) if troubled else max(0, self.extra - 1)
        if period != self.period:
            self.period = period
            self.loop.event("eased", stream=self.number, period_ms=period / 1e6)

    def attempt_ended(self, attempt, outcome, code):
        """Records how an attempt ended."""
        self.attempts.pop(attempt.sequence, None)
        now = monotonic_ns()
        self.note(outcome, now)
        elapsed = now - attempt.sent
        self.loop.record(self.number, outcome, code, attempt.sequence, attempt.sent, elapsed)

    def note(self, outcome, now):
        """Notes that an attempt failed, unless that was the prober's own fault."""
        if outcome not in (Outcome.OK, Outcome.NO_DESCRIPTOR):
            self.failed = now

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


class KeepingStream(TcpStream):
    """A stream with one connection that it keeps for as long as it lasts."""

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.sock: Any = None

    def keep_open(self, attempt):
        """Goes on with the connection of an attempt."""
        self.sock = attempt.sock
        self.loop.handlers[self.sock.fileno()] = self.readable
        self.loop.rewatch(self.sock.fileno(), IN)
        self.loop.event("kept_open", stream=self.number, port=self.sock.getsockname()[1], attempt=attempt.sent)

    def readable(self, mask):
        """Takes what the other side says."""
        raise NotImplementedError

    def close(self):
        """Closes the connection without a verdict; the next slot opens another."""
        if self.sock is not None:
            self.loop.unwatch(self.sock.fileno())
            self.sock.close()
            self.sock = None

    def finish(self):
        super().finish()
        self.close()


class NewConnectionStream(TcpStream):
    """Opens a connection at every slot, exchanges one small message, closes it.

    A hanging attempt delays no other. The client closes in good order; resetting would be cheaper (no TIME_WAIT) but
    would raise EstabResets, the very counter that tells whether kept connections were reset. Where many connections at
    once are asked for, each stays open until its stream opens the next.
    """

    kind = "tcp_new"

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.hold = spec.get("hold", False)
        self.held: Any = None

    def send(self, sequence, now):
        self.release()
        self.expire(now)
        self.ease(now)
        self.attempt(sequence, now)

    def take_over(self, attempt):
        if not self.hold:
            return False
        self.release()
        self.loop.unwatch(attempt.sock.fileno())
        self.held = attempt.sock
        self.attempt_ended(attempt, Outcome.OK, 0)
        return True

    def release(self):
        """Closes the connection that was held open."""
        if self.held is not None:
            self.held.close()
            self.held = None

    def finish(self):
        super().finish()
        self.release()
