"""Where things are: addresses of nodes, pods and Services, per IP family. No caller takes "the" address.

Functions return lists, because a cluster may have both families, in either order, and a load balancer may have a host
name instead of an address. `family=None` means both, in the order in which the cluster has them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import looks

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Object = Mapping[str, Any]

# Where the DNS of a cluster is: namespace (None for any) and labels, the most common first. CoreDNS kept the label of
# its predecessor kube-dns, for the sake of those who look for it; OpenShift has an operator of its own.
_DNS_SERVICES = (
    ("kube-system", "k8s-app=kube-dns"),
    (None, "k8s-app=kube-dns"),
    ("openshift-dns", "dns.operator.openshift.io/owning-dns=default"),
    ("kube-system", "k8s-app=coredns"),
    ("kube-system", "app.kubernetes.io/name=coredns"),
)


def family_of(address: str) -> int:
    """Returns 4 or 6, or 0 when the text is no address but for instance a host name.

    Example:
        >>> [family_of(text) for text in ("10.0.0.1", "fd00::1", "lb.example.com", "")]
        [4, 6, 0, 0]
    """
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 0


def of_family(addresses: Iterable[str | None], family: int | None) -> list[str]:
    """Returns the addresses of a family, or all of them when `family` is None.

    Example:
        >>> of_family(["10.0.0.1", "fd00::1", "", None], 6), of_family(["fd00::1", "10.0.0.1"], None)
        (['fd00::1'], ['fd00::1', '10.0.0.1'])
    """
    return [each for each in addresses if each and (family is None or family_of(each) == family)]


def in_url(host: str) -> str:
    """Returns a host as URLs and `host:port` take it: an IPv6 address in brackets.

    Example:
        >>> in_url("fd00::1"), in_url("10.0.0.1"), in_url("example.com")
        ('[fd00::1]', '10.0.0.1', 'example.com')
    """
    return f"[{host}]" if family_of(host) == 6 else host


def looked_up(hosts: Iterable[str]) -> list[str]:
    """Returns addresses as they are, and instead of each host name those that this machine knows for it.

    Example:
        >>> looked_up(["10.0.0.1", "nobody.invalid"])
        ['10.0.0.1']
    """
    import socket

    found: list[str] = []
    for host in hosts:
        if family_of(host):
            found.append(host)
            continue
        try:
            found += [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError):
            continue
    return list(dict.fromkeys(found))


# --- nodes ----------------------------------------------------------------------------------------------


def of_node(node: Object, family: int | None = None, kind: str = "InternalIP") -> list[str]:
    """Returns a node's addresses of a kind (`InternalIP`, `ExternalIP`, `Hostname`).

    A node without any internal address is reached inside at its external ones.

    Example:
        >>> of_node({"status": {"addresses": [{"type": "InternalIP", "address": "fd00::1"}]}}, 4)
        []
        >>> of_node({"status": {"addresses": [{"type": "ExternalIP", "address": "192.0.2.1"}]}})
        ['192.0.2.1']
    """
    entries = (node.get("status") or {}).get("addresses") or []
    if kind == "InternalIP" and not any(entry.get("type") == kind for entry in entries):
        kind = "ExternalIP"
    return of_family((str(entry["address"]) for entry in entries if entry.get("type") == kind), family)


def of_nodes(cluster: Cluster, family: int | None = None) -> dict[str, list[str]]:
    """Returns the internal addresses of every node that has one, by the node's name."""
    found = {str(node["metadata"]["name"]): of_node(node, family) for node in looks.look(cluster, "Node")}
    return {name: addresses for name, addresses in found.items() if addresses}


def node_names(cluster: Cluster) -> list[str]:
    """Returns the names of the cluster's nodes, sorted."""
    return sorted(str(node["metadata"]["name"]) for node in looks.look(cluster, "Node"))


def require_node(cluster: Cluster, name: str, argument: str = "node") -> None:
    """Refuses a node that the cluster does not have; an account that may not list nodes is let through.

    Raises:
        InputError: There is no such node; the text lists those that exist.
    """
    try:
        names = node_names(cluster)
    except errors.Forbidden:
        return
    if name not in names:
        have = ", ".join(f"'{each}'" for each in names) or "none"
        raise errors.InputError(f"{argument} is '{name}'; cluster '{cluster.alias}' has the nodes {have}.")


# --- pods -----------------------------------------------------------------------------------------------


def of_pod(pod: Object, family: int | None = None) -> list[str]:
    """Returns a pod's addresses.

    Example:
        >>> of_pod({"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}}, 6)
        ['fd00::1']
    """
    status = pod.get("status") or {}
    entries = [entry.get("ip") for entry in status.get("podIPs") or []]
    return of_family(entries or [status.get("podIP")], family)


# --- Services -------------------------------------------------------------------------------------------


def of_service(service: Object, family: int | None = None) -> list[str]:
    """Returns a Service's cluster addresses; none for a headless Service and one without an address.

    Example:
        >>> of_service({"spec": {"clusterIP": "fd00::1", "clusterIPs": ["fd00::1", "10.96.0.1"]}}, 4)
        ['10.96.0.1']
    """
    spec = service.get("spec") or {}
    found = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return of_family((each for each in found if each != "None"), family)


def families_of(service: Object) -> list[int]:
    """Returns the IP versions in which a Service is served, its first one first; both where nothing tells.

    Example:
        >>> families_of({"spec": {"ipFamilies": ["IPv6"]}}), families_of({"spec": {"clusterIP": "10.96.0.1"}})
        ([6], [4])
    """
    named = [int(each[-1]) for each in (service.get("spec") or {}).get("ipFamilies") or []]
    return named or [family_of(each) for each in of_service(service)] or [4, 6]


def of_entry(node: Object, service: Object, family: int | None = None, kind: str = "InternalIP") -> list[str]:
    """Returns a node's addresses at which a Service's NodePorts are served: those of the Service's families.

    Example:
        >>> node = {"status": {"addresses": [{"type": "InternalIP", "address": a} for a in ("10.0.0.1", "fd00::1")]}}
        >>> of_entry(node, {"spec": {"ipFamilies": ["IPv6"]}}), of_entry(node, {"spec": {"ipFamilies": ["IPv6"]}}, 4)
        (['fd00::1'], [])
    """
    wanted = [each for each in families_of(service) if family in (None, each)]
    return [address for each in wanted for address in of_node(node, each, kind)]


def of_load_balancer(service: Object, family: int | None = None) -> list[str]:
    """Returns where a Service's load balancer listens: addresses and host names.

    A host name may lead to either family and is therefore returned for both, after the addresses.

    Example:
        >>> of_load_balancer({"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}, {"ip": "10.0.0.1"}]}}}, 4)
        ['10.0.0.1', 'lb.example.com']
    """  # noqa: E501
    entries = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    addresses = of_family((entry.get("ip") for entry in entries), family)
    return addresses + [str(entry["hostname"]) for entry in entries if entry.get("hostname") and not entry.get("ip")]


def service_port(service: Object, port: int | str, protocol: str | None = None) -> dict[str, Any]:
    """Returns the entry of a Service for a port.

    Args:
        service: The Service.
        port: Number or name.
        protocol: `TCP`, `UDP` or `SCTP`; None takes the first that fits.

    Raises:
        InputError: It has no such port; the text lists those it has.

    Example:
        >>> service_port({"spec": {"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}}, "dns")["port"]
        53
    """
    entries = (service.get("spec") or {}).get("ports") or []
    for entry in entries:
        fits = str(port) in (str(entry["port"]), entry.get("name"))
        if fits and protocol in (None, entry.get("protocol", "TCP")):
            return dict(entry)
    name = (service.get("metadata") or {}).get("name", "?")
    wanted = f"{port}/{protocol}" if protocol else str(port)
    have = ", ".join(f"{entry['port']}/{entry.get('protocol', 'TCP')}" for entry in entries) or "none"
    raise errors.InputError(f"port is {wanted}; Service '{name}' has {have}.")


def node_port(service: Object, port: int | str, protocol: str | None = None) -> int:
    """Returns the node port of a Service for one of its ports.

    Raises:
        InputError: It has no such port, or no node port for it; the text says of which type the Service is.
    """
    entry = service_port(service, port, protocol)
    if not entry.get("nodePort"):
        name, kind = (service.get("metadata") or {}).get("name", "?"), (service.get("spec") or {}).get("type")
        raise errors.InputError(f"Service '{name}' of type {kind or 'ClusterIP'} has no node port for {port}.")
    return int(entry["nodePort"])


# --- DNS ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DnsServer:
    """A server of the cluster's DNS.

    Args:
        address: Where it answers.
        pod: Its pod, empty when unknown.
        node: The pod's node, empty when unknown.
    """

    address: str
    pod: str = ""
    node: str = ""


def dns_service(cluster: Cluster) -> Object | None:
    """Returns the Service of the cluster's DNS, or None when there is none under the usual labels."""
    for namespace, labels in _DNS_SERVICES:
        try:
            services = cluster.list("Service", namespace, labels=labels)
        except (errors.Forbidden, errors.NotFound):
            continue
        for service in services:
            if of_service(service):
                return service
    return None


def of_dns(cluster: Cluster, family: int | None = None) -> list[str]:
    """Returns the addresses of the cluster's DNS Service.

    Raises:
        InputError: There is none under the usual labels, or none of that family.
    """
    service = dns_service(cluster)
    if service is None:
        raise errors.InputError(
            f"Cluster '{cluster.alias}' has no recognisable DNS Service, such as one with the label k8s-app=kube-dns "
            "in kube-system."
        )
    found = of_service(service, family)
    if not found:
        raise errors.InputError(f"The DNS Service of cluster '{cluster.alias}' has no IPv{family} address.")
    return found


def dns_servers(cluster: Cluster, family: int | None = None) -> list[DnsServer]:
    """Returns the ready servers behind the cluster's DNS Service; none when they may not be seen."""
    service = dns_service(cluster)
    if service is None:
        return []
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    try:
        slices = cluster.list("EndpointSlice", namespace, labels=f"kubernetes.io/service-name={name}")
    except (errors.Forbidden, errors.NotFound):
        return []
    first = family_of(of_service(service)[0])  # the one that pods ask
    slices.sort(key=lambda each: each.get("addressType") != f"IPv{first}")
    return [
        DnsServer(address, (endpoint.get("targetRef") or {}).get("name") or "", endpoint.get("nodeName") or "")
        for each in slices
        for endpoint in each.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in of_family(endpoint.get("addresses") or [], family)
    ]
