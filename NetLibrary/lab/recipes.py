"""The images that every lab has, under the names that suites and upstream tests ask for."""

from __future__ import annotations

import hashlib
from pathlib import Path

from NetLibrary.lab.images import Recipe
from NetLibrary.lab.pki import Authority

COREDNS_IMAGE = "registry.k8s.io/coredns/coredns:v1.14.7"
PROBE_IMAGE = "ghcr.io/netlibrary/probe:1"
AGNHOST_TAGS = (
    "2.21",
    "2.31",
    "2.39",
    "2.40",
    "2.43",
    "2.45",
    "2.47",
    "2.52",
    "2.53",
    "2.54",
    "2.55",
    "2.56",
    "2.57",
    "2.59",
)
BUSYBOX_TAGS = ("1.28", "1.35", "1.36", "1.36.1", "1.37", "1.37.0", "stable")
# The published image's shell is no busybox, whose shell would run its own applets instead of the programs beside it.
AGNHOST_PROGRAMS = (
    "/bin/dash:/bin/sh",
    "bash",
    "curl",
    "nc.openbsd:/usr/bin/nc",
    "dig",
    "host",
    "nslookup",
    "ip",
    "ss",
    "socat",
    "iperf",
    "getent",
)
NETWORK_PROGRAMS = (
    "bash",
    "printenv",
    "iperf3",
    "iperf",
    "ping",
    "curl",
    "nc.openbsd:/usr/bin/nc",
    "ip",
    "ss",
    "tc",
    "nft",
    "conntrack",
    "dig",
    "host",
    "nslookup",
    "socat",
    "getent",
    "tcpdump?",
    "tracepath?",
    "ethtool?",
)


def default(programs: Path, cache: Path) -> tuple[Recipe, ...]:
    """Returns the recipes of the default set.

    Args:
        programs: Folder of the programs that the lab builds.
        cache: Folder for what is made once and kept.
    """
    certificate, key = _localhost(cache)
    return (
        Recipe(
            "pause",
            tuple(f"registry.k8s.io/pause:{tag}" for tag in ("3.9", "3.10", "3.10.1")),
            files={"/pause": programs / "pause"},
            shell=False,
            entrypoint=("/pause",),
        ),
        Recipe(
            "coredns",
            (COREDNS_IMAGE,),
            files={"/coredns": programs / "coredns"},
            shell=False,
            entrypoint=("/coredns",),
        ),
        Recipe(
            "agnhost",
            tuple(
                f"{registry}/e2e-test-images/agnhost:{tag}"
                for registry in ("registry.k8s.io", "k8s.gcr.io")
                for tag in AGNHOST_TAGS
            ),
            programs=AGNHOST_PROGRAMS,
            files={"/agnhost": programs / "agnhost", "/localhost.crt": certificate, "/localhost.key": key},
            entrypoint=("/agnhost",),
            cmd=("pause",),
        ),
        Recipe(
            "busybox",
            (
                "registry.k8s.io/e2e-test-images/busybox:1.29-4",
                "registry.k8s.io/e2e-test-images/busybox:1.36.1-1",
                "registry.k8s.io/e2e-test-images/busybox:1.37.0-1",
                *(f"docker.io/library/busybox:{tag}" for tag in BUSYBOX_TAGS),
            ),
            cmd=("sh",),
        ),
        Recipe(
            "dnsutils",
            (
                "registry.k8s.io/e2e-test-images/jessie-dnsutils:1.5",
                "registry.k8s.io/e2e-test-images/jessie-dnsutils:1.7",
            ),
            programs=("dig", "host", "nslookup", "getent", "curl"),
            cmd=("sh",),
        ),
        Recipe(
            "iperf3",
            ("docker.io/networkstatic/iperf3:3.12", "docker.io/networkstatic/iperf3:1"),
            programs=("iperf3",),
            entrypoint=("iperf3",),
        ),
        Recipe(
            "network-tools",
            (
                "quay.io/skupper/lanyard:latest",
                "quay.io/skupper/lanyard:2.0",
                "quay.io/skupper/lanyard:2.1",
                "quay.io/skupper/iperf3:2.0",
                "docker.io/nicolaka/netshoot:v0.13",
                "docker.io/nicolaka/netshoot:v0.14",
            ),
            programs=NETWORK_PROGRAMS,
            cmd=("sh",),
        ),
        Recipe("probe", (PROBE_IMAGE,), programs=NETWORK_PROGRAMS, python=True, cmd=("sleep", "infinity")),
    )


def _localhost(cache: Path) -> tuple[bytes, bytes]:
    """Returns a certificate for localhost and its key, made once: agnhost serves TLS with it."""
    folder = cache / "localhost"
    if not (folder / "server.key").exists():
        authority = Authority(folder, "localhost")
        authority.issue("server", "localhost", hosts=("localhost", "127.0.0.1", "::1"))
    return (folder / "server.crt").read_bytes(), (folder / "server.key").read_bytes()


def digest(archives: list[Path]) -> str:
    """Returns a hash over a set of archives, whose names have the hashes of their contents."""
    return hashlib.sha256("\n".join(sorted(a.name for a in archives)).encode()).hexdigest()[:24]
