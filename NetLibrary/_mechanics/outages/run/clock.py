"""How a pod's clock relates to the controller's.

Steps are stamped by the controller, probes by the prober. Both use CLOCK_MONOTONIC of their machine, which nobody can
set; the offset between the two is taken by asking the pod for its time over an open exec stream, several times, and
believing the quickest answer: it is wrong by no more than half of its round trip (Cristian 1989).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Runs in the pod: answers each line with its monotonic and its wall clock in nanoseconds.
CLOCK_PROGRAM = (
    "import sys,time\nfor l in sys.stdin:\n print(time.monotonic_ns(),time.time_ns(),flush=True)\n if l[0]=='q':break"
)


@dataclass(frozen=True)
class Offset:
    """Difference of two monotonic clocks.

    Args:
        offset_ns: Prober's clock minus controller's clock.
        error_ns: The true offset lies within this distance.
        taken_ns: When it was taken, on the controller's clock.
    """

    offset_ns: int
    error_ns: int
    taken_ns: int

    def to_controller(self, prober_ns: int) -> int:
        """Turns a time of the prober into one of the controller."""
        return prober_ns - self.offset_ns


#: For a prober on the controller's own machine.
SAME_CLOCK = Offset(0, 0, 0)


def best_offset(exchanges: Sequence[tuple[int, int, int]]) -> Offset:
    """Returns the offset from (asked, prober's answer, received) triples.

    >>> best_offset([(100, 1050, 120), (200, 1204, 206)])
    Offset(offset_ns=1001, error_ns=3, taken_ns=203)
    """
    if not exchanges:
        raise ValueError("no exchange succeeded")
    asked, answer, received = min(exchanges, key=lambda item: item[2] - item[0])
    middle = (asked + received) // 2
    return Offset(answer - middle, (received - asked + 1) // 2, middle)


def measure_offset(ask: Callable[[], int], now: Callable[[], int], rounds: int = 9) -> Offset:
    """Asks several times.

    Args:
        ask: Returns the prober's clock.
        now: The controller's clock.
        rounds: How often.
    """
    exchanges = []
    for _ in range(rounds):
        asked = now()
        answer = ask()
        exchanges.append((asked, answer, now()))
    return best_offset(exchanges)


def drift_note(first: Offset, last: Offset, where: str) -> str | None:
    """Says when two offsets differ by more than they can be wrong: the clocks drifted or one machine slept."""
    moved = abs(last.offset_ns - first.offset_ns)
    if moved <= first.error_ns + last.error_ns:
        return None
    return (
        f"{where}: its clock moved by {moved / 1e6:.1f} ms against the controller's during the measurement, more than "
        f"the error of {(first.error_ns + last.error_ns) / 1e6:.1f} ms; outages are assigned to steps with that "
        "uncertainty"
    )
