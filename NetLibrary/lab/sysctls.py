"""Settings of the machine's kernel that labs need, and their way back when the last lab is gone."""

from __future__ import annotations

from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.state import State, others

# Least values. A kubelet, a container runtime and their pods take about 20 inotify instances a node; the kernel's
# default of 128 for all programs of a user is used up by two labs. Neighbour tables of all namespaces share one limit:
# with the kernel's 1024, a quarter of the connections between 100 pods that all talk to each other is lost.
NEEDED = {
    "net/ipv4/ip_forward": 1,
    "fs/inotify/max_user_instances": 8192,
    "fs/inotify/max_user_watches": 524288,
    **{
        f"net/{family}/neigh/default/gc_thresh{number}": entries
        for family in ("ipv4", "ipv6")
        for number, entries in ((1, 16384), (2, 32768), (3, 65536))
    },
}
FORWARD_V6 = "net/ipv6/conf/all/forwarding"
ROOT = Path("/proc/sys")


def raise_to_needed(root: Path = ROOT, *, v6: bool = False) -> dict[str, int]:
    """Raises what is too low.

    Args:
        root: Folder of the settings.
        v6: Whether a lab has IPv6 addresses.
    Returns:
        The settings that were changed, with the values that they had.
    Raises:
        EnvironmentProblem: Packets cannot be forwarded and this cannot be changed.
    """
    changed: dict[str, int] = {}
    for name, needed in {**NEEDED, **(_needed_v6(root) if v6 else {})}.items():
        path = root / name
        try:
            found = int(path.read_text())
            if found < needed:
                path.write_text(str(needed))
                changed[name] = found
        except OSError as error:
            if name == "net/ipv4/ip_forward":
                raise EnvironmentProblem(f"{path} cannot be set to {needed}: {error.strerror}.") from error
            # a container may see the others read-only; what it has may do, and a kubelet says so when it does not
    return changed


def give_back(state: State, root: Path = ROOT) -> None:
    """Restores what a lab changed, or leaves that to another lab that still needs it."""
    remaining = others(state.name)
    if remaining:
        heir = remaining[0]
        heir.sysctls = {**heir.sysctls, **state.sysctls}
        heir.save()
        return
    for name, before in state.sysctls.items():
        path = root / name
        try:
            if int(path.read_text()) == _set_to(name):  # else somebody else has set it meanwhile
                path.write_text(str(before))
        except (OSError, KeyError):
            continue


def _needed_v6(root: Path) -> dict[str, int]:
    """Returns what labs with IPv6 need: through the machine their nodes reach the outside, and the outside them.

    A machine that forwards ignores router advertisements unless it is told to take them all the same (2), and might so
    lose its own address. Source: Documentation/networking/ip-sysctl.rst of the kernel, accept_ra.
    """
    interfaces = sorted((root / "net/ipv6/conf").glob("*/accept_ra"))
    listening = [path for path in interfaces if path.read_text().strip() == "1"]
    return {**{str(path.relative_to(root)): 2 for path in listening}, FORWARD_V6: 1}


def _set_to(name: str) -> int:
    """Returns the value to which a setting was raised."""
    return 2 if name.endswith("/accept_ra") else {**NEEDED, FORWARD_V6: 1}[name]
