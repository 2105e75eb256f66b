"""After a run or a failure: what is removed, what cannot be, and what the cluster says about it."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.cleanup import delete_run
from NetLibrary._mechanics.kube.evidence import collect

RUN = {"netlibrary.io/run": "run-1"}
PODS = "/api/v1/namespaces/demo/pods"
CONFIG_MAPS = "/api/v1/namespaces/theirs/configmaps"


def make(cluster: Cluster, kind: str, name: str, namespace: str | None = None) -> None:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    cluster.create({"apiVersion": "v1", "kind": kind, "metadata": metadata})


def names(api: ApiServer, collection: str) -> list[str]:
    return sorted(api.objects[collection])


def test_run_removes_its_own_and_nothing_else(api: ApiServer, cluster: Cluster) -> None:
    api.put("/api/v1/namespaces", {"metadata": {"name": "theirs"}})
    api.put("/api/v1/namespaces", {"metadata": {"name": "other-run", "labels": {"netlibrary.io/run": "run-2"}}})
    api.put(CONFIG_MAPS, {"metadata": {"name": "old", "namespace": "theirs"}})
    make(cluster, "Namespace", "demo")
    make(cluster, "Pod", "web", "demo")
    make(cluster, "ConfigMap", "ours", "theirs")
    assert delete_run(cluster) == []
    assert names(api, "/api/v1/namespaces") == ["other-run", "theirs"]
    assert names(api, CONFIG_MAPS) == ["old"]
    # the pod goes with its namespace
    assert [r[1] for r in api.seen("DELETE", "")] == ["/api/v1/namespaces/demo", f"{CONFIG_MAPS}/ours"]


def test_run_that_made_nothing_asks_nothing(api: ApiServer, cluster: Cluster) -> None:
    before = len(api.requests)
    assert delete_run(cluster, wait=10) == []
    assert collect(cluster, 10) == []
    assert len(api.requests) == before


def test_what_the_server_refused_is_not_looked_for(api: ApiServer, cluster: Cluster) -> None:
    api.refuse("POST", "/namespaces[?]", 403, "Forbidden", "no")
    with pytest.raises(errors.Forbidden):
        make(cluster, "Namespace", "demo")
    before = len(api.requests)
    assert delete_run(cluster) == []
    assert len(api.requests) == before


def test_what_may_have_been_made_is_looked_for(api: ApiServer, cluster: Cluster) -> None:
    api.on(
        "POST", "/namespaces[?]", lambda handler: (api.create("/api/v1/namespaces", handler.body), handler.reset())[1]
    )
    api.refuse("GET", "/namespaces/demo$", 403, "Forbidden", "not now")
    with pytest.raises(errors.Unreachable):
        make(cluster, "Namespace", "demo")
    assert delete_run(cluster) == []
    assert names(api, "/api/v1/namespaces") == []


def test_removal_is_awaited(api: ApiServer, cluster: Cluster) -> None:
    make(cluster, "Namespace", "demo")
    api.on("DELETE", "/namespaces/demo$", lambda handler: handler.json(200, {"status": "Success"}))  # terminating
    done: list[list[str]] = []
    thread = threading.Thread(target=lambda: done.append(delete_run(cluster, wait=20)))
    thread.start()
    api.wait_for_watches()
    assert done == []
    api.remove("/api/v1/namespaces", "demo")
    thread.join(10)
    assert done == [[]]


def test_namespace_that_stays_is_told(api: ApiServer, cluster: Cluster) -> None:
    make(cluster, "Namespace", "demo")
    api.on("DELETE", "/namespaces/demo$", lambda handler: handler.json(200, {"status": "Success"}))
    left = delete_run(cluster, wait=0.1)
    assert left == ["Removal of Namespace objects: not reached within 1 s; at the end: 1 left (demo)"]


def test_namespace_that_waits_for_an_extension_server_alone_is_told_and_not_awaited(
    api: ApiServer, cluster: Cluster
) -> None:
    # While the server of metrics is down, no namespace of the cluster ends; each run failed a minute after its end
    told: list[str] = []
    cluster.say = told.append
    make(cluster, "Namespace", "demo")
    conditions = [
        {"type": "NamespaceDeletionDiscoveryFailure", "status": "True", "message": "metrics.k8s.io/v1beta1 is down"},
        {"type": "NamespaceDeletionContentFailure", "status": "False"},
        {"type": "NamespaceContentRemaining", "status": "True"},
    ]

    def end(content: str) -> None:
        found = api.objects["/api/v1/namespaces"]["demo"]
        conditions[2]["status"] = content
        ending = {**found["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
        api.put("/api/v1/namespaces", {**found, "metadata": ending, "status": {"conditions": list(conditions)}})

    api.on("DELETE", "/namespaces/demo$", lambda handler: (end("True"), handler.json(200, {}))[1])
    assert "1 left (demo): metrics.k8s.io/v1beta1 is down" in delete_run(cluster, wait=0.5)[0]
    end("False")
    begin = time.monotonic()
    assert delete_run(cluster, wait=20) == []
    assert time.monotonic() - begin < 3
    assert told == ["Empty, and gone as soon as an extension of the cluster's API that is down answers again: demo."]


def test_refusal_does_not_keep_the_rest(api: ApiServer, cluster: Cluster) -> None:
    make(cluster, "Namespace", "demo")
    make(cluster, "ConfigMap", "ours", "theirs")
    api.refuse("DELETE", "/namespaces/demo$", 403, "Forbidden", 'namespaces "demo" is forbidden')
    left = delete_run(cluster, wait=20)
    assert len(left) == 1
    assert left[0].endswith('DELETE /api/v1/namespaces/demo with 403 Forbidden: namespaces "demo" is forbidden')
    assert names(api, CONFIG_MAPS) == []


def test_account_of_one_namespace_removes_what_it_made_there(api: ApiServer, cluster: Cluster) -> None:
    make(cluster, "ConfigMap", "ours", "theirs")
    words = "cannot list resource at the cluster scope"
    api.refuse("GET", r"/api/v1/(configmaps|namespaces)\?", 403, "Forbidden", words, times=100)
    assert delete_run(cluster, wait=20) == []
    assert names(api, CONFIG_MAPS) == []


def test_kind_that_is_not_served_any_more_leaves_nothing(api: ApiServer, cluster: Cluster) -> None:
    make(cluster, "ConfigMap", "ours", "theirs")
    api.refuse("GET", "/configmaps", 404, "NotFound", "the server could not find the requested resource", times=2)
    assert delete_run(cluster, wait=20) == []


def test_dead_server_is_told_once_for_each_kind(api: ApiServer, cluster: Cluster) -> None:
    make(cluster, "ConfigMap", "ours", "theirs")
    api.on("*", "", lambda handler: handler.reset(), times=100)
    (left,) = delete_run(cluster, wait=20)
    assert re.fullmatch(
        r"Cluster 'default' at .* did not answer GET /api/v1/configmaps: Connection reset by peer", left
    )


def crashing() -> dict[str, Any]:
    last = {"terminated": {"exitCode": 1, "reason": "Error"}}
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    return {
        "metadata": {"name": "web", "namespace": "demo"},
        "spec": {"containers": [{"name": "c"}], "nodeName": "node2"},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "conditions": [],
            "containerStatuses": [
                {"name": "c", "ready": False, "restartCount": 4, "state": state, "lastState": last},
            ],
        },
    }


def test_evidence_names_pods_warnings_objects_and_last_lines(api: ApiServer, cluster: Cluster) -> None:
    make(cluster, "Namespace", "demo")
    api.put(PODS, crashing())
    api.logs["web"] = "panic: no <port>\n"
    event = {"type": "Warning", "reason": "BackOff", "message": "Back-off restarting", "lastTimestamp": "2"}
    api.put(
        "/api/v1/namespaces/demo/events",
        {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "web"}} | event,
    )
    api.put("/api/v1/namespaces/demo/events", {"metadata": {"name": "n"}, "type": "Normal", "reason": "Pulled"})
    site = {"apiVersion": "skupper.io/v2alpha1", "kind": "Site", "metadata": {"name": "hub", "namespace": "demo"}}
    status = {"status": "Pending", "message": "Not Running", "conditions": [{"type": "Configured", "status": "True"}]}
    cluster.create({**site, "status": status})
    assert collect(cluster, 10) == [
        (
            "pods of 'demo'",
            "web: container 'c' is CrashLoopBackOff: back-off (exit code 1, Error) (node2, 10.0.0.7, 4 restarts)",
        ),
        ("warnings in 'demo'", "Pod/web: BackOff: Back-off restarting"),
        ("Site.skupper.io of 'demo'", "hub: Pending Not Running; Configured=True"),
        ("last lines of 'demo/web' (c)", "panic: no <port>"),
    ]
    assert api.seen("GET", "/log")[0][2] == {"container": "c", "tailLines": "20"}


def test_evidence_leaves_out_what_the_account_may_not_see(api: ApiServer, cluster: Cluster) -> None:
    make(cluster, "Pod", "web", "demo")
    api.put(PODS, crashing())
    api.refuse("GET", "/events", 403, "Forbidden", "no")
    api.refuse("GET", "/log", 400, "BadRequest", "container is waiting to start")
    assert [title for title, _ in collect(cluster, 10)] == ["pods of 'demo'"]


def test_evidence_gives_up_on_a_dead_server_at_once(api: ApiServer, cluster: Cluster) -> None:
    make(cluster, "Pod", "web", "demo")
    api.on("*", "", lambda handler: handler.reset(), times=100)
    with pytest.raises(errors.Unreachable):
        collect(cluster, 10)


def test_evidence_ends_with_its_time(api: ApiServer, cluster: Cluster) -> None:
    make(cluster, "Pod", "web", "demo")
    assert collect(cluster, -1) == []


def pod_of(name: str, owner: str = "") -> dict[str, Any]:
    """Returns a pod of a ReplicaSet, or of nobody, that is not ready."""
    owners = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": f"uid-{owner}"}] if owner else []
    metadata = {"name": name, "namespace": "theirs", "uid": f"uid-{name}", "ownerReferences": owners}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Pending"}}


def test_logs_of_colleagues_are_not_copied_into_the_results(api: ApiServer, cluster: Cluster) -> None:
    """A guest in an existing namespace published what the pods of others there had logged."""
    api.put("/api/v1/namespaces", {"metadata": {"name": "theirs"}})
    cluster.enter_namespace("theirs", use_existing=True)
    cluster.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ours", "namespace": "theirs"}})
    deployment = api.objects["/apis/apps/v1/namespaces/theirs/deployments"]["ours"]["metadata"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ours", "uid": deployment["uid"]}
    sets = "/apis/apps/v1/namespaces/theirs/replicasets"
    api.put(sets, {"metadata": {"name": "ours-1", "uid": "uid-ours-1", "ownerReferences": [owner]}})
    api.put(sets, {"metadata": {"name": "shop-api-1", "uid": "uid-shop-api-1"}})
    make(cluster, "Pod", "client", "theirs")
    pods = "/api/v1/namespaces/theirs/pods"
    api.put(pods, {**pod_of("client"), "metadata": api.objects[pods]["client"]["metadata"]})
    for name, above in (
        ("ours-1-x", "ours-1"),
        ("shop-api-1-x", "shop-api-1"),
        ("shop-api-1-y", "shop-api-1"),
        ("db", ""),
    ):
        api.put(pods, pod_of(name, above))
    for name in ("client", "ours-1-x", "shop-api-1-x", "shop-api-1-y", "db"):
        api.logs[name] = f"{name} says password=1"
    found = dict(collect(cluster, 10))
    assert [title for title in found if "last lines" in title] == [
        "last lines of 'theirs/client' (c)",
        "last lines of 'theirs/ours-1-x' (c)",
    ]
    assert "shop-api-1-x: " in found["pods of 'theirs'"]  # their states may be why ours cannot run
    assert not [text for text in found.values() if "db says" in text or "shop-api-1-x says" in text]
    assert {path.split("/")[-2] for _, path, *_ in api.seen("GET", "/log")} == {"client", "ours-1-x"}
    assert len(api.seen("GET", "/replicasets/shop-api-1")) == 1  # not once per pod
    named = [title for title, _ in collect(cluster, 10, "Pods 'app=db': pod 'db' cannot get ready.")]
    assert "last lines of 'theirs/db' (c)" in named
    assert not [title for title in named if "shop-api" in title]
