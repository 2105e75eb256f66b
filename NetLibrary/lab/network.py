"""Wires of a lab: a bridge on the machine, a namespace with a link to it for each node, routes, address translation."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.plan import AddressPlan
from NetLibrary.lab.processes import CommandFailed, run
from NetLibrary.lab.tools import find

NETNS = Path("/run/netns")
NODE_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    # replies between two pods of a node cross the bridge alone; without this they miss their Service's translation back
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.bridge.bridge-nf-call-ip6tables": "1",
    # answers to a Service's traffic may leave by another way than they came
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
}

MODULES = ("overlay", "br_netfilter", "nf_conntrack", "veth", "bridge")


def load_modules() -> None:
    """Loads the kernel modules that a lab needs, where the kernel has them as modules."""
    modprobe = find("modprobe")
    if modprobe:
        run(modprobe, "-a", "-q", *MODULES, check=False)


def _ip(lines: list[str], netns: str | None = None) -> None:
    """Runs many `ip` commands in one process."""
    namespace = ["-n", netns] if netns else []
    run("ip", *namespace, "-batch", "-", stdin="\n".join(lines) + "\n")


def addresses_in_use() -> list[str]:
    """Returns the prefixes that the machine's routing tables know."""
    found: list[str] = []
    for family in ("-4", "-6"):
        with contextlib.suppress(CommandFailed, json.JSONDecodeError):
            routes = json.loads(run("ip", family, "-j", "route", "show", "table", "all") or "[]")
            found += [route["dst"] for route in routes if route["dst"] != "default"]
    return found


def claim(plan: AddressPlan) -> bool:
    """Makes the bridge of a lab, by which its address block is taken; tells whether it was free."""
    try:
        # An address of its own: else the bridge takes one of its ports', and another one when that port goes
        run("ip", "link", "add", plan.bridge, "address", link_address(plan.host), "type", "bridge")
    except CommandFailed as error:
        if "File exists" in str(error):
            return False
        raise
    return True


def create(plan: AddressPlan, mtu: int, *, own: bool = True) -> None:
    """Makes the namespaces and the links, all up and routed, on the bridge that `claim` has made.

    Args:
        plan: Addresses and names.
        mtu: Largest packet on every link of the lab.
        own: Whether the lab connects its pods itself; else whoever is installed then makes routes between nodes.
    """
    _ip(
        [
            f"link set {plan.bridge} mtu {mtu}",
            f"addr add {plan.host}/24 dev {plan.bridge}",
            *([f"addr add {plan.host_v6}/64 dev {plan.bridge} nodad"] if plan.v6 else []),
            f"link set {plan.bridge} up",
        ]
    )
    for node in range(1, plan.nodes + 1):
        create_node(plan, node, mtu, own=own)
    _outside(plan, mtu)
    _ip([*_routes_to_pods(plan), *(f"route add {route}" for route in _nowhere(plan))])
    for family, rule in _no_router_for_pods(plan):
        run("ip", family, "rule", "add", *rule)
    _let_through(plan)


def _routes_to_pods(plan: AddressPlan) -> list[str]:
    """Routes of the machine to the pods of each node, whoever connects them.

    The API server runs on the machine, and its proxy to pods and Services connects to the pods' addresses. Packets that
    come from nodes do not follow them, see `_no_router_for_pods`.
    """
    numbers = range(1, plan.nodes + 1)
    v4 = [f"route add {plan.pods(n)} via {plan.node_address(n)}" for n in numbers] if plan.v4 else []
    v6 = [f"route add {plan.pods_v6(n)} via {plan.node_address_v6(n)}" for n in numbers] if plan.v6 else []
    return v4 + v6


def _no_router_for_pods(plan: AddressPlan) -> list[tuple[str, list[str]]]:
    """Rules by which the machine, the nodes' default gateway, forwards nothing from node to node that is for pods.

    A gateway in a real network knows no pods: a node that has lost its route to another node's pods must not reach them
    by way of it.
    """
    rule = ["priority", "4096", "iif", plan.bridge, "to"]
    found = [("-4", [*rule, str(plan.all_pods), "unreachable"])]
    return found + ([("-6", [*rule, str(plan.all_pods_v6), "unreachable"])] if plan.v6 else [])


def _nowhere(plan: AddressPlan) -> list[str]:
    """Routes by which addresses of the cluster that nobody has are refused at once.

    Without them, packets would leave by the machine's default route, and clients would wait for answers that never
    come, or hear a stranger's.
    """
    v4 = [plan.services, plan.balancer_pool, plan.all_pods]
    v6 = [plan.services_v6, plan.balancer_pool_v6, plan.all_pods_v6] if plan.v6 else []
    return [f"unreachable {prefix} metric 4096" for prefix in (*v4, *v6)]


def _outside(plan: AddressPlan, mtu: int) -> None:
    """Makes a vantage point outside the cluster: a client or server that nodes see with an address of its own."""
    netns, outer, gateway = plan.outside_netns, plan.outside_interface, plan.outside_network[254]
    run("ip", "netns", "add", netns)
    _ip(
        [
            f"link add {outer} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {netns}",
            f"addr add {gateway}/24 dev {outer}",
            *([f"addr add {plan.outside_network_v6[254]}/64 dev {outer} nodad"] if plan.v6 else []),
            f"link set {outer} up",
        ]
    )
    _ip(
        [
            "link set lo up",
            f"addr add {plan.outside_address}/24 dev eth0",
            *([f"addr add {plan.outside_network_v6[1]}/64 dev eth0 nodad"] if plan.v6 else []),
            "link set eth0 up",
            f"route add default via {gateway}",
            *([f"route add ::/0 via {plan.outside_network_v6[254]}"] if plan.v6 else []),
        ],
        netns,
    )


def link_address(address: object) -> str:
    """Returns the link address of a lab's interface, made from its IPv4 address.

    >>> link_address("198.18.128.2")
    '02:00:c6:12:80:02'
    """
    return "02:00:" + ":".join(f"{int(part):02x}" for part in str(address).split("."))


def create_node(plan: AddressPlan, node: int, mtu: int, *, own: bool = True) -> None:
    """Makes the namespace of a node and its link; nodes count from 1."""
    netns, outer, others = plan.netns(node), plan.interface(node), [n for n in range(1, plan.nodes + 1) if n != node]
    # A machine keeps its link address over a loss of power. With another one, its neighbours would send to the old one
    # until they ask again, half a minute later.
    mac = link_address(plan.node_address(node))
    run("ip", "netns", "add", netns)
    _ip(
        [
            f"link add {outer} mtu {mtu} type veth peer name eth0 address {mac} mtu {mtu} netns {netns}",
            f"link set {outer} master {plan.bridge} up",
        ]
    )
    lines = ["link set lo up"]
    if plan.v4:
        lines.append(f"addr add {plan.node_address(node)}/24 dev eth0")
    if plan.v6:
        lines.append(f"addr add {plan.node_address_v6(node)}/64 dev eth0 nodad")
    lines.append("link set eth0 up")
    if plan.v4:
        lines.append(f"route add default via {plan.host}")
        lines += [f"route add {plan.pods(other)} via {plan.node_address(other)}" for other in others if own]
    if plan.v6:
        lines.append(f"route add ::/0 via {plan.host_v6}")
        lines += [f"route add {plan.pods_v6(other)} via {plan.node_address_v6(other)}" for other in others if own]
    _ip(lines, netns)
    settings = "".join(f"{key}={value}\n" for key, value in NODE_SYSCTLS.items())
    # --ignore: a machine without IPv6 or without the bridge filter does not have all of them
    run("ip", "netns", "exec", netns, "sysctl", "-q", "--ignore", "-p", "-", stdin=settings, check=False)
    if own:
        run("ip", "netns", "exec", netns, "nft", "-f", "-", stdin=_masquerade(plan))


def _masquerade(plan: AddressPlan) -> str:
    """Rules by which pods' traffic to addresses outside the pod network gets the node's address, as most CNIs do."""
    v4 = f"ip saddr {plan.all_pods} ip daddr != {plan.all_pods} ip daddr != 224.0.0.0/4 masquerade"
    v6 = f"ip6 saddr {plan.all_pods_v6} ip6 daddr != {plan.all_pods_v6} ip6 daddr != ff00::/8 masquerade"
    rules = "\n    ".join(plan.each(v4, v6))
    return f"""
table inet netlibrary {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    {rules}
  }}
}}
"""


def _let_through(plan: AddressPlan) -> None:
    """Lets the lab's traffic through the machine, with nodes' addresses translated on the way out."""
    rules = f"""
table ip {plan.table} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip daddr 198.18.0.0/15 return
    ip saddr {{ {plan.node_network}, {plan.outside_network} }} oifname != "lo" masquerade
  }}
}}
"""
    run("nft", "-f", "-", stdin=rules)
    for rule in _exceptions(plan):
        if f"-P {rule[0]} DROP" in run("iptables", "-w", "-S", rule[0], check=False):
            run("iptables", "-w", "-I", *rule)


def _exceptions(plan: AddressPlan) -> list[list[str]]:
    """Rules for a machine whose firewall drops what it does not know, as container engines and ufw set it up.

    Only a rule in the same table can make an exception from the policy of a chain.
    """
    mark = ["-m", "comment", "--comment", plan.table, "-j", "ACCEPT"]
    sides = [(side, name) for name in (plan.bridge, plan.outside_interface) for side in ("-i", "-o")]
    return [
        *(["FORWARD", side, name, *mark] for side, name in sides),
        *(["INPUT", side, name, *mark] for side, name in sides if side == "-i"),
    ]


def forget_namespaces_folder() -> None:
    """Removes the folder that `ip netns` makes and mounts for names of namespaces, when no name is left in it."""
    if NETNS.is_dir() and not any(NETNS.iterdir()):
        run("umount", NETNS, check=False)
        with contextlib.suppress(OSError):
            NETNS.rmdir()


def remove(plan: AddressPlan) -> None:
    """Removes everything that `create` makes, however much of it is there."""
    existing = {link["ifname"] for link in json.loads(run("ip", "-j", "link", check=False) or "[]")}
    namespaces = [plan.outside_netns, *(plan.netns(node) for node in range(1, plan.nodes + 1))]
    for netns in namespaces:
        if (NETNS / netns).exists():
            run("ip", "netns", "del", netns, check=False)
    for name in (plan.bridge, plan.outside_interface, *(plan.interface(node) for node in range(1, plan.nodes + 1))):
        if name in existing:
            run("ip", "link", "del", name, check=False)
    lines = [f"route del {route}" for route in _nowhere(plan)]
    with contextlib.suppress(CommandFailed):
        run("ip", "-force", "-batch", "-", stdin="\n".join(lines) + "\n", check=False)
    for family, rule in _no_router_for_pods(plan):
        run("ip", family, "rule", "del", *rule, check=False)
    run("nft", "delete", "table", "ip", plan.table, check=False)
    known = run("iptables", "-w", "-S", check=False)
    for rule in _exceptions(plan):
        if f"-A {' '.join(rule)}" in known:
            run("iptables", "-w", "-D", *rule, check=False)
    left = [netns for netns in namespaces if (NETNS / netns).exists()]
    if left:
        raise EnvironmentProblem(f"The network namespaces {', '.join(left)} cannot be removed.")
