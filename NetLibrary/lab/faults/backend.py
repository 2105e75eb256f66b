"""Where faults happen: the nodes of a lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from NetLibrary.lab.faults.journal import Journal
from NetLibrary.lab.faults.plan import MACHINE
from NetLibrary.lab.processes import run

RUN_TIMEOUT = 90.0  # emptying a full connection tracking table takes longest, on a busy machine


class LabBackend:
    """The nodes of a lab as faults see them.

    Args:
        lab: A `NetLibrary.lab.Lab` that is up.
    """

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        # kept, so that a repair works also when the lab's state cannot be read any more
        self._nodes = {node.name: node for node in lab.nodes}
        self._journal = Journal(Path(lab.kubeconfig).parent / "faults.json")

    def nodes(self) -> list[str]:
        """Names of the lab's nodes."""
        return list(self._nodes)

    def journal(self) -> Journal:
        """The journal lies in the lab's state folder and goes with it."""
        return self._journal

    def run(self, node: str, words: tuple[str, ...]) -> str:
        """Runs a command in a node's network namespace, or on the machine."""
        if node == MACHINE:
            return run(*words, stdin="", timeout=RUN_TIMEOUT)
        return str(self._nodes[node].run(list(words), timeout=RUN_TIMEOUT).stdout)

    def process(self, node: str, name: str, verb: str) -> None:
        """Stops, starts, restarts, pauses or resumes a process of a node."""
        getattr(self._nodes[node].process(name), verb)()

    def link(self, node: str, state: str) -> None:
        """Sets the host side of a node's link up or down."""
        run("ip", "link", "set", str(self._nodes[node].interface), state, stdin="", timeout=RUN_TIMEOUT)

    def power(self, node: str, state: str) -> None:
        """Takes a node's power away or gives it back."""
        if state == "off":
            self._nodes[node].power_off()
        else:
            self._nodes[node].power_on()
