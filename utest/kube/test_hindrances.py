"""What stands in the way of a wait is found where only other objects tell it, and ends the wait when it is certain."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, hindrances, wait, why_not_ready
from NetLibrary._mechanics.kube.missing import missing_namespace, unusable_namespace

CORE, APPS, BATCH = "/api/v1/namespaces/demo", "/apis/apps/v1/namespaces/demo", "/apis/batch/v1/namespaces/demo"
Object = dict[str, Any]


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at once and often; certainty comes ten times as fast."""
    for name, value in (("FIRST_LOOK", 0.0), ("EVERY", 0.05), ("REFUSED_FOR", 0.3), ("LIMIT", 0.5)):
        monkeypatch.setattr(hindrances, name, value)
    monkeypatch.setattr(why_not_ready, "PATIENCE", 1.0)
    monkeypatch.setattr("NetLibrary._mechanics.kube.waiting.TICK", 0.1)


@pytest.fixture(autouse=True)
def namespace(api: ApiServer) -> None:
    api.put("/api/v1/namespaces", {"metadata": {"name": "demo"}})


def put_pod(api: ApiServer, name: str = "web-1", *, node: str = "node1", tier: str = "", **status: Any) -> Object:
    labels = {"app": "web", "tier": tier} if tier else {"app": "web"}
    metadata = {"name": name, "namespace": "demo", "labels": labels}
    obj = {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": "Pending", "startTime": "t", **status}}
    return api.put(f"{CORE}/pods", obj)


def event(api: ApiServer, about: Object, reason: str, message: str) -> None:
    name = f"{about['metadata']['name']}.{reason}"
    involved = {"uid": about["metadata"]["uid"], "name": about["metadata"]["name"]}
    api.put(
        f"{CORE}/events", {"metadata": {"name": name}, "involvedObject": involved, "reason": reason, "message": message}
    )


def put_deployment(api: ApiServer, **spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": "web", "tier": "front"}}}
    terms = [{"key": "tier", "operator": "In", "values": ["front"]}]
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": terms}
    obj = {
        "metadata": {"name": "web", "namespace": "demo", "generation": 1},
        "spec": {"replicas": 1, "selector": selector, "template": template, **spec},
        "status": {"observedGeneration": 1},
    }
    return api.put(f"{APPS}/deployments", obj)


def put_set(api: ApiServer, owner: Object, hashed: str, revision: int) -> Object:
    labels = {"app": "web", "tier": "front", "pod-template-hash": hashed}
    references = [{"kind": "Deployment", "uid": owner["metadata"]["uid"], "controller": True}]
    metadata = {
        "name": f"web-{hashed}", "namespace": "demo", "labels": labels, "ownerReferences": references,
        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
    }  # fmt: skip
    return api.put(
        f"{APPS}/replicasets",
        {"metadata": metadata, "spec": {"replicas": 1, "template": {"metadata": {"labels": labels}}}},
    )


def pods_message(cluster: Cluster, timeout: float = 0.5, labels: str = "app=web", **options: Any) -> str:
    goal = options.pop("goal", None) or wait.pods_ready(1)
    with pytest.raises((errors.WaitTimeout, errors.WaitFailed)) as caught:
        cluster.wait("Pod", "demo", goal, labels=labels, timeout=timeout, what="Pods", **options)
    return str(caught.value)


def test_labels_that_fit_no_pod_are_named_with_those_that_there_are(api: ApiServer, cluster: Cluster) -> None:
    put_pod(api)
    text = pods_message(cluster, labels="app=wbe")
    assert text.startswith("Pods: not reached within 0.5 s; at the end: 0/1 ready, no pod there.\n")
    assert "no pod in 'demo' has the labels 'app=wbe'; there are pods with app=web" in text


def test_namespace_that_is_missing_is_said_with_similar_ones(api: ApiServer, cluster: Cluster) -> None:
    with pytest.raises(errors.WaitTimeout, match="there is no namespace 'dmeo'; there is 'demo'"):
        cluster.wait("Pod", "dmeo", wait.pods_ready(1), labels="app=web", timeout=0.4, what="Pods")


def test_pods_in_a_namespace_that_somebody_deletes_are_given_up(api: ApiServer, cluster: Cluster) -> None:
    """They were waited for to the limit, long after they and the namespace were gone."""
    since = "2026-01-01T00:00:00Z"
    api.put("/api/v1/namespaces", {"metadata": {"name": "demo", "deletionTimestamp": since}})
    words = f"the namespace 'demo' is being deleted since {since}, so nothing can start in it"
    begin = time.monotonic()
    with pytest.raises(errors.WaitFailed, match=words):
        cluster.wait("Pod", "demo", wait.pods_ready(1), labels="app=web", timeout=20, what="Pods")
    assert time.monotonic() - begin < 8
    with pytest.raises(errors.WaitTimeout, match=words):
        cluster.wait("Pod", "demo", wait.exists(), labels="app=web", timeout=0.3, what="Pods")


def test_deployment_that_an_operator_is_still_to_make_is_waited_for(api: ApiServer, cluster: Cluster) -> None:
    lines: list[str] = []
    api.put(f"{APPS}/deployments", {"metadata": {"name": "web-ui"}, "spec": {}})
    ready = {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}

    def make() -> None:
        made = put_deployment(api)
        api.put(f"{APPS}/deployments", {**made, "status": ready})

    threading.Timer(0.5, make).start()
    cluster.wait(
        "Deployment", "demo", wait.deployment_available(), name="web", timeout=20, what="D", progress=lines.append
    )
    assert "D: not there yet; there is no Deployment 'web'; there is 'web-ui'" in lines


def test_default_account_that_a_controller_makes_late_is_waited_for(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart of the API server the controllers need longer than an account that is missing may take."""
    monkeypatch.setattr(why_not_ready, "PATIENCE", 0.5)
    missing = 'error looking up service account demo/default: serviceaccount "default" not found'
    owner = put_set(api, put_deployment(api), "b", 1)
    event(api, owner, "FailedCreate", f'Error creating: pods "web-x" is forbidden: {missing}')
    with pytest.raises(errors.WaitTimeout, match='serviceaccount "default" not found'):
        cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=6, what="D")


@pytest.mark.parametrize(
    "message",
    [
        'pods "web-x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3',
        'pods "web-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
        'admission webhook "policy.example.org" denied the request: no',
        'pods "web-x" is forbidden: error looking up service account demo/gone: serviceaccount "gone" not found',
    ],
)
@pytest.mark.parametrize("kind", ["Deployment", "Pod", "Job"])
def test_pods_that_may_not_be_made_end_the_wait_with_the_servers_words(
    api: ApiServer, cluster: Cluster, message: str, kind: str
) -> None:
    if kind == "Job":
        template = {"metadata": {"labels": {"app": "web"}}}
        owner = api.put(
            f"{BATCH}/jobs", {"metadata": {"name": "web", "namespace": "demo"}, "spec": {"template": template}}
        )
    else:
        owner = put_set(api, put_deployment(api), "b", 2)
    event(api, owner, "FailedCreate", f"Error creating: {message}")
    begin = time.monotonic()
    if kind == "Deployment":
        with pytest.raises(errors.WaitFailed) as caught:
            cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=20, what="D")
        text = str(caught.value)
    else:
        labels = "batch.kubernetes.io/job-name=web" if kind == "Job" else "app=web,tier in (front, back)"
        text = pods_message(cluster, 20, labels, goal=wait.pod_ended() if kind == "Job" else None)
    assert f"may not create its pods: Error creating: {message}." in text
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("reason", "said", "certain"),
    [
        ("ErrImagePull", "no such host", True),
        ("CrashLoopBackOff", "back-off", False),  # the Job itself counts them
        ("CreateContainerConfigError", 'secret "s" not found', True),
    ],
)
def test_job_whose_pod_cannot_start_is_given_up(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, reason: str, said: str, certain: bool
) -> None:
    """It was waited for to the limit: no pod ended, so the Job never failed."""
    monkeypatch.setattr(why_not_ready, "PATIENCE", 0.5)
    monkeypatch.setattr(hindrances, "EVERY", 0.3)
    api.put(f"{BATCH}/jobs", {"metadata": {"name": "load", "namespace": "demo"}, "spec": {}})
    pod = put_pod(api, containerStatuses=[{"name": "c", "state": {"waiting": {"reason": reason, "message": said}}}])
    api.put(
        f"{CORE}/pods", {**pod, "metadata": {**pod["metadata"], "labels": {"batch.kubernetes.io/job-name": "load"}}}
    )
    for goal in (wait.job_complete(), wait.job_finished()):
        with pytest.raises(errors.WaitFailed if certain else errors.WaitTimeout, match=reason):
            cluster.wait("Job", "demo", goal, name="load", timeout=20 if certain else 2.5, what="Job")
    with pytest.raises(errors.WaitTimeout):  # its removal needs no pod that starts
        cluster.wait("Job", "demo", wait.gone(), name="load", timeout=1.5, what="Job")


def at(api: ApiServer, about: Object, reason: str, stamp: str, message: str) -> None:
    involved = {"uid": about["metadata"]["uid"]}
    metadata = {"name": f"{reason}.{stamp}"}
    api.put(
        f"{CORE}/events",
        {
            "metadata": metadata,
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "lastTimestamp": stamp,
        },
    )


def test_refusal_that_has_passed_does_not_end_a_wait(api: ApiServer, cluster: Cluster) -> None:
    """Its event stays for an hour, beside the pods that were made since."""
    owner = put_set(api, put_deployment(api), "b", 2)
    at(api, owner, "FailedCreate", "2026-01-01T00:00:00Z", "exceeded quota: q")
    at(api, owner, "SuccessfulCreate", "2026-01-01T00:00:05Z", "Created pod: web-b-1")
    pod = put_pod(api, containerStatuses=[{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}])
    pod["metadata"]["labels"] = {"app": "web", "tier": "front", "pod-template-hash": "b"}
    api.put(f"{CORE}/pods", pod)
    with pytest.raises(errors.WaitTimeout) as caught:
        cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=1.5, what="D")
    assert "quota" not in str(caught.value)


def test_quota_is_waited_for_while_others_make_room(api: ApiServer, cluster: Cluster) -> None:
    owner = put_set(api, put_deployment(api), "b", 2)
    event(api, owner, "FailedCreate", "exceeded quota: q")
    leaving = put_pod(api, "leaving")
    leaving["metadata"] |= {"labels": {}, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    api.put(f"{CORE}/pods", leaving)
    with pytest.raises(errors.WaitTimeout, match="may not create its pods: exceeded quota: q"):
        cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=1.5, what="D")
    api.remove(f"{CORE}/pods", "leaving")
    with pytest.raises(errors.WaitFailed, match="may not create its pods: exceeded quota: q"):
        cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=20, what="D")


def test_only_the_newest_template_of_a_deployment_counts(api: ApiServer, cluster: Cluster) -> None:
    """A rollback: the ReplicaSet that is the older object has the newer revision."""
    deployment = put_deployment(api)
    put_set(api, deployment, "bad", 2)
    put_set(api, deployment, "good", 3)
    broken = {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "InvalidImageName"}}}]}
    for hashed, status in (("bad", broken), ("good", {})):
        pod = put_pod(api, f"web-{hashed}", **status)
        pod["metadata"]["labels"] = {"app": "web", "tier": "front", "pod-template-hash": hashed}
        api.put(f"{CORE}/pods", pod)
    with pytest.raises(errors.WaitTimeout) as caught:
        cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=2.5, what="D")
    assert "pod 'web-good': node 'node1' has not started it yet" in str(caught.value)
    assert "bad" not in str(caught.value)
    put_set(api, deployment, "bad", 4)
    with pytest.raises(errors.WaitFailed, match="pod 'web-bad' cannot get ready: container 'c' is InvalidImageName"):
        cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=20, what="D")


def test_volume_that_cannot_be_mounted_is_told_and_certain_when_its_source_is_missing(
    api: ApiServer, cluster: Cluster
) -> None:
    creating = [{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]
    pod = put_pod(api, containerStatuses=creating)
    event(api, pod, "FailedMount", 'MountVolume.SetUp failed for volume "v": timed out')
    assert "ContainerCreating: FailedMount: MountVolume.SetUp failed for volume" in pods_message(cluster, 1.5)
    event(api, pod, "FailedMount", 'MountVolume.SetUp failed for volume "v": secret "s" not found')
    api.put(f"{CORE}/secrets", {"metadata": {"name": "s"}})  # there now, but the kubelet has not tried again
    assert "not reached within 1.5 s" in pods_message(cluster, 1.5)
    api.remove(f"{CORE}/secrets", "s")
    text = pods_message(cluster, 20)
    assert text.startswith("Pods: pod 'web-1' cannot get ready: ContainerCreating: FailedMount: MountVolume")


def test_what_has_become_certain_is_told_then_and_not_at_the_next_look(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks two seconds apart came three apart, with the ticks between them; the end of ten seconds came at twelve."""
    monkeypatch.setattr(hindrances, "EVERY", 6.0)
    monkeypatch.setattr("NetLibrary._mechanics.kube.waiting.TICK", 6.0)
    pod = put_pod(api, containerStatuses=[{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}])
    event(api, pod, "FailedMount", 'MountVolume.SetUp failed for volume "v": secret "s" not found')
    begin = time.monotonic()
    assert "cannot get ready" in pods_message(cluster, 20)
    assert 1.0 <= time.monotonic() - begin < 4.0


def test_probe_that_fails_has_its_words_in_the_message(api: ApiServer, cluster: Cluster) -> None:
    pod = put_pod(
        api,
        phase="Running",
        containerStatuses=[{"name": "c", "ready": False, "state": {"running": {"startedAt": "t"}}}],
    )
    event(api, pod, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    assert "runs but is not ready: Readiness probe failed: HTTP probe failed with statuscode: 503" in pods_message(
        cluster
    )


def test_words_of_a_probe_are_told_although_their_end_is_in_the_pods_name(api: ApiServer, cluster: Cluster) -> None:
    """`statuscode: 404` was left out for a pod named `web-404`: the first line seemed to say it already."""
    state = {"running": {"startedAt": "t"}}
    pod = put_pod(api, "web-404", phase="Running", containerStatuses=[{"name": "c", "ready": False, "state": state}])
    event(api, pod, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404")
    assert "Readiness probe failed: HTTP probe failed with statuscode: 404" in pods_message(cluster)


def gone_message(cluster: Cluster, kind: str, namespace: str | None, name: str, timeout: float = 0.5) -> str:
    with pytest.raises(errors.WaitTimeout) as caught:
        cluster.wait(kind, namespace, wait.gone(), name=name, timeout=timeout, what="Removal")
    return str(caught.value)


def test_pods_that_keep_a_namespace_are_named_although_its_conditions_say_that_all_is_removed(
    api: ApiServer, cluster: Cluster
) -> None:
    """Kubernetes removes pods first since 1.33, and tells nothing of them: "1 left (demo)" was all that was said."""
    since = "2026-01-01T00:00:00Z"
    empty = {"type": "NamespaceContentRemaining", "status": "False", "message": "All content successfully removed"}
    metadata = {"name": "demo", "deletionTimestamp": since}
    api.put("/api/v1/namespaces", {"metadata": metadata, "status": {"conditions": [empty]}})
    pod = put_pod(api)
    assert "'demo/web-1'" not in gone_message(cluster, "Namespace", None, "demo"), "nobody has deleted it yet"
    pod["metadata"] |= {"deletionTimestamp": since, "finalizers": ["example.org/drain"]}
    api.put(f"{CORE}/pods", pod)
    assert "pod 'demo/web-1' is kept by the finalizer 'example.org/drain'" in gone_message(
        cluster, "Namespace", None, "demo"
    )


def test_pod_that_its_node_cannot_end_is_told_with_the_node(api: ApiServer, cluster: Cluster) -> None:
    since = "2026-01-01T00:00:00Z"
    pod = put_pod(api)
    api.put(f"{CORE}/pods", {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": since}})
    api.put("/api/v1/namespaces", {"metadata": {"name": "demo", "deletionTimestamp": since}})
    lost = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}
    api.put("/api/v1/nodes", {"metadata": {"name": "node1"}, "status": {"conditions": [lost]}})
    words = "pod 'demo/web-1' cannot end: its node 'node1' is not ready (Kubelet stopped posting node status.)"
    assert words in gone_message(cluster, "Namespace", None, "demo")
    assert words in gone_message(cluster, "Pod", "demo", "web-1")


def test_deployment_that_is_paused_says_so(api: ApiServer, cluster: Cluster) -> None:
    owner = put_deployment(api)
    api.put(f"{APPS}/deployments", {**owner, "spec": {**owner["spec"], "paused": True}})
    with pytest.raises(errors.WaitTimeout, match="it is paused, until somebody resumes it"):
        cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=0.5, what="D")


def test_deployment_whose_deadline_is_over_tells_what_its_pods_wait_for(api: ApiServer, cluster: Cluster) -> None:
    """All that was said was that its ReplicaSet "has timed out progressing"."""
    over = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    owner = put_deployment(api)
    api.put(f"{APPS}/deployments", {**owner, "status": {"observedGeneration": 1, "conditions": [over]}})
    put_set(api, owner, "abc", 1)
    state = {"waiting": {"reason": "ErrImageNeverPull", "message": "image is not present"}}
    pod = put_pod(api, containerStatuses=[{"name": "c", "state": state}])
    pod["metadata"]["labels"] |= {"tier": "front", "pod-template-hash": "abc"}
    api.put(f"{CORE}/pods", pod)
    with pytest.raises(errors.WaitFailed, match=r"(?s)timed out.*ErrImageNeverPull"):
        cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=5, what="D")


def test_hook_that_fails_is_no_crash_of_the_program(api: ApiServer, cluster: Cluster) -> None:
    """The kubelet ends the container and counts it as crashed, with an exit code that the program never gave."""
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    ended = {"terminated": {"exitCode": 137, "reason": "Error"}}
    pod = put_pod(api, containerStatuses=[{"name": "c", "restartCount": 2, "state": state, "lastState": ended}])
    event(api, pod, "FailedPostStartHook", "PostStartHook failed")
    assert "postStart" not in pods_message(cluster, 1.5)  # the event is another container's
    pod["spec"]["containers"] = [{"name": "c", "lifecycle": {"postStart": {"exec": {"command": ["false"]}}}}]
    api.put(f"{CORE}/pods", pod)
    text = "container 'c' is CrashLoopBackOff: back-off (exit code 137, Error): its postStart hook failed: PostStartHook failed"
    assert text in pods_message(cluster, 1.5)


def test_lost_node_is_named(api: ApiServer, cluster: Cluster) -> None:
    put_pod(
        api, phase="Running", containerStatuses=[{"name": "c", "ready": True, "state": {"running": {"startedAt": "t"}}}]
    )
    lost = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}
    api.put("/api/v1/nodes", {"metadata": {"name": "node1"}, "status": {"conditions": [lost]}})
    assert "its node 'node1' is not ready (Kubelet stopped posting node status.)" in pods_message(cluster)


def test_pod_whose_node_has_left_the_cluster_is_given_up(api: ApiServer, cluster: Cluster) -> None:
    """Nodes of an autoscaler come and go; such a pod was waited for until the limit."""
    pod = put_pod(api)
    api.put("/api/v1/nodes", {"metadata": {"name": "node2"}, "status": {}})
    text = pods_message(cluster, 20)
    assert "its node 'node1' has left the cluster" in text
    assert "not reached within" not in text
    api.put("/api/v1/nodes", {"metadata": {"name": "node1"}, "status": {}})
    assert "has left" not in pods_message(cluster, 1.5), pod


def test_kubelet_that_is_silent_is_found_before_its_condition_says_so(api: ApiServer, cluster: Cluster) -> None:
    api.put(
        "/api/v1/nodes",
        {"metadata": {"name": "node1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
    )
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    for name, stamp in (("node1", "2026-01-01T00:00:00Z"), ("node2", "2026-01-01T00:01:00Z")):
        api.put(leases, {"metadata": {"name": name}, "spec": {"renewTime": stamp}})
    pod = put_pod(api)
    del pod["status"]["startTime"]
    api.put(f"{CORE}/pods", pod)
    assert "the kubelet of node 'node1' has not been heard of for 60 s" in pods_message(cluster, 1.5)


def test_crash_has_its_last_lines_in_the_message(api: ApiServer, cluster: Cluster) -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    crashed = {"name": "c", "restartCount": 1, "state": waiting, "lastState": ended}
    put_pod(api, containerStatuses=[crashed])
    api.logs["web-1"] = "cannot bind port 80\n"
    threading.Timer(0.4, lambda: put_pod(api, containerStatuses=[{**crashed, "restartCount": 2}])).start()
    first, second = pods_message(cluster, 20).splitlines()
    assert (
        first == "Pods: pod 'web-1' cannot get ready: container 'c' is CrashLoopBackOff: back-off (exit code 1, Error)."
    )
    assert second == "last lines of 'demo/web-1' (c): cannot bind port 80"


@pytest.mark.parametrize("stays", [False, True])
def test_workload_that_is_available_for_the_moment_before_it_crashes_again_is_not(
    api: ApiServer, cluster: Cluster, stays: bool
) -> None:
    """Its controller counts a container without a readiness probe as available as soon as it runs."""
    started = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    running = {"name": "c", "restartCount": 2, "ready": True, "state": {"running": {"startedAt": started}}}
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    put_pod(api, containerStatuses=[running], tier="front", **ready)
    labels = {"app": "web", "tier": "front"}
    deployment = put_deployment(api, template={"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}})
    deployment["status"].update(updatedReplicas=1, replicas=1, availableReplicas=1)
    api.put(f"{APPS}/deployments", deployment)
    ended = {"terminated": {"exitCode": 3, "reason": "Error"}}
    crashed = {"name": "c", "restartCount": 2, "ready": False, "state": ended, "lastState": ended}

    def crash() -> None:
        while not any(method == "GET" and path.startswith(f"{CORE}/pods") for method, path, *_ in list(api.requests)):
            time.sleep(0.05)  # it is there when it is looked at first
        put_pod(api, containerStatuses=[crashed], tier="front", phase="Running")
        time.sleep(1.0)  # its controller takes its time
        deployment["status"].update(availableReplicas=0)
        api.put(f"{APPS}/deployments", deployment)

    if not stays:
        threading.Thread(target=crash, daemon=True).start()
    began = time.monotonic()
    if stays:
        cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=20, what="It")
        assert time.monotonic() - began >= why_not_ready.STEADY
        return
    with pytest.raises(errors.NetLibraryError, match="0/1 available"):
        cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=5, what="It")


def test_workload_does_not_wait_for_a_crashing_pod_of_another_whose_labels_its_selector_fits(
    api: ApiServer, cluster: Cluster
) -> None:
    """As that of a canary: the controller does not count it, and goes on saying that its own are available."""
    ended = {"terminated": {"exitCode": 3, "reason": "Error"}}
    put_pod(api, containerStatuses=[{"name": "c", "restartCount": 2, "state": ended}], tier="front", phase="Running")
    deployment = put_deployment(api)
    deployment["status"].update(updatedReplicas=1, replicas=1, availableReplicas=1)
    deployment["spec"]["template"]["spec"] = {"containers": [{"name": "c"}]}
    api.put(f"{APPS}/deployments", deployment)
    cluster.wait("Deployment", "demo", wait.deployment_available(), name="web", timeout=20, what="It")


def test_sentence_of_a_kubelet_that_has_no_log_is_none(api: ApiServer, cluster: Cluster) -> None:
    """It stood below the failure as the container's last lines."""
    ended = {"name": "c", "restartCount": 0, "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
    put_pod(api, containerStatuses=[ended])
    api.logs["web-1"] = "unable to retrieve container logs for containerd://61f0a452eed7"
    with pytest.raises(errors.NotFound, match="The log of pod 'demo/web-1' is gone: unable to retrieve"):
        cluster.logs("demo", "web-1")
    assert "unable to retrieve" not in pods_message(cluster, 5)


def test_account_that_may_see_nothing_else_still_gets_its_wait(api: ApiServer, cluster: Cluster) -> None:
    put_pod(api)
    for pattern in ("/events", "/nodes", "/leases", "/replicasets", "/log"):
        api.refuse("GET", pattern, 403, "Forbidden", "no", times=1000)
    assert "node 'node1' has not started it yet" in pods_message(cluster)


def test_waits_for_the_end_of_pods_are_not_ended_by_what_keeps_them_unready(api: ApiServer, cluster: Cluster) -> None:
    pod = put_pod(api, containerStatuses=[{"name": "c", "state": {"waiting": {"reason": "InvalidImageName"}}}])
    threading.Timer(3.0, lambda: api.remove(f"{CORE}/pods", pod["metadata"]["name"])).start()
    cluster.wait("Pod", "demo", wait.gone(), labels="app=web", timeout=20, what="Removal")


def test_command_and_log_go_to_the_first_container_where_none_is_named(api: ApiServer, cluster: Cluster) -> None:
    containers = [{"name": "web"}, {"name": "istio-proxy"}]
    api.put(f"{CORE}/pods", {"metadata": {"name": "two"}, "spec": {"containers": containers}})
    refusal = "a container name must be specified for pod two, choose one of: [web istio-proxy]"
    for pattern in ("/exec", "/log"):
        api.refuse("GET", pattern, 400, "BadRequest", refusal)
    assert cluster.exec("demo", "two", ["true"]).exit_code == 0
    cluster.logs("demo", "two")
    assert [r[2].get("container") for r in api.requests if "/exec" in r[1] or "/log" in r[1]] == [None, "web"] * 2
    annotated = {"name": "two", "annotations": {"kubectl.kubernetes.io/default-container": "istio-proxy"}}
    api.put(f"{CORE}/pods", {"metadata": annotated, "spec": {"containers": containers}})
    assert cluster.first_container("demo", "two") == "istio-proxy"


def test_namespace_that_is_being_deleted_is_no_missing_one(api: ApiServer, cluster: Cluster) -> None:
    """`Wait Until Pods Are Gone` and `Get Objects` failed there: "cannot look for anything there"."""
    api.put("/api/v1/namespaces", {"metadata": {"name": "demo", "deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert missing_namespace(cluster, "demo") == ""
    assert "is being deleted since" in unusable_namespace(cluster, "demo")
    assert missing_namespace(cluster, "dmeo") == unusable_namespace(cluster, "dmeo")
    assert "there is no namespace 'dmeo'; there is 'demo'" in missing_namespace(cluster, "dmeo")
