"""Targets of the user's own: where a URL leads, and how it is probed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.outages.objects import OUTSIDE, SOURCE, Target
from NetLibrary.types import OutageTarget, ProbeKind

KINDS = {
    "icmp": (ProbeKind.ICMP,),
    "udp": (ProbeKind.UDP,),
    "tcp": (ProbeKind.TCP_NEW,),
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
        families: IP versions.

    Returns:
        The targets, and a sentence for each that cannot be measured.

    Raises:
        InputError: A Service has no such port.
    """
    found, missing = [], []
    for target in wanted:
        hosts, port = _where(cluster, namespace, source, target)
        for family in families:
            name = target.text if len(families) == 1 else f"{target.text} IPv{family}"
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
                what = f"has no IPv{family} address ({', '.join(hosts)})" if hosts else "cannot be resolved"
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
        return _of_service(service, target), int(entry["port"])
    return _look_up(cluster, namespace, source, target), _number(port, target)


def _of_service(service: dict[str, Any], target: OutageTarget) -> list[str]:
    if target.from_outside:
        found = addresses.of_load_balancer(service)
        if not found:
            raise InputError(f"'{target.text}': Service '{target.host}' has no load balancer address to be reached at.")
        return found
    found = addresses.of_service(service)
    if not found:
        raise InputError(f"'{target.text}': Service '{target.host}' is headless; name one of its pods' addresses.")
    return found


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
        import socket

        try:
            return [str(entry[4][0]) for entry in socket.getaddrinfo(target.host, None)]
        except OSError:
            return []
    try:
        said = cluster.exec(namespace, source, ["python3", "-c", LOOK_UP, target.host], check=False, timeout=LOOK_UP_S)
    except errors.NetLibraryError:
        return []
    return list(dict.fromkeys(str(said.stdout).split()))


def _number(port: str, target: OutageTarget) -> int:
    if not port.isdigit():
        raise InputError(f"'{target.text}': '{port}' is the name of a port, which only a Service has; give its number.")
    return int(port)
