"""Counts the packets of a burst between two pods, each direction apart, by the counters of the pods' own kernels.

An answer that does not come says that something was lost, and not in which direction. The kernels know: how many
datagrams the source has sent, how many packets reached the target, how many answers that sent, how many came back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.probing.pipes import CONTAINER
from NetLibrary._mechanics.probing.types import Source

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

# With 10 % lost, a burst without a loss comes once in a billion; with 1 % two and more are lost in 9 of 10 bursts
NUMBER = 400
COUNTERS = "cat /proc/net/snmp /proc/net/snmp6 2>/dev/null; true"
# 2 ms between datagrams, so that no queue of ours overflows
SEND = r"""
cat /proc/net/snmp /proc/net/snmp6 2>/dev/null
echo BETWEEN
if command -v python3 >/dev/null 2>&1; then
  python3 - "$1" "$2" "$3" <<'PROGRAM'
import socket, sys, time
host, port, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
sock = socket.socket(family, socket.SOCK_DGRAM)
sock.connect(address)
for _ in range(number):
    try:
        sock.send(b"hostname\n")
    except OSError:
        pass
    time.sleep(0.002)
PROGRAM
else
  bash -c 'exec 4<> <(:) 3<>"/dev/udp/$1/$2" || exit 3
    for ((i = 0; i < $3; i++)); do echo hostname >&3; read -r -t 0.002 -u 4; done' bash "$@" 2>/dev/null
fi
sleep 0.3
cat /proc/net/snmp /proc/net/snmp6 2>/dev/null
"""


@dataclass(frozen=True)
class Counted:
    """What became of a burst.

    Args:
        source: Pod that sent.
        target: Pod that answered.
        sent: Datagrams that left the source.
        arrived: Of them, those that reached the target.
        answered: Answers that left the target.
        came_back: Of them, those that reached the source.
    """

    source: Source
    target: Source
    sent: int
    arrived: int
    answered: int
    came_back: int

    @property
    def lost_there(self) -> int:
        """Lost from source to target."""
        return max(0, self.sent - self.arrived)

    @property
    def lost_back(self) -> int:
        """Lost from target to source."""
        return max(0, self.answered - self.came_back)

    def ways(self) -> list[tuple[str, str, int, int]]:
        """(from node, to node, sent, lost) of both directions."""
        here, there = self.source.node, self.target.node
        return [(here, there, self.sent, self.lost_there), (there, here, self.answered, self.lost_back)]


def count(cluster: Cluster, source: Source, target: Source, port: int, number: int = NUMBER) -> Counted:
    """Sends a burst from one pod to another and counts what arrived of it.

    Args:
        cluster: Where the pods are.
        source: Pod that sends; not on the host network, whose counters have everybody's packets.
        target: Pod that answers, on the same condition.
        port: UDP port of its server.
        number: Datagrams.

    Raises:
        NetLibraryError: The counters cannot be read, or nothing could be sent.
    """

    def run(pod: Source, *words: str) -> str:
        ran = cluster.exec(pod.namespace, pod.name, ["sh", "-c", *words], container=CONTAINER, timeout=20, check=False)
        return ran.stdout

    there = read_counters(run(target, COUNTERS))
    said = run(source, SEND, "sh", target.address, str(port), str(number))
    before, _, after = said.partition("BETWEEN")
    here, here_after = read_counters(before), read_counters(after)
    there_after = read_counters(run(target, COUNTERS))
    six = ":" in target.address
    delivered, sent = ("Ip6InDelivers", "Udp6OutDatagrams") if six else ("Ip.InDelivers", "Udp.OutDatagrams")
    grown = _grown(here, here_after), _grown(there, there_after)
    found = Counted(source, target, grown[0](sent), grown[1](delivered), grown[1](sent), grown[0](delivered))
    if not found.sent:
        raise errors.ExecFailed(f"No datagram left '{source.name}' for '{target.name}'.")
    return found


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> Callable[[str], int]:
    return lambda name: after.get(name, 0) - before.get(name, 0)


def read_counters(text: str) -> dict[str, int]:
    """Counters of `/proc/net/snmp` as `Group.Name`, and those of `/proc/net/snmp6` by name."""
    found: dict[str, int] = {}
    names: dict[str, list[str]] = {}
    for line in text.splitlines():
        group, separator, rest = line.partition(": ")
        if separator:
            words = rest.split()
            if group in names:
                found.update({f"{group}.{n}": int(v) for n, v in zip(names.pop(group), words, strict=False)})
            else:
                names[group] = words
        elif match := re.fullmatch(r"(\w+)\s+(\d+)", line.strip()):
            found[match[1]] = int(match[2])
    return found
