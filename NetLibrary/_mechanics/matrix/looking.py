"""Looks at the nodes in question before a cause is named: what differs there is the mechanism."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from NetLibrary._mechanics.matrix.explain import look
from NetLibrary._mechanics.matrix.explain.diagnose import FROM_OBJECTS, UNKNOWN, Finding
from NetLibrary._mechanics.matrix.explain.look import Difference
from NetLibrary._mechanics.matrix.explain.loss import ends
from NetLibrary._mechanics.matrix.probe.lookers import Lookers
from NetLibrary._mechanics.matrix.probe.state import State, read_all

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.testbed import Testbed

# States that were read so many seconds ago still hold
FRESH = 60.0
# A node that takes part in so many of the wrong cells is looked at when no cause fits
TAKES_PART = 0.8
NAMED = 3
# Of the cells that one difference has made, so many have to fit the first pattern for its words to stand
MOSTLY = 0.7
# A difference that is the finding itself, as no listed cause says it
NODE_STATE = "node state"


class Looking:
    """Reads the states of nodes when there is something to explain.

    Args:
        testbed: Where.
    """

    def __init__(self, testbed: Testbed) -> None:
        self._bed = testbed
        self._lookers = Lookers(testbed)
        self._read = (-FRESH, dict[str, State]())

    def name(self, found: Sequence[Finding]) -> list[Finding]:
        """Adds the mechanism to each finding, where the state of a node shows one."""
        if not any(f.key not in FROM_OBJECTS and not f.measured for f in found):
            return list(found)
        # what names the mechanism of one finding is not taken for another's that nothing explains
        used: set[Difference] = set()
        named = {id(f): self._named(f, used) for f in sorted(found, key=lambda f: f.key == UNKNOWN)}
        return [named[id(f)] for f in found]

    def join(self, found: Sequence[Finding]) -> list[Finding]:
        """Counts a finding with an earlier one whose place all of its cells pass, when nothing else differs there.

        A stale route makes connections fail one way, and changes the clients' addresses of others: that is one cause.
        So are several patterns that one difference of a node has made.
        """
        left: list[Finding] = []
        for finding in sorted(found, key=lambda f: f.key == UNKNOWN):
            owner = next((f for f in left if self._covers(f, finding)), None)
            if owner is None:
                left.append(finding)
                continue
            evidence, besides = [*owner.evidence, *finding.evidence], owner.besides + len(finding.evidence)
            left[left.index(owner)] = dataclasses.replace(owner, evidence=evidence, besides=besides)
        return self._by_mechanism(left)

    def _covers(self, owner: Finding, finding: Finding) -> bool:
        if not (owner.measured and finding.shown) or finding.key in FROM_OBJECTS:
            return False
        if owner.candidate is None:
            places = set(owner.subject.split(" and ")) if owner.key == NODE_STATE else set()
        else:
            places = {owner.candidate.at.node, owner.candidate.at.other} - {""}
        passes = places and all(places <= ends(cell, self._bed.world) for cell in finding.evidence)
        return bool(passes) and set(finding.shown) <= set(owner.shown)

    def _by_mechanism(self, found: Sequence[Finding]) -> list[Finding]:
        """Counts findings together that one difference has made: the first keeps its words if most cells fit it."""
        left: list[Finding] = []
        for finding in found:
            same = next((f for f in left if f.mechanism == finding.mechanism and self._passes(finding)), None)
            if same is None:
                left.append(finding)
                continue
            own, more = len(same.evidence) - same.besides, len(same.evidence) + len(finding.evidence)
            joined = dataclasses.replace(
                same,
                evidence=[*same.evidence, *finding.evidence],
                besides=same.besides + len(finding.evidence),
                measured=same.measured or finding.measured,
            )
            if own < MOSTLY * more:
                at = " and ".join(dict.fromkeys(node for node, _ in same.mechanism))
                texts = "; ".join(f"on node '{node}' {text}" for node, text in same.mechanism[:NAMED])
                sentence = f"Found {texts}. It causes these wrong cells, which do not match any single known pattern."
                joined = dataclasses.replace(
                    joined, key=NODE_STATE, subject=at, sentence=sentence, besides=0, follow_ups=[], alternatives=[]
                )
            left[left.index(same)] = joined
        return left

    def _passes(self, finding: Finding) -> bool:
        """Tells whether all cells pass a node whose difference names the mechanism."""
        places = {node for node, _ in finding.mechanism}
        return bool(places) and all(places & ends(cell, self._bed.world) for cell in finding.evidence)

    def _named(self, finding: Finding, used: set[Difference]) -> Finding:
        if finding.key in FROM_OBJECTS or finding.measured:
            return finding
        states = self._states()
        nodes = self._nodes(finding, list(states))
        addresses = [s.address for s in self._bed.sources if not s.host_network and not s.outside]
        differ: list[Difference] = []
        for node in nodes:
            others = [n for n in nodes if n != node] if len(nodes) < len(states) else []
            differ += look.differences(node, states, others)
            differ += look.in_pods(node, states, addresses)
        fitting = [d for d in differ if finding.key in d.explains and (finding.key != UNKNOWN or d not in used)]
        used.update(fitting)
        seen = [d for d in differ if finding.key in d.explains]
        if seen and len(nodes) < len(states):
            finding = dataclasses.replace(finding, shown=tuple(f"{d.node}: {d.text}" for d in seen))
        if not fitting:
            if differ:
                also = "; ".join(f"on '{d.node}' {d.text}" for d in differ[:NAMED])
                return dataclasses.replace(finding, hint=f"{finding.hint} Also seen: {also}.")
            return finding
        by_text: dict[str, list[str]] = {}
        for each in fitting:
            by_text.setdefault(each.text, []).append(each.node)
        texts = [f"on {_nodes_text(at)} {text}" for text, at in list(by_text.items())[:NAMED]]
        compared = ", ".join(f"'{n}'" for n in states if n not in nodes) or "what it has to be"
        changed = dataclasses.replace(
            finding,
            mechanism=tuple((d.node, d.text) for d in fitting),
            measured=f"the state of {_nodes_text(nodes)} was read and compared with {compared}",
            hint="; ".join(dict.fromkeys(f"on '{d.node}': {d.command}" for d in fitting[:NAMED])),
            command="",
        )
        if finding.key != UNKNOWN and any(d.confirms(finding.key) for d in fitting):
            return dataclasses.replace(changed, sentence=f"{finding.sentence} Found: {'; '.join(texts)}.")
        # something else than the cause that fitted best, or than any that is listed, is there to be seen
        at = list(dict.fromkeys(d.node for d in fitting))
        text = f"Found {'; '.join(texts)}. It can cause these wrong cells"
        if finding.key == UNKNOWN and len(nodes) == len(states):
            # all nodes take part alike, so nothing but the difference itself points to this one
            changed = dataclasses.replace(changed, measured="")
        another = finding.key in (UNKNOWN, "route to pods")
        return dataclasses.replace(
            changed,
            key=NODE_STATE if another else finding.key,
            subject=" and ".join(at) if another else finding.subject,
            sentence=f"{text}, {'which no listed cause explains' if finding.key == UNKNOWN else _pattern(finding)}.",
            follow_ups=[],
            alternatives=[],
        )

    def _states(self) -> dict[str, State]:
        at, states = self._read
        if time.monotonic() - at > FRESH:
            states = read_all(self._bed, self._lookers)
            self._read = time.monotonic(), states
        return states

    def _nodes(self, finding: Finding, nodes: Sequence[str]) -> list[str]:
        """The nodes that a finding is about."""
        words = finding.subject.replace(",", " ").replace("'", " ").split()
        pods = {s.name: s.node for s in self._bed.sources}
        named = [n for n in nodes if n in words] or [pods[w] for w in words if pods.get(w) in nodes]
        if named:
            return list(dict.fromkeys(named))
        if finding.key == "hairpin" or not finding.evidence:
            return list(nodes)
        counts = Counter(node for cell in finding.evidence for node in ends(cell, self._bed.world))
        often = [n for n in nodes if counts[n] >= TAKES_PART * len(finding.evidence)]
        return often or list(nodes)


def _pattern(finding: Finding) -> str:
    return f"which have the pattern '{finding.key}' at {finding.subject}"


def _nodes_text(nodes: Sequence[str]) -> str:
    names = [f"'{n}'" for n in nodes]
    return f"node {names[0]}" if len(names) == 1 else f"nodes {', '.join(names[:-1])} and {names[-1]}"
