"""Connects, resolves and measures from sources to targets, all pairs at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from NetLibrary._mechanics.connections import results
from NetLibrary._mechanics.connections.results import Answer, Pair, PathMtu
from NetLibrary._mechanics.errors import EnvironmentProblem, ToolMissing
from NetLibrary._mechanics.kube.addresses import in_url
from NetLibrary._mechanics.polling import settle
from NetLibrary._mechanics.vantage import Vantage

# Each pair holds one connection to the API server
AT_ONCE = 32
PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Target:
    """Where to connect.

    Args:
        host: Name or address.
        port: Port.
        name: For tables; `host:port` by default.
        pod: The pod's object, where the target is a pod.
    """

    host: str
    port: int
    name: str = ""
    pod: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.name or f"{in_url(self.host)}:{self.port}"


@dataclass(frozen=True)
class Request:
    """How to connect.

    Args:
        protocol: `tcp` or `udp`. Over UDP a datagram is sent, and an answer of any kind counts as connected.
        family: `any`, `ipv4` or `ipv6`.
        attempts: Attempts that are judged.
        limit_seconds: Longest wait for one of them.
        settle_seconds: Time in which attempts may still end otherwise, because rules take effect a moment later.
    """

    protocol: str = "tcp"
    family: str = "any"
    attempts: int = 3
    limit_seconds: float = 2.0
    settle_seconds: float = 5.0


def connect(
    sources: Sequence[Vantage], targets: Sequence[Target], request: Request, expected: Callable[[str], bool]
) -> list[Pair]:
    """Connects from every source to every target.

    Args:
        sources: Where from.
        targets: Where to.
        request: How.
        expected: Tells whether a result is the expected one. Until the first such result, or the end of the time to
            settle, attempts do not count; the attempts after that do.

    Returns:
        A pair for each source and target.
    """
    pairs = [(source, target) for source in sources for target in targets]
    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(pairs)))) as pool:
        return list(pool.map(lambda pair: _connect_pair(pair[0], pair[1], request, expected), pairs))


def _connect_pair(source: Vantage, target: Target, request: Request, expected: Callable[[str], bool]) -> Pair:
    pair = Pair(source.name, str(target), repeat=_by_hand(source, target, request))
    tries: list[results.Attempt] = []

    def as_expected() -> bool:
        tries.append(_ask(source, target, request, 1)[0])
        return expected(tries[-1].result)

    what = f"Expected result of connections from '{source.name}' to '{target}'"
    settle(as_expected, timeout=request.settle_seconds, every=PAUSE_SECONDS, what=what)
    *pair.settling, first = tries
    rest = _ask(source, target, request, request.attempts - 1) if request.attempts > 1 else []
    pair.attempts = [first, *rest]
    return pair


def _ask(source: Vantage, target: Target, request: Request, count: int) -> list[results.Attempt]:
    words = [target.host, str(target.port), request.protocol, f"{request.limit_seconds:g}", str(count), request.family]
    ran = source.run(
        ["sh", "-c", script("connect.sh"), "connect", *words, script("connect.py")],
        timeout=count * (request.limit_seconds + 5) + 10,
    )
    return results.attempts(ran, source.name)


def _by_hand(source: Vantage, target: Target, request: Request) -> str:
    if request.protocol != "tcp":
        return ""
    return f"{source.repeat} sh -c 'nc -z -v -w {request.limit_seconds:.0f} {target.host} {target.port}'".strip()


def resolve(sources: Sequence[Vantage], name: str, kind: str, limit_seconds: float) -> list[tuple[str, Answer]]:
    """Asks for a name from every source; returns each source's name with its answer.

    Args:
        sources: Where from.
        name: Name to ask for.
        kind: Type of the records; `ADDRESS` asks for A and AAAA.
        limit_seconds: Longest wait for an answer.
    """
    kinds = ("A", "AAAA") if kind == "ADDRESS" else (kind,)

    def ask(source: Vantage) -> tuple[str, Answer]:
        return source.name, results.joined([_ask_name(source, name, each, limit_seconds) for each in kinds])

    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(sources)))) as pool:
        return list(pool.map(ask, sources))


def _ask_name(source: Vantage, name: str, kind: str, limit_seconds: float) -> Answer:
    words = [name, kind, f"{max(1.0, limit_seconds):g}", script("resolve.py")]
    ran = source.run(["sh", "-c", script("resolve.sh"), "resolve", *words], timeout=limit_seconds * 8 + 10)
    return results.answer(ran, source.name)


def measure_path_mtu(source: Vantage, host: str, limit_seconds: float = 0.5) -> PathMtu:
    """Finds the largest packet that gets from a source to a host, which must answer pings."""
    try:
        ran = source.run(["python3", "-c", script("path_mtu.py"), host, f"{limit_seconds:g}"], timeout=60)
    except ToolMissing as error:
        raise EnvironmentProblem(
            f"'{source.name}' has no python3, which measures a path's MTU; 'Get Outage Probe Image' returns an image "
            "that has it, for 'Start Prober'."
        ) from error
    return results.path_mtu(ran, source.name)


@cache
def script(name: str) -> str:
    """Returns one of the scripts that run at a source."""
    return files("NetLibrary._mechanics.connections").joinpath("scripts").joinpath(name).read_text()
