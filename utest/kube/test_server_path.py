"""A server whose URL has a path, as Rancher gives them: everything that asks goes below it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted_api import ApiServer
from scripted_exec import Command

from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.wait import Done

PODS = "/api/v1/namespaces/demo/pods"


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    server.prefix = "/k8s/clusters/c-x7k2z"
    yield server
    server.stop()


def test_objects_are_read_written_and_watched_below_the_path(cluster: Cluster, api: ApiServer) -> None:
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "demo"}, "spec": {}})
    assert [pod["metadata"]["name"] for pod in cluster.list("Pod", "demo")] == ["web"]
    assert cluster.wait("Pod", "demo", lambda pods: Done(pods), timeout=5, what="Pod")
    assert cluster.list("Site", "demo") == [], "kinds are looked up there, too"


def test_commands_run_below_the_path(cluster: Cluster, api: ApiServer) -> None:
    def answer(command: Command) -> None:
        command.stdout(b"hello\n")
        command.exit(0)

    api.command = answer
    assert cluster.exec("demo", "web", ["echo", "hello"]).stdout == "hello\n"


def test_other_libraries_ask_below_the_path(cluster: Cluster) -> None:
    from kubernetes.client import CoreV1Api
    from RequestsLibrary import RequestsLibrary

    from NetLibrary._mechanics.kube.lending import LentClient
    from NetLibrary.keywords.sharing import prepare

    library = RequestsLibrary()
    prepare(library.create_session("cluster", cluster.server), cluster)
    assert library.get_on_session("cluster", "/version").json() == {"gitVersion": "v1.99.0"}
    answer = CoreV1Api(LentClient(cluster.connection)).list_namespaced_pod("demo", _preload_content=False)
    assert answer.status == 200
