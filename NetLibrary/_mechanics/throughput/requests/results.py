"""Reads what a fortio client printed."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.secrets import head

_DOCUMENT = re.compile(r"^\{\n.*?^\}$", re.DOTALL | re.MULTILINE)
_WORDS = re.compile(r'"(?:err|msg)":"((?:[^"\\]|\\.)*)"')
_GOOD = re.compile(r"[23]\d\d")
SOCKET_ERROR = "-1"


@dataclass(frozen=True)
class RequestRun:
    """What a client measured; times are from sending a request to its whole answer.

    Args:
        answers: Requests that were answered with a status from 200 to 399.
        failed: Requests that were not.
        failures: Those by kind: a status, or the words of the client's system.
        seconds: How long it went.
        requests_per_second: Good answers in that time.
        connections: Connections that were opened.
        p50_ms: Half of the answers took no longer.
        p99_ms: 99 of 100 took no longer.
        p999_ms: 999 of 1000 took no longer.
        max_ms: The slowest.
        mean_ms: The mean.
        version: Version of fortio.
    """

    answers: int
    failed: int
    failures: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    requests_per_second: float = 0.0
    connections: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    max_ms: float = 0.0
    mean_ms: float = 0.0
    version: str = ""


def read(output: str) -> RequestRun:
    r"""Reads the output of a client.

    Raises:
        EnvironmentProblem: It holds no result.

    Example:
        >>> read('{"level":"err","msg":"Aborting because of lookup x: no such host"}')
        Traceback (most recent call last):
        ...
        NetLibrary._mechanics.errors.EnvironmentProblem: The client produced no result: lookup x: no such host
    """
    # A pod's log has lines of both streams among each other; those of the document are braces and what is indented
    lines = [line for line in output.splitlines() if line in ("{", "}") or line.startswith("  ")]
    documents = _DOCUMENT.findall("\n".join(lines))
    if not documents:
        raise EnvironmentProblem(f"The client produced no result: {_last_words(output)}")
    try:
        return _read(json.loads(documents[-1]), output)
    except (ValueError, KeyError, TypeError) as error:
        raise EnvironmentProblem(
            f"What the client printed cannot be read ({error!r}): {head(documents[-1], 200)}"
        ) from error


def _read(document: dict[str, Any], output: str) -> RequestRun:
    codes = {str(code): int(count) for code, count in (document.get("RetCodes") or {}).items()}
    good = sum(count for code, count in codes.items() if _GOOD.fullmatch(code))
    failures = {f"status {code}": count for code, count in codes.items() if not _GOOD.fullmatch(code)}
    if codes.get(SOCKET_ERROR):
        del failures[f"status {SOCKET_ERROR}"]
        failures[_socket_words(output)] = codes[SOCKET_ERROR]
    histogram = document["DurationHistogram"]
    times = {each["Percentile"]: each["Value"] * 1000 for each in histogram.get("Percentiles") or []}
    seconds = float(document["ActualDuration"]) / 1e9
    return RequestRun(
        answers=good,
        failed=sum(failures.values()),
        failures=failures,
        seconds=seconds,
        requests_per_second=good / seconds if seconds else 0.0,
        connections=int(document.get("SocketCount") or 0),
        p50_ms=times.get(50, 0.0),
        p99_ms=times.get(99, 0.0),
        p999_ms=times.get(99.9, 0.0),
        max_ms=float(histogram["Max"]) * 1000,
        mean_ms=float(histogram["Avg"]) * 1000,
        version=str(document.get("Version", "")),
    )


def _socket_words(output: str) -> str:
    """Returns what the system said most often: `connection refused`, `i/o timeout`."""
    words = Counter(text.rpartition(": ")[2] for text in re.findall(r'"err":"((?:[^"\\]|\\.)*)"', output))
    return words.most_common(1)[0][0] if words else "no answer"


def _last_words(output: str) -> str:
    told = [text for text in _WORDS.findall(output) if text]
    text = told[-1].replace('\\"', '"') if told else (output.strip().splitlines() or ["it printed nothing"])[-1]
    return head(text.removeprefix("Aborting because of "), 300)
