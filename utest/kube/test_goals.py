"""What counts as ready, and how soon and in which words a lost cause is told."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any

import pytest

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import Done, Failed, Pending, wait
from NetLibrary._mechanics.kube import why_not_ready as trouble

Object = dict[str, Any]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that goals see; a test moves it on."""
    now = [1000.0]
    monkeypatch.setattr(trouble.time, "monotonic", lambda: now[0])
    return now


def pod(name: str = "web-1", *, ready: bool = False, phase: str = "Running", owner: str = "", **status: Any) -> Object:
    metadata: Object = {"name": name, "uid": name}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner, "name": "o", "controller": True}]
    conditions = [{"type": "Ready", "status": str(ready)}, *status.pop("conditions", [])]
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, "conditions": conditions, **status}}


def waiting(reason: str, message: str = "", **more: Any) -> list[Object]:
    return [{"name": "c", "ready": False, "state": {"waiting": {"reason": reason, "message": message}}, **more}]


LOST = {
    "ImagePullBackOff": (
        pod(containerStatuses=waiting("ImagePullBackOff", 'Back-off pulling image "nowhere/none:1"')),
        "container 'c' is ImagePullBackOff: Back-off pulling image \"nowhere/none:1\"",
    ),
    "InvalidImageName": (pod(containerStatuses=waiting("InvalidImageName")), "container 'c' is InvalidImageName"),
    "CreateContainerConfigError": (
        pod(containerStatuses=waiting("CreateContainerConfigError", 'secret "s" not found')),
        "container 'c' is CreateContainerConfigError: secret \"s\" not found",
    ),
    "init container": (
        pod(
            initContainerStatuses=waiting("ErrImagePull", "no such host"), containerStatuses=waiting("PodInitializing")
        ),
        "init container 'c' is ErrImagePull: no such host",
    ),
    "Evicted": (
        pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
        "it ended (Failed): The node was low on resource: memory.",
    ),
    "Succeeded": (pod(phase="Succeeded"), "it ended (Succeeded): no exit status known"),
}


SURE = ("InvalidImageName", "init container", "Evicted", "Succeeded")  # nothing that comes later changes these


@pytest.mark.parametrize("name", LOST)
def test_lost_cause_fails_after_patience_with_its_reason(name: str, clock: list[float]) -> None:
    bad, words = LOST[name]
    goal = wait.pods_ready(1)
    assert goal([bad]) == Pending(f"0/1 ready (web-1: {words})")
    clock[0] += (trouble.SECOND_LOOK if name in SURE else trouble.PATIENCE) - 0.1
    assert isinstance(goal([bad]), Pending)
    clock[0] += 0.2
    assert goal([bad]) == Failed(f"pod 'web-1' cannot get ready: {words}")


def pulling(reason: str, message: str) -> Object:
    return pod(containerStatuses=[{"name": "c", "state": {"waiting": {"reason": reason, "message": message}}}])


def test_pull_that_fails_has_one_patience_under_both_of_its_names(clock: list[float]) -> None:
    goal = wait.pods_ready(1)
    assert isinstance(goal([pulling("ErrImagePull", "i/o timeout")]), Pending)
    clock[0] += trouble.PATIENCE - 1
    assert isinstance(goal([pulling("ImagePullBackOff", "Back-off pulling image")]), Pending)
    clock[0] += 2
    assert isinstance(goal([pulling("ErrImagePull", "i/o timeout")]), Failed)


@pytest.mark.parametrize(
    ("message", "definite"),
    [
        ("dial tcp: lookup registry.invalid on 192.0.2.53:53: no such host", True),
        ('failed to resolve reference "example.org/none:1": example.org/none:1: not found', True),
        ("pull access denied, repository does not exist or may require authorization", True),
        ("dial tcp 192.0.2.1:443: i/o timeout", False),
        ("lookup example.org on 192.0.2.53:53: server misbehaving", False),
    ],
)
def test_definite_answer_of_a_registry_needs_only_a_second_look(
    message: str, definite: bool, clock: list[float]
) -> None:
    goal = wait.pods_ready(1)
    assert isinstance(goal([pulling("ErrImagePull", message)]), Pending)
    clock[0] += trouble.SECOND_LOOK
    assert isinstance(goal([pulling("ErrImagePull", message)]), Failed if definite else Pending)


def test_trouble_that_passes_in_time_is_forgiven(clock: list[float]) -> None:
    goal = wait.pods_ready(1)
    assert isinstance(goal([LOST["ImagePullBackOff"][0]]), Pending)
    clock[0] += trouble.PATIENCE + 1
    ready = pod(ready=True)
    assert goal([ready]) == Done([ready])


def crashing(restarts: int, name: str = "c") -> Object:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    return pod(containerStatuses=waiting("CrashLoopBackOff", "back-off 10s", lastState=ended, restartCount=restarts))


def test_crash_loop_is_certain_when_another_start_was_seen_to_crash(clock: list[float]) -> None:
    words = "container 'c' is CrashLoopBackOff: back-off 10s (exit code 137, OOMKilled)"
    running = pod(containerStatuses=[{"name": "c", "ready": False, "state": {"running": {"startedAt": "t"}}}])
    goal = wait.pods_ready(1)
    assert goal([crashing(7)]) == Pending(f"0/1 ready (web-1: {words})")
    clock[0] += 250  # what it needs may be there now, and its next start is due in up to five minutes
    assert isinstance(goal([crashing(7)]), Pending)
    assert goal([running]) == Pending("0/1 ready (web-1: container 'c' runs but is not ready)")
    assert goal([crashing(8)]) == Failed(f"pod 'web-1' cannot get ready: {words}")


def test_crash_is_certain_before_the_next_pause_begins(clock: list[float]) -> None:
    def ended(restarts: int) -> Object:
        state = {"terminated": {"exitCode": 1, "reason": "Error"}}
        return pod(containerStatuses=[{"name": "c", "restartCount": restarts, "state": state}])

    goal = wait.pods_ready(1)
    for restarts in (0, 1):  # the first two ends come within a second, before there is any pause
        assert isinstance(goal([ended(restarts)]), Pending)
    assert goal([ended(2)]) == Failed("pod 'web-1' cannot get ready: container 'c' ended: exit code 1, Error")


def test_pod_that_nobody_takes_is_waited_for_with_the_schedulers_words(clock: list[float]) -> None:
    refused = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    goal, bad = wait.pods_ready(1), pod(phase="Pending", conditions=[refused])
    for _ in range(2):
        assert goal([bad]) == Pending("0/1 ready (web-1: Unschedulable: 0/3 nodes are available)")
        clock[0] += 1000


STATES = {
    "sidecar": (
        {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}]},
        {
            "initContainerStatuses": [{"name": "proxy", "ready": False, "state": {"running": {}}}],
            "containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}}],
        },
        "sidecar 'proxy' runs but is not ready",
    ),
    "init container between two tries": (
        {},
        {"initContainerStatuses": [{"name": "db", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]},
        "init container 'db' ended: exit code 3, Error",
    ),
    "init container that takes its time": (
        {},
        {
            "initContainerStatuses": [{"name": "db", "state": {"running": {}}}],
            "containerStatuses": waiting("PodInitializing"),
        },
        "init container 'db' still runs",
    ),
    "the container that crashed, not the one that did once": (
        {},
        {
            "containerStatuses": [
                {
                    "name": "a", "ready": True, "state": {"running": {}},
                    "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
                },
                {"name": "web", "state": {"terminated": {"exitCode": 42, "reason": "Error", "message": "no port\n"}}},
            ]
        },
        "container 'web' ended: exit code 42, Error: no port",
    ),
    "startup probe": (
        {},
        {"containerStatuses": [{"name": "c", "ready": False, "started": False, "state": {"running": {}}}]},
        "container 'c' runs but has not passed its startup probe",
    ),
    "readiness gate": (
        {"readinessGates": [{"conditionType": "example.org/lb"}]},
        {"containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}}]},
        "its readiness gate 'example.org/lb' is not true (not set)",
    ),
    "node that does not report": (
        {"nodeName": "node3"},
        {"containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}}]},
        "its containers are ready, but it is not on node 'node3'",
    ),
    "node that has not taken it": ({"nodeName": "node3"}, {}, "node 'node3' has not started it yet"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_state_is_told_in_the_right_words(name: str) -> None:
    spec, status, words = STATES[name]
    bad = pod(**status)
    bad["spec"] = spec
    assert trouble.problem(bad).text == words


def test_container_that_ended_for_good_beside_a_sidecar_is_certain(clock: list[float]) -> None:
    ended = {"name": "c", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
    bad = pod(containerStatuses=[ended, {"name": "istio-proxy", "ready": True, "state": {"running": {}}}])
    bad["spec"] = {"restartPolicy": "Never"}
    goal = wait.pods_ready(1)
    goal([bad])
    clock[0] += trouble.SECOND_LOOK
    assert goal([bad]) == Failed("pod 'web-1' cannot get ready: container 'c' ended: exit code 1, Error")


def test_run_ends_with_its_own_container_and_not_with_the_sidecar() -> None:
    ended = {"name": "iperf3", "state": {"terminated": {"exitCode": 0}}}
    job = pod(containerStatuses=[ended, {"name": "istio-proxy", "ready": True, "state": {"running": {}}}])
    job["spec"] = {"restartPolicy": "Never", "containers": [{"name": "iperf3"}, {"name": "istio-proxy"}]}
    assert isinstance(wait.pod_ended("iperf3")([job]), Done)
    assert isinstance(wait.pod_ended()([job]), Pending)


def of_template(name: str, template: str, born: str, **options: Any) -> Object:
    made = pod(name, **options)
    made["metadata"] |= {
        "labels": {"pod-template-hash": template}, "creationTimestamp": born,
        "ownerReferences": [{"kind": "ReplicaSet", "name": f"web-{template}", "controller": True}],
    }  # fmt: skip
    return made


def test_mended_deployment_is_not_called_broken_because_of_its_old_pod(clock: list[float]) -> None:
    old = of_template("web-a-1", "a", "2026-01-01T00:00:00Z", containerStatuses=waiting("ErrImagePull", "not found"))
    new = of_template("web-b-1", "b", "2026-01-01T00:05:00Z", containerStatuses=waiting("ContainerCreating"))
    goal = wait.pods_ready(1)
    for _ in range(2):
        assert goal([old, new]) == Pending("0/1 ready (web-b-1: ContainerCreating)")
        clock[0] += 60


def test_old_pods_of_a_stuck_rollout_do_not_count() -> None:
    old = [of_template(f"web-a-{n}", "a", "2026-01-01T00:00:00Z", ready=True) for n in "12"]
    new = of_template("web-b-1", "b", "2026-01-01T00:05:00Z")
    assert wait.pods_ready(2)([*old, new]) == Pending("0/2 ready (web-b-1: Running)")
    assert isinstance(wait.pods_ready(2)(old), Done)


def test_crash_loop_that_is_ready_for_a_moment_is_not_ready(clock: list[float]) -> None:
    """A container without a probe is ready while it runs, also when it crashes right after."""

    def run(restarts: int, ago: float = 1) -> Object:
        started = datetime.fromtimestamp(time.time() - ago, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        state = {"running": {"startedAt": started}}
        return pod(
            ready=True, containerStatuses=[{"name": "c", "ready": True, "restartCount": restarts, "state": state}]
        )

    goal = wait.pods_ready(1)
    assert goal([run(2)]) == Pending(
        "0/1 ready (web-1: it is ready, but was restarted 2 times, the last time just now)"
    )
    assert isinstance(goal([crashing(2)]), Pending)
    clock[0] += trouble.STEADY + 1
    assert isinstance(goal([run(3)]), Pending)  # not the run that was seen before
    clock[0] += trouble.STEADY
    assert isinstance(goal([run(3)]), Done)
    assert isinstance(wait.pods_ready(1)([run(2, ago=3600)]), Done)  # an old story
    assert isinstance(wait.pods_ready(1)([run(0)]), Done)


@pytest.mark.parametrize("state", [{"waiting": {"reason": "ContainerCreating"}}, {"running": {"startedAt": "t"}}, {}])
def test_slow_start_is_never_a_lost_cause(state: Object, clock: list[float]) -> None:
    goal = wait.pods_ready(1)
    slow = pod(containerStatuses=[{"name": "c", "ready": False, "state": state}])
    goal([slow])
    clock[0] += 1000
    assert isinstance(goal([slow]), Pending)


def test_pod_that_its_controller_replaces_is_no_lost_cause(clock: list[float]) -> None:
    evicted = pod("web-old", phase="Failed", reason="Evicted", owner="ReplicaSet")
    starting = pod("web-new", containerStatuses=waiting("ContainerCreating"))
    goal = wait.pods_ready(1)
    goal([evicted, starting])
    clock[0] += 1000
    assert goal([evicted, starting]) == Pending("0/1 ready (web-new: ContainerCreating)")


def test_pod_of_a_job_that_failed_stays_a_lost_cause(clock: list[float]) -> None:
    failed = pod(phase="Failed", owner="Job")
    goal = wait.pods_ready(1)
    goal([failed])
    clock[0] += 1000
    assert isinstance(goal([failed]), Failed)


def test_pods_that_are_deleted_do_not_count() -> None:
    doomed = pod(ready=True)
    doomed["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert wait.pods_ready(1)([doomed]) == Pending("0/1 ready, no pod there")


def test_surplus_is_fine() -> None:
    pods = [pod("a", ready=True), pod("b", ready=True)]
    assert wait.pods_ready(1)(pods) == Done(pods)


def test_zero_pods_are_asked_for_and_three_are_there() -> None:
    pods = [pod("a", ready=True), pod("b"), pod("c", phase="Failed")]
    assert wait.pods_ready(0)(pods) == Pending("2 left (a, b)")
    assert wait.pods_ready(0)(pods[2:]) == Done([])
    assert wait.pods_ready(0)([]) == Done([])


def deployment(generation: int = 2, replicas: int = 3, **status: Any) -> Object:
    return {"metadata": {"generation": generation}, "spec": {"replicas": replicas}, "status": status}


@pytest.mark.parametrize(
    ("obj", "outcome"),
    [
        (deployment(), Pending("the controller has not seen it yet")),
        (
            deployment(observedGeneration=2, updatedReplicas=1, availableReplicas=3),
            Pending("3/3 available, 1 of the newest template"),
        ),
        (
            deployment(
                observedGeneration=2,
                conditions=[
                    {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}
                ],
            ),
            Failed("late"),
        ),
    ],
)
def test_deployment_that_is_not_there_yet(obj: Object, outcome: object) -> None:
    assert wait.deployment_available()([obj]) == outcome
    assert wait.deployment_available()([]) == Pending("not there yet")


def test_deployment_is_available_only_when_the_old_pods_are_gone() -> None:
    full = {"observedGeneration": 2, "updatedReplicas": 3, "availableReplicas": 3}
    obj = deployment(**full)
    obj["status"]["replicas"] = 4
    assert isinstance(wait.deployment_available()([obj]), Pending)
    obj["status"]["replicas"] = 3
    assert wait.deployment_available()([obj]) == Done(obj)


def test_daemonset_rolls_out() -> None:
    obj: Object = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "desiredNumberScheduled": 3}}
    assert wait.daemonset_rolled_out()([obj]) == Pending("0/3 available, 0 of the newest template")
    obj["status"].update(updatedNumberScheduled=3, numberAvailable=3)
    assert wait.daemonset_rolled_out()([obj]) == Done(obj)
    assert wait.daemonset_rolled_out()([]) == Pending("not there yet")


@pytest.mark.parametrize("end", ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"])
def test_job_ends_well_or_not(end: str) -> None:
    job: Object = {"status": {"active": 1, "conditions": [{"type": end, "status": "False"}]}}
    assert wait.job_finished()([job]) == Pending("1 active, 0 failed")
    job["status"]["conditions"][0]["status"] = "True"
    assert wait.job_finished()([job]) == Done(job)
    assert wait.job_finished()([]) == Pending("not there yet")


def test_pod_ended_takes_success_failure_and_lost_causes(clock: list[float]) -> None:
    assert wait.pod_ended()([]) == Pending("no pod yet")
    for phase in ("Succeeded", "Failed"):
        ended = pod(phase=phase)
        assert wait.pod_ended()([ended]) == Done(ended)
    goal = wait.pod_ended()
    assert goal([pod(containerStatuses=[{"name": "c", "state": {"running": {"startedAt": "t"}}}])]) == Pending(
        "running"
    )
    bad, words = LOST["ImagePullBackOff"]
    assert goal([bad]) == Pending(words)
    clock[0] += trouble.PATIENCE
    assert goal([bad]) == Failed(f"pod 'web-1' cannot start: {words}")


def test_condition_tells_what_is_missing() -> None:
    goal = wait.condition("Ready")
    assert goal([]) == Pending("not there yet")
    assert goal([{"status": {}}]) == Pending("condition Ready is not set yet")
    obj: Object = {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Waiting"}]}}
    assert goal([obj]) == Pending("Ready is False: Waiting")
    assert wait.condition("Ready", "False")([obj]) == Done(obj)


def test_gone_and_exists() -> None:
    objects = [{"metadata": {"name": name}} for name in "cab"]
    assert wait.gone()(objects) == Pending("3 left (a, b, c)")
    assert wait.gone()([]) == Done()
    remaining = {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "example.org/keep in 1 resource"}
    metadata = {"name": "demo", "deletionTimestamp": "t", "finalizers": ["example.org/other"]}
    assert wait.gone()([{"kind": "Namespace", "metadata": metadata, "status": {"conditions": [remaining]}}]) == Pending(
        "1 left (demo): example.org/keep in 1 resource; 'demo' is kept by the finalizer 'example.org/other'"
    )
    assert wait.exists()([]) == Pending("not there yet")
    assert wait.exists()(objects) == Done(objects[0])


def test_trouble_that_is_certain_first_is_told_first_with_all_others() -> None:
    """An image that no registry has was waited for until the container beside it had crashed again."""
    crashing = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    missing = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
    told = trouble.problem(
        {
            "metadata": {"name": "web"},
            "status": {
                "phase": "Running",
                "containerStatuses": [
                    {"name": "eater", "restartCount": 1, "state": crashing, "lastState": ended},
                    {"name": "other", "restartCount": 0, "state": missing},
                ],
            },
        }
    )
    assert told.text == (
        "container 'other' is ErrImagePull: not found; "
        "container 'eater' is CrashLoopBackOff: back-off (exit code 137, OOMKilled)"
    )
    assert (told.reason, told.container, told.patience) == ("ErrImagePull", "other", 2.0)


def test_count_below_zero_was_reached_by_no_pod_at_all() -> None:
    with pytest.raises(InputError, match="count is -1; allowed: 0 and more"):
        wait.pods_ready(-1)
