"""Services of a type that the cluster refuses, as quotas and policies do for load balancers and node ports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics.errors import ClusterError, Forbidden

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Object = dict[str, Any]
# Each type has what the next one has, and something more that can be refused
LESSER = {"LoadBalancer": "NodePort", "NodePort": "ClusterIP"}
REFUSED = "netlibrary.io/refused-type"


def is_refusal(error: ClusterError) -> bool:
    """Tells whether the cluster wants no such Service, or has no address or port left for one.

    Example:
        >>> is_refusal(ClusterError("failed to allocate a serviceIP: range is full", status=500))
        True
    """
    # Webhooks of policy engines refuse with other codes than 403
    return isinstance(error, Forbidden) or any(
        words in str(error) for words in ("failed to allocate", "denied the request")
    )


def apply(
    cluster: Cluster, service: Object, say: Callable[[str], object], *, allow_foreign: bool = False
) -> Object:  # fmt: skip
    """Applies a Service; where its type is refused, it becomes one of the next lesser type.

    Args:
        cluster: Where.
        service: The Service.
        say: Is told what was refused, in the server's words.
        allow_foreign: Whether one that others made may be changed.
    Raises:
        ClusterError: A Service of any type is refused, or the server failed.
    """
    while True:
        kind = service["spec"].get("type", "ClusterIP")
        try:
            return cluster.apply(service, allow_foreign=allow_foreign)
        except ClusterError as error:
            if kind not in LESSER or not is_refusal(error):
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
