"""What was delivered, what was lost, and the one sentence that says where and what would mend it.

Pure functions over what was observed; nothing here talks to a cluster. `judge` counts, `causes.py` explains.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from NetLibrary._mechanics.e2sar.evidence import Evidence
from NetLibrary._mechanics.e2sar.logs import Report
from NetLibrary._mechanics.e2sar.parameters import ReceiverSettings, SenderSettings


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


@dataclass
class ReceiverFacts(_Side):
    """What is known of one receiver. `bound_at` is when its port was first seen bound."""

    settings: ReceiverSettings
    bound_at: float | None = None
    address: str = ""


@dataclass
class Facts:
    """Everything that a verdict is made of."""

    senders: list[SenderFacts]
    receivers: list[ReceiverFacts]
    blocking_policies: list[str] = field(default_factory=list)
    node_drops: dict[str, int] = field(default_factory=dict)
    policies: bool = False

    @property
    def sides(self) -> list[SenderFacts | ReceiverFacts]:
        """Both ends, receivers first."""
        return [*self.receivers, *self.senders]


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
class Thresholds:
    """What a run must reach, as fractions of the events sent, or as counts."""

    delivered: float = 1.0
    partial: float = 1.0
    silent: float = 1.0
    mangled: int = 0
    errors: int = 0


@dataclass
class Judgement:
    """The verdict on a run; counts are events unless they say otherwise."""

    events: int
    received: int
    partial: int
    silent: int
    mangled: int
    duplicated: int
    sender_errors: int
    data_errors: int
    bad_headers: int
    frames: Frames
    causes: list[Cause] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def delivered(self) -> float:
        """Events received for each event sent: the only honest measure, 0 to 1."""
        return min(self.received, self.events) / self.events if self.events else 0.0

    @property
    def passed(self) -> bool:
        """Whether all thresholds were kept."""
        return not self.reasons

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
        return "Nothing in the evidence explains the loss: no drops, no errors, no policy."

    @property
    def counts(self) -> str:
        """The counts in one clause."""
        share = percent(self.delivered)
        parts = [f"{self.partial} lost in part", f"{self.silent} lost silently", f"{self.mangled} mangled"]
        if self.duplicated:
            parts.append(f"{self.duplicated} duplicated")
        if self.sender_errors:
            parts.append(f"{self.sender_errors} send errors")
        return f"Delivered {self.received} of {self.events} events ({share}): {', '.join(parts)}."

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a record."""
        return {
            **asdict(self),
            "delivered": self.delivered,
            "passed": self.passed,
            "sentence": self.sentence,
            "counts": self.counts,
        }


def judge(facts: Facts, thresholds: Thresholds | None = None) -> Judgement:
    """Counts what was delivered, explains what was not, and holds it against thresholds."""
    from NetLibrary._mechanics.e2sar.causes import explain

    finals = [each.report.final for each in facts.receivers]
    received = sum(block.received for block in finals if block)
    partial = sum(block.lost for block in finals if block)
    events = sum(each.settings.events for each in facts.senders)
    judgement = Judgement(
        events=events,
        received=received,
        partial=partial,
        silent=max(0, events - received - partial),
        mangled=sum(block.mangled for block in finals if block),
        duplicated=max(0, received - events),
        sender_errors=sum(each.report.errors or 0 for each in facts.senders),
        data_errors=sum(block.data_errors for block in finals if block),
        bad_headers=sum(block.bad_headers or 0 for block in finals if block),
        frames=count_frames(facts),
    )
    judgement.causes = explain(facts, judgement)
    judgement.reasons = missed(judgement, thresholds or Thresholds())
    return judgement


def count_frames(facts: Facts) -> Frames:
    """Follows the datagrams through the counters of both ends."""
    frames = Frames(planned=sum(each.settings.frames for each in facts.senders))
    frames.left = _total(each.evidence.grown("Udp.OutDatagrams") for each in facts.senders)
    if frames.left is None:
        frames.left = _total(each.report.frames_sent for each in facts.senders)
    ends = [each.evidence for each in facts.receivers]
    frames.reached = _total(end.grown("Ip.InDelivers") for end in ends)
    frames.read = _total(end.grown("Udp.InDatagrams") for end in ends)
    frames.refused = _total(end.grown("Udp.NoPorts") for end in ends)
    drops = _total(end.grown("Udp.RcvbufErrors") for end in ends)
    shown = _total(each.evidence.drops(each.settings.ports) for each in facts.receivers)
    frames.overrun = max((value for value in (drops, shown) if value is not None), default=None)
    return frames


def missed(judgement: Judgement, thresholds: Thresholds) -> list[str]:
    """One sentence for each threshold that was not kept."""
    events = judgement.events or 1
    reasons = []
    if judgement.delivered < thresholds.delivered:
        reasons.append(f"Delivered {percent(judgement.delivered)}, expected at least {percent(thresholds.delivered)}.")
    for name, value, limit in (
        ("in part", judgement.partial, thresholds.partial),
        ("silently", judgement.silent, thresholds.silent),
    ):
        if value / events > limit:
            reasons.append(
                f"{value} events lost {name} ({percent(value / events)}), expected at most {percent(limit)}."
            )
    if judgement.mangled > thresholds.mangled:
        reasons.append(f"{judgement.mangled} events mangled, expected at most {thresholds.mangled}.")
    if judgement.sender_errors + judgement.data_errors > thresholds.errors:
        reasons.append(
            f"{judgement.sender_errors} send errors and {judgement.data_errors} receive errors, expected at most "
            f"{thresholds.errors}."
        )
    return reasons


def percent(fraction: float) -> str:
    """Text of a fraction, floored to a tenth of a percent, so that 9999 of 10000 never reads as 100 %."""
    return f"{int(fraction * 1000 + 1e-9) / 10:g} %"


def _total(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
