"""What can be broken of the traffic in a lab: packets, flows, names, single pods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords.disruption._shared import DisruptionBase, lasting
from NetLibrary.types import Percentage

TransportProtocol = Literal["tcp", "udp", "any"]
PodFault = Literal["unreachable", "refuses", "hangs", "starved", "asks nobody"]
# An address of TEST-NET-1 (RFC 5737), which the lab does not route
NOBODY = "192.0.2.53"
DnsFault = Literal["down", "wrong", "slow", "nxdomain"]
TrafficFault = Literal["drop", "reject", "reset"]


class TrafficDisruptionKeywords(DisruptionBase):
    """Break packets, flows, DNS and pods."""

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_traffic_on_node(
        self,
        node: str,
        *,
        how: TrafficFault = "drop",
        source: Sequence[str] = (),
        destination: Sequence[str] = (),
        protocol: TransportProtocol = "any",
        ports: Sequence[int] = (),
        for_: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:
        """Makes matching packets be dropped, rejected or reset on a lab node.

        Args:
            node: Name of the node.
            how: `drop` gives no answer, `reject` answers with ICMP, `reset` answers TCP with a reset.
            source: Source addresses or networks; any by default.
            destination: Destination addresses or networks; any by default.
            protocol: tcp, udp or any.
            ports: Destination ports; needs a protocol.
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import network

        make = {"drop": network.drop, "reject": network.reject, "reset": network.reset}[how]
        what = _matching(protocol, source=source, destination=destination, ports=ports)
        return self._break(make(node, **what), for_, cluster)

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_direction_between_nodes(
        self,
        sender: str,
        receiver: str,
        *,
        protocol: TransportProtocol = "any",
        for_: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:
        """Drops packets from one node and its pods at another node; the opposite direction keeps working.

        In dual-stack clusters, packets of both address families are dropped.

        Args:
            sender: Node whose packets are dropped.
            receiver: Node that drops them.
            protocol: tcp, udp or any.
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import network

        sending = self._faults(cluster).backend.lab.node(sender)
        named = None if protocol == "any" else protocol
        plan = network.drop_from(receiver, sender, [*sending.all_pods, *sending.addresses], named)
        return self._break(plan, for_, cluster)

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_large_packets_of_node(
        self, node: str, *, above: int = 1000, for_: timedelta | None = None, cluster: str | None = None
    ) -> str:
        """Drops large packets between a node and the others without telling the sender: an MTU black hole.

        Args:
            node: Name of the node.
            above: Size in bytes of the largest packet that passes.
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import network

        return self._break(network.drop_large(node, above), for_, cluster)

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_share_of_packets_on_node(
        self,
        node: str,
        *,
        share: Percentage = Percentage(10),
        protocol: TransportProtocol = "any",
        ports: Sequence[int] = (),
        for_: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:
        """Drops a random share of the packets that a node forwards, as a lossy link does.

        Args:
            node: Name of the node.
            share: Share that is dropped.
            protocol: tcp, udp or any.
            ports: Destination ports; needs a protocol.
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import network

        return self._break(network.lose(node, share.fraction, **_matching(protocol, ports=ports)), for_, cluster)

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_new_flows_of_node(
        self,
        node: str,
        *,
        share: Percentage = Percentage(80),
        for_: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:
        """Drops a share of a node's new flows at random.

        Args:
            node: Name of the node.
            share: Share that is dropped.
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import network

        return self._break(network.drop_new_flows(node, share.fraction), for_, cluster)

    @keyword("Break DNS On Nodes", tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_dns_on_nodes(
        self, fault: DnsFault, *nodes: str, for_: timedelta | None = None, cluster: str | None = None
    ) -> str:
        """Makes the cluster's DNS fail for the pods on nodes: no answer, wrong address, no such name, or late answers.

        Args:
            fault: `down`, `wrong`, `slow` (1.2 s) or `nxdomain`.
            nodes: Names of the nodes; all by default.
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import names

        where = list(nodes) or self._faults(cluster).backend.nodes()
        plan = names.break_dns(fault, where, upstream=_dns_server(self.session.cluster(cluster)))
        return self._break(plan, for_, cluster)

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_pod(
        self,
        namespace: str,
        pod: str,
        how: PodFault = "unreachable",
        *,
        for_: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:
        """Makes one pod fail: it gets no packets, refuses them, hangs, answers late, or uses a wrong DNS server.

        Args:
            namespace: Namespace of the pod.
            pod: Name of the pod.
            how: `unreachable` (its packets are dropped), `refuses` (they are answered by ICMP), `hangs` (connections
                are accepted, but nothing answers), `starved` (1 ms of CPU time per second) or `asks nobody` (its
                resolv.conf names a DNS server that does not exist).
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import network, pods

        self._faults(cluster)
        found = self.session.cluster(cluster).get("Pod", pod, namespace)
        node, address = found["spec"].get("nodeName", ""), found["status"].get("podIP", "")
        if not address:
            raise InputError(f"The pod '{pod}' in namespace '{namespace}' has no address; it is not running yet.")
        plans = {
            "unreachable": lambda: network.isolate_pod(node, address),
            "refuses": lambda: network.isolate_pod(node, address, "reject with icmpx type port-unreachable"),
            "hangs": lambda: pods.hang(found),
            "starved": lambda: pods.starve(found),
            "asks nobody": lambda: pods.misdirect(found, NOBODY),
        }
        return self._break(plans[how](), for_, cluster)


def _matching(protocol: TransportProtocol, **lists: Sequence[Any]) -> dict[str, Any]:
    """What packets have to match, as faults of the network take it."""
    what: dict[str, Any] = {name: list(values) for name, values in lists.items()}
    return what if protocol == "any" else {**what, "protocol": protocol}


def _dns_server(cluster: Any) -> str:
    """Address of a DNS pod; the Service's own address would lead back to the fault."""
    from NetLibrary._mechanics.kube import addresses

    return next((server.address for server in addresses.dns_servers(cluster)), "")
