"""Which addresses and names a lab uses, computed from its index alone.

The addresses come from 198.18.0.0/15, which RFC 2544 sets apart for tests of networks: no company network, VPN or
container engine uses them, so a lab does not cut its machine off from anything. Each of the 8 possible labs has a /18.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TypeVar

from NetLibrary._mechanics.errors import InputError

POOL = ipaddress.IPv4Network("198.18.0.0/15")
POOL_V6 = ipaddress.IPv6Network("fd6c:6162::/32")
LABS = 8
T = TypeVar("T")
IP_FAMILIES = {
    "ipv4": ("ipv4",),
    "ipv6": ("ipv6",),
    "dual": ("ipv4", "ipv6"),
    "dual-ipv6-first": ("ipv6", "ipv4"),
}
MAX_NODES = 16
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


def check_name(name: str) -> str:
    """Returns the name of a lab, or says what is wrong with it."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"The lab's name is '{name}'; allowed: 1 to 20 lower-case letters, digits and '-', "
            "with a letter or digit at both ends."
        )
    return name


def check_nodes(nodes: int) -> int:
    """Returns the number of nodes, or says what is wrong with it."""
    if not 1 <= nodes <= MAX_NODES:
        raise InputError(f"The number of nodes is {nodes}; allowed: 1 to {MAX_NODES}.")
    return nodes


@dataclass(frozen=True)
class AddressPlan:
    """Addresses and names of one lab.

    Args:
        name: Name of the lab.
        index: Which of the 8 address blocks it uses.
        nodes: How many nodes it has.
        families: Address families of nodes, pods and Services, the cluster's own first: `ipv4`, `ipv6`.
        host_names: What nodes' host names begin with; the number follows. Kubernetes knows them as node1, node2, ….

    Example:
        >>> plan = AddressPlan("default", 0, 3)
        >>> plan.host, plan.node_address(1), str(plan.pods(1)), plan.dns
        ('198.18.0.254', '198.18.0.1', '198.18.33.0/24', '198.18.16.10')
    """

    name: str
    index: int
    nodes: int
    families: tuple[str, ...] = ("ipv4",)
    host_names: str = "node"

    @property
    def v4(self) -> bool:
        """Tells whether the cluster has IPv4 addresses."""
        return "ipv4" in self.families

    @property
    def v6(self) -> bool:
        """Tells whether the cluster has IPv6 addresses."""
        return "ipv6" in self.families

    @property
    def dual(self) -> bool:
        """Tells whether the cluster has addresses of both families."""
        return self.v4 and self.v6

    def each(self, ipv4: T, ipv6: T) -> list[T]:
        """Returns what belongs to the cluster's families, that of its first family first.

        Example:
            >>> AddressPlan("x", 0, 1, families=("ipv6", "ipv4")).each("four", "six")
            ['six', 'four']
        """
        return [{"ipv4": ipv4, "ipv6": ipv6}[family] for family in self.families]

    @property
    def block(self) -> ipaddress.IPv4Network:
        """All IPv4 addresses of the lab."""
        return list(POOL.subnets(new_prefix=18))[self.index]

    @property
    def block_v6(self) -> ipaddress.IPv6Network:
        """All IPv6 addresses of the lab."""
        return ipaddress.IPv6Network((int(POOL_V6.network_address) | self.index << 80, 48))

    def _slice(self, third_octet: int, prefix: int) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network((int(self.block.network_address) + (third_octet << 8), prefix))

    def _slice_v6(self, number: int, prefix: int) -> ipaddress.IPv6Network:
        return ipaddress.IPv6Network((int(self.block_v6.network_address) + (number << 64), prefix))

    # --- networks -----------------------------------------------------------------------------------

    @property
    def node_network(self) -> ipaddress.IPv4Network:
        """The network that the nodes and the machine share."""
        return self._slice(0, 24)

    @property
    def balancer_pool(self) -> ipaddress.IPv4Network:
        """Addresses of Services of type LoadBalancer."""
        return self._slice(1, 24)

    @property
    def outside_network_v6(self) -> ipaddress.IPv6Network:
        """As `outside_network`."""
        return self._slice_v6(2, 64)

    @property
    def outside_network(self) -> ipaddress.IPv4Network:
        """The network of the vantage point outside the cluster."""
        return self._slice(2, 24)

    @property
    def services(self) -> ipaddress.IPv4Network:
        """Cluster addresses of Services."""
        return self._slice(16, 20)

    @property
    def all_pods(self) -> ipaddress.IPv4Network:
        """Addresses of all pods."""
        return self._slice(32, 19)

    def pods(self, node: int) -> ipaddress.IPv4Network:
        """Addresses of one node's pods; nodes count from 1."""
        return self._slice(32 + node, 24)

    @property
    def node_network_v6(self) -> ipaddress.IPv6Network:
        """As `node_network`."""
        return self._slice_v6(0, 64)

    @property
    def balancer_pool_v6(self) -> ipaddress.IPv6Network:
        """As `balancer_pool`."""
        return self._slice_v6(1, 112)

    @property
    def services_v6(self) -> ipaddress.IPv6Network:
        """As `services`; a prefix of 112, because the API server allows no more than 20 bits of host part."""
        return self._slice_v6(16, 112)

    @property
    def all_pods_v6(self) -> ipaddress.IPv6Network:
        """As `all_pods`."""
        return self._slice_v6(32, 59)

    def pods_v6(self, node: int) -> ipaddress.IPv6Network:
        """As `pods`."""
        return self._slice_v6(32 + node, 64)

    # --- addresses ----------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """Address of the machine on the nodes' network, where the API server listens."""
        return str(self.node_network[254])

    @property
    def host_v6(self) -> str:
        """As `host`."""
        return str(self.node_network_v6[254])

    @property
    def api(self) -> str:
        """URL of the API server."""
        return f"https://[{self.api_address}]:6443" if ":" in self.api_address else f"https://{self.api_address}:6443"

    @property
    def api_address(self) -> str:
        """Address at which the API server listens; pods reach it by this one, so it has the cluster's first family."""
        return self.each(self.host, self.host_v6)[0]

    @property
    def loopback(self) -> str:
        """Loopback address of the control plane; one for each lab, so that all can use the usual ports."""
        return f"127.76.{self.index}.1"

    @property
    def dns(self) -> str:
        """Cluster address of the DNS Service."""
        return str(self.each(self.services[10], self.services_v6[10])[0])

    def node_address(self, node: int) -> str:
        """Address of a node; nodes count from 1."""
        return str(self.node_network[node])

    def node_address_v6(self, node: int) -> str:
        """As `node_address`."""
        return str(self.node_network_v6[node])

    def node_addresses(self, node: int) -> list[str]:
        """Returns all addresses of a node, that of the cluster's first family first."""
        return self.each(self.node_address(node), self.node_address_v6(node))

    def node_pods(self, node: int) -> list[str]:
        """Returns the ranges of a node's pods, that of the cluster's first family first."""
        return self.each(str(self.pods(node)), str(self.pods_v6(node)))

    # --- names --------------------------------------------------------------------------------------

    @property
    def bridge(self) -> str:
        """Interface of the machine on the nodes' network."""
        return f"lab{self.index}"

    def host_name(self, node: int) -> str:
        """Host name of a node."""
        return f"{self.host_names}{node}"

    def interface(self, node: int) -> str:
        """Interface on the machine's side of a node's link."""
        return f"lab{self.index}n{node}"

    def netns(self, node: int) -> str:
        """Name of a node's network namespace."""
        return f"lab-{self.name}-node{node}"

    @property
    def outside_netns(self) -> str:
        """Name of the network namespace of the vantage point outside the cluster."""
        return f"lab-{self.name}-outside"

    @property
    def outside_interface(self) -> str:
        """Interface on the machine's side of the link to the vantage point outside."""
        return f"lab{self.index}out"

    @property
    def outside_address(self) -> str:
        """Address of the vantage point outside the cluster."""
        return str(self.outside_network[1])

    @property
    def cgroup(self) -> str:
        """Name of the control group that holds all processes of the lab."""
        return f"netlibrary-{self.name}"

    @property
    def table(self) -> str:
        """Name of the nftables table on the machine."""
        return f"netlibrary_lab{self.index}"
