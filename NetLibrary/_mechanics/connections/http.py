"""HTTP requests from sources, and what was answered by whom."""

from __future__ import annotations

import http.client
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.connections import tls
from NetLibrary._mechanics.connections.relay import Relay
from NetLibrary._mechanics.connections.run import Target
from NetLibrary._mechanics.polling import settle
from NetLibrary._mechanics.secrets import head
from NetLibrary._mechanics.vantage import Vantage
from NetLibrary._mechanics.verdict import Check, at_most

# More is neither shown nor compared
MOST_BYTES = 1_000_000
_STATUS = re.compile(r"[1-5](\d\d|xx)", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """A request.

    Args:
        url: Where to.
        method: Method.
        headers: Headers.
        body: Body.
        family: `any`, `ipv4` or `ipv6`.
        limit_seconds: For each step of it.
        verify: Whether a certificate must be trusted.
        ca: File with authorities, or their certificates as PEM text; those of this machine when empty.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    family: str = "any"
    limit_seconds: float = 5.0
    verify: bool = True
    ca: str = ""


@dataclass(frozen=True)
class Wanted:
    """What an answer must be.

    Args:
        statuses: Statuses, each as `204` or `2xx`.
        text: Part of the body.
        pods: Names of pods, one of which must have answered; anybody when empty.
        slowest_ms: Longest time from the request to the whole answer.
    """

    statuses: tuple[str, ...] = ("200",)
    text: str = ""
    pods: tuple[str, ...] = ()
    slowest_ms: float | None = None


@dataclass(frozen=True)
class Answered:
    """What came of a request.

    Args:
        source: Where it came from.
        status: HTTP status, 0 when there was no answer.
        text: Body.
        headers: Headers of the answer, their names in small letters.
        ms: Milliseconds from the request to the whole answer.
        address: Address that was connected to, as far as known.
        problem: Why there was no answer.
        pod: The pod that answered, told by its name in body or headers; empty when unknown.
    """

    source: str
    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    ms: float = 0.0
    address: str = ""
    problem: str = ""
    pod: str = ""


def statuses(text: str) -> tuple[str, ...]:
    """Reads the statuses that are allowed.

    Raises:
        InputError: One of them is none.

    Example:
        >>> statuses("200, 3xx")
        ('200', '3xx')
    """
    words = tuple(word.strip().lower() for word in str(text).split(","))
    for word in words:
        if not _STATUS.fullmatch(word):
            raise errors.InputError(f"status is '{text}'; give, for instance, 200 or 2xx, separated by commas.")
    return words


def target_of(url: str) -> tuple[Target, str, bool]:
    """Returns where a URL leads, its path with the query, and whether over TLS.

    Raises:
        InputError: It is no URL of HTTP.

    Example:
        >>> target_of("https://web.shop/a?b=c")[1:]
        ('/a?b=c', True)
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is none, or half a bracket
        host = port = None
    if not host or parts.scheme not in ("http", "https"):
        raise errors.InputError(
            f"url is '{url}'; give, for instance, http://web.shop/, https://web.shop:8443/path and, with an IPv6 "
            "address, http://[2001:db8::1]:8080/."
        )
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, port or (443 if secure else 80)), path, secure


def ask(source: Vantage, asked: Asked, pods: Sequence[str] = ()) -> Answered:
    """Sends one request over a new connection, without following redirections."""
    target, path, secure = target_of(asked.url)
    begin = time.monotonic()
    with Relay(source, target, asked.family, asked.limit_seconds) as relay:
        connection = http.client.HTTPConnection(target.host, target.port, timeout=asked.limit_seconds)
        try:
            connection.sock = relay.socket
            if secure:
                context = tls.context(asked.ca) if asked.verify else tls.any_certificate()
                connection.sock = context.wrap_socket(relay.socket, server_hostname=target.host)
                connection.default_port = 443
            begin = time.monotonic()
            connection.request(asked.method, path, body=asked.body.encode() or None, headers=dict(asked.headers))
            answer = connection.getresponse()
            body = answer.read(MOST_BYTES).decode(errors="replace")
        except ssl.SSLCertVerificationError as error:
            return Answered(source.name, 0, problem=f"its certificate is not trusted: {error.verify_message}")
        except (OSError, http.client.HTTPException) as error:
            result, words = relay.failure()
            plain = f"{result}: {words}" if result != "other" or not str(error) else f"{words}: {error}"
            return Answered(source.name, 0, ms=(time.monotonic() - begin) * 1000, problem=plain)
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        ms = (time.monotonic() - begin) * 1000
        said = f"{body}\n{' '.join(headers.values())}"
        pod = next((name for name in sorted(pods, key=len, reverse=True) if name in said), "")
        return Answered(source.name, answer.status, body, headers, ms, relay.address, "", pod)


def request(
    source: Vantage, asked: Asked, wanted: Wanted, *, attempts: int, settle_seconds: float
) -> tuple[list[Answered], list[Check]]:
    """Asks until an answer is as wanted or the time to settle is over; that one and the next ones are judged."""
    answers: list[Answered] = []

    def good() -> bool:
        answers[:] = [ask(source, asked, wanted.pods)]
        return all(check.passed for check in judge(answers[0], asked, wanted))

    settle(good, timeout=settle_seconds, every=0.5, what=f"Wanted answer of {asked.url}")
    answers += [ask(source, asked, wanted.pods) for _ in range(attempts - 1)]
    return answers, [check for answer in answers for check in judge(answer, asked, wanted)]


def judge(answer: Answered, asked: Asked, wanted: Wanted) -> list[Check]:
    """Returns the checks of one answer."""
    what = f"{asked.method} {asked.url} from '{answer.source}'"
    allowed = ", ".join(wanted.statuses)
    if not answer.status:
        return [Check(f"{what}: status", allowed, None, "", False, f"{what}: no answer, {answer.problem}.")]
    fits = any(re.fullmatch(word.replace("x", r"\d"), str(answer.status)) for word in wanted.statuses)
    begin = head(" ".join(answer.text.split()), 150) or "an empty body"
    text = f"{what}: expected status {allowed}, seen {answer.status}, with: {begin}"
    checks = [Check(f"{what}: status", allowed, answer.status, "", fits, text)]
    if fits and wanted.text:
        there = wanted.text in answer.text
        text = f"{what}: '{wanted.text}' is not in the answer, which begins with: {begin}"
        checks.append(Check(f"{what}: text", wanted.text, begin, "", there, text))
    if fits and wanted.pods:
        known = ", ".join(wanted.pods[:5])
        text = f"{what}: none of the pods {known} has its name in the answer, which begins with: {begin}"
        checks.append(Check(f"{what}: answered by", ", ".join(wanted.pods), answer.pod, "", bool(answer.pod), text))
    if fits and wanted.slowest_ms is not None:
        checks.append(at_most(f"{what}: time", wanted.slowest_ms, round(answer.ms, 1), "ms"))
    return checks
