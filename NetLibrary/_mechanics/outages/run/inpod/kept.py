"""One TCP connection that is kept, and what tells whether it hangs alone."""

import errno
from typing import Any

from .echo import PATIENCE_NS, arrival, stamped
from .loop import monotonic_ns
from .tcp import Attempt, KeepingStream
from .wire import MARK, PAYLOAD, Outcome, outcome_of

SILENCE_NS = 1_000_000_000  # a kept connection that is silent for longer is compared with new ones
TRIAL_NS = 100_000_000
PATIENCE_FACTOR = 2  # TCP waits twice as long before each repetition, so that after T it is tried again within 2 T
PATIENCE_MORE_NS = 1_000_000_000


class Trial:
    """A new connection beside a kept one that is silent: does the path carry nothing, or only that connection not?

    It is no probe and leaves no record. `good` is None while it is under way.
    """

    exchange = True

    def __init__(self, stream, now):
        self.loop, self.number = stream.loop, stream.number
        self.address, self.port = stream.address, stream.port
        self.limit = stream.limit // 3  # one that hangs must not hide for long that the path is good again
        self.began = now
        self.good: Any = None
        self._attempt: Any = None
        try:
            self._attempt = Attempt(self, 0, now)
        except OSError:
            self.good = False

    def take_over(self, attempt):
        """It is closed as soon as it has answered."""
        return False

    def attempt_ended(self, attempt, outcome, code):
        """Notes whether it worked."""
        self.good = outcome == Outcome.OK
        self._attempt = None

    def drop(self):
        """Gives it up."""
        if self._attempt is not None:
            self._attempt.drop()
            self._attempt, self.good = None, False


class KeptConnectionStream(KeepingStream):
    """Sends a small request at every slot over one connection, without waiting for the answer to the last.

    When the connection breaks, every slot opens a new one; the first that is established and answers is kept. A
    connection that stays silent although new ones work for longer than TCP takes to repeat a segment is stranded:
    something on the way still treats it by a state that is no longer true. It would hang for a quarter of an hour
    (`tcp_retries2`) where an application does not give up itself, so it is given up here.
    """

    kind = "tcp_kept"

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.received = bytearray()
        self.breaks = 0
        self.connections = 0
        self.heard = 0
        self.trial: Any = None
        self.fresh = 0  # since when new connections work while this one is silent

    def send(self, sequence, now):
        self.expire(now)
        if self.sock is None:
            self.attempt(sequence, now)
            return
        silence = min(now, self.loop.polled) - self.heard
        if silence > SILENCE_NS and self.stranded(now, silence):
            self.attempt(sequence, now)
            return
        try:
            size = self.sock.send(PAYLOAD.pack(MARK, self.number, sequence, now))
        except BlockingIOError:
            # Nothing has been acknowledged for so long that the kernel takes no more: as good as sent and lost.
            self.loop.record(self.number, Outcome.LOST, errno.EAGAIN, sequence, now, 0)
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
            # A later one succeeded first: this one met the outage, unless it only waits for its turn after a pause.
            lost = other.sequence < attempt.sequence and not other.got_through()
            other.drop()
            if lost:
                self.attempt_ended(other, Outcome.LOST, 0)
            else:
                del self.attempts[other.sequence]  # no longer needed, and no verdict about the path
        self.heard = monotonic_ns()
        stamped(attempt.sock)
        self.received.clear()
        self.connections += 1
        now = monotonic_ns()
        self.loop.record(self.number, Outcome.OK, 0, attempt.sequence, attempt.sent, now - attempt.sent)
        self.keep_open(attempt)
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
        self.heard = monotonic_ns()
        self.forget_trial()
        now = arrival(ancillary, self.loop.shift, self.heard)
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

    def stranded(self, now, silence):
        """Compares a silent connection with new ones; gives it up and returns True when only it is dead."""
        trial = self.trial
        if trial is not None:
            if trial.good is None and min(now, self.loop.polled) - trial.began > trial.limit:
                trial.drop()
            if trial.good is not None:
                self.fresh = (self.fresh or trial.began) if trial.good else 0
        if trial is None or (trial.good is not None and now - trial.began >= TRIAL_NS):
            self.trial = Trial(self, now)
        if not self.fresh or silence < PATIENCE_FACTOR * (self.fresh - self.heard) + PATIENCE_MORE_NS:
            return False
        fresh_ms = (self.fresh - self.heard) / 1e6
        self.broken(Outcome.STRANDED, 0, silent_ms=round(silence / 1e6), fresh_ms=round(fresh_ms))
        return True

    def forget_trial(self):
        """The connection lives, or is given up: nothing is left to compare."""
        if self.trial is not None:
            self.trial.drop()
        self.trial, self.fresh = None, 0

    def broken(self, outcome, code, **facts):
        """The connection is gone, and with it every request that was on its way."""
        now = monotonic_ns()
        self.forget_trial()
        self.breaks += 1
        self.close()
        for sequence, sent in list(self.outstanding.items()):
            self.loop.record(self.number, outcome, code, sequence, sent, now - sent)
        self.outstanding.clear()
        self.loop.event("kept_broken", stream=self.number, how=outcome.name, errno=code, **facts)

    def finish(self):
        super().finish()
        self.forget_trial()
