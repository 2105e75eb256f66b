"""Which run is alive, by what it leaves in the cluster while it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import times
from NetLibrary._mechanics.kube.ownership import RUN_LABEL, Object, is_marked

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.reader import ClusterReader
    from NetLibrary._mechanics.kube.resources import Resource

# Begin of the name of a run's Lease
NAME = "netlibrary-"
# Seconds between two renewals of it
PERIOD = 20.0
# Who misses four signs of life in a row is not alive
DEAD_AFTER = 4 * PERIOD


def living_owner(cluster: ClusterReader, resource: Resource, obj: Object) -> str:
    """Returns which other run made an object and is alive, in words; empty where none did, or it gives no sign of life.

    Args:
        cluster: Where.
        resource: Kind of the object.
        obj: The object.
    """
    metadata = obj["metadata"]
    run = str((metadata.get("labels") or {}).get(RUN_LABEL) or "")
    if run == cluster.run_id or not is_marked(resource, obj):
        return ""
    try:
        lease = cluster.find("Lease", NAME + run, metadata.get("namespace")) or {}
    except errors.Forbidden:
        lease = {}
    spec = lease.get("spec") or {}
    # Runs give their first sign after some seconds, and none where they may not
    created = ("created it", metadata.get("creationTimestamp"))
    for word, moment in (("gave a sign of life", spec.get("renewTime")), *(() if spec else (created,))):
        seen = times.seconds(moment)
        if seen is not None and cluster.now() - seen < spec.get("leaseDurationSeconds", DEAD_AFTER):
            who = f"run '{run}'" + (f" ({spec['holderIdentity']})" if spec.get("holderIdentity") else "")
            return f"{who}, which {word} {max(0.0, cluster.now() - seen):.0f} s ago"
    return ""
