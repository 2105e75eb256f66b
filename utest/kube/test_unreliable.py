"""An API server that restarts, is overloaded, or whose store looks for a leader: survived where a repetition is safe."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, answers, eviction, transport
from NetLibrary._mechanics.kube import connection as connection_module
from NetLibrary._mechanics.kube.credentials import Credential
from NetLibrary._mechanics.kube.wait import exists

PODS = "/api/v1/namespaces/demo/pods"
Connect = Callable[..., Cluster]
POD: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "demo"}}


@pytest.fixture
def cluster(connect: Connect, api: ApiServer) -> Cluster:
    api.put(PODS, {"metadata": {"name": "web", "namespace": "demo"}})
    return connect(repeat_for=20.0)


def refuse(api: ApiServer, method: str, code: int, message: str, times: int, after: str | None = None) -> None:
    body = f'{{"kind": "Status", "message": "{message}", "reason": "x", "code": {code}}}'
    headers = {} if after is None else {"Retry-After": after}
    api.on(method, "/pods", lambda h: h.text(code, body, "application/json", headers), times)


UNWELL = [
    (503, "the server is currently unable to handle the request", "0"),
    (503, "apiserver is shutting down", None),
    (504, "request did not complete within the allotted timeout", None),
    (502, "bad gateway", None),
    (500, "etcdserver: leader changed", None),
    (500, "etcdserver: request timed out", None),
    (500, "come again", "0"),
    (429, "too many requests, please try again later", None),
    (429, "too many requests, please try again later", "0"),
]


@pytest.mark.parametrize(("code", "message", "after"), UNWELL)
def test_reads_survive_a_server_that_is_unwell(
    api: ApiServer, cluster: Cluster, code: int, message: str, after: str | None
) -> None:
    refuse(api, "GET", code, message, 2, after)
    assert [pod["metadata"]["name"] for pod in cluster.list("Pod", "demo")] == ["web"]
    assert len(api.seen("GET", PODS)) == 3


@pytest.mark.parametrize(("code", "message", "after"), UNWELL)
def test_writes_are_repeated_only_where_that_cannot_do_them_twice(
    api: ApiServer, cluster: Cluster, code: int, message: str, after: str | None
) -> None:
    refuse(api, "PUT", code, message, 1, after)
    cluster.replace(POD)
    assert len(api.seen("PUT", "/pods")) == 2
    refuse(api, "PATCH", code, message, 1, after)
    cluster.patch("Pod", "web", "demo", {"metadata": {"labels": {"a": "b"}}})
    assert len(api.seen("PATCH", "/pods")) == 2
    certainly_not_done = code == 429 or (code == 503 and after is not None)
    for method, ask in (
        ("POST", lambda: cluster.raw("POST", f"{PODS}", body={**POD, "metadata": {"name": "other"}})),
        ("PATCH", lambda: cluster.patch("Pod", "web", "demo", [], strategy="json")),
    ):
        refuse(api, method, code, message, 1, after)
        before = len(api.seen(method, "/pods"))
        with contextlib.suppress(errors.ClusterError, TypeError):
            ask()
        assert len(api.seen(method, "/pods")) - before == (2 if certainly_not_done else 1)


def test_eviction_that_a_budget_forbids_is_not_repeated(api: ApiServer, cluster: Cluster) -> None:
    refuse(api, "POST", 429, "Cannot evict pod as it would violate the pod's disruption budget.", 9, "0")
    with pytest.raises(errors.TooManyRequests, match="disruption budget"):
        cluster.raw("POST", f"{PODS}/web/eviction", body={})
    assert len(api.seen("POST", "/eviction")) == 1


@pytest.mark.parametrize(
    ("code", "message"), [(500, "failed calling webhook: connection refused"), (409, "conflict"), (404, "no")]
)
def test_refusals_that_no_repetition_changes_are_told_at_once(
    api: ApiServer, cluster: Cluster, code: int, message: str
) -> None:
    refuse(api, "GET", code, message, 9)
    with pytest.raises(errors.ClusterError, match=message):
        cluster.list("Pod", "demo")
    assert len(api.seen("GET", PODS)) == 1


def test_patience_ends_and_says_how_often_was_asked(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "BUSY_FOR", 1.0)
    refuse(api, "GET", 503, "not ready", 99)
    begin = time.monotonic()
    with pytest.raises(errors.ClusterError, match=r"503 x: not ready\. It was tried [1-3] times in [0-3] s\.$"):
        cluster.list("Pod", "demo")
    assert time.monotonic() - begin < 5, "99 refusals with a pause after each would take minutes"


def half(handler: Any) -> None:
    """Begins an answer and breaks off."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"items": [')
    handler.wfile.flush()
    handler.reset()


@pytest.mark.parametrize("broken", [half, lambda handler: handler.reset()], ids=["in the answer", "before the answer"])
def test_reads_survive_a_connection_that_breaks(api: ApiServer, cluster: Cluster, broken: Any) -> None:
    api.on("GET", "/pods", broken, times=2)
    assert len(cluster.list("Pod", "demo")) == 1


def test_create_whose_answer_was_lost_is_not_sent_again_blindly(api: ApiServer, cluster: Cluster) -> None:
    api.on("POST", "/pods", half)
    with pytest.raises(errors.Unreachable):
        cluster.raw("POST", PODS, body={**POD, "metadata": {"name": "other"}})
    assert len(api.seen("POST", "/pods")) == 1


OTHER = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": "demo"},
         "spec": {"containers": [{"name": "c", "image": "x"}]}}  # fmt: skip


def made_but_not_told(handler: Any) -> None:
    """Does what was asked and breaks off before the answer."""
    handler.server_state.create(PODS, handler.body)
    handler.reset()


def test_create_whose_answer_was_lost_is_known_by_its_marks(api: ApiServer, cluster: Cluster) -> None:
    api.on("POST", "/pods", made_but_not_told)
    assert cluster.create(OTHER)["metadata"]["name"] == "other"
    assert len(api.seen("POST", "/pods")) == 1
    cluster.delete("Pod", "other", "demo")
    assert "other" not in api.objects[PODS]


def test_create_that_never_came_to_pass_is_sent_again(api: ApiServer, cluster: Cluster) -> None:
    api.on("POST", "/pods", lambda handler: handler.reset(), times=2)
    cluster.create(OTHER)
    assert len(api.seen("POST", "/pods")) == 3
    assert "other" in api.objects[PODS]


def test_lost_create_takes_no_object_of_others_for_its_own(api: ApiServer, cluster: Cluster) -> None:
    api.put(PODS, OTHER)
    api.on("POST", "/pods", lambda handler: handler.reset())
    with pytest.raises(errors.AlreadyExists):
        cluster.create(OTHER)
    with pytest.raises(errors.NotOwned):
        cluster.delete("Pod", "other", "demo")


def test_lost_create_of_what_the_run_has_already_is_refused_as_such(api: ApiServer, cluster: Cluster) -> None:
    cluster.create(OTHER)
    api.on("POST", "/pods", lambda handler: handler.reset())
    with pytest.raises(errors.AlreadyExists):
        cluster.create(OTHER)


def test_lost_create_where_the_account_may_not_look_is_told(api: ApiServer, cluster: Cluster) -> None:
    api.on("POST", "/pods", lambda handler: handler.reset())
    api.refuse("GET", "/pods/other", 403, "Forbidden", "no", times=9)
    with pytest.raises(errors.Unreachable, match="did not answer POST"):
        cluster.create(OTHER)


def test_lost_eviction_is_asked_again(api: ApiServer, cluster: Cluster) -> None:
    api.on("POST", "/eviction", lambda handler: handler.reset())
    assert "did not answer POST" in eviction.evict(cluster, cluster.get("Pod", "web", "demo"))


def test_question_in_the_form_of_a_post_is_repeated(api: ApiServer, cluster: Cluster) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    api.on("POST", path, lambda handler: handler.reset(), times=2)
    api.on("POST", path, lambda handler: handler.json(201, {"status": {"allowed": True}}))
    assert cluster.connection.request_object("POST", path, body={"spec": {}})["status"]["allowed"]
    assert len(api.seen("POST", path)) == 3


@pytest.mark.parametrize("how", ["silent", "ends"])
def test_create_survives_a_server_that_takes_connections_and_does_not_serve_yet(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Nothing was asked before the end of the TLS handshake."""
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.5)
    door = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_take_and_not_answer, args=(door, how), daemon=True).start()
    target = dataclasses.replace(cluster.connection.target, server=f"https://127.0.0.1:{door.getsockname()[1]}")
    pools = transport.pool(target, Credential())
    for _ in range(2):
        with pytest.raises(urllib3.exceptions.NewConnectionError) as error:
            pools.request("POST", f"{target.server}/x", body=b"{}", retries=False, timeout=urllib3.Timeout(connect=0.5))
        found = cluster.connection.unreachable("POST", "/x", error.value)
        assert not found.sent, found
    door.close()


def _take_and_not_answer(door: socket.socket, how: str) -> None:
    kept = []
    with contextlib.suppress(OSError):
        while True:
            kept.append(door.accept()[0])
            if how == "ends":
                kept.pop().close()


@pytest.mark.parametrize("ask", ["read", "write", "command", "wait"])
def test_server_that_restarts_in_between_is_survived(api: ApiServer, cluster: Cluster, ask: str) -> None:
    api.close_door()
    cluster.connection.http.clear()
    threading.Timer(0.8, api.open_door).start()
    if ask == "read":
        assert cluster.list("Pod", "demo")
    elif ask == "write":
        cluster.raw("POST", PODS, body={**POD, "metadata": {"name": "other"}})
    elif ask == "command":
        assert cluster.exec("demo", "web", ["true"]).exit_code == 0
    else:
        cluster.wait("Pod", "demo", exists(), timeout=20, what="Pod")


def test_silence_is_waited_out_once_and_not_by_every_request(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "RECONNECT_FOR", 1.0)
    api.close_door()
    cluster.connection.http.clear()
    begin = time.monotonic()
    for _ in range(5):
        with pytest.raises(errors.Unreachable):
            cluster.list("Pod")
    assert time.monotonic() - begin < 2.5


def test_address_where_nobody_has_ever_answered_is_given_up_soon() -> None:
    assert connection_module.FIRST_ANSWER_FOR <= 5 < connection_module.RECONNECT_FOR


def test_pauses_grow_and_follow_the_server() -> None:
    busy = errors.TooManyRequests("x", status=429)
    pauses = [answers.pause_before_again(busy, "GET", "", "/p", None, attempt) for attempt in (1, 2, 3, 9)]
    assert pauses == [0.25, 0.5, 1.0, 2.0]
    assert answers.pause_before_again(busy, "POST", "", "/p", 7.0, 1) == 7.0


@pytest.mark.parametrize("after", [None, "0", "1"])
def test_watch_that_the_server_has_enough_of_goes_on(api: ApiServer, cluster: Cluster, after: str | None) -> None:
    body = '{"kind": "Status", "message": "too many requests", "reason": "TooManyRequests", "code": 429}'
    headers = {} if after is None else {"Retry-After": after}
    api.on("GET", "watch=true", lambda h: h.text(429, body, "application/json", headers), times=3)
    threading.Timer(1.0, lambda: api.put(PODS, OTHER)).start()
    cluster.wait("Pod", "demo", exists(), name="other", timeout=15, what="Pod")
    assert len(api.seen("GET", "watch=true")) >= 4
