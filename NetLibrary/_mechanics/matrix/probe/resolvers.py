"""Reads which DNS servers pods ask: the resolver file that their kubelet has written for them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import health
from NetLibrary._mechanics.probing.pipes import CONTAINER
from NetLibrary._mechanics.probing.types import Source

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.testbed import Testbed

# In a large matrix the files of so many pods tell enough
MOST = 40


def read_resolvers(bed: Testbed, sources: Sequence[Source]) -> dict[str, tuple[str, ...]]:
    """Returns the DNS servers of pods by name; a pod whose file cannot be read is missing."""

    def ask(source: Source) -> tuple[str, ...]:
        words = ["sh", "-c", "cat /etc/resolv.conf"]
        try:
            ran = bed.cluster.exec(
                source.namespace, source.name, words, container=CONTAINER, timeout=10, check=False, again=True
            )
        except errors.NetLibraryError:  # says nothing about its resolver
            return ()
        return tuple(health.name_servers(ran.stdout))

    chosen = list(sources)[:MOST]
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolvers") as pool:
        found = dict(zip((s.name for s in chosen), pool.map(ask, chosen), strict=True))
    return {name: servers for name, servers in found.items() if servers}
