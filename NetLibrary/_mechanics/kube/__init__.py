"""A thin Kubernetes client: plain dicts, time limits everywhere, watch-based waits, one error translation.

Example:
    >>> from NetLibrary._mechanics.kube import Cluster, choose          # doctest: +SKIP
    >>> cluster = Cluster.connect(choose())                             # doctest: +SKIP
    >>> [node["metadata"]["name"] for node in cluster.list("Node")]     # doctest: +SKIP
    ['node1', 'node2', 'node3']
"""

from __future__ import annotations

from NetLibrary._mechanics.kube.choice import Choice, choose
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.kube.exec import ExecResult, RunningExec
from NetLibrary._mechanics.kube.wait import Done, Failed, Pending

__all__ = ["Choice", "Cluster", "Done", "ExecResult", "Failed", "Pending", "RunningExec", "choose"]
