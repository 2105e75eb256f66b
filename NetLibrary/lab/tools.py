"""Programs that the lab needs from the distribution, and the packages that have them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.console import Say
from NetLibrary.lab.paths import lock, root

# Without these no lab runs.
RUN = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "tc": "iproute2",
    "sysctl": "procps",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "ldd": "libc-bin",
}
# These go into images.
IMAGES = {
    "busybox": "busybox-static",
    "dash": "dash",
    "bash": "bash",
    "curl": "curl",
    "nc.openbsd": "netcat-openbsd",
    "dig": "bind9-dnsutils",
    "host": "bind9-host",
    "nslookup": "bind9-dnsutils",
    "ss": "iproute2",
    "socat": "socat",
    "iperf": "iperf",
    "iperf3": "iperf3",
    "ping": "iputils-ping",
    "tcpdump": "tcpdump",
    "getent": "libc-bin",
}
# These go into images of networks that not every lab has.
NETWORKS = {"ipset": "ipset"}
PLUGIN_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(tool: str) -> str | None:
    """Returns the path of a program, also when root's folders are not on PATH."""
    if tool.startswith("/"):
        name = os.path.basename(tool)
        return next((f"{folder}/{name}" for folder in PLUGIN_FOLDERS if Path(folder, name).exists()), None)
    return shutil.which(tool) or shutil.which(tool, path=SEARCH)


def package_of(tool: str) -> str | None:
    """Returns the Debian package of a program that the lab knows."""
    return RUN.get(tool) or IMAGES.get(tool) or NETWORKS.get(tool)


def missing(more: Iterable[str] = ()) -> dict[str, str]:
    """Returns the programs that are not there, with their packages.

    Args:
        more: Programs of networks that are needed besides.
    """
    needed = {**RUN, **IMAGES, **{tool: NETWORKS[tool] for tool in more}}
    return {tool: package for tool, package in needed.items() if find(tool) is None}


def installable() -> bool:
    """Tells whether this process can install packages of the distribution."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def ensure(say: Say, more: Iterable[str] = ()) -> None:
    """Installs what is missing, where that is possible.

    Args:
        say: Tells what is installed.
        more: Programs of networks that are needed besides.

    Raises:
        EnvironmentProblem: Something is missing and cannot be installed; the text has the command that would.
    """
    packages = sorted(set(missing(more).values()))
    if not packages:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    absent = ", ".join(os.path.basename(tool) for tool in missing(more))
    if shutil.which("apt-get") is None:
        raise EnvironmentProblem(
            f"These programs are missing: {absent}. There is no apt-get here; on Debian they come with: {command}"
        )
    if os.geteuid() != 0:
        raise EnvironmentProblem(f"These programs are missing: {absent}. Install them as root: {command}")
    with lock(root() / ".packages.lock", wait=1800, waiting="another start installs programs", tell=say):
        packages = sorted(set(missing(more).values()))  # what the other has not brought meanwhile
        if packages:
            say(f"installing {', '.join(packages)}")
            _install(packages, command)
    still = missing(more)
    if still:
        raise EnvironmentProblem(f"After '{command}' these programs are still missing: {', '.join(still)}.")


def _install(packages: list[str], command: str) -> None:
    """Installs packages; an update of the machine that holds the package manager meanwhile is waited for."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    patient = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=600"]
    subprocess.run([*patient, "update"], env=environment, capture_output=True, text=True)  # old lists may do as well
    words = [*patient, "install", "-y", "--no-install-recommends", *packages]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise EnvironmentProblem(f"'{command}' failed with status {done.returncode}:\n{last}")
