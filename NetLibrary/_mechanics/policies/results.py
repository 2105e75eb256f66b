"""Cells and tables: a sender, a receiver, a port, what the policies say and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from NetLibrary._mechanics.kube.policies import Decision, Flow
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

Object = Mapping[str, Any]
# Whatever comes back from the other pod's programs, and not from a firewall
ANSWERED = frozenset({Outcome.CONNECTED, Outcome.NO_ANSWER, Outcome.RESET, Outcome.DNS})
SILENT = frozenset({Outcome.TIMEOUT, Outcome.UNREACHABLE})


class Found(Enum):
    """What a cell turned out to be."""

    RIGHT = "right"
    OPEN = "open, denied by the policies"
    CLOSED = "closed, allowed by the policies"
    NOT_JUDGED = "not judged"
    ERROR = "probe error"


@dataclass
class Cell:
    """One sender, one receiver, one port.

    Args:
        source: Where the probe starts.
        target: What it asks.
        flow: The connection, as policies see it.
        decision: What the policies say.
        unclear: Why the API leaves the cell to the implementation; empty where it does not.
        observed: What was seen.
        found: What that means.
        why: The reason for a cell that is not judged.
    """

    source: Source
    target: Target
    flow: Flow
    decision: Decision
    unclear: str = ""
    observed: Observation = field(default_factory=lambda: Observation(Outcome.ERROR, "not probed"))
    found: Found = Found.NOT_JUDGED
    why: str = ""

    @property
    def column(self) -> tuple[str, str]:
        """The receiver's port, with its protocol and family."""
        return self.target.pod, port_text(self.target)

    @property
    def wrong(self) -> bool:
        """The network did not do what the policies say."""
        return self.found in (Found.OPEN, Found.CLOSED)

    @property
    def answered(self) -> bool:
        """The receiver's program said something."""
        return self.observed.outcome in ANSWERED

    def describe(self) -> str:
        """One line for people."""
        way = f"{self.source.name} → {self.target.pod}:{port_text(self.target)}"
        return f"{way}: {self.decision}; seen: {self.observed.outcome}"


@dataclass
class Table:
    """All cells of a measurement.

    Args:
        cells: The cells.
        policies: How many policies there are.
        senders: Pods that could be asked from.
        left_out: (pod, reason) of those that could not, or are not judged.
        seconds: Time that probing took, all rounds together.
        settled_after: Seconds until the last cell became right.
        notes: Facts that the reader should know.
    """

    cells: list[Cell]
    policies: int = 0
    senders: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    settled_after: float = 0.0
    notes: list[str] = field(default_factory=list)

    def having(self, *found: Found) -> list[Cell]:
        """Cells that turned out so."""
        return [cell for cell in self.cells if cell.found in found]

    @property
    def wrong(self) -> list[Cell]:
        """Cells in which the network did not do what the policies say."""
        return self.having(Found.OPEN, Found.CLOSED)

    @property
    def judged(self) -> list[Cell]:
        """Cells that say something."""
        return self.having(Found.RIGHT, Found.OPEN, Found.CLOSED)

    @property
    def denied(self) -> list[Cell]:
        """Judged cells that the policies deny."""
        return [cell for cell in self.judged if not cell.decision.allowed]

    @property
    def enforced(self) -> bool:
        """At least one connection that the policies deny was stopped, or there is none to stop."""
        return not self.denied or any(cell.found is Found.RIGHT for cell in self.denied)

    @property
    def refused(self) -> int:
        """How many denied connections were refused; the others were dropped."""
        return sum(cell.observed.outcome is Outcome.REFUSED for cell in self.denied if cell.found is Found.RIGHT)

    @property
    def reasons(self) -> dict[str, int]:
        """Why cells are not judged, with their number."""
        counted: dict[str, int] = {}
        for cell in self.having(Found.NOT_JUDGED):
            counted[cell.why] = counted.get(cell.why, 0) + 1
        return counted


def port_text(target: Target) -> str:
    """Returns port and protocol, and the family where it is IPv6."""
    return f"{target.port}/{target.protocol}" + (" IPv6" if ":" in target.host else "")
