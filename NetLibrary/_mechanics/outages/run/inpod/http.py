"""HTTP/1.1 requests at a fixed rate: each over a new connection, or one after the other over a kept one."""

import errno
import socket
from typing import Any

from .loop import monotonic_ns
from .tcp import Attempt, KeepingStream, TcpStream
from .wire import Outcome, outcome_of

HEAD_LIMIT = 64 * 1024
GOOD = range(200, 400)


def request(spec, keep):
    """Returns the bytes of a GET request."""
    host = spec.get("host") or spec["address"]
    lines = (
        f"GET {spec.get('query') or '/'} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: NetLibrary",
        "Accept: */*",
        f"Connection: {'keep-alive' if keep else 'close'}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class Response:
    """Reads one response from the bytes of a connection."""

    def __init__(self):
        self.data = bytearray()
        self.status = 0
        self.head = 0  # bytes of the head with its empty line, 0 until it is whole
        self.length: Any = None  # bytes of the body, None when it ends with the connection
        self.chunked = False
        self.lasting = True

    def feed(self, data):
        """Takes more bytes. Raises ValueError for what is no HTTP."""
        self.data += data
        if not self.head:
            end = self.data.find(b"\r\n\r\n")
            if end >= 0:
                self.head = end + 4
                self._read_head(bytes(self.data[:end]).decode("latin-1").split("\r\n"))
            elif len(self.data) > HEAD_LIMIT or (len(self.data) > 5 and not self.data.startswith(b"HTTP/")):
                raise ValueError("no HTTP response")

    def _read_head(self, lines):
        words = lines[0].split(" ", 2)
        if not words[0].startswith("HTTP/") or len(words) < 2 or not words[1].isdigit():
            raise ValueError("no HTTP response")
        self.status = int(words[1])
        self.lasting = words[0] != "HTTP/1.0"
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            if name == "content-length" and value.isdigit():
                self.length = int(value)
            elif name == "transfer-encoding" and "chunked" in value.lower():
                self.chunked = True
            elif name == "connection":
                self.lasting = value.lower() != "close"
        if self.status in (204, 304) or 100 <= self.status < 200:
            self.length = 0

    @property
    def complete(self):
        """Tells whether all of it has come, as far as that can be told before the connection ends."""
        if not self.head:
            return False
        if self.chunked:
            return self.data.endswith(b"\r\n0\r\n\r\n") or self.data[self.head :] == b"0\r\n\r\n"
        return self.length is not None and len(self.data) - self.head >= self.length

    @property
    def ends_with_connection(self):
        """Tells whether only the end of the connection ends it."""
        return bool(self.head) and not self.chunked and self.length is None


class HttpAttempt(Attempt):
    """One request over a new connection: good when a whole answer with a good status has come."""

    __slots__ = ("response",)

    def __init__(self, stream, sequence, now):
        self.response = Response()
        super().__init__(stream, sequence, now)

    def message(self):
        return self.stream.request

    def take(self, data):
        """Takes bytes, or the end of the connection."""
        try:
            self.response.feed(data)
        except ValueError:
            self.end(Outcome.WRONG, 0)
            return
        response = self.response
        if response.complete or (not data and response.ends_with_connection):
            self.end(*verdict(response))
        elif not data:
            self.end(Outcome.CLOSED, 0)


def verdict(response):
    """Returns outcome and code of an answer: the class of its status where that is none of the good ones."""
    return (Outcome.OK, 0) if response.status in GOOD else (Outcome.WRONG, response.status // 100)


class HttpStream(TcpStream):
    """Makes a request over a new connection at every slot; one that hangs delays no other."""

    kind = "http"
    attempt_class = HttpAttempt

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.exchange = True
        self.request = request(spec, False)

    def send(self, sequence, now):
        self.expire(now)
        self.ease(now)
        self.attempt(sequence, now)


class KeptHttpStream(KeepingStream, HttpStream):
    """Makes requests over one connection, the next one when the last is answered, as clients with a pool do.

    A slot at which an answer is still awaited has no probe of its own: the time of the one that is awaited tells. A
    connection that the server ends in good order between two requests is opened again, which is no break.
    """

    kind = "http_kept"

    def __init__(self, loop, spec):
        super().__init__(loop, spec)
        self.request = request(spec, True)
        self.response: Any = None

    def send(self, sequence, now):
        self.expire(now)
        if self.sock is None:
            if not self.attempts:
                self.attempt(sequence, now)
            return
        if self.outstanding:
            return
        self.outstanding[sequence] = now
        self.response = Response()
        try:
            self.sock.send(self.request)
        except OSError as err:
            self.broken(outcome_of(err.errno), err.errno or 0)

    def take_over(self, attempt):
        self.attempts.pop(attempt.sequence, None)
        now = monotonic_ns()
        self.loop.record(self.number, Outcome.OK, 0, attempt.sequence, attempt.sent, now - attempt.sent)
        if not attempt.response.lasting or attempt.response.ends_with_connection:
            attempt.drop()
            return True
        self.keep_open(attempt)
        return True

    def readable(self, _mask):
        """Takes an answer, or the end of the connection."""
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError as err:
            self.broken(outcome_of(err.errno), err.errno or 0)
            return
        if not self.outstanding:
            self.close()  # ended in good order, or it says what nobody has asked for
            return
        try:
            self.response.feed(data)
        except ValueError:
            self.broken(Outcome.WRONG, 0)
            return
        if self.response.complete:
            outcome, code = verdict(self.response)
            self.resolve(next(iter(self.outstanding)), outcome, code, monotonic_ns())
            if not self.response.lasting:
                self.close()
        elif not data:
            self.broken(Outcome.CLOSED, 0)
        else:
            # A server that writes head and body apart waits for our acknowledgement, which the kernel holds back 40 ms
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def expire(self, now):
        waiting = bool(self.outstanding)
        super().expire(now)
        if waiting and not self.outstanding and self.sock is not None:
            self.broken(Outcome.LOST, errno.ETIMEDOUT)

    def broken(self, outcome, code):
        """The connection failed with a request on its way.

        A server may end an idle connection in the very moment in which it is used again. So HTTP clients repeat a
        request that was cut off before any answer, once and on a new connection (RFC 9110, section 9.2.2): the break of
        the connection counts, and the request does when it fails again.
        """
        waiting, self.outstanding = self.outstanding, {}
        unheard = self.response is not None and not self.response.data
        self.close()
        self.loop.event("kept_broken", stream=self.number, how=outcome.name, errno=code)
        now = monotonic_ns()
        for sequence, sent in waiting.items():
            if unheard and outcome in (Outcome.RESET, Outcome.CLOSED):
                self.attempt(sequence, now)
            else:
                self.loop.record(self.number, outcome, code, sequence, sent, now - sent)
