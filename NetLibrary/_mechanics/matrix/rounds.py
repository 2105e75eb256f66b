"""Probes pairs in rounds until they are right, and proves that what got right late stays so."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.matrix.judge.expect import expect
from NetLibrary._mechanics.matrix.judge.judge import judge
from NetLibrary._mechanics.matrix.known import PREDICTED_MS, Known
from NetLibrary._mechanics.matrix.model.types import Cell, Expected, Table
from NetLibrary._mechanics.matrix.testbed import Pair, Testbed
from NetLibrary._mechanics.probing.alive import UNHEARD
from NetLibrary._mechanics.probing.fleet import STARVED
from NetLibrary._mechanics.probing.types import BLOCKED, Observation, Outcome, Source, Target

Override = Callable[[Source, Target, Expected], Expected]
# After a cell was right late, this many connections in a row must be right; else it flaps
PROOF = 6
# Seconds for refusals that a node may be too rate-limited to send
RATE_LIMITED = 5.0
# As long as each round finds fewer wrong cells, rounds go on for this many seconds more
SETTLING = 15.0
# Once a row is wrong for good, the cells of other rows get so many seconds to become right
BROKEN_SETTLE = 0.5
# New Services that stay silent for so many seconds, while no other gets right, may have pods that nobody reaches; with
# more of them than that, asking their pods would take longer than waiting
STALLED, FEW_ENOUGH = 1.5, 500
OUT_OF_REACH = "the pod does not answer at its own address either, so this says nothing about the Service"


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a table is waited for.

    Args:
        settle: Seconds for wrong cells to become right.
        limit_ms: The one time limit of connections without an answer.
        steady: Nothing was changed just before, so what gets right late flaps.
        broken: Something is known to be broken.
        laggards: When all is right from some nodes, seconds for the others to get anything more right. Services whose
            pods cannot be reached are not waited for then.
    """

    settle: float
    limit_ms: int
    steady: bool = True
    broken: bool = False
    laggards: float | None = None


class Rounds:
    """The rounds of one table.

    Args:
        testbed: Where.
        known: What is known to be broken.
        patience: How long it may take.
        override: Changes what is expected of a cell.
    """

    def __init__(self, testbed: Testbed, known: Known, patience: Patience, override: Override | None = None) -> None:
        self._bed, self._known, self._patience, self._override = testbed, known, patience, override
        self._cells: dict[Pair, Cell] = {}
        self._first: dict[Pair, Observation] = {}
        self._first_wrong: dict[Pair, Cell] = {}
        self._proven: set[Pair] = set()
        self._direct: set[Pair] = set()
        self._out_of_reach: set[Pair] = set()
        self._lossy = False
        self._started = time.monotonic()

    def run(self, key: str, title: str, pairs: Sequence[Pair]) -> Table:
        """Probes until everything is right, or waiting for it tells nothing more."""
        rounds, pause, quiet_since, moved_at = 0, 0.05, 0.0, self._started
        open_pairs = list(pairs)
        while open_pairs:
            rounds += 1
            before = len(open_pairs)
            self._one_round(rounds, open_pairs)
            wrong = self._worth_asking(p for p in pairs if p in self._cells)
            moved_at = time.monotonic() if len(wrong) < before else moved_at
            if self._patience.laggards is not None:
                # whoever is answered by the right pod has the Service; another client address than its own is no delay
                wrong = [p for p in wrong if self._cells[p].symptom != "client"]
                wrong = self._without_unreachable(wrong, time.monotonic() - moved_at)
                if self._only_laggards(pairs, wrong, time.monotonic() - moved_at):
                    break
            # a fault stays as it is; as long as cells get right, the network or the machine has not settled
            better = len(wrong) < before and (rounds > 1 or len(wrong) < before / 2)
            go_on = (rounds == 1 or (better and not self._lossy)) and not self._patience.broken
            spent = time.monotonic() - self._started + pause - (SETTLING if go_on else 0.0)
            limited = [p for p in wrong if _may_be_rate_limited(self._cells[p])]
            open_pairs = [
                p for p in wrong if p not in set(limited) and spent <= self._patience.settle + _patience(self._cells[p])
            ]
            if not open_pairs and limited:
                # Linux sends a client one ICMP error a second, after a burst of six: these wait until nothing else asks
                quiet_since = quiet_since or time.monotonic()
                open_pairs = limited if time.monotonic() - quiet_since < RATE_LIMITED else []
            if open_pairs:
                time.sleep(1.1 if open_pairs is limited else pause)
                pause = min(1.0, pause * 2)
                self._bed.refresh()
        return self._table(key, title, pairs)

    def _only_laggards(self, pairs: Sequence[Pair], wrong: Sequence[Pair], stalled: float) -> bool:
        """Tells whether waiting for the nodes that are late tells nothing more."""
        late = {source.node for source, _ in wrong}
        partly = {source.node for source, _ in set(pairs) - set(wrong) - self._out_of_reach}
        # all of them wait for the first Service only while no node has one
        some = late <= partly or late < {source.node for source, _ in pairs}
        return some and stalled > (self._patience.laggards or 0)

    def _without_unreachable(self, wrong: Sequence[Pair], stalled: float) -> list[Pair]:
        """Leaves out new Services whose one pod cannot be reached by its own address, which no proxy changes."""
        if stalled > STALLED and len(wrong) <= FEW_ENOUGH:
            direct = {p: (p[0], at) for p in wrong if p not in self._direct and (at := self._pod_behind(p)) is not None}
            answers = self._bed.fleet.run(list(dict.fromkeys(direct.values())), limit_ms=self._bed.options.limit_ms)
            silent = {(s, t) for s, t, seen in answers if seen.outcome in BLOCKED}
            self._direct |= set(direct)
            self._out_of_reach |= {p for p, at in direct.items() if at in silent}
        return [p for p in wrong if p not in self._out_of_reach]

    def _pod_behind(self, pair: Pair) -> Target | None:
        """The one pod behind a Service, asked by its own address."""
        target, world = pair[1], self._bed.world
        service = world.service(target.service)
        family = addresses.family_of(target.host) or 4
        found = world.endpoints(service, target.service_port, target.protocol, family) if service is not None else []
        if len(found) != 1:
            return None
        (at,) = found
        return Target(at.pod, "pod", at.address, at.port, target.protocol, target.probe, pod=at.pod, node=at.node)

    def judge(self, source: Source, target: Target, seen: Observation) -> Cell:
        """Judges what was seen by what the objects promise."""
        world = self._bed.world
        expected = self._expected(source, target)
        cell = judge(source, target, expected, seen)
        changed = world.drift.get(target.service) or world.drift.get(target.pod) or world.foreign(cell)
        if changed and cell.right:
            # what it is now is what the table shows; that is not what it has to be
            cell = dataclasses.replace(cell, right=False, symptom="object", why=changed)
        return cell

    def _expected(self, source: Source, target: Target) -> Expected:
        expected = expect(self._bed.world, source, target)
        return expected if self._override is None else self._override(source, target, expected)

    def _table(self, key: str, title: str, pairs: Sequence[Pair]) -> Table:
        for pair, cell in self._cells.items():
            cell.transient = not self._patience.steady
            if pair in self._out_of_reach:
                cell.why = OUT_OF_REACH
        table = Table(key, title, [self._cells[pair] for pair in pairs], time.monotonic() - self._started)
        table.probers = {s.name: self._bed.fleet.flavours.get(s.name, "") for s in table.sources}
        note = self._known.note(table.cells, self._bed.world)
        if note:
            table.notes.append(note)
        return table

    def _one_round(self, number: int, pairs: Sequence[Pair]) -> None:
        for pair, seen in self._ask(pairs, gently=number > 1):
            seen.rounds = number
            begin = self._first.setdefault(pair, seen)
            seen.first_attempts, seen.first_lost = begin.first_attempts, begin.first_lost
            cell = self.judge(*pair, seen)
            if cell.right:
                seen.right_after_s = round(time.monotonic() - self._started, 3)
            elif number == 1:
                self._first_wrong[pair] = cell
            self._cells[pair] = cell
        excuse_rate_limited(self._cells)
        if self._patience.steady and number > 1:
            late = [
                p
                for p in self._first_wrong
                if p not in self._proven and not self._cells[p].wrong and _wants_connection(self._cells[p])
            ]
            self._proven.update(late)
            self._prove(late)
            # part of the connections is lost: more rounds would only hide it
            self._lossy = self._lossy or any(self._cells[p].symptom == "flapping" for p in late)

    def _ask(self, pairs: Sequence[Pair], *, gently: bool) -> list[tuple[Pair, Observation]]:
        """What pairs show; those that a known cause breaks are not waited for as long as the others."""
        predicted = set()
        if self._known:
            predicted = {p for p in pairs if self._known.predicts(*p, self._expected(*p), self._bed.world)}
        limit = self._patience.limit_ms
        if any(Outcome.CONNECTED not in self._expected(*p).outcomes for p in pairs if p not in predicted):
            predicted = set()  # others have to stay silent for the whole time; all wait in that
        shares: dict[int, list[Pair]] = {}
        for pair in pairs:
            shares.setdefault(min(limit, PREDICTED_MS) if pair in predicted else limit, []).append(pair)
        found: list[tuple[Pair, Observation]] = []
        for limit_ms, mine in sorted(shares.items(), reverse=True):
            asked = [_without_own_limit(p) if p in predicted else _hurried(p, self._cells.get(p)) for p in mine]
            answers = self._bed.fleet.run(asked, limit_ms=limit_ms, gently=gently)
            found += [(pair, seen) for pair, (_, _, seen) in zip(mine, answers, strict=True)]
        return found

    def _worth_asking(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Wrong cells about which another round can tell something."""
        wrong = [p for p in pairs if self._cells[p].wrong and not _unheard(self._cells[p])]
        return [p for p in wrong if not self._known or not self._known.explains(self._cells[p], self._bed.world)]

    def _prove(self, late: Sequence[Pair]) -> None:
        again = {(s, dataclasses.replace(t, repeat=max(PROOF, t.repeat))): (s, t) for s, t in late}
        failed: set[Pair] = set()
        for attempt in (1, 2):
            open_pairs = [p for p, (s, t) in again.items() if attempt == 1 or (s, t) in failed]
            answers = self._bed.fleet.run(open_pairs, limit_ms=self._patience.limit_ms, gently=True)
            for source, target, seen in answers:
                pair = again[source, target]
                cell = self.judge(source, pair[1], seen)
                if cell.symptom in ("blocked", "flapping", "dns") and sum(seen.failures.values()) < 2:
                    cell = dataclasses.replace(cell, right=True, symptom="", why="")  # one lost connection is no fault
                if cell.wrong and attempt == 1:
                    failed.add(pair)
                    continue
                failed.discard(pair)
                self._settle_late(pair, cell, seen)

    def _settle_late(self, pair: Pair, cell: Cell, seen: Observation) -> None:
        begin = self._cells[pair].observed
        seen.first_attempts, seen.first_lost = begin.first_attempts, begin.first_lost
        if cell.wrong:
            seen.rounds = begin.rounds + 1
            self._cells[pair] = dataclasses.replace(
                cell, symptom="flapping" if cell.symptom in ("blocked", "slow", "dns") else cell.symptom
            )
        else:
            begin.detail = f"late: at first {self._first_wrong[pair].observed}"


def _wants_connection(cell: Cell) -> bool:
    return Outcome.CONNECTED in cell.expected.outcomes


def _may_be_rate_limited(cell: Cell) -> bool:
    return cell.observed.outcome is Outcome.TIMEOUT and Outcome.REFUSED in cell.expected.outcomes


def _without_own_limit(pair: Pair) -> Pair:
    return pair[0], dataclasses.replace(pair[1], limit_ms=0)


def _hurried(pair: Pair, before: Cell | None) -> Pair:
    """Without its own, longer time limit once it was used up: that only tells a late answer from none."""
    if before is None or before.observed.outcome not in (Outcome.TIMEOUT, Outcome.DNS):
        return pair
    return _without_own_limit(pair)


def _unheard(cell: Cell) -> bool:
    return cell.observed.outcome is Outcome.ERROR and UNHEARD in cell.observed.detail


def _patience(cell: Cell) -> float:
    """Seconds beyond the limit during which a wrong cell may still become right for reasons outside the network."""
    if cell.observed.detail.startswith(STARVED):
        return 45.0
    return 0.0


def excuse_rate_limited(cells: Mapping[Pair, Cell]) -> None:
    """Accepts time-outs in place of refusals where the source was refused elsewhere in the same table.

    A node refuses by ICMP, and Linux limits that to one error a second for each client (`icmp_ratelimit`), so of many
    refused cells of one source only the first few can show it.
    """
    refused = {
        (source, target.protocol)
        for (source, target), cell in cells.items()
        if cell.right and cell.observed.outcome is Outcome.REFUSED
    }
    for (source, target), cell in cells.items():
        if cell.wrong and _may_be_rate_limited(cell) and (source, target.protocol) in refused:
            cell.right, cell.symptom = True, ""
            cell.observed.detail = "no refusal in time: the node limits its ICMP errors to one a second"


__all__ = ["BROKEN_SETTLE", "OUT_OF_REACH", "Override", "Patience", "Rounds", "excuse_rate_limited"]
