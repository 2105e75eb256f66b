"""Address blocks of labs: which of them nobody uses."""

from __future__ import annotations

import ipaddress
import json

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab import network
from NetLibrary.lab import state as states
from NetLibrary.lab.plan import LABS, AddressPlan
from NetLibrary.lab.processes import run


def free_indexes(name: str, nodes: int) -> list[int]:
    """Returns the address blocks that no other lab has and no route of the machine touches."""
    taken = {other.index for other in states.others(name)}
    routed = [network_of(text) for text in network.addresses_in_use()]
    links = {link["ifname"] for link in json.loads(run("ip", "-j", "link"))}
    found = []
    for index in range(LABS):
        plan = AddressPlan(name, index, nodes)
        if index in taken or plan.bridge in links:
            continue
        if not any(
            prefix.overlaps(plan.block) for prefix in routed if prefix and prefix.version == 4 and prefix.prefixlen > 8
        ):
            found.append(index)
    if found:
        return found
    raise EnvironmentProblem(
        f"No address block is free: {len(taken)} labs are running, and routes of this machine overlap the other blocks "
        "of 198.18.0.0/15."
    )


def network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Returns a prefix as `ip route` names it; None for what is no prefix."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
