"""Holds the figures of requests against limits."""

from __future__ import annotations

from dataclasses import dataclass

from NetLibrary._mechanics.throughput.requests.objects import ANSWERS_FOR_P999
from NetLibrary._mechanics.throughput.requests.results import RequestRun
from NetLibrary._mechanics.verdict import Check, at_least, at_most


@dataclass(frozen=True)
class RequestLimits:
    """What is expected; None where nothing is.

    Args:
        p50_at_most: Longest time for half of the answers, in milliseconds as the next two.
        p99_at_most: For 99 of 100.
        p999_at_most: For 999 of 1000.
        rate_at_least: Least good answers per second.
        failed_at_most: Largest share of failed requests, in percent.
    """

    p50_at_most: float | None = None
    p99_at_most: float | None = None
    p999_at_most: float | None = None
    rate_at_least: float | None = None
    failed_at_most: float | None = None


def judge(run: RequestRun, limits: RequestLimits, where: str) -> tuple[list[Check], list[str]]:
    """Returns the checks, and why a limit cannot be judged.

    Args:
        run: What was measured.
        limits: What is expected.
        where: The server, for the sentences.
    """
    total = run.answers + run.failed
    if not run.answers:
        why = ", ".join(f"{kind} {count}" for kind, count in run.failures.items()) or "no request was sent"
        return [Check("answers", "some", 0, "", False, f"'{where}' answered none of {total} requests: {why}.")], []
    checks, errors = [], []
    for name, words, limit, seen in (
        ("p50", "half of the answers", limits.p50_at_most, run.p50_ms),
        ("p99", "99 % of the answers", limits.p99_at_most, run.p99_ms),
        ("p99.9", "99.9 % of the answers", limits.p999_at_most, run.p999_ms),
    ):
        if limit is not None:
            text = f"'{where}': {words} took up to {seen:.3f} ms; at most {limit:g} ms is allowed."
            checks.append(at_most(name, limit, seen, "ms", text))
    if limits.p999_at_most is not None and total < ANSWERS_FOR_P999:
        errors.append(
            f"p99.9 of {total} requests depends on only a few of them; measure longer, so that there are "
            f"{ANSWERS_FOR_P999}."
        )
    if limits.rate_at_least is not None:
        seen = run.requests_per_second
        text = f"'{where}' answered {seen:.0f} requests per second; expected at least {limits.rate_at_least:.10g}."
        checks.append(at_least("requests per second", limits.rate_at_least, seen, "1/s", text))
    if limits.failed_at_most is not None:
        share = 100 * run.failed / total
        why = ", ".join(f"{kind} {count}" for kind, count in run.failures.items())
        text = f"'{where}': {run.failed} of {total} requests failed ({why}); at most {limits.failed_at_most:g} %."
        checks.append(at_most("failed", limits.failed_at_most, share, "%", text))
    return checks, errors
