"""How many processors of the two nodes were busy while iperf3 ran, from what their kernels count (/proc/stat).

A pod sees the counters of its whole node there, so everything is in them: both programs, the kernel's work on packets
in interrupts, the proxy, and whatever else ran on the node meanwhile.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from NetLibrary._mechanics.errors import InputError, NetLibraryError
from NetLibrary._mechanics.iperf3.results import Measurement
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.addresses import service_port
from NetLibrary._mechanics.kube.behind import behind
from NetLibrary._mechanics.kube.port_forward import container_port

Object = dict[str, Any]
# What the kernel counts in for programs, whatever its own rate is (proc(5): USER_HZ)
HERTZ = 100
# Kernel's columns behind "cpu": those in which nothing is done, and steal, which is another machine's work
IDLE, WAITING, STOLEN = 3, 4, 7
COLUMNS = 8
_CLIENT = re.compile(r"processors: (?P<before>[^|\n]+) \| (?P<after>[^|\n]+)\n")
# The control connection of iperf3 stands as long as the test; looking for it four times a second costs no figure
_LOOKS = r"""
port=$1 looks=$2 first=
while [ "$looks" -gt 0 ]; do
  looks=$((looks - 1))
  read -r up _ </proc/uptime; read -r all </proc/stat
  if grep -qi "^ *[0-9]*: [0-9a-f]*:$port [0-9a-f]*:[0-9a-f]* 01 " /proc/net/tcp /proc/net/tcp6 2>/dev/null; then
    [ -n "$first" ] || first="$up $all"
    last="$up $all"
  elif [ -n "$first" ]; then
    break
  fi
  sleep 0.25
done
[ -z "$first" ] || printf '%s | %s\n' "$first" "$last"
"""
LOOKS_PER_SECOND = 4


def of_client(output: str) -> float | None:
    r"""Returns the busy processors of the client's node; None where the client did not print them.

    Example:
        >>> of_client("processors: 10.0 cpu 0 0 0 0 0 0 0 0 | 12.0 cpu 100 0 50 250 0 0 0 0\nattempts: 1\n")
        0.75
    """
    found = _CLIENT.match(output)
    return busy(found["before"], found["after"]) if found else None


def busy(before: str, after: str) -> float | None:
    """Returns how many processors were busy between two looks, each an uptime and the first line of /proc/stat.

    Example:
        >>> busy("100.00 cpu 0 0 0 0 0 0 0 0 0 0", "101.00 cpu 20 0 60 100 10 0 20 5 0 0")
        1.0
    """
    looks = [text.split() for text in (before, after)]
    if any(len(words) < 2 + COLUMNS or words[1] != "cpu" for words in looks):
        return None
    (first, *counted), (last, *later) = ([float(words[0]), *map(int, words[2 : 2 + COLUMNS])] for words in looks)
    if last <= first:
        return None
    used = [b - a for a, b in zip(counted, later, strict=True)]
    return sum(value for at, value in enumerate(used) if at not in (IDLE, WAITING, STOLEN)) / HERTZ / (last - first)


@dataclass
class Server:
    """Reads the processors of the server's node while a client runs.

    Args:
        cluster: The server's cluster.
        pod: Its pod.
        port: The port at which it listens there.
    """

    cluster: Cluster
    pod: Object
    port: int

    @classmethod
    def of_service(cls, cluster: Cluster, service: str, namespace: str) -> Server:
        """Finds the server behind a Service.

        Raises:
            InputError: There is no such Service, or no ready pod behind it.
        """
        found = behind(cluster, service, namespace)
        if found.service is None or not found.pods:
            raise InputError(f"node_cpu_of is '{service}'; there is no Service of that name with a ready pod.")
        entry = service_port(found.service, found.service["spec"]["ports"][0]["port"])
        pod = found.pods[0]
        return cls(cluster, pod, container_port(pod, entry.get("targetPort") or entry["port"]))

    @contextlib.contextmanager
    def watched(self, seconds: float) -> Iterator[list[float]]:
        """Looks on while the body runs; yields a list that holds the busy processors afterwards, if they were seen."""
        seen: list[float] = []
        looking = threading.Thread(target=self._look, args=(seconds, seen), daemon=True)
        looking.start()
        try:
            yield seen
        finally:
            looking.join(5)

    def _look(self, seconds: float, seen: list[float]) -> None:
        metadata, looks = self.pod["metadata"], int(seconds * LOOKS_PER_SECOND)
        command = ["sh", "-c", _LOOKS, "looks", f"{self.port:04X}", str(looks)]
        container = self.pod["spec"]["containers"][0]["name"]
        with contextlib.suppress(NetLibraryError):  # no shell there, or no right to use it: the figure is unknown
            said = self.cluster.exec(
                metadata["namespace"], metadata["name"], command, container=container, timeout=seconds + 10, check=False
            )
            before, _, after = said.stdout.strip().partition(" | ")
            cores = busy(before, after)
            if cores is not None:
                seen.append(cores)

    def with_nodes(
        self, result: Measurement, client: Object, client_cores: float | None, seen: list[float]
    ) -> Measurement:
        """Returns a result with the processors of both nodes.

        Args:
            result: What was measured.
            client: The client's pod.
            client_cores: Busy processors of its node.
            seen: Those of the server's node.
        """
        nodes = [str((pod.get("spec") or {}).get("nodeName") or "") for pod in (client, self.pod)]
        notes = result.notes
        boots = [_boot_id(self.cluster, node) for node in nodes]
        if nodes[0] != nodes[1] and boots[0] and boots[0] == boots[1]:
            notes = (*notes, "both nodes run on one machine, so the processors of either node are those of both")
        return replace(
            result, client_node_cores=client_cores, server_node_cores=seen[0] if seen else None, notes=notes,
            nodes_share_processors=bool(boots[0]) and boots[0] == boots[1],
        )  # fmt: skip


def _boot_id(cluster: Cluster, node: str) -> str:
    try:
        found = cluster.find("Node", node) if node and node != "outside" else None
    except NetLibraryError:
        return ""
    return str(((found or {}).get("status") or {}).get("nodeInfo", {}).get("bootID", ""))
