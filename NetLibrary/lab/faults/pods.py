"""Faults of a single pod: its processes hang, get next to no processor time, or ask another DNS server."""

from __future__ import annotations

from typing import Any

from kubernetes.utils.quantity import parse_quantity

from NetLibrary._mechanics.errors import InputError
from NetLibrary.lab.faults.plan import FaultPlan, Step, shell

# What a kubelet sets for a limit of the processor: the quota of each period of 100 ms
PERIOD_US = 100_000
# The least that the kernel takes (kernel/sched/core.c, min_cfs_quota_period): 1 ms of each second
LEAST_US, SECOND_US = 1_000, 1_000_000
# The container's directory in the hierarchy of the processor, cgroup version 1 or 2, in $c
FIND = (
    "c=$(find /sys/fs/cgroup -type d -name '*{id}*' 2>/dev/null |"
    ' while read -r d; do for f in cpu.cfs_quota_us cpu.max; do [ -e "$d/$f" ] && echo "$d"; done; done | head -1);'
    ' [ -n "$c" ] || {{ echo "no such container: {id}" >&2; exit {missing}; }}; '
)


def hang(pod: dict[str, Any]) -> FaultPlan:
    """A pod's servers hang: the kernel still takes connections for them, and nobody answers.

    Only the first process of each container and its children: what was started by an exec goes on.

    Args:
        pod: The pod as the API server gives it.
    """
    return _plan(pod, "pod hangs", "serves nothing any more", _signal("STOP"), lambda quota: _signal("CONT"))


def starve(pod: dict[str, Any]) -> FaultPlan:
    """A pod gets 1 ms of processor time in a second, so that it answers late.

    Args:
        pod: The pod as the API server gives it.
    """
    return _plan(
        pod, "pod starved", "gets 1 ms of processor time in a second", _limit(LEAST_US, SECOND_US),
        lambda quota: _limit(quota, PERIOD_US),
    )  # fmt: skip


def misdirect(pod: dict[str, Any], server: str) -> FaultPlan:
    """A pod's resolver file names another DNS server than the cluster's.

    Args:
        pod: The pod as the API server gives it.
        server: Address that it asks then.
    """
    # The file is a mount, so it is written anew and never replaced; what it had stays in it as a comment
    file = 'f=/proc/$(head -n 1 "$c/cgroup.procs")/root/etc/resolv.conf; '
    do = (
        f"{file}grep -q '^#was nameserver' \"$f\" || {{ t=$(sed 's/^nameserver /#was nameserver /' \"$f\"); "
        f'printf \'nameserver {server}\\n%s\\n\' "$t" >"$f"; }}'
    )
    undo = (
        f"{file}if grep -q '^#was nameserver' \"$f\"; then "
        't=$(sed \'/^nameserver /d; s/^#was nameserver /nameserver /\' "$f"); printf \'%s\\n\' "$t" >"$f"; fi'
    )
    return _plan(pod, "wrong resolver", f"asks {server} for names", do, lambda quota: undo)


def _plan(pod: dict[str, Any], kind: str, text: str, do: str, undo: Any) -> FaultPlan:
    name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "")
    identities = _containers(pod)
    if not identities:
        raise InputError(f"The pod '{name}' has no running container.")
    makes: list[Step] = []
    undoes: list[Step] = []
    for container, identity in identities.items():
        makes.append(shell(node, FIND.format(id=identity, missing=1) + do))
        # a container that is gone needs no repair
        undoes.append(shell(node, FIND.format(id=identity, missing=0) + undo(_quota(pod, container))))
    return FaultPlan(kind, node, f"The pod '{name}' {text}.", tuple(makes), tuple(undoes))


def _containers(pod: dict[str, Any]) -> dict[str, str]:
    """Identities of the running containers by name, without the runtime's scheme."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return {s["name"]: s["containerID"].split("://")[-1] for s in statuses if "running" in (s.get("state") or {})}


def _quota(pod: dict[str, Any], container: str) -> int:
    """Microseconds of each period that a container may use by its limit; -1 without one."""
    for spec in pod["spec"]["containers"]:
        limit = ((spec.get("resources") or {}).get("limits") or {}).get("cpu")
        if spec["name"] == container and limit:
            return max(LEAST_US, int(parse_quantity(limit) * PERIOD_US))
    return -1


def _signal(name: str) -> str:
    first = r"grep -q '^NSpid:.*[[:space:]]1$' /proc/$p/status"
    return f'for p in $(cat "$c/cgroup.procs"); do if {first}; then kill -{name} $p $(pgrep -P $p); fi; done'


def _limit(quota: int, period: int) -> str:
    """Sets a limit; the quota goes away first, because the kernel takes no period that the old quota does not fit."""
    new = "max" if quota < 0 else str(quota)
    return (
        'if [ -e "$c/cpu.cfs_quota_us" ]; then '
        f'echo -1 >"$c/cpu.cfs_quota_us"; echo {period} >"$c/cpu.cfs_period_us"; echo {quota} >"$c/cpu.cfs_quota_us"; '
        f'else echo "{new} {period}" >"$c/cpu.max"; fi'
    )
