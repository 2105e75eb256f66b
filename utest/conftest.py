"""Fixtures that several topics share: a scripted API server and a connection to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.kube import Cluster, choose
from NetLibrary._mechanics.kube import connection as connection_module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("cluster") and not os.environ.get("NETLIBRARY_TEST_KUBECONFIG"):
            item.add_marker(pytest.mark.skip(reason="NETLIBRARY_TEST_KUBECONFIG names no cluster"))
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(autouse=True)
def _secrets_of_one_test() -> Iterator[None]:
    """Forgets what a test has planted: words of it would be hidden in what later tests look at."""
    known = secrets._FILTER
    before = (dict(known._forms), set(known._pieces))
    yield
    with known._lock:
        known._forms, known._pieces = before
        known._pattern = known._ends = None


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """A scripted API server, stopped at the end of the test."""
    server = ApiServer()
    yield server
    server.stop()


@pytest.fixture
def connect(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    """Connects to the scripted API server, by default without repeating requests that were not answered."""

    def connected(*, repeat_for: float = 0.0, **options: Any) -> Cluster:
        for limit in ("FIRST_ANSWER_FOR", "RECONNECT_FOR", "BUSY_FOR"):
            monkeypatch.setattr(connection_module, limit, repeat_for)
        choice = choose(api.kubeconfig(tmp_path / "kubeconfig"), environment={}, home=tmp_path)
        return Cluster.connect(choice, **{"run_id": "run-1", **options})

    return connected


@pytest.fixture
def cluster(connect: Callable[..., Cluster]) -> Cluster:
    """A connection to the scripted API server."""
    return connect()
