"""The pause between runs: who needs it, for how long, and that other processes are told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics.cyperf import pause
from NetLibrary._mechanics.cyperf.nodes import NodeReading
from NetLibrary._mechanics.cyperf.pause import Ended, LastRuns, Pause, Target
from NetLibrary._mechanics.kube import Cluster

COLLECTION = "/api/v1/namespaces/traffic/configmaps"
POD = {"metadata": {"uid": "pod-1"}, "spec": {"nodeName": "node1"}}


def service(name: str, kind: str, selector: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "traffic"},
        "spec": {"type": kind, "selector": selector if selector is not None else {"run": "cyperf-agent-server"}},
    }


def reading(node: str, seconds: int | None) -> NodeReading:
    return NodeReading(node, 0.0, 1000, 10, seconds, {})


def test_node_port_and_cluster_ip_in_front_of_the_same_pods_are_one_target() -> None:
    one = pause.of_service(service("cyperf-agent-service", "ClusterIP"), [POD])
    two = pause.of_service(service("cyperf-agent-nodeport", "NodePort"), [POD])
    other = pause.of_service(service("web", "ClusterIP", {"app": "web"}), [])
    assert one.same(two)
    assert not one.same(other)
    # Another selector that finds the same pods leads to the same place.
    assert one.same(pause.of_service(service("alias", "ClusterIP", {"app": "cyperf-agent"}), [POD]))
    assert not one.same(pause.of_host("192.0.2.1"))


def test_services_without_selector_are_told_apart_by_name() -> None:
    one, two = (pause.of_service(service(name, "ClusterIP", {}), []) for name in ("a", "b"))
    assert not one.same(two)


@pytest.mark.parametrize(
    ("given", "stand_in", "readings", "seconds", "reason"),
    [
        (None, True, [], 0.0, "stand-in"),
        (None, False, [], 120.0, "no node could be read"),
        (None, False, [reading("node1", 30), reading("node2", 90), reading("node9", 999)], 90.0, "of node 'node2'"),
        (None, False, [reading("node1", None)], 120.0, "no node could be read"),
        (7.0, True, [], 7.0, "as asked for"),
        (0.0, False, [reading("node1", 60)], 0.0, "as asked for"),
    ],
)
def test_pause_that_counts_and_why(
    given: float | None, stand_in: bool, readings: list[NodeReading], seconds: float, reason: str
) -> None:
    found = pause.due(given, stand_in=stand_in, readings=readings, nodes=["node1", "node2"])
    assert found.seconds == seconds
    assert reason in found.reason


def test_what_is_left_of_the_pause_is_really_waited_for() -> None:
    lines: list[str] = []
    last = Ended(Target("pods a=b in 'c'"), time.time() - 0.7, "run-0")
    begin = time.monotonic()
    waited = pause.wait(last, Pause(1.0, "as asked for"), lines.append, tick=0.05)
    assert 0.25 <= time.monotonic() - begin < 0.6
    assert 0.25 <= waited < 0.6
    assert lines == ["CyPerf: waiting 0 s more, 1 s between two runs against pods a=b in 'c' (as asked for)"]


@pytest.mark.parametrize("age", [1.0, 500.0])
def test_pause_that_is_over_is_not_waited_for(age: float) -> None:
    last = Ended(Target("x"), time.time() - age, "run-0")
    assert pause.wait(last, Pause(1.0, ""), pytest.fail) == 0.0
    assert pause.wait(None, Pause(1.0, ""), pytest.fail) == 0.0


def test_clock_that_runs_ahead_does_not_make_the_pause_longer() -> None:
    assert pause.left(Ended(Target("x"), time.time() + 3600, "run-0"), Pause(120, "")) == 120


def test_run_of_another_process_is_found_in_the_cluster(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    target = pause.of_service(service("cyperf-agent-service", "ClusterIP"), [POD])
    first = LastRuns("run-1")
    assert first.note(target, connect(), "traffic", Pause(120, "")) == ""
    made = api.objects[COLLECTION][pause.NAME]
    assert "netlibrary.io/run" not in made["metadata"]["labels"], "it must outlive the run that wrote it"
    second = LastRuns("run-2")
    found = second.last(pause.of_service(service("nodeport", "NodePort"), [POD]), connect(), "traffic")
    assert found is not None
    assert (found.run, found.target) == ("run-1", target)
    assert time.time() - found.stamp < 5
    assert second.last(Target("elsewhere"), connect(), "traffic") is None


def test_a_second_target_is_added_and_old_ones_are_forgotten(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    cluster, runs = connect(), LastRuns("run-1")
    runs.note(Target("a"), cluster, "traffic", Pause(120, ""))
    entry = api.objects[COLLECTION][pause.NAME]
    old = (datetime.now(timezone.utc) - timedelta(days=3)).isoformat()
    entry["data"]["ancient"] = json.dumps({"target": "z", "ended": old, "run": "run-0"})
    entry["data"]["foreign"] = "not ours"
    runs.note(Target("b"), cluster, "traffic", Pause(120, ""))
    data = api.objects[COLLECTION][pause.NAME]["data"]
    assert {each.target.key for each in pause.read(cluster, "traffic")} == {"a", "b"}
    assert "ancient" not in data
    assert data["foreign"] == "not ours"


def test_config_map_of_somebody_else_is_not_changed(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    api.put(COLLECTION, {"metadata": {"name": pause.NAME, "namespace": "traffic"}, "data": {"precious": "x"}})
    said = LastRuns("run-1").note(Target("a"), connect(), "traffic", Pause(120, ""))
    assert "is not the library's" in said
    assert api.objects[COLLECTION][pause.NAME]["data"] == {"precious": "x"}


def test_account_that_may_not_write_is_told_and_the_process_remembers(
    api: ApiServer, connect: Callable[..., Cluster]
) -> None:
    api.refuse("POST", "configmaps", 403, "Forbidden", "configmaps is forbidden", times=9)
    runs = LastRuns("run-1")
    assert "not kept for other processes" in runs.note(Target("a"), connect(), "traffic", Pause(120, ""))
    found = runs.last(Target("a"), connect(), "traffic")
    assert found is not None
    assert found.run == "run-1"


def test_note_goes_when_nobody_needs_it_and_stays_while_somebody_does(
    api: ApiServer, connect: Callable[..., Cluster]
) -> None:
    cluster, runs = connect(), LastRuns("run-1")
    runs.note(Target("a"), cluster, "traffic", Pause(120, ""))
    assert runs.tidy(120) == [f"traffic/{pause.NAME}"]
    assert pause.NAME in api.objects[COLLECTION]
    assert runs.tidy(0) == []
    assert pause.NAME not in api.objects[COLLECTION]


def test_run_without_pause_leaves_no_note(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    runs = LastRuns("run-1")
    runs.note(Target("a"), connect(), "traffic", Pause(0, ""))
    assert not api.objects[COLLECTION]
    assert runs.last(Target("a"), None, "") is not None
