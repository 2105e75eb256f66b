"""A small cluster of pods, and networks that keep to its policies in their own ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from NetLibrary._mechanics.kube.policies import Rulebook
from NetLibrary._mechanics.policies import judge, subjects
from NetLibrary._mechanics.policies.results import Cell, Table
from NetLibrary._mechanics.policies.subjects import Port, Subjects
from NetLibrary._mechanics.probing.types import Observation, Outcome

Network = Callable[[Cell], Outcome]
SPACES = ("x", "y", "z")


def pod(namespace: str, name: str, number: int, **spec: Any) -> dict[str, Any]:
    """A ready pod that listens at 80 and 81."""
    ports = [{"name": f"serve-{p}", "containerPort": p, "protocol": q} for p in (80, 81) for q in ("TCP", "UDP")]
    addresses = [{"ip": f"10.0.0.{number}"}, {"ip": f"fd00::{number}"}]
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "labels": {"pod": name}},
        "spec": {"nodeName": f"node{number % 3}", "containers": [{"name": "c", "ports": ports}], **spec},
        "status": {
            "phase": "Running", "podIP": addresses[0]["ip"], "podIPs": addresses,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }  # fmt: skip


def nine() -> list[dict[str, Any]]:
    """Three pods in each of three namespaces."""
    return [pod(space, name, 10 * (i + 1) + k) for i, space in enumerate(SPACES) for k, name in enumerate("abc")]


def policy(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """A NetworkPolicy for all pods of a namespace, unless it says otherwise."""
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def labels() -> dict[str, Mapping[str, str]]:
    """Labels of the namespaces."""
    return {space: {"ns": space, "kubernetes.io/metadata.name": space} for space in SPACES}


def some(policies: Sequence[Any], **more: Any) -> Subjects:
    """The nine pods with some policies."""
    return Subjects(nine(), labels(), list(policies), **more)


def keeping(about: Subjects, policies: Sequence[Any] | None = None, **more: Any) -> Network:
    """A network that drops what other policies than the given ones deny; all answer."""
    kept = about.policies if policies is None else list(policies)
    rules = Rulebook(kept, about.namespaces, **more)
    return lambda cell: Outcome.CONNECTED if rules.decide(cell.flow).allowed else Outcome.TIMEOUT


def table_of(about: Subjects, network: Network, ports: Sequence[str] = ("80", "81"), family: int | None = 4) -> Table:
    """What a network shows."""
    senders = [(subjects.source_of(each, "c"), each) for each in about.pods]
    cells = subjects.cells(about, senders, [Port.parse(text) for text in ports], family)
    for cell in cells:
        cell.observed = Observation(network(cell))
    judge.find(cells)
    return Table(cells, policies=len(about.policies), senders=len(senders))
