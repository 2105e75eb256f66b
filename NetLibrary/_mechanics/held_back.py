"""What is no fault of the network: a container that its own CPU limit holds back, datagrams that nobody reads.

A container beyond its limit stands still for the rest of each period of 100 ms. What arrives meanwhile waits in its
sockets, and datagrams for which there is no room are thrown away there, as are those that still wait when the program
ends. The kernel counts both: `cpu.stat` of the container's cgroup, in both versions, and in the pod's network what was
delivered and what was read. Any pod may read its own. Where they cannot be read, nothing is known.

`nr_throttled` alone is not enough: Linux 6.18 counts 1 to 11 of 13 periods, once none, for one and the same program
that stood still in each of them. So the processor time is read too, and who used nearly all that its limit gives was
held back.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from NetLibrary._mechanics.kernel_counters import parse_groups, parse_snmp6

CPU_FILES = (
    "/sys/fs/cgroup/cpu.stat",
    "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/cpu/cpu.stat",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
    "/sys/fs/cgroup/cpuacct/cpuacct.usage",
)
UDP_FILES = ("/proc/net/snmp", "/proc/net/snmp6")
#: Lines of these files that count here, for `grep -E`
LINES = (
    "^(nr_periods|nr_throttled|usage_usec|throttled_usec|throttled_time|Ip:|Icmp:|Tcp:|Udp:"
    "|Ip6InDelivers|Icmp6InMsgs|Udp6[A-z]*) "
    "|^(-?[0-9]+|max)( [0-9]+)?$"
)
#: Shell that prints them as FILE:LINE, and nothing where there is no grep
READ = f"grep -sE '{LINES}' {' '.join((*CPU_FILES, *UDP_FILES))} 2>/dev/null"
#: From this share of the periods on, a container that was throttled decides a rate
OFTEN = 0.2
#: From this share of its limit on, a container has used it up. A limit of a whole processor or more does not count by
#: that: one thread cannot use more anyway.
USED_UP = 0.8
# No room in a buffer, or no memory for one
_OVERRUNS = ("Udp.RcvbufErrors", "Udp.MemErrors", "Udp6RcvbufErrors", "Udp6MemErrors")
# All that IP handed on, and what of it was no datagram, or damaged
_DELIVERED = ("Ip.InDelivers", "Ip6InDelivers")
_OTHERS = ("Tcp.InSegs", "Icmp.InMsgs", "Icmp6InMsgs", "Udp.InCsumErrors", "Udp6InCsumErrors")
_READ = ("Udp.InDatagrams", "Udp6InDatagrams")
_SENT = ("Udp.OutDatagrams", "Udp6OutDatagrams")


@dataclass(kw_only=True)
class CpuCounters:
    """What the cgroup of a container counted until one moment; None for what could not be read."""

    cpu_periods: int | None = None
    cpu_throttled: int | None = None
    cpu_throttled_us: int | None = None
    cpu_used_us: int | None = None
    cpu_quota_us: int | None = None
    cpu_period_us: int | None = None

    @property
    def cpus(self) -> float | None:
        """CPU limit in processors, None when there is none."""
        if self.cpu_quota_us is None or self.cpu_quota_us <= 0 or not self.cpu_period_us:
            return None
        return self.cpu_quota_us / self.cpu_period_us

    def take(self, file: str, words: list[str]) -> None:
        """Takes a line of one of the files.

        Args:
            file: Path or name of the file.
            words: The line.
        """
        match file.rpartition("/")[2], words:
            case "cpu.stat", ["nr_periods", number]:
                self.cpu_periods = int(number)
            case "cpu.stat", ["nr_throttled", number]:
                self.cpu_throttled = int(number)
            case "cpu.stat", ["usage_usec", number]:
                self.cpu_used_us = int(number)
            case "cpuacct.usage", [number]:
                self.cpu_used_us = int(number) // 1000
            case "cpu.stat", ["throttled_usec", number]:
                self.cpu_throttled_us = int(number)
            case "cpu.stat", ["throttled_time", number]:
                self.cpu_throttled_us = int(number) // 1000
            case "cpu.max", [quota, period]:
                self.cpu_quota_us = -1 if quota == "max" else int(quota)
                self.cpu_period_us = int(period)
            case "cpu.cfs_quota_us", [quota]:
                self.cpu_quota_us = int(quota)
            case "cpu.cfs_period_us", [period]:
                self.cpu_period_us = int(period)


@dataclass(frozen=True)
class Held:
    """How a CPU limit held a container back during a time.

    Args:
        throttled: Periods that the kernel counted in which it had used up its share and stood still.
        periods: Periods in which it ran.
        cpus: The limit in processors; None where it is unknown.
        used: Share of what the limit gave in these periods that it used; None where it is unknown.
    """

    throttled: int
    periods: int
    cpus: float | None = None
    used: float | None = None

    @property
    def occurred(self) -> bool:
        """Whether it was held back at all."""
        return self.throttled > 0 or self.used_up

    @property
    def share(self) -> float:
        """Share of the periods, 0 to 1."""
        return min(1.0, self.throttled / self.periods) if self.periods > 0 else 0.0

    @property
    def used_up(self) -> bool:
        """Whether it used nearly all that a limit below one processor gave it."""
        return self.used is not None and self.used >= USED_UP and self.cpus is not None and self.cpus < 1

    @property
    def often(self) -> bool:
        """Whether that decides a rate."""
        return self.share >= OFTEN or self.used_up

    def words(self, limit: str = "") -> str:
        """Returns that in words, with the limit as a manifest has it where it is known.

        Example:
            >>> Held(40, 50, 0.25).words()
            'its CPU limit of 250m throttled it in 80 % of the periods (40 of 50)'
        """
        limit = limit or ("?" if self.cpus is None else cpus_text(self.cpus))
        if self.used_up and self.share < OFTEN:
            return f"it used {100 * min(1.0, self.used or 0.0):.0f} % of its CPU limit of {limit}"
        return (
            f"its CPU limit of {limit} throttled it in {100 * self.share:.0f} % of the periods "
            f"({self.throttled} of {self.periods})"
        )


def held_between(before: CpuCounters | None, after: CpuCounters | None) -> Held | None:
    """Returns what happened between two readings, or since the container's start; None where that is unknown."""
    if after is None or after.cpu_periods is None or after.cpu_throttled is None:
        return None
    periods = after.cpu_periods - ((before and before.cpu_periods) or 0)
    throttled = after.cpu_throttled - ((before and before.cpu_throttled) or 0)
    if periods < 0 or throttled < 0:  # another container
        return None
    cpus = after.cpus or (before and before.cpus) or None
    used = None
    used_before = before.cpu_used_us if before else 0
    if cpus and periods and after.cpu_period_us and after.cpu_used_us is not None and used_before is not None:
        used = (after.cpu_used_us - used_before) / (periods * cpus * after.cpu_period_us)
    return Held(throttled, periods, cpus, used)


def cpus_text(cpus: float) -> str:
    """Returns a limit as manifests have it.

    Example:
        >>> cpus_text(0.25), cpus_text(2.0)
        ('250m', '2')
    """
    return f"{cpus:g}" if cpus == round(cpus) else f"{1000 * cpus:.0f}m"


@dataclass(frozen=True)
class Reading:
    """What a pod counted until one moment.

    Args:
        cpu: What its container's cgroup counted.
        network: What its network counted, by name; empty where that is unknown.
    """

    cpu: CpuCounters
    network: dict[str, int]


def reading(text: str) -> Reading:
    r"""Reads what `READ` printed.

    Example:
        >>> reading("/proc/net/snmp:Udp: InErrors RcvbufErrors\n/proc/net/snmp:Udp: 3 2\n").network
        {'Udp.InErrors': 3, 'Udp.RcvbufErrors': 2}
    """
    cpu, groups, single = CpuCounters(), [], []
    for line in text.splitlines():
        file, _, rest = line.partition(":")
        if file == UDP_FILES[0]:
            groups.append(rest)
        elif file == UDP_FILES[1]:
            single.append(rest)
        else:
            with suppress(ValueError):
                cpu.take(file, rest.split())
    network: dict[str, int] = {}
    with suppress(ValueError):  # cut off
        network = parse_groups("\n".join(groups)) | parse_snmp6("\n".join(single))
    return Reading(cpu, network)


@dataclass(frozen=True)
class Datagrams:
    """What became of the datagrams that arrived in a pod's network between two readings.

    Args:
        arrived: How many came, without one for each that was sent: those are answers, of a name server for instance.
        unread: How many no program read, for want of room in a buffer or because the program had ended.
    """

    arrived: int
    unread: int


def datagrams_between(before: Reading, after: Reading) -> Datagrams | None:
    """Returns what became of datagrams; None where that is unknown."""
    grown = {name: value - before.network[name] for name, value in after.network.items() if name in before.network}
    if not any(name in grown for name in _OVERRUNS) or any(grown.get(name, 0) < 0 for name in _OVERRUNS):
        return None
    overrun, delivered, others, read, sent = (
        sum(grown.get(name, 0) for name in names) for names in (_OVERRUNS, _DELIVERED, _OTHERS, _READ, _SENT)
    )
    arrived = delivered - others
    # More than arrived, where several were delivered as one
    return Datagrams(max(0, arrived - sent), max(overrun, arrived - read))
