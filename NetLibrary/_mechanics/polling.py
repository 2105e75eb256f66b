"""The one loop that asks again and again, for everything that cannot be watched.

`tenacity` retries calls that raise; what is needed here is the other half: ask until an answer is good, with a limit on
the clock and the last state in the message. That is a dozen lines, and a dependency less.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, TypeVar

from NetLibrary._mechanics.errors import WaitTimeout

T = TypeVar("T")

# Whoever sees no word on the terminal for much longer takes a wait for a hang
SILENT_SECONDS, AGAIN_SECONDS = 4.0, 30.0
# Waits of several threads at once: one of them speaks for all
APART_SECONDS = 2.0


class LongWait:
    """Tells a terminal that a wait goes on: after some seconds, and now and then from then on.

    Args:
        what: What is waited for; a function is asked each time.
        timeout: Seconds.

    Example:
        >>> LongWait.tell = print
        >>> LongWait("Address of Service 'web'", 20).goes_on("no address yet", since=5)
        Address of Service 'web': no address yet; waiting for up to 20 s.
        >>> LongWait.tell = None
    """

    #: Gets the lines; None where nobody reads them.
    tell: ClassVar[Callable[[str], None] | None] = None
    _spoke: ClassVar[float] = float("-inf")

    def __init__(self, what: str | Callable[[], str], timeout: float) -> None:
        self._what, self._timeout, self._begin = what, timeout, time.monotonic()
        self._due = SILENT_SECONDS

    def goes_on(self, state: str = "", *, since: float | None = None) -> None:
        """Says so where it is time; `state` is where things stand, `since` how many seconds it has waited."""
        passed = time.monotonic() - self._begin if since is None else since
        tell = type(self).tell
        if tell is None or not self._what or passed < self._due or self._timeout <= SILENT_SECONDS + 1:
            return
        first, self._due = self._due == SILENT_SECONDS, passed + AGAIN_SECONDS
        if time.monotonic() - LongWait._spoke < APART_SECONDS:
            return
        LongWait._spoke = time.monotonic()
        words = ": ".join(filter(None, (self._what() if callable(self._what) else self._what, state)))
        left = f"for up to {self._timeout:.0f} s" if first else f"since {passed:.0f} s, up to {self._timeout:.0f} s"
        tell(f"{words.rstrip('.')}; waiting {left}.")


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
    answer = settle(condition, timeout=timeout, every=every, pause=pause, what=what)
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
    what: str | Callable[[], str] = "",
) -> T:
    """Asks as `until` does, where running out of time is no error: the last answer is returned.

    Where the wait may be long, `what` is for the terminal.

    Example:
        >>> settle(lambda: [], timeout=0.01, every=0.001)
        []
    """
    for left in rounds(timeout=timeout, every=every, pause=pause, what=what):
        answer = condition()
        if answer or left <= 0:
            return answer
    return condition()  # the last look had begun before the time was up


def rounds(
    *,
    timeout: float,
    every: float | Iterable[float] = 0.1,
    pause: Callable[[float], object] | None = None,
    what: str | Callable[[], str] = "",
) -> Iterator[float]:
    """Yields the seconds that are left, the first time at once, then after each pause, until the time is up.

    This is for what is measured again and again rather than asked; `until` and `settle` are made of it.

    Example:
        >>> len([left for left in rounds(timeout=0.01, every=1)])
        2
    """
    wait, told = pause or time.sleep, LongWait(what, timeout)
    deadline = time.monotonic() + timeout
    for seconds in _pauses(every):
        told.goes_on()
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
