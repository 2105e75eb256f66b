"""NetLibrary: keywords that prove a Kubernetes network end to end."""

from __future__ import annotations

from datetime import timedelta

from robot.api.deco import library

from NetLibrary._listener import ListenerMixin
from NetLibrary._session import Session
from NetLibrary.cluster import ClusterKeywords
from NetLibrary.iperf import ThroughputKeywords
from NetLibrary.skupper import SkupperKeywords
from NetLibrary.types import CONVERTERS

__version__ = "0.1.0"


@library(scope="GLOBAL", version=__version__, doc_format="MARKDOWN", listener="SELF", converters=CONVERTERS)
class NetLibrary(
    ClusterKeywords,
    ThroughputKeywords,
    SkupperKeywords,
    ListenerMixin,
):
    """Proves a Kubernetes network end to end."""

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        timeout: timedelta = timedelta(seconds=60),
    ) -> None:
        """Prepares the library; nothing is connected before the first keyword that needs a cluster.

        Args:
            kubeconfig: File that names the cluster; see the section about connecting for what happens without one.
            context: Context of that file, its current one by default.
            timeout: How long waits take at the most when a keyword does not say otherwise.
        """
        ListenerMixin.__init__(self)
        self.session = Session(timeout=timeout.total_seconds(), kubeconfig=kubeconfig, context=context)
