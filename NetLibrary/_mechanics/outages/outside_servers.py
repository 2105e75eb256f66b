"""Servers outside the cluster: which there are, and what they say they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.outages.objects import SOURCE, Endpoints, Outside
from NetLibrary._mechanics.outages.run.echoes import EchoPod, OutsideEcho

ASK_S = 20.0
#: Asks a server whether it is `netlibrary echo`, and whether its answers to datagrams arrive.
ASK = """\
import json, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
found = {}
try:
    s = socket.create_connection((host, port), 3)
    s.settimeout(3)
    s.sendall(b"GET /netlibrary HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n" % host.encode())
    data = b""
    while not data.endswith(b"}") and len(data) < 4096:
        more = s.recv(4096)
        if not more:
            break
        data += more
    found = json.loads(data.partition(b"\\r\\n\\r\\n")[2])
    if "netlibrary-echo" in found:
        u = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        u.settimeout(0.5)
        for _ in range(4):
            u.sendto(b"netlibrary", (host, port))
            try:
                found["udp"] = u.recv(64) == b"netlibrary"
                break
            except OSError:
                pass
except (OSError, ValueError):
    pass
print(json.dumps(found if "netlibrary-echo" in found else {}))
"""


def add(
    cluster: Any,
    namespace: str,
    endpoints: Endpoints,
    echoes: list[EchoPod | OutsideEcho],
    wanted: tuple[str, int],
) -> None:
    """Notes the servers outside the cluster: those that are named, or one on the vantage point of a lab.

    Args:
        cluster: The cluster.
        namespace: Namespace of the source pod.
        endpoints: Gets the servers.
        echoes: Gets the server that has to be started.
        wanted: Addresses separated by commas, and their port.

    Raises:
        InputError: What is named is no address.
    """
    text, port = wanted
    if text:
        source = str(endpoints.pods[SOURCE]["metadata"]["name"])
        servers = [Outside(_address(word), port) for word in text.replace(",", " ").split()]
        endpoints.outside = [_ask(cluster, namespace, source, server) for server in servers]
    elif cluster.is_lab:
        vantage = cluster.lab.outside
        server = OutsideEcho(vantage.address, netns=f"/run/netns/{vantage.netns}")
        others = [str(cluster.lab.plan.outside_network_v6[1])] if cluster.lab.plan.v6 else []
        endpoints.outside = [
            Outside(address, server.port, echo=True, udp=True, iperf_port=server.iperf_port)
            for address in (vantage.address, *others)
        ]
        echoes.append(server)


def _address(word: str) -> str:
    found = word.strip("[]")
    if not addresses.family_of(found):
        raise InputError(
            f"outside_address has '{word}'; it must be an IPv4 or IPv6 address, or several separated by commas."
        )
    return found


def _ask(cluster: Any, namespace: str, source: str, server: Outside) -> Outside:
    """Returns what a server says that it is; one that says nothing is a foreign one."""
    if not server.port:
        return server
    try:
        words = ["python3", "-c", ASK, server.address, str(server.port)]
        said = cluster.exec(namespace, source, words, check=False, timeout=ASK_S, again=True)
        facts = json.loads(str(said.stdout) or "{}")
    except (errors.NetLibraryError, ValueError):
        return server
    if not facts:
        return server
    ports = facts.get("iperf3") or [0]
    udp = bool(facts.get("udp"))
    note = "" if udp else "UDP is not measured: the server's answers to datagrams do not arrive"
    return replace(server, echo=True, udp=udp, iperf_port=int(ports[0]), note=note)
