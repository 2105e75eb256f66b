"""Where clients can aim: addresses of pods, Services, nodes and load balancers, and the names that lead there.

Agents in Kubernetes are managed and addressed over IPv4; an address of another family is refused by name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from NetLibrary._mechanics.errors import InputError, NetLibraryError
from NetLibrary._mechanics.kube import addresses, containers, health, looks
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary.types import CyPerfTarget

Object = Mapping[str, Any]
USUAL_DOMAIN = "cluster.local"


def refuse_ipv6(address: str, what: str) -> str:
    """Returns an address or name unless it is an IPv6 address.

    Args:
        address: The address or name.
        what: Words for the message.
    Raises:
        InputError: It is an IPv6 address.
    """
    if addresses.family_of(address.strip("[]")) == 6:
        raise InputError(f"{what} is the IPv6 address {address}; CyPerf agents in Kubernetes work with IPv4 only.")
    return address


def first_ipv4(found: Sequence[str], what: str) -> str:
    """Returns the first IPv4 address.

    Args:
        found: Addresses of any family.
        what: What has them, for the message.
    Raises:
        InputError: There are only others, or none.
    """
    for each in found:
        if addresses.family_of(each) == 4:
            return each
    if found:
        raise InputError(
            f"{what} has only the IPv6 address {found[0]}; CyPerf agents in Kubernetes work with IPv4 only."
        )
    raise InputError(f"{what} has no address.")


def pod_address(pod: Object) -> str:
    """Returns the IPv4 address of a pod."""
    metadata = pod["metadata"]
    return first_ipv4(addresses.of_pod(pod), f"Pod '{metadata['namespace']}/{metadata['name']}'")


def cluster_ip(service: Object) -> str:
    """Returns the IPv4 cluster address of a Service."""
    metadata = service["metadata"]
    return first_ipv4(addresses.of_service(service), f"Service '{metadata['namespace']}/{metadata['name']}'")


def node_port_address(cluster: Cluster, service: Object, pods: Iterable[Object]) -> str:
    """Returns the address of a node that answers at the nodePorts of a Service.

    Raises:
        InputError: No node that is ready has an IPv4 address, or the Service is served over IPv6 alone.
    """
    cluster_ip(service)
    nodes = health.entry_nodes(looks.look(cluster, "Node"))
    if service["spec"].get("externalTrafficPolicy") == "Local":
        # Other nodes drop what comes in at their port.
        homes = {pod["spec"].get("nodeName") for pod in pods}
        nodes = [node for node in nodes if node["metadata"]["name"] in homes]
    found = [each for node in sorted(nodes, key=_name) for each in addresses.of_node(node)]
    return first_ipv4(found, "The nodePort on nodes that are ready")


def _name(node: Object) -> str:
    return str(node["metadata"]["name"])


def check_reach(target: CyPerfTarget, clients: str, servers: str) -> None:
    """Refuses a target that clients of another cluster cannot reach.

    Args:
        target: How servers are addressed.
        clients: API address of the clients' cluster.
        servers: API address of the servers' cluster.
    Raises:
        InputError: Only agents of the same cluster reach such a target.
    """
    if clients != servers and target not in (CyPerfTarget.NODE_PORT, CyPerfTarget.LOAD_BALANCER):
        raise InputError(
            f"target is '{target.value}', which only agents of the servers' own cluster reach, but the clients run in "
            f"{clients} and the servers in {servers}; allowed: 'node port' and 'load balancer'."
        )


def load_balancer_address(service: Object) -> str:
    """Returns the external address of a Service: IPv4, else a host name (as on AWS), else an empty text.

    Raises:
        InputError: It has only IPv6 addresses.
    """
    found = addresses.of_load_balancer(service, 4)
    if found:
        return found[0]
    others = addresses.of_load_balancer(service)
    return first_ipv4(others, f"The load balancer of Service '{_name(service)}'") if others else ""


def cluster_dns(cluster: Cluster, pods: Sequence[Object] = ()) -> str:
    """Returns an IPv4 address of the cluster's DNS: its Service's, or the one that agents' pods ask.

    Args:
        cluster: The clients' cluster.
        pods: Agents' pods, for clusters whose DNS has a Service under other labels, or one that may not be looked at.
    Raises:
        InputError: There is none that can be found.
    """
    try:
        return addresses.of_dns(cluster, 4)[0]
    except InputError:
        for text in _resolver_files(cluster, pods):
            if found := addresses.of_family(health.name_servers(text), 4):
                return found[0]
        raise


def cluster_domain(cluster: Cluster, pods: Sequence[Object]) -> str:
    """Returns the cluster's domain, from the search list of one of the agents' pods; `cluster.local` if none tells."""
    return next(filter(None, map(health.cluster_domain, _resolver_files(cluster, pods))), USUAL_DOMAIN)


def _resolver_files(cluster: Cluster, pods: Sequence[Object]) -> Iterator[str]:
    for pod in pods:
        metadata = pod["metadata"]
        container = containers.meant(cluster, pod)
        with contextlib.suppress(NetLibraryError):
            yield cluster.exec(
                metadata["namespace"], metadata["name"], ["cat", "/etc/resolv.conf"], container=container, timeout=10,
                again=True,
            ).stdout  # fmt: skip


def listen_port(entry: Object, pods: Iterable[Object]) -> int:
    """Returns the port that servers listen on behind an entry of a Service, also where it is given by name."""
    target = entry.get("targetPort", entry["port"])
    if isinstance(target, int):
        return target
    number = named_port(str(target), pods)
    return int(entry["port"]) if number is None else number


def named_port(name: str, pods: Iterable[Object]) -> int | None:
    """Returns the number of a container port that has a name."""
    for pod in pods:
        for container in pod["spec"].get("containers") or []:
            for port in container.get("ports") or []:
                if port.get("name") == name:
                    return int(port["containerPort"])
    return None


def pods_behind(cluster: Cluster, service: Object) -> list[dict[str, Any]]:
    """Returns the pods that a Service selects; none for one without selector."""
    selector = service["spec"].get("selector") or {}
    if not selector:
        return []
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    return cluster.list("Pod", service["metadata"]["namespace"], labels=labels)


def device_nodes(cluster: Cluster, namespace: str | None, labels: str | None) -> set[str]:
    """Returns the nodes on which a device under test runs; none when it is not told by labels.

    Raises:
        InputError: No pod has these labels.
    """
    if not labels:
        return set()
    pods = [pod for pod in cluster.list("Pod", namespace, labels=labels) if pod["spec"].get("nodeName")]
    if not pods:
        where = f"namespace '{namespace}'" if namespace else "any namespace"
        raise InputError(f"device_labels is '{labels}', but no scheduled pod in {where} has these labels.")
    return {str(pod["spec"]["nodeName"]) for pod in pods}
