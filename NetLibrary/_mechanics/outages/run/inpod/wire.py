"""The byte stream between the prober and its reader.

A stream is the magic text, then frames: one letter, the payload's length, the payload.

    P   probe records of 24 bytes each
    J   one JSON object: what the prober is, can and cannot do, counters, events

Frames are written whole and in order, so whatever arrived before a kill can be read; a torn last frame is ignored.
Times are nanoseconds of the machine's CLOCK_MONOTONIC, which does not jump when somebody sets the clock.
"""

import enum
import errno
import json
import struct

MAGIC = b"NLBREAK1\n"
FRAME = struct.Struct("<cI")
RECORD = struct.Struct("<HBBIqq")  # stream, outcome, errno or code, sequence, sent, elapsed (both nanoseconds)
#: Carried by every echo request so that the answer says which probe it belongs to: mark, stream, sequence, sent.
PAYLOAD = struct.Struct("!4sHIq")
MARK = b"NLBK"


class Outcome(enum.IntEnum):
    """What became of one probe."""

    OK = 0
    LOST = 1  # no answer within the probe's time limit
    REFUSED = 2
    RESET = 3
    UNREACHABLE = 4
    UNSENT = 5  # this machine refused to send it: no route, link down, filtered
    LATE = 6  # an answer to a probe that was already recorded as LOST
    DUPLICATE = 7
    SKIPPED = 8  # the prober was too late to send; `elapsed` holds how many in a row
    WRONG = 9  # an answer, but not the right one (a DNS error code, foreign bytes)
    CLOSED = 10  # the peer ended the connection in good order
    NO_DESCRIPTOR = 11  # the prober had no socket left: its own failure, not the network's
    STRANDED = 12  # on a kept connection that stayed silent while new ones worked


_BY_ERRNO = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ECONNRESET: Outcome.RESET,
    errno.EPIPE: Outcome.RESET,
    errno.ECONNABORTED: Outcome.RESET,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EHOSTDOWN: Outcome.UNREACHABLE,
    errno.ENETDOWN: Outcome.UNREACHABLE,
    errno.EACCES: Outcome.UNREACHABLE,
    errno.EPERM: Outcome.UNREACHABLE,
    errno.EPROTO: Outcome.UNREACHABLE,
    errno.ETIMEDOUT: Outcome.LOST,
    errno.EMFILE: Outcome.NO_DESCRIPTOR,
    errno.ENFILE: Outcome.NO_DESCRIPTOR,
}


def outcome_of(code):
    """Returns the outcome that an errno stands for."""
    return _BY_ERRNO.get(code, Outcome.UNREACHABLE)


def json_frame(message):
    """Returns the frame of one JSON object."""
    data = json.dumps(message, separators=(",", ":")).encode()
    return FRAME.pack(b"J", len(data)) + data


class FrameReader:
    """Cuts a byte stream into frames, whatever pieces it comes in.

    >>> reader = FrameReader()
    >>> list(reader.feed(MAGIC + json_frame({"a": 1})[:6]))
    []
    >>> list(reader.feed(json_frame({"a": 1})[6:]))
    [('J', {'a': 1})]
    """

    def __init__(self):
        self._buffer = bytearray()
        self._seen_magic = False

    def feed(self, data):
        """Yields (letter, content) for each frame that is complete: records as tuples, JSON as a dict.

        Raises:
            ValueError: The bytes are not a prober's stream.
        """
        buffer = self._buffer
        buffer += data
        if not self._seen_magic:
            if not MAGIC.startswith(bytes(buffer[: len(MAGIC)])):
                raise ValueError(f"not a prober's stream: it begins with {bytes(buffer[:80])!r}")
            if len(buffer) < len(MAGIC):
                return
            del buffer[: len(MAGIC)]
            self._seen_magic = True
        position = 0
        try:
            while len(buffer) - position >= FRAME.size:
                letter, length = FRAME.unpack_from(buffer, position)
                start = position + FRAME.size
                if len(buffer) < start + length:
                    break
                payload = bytes(buffer[start : start + length])
                position = start + length
                if letter == b"P":
                    yield "P", list(RECORD.iter_unpack(payload))
                elif letter == b"J":
                    yield "J", json.loads(payload)
                else:
                    raise ValueError(f"unknown frame {letter!r} in the prober's stream")
        finally:
            del buffer[:position]
