"""Faults of a node's processes: kube-proxy, kubelet and containerd that are stopped or hang."""

from __future__ import annotations

from NetLibrary.lab.faults.plan import FaultPlan, Step, process, shell
from NetLibrary.lab.faults.tracking import FORGET_ATTEMPTS

# What kube-proxy has programmed, in its iptables and its nftables mode. Its chains stay, empty, so that other
# programs' jumps into them keep working; a kube-proxy that starts writes all of it again.
FLUSH = (
    "for v in iptables ip6tables; do for t in nat filter mangle; do for c in $($v-save -t $t 2>/dev/null"
    " | sed -n 's/^:\\(KUBE-[A-Z-]*\\) .*/\\1/p'"
    " | grep -E 'SERVICES|NODEPORTS|EXTERNAL|PROXY|FORWARD'); do $v -w -t $t -F $c; done; done; done 2>/dev/null;"
    " nft delete table ip kube-proxy 2>/dev/null; nft delete table ip6 kube-proxy 2>/dev/null; true"
)
FORGET = "conntrack -F >/dev/null 2>&1; true"
# Connections that were tried without rules are tracked without translation: they are forgotten once there are rules
FORGET_WITH_RULES = (
    "for i in $(seq 50); do { iptables-save -t nat; ip6tables-save -t nat; } 2>/dev/null | grep -q '^-A KUBE-SERVICES '"
    " && break; { nft list table ip kube-proxy; nft list table ip6 kube-proxy; } 2>/dev/null | grep -q 'goto service-'"
    f" && break; sleep 0.2; done; {FORGET_ATTEMPTS}"
)


def stop_process(node: str, name: str) -> FaultPlan:
    """A process of a node ends and is not started again until the repair.

    Args:
        node: Node of the process.
        name: `kube-proxy`, `kubelet` or `containerd`.
    """
    return FaultPlan(
        f"{name} stopped",
        node,
        f"The {name} of node '{node}' does not run.",
        (process(node, name, "stop"),),
        (process(node, name, "start"),),
    )


def pause_process(node: str, name: str) -> FaultPlan:
    """A process of a node hangs: it exists and does nothing."""
    return FaultPlan(
        f"{name} hangs",
        node,
        f"The {name} of node '{node}' hangs.",
        (process(node, name, "pause"),),
        (process(node, name, "resume"),),
    )


def flush_service_rules(node: str, *, forget_connections: bool = True) -> FaultPlan:
    """A node has no Service rules at all: kube-proxy is stopped and its rules are gone.

    Args:
        node: The node.
        forget_connections: Also empty the node's connection tracking; otherwise connections that are up keep their
            translation, and only new ones miss the rules.
    """
    forget = (shell(node, FORGET),) if forget_connections else ()
    return FaultPlan(
        "service rules flushed",
        node,
        f"Node '{node}' has no Service rules: its kube-proxy is stopped and its rules are removed.",
        (process(node, "kube-proxy", "stop"), shell(node, FLUSH), *forget),
        (process(node, "kube-proxy", "start"), shell(node, FORGET_WITH_RULES, optional=True)),
    )


def power_off(node: str) -> FaultPlan:
    """A node has no power: all of it ends at once, pods and network included. Its disk keeps what it has."""
    return FaultPlan(
        "power off",
        node,
        f"Node '{node}' has no power.",
        (Step(node, "power", ("off",)),),
        (Step(node, "power", ("on",)),),
    )
