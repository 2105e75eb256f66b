"""Finds the endpoints of a measurement in a namespace, and what the source's pod knows of its network."""

from __future__ import annotations

import ipaddress
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.defaults import OUTAGE_HOST_PORT
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import health, looks
from NetLibrary._mechanics.outages.objects import ROLE, SOURCE, Endpoints


def discover(cluster: Any, namespace: str, *, host_port: int = OUTAGE_HOST_PORT, source: str = "") -> Endpoints:
    """Looks up the endpoints in a namespace; see manifests/network_break.

    Args:
        cluster: The cluster.
        namespace: Where they are.
        host_port: Port of the echo servers in the host network.
        source: Name of the pod that measures; with it no other endpoint is looked up.

    Raises:
        InputError: There is no ready pod that could measure.
    """
    if source:
        return Endpoints({SOURCE: cluster.get("Pod", source, namespace)}, host_port=host_port, sources=(source,))
    pods: dict[str, dict[str, Any]] = {}
    sources = []
    for pod in cluster.list("Pod", namespace, labels=ROLE):
        if pod["metadata"].get("deletionTimestamp") or pod.get("status", {}).get("phase") != "Running":
            continue
        role = pod["metadata"]["labels"][ROLE]
        if role == SOURCE:
            sources.append(pod)
        else:
            pods[role] = pod
    sources.sort(key=lambda pod: str(pod["metadata"]["name"]))
    if sources:
        pods[SOURCE] = sources[0]
    if "source" not in pods:
        raise InputError(
            f"namespace '{namespace}' has no running pod with the label {ROLE}=source; apply "
            "manifests/network_break/endpoints.yaml there first."
        )
    try:
        nodes = {node["metadata"]["name"]: node for node in looks.look(cluster, "Node")}
    except errors.Forbidden:
        nodes = {
            pod["spec"]["nodeName"]: {
                "status": {"addresses": [{"type": "InternalIP", "address": pod["status"].get("hostIP", "")}]}
            }
            for pod in pods.values()
        }
    # Those elsewhere would take other ways
    node = pods[SOURCE]["spec"]["nodeName"]
    names = [str(pod["metadata"]["name"]) for pod in sources if pod["spec"]["nodeName"] == node]
    gateways: dict[tuple[str, int], str] = {}
    dns = None
    for role in ("source", "far"):
        if role not in pods:
            continue
        try:
            text = cluster.exec(
                namespace,
                pods[role]["metadata"]["name"],
                ["cat", "/proc/net/route", "/proc/net/ipv6_route", "/etc/resolv.conf"],
                check=False,
                timeout=10,
                again=True,
            ).stdout
        except errors.NetLibraryError:
            if role == "source":
                raise
            continue  # a path that is broken already must not keep the others from being measured
        for family in (4, 6):
            gateway = gateway_of(text, family)
            if gateway:
                gateways[role, family] = gateway
        if role == "source":
            dns = resolver_of(text)
    return Endpoints(
        pods, cluster.find("Service", "far", namespace), nodes, gateways, dns, host_port=host_port, sources=names
    )


def gateway_of(route_text: str, family: int) -> str | None:
    r"""Reads the default gateway from /proc/net/route or /proc/net/ipv6_route.

    >>> gateway_of("Iface Destination Gateway\neth0 00000000 0102F40A 0003\n", 4)
    '10.244.2.1'
    """
    for line in route_text.splitlines():
        words = line.split()
        if family == 4 and len(words) > 2 and words[1] == "00000000" and words[2] != "00000000":
            return str(ipaddress.IPv4Address(bytes.fromhex(words[2])[::-1]))
        if family == 6 and len(words) > 4 and words[1] == "00" and set(words[0]) == {"0"} and set(words[4]) != {"0"}:
            return str(ipaddress.IPv6Address(bytes.fromhex(words[4])))
    return None


def resolver_of(resolv_conf: str) -> tuple[str, str] | None:
    r"""Reads the first name server and the cluster's domain from a pod's resolv.conf.

    >>> resolver_of("search demo.svc.corp.example svc.corp.example corp.example\nnameserver 10.96.0.10\n")
    ('10.96.0.10', 'corp.example')
    """
    servers = health.name_servers(resolv_conf)
    return (servers[0], health.cluster_domain(resolv_conf) or "cluster.local") if servers else None
