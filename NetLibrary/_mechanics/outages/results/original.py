"""The six figures of kube-ovn's test-server, for comparison with its published tables.

The program counts, over one target and 60 s: ICMP echoes sent and lost, TCP segments sent and retransmitted,
connections tried and failed. The first four come from the kernel's counters (so do they there), with the same blind
spots: an echo that was refused locally is neither sent nor lost. That is why our own records stand beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from NetLibrary._mechanics.outages.results.counters import Delta
from NetLibrary._mechanics.outages.run.inpod.wire import Outcome
from NetLibrary._mechanics.outages.types import NEW, ProbeKind, StreamResult
from NetLibrary.types import OutagePath


@dataclass(frozen=True)
class KnownFigures:
    """Keys and meaning as in the program's JSON."""

    total_icmp_echo: int
    icmp_lost: int
    total_tcp_out_segments: int
    tcp_retrans_segment: int
    total_tcp_connection: int
    failed_tcp_connection: int


#: What the program's README publishes of a reload, November 2022 and March 2023, one run of 60 s each: echoes lost, and
#: segments sent again / connections failed; by the names that the paths have here.
PUBLISHED_ICMP = {
    OutagePath.POD_ON_SAME_NODE: ("0", "0"),
    OutagePath.OWN_GATEWAY: ("13", "0"),
    OutagePath.OWN_NODE: ("15", "1"),
    OutagePath.POD_ON_OTHER_NODE: ("4", "0"),
    OutagePath.OTHER_GATEWAY: ("21", "0"),
    OutagePath.OTHER_NODE: ("16", "0"),
    OutagePath.OUTSIDE_ADDRESS: ("32", "0"),
}
PUBLISHED_TCP = {
    OutagePath.POD_ON_OTHER_NODE: ("38 / 1", "8 / 0"),
    OutagePath.SERVICE: ("86 / 0", "16 / 0"),
    OutagePath.OUTSIDE_ADDRESS: ("4 / 1", "5 / 0"),
    OutagePath.NODE_PORT_FROM_OUTSIDE: ("connection reset", "0 / 0"),
}


def from_counters(changes: Delta, results: Iterable[StreamResult]) -> KnownFigures | None:
    """Returns the figures as the program counts them: for the whole namespace, all paths together.

    None when the counters are invalid.
    """
    if changes.invalid:
        return None
    connections = [result for result in results if result.spec.kind in NEW]
    return KnownFigures(
        total_icmp_echo=changes.get("Icmp.OutEchos"),
        icmp_lost=changes.get("Icmp.OutEchos") - changes.get("Icmp.InEchoReps"),
        total_tcp_out_segments=changes.get("Tcp.OutSegs"),
        tcp_retrans_segment=changes.get("Tcp.RetransSegs"),
        total_tcp_connection=sum(result.sent for result in connections),
        failed_tcp_connection=sum(result.lost for result in connections),
    )


def of_path(results: Iterable[StreamResult]) -> dict[str, int]:
    """Returns the four figures that can be told per path, from the probes' own records."""
    figures = {"TotalIcmpEcho": 0, "IcmpLost": 0, "TotalTCPConnection": 0, "FailedTCPConnection": 0}
    for result in results:
        if result.spec.kind is ProbeKind.ICMP:
            left = result.sent - result.outcomes.get(Outcome.UNSENT.name, 0)
            # A late reply is a reply to the counters, so it is not lost there.
            replied = result.answered + result.outcomes.get(Outcome.LATE.name, 0)
            figures["TotalIcmpEcho"] += left
            figures["IcmpLost"] += left - replied
        elif result.spec.kind in NEW:
            figures["TotalTCPConnection"] += result.sent
            figures["FailedTCPConnection"] += result.lost
    return figures
