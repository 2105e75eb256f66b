"""Collects what probers report, live, and tells at any time which streams are in an outage."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from NetLibrary._mechanics.outages.run.inpod.wire import FrameReader, Outcome
from NetLibrary._mechanics.outages.types import Probe, StreamLog, StreamSpec

SILENT_NS = 200_000_000

Record = tuple[int, int, int, int, int]


def settle(records: Iterable[tuple[int, int, int, int, int]]) -> tuple[list[Probe], int, int]:
    """Brings a stream's records in order of sending and joins late answers with their probes.

    Args:
        records: (outcome, code, sequence, sent, elapsed) as recorded.

    Returns:
        The probes, the number of slots that the prober skipped, the number of duplicate answers.
    """
    probes: dict[int, Probe] = {}
    skipped = duplicates = 0
    for outcome, code, sequence, sent, elapsed in records:
        if outcome == Outcome.SKIPPED:
            skipped += elapsed
        elif outcome == Outcome.DUPLICATE:
            known = probes.get(sequence)
            if known is not None and known.outcome is Outcome.LOST:
                # The prober was paused and read it too late; the kernel's stamp says that it came in time.
                probes[sequence] = Probe(sequence, sent, Outcome.OK, 0, elapsed)
            else:
                duplicates += 1
        elif outcome == Outcome.LATE:
            known = probes.get(sequence)
            if known is None or known.outcome is Outcome.LOST:
                probes[sequence] = Probe(sequence, sent, Outcome.LATE, 0, elapsed)
            else:
                duplicates += 1
        else:
            probes[sequence] = Probe(sequence, sent, Outcome(outcome), code, elapsed)
    return sorted(probes.values(), key=lambda probe: probe.sent_ns), skipped, duplicates


class ProberLog:
    """Everything that one prober has delivered so far. `feed` may be called from a thread of its own."""

    def __init__(self, name: str, specs: Iterable[StreamSpec]) -> None:
        self.name = name
        self.specs = {spec.number: spec for spec in specs}
        self.events: list[dict[str, Any]] = []
        self.counters: list[tuple[int, dict[str, str]]] = []
        self.ended: dict[str, Any] | None = None
        self.hello: dict[str, Any] | None = None
        self.bytes = 0
        self._reader = FrameReader()
        self._records: dict[int, list[Record]] = {number: [] for number in self.specs}
        self._last: dict[int, tuple[int, bool]] = {}
        self._lock = threading.Lock()

    def feed(self, data: bytes) -> None:
        """Takes the next piece of the prober's stream, however it was cut.

        Raises:
            ValueError: The bytes are not a prober's stream.
        """
        with self._lock:
            self.bytes += len(data)
            for letter, content in self._reader.feed(data):
                if letter == "P":
                    self._take(content)
                else:
                    self._event(content)

    def _take(self, records: list[tuple[int, int, int, int, int, int]]) -> None:
        for stream, outcome, code, sequence, sent, elapsed in records:
            known = self._records.get(stream)
            if known is None:
                continue
            known.append((outcome, code, sequence, sent, elapsed))
            if outcome in (Outcome.SKIPPED, Outcome.DUPLICATE):
                continue
            # Records come in the order of their verdicts; a loss is told one time limit after younger answers.
            if stream not in self._last or sent >= self._last[stream][0]:
                self._last[stream] = (sent, outcome == Outcome.OK)

    def _event(self, event: dict[str, Any]) -> None:
        name = event.get("event")
        if name == "counters":
            self.counters.append((event["t"], event["files"]))
            return
        if name == "hello":
            self.hello = event
        elif name == "end":
            self.ended = event
        self.events.append(event)

    def open_outages(self) -> list[StreamSpec]:
        """Returns the streams whose latest verdict is bad, or that are silent while others are answered.

        The verdict "lost" takes a probe's whole time limit; silence shows sooner.
        """
        with self._lock:
            newest = max((sent for sent, _good in self._last.values()), default=0)
            return [
                self.specs[number]
                for number, (sent, good) in self._last.items()
                if not good or newest - sent > SILENT_NS + 3e6 * self.specs[number].period_ms
            ]

    def answered(self) -> set[int]:
        """Returns the numbers of the streams that had a good probe already."""
        with self._lock:
            return {n for n, records in self._records.items() if any(r[0] == Outcome.OK for r in records)}

    def settled(self) -> set[int]:
        """Returns the streams about which something is known: an answer, a verdict, or that they cannot be measured."""
        with self._lock:
            known = {number for number, records in self._records.items() if records}
            return known | {event["stream"] for event in self.events if event.get("event") == "cannot"}

    def events_named(self, name: str) -> list[dict[str, Any]]:
        """Returns the events of one name in order."""
        with self._lock:
            return [event for event in self.events if event.get("event") == name]

    def stream_logs(self) -> list[StreamLog]:
        """Returns the log of each stream as far as it is known."""
        with self._lock:
            return [self._stream_log(spec) for spec in self.specs.values()]

    def _stream_log(self, spec: StreamSpec) -> StreamLog:
        probes, skipped, duplicates = settle(self._records[spec.number])
        log = StreamLog(spec, probes, skipped=skipped, duplicates=duplicates)
        for event in self.events:
            name = event.get("event")
            if name == "start":
                log.first_ns = event["streams"].get(str(spec.number))
            elif name == "paused":
                log.paused.append((event["since"], event["t"]))
            elif name == "overflow":
                if spec.number in event["streams"]:
                    log.overflows.append((event["since"], event["until"], event["dropped"]))
            elif event.get("stream") == spec.number:
                if name == "cannot":
                    log.cannot = f"{event['what']}: {event['why']}"
                elif name == "kept_broken":
                    log.kept_broken.append((event["t"], event["how"], event["errno"]))
                    if "silent_ms" in event:
                        log.stranded.append((event["silent_ms"], event["fresh_ms"]))
                elif name == "way":
                    log.ways.append((event["since"], event["until"], event["missing"], event["reached"]))
                elif name == "idle_closed":
                    log.ended_by_server.append(event["after_ms"] / 1000)
                elif name == "kept_open":
                    log.kept_opened.append(event["t"])
        if self.ended is not None:
            log.end_ns = self.ended["t"]
            facts = self.ended["streams"].get(str(spec.number), {})
            log.sent = facts.get("sent")
            log.latest_ms = facts.get("latest_ms", 0.0)
        return log
