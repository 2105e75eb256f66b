"""Which nodes take pods of the run: what the nodes refuse, and what the variables about pods ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.kube import health
from NetLibrary._mechanics.kube.pods import PodSettings

Node = Mapping[str, Any]
_REPELLING = ("NoSchedule", "NoExecute")
_VERBS = ("has ", "runs ", "does ")  # reasons that are sentences of their own


def cannot_run(node: Node, settings: PodSettings) -> str:
    """Returns why no pod of the run can be on a node, whatever taints it tolerates; empty when one can.

    Args:
        node: The Node object.
        settings: What the variables about pods ask for.

    Example:
        >>> ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        >>> cannot_run({"metadata": {"name": "a"}, "status": ready}, PodSettings(node_selector={"pool": "workers"}))
        'does not have the labels of NODE_SELECTOR (pool=workers)'
    """
    labels = node["metadata"].get("labels") or {}
    missing = [
        f"{key}={value}" + (f", it has {key}={labels[key]}" if key in labels else "")
        for key, value in settings.node_selector.items()
        if labels.get(key) != value
    ]
    if missing:
        return f"does not have the labels of NODE_SELECTOR ({','.join(missing)})"
    return health.cannot_run(dict(node))


def keeps_away(node: Node, settings: PodSettings) -> str:
    """Returns why a node takes no ordinary pod of the run; empty when it takes them.

    Args:
        node: The Node object.
        settings: What the variables about pods ask for.

    Example:
        >>> keeps_away({"metadata": {"name": "a"}, "spec": {"unschedulable": True}}, PodSettings())
        'cordoned'
    """
    spec = node.get("spec") or {}
    if spec.get("unschedulable"):
        return "cordoned"
    for taint in spec.get("taints") or []:
        if taint.get("effect") in _REPELLING and not any(_tolerates(each, taint) for each in settings.tolerations):
            return f"tainted {taint['key']}:{taint['effect']}"
    return cannot_run(node, settings)


def takers(why: Mapping[str, str]) -> list[str]:
    """Returns the names of the nodes that take pods, sorted.

    Args:
        why: What keeps pods away, by the name of the node; empty texts for those that take them.
    Raises:
        EnvironmentProblem: There is none: no cluster is like that by its kind, so nothing may be skipped for it.

    Example:
        >>> takers({"b": "", "a": "", "c": "cordoned"})
        ['a', 'b']
    """
    found = sorted(name for name, reason in why.items() if not reason)
    if not found:
        raise EnvironmentProblem(too_few(0, 1, why))
    return found


def too_few(found: int, wanted: int, why: Mapping[str, str]) -> str:
    """Returns a sentence about too few nodes that take pods.

    Args:
        found: How many take them.
        wanted: How many must.
        why: What keeps pods away, by the name of the node; empty texts for those that take them.

    Example:
        >>> too_few(0, 1, {"a": "cordoned"})
        "0 nodes can run pods of the run, 1 are needed: 'a' is cordoned."
    """
    reasons = {name: f"{'' if why[name].startswith(_VERBS) else 'is '}{why[name]}" for name in sorted(why) if why[name]}
    others = [f"'{name}' {reason}" for name, reason in reasons.items()]
    hint = " TOLERATIONS names taints that pods tolerate." if any("tainted" in each for each in others) else ""
    why_not = "; ".join(others) or "there are no others"
    return f"{found} nodes can run pods of the run, {wanted} are needed: {why_not}.{hint}"


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    same = exists or str(toleration.get("value") or "") == str(taint.get("value") or "")
    return toleration["key"] == taint["key"] and same
