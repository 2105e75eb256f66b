"""Compares the state of a suspected node with that of the others: the difference names the mechanism. Pure functions.

This finds what nobody has listed: whatever is not as on the healthy nodes, and can do what was seen, is the mechanism.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from NetLibrary._mechanics.matrix.explain.devices import devices
from NetLibrary._mechanics.matrix.explain.difference import (
    ANY,
    BEYOND,
    PODS,
    REACH,
    SERVICES,
    SIZES,
    SLOW,
    Difference,
    same,
)  # fmt: skip
from NetLibrary._mechanics.matrix.probe.state import State
from NetLibrary._mechanics.secrets import head

XT = re.compile(r'\bxt (match|target) "?\w+"?')
# Chains of kube-proxy that every node has alike, in both of its modes
ON_EVERY_NODE = (
    "KUBE-SVC-", "KUBE-POSTROUTING", "KUBE-MARK-MASQ", "KUBE-FORWARD", "service-", "services", "masquerading",
    "mark-for-masquerade", "nat-",
)  # fmt: skip
# A next hop that is the node's own default gateway
DEFAULT = "the default gateway"
VERDICTS = re.compile(r"\b(drop|reject|queue|dnat to|snat to|masquerade|notrack|limit rate|redirect|set)\b")


def differences(node: str, states: Mapping[str, State], suspects: Sequence[str] = ()) -> list[Difference]:
    """What is not on a node as on the healthy ones, the most telling first.

    Args:
        node: The suspected node.
        states: States by node.
        suspects: Further nodes that do not count as healthy.
    """
    mine = states.get(node)
    if mine is None:
        return []
    healthy = [s for n, s in states.items() if n != node and n not in suspects]
    found: list[Difference] = []
    for family in (_absolute, _forwarding, devices, _routes, _rules, _programs):
        found += family(mine, healthy)
    return list(dict.fromkeys(found))


def in_pods(node: str, states: Mapping[str, State], addresses: Sequence[str]) -> list[Difference]:
    """What the network of a node's pods of the matrix has that the pods of other nodes do not have.

    Args:
        node: The suspected node.
        states: States by node.
        addresses: Addresses of the matrix's pods.
    """
    mine = {a: lines for a, lines in (states[node].pods if node in states else {}).items() if a in addresses}
    others = [
        _pod_line(a, line)
        for n, state in states.items()
        for a, lines in state.pods.items()
        if a in addresses and (n != node or a not in mine)
        for line in lines
    ]
    found = []
    for address, lines in mine.items():
        here = [_pod_line(address, line) for line in lines]
        for line, shown in zip(here, lines, strict=True):
            if line not in others and _pod_matters(line):
                found.append(Difference(
                    node, f"in the network of the pod {address}: '{shown[2:].strip()}', which other pods do not have",
                    f"ip netns exec POD {'nft list ruleset' if line[0] == 'F' else 'ip route; ip neigh'}", PODS,
                ))  # fmt: skip
        if (
            others
            and any(x.startswith("R default") for x in others)
            and not any(x.startswith("R default") for x in here)
        ):
            text = f"the pod {address} has no default route"
            found.append(Difference(node, text, "ip route add default via GATEWAY in the pod", PODS))
    return found


def _pod_line(address: str, line: str) -> str:
    network = address.rsplit(".", 1)[0]
    line = re.sub(rf"\b{re.escape(address)}\b", "OWN", line)
    line = re.sub(rf"\b{re.escape(network)}\.", "NET.", line)
    if line.startswith("L "):
        found = re.search(r"(\S+?)(?:@\S+)?: <([^>]*)>.* mtu (\d+) qdisc (\S+)", line)
        return f"L {found[1]} {found[3]} {found[4]} {'UP' in found[2].split(',')}" if found else ""
    if line.startswith("N "):
        line = re.sub(r"lladdr \S+", "lladdr OF", line)  # where a network sets it for all pods, each has its own
    return plain(line)


def _pod_matters(line: str) -> bool:
    if line.startswith("F"):
        return bool(re.search(r"\b(drop|reject|queue)\b", line)) and "policy accept" not in line
    if line.startswith("N"):
        return line.endswith("PERMANENT")
    if line.startswith("S"):
        return True
    if line.startswith("Q"):
        return not re.search(r"noqueue|fq_codel|pfifo_fast|\bmq\b", line)
    return line.startswith(("R default", "R blackhole", "R unreachable", "R prohibit", "L eth0"))


def _absolute(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    """What is wrong whatever other nodes have."""
    if mine.sysctl.get("net.ipv4.ip_forward") == "0":
        yield Difference(
            mine.node, "the kernel does not forward packets (net.ipv4.ip_forward is 0)",
            "sysctl -w net.ipv4.ip_forward=1", REACH | SERVICES,
        )  # fmt: skip
    used, most = (mine.sysctl.get(f"net.netfilter.nf_conntrack_{n}", "") for n in ("count", "max"))
    if used.isdigit() and most.isdigit() and int(used) >= 0.95 * int(most) > 0:
        yield Difference(
            mine.node, f"the connection tracking table is full ({used} of {most})",
            f"sysctl -w net.netfilter.nf_conntrack_max={2 * int(most)}", REACH | SERVICES | SLOW,
        )  # fmt: skip
    if mine.hairpin == "off" and not mine.promiscuous:
        yield Difference(
            mine.node, "hairpin mode of the pods' bridge ports is off, and the bridge is not promiscuous",
            "bridge link set dev VETH hairpin on, and hairpinMode in the network's configuration",
            frozenset({"hairpin"}),
        )  # fmt: skip


def _forwarding(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    for name, value in mine.sysctl.items():
        if name.endswith(("nf_conntrack_count", "nf_conntrack_max", "ip_forward")):
            continue
        others = [s.sysctl[name] for s in healthy if name in s.sysctl]
        if len(others) == len(healthy) and same(others) and others[0] != value:
            explains = REACH | SERVICES
            text = f"{name} is {value}, and {others[0]} on the other nodes"
            if name.endswith("rp_filter"):
                if value != "1":
                    continue
                text = f"the reverse path filter is strict ({name} is 1, and {others[0]} on the other nodes)"
            elif "pmtu" in name or "mtu" in name:
                explains = SIZES
            elif name.endswith("ip_local_port_range"):
                explains = frozenset({"unknown", "source pod"})
            yield Difference(mine.node, text, f"sysctl -w {name}={others[0].replace(' ', chr(32))}", explains)


def _routes(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    shared = {line for s in healthy for line in s.special}
    for line in mine.special:
        if line not in shared:
            text = f"a route discards packets: '{line}'"
            yield Difference(mine.node, text, f"ip route del {line}", REACH | SERVICES, "route")
    everywhere = set.intersection(*(s.routes for s in healthy)) if len(healthy) > 1 else set()
    for network in sorted(everywhere - mine.routes):
        what = "default route" if network == "default" else f"route to {network}"
        text, command = f"there is no {what}, which the other nodes have", f"ip route add {network} via GATEWAY"
        yield Difference(mine.node, text, command, REACH | SERVICES, "route")
    gateways = [s.gateway for s in healthy]
    if len(healthy) > 1 and same(gateways) and gateways[0] and mine.gateway not in ("", gateways[0]):
        text = f"the default route leads to {mine.gateway}, on the other nodes to {gateways[0]}"
        yield Difference(mine.node, text, f"ip route replace default via {gateways[0]}", BEYOND, "route")
    for address, way in mine.ways.items():
        if re.search(r"unreachable|prohibit|blackhole|Invalid argument|Network is", way):
            text = f"there is no route to the pod {address}: '{way}'"
            command = f"ip route get {address}; restart the network plugin"
            yield Difference(mine.node, text, command, REACH | SERVICES, "route")
            continue
        if address in mine.here:
            continue  # the way to a pod of its own is another one than the others'
        device = _device(way)
        witnesses = [s for s in healthy if address in s.ways and address not in s.here]
        theirs = {_device(s.ways[address]) for s in witnesses}
        if theirs and not theirs & set(mine.links):
            continue  # each node has a device of its own for each other node
        local = {d for d in theirs if d and _is_local(d)}
        if device and theirs and device not in theirs and not _is_local(device) and not local:
            text = (
                f"packets to the pod {address} leave by '{device}', on the other nodes by '{', '.join(sorted(theirs))}'"
            )
            yield Difference(mine.node, text, f"ip route get {address}", REACH | SERVICES, "route")
            continue
        here, there = _hop(mine, address), [hop for s in witnesses if (hop := _hop(s, address))]
        elsewhere = [_hop(mine, pod) for pod in mine.ways if pod != address]
        if here == DEFAULT and any(hop not in ("", DEFAULT) for hop in elsewhere) and same(there) and there[0] != here:
            text = (
                f"packets to the pod {address} follow the default route to {mine.gateway}, on the other nodes they go"
            )
            yield Difference(mine.node, f"{text} to {there[0]}", f"ip route get {address}", REACH | SERVICES, "route")
        elif here and _outvoted(here, there, elsewhere):
            text = f"packets to the pod {address} go to {here}, on the other nodes to {there[0]}"
            yield Difference(mine.node, text, f"ip route get {address}", REACH | SERVICES, "route")
    yield from _policy_rules(mine, healthy)
    for (address, at), link in mine.neighbours.items():
        known = {s.neighbours[address, at] for s in healthy if (address, at) in s.neighbours}
        if len(known) == 1 and link not in known:
            text = f"the neighbour {address} has the link address {link}, and {known.pop()} on the other nodes"
            yield Difference(mine.node, text, f"ip neigh del {address} dev {at}", REACH | SERVICES)
    for (device, link), end in mine.tunnels.items():
        ends = [s.tunnels[device, link] for s in healthy if (device, link) in s.tunnels]
        if _outvoted(end, ends, [other for key, other in mine.tunnels.items() if key != (device, link)]):
            right = ends[0]
            text = f"the tunnel '{device}' sends packets for {link} to {end}, on the other nodes to {right}"
            command = f"bridge fdb replace {link} dev {device} dst {right} self permanent"
            yield Difference(mine.node, text, command, REACH | SERVICES, "route")


def _policy_rules(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    # nodes of some networks have rules for the pods of each other, so the addresses in them do not count
    known = [{plain(rule) for rule in s.policy_rules} for s in healthy if s.policy_rules]
    if not known:
        return
    more = [rule for rule in mine.policy_rules if plain(rule) not in set.union(*known)]
    fewer = sorted(set.intersection(*known) - {plain(rule) for rule in mine.policy_rules})
    if more or fewer:
        text = f"the routing policy differs: {'; '.join(more) or 'nothing more'}" + (
            f"; missing: {'; '.join(fewer)}" if fewer else ""
        )
        yield Difference(mine.node, text, "ip rule", REACH | SERVICES)


def _outvoted(mine: str, others: Sequence[str], elsewhere: Sequence[str]) -> bool:
    """Tells whether it is this node that is wrong: two others agree, or it sends there what belongs to another node.

    A single witness that says otherwise may be the wrong one itself.
    """
    return same(others) and others[0] != mine and (len(others) > 1 or mine in elsewhere)


def _hop(state: State, address: str) -> str:
    """Next hop of a packet to a pod; empty for what stays on the node or goes to its destination itself."""
    way = state.ways.get(address, "")
    found = re.search(r"\bvia (\S+)", way)
    if not found or _is_local(_device(way)):
        return ""
    # nodes of several networks have gateways of their own: that they differ tells nothing
    return DEFAULT if found[1] == state.gateway else found[1]


def _device(way: str) -> str:
    found = re.search(r"\bdev (\S+)", way)
    return found[1] if found else ""


def _is_local(device: str) -> bool:
    return device.startswith(("cni", "veth", "cali", "lxc", "cbr", "docker", "kube-bridge", "lo"))


def _rules(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    shared = {policy for s in healthy for policy in s.policies}
    for policy in mine.policies:
        if healthy and policy not in shared:
            text = f"the chain '{policy}' drops what no rule accepts (policy drop); on the other nodes it accepts"
            yield Difference(mine.node, text, f"nft list chain {policy}", ANY)
    common = {plain(line) for s in healthy for line in s.firewall}
    for line in mine.firewall:
        if not healthy or common & {plain(line), _cut(line)} or not _verdict(line):
            continue
        counted = re.search(r"packets (\d+)", line)
        if counted and counted[1] == "0":
            continue  # nothing has come to this rule
        place, _, rule = line.partition(": ")
        words = place.replace(",", "").split()
        text = f"a rule of the firewall that the other nodes do not have: '{rule}' ({place})"
        yield Difference(mine.node, text, f"nft -a list chain {' '.join([*words[1:3], words[4]])}", ANY)
    counts = [s.service_rules for s in healthy if s.service_rules is not None]
    if mine.service_rules is not None and counts and mine.service_rules < 0.8 * min(counts):
        text = f"rules for Services are missing: {mine.service_rules}, on the other nodes at least {min(counts)}"
        yield Difference(mine.node, text, "restart kube-proxy on the node and look at its log", SERVICES, "proxy")
    elif healthy and mine.service_rules is not None:
        # chains of Services; those of endpoints and of traffic policies differ between healthy nodes
        full = set.intersection(
            *({c for c, n in s.service_chains.items() if n and c.startswith(ON_EVERY_NODE)} for s in healthy)
        )
        empty = sorted(c for c in full if not mine.service_chains.get(c))
        if empty:
            names = ", ".join(empty[:3]) + (f" and {len(empty) - 3} more" if len(empty) > 3 else "")
            text = f"chains of the service proxy are empty or missing, which have rules on the other nodes: {names}"
            yield Difference(mine.node, text, "restart kube-proxy on the node and look at its log", SERVICES, "proxy")


def _verdict(line: str) -> bool:
    """Tells whether a rule does something to packets that can be told from what is shown of it.

    nft shows an extension of iptables that it does not know by its name alone (`xt match set`), and the target behind
    it on some nodes and on others not; so only what ends a packet counts there.
    """
    if XT.search(line):
        return bool(re.search(r"\b(drop|reject|queue)\b", XT.sub("", line)))
    return bool(VERDICTS.search(line))


def _cut(line: str) -> str:
    """A rule as nft shows it where it does not find the target of iptables behind it: it ends with the counter."""
    before, counter, after = plain(line).partition("counter")
    return before + counter if re.match(r" *(masquerade|[sd]nat|redirect)\b", after) else line


def plain(line: str) -> str:
    """A rule without what differs between healthy nodes: counters, their own addresses, interfaces of pods."""
    line = re.sub(r"counter packets \d+ bytes \d+", "counter", line)
    line = re.sub(r"\b(veth|cali|lxc)\w+", "POD", line)
    line = re.sub(r"\b[A-Z0-9]{16}\b", "HASH", line)
    line = re.sub(r" # handle \d+", "", line)
    if not re.search(r"\b(drop|reject)\b", line):
        line = re.sub(r"\b\d+\.\d+\.\d+\.\d+(/\d+)?", "ADDRESS", line)
    return line.rstrip()


def _programs(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    for name, explains in (
        ("kube-proxy", SERVICES),
        ("kubelet", frozenset({"sources not probed", "source not probed"})),
    ):
        others = [s.health.get(name) for s in healthy]
        if not healthy or not all(others):
            continue
        said = mine.health.get(name)
        if said is None:
            text = f"{name} does not answer its health check, while on the other nodes it does"
            yield Difference(mine.node, text, f"systemctl status {name}, or look at its pod and log", explains, "proxy")
        elif '"healthy":false' in said.replace(" ", ""):
            yield Difference(
                mine.node,
                f"{name} reports that it is not healthy: {head(said, 120)}",
                f"look at the log of {name}",
                explains,
            )
