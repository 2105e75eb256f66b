"""The part of a cluster's connection that changes it: whose objects are, what is put back, and how one goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import waiting
from NetLibrary._mechanics.kube.connection import Connection
from NetLibrary._mechanics.kube.foreign import ForeignChanges
from NetLibrary._mechanics.kube.opening import Opening
from NetLibrary._mechanics.kube.ownership import Ownership
from NetLibrary._mechanics.kube.pods import PodSettings
from NetLibrary._mechanics.kube.reader import ClusterReader
from NetLibrary._mechanics.kube.wait import Goal
from NetLibrary._mechanics.kube.waiting import Selection


class ClusterWriter(ClusterReader):
    """Knows which objects are the run's, and deletes those.

    Args:
        connection: How to reach the cluster.
        run_id: Value of the label that everything made through this object carries.
    """

    opening: Opening

    def __init__(self, connection: Connection, run_id: str = "") -> None:
        super().__init__(connection, run_id)
        self.ownership = Ownership(self)
        self.foreign = ForeignChanges(self)
        self.pod_settings: Callable[[], PodSettings] = PodSettings  # what every pod gets that is made here

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        grace_seconds: int | None = None,
        missing_ok: bool = True,
        allow_foreign: bool = False,
    ) -> None:
        """Asks for the deletion of an object of the run and does not wait for it.

        Args:
            kind: Kind of the object.
            name: Its name.
            namespace: Its namespace.
            grace_seconds: Time for pods to end by themselves.
            missing_ok: Whether it may be gone already.
            allow_foreign: Whether it may be an object that the run did not create.
        Raises:
            errors.NotOwned: The run did not create it.
        """
        resource = self.resources.find(kind)
        try:
            self.ownership.delete(resource, name, namespace, grace_seconds=grace_seconds, allow_foreign=allow_foreign)
        except errors.NotFound:
            if not missing_ok:
                raise

    def wait(
        self,
        kind: str,
        namespace: str | None,
        until: Goal,
        *,
        name: str | None = None,
        labels: str | None = None,
        timeout: float,
        what: str,
        progress: Callable[[str], None] | None = None,
    ) -> Any:
        """Waits until a goal is reached, by watching.

        Args:
            kind: Kind to watch.
            namespace: Where; None for cluster-scoped kinds or all namespaces.
            until: Called with all matching objects at each change; see `wait.py` for ready-made goals.
            name: Watch only this object.
            labels: Watch only objects with these labels.
            timeout: Seconds.
            what: Words for the message, for instance "Site 'hub'".
            progress: Gets a line whenever the state changes.

        Returns:
            The value of `Done`.

        Raises:
            errors.WaitFailed: The goal is out of reach.
            errors.WaitTimeout: Time is up; the text says where things stood.
        """
        selection = Selection(kind, namespace, name, labels)
        return waiting.wait(self, selection, until, timeout=timeout, what=what, progress=progress)
