"""Which Service a name or an address is, and which pods stand behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics.addresses import is_address
from NetLibrary._mechanics.errors import ClusterError, InputError
from NetLibrary._mechanics.kube import looks, rights
from NetLibrary._mechanics.kube.addresses import of_service, service_port

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Object = dict[str, Any]


@dataclass(frozen=True)
class Behind:
    """What stands behind the address of a server.

    Args:
        service: The Service of that name or address, where it is one.
        pods: The pods that connections reach.
    """

    service: Object | None = None
    pods: list[Object] = field(default_factory=list)


def behind(cluster: Cluster, server: str, namespace: str) -> Behind:
    """Finds the pods behind a name or an address.

    Finds none where the account may not look, and none for what is outside of the cluster.

    Args:
        cluster: Where to look.
        server: Name as pods write it (`web`, `web.shop`, `web.shop.svc.cluster.local`), or an address.
        namespace: Namespace in which the name is used.
    """
    try:
        service = _service(cluster, server, namespace)
        if service is not None:
            return Behind(service, _pods_of(cluster, service))
        if is_address(server):
            return Behind(None, pods_at(cluster, server, namespace))
    except ClusterError:
        pass
    return Behind()


def pods_at(cluster: Cluster, address: str, namespace: str) -> list[Object]:
    """Returns the pods with an address: of one namespace, else of the others, where the account may look at them.

    Raises:
        ClusterError: The account may not look.
    """
    fields = f"status.podIP={address}"
    found = cluster.list("Pod", namespace, fields=fields)
    if not found and rights.may(cluster, "list", "Pod"):
        found = looks.look(cluster, "Pod", fields=fields)
    return found


def _service(cluster: Cluster, server: str, namespace: str) -> Object | None:
    if is_address(server):
        found = [s for s in cluster.list("Service", namespace) if server in of_service(s)]
        if not found and rights.may(cluster, "list", "Service"):  # else it may be a pod's address
            found = [s for s in looks.look(cluster, "Service") if server in of_service(s)]
        return found[0] if found else None
    name, _, rest = server.rstrip(".").partition(".")
    where = rest.split(".")[0] or namespace
    if rest and rest.split(".")[1:2] not in ([], ["svc"]):
        return None  # a name outside of the cluster
    return cluster.find("Service", name, where)


def _pods_of(cluster: Cluster, service: Object) -> list[Object]:
    """The pods of the Service's ready endpoints, each once."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    slices = cluster.list("EndpointSlice", namespace, labels=f"kubernetes.io/service-name={name}")
    names = {
        str(endpoint["targetRef"]["name"])
        for one in slices
        for endpoint in one.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready") is not False
        and (endpoint.get("targetRef") or {}).get("kind") == "Pod"
    }
    found = [cluster.find("Pod", each, namespace) for each in sorted(names)]
    return [pod for pod in found if pod is not None]


def nothing_behind(found: Behind, port: int, protocol: str) -> str:
    """Returns why a Service leads nowhere, so that silence there is no sign of a policy; else an empty text.

    Args:
        found: What stands behind the target.
        port: Port that was asked.
        protocol: `tcp` or `udp`.

    Example:
        >>> web = {"metadata": {"name": "web"}, "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}}
        >>> nothing_behind(Behind(web), 81, "tcp")
        "port is 81/TCP; Service 'web' has 80/TCP."
    """
    service = found.service
    if service is None or service["spec"].get("type") == "ExternalName":
        return ""
    if service["spec"].get("clusterIP") != "None":  # a headless Service translates no port
        try:
            service_port(service, port, protocol.upper())
        except InputError as error:
            return str(error)
    if not found.pods and service["spec"].get("selector"):
        return f"Service '{service['metadata']['name']}' has no ready pod behind it, so there is nothing to connect to."
    return ""
