"""One vocabulary for breaking and restoring. While outages are measured, each act is a step on the measurement's clock.

Nodes are broken in a lab only, each act by one keyword `Break …`; it is mended by `Restore Fault`, or by itself after a
time with `for=2 s`. What any cluster knows (rollouts, deleted pods, a command of the user's) is done with leave.
"""

from __future__ import annotations

from NetLibrary.keywords.disruption._former import FormerDisruptionKeywords
from NetLibrary.keywords.disruption.traffic import TrafficDisruptionKeywords
from NetLibrary.keywords.disruption.workloads import WorkloadDisruptionKeywords


class DisruptionKeywords(WorkloadDisruptionKeywords, TrafficDisruptionKeywords, FormerDisruptionKeywords):
    """Break, restore, restart and delete; run your own tools."""
