"""What a rule about wrong cells is: a fact at a scope, the cells that it predicts, its words, and a command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from NetLibrary._mechanics.matrix.causes.case import Case
from NetLibrary._mechanics.matrix.model.features import Fact
from NetLibrary._mechanics.probing.types import Outcome

STOPPED = frozenset({"blocked", "flapping"})
AT_ADDRESS = STOPPED | {"reason"}
PROTOCOLS = ("TCP", "UDP", "SCTP")


@dataclass(frozen=True)
class At:
    """The place that a rule is tried at: what the scope names is given, the rest is empty.

    Args:
        node: A node, or the first of two.
        other: The second node.
        pod: A pod or another source.
        service: A Service.
        port: A port of the Service.
        protocol: `TCP`, `UDP` or `SCTP`.
        name: Name of an object that was changed.
        names: Names that the place consists of.
        since: A time of the API server.
    """

    node: str = ""
    other: str = ""
    pod: str = ""
    service: str = ""
    port: int = 0
    protocol: str = ""
    name: str = ""
    names: frozenset[str] = frozenset()
    since: str = ""


Test = Callable[[Fact, At], bool]
Compare = Callable[[Fact, Fact, At], bool]
Words = Callable[[Case, At], Mapping[str, str]]


@dataclass(frozen=True)
class Scope:
    """A kind of place.

    Args:
        word: What it is called in the documentation.
        places: The places of a run that come into question.
    """

    word: str
    places: Callable[[Case], Iterable[At]]

    def where(self, holds: Callable[[Case, At], bool]) -> Scope:
        """Returns the same kind of place, only where something holds of the run."""
        return Scope(self.word, lambda case: (at for at in self.places(case) if holds(case, at)))


def nothing(fact: Fact, at: At) -> bool:
    """Predicts no cell."""
    return False


def no_words(case: Case, at: At) -> Mapping[str, str]:
    """Adds no words to those of the place."""
    return {}


@dataclass(frozen=True)
class Rule:
    """One possible cause.

    Args:
        key: Short name of the cause, stable, for tests and filters.
        scope: Where it is looked for.
        fact: What is seen when it is the cause, in words, for the documentation.
        subject: What is at fault; like the following texts with names of the place in braces.
        sentence: What is broken, for people; ends with a full stop.
        must: Cells that the cause makes wrong for certain.
        symptoms: Symptoms that it makes.
        may: Further cells that it can explain.
        words: Further words for the texts.
        hint: What to look at next.
        command: What shows more of it, or mends it; `on NODE:` in front where it has to run there.
        share: Least share of the `must` cells that has to be wrong.
        least: Least number of wrong `must` cells.
        soft: It makes cells flap that have one backend only; other causes break such cells for good.
        weight: What an explained cell counts; less for causes that would explain nearly anything.
        rank: Among causes that explain equally much, the lowest rank wins.
        compare: For the follow-up: a cell that must still work, of the same source or of another one.
        compare_text: What that shows.
    """

    key: str
    scope: Scope
    fact: str
    subject: str
    sentence: str
    must: Test
    symptoms: frozenset[str]
    may: Test = nothing
    words: Words = no_words
    hint: str = ""
    command: str = ""
    share: float = 0.9
    least: int = 1
    rank: int = 50
    weight: float = 1.0
    soft: bool = False
    compare: Compare | None = None
    compare_text: str = ""

    def candidates(self, case: Case) -> Iterator[Candidate]:
        """Returns the rule at each place of a run that comes into question."""
        for at in self.scope.places(case):
            words = {**_plain_words(at), **self.words(case, at)}
            texts = (
                " ".join(t.format(**words).split()) for t in (self.subject, self.sentence, self.hint, self.command)
            )
            yield Candidate(self, at, *texts)


def _plain_words(at: At) -> dict[str, str]:
    return {
        "node": at.node, "other": at.other, "pod": at.pod, "service": at.service, "port": str(at.port or ""),
        "protocol": at.protocol, "name": at.name, "since": at.since, "names": ", ".join(sorted(at.names)),
    }  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A rule at a place, with its texts."""

    rule: Rule
    at: At
    subject: str
    sentence: str
    hint: str = ""
    command: str = field(default="")

    @property
    def key(self) -> str:
        """Name of the cause."""
        return self.rule.key

    def must(self, fact: Fact) -> bool:
        """Tells whether the cause makes a cell wrong for certain."""
        return self.rule.must(fact, self.at)

    def predicts(self, fact: Fact) -> bool:
        """Tells whether the cause makes a cell wrong, or can do so."""
        return self.rule.must(fact, self.at) or self.rule.may(fact, self.at)

    def explains(self, fact: Fact) -> bool:
        """Tells whether what is wrong in a cell is what the cause can make wrong there."""
        return fact.symptom in self.rule.symptoms and self.predicts(fact)

    def compares(self, fact: Fact, other: Fact) -> bool:
        """Tells whether another cell, which must still work, shows that it is this cause and not one that is wider."""
        return self.rule.compare is not None and self.rule.compare(fact, other, self.at)


# --- predicates that several rules share ------------------------------------------------------------------


def direct(fact: Fact, other: Fact, at: At | None = None) -> bool:
    """Another cell asks the backends of this one by their own address, from the same source, over the same protocol."""
    return (
        other.source == fact.source
        and other.path == "pod"
        and other.protocol == fact.protocol
        and bool(other.to_pods & fact.to_pods)
        and not other.large
    )


def elsewhere(fact: Fact, other: Fact, at: At | None = None) -> bool:
    """Another node's source asks the same address."""
    return (
        other.from_node != fact.from_node
        and bool(other.from_node)
        and (other.cell.target.host, other.cell.target.port, other.protocol)
        == (fact.cell.target.host, fact.cell.target.port, fact.protocol)
    )


def same_at_other_entry(fact: Fact, other: Fact, at: At | None = None) -> bool:
    """The same source asks the same NodePort at another node."""
    return (
        other.source == fact.source
        and other.service == fact.service
        and other.entry not in ("", fact.entry)
        and other.protocol == fact.protocol
    )


def other_pods(fact: Fact, other: Fact, at: At) -> bool:
    """The same source asks another pod than the one in question."""
    return other.source == fact.source and other.path == "pod" and at.pod not in other.to_pods and not other.itself


def way_back(fact: Fact, other: Fact, at: At | None = None) -> bool:
    """The other node's sources ask pods of this one."""
    return other.path == "pod" and other.only_to(fact.from_node) and other.from_node in fact.to_nodes


def pods_at_least(fact: Fact) -> bool:
    """Leaves out the node's own processes where they do better than its pods: rules may stand in one path only."""
    return fact.wrong or not fact.cell.source.host_network


def was_told(fact: Fact) -> bool:
    """Its source was told no, by a refusal or as there is no route: then nothing was lost."""
    told = (Outcome.REFUSED, Outcome.RESET, Outcome.UNREACHABLE)
    return fact.wrong and fact.cell.observed.outcome in told and not fact.cell.observed.mixed


def between_pods(fact: Fact) -> bool:
    """From pod network to pod network, small packets."""
    return not fact.cell.source.host_network and not fact.to_host and not fact.large


def one_way(fact: Fact, at: At) -> bool:
    """From the first node of the place to pods of the second, by their own addresses, small packets."""
    return fact.path == "pod" and not fact.large and fact.from_node == at.node and fact.only_to(at.other)


def either_way(fact: Fact, at: At) -> bool:
    """Between the two nodes of the place, by the pods' own addresses, small packets."""
    if fact.path != "pod" or fact.large:
        return False
    return (fact.from_node == at.node and fact.only_to(at.other)) or (
        fact.from_node == at.other and fact.only_to(at.node)
    )


def touches_both(fact: Fact, at: At) -> bool:
    """Packets of the cell may go through both nodes of the place."""
    return {at.node, at.other} <= {fact.from_node, fact.entry} | fact.to_nodes


def port_of(fact: Fact) -> int:
    """Number of the Service's port that is asked."""
    return fact.cell.target.service_port or fact.cell.target.port


def many_records(fact: Fact, at: At) -> bool:
    """A lookup whose answer fills a packet."""
    return fact.path == "dns" and fact.cell.target.extra.count("/") > 1
