"""A connection tracking table that is full.

The limit (nf_conntrack_max) belongs to the whole machine and cannot be lowered for one node, but the count belongs to
the node's network namespace. Entries with the flag ASSURED are not evicted when the table is full
(net/netfilter/nf_conntrack_core.c, early_drop), so these stay until they expire. Their addresses are from a block for
documentation (RFC 5737), so they meet no traffic.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.faults.plan import FaultPlan, shell

if TYPE_CHECKING:
    from NetLibrary.lab.cluster import Lab

KIND = "connection tracking full"
# An attempt that nobody answers is tracked for two minutes (the kernel's nf_conntrack_tcp_timeout_syn_sent), as it was
# translated then: to a server that is gone, or not at all where rules were missing. A later connection from the same
# source port to the same Service falls to that entry and leads nowhere, long after all is mended.
FORGET_ATTEMPTS = "for f in ipv4 ipv6; do conntrack -D -f $f -p tcp --state SYN_SENT; done >/dev/null 2>&1; true"
SERVER = "203.0.113.1"
FOLDER = "/proc/sys/net/netfilter"
# A little more than there is room for is added: what is refused is the proof that the table is full. Entries of closed
# connections go first: those that expire in the next seconds would make room again.
FILL = f"""
for state in TIME_WAIT CLOSE LAST_ACK FIN_WAIT CLOSE_WAIT; do conntrack -D -p tcp --state $state >/dev/null 2>&1; done
for port in 9 10 11 12 13; do
  max=$(cat {FOLDER}/nf_conntrack_max); used=$(cat {FOLDER}/nf_conntrack_count)
  [ "$used" -lt "$max" ] || exit 0
  awk -v n=$((max - used + 64)) -v p=$port -v t=SECONDS 'BEGIN {{ for (i = 0; i < n; i++) printf \
"-I -p tcp -s 198.51.100.%d -d {SERVER} --sport %d --dport %d --state ESTABLISHED -u SEEN_REPLY,ASSURED -t %d\\n", \
int(i / 64512) + 1, i % 64512 + 1024, p, t }}' | conntrack -R - >/dev/null 2>&1
done
now=$(cat {FOLDER}/nf_conntrack_count)
[ "$now" -ge $((max * 99 / 100)) ] || {{ echo "the table has $now of $max entries" >&2; exit 1; }}
"""


def fill(node: str, seconds: int) -> FaultPlan:
    """New connections through a node are dropped by its kernel, and counted by it, for lack of room in the table.

    Args:
        node: The node.
        seconds: The entries expire by themselves after this time, also when nobody repairs.
    """
    return FaultPlan(
        KIND,
        node,
        f"The connection tracking table of node '{node}' is full.",
        (shell(node, FILL.replace("SECONDS", str(seconds))),),
        (shell(node, f"conntrack -D -d {SERVER} >/dev/null 2>&1; true"),),
    )


def forget_attempts(lab: Lab) -> None:
    """Makes all nodes forget connection attempts that nobody has answered, so that what is measured next meets none."""
    for node in lab.nodes:
        with contextlib.suppress(EnvironmentProblem, OSError):  # a node may be without power
            node.run(["sh", "-c", FORGET_ATTEMPTS], check=False)
