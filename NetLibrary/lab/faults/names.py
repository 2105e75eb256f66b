"""Faults of name resolution: the DNS of the cluster is silent, wrong or slow for the pods of some nodes."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from NetLibrary._mechanics.errors import InputError
from NetLibrary.lab.faults import network
from NetLibrary.lab.faults.plan import FaultPlan, Step, shell

KINDS = ("down", "wrong", "slow", "nxdomain")
PROGRAM = Path(__file__).with_name("wrong_dns.py")
PORT = 10053
# Questions of other nodes' pods to a DNS server on this node come in by eth0 and are left alone
FROM_PODS = 'iifname != "eth0"'
END_PROCESS = """
for p in /proc/[0-9]*; do
  if tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q 'wrong_dns[.]py .* {mark} *$'; then kill ${{p#/proc/}}; fi
done; true
"""


def break_dns(kind: str, nodes: Sequence[str], *, upstream: str = "", delay: float = 1.2) -> FaultPlan:
    """DNS questions of the pods on some nodes are dropped, or answered by a server with wrong or late answers.

    Args:
        kind: `down`, `wrong` (every name has the address 203.0.113.99), `slow` or `nxdomain`.
        nodes: Nodes whose pods are affected.
        upstream: Address of a DNS server of the cluster; slow answers come from there.
        delay: Seconds that a slow answer takes.
    """
    if kind not in KINDS:
        raise InputError(f"The kind of DNS fault '{kind}' is not one of {', '.join(KINDS)}.")
    if kind == "slow" and not upstream:
        raise InputError("Slow DNS answers need the address of a DNS server in 'upstream'.")
    do: list[Step] = []
    undo: list[Step] = []
    for node in nodes:
        if kind == "down":
            plan = network.drop(node, protocol="udp", ports=[53], hooks=("prerouting",), extra=FROM_PODS)
        else:
            mark = f"netlibrary-wrong-dns-{uuid.uuid4().hex[:8]}"
            command = f"{sys.executable} {PROGRAM} {kind} {delay} {PORT} {upstream or '-'} {mark}"
            do.append(shell(node, f"setsid {command} </dev/null >/dev/null 2>&1 & sleep 0.5"))
            # the name on its command line is unique, so nothing else can be hit
            undo.append(shell(node, END_PROCESS.format(mark=mark)))
            plan = network.nft_fault(
                "dns", node, "", {"prerouting": [f"{FROM_PODS} udp dport 53 redirect to :{PORT}"]}, nat=True
            )
        do.extend(plan.do)
        undo.extend(plan.undo)
        # flows that are tracked already would go on to the old place
        do.append(shell(node, "conntrack -D -p udp --dport 53 >/dev/null 2>&1; true", optional=True))
        undo.append(shell(node, "conntrack -D -p udp --dport 53 >/dev/null 2>&1; true", optional=True))
    words = {"down": "gets no answer", "wrong": "gives wrong addresses", "slow": f"answers {delay:g} s late",
             "nxdomain": "knows no names"}[kind]  # fmt: skip
    where = ", ".join(f"'{n}'" for n in nodes)
    return FaultPlan(f"dns {kind}", nodes[0], f"DNS {words} for the pods of {where}.", tuple(do), tuple(undo))
