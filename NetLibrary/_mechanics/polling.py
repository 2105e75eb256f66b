"""The one loop that asks again and again, for everything that cannot be watched.

`tenacity` retries calls that raise; what is needed here is the other half: ask until an answer is good, with a limit on
the clock and the last state in the message. That is a dozen lines, and a dependency less.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from NetLibrary._mechanics.errors import WaitTimeout

T = TypeVar("T")


def until(
    condition: Callable[[], T],
    *,
    timeout: float,
    every: float | Iterable[float] = 0.1,
    what: str | Callable[[], str],
    pause: Callable[[float], object] | None = None,
) -> T:
    """Asks until the answer is true in Python's sense, and returns it.

    The condition is asked at least once, and once more when the time is up.

    Args:
        condition: What to ask; its errors end the wait.
        timeout: Seconds.
        every: Seconds between two questions; several are used in turn, the last one from then on.
        what: What is waited for, for the message ("Port 5201 of 'node1' open"); a function is asked at the end, so that
            it can tell where things stood.
        pause: Waits instead of `time.sleep`, for instance the `wait` of a `threading.Event` that cuts it short.

    Returns:
        The first answer that is true.

    Raises:
        WaitTimeout: There was none in time.

    Example:
        >>> answers = iter([0, 0, 7])
        >>> until(lambda: next(answers), timeout=5, every=0.001, what="An answer")
        7
    """
    answer = settle(condition, timeout=timeout, every=every, pause=pause)
    if not answer:
        words = what() if callable(what) else what
        raise WaitTimeout(f"{words}: not reached within {timeout:g} s.")
    return answer


def settle(
    condition: Callable[[], T],
    *,
    timeout: float,
    every: float | Iterable[float] = 0.1,
    pause: Callable[[float], object] | None = None,
) -> T:
    """Asks as `until` does, where running out of time is no error: the last answer is returned.

    Example:
        >>> settle(lambda: [], timeout=0.01, every=0.001)
        []
    """
    for left in rounds(timeout=timeout, every=every, pause=pause):
        answer = condition()
        if answer or left <= 0:
            return answer
    return condition()  # the last look had begun before the time was up


def rounds(
    *, timeout: float, every: float | Iterable[float] = 0.1, pause: Callable[[float], object] | None = None
) -> Iterator[float]:
    """Yields the seconds that are left, the first time at once, then after each pause, until the time is up.

    This is for what is measured again and again rather than asked; `until` and `settle` are made of it.

    Example:
        >>> len([left for left in rounds(timeout=0.01, every=1)])
        2
    """
    wait = pause or time.sleep
    deadline = time.monotonic() + timeout
    for seconds in _pauses(every):
        yield max(0.0, deadline - time.monotonic())
        left = deadline - time.monotonic()
        if left <= 0:
            return
        wait(min(seconds, left))


def _pauses(every: float | Iterable[float]) -> Iterator[float]:
    if isinstance(every, (int, float)):
        return itertools.repeat(float(every))
    return _last_repeated(every)


def _last_repeated(pauses: Iterable[float]) -> Iterator[float]:
    last = 0.1
    for last in pauses:
        yield last
    yield from itertools.repeat(last)
