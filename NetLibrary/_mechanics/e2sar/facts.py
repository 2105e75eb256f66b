"""What is known of a run, and what follows from it: plain data for judge, causes and tables. Nothing here decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics.e2sar.evidence import Evidence
from NetLibrary._mechanics.e2sar.parameters import ReceiverSettings, SenderSettings
from NetLibrary._mechanics.e2sar.reports import Report
from NetLibrary._mechanics.verdict import Check


@dataclass
class End:
    """How a container ended. Times in seconds since 1970; None while it runs or when not known."""

    exit_code: int | None = None
    reason: str = ""
    at: float | None = None
    by_us: bool = False

    @property
    def crashed(self) -> bool:
        """Whether it ended other than by its own will or ours."""
        return self.exit_code not in (None, 0) and not self.by_us


@dataclass
class _Side:
    """What is known of either end. `evicted` says who took its pod from the node; `bandwidth` is in bits per second."""

    name: str
    settings: Any
    report: Report = field(default_factory=Report)
    evidence: Evidence = field(default_factory=Evidence)
    end: End = field(default_factory=End)
    node: str = ""
    bandwidth: float | None = None
    cpu_limit: str = ""
    trouble: str = ""
    evicted: str = ""


@dataclass
class SenderFacts(_Side):
    """What is known of one sender."""

    settings: SenderSettings
    first_datagram_at: float | None = None
    running_since: float | None = None
    direct: bool = False  # sends to the pod's own address, by itself or by its DNS name
    translated: bool = False  # sends to an address that may lead to another port, as those of Services do

    @property
    def all_sent(self) -> bool:
        """Whether its log says that it sent everything.

        A sender prints `Completed` when it has queued all events or, 0.3 and later, at its first send error, and goes
        on sending; errors or a shortfall beside the word mean that it was not the end.
        """
        report = self.report
        return report.completed and not report.errors and report.frame_shortfall is None

    @property
    def sent_until(self) -> float | None:
        """When it was still sending, at the least."""
        known = [self.report.completed_at] if self.report.completed_at is not None else []
        if self.first_datagram_at is not None and self.settings.rate_gbps and (self.report.completed or not known):
            paced = self.first_datagram_at + 0.95 * self.settings.send_seconds
            known.append(min(paced, self.end.at) if self.end.at is not None else paced)
        return max(known, default=None)

    @property
    def over_at(self) -> float | None:
        """When it had surely sent its last datagram."""
        if self.all_sent and self.report.completed_at is not None:
            return self.report.completed_at
        return self.end.at


@dataclass
class ReceiverFacts(_Side):
    """What is known of one receiver. `bound_at` is when its port was first seen bound."""

    settings: ReceiverSettings
    bound_at: float | None = None
    address: str = ""

    @property
    def counted_until(self) -> float | None:
        """When it stopped counting: at its own `Completed`, a second or two before its container ended."""
        known = [at for at in (self.report.completed_at, self.end.at) if at is not None]
        return min(known, default=None)

    @property
    def read(self) -> int | None:
        """Datagrams that its sockets read, by its own closing line or by the kernel's counter after its end."""
        if self.report.total_frames is not None:
            return self.report.total_frames
        return self.evidence.grown("Udp.InDatagrams") if self.evidence.after is not None else None

    @property
    def refused(self) -> int | None:
        """Datagrams that found no socket in its pod."""
        return self.evidence.grown("Udp.NoPorts")


@dataclass
class Facts:
    """Everything that a judgement is made of."""

    senders: list[SenderFacts]
    receivers: list[ReceiverFacts]
    blocking_policies: list[str] = field(default_factory=list)
    node_drops: dict[str, int] = field(default_factory=dict)
    policies: bool = False

    @property
    def sides(self) -> list[SenderFacts | ReceiverFacts]:
        """Both ends, receivers first."""
        return [*self.receivers, *self.senders]

    @property
    def events(self) -> int:
        """Events that were to be sent."""
        return sum(each.settings.events for each in self.senders)


@dataclass
class Frames:
    """Datagrams on their way; None where the counters are not known.

    planned → left the sender's socket → reached the receiver's network → read by the receiver. `overrun` were dropped
    by the full socket buffer, `refused` found no socket.
    """

    planned: int = 0
    left: int | None = None
    reached: int | None = None
    overrun: int | None = None
    refused: int | None = None
    read: int | None = None

    @property
    def lost_on_the_way(self) -> int | None:
        """Left the sender and never came to the receiver's network."""
        return None if self.left is None or self.reached is None else max(0, self.left - self.reached)

    @property
    def unread(self) -> int:
        """Reached the receiver and were neither read nor dropped: still in the queue when it ended."""
        if self.reached is None or self.read is None:
            return 0
        return max(0, self.reached - self.read - (self.overrun or 0) - (self.refused or 0))


@dataclass(frozen=True)
class Reception:
    """What one receiver got, in events, as far as it can be told.

    `received` is certain. Where the log leaves more open, `received_at_most` is larger and `open_because` says why.
    """

    received: int = 0
    received_at_most: int = 0
    partial: int = 0
    open_because: str = ""


@dataclass
class Cause:
    """One explanation.

    Args:
        kind: Word for tables and records.
        sentence: Cause and remedy.
        weight: Datagrams that it explains; infinite when nothing could work at all.
        advice: Settings that mend it, by the names of the keyword arguments.
        evidence: Lines with the numbers behind it.
    """

    kind: str
    sentence: str
    weight: float
    advice: dict[str, str] = field(default_factory=dict)
    evidence: list[str] = field(default_factory=list)


@dataclass
class Limits:
    """What a run must reach, in percent of the events sent, or as counts."""

    delivered_at_least: float = 100.0
    delivered_at_most: float | None = None
    partial_at_most: float = 100.0
    silent_at_most: float = 100.0
    mangled_at_most: int = 0
    errors_at_most: int = 0
    expected_cause: str = ""
    causes_allowed: tuple[str, ...] = ()


@dataclass
class Judgement:
    """The judgement on a run; counts are events unless they say otherwise.

    `received` and `partial` are certain. `open_because` says why more may have been received, up to
    `received_at_most`; a check that this leaves undecided makes the run one without a result (`errors`).
    """

    events: int
    received: int
    received_at_most: int
    partial: int
    mangled: int
    sender_errors: int
    data_errors: int
    bad_headers: int
    frames: Frames
    open_because: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def delivered(self) -> float:
        """Events received for each event sent: the only honest measure, 0 to 1; what is certain of it."""
        return min(self.received, self.events) / self.events if self.events else 0.0

    @property
    def delivered_at_most(self) -> float:
        """What may have been delivered at the most, 0 to 1."""
        return min(self.received_at_most, self.events) / self.events if self.events else 0.0

    @property
    def whole(self) -> bool:
        """Whether the counts are final."""
        return self.received_at_most <= self.received

    @property
    def silent(self) -> int:
        """Events of which nothing was counted."""
        return max(0, self.events - self.received - self.partial)

    @property
    def duplicated(self) -> int:
        """Events received beyond those that were sent."""
        return max(0, self.received - self.events)

    @property
    def passed(self) -> bool:
        """Whether all expectations were met."""
        return not self.errors and all(check.passed for check in self.checks)

    @property
    def cause(self) -> Cause | None:
        """The explanation that weighs most."""
        return max(self.causes, key=lambda each: each.weight) if self.causes else None

    @property
    def sentence(self) -> str:
        """The cause and its remedy, or that there is nothing to explain."""
        if self.cause:
            return self.cause.sentence
        if self.received >= self.events and not self.mangled:
            return "Every event was delivered."
        if not self.whole:
            return self.open_because[0]
        if self.frames.reached is None:
            return "It cannot be determined what lost the events: the counters of the receiver's pod are not known."
        return "Nothing in the evidence explains the loss: no drops, no errors, no policy."

    @property
    def counts(self) -> str:
        """The counts in one clause."""
        parts = [f"{self.partial} lost in part"]
        if self.whole:
            share = percent(self.delivered)
            text = f"Delivered {self.received} of {self.events} events ({share})"
            parts.append(f"{self.silent} lost silently")
        else:
            most = min(self.received_at_most, self.events)
            text = (
                f"Delivered between {self.received} and {most} of {self.events} events ({percent(self.delivered)} to "
                f"{percent(self.delivered_at_most)})"
            )
            parts.append(f"up to {self.silent} lost silently")
        parts.append(f"{self.mangled} mangled")
        if self.duplicated:
            parts.append(f"{self.duplicated} duplicated")
        if self.sender_errors:
            parts.append(f"{self.sender_errors} send errors")
        return f"{text}: {', '.join(parts)}."


def percent(fraction: float) -> str:
    """Text of a fraction, floored to a tenth of a percent, so that 9999 of 10000 never reads as 100 %."""
    return f"{int(fraction * 1000 + 1e-9) / 10:g} %"
