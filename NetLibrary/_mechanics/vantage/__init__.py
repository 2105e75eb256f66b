"""Places in the network from which programs are run: in a pod, on a node, outside the cluster."""

from __future__ import annotations

from NetLibrary._mechanics.vantage.places import InPod, Outside, Ran, Vantage, pods_of

__all__ = ["InPod", "Outside", "Ran", "Vantage", "pods_of"]
