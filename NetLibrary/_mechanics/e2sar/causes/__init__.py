"""Why events were lost: a table of rules, each of which looks at facts of one scope and says how much it explains."""

from __future__ import annotations

from NetLibrary._mechanics.e2sar.causes import ends, path, receiver, sender, timing
from NetLibrary._mechanics.e2sar.causes.rules import Rule
from NetLibrary._mechanics.e2sar.facts import Cause, Facts, Judgement
from NetLibrary._mechanics.rules import table

RULES: tuple[Rule, ...] = (*ends.RULES, *timing.RULES, *sender.RULES, *receiver.RULES, *path.RULES)
"""All rules; the order decides between two causes of the same weight."""


def explain(facts: Facts, judgement: Judgement) -> list[Cause]:
    """Returns all causes that the evidence supports; the heaviest one is the judgement's."""
    lost = judgement.events > judgement.received
    troubled = lost or bool(judgement.mangled or judgement.sender_errors or judgement.duplicated)
    return [
        cause for rule in RULES if rule.fatal or troubled for cause in rule.look(facts, judgement) if cause.weight > 0
    ]


def markdown() -> str:
    """Returns the rules as a table for the documentation: causes, where they are looked for, the facts behind them."""
    rows = [(", ".join(f"`{kind}`" for kind in rule.kinds), rule.scope, rule.fact) for rule in RULES]
    return table(("cause", "looked for at", "evidence"), rows)
