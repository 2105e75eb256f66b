"""A TCP connection on which nothing is said: what can be known of a server whose protocol is not known.

The kernel sends a keepalive probe after each second without a sign of life; any TCP answers it, whatever listens
behind. So silence of the path shows, and so does a reset. An end in good order is the server's doing, or that of
something on the way that closes idle connections; the path has carried it, so that it is an event and no break.
"""

import errno
import socket
import struct

from .loop import monotonic_ns
from .tcp import KeepingStream
from .wire import Outcome, outcome_of

KEEPALIVE_S = 1
MOST_PROBES = 127  # unanswered ones; the stream tells of silence itself
ANSWER_NS = 400_000_000  # a probe that is unanswered for longer is lost
SECOND_NS = 1_000_000_000
#: struct tcp_info: eight bytes, then 32-bit numbers; this is tcpi_last_ack_recv, in milliseconds
LAST_ACK = struct.Struct("@56xI")


class IdleConnectionStream(KeepingStream):
    """Keeps one connection and asks the kernel at every slot when the other side was heard last."""

    kind = "tcp_idle"

    def __init__(self, loop, spec):
        super().__init__(loop, dict(spec, exchange=False))
        self.opened = 0

    def send(self, sequence, now):
        self.expire(now)
        if self.sock is None:
            self.attempt(sequence, now)
            return
        (silent_ms,) = LAST_ACK.unpack_from(self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_ACK.size))
        silent = silent_ms * 1_000_000
        heard = now - silent
        if silent < KEEPALIVE_S * SECOND_NS + ANSWER_NS:
            self.loop.record(self.number, Outcome.OK, 0, sequence, heard, 0)
            return
        # The last probe that has had time for an answer is the one that was lost
        asked = heard + (silent - ANSWER_NS) // SECOND_NS * SECOND_NS
        self.loop.record(self.number, Outcome.LOST, 0, sequence, asked, now - asked)

    def take_over(self, attempt):
        self.attempts.pop(attempt.sequence, None)
        for other in list(self.attempts.values()):
            other.drop()
            self.attempt_ended(other, Outcome.LOST, 0)
        sock = attempt.sock
        for option, value in (
            (socket.TCP_KEEPIDLE, KEEPALIVE_S),
            (socket.TCP_KEEPINTVL, KEEPALIVE_S),
            (socket.TCP_KEEPCNT, MOST_PROBES),
        ):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.opened = now = monotonic_ns()
        self.loop.record(self.number, Outcome.OK, 0, attempt.sequence, attempt.sent, now - attempt.sent)
        self.keep_open(attempt)
        return True

    def readable(self, _mask):
        """Takes what a server says by itself, for instance its greeting; it means nothing here."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as err:
            self.close()
            code = err.errno or errno.ECONNRESET
            self.loop.event("kept_broken", stream=self.number, how=outcome_of(code).name, errno=code)
            return
        if not data:
            self.close()
            after = (monotonic_ns() - self.opened) / 1e6
            self.loop.event("idle_closed", stream=self.number, after_ms=round(after))
