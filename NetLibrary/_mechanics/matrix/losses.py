"""Judges first attempts: what was lost at first and came later is looked into until its place is known."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.matrix.explain import loss
from NetLibrary._mechanics.matrix.explain.diagnose import Finding
from NetLibrary._mechanics.matrix.explain.loss import Place, Way
from NetLibrary._mechanics.matrix.model.objects import HTTP_PORT
from NetLibrary._mechanics.matrix.model.types import Cell, Table
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.matrix.probe.counting import count
from NetLibrary._mechanics.probing.fleet import Prober
from NetLibrary._mechanics.probing.pipes import ExecPipe
from NetLibrary._mechanics.probing.types import Outcome, Source, Target

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.testbed import Testbed

# What was found holds for rows that are probed within so many seconds after it
FRESH = 60.0
# Long enough to see a link that is down for 2 s in 10 at least once
WATCH_MS, EVERY_MS = 11000, 100
WATCHES = 2
# From this share of lost packets on whole cells fail, with all their attempts
MANY = 0.2
# Up to this share it may be the first packets of new connections alone
FEW = 0.05


class Losses:
    """First attempts of one matrix, and what was found out about those that were lost.

    Args:
        testbed: Pods to count between.
    """

    def __init__(self, testbed: Testbed) -> None:
        self._bed = testbed
        self._found: list[tuple[float, Place, str]] = []
        self._watched = 0
        self._only_new: list[Place] = []
        self.findings: list[tuple[Place, Finding]] = []

    def known(self) -> bool:
        """The network is known to lose packets, so that waiting for cells to get right tells nothing."""
        return any(time.monotonic() - at < FRESH for at, place, _ in self._found if place not in self._only_new)

    def judge(self, table: Table, *, broken: bool = False) -> Finding | None:
        """Makes the cells wrong whose loss is real, and says where it happens; None when nothing is to be said.

        A single packet may be lost anywhere at any time. It counts when bursts or a watched flow show that packets go
        on being lost, or when a quarter of the first attempts was lost.

        Args:
            table: Cells of a row.
            broken: Something else is wrong already. Then connections to one of several backends fail for that reason,
                and only bursts tell.
        """
        cells = [c for c in loss.lossy(table.counted) if not broken or len(c.expected.responders or ()) == 1]
        if not cells and not self.known():
            return None
        place, how = self._place(cells, watch=not broken) if cells else self._found[-1][1:]
        if place is not None and (place in self._only_new or _only_new_connections(place, table, self._bed.world)):
            self._only_new.append(place)
            place, how = None, f"{how}; few for so many lost first attempts, so new connections are lost"
        if place is not None:
            evidence = [c for c in cells if place.touches(c, self._bed.world)]
            evidence += [c for c in table.wrong if c.symptom != "lost" and self._comes_of(place, c)]
            if not evidence:
                return None
            finding = _finding(place, how, evidence)
            self.findings.append((place, finding))
        elif broken or any(c.symptom == "flapping" for c in table.wrong):
            return None  # whatever else is wrong here has to be explained first
        else:
            lost = sum(c.observed.first_lost for c in cells)
            total, _ = table.first_attempts
            heavy = [c for c in cells if c.observed.first_attempts >= 4 and _share(c) >= loss.NEVER_A_PASS]
            if not heavy and (lost < 2 or lost < loss.NEVER_A_PASS * total):
                table.notes.append(f"{lost} of {total} first attempts got no answer; {how}.")
                return None
            evidence = heavy or cells
            finding = Finding(
                "loss",
                "somewhere",
                f"{lost} of {total} first attempts got no answer and succeeded later. {how}",
                evidence,
                hint="Probe the row again; check drops and errors of the interfaces between the nodes of these cells.",
            )
        for cell in evidence:
            _mark(cell)
        return finding

    def adopt(self, tables: Sequence[Table]) -> None:
        """Gives wrong cells of all rows to the losses that are known by now and make such cells."""
        for place, finding in self.findings:
            for table in tables:
                for cell in table.wrong:
                    if cell.symptom != "lost" and self._comes_of(place, cell):
                        _mark(cell)
                        finding.evidence.append(cell)

    def _comes_of(self, place: Place, cell: Cell) -> bool:
        """Lost packets make cells slow and flap; where many are lost, whole cells fail."""
        silent = cell.observed.outcome in (Outcome.TIMEOUT, Outcome.NO_ANSWER, Outcome.DNS)
        fits = cell.symptom in ("slow", "flapping", "dns") or (
            place.share > MANY and silent and cell.symptom == "blocked"
        )
        return fits and place.touches(cell, self._bed.world)

    def _place(self, cells: Sequence[Cell], *, watch: bool) -> tuple[Place | None, str]:
        """Where the packets of these cells are lost, and how that was found out."""
        now, world = time.monotonic(), self._bed.world
        for at, place, how in reversed(self._found):
            if now - at < FRESH and any(place.touches(c, world) for c in cells):
                return place, how
        pods = {s.node: s for s in reversed(self._bed.sources) if not s.outside and not s.host_network}
        pairs = loss.suspects(cells, world, sorted(pods))
        found, how = self._count(pairs, pods)
        lost = sum(c.observed.first_lost for c in cells)
        if found is None and watch and (any(loss.came_late(c) for c in cells) or lost > 2) and self._watched < WATCHES:
            self._watched += 1
            found, how = self._watch(pairs, pods)
        if found is not None:
            self._found.append((time.monotonic(), found, how))
        return found, how

    def _count(self, pairs: Sequence[Way], pods: dict[str, Source]) -> tuple[Place | None, str]:
        ways: dict[Way, tuple[int, int]] = {}
        others = {s.node: s for s in self._bed.sources if not s.outside and not s.host_network}
        for here, there in pairs:
            source, target = pods[here], others[there]
            if source == target:
                continue
            try:
                burst = count(self._bed.cluster, source, target, HTTP_PORT)
            except errors.NetLibraryError:  # a pod that cannot be asked says nothing about the network
                continue
            for start, end, sent, lost in burst.ways():
                before = ways.get((start, end), (0, 0))
                ways[start, end] = before[0] + sent, before[1] + lost
        if not ways:
            return None, "packets could not be counted"
        sent, lost = (sum(w[i] for w in ways.values()) for i in (0, 1))
        between = ", ".join(f"{a} and {b}" for a, b in pairs)
        return loss.place(ways), f"counted: {lost} of {sent} packets of bursts between {between} were lost"

    def _watch(self, pairs: Sequence[Way], pods: dict[str, Source]) -> tuple[Place | None, str]:
        """Keeps a flow on every pair for some seconds: a link that comes and goes shows as a gap."""
        flows: dict[Way, list[tuple[float, str, str, str]]] = {}

        def watch(here: str, there: str) -> None:
            source, to = pods[here], pods[there]
            prober = Prober(source, lambda: ExecPipe(self._bed.cluster, source, self._bed.options.prober))
            target = Target("flow", "check", to.address, HTTP_PORT, "UDP", "udp")
            try:
                flows[here, there] = prober.watch_flow(target, EVERY_MS, WATCH_MS)
            except errors.NetLibraryError:  # says nothing about the network
                pass
            finally:
                prober.close()

        threads = [threading.Thread(target=watch, args=pair, daemon=True) for pair in pairs if pair[0] != pair[1]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WATCH_MS / 1000 + 25)
        silent = {way: loss.gaps(flow, WATCH_MS / 1000) for way, flow in flows.items()}
        bad = {way: found for way, found in silent.items() if found}
        seconds = WATCH_MS / 1000
        if not bad or len(bad) == len(silent) > 2:  # everything at once: the machine, not a link
            return None, f"nothing was lost in bursts, and no flow had a gap in the {seconds:g} s after that"
        nodes = set.intersection(*(set(way) for way in bad))
        if len(nodes) == 1:
            node, ways = nodes.pop(), tuple(way for way in silent)
            ways = tuple(way for way in ways if node in way)
            key, subject, where = "link flaps", node, f"The link of node '{node}' comes and goes"
        else:
            here, there = next(iter(bad))
            ways, key, subject = tuple(bad), "link flaps", f"{here} and {there}"
            where = f"The link between nodes '{here}' and '{there}' comes and goes"
        longest = max((length for found in bad.values() for _, length in found), default=0.0)
        text = f"{where}: in {seconds:g} s its flows had gaps of up to {longest:.1f} s at a time while " + (
            "the others went on." if len(bad) < len(silent) else "nothing else was wrong."
        )
        return Place(
            key, subject, text, ways
        ), f"watched: flows between {', '.join(f'{a} and {b}' for a, b in bad)} had gaps"


def _mark(cell: Cell) -> None:
    seen = cell.observed
    if not cell.symptom:
        cell.why = f"{seen.first_lost} of {seen.first_attempts} first attempts stayed without an answer"
    cell.right, cell.symptom = False, "lost"


def _only_new_connections(place: Place, table: Table, world: World) -> bool:
    """Far more first attempts are lost than packets of flows that go on: a full connection tracking table does that."""
    mine = [c.observed for c in table.counted if place.touches(c, world)]
    lost, total = sum(o.first_lost for o in mine), sum(o.first_attempts for o in mine)
    return place.share < FEW and lost > 2 and lost > 4 * place.share * total


def _share(cell: Cell) -> float:
    return cell.observed.first_lost / max(1, cell.observed.first_attempts)


def _finding(place: Place, how: str, evidence: list[Cell]) -> Finding:
    what = place.subject.split(" and ")[0]
    hint = (
        f"Look at carrier changes of the interfaces of '{what}' (ip -s link, dmesg) and at what is behind its port."
        if place.key == "link flaps"
        else f"On '{what}' look at drops and errors of interfaces (ip -s link), at queues, and at nf_conntrack_count."
    )
    return dataclasses.replace(Finding(place.key, place.subject, place.sentence, evidence, hint=hint), measured=how)
