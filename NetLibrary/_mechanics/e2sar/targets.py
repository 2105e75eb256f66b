"""Where a sender has to send to, to reach a receiver over a path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.e2sar import objects
from NetLibrary._mechanics.e2sar.endpoint import Endpoint
from NetLibrary._mechanics.e2sar.goals import has_load_balancer
from NetLibrary._mechanics.kube import addresses, health, looks, service_types
from NetLibrary.types import E2SARPath

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

LOAD_BALANCER_SECONDS = 60.0


@dataclass(frozen=True)
class Services:
    """The Services in front of the receivers of a namespace.

    Args:
        cluster: Their cluster.
        namespace: Their namespace.
        files: The scenario's manifests.
    """

    cluster: Cluster
    namespace: str
    files: objects.Files


def target_of(services: Services, receiver: Endpoint | None, port: int, path: E2SARPath) -> tuple[str, int]:
    """Returns address or name, and port.

    Args:
        services: What is in front of it.
        receiver: The receiver.
        port: Its port.
        path: How it is addressed.

    Raises:
        errors.InputError: There is no receiver.
        errors.Unavailable: The cluster has no such path.
    """
    if receiver is None:
        raise errors.InputError("address is missing; give one, or start a receiver first.")
    if path is E2SARPath.POD_IP:
        return receiver.address, port
    if path is E2SARPath.DNS:
        return f"{receiver.job}.{services.files.service}.{services.namespace}.svc", port
    if path is E2SARPath.LOAD_BALANCER:
        return _load_balancer(services), port
    service = services.cluster.get("Service", objects.NODE_PORT_SERVICE, services.namespace)
    entry = service["spec"]["ports"][0]
    if path is not E2SARPath.SERVICE and service_types.refusal(service):
        raise errors.Unavailable(f"The receivers have no NodePort: {service_types.refusal(service)}")
    if path is E2SARPath.SERVICE:
        return str(service["spec"]["clusterIP"]), int(entry["port"])
    nodes = health.entry_nodes(looks.look(services.cluster, "Node"))
    nodes.sort(key=lambda node: bool(node["metadata"]["name"] == receiver.node))
    found = [each for node in nodes for each in addresses.of_entry(node, service)]
    if not found:
        families = " or ".join(f"IPv{each}" for each in addresses.families_of(service))
        raise errors.EnvironmentProblem(f"No node that is ready has an {families} address for the NodePort.")
    return found[0], addresses.node_port(service, int(entry["port"]))


def _load_balancer(services: Services) -> str:
    """Returns where a load balancer in front of the receivers listens."""
    try:
        made = services.cluster.apply(services.files.load_balancer(services.namespace))
    except errors.ClusterError as error:
        if not service_types.is_refusal(error):
            raise
        raise errors.Unavailable(f"The receivers have no load balancer: {error}") from error
    family = addresses.families_of(made)[0]
    try:
        service = services.cluster.wait(
            "Service", services.namespace, has_load_balancer(family), name=objects.LOAD_BALANCER_SERVICE,
            timeout=LOAD_BALANCER_SECONDS, what=f"Address of load balancer '{objects.LOAD_BALANCER_SERVICE}'",
        )  # fmt: skip
    except errors.WaitTimeout as error:
        raise errors.Unavailable(f"The cluster provides no load balancer for UDP Services: {error}") from error
    return addresses.of_load_balancer(service, family)[0]
