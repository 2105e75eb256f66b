"""Signs of life of a run in the cluster, so that a sweep can tell what dead runs left from what a live one uses."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.signs_of_life import DEAD_AFTER, NAME, PERIOD

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

# A run without a namespace has no Lease; what it changed on nodes carries its time instead, written less often
RECORD_PERIODS = 15


class Heartbeat:
    """Renews a Lease in each namespace that a run created or works in, from a thread of its own.

    Args:
        clusters: Called for the run's clusters at each beat.
    """

    def __init__(self, clusters: Callable[[], Iterable[Cluster]]) -> None:
        self._clusters = clusters
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._made: set[tuple[int, str]] = set()
        self._refused: set[tuple[int, str]] = set()
        self._beats = 0

    def start(self) -> None:
        """Begins; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends; a beat that is under way is awaited for a moment."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def end_all(self) -> None:
        """Says that the run is over where what it made is kept, so that the next run there may use it at once."""
        for cluster in self._clusters():
            for key in sorted(key for key in self._made if key[0] == id(cluster)):
                with contextlib.suppress(errors.NetLibraryError):
                    cluster.patch("Lease", NAME + cluster.run_id, key[1], {"spec": {"leaseDurationSeconds": 1}})

    def _run(self) -> None:
        # The first one soon, but not at all in runs of seconds
        wait = PERIOD / 4
        while not self._over.wait(wait):
            self.beat()
            wait = PERIOD

    def beat(self) -> None:
        """Gives one sign of life in all clusters; a cluster that does not take it does not matter to the run."""
        self._beats += 1
        for cluster in self._clusters():
            namespaces = sorted(cluster.ownership.own_namespaces() | cluster.ownership.foreign_namespaces)
            known = [self._beat_in(cluster, name) for name in namespaces if not self._over.is_set()]
            if not any(known) and self._beats % RECORD_PERIODS == 0:
                try:
                    cluster.foreign.refresh()
                except errors.NetLibraryError:
                    continue

    def _beat_in(self, cluster: Cluster, namespace: str) -> bool:
        key = (id(cluster), namespace)
        if key in self._refused:
            return False
        # By the cluster's clock: another machine, with another clock, judges by it whether this run lives
        moment = datetime.fromtimestamp(cluster.now(), timezone.utc)
        now = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        name = NAME + cluster.run_id
        try:
            if key in self._made:
                cluster.patch("Lease", name, namespace, {"spec": {"renewTime": now}})
            else:
                holder = f"{socket.gethostname()} process {os.getpid()}"
                spec = {"holderIdentity": holder, "leaseDurationSeconds": int(DEAD_AFTER), "renewTime": now}
                metadata = {"name": name, "namespace": namespace}
                cluster.create(
                    {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
                )
                self._made.add(key)
        except errors.Forbidden:
            self._refused.add(key)
            return False
        except errors.NotFound:
            self._made.discard(key)
            return False
        except errors.NetLibraryError:
            return key in self._made
        return True
