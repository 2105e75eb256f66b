"""Waits see every change, whatever happens to the connection meanwhile, and end when they should."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, Done, Failed, Pending, watch
from NetLibrary._mechanics.kube.wait import Outcome, condition, exists, gone

PODS = "/api/v1/namespaces/demo/pods"
Object = dict[str, Any]


def pod(name: str = "web", phase: str = "Pending", **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "status": {"phase": phase}}


def runs(objects: list[Object]) -> Outcome:
    """Goal: the pod runs; out of reach when it failed."""
    if not objects:
        return Pending("no pod")
    phase = objects[0]["status"]["phase"]
    if phase == "Failed":
        return Failed("the pod failed.")
    return Done(objects[0]["metadata"]["name"]) if phase == "Running" else Pending(f"pod is {phase}")


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAUSE_AFTER_DROP", 0.02)


@pytest.fixture
def waiting(cluster: Cluster) -> Any:
    """Starts a wait in a thread and returns its future."""
    with ThreadPoolExecutor() as pool:

        def start(goal: Any = runs, timeout: float = 12.0, **options: Any) -> Future[Any]:
            return pool.submit(cluster.wait, "Pod", "demo", goal, timeout=timeout, what="Pod 'web'", **options)

        yield start


def no_threads() -> bool:
    return not [t for t in threading.enumerate() if t.name.startswith("watch ")]


def test_goal_that_is_reached_already_ends_at_once(api: ApiServer, cluster: Cluster) -> None:
    api.put(PODS, pod(phase="Running"))
    assert cluster.wait("Pod", "demo", runs, timeout=20, what="Pod") == "web"


def test_change_is_seen_by_the_watch_and_told_once(api: ApiServer, waiting: Any) -> None:
    lines: list[str] = []
    api.put(PODS, pod())
    future = waiting(progress=lines.append)
    api.wait_for_watches()
    api.put(PODS, pod(phase="Pending"))
    api.put(PODS, pod(phase="Running"))
    assert future.result(20) == "web"
    assert lines == ["Pod 'web': pod is Pending"]
    assert len(api.seen("GET", "watch=true")) == 1


def test_lost_cause_fails_early_in_one_sentence(api: ApiServer, waiting: Any) -> None:
    future = waiting()
    api.wait_for_watches()
    api.put(PODS, pod(phase="Failed"))
    with pytest.raises(errors.WaitFailed) as caught:
        future.result(20)
    assert str(caught.value) == "Pod 'web': the pod failed."


def test_timeout_says_where_things_stood(api: ApiServer, waiting: Any) -> None:
    api.put(PODS, pod())
    with pytest.raises(errors.WaitTimeout) as caught:
        waiting(timeout=0.3).result(20)
    assert str(caught.value) == "Pod 'web': not reached within 0.3 s; at the end: pod is Pending."


def test_timeout_says_that_nobody_answered(api: ApiServer, waiting: Any) -> None:
    api.on("GET", PODS, lambda handler: handler.reset(), times=1000)
    with pytest.raises(errors.WaitTimeout) as caught:
        waiting(timeout=0.5).result(20)
    text = str(caught.value)
    assert text == (
        f"Pod 'web': not reached within 0.5 s; at the end: Cluster 'default' at {api.url} did not answer GET {PODS}: "
        "Connection reset by peer."
    )


def test_forbidden_watch_is_an_error_and_no_timeout(api: ApiServer, waiting: Any) -> None:
    api.refuse("GET", PODS, 403, "Forbidden", 'pods is forbidden: User "robot" cannot list resource "pods"')
    with pytest.raises(errors.Forbidden, match='403 Forbidden: pods is forbidden: User "robot"'):
        waiting().result(20)


def test_unauthorized_in_the_middle_is_an_error(api: ApiServer, waiting: Any) -> None:
    future = waiting()
    api.wait_for_watches()
    api.refuse("GET", PODS, 401, "Unauthorized", "Unauthorized", times=1000)
    api.drop_watches()
    begin = time.monotonic()
    with pytest.raises(errors.Unauthorized):
        future.result(20)
    assert time.monotonic() - begin < 9, "keys may be renewed just then, which takes no longer than a moment"


@pytest.mark.parametrize("times", [1, 3])
def test_dropped_watch_is_opened_again_and_misses_nothing(api: ApiServer, waiting: Any, times: int) -> None:
    api.put(PODS, pod())
    future = waiting()
    for _ in range(times):
        api.wait_for_watches()
        api.drop_watches()
        api.wait_for_requests("GET", "watch=true", 2)
    api.put(PODS, pod(phase="Running"))
    assert future.result(20) == "web"


def test_door_that_is_closed_for_a_moment_is_waited_for(api: ApiServer, waiting: Any) -> None:
    future = waiting()
    api.wait_for_watches()
    api.close_door()
    api.drop_watches()
    api.put(PODS, pod(phase="Running"))
    api.open_door()
    assert future.result(20) == "web"


@pytest.mark.parametrize(("code", "reason"), [(429, "TooManyRequests"), (500, "InternalError"), (503, "Unavailable")])
def test_trouble_that_passes_is_sat_out(api: ApiServer, waiting: Any, code: int, reason: str) -> None:
    api.refuse("GET", PODS, code, reason, "come again", times=3)
    api.put(PODS, pod(phase="Running"))
    assert waiting().result(20) == "web"


def test_expired_version_in_the_answer_lists_again(api: ApiServer, waiting: Any) -> None:
    api.put(PODS, pod())
    future = waiting()
    api.wait_for_watches()
    api.put(PODS, pod(phase="Running"), kind="BOOKMARK")  # a change that the watch is not told
    api.forget_history()
    api.drop_watches()
    assert future.result(20) == "web"
    assert len(api.seen("GET", PODS)) >= 4  # list, watch, watch refused with 410, list


def test_expired_version_as_an_event_lists_again(api: ApiServer, waiting: Any) -> None:
    api.put(PODS, pod())
    future = waiting()
    api.wait_for_watches()
    api.objects[PODS]["web"]["status"]["phase"] = "Running"
    api.objects[PODS]["web"]["metadata"]["resourceVersion"] = "9999"
    api.error_event(PODS, 410, "too old resource version")
    assert future.result(20) == "web"


def test_list_that_answers_410_is_asked_again(api: ApiServer, waiting: Any) -> None:
    api.refuse("GET", PODS, 410, "Expired", "the provided continue parameter is too old")
    api.put(PODS, pod(phase="Running"))
    assert waiting().result(20) == "web"


def test_other_error_event_opens_a_new_watch(api: ApiServer, waiting: Any) -> None:
    api.put(PODS, pod())
    future = waiting()
    api.wait_for_watches()
    api.error_event(PODS, 500, "etcd is restarting")
    api.wait_for_requests("GET", "watch=true", 2)
    api.put(PODS, pod(phase="Running"))
    assert future.result(20) == "web"


def test_object_that_vanished_while_nobody_watched_is_gone(api: ApiServer, waiting: Any) -> None:
    api.put(PODS, pod("one"))
    api.put(PODS, pod("two"))
    lines: list[str] = []
    future = waiting(gone(), progress=lines.append)
    api.wait_for_watches()
    api.remove(PODS, "one")
    with api.changed:
        api.objects[PODS].clear()
    api.forget_history()
    api.drop_watches()
    assert future.result(20) is None
    assert lines[0] == "Pod 'web': 2 left (one, two)"


def test_object_that_was_made_anew_under_its_name_counts_once(api: ApiServer, waiting: Any) -> None:
    api.put(PODS, pod())
    seen: list[int] = []

    def goal(objects: list[Object]) -> Outcome:
        seen.append(len(objects))
        return Done() if objects and objects[0]["status"]["phase"] == "Running" else Pending("not yet")

    future = waiting(goal)
    api.wait_for_watches()
    api.remove(PODS, "web")
    api.put(PODS, pod(phase="Running"))
    future.result(20)
    assert max(seen) == 1


def test_bookmarks_move_the_version_and_are_no_objects(api: ApiServer, waiting: Any) -> None:
    future = waiting(exists())
    api.wait_for_watches()
    api.bookmark(PODS)
    api.drop_watches(orderly=True)
    api.wait_for_requests("GET", "watch=true", 2)
    assert f"resourceVersion={api.version}" in api.seen("GET", "watch=true")[-1][1]
    api.put(PODS, pod())
    assert future.result(20)["metadata"]["name"] == "web"


def test_silent_connection_is_replaced(api: ApiServer, waiting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.2)
    monkeypatch.setattr(watch, "GRACE", 0.1)
    api.on("GET", "watch=true", lambda handler: handler.hang())
    api.put(PODS, pod())
    future = waiting()
    api.wait_for_requests("GET", "watch=true")
    api.put(PODS, pod(phase="Running"))
    assert future.result(20) == "web"


def test_server_that_hangs_up_at_once_is_not_hammered(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PAUSE_AFTER_DROP", 0.2)
    api.on("GET", "watch=true", lambda handler: handler.text(200, "", "application/json"), times=1000)
    with pytest.raises(errors.WaitTimeout):
        cluster.wait("Pod", "demo", exists(), timeout=0.7, what="Pod")
    assert len(api.seen("GET", "watch=true")) <= 5


def test_page_instead_of_events_is_told(api: ApiServer, cluster: Cluster) -> None:
    api.on("GET", "watch=true", lambda handler: handler.text(200, "<html>\nlog in\n</html>\n"), times=1000)
    with pytest.raises(errors.WaitTimeout, match=r"something that is not a Kubernetes answer: <html>"):
        cluster.wait("Pod", "demo", exists(), timeout=0.5, what="Pod")


def test_event_without_an_object_ends_the_wait_with_an_error(api: ApiServer, cluster: Cluster) -> None:
    api.on("GET", "watch=true", lambda handler: handler.text(200, '{"type": "ADDED"}\n', "application/json"))
    with pytest.raises(errors.ClusterError, match="answered the watch of /api/v1/namespaces/demo/pods with something"):
        cluster.wait("Pod", "demo", exists(), timeout=10, what="Pod")


def test_selectors_reach_the_server(api: ApiServer, cluster: Cluster) -> None:
    api.put(PODS, pod("other", phase="Running", app="other"))
    api.put(PODS, pod("web", phase="Running", app="web"))
    assert cluster.wait("Pod", "demo", runs, labels="app=web", timeout=20, what="Pod") == "web"
    assert cluster.wait("Pod", "demo", runs, name="other", timeout=20, what="Pod") == "other"
    assert cluster.wait("Pod", None, runs, name="web", timeout=20, what="Pod") == "web"


def test_condition_goal_takes_kind_and_api_version_from_the_list(api: ApiServer, cluster: Cluster) -> None:
    site = {"metadata": {"name": "hub"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    api.put("/apis/skupper.io/v2alpha1/namespaces/demo/sites", site)
    found = cluster.wait("Site.skupper.io", "demo", condition("Ready"), name="hub", timeout=20, what="Site")
    assert (found["kind"], found["apiVersion"]) == ("Site", "skupper.io/v2alpha1")


def test_watch_yields_present_state_and_changes_until_its_time_is_up(api: ApiServer, cluster: Cluster) -> None:
    api.put(PODS, pod())
    events = cluster.watch("Pod", "demo", timeout=20)
    assert next(events)[0] == "ADDED"
    api.wait_for_watches()
    api.put(PODS, pod(phase="Running"))
    assert next(events)[0] == "MODIFIED"
    api.remove(PODS, "web")
    assert next(events)[0] == "DELETED"
    events.close()
    assert list(cluster.watch("Pod", "demo", timeout=0.1)) == []


@pytest.mark.parametrize("state", ["watching", "listing", "hanging"])
def test_stop_ends_the_thread_at_once(api: ApiServer, cluster: Cluster, state: str) -> None:
    if state != "watching":
        pattern = "watch=true" if state == "hanging" else PODS
        api.on("GET", pattern, lambda handler: (handler.server_state.released.wait(30), handler.json(200, {}))[1])
    stream = watch.Watch(cluster.connection, PODS, {})
    if state == "watching":
        api.wait_for_watches()
    else:
        api.wait_for_requests("GET", PODS, 2 if state == "hanging" else 1)
    stream.stop()
    stream.stop()
    api.released.set()  # the answer comes after nobody wants it any more
    stream._thread.join(10)
    assert not stream._thread.is_alive()


def test_waits_leave_no_threads_behind(api: ApiServer, cluster: Cluster) -> None:
    for _ in range(3):
        with pytest.raises(errors.WaitTimeout):
            cluster.wait("Pod", "demo", exists(), timeout=0.05, what="Pod")
    for thread in [t for t in threading.enumerate() if t.name.startswith("watch ")]:
        thread.join(10)
    assert no_threads()


def test_followed_log_ends_with_the_container(api: ApiServer, cluster: Cluster) -> None:
    api.logs["web"] = "one\ntwo\n"
    assert list(cluster.follow_logs("demo", "web")) == ["one", "two"]
    assert cluster.logs("demo", "web", tail=2) == "one\ntwo\n"
    assert api.seen("GET", "/log")[-1][2] == {"tailLines": "2"}


def test_goal_that_raises_stops_the_watch(api: ApiServer, cluster: Cluster) -> None:
    def broken(_: list[Object]) -> Outcome:
        raise KeyError("status")

    failing: Callable[[list[Object]], Outcome] = broken
    with pytest.raises(KeyError):
        cluster.wait("Pod", "demo", failing, timeout=10, what="Pod")
    for thread in [t for t in threading.enumerate() if t.name.startswith("watch ")]:
        thread.join(10)
    assert no_threads()
