"""Targets of the user's own: where a URL leads, and how it is probed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import addresses, health, looks
from NetLibrary._mechanics.outages.objects import OUTSIDE, SOURCE, Target
from NetLibrary.types import OutageTarget, ProbeKind

KINDS = {
    "icmp": (ProbeKind.ICMP,),
    "udp": (ProbeKind.UDP,),
    "tcp": (ProbeKind.TCP_NEW, ProbeKind.TCP_IDLE),
    "http": (ProbeKind.HTTP, ProbeKind.HTTP_KEPT),
    "dns": (ProbeKind.DNS,),
}
USUAL_PORT = {"http": "80", "dns": "53"}
LOOK_UP = "import socket,sys\nfor i in socket.getaddrinfo(sys.argv[1], None): print(i[4][0])"
LOOK_UP_S = 15.0


def resolve(
    cluster: Any, namespace: str, source: str, wanted: Sequence[OutageTarget], families: Sequence[int]
) -> tuple[list[Target], list[str]]:
    """Finds out where URLs lead.

    Args:
        cluster: The cluster.
        namespace: Namespace of the source pod.
        source: Name of the source pod.
        wanted: The targets.
        families: IP versions; none for the first address that each target has.

    Returns:
        The targets, and a sentence for each that cannot be measured.

    Raises:
        InputError: A Service has no such port.
    """
    found, missing = [], []
    for target in wanted:
        hosts, port = _where(cluster, namespace, source, target)
        first = addresses.family_of(hosts[0]) if hosts else 0
        for family in families or (first,):
            name = f"{target.text} IPv{family}" if len(families) > 1 else target.text
            own = addresses.of_family(hosts, family)
            if own:
                found.append(
                    Target(
                        name,
                        OUTSIDE if target.from_outside else SOURCE,
                        own[0],
                        port,
                        KINDS[target.scheme],
                        query=target.query,
                        host=target.host,
                    )
                )
            else:
                what = f"has no IPv{family} address ({', '.join(hosts)})" if hosts and family else "cannot be resolved"
                missing.append(f"{target.text}: '{target.host}' {what}")
    return found, missing


def _where(cluster: Any, namespace: str, source: str, target: OutageTarget) -> tuple[list[str], int]:
    """Returns the addresses of a target and its port."""
    port = target.port or USUAL_PORT.get(target.scheme, "0")
    if addresses.family_of(target.host):
        return [target.host], _number(port, target)
    service = _service(cluster, namespace, target)
    if service is not None:
        protocol = "UDP" if target.scheme in ("udp", "dns") else "TCP"
        entry = {"port": 0} if target.scheme == "icmp" else addresses.service_port(service, port, protocol)
        if target.from_outside and not addresses.of_load_balancer(service):
            return _of_node_port(cluster, service, target, protocol, int(entry["port"]))
        return _of_service(service, target), int(entry["port"])
    return _look_up(cluster, namespace, source, target), _number(port, target)


def _of_service(service: dict[str, Any], target: OutageTarget) -> list[str]:
    if target.from_outside:
        return addresses.looked_up(addresses.of_load_balancer(service))
    found = addresses.of_service(service)
    if not found:
        raise InputError(f"'{target.text}': Service '{target.host}' is headless; give the address of one of its pods.")
    return found


def _of_node_port(
    cluster: Any, service: dict[str, Any], target: OutageTarget, protocol: str, port: int
) -> tuple[list[str], int]:
    """Returns the addresses of a node that is ready, and the Service's port there."""
    if service["spec"].get("type") not in ("NodePort", "LoadBalancer") or not port:
        raise InputError(
            f"'{target.text}': Service '{target.host}' has neither a load balancer address nor a NodePort, so it "
            "cannot be reached from outside."
        )
    for node in health.entry_nodes(looks.look(cluster, "Node")):
        found = addresses.of_entry(node, service, kind="ExternalIP") or addresses.of_entry(node, service)
        if found:
            return found, addresses.node_port(service, port, protocol)
    return [], port


def _service(cluster: Any, namespace: str, target: OutageTarget) -> dict[str, Any] | None:
    """Returns the Service that a host names: `web`, `web.shop`, `web.shop.svc`, `web.shop.svc.cluster.local`."""
    words = target.host.split(".")
    if len(words) > 2 and words[2] != "svc":
        return None
    where = words[1] if len(words) > 1 else namespace
    try:
        found: dict[str, Any] | None = cluster.find("Service", words[0], where)
    except errors.Forbidden:
        return None
    return found


def _look_up(cluster: Any, namespace: str, source: str, target: OutageTarget) -> list[str]:
    if target.from_outside:
        return addresses.looked_up([target.host])
    try:
        words = ["python3", "-c", LOOK_UP, target.host]
        said = cluster.exec(namespace, source, words, check=False, timeout=LOOK_UP_S, again=True)
    except errors.NetLibraryError:
        return []
    return list(dict.fromkeys(str(said.stdout).split()))


def _number(port: str, target: OutageTarget) -> int:
    if not port.isdigit():
        raise InputError(f"'{target.text}': '{port}' is a port name, which only a Service has; give the port number.")
    return int(port)
