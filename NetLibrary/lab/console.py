"""What the lab tells the person in front of it: one line for each thing that takes time, on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]


def say(text: str) -> None:
    """Writes one line to standard error."""
    print(f"[lab] {text}", file=sys.stderr, flush=True)


def silent(text: str) -> None:
    """Swallows a line; for callers that want no output."""


class Stopwatch:
    """Notes how long each named phase took; phases may overlap, because many run side by side.

    Example:
        >>> watch = Stopwatch()
        >>> with watch.phase("certificates"):
        ...     pass
        >>> sorted(watch.seconds)
        ['certificates']
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measures the time spent within; a phase entered several times keeps the longest."""
        begin = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - begin
            with self._lock:
                self.seconds[name] = max(round(spent, 3), self.seconds.get(name, 0.0))

    def total(self) -> float:
        """Returns the seconds since the stopwatch was made."""
        return time.monotonic() - self.started
