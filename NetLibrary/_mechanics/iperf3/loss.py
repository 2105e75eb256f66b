"""How many datagrams a path lost, from what its two ends counted.

The receiver's own "lost" is the number of gaps in the sequence: it misses everything after the last datagram that
arrived, up to 3.12 and later it includes the omitted part, and datagrams that come late or twice lower it, even below
zero. So loss is what was sent less what arrived; the gaps only decide within the few datagrams by which the two ends'
windows differ.
"""

from __future__ import annotations

from dataclasses import dataclass

# Datagrams that were on their way when a window closed
_SLACK_SHARE = 0.002
# The two ends end their omitted parts by own clocks, some milliseconds apart
_SLACK_SHARE_OMIT = 0.01
_SLACK_LEAST = 2


@dataclass(frozen=True)
class Counted:
    """What the two ends counted.

    Args:
        sent: Datagrams sent in the counted part.
        received: Datagrams that arrived in it, late and doubled ones included.
        gaps: The receiver's own number of lost ones; None where unknown.
        expected: How many the receiver expected, by the highest sequence number it saw; None where unknown.
        out_of_order: How many came late or twice; None where unknown.
        omitted: Whether a part at the start was left out.
        streams: Parallel streams.
    """

    sent: float
    received: float
    gaps: int | None = None
    expected: int | None = None
    out_of_order: int | None = None
    omitted: bool = False
    streams: int = 1

    @property
    def slack(self) -> float:
        """By how many datagrams the two ends' counts may differ without loss."""
        return max(_SLACK_LEAST * self.streams, self.sent * (_SLACK_SHARE_OMIT if self.omitted else _SLACK_SHARE))


@dataclass(frozen=True)
class Loss:
    """The outcome.

    Args:
        lost: Datagrams that did not arrive, at least.
        lost_at_most: The most it can have been; None where nothing bounds it.
        contradictions: What cannot all be true.
        notes: What a reader should know.
    """

    lost: int
    lost_at_most: int | None
    contradictions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def loss(counted: Counted) -> Loss:
    """Returns what was lost.

    Example:
        >>> loss(Counted(sent=893, received=286, gaps=0)).lost
        607
    """
    missing = counted.sent - counted.received
    gaps = counted.gaps if counted.gaps is not None and 0 <= counted.gaps <= counted.sent else None
    notes, contradictions = [], _contradictions(counted, gaps)
    if contradictions and counted.sent <= 0:
        return Loss(0, None, contradictions)
    if missing < -counted.slack:
        notes.append(f"{-missing:.0f} more datagrams arrived than were sent: some arrived twice")
        return Loss(0, _at_most(counted), contradictions, tuple(notes))
    lost = max(0, round(missing))
    if gaps is not None and abs(missing - gaps) <= counted.slack:
        lost = gaps  # exact, and both ends' counts confirm it
    elif counted.omitted and (counted.gaps or 0) > missing + counted.slack:
        notes.append(f"iperf3 itself says {counted.gaps} lost, which includes the omitted part")
    elif gaps is not None and gaps < missing - counted.slack and not contradictions:
        notes.append(f"iperf3 itself says {counted.gaps} lost: it does not notice what is missing at the end")
    if counted.out_of_order and abs(missing) > counted.slack:
        notes.append(
            f"{counted.out_of_order} datagrams arrived late or twice, which iperf3 does not distinguish: each that "
            "arrived twice hides a lost one"
        )
        return Loss(lost, max(lost, _at_most(counted) or lost), contradictions, tuple(notes))
    return Loss(lost, lost, contradictions, tuple(notes))


def _at_most(counted: Counted) -> int | None:
    """The most that can be lost when every datagram out of order was a doubled one."""
    if counted.out_of_order is None:
        return None
    # Within the windows' difference this is no loss
    most = counted.sent - (counted.received - counted.out_of_order)
    return 0 if most <= counted.slack else round(most)


def _contradictions(counted: Counted, gaps: int | None) -> tuple[str, ...]:
    found = []
    if counted.sent <= 0 < counted.received:
        return (f"the receiver got {counted.received:.0f} datagrams, but the sender counted none",)
    if counted.expected is None or gaps is None or counted.omitted:
        return ()
    arrived = counted.expected - gaps
    if counted.received < arrived - counted.slack:
        found.append(
            f"the receiver says that {gaps} of {counted.expected} datagrams were lost, but the data that it got is "
            f"only {counted.received:.0f} datagrams"
        )
    if counted.expected > counted.sent + counted.slack:
        found.append(f"the receiver expected {counted.expected} datagrams, but only {counted.sent:.0f} were sent")
    return tuple(found)
