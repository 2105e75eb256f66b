"""What a fault consists of: steps that make it and steps that undo it, as plain data that survives the process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MACHINE = "machine"


@dataclass(frozen=True)
class Step:
    """One action on a node of the lab, or on the machine itself.

    Args:
        node: Node name, or `machine` for the namespace that holds the lab's bridge.
        action: `run` (a command in the node's network namespace), `process` (stop, start, pause or resume a
            process of the node), `link` (set the host side of the node's link up or down) or `power` (take it away,
            give it back).
        words: The command; or process name and verb; or `up` or `down`; or `off` or `on`.
        optional: A failure of this step is no failure of the fault.
    """

    node: str
    action: str
    words: tuple[str, ...]
    optional: bool = False

    def as_json(self) -> dict[str, Any]:
        """The step as it stands in the journal."""
        return {"node": self.node, "action": self.action, "words": list(self.words), "optional": self.optional}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Step:
        """Reads a step of the journal."""
        return cls(data["node"], data["action"], tuple(data["words"]), bool(data.get("optional")))


@dataclass(frozen=True)
class FaultPlan:
    """A fault that is not made yet.

    Args:
        kind: Short name, for instance `cut link`.
        node: The node that it is about.
        text: What is broken, in one sentence.
        do: Steps that break.
        undo: Steps that repair; they must be harmless when repeated or when `do` ran only in part.
    """

    kind: str
    node: str
    text: str
    do: tuple[Step, ...]
    undo: tuple[Step, ...]


@dataclass(frozen=True)
class Fault:
    """A fault that is in place.

    Args:
        identity: Its name in the journal.
        kind: Short name of what is broken.
        node: The node that it is about.
        text: What is broken, in one sentence.
        started: Unix time in seconds.
        pid: Process that made it.
        undo: Steps that repair it.
    """

    identity: str
    kind: str
    node: str
    text: str
    started: float
    pid: int
    undo: tuple[Step, ...] = field(repr=False, default=())

    def as_json(self) -> dict[str, Any]:
        """The fault as it stands in the journal."""
        return {
            "identity": self.identity,
            "kind": self.kind,
            "node": self.node,
            "text": self.text,
            "started": self.started,
            "pid": self.pid,
            "undo": [step.as_json() for step in self.undo],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Fault:
        """Reads a fault of the journal."""
        undo = tuple(Step.from_json(step) for step in data["undo"])
        return cls(data["identity"], data["kind"], data["node"], data["text"], data["started"], data["pid"], undo)


def run(node: str, *words: str, optional: bool = False) -> Step:
    """A command in a node's network namespace."""
    return Step(node, "run", words, optional)


def shell(node: str, script: str, *, optional: bool = False) -> Step:
    """A line of shell in a node's network namespace."""
    return Step(node, "run", ("sh", "-c", script), optional)


def process(node: str, name: str, verb: str, *, optional: bool = False) -> Step:
    """A verb (stop, start, pause, resume) for a process of a node."""
    return Step(node, "process", (name, verb), optional)
