"""Makes faults on a lab and repairs them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError, NetLibraryError
from NetLibrary.lab.faults.journal import Journal
from NetLibrary.lab.faults.plan import Fault, FaultPlan, Step

PROCESS_VERBS = ("stop", "start", "restart", "pause", "resume")


class Backend(Protocol):
    """What faults need of a lab; see `NetLibrary.lab.faults.backend` for the real one."""

    def nodes(self) -> list[str]:
        """Names of the nodes."""

    def journal(self) -> Journal:
        """The journal in the lab's state folder."""

    def run(self, node: str, words: tuple[str, ...]) -> str:
        """Runs a command in a node's network namespace; raises when it fails."""

    def process(self, node: str, name: str, verb: str) -> None:
        """Stops, starts, pauses or resumes a process of a node."""

    def power(self, node: str, state: str) -> None:
        """Takes a node's power away or gives it back."""

    def link(self, node: str, state: str) -> None:
        """Sets the host side of a node's link up or down."""


class Faults:
    """Breaks and repairs one lab.

    Args:
        lab: A lab, or anything that offers the methods of `Backend`.

    Example:
        >>> fault = Faults(lab).apply(network.cut_link("node2"))   # doctest: +SKIP
        >>> Faults(lab).repair(fault)                              # doctest: +SKIP
    """

    def __init__(self, lab: Any) -> None:
        if hasattr(lab, "journal") and hasattr(lab, "process"):
            self.backend: Backend = lab
        else:
            from NetLibrary.lab.faults.backend import LabBackend

            self.backend = LabBackend(lab)
        self._journal = self.backend.journal()

    def apply(self, plan: FaultPlan) -> Fault:
        """Makes a fault. When a step fails, what was done is undone and the error comes out.

        Raises:
            InputError: The lab has no such node.
            EnvironmentProblem: A step failed.
        """
        known = self.backend.nodes()
        for step in (*plan.do, *plan.undo):
            if step.node not in (*known, "machine"):
                raise InputError(f"The lab has no node '{step.node}'; it has {', '.join(known)}.")
        fault = Fault(uuid.uuid4().hex[:8], plan.kind, plan.node, plan.text, time.time(), os.getpid(), plan.undo)
        self._journal.add(fault)
        try:
            for step in plan.do:
                self._do(step)
        except BaseException as error:
            self.repair(fault)
            if isinstance(error, NetLibraryError) or not isinstance(error, Exception):
                raise
            raise EnvironmentProblem(f"The fault '{plan.text}' could not be injected: {error}.") from error
        return fault

    def repair(self, fault: Fault) -> None:
        """Undoes a fault; repeating it does no harm.

        Raises:
            EnvironmentProblem: A step of the repair failed; the fault stays in the journal.
        """
        problems = []
        for step in fault.undo:
            try:
                self._do(step)
            except Exception as error:
                problems.append(f"{' '.join(step.words)} on {step.node}: {error}")
        if problems:
            raise EnvironmentProblem(f"The fault '{fault.text}' could not be repaired: {'; '.join(problems)}.")
        self._journal.remove(fault.identity)

    def repair_all(self, *, pid: int | None = None) -> list[Fault]:
        """Undoes every fault in the journal, newest first, or only those that one process made."""
        repaired = []
        for fault in reversed(self._journal.faults()):
            if pid is None or fault.pid == pid:
                self.repair(fault)
                repaired.append(fault)
        return repaired

    def in_place(self) -> list[Fault]:
        """Faults that are in place now, oldest first."""
        return self._journal.faults()

    @contextmanager
    def applied(self, plan: FaultPlan) -> Iterator[Fault]:
        """A fault for the length of a `with` block."""
        fault = self.apply(plan)
        try:
            yield fault
        finally:
            self.repair(fault)

    def _do(self, step: Step) -> None:
        try:
            if step.action == "run":
                self.backend.run(step.node, step.words)
            elif step.action == "process":
                name, verb = step.words
                if verb not in PROCESS_VERBS:
                    raise InputError(f"The verb '{verb}' is not one of {', '.join(PROCESS_VERBS)}.")
                self.backend.process(step.node, name, verb)
            elif step.action == "link":
                self.backend.link(step.node, step.words[0])
            elif step.action == "power":
                self.backend.power(step.node, step.words[0])
            else:
                raise InputError(f"The action '{step.action}' is not one of run, process, link, power.")
        except Exception:
            if not step.optional:
                raise
