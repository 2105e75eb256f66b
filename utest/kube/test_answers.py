"""Refusals, silence and nonsense of an API server become errors that read like sentences."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_api import TOKEN, ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, answers, choose
from NetLibrary._mechanics.kube import connection as connection_module

Connect = Callable[..., Cluster]


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Expired),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ClusterError),
    ],
)
def test_each_refusal_has_its_class_and_keeps_the_servers_words(
    api: ApiServer, cluster: Cluster, code: int, reason: str, kind: type[errors.ClusterError]
) -> None:
    api.refuse("GET", "/pods/web", code, reason, "these are the server's words.")
    with pytest.raises(errors.ClusterError) as caught:
        cluster.get("Pod", "web", "demo")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason) == (code, reason)
    assert str(caught.value) == (
        f"Cluster 'default' answered GET /api/v1/namespaces/demo/pods/web with {code} {reason}: "
        "these are the server's words."
    )


@pytest.mark.parametrize(
    ("code", "reason", "message", "told"),
    [
        (401, "Unauthorized", "Unauthorized", "401 Unauthorized."),
        (500, "InternalError", "Internal error occurred: failed calling webhook", "500 InternalError: failed calling webhook."),
        (504, "Timeout", "Timeout: request did not complete", "504 Timeout: request did not complete."),
        (429, "TooManyRequests", "Too many requests, please try again later.", "429 TooManyRequests: please try again later."),
        (404, "NotFound", "the server could not find the requested resource",
         "404 NotFound: the server could not find the requested resource."),
        (403, "Forbidden", "Forbidden access", "403 Forbidden: Forbidden access."),
    ],
)  # fmt: skip
def test_name_of_a_refusal_is_told_once(code: int, reason: str, message: str, told: str) -> None:
    """ "with 401 Unauthorized: Unauthorized." reads like a fault of the test tool."""
    body = json.dumps({"kind": "Status", "message": message, "reason": reason})
    assert str(answers.refused("c", "GET", "/version", code, body)).endswith(f"with {told}")


def test_page_that_says_everything_twice_is_told_once() -> None:
    page = "<html><title>401 Authorization Required</title><h1>401 Authorization Required</h1><hr>nginx</html>"
    assert str(answers.refused("c", "GET", "/version", 401, page)).endswith(
        "with 401 Unauthorized: 401 Authorization Required nginx."
    )


def test_page_of_a_proxy_is_told_in_one_line(api: ApiServer, cluster: Cluster) -> None:
    head = "<head><style>b {color: red}</style><title>502 Bad Gateway</title></head>"
    page = f"<html>\n{head}\n<body><h1>nginx</h1></body></html>"
    api.on("GET", "/pods/web", lambda handler: handler.text(502, page))
    with pytest.raises(errors.ClusterError) as caught:
        cluster.get("Pod", "web", "demo")
    assert str(caught.value) == (
        "Cluster 'default' answered GET /api/v1/namespaces/demo/pods/web with 502 Bad Gateway: nginx."
    )


def test_page_instead_of_the_version_is_not_a_cluster(api: ApiServer, connect: Connect) -> None:
    api.on("GET", "/version", lambda handler: handler.text(200, "<html><body>Please log in</body></html>"))
    with pytest.raises(errors.ClusterError) as caught:
        connect()
    assert "GET /version" in str(caught.value)
    assert "that is not a Kubernetes answer: Please log in." in str(caught.value)


def test_redirect_is_not_an_answer(api: ApiServer, cluster: Cluster) -> None:
    api.on("GET", "/pods", lambda h: h.text(302, "", headers={"Location": "https://login.example.com/"}))
    with pytest.raises(errors.ClusterError, match=r"302 Found: a redirection to 'https://login\.example\.com/'"):
        cluster.list("Pod", "demo")


def test_half_an_answer_is_no_answer(api: ApiServer, cluster: Cluster) -> None:
    api.on("GET", "/pods", lambda handler: handler.text(200, '{"items": [', "application/json"))
    with pytest.raises(errors.ClusterError, match="that is not a Kubernetes answer"):
        cluster.list("Pod", "demo")


def test_list_with_null_items_is_empty(api: ApiServer, cluster: Cluster) -> None:
    api.on("GET", "/pods", lambda handler: handler.json(200, {"kind": "PodList", "items": None, "metadata": {}}))
    assert cluster.list("Pod", "demo") == []


def test_silent_server_is_given_up(api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "READ_TIMEOUT", 0.2)
    api.on("GET", "/pods", lambda handler: handler.hang())
    with pytest.raises(errors.Unreachable) as caught:
        cluster.list("Pod", "demo")
    assert str(caught.value) == (
        f"Cluster 'default' at {api.url} did not answer GET /api/v1/namespaces/demo/pods: "
        "Read timed out. (read timeout=0.2)."
    )


def test_connection_that_breaks_off_is_unreachable(api: ApiServer, cluster: Cluster) -> None:
    api.on("GET", "/pods", lambda handler: handler.reset())
    with pytest.raises(errors.Unreachable, match="Connection reset by peer"):
        cluster.list("Pod", "demo")


def test_dead_server_says_where_nobody_answered(api: ApiServer, connect: Connect) -> None:
    api.close_door()
    with pytest.raises(errors.Unreachable) as caught:
        connect()
    assert f"Cluster 'default' at {api.url} did not answer GET /version: " in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "0x" not in str(caught.value)


def test_reads_survive_a_server_that_restarts(api: ApiServer, connect: Connect) -> None:
    cluster = connect(repeat_for=20.0)
    api.put("/api/v1/namespaces/demo/pods", {"metadata": {"name": "web"}})
    api.on("GET", "/pods/web", lambda handler: handler.reset(), times=2)
    assert cluster.get("Pod", "web", "demo")["metadata"]["name"] == "web"


def test_writes_survive_a_closed_door_but_are_never_sent_twice(api: ApiServer, connect: Connect) -> None:
    cluster = connect(repeat_for=20.0)
    api.on("POST", "/pods", lambda handler: handler.reset())
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "demo"}}
    with pytest.raises(errors.Unreachable):
        cluster.raw("POST", "/api/v1/namespaces/demo/pods", body=pod)
    assert len(api.seen("POST", "/pods")) == 1

    api.close_door()
    cluster.connection.http.clear()
    threading.Timer(0.3, api.open_door).start()
    cluster.create(pod)
    assert len(api.seen("POST", "/pods")) == 2


def test_overloaded_server_is_asked_again_when_it_says_when(api: ApiServer, connect: Connect) -> None:
    cluster = connect(repeat_for=20.0)
    body = '{"kind": "Status", "message": "too many requests", "reason": "TooManyRequests", "code": 429}'
    api.on("POST", "/pods", lambda h: h.text(429, body, "application/json", {"Retry-After": "0"}), times=2)
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "demo"}})
    assert len(api.seen("POST", "/pods")) == 3


def test_stop_signal_in_the_middle_of_an_answer_is_not_taken_for_a_dead_server(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ExecutionFailed(Exception):  # what Robot Framework raises from its signal handler
        pass

    def interrupted(*_: object, **__: object) -> None:
        raise ExecutionFailed("Execution terminated by signal")

    monkeypatch.setattr("urllib3.response.HTTPResponse.read", interrupted)
    with pytest.raises(ExecutionFailed):
        cluster.list("Pod", "demo")


def test_token_is_sent_and_never_told(api: ApiServer, connect: Connect) -> None:
    cluster = connect()
    assert api.requests[0][3]["authorization"] == f"Bearer {TOKEN}"
    told = [repr(cluster), str(vars(cluster)), repr(cluster.connection), str(cluster.connection.choice)]
    for code, reason in ((401, "Unauthorized"), (500, "InternalError")):
        api.refuse("*", "/pods", code, reason, "no", times=1)
        with pytest.raises(errors.ClusterError) as caught:
            cluster.exec("demo", "web", ["true"]) if code == 401 else cluster.list("Pod")
        told.append(str(caught.value) + repr(caught.value))
    api.close_door()
    cluster.connection.http.clear()
    for call in (lambda: cluster.list("Pod"), lambda: cluster.exec("demo", "web", ["true"])):
        with pytest.raises(errors.Unreachable) as lost:
            call()
        told.append(str(lost.value))
    assert not [text for text in told if TOKEN in text]


def test_environment_of_other_programs_does_not_matter(
    api: ApiServer, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nobody = "http://127.0.0.1:9"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, nobody)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "no-such-bundle.pem"))
    cluster = connect()
    assert cluster.list("Pod") == []
    assert cluster.exec("demo", "web", ["true"]).exit_code == 0


def test_proxy_of_the_kubeconfig_is_used(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("FIRST_ANSWER_FOR", "RECONNECT_FOR", "BUSY_FOR"):
        monkeypatch.setattr(connection_module, limit, 0.0)
    cluster = {"server": "http://cluster.invalid", "proxy-url": api.url}
    changed = {"clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "u", "user": {}}]}
    choice = choose(api.kubeconfig(tmp_path / "config", **changed), environment={}, home=tmp_path)
    Cluster.connect(choice)
    assert api.requests[0][1] == "http://cluster.invalid/version"


def test_many_threads_share_one_connection(api: ApiServer, cluster: Cluster) -> None:
    api.put("/api/v1/namespaces/demo/pods", {"metadata": {"name": "web"}})
    found: list[int] = []

    def ask() -> None:
        for _ in range(5):
            found.append(len(cluster.list("Pod", "demo")))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [1] * 40
