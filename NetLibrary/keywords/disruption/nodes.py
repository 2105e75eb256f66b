"""What can be broken of a lab's nodes themselves, and how everything that is broken is mended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from robot.api import logger

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords._outages import measured_step
from NetLibrary.keywords.disruption._shared import DisruptionBase, lasting, restored

NodeProcess = Literal["kube-proxy", "kubelet", "containerd"]

TRACKING_EXPIRES_S = 3600


class NodeDisruptionKeywords(DisruptionBase):
    """Break links, power, processes and tables of nodes, and restore them."""

    @keyword(tags=["faults"])
    def skip_unless_disruption_is_allowed(self, *, needs_lab: bool = False, cluster: str | None = None) -> None:
        """Skips the test if the cluster may not be disturbed; used before anything is measured, it costs nothing.

        A lab may always be disturbed, any other cluster with `-v ALLOW_DISRUPTION:True`.

        Args:
            needs_lab: Whether the test breaks nodes, which is done only in a lab.
            cluster: Alias of the cluster.
        """
        if needs_lab:
            self._lab(cluster, "this test")
        self._allow(cluster, "this test")

    @keyword(tags=["disruptive", "needs-lab"])
    def restart_process_on_nodes(self, process: NodeProcess, *nodes: str, cluster: str | None = None) -> None:
        """Restarts kubelet, containerd or kube-proxy on nodes of the lab, one node after another.

        Args:
            process: `kubelet`, `containerd` or `kube-proxy`.
            nodes: Names of nodes; all by default.
            cluster: Alias of the cluster.
        """
        self._restart_process(process, nodes, timedelta(0), cluster)

    @keyword("Reload CNI Configuration", tags=["disruptive", "needs-lab"])
    def reload_cni_configuration(self, *nodes: str, cluster: str | None = None) -> None:
        """Rewrites the CNI configuration of lab nodes and makes the runtime reload it, as the installer of a CNI does.

        Args:
            nodes: Names of nodes; all by default.
            cluster: Alias of the cluster.
        """
        lab = self._lab(cluster, "a reload of the CNI configuration")
        for name in nodes or [node.name for node in lab.nodes]:
            with measured_step(self.session, f"CNI configuration of {name}"):
                found = sorted(lab.node(name).folder.rglob("*.conflist"))
                if not found:
                    raise EnvironmentProblem(f"Node '{name}' of the lab has no CNI configuration.")
                for file in found:
                    text = file.read_text()
                    new = file.with_suffix(".new")
                    new.write_text(text)
                    file.unlink()  # the runtime sees it vanish and come back
                    time.sleep(0.2)
                    new.replace(file)

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_link_of_node(self, node: str, *, for_: timedelta | None = None, cluster: str | None = None) -> str:
        """Takes the network link of a lab node down, like pulling its network cable.

        Args:
            node: Name of the node.
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import network

        return self._break(network.cut_link(node), for_, cluster)

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_power_of_node(self, node: str, *, for_: timedelta | None = None, cluster: str | None = None) -> str:
        """Powers a lab node off, including its pods and network; the contents of its disk stay.

        With `for=`, it is powered on after that time, and the keyword waits until the node is ready.

        Args:
            node: Name of the node.
            for_: Time without power; by default, until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import processes

        return self._break(processes.power_off(node), for_, cluster, ready=node)

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_service_proxy_on_node(
        self,
        node: str,
        *,
        flush: bool = True,
        forget_connections: bool = True,
        for_: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:
        """Stops kube-proxy on a lab node and, by default, removes its rules; once restored, it writes them again.

        Args:
            node: Name of the node.
            flush: Whether to remove the rules too; otherwise the node keeps its rules and misses every change.
            forget_connections: Whether to empty connection tracking along with the rules: established connections then
                lose their address translation, and some of them hang.
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].

        ```robotframework
        *** Test Cases ***
        A Dead Proxy Is Found
            Break Service Proxy On Node    node2
            Run Keyword And Expect Error    *node2*    Service Matrix Case Should Be Right    cluster ip
            [Teardown]    Restore All Faults
        ```
        """
        return self._break(proxy_plan(node, flush, forget_connections), for_, cluster)

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_process_on_node(
        self,
        node: str,
        process: NodeProcess,
        *,
        hang: bool = False,
        for_: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:
        """Stops a process on a lab node, or makes it hang.

        Args:
            node: Name of the node.
            process: kube-proxy, kubelet or containerd.
            hang: Whether to keep the process but make it hang.
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import processes

        plan = processes.pause_process(node, process) if hang else processes.stop_process(node, process)
        return self._break(plan, for_, cluster, ready=node if process == "kubelet" else "")

    @keyword(tags=["faults", "disruptive", "needs-lab"])
    @lasting
    def break_connection_tracking_of_node(
        self, node: str, *, for_: timedelta | None = None, cluster: str | None = None
    ) -> str:
        """Fills the connection tracking table of a lab node with entries that no packet needs.

        The kernel then really drops new connections through the node, and counts them, as under too high a connection
        rate. The entries expire by themselves after an hour, so nothing stays behind even if the run is killed.

        Args:
            node: Name of the node.
            for_: Time after which it is restored; by default, it stays broken until [Restore Fault].
            cluster: Alias of the lab.
        Returns:
            Name of the fault, for [Restore Fault].
        """
        from NetLibrary.lab.faults import tracking

        return self._break(tracking.fill(node, TRACKING_EXPIRES_S), for_, cluster)

    @keyword(tags=["faults", "disruptive"], formerly=["Repair Fault"])
    def restore_fault(self, identity: str, *, cluster: str | None = None) -> None:
        """Restores what one `Break …` keyword has broken.

        Args:
            identity: Name of the fault, as returned by the keyword that caused it.
            cluster: Alias of the lab.
        """
        faults = self._faults(cluster)
        for fault in faults.in_place():
            if fault.identity == identity:
                with measured_step(self.session, restored(fault)):
                    faults.repair(fault)
                logger.info(f"Restored: {fault.text}")
                return
        raise InputError(
            f"No fault '{identity}' is in place; faults in place: {[f.identity for f in faults.in_place()]}."
        )

    @keyword(tags=["faults"], formerly=["Repair All Faults"])
    def restore_all_faults(self, *, cluster: str | None = None) -> list[str]:
        """Restores everything that is broken on purpose in the lab, including what an earlier run left broken.

        Args:
            cluster: Alias of the lab.
        Returns:
            Descriptions of what was restored.
        """
        faults = self._faults(cluster)
        if not faults.in_place():
            return []
        with measured_step(self.session, "all faults restored"):
            mended = [fault.text for fault in faults.repair_all()]
        for text in mended:
            logger.info(f"Restored: {text}")
        return mended

    @keyword(tags=["faults"])
    def get_faults(self, *, cluster: str | None = None) -> list[str]:
        """Returns descriptions of what is broken on purpose in the lab.

        Args:
            cluster: Alias of the lab.
        """
        return [fault.text for fault in self._faults(cluster).in_place()]

    def _restart_process(self, process: str, nodes: Sequence[str], down: timedelta, cluster: str | None) -> None:
        from NetLibrary._mechanics.disruption import workloads

        lab = self._lab(cluster, f"a restart of {process}")
        for name in nodes or [node.name for node in lab.nodes]:
            component = lab.node(name).process(process)
            with measured_step(self.session, f"{process} on {name}"):
                component.stop()
                time.sleep(down.total_seconds())
                component.start()
                if process == "kubelet":
                    workloads.wait_node_ready(self.session.cluster(cluster), name, timeout=60, say=logger.info)


def proxy_plan(node: str, flush: bool, forget_connections: bool) -> Any:
    """Returns the fault of a node without kube-proxy."""
    from NetLibrary.lab.faults import processes

    if not flush:
        return processes.stop_process(node, "kube-proxy")
    return processes.flush_service_rules(node, forget_connections=forget_connections)
