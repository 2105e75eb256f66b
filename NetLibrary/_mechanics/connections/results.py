"""What the scripts at a source said, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.secrets import tail
from NetLibrary._mechanics.vantage import Ran

CONNECTED, REFUSED, SILENT, UNREACHABLE, UNRESOLVED = "connected", "refused", "silent", "unreachable", "unresolved"
RESULTS = (CONNECTED, REFUSED, SILENT, UNREACHABLE, UNRESOLVED, "other")
WORDS = {
    CONNECTED: "connected",
    REFUSED: "refused at once",
    SILENT: "no answer within the limit",
    UNREACHABLE: "the network reported it as unreachable",
    UNRESOLVED: "the name was not resolved",
    "other": "another error",
}


@dataclass(frozen=True)
class Attempt:
    """One attempt to connect.

    Args:
        result: `connected`, `refused`, `silent`, `unreachable`, `unresolved` or `other`.
        ms: Milliseconds it took.
        text: What the program said, for instance the address.
    """

    result: str
    ms: float
    text: str = ""


@dataclass
class Pair:
    """All attempts from one source to one target.

    Args:
        source: Name of the source.
        target: `host:port`.
        attempts: Those that are judged, in their order.
        settling: Those before, which were still allowed to end otherwise.
        repeat: Command line that repeats one by hand; empty where there is none.
    """

    source: str
    target: str
    attempts: list[Attempt] = field(default_factory=list)
    settling: list[Attempt] = field(default_factory=list)
    repeat: str = ""

    def count(self, result: str) -> int:
        """Returns how many of the judged attempts ended so."""
        return sum(attempt.result == result for attempt in self.attempts)

    @property
    def seen(self) -> str:
        """The results with their counts, for instance `silent, 3 of 3`."""
        counts = {result: self.count(result) for result in RESULTS if self.count(result)}
        return ", ".join(f"{WORDS[result]} ({count} of {len(self.attempts)})" for result, count in counts.items())


@dataclass(frozen=True)
class Answer:
    """A name server's answer.

    Args:
        status: `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `TIMEOUT` or another word of the protocol.
        ms: Milliseconds it took.
        values: The records' values.
    """

    status: str
    ms: float
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class PathMtu:
    """The largest packet that gets through.

    Args:
        mtu: Bytes with all headers from the IP header on; 0 when not even small ones were answered.
        how: `device`: the own device is the limit; `told`: a router said so; `silent`: larger ones vanish.
        text: What else the program said.
    """

    mtu: int
    how: str
    text: str = ""


def attempts(ran: Ran, where: str) -> list[Attempt]:
    """Reads what `connect.sh` printed.

    Raises:
        EnvironmentProblem: It could not be run there.

    Example:
        >>> attempts(Ran("silent 2000.4 no answer from 192.0.2.1", "", 0), "demo/a")
        [Attempt(result='silent', ms=2000.4, text='no answer from 192.0.2.1')]
    """
    found = []
    for line in ran.stdout.splitlines():
        result, _, rest = line.partition(" ")
        ms, _, text = rest.partition(" ")
        if result == "unusable":
            raise EnvironmentProblem(f"'{where}' cannot connect: {text}. Use a source with one of them.")
        if result in RESULTS:
            found.append(Attempt(result, float(ms), text.strip()))
    if not found:
        raise EnvironmentProblem(
            f"'{where}' printed no result: {tail((ran.stderr or ran.stdout).strip(), 300) or 'nothing'}"
        )
    return found


def answer(ran: Ran, where: str) -> Answer:
    """Reads what `resolve.sh` printed.

    Example:
        >>> answer(Ran("NOERROR 10  10.0.0.2| 10.0.0.1|", "", 0), "demo/a").values
        ('10.0.0.1', '10.0.0.2')
    """
    status, _, rest = ran.stdout.strip().partition(" ")
    ms, _, values = rest.partition(" ")
    if status == "UNUSABLE" or not ms:
        said = values or tail((ran.stderr or ran.stdout).strip(), 300) or "it printed nothing"
        raise EnvironmentProblem(f"'{where}' cannot look up names: {said}. Use a source with dig.")
    return Answer(status, float(ms), tuple(sorted(value.strip() for value in values.split("|") if value.strip())))


def joined(answers: Sequence[Answer]) -> Answer:
    """Returns the answers for several types of records as one: a failure counts only where no answer has a record.

    Example:
        >>> joined([Answer("NOERROR", 2, ("10.0.0.1",)), Answer("SERVFAIL", 5)]).status
        'NOERROR'
        >>> joined([Answer("NOERROR", 2), Answer("TIMEOUT", 5000)]).status
        'TIMEOUT'
    """
    values = tuple(sorted(value for answer in answers for value in answer.values))
    slowest = max(answer.ms for answer in answers)
    if values:
        return Answer("NOERROR", slowest, values)
    unanswered = [answer.status for answer in answers if answer.status not in ("NOERROR", "NXDOMAIN")]
    return Answer((unanswered or [answers[0].status])[0], slowest)


def path_mtu(ran: Ran, where: str) -> PathMtu:
    """Reads what `path_mtu.py` printed.

    Raises:
        EnvironmentProblem: It could not be measured from there.

    Example:
        >>> path_mtu(Ran("1450 device the own device takes 1450", "", 0), "demo/a").mtu
        1450
    """
    words = ran.stdout.strip().split(" ", 2)
    if len(words) < 2 or not words[0].isdigit():
        said = (ran.stderr or ran.stdout).strip().rpartition("\n")[2] or "it printed nothing"
        raise EnvironmentProblem(f"'{where}' cannot measure a path's MTU: {said}. A source with python3 can.")
    if words[1] == "unusable":
        raise EnvironmentProblem(f"'{where}' cannot measure a path's MTU: {words[2]}.")
    return PathMtu(int(words[0]), words[1], words[2] if len(words) > 2 else "")
