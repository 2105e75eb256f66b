"""An API server that goes away in the middle of something, or is not itself for a moment: survived, or told as that."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from robot_run import Run
from scripted_api import ApiServer
from scripted_exec import Command

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, absences, port_forward, rights
from NetLibrary._mechanics.kube import connection as connection_module
from NetLibrary._mechanics.kube.absences import Absences
from NetLibrary._mechanics.kube.logs import LogFile
from NetLibrary._mechanics.kube.port_forward import PortForward
from NetLibrary._mechanics.kube.wait import exists
from NetLibrary._mechanics.probing.alive import Kubelets
from NetLibrary.keywords.connections import ConnectionKeywords

from .test_port_forward import Pod, ask, web

Connect = Callable[..., Cluster]
Object = dict[str, Any]
PODS, MAPS = "/api/v1/namespaces/demo/pods", "/api/v1/namespaces/demo/configmaps"
POD: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "demo"},
               "spec": {"containers": [{"name": "c", "image": "x"}]}}  # fmt: skip
MAP: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": "demo"}}


@pytest.fixture
def cluster(connect: Connect, api: ApiServer) -> Cluster:
    api.put(PODS, POD)
    return connect(repeat_for=20.0)


def away(api: ApiServer, cluster: Cluster, seconds: float) -> threading.Timer:
    """Takes the server away; it comes back after some time."""
    api.close_door()
    api.drop_watches()
    cluster.connection.http.clear()
    back = threading.Timer(seconds, api.open_door)
    back.start()
    return back


# --- in the middle of something -------------------------------------------------------------------------------------


def test_followed_log_that_breaks_off_goes_on_behind_its_last_line(
    api: ApiServer, cluster: Cluster, tmp_path: Any
) -> None:
    def lines(*numbers: int) -> Callable[[Any], None]:
        def answer(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for each in numbers:
                handler.chunk(f"2026-01-01T00:00:0{each}Z line {each}\n".encode())
            handler.wfile.flush()
            time.sleep(0.2)
            handler.reset()

        return answer

    api.on("GET", "/log", lines(1, 2))
    api.on("GET", "/log", lambda handler: handler.reset())
    api.on("GET", "/log", lines(2, 3))
    file = LogFile(cluster, "demo", "web", "c", tmp_path / "log", timestamps=False)
    api.wait_for_requests("GET", "/log", 4)
    file.stop()
    assert file.path.read_text() == "line 1\nline 2\nline 3\n"
    assert "sinceTime=2026-01-01T00%3A00%3A02Z" in api.seen("GET", "/log")[1][1]


@pytest.mark.parametrize("again", [True, False])
def test_command_whose_connection_breaks_is_run_once_more_where_it_only_reads(
    api: ApiServer, cluster: Cluster, again: bool
) -> None:
    ran: list[list[str]] = []

    def command(command: Command) -> None:
        ran.append(command.argv)
        command.stdout(b"half" if len(ran) == 1 else b"whole")
        if len(ran) > 1:
            command.exit(0)

    api.command = command
    if again:
        assert cluster.exec("demo", "web", ["cat", "file"], again=True).stdout == "whole"
    else:
        with pytest.raises(errors.ExecLost, match="ended without an exit status"):
            cluster.exec("demo", "web", ["cat", "file"])
    assert len(ran) == (2 if again else 1)


@pytest.mark.parametrize(("code", "after", "begun"), [(503, "0", False), (429, None, False), (500, None, True)])
def test_refused_command_is_sent_again_only_where_it_cannot_have_begun(
    api: ApiServer, cluster: Cluster, code: int, after: str | None, begun: bool
) -> None:
    headers = {} if after is None else {"Retry-After": after}
    api.on("GET", "/exec", lambda handler: handler.text(code, "{}", "application/json", headers))
    if begun:
        with pytest.raises(errors.ClusterError):
            cluster.exec("demo", "web", ["true"])
    else:
        assert cluster.exec("demo", "web", ["true"]).exit_code == 0


def test_port_forward_that_breaks_off_is_no_end_of_the_answer(
    api: ApiServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client took half a page for a whole one."""
    monkeypatch.setattr(port_forward, "TRIAL_SECONDS", 0.1)
    cluster = connect(repeat_for=20.0)
    api.protocols = ("v4.channel.k8s.io",)
    api.put("/api/v1/namespaces/shop/pods", web())
    pod = Pod()
    api.command = pod
    forward = PortForward(cluster, "shop", "web-0", "80", timeout=0.0)
    try:
        with socket.create_connection(("127.0.0.1", forward.local_port), timeout=10) as sock:
            sock.sendall(b"half")
            assert sock.recv(10) == b"HALF"

            def breaks(data: bytes) -> bytes:
                raise OSError

            pod.answer = breaks
            sock.sendall(b"more")
            with pytest.raises(ConnectionResetError):
                sock.recv(10)
        assert "the connection through the API server broke off" in forward.problems[0]
        pod.answer = bytes.upper
        back = away(api, cluster, 0.8)
        assert ask(forward, b"and again, bye") == b"AND AGAIN, BYE"
        back.join()
    finally:
        forward.stop()


def test_delete_whose_answer_was_lost_is_no_missing_object(api: ApiServer, cluster: Cluster) -> None:
    def done_but_not_told(handler: Any) -> None:
        api.remove(PODS, "own")
        handler.reset()

    for ours in (True, False):
        api.put(PODS, {**POD, "metadata": {"name": "own", "namespace": "demo"}})
        if ours:
            api.remove(PODS, "own")
            cluster.create({**POD, "metadata": {"name": "own", "namespace": "demo"}})
        api.on("DELETE", "/pods/own", done_but_not_told)
        cluster.delete("Pod", "own", "demo", missing_ok=False, allow_foreign=not ours)
        assert "own" not in api.objects[PODS]
    with pytest.raises(errors.NotFound):
        cluster.delete("Pod", "own", "demo", missing_ok=False, allow_foreign=True)


def test_delete_that_never_came_to_pass_is_sent_again(api: ApiServer, cluster: Cluster) -> None:
    cluster.create({**POD, "metadata": {"name": "own", "namespace": "demo"}})
    api.on("DELETE", "/pods/own", lambda handler: handler.reset(), times=2)
    cluster.delete("Pod", "own", "demo")
    assert "own" not in api.objects[PODS]


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_change_of_a_foreign_object_whose_answer_was_lost_is_put_back(
    api: ApiServer, cluster: Cluster, kind: str
) -> None:
    """A Secret has no record in the object itself: it was taken for one that is as wanted, and stayed changed."""
    where = MAPS if kind == "ConfigMap" else "/api/v1/namespaces/demo/secrets"
    api.put(where, {**MAP, "kind": kind, "data": {"a": "MQ=="}})

    def done_but_not_told(handler: Any) -> None:
        api.put(where, {**api.objects[where]["theirs"], "data": {"a": "Mg=="}})
        handler.reset()

    api.on("PATCH", "/theirs", done_but_not_told)
    cluster.change(kind, "theirs", "demo", {"data": {"a": "Mg=="}})
    assert api.objects[where]["theirs"]["data"]["a"] == "Mg=="
    assert cluster.foreign.put_back()[0].back == ["data.a"]
    assert api.objects[where]["theirs"]["data"]["a"] == "MQ=="


def test_batch_of_reviews_survives_what_happens_to_some(api: ApiServer, cluster: Cluster) -> None:
    path = "/selfsubjectaccessreviews"
    allowed = {"status": {"allowed": True}}
    api.on("POST", path, lambda handler: handler.reset(), times=3)
    for code in (429, 500, 502, 503, 504):
        api.on("POST", path, lambda h, code=code: h.text(code, '{"message": "etcdserver: leader changed"}', "application/json"))  # fmt: skip
    api.on("POST", path, lambda handler: handler.text(200, "<html>Sign in</html>"))
    api.on("POST", path, lambda handler: handler.json(201, allowed), times=1000)
    assert rights.missing(cluster, rights.needed("cluster_health")) == []


def test_kubelibrary_waits_for_a_server_that_restarts(api: ApiServer, cluster: Cluster) -> None:
    from kubernetes.client import CoreV1Api

    from NetLibrary._mechanics.kube.lending import LentClient

    client = LentClient(cluster.connection)
    away(api, cluster, 0.8)
    assert [pod.metadata.name for pod in CoreV1Api(client).list_namespaced_pod("demo").items] == ["web"]


# --- not itself for a moment ----------------------------------------------------------------------------------------


def cut_off(handler: Any) -> None:
    """Ends an answer whose end nobody can tell from its length."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    handler.wfile.write(b'{"items": [{"metadata": ')
    handler.close_connection = True


def broken_chunk(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.chunk(b'{"items": ')
    handler.close_connection = True


ODD: dict[str, Callable[[Any], None]] = {
    "cut off": cut_off,
    "cut off in a chunk": broken_chunk,
    "page": lambda handler: handler.text(200, "<html><title>Sign in</title></html>"),
    "page of an error": lambda handler: handler.text(503, "<html>503 Service Unavailable</html>"),
    "JSON of somebody else": lambda handler: handler.text(200, '"ok"', "application/json"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("act", ["list", "wait", "patch", "delete", "create"])
def test_answer_that_is_none_is_asked_for_again(api: ApiServer, cluster: Cluster, act: str, odd: str) -> None:
    method = {"list": "GET", "wait": "GET", "create": "POST"}.get(act, act.upper())
    if act == "delete":
        cluster.create({**POD, "metadata": {"name": "own", "namespace": "demo"}})
    api.on(method, "/pods", ODD[odd], times=2)
    if act == "list":
        assert len(cluster.list("Pod", "demo")) == 1
    elif act == "wait":
        cluster.wait("Pod", "demo", exists(), timeout=20, what="Pod")
    elif act == "patch":
        cluster.patch("Pod", "web", "demo", {"metadata": {"labels": {"a": "b"}}})
        assert api.objects[PODS]["web"]["metadata"]["labels"] == {"a": "b"}
    elif act == "delete":
        cluster.delete("Pod", "own", "demo")
        assert "own" not in api.objects[PODS], "a proxy's page is no deletion"
    elif odd == "page of an error":
        with pytest.raises(errors.ClusterError, match="503 Service Unavailable"):
            cluster.create({**POD, "metadata": {"name": "own", "namespace": "demo"}})
    else:
        cluster.create({**POD, "metadata": {"name": "own", "namespace": "demo"}})
        assert "own" in api.objects[PODS]


def test_page_that_stays_is_told_in_its_words(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "RECONNECT_FOR", 1.0)
    api.on("GET", "/pods", ODD["page"], times=1000)
    with pytest.raises(errors.Unreachable, match="something that is not a Kubernetes answer: Sign in"):
        cluster.list("Pod", "demo")


@pytest.mark.parametrize("act", ["list", "wait", "command", "create"])
def test_credentials_that_are_refused_for_a_moment_are_shown_again(api: ApiServer, cluster: Cluster, act: str) -> None:
    api.refuse("*", "/pods", 401, "Unauthorized", "Unauthorized", times=3)
    if act == "list":
        assert cluster.list("Pod", "demo")
    elif act == "wait":
        cluster.wait("Pod", "demo", exists(), timeout=20, what="Pod")
    elif act == "command":
        assert cluster.exec("demo", "web", ["true"]).exit_code == 0
    else:
        cluster.create({**POD, "metadata": {"name": "own", "namespace": "demo"}})


def test_credentials_that_are_refused_for_good_are_told_soon(api: ApiServer, cluster: Cluster) -> None:
    api.refuse("*", "/pods", 401, "Unauthorized", "Unauthorized", times=1000)
    begin = time.monotonic()
    with pytest.raises(errors.Unauthorized):
        cluster.list("Pod", "demo")
    assert time.monotonic() - begin < connection_module.REFUSED_FOR + 4


@pytest.mark.parametrize("act", ["list", "wait"])
def test_server_that_has_just_begun_knows_no_roles_yet(api: ApiServer, cluster: Cluster, act: str) -> None:
    api.refuse("GET", "/pods", 403, "Forbidden", "pods is forbidden", times=3)
    away(api, cluster, 0.8)
    if act == "list":
        assert cluster.list("Pod", "demo")
    else:
        cluster.wait("Pod", "demo", exists(), timeout=20, what="Pod")


def test_rights_are_asked_for_again_where_the_server_has_just_begun(api: ApiServer, cluster: Cluster) -> None:
    path, wanted = "/selfsubjectaccessreviews", rights.needed("cluster_health")[:3]
    away(api, cluster, 0.8)
    api.on("POST", path, lambda handler: handler.json(201, {"status": {"allowed": False}}), times=4)
    api.on("POST", path, lambda handler: handler.json(201, {"status": {"allowed": True}}), times=1000)
    assert rights.missing(cluster, wanted) == []


def test_service_that_an_ending_server_found_no_address_for_is_made_after_its_return(
    api: ApiServer, cluster: Cluster
) -> None:
    """It was taken for a refusal of the Service, and its rows were left out."""
    words = (
        'Service "web" is invalid: spec.clusterIPs: Invalid value: [""]: failed to allocate IP: Post '
        '"https://192.0.2.1:6443/apis/networking.k8s.io/v1/ipaddresses": dial tcp 192.0.2.1:6443: connect: '
        "connection refused"
    )
    api.on("POST", "/services", lambda handler: handler.json(422, {"message": words, "reason": "Invalid"}))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "demo"}, "spec": {}}
    cluster.create(service)
    assert len(api.seen("POST", "/services")) == 2


def test_kubelet_is_not_accused_of_the_api_servers_absence(api: ApiServer, cluster: Cluster) -> None:
    api.on("HEAD", "/proxy/healthz", lambda handler: handler.reset())
    api.on("HEAD", "/livez", lambda handler: handler.text(200, "ok", "text/plain"))
    api.on("HEAD", "/proxy/healthz", lambda handler: handler.text(200, "ok", "text/plain"))
    assert Kubelets(cluster).trouble("node1") == ""
    assert len(api.seen("HEAD", "/proxy/healthz")) == 2


# --- what is said ---------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


def test_absences_are_counted_and_told(clock: list[float]) -> None:
    seen = Absences(lambda: clock[0])
    assert seen.words("default", 0.0) == ""
    for begin, end in ((30.0, 33.0), (150.0, 150.1), (160.0, 164.0)):
        seen.silent(begin)
        seen.silent(begin + 1)
        clock[0] = end
        seen.heard()
    clock[0] = 170.0
    assert seen.words("default", 50.0).startswith(
        "The API server of cluster 'default' gave no answer 2 times meanwhile, for 7 s in all, until 6 s ago."
    )
    assert " for 4 s meanwhile, until 6 s ago." in seen.words("default", 165.0), "its effects last"
    assert seen.recovery_left() == 114.0
    assert seen.words("default", 290.0) == ""
    seen.silent(163.0)
    assert "until 6 s ago" in seen.words("default", 165.0), "somebody else was answered since that attempt began"
    seen.silent(168.0)
    assert " 2 times meanwhile, for 6 s in all, and gives none now." in seen.words("default", 165.0)


def test_what_fails_after_an_absence_is_tried_again_until_kubernetes_has_noticed(clock: list[float]) -> None:
    """`Measure Throughput` failed by a connect timeout: kube-proxy had not heard of the Service yet."""

    def pause(seconds: float) -> None:
        clock[0] += seconds

    seen = Absences(lambda: clock[0], pause)
    assert seen.retried(lambda: "timed out", bool) == "timed out", "nothing was away, so nothing is tried again"
    seen.silent(90.0)
    seen.heard()
    outcomes = iter(["timed out", "unresolved", ""])
    assert seen.retried(lambda: next(outcomes), bool) == ""
    assert seen.retried(lambda: "refused", bool) == "refused"
    assert clock[0] == 220.0, "two minutes after the return it is the network's own fault"


def test_wait_gets_the_time_that_kubernetes_needs_after_an_absence(clock: list[float]) -> None:
    seen = Absences(lambda: clock[0])
    assert seen.allowance(100.0, 30.0) == 0.0
    seen.silent(100.0)
    assert seen.allowance(100.0, 30.0) == 30.0
    clock[0] = 100.0 + absences.GONE + 1
    assert seen.allowance(100.0, 30.0) == 0.0, "gone for good, it seems"
    clock[0] = 103.0
    seen.heard()
    assert seen.allowance(100.0, 30.0) == 30.0
    assert seen.allowance(100.0, 60.0) == 60.0
    assert seen.allowance(100.0, 120.0) == 3.0
    assert seen.allowance(100.0, 240.0) == 0.0
    clock[0] = 339.0
    seen.silent(339.0)
    assert seen.allowance(100.0, 240.0) == 119.0
    clock[0] = 360.0
    assert seen.allowance(100.0, 240.0) == 120.0, "again and again is no reason to wait for ever"


def test_wait_goes_on_after_an_absence(api: ApiServer, cluster: Cluster) -> None:
    threading.Timer(3.0, lambda: api.put(PODS, {**POD, "metadata": {"name": "late"}})).start()
    away(api, cluster, 0.8)
    cluster.wait("Pod", "demo", exists(), name="late", timeout=2, what="Pod")


SUITE = """
*** Test Cases ***
Lost
    Run In Pod    web    demo    true

Wait
    Wait Until Pods Are Ready    demo    app=none    timeout=1s

Wrong
    Wait Until Pods Are Ready    demo    app=none    timeout=-1s

Of Another Library
    Fail    Something went wrong.

Skipped
    Skip Unless Network Policies Are Enforced    demo
"""


def test_failure_and_skip_name_the_absence(api: ApiServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api.put("/api/v1/namespaces", {"metadata": {"name": "demo"}})
    api.put(PODS, POD)

    def goes_away(command: Command) -> None:
        api.close_door()
        api.on("GET", "/version", lambda handler: handler.reset())  # with what was open
        threading.Timer(1.5, api.open_door).start()

    def knows_no_policies(self: Any, *given: Any) -> bool:
        return False

    monkeypatch.setattr(ConnectionKeywords, "_policies_are_enforced", knows_no_policies)
    api.command = goes_away
    tests = Run(tmp_path, api.kubeconfig(tmp_path / "kubeconfig"), SUITE).tests
    words = "The API server of cluster 'default' gave no answer for "
    assert "ended without an exit status" in tests["Lost"].message
    assert words in tests["Lost"].message
    assert "not reached within" in tests["Wait"].message
    assert words in tests["Wait"].message, "its effects last"
    assert "Kubelets and controllers may not notice for two minutes" in tests["Wait"].message
    assert tests["Wait"].message.count(words) == 1
    assert tests["Wrong"].message.startswith("timeout is -1 s; allowed: 0 s and more.\n")
    assert words in tests["Of Another Library"].message
    assert tests["Skipped"].status == "SKIP"
    assert words in tests["Skipped"].message
