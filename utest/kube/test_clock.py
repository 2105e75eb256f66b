"""The cluster's clock is known from its answers, and agrees with ours where it does."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from robot_run import Run
from scripted_api import ApiServer

import NetLibrary
from NetLibrary._mechanics.kube import Cluster, times, wait
from NetLibrary._mechanics.kube.clock import Clock


@pytest.mark.parametrize("ahead", [3600.0, -3600.0, 30.0])
def test_clocks_that_differ_are_told_apart(api: ApiServer, connect: Callable[..., Cluster], ahead: float) -> None:
    api.clock_ahead = ahead
    assert connect().now() == pytest.approx(time.time() + ahead, abs=1.5)


def test_clocks_that_agree_within_the_seconds_of_a_date_are_one(
    api: ApiServer, connect: Callable[..., Cluster]
) -> None:
    cluster = connect()
    assert cluster.connection.clock.ahead == 0.0


def test_an_answer_that_took_a_while_is_no_difference() -> None:
    clock = Clock()
    clock.hear(formatdate(1000, usegmt=True), sent=990.0, received=1030.0)
    assert clock.ahead == 0.0


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Jan 1970 00:00:00 GMT"])
def test_answer_without_a_date_changes_nothing(date: str | None) -> None:
    clock = Clock()
    clock.hear(formatdate(5000, usegmt=True), sent=1000.0, received=1000.1)
    clock.hear(date, sent=1001.0, received=1001.1)
    assert clock.ahead == pytest.approx(4000, abs=1)


def _restarted(cluster_now: float, ago: float) -> dict[str, Any]:
    status = {
        "name": "c",
        "ready": True,
        "restartCount": 2,
        "state": {"running": {"startedAt": times.stamp(cluster_now - ago)}},
    }
    ready = {"type": "Ready", "status": "True"}
    return {
        "metadata": {"name": "web", "namespace": "demo", "uid": "u", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Running", "conditions": [ready], "containerStatuses": [status]},
    }


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_restart_is_old_or_new_by_the_clusters_clock(
    api: ApiServer, connect: Callable[..., Cluster], ahead: float
) -> None:
    api.clock_ahead = ahead
    cluster = connect()
    goal = wait.pods_ready(1, now=cluster.now)
    assert isinstance(goal([_restarted(time.time() + ahead, ago=40)]), wait.Done)
    assert isinstance(goal([_restarted(time.time() + ahead, ago=5)]), wait.Pending)


def test_wait_is_not_held_up_by_an_old_restart_where_our_clock_is_behind(api: ApiServer, tmp_path: Path) -> None:
    api.clock_ahead = 3600.0
    api.put("/api/v1/namespaces", {"metadata": {"name": "demo"}})
    api.put("/api/v1/namespaces/demo/pods", _restarted(time.time() + 3600, ago=40))
    text = "*** Test Cases ***\nRow\n    Wait Until Pods Are Ready    demo    app=web    timeout=2s"
    row = Run(tmp_path, api.kubeconfig(tmp_path / "kubeconfig"), text).tests["Row"]
    assert row.passed, row.message


def test_every_wait_for_pods_asks_the_clusters_clock() -> None:
    calls = [
        (file.name, call)
        for file in Path(NetLibrary.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).split(".")[-1] in ("pods_ready", "pod_ready_or_succeeded")
    ]
    assert len(calls) >= 10
    assert [f"{name}: {ast.unparse(c)}" for name, c in calls if "now" not in {k.arg for k in c.keywords}] == []
