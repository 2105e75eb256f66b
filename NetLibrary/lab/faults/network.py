"""Faults of the network: links that are cut, packets that vanish, connections that are refused or reset.

All rules are nftables tables of their own in the namespace of one node, so that removing the table is the whole
repair and no rule of the cluster is touched. Rules in `forward` see pods' traffic with the pods' real addresses;
rules in `prerouting` see it as it arrives, before Service addresses are translated.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from NetLibrary._mechanics.errors import InputError
from NetLibrary.lab.faults.plan import FaultPlan, Step, run, shell

HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
# Before connection tracking (-300 is raw) a rule sees every packet; at 0 after the translation of destinations.
PRIORITIES = {"prerouting": -310, "input": 0, "forward": 0, "output": 0, "postrouting": 0}

# VXLAN, Geneve, and VXLAN as Linux first numbered it, which flannel uses; and what these add to a packet
TUNNEL_PORTS, TUNNEL_BYTES = (4789, 6081, 8472), 50


def _table() -> str:
    return f"netlibrary_fault_{uuid.uuid4().hex[:8]}"


def nft_fault(
    kind: str, node: str, text: str, chains: dict[str, list[str]], *, nat: bool = False, priority: int | None = None
) -> FaultPlan:
    """A fault made of nftables rules.

    Args:
        kind: Short name.
        node: Node that gets the rules.
        text: What is broken.
        chains: Rules by hook.
        nat: The chains translate addresses.
        priority: Priority of all chains; by default one that fits the hook.
    """
    table = _table()
    # ip and not inet: the translation targets are IPv4 and inet would need the family spelled out in every rule
    family = "ip" if nat else "inet"
    lines = [f"add table {family} {table}"]
    for hook, rules in chains.items():
        if hook not in HOOKS:
            raise InputError(f"The hook '{hook}' is not one of {', '.join(HOOKS)}.")
        level = PRIORITIES[hook] if priority is None else priority
        if nat and priority is None:
            level = -110 if hook in ("prerouting", "output") else 90  # ahead of kube-proxy's chains at -100 and 100
        chain_type = "nat" if nat else "filter"
        lines.append(
            f"add chain {family} {table} {hook} {{ type {chain_type} hook {hook} priority {level}; policy accept; }}"
        )
        lines.extend(f"add rule {family} {table} {hook} {rule}" for rule in rules)
    do = run(node, "nft", "\n".join(lines))
    undo = Step(node, "run", ("sh", "-c", f"nft delete table {family} {table} 2>/dev/null || true"))
    return FaultPlan(kind, node, text, (do,), (undo,))


def match(
    *,
    source: Sequence[str] = (),
    destination: Sequence[str] = (),
    protocol: str | None = None,
    ports: Sequence[int] = (),
    interface: str | None = None,
    extra: str = "",
) -> str:
    """The matching part of an nftables rule.

    Args:
        source: Source addresses or networks.
        destination: Destination addresses or networks.
        protocol: `tcp`, `udp`, `sctp` or `icmp`; every protocol when not given.
        ports: Destination ports.
        interface: Interface on which the packet arrives.
        extra: More, in nftables' own words.
    """
    words = []
    if interface:
        words.append(f'iifname "{interface}"')
    for field, values in (("saddr", source), ("daddr", destination)):
        if values:
            family = "ip6" if ":" in values[0] else "ip"
            words.append(f"{family} {field} {{ {', '.join(values)} }}")
    if protocol:
        if protocol not in ("tcp", "udp", "sctp", "icmp"):
            raise InputError(f"The protocol '{protocol}' is not one of tcp, udp, sctp, icmp.")
        words.append(f"meta l4proto {protocol}")
    if ports:
        if protocol not in ("tcp", "udp", "sctp"):
            raise InputError("Ports need a protocol: tcp, udp or sctp.")
        words.append(f"{protocol} dport {{ {', '.join(map(str, ports))} }}")
    if extra:
        words.append(extra)
    return " ".join(words)


def cut_link(node: str) -> FaultPlan:
    """Pulls the plug of a node: its link to the rest of the lab goes down."""
    return FaultPlan(
        "cut link",
        node,
        f"The network link of node '{node}' is down.",
        (Step(node, "link", ("down",)),),
        (Step(node, "link", ("up",)),),
    )


def drop(
    node: str, text: str = "", *, hooks: Sequence[str] = ("forward", "input", "output"), **what: object
) -> FaultPlan:
    """Packets that match vanish on a node, silently.

    Args:
        node: Node that drops them.
        text: What is broken; made up from the rule when not given.
        hooks: Where in the node's path; see the head of this module.
        what: Arguments of `match`; everything when none is given.
    """
    rule = match(**what)  # type: ignore[arg-type]
    text = text or f"Node '{node}' drops packets ({rule or 'all'})."
    return nft_fault("drop", node, text, {hook: [f"{rule} counter drop"] for hook in hooks})


def drop_from(receiver: str, sender: str, addresses: Sequence[str], protocol: str | None = None) -> FaultPlan:
    """One direction between two nodes: what comes from the one vanishes at the other, in every family.

    Args:
        receiver: Node that drops.
        sender: Name of the node whose packets are dropped.
        addresses: Its addresses and those of its pods, of all families.
        protocol: Only this one.
    """
    families = [[a for a in addresses if (":" in a) == v6] for v6 in (False, True)]
    rules = [f"{match(source=found, protocol=protocol, interface='eth0')} counter drop" for found in families if found]
    what = f"{protocol.upper()} that" if protocol else "what"
    text = f"Node '{receiver}' drops {what} comes from node '{sender}'."
    return nft_fault("drop", receiver, text, {"prerouting": rules})


def reject(
    node: str, text: str = "", *, hooks: Sequence[str] = ("forward", "input", "output"), **what: object
) -> FaultPlan:
    """Packets that match are refused with ICMP port unreachable."""
    rule = match(**what)  # type: ignore[arg-type]
    text = text or f"Node '{node}' refuses packets ({rule or 'all'})."
    verdict = "counter reject with icmpx type port-unreachable"
    return nft_fault("reject", node, text, {hook: [f"{rule} {verdict}"] for hook in hooks})


def reset(
    node: str, text: str = "", *, hooks: Sequence[str] = ("forward", "input", "output"), **what: object
) -> FaultPlan:
    """TCP segments that match are answered with a reset, also those of connections that are up."""
    rule = match(**{**what, "protocol": "tcp"})  # type: ignore[arg-type]
    text = text or f"Node '{node}' resets connections ({rule})."
    return nft_fault("reset", node, text, {hook: [f"{rule} counter reject with tcp reset"] for hook in hooks})


def drop_large(node: str, above: int = 1000) -> FaultPlan:
    """An MTU black hole: packets above a size vanish on a node's link and nobody is told.

    Args:
        node: Node whose link loses them.
        above: Largest packet in bytes that still passes.
    """
    text = f"Node '{node}' drops packets of more than {above} bytes between nodes without telling the sender."
    rules = {"forward": [f'meta length > {above} iifname "eth0" drop', f'meta length > {above} oifname "eth0" drop']}
    # What a tunnel carries is not forwarded: the node itself sends and takes the packets around it
    tunnel = f"udp dport {{ {', '.join(map(str, TUNNEL_PORTS))} }} meta length > {above + TUNNEL_BYTES}"
    rules["output"], rules["input"] = [f'oifname "eth0" {tunnel} drop'], [f'iifname "eth0" {tunnel} drop']
    return nft_fault("MTU black hole", node, text, rules)


def lose(node: str, share: float, **what: object) -> FaultPlan:
    """A share of the packets that match gets lost, at random.

    Args:
        node: Node that loses them.
        share: Between 0 and 1.
        what: Arguments of `match`.
    """
    if not 0 < share <= 1:
        raise InputError(f"The share '{share}' is not above 0 and at most 1.")
    rule = match(**what)  # type: ignore[arg-type]
    text = f"Node '{node}' loses {share:.0%} of the packets ({rule or 'all'})."
    limit = int(share * 1000)
    return nft_fault("loss", node, text, {"forward": [f"{rule} numgen random mod 1000 < {limit} drop"]})


def drop_new_flows(node: str, share: float = 0.8) -> FaultPlan:
    """Does what a full connection tracking table does: new flows vanish at random, running ones go on.

    The real limit (`nf_conntrack_max`) belongs to the whole machine and would hit every other lab on it.
    """
    text = f"Node '{node}' drops {share:.0%} of new flows as with a full connection tracking table."
    rules = [f"ct state new numgen random mod 1000 < {int(share * 1000)} drop"]
    return nft_fault("conntrack full", node, text, {"forward": rules})


def translate(
    node: str,
    text: str,
    destination: str,
    protocol: str,
    port: int,
    backends: Sequence[str],
    *,
    source_port: int | None = None,
    hide_client: bool = False,
) -> FaultPlan:
    """Connections to one address and port go to other backends than the cluster says, chosen at random.

    Args:
        node: Node that translates.
        text: What is broken.
        destination: Service or node address.
        protocol: `tcp` or `udp`.
        port: Port of the address.
        backends: `address:port` of each backend.
        source_port: Only what comes from this port of a client, as one flow does.
        hide_client: The backends see the node's address and not the client's.
    """
    if not backends:
        raise InputError("The list of backends is empty.")
    target = backends[0]
    if len(backends) > 1:
        choices = ", ".join(
            f"{i} : {address} . {port}" for i, (address, port) in enumerate(b.rsplit(":", 1) for b in backends)
        )
        target = f"numgen random mod {len(backends)} map {{ {choices} }}"
    own = f"{protocol} sport {source_port} " if source_port else ""
    rule = f"ip daddr {destination} {own}{protocol} dport {port} dnat to {target}"
    chains = {"prerouting": [rule], "output": [rule]}
    if hide_client:
        chains["postrouting"] = [f"ct status dnat ct original ip daddr {destination} masquerade"]
    return nft_fault("translate", node, text, chains, nat=True)


def isolate_pod(node: str, address: str, verdict: str = "drop") -> FaultPlan:
    """A pod gets no packets any more, by rules in its own network namespace.

    Rules on the node would also make the node's own programs fail to send to the pod, with EPERM, and some end then:
    agnhost netexec on the host network does.

    Args:
        node: Node of the pod.
        address: Address of the pod.
        verdict: What happens to its packets, in nftables' words.
    """
    table = _table()
    rules = (
        f"add table inet {table}; "
        f"add chain inet {table} input {{ type filter hook input priority 0; policy accept; }}; "
        f'add rule inet {table} input iifname != "lo" {verdict}'
    )
    text = f"The pod with the address {address} gets no packets."
    return in_pod("pod isolated", node, address, text, f"nft '{rules}'", f"nft delete table inet {table}")


def in_pod(kind: str, node: str, address: str, text: str, do: str, undo: str) -> FaultPlan:
    """A command in the network namespace of a pod, and the one that undoes it.

    Args:
        kind: Short name of the fault.
        node: Node of the pod.
        address: Address of the pod.
        text: What is broken, in one sentence.
        do: Command line that breaks.
        undo: Command line that repairs; may fail.
    """
    enter = (
        "for n in $(ip netns list | cut -d' ' -f1); do "
        f"if ip -n $n -o addr show 2>/dev/null | grep -qF ' {address}/'; then "
    )
    break_it = shell(node, f"{enter} ip netns exec $n {do} && exit 0; fi; done; echo 'no such pod' >&2; exit 1")
    repair_it = shell(node, f"{enter} ip netns exec $n {undo} 2>/dev/null; fi; done; true")
    return FaultPlan(kind, node, text, (break_it,), (repair_it,))


def wrong_gateway(node: str, address: str) -> FaultPlan:
    """A pod sends everything beyond its own network to a gateway that does not exist.

    Without any route agnhost would end, because its datagrams could not even be sent.

    Args:
        node: Node of the pod.
        address: Address of the pod.
    """
    nobody = address.rsplit(".", 1)[0] + ".253"
    saved = f"/run/{_table()}.route"
    text = f"The pod with the address {address} has a default route that leads nowhere."
    do = (
        f'sh -c "ip route show default >{saved}; ip neigh replace {nobody} lladdr 02:00:00:00:00:99 dev eth0 nud '
        f'permanent; ip route replace default via {nobody}"'
    )
    undo = f'sh -c "ip route replace \\$(cat {saved}); ip neigh del {nobody} dev eth0; rm -f {saved}"'
    return in_pod("wrong gateway", node, address, text, do, undo)


def change_address(node: str, old: str, new: str, prefix: int = 24) -> FaultPlan:
    """A node has another address than its Node object and everybody's routes say.

    Args:
        node: Node that gets it.
        old: Its address.
        new: An address of the same network that nobody has.
        prefix: Length of the network's prefix.
    """
    saved = f"/run/{_table()}.routes"  # removing the address takes the routes with it
    do = shell(
        node,
        f"set -e; ip route save table main >{saved}; ip addr add {new}/{prefix} dev eth0; "
        f"ip addr del {old}/{prefix} dev eth0; ip neigh flush dev eth0",
    )
    undo = shell(
        node,
        f"ip addr add {old}/{prefix} dev eth0 2>/dev/null; ip addr del {new}/{prefix} dev eth0 2>/dev/null; "
        f"ip addr del {old}/{prefix} dev eth0; ip addr add {old}/{prefix} dev eth0; "
        f"[ ! -f {saved} ] || ip route restore <{saved} 2>/dev/null; rm -f {saved}; ip neigh flush dev eth0; true",
    )
    return FaultPlan("address changed", node, f"Node '{node}' has the address {new} instead of {old}.", (do,), (undo,))


def hide_clients(node: str, network: str) -> FaultPlan:
    """Traffic of pods to pods of other nodes leaves a node with the node's own address.

    Args:
        node: Node that hides them.
        network: The cluster's pod network.
    """
    text = f"Node '{node}' replaces the source address of its pods' traffic to pods by its own."
    rules = {"postrouting": [f'oifname "eth0" ip saddr {network} ip daddr {network} masquerade']}
    return nft_fault("client address lost", node, text, rules, nat=True)
