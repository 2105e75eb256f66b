"""When an API server gave no answer at all, so that what failed or took long meanwhile can say so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Shorter ones are no news: one address of several, or one connection, may be refused on the way
LEAST = 0.5
# client-go, and so each kubelet and controller, asks a server that was away again after 0.8 s, then after twice as long
# each time, up to a minute; it begins anew after two minutes without trouble. A watch that is opened again at last may
# be told to list anew, which waits once more: a kubelet took 110 s after the third absence within two minutes.
RECOVERY = 120.0
# Whoever is away for longer may not come back
GONE = 30.0
# For so long after its start a server may refuse what it allows later: it reads accounts and roles from its store first
STARTING = 10.0


class Absences:
    """The times in which one API server took no connection. Safe to use from several threads.

    Args:
        now: Tells the time.
        pause: Waits.

    Example:
        >>> times = iter([10.0, 14.0])
        >>> absences = Absences(lambda: next(times))
        >>> absences.silent(7.0)
        >>> absences.heard()
        >>> absences.words("default", since=0.0).partition(". ")[0]
        "The API server of cluster 'default' gave no answer for 3 s meanwhile, until 4 s ago"
    """

    def __init__(
        self, now: Callable[[], float] = time.monotonic, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._now, self._pause = now, pause
        self._lock = threading.Lock()
        self._past: list[tuple[float, float]] = []
        self._since: float | None = None
        self._heard = float("-inf")

    def silent(self, began: float) -> None:
        """Takes note that an attempt to connect came to nothing.

        Args:
            began: When the attempt began; an answer to somebody else since then outweighs it.
        """
        with self._lock:
            if self._since is None and began > self._heard:
                self._since = began

    def heard(self) -> None:
        """Takes note of an answer."""
        with self._lock:
            now = self._heard = self._now()
            if self._since is not None:
                if now - self._since >= LEAST:
                    self._past.append((self._since, now))
                self._since = None

    def returned_within(self, seconds: float) -> bool:
        """Tells whether the server came back so short a while ago."""
        with self._lock:
            return self._now() - self._back() < seconds

    def recovery_left(self) -> float:
        """Returns for how many seconds more Kubernetes' own programs may not have noticed the server's return."""
        with self._lock:
            return max(0.0, self._back() + RECOVERY - self._now())

    def retried(self, attempt: Callable[[], T], failed: Callable[[T], object], *, every: float = 2.0) -> T:
        """Makes an attempt, and others while they fail for what may be no fault but the server's absence.

        Args:
            attempt: Returns a result.
            failed: Tells whether a result is one that a late kubelet, kube-proxy or controller brings about.
            every: Seconds between two attempts.
        """
        result = attempt()
        while failed(result) and (left := self.recovery_left()):
            self._pause(min(every, left))
            result = attempt()
        return result

    def _back(self) -> float:
        """Returns when the server came back last, long ago where it never was away."""
        return self._past[-1][1] if self._past else float("-inf")

    def allowance(self, start: float, timeout: float) -> float:
        """Returns how many seconds more a wait may take because the server was away.

        Until two minutes after its return Kubernetes' own programs may not have noticed it. They, or as long again as
        the wait where that is less, are given once, and not for a server that seems to be gone for good.

        Args:
            start: When the wait began.
            timeout: Its limit in seconds.
        """
        with self._lock:
            now, since = self._now(), self._since
            back = self._back() if since is None else now
        if since is not None and now - since > GONE:
            return 0.0
        return min(max(0.0, back + RECOVERY - (start + timeout)), timeout, RECOVERY)

    def words(self, alias: str, since: float) -> str:
        """Returns a sentence about what was since a moment, empty when there was nothing.

        Args:
            alias: Name of the cluster.
            since: The moment; an absence that ended up to two minutes before it counts too, for its effects.
        """
        with self._lock:
            now = self._now()
            found = [each for each in self._past if each[1] > since - RECOVERY]
            away = self._since is not None and now - self._since >= LEAST
            if self._since is not None and away:
                found.append((self._since, now))
        if not found:
            return ""
        seconds = sum(end - begin for begin, end in found)
        long = f"for {seconds:.0f} s meanwhile"
        if len(found) > 1:
            long = f"{len(found)} times meanwhile, for {seconds:.0f} s in all"
        until = "and gives none now" if away else f"until {now - found[-1][1]:.0f} s ago"
        return (
            f"The API server of cluster '{alias}' gave no answer {long}, {until}. "
            "Kubelets and controllers may not notice for two minutes, so what they do comes late."
        )
