"""Keywords for workloads and their rollouts, in kubectl's words. What the run did not create is put back at its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from robot.api import logger

from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._outages import measured_step

THREE_MINUTES = timedelta(minutes=3)


class RolloutKeywords(KeywordBase):
    """Scale workloads, set images, undo and await rollouts."""

    @keyword(tags=["cluster", "rollout"])
    def scale_workload(
        self, kind: str, name: str, namespace: str, *, replicas: int, wait_until_complete: bool = True,
        timeout: timedelta = THREE_MINUTES, cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Sets the number of replicas of a Deployment, StatefulSet or ReplicaSet, as `kubectl scale` does, and waits.

        A workload that the run did not create gets its old number back at the end of the run.

        Args:
            kind: Kind, or kubectl's short name: `Deployment`, `sts`.
            name: Name of the workload.
            namespace: Its namespace.
            replicas: Number of pods; with 0, pods may still be terminating when the keyword returns.
            wait_until_complete: Whether to wait until that many are available; not for a ReplicaSet.
            timeout: Longest time for that wait.
            cluster: Alias of the cluster.

        ```robotframework
        *** Test Cases ***
        Five Servers
            Scale Workload    Deployment    web    shop    replicas=5
        ```
        """
        from NetLibrary._mechanics.kube import rollouts

        connection = self.session.cluster(cluster)
        kind = rollouts.workload_kind(connection, kind, rollouts.SCALABLE)
        with measured_step(self.session, f"scale {name} to {replicas}"):
            changed = rollouts.scale(connection, kind, name, namespace, replicas)
            if kind in rollouts.ROLLOUTS:
                self._rolled_out(connection, kind, name, namespace, changed, timeout, wait=wait_until_complete)

    @keyword(tags=["cluster", "rollout"])
    def set_image(
        self, kind: str, name: str, namespace: str, image: str, *, container: str | None = None,
        wait_until_complete: bool = True, timeout: timedelta = THREE_MINUTES, cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Sets the image of a workload's pods, as `kubectl set image` does, and waits for the rollout.

        A workload that the run did not create gets its old image back at the end of the run. Like all images, this one
        is pulled from `${REGISTRY}` if the suite sets one.

        Args:
            kind: `Deployment`, `StatefulSet` or `DaemonSet`, or kubectl's short name.
            name: Name of the workload.
            namespace: Its namespace.
            image: The new image.
            container: Container that gets the image; not needed if there is only one.
            wait_until_complete: Whether to wait until the rollout is over.
            timeout: Longest time for that wait.
            cluster: Alias of the cluster.

        ```robotframework
        *** Test Cases ***
        An Update That Nobody Notices
            Start Traffic To Service    web    shop
            Set Image    Deployment    web    shop    registry.example/web:2
            Stop Traffic
            Outages Should Be Within Limits    longest_outage_at_most=100 ms
        ```
        """
        from NetLibrary._mechanics.kube import rollouts

        connection = self.session.cluster(cluster)
        kind = rollouts.workload_kind(connection, kind)
        with measured_step(self.session, f"set image of {name}"):
            changed = rollouts.set_image(connection, kind, name, namespace, image, container)
            logger.info(f"{kind} '{namespace}/{name}' has the image '{image}'.")
            self._rolled_out(connection, kind, name, namespace, changed, timeout, wait=wait_until_complete)

    @keyword(tags=["cluster", "rollout"])
    def undo_rollout(
        self, kind: str, name: str, namespace: str, *, to_revision: int | None = None,
        wait_until_complete: bool = True, timeout: timedelta = THREE_MINUTES, cluster: str | None = None,
    ) -> int:  # fmt: skip
        """Rolls a workload back to an earlier revision, as `kubectl rollout undo` does, and waits for the rollout.

        A workload that the run did not create gets its old pod template back at the end of the run.

        Args:
            kind: `Deployment`, `StatefulSet` or `DaemonSet`, or kubectl's short name.
            name: Name of the workload.
            namespace: Its namespace.
            to_revision: Number of the revision, see [Get Rollout History]; the one before the current one by default.
            wait_until_complete: Whether to wait until the rollout is over.
            timeout: Longest time for that wait.
            cluster: Alias of the cluster.
        Returns:
            The number of the revision that was restored.

        ```robotframework
        *** Test Cases ***
        A Bad Image Is Taken Back
            Set Image    deploy    web    shop    registry.example/web:broken    wait_until_complete=False
            Undo Rollout    deploy    web    shop
        ```
        """
        from NetLibrary._mechanics.kube import rollouts

        connection = self.session.cluster(cluster)
        kind = rollouts.workload_kind(connection, kind)
        with measured_step(self.session, f"undo rollout of {name}"):
            changed, number = rollouts.undo(connection, kind, name, namespace, to_revision)
            logger.info(f"{kind} '{namespace}/{name}' goes back to revision {number}.")
            self._rolled_out(connection, kind, name, namespace, changed, timeout, wait=wait_until_complete)
        return number

    @keyword(tags=["cluster", "rollout"])
    def get_rollout_history(
        self, kind: str, name: str, namespace: str, *, cluster: str | None = None
    ) -> list[dict[str, Any]]:
        """Returns the revisions of a workload, as `kubectl rollout history` shows them.

        Args:
            kind: `Deployment`, `StatefulSet` or `DaemonSet`, or kubectl's short name.
            name: Name of the workload.
            namespace: Its namespace.
            cluster: Alias of the cluster.
        Returns:
            Dictionaries with `revision` and `images`, the oldest revision first.
        """
        from NetLibrary._mechanics.kube import rollouts

        connection = self.session.cluster(cluster)
        kind = rollouts.workload_kind(connection, kind)
        found = {"kind": kind, **connection.get(kind, name, namespace)}
        return [
            {"revision": number, "images": [each["image"] for each in template["spec"]["containers"]]}
            for number, template in rollouts.revisions(connection, found).items()
        ]

    @keyword(tags=["cluster", "rollout"])
    def wait_until_rollout_is_complete(
        self, kind: str, name: str, namespace: str, *, timeout: timedelta = THREE_MINUTES, cluster: str | None = None
    ) -> None:
        """Waits until a workload has rolled out, as `kubectl rollout status` does.

        Fails early when one of its newest pods can certainly never be ready, or when its progress deadline is exceeded.
        A workload that does not exist yet is waited for.

        Args:
            kind: `Deployment`, `StatefulSet` or `DaemonSet`, or kubectl's short name.
            name: Name of the workload.
            namespace: Its namespace.
            timeout: Longest time to wait.
            cluster: Alias of the cluster.
        """
        from NetLibrary._mechanics.kube import rollouts

        connection = self.session.cluster(cluster)
        kind = rollouts.workload_kind(connection, kind)
        rollouts.wait(connection, kind, name, namespace, timeout=timeout.total_seconds(), say=logger.info)

    def _rolled_out(
        self, connection: Any, kind: str, name: str, namespace: str, changed: Any, timeout: timedelta, *, wait: bool
    ) -> None:
        from NetLibrary._mechanics.kube import rollouts

        if wait:
            generation = changed["metadata"].get("generation", 0)
            rollouts.wait(
                connection, kind, name, namespace, generation=generation, timeout=timeout.total_seconds(),
                say=logger.info,
            )  # fmt: skip
