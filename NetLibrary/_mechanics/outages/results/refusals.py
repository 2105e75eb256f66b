"""What the streams of one path say about each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from NetLibrary._mechanics.outages.types import OutageKind, ProbeKind, StreamResult, Window

APART_MS = 20.0
_ONE_BY_ONE = (ProbeKind.ICMP, ProbeKind.UDP, ProbeKind.TCP_NEW, ProbeKind.HTTP)


def share_refusals(streams: Sequence[StreamResult]) -> None:
    """Names an outage that looked silent to one stream `unreachable` when another stream of its path was told so.

    A kernel sends about one ICMP error a second to each host that it answers, whatever the errors are about (`icmp(7)`,
    icmp_ratelimit). The streams of a path have to share them: the echoes, of which there are more, get them, and a few
    new connections get none. Only outages that begin and end together are taken for the same one.

    Args:
        streams: Results of one prober; their windows may be changed.
    """
    for _path, group in groupby(streams, key=lambda stream: stream.spec.path):
        of_path = list(group)
        told = [window for stream in of_path for window in stream.windows if window.kind is OutageKind.UNREACHABLE]
        for stream in of_path:
            if stream.spec.kind in _ONE_BY_ONE:
                stream.windows = [_named(window, told) for window in stream.windows]


def _named(window: Window, told: Sequence[Window]) -> Window:
    if window.kind is OutageKind.SILENT_DROP and any(together(window, other) for other in told):
        return replace(window, kind=OutageKind.UNREACHABLE)
    return window


def together(one: Window, other: Window) -> bool:
    """Tells whether two outages can have begun and ended at the same times."""
    slack = sum((window.longest_ms - window.shortest_ms) / 4 for window in (one, other)) + APART_MS
    return all(
        abs(first - second) <= slack * 1e6
        for first, second in ((one.start_ns, other.start_ns), (one.end_ns, other.end_ns))
    )
