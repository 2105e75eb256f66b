"""Keywords for nodes, in kubectl's words. Changes of a node are recorded in it and put back at the end of the run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from robot.api import Failure, logger

from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords._outages import measured_step
from NetLibrary.keywords.disruption._shared import DisruptionBase


class NodeKeywords(DisruptionBase):
    """Cordon, drain, taint, evict."""

    @keyword(tags=["cluster", "node"])
    def get_node_facts(self, node: str, *, cluster: str | None = None) -> dict[str, Any]:
        """Returns facts about a node, as `kubectl get node -o wide` and `kubectl describe node` show them.

        Args:
            node: Name of the node.
            cluster: Alias of the cluster.
        Returns:
            A dictionary with `name`, `ready`, `schedulable`, `problems`, `roles`, `addresses`, `pod_networks`,
            `taints`, `labels`, `cpus`, `memory_bytes`, `most_pods`, `pods` (as `namespace/name`, without those that
            have ended), `kubelet`, `runtime`, `kernel`, `os` and `architecture`.

        ```robotframework
        *** Test Cases ***
        A Node Has Both Families
            ${facts}    Get Node Facts    node1
            Length Should Be    ${facts}[addresses]    2
        ```
        """
        from NetLibrary._mechanics.facts import node_facts
        from NetLibrary._mechanics.kube import addresses

        connection = self.session.cluster(cluster)
        addresses.require_node(connection, node)
        return node_facts(connection.get("Node", node), connection.list("Pod", fields=f"spec.nodeName={node}"))

    @keyword(tags=["cluster", "node", "disruptive"])
    def cordon_node(self, node: str, *, cluster: str | None = None) -> None:
        """Keeps new pods off a node, as `kubectl cordon` does; undone at the end of the run.

        Args:
            node: Name of the node.
            cluster: Alias of the cluster.
        """
        with measured_step(self.session, f"cordon {node}"):
            self.session.cluster(cluster).change("Node", node, None, {"spec": {"unschedulable": True}})

    @keyword(tags=["cluster", "node", "disruptive"])
    def uncordon_node(self, node: str, *, cluster: str | None = None) -> None:
        """Lets new pods onto a node again, as `kubectl uncordon` does, after [Cordon Node] or [Drain Node].

        A node that was cordoned before the run is cordoned again at its end.

        Args:
            node: Name of the node.
            cluster: Alias of the cluster.
        """
        with measured_step(self.session, f"uncordon {node}"):
            self.session.cluster(cluster).change("Node", node, None, {"spec": {"unschedulable": None}})

    @keyword(tags=["cluster", "node", "disruptive"])
    def drain_node(
        self, node: str, *, labels: str | None = None, namespace: str | None = None, force: bool = False,
        delete_emptydir_data: bool = False, grace: timedelta | None = None, timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> list[str]:  # fmt: skip
        """Cordons a node and evicts its pods, as `kubectl drain --ignore-daemonsets` does.

        **Pods of others are evicted too**: naming the node permits it in a lab. On any other cluster, a node with pods
        that the run did not create needs `-v ALLOW_DISRUPTION:True`; without it, the test is skipped. The log names
        every pod that was evicted, and every pod that stays and why: pods of DaemonSets, pods that have ended, and pods
        that this run created and that nothing would recreate, for instance those that traffic comes from.

        PodDisruptionBudgets are respected: the eviction of a pod that a budget protects is retried until the timeout,
        and the failure names the budget. As with kubectl, nothing is evicted if a pod would be lost for good, unless
        `force` or `delete_emptydir_data` allows it.

        The node accepts pods again after [Uncordon Node] or at the end of the run. Evicted pods do not come back to it
        by themselves.

        Args:
            node: Name of the node.
            labels: Label selector: only pods that match are evicted, and the node must have at least one.
            namespace: Only pods of this namespace are evicted; those of all namespaces by default.
            force: Whether pods that nothing would recreate may be evicted.
            delete_emptydir_data: Whether pods of others with an emptyDir may be evicted; its contents are lost. Pods
                that the run created, directly or through their workload, are evicted anyway.
            grace: Time for each pod to end by itself; the pod's own grace period by default.
            timeout: Longest time until all pods are gone; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            The pods that were evicted, as `namespace/name`.
        Raises:
            Failure: A pod was still there at the timeout, or no pod matches the labels.

        ```robotframework
        *** Test Cases ***
        A Node Is Drained And Nobody Notices
            Start Traffic To Service    web    shop
            Drain Node    node1    timeout=2 min
            Uncordon Node    node1
            Stop Traffic
            Outages Should Be Within Limits    longest_outage_at_most=100 ms
        ```
        """
        from NetLibrary._mechanics.kube import addresses, eviction

        connection = self.session.cluster(cluster)
        addresses.require_node(connection, node)
        plan = eviction.plan_drain(
            connection, node, labels=labels, namespace=namespace, force=force,
            delete_emptydir_data=delete_emptydir_data,
        )  # fmt: skip
        if (labels or namespace) and not plan.pods:
            raise Failure(eviction.nothing_to_evict(connection, node, labels, namespace))
        if plan.refused:
            lines = [f"'{_name(pod)}': {why}" for pod, why in plan.refused]
            raise Failure(f"Node '{node}' is not drained, because of these pods: {'; '.join(lines)}.")
        pods = connection.resources.find("Pod")
        foreign = [_name(pod) for pod in plan.evicted if not connection.ownership.owns(pods, pod)]
        if foreign:
            named = ", ".join(foreign[:3]) + (" and others" if foreign[3:] else "")
            self._allow(cluster, f"an eviction of {named}, which this run did not create,")
        with measured_step(self.session, f"drain {node}"):
            connection.change("Node", node, None, {"spec": {"unschedulable": True}})
            eviction.evict_all(
                connection, plan.evicted, what=f"Drain of node '{node}'", timeout=self._limit(timeout),
                grace_seconds=None if grace is None else int(grace.total_seconds()), say=logger.info,
            )  # fmt: skip
        rows = [[_name(pod), "evicted", "not of this run" if _name(pod) in foreign else ""] for pod in plan.evicted]
        rows += [[_name(pod), "left", why] for pod, why in plan.left]
        _robot.log_table(["pod", "what", "why"], rows, f"Drain of node {node}")
        return [_name(pod) for pod in plan.evicted]

    @keyword(tags=["cluster", "node", "disruptive"])
    def evict_pod(
        self, name: str, namespace: str, *, grace: timedelta | None = None, timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Evicts one pod, as `kubectl drain` does with all pods of a node, and waits until it is gone.

        It uses the Eviction API, which respects PodDisruptionBudgets.

        A pod that the run did not create is evicted in a lab; elsewhere, only with `-v ALLOW_DISRUPTION:True`.

        Args:
            name: Name of the pod.
            namespace: Its namespace.
            grace: Time for it to end by itself; its own grace period by default.
            timeout: Longest time to wait; with 0, one attempt is made. The library's `timeout` by default.
            cluster: Alias of the cluster.
        Raises:
            Failure: A PodDisruptionBudget does not allow the eviction; the message names it.
        """
        from NetLibrary._mechanics.kube import eviction

        connection = self.session.cluster(cluster)
        pod = connection.get("Pod", name, namespace)
        if not connection.ownership.owns(connection.resources.find("Pod"), pod):
            self._allow(cluster, f"an eviction of pod '{namespace}/{name}'")
        with measured_step(self.session, f"evict {name}"):
            eviction.evict_all(
                connection, [pod], what=f"Eviction of pod '{namespace}/{name}'", timeout=self._limit(timeout),
                grace_seconds=None if grace is None else int(grace.total_seconds()), say=logger.info,
            )  # fmt: skip

    @keyword(tags=["cluster", "node", "disruptive"])
    def taint_node(self, node: str, taint: str, *, cluster: str | None = None) -> None:
        """Adds a taint to a node, as `kubectl taint` does; undone at the end of the run.

        A taint with the same key and effect is replaced. With the effect `NoExecute`, pods that do not tolerate it
        leave the node at once.

        Args:
            node: Name of the node.
            taint: Taint as kubectl takes it: `key=value:NoSchedule`, `key:NoExecute`.
            cluster: Alias of the cluster.

        ```robotframework
        *** Test Cases ***
        Only Those That Tolerate It
            Taint Node    node1    dedicated=test:NoSchedule
        ```
        """
        from NetLibrary._mechanics.kube import taints

        wanted = taints.parse(taint)
        connection = self.session.cluster(cluster)
        if wanted["effect"] == "NoExecute":
            self._allow(cluster, f"the taint '{taint}' of node '{node}', which drives pods away,")
        present = connection.get("Node", node)["spec"].get("taints") or []
        with measured_step(self.session, f"taint {node}"):
            connection.change("Node", node, None, {"spec": {"taints": taints.with_taint(present, wanted)}})

    @keyword(tags=["cluster", "node", "disruptive"])
    def untaint_node(self, node: str, taint: str, *, cluster: str | None = None) -> None:
        """Removes taints from a node, as `kubectl taint` with a trailing `-` does.

        Taints that the node had before the run are restored at its end.

        Args:
            node: Name of the node.
            taint: Which ones: `key`, `key:Effect` or `key=value:Effect`; a trailing `-` is allowed.
            cluster: Alias of the cluster.
        """
        from NetLibrary._mechanics.errors import InputError
        from NetLibrary._mechanics.kube import taints

        wanted = taints.parse(taint, effect_needed=False)
        connection = self.session.cluster(cluster)
        present = connection.get("Node", node)["spec"].get("taints") or []
        left = taints.without_taint(present, wanted)
        if left == present:
            have = ", ".join(taints.text(each) for each in present) or "none"
            raise InputError(f"taint is '{taint}'; the taints of node '{node}' are {have}.")
        with measured_step(self.session, f"untaint {node}"):
            connection.change("Node", node, None, {"spec": {"taints": left or None}})


def _name(pod: dict[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
