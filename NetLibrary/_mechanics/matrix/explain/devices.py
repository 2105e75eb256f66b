"""Compares the devices of a suspected node with those of the others: links, addresses, ports of bridges, IPsec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from NetLibrary._mechanics.matrix.explain.difference import ANY, PODS, REACH, SERVICES, SIZES, Difference, same
from NetLibrary._mechanics.matrix.probe.state import State


def devices(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    """Yields what is not as on the healthy nodes."""
    yield from _links(mine, healthy)
    yield from _addresses(mine, healthy)
    yield from _ports(mine, healthy)
    yield from _filters(mine, healthy)
    yield from _ipsec(mine, healthy)


def _links(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    for name in dict.fromkeys([*mine.links, *(n for s in healthy for n in s.links)]):
        others = [s.links[name] for s in healthy if name in s.links]
        here = mine.links.get(name)
        what, device = ("the pods' devices", "VETH") if name == "pods" else (f"'{name}'", name)
        if here is None:
            if healthy and len(others) == len(healthy) and name != "pods" and not _each_lacks_one(mine, healthy):
                text = f"the device '{name}' is missing, which the other nodes have"
                yield Difference(mine.node, text, f"ip link show {name}; restart the network plugin", REACH | SERVICES)
            continue
        if here["up"] == "no" and others and all(o["up"] == "yes" for o in others):
            text = "devices of pods are down" if name == "pods" else f"the device {what} is down"
            yield Difference(mine.node, text, f"ip link set {device} up", REACH | SERVICES)
        mtus = [o["mtu"] for o in others]
        if same(mtus) and len(others) == len(healthy) and here["mtu"] != mtus[0]:
            text = f"the MTU of {what} is {here['mtu']}, and {mtus[0]} on the other nodes"
            yield Difference(mine.node, text, f"ip link set {device} mtu {mtus[0]}", SIZES | {"unknown"})
    for name, kind in mine.qdisc.items():
        others_q = [s.qdisc.get(name, "") for s in healthy]
        if name != "pods" and not all(name in s.links for s in healthy):
            continue  # the others do not have that device
        if healthy and same(others_q) and kind.split()[0] != (others_q[0].split() or [""])[0]:
            text = f"packets of '{name}' go through a queue of the kind '{kind}', which the other nodes do not have"
            yield Difference(mine.node, text, f"tc qdisc del dev {name} root", ANY)


def _each_lacks_one(mine: State, healthy: Sequence[State]) -> bool:
    """Tells whether every node lacks a device that all others have: those are tunnels with one name for each peer."""
    every = [mine, *healthy]
    return len(every) > 2 and all(
        any(set.intersection(*(set(o.links) for o in every if o is not s)) - set(s.links)) for s in healthy
    )


def _addresses(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    for device, address in mine.taken:
        text = f"the device '{device}' has the address {address}, which is that of a pod"
        yield Difference(mine.node, text, f"ip addr del {address} dev {device}", PODS | REACH | SERVICES, "address")
    for device in sorted(set.intersection(*(set(s.addresses) for s in healthy)) if len(healthy) > 1 else ()):
        if device in mine.links and device not in mine.addresses:
            given = ", ".join(sorted({s.addresses[device] for s in healthy})[:2])
            text = f"the device '{device}' has no address, while on the other nodes it has one ({given})"
            yield Difference(mine.node, text, f"ip addr add ADDRESS dev {device}", PODS | REACH | SERVICES, "address")


def _ports(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    for name, value in mine.ports.items():
        others = [s.ports[name] for s in healthy if name in s.ports]
        if same(others) and len(others) == len(healthy) and value != others[0]:
            text = f"bridge ports of pods have '{name} {value}', on the other nodes '{name} {others[0]}'"
            yield Difference(mine.node, text, f"bridge link set dev VETH {name} {others[0]}", PODS | REACH | SERVICES)


def _filters(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    shared = {device for s in healthy for device, _ in s.filters}
    for device, text in mine.filters:
        if device not in shared:
            said = f"a traffic control filter on '{device}' drops packets: '{text}'"
            yield Difference(mine.node, said, f"tc filter show dev {device} ingress", ANY)


def _ipsec(mine: State, healthy: Sequence[State]) -> Iterator[Difference]:
    # nodes of a network that encrypts have policies of their own each, so one counts only where the others have none
    if healthy and not any(s.ipsec for s in healthy):
        for policy in mine.ipsec:
            text = f"an IPsec policy, which the other nodes do not have: '{policy}'"
            yield Difference(mine.node, text, "ip xfrm policy; ip xfrm state", REACH | SERVICES | SIZES)
