"""Tells whether probers on a node can be heard at all, so that nobody waits long for those that cannot."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import looks, rights

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

# The kubelet answers from memory; on a machine that is short of processors that took up to a second
ANSWER = 2.0
# How long an answer counts: sources of one node ask together, and rounds follow each other quickly
FRESH = 2.0
PROXY = "nodes/proxy"  # the right to ask
# Cells with this in their detail are not asked again: nothing about them can change within a row
UNHEARD = "cannot be asked"


class Kubelets:
    """Asks the kubelet of a node, through the API server, whether it lives.

    Every exec goes through the kubelet: while it is silent no prober of its node can be started or heard. Where the
    question itself is not allowed nothing is known, and probers are waited for. The right to ask (nodes/proxy) is in no
    role of ours: with it an account may run commands in every pod of the cluster, by the kubelet's own API.

    Args:
        cluster: Where.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._allowed: bool | None = None
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._known: dict[str, tuple[float, str]] = {}

    def trouble(self, node: str) -> str:
        """Why probers of a node cannot be heard; empty when they can, or when nobody knows."""
        if not node or not self._may_ask():
            return ""
        with self._locks[node]:
            asked, text = self._known.get(node, (-FRESH, ""))
            if time.monotonic() - asked > FRESH:
                text = self._ask(node)
                self._known[node] = time.monotonic(), text
            return text

    def _may_ask(self) -> bool:
        if self._allowed is None:
            try:
                self._allowed = rights.may(self._cluster, "get", "Node/proxy", timeout=ANSWER)
            except errors.ClusterError:
                return True  # the question itself will show who does not answer
        return self._allowed and not looks.refusal(self._cluster, PROXY)

    def _ask(self, node: str) -> str:
        path, begin = f"/api/v1/nodes/{node}/proxy/healthz", time.monotonic()
        if not self._silent(path):
            return ""
        broke_off = time.monotonic() - begin < ANSWER
        if self._silent("/livez"):
            return "the API server gives no answer"
        if broke_off and not self._silent(path):  # it was the API server that had gone away for a moment
            return ""
        if self._silent(f"/api/v1/nodes/{node}", gone=True):
            return f"{UNHEARD}: its node '{node}' does not belong to the cluster any more"
        return f"{UNHEARD}: the kubelet of its node '{node}' gives no answer within {ANSWER:g} s"

    def _silent(self, path: str, *, gone: bool = False) -> bool:
        """Nothing answers there, or nothing is there; what is forbidden to ask counts as an answer."""
        try:
            # not GET: that one is repeated for a while when no answer comes
            self._cluster.raw("HEAD", path, timeout=ANSWER)
        except errors.NotFound:
            return True
        except errors.Unreachable:
            return not gone
        except errors.Forbidden as error:
            if "/proxy/" in path:
                looks.note(self._cluster, PROXY, None, error)
            return False
        except errors.ClusterError as error:
            return error.status in (500, 502, 503, 504) and not gone
        return False
