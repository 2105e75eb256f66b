"""Services of a type that the cluster refuses, as quotas and policies do for load balancers and node ports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics.errors import Forbidden

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Object = dict[str, Any]
# Each type has what the next one has, and something more that can be refused
LESSER = {"LoadBalancer": "NodePort", "NodePort": "ClusterIP"}
REFUSED = "netlibrary.io/refused-type"


def apply(cluster: Cluster, service: Object, say: Callable[[str], object]) -> Object:
    """Applies a Service; where its type is refused, it becomes one of the next lesser type.

    Args:
        cluster: Where.
        service: The Service.
        say: Is told what was refused, in the server's words.
    Raises:
        Forbidden: A Service of any type is refused.
    """
    while True:
        kind = service["spec"].get("type", "ClusterIP")
        try:
            return cluster.apply(service)
        except Forbidden as error:
            if kind not in LESSER:
                raise
            words = f"type {kind} is refused here: {error}"
            say(f"Service '{service['metadata']['name']}' is made of type {LESSER[kind]}, since {words}")
            annotations = {REFUSED: words, **(service["metadata"].get("annotations") or {})}
            metadata = {**service["metadata"], "annotations": annotations}
            service = {**service, "metadata": metadata, "spec": {**service["spec"], "type": LESSER[kind]}}


def refusal(service: Object) -> str:
    """Returns why a Service has not the type that was wanted, in the server's words; empty when it has it.

    Example:
        >>> refusal({"metadata": {"name": "web"}})
        ''
    """
    return str((service["metadata"].get("annotations") or {}).get(REFUSED, ""))
