"""The clock of a cluster beside ours, read from the `Date` of the API server's answers.

Time stamps of objects are the cluster's. Compared with a clock of ours that is an hour wrong, a live run looks dead, a
restart of yesterday looks new, and an event that was just now does not exist.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

# The server's date has whole seconds, and an answer may have been on its way for a while
RESOLUTION = 2.0


class Clock:
    """Tells the cluster's time.

    Example:
        >>> clock = Clock()
        >>> clock.hear("Thu, 01 Jan 1970 01:00:00 GMT", sent=0.2, received=0.4)
        >>> clock.ahead
        3600.2
    """

    def __init__(self) -> None:
        self.ahead = 0.0  # seconds that the cluster's clock is ahead of ours, 0 when they agree

    def hear(self, date: str | None, sent: float, received: float) -> None:
        """Learns from an answer.

        Args:
            date: Its header `Date`; None or nonsense is passed over.
            sent: Our time when it was asked for.
            received: Our time when it came.
        """
        try:
            moment = parsedate_to_datetime(date or "").timestamp()
        except (TypeError, ValueError):
            return
        # A date was true for a second, somewhere between the two moments
        least, most = moment - received, moment + 1.0 - sent
        agreed = least <= RESOLUTION and most >= -RESOLUTION
        self.ahead = 0.0 if agreed else (least + most) / 2

    def now(self) -> float:
        """Returns the cluster's time in seconds since 1970."""
        return time.time() + self.ahead
