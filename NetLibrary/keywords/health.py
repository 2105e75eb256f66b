"""Keywords that look at the health of a cluster before anything is measured in it."""

from __future__ import annotations

from datetime import timedelta

from NetLibrary._mechanics.errors import EnvironmentProblem, ExecFailed, InputError, NetLibraryError
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude


class HealthKeywords(KeywordBase):
    """Check that the cluster is fit for measurements."""

    @keyword(tags=["cluster"])
    def get_schedulable_nodes(self, *, at_least: int = 0, cluster: str | None = None) -> list[str]:
        """Returns the names of the nodes, out of `kubectl get nodes`, that take ordinary pods.

        They run Linux, are ready and not cordoned, have no taint that keeps pods off except those in the variable
        TOLERATIONS, and have the labels in the variable NODE_SELECTOR.

        Args:
            at_least: Smallest number of such nodes that is acceptable.
            cluster: Alias of the cluster.
        Returns:
            Their names, sorted.
        Raises:
            EnvironmentProblem: There are fewer; each of the other nodes is named with what keeps pods off it.
        """
        from NetLibrary._mechanics.kube import placement

        connection = self.session.cluster(cluster)
        settings = connection.pod_settings()
        why = {str(n["metadata"]["name"]): placement.keeps_away(n, settings) for n in connection.list("Node")}
        found = sorted(name for name, reason in why.items() if not reason)
        if len(found) < at_least:
            raise EnvironmentProblem(placement.too_few(len(found), at_least, why))
        return found

    @keyword(tags=["cluster"])
    def nodes_should_be_healthy(self, *, cluster: str | None = None) -> None:
        """Fails when a node is not ready, is short of memory, disk or process IDs, or has no network.

        Args:
            cluster: Alias of the cluster.
        Raises:
            Failure: A node's conditions say so; each is named with its reason and message.

        ```robotframework
        *** Settings ***
        Library    NetLibrary

        *** Test Cases ***
        Every Node Is Healthy
            Nodes Should Be Healthy
        ```
        """
        from NetLibrary._mechanics.kube import health
        from NetLibrary._mechanics.report import Table
        from NetLibrary._mechanics.verdict import equal

        nodes = self.session.cluster(cluster).list("Node")
        wrong = {node["metadata"]["name"]: health.node_problems(node) for node in nodes}
        if not nodes:
            raise NetLibraryError("The cluster lists no nodes, so nothing is known about their health.")
        said = health.sentences(wrong.items())
        text = f"{len(said)} of {len(nodes)} nodes are not healthy: {', '.join(said)}."
        conclude(
            self.session,
            kind="cluster_health",
            name="nodes",
            checks=[equal("unhealthy nodes", 0, len(said), text=text)],
            tables=[Table(["Node", "Problems"], [[n, "; ".join(t) or "none"] for n, t in wrong.items()], "Nodes")],
            summary={"nodes": len(nodes), "unhealthy": len(said)},
        )

    @keyword(tags=["cluster"])
    def pods_should_be_healthy(
        self, namespace: str, *, restarts_within: timedelta = timedelta(minutes=10),
        timeout: timedelta = timedelta(minutes=1), cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Fails when a pod in a namespace is not ready or one of its containers restarted recently.

        Pods that have completed or are being deleted do not count. A pod that was created recently is given time to
        start.

        Args:
            namespace: Where to look, for instance `kube-system`.
            restarts_within: How recent a restart must be to count; with `0 s`, none counts.
            timeout: Age up to which a pod may be not ready yet; it is waited for until then.
            cluster: Alias of the cluster.
        Raises:
            Failure: Names each such pod with the reason.

        ```robotframework
        *** Settings ***
        Library    NetLibrary

        *** Test Cases ***
        System Pods Work
            Pods Should Be Healthy    kube-system    restarts_within=1 h
        ```
        """
        from NetLibrary._mechanics.kube import health
        from NetLibrary._mechanics.kube.missing import missing_namespace
        from NetLibrary._mechanics.polling import settle
        from NetLibrary._mechanics.report import Table
        from NetLibrary._mechanics.verdict import equal

        connection = self.session.cluster(cluster)
        limit = timeout.total_seconds()

        def started() -> bool:
            return not health.starting(connection.list("Pod", namespace), limit, connection.now())

        settle(started, timeout=limit, every=1.0, what=f"Start of pods in namespace '{namespace}'")
        pods = connection.list("Pod", namespace)
        if not pods:
            why = missing_namespace(connection, namespace) or f"there is no pod in namespace '{namespace}'"
            raise NetLibraryError(f"Nothing is known about the health of pods: {why}.")
        within, now = restarts_within.total_seconds(), connection.now()
        wrong = {pod["metadata"]["name"]: health.pod_problems(pod, restarts_within=within, now=now) for pod in pods}
        said = health.sentences(wrong.items())
        text = f"{len(said)} of {len(pods)} pods in namespace '{namespace}' have problems: {', '.join(said)}."
        conclude(
            self.session,
            kind="cluster_health",
            name=f"pods of {namespace}",
            parameters={"namespace": namespace, "restarts_within_seconds": within, "timeout_seconds": limit},
            checks=[equal("pods with problems", 0, len(said), text=text)],
            tables=[Table(["Pod", "Problems"], [[n, "; ".join(t) or "none"] for n, t in wrong.items()], namespace)],
            summary={"pods": len(pods), "with_problems": len(said)},
        )

    @keyword(tags=["cluster", "dns"])
    def names_should_resolve_in_pods(
        self,
        namespace: str,
        labels: str,
        *names: str,
        timeout: timedelta = timedelta(seconds=15),
        cluster: str | None = None,
    ) -> str:
        """Queries the cluster's DNS from each pod with the labels, and so from each node that has one of them.

        The pods' image needs `nslookup`. `{domain}` in a name stands for the cluster's domain, which is read from the
        pods' search lists and is not always cluster.local.

        Args:
            namespace: Namespace of the pods.
            labels: Labels of the pods, for instance `app=probe`.
            names: Names to resolve; by default that of the API server.
            timeout: Longest time for one query.
            cluster: Alias of the cluster.
        Returns:
            The cluster's domain.
        Raises:
            Failure: A name was not resolved; each node concerned is named with what its resolver said.

        ```robotframework
        *** Settings ***
        Library    NetLibrary

        *** Keywords ***
        Names Resolve Everywhere
            Names Should Resolve In Pods    demo    app=probe    kubernetes.default.svc.{domain}.
        ```
        """
        from NetLibrary._mechanics.kube import health
        from NetLibrary._mechanics.report import Table
        from NetLibrary._mechanics.verdict import equal

        connection = self.session.cluster(cluster)
        pods = connection.list("Pod", namespace, labels=labels)
        if not pods:
            raise InputError(f"labels is '{labels}', but no pod in namespace '{namespace}' has them.")
        rows: list[list[str]] = []
        domain, seconds = None, timeout.total_seconds()
        for pod in pods:
            name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "")
            read = connection.exec(namespace, name, ["cat", "/etc/resolv.conf"], timeout=seconds, again=True).stdout
            domain = health.cluster_domain(read) or domain
            for asked in names or ("kubernetes.default.svc.{domain}.",):
                full = asked.replace("{domain}", domain or "cluster.local")
                try:
                    connection.exec(namespace, name, ["nslookup", full], timeout=seconds, again=True)
                    rows.append([node, full, "resolved"])
                except (ExecFailed, NetLibraryError) as error:
                    rows.append([node, full, str(error)])
        wrong = [row for row in rows if row[2] != "resolved"]
        said = "; ".join(f"from node '{node}' '{full}': {why}" for node, full, why in wrong)
        text = f"{len(wrong)} of {len(rows)} DNS queries failed: {said}."
        conclude(
            self.session,
            kind="cluster_health",
            name="names from every node",
            parameters={"namespace": namespace, "labels": labels, "names": list(names)},
            checks=[equal("names not resolved", 0, len(wrong), text=text)],
            tables=[Table(["Node", "Name", "Outcome"], rows, "Names from every node")],
            summary={"questions": len(rows), "failed": len(wrong), "domain": domain},
        )
        return domain or "cluster.local"
