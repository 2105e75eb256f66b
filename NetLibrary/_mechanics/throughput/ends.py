"""What the kernels of both ends counted while iperf3 ran: busy processors, CPU limits, full receive buffers.

A pod sees the counters of its whole node in /proc/stat, so everything is in them: both programs, the kernel's work on
packets in interrupts, the proxy, and whatever else ran on the node meanwhile.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from NetLibrary._mechanics.errors import InputError, NetLibraryError
from NetLibrary._mechanics.held_back import READ, Datagrams, Held, datagrams_between, held_between, reading
from NetLibrary._mechanics.iperf3.results import Measurement
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.addresses import service_port
from NetLibrary._mechanics.kube.behind import behind
from NetLibrary._mechanics.kube.exec import RunningExec
from NetLibrary._mechanics.kube.port_forward import container_port
from NetLibrary._mechanics.throughput.causes import led_elsewhere, server_container

Object = dict[str, Any]
# What the kernel counts in for programs, whatever its own rate is (proc(5): USER_HZ)
HERTZ = 100
# Kernel's columns behind "cpu": those in which nothing is done, and steal, which is another machine's work
IDLE, WAITING, STOLEN = 3, 4, 7
COLUMNS = 8
_PROCESSORS = re.compile(r"processors: (?P<before>[^|\n]+) \| (?P<after>[^|\n]+)\n")
_COUNTERS = re.compile(r"kernel before:\n(?P<before>(?:/.*\n)*)kernel after:\n(?P<after>(?:/.*\n)*)")
READY = "looking"
# The control connection of iperf3 stands as long as the test; looking for it four times a second costs no figure. What
# was counted before it came and after it went is what the kernel did meanwhile.
_LOOKS = rf"""
port=$1 looks=$2 first=
before=$({READ})
echo {READY}
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
[ -n "$first" ] || exit 0
printf 'processors: %s | %s\nkernel before:\n%s\nkernel after:\n%s\n' "$first" "$last" "$before" "$({READ})"
"""
LOOKS_PER_SECOND = 4
START_SECONDS, LAST_SECONDS = 10.0, 3.0


@dataclass(frozen=True)
class End:
    """What was counted at one end; None for what could not be read.

    Args:
        cores: Processors of its node that were busy.
        held: How its container's CPU limit held it back.
        datagrams: How many arrived in its network, and how many no program read.
    """

    cores: float | None = None
    held: Held | None = None
    datagrams: Datagrams | None = None


NOTHING_SEEN = End()


def end_in(output: str) -> End:
    r"""Reads what the script of an end printed first.

    Example:
        >>> end_in("processors: 10.0 cpu 0 0 0 0 0 0 0 0 | 12.0 cpu 100 0 50 250 0 0 0 0\nattempts: 1\n").cores
        0.75
    """
    nodes, counters = _PROCESSORS.search(output), _COUNTERS.search(output)
    cores = busy(nodes["before"], nodes["after"]) if nodes else None
    if counters is None:
        return End(cores)
    before, after = reading(counters["before"]), reading(counters["after"])
    return End(cores, held_between(before.cpu, after.cpu), datagrams_between(before, after))


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


def with_ends(
    result: Measurement, client: End, server: End, *, client_shares: bool = False, server_shares: bool = False
) -> Measurement:
    """Returns a result with what was at its two ends and not between them.

    Args:
        result: What iperf3 measured.
        client: What was counted at the client.
        server: What was counted at the server.
        client_shares: Whether the client's network is others' too, such as its node's.
        server_shares: The same for the server.
    """
    receiver, shares = (client, client_shares) if result.reverse else (server, server_shares)
    often = any(end.held and end.held.often for end in (client, server))
    result = replace(result, held_back=held_back(client, server), held_back_often=often)
    lost, seen = result.lost_packets, receiver.datagrams
    if not lost or (seen is None and not (receiver.held and receiver.held.often)):
        return result
    certain = seen is not None and not shares and not result.omitted_seconds
    unread = lost if seen is None else seen.unread
    if certain and seen and result.received_packets is not None:
        # What iperf3 reads after the end of its test is read, and not counted
        unread = max(unread, seen.arrived - result.received_packets)
    result = replace(result, unread_packets=min(lost, unread), unread_certain=certain)
    return replace(result, notes=(*result.notes, _unread_note(result, receiver))) if result.unread_packets else result


def _unread_note(result: Measurement, receiver: End) -> str:
    why = "which it did not empty in time, for want of a processor"
    if receiver.held and receiver.held.occurred:
        why = f"while its container was held back: {receiver.held.words()}"
    elif receiver.cores is not None:
        why += f" ({receiver.cores:.1f} of its node were busy)"
    count = f"{result.unread_packets} of the {result.lost_packets} lost datagrams had arrived"
    text = f"{count} and were lost in the receiver's own buffer, {why}"
    if result.unread_certain:
        return text
    others = "those of other sockets, or of the omitted part, may be among them"
    return f"up to {text}; {'nobody counted them' if receiver.datagrams is None else others}"


def of_host(pod: Object) -> bool:
    """Tells whether a pod has its node's network, whose counters are everybody's."""
    return bool((pod.get("spec") or {}).get("hostNetwork"))


def held_back(client: End, server: End) -> tuple[str, ...]:
    """Returns a sentence for each end whose CPU limit held it back."""
    return tuple(
        f"The {name}'s container was held back by its CPU limit: {end.held.words()}."
        for name, end in (("client", client), ("server", server))
        if end.held and end.held.occurred
    )


def _told(looking: RunningExec | None) -> End:
    text = ""
    with contextlib.suppress(NetLibraryError):
        text = "\n".join(looking.lines(LAST_SECONDS)) if looking else ""
    return end_in(f"{text}\n")


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
    def behind(cls, cluster: Cluster, server: str, namespace: str, port: int) -> Server | None:
        """Finds the one pod behind the address of a server; None where there is none that the account may see."""
        found = behind(cluster, server, namespace)
        if len(found.pods) != 1 or (found.service is not None and led_elsewhere(found.service)):
            return None
        pod = found.pods[0]
        if found.service is None:
            return cls(cluster, pod, port)
        entry = next((each for each in found.service["spec"]["ports"] if each["port"] == port), None)
        return cls(cluster, pod, container_port(pod, entry.get("targetPort") or port)) if entry else None

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
    def watched(self, seconds: float) -> Iterator[Callable[[], End]]:
        """Looks on while the body runs; yields what returns what was counted, to be called behind the client's end."""
        with contextlib.ExitStack() as stack:
            looking = self._look(seconds)
            if looking is not None:
                stack.enter_context(looking)
            yield lambda: _told(looking)

    def _look(self, seconds: float) -> RunningExec | None:
        """Starts to look on; None where there is no shell, or no right to use it: nothing is known then."""
        metadata, looks = self.pod["metadata"], int(seconds * LOOKS_PER_SECOND)
        command = ["sh", "-c", _LOOKS, "looks", f"{self.port:04X}", str(looks)]
        running = None
        with contextlib.suppress(NetLibraryError):
            running = self.cluster.start_exec(
                metadata["namespace"], metadata["name"], command, container=server_container(self.pod), stdin=False
            )
            # What is counted before has to be before the client; a container with a small limit takes its time
            if READY in running.lines(START_SECONDS):
                return running
        if running is not None:
            running.close()
        return None

    def with_nodes(
        self, result: Measurement, client: Object, client_cores: float | None, server_cores: float | None
    ) -> Measurement:
        """Returns a result with the processors of both nodes.

        Args:
            result: What was measured.
            client: The client's pod.
            client_cores: Busy processors of its node.
            server_cores: Those of the server's node.
        """
        nodes = [str((pod.get("spec") or {}).get("nodeName") or "") for pod in (client, self.pod)]
        notes = result.notes
        boots = [_boot_id(self.cluster, node) for node in nodes]
        if nodes[0] != nodes[1] and boots[0] and boots[0] == boots[1]:
            notes = (*notes, "both nodes run on one machine, so the processors of either node are those of both")
        return replace(
            result, client_node_cores=client_cores, server_node_cores=server_cores, notes=notes,
            nodes_share_processors=bool(boots[0]) and boots[0] == boots[1],
        )  # fmt: skip


def _boot_id(cluster: Cluster, node: str) -> str:
    try:
        found = cluster.find("Node", node) if node and node != "outside" else None
    except NetLibraryError:
        return ""
    return str(((found or {}).get("status") or {}).get("nodeInfo", {}).get("bootID", ""))
