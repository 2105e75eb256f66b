"""Nodes of agents: labels of others are kept and used, the device's node is never taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics.cyperf import placement
from NetLibrary._mechanics.errors import InputError, Unavailable
from NetLibrary._mechanics.kube import Cluster

NODES = "/api/v1/nodes"


def node(name: str, *, role: str | None = None, ready: bool = True, cordoned: bool = False, taint: str = "",
         system: str = "linux", arch: str = "amd64", **annotations: str) -> dict[str, Any]:  # fmt: skip
    labels = {"kubernetes.io/os": system, "kubernetes.io/arch": arch} | ({"agenttype": role} if role else {})
    return {
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "unschedulable": cordoned,
            "taints": [{"key": taint, "effect": "NoSchedule"}] if taint else [],
        },
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]},
    }


def test_free_nodes_are_split() -> None:
    found = placement.choose([node("a"), node("b"), node("c")])
    assert found.roles == found.new == {"a": "client", "b": "server", "c": "server"}


def test_labels_that_a_user_has_set_are_kept_and_used() -> None:
    found = placement.choose([node("a", role="server"), node("b"), node("c", role="client"), node("d")])
    assert found.roles == {"a": "server", "c": "client"}
    assert found.new == {}


def test_a_role_without_label_gets_the_free_nodes() -> None:
    found = placement.choose([node("a", role="server"), node("b"), node("c")])
    assert found.roles == {"a": "server", "b": "client", "c": "client"}
    assert found.new == {"b": "client", "c": "client"}


def test_named_nodes_are_used() -> None:
    found = placement.choose([node("a"), node("b"), node("c")], clients=["c"], servers=["a"])
    assert found.roles == {"c": "client", "a": "server"}


def test_the_node_of_the_device_is_never_taken() -> None:
    found = placement.choose([node("a"), node("b"), node("c")], device={"a"})
    assert found.roles == {"b": "client", "c": "server"}
    assert found.passed_over == {"a": "runs the device under test"}
    labelled = placement.choose([node("a", role="client"), node("b"), node("c")], device={"a"})
    assert labelled.roles == {"b": "client", "c": "server"}
    with pytest.raises(InputError, match="Node 'a' runs the device under test and cannot take client agents"):
        placement.choose([node("a"), node("b"), node("c")], clients=["a"], device={"a"})
    with pytest.raises(Unavailable, match=r"1 free nodes for client and server agents(.|\n)*'a': runs the device"):
        placement.choose([node("a"), node("b")], device={"a"})


def test_label_of_somebody_else_is_not_changed_by_a_name() -> None:
    with pytest.raises(InputError, match="has the label agenttype=server, which this run has not set"):
        placement.choose([node("a", role="server"), node("b")], clients=["a"])


@pytest.mark.parametrize(
    ("unusable", "why"),
    [
        (node("x", ready=False), "not Ready (no reason given)"),
        (node("x", cordoned=True), "cordoned"),
        (node("x", taint="gpu"), "tainted gpu:NoSchedule"),
        (node("x", system="windows"), "runs windows, and the pods need Linux"),
        (node("x", arch="arm64"), "has the architecture arm64"),
        (node("x", role="dpdk"), "has the label agenttype=dpdk"),
    ],
)
def test_nodes_that_cannot_take_agents_are_passed_over_with_a_reason(unusable: dict[str, Any], why: str) -> None:
    found = placement.choose([unusable, node("b"), node("c")])
    assert found.roles == {"b": "client", "c": "server"}
    assert found.passed_over == {"x": why}
    with pytest.raises(Unavailable, match=re.escape(f"Node 'x': {why}")):
        placement.choose([unusable, node("b")])


def test_one_architecture_of_another_kind_is_used() -> None:
    assert placement.choose([node("a", arch="arm64"), node("b", arch="arm64")]).roles == {"a": "client", "b": "server"}


def test_cluster_that_has_one_role_needs_one_node() -> None:
    found = placement.choose([node("a", role="client"), node("b")], wanted=["server"])
    assert found.roles == {"b": "server"}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"clients": ["q"]}, "There is no node 'q'; nodes are a, b"),
        ({"clients": ["a"], "servers": ["a"]}, "A node has only one role, but a is given for both"),
    ],
)
def test_bad_names(names: dict[str, list[str]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        placement.choose([node("a"), node("b")], **names)


def test_label_of_this_run_is_recorded_at_the_node_and_taken_off(
    api: ApiServer, connect: Callable[..., Cluster]
) -> None:
    api.put(NODES, node("a"))
    cluster = connect()
    placement.label(cluster, "a", "client")
    metadata = api.objects[NODES]["a"]["metadata"]
    assert metadata["labels"]["agenttype"] == "client"
    assert any("agenttype" in str(value) for value in metadata["annotations"].values())
    cluster.foreign.put_back()
    metadata = api.objects[NODES]["a"]["metadata"]
    assert "agenttype" not in metadata["labels"]
    assert metadata["annotations"] == {}


def test_label_that_somebody_changed_meanwhile_stays(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    api.put(NODES, node("a"))
    cluster = connect()
    placement.label(cluster, "a", "client")
    cluster.patch("Node", "a", None, {"metadata": {"labels": {"agenttype": "server"}}})
    cluster.foreign.put_back()
    assert api.objects[NODES]["a"]["metadata"]["labels"]["agenttype"] == "server"
