"""What the rules look at: the facts of a run, and the places in them where something is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from NetLibrary._mechanics.matrix.model.features import Fact
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.probing.types import Outcome


class Case:
    """The facts of a run, and the names that occur in them.

    Args:
        facts: All judged cells.
        world: The objects.
    """

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
        self.outside = {f.source for f in facts if not f.from_node}

    def outcomes(self, test: Callable[[Fact], bool]) -> set[Outcome]:
        """Outcomes of the wrong cells that pass a test."""
        return {f.cell.observed.outcome for f in self.wrong if test(f)}

    def strangers(self, test: Callable[[Fact], bool]) -> list[str]:
        """Who answered in the wrong cells that pass a test, without those who may."""
        return sorted(
            {
                name
                for f in self.wrong
                if test(f) and f.symptom == "responder"
                for name in set(f.cell.observed.responders) - (f.cell.expected.responders or frozenset())
            }
        ) or sorted({f.cell.observed.detail for f in self.wrong if test(f) and f.symptom == "responder"})

    def node_of(self, source: str) -> str:
        """Node of a source."""
        return next((f.from_node for f in self.facts if f.source == source), "")

    def not_ready(self, node: str) -> str:
        """What the API server says of a node that is not Ready, for the end of a sentence; empty when it is."""
        for item in self.world.nodes:
            if item["metadata"]["name"] == node:
                for state in item.get("status", {}).get("conditions", []):
                    if state["type"] == "Ready" and state["status"] != "True":
                        return f" (the node is not Ready: {state.get('reason', 'no reason given')})"
        return ""


def most(items: Iterable[Any], limit: int = 40) -> list[Any]:
    """The items that occur most often, sorted."""
    return sorted(item for item, _ in Counter(items).most_common(limit))
