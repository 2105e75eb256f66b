"""Where packets are lost, from first attempts and from counted bursts. Pure functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from NetLibrary._mechanics.matrix.model.types import Cell
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.probing.types import Outcome

Way = tuple[str, str]
# Of a burst, so many lost packets and this share say that a way loses packets
LEAST, SHARE = 2, 0.004
# "One failure in four first attempts is never a pass", whatever later tries and bursts say
NEVER_A_PASS = 0.25


@dataclass(frozen=True)
class Place:
    """Where packets are lost.

    Args:
        key: `loss at node` or `loss between nodes`.
        subject: The node, or both nodes.
        sentence: In words, with shares and directions.
        ways: The directions (from node, to node) that lose packets.
        share: Largest share of packets that one of them loses.
    """

    key: str
    subject: str
    sentence: str
    ways: tuple[Way, ...]
    share: float = 0.5

    def touches(self, cell: Cell, world: World) -> bool:
        """Packets of the cell go one of the ways, or their answers do."""
        return any({here, there} <= ends(cell, world) for here, there in self.ways)


def ends(cell: Cell, world: World) -> set[str]:
    """Nodes that a cell's packets go through: the source's, the entry, and those of the pods that answered or may."""
    names = set(cell.observed.responders) or set(cell.expected.responders or ())
    nodes = {str((world.pod(n) or {"spec": {}})["spec"].get("nodeName") or world.node_called(n)) for n in names}
    if cell.target.kind in ("dns", "name"):
        nodes |= {e.node for e in world.dns}
    return ({cell.source.node, cell.target.node} | nodes) - {""}


def lossy(cells: Iterable[Cell]) -> list[Cell]:
    """Cells that are right at last, though a first attempt was lost."""
    return [c for c in cells if c.observed.first_lost and not c.wrong and c.observed.outcome is Outcome.CONNECTED]


def came_late(cell: Cell) -> bool:
    """Every attempt of the first round was lost, so that the cell was right in a later one only."""
    return cell.observed.rounds > 1 and cell.observed.first_lost >= cell.observed.first_attempts


def suspects(cells: Sequence[Cell], world: World, nodes: Sequence[str], *, most: int = 4) -> list[Way]:
    """Pairs of nodes to count between: those that the lossy cells share first, then what tells a node from a pair.

    Args:
        cells: Cells that lost first attempts.
        world: The objects.
        nodes: All nodes that have a pod to count from.
        most: Largest number of pairs.
    """
    pairs: Counter[Way] = Counter()
    single: Counter[str] = Counter()
    for cell in cells:
        found = sorted(ends(cell, world) & set(nodes))
        single.update(found)
        for number, here in enumerate(found):
            for there in found[number + 1 :]:
                pairs[here, there] += 1
        if len(found) == 1:
            pairs[found[0], found[0]] += 1
    chosen = [pair for pair, _ in pairs.most_common(2)]
    for node, _ in single.most_common(1):
        chosen += [(min(node, other), max(node, other)) for other in nodes if other != node][: most - 1]
        others = [n for n in nodes if n != node]
        if len(others) > 1:
            chosen.append((others[0], others[1]))
    return list(dict.fromkeys(chosen))[: most + 1]


def place(ways: Mapping[Way, tuple[int, int]]) -> Place | None:
    """What counted bursts say: nothing is lost, or where, in which direction, and how much.

    Args:
        ways: (sent, lost) by direction between nodes.

    Example:
        >>> place({("a", "b"): (100, 12), ("b", "a"): (100, 0), ("a", "c"): (100, 0), ("c", "a"): (100, 0)}).subject
        'a and b'
    """
    bad = {way: seen for way, seen in ways.items() if seen[1] >= LEAST and seen[1] >= SHARE * seen[0]}
    if not bad:
        return None
    share = max(lost / sent for sent, lost in bad.values())
    into, out_of = _by_node(ways, 1), _by_node(ways, 0)
    touched = Counter(node for way in bad for node in set(way))
    for node, _ in touched.most_common():
        if any(node not in way for way in bad) or len({n for way in ways if node in way for n in way}) < 3:
            continue  # something is lost elsewhere too, or there is only one pair to tell from
        comes = [w for w in into[node] if w in bad]
        goes = [w for w in out_of[node] if w in bad]
        if len(comes) == len(into[node]) and len(comes) > 1:
            return Place("loss at node", node, _at_node(node, ways, into, out_of, bool(goes)), tuple(bad), share)
        if len(goes) == len(out_of[node]) and len(goes) > 1:
            return Place(
                "loss at node", node, _at_node(node, ways, into, out_of, bool(comes), first="out"), tuple(bad), share
            )
    (here, there), (sent, lost) = max(bad.items(), key=lambda item: item[1][1] / item[1][0])
    if here == there:
        text = f"Packets between pods of node '{here}' are lost on the node itself: {_share(sent, lost)}."
        return Place("loss at node", here, text, tuple(bad), share)
    back = ways.get((there, here), (0, 0))
    both = (there, here) in bad
    back_text = f"in the other direction {_share(*back)}"
    one, other = sorted((here, there))
    text = (
        f"Packets between nodes '{one}' and '{other}' are lost"
        + (" in both directions" if both else f" on the path from '{here}' to '{there}'")
        + f": {_share(sent, lost)} from '{here}' to '{there}', {back_text}."
    )
    return Place("loss between nodes", f"{one} and {other}", text, tuple(bad), share)


def _by_node(ways: Mapping[Way, tuple[int, int]], end: int) -> dict[str, list[Way]]:
    found: dict[str, list[Way]] = defaultdict(list)
    for way in ways:
        if way[0] != way[1]:
            found[way[end]].append(way)
    return found


def _at_node(
    node: str, ways: Mapping[Way, tuple[int, int]], into: Mapping[str, list[Way]], out_of: Mapping[str, list[Way]],
    both: bool, *, first: str = "in",
) -> str:  # fmt: skip
    comes = [sum(ways[w][i] for w in into[node]) for i in (0, 1)]
    goes = [sum(ways[w][i] for w in out_of[node]) for i in (0, 1)]
    what = (
        "packets in both directions" if both else ("packets that come in" if first == "in" else "packets that go out")
    )
    return (
        f"Node '{node}' loses {what}: {_share(*comes)} going into it, {_share(*goes)} coming out of it, counted by the "
        "kernels of the pods at both ends."
    )


def _share(sent: int, lost: int) -> str:
    return f"{100 * lost / sent:.1f} % ({lost} of {sent})" if sent else "not counted"


def gaps(flow: Sequence[tuple[float, str, str, str]], duration: float, least: float = 0.8) -> list[tuple[float, float]]:
    """(begin, length) in seconds of the times in which a flow had no answer.

    Args:
        flow: (seconds, OK or FAILED, responder, detail) of every change.
        duration: Length of the whole watch.
        least: Shorter gaps do not count.
    """
    found = []
    for number, (at, state, *_) in enumerate(flow):
        until = flow[number + 1][0] if number + 1 < len(flow) else duration
        if state != "OK" and until - at >= least:
            found.append((at, until - at))
    return found
