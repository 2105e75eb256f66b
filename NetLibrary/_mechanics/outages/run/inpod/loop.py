"""The prober's event loop: one thread, an absolute schedule, records that leave at once."""

import gc
import heapq
import os
import select
import time

from .wire import FRAME, MAGIC, RECORD, Outcome, json_frame

FLUSH_NS = 100_000_000
FLUSH_BYTES = 24 * 1024
HOUSEKEEPING_NS = 1_000_000_000
CLOCK_JUMP_NS = 50_000_000
PAUSE_NS = 6_000_000
BACKLOG_LIMIT = 64 * 1024 * 1024

monotonic_ns = time.monotonic_ns


class Loop:
    """Sends what is due, reads what has come, writes what is known.

    Streams are asked to send at fixed times (start + n x period). A wake-up that comes late by a period or more does
    not send the missed probes in a burst: they are recorded as SKIPPED, which is the prober's failure, not a loss.
    """

    def __init__(self, descriptor):
        self.epoll = select.epoll()
        self.handlers = {}
        self.streams = []
        self.shift = 0  # CLOCK_REALTIME - CLOCK_MONOTONIC, to read the kernel's receive stamps
        self.stopping = None
        self._woke = self.polled = monotonic_ns()
        self.timers = []  # callables run once a second with the time
        self._schedule = []
        self._out = descriptor
        self._records = bytearray()
        self._pending = bytearray(MAGIC)
        self._flush_at = 0
        self._dropped = 0
        self.started = 0

    # -- output ---------------------------------------------------------------------------------------------------
    def record(self, stream, outcome, code, sequence, sent, elapsed):
        """Adds one probe's record."""
        self._records += RECORD.pack(stream, outcome, code, sequence & 0xFFFFFFFF, sent, elapsed)
        if len(self._records) >= FLUSH_BYTES:
            self.flush()

    def event(self, kind, /, **facts):
        """Adds an event with its time; events leave at once."""
        self._close_frame()
        self._pending += json_frame(dict(facts, event=kind, t=monotonic_ns()))
        self.flush()

    def _close_frame(self):
        if self._records:
            self._pending += FRAME.pack(b"P", len(self._records)) + self._records
            self._records = bytearray()

    def flush(self):
        """Writes what is pending; a reader that does not read must not stop the probes, so it may stay pending."""
        self._close_frame()
        try:
            while self._pending:
                written = os.write(self._out, self._pending[:262144])
                del self._pending[:written]
        except BlockingIOError:
            if len(self._pending) > BACKLOG_LIMIT:
                self.stopping = "nothing reads the results"
        except OSError as err:
            self.stopping = f"cannot write the results: {err}"
            self._pending.clear()

    # -- sockets --------------------------------------------------------------------------------------------------
    def watch(self, descriptor, handler, events=select.EPOLLIN):
        """Calls handler(events) whenever the descriptor has news."""
        self.handlers[descriptor] = handler
        self.epoll.register(descriptor, events)

    def rewatch(self, descriptor, events):
        """Changes what is waited for."""
        self.epoll.modify(descriptor, events)

    def unwatch(self, descriptor):
        """Forgets a descriptor; call it before closing."""
        if self.handlers.pop(descriptor, None) is not None:
            self.epoll.unregister(descriptor)

    # -- running --------------------------------------------------------------------------------------------------
    def run(self, duration_ns, drain_ns):
        """Runs all streams for a time, then waits for the last answers; returns why it ended."""
        gc.disable()  # a collection pause is longer than what is measured here; the loop makes no cycles
        self.started = monotonic_ns() + 50_000_000
        self.shift = time.time_ns() - monotonic_ns()
        end = self.started + duration_ns
        for index, stream in enumerate(self.streams):
            # Spread over the period: no burst of all streams at once, and two streams of a path do not coincide.
            share = index / max(1, len(self.streams)) if stream.phase is None else stream.phase
            stream.first = self.started + int(stream.period * share)
            stream.end = end
            stream.next = stream.first
            stream.sequence = 0
            heapq.heappush(self._schedule, (stream.first, index, stream))
        self.event("start", first=self.started, streams={s.number: s.first for s in self.streams})
        housekeeping = self.started
        self._woke = monotonic_ns()
        while not self.stopping:
            now = monotonic_ns()
            if now >= end:
                self.stopping = "duration"
                break
            self._send_due(now, end)
            if now >= housekeeping:
                housekeeping = now + HOUSEKEEPING_NS
                self._housekeeping(now)
            self._poll(min(self._next_due(end), now + FLUSH_NS))
        self._drain(drain_ns)
        return self.stopping

    def _next_due(self, end):
        return self._schedule[0][0] if self._schedule else end

    def _send_due(self, now, end):
        """Sends for each stream that is due once, then the answers are read: what cannot be sent in time is skipped,
        and never made a loss by answers that nobody read.
        """
        schedule, limit = self._schedule, now
        while schedule and schedule[0][0] <= limit:
            due, index, stream = schedule[0]
            behind = now - due
            if behind >= stream.period:
                missed = behind // stream.period
                self.record(stream.number, Outcome.SKIPPED, 0, stream.sequence, due, missed)
                stream.skipped += missed
                stream.sequence += missed
                due += missed * stream.period
            if behind > stream.latest:
                stream.latest = behind
            stream.sent += 1
            stream.send(stream.sequence, now)
            stream.sequence += 1
            stream.next = due + stream.period
            if stream.next < end:
                heapq.heapreplace(schedule, (stream.next, index, stream))
            else:
                heapq.heappop(schedule)
            now = monotonic_ns()

    def _poll(self, until):
        before = monotonic_ns()
        # The processor may be taken away while we work or while we wait: what looks slow then says nothing of a path.
        if before - self._woke > PAUSE_NS:
            self.event("paused", since=self._woke)
        wait = (until - before) / 1e9
        events = self.epoll.poll(wait if wait > 0 else 0, 128)
        now = self._woke = monotonic_ns()
        self.polled = before
        if now - max(until, before) > PAUSE_NS:
            self.event("paused", since=max(until, before))
        shift = time.time_ns() - now
        if abs(shift - self.shift) > CLOCK_JUMP_NS:
            # A pause between the two readings looks the same: only a second look tells.
            shift = min((time.time_ns() - monotonic_ns() for _ in range(5)), key=lambda s: abs(s - self.shift))
            if abs(shift - self.shift) > CLOCK_JUMP_NS:
                self.event("clock_jump", by_ms=round((shift - self.shift) / 1e6, 3))
        self.shift = shift
        for descriptor, mask in events:
            handler = self.handlers.get(descriptor)
            if handler is not None:  # an earlier handler of this round may have closed it
                handler(mask)
        if now >= self._flush_at:
            self._flush_at = now + FLUSH_NS
            self.flush()

    def _housekeeping(self, now):
        for stream in self.streams:
            stream.expire(now)
        for timer in self.timers:
            timer(now)

    def _drain(self, drain_ns):
        end = monotonic_ns() + drain_ns
        while monotonic_ns() < end and any(stream.busy() for stream in self.streams):
            self._poll(min(end, monotonic_ns() + 20_000_000))
            for stream in self.streams:
                stream.expire(monotonic_ns())
        for stream in self.streams:
            stream.finish()


class Stream:
    """One kind of probe on one path. `send` is called at every slot; what happens to it ends in `loop.record`."""

    kind = "?"

    def __init__(self, loop, spec):
        self.loop = loop
        self.number = spec["number"]
        self.address = spec["address"]
        self.port = spec.get("port", 0)
        self.period = int(spec["period_ms"] * 1_000_000)
        self.limit = int(spec["timeout_ms"] * 1_000_000)
        self.phase = spec.get("phase")  # which share of a period it begins later, where that is not left to the loop
        self.outstanding = {}  # sequence -> time sent, oldest first
        self.sent = 0
        self.skipped = 0
        self.latest = 0
        self.first = self.next = self.end = self.sequence = 0

    def send(self, sequence, now):
        """Sends the probe of one slot."""
        raise NotImplementedError

    def expire(self, now):
        """Records the probes whose time limit is over.

        Only up to the last look at the sockets: after a pause the answers may be waiting there.
        """
        now = min(now, self.loop.polled)
        outstanding = self.outstanding
        while outstanding:
            sequence = next(iter(outstanding))
            sent = outstanding[sequence]
            if now - sent < self.limit:
                return
            del outstanding[sequence]
            self.loop.record(self.number, Outcome.LOST, 0, sequence, sent, now - sent)

    def resolve(self, sequence, outcome, code, when):
        """Records the answer to one probe, in time or not."""
        sent = self.outstanding.pop(sequence, None)
        if sent is not None:
            self.loop.record(self.number, outcome, code, sequence, sent, max(0, when - sent))

    def busy(self):
        """Tells whether answers are still awaited."""
        return bool(self.outstanding)

    def finish(self):
        """Ends the stream: what is still open was cut off, neither lost nor answered, and is not recorded."""
        self.outstanding.clear()
