"""A model of sender, path and receiver of iperf3's datagrams, which prints what the versions would have printed.

It knows what really happened to every datagram, and counts as iperf3's source does: the receiver's number of packets is
the highest sequence number, a gap raises its losses, a datagram out of order (late or doubled) lowers them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from .documents import Document, interval, part, server_text, start

SIZE = 1000
PER_SECOND = 500
SECONDS = 2


@dataclass
class Path:
    """What a path does to datagrams; shares from 0 to 1."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    ends_after: float = 1.0  # share of the run after which nothing arrives any more
    lost_omitted: float | None = None  # loss in the omitted part, as in the rest when None


@dataclass
class Receiver:
    """iperf3's counters of one receiving stream."""

    highest: int = 0
    gaps: int = 0
    out_of_order: int = 0
    arrived: int = 0
    unique: set[int] = field(default_factory=set)
    by_second: dict[int, list[int]] = field(default_factory=dict)

    def take(self, number: int, second: int) -> None:
        row = self.by_second.setdefault(second, [0, 0, 0])  # arrived, gaps, progress
        self.arrived += 1
        self.unique.add(number)
        row[0] += 1
        if number > self.highest:
            missed = number - self.highest - 1
            self.gaps += missed
            row[1] += missed
            row[2] += number - self.highest
            self.highest = number
        else:
            self.out_of_order += 1
            if self.gaps > 0:
                self.gaps -= 1
                row[1] -= 1


@dataclass
class Run:
    """A run: what each side counted, and the truth."""

    sent: int
    omitted: int
    counted: Receiver
    whole: Receiver

    @property
    def truly_lost(self) -> int:
        return self.sent - len(self.counted.unique)

    def document(self, version: str, *, reverse: bool = False, server: bool = True) -> Document:
        """What a client of that version prints, with the server's report where it asks for it."""
        old = tuple(map(int, version.split("."))) < (3, 11)
        receiver, seconds = self.counted, SECONDS
        # Up to 3.12 and beyond, a sending client adds the omitted part's gaps to the losses that the server tells it
        gaps = receiver.gaps if reverse else self.whole.gaps if self.omitted else receiver.gaps
        told = {"jitter_ms": 0.1, "lost_packets": gaps, "lost_percent": 100 * gaps / self.sent}
        begin = start(version, "UDP", reverse=int(reverse))
        begin["test_start"].update(blksize=SIZE, omit=self.omitted // PER_SECOND)
        intervals = [interval(0, SIZE * PER_SECOND, omitted=True)] if self.omitted else []
        rows = [receiver.by_second.get(second, [0, 0, 0]) for second in range(SECONDS)]
        for second, (arrived, lost, progress) in enumerate(rows):
            if reverse:
                intervals.append(interval(second, SIZE * arrived, packets=progress, lost_packets=lost, jitter_ms=0.1))
            else:
                intervals.append(interval(second, SIZE * PER_SECOND, packets=PER_SECOND))
        end: Document = {
            "streams": [{"udp": part(0, seconds, SIZE * self.sent, packets=self.sent, **told)}],
            "sum": part(0, seconds, SIZE * self.sent, packets=self.sent, **told),
        }
        if reverse:
            end["streams"][0]["udp"]["out_of_order"] = receiver.out_of_order
        if not old:
            end["sum_sent"] = part(0, seconds, SIZE * self.sent, packets=self.sent, lost_packets=0)
            end["sum_received"] = part(0, seconds, SIZE * receiver.arrived, packets=receiver.highest, **told)
        document: Document = {"start": begin, "intervals": intervals, "end": end}
        if server and not reverse:
            table = [(s, s + 1, lost, progress) for s, (_, lost, progress) in enumerate(rows)]
            document["server_output_text"] = server_text(
                table, out_of_order=receiver.out_of_order, transferred=SIZE * receiver.arrived
            )
        return document


def run(path: Path, seed: int, *, omit_seconds: int = 0) -> Run:
    """Sends datagrams over a path."""
    chance = random.Random(seed)
    counted, whole = Receiver(), Receiver()
    omitted, total = omit_seconds * PER_SECOND, SECONDS * PER_SECOND
    held: list[tuple[int, int]] = []
    for number in range(1, omitted + total + 1):
        before = number <= omitted
        lost = path.lost if not before or path.lost_omitted is None else path.lost_omitted
        if number - omitted > path.ends_after * total:
            break
        arrivals = 0 if chance.random() < lost else 1 + (chance.random() < path.doubled)
        late = arrivals and chance.random() < path.late
        due = [one for one in held if one[0] <= number]
        held = [one for one in held if one[0] > number]
        now = [number] * arrivals if not late else []
        if late:
            held.append((number + 3, number))
        for one in now + [each for _, each in due]:
            whole.take(one, 0)
            if not before:
                second = min(SECONDS - 1, (number - omitted - 1) // PER_SECOND)
                counted.take(max(1, one - omitted), second)
    for _, one in held:
        whole.take(one, 0)
        counted.take(max(1, one - omitted), SECONDS - 1)
    return Run(total, omitted, counted, whole)
