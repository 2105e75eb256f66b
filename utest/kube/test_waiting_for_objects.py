"""Fields, Jobs, events and lines of logs that are waited for or must not be there."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from robot_run import Run
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, events, jsonpath, logs, wait, why_not_ready
from NetLibrary._mechanics.kube.wait import Done, Failed, Pending

POD = {
    "metadata": {"name": "web-0", "labels": {"app": "web", "a.b/c": "x"}},
    "spec": {"containers": [{"name": "web", "ports": [{"port": 80}, {"port": 81}]}, {"name": "proxy"}]},
    "status": {"phase": "Running", "ready": True, "conditions": [{"type": "Ready", "status": "True"}, {"type": "X"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("{.status.phase}", ["Running"]),
        ("status.phase", ["Running"]),
        ("$.status.ready", [True]),
        ("{.spec.containers[*].name}", ["web", "proxy"]),
        ("{.spec.containers[-1].name}", ["proxy"]),
        ("{.spec.containers[0].ports[1].port}", [81]),
        ("{.spec.containers[7].name}", []),
        ("{.metadata.labels['a.b/c']}", ["x"]),
        (r"{.metadata.labels.a\.b/c}", ["x"]),
        ("{.status.conditions[?(@.type=='Ready')].status}", ["True"]),
        ("{.status.conditions[?(@.type!='Ready')].type}", ["X"]),
        ("{.spec.containers[0].ports[?(@.port==81)].port}", [81]),
        ("{.status.phase.more}", []),
    ],
)
def test_paths_are_those_of_kubectl(path: str, found: list[Any]) -> None:
    assert jsonpath.values(POD, path) == found


@pytest.mark.parametrize("path", ["", "{}", "{.status[}", "{.status.conditions[?(@.x<1)]}", "{range .items[*]}"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(errors.InputError, match=r"allowed: fields, positions, \[\*\] and filters"):
        jsonpath.values(POD, path)


@pytest.mark.parametrize(
    ("path", "value", "outcome"),
    [
        (".status.phase", "Running", Done),
        (".status.ready", "true", Done),
        (".status.phase", None, Done),
        (".status.phase", "Failed", Pending),
        (".status.none", None, Pending),
    ],
)
def test_a_field_has_a_value(path: str, value: str | None, outcome: type) -> None:
    assert isinstance(wait.field(path, value)([POD]), outcome)


def test_a_field_tells_where_it_stands() -> None:
    assert wait.field(".status.phase", "Failed")([POD]) == Pending(".status.phase is 'Running'")
    assert wait.field(".status.none")([POD]) == Pending(".status.none is not set")
    assert wait.field(".x")([]) == Pending("not there yet")


def job(kind: str, **words: str) -> dict[str, Any]:
    return {"metadata": {"name": "j"}, "status": {"conditions": [{"type": kind, "status": "True", **words}]}}


def test_a_job_that_failed_is_not_waited_for() -> None:
    outcome = wait.job_complete()([job("Failed", message="Job has reached the specified backoff limit")])
    assert outcome == Failed("it failed: Job has reached the specified backoff limit")
    assert isinstance(wait.job_complete()([job("Complete")]), Done)
    assert isinstance(wait.job_complete()([{"metadata": {"name": "j"}, "status": {"active": 1}}]), Pending)


# --- events -------------------------------------------------------------------------------------------------


def event(reason: str, kind: str = "Warning", about: str = "Pod/web-0", age: float = 0.0) -> dict[str, Any]:
    what, _, name = about.partition("/")
    return {
        "metadata": {"name": f"{reason}-{name}"},
        "type": kind,
        "reason": reason,
        "message": f"{reason} happened",
        "involvedObject": {"kind": what, "name": name},
        "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age)),
        "count": 2,
    }


@pytest.fixture
def happened(api: ApiServer) -> None:
    for each in (
        event("BackOff"),
        event("Pulled", "Normal", age=60),
        event("Killing", "Normal", "Deployment/web", age=600),
    ):
        api.put("/api/v1/namespaces/shop/events", each)


@pytest.mark.parametrize(
    ("choice", "reasons"),
    [
        (events.Choice(), ["Killing", "Pulled", "BackOff"]),
        (events.Choice(kind="Warning"), ["BackOff"]),
        (events.Choice(reason="Pulled"), ["Pulled"]),
        (events.Choice(about="deploy/web"), ["Killing"]),
        (events.Choice(about="web-0"), ["Pulled", "BackOff"]),
        (events.Choice(text="BackOff hap"), ["BackOff"]),
        (events.Choice(since_seconds=120), ["Pulled", "BackOff"]),
        (events.Choice(kind="Warning", reason="Pulled"), []),
    ],
)
@pytest.mark.usefixtures("happened")
def test_events_are_chosen(cluster: Cluster, choice: events.Choice, reasons: list[str]) -> None:
    assert [each["reason"] for each in events.find(cluster, "shop", choice)] == reasons


@pytest.mark.usefixtures("happened")
def test_events_that_must_not_be_there_are_told(api: ApiServer, tmp_path: Path) -> None:
    api.put("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    text = """
*** Test Cases ***
Healthy
    Events Should Not Contain    shop    reason=Unhealthy
Broken
    Events Should Not Contain    shop    type=Warning
Elsewhere
    Events Should Not Contain    shpo
"""
    tests = Run(tmp_path, api.kubeconfig(tmp_path / "kubeconfig"), text).tests
    assert tests["Healthy"].status == "PASS"
    assert tests["Broken"].message == (
        "Namespace 'shop' has 1 events (type=Warning) that should not be there, the latest about Pod/web-0: "
        "BackOff: BackOff happened"
    )
    assert tests["Elsewhere"].message.startswith("Cannot look for events: ")


# --- logs ---------------------------------------------------------------------------------------------------


def lines(*texts: str, begin: int = 0) -> str:
    return "".join(f"2026-01-01T00:00:{begin + n:02d}.000000000Z {text}\n" for n, text in enumerate(texts))


def wait_for(cluster: Cluster, pattern: str, timeout: float = 5.0, *, regexp: bool = False) -> str:
    return logs.wait_for_line(cluster, "shop", "web-0", pattern, regexp=regexp, container=None, timeout=timeout)


def test_a_line_that_was_printed_before_counts(api: ApiServer, cluster: Cluster) -> None:
    api.logs["web-0"] = lines("starting", "listening on :8080 (http)")
    assert wait_for(cluster, ":8080 (http)") == "listening on :8080 (http)"
    assert wait_for(cluster, r"on :\d+", regexp=True).startswith("listening")


def test_a_line_is_waited_for_while_the_container_starts(api: ApiServer, cluster: Cluster) -> None:
    api.refuse("GET", "/log", 400, "BadRequest", 'container "c" in pod "web-0" is waiting to start', times=1)
    threading.Timer(0.8, lambda: api.logs.update({"web-0": lines("starting", "ready")})).start()
    assert wait_for(cluster, "ready") == "ready"


def test_a_line_that_does_not_come_is_told_with_the_last_ones(api: ApiServer, cluster: Cluster) -> None:
    api.logs["web-0"] = lines("starting", "broken")
    with pytest.raises(errors.WaitTimeout, match=r"^Pod 'shop/web-0' has not printed 'ready' within 0\.7 s") as told:
        wait_for(cluster, "ready", 0.7)
    assert str(told.value).endswith("The last lines are:\nstarting\nbroken")
    api.refuse("GET", "/log", 404, "NotFound", 'pods "web-0" not found', times=9)
    begin = time.monotonic()
    with pytest.raises(errors.WaitTimeout, match="not found"):
        wait_for(cluster, "ready", 30)
    assert time.monotonic() - begin < 5, "a pod that is not there prints nothing"
    with pytest.raises(errors.InputError, match="not a regular expression"):
        wait_for(cluster, "(", regexp=True)


def test_each_line_is_in_the_file_once_also_after_the_connection_dropped(
    api: ApiServer, cluster: Cluster, tmp_path: Path
) -> None:
    api.logs["web-0"] = lines("one", "two")
    file = logs.LogFile(cluster, "shop", "web-0", None, tmp_path / "logs" / "web-0.log", timestamps=False)
    api.wait_for_requests("GET", "/log", 2)
    api.logs["web-0"] = lines("one", "two", "three")
    api.wait_for_requests("GET", "/log", 4)
    file.stop()
    assert file.path.read_text() == "one\ntwo\nthree\n"
    assert "sinceTime=2026-01-01T00" in api.seen("GET", "/log")[-1][1]


# --- images that a node could not pull before ---------------------------------------------------------------


def pulling(name: str, node: str, image: str = "registry.example/no:1") -> dict[str, Any]:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "i/o timeout"}}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": image}]},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "c", "image": image, "state": waiting}]}}  # fmt: skip


@pytest.mark.parametrize("goal", [lambda: wait.pods_ready(1), wait.pod_ended], ids=["ready", "ended"])
def test_image_that_a_node_could_not_pull_is_not_waited_for_again(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, goal: Any
) -> None:
    """Each of nineteen rows waited ten seconds more for the same image."""
    monkeypatch.setattr(why_not_ready, "PATIENCE", 0.5)
    for name, node in (("first", "node1"), ("second", "node1"), ("elsewhere", "node2")):
        api.put("/api/v1/namespaces/shop/pods", pulling(name, node))

    def waited(name: str) -> str:
        with pytest.raises(errors.NetLibraryError) as caught:
            cluster.wait("Pod", "shop", goal(), name=name, timeout=4, what=f"Pod '{name}'")
        return str(caught.value)

    assert "earlier in this run" not in waited("first")
    monkeypatch.setattr(why_not_ready, "PATIENCE", 60.0)
    begin = time.monotonic()
    assert waited("second").startswith(
        "Pod 'second': pod 'second' cannot start: container 'c' is ErrImagePull: i/o timeout. Node 'node1' could not pull "
        "this image earlier in this run either."
    )
    assert time.monotonic() - begin < 3.5
    assert "not reached within 4 s" in waited("elsewhere"), "another node may get it"


def test_rollout_that_takes_a_bad_image_back_is_waited_for(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Undoing a rollout failed at once with the image that it took back, whose pods were still there."""
    cluster.connection.failed_pulls.remember([pulling("web-bad", "node1")])
    labels = {"app": "web"}
    bad = pulling("web-bad", "node1")
    bad["metadata"]["labels"] = labels
    api.put("/api/v1/namespaces/shop/pods", bad)
    deployment = {"metadata": {"name": "web", "namespace": "shop", "generation": 3}, "status": {"observedGeneration": 2},
                  "spec": {"replicas": 1, "selector": {"matchLabels": labels}}}  # fmt: skip
    api.put("/apis/apps/v1/namespaces/shop/deployments", deployment)
    with pytest.raises(errors.WaitTimeout, match="not reached within 3 s"):
        cluster.wait("Deployment", "shop", wait.deployment_available(), name="web", timeout=3, what="Rollout")


def test_pod_without_its_image_can_still_be_waited_for_to_go(api: ApiServer, cluster: Cluster) -> None:
    api.put("/api/v1/namespaces/shop/pods", pulling("web", "node1"))
    cluster.connection.failed_pulls.remember([pulling("web", "node1")])
    for goal in (wait.pods_ready(0), wait.gone()):
        with pytest.raises(errors.WaitTimeout, match="1 left"):
            cluster.wait("Pod", "shop", goal, labels="app=web", timeout=1, what="Removal")
