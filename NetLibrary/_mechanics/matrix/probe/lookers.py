"""Pods that only look: one on a node's own network each, which may read its firewall rules and changes nothing.

The matrix's own pods on the host network see a node's devices, routes and settings, but no rules of its firewall:
reading these takes the capability NET_ADMIN, and a program that the node has and the image has not. So, once there is
something to explain, a pod with that capability and the node's files, read-only, is started where the cluster allows
it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.matrix.model import objects
from NetLibrary._mechanics.polling import settle

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.testbed import Testbed

ROLE = "look"
ROOT = "/node"
# The image is there already, so a pod that does not run by then is on a node that is itself in trouble
START = 12.0


class Lookers:
    """The pods that look, of one matrix.

    Args:
        testbed: Where.
    """

    def __init__(self, testbed: Testbed) -> None:
        self._bed = testbed
        self._names: dict[str, str] | None = None

    def names(self, nodes: Sequence[str]) -> dict[str, str]:
        """Names of the pods that run, by node; starts them at the first call."""
        if self._names is None:
            self._names = self._start(nodes) if self._bed.options.look_at_nodes else {}
        return self._names

    def _start(self, nodes: Sequence[str]) -> dict[str, str]:
        wanted = {node: f"look-{number}" for number, node in enumerate(nodes, 1)}
        refused: list[str] = []

        def make(item: tuple[str, str]) -> None:
            node, name = item
            try:
                self._bed.cluster.create(looker(self._bed.layout, name, node))
            except errors.AlreadyExists:
                pass  # an earlier look has started it
            except errors.NetLibraryError as error:
                refused.append(str(error))

        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="look") as pool:
            list(pool.map(make, wanted.items()))
        if refused:
            self._bed.note(
                f"Firewall rules of nodes cannot be read, because the pod that would read them is refused: {refused[0]}"
            )
        if len(refused) == len(wanted):
            return {}
        began = time.monotonic()
        settle(
            lambda: len(self._running()) == len(wanted) - len(refused),
            timeout=START,
            every=0.3,
            what="Pods that look at nodes",
        )
        running = self._running()
        self._bed.seconds["look pods"] = time.monotonic() - began
        return {node: name for node, name in wanted.items() if name in running}

    def _running(self) -> set[str]:
        try:
            pods = self._bed.cluster.list("Pod", self._bed.layout.namespace, labels=f"{objects.ROLE}={ROLE}")
        except errors.ClusterError:
            return set()
        return {p["metadata"]["name"] for p in pods if p.get("status", {}).get("phase") == "Running"}


def looker(layout: objects.Layout, name: str, node: str) -> dict[str, Any]:
    """Returns the pod: host network, the node's files read-only, no capability but to read rules."""
    container = {
        "args": ["pause"],
        "ports": [],
        "env": [],
        "securityContext": {
            "runAsUser": 0,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_CHROOT"]},
        },
        "volumeMounts": [{"name": "node", "mountPath": ROOT, "readOnly": True}],
    }
    volumes = [{"name": "node", "hostPath": {"path": "/", "type": "Directory"}}]
    made = objects.pod(layout, name, node, role=ROLE, host=True, container=container, volumes=volumes)
    return {**made, "spec": {**made["spec"], "terminationGracePeriodSeconds": 0}}


__all__ = ["ROOT", "Lookers", "looker"]
