"""Why there is no traffic, from the objects around the server: how many stand behind its address, who holds it."""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
import time
from typing import Any

from NetLibrary._mechanics.addresses import is_address
from NetLibrary._mechanics.errors import ClusterError, NetLibraryError
from NetLibrary._mechanics.iperf3.results import Iperf3Problem
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.addresses import of_pod
from NetLibrary._mechanics.kube.behind import behind, pods_at
from NetLibrary._mechanics.kube.times import seconds

Object = dict[str, Any]
# A router of Skupper stands there for servers elsewhere: several routers may lead to one server
_SKUPPER = ("internal.skupper.io/listener", "internal.skupper.io/controlled")
_ESTABLISHED = "01"
_ACCEPTED = re.compile(r"^(?P<stamp>\S+) .*Accepted connection from (?P<address>\S+), port", re.MULTILINE)


def known_name(cluster: Cluster, server: str, namespace: str) -> bool:
    """Tells whether a server is given by address or by the name of a Service, so that the name is not what is wrong."""
    return is_address(server) or behind(cluster, server, namespace).service is not None


def several_servers(cluster: Cluster, server: str, namespace: str) -> str:
    """Returns why an address cannot be measured when several pods stand behind it, else an empty text.

    iperf3 opens a control and a data connection, and both must reach the same server.
    """
    found = behind(cluster, server, namespace)
    if found.service is None or len(found.pods) < 2 or found.service["spec"].get("sessionAffinity") == "ClientIP":
        return ""
    if led_elsewhere(found.service):
        return ""
    names = ", ".join(f"'{pod['metadata']['name']}'" for pod in found.pods)
    return (
        f"{len(found.pods)} pods are behind '{server}' ({names}); iperf3 needs one: its control and data connections "
        "must reach the same server. Scale it to one replica, set the Service's sessionAffinity to ClientIP, or give "
        "the address of one pod."
    )


def closed_port(cluster: Cluster, server: str, namespace: str, port: int, protocol: str) -> str:
    """Returns that a Service does not pass on what iperf3 sends, else an empty text.

    Its control connection is always TCP, and its datagrams go to the same port: both must be among the Service's ports.
    A headless Service leads to the pods themselves, whatever its ports, as a name elsewhere leads elsewhere.
    """
    service = behind(cluster, server, namespace).service
    if service is None or service["spec"].get("clusterIP") in (None, "", "None") or led_elsewhere(service):
        return ""
    ports = service["spec"].get("ports") or []
    there = {(each.get("protocol") or "TCP", each["port"]) for each in ports}
    missing = [each for each in ("TCP", "UDP")[: 2 if protocol == "udp" else 1] if (each, port) not in there]
    if not missing:
        return ""
    known = ", ".join(f"{each['port']}/{each.get('protocol') or 'TCP'}" for each in ports)
    needs = "iperf3 needs TCP and UDP at one port" if protocol == "udp" else "iperf3 needs TCP"
    return f"Service '{server}' has no {' and no '.join(missing)} port {port}; {needs}. Its ports: {known or 'none'}."


def led_elsewhere(service: Object) -> bool:
    """Tells whether a Service stands for a server elsewhere, so that the pods behind it are routers on the way."""
    metadata = service["metadata"]
    return any(mark in {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})} for mark in _SKUPPER)


# --- who holds the server -------------------------------------------------------------------------------

_OF_A_HELD_SERVER = ("busy", "timed out", "unresolved", "closed", "reset")


def about_the_server(
    cluster: Cluster, problem: Iperf3Problem, server: str, namespace: str, port: int, own: str = ""
) -> list[str]:
    """Returns what server and cluster say about a failed run, for the reader.

    Args:
        cluster: The client's cluster.
        problem: How the run ended.
        server: What the client was told to reach.
        namespace: The client's namespace.
        port: The server's port.
        own: The client's own address, which does not count as another's.
    """
    if problem.kind not in _OF_A_HELD_SERVER:
        return []
    try:
        if problem.kind == "unresolved" and not known_name(cluster, server, namespace):
            return _no_such_service(cluster, server, namespace)
        pods = behind(cluster, server, namespace).pods
        said = [line for pod in pods for line in (*_ended(pod, cluster.now()), *_holders(cluster, pod, port, own))]
    except NetLibraryError:
        return []
    return said


def _no_such_service(cluster: Cluster, server: str, namespace: str) -> list[str]:
    """What there is in place of a Service; iperf3 says "No such file or directory" of a name that is unknown."""
    name, _, rest = server.partition(".")
    where = rest.partition(".")[0] or namespace
    there = sorted(each["metadata"]["name"] for each in cluster.list("Service", where))
    some = ", ".join(f"'{each}'" for each in there[:5])
    return [f"There is no Service '{name}' in namespace '{where}'; existing Services: {some or 'none'}."]


def _ended(pod: Object, now: float) -> list[str]:
    """Whether the server's container ended a moment ago."""
    found = []
    for status in pod.get("status", {}).get("containerStatuses", []):
        for state in (status.get("state"), status.get("lastState")):
            ended = (state or {}).get("terminated") or {}
            at = seconds(ended.get("finishedAt"))
            if at is not None and now - at < 120:
                reason = f" ({ended['reason']})" if ended.get("reason") else ""
                found.append(
                    f"The server's container '{status['name']}' in pod '{_place(pod)}' ended at "
                    f"{ended['finishedAt']} with exit status {ended.get('exitCode')}{reason}."
                )
    if pod["metadata"].get("deletionTimestamp"):
        found.append(f"The server's pod '{_place(pod)}' is being deleted.")
    return found


def _holders(cluster: Cluster, pod: Object, port: int, own: str) -> list[str]:
    address = next((a for a in peers(_sockets(cluster, pod), port) if a != own), None)
    if address is None:
        return []
    since = _since(cluster, pod, address)
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    return [
        f"The server '{_place(pod)}' is held by {address}{_owner(cluster, address, namespace)}{since}. iperf3 serves "
        "one test at a time; one whose client has disappeared holds it for minutes. Wait until it ends, or restart the "
        "server: "
        f"kubectl -n {namespace} delete pod {name}"
    ]


def _sockets(cluster: Cluster, pod: Object) -> str:
    command = ["sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; true"]
    container = server_container(pod)
    return cluster.exec(
        pod["metadata"]["namespace"], pod["metadata"]["name"], command, container=container, timeout=10, again=True
    ).stdout


def peers(table: str, port: int) -> list[str]:
    """Returns who is connected to a port, from `/proc/net/tcp` and `/proc/net/tcp6`, each once."""
    found: dict[str, None] = {}
    for line in table.splitlines():
        words = line.split()
        if len(words) < 4 or words[3] != _ESTABLISHED or ":" not in words[1]:
            continue
        if int(words[1].rpartition(":")[2], 16) == port:
            found[_address(words[2].rpartition(":")[0])] = None
    return list(found)


def _address(hexadecimal: str) -> str:
    """Reads an address as the kernel writes it: 32-bit words in the machine's order."""
    words = [int(hexadecimal[i : i + 8], 16) for i in range(0, len(hexadecimal), 8)]
    raw = b"".join(struct.pack("=I", word) for word in words)
    if len(raw) == 4:
        return socket.inet_ntoa(raw)
    address = ipaddress.IPv6Address(raw)
    return str(address.ipv4_mapped or address)


def server_container(pod: Object) -> str:
    """Returns the container that is the server: injected ones may come before it."""
    containers = pod["spec"]["containers"]

    def is_server(container: Object) -> bool:
        words = [container["name"], *(container.get("command") or []), *(container.get("args") or [])]
        return any("iperf" in str(word) for word in words)

    return str(next((c for c in containers if is_server(c)), containers[0])["name"])


def _owner(cluster: Cluster, address: str, namespace: str) -> str:
    try:
        pods = pods_at(cluster, address, namespace)
    except ClusterError:
        return ""
    pods = [pod for pod in pods if address in of_pod(pod) and not pod["spec"].get("hostNetwork")]
    if not pods:
        return ""
    pod = pods[0]
    return f" (pod '{_place(pod)}' on {pod['spec'].get('nodeName')}, {pod['status'].get('phase')})"


def _since(cluster: Cluster, pod: Object, address: str) -> str:
    """When the server accepted that client, by its own log."""
    container = server_container(pod)
    try:
        log = cluster.logs(
            pod["metadata"]["namespace"], pod["metadata"]["name"], container=container, tail=200, timestamps=True
        )
    except ClusterError:
        return ""
    found = _ACCEPTED.finditer(log)
    stamps = [match["stamp"] for match in found if match["address"].rpartition("::ffff:")[2] == address]
    at = seconds(stamps[-1]) if stamps else None
    if at is None:
        return ""
    return f" since {time.strftime('%H:%M:%S', time.localtime(at))} ({max(0.0, cluster.now() - at):.0f} s)"


def _place(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
