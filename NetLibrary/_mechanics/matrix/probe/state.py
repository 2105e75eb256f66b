"""Reads what a node's own kernel and programs say of themselves: the state that decides over its packets. Read only.

In a lab the node is asked directly; elsewhere a pod on its network that only looks is (see `lookers`), or where that is
not allowed the matrix's own, which sees everything but the rules of the firewall.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.matrix.probe.lookers import ROOT, Lookers
from NetLibrary._mechanics.probing.pipes import CONTAINER

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.testbed import Testbed

MARK = "@@"
# In a large matrix the networks of so many pods tell enough
MOST_PODS = 60
# {pods} are addresses of one pod of each node: where would a packet to them go? {own} are those of the matrix's pods
SCRIPT = r"""
at() { echo "@@$1"; }
at sysctl
cd /proc/sys/net && grep -s . ipv4/ip_forward ipv6/conf/all/forwarding ipv4/conf/*/rp_filter ipv4/conf/*/forwarding \
  ipv4/conf/*/route_localnet ipv4/conf/*/accept_local ipv4/conf/*/arp_ignore ipv4/conf/*/arp_filter \
  ipv4/conf/*/disable_policy ipv4/ip_local_port_range ipv4/ip_default_ttl ipv4/conf/*/proxy_arp \
  ipv4/tcp_mtu_probing ipv4/ip_no_pmtu_disc \
  bridge/bridge-nf-call-iptables netfilter/nf_conntrack_tcp_be_liberal netfilter/nf_conntrack_count \
  netfilter/nf_conntrack_max ipv4/neigh/default/gc_thresh3 ipv4/icmp_echo_ignore_all
at links; ip -o -d link
at addresses; ip -o -4 addr
at ports; bridge -o -d link 2>/dev/null
at qdisc; tc qdisc show 2>/dev/null
at filters; for d in $(tc qdisc show 2>/dev/null | sed -n 's/^qdisc \(ingress\|clsact\) .* dev \([^ ]*\).*/\2/p'); do
  for way in ingress egress; do echo "D $d"; tc filter show dev "$d" $way 2>/dev/null; done
done
at ipsec; ip -o xfrm policy 2>/dev/null
at routes; ip -4 route show table all 2>/dev/null | grep -v 'table local'
at rules; ip rule
at neighbours; ip neigh
at tunnels; bridge fdb show 2>/dev/null | grep ' dst '
at ways; for to in {pods}; do echo "$to $(ip route get "$to" 2>&1 | head -n 1)"; done
ask() { echo "$1 $(curl -sm 2 "http://127.0.0.1:$1/$2" 2>/dev/null | head -c 300)"; }
at proxy; ask 10256 healthz; ask 10249 proxyMode
at kubelet; curl -sm 2 http://127.0.0.1:10248/healthz 2>/dev/null; echo
at pods; for n in $(ip netns list 2>/dev/null | cut -d' ' -f1); do
  have=$(ip -n $n -o addr show scope global 2>/dev/null)
  for a in {own}; do case "$have" in *" $a/"*) echo "P $a"; ip netns exec $n sh -c '
    echo "=R"; ip -4 route; echo "=L"; ip -o link; echo "=F"; nft list ruleset; echo "=Q"; tc qdisc show
    echo "=N"; ip neigh; echo "=S"; grep -s . /proc/sys/net/ipv4/ip_default_ttl /proc/sys/net/ipv4/conf/all/rp_filter \
      /proc/sys/net/ipv4/conf/eth0/rp_filter /proc/sys/net/ipv4/conf/eth0/arp_ignore' 2>/dev/null;;
  esac; done
done
at firewall; nft list ruleset 2>/dev/null
at end
"""
_VETH = re.compile(r"^(veth|cali|lxc|tap|eni)\w{4,}")


@dataclass
class State:
    """What was read on one node.

    Args:
        node: Its name.
        sysctl: Values by name below `net`; interfaces of single pods are left out.
        links: Interface → flags, MTU, up or down; pods' ends of a kind are one entry, `pods`.
        qdisc: Queueing disciplines by interface.
        special: Routes of the types blackhole, unreachable, prohibit and throw.
        routes: Networks that the main table has a route to, without single addresses.
        gateway: Where the default route leads.
        ways: Address of a pod → where a packet to it goes.
        here: Addresses of the matrix's pods on this node.
        policy_rules: Rules of the routing policy.
        neighbours: Address and device → link address, of those that are known.
        failed: Neighbours that do not answer.
        tunnels: Device of a tunnel and link address behind it → address of the node that packets for it are sent to.
        hairpin: Hairpin mode of the bridge ports that lead to pods: `on`, `off`; empty when there is no bridge.
        promiscuous: Bridges that are promiscuous, which does for hairpin as well.
        ports: What all bridge ports of pods have alike, of flooding, learning and isolation: `on` or `off`.
        addresses: First IPv4 address of each device but pods' and the loopback.
        taken: Device and address of those that are addresses of the matrix's pods.
        filters: Device and text of filters of the traffic control that drop packets.
        ipsec: IPsec policies.
        service_rules: How many rules of a service proxy there are.
        service_chains: How many rules each chain of a service proxy has.
        firewall: Other rules, each with its table and chain.
        policies: Base chains whose policy is not accept.
        pods: What the network of each pod has, by its address: lines of routes, links, queues and rules; in a lab only.
        health: What proxy and kubelet say of themselves; None when they give no answer.
    """

    node: str
    sysctl: dict[str, str] = field(default_factory=dict)
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    qdisc: dict[str, str] = field(default_factory=dict)
    special: list[str] = field(default_factory=list)
    routes: set[str] = field(default_factory=set)
    gateway: str = ""
    ways: dict[str, str] = field(default_factory=dict)
    here: frozenset[str] = frozenset()
    policy_rules: list[str] = field(default_factory=list)
    neighbours: dict[tuple[str, str], str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    tunnels: dict[tuple[str, str], str] = field(default_factory=dict)
    hairpin: str = ""
    promiscuous: bool = False
    ports: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[str, str]] = field(default_factory=list)
    filters: list[tuple[str, str]] = field(default_factory=list)
    ipsec: list[str] = field(default_factory=list)
    service_rules: int | None = None
    service_chains: dict[str, int] = field(default_factory=dict)
    firewall: list[str] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    pods: dict[str, list[str]] = field(default_factory=dict)
    health: dict[str, str | None] = field(default_factory=dict)


# The network of a pod as the pod itself sees it, which needs no right
POD_SCRIPT = r"""
ip -4 route 2>/dev/null | sed 's/^/R /'; ip -o link 2>/dev/null | sed 's/^/L /'
tc qdisc show 2>/dev/null | sed 's/^/Q /'; ip neigh 2>/dev/null | sed 's/^/N /'
"""


def read_all(bed: Testbed, lookers: Lookers) -> dict[str, State]:
    """States of all nodes of a matrix that can be asked, by node."""
    pods = [s for s in bed.sources if not s.host_network and not s.outside and s.address]
    one_each = {s.node: s.address for s in reversed(pods)}
    own = [s.address for s in pods[:MOST_PODS]]
    text = SCRIPT.replace("{pods}", " ".join(one_each.values())).replace("{own}", " ".join(own))
    nodes = list(dict.fromkeys(s.node for s in bed.sources if s.node))
    in_lab = bed.cluster.lab is not None
    looking = {} if in_lab else lookers.names(nodes)

    def ask(node: str) -> State | None:
        said = ""
        for run in _ways_in(bed, node, looking.get(node, "")):
            said = run(text)
            if f"{MARK}links" in said:
                return parse(node, said, own, [s.address for s in pods if s.node == node])
        return None

    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="state") as pool:
        found = {state.node: state for state in pool.map(ask, nodes) if state is not None}
        if not in_lab:
            mine = [s for s in pods if s.node in found][:MOST_PODS]
            for source, said in zip(
                mine, pool.map(lambda s: _in_pod(bed, s.name, ["sh", "-c", POD_SCRIPT]), mine), strict=True
            ):
                if said:
                    found[source.node].pods[source.address] = [line.rstrip() for line in said.splitlines()]
    return found


def _ways_in(bed: Testbed, node: str, looker: str) -> list[Callable[[str], str]]:
    """How a node may be asked, the best way first."""
    lab: Any = bed.cluster.lab
    if lab is not None:

        def on_node(text: str) -> str:
            try:
                return str(lab.node(node).run(["sh", "-c", text], timeout=20, check=False).stdout)
            except Exception:  # a node that is off says nothing, and any other trouble of the lab is no finding either
                return ""

        return [on_node]
    ways: list[Callable[[str], str]] = []
    if looker:
        ways += [
            lambda text: _in_pod(bed, looker, ["chroot", ROOT, "sh", "-c", text]),
            lambda text: _in_pod(bed, looker, ["sh", "-c", text]),
        ]
    host = next((s.name for s in bed.sources if s.host_network and s.node == node), "")
    if host:
        ways.append(lambda text: _in_pod(bed, host, ["sh", "-c", text]))
    return ways


def _in_pod(bed: Testbed, pod: str, words: list[str]) -> str:
    try:
        ran = bed.cluster.exec(
            bed.layout.namespace, pod, words, container=CONTAINER, timeout=20, check=False, again=True
        )
    except errors.NetLibraryError:
        return ""
    return ran.stdout


def parse(node: str, text: str, own: Sequence[str] = (), here: Sequence[str] = ()) -> State:
    """Reads what `SCRIPT` has written.

    Args:
        node: Where.
        text: Its output.
        own: Addresses of the matrix's pods.
        here: Those of them that are on the node.
    """
    parts: dict[str, list[str]] = defaultdict(list)
    name = ""
    for line in text.splitlines():
        if line.startswith(MARK):
            name = line[len(MARK) :]
        elif line.strip():
            parts[name].append(line)
    state = State(node, here=frozenset(here))
    of_pod = _pod_devices(parts["links"], parts["routes"])
    for line in parts["sysctl"]:
        path, _, value = line.partition(":")
        if not of_pod(path.split("/")[2] if path.count("/") > 2 else ""):
            state.sysctl["net." + path.replace("/", ".")] = " ".join(value.split())
    _links(state, parts["links"], parts["qdisc"], of_pod)
    _bridge(state, parts["ports"], parts["links"])
    _addresses(state, parts["addresses"], own, of_pod)
    _filters(state, parts["filters"])
    policies = (" ".join(line.replace("\\", " ").split()) for line in parts["ipsec"])
    state.ipsec = [policy for policy in policies if " dir out " in policy]
    for line in parts["routes"]:
        if line.split()[0] in ("blackhole", "unreachable", "prohibit", "throw"):
            state.special.append(line.strip())
        elif " table " not in line and ("/" in line.split()[0] or line.startswith("default")):
            state.routes.add(line.split()[0])
            if line.startswith("default via ") and not state.gateway:
                state.gateway = line.split()[2]
    for line in parts["ways"]:
        address, _, way = line.partition(" ")
        state.ways[address] = way.strip()
    state.policy_rules = [" ".join(line.split()) for line in parts["rules"]]
    for line in parts["neighbours"]:
        words = line.split()
        if "lladdr" in words:
            # a tunnel may have an entry of its own for the address of a node
            at = words[words.index("dev") + 1] if "dev" in words else ""
            state.neighbours[words[0], at] = words[words.index("lladdr") + 1]
        elif words[-1] == "FAILED":
            state.failed.append(words[0])
    for line in parts["tunnels"]:
        words = line.split()
        if "dev" in words and "dst" in words:
            state.tunnels[words[words.index("dev") + 1], words[0]] = words[words.index("dst") + 1]
    for line in parts["proxy"]:
        port, _, said = line.partition(" ")
        state.health["kube-proxy" if port == "10256" else "proxy mode"] = said.strip() or None
    state.health["kubelet"] = parts["kubelet"][0] if parts["kubelet"] else None
    _firewall(state, parts["firewall"])
    address = kind = ""
    for line in parts["pods"]:
        if line.startswith("P "):
            address = line[2:].strip()
            state.pods[address] = []
        elif line.startswith("="):
            kind = line[1:]
        elif address:
            state.pods[address].append(f"{kind} {line}".rstrip())
    return state


def _pod_devices(links: list[str], routes: list[str]) -> Callable[[str], bool]:
    """Returns what tells the nodes' ends of pods' devices: usual names, or a pair whose other end is elsewhere."""
    outward = {
        words[words.index("dev") + 1] for line in routes if "dev" in (words := line.split()) and "default" in words
    }
    pairs = {found[1] for line in links if " veth " in line and (found := re.match(r"\d+: (\S+?)@if\d+:", line))}
    # a node that is itself a container has the like, as its way out
    return lambda name: bool(_VETH.match(name)) or (name in pairs - outward and not re.match(r"(eth|en)\w", name))


def _links(state: State, links: list[str], qdiscs: list[str], of_pod: Callable[[str], bool]) -> None:
    for line in links:
        words = line.replace("\\", " ").split()
        name = words[1].rstrip(":").split("@")[0]
        flags = words[2].strip("<>").split(",")
        mtu = words[words.index("mtu") + 1] if "mtu" in words else ""
        at = "pods" if of_pod(name) else name
        entry = state.links.setdefault(at, {"mtu": mtu, "up": "yes"})
        if mtu.isdigit() and int(mtu) < int(entry["mtu"] or mtu):
            entry["mtu"] = mtu
        if "UP" not in flags or "NO-CARRIER" in flags:
            entry["up"] = "no"
    for line in qdiscs:
        words = line.split()
        if "dev" in words and len(words) > 3:
            name = words[words.index("dev") + 1]
            # without its handle and counters
            kind = " ".join([words[1], *(w for w in words[words.index("dev") + 2 :] if not w.endswith(":"))])
            at = "pods" if of_pod(name) else name
            if at not in state.qdisc or words[1] not in ("noqueue", "fq_codel", "mq", "pfifo_fast", "fq"):
                state.qdisc[at] = kind


def _bridge(state: State, ports: list[str], links: list[str]) -> None:
    of_pods = [line for line in ports if _VETH.match(re.sub(r"^\d+:\s*", "", line))]

    def values_of(name: str) -> set[str]:
        return {found[1] for line in of_pods if (found := re.search(rf"\b{name} (on|off)\b", line))}

    modes = values_of("hairpin")
    state.hairpin = "off" if modes == {"off"} else ("on" if modes else "")
    for name in ("learning", "flood", "isolated"):
        values = values_of(name)
        if len(values) == 1:
            state.ports[name] = values.pop()
    state.promiscuous = any("PROMISC" in line and " bridge " in line for line in links)


def _addresses(state: State, lines: list[str], own: Sequence[str], of_pod: Callable[[str], bool]) -> None:
    for line in lines:
        device, address = line.split()[1], line.split()[3].split("/")[0]
        if address in own:
            state.taken.append((device, address))
        elif device != "lo" and not of_pod(device):
            state.addresses.setdefault(device, address)


def _filters(state: State, lines: list[str]) -> None:
    device = ""
    said: list[str] = []
    for line in [*lines, "D "]:
        if line.startswith(("D ", "filter ")):
            text = " ".join(" ".join(said).split())
            if re.search(r"\b(drop|shot)\b", text):
                state.filters.append((device, text[:160]))
            said = []
        if line.startswith("D "):
            device = line[2:].strip()
        else:
            said.append(line)


def _firewall(state: State, lines: list[str]) -> None:
    if not lines:
        return
    table = chain = ""
    state.service_rules = 0
    for line in lines:
        text = line.strip()
        if found := re.match(r"table (\S+ \S+) \{", text):
            table = found[1]
        elif found := re.match(r"chain (\S+) \{", text):
            chain = found[1]
            if "KUBE-" in chain or "kube-proxy" in table:
                state.service_chains.setdefault(chain, 0)
        elif text.startswith("type ") and "hook" in text:
            if "policy drop" in text:
                state.policies.append(f"{table} {chain}")
        elif text.startswith(("#", "}", "set ", "map ", "elements", "flags", "comment ")) or not text:
            continue
        elif "KUBE-" in chain or "KUBE-" in text or "kube-proxy" in table:
            state.service_rules += 1
            state.service_chains[chain] = state.service_chains.get(chain, 0) + 1
        else:
            state.firewall.append(f"table {table}, chain {chain}: {text}")


__all__ = ["SCRIPT", "State", "parse", "read_all"]
