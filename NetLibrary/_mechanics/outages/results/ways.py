"""Which direction of a path lost the packets of an outage.

Echo servers write into each answer how many requests of its client have come. After a gap that tells how many of the
missing requests had reached the server: all of them, and the way back lost the answers; none, and the way there was
cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from NetLibrary._mechanics.outages.results.refusals import together
from NetLibrary._mechanics.outages.types import OutageKind, ProbeKind, StreamLog, StreamResult, Window

MOST = 0.9
THERE, BACK, BOTH = "requests lost on the forward path", "answers lost on the return path", "requests and answers lost"
_SILENT = (OutageKind.SILENT_DROP, OutageKind.STALLED)
_ONE_BY_ONE = (ProbeKind.ICMP, ProbeKind.UDP, ProbeKind.TCP_NEW, ProbeKind.HTTP)


def way_of(missing: int, reached: int) -> str:
    """Names the direction that lost probes.

    >>> way_of(70, 0)
    'requests lost on the forward path'
    >>> way_of(70, 70)
    'answers lost on the return path'
    """
    if reached >= MOST * missing:
        return BACK
    return THERE if reached <= (1 - MOST) * missing else BOTH


def tell_ways(stream: StreamResult, log: StreamLog) -> None:
    """Names the direction in the windows of a stream; on the prober's clock."""
    stream.windows = [_with_way(window, log.ways) for window in stream.windows]


def _with_way(window: Window, ways: Sequence[tuple[int, int, int, int]]) -> Window:
    inside = [w for w in ways if w[0] <= window.end_ns and w[1] >= window.start_ns]
    missing = sum(w[2] for w in inside)
    if window.kind not in _SILENT or not missing:
        return window
    return replace(window, way=way_of(missing, sum(w[3] for w in inside)))


def share_ways(streams: Sequence[StreamResult]) -> None:
    """Gives what one stream knows of the direction to the outages of its path that began and ended together with it.

    Args:
        streams: Results of one prober; their windows may be changed.
    """
    for _path, group in groupby(streams, key=lambda stream: stream.spec.path):
        of_path = list(group)
        told = [window for stream in of_path for window in stream.windows if window.way]
        for stream in of_path:
            if stream.spec.kind in _ONE_BY_ONE:
                stream.windows = [_shared(window, told) for window in stream.windows]


def _shared(window: Window, told: Sequence[Window]) -> Window:
    if window.way or window.kind not in _SILENT:
        return window
    ways = {other.way for other in told if together(window, other)}
    return replace(window, way=ways.pop()) if len(ways) == 1 else window
