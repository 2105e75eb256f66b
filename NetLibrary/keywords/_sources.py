"""Places to connect from: pods, nodes and outside, as the argument `source` names them; and pods to connect to."""

from __future__ import annotations

import secrets
from functools import cached_property
from typing import TYPE_CHECKING, Any

from robot.api import logger

from NetLibrary._mechanics import defaults, errors
from NetLibrary.keywords._base import KeywordBase
from NetLibrary.types import Source

if TYPE_CHECKING:
    from NetLibrary._mechanics.connections.run import Target
    from NetLibrary._mechanics.kube import Cluster
    from NetLibrary._mechanics.vantage import InPod, Vantage

# Each start watches its pod over a connection of its own
PROBERS_AT_ONCE = 16


class SourceBase(KeywordBase):
    """Helpers; probers on nodes are the same for all classes of the library."""

    @cached_property
    def _node_probers(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {}

    def _targets(self, target: str, port: int, cluster: str | None) -> list[Target]:
        from NetLibrary._mechanics.connections.run import Target
        from NetLibrary._mechanics.kube import addresses
        from NetLibrary._mechanics.vantage import pods_of

        if "/" not in target:
            return [Target(target, port)]
        namespace, _, which = target.partition("/")
        pods = pods_of(self.session.cluster(cluster), namespace, which)
        found = [(pod, addresses.of_pod(pod)) for pod in pods]
        missing = [pod["metadata"]["name"] for pod, own in found if not own]
        if missing:
            raise errors.InputError(f"target '{target}': pod '{missing[0]}' has no address yet.")
        return [Target(own[0], port, f"{namespace}/{pod['metadata']['name']}:{port}", pod) for pod, own in found]

    def _sources(self, source: Source, cluster: str | None) -> list[Vantage]:
        from concurrent.futures import ThreadPoolExecutor

        from NetLibrary._mechanics.kube import addresses
        from NetLibrary._mechanics.vantage import InPod, Outside, pods_of

        connection = self.session.cluster(cluster)
        if source.kind == "outside":
            return [Outside(connection)]
        if source.kind == "pods":
            return [InPod(connection, pod) for pod in pods_of(connection, source.namespace, source.which)]
        names = self._nodes_to_run_on(connection) if source.which == "*" else [source.which]
        for name in names:
            addresses.require_node(connection, name, "source")
        _ = self._node_probers  # made once, before several threads ask for it
        with ThreadPoolExecutor(min(PROBERS_AT_ONCE, max(1, len(names)))) as pool:
            return list(pool.map(lambda name: self._on_node(connection, name), names))

    def _nodes_to_run_on(self, cluster: Cluster) -> list[str]:
        """Returns the names of all nodes but those that no pod of ours can run on, which are told."""
        from NetLibrary._mechanics.kube import placement

        settings = cluster.pod_settings()
        why = {str(each["metadata"]["name"]): placement.cannot_run(each, settings) for each in cluster.list("Node")}
        names = placement.takers(why)
        for name in sorted(set(why).difference(names)):
            logger.info(f"Node '{name}' is left out: {why[name]}.")
        return names

    def _on_node(self, cluster: Cluster, node: str) -> InPod:
        """Returns a prober on a node's own network; made when it is needed first, gone with the run."""
        from NetLibrary._mechanics.vantage import InPod

        key = (cluster.server, node)
        known = self._node_probers.get(key)
        # The suite before may have removed everything that the run made
        if known is None or cluster.find("Pod", known["metadata"]["name"], known["metadata"]["namespace"]) is None:
            known = self._node_probers[key] = self._start_on_node(cluster, node)
        return InPod(cluster, known, f"node {node}")

    def _start_on_node(self, cluster: Cluster, node: str) -> dict[str, Any]:
        from NetLibrary._mechanics.connections import objects

        word = secrets.token_hex(3)
        if foreign := cluster.ownership.foreign_namespaces:
            namespace = min(foreign)  # whoever names a namespace wants the run to stay in it
        else:
            namespace = f"netlib-{self.session.run_id}-prober-{word}"
            cluster.enter_namespace(namespace, labels={"pod-security.kubernetes.io/enforce": "privileged"})
        pod = objects.prober(f"prober-{word}", namespace, image=defaults.AGNHOST_IMAGE, node=node, host_network=True)
        try:
            return self._start_prober(cluster, pod, self.session.default_timeout)
        except errors.Forbidden as error:
            if "no PriorityClass with name" in str(error):  # of the variable PRIORITY_CLASS
                raise
            text = f"A prober on the network of node '{node}' is not allowed here: {error}"
            raise errors.Unavailable(text) from error

    def _start_prober(self, cluster: Cluster, pod: dict[str, Any], timeout: float) -> dict[str, Any]:
        from NetLibrary._mechanics.kube import wait

        cluster.create(pod)
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        cluster.wait(
            "Pod", namespace, wait.pods_ready(1, now=cluster.now), name=name, timeout=timeout,
            what=f"Prober '{namespace}/{name}'", progress=logger.info,
        )  # fmt: skip
        return cluster.get("Pod", name, namespace)
