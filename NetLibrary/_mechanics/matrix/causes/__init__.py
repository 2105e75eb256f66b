"""Why cells are wrong: a table of rules, each of which says at a scope which cells it makes wrong, in which words."""

from __future__ import annotations

from collections.abc import Iterator

from NetLibrary._mechanics.matrix.causes import behaviour, entries, names, nodes, objects, pairs, pods, services
from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.causes.rules import Candidate, Rule
from NetLibrary._mechanics.rules import table

RULES: tuple[Rule, ...] = (
    *objects.CHANGED,
    *entries.OF_SERVICES,
    *nodes.RULES,
    *entries.RULES,
    *pairs.RULES,
    *pods.RULES,
    *services.RULES,
    *names.RULES,
    *behaviour.RULES,
    *entries.BORDER,
    *objects.SLOW,
)
"""All rules; the order decides between two causes of the same rank that explain equally much."""


def candidates(case: Case) -> Iterator[Candidate]:
    """Returns every cause that the wrong cells of a run allow for."""
    for rule in RULES:
        yield from rule.candidates(case)


def markdown() -> str:
    """Returns the rules as a table for the documentation."""
    rows = [(f"`{r.key}`", r.scope.word, r.fact, _command(r.command)) for r in RULES]
    return table(("cause", "looked for at", "evidence", "what shows more"), rows)


def _command(text: str) -> str:
    return f"`{text.format_map(_Capitals())}`" if text else ""


class _Capitals(dict[str, str]):
    """Names of places as placeholders for people."""

    def __missing__(self, key: str) -> str:
        return key.upper()
