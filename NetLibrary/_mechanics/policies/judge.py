"""What the cells mean, and the checks that follow.

A port where nobody listens refuses, and so does a policy that rejects; a datagram that nobody answers looks like one
that was dropped. What cannot be told apart is not judged: that a port is listened to is known when it answered
somebody, or when a ready pod declares it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from NetLibrary._mechanics.kube.policy_peers import declared_ports
from NetLibrary._mechanics.kube.wait import is_ready
from NetLibrary._mechanics.policies.results import SILENT, Cell, Found, Table
from NetLibrary._mechanics.probing.types import Outcome
from NetLibrary._mechanics.verdict import Check

NOBODY_LISTENS = "nothing listens there, and its refusal looks like that of a policy"
NO_DATAGRAMS = "nothing there answers datagrams, which looks like a policy"
NO_SCTP = "the sender's kernel has no SCTP"
NO_SIGN = "nothing shows that anything listens there"
MOST_NAMED = 8


def find(cells: Sequence[Cell]) -> None:
    """Says of every cell what it turned out to be."""
    columns: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        columns[cell.column].append(cell)
    for column in columns.values():
        heard = any(cell.answered for cell in column)
        refuses = any(cell.observed.outcome is Outcome.REFUSED for cell in column)
        for cell in column:
            cell.found, cell.why = _found(cell, heard, refuses)


def _found(cell: Cell, heard: bool, refuses: bool) -> tuple[Found, str]:
    outcome, allowed, datagram = cell.observed.outcome, cell.decision.allowed, cell.target.protocol == "UDP"
    if cell.unclear:
        return Found.NOT_JUDGED, cell.unclear
    if outcome is Outcome.ERROR:
        if "not supported" in cell.observed.detail:
            return Found.NOT_JUDGED, NO_SCTP
        return Found.ERROR, cell.observed.detail
    if cell.answered:
        return (Found.RIGHT, "") if allowed else (Found.OPEN, "")
    if outcome is Outcome.REFUSED:
        if not heard:
            return Found.NOT_JUDGED, NOBODY_LISTENS
        return (Found.CLOSED, "") if allowed else (Found.RIGHT, "")
    assert outcome in SILENT, outcome
    if datagram and not heard and not refuses:
        return Found.NOT_JUDGED, NO_DATAGRAMS
    if allowed:
        return Found.CLOSED, ""
    if heard or _declares(cell):
        return Found.RIGHT, ""
    return Found.NOT_JUDGED, NO_SIGN


def _declares(cell: Cell) -> bool:
    """A ready pod says that it listens at the port."""
    return is_ready(dict(cell.flow.receiver)) and any(
        entry["containerPort"] == cell.target.port and (entry.get("protocol") or "TCP") == cell.target.protocol
        for entry in declared_ports(cell.flow.receiver)
    )


def checks(table: Table, denied_at_least: int, causes: Sequence[str]) -> list[Check]:
    """Returns what was asked of a table: that policies are enforced, and that each cell is as they say.

    Args:
        table: What was found.
        denied_at_least: How many connections the policies must deny, so that the table can tell anything.
        causes: What explains the wrong cells; the sentence need not name each of them then.
    """
    denied, wrong, judged = len(table.denied), len(table.wrong), len(table.judged)
    found = []
    if denied_at_least:
        text = (
            f"Of {judged} connections, the policies deny {denied}; expected at least {denied_at_least}: without them, "
            "the table does not show whether policies are enforced."
        )
        found.append(Check("denied connections at least", denied_at_least, denied, "", denied >= denied_at_least, text))
    if not table.enforced:
        text = (
            f"Policies are not enforced here: none of the {denied} connections that they deny was stopped. Does the "
            "cluster's network implement NetworkPolicy, and is that implementation running?"
        )
        return [*found, Check("policies are enforced", True, False, "", False, text)]
    open_ones, closed = len(table.having(Found.OPEN)), len(table.having(Found.CLOSED))
    words = [f"{open_ones} are open although denied"] if open_ones else []
    words += [f"{closed} are closed although allowed"] if closed else []
    text = f"{wrong} of {judged} connections do not match the policies: {', '.join(words)}.\n" + "\n".join(
        named(table.wrong)
    )
    return [*found, Check("connections as the policies say", judged, judged - wrong, "", not wrong, text)]


def named(wrong: Sequence[Cell]) -> list[str]:
    """Returns a line for each policy or rule that is not kept to, with one connection as its example."""
    groups: dict[tuple[Found, str], list[Cell]] = defaultdict(list)
    for cell in wrong:
        groups[cell.found, _whose(cell)].append(cell)
    lines = []
    for (found, whose), cells in sorted(groups.items(), key=lambda item: -len(item[1])):
        example = cells[0]
        way = f"{example.source.name} → {example.target.pod}:{example.column[1]}"
        seen = example.observed.outcome
        lines.append(f"- {found.value}: {len(cells)} by {whose}, for instance {way} ({seen})")
    rest = len(lines) - MOST_NAMED
    return lines[:MOST_NAMED] + ([f"- and {rest} more, in the table"] if rest > 0 else [])


def _whose(cell: Cell) -> str:
    if cell.decision.blocks:
        return " and ".join(dict.fromkeys(block.policy for block in cell.decision.blocks))
    return " and ".join(cell.decision.grants) or "the rule that pods are open if no policy selects them"


def errors(table: Table) -> list[str]:
    """Returns why the table is not whole: cells that could not be probed, or nothing that could be judged."""
    broken = table.having(Found.ERROR)
    if broken and not table.wrong:
        texts = list(dict.fromkeys(cell.why for cell in broken))
        return [f"{len(broken)} of {len(table.cells)} connections could not be probed: {'; '.join(texts[:3])}."]
    if not table.judged:
        why = "; ".join(f"{count} because {reason}" for reason, count in table.reasons.items()) or "there are none"
        return [f"No connection could be judged: {why}."]
    return []
