"""Keywords that break a lab on purpose, each with its repair."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from robot.api import SkipExecution, logger

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import addresses
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.types import Percentage

NodeProcess = Literal["kube-proxy", "kubelet", "containerd"]
TransportProtocol = Literal["tcp", "udp", "any"]
PodFault = Literal["unreachable", "refuses", "hangs", "starved"]
DnsFault = Literal["down", "wrong", "slow", "nxdomain"]


class FaultKeywords(KeywordBase):
    """Break and repair the nodes of a lab."""

    _watched: bool = False

    def _faults(self, cluster: str | None) -> Any:
        target = self.session.cluster(cluster)
        if not target.is_lab:
            raise SkipExecution(
                f"Cluster '{target.alias}' is no lab: faults are made only in clusters that this library has started."
            )
        from NetLibrary.lab.faults import Faults

        faults = Faults(target.lab)
        if not self._watched:
            self._watched = True
            self.session.on_close("faults of the lab", lambda: _repair_mine(faults))
        return faults

    def _break(self, plan: Any, cluster: str | None) -> str:
        fault = self._faults(cluster).apply(plan)
        logger.info(f"Broken: {fault.text}")
        return str(fault.identity)

    @keyword(tags=["faults", "disruptive"])
    def break_service_proxy_on_node(self, node: str, *, flush: bool = True, cluster: str | None = None) -> str:
        """Stops kube-proxy on a node of the lab and, by default, removes its rules.

        Args:
            node: Name of the node.
            flush: Also remove the rules; otherwise the node keeps those it has and misses every change.
            cluster: Alias of the lab.
        Returns:
            Name of the fault for [Repair Fault].

        ```robotframework
        *** Test Cases ***
        A Dead Proxy Is Found
            Break Service Proxy On Node    node2
            Run Keyword And Expect Error    *node2*    Service Matrix Case Should Be Right    cluster ip
            [Teardown]    Repair All Faults
        ```
        """
        from NetLibrary.lab.faults import processes

        plan = processes.flush_service_rules(node) if flush else processes.stop_process(node, "kube-proxy")
        return self._break(plan, cluster)

    @keyword(tags=["faults", "disruptive"])
    def break_process_on_node(
        self, node: str, process: NodeProcess, *, hang: bool = False, cluster: str | None = None
    ) -> str:
        """Stops a process of a node until the repair, or makes it hang.

        Args:
            node: Name of the node.
            process: kube-proxy, kubelet or containerd.
            hang: The process stays and does nothing.
            cluster: Alias of the lab.
        Returns:
            Name of the fault for [Repair Fault].
        """
        from NetLibrary.lab.faults import processes

        plan = processes.pause_process(node, process) if hang else processes.stop_process(node, process)
        return self._break(plan, cluster)

    @keyword(tags=["faults", "disruptive"])
    def break_link_of_node(self, node: str, *, cluster: str | None = None) -> str:
        """Pulls the plug of a node: its link goes down until the repair.

        Args:
            node: Name of the node.
            cluster: Alias of the lab.
        Returns:
            Name of the fault for [Repair Fault].
        """
        from NetLibrary.lab.faults import network

        return self._break(network.cut_link(node), cluster)

    @keyword(tags=["faults", "disruptive"])
    def break_traffic_on_node(
        self,
        node: str,
        *,
        how: Literal["drop", "reject", "reset"] = "drop",
        source: Sequence[str] = (),
        destination: Sequence[str] = (),
        protocol: TransportProtocol = "any",
        ports: Sequence[int] = (),
        cluster: str | None = None,
    ) -> str:
        """Makes packets that match vanish, be refused or be reset on a node.

        Args:
            node: Name of the node.
            how: drop is silent, reject answers with ICMP, reset answers TCP with a reset.
            source: Source addresses or networks; any when not given.
            destination: Destination addresses or networks; any when not given.
            protocol: tcp, udp or any.
            ports: Destination ports; needs a protocol.
            cluster: Alias of the lab.
        Returns:
            Name of the fault for [Repair Fault].
        """
        from NetLibrary.lab.faults import network

        make = {"drop": network.drop, "reject": network.reject, "reset": network.reset}[how]
        what: dict[str, Any] = {"source": list(source), "destination": list(destination), "ports": list(ports)}
        if protocol != "any":
            what["protocol"] = protocol
        return self._break(make(node, **what), cluster)

    @keyword(tags=["faults", "disruptive"])
    def break_direction_between_nodes(
        self, sender: str, receiver: str, *, protocol: TransportProtocol = "any", cluster: str | None = None
    ) -> str:
        """Drops what comes from one node's pods and from the node itself at another node; the way back works.

        Args:
            sender: Node whose packets are dropped.
            receiver: Node that drops them.
            protocol: tcp, udp or any.
            cluster: Alias of the lab.
        Returns:
            Name of the fault for [Repair Fault].
        """
        from NetLibrary.lab.faults import network

        faults = self._faults(cluster)
        lab = faults.ground.lab
        source = [str(lab.node(sender).pods), str(lab.node(sender).address)]
        what: dict[str, Any] = {"source": source, "hooks": ("prerouting",), "interface": "eth0"}
        if protocol != "any":
            what["protocol"] = protocol
        text = f"Node '{receiver}' drops what comes from node '{sender}'."
        return self._break(network.drop(receiver, text, **what), cluster)

    @keyword(tags=["faults", "disruptive"])
    def break_large_packets_of_node(self, node: str, *, above: int = 1000, cluster: str | None = None) -> str:
        """Drops large packets between a node and the others without telling the sender: an MTU black hole.

        Args:
            node: Name of the node.
            above: Largest packet in bytes that passes.
            cluster: Alias of the lab.
        Returns:
            Name of the fault for [Repair Fault].
        """
        from NetLibrary.lab.faults import network

        return self._break(network.drop_large(node, above), cluster)

    @keyword(tags=["faults", "disruptive"])
    def break_share_of_packets_on_node(
        self,
        node: str,
        *,
        share: Percentage = Percentage(10),
        protocol: TransportProtocol = "any",
        ports: Sequence[int] = (),
        cluster: str | None = None,
    ) -> str:
        """Loses a share of the packets that a node forwards, at random: a lossy link.

        Args:
            node: Name of the node.
            share: How many of them.
            protocol: tcp, udp or any.
            ports: Destination ports; needs a protocol.
            cluster: Alias of the lab.
        Returns:
            Name of the fault for [Repair Fault].
        """
        from NetLibrary.lab.faults import network

        what: dict[str, Any] = {"ports": list(ports)}
        if protocol != "any":
            what["protocol"] = protocol
        return self._break(network.lose(node, share.fraction, **what), cluster)

    @keyword(tags=["faults", "disruptive"])
    def break_new_flows_of_node(
        self, node: str, *, share: Percentage = Percentage(80), cluster: str | None = None
    ) -> str:
        """Drops a share of a node's new flows, as a full connection tracking table does.

        Args:
            node: Name of the node.
            share: How many of them, at random.
            cluster: Alias of the lab.
        Returns:
            Name of the fault for [Repair Fault].
        """
        from NetLibrary.lab.faults import network

        return self._break(network.drop_new_flows(node, share.fraction), cluster)

    @keyword(tags=["faults", "disruptive"])
    def break_dns_on_nodes(self, fault: DnsFault, *nodes: str, cluster: str | None = None) -> str:
        """Makes the cluster's DNS fail for the pods of nodes: no answer, wrong addresses, no such name, or late.

        Args:
            fault: down, wrong, slow (1.2 s) or nxdomain.
            nodes: Names of the nodes; all when none is given.
            cluster: Alias of the lab.
        Returns:
            Name of the fault for [Repair Fault].
        """
        from NetLibrary.lab.faults import names

        faults = self._faults(cluster)
        plan = names.break_dns(
            fault, list(nodes) or faults.ground.nodes(), upstream=_dns_server(self.session.cluster(cluster))
        )
        return self._break(plan, cluster)

    @keyword(tags=["faults", "disruptive"])
    def break_pod(self, namespace: str, pod: str, how: PodFault = "unreachable", *, cluster: str | None = None) -> str:
        """Makes one pod fail: it gets no packets, refuses them, hangs, or answers late.

        Args:
            namespace: Namespace of the pod.
            pod: Name of the pod.
            how: unreachable (its packets vanish), refuses (they are answered by ICMP), hangs (connections come about
                and nobody answers) or starved (1 ms of processor time in a second).
            cluster: Alias of the lab.
        Returns:
            Name of the fault for [Repair Fault].
        """
        from NetLibrary.lab.faults import network, pods

        self._faults(cluster)
        found = self.session.cluster(cluster).get("Pod", pod, namespace)
        node, address = found["spec"].get("nodeName", ""), found["status"].get("podIP", "")
        if not address:
            raise InputError(f"The pod '{pod}' in namespace '{namespace}' has no address; it does not run yet.")
        plans = {
            "unreachable": lambda: network.isolate_pod(node, address),
            "refuses": lambda: network.isolate_pod(node, address, "reject with icmpx type port-unreachable"),
            "hangs": lambda: pods.hang(found),
            "starved": lambda: pods.starve(found),
        }
        return self._break(plans[how](), cluster)

    @keyword(tags=["faults", "disruptive"])
    def repair_fault(self, identity: str, *, cluster: str | None = None) -> None:
        """Repairs one fault.

        Args:
            identity: What the keyword that made it returned.
            cluster: Alias of the lab.
        """
        faults = self._faults(cluster)
        for fault in faults.in_place():
            if fault.identity == identity:
                faults.repair(fault)
                logger.info(f"Repaired: {fault.text}")
                return
        raise InputError(f"No fault '{identity}' is in place; there are {[f.identity for f in faults.in_place()]}.")

    @keyword(tags=["faults"])
    def repair_all_faults(self, *, cluster: str | None = None) -> list[str]:
        """Repairs everything that is broken in the lab on purpose, also what an earlier run left broken.

        Args:
            cluster: Alias of the lab.
        Returns:
            What was repaired, in sentences.
        """
        repaired = [fault.text for fault in self._faults(cluster).repair_all()]
        for text in repaired:
            logger.info(f"Repaired: {text}")
        return repaired

    @keyword(tags=["faults"])
    def get_faults(self, *, cluster: str | None = None) -> list[str]:
        """Returns what is broken in the lab on purpose, in sentences.

        Args:
            cluster: Alias of the lab.
        """
        return [fault.text for fault in self._faults(cluster).in_place()]


def _dns_server(cluster: Any) -> str:
    """Address of a DNS pod; the Service's own address would lead back to the fault."""
    return next((server.address for server in addresses.dns_servers(cluster)), "")


def _repair_mine(faults: Any) -> None:
    for fault in faults.repair_all(pid=os.getpid()):
        logger.warn(f"Repaired at the end of the run: {fault.text}")
