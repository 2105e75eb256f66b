"""The prober's loop: what it notices about its own clock."""

from __future__ import annotations

import os
import re
import socket
import time

from NetLibrary._mechanics.outages.results.outcome import _notes_of
from NetLibrary._mechanics.outages.run.inpod import loop as inpod_loop
from NetLibrary._mechanics.outages.run.inpod.echo import SO_TIMESTAMPNS, TIMESPEC, arrival
from NetLibrary._mechanics.outages.run.inpod.wire import FrameReader, Outcome
from NetLibrary._mechanics.outages.run.logs import ProberLog
from NetLibrary._mechanics.outages.run.probers import LocalProber
from NetLibrary._mechanics.outages.types import ProbeKind, StreamSpec

HOUR_NS = 3600 * 10**9


def test_a_clock_that_somebody_sets_is_told_and_spoils_no_time(monkeypatch):
    """Receive stamps are of the clock that jumped; probes are sent by one that does not."""
    reading, writing = os.pipe()
    true_time = time.time_ns
    try:
        loop = inpod_loop.Loop(writing)
        loop.shift = true_time() - time.monotonic_ns()
        monkeypatch.setattr(inpod_loop.time, "time_ns", lambda: true_time() + HOUR_NS)
        loop._poll(time.monotonic_ns())
        loop.record(1, Outcome.OK, 0, 0, time.monotonic_ns(), 1)
        loop.flush()
        data = os.read(reading, 65536)
    finally:
        loop.epoll.close()
        os.close(reading)
        os.close(writing)
    events = [content for letter, content in FrameReader().feed(data) if letter == "J"]
    (jump,) = [event for event in events if event["event"] == "clock_jump"]
    assert abs(jump["by_ms"] - 3_600_000) < 100
    # A stamp by the new clock is understood at once, one by the old clock is not believed
    now = time.monotonic_ns()
    for wall, when in ((true_time() + HOUR_NS, None), (true_time() - HOUR_NS, now)):
        stamp = (socket.SOL_SOCKET, SO_TIMESTAMPNS, TIMESPEC.pack(*divmod(wall - 1_000_000, 10**9)))
        found = arrival([stamp], loop.shift, now)
        assert found == when if when else abs(now - found) < 50_000_000
    prober = LocalProber("here", [StreamSpec(1, "loop", ProbeKind.UDP, "127.0.0.1", 9)], duration_s=1)
    prober.log = ProberLog("here", [])
    prober.log.feed(data)
    assert re.match(r"here: its clock was changed by (3599|3600)\d{3} ms", _notes_of(prober)[0])
