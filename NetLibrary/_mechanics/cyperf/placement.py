"""Which nodes take client and server agents, and the label that says so.

The manifests put agents on nodes with the label `agenttype`. A label that somebody else has set is kept and used; one
that a run sets is recorded at the node, so that it can be taken off from any machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics.errors import InputError, Unavailable
from NetLibrary._mechanics.kube import placement
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.kube.pods import PodSettings

NODE_LABEL = "agenttype"
ROLES = ("client", "server")

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Placement:
    """Nodes by role.

    Args:
        roles: Role by node, for all nodes that agents may use.
        new: Those of them whose label is still to be set.
        passed_over: Reason by node, for the nodes that were not chosen.
    """

    roles: dict[str, str]
    new: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, str] = field(default_factory=dict)


def choose(
    nodes: Sequence[Object], *, clients: Sequence[str] | None = None, servers: Sequence[str] | None = None,
    device: Iterable[str] = (), wanted: Sequence[str] = ROLES, settings: PodSettings | None = None,
) -> Placement:  # fmt: skip
    """Chooses the nodes of clients and servers.

    Labels that are there decide, then names, then what is free: nodes that are ready, schedulable and run Linux on one
    architecture, and that the device under test does not use.

    Args:
        nodes: Nodes of the cluster.
        clients: Names of nodes for clients.
        servers: Names of nodes for servers.
        device: Nodes on which the device under test runs.
        wanted: Roles that agents have in this cluster; the others run elsewhere.
        settings: What the variables about pods ask for.
    Raises:
        InputError: A name is unknown, has another role or is the device's.
        Unavailable: There are too few nodes.
        EnvironmentProblem: No node takes pods.
    """
    named = {"client": list(clients or []), "server": list(servers or [])}
    taken = set(device)
    labels = {_name(node): (node["metadata"].get("labels") or {}).get(NODE_LABEL) for node in nodes}
    _check_names(named, labels, taken)
    roles: dict[str, str] = {}
    roles |= {
        name: str(role)
        for name, role in labels.items()
        if role in wanted and not named[str(role)] and name not in taken
    }
    roles |= {name: role for role, names in named.items() for name in names}
    passed_over = _unusable(nodes, labels, taken, settings or PodSettings())
    missing = [role for role in wanted if role not in roles.values()]
    free = [name for name in labels if name not in passed_over and name not in roles and labels[name] not in ROLES]
    if len(free) < len(missing):
        placement.takers({_name(node): placement.keeps_away(node, settings or PodSettings()) for node in nodes})
        raise Unavailable(_too_few(missing, free, passed_over))
    if len(missing) == 2:
        half = len(free) // 2
        roles |= dict.fromkeys(free[:half], "client") | dict.fromkeys(free[half:], "server")
    elif missing:
        roles |= dict.fromkeys(free, missing[0])
    new = {name: role for name, role in roles.items() if labels[name] != role}
    return Placement(roles, new, {name: why for name, why in passed_over.items() if name not in roles})


def _name(node: Object) -> str:
    return str(node["metadata"]["name"])


def _check_names(named: Mapping[str, list[str]], labels: Mapping[str, Any], taken: set[str]) -> None:
    both = set(named["client"]) & set(named["server"])
    if both:
        raise InputError(f"A node has only one role, but {', '.join(sorted(both))} is given for both.")
    for role, names in named.items():
        for name in names:
            if name not in labels:
                raise InputError(f"There is no node '{name}'; nodes are {', '.join(labels)}.")
            if name in taken:
                raise InputError(f"Node '{name}' runs the device under test and cannot take {role} agents as well.")
            if labels[name] not in (None, role):
                raise InputError(
                    f"Node '{name}' is given for {role} agents but has the label {NODE_LABEL}={labels[name]}, which "
                    "this run has not set and does not change."
                )


def _unusable(
    nodes: Sequence[Object], labels: Mapping[str, Any], taken: set[str], settings: PodSettings
) -> dict[str, str]:
    """Returns why nodes cannot be chosen freely, by their names."""
    found: dict[str, str] = {}
    for node in nodes:
        name, why = _name(node), placement.keeps_away(node, settings)
        if name in taken:
            found[name] = "runs the device under test"
        elif labels[name] is not None and labels[name] not in ROLES:
            found[name] = f"has the label {NODE_LABEL}={labels[name]}"
        elif why:
            found[name] = why
    usable = [node for node in nodes if _name(node) not in found]
    if len({_architecture(node) for node in usable}) > 1:
        # The agents' image has one architecture, and that of the manifests is amd64.
        found |= {
            _name(node): f"has the architecture {_architecture(node)}"
            for node in usable
            if _architecture(node) != "amd64"
        }
    return found


def _architecture(node: Object) -> str:
    return str((node["metadata"].get("labels") or {}).get("kubernetes.io/arch", "amd64"))


def _too_few(missing: Sequence[str], free: Sequence[str], passed_over: Mapping[str, str]) -> str:
    words = " and ".join(missing)
    reasons = "".join(f"\nNode '{name}': {why}." for name, why in passed_over.items())
    return (
        f"There are {len(free)} free nodes for {words} agents; each role needs its own node. Give nodes with "
        f"client_nodes and server_nodes, or label them with {NODE_LABEL}=client and {NODE_LABEL}=server.{reasons}"
    )


def label(cluster: Cluster, node: str, role: str) -> None:
    """Sets the label of a node; the change is recorded at the node and taken back at the end of the run."""
    cluster.change("Node", node, None, {"metadata": {"labels": {NODE_LABEL: role}}})
