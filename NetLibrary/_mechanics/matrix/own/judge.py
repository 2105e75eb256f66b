"""The checks of a namespace's Services: each Service, and how many connections policies may keep away."""

from __future__ import annotations

from collections import Counter

from NetLibrary._mechanics.matrix.own.run import Outcomes
from NetLibrary._mechanics.verdict import Check, at_most


def checks(outcomes: Outcomes, denied_at_most: int | None) -> list[Check]:
    """Returns a check for all cells, one for the findings that no cell shows, and one for what policies keep away."""
    wrong = [cell for cell in outcomes.cells if cell.wrong and cell.symptom != "error"]
    judged = sum(cell.expected.judged and cell.symptom != "error" for cell in outcomes.cells)
    explained = {id(cell) for finding in outcomes.found for cell in finding.cells}
    by_service = Counter(cell.target.service for cell in wrong)
    lines = [str(finding) for finding in outcomes.found]
    lines += [f"Not explained: {cell.describe()}" for cell in wrong if id(cell) not in explained][:5]
    services = {name for f in outcomes.found for name in f.services} | set(by_service)
    text = (
        f"{len(services)} of {outcomes.services} Services do not work as their objects say: {len(wrong)} of {judged} "
        "connections are wrong.\n" + "\n".join(lines)
    )
    found = [Check("Services right", outcomes.services, outcomes.services - len(services), "", not services, text)]
    if denied_at_most is not None:
        denied = outcomes.denied
        said = "; ".join(f"{count} by {policy}" for policy, count in sorted(denied.items()))
        number = sum(denied.values())
        text = f"Policies deny {number} connections, limit {denied_at_most}: {said}."
        found.append(at_most("connections denied by policies", denied_at_most, number, "", text))
    return found


def errors(outcomes: Outcomes) -> list[str]:
    """Returns why the measurement is not whole; what was found is told all the same."""
    broken = [cell for cell in outcomes.cells if cell.symptom == "error" and cell.expected.judged]
    if broken and not outcomes.found and not any(c.wrong and c.symptom != "error" for c in outcomes.cells):
        return [f"{len(broken)} connections could not be tried: {broken[0].why}."]
    if not any(cell.expected.judged for cell in outcomes.cells) and not outcomes.found:
        return ["Nothing in these Services can be probed: " + (" ".join(outcomes.notes) or "they have no port.")]
    return []
