"""Keywords for clusters and their objects, in kubectl's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot.api import Error, Failure, logger

from NetLibrary._mechanics.errors import NotFound
from NetLibrary.keywords._base import KeywordBase, keyword

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster


class ClusterKeywords(KeywordBase):
    """Connect to clusters; apply, wait for and delete objects."""

    @keyword(tags=["cluster"])
    def connect_to_cluster(
        self, *, alias: str = "default", kubeconfig: str | None = None, context: str | None = None
    ) -> str:
        """Connects to a cluster and gives it an alias, which other keywords take as `cluster=`.

        Without `kubeconfig`, the usual order applies: the library's import argument, `${KUBECONFIG}`, the environment,
        the pod's service account, `~/.kube/config`, the lab. The same kubeconfig under two aliases is one connection.

        Args:
            alias: Name for `cluster=`; keywords that are not given one use `default`.
            kubeconfig: Path of the kubeconfig file.
            context: Context of the kubeconfig; by default its current one or, without `kubeconfig`, the one that the
                import argument or `${CONTEXT}` names.
        Returns:
            Version of the API server, for instance `v1.35.4`.

        ```robotframework
        *** Test Cases ***
        Two Clusters
            Connect To Cluster    alias=east    kubeconfig=%{EAST}
            Connect To Cluster    alias=west    kubeconfig=%{WEST}
        ```
        """
        return self.session.connect(alias, kubeconfig, context).version

    @keyword(tags=["cluster"])
    def clusters_should_be_the_same(self, first: str, second: str, *, why: str = "the suite needs it") -> None:
        """Fails unless two aliases lead to the same cluster: by address, or else by the UID of `kube-system`.

        Args:
            first: Alias of a connected cluster.
            second: Another alias.
            why: Reason, for the failure message.
        """
        from NetLibrary._mechanics.kube.sameness import same_cluster

        if not same_cluster(self.session.cluster(first), self.session.cluster(second)):
            raise Error(f"'{first}' and '{second}' are different clusters, but must be the same: {why}.")

    @keyword(tags=["cluster"])
    def create_namespace(
        self, name: str, *, labels: Mapping[str, str] | None = None, use_existing: bool = False,
        cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Creates a namespace, as `kubectl create namespace` does; it is removed at the end of the run.

        A namespace that already exists is refused unless `use_existing` allows working in it. It then stays, with
        everything in it that belongs to others; only what the run creates in it is removed at the end.

        Args:
            name: Its name.
            labels: Additional labels for a new namespace.
            use_existing: Whether it may already exist.
            cluster: Alias of the cluster.
        Returns:
            The name.

        ```robotframework
        *** Test Cases ***
        In A Namespace That The User Names
            Create Namespace    ${NAMESPACE}    use_existing=True
        ```
        """
        self.session.cluster(cluster).enter_namespace(name, labels=dict(labels or {}), use_existing=use_existing)
        return name

    @keyword(tags=["cluster"])
    def delete_namespace(
        self, name: str, *, wait_until_gone: bool = False, timeout: timedelta | None = None,
        allow_foreign: bool = False, cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Deletes a namespace that the run created, with everything in it, as `kubectl delete namespace` does.

        In a namespace that existed before the run (see [Create Namespace]), only the run's own objects are deleted and
        the rest stays. With SKIP_TEARDOWN, nothing is deleted.

        Args:
            name: Its name; it is not an error when it does not exist.
            wait_until_gone: Whether to wait until it is gone. If not, the end of the run waits for it.
            timeout: Longest time for that wait.
            allow_foreign: Whether it may be a namespace that the run did not create. **Everything in it is lost.**
            cluster: Alias of the cluster.
        """
        from NetLibrary._mechanics.kube import wait

        connection = self.session.cluster(cluster)
        if allow_foreign:
            self._delete_foreign(connection, "Namespace", name, None)
        else:
            self.session.leave_namespace(connection, name)
            if self.session.keep or name in connection.ownership.foreign_namespaces:
                return
        if wait_until_gone:
            connection.wait(
                "Namespace", None, wait.gone(), name=name, timeout=self._limit(timeout),
                what=f"Removal of namespace '{name}'", progress=logger.info,
            )  # fmt: skip

    def _delete_foreign(self, connection: Cluster, kind: str, name: str, namespace: str | None) -> None:
        logger.info(f"{kind} '{name}' is deleted no matter who created it, because of allow_foreign=True.")
        connection.delete(kind, name, namespace, allow_foreign=True)

    @keyword(tags=["cluster"])
    def apply_manifest(
        self, path: Path, *, namespace: str | None = None, only: str | None = None, allow_foreign: bool = True,
        lesser_service_types: bool = False, cluster: str | None = None, **changes: Any,
    ) -> list[str]:  # fmt: skip
        """Applies a file or a folder of Kubernetes objects, as `kubectl apply --server-side -f` does.

        Objects that this keyword creates are removed at the end of the run. An object that existed before is changed,
        stays, and gets its old values back at the end; the log names it. A misspelt field, a value of the wrong type
        and a duplicate key are errors that name the file and the line.

        So that one file works with kubectl and with suites, fields can be changed by arguments named
        `Kind.path.to.field`; all objects of that kind get the value, and the cluster's schema determines its type. A
        file may also contain placeholders, `${NAME}` or `${NAME:-default}`, which take the value of the argument of
        that name.

        Args:
            path: File with one or more YAML or JSON documents, or a folder of such files, applied in the order of their
                names.
            namespace: Namespace for all namespaced objects, whatever the file says.
            only: The only objects to apply, as `Kind/name`, separated by commas; all by default.
            allow_foreign: Whether an object that the run did not create may be changed; if not, it is an error.
            lesser_service_types: Whether a Service whose type the cluster refuses, as quotas and policies do, is
                created with the next lesser type instead: NodePort for LoadBalancer, ClusterIP for NodePort.
            cluster: Alias of the cluster.
            changes: Fields to set, and values of placeholders.
        Returns:
            The objects as `Kind/name`.

        ```robotframework
        *** Test Cases ***
        Two Servers Elsewhere
            Apply Manifest    manifests/skupper_iperf3/server.yaml    namespace=demo    Deployment.spec.replicas=2
            Apply Manifest    manifests/skupper_iperf3/server.yaml    namespace=test    only=Deployment/iperf3-server
        ```
        """
        from NetLibrary._mechanics.kube import documents

        fields, places = _of_fields(changes)
        found = documents.of_path(path, places)
        return self._apply_documents(found, namespace, only, allow_foreign, cluster, fields, lesser_service_types)

    @keyword(tags=["cluster"])
    def apply_objects(
        self, objects: str | Mapping[str, Any] | Sequence[Mapping[str, Any]], *, namespace: str | None = None,
        only: str | None = None, allow_foreign: bool = True, cluster: str | None = None, **changes: Any,
    ) -> list[str]:  # fmt: skip
        r"""Applies Kubernetes objects given as text or dictionaries, as `kubectl apply --server-side -f -` does.

        Everything that [Apply Manifest] says about files also applies to texts.

        Args:
            objects: YAML or JSON text with one or more documents, a dictionary, or a list of dictionaries.
            namespace: Namespace for all namespaced objects, whatever they say.
            only: The only objects to apply, as `Kind/name`, separated by commas; all by default.
            allow_foreign: Whether an object that the run did not create may be changed; if not, it is an error.
            cluster: Alias of the cluster.
            changes: Fields to set, and values of placeholders in a text.
        Returns:
            The objects as `Kind/name`.

        ```robotframework
        *** Variables ***
        ${SETTINGS}    SEPARATOR=\n
        ...    apiVersion: v1
        ...    kind: ConfigMap
        ...    metadata: {name: settings}
        ...    data: {colour: "\${COLOUR:-blue}"}

        *** Test Cases ***
        Settings Are There
            Apply Objects    ${SETTINGS}    namespace=shop    colour=red
        ```
        """
        from NetLibrary._mechanics.kube import documents

        fields, places = _of_fields(changes)
        if isinstance(objects, str):
            found = documents.of_text(objects, places, "text")
        else:
            found = documents.of_objects([objects] if isinstance(objects, Mapping) else objects)
            fields = changes
        return self._apply_documents(found, namespace, only, allow_foreign, cluster, fields)

    def _apply_documents(
        self, found: list[Any], namespace: str | None, only: str | None, allow_foreign: bool, cluster: str | None,
        fields: dict[str, Any], lesser_service_types: bool = False,
    ) -> list[str]:  # fmt: skip
        from NetLibrary._mechanics.kube import documents

        connection = self.session.cluster(cluster)
        wanted = documents.chosen(connection, found, only) if only else found
        applied = documents.apply(
            connection, wanted, namespace=namespace, changes=fields, allow_foreign=allow_foreign,
            lesser_service_types=lesser_service_types,
        )  # fmt: skip
        logger.info(f"Applied {', '.join(applied)}.")
        return applied

    @keyword(tags=["cluster"])
    def delete_object(
        self, kind: str, name: str, namespace: str | None = None, *, wait_until_gone: bool = False,
        timeout: timedelta | None = None, allow_foreign: bool = False, cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Deletes one object that the run created, or that belongs to such an object, as `kubectl delete` does.

        It is not an error when the object does not exist.

        Args:
            kind: Kind, with its group for custom resources: `Pod`, `Site.skupper.io`.
            name: Name of the object.
            namespace: Its namespace, for namespaced kinds.
            wait_until_gone: Whether to wait until it is gone.
            timeout: Longest time for that wait.
            allow_foreign: Whether it may be an object that the run did not create.
            cluster: Alias of the cluster.
        """
        from NetLibrary._mechanics.kube import wait

        connection = self.session.cluster(cluster)
        if allow_foreign:
            self._delete_foreign(connection, kind, name, namespace)
        else:
            connection.delete(kind, name, namespace)
        if wait_until_gone:
            connection.wait(
                kind, namespace, wait.gone(), name=name, timeout=self._limit(timeout),
                what=f"Removal of {kind} '{name}'", progress=logger.info,
            )  # fmt: skip

    @keyword(tags=["cluster"])
    def get_object(self, kind: str, name: str, namespace: str | None = None, *, cluster: str | None = None) -> Any:
        """Returns one object as a dictionary, as `kubectl get` does; fails when it does not exist.

        Args:
            kind: Kind, or kubectl's short name: `Pod`, `deploy`, `svc`; with its group for custom resources:
                `Site.skupper.io`.
            name: Name of the object.
            namespace: Its namespace, for namespaced kinds.
            cluster: Alias of the cluster.
        Returns:
            The object as the API returns it, for instance `${object}[status][phase]`.
        """
        from NetLibrary._mechanics.kube.missing import required

        try:
            return required(self.session.cluster(cluster), kind, name, namespace)
        except NotFound as error:
            raise Failure(str(error)) from error

    @keyword(tags=["cluster"])
    def get_objects(
        self, kind: str, namespace: str | None = None, *, labels: str | None = None, cluster: str | None = None
    ) -> list[Any]:
        """Returns the objects of a kind as dictionaries, as `kubectl get` does; of all namespaces when none is given.

        Args:
            kind: Kind, or kubectl's short name: `po`, `svc`; with its group for custom resources.
            namespace: Namespace to look in.
            labels: Label selector as kubectl takes it, for instance `app=web,tier!=db`.
            cluster: Alias of the cluster.
        Returns:
            The objects; an empty list when there are none.
        Raises:
            Failure: The namespace does not exist; an empty list would be taken for "nothing there".
        """
        from NetLibrary._mechanics.kube.missing import missing_namespace

        connection = self.session.cluster(cluster)
        found = list(connection.list(kind, namespace, labels=labels))
        if not found and namespace and (words := missing_namespace(connection, namespace)):
            raise Failure(f"Cannot look for {kind} objects: {words}.")
        return found

    @keyword(tags=["cluster"])
    def wait_until_pods_are_ready(
        self, namespace: str, labels: str, *, count: int = 1, timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> list[str]:  # fmt: skip
        """Waits until pods are ready, as `kubectl wait` does, and fails early when one of them can certainly never be.

        What holds them up is reported during the wait and in the failure: the scheduler's message, images, crashes with
        exit code and last log lines, probes, readiness gates, quotas, rejected requests, lost nodes. Of a Deployment's
        pods, only those of the newest template count. Pods and namespaces that do not exist yet are waited for.

        Args:
            namespace: Their namespace.
            labels: Label selector, for instance `app=web`.
            count: How many pods must be ready; with 0, waits until none is left.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            Names of the ready pods.
        """
        from NetLibrary._mechanics.kube import wait

        connection = self.session.cluster(cluster)
        pods = connection.wait(
            "Pod", namespace, wait.pods_ready(count, now=connection.now), labels=labels, timeout=self._limit(timeout),
            what=f"Pods '{labels}' in '{namespace}'", progress=logger.info,
        )  # fmt: skip
        return [pod["metadata"]["name"] for pod in pods]

    @keyword(tags=["cluster"])
    def wait_until_deployment_is_available(
        self, name: str, namespace: str, *, timeout: timedelta | None = None, cluster: str | None = None
    ) -> None:
        """Waits until a Deployment has rolled out; fails early when one of its pods can certainly never be ready.

        Does what `kubectl rollout status` does; [Wait Until Rollout Is Complete] is the same for every kind of
        workload. Only the pods of the newest template count. A Deployment that does not exist yet is waited for, since
        an operator may be about to create it.

        Args:
            name: Name of the Deployment.
            namespace: Its namespace.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        """
        wait_for_deployment(self.session.cluster(cluster), name, namespace, self._limit(timeout))


def _of_fields(changes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divides arguments into fields to set, which have a dot in their name, and values of place holders."""
    fields = {key: value for key, value in changes.items() if "." in key}
    return fields, {key: value for key, value in changes.items() if key not in fields}


def wait_for_deployment(cluster: Cluster, name: str, namespace: str, timeout: float) -> None:
    """Waits for a Deployment; its newest pods, and whatever keeps them, are looked at meanwhile."""
    from NetLibrary._mechanics.kube import wait

    cluster.wait(
        "Deployment", namespace, wait.deployment_available(), name=name, timeout=timeout,
        what=f"Deployment '{namespace}/{name}'", progress=logger.info,
    )  # fmt: skip
