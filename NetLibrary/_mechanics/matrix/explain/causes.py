"""Single causes that may explain wrong cells: for each, which cells it would make wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics.matrix.model.features import Fact
from NetLibrary._mechanics.matrix.model.types import Outcome
from NetLibrary._mechanics.matrix.model.world import World

Test = Callable[[Fact], bool]
STOPPED = frozenset({"blocked", "flapping"})
AT_ADDRESS = STOPPED | {"reason"}


@dataclass(frozen=True)
class Candidate:
    """One possible cause.

    Args:
        key: Short name of the cause, stable, for tests and filters.
        subject: Node, pod, Service or pair that is at fault; `cluster` for everything.
        sentence: What is broken, for people; ends with a full stop.
        must: Cells that the cause makes wrong for certain.
        may: Further cells that it can explain.
        symptoms: Symptoms that it makes.
        share: Least share of the `must` cells that has to be wrong.
        least: Least number of wrong `must` cells.
        soft: It makes cells flap that have one backend only; other causes break such cells for good.
        weight: What an explained cell counts; less for causes that would explain nearly anything.
        rank: Among causes that explain equally much, the lowest rank wins.
        hint: What to look at next.
        compare: For the follow-up: a cell that must still work, of the same source or of another one.
        again: For the follow-up: a cell of the evidence must still fail.
    """

    key: str
    subject: str
    sentence: str
    must: Test
    symptoms: frozenset[str]
    may: Test = field(default=lambda fact: False)
    share: float = 0.9
    least: int = 1
    rank: int = 50
    weight: float = 1.0
    soft: bool = False
    hint: str = ""
    compare: Callable[[Fact, Fact], bool] | None = None
    compare_text: str = ""


class Case:
    """The facts of a run, and the names that occur in them."""

    def __init__(self, facts: Sequence[Fact], world: World) -> None:
        self.facts, self.world = facts, world
        self.wrong = [fact for fact in facts if fact.wrong]
        self.nodes = sorted({f.from_node for f in facts if f.from_node} | {n for f in facts for n in f.to_nodes})
        # Causes are looked for where something is wrong; in a large table only where most is wrong
        self.bad_nodes = most(n for f in self.wrong for n in {f.from_node, f.entry, *f.to_nodes} if n)
        self.bad_pairs = most((f.from_node, n) for f in self.wrong for n in f.to_nodes if f.from_node not in ("", n))
        self.bad_pods = most(pod for f in self.wrong for pod in f.to_pods)
        self.bad_sources = most(f.source for f in self.wrong)
        self.bad_services = most(f.service for f in self.wrong if f.service)

    def outcomes(self, test: Test) -> set[Outcome]:
        """Outcomes of the wrong cells that pass a test."""
        return {f.cell.observed.outcome for f in self.wrong if test(f)}

    def strangers(self, test: Test) -> list[str]:
        """Who answered in the wrong cells that pass a test, without those who may."""
        return sorted(
            {
                name
                for f in self.wrong
                if test(f) and f.symptom == "responder"
                for name in set(f.cell.observed.responders) - (f.cell.expected.responders or frozenset())
            }
        ) or sorted({f.cell.observed.detail for f in self.wrong if test(f) and f.symptom == "responder"})


def most(items: Iterable[Any], limit: int = 40) -> list[Any]:
    return sorted(item for item, _ in Counter(items).most_common(limit))


def direct(fact: Fact, other: Fact) -> bool:
    """Another cell asks the backends of this one by their own address, from the same source, over the same protocol."""
    return (
        other.source == fact.source
        and other.path == "pod"
        and other.protocol == fact.protocol
        and bool(other.to_pods & fact.to_pods)
        and not other.large
    )


def elsewhere(fact: Fact, other: Fact) -> bool:
    """Another node's source asks the same address."""
    return (
        other.from_node != fact.from_node
        and bool(other.from_node)
        and (other.cell.target.host, other.cell.target.port, other.protocol)
        == (fact.cell.target.host, fact.cell.target.port, fact.protocol)
    )


def pods_at_least(fact: Fact) -> bool:
    """Leaves out the node's own processes where they do better than its pods: rules may stand in one path only."""
    return fact.wrong or not fact.cell.source.host_network


def between_pods(fact: Fact) -> bool:
    """From pod network to pod network, small packets."""
    return not fact.cell.source.host_network and not fact.to_host and not fact.large
