"""The kernel's network counters: /proc/net/snmp, netstat and snmp6, and what changed between two readings.

Names decide, never positions: kernels add columns, leave out groups, and print `IcmpMsg` in several pairs of lines.
The counters belong to a network namespace, so that other traffic of the pod is in them too; they check the probes'
own records and do not replace them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from NetLibrary._mechanics.kernel_counters import parse_groups, parse_snmp6
from NetLibrary._mechanics.outages.types import Identity

Counters = dict[str, int]
#: Values that are no counters: settings and momentary states.
NOT_COUNTERS = frozenset(
    {
        "Ip.Forwarding",
        "Ip.DefaultTTL",
        "Tcp.RtoAlgorithm",
        "Tcp.RtoMin",
        "Tcp.RtoMax",
        "Tcp.MaxConn",
        "Tcp.CurrEstab",
    }
)
#: What a report of a break shows, in this order, where the kernel has it.
TELLING = (
    "Icmp.OutEchos",
    "Icmp.InEchoReps",
    "Icmp6OutEchos",
    "Icmp6InEchoReplies",
    "Icmp.InDestUnreachs",
    "Tcp.ActiveOpens",
    "Tcp.AttemptFails",
    "Tcp.EstabResets",
    "Tcp.OutSegs",
    "Tcp.RetransSegs",
    "TcpExt.TCPTimeouts",
    "TcpExt.TCPSynRetrans",
    "TcpExt.TCPAbortOnTimeout",
    "Udp.InErrors",
    "Udp.RcvbufErrors",
    "Udp.NoPorts",
)


def parse_files(files: Mapping[str, str]) -> Counters:
    """Reads the files by their names; files that a kernel lacks (snmp6 without IPv6) are simply not there."""
    found: Counters = {}
    for name in ("snmp", "netstat"):
        if name in files:
            found.update(parse_groups(files[name]))
    if "snmp6" in files:
        found.update(parse_snmp6(files["snmp6"]))
    return found


@dataclass
class Delta:
    """What changed between two readings of the same namespace.

    Args:
        changes: By name; a name that only appears later had been zero (`IcmpMsg` lists only what happened).
        invalid: Why the readings cannot be compared; `changes` is empty then.
    """

    changes: Counters = field(default_factory=dict)
    invalid: str | None = None

    def get(self, name: str) -> int:
        """Returns one change, 0 for what did not happen or is unknown to the kernel."""
        return self.changes.get(name, 0)

    @property
    def retransmit_ratio(self) -> float:
        """Retransmitted share of all TCP segments sent. OutSegs does not count retransmits, hence the sum."""
        sent = self.get("Tcp.OutSegs") + self.get("Tcp.RetransSegs")
        return self.get("Tcp.RetransSegs") / sent if sent else 0.0

    @property
    def telling(self) -> dict[str, int]:
        """The counters that matter for a break, without those that did not move."""
        return {name: self.changes[name] for name in TELLING if self.changes.get(name)}


def delta(before: Counters, after: Counters, *, was: Identity | None = None, now: Identity | None = None) -> Delta:
    """Compares two readings, and refuses to where they are not of the same life of the same pod.

    Args:
        before: First reading.
        after: Second reading.
        was: Whose the first one was, if known.
        now: Whose the second one was.
    """
    if was != now:
        return Delta(invalid=f"the counters come from before and after a restart of the pod ({was} and {now})")
    if not before or not after:
        return Delta(invalid="the counters could not be read")
    changes: Counters = {}
    for name, value in after.items():
        if name in NOT_COUNTERS:
            continue
        change = value - before.get(name, 0)
        if change < 0:
            return Delta(
                invalid=f"{name} went from {before[name]} to {value}: the counters were reset in between (the pod or "
                "its network was recreated)"
            )
        if change:
            changes[name] = change
    return Delta(changes)


def cross_check(changes: Delta, *, planned_v4: int, planned_v6: int, tolerance: int = 5) -> list[str]:
    """Compares the ICMP probes with the kernel's count of echo requests.

    Returns:
        Sentences about probes that never left and about foreign traffic in the same namespace.
    """
    notes = []
    for family, planned, name in (("IPv4", planned_v4, "Icmp.OutEchos"), ("IPv6", planned_v6, "Icmp6OutEchos")):
        counted = changes.get(name)
        if changes.invalid or not (planned or counted):
            continue
        if counted < planned - tolerance:
            notes.append(
                f"{planned - counted} of {planned} {family} echo requests never left the pod (refused locally: no "
                "route, link down or filtered)"
            )
        elif counted > planned + tolerance:
            notes.append(
                f"the kernel counted {counted - planned} more {family} echo requests than the probes sent: other "
                "traffic shares this network namespace"
            )
    return notes
