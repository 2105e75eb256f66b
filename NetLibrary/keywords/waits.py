"""Keywords that wait until objects of the cluster are as they should be, as `kubectl wait` does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from robot.api import logger

from NetLibrary.keywords._base import KeywordBase, keyword


class WaitKeywords(KeywordBase):
    """Wait until objects exist, are gone, or have a condition or a value."""

    @keyword(tags=["cluster", "wait"])
    def wait_until_object_exists(
        self, kind: str, name: str, namespace: str | None = None, *, timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> Any:  # fmt: skip
        """Waits until an object exists, as `kubectl wait --for=create` does.

        Args:
            kind: Kind, or kubectl's short name; with its group for custom resources: `Pod`, `Site.skupper.io`.
            name: Name of the object.
            namespace: Its namespace, for namespaced kinds.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            The object.
        """
        from NetLibrary._mechanics.kube import wait

        return self._wait_for_object(kind, name, namespace, wait.exists(), timeout, cluster)

    @keyword(tags=["cluster", "wait"])
    def wait_until_object_is_gone(
        self, kind: str, name: str, namespace: str | None = None, *, timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Waits until an object no longer exists, as `kubectl wait --for=delete` does.

        Deletes nothing; the failure says what keeps the object, for instance a finalizer.

        Args:
            kind: Kind, or kubectl's short name.
            name: Name of the object.
            namespace: Its namespace, for namespaced kinds.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        """
        from NetLibrary._mechanics.kube import wait

        self._require_namespace(namespace, cluster)
        self._wait_for_object(kind, name, namespace, wait.gone(), timeout, cluster)

    @keyword(tags=["cluster", "wait"])
    def wait_until_pods_are_gone(
        self, namespace: str, labels: str, *, timeout: timedelta | None = None, cluster: str | None = None
    ) -> None:
        """Waits until pods with certain labels no longer exist, as `kubectl wait --for=delete` does.

        Pods that are terminating still exist.

        Args:
            namespace: Their namespace.
            labels: Label selector, for instance `app=web`.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Raises:
            Failure: Pods are left, or the namespace does not exist, so there was nothing to wait for.
        """
        from NetLibrary._mechanics.kube import wait

        self._require_namespace(namespace, cluster)
        self.session.cluster(cluster).wait(
            "Pod", namespace, wait.gone(), labels=labels, timeout=self._limit(timeout),
            what=f"End of pods '{labels}' in '{namespace}'", progress=logger.info,
        )  # fmt: skip

    @keyword(tags=["cluster", "wait"])
    def wait_until_object_has_condition(
        self, kind: str, name: str, namespace: str | None = None, *, condition: str, status: str = "True",
        timeout: timedelta | None = None, cluster: str | None = None,
    ) -> Any:  # fmt: skip
        """Waits until an object has a condition, as `kubectl wait --for=condition=` does.

        An object that does not exist yet is waited for. The failure shows the condition's reason and message.

        Args:
            kind: Kind, or kubectl's short name.
            name: Name of the object.
            namespace: Its namespace, for namespaced kinds.
            condition: Type of the condition, for instance `Ready`.
            status: Status that it must have: `True`, `False` or `Unknown`.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            The object.

        ```robotframework
        *** Test Cases ***
        A Certificate Is Issued
            Wait Until Object Has Condition    Certificate.cert-manager.io    web    shop    condition=Ready
        ```
        """
        from NetLibrary._mechanics.kube import wait

        return self._wait_for_object(kind, name, namespace, wait.condition(condition, status), timeout, cluster)

    @keyword(tags=["cluster", "wait"])
    def wait_until_object_field_is(
        self, kind: str, name: str, namespace: str | None = None, *, field: str, value: str | None = None,
        timeout: timedelta | None = None, cluster: str | None = None,
    ) -> Any:  # fmt: skip
        """Waits until a field of an object has a value, as `kubectl wait --for=jsonpath=` does.

        An object that does not exist yet is waited for.

        Args:
            kind: Kind, or kubectl's short name.
            name: Name of the object.
            namespace: Its namespace, for namespaced kinds.
            field: Path as in kubectl's jsonpath: `{.status.phase}`, `{.status.loadBalancer.ingress[0].ip}`. The braces
                and the first dot may be left out.
            value: Value as kubectl prints it, for instance `Running`, `3` or `true`; any value by default.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            The field's value.

        ```robotframework
        *** Test Cases ***
        A Load Balancer Has An Address
            ${address}    Wait Until Object Field Is    svc    web    shop    field={.status.loadBalancer.ingress[0].ip}
        ```
        """
        from NetLibrary._mechanics.kube import jsonpath, wait

        jsonpath.values({}, field)
        return self._wait_for_object(kind, name, namespace, wait.field(field, value), timeout, cluster)

    @keyword(tags=["cluster", "wait"])
    def wait_until_job_is_complete(
        self, name: str, namespace: str, *, timeout: timedelta | None = None, cluster: str | None = None
    ) -> None:
        """Waits until a Job has completed, as `kubectl wait --for=condition=Complete job/NAME` does.

        Fails at once when the Job has failed, with the controller's message and the last log lines of its latest pod.

        Args:
            name: Name of the Job.
            namespace: Its namespace.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        """
        from NetLibrary._mechanics import errors
        from NetLibrary._mechanics.kube import wait

        try:
            self._wait_for_object("Job", name, namespace, wait.job_complete(), timeout, cluster)
        except (errors.WaitFailed, errors.WaitTimeout) as error:
            lines = self._last_lines_of_job(name, namespace, cluster)
            raise type(error)(f"{error}\n{lines}" if lines else str(error)) from error

    @keyword(tags=["cluster", "wait"])
    def wait_until_pod_has_ended(
        self, name: str, namespace: str, *, container: str | None = None, timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> int:  # fmt: skip
        """Waits until a pod has succeeded or failed, for which `kubectl wait` has no single condition.

        Fails early when it can certainly never start, for instance because its image cannot be pulled.

        Args:
            name: Name of the pod.
            namespace: Its namespace.
            container: Container whose end and exit status count; by default, all containers must have ended, and the
                exit status of the first one is returned.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            The exit status of the container.
        """
        from NetLibrary._mechanics.errors import WaitFailed
        from NetLibrary._mechanics.kube import containers, wait

        pod = self._wait_for_object("Pod", name, namespace, wait.pod_ended(container), timeout, cluster)
        wanted = container or containers.meant(self.session.cluster(cluster), pod)
        states = {each["name"]: each.get("state") or {} for each in pod["status"].get("containerStatuses") or []}
        ended = states.get(wanted, {}).get("terminated")
        if ended is None:
            why = pod["status"].get("message") or pod["status"].get("reason") or "its status does not say how"
            raise WaitFailed(f"Pod '{namespace}/{name}' has ended without an exit status: {why}.")
        return int(ended["exitCode"])

    # --- helpers --------------------------------------------------------------------------------------

    def _wait_for_object(
        self, kind: str, name: str, namespace: str | None, goal: Any, timeout: timedelta | None, cluster: str | None
    ) -> Any:
        connection = self.session.cluster(cluster)
        resource = connection.resources.find(kind)
        resource.path(namespace, name)  # says so when the namespace is missing
        where = f"{namespace}/{name}" if resource.namespaced else name
        return connection.wait(
            kind, namespace if resource.namespaced else None, goal, name=name, timeout=self._limit(timeout),
            what=f"{resource.kind} '{where}'", progress=logger.info,
        )  # fmt: skip

    def _require_namespace(self, namespace: str | None, cluster: str | None) -> None:
        """Fails where nothing can be looked for: that an object of a namespace with a typo is gone says nothing."""
        from NetLibrary._mechanics.errors import WaitFailed
        from NetLibrary._mechanics.kube.missing import missing_namespace

        if namespace and (words := missing_namespace(self.session.cluster(cluster), namespace)):
            raise WaitFailed(f"Cannot look for anything there: {words}.")

    def _last_lines_of_job(self, name: str, namespace: str, cluster: str | None) -> str:
        from NetLibrary._mechanics.errors import ClusterError

        connection = self.session.cluster(cluster)
        try:
            pods = connection.list("Pod", namespace, labels=f"job-name={name}")
            pods.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
            if not pods:
                return ""
            last = pods[-1]["metadata"]["name"]
            said = connection.logs(namespace, last, tail=10).strip()
        except ClusterError:  # what counts is the failure of the Job
            return ""
        ended = [
            (s.get("state") or {}).get("terminated") for s in pods[-1].get("status", {}).get("containerStatuses", [])
        ]
        codes = ", ".join(str(each.get("exitCode")) for each in ended if each)
        how = f"Pod '{last}' ended with exit code {codes}" if codes else f"Pod '{last}' was the last"
        many = f", the last of {len(pods)} pods" if len(pods) > 1 else ""
        return f"{how}{many}.\nThe last lines of pod '{last}': {said or 'none'}"
