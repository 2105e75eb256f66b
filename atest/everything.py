"""What is in a cluster, to be compared before and after: others must not notice that a suite ran."""

from __future__ import annotations

import json
from typing import Any

from NetLibrary.lab import Lab

KINDS = "configmaps,secrets,services,deployments,daemonsets,statefulsets,jobs,networkpolicies,serviceaccounts,roles"
CLUSTER_KINDS = "nodes,namespaces,clusterroles,clusterrolebindings,priorityclasses,customresourcedefinitions"

# What the cluster itself goes on changing, or keeps for what is gone
PASSING = ("events", "events.events.k8s.io", "endpoints", "componentstatuses", "leases.coordination.k8s.io")


def everything(lab: Lab, *namespaces: str) -> dict[str, Any]:
    """Returns the objects of the cluster and of some namespaces, without what the cluster itself goes on changing."""
    found = json.loads(lab.kubectl("get", CLUSTER_KINDS, "-o", "json"))["items"]
    for namespace in namespaces:
        # Pods of the suite itself may end a little later than what made them
        found += json.loads(lab.kubectl("-n", namespace, "get", "pods", "-l", "app=theirs", "-o", "json"))["items"]
    for namespace in (*namespaces, "default", "kube-system"):
        found += json.loads(lab.kubectl("-n", namespace, "get", KINDS, "-o", "json"))["items"]
    kept = {}
    for obj in found:
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            continue  # of a test before, and no longer anybody's
        _without_restarts(obj)
        place = "/".join((obj["kind"], metadata.get("namespace", ""), metadata["name"]))
        noted = {key: metadata.get(key) for key in ("uid", "labels", "annotations")}
        kept[place] = {**noted, **{key: obj.get(key) for key in ("spec", "data", "rules")}}
    return kept


def whole_cluster(lab: Lab) -> dict[str, Any]:
    """Returns the places of all objects of all kinds in all namespaces, those that are ending too."""
    kinds = [kind for kind in lab.kubectl("api-resources", "--verbs=list", "-o", "name").split() if kind not in PASSING]
    found = json.loads(lab.kubectl("get", ",".join(kinds), "--all-namespaces", "-o", "json"))["items"]
    places = ("/".join((o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"])) for o in found)
    return {place: {} for place in places}


def _without_restarts(obj: dict[str, Any]) -> None:
    """Leaves out the marks of `kubectl rollout restart`, which a user's own command may set and nobody takes back."""
    (obj["metadata"].get("annotations") or {}).pop("deployment.kubernetes.io/revision", None)
    template = ((obj.get("spec") or {}).get("template") or {}).get("metadata") or {}
    if (template.get("annotations") or {}).pop("kubectl.kubernetes.io/restartedAt", None) and not template[
        "annotations"
    ]:
        del template["annotations"]


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Returns what is gone, what was left, and what is another than before, in words."""
    lost = [f"{place} is gone" for place in before if place not in after]
    new = [f"{place} was left" for place in after if place not in before]
    other = [f"{place}: {key} was {before[place][key]}, is {after[place][key]}" for place in before if place in after
             for key in before[place] if before[place][key] != after[place][key]]  # fmt: skip
    return [*lost, *new, *other]
