"""Which nodes take pods of the run: taints, labels and systems, and what the variables about pods allow."""

from __future__ import annotations

from typing import Any

import pytest

from NetLibrary._mechanics.kube.placement import cannot_run, keeps_away, too_few
from NetLibrary._mechanics.kube.pods import PodSettings

READY = {"type": "Ready", "status": "True"}


def node(*conditions: dict[str, str], os: str = "linux", pool: str = "", **spec: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/os": os} | ({"pool": pool} if pool else {})
    return {"metadata": {"name": "n", "labels": labels}, "spec": spec, "status": {"conditions": list(conditions)}}


def tainted(effect: str = "NoSchedule", value: str = "") -> dict[str, Any]:
    return node(READY, taints=[{"key": "team", "effect": effect, **({"value": value} if value else {})}])


@pytest.mark.parametrize(("one", "why"), [
    (node(READY), ""),
    (node(READY, unschedulable=True), "cordoned"),
    (tainted(), "tainted team:NoSchedule"),
    (tainted("PreferNoSchedule"), ""),
    (node(READY, os="windows"), "runs windows, and the pods need Linux"),
    (node({"type": "Ready", "status": "Unknown"}), "not Ready (no reason given)"),
], ids=["plain", "cordoned", "tainted", "preferred elsewhere", "windows", "lost"])  # fmt: skip
def test_nodes_that_take_ordinary_pods(one: dict[str, Any], why: str) -> None:
    assert keeps_away(one, PodSettings()) == why


@pytest.mark.parametrize(("tolerations", "taken"), [
    ("team", True), ("*", True), ("team:NoSchedule", True), ("team=net:NoSchedule", True),
    ("team:NoExecute", False), ("team=other", False), ("crew", False), ("", False),
])  # fmt: skip
def test_tainted_nodes_are_used_when_the_taint_is_tolerated(tolerations: str, taken: bool) -> None:
    settings = PodSettings.of_variables({"TOLERATIONS": tolerations}.get)
    assert (keeps_away(tainted(value="net"), settings) == "") is taken


def test_nodes_without_the_labels_of_node_selector_are_left_out_by_name() -> None:
    # A prober for each node waited there for a minute, and was unschedulable
    settings = PodSettings(node_selector={"pool": "workers"})
    assert cannot_run(node(READY), settings) == "does not have the labels of NODE_SELECTOR (pool=workers)"
    assert cannot_run(node(READY, pool="workers"), settings) == ""


def test_cluster_whose_nodes_are_all_tainted_is_told_before_anything_is_made() -> None:
    """As kubeadm leaves a cluster of one node: no pod was started, and the row about pods on every node passed."""
    why = {"a": keeps_away(tainted(), PodSettings()), "b": keeps_away(node(READY, os="windows"), PodSettings())}
    told = too_few(0, 1, why)
    assert told.startswith(
        "0 nodes can run pods of the run, 1 are needed: 'a' is tainted team:NoSchedule; 'b' runs windows"
    )
    assert "TOLERATIONS" in told
    assert "TOLERATIONS" not in too_few(0, 1, {"a": "cordoned"})
