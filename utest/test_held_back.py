"""What a pod's kernel counts when not the network was at fault."""

from __future__ import annotations

import doctest
import socket
import subprocess

import pytest

from NetLibrary._mechanics import held_back, kernel_counters
from NetLibrary._mechanics.held_back import READ, CpuCounters, Held, datagrams_between, held_between, reading

V1 = """/sys/fs/cgroup/cpu/cpu.stat:nr_periods {periods}
/sys/fs/cgroup/cpu/cpu.stat:nr_throttled {throttled}
/sys/fs/cgroup/cpu/cpu.stat:throttled_time 3000000
/sys/fs/cgroup/cpu/cpu.cfs_quota_us:{quota}
/sys/fs/cgroup/cpu/cpu.cfs_period_us:100000
"""
V2 = """/sys/fs/cgroup/cpu.stat:nr_periods {periods}
/sys/fs/cgroup/cpu.stat:nr_throttled {throttled}
/sys/fs/cgroup/cpu.stat:throttled_usec 3000
/sys/fs/cgroup/cpu.max:{quota} 100000
"""


@pytest.mark.parametrize("module", [held_back, kernel_counters])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("version", [V1, V2])
def test_both_versions_of_cgroups_tell_the_same(version: str) -> None:
    before = reading(version.format(periods=10, throttled=2, quota=25000)).cpu
    after = reading(version.format(periods=60, throttled=42, quota=25000)).cpu
    assert after.cpu_throttled_us == 3000
    held = held_between(before, after)
    assert held == Held(40, 50, 0.25) and held.often
    assert held.words() == "its CPU limit of 250m throttled it in 80 % of the periods (40 of 50)"


USED = {V1: "/sys/fs/cgroup/cpuacct/cpuacct.usage:{ms}000000\n", V2: "/sys/fs/cgroup/cpu.stat:usage_usec {ms}000\n"}


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize(
    ("quota", "ms", "words"),
    [
        (2000, 41, "it used 100 % of its CPU limit of 20m"),  # a limit is kept over several periods only
        (2000, 19, "it used 95 % of its CPU limit of 20m"),
        (2000, 12, ""),
        (100000, 990, ""),  # no thread could use more
    ],
)
def test_a_limit_that_was_used_up_held_back_whatever_the_kernel_counts(
    version: str, quota: int, ms: int, words: str
) -> None:
    """Linux 6.18 counted none of the periods of a program that lost 68 % of its datagrams by its limit."""
    numbers = {"throttled": 0, "quota": quota}
    before = reading(version.format(periods=5, **numbers) + USED[version].format(ms=7)).cpu
    after = reading(version.format(periods=15, **numbers) + USED[version].format(ms=7 + ms)).cpu
    held = held_between(before, after)
    assert held is not None and held.occurred == held.often == bool(words)
    assert not words or held.words() == words


def test_what_was_used_is_unknown_where_only_the_end_could_be_read() -> None:
    """What a container used in all its life would be charged to the time between the two readings."""
    numbers = {"cpu_throttled": 0, "cpu_quota_us": 2000, "cpu_period_us": 100000}
    before, after = CpuCounters(cpu_periods=5, **numbers), CpuCounters(cpu_periods=15, cpu_used_us=90000, **numbers)
    held = held_between(before, after)
    assert held is not None and held.used is None and not held.occurred


@pytest.mark.parametrize(("version", "none"), [(V1, "-1"), (V2, "max")])
def test_a_container_without_a_limit_is_never_held_back(version: str, none: str) -> None:
    counted = reading(version.format(periods=0, throttled=0, quota=none)).cpu
    assert counted.cpus is None
    held = held_between(counted, counted)
    assert held is not None and held.share == 0 and not held.often


def test_nothing_is_known_where_nothing_can_be_read() -> None:
    nothing = reading("")
    assert not nothing.network and held_between(nothing.cpu, nothing.cpu) is None
    assert datagrams_between(nothing, reading("/proc/net/snmp6:Udp6RcvbufErrors 3\n")) is None
    assert not reading("/proc/net/snmp:Udp: InErrors RcvbufErrors\n/proc/net/snmp:Udp: 1").network  # cut off
    assert (
        reading("grep: what?\n/sys/fs/cgroup/cpu.max:max\n/sys/fs/cgroup/cpu.stat:nr_periods x\n").cpu == CpuCounters()
    )


def test_a_container_that_started_anew_is_not_held_against_the_one_before() -> None:
    assert (
        held_between(CpuCounters(cpu_periods=90, cpu_throttled=9), CpuCounters(cpu_periods=3, cpu_throttled=1)) is None
    )


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_datagrams_that_nobody_read_are_counted_by_the_kernel(family: int, address: str) -> None:
    """By real sockets: most find no room, those that do are still there when the program ends."""
    with socket.socket(family, socket.SOCK_DGRAM) as lazy, socket.socket(family, socket.SOCK_DGRAM) as busy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            lazy.bind((address, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        before = reading(_read())
        for _ in range(50):
            busy.sendto(b"x" * 1000, lazy.getsockname()[:2])
        lazy.recv(2000)
        found = datagrams_between(before, reading(_read()))
    assert found is not None and 45 <= found.unread <= 52  # others use this network too


def test_a_pod_without_grep_says_nothing_and_goes_on() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'x=$({READ}); echo "<$x>"'], capture_output=True, text=True, env={"PATH": "/nowhere"}
    )
    assert (done.stdout, done.stderr) == ("<>\n", "")


def _read() -> str:
    return subprocess.run(["sh", "-c", READ], capture_output=True, text=True, check=False).stdout
