"""What nodes and pods say about themselves: each trouble is seen, and healthy ones are not accused."""

from __future__ import annotations

from typing import Any

import pytest

from NetLibrary._mechanics.kube.health import (
    cannot_run,
    cluster_domain,
    node_problems,
    pod_problems,
    silence,
    starting,
)

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
READY = {"type": "Ready", "status": "True"}


def node(*conditions: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "n", "labels": {"kubernetes.io/os": spec.pop("os", "linux")}}, "spec": spec,
            "status": {"conditions": list(conditions)}}  # fmt: skip


def pod(ready: bool = True, phase: str = "Running", **container: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p"},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "c", "ready": ready, "restartCount": 0, **container}],
        },
    }


@pytest.mark.parametrize(("conditions", "said"), [
    ([READY, {"type": "MemoryPressure", "status": "False"}], []),
    ([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting."}],
     ["Ready is Unknown (NodeStatusUnknown: Kubelet stopped posting.)"]),
    ([READY, {"type": "DiskPressure", "status": "True", "reason": "KubeletHasDiskPressure"}],
     ["DiskPressure is True (KubeletHasDiskPressure)"]),
    ([READY, {"type": "NetworkUnavailable", "status": "True"}], ["NetworkUnavailable is True (no reason given)"]),
    ([], ["its kubelet has reported nothing yet"]),
])  # fmt: skip
def test_conditions_of_a_node(conditions: list[dict[str, str]], said: list[str]) -> None:
    assert node_problems(node(*conditions)) == said


def ended(at: str) -> dict[str, Any]:
    return {"restartCount": 3, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at}}}


@pytest.mark.parametrize(("one", "said"), [
    (pod(), []),
    (pod(False, state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}), ["ImagePullBackOff"]),
    (pod(False, state={"running": {"startedAt": "2027-01-15T07:00:00Z"}}), ["container 'c' runs but is not ready"]),
    (pod(**ended("2027-01-15T07:59:30Z")), ["'c' was restarted 30 s ago (exit code 137, OOMKilled; 3 restarts in "
                                            "total)"]),
    (pod(**ended("2027-01-15T07:00:00Z")), []),
    (pod(False, phase="Succeeded"), []),
    (pod(False) | {"metadata": {"name": "p", "deletionTimestamp": "2027-01-15T07:59:59Z"}}, []),
], ids=["ready", "image", "not ready", "just restarted", "restarted long ago", "completed", "being deleted"])  # fmt: skip
def test_what_is_wrong_with_a_pod(one: dict[str, Any], said: list[str]) -> None:
    found = pod_problems(one, restarts_within=600, now=NOW)
    assert len(found) == len(said)
    assert all(text in line for text, line in zip(said, found, strict=True))


def test_restarts_do_not_count_when_nobody_asks_for_them() -> None:
    assert pod_problems(pod(**ended("2027-01-15T07:59:59Z")), restarts_within=0, now=NOW) == []


def test_a_kubelet_that_never_reported_is_not_told_as_silent_for_a_day() -> None:
    """It was "has not been heard of for 99999 s"."""
    other = {"metadata": {"name": "a"}, "spec": {"renewTime": "2026-01-01T00:01:00.000000Z"}}
    late = {"metadata": {"name": "b"}, "spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}
    assert silence([other, late], "b") == "the kubelet of node 'b' has not been heard of for 60 s"
    assert silence([other], "b") == silence([other, {"metadata": {"name": "b"}}], "b")
    assert silence([other], "b") == "no kubelet of node 'b' reports to the cluster"
    assert silence([other, late], "a") == silence([], "a") == ""


@pytest.mark.parametrize(("text", "domain"), [
    ("search d.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10", "cluster.local"),
    ("nameserver fd00::a\nsearch d.svc.corp.example svc.corp.example. corp.example", "corp.example"),
    ("search svc.svc.corp.example svc.corp.example corp.example", "corp.example"),
    ("search d.svc.Corp.Example. svc.Corp.Example. Corp.Example. svc.office.example office.example", "Corp.Example"),
    ("search svc.corp.example corp.example", "corp.example"),
    ("search other.example\nsearch d.svc.corp.example svc.corp.example", "corp.example"),
    ("nameserver 192.0.2.1\nsearch example.com", None),
    ("", None),
])  # fmt: skip
def test_the_domain_is_read_from_the_pod(text: str, domain: str | None) -> None:
    assert cluster_domain(text) == domain


@pytest.mark.parametrize(
    ("node", "why"),
    [
        ({}, ""),
        ({"labels": {"kubernetes.io/os": "windows"}}, "runs windows, and the pods need Linux"),
        ({"system": "windows"}, "runs windows, and the pods need Linux"),
        ({"labels": {"type": "virtual-kubelet"}}, "a virtual node, which has no network of its own"),
        (
            {"taints": [{"key": "virtual-kubelet.io/provider", "value": "x", "effect": "NoSchedule"}]},
            "a virtual node, which has no network of its own",
        ),
        ({"ready": "Unknown"}, "not Ready (KubeletNotReady)"),
        ({"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}, ""),
    ],
)
def test_nodes_that_no_pod_of_ours_can_run_on_are_known_whatever_is_tolerated(node: dict[str, Any], why: str) -> None:
    obj = {
        "metadata": {"name": "n", "labels": node.get("labels", {})},
        "spec": {"taints": node.get("taints", [])},
        "status": {
            "conditions": [{"type": "Ready", "status": node.get("ready", "True"), "reason": "KubeletNotReady"}],
            "nodeInfo": {"operatingSystem": node.get("system", "")},
        },
    }
    assert cannot_run(obj) == why


def test_pod_that_was_created_a_moment_ago_is_starting_and_an_old_one_is_broken() -> None:
    def made(name: str, stamp: str, **status: object) -> dict[str, object]:
        return {"metadata": {"name": name, "creationTimestamp": stamp}, "status": status}

    ready = {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}
    pods = [
        made("young", "2027-01-15T07:59:30Z"),
        made("old", "2027-01-15T07:00:00Z"),
        made("ready", "2027-01-15T07:59:30Z", **ready),
        made("failed", "2027-01-15T07:59:30Z", phase="Failed"),
    ]
    assert starting(pods, 60, now=NOW) == ["young"]


def test_node_without_room_for_any_pod_takes_none() -> None:
    status = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"pods": "0"}}
    assert cannot_run({"metadata": {"name": "n"}, "status": status}) == "has no room for any pod"
