"""Keywords of the release before whose act has one other keyword now; they go on working and warn."""

from __future__ import annotations

from datetime import timedelta

from NetLibrary.keywords._base import keyword
from NetLibrary.keywords.disruption.nodes import NodeDisruptionKeywords, NodeProcess, proxy_plan

FOLDER = "/proc/sys/net/netfilter"


class FormerDisruptionKeywords(NodeDisruptionKeywords):
    """Old names."""

    @keyword(tags=["disruptive", "needs-lab"])
    def restart_node_process(
        self, process: NodeProcess, *nodes: str, down_for: timedelta = timedelta(0), cluster: str | None = None
    ) -> None:
        """*DEPRECATED!* Use [Restart Process On Nodes], or [Break Process On Node] with `for=`, instead.

        Args:
            process: `kubelet`, `containerd` or `kube-proxy`.
            nodes: Names of nodes; all by default.
            down_for: Time between its end and its start.
            cluster: Alias of the cluster.
        """
        self._restart_process(process, nodes, down_for, cluster)

    @keyword(tags=["disruptive", "needs-lab"])
    def cut_node_link(
        self, node: str, *, down_for: timedelta = timedelta(seconds=1), cluster: str | None = None
    ) -> None:
        """*DEPRECATED!* Use [Break Link Of Node] with `for=1 s` instead.

        Args:
            node: Name of the node.
            down_for: Time between down and up.
            cluster: Alias of the cluster.
        """
        from NetLibrary.lab.faults import network

        self._break(network.cut_link(node), down_for, cluster)

    @keyword(tags=["disruptive", "needs-lab"])
    def power_cycle_node(
        self, node: str, *, off_for: timedelta = timedelta(seconds=3), cluster: str | None = None
    ) -> None:
        """*DEPRECATED!* Use [Break Power Of Node] with `for=3 s` instead.

        Args:
            node: Name of the node.
            off_for: Time without power.
            cluster: Alias of the cluster.
        """
        from NetLibrary.lab.faults import processes

        self._break(processes.power_off(node), off_for, cluster, ready=node)

    @keyword(tags=["disruptive", "needs-lab"])
    def flush_service_rules(
        self,
        *nodes: str,
        proxy_down_for: timedelta = timedelta(0),
        forget_connections: bool = False,
        cluster: str | None = None,
    ) -> None:
        """*DEPRECATED!* Use [Break Service Proxy On Node] with `for=0 s    forget_connections=False` instead.

        Args:
            nodes: Names of nodes; all by default.
            proxy_down_for: Time between the removal of the rules and the start of kube-proxy.
            forget_connections: Also empty connection tracking.
            cluster: Alias of the cluster.
        """
        for node in nodes or self._faults(cluster).backend.nodes():
            self._break(proxy_plan(node, True, forget_connections), proxy_down_for, cluster)

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    def fill_connection_tracking_of_node(
        self, node: str, *, duration: timedelta = timedelta(seconds=30), cluster: str | None = None
    ) -> int:
        """*DEPRECATED!* Use [Break Connection Tracking Of Node] instead.

        Args:
            node: Name of the node.
            duration: How long the entries stay at the most.
            cluster: Alias of the lab.
        Returns:
            How many entries there are.
        """
        from NetLibrary.lab.faults import tracking

        self._break(tracking.fill(node, max(1, round(duration.total_seconds()))), None, cluster)
        place = self._lab(cluster, "connection tracking").node(node)
        return int(place.run(["cat", f"{FOLDER}/nf_conntrack_count"]).stdout)

    @keyword(tags=["faults", "needs-lab"])
    def clear_connection_tracking_of_node(self, node: str, *, cluster: str | None = None) -> None:
        """*DEPRECATED!* Use [Restore Fault] instead.

        Args:
            node: Name of the node.
            cluster: Alias of the lab.
        """
        from NetLibrary.lab.faults import tracking

        faults = self._faults(cluster)
        for fault in faults.in_place():
            if (fault.node, fault.kind) == (node, tracking.KIND):
                faults.repair(fault)
