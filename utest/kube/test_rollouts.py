"""Workloads that are scaled, given another image, restarted and undone; and when their rollouts are over."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, rollouts
from NetLibrary._mechanics.kube.cleanup import delete_run
from NetLibrary._mechanics.kube.pods import PodSettings
from NetLibrary._mechanics.kube.wait import Done, Pending, statefulset_rolled_out

APPS = "/apis/apps/v1/namespaces/shop"
DEPLOYMENTS = f"{APPS}/deployments"


def template(image: str, *, env: str = "") -> dict[str, Any]:
    container: dict[str, Any] = {"name": "web", "image": image}
    if env:
        container["env"] = [{"name": env, "value": "1"}]
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}


def workload(image: str = "web:2", replicas: int = 2, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "generation": 1, "uid": "w"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image),
            **spec,
        },
        "status": {"observedGeneration": 1},
    }


def replica_set(number: int, image: str, owner: str = "w") -> dict[str, Any]:
    metadata = {
        "name": f"web-{number}-{owner}",
        "namespace": "shop",
        "labels": {"app": "web", "pod-template-hash": str(number)},
        "annotations": {rollouts.REVISION: str(number)},
        "ownerReferences": [{"uid": owner, "kind": "Deployment", "name": "web", "controller": True}],
    }
    hashed = template(image)
    hashed["metadata"]["labels"]["pod-template-hash"] = str(number)
    return {"metadata": metadata, "spec": {"template": hashed}}


def image_of(api: ApiServer, collection: str = DEPLOYMENTS) -> str:
    return str(api.objects[collection]["web"]["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.parametrize("word", ["Deployment", "deployment", "deploy", "deployments"])
def test_workloads_are_named_as_kubectl_does(cluster: Cluster, word: str) -> None:
    assert rollouts.workload_kind(cluster, word) == "Deployment"


def test_a_kind_without_rollouts_is_refused(cluster: Cluster) -> None:
    with pytest.raises(errors.InputError, match="kind is 'pod'; allowed: Deployment, DaemonSet, StatefulSet"):
        rollouts.workload_kind(cluster, "pod")


def test_a_foreign_workload_is_scaled_and_has_its_old_number_again(api: ApiServer, cluster: Cluster) -> None:
    api.put(DEPLOYMENTS, workload(replicas=2))
    assert rollouts.scale(cluster, "Deployment", "web", "shop", 5)["spec"]["replicas"] == 5
    assert delete_run(cluster) == []
    assert api.objects[DEPLOYMENTS]["web"]["spec"]["replicas"] == 2
    with pytest.raises(errors.InputError, match="replicas is -1; allowed: 0 and more"):
        rollouts.scale(cluster, "Deployment", "web", "shop", -1)


def test_an_image_is_set_and_taken_back(api: ApiServer, cluster: Cluster) -> None:
    api.put(DEPLOYMENTS, workload("web:1"))
    rollouts.set_image(cluster, "Deployment", "web", "shop", "web:2", None)
    assert image_of(api) == "web:2"
    assert delete_run(cluster) == []
    assert image_of(api) == "web:1"


def test_an_image_comes_from_the_registry_of_the_run(api: ApiServer, cluster: Cluster) -> None:
    cluster.pod_settings = lambda: PodSettings(registry="registry.example")
    api.put(DEPLOYMENTS, workload("web:1"))
    rollouts.set_image(cluster, "Deployment", "web", "shop", "quay.io/shop/web:2", "web")
    assert image_of(api) == "registry.example/shop/web:2"


def test_of_several_containers_one_must_be_named(api: ApiServer, cluster: Cluster) -> None:
    obj = workload()
    obj["spec"]["template"]["spec"]["containers"].append({"name": "proxy", "image": "proxy:1"})
    obj["spec"]["template"]["spec"]["initContainers"] = [{"name": "init", "image": "init:1"}]
    api.put(DEPLOYMENTS, obj)
    with pytest.raises(errors.InputError, match=r"container is missing; .* has several: web, proxy"):
        rollouts.set_image(cluster, "Deployment", "web", "shop", "web:3", None)
    with pytest.raises(errors.InputError, match=r"container is 'wbe'; .* has web, proxy, init"):
        rollouts.set_image(cluster, "Deployment", "web", "shop", "web:3", "wbe")
    with pytest.raises(errors.InputError, match="give 'web:3', and the container by container=web"):
        rollouts.set_image(cluster, "Deployment", "web", "shop", "web=web:3", None)
    rollouts.set_image(cluster, "Deployment", "web", "shop", "init:2", "init")
    spec = api.objects[DEPLOYMENTS]["web"]["spec"]["template"]["spec"]
    assert [each["image"] for each in spec["initContainers"]] == ["init:2"]
    assert [each["image"] for each in spec["containers"]] == ["web:2", "proxy:1"]


def test_undo_takes_the_revision_before_the_present_one(api: ApiServer, cluster: Cluster) -> None:
    obj = workload("web:3")
    obj["spec"]["template"] = template("web:3", env="NEW")
    api.put(DEPLOYMENTS, obj)
    for number, image in ((1, "web:1"), (2, "web:2"), (10, "web:3")):
        api.put(f"{APPS}/replicasets", replica_set(number, image))
    api.put(f"{APPS}/replicasets", replica_set(9, "others:1", owner="somebody-else"))
    _, number = rollouts.undo(cluster, "Deployment", "web", "shop")
    assert (number, image_of(api)) == (2, "web:2")
    changed = api.objects[DEPLOYMENTS]["web"]["spec"]["template"]
    assert changed == template("web:2"), "neither the hash of a ReplicaSet nor what came later is left in it"
    assert rollouts.undo(cluster, "Deployment", "web", "shop", 1)[1] == 1
    with pytest.raises(errors.InputError, match=r"to_revision is 7; Deployment 'shop/web' has 1, 2, 10\."):
        rollouts.undo(cluster, "Deployment", "web", "shop", 7)


def test_undo_waits_until_the_last_change_was_seen(api: ApiServer, cluster: Cluster, monkeypatch: Any) -> None:
    """Just after a change its revision is not there yet, and the one before would be one too many."""
    obj = workload("web:3")
    obj["metadata"]["generation"] = 2
    api.put(DEPLOYMENTS, obj)
    monkeypatch.setattr(rollouts, "CONTROLLER_PATIENCE", 0.3)
    with pytest.raises(errors.WaitTimeout, match="its controller has not seen the last change yet"):
        rollouts.undo(cluster, "Deployment", "web", "shop")


def test_undo_without_an_earlier_revision_is_refused(api: ApiServer, cluster: Cluster) -> None:
    api.put(DEPLOYMENTS, workload())
    api.put(f"{APPS}/replicasets", replica_set(1, "web:2"))
    with pytest.raises(errors.InputError, match="has no earlier revision to go back to"):
        rollouts.undo(cluster, "Deployment", "web", "shop")


def test_statefulsets_have_their_revisions_elsewhere(api: ApiServer, cluster: Cluster) -> None:
    api.put(f"{APPS}/statefulsets", {**workload("web:2"), "kind": "StatefulSet"})
    for number in (1, 2):
        metadata = {"name": f"r{number}", "labels": {"app": "web"}, "ownerReferences": [{"uid": "w"}]}
        data = {"spec": {"template": {**template(f"web:{number}"), "$patch": "replace"}}}
        api.put(f"{APPS}/controllerrevisions", {"metadata": metadata, "revision": number, "data": data})
    rollouts.undo(cluster, "StatefulSet", "web", "shop")
    assert image_of(api, f"{APPS}/statefulsets") == "web:1"
    assert "$patch" not in api.objects[f"{APPS}/statefulsets"]["web"]["spec"]["template"]


@pytest.mark.parametrize(
    ("spec", "status", "done"),
    [
        ({}, {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}, True),
        ({}, {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 1}, False),
        ({}, {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 2}, False),
        ({}, {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 3}, False),
        (
            {"updateStrategy": {"rollingUpdate": {"partition": 1}}},
            {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 1},
            True,
        ),
        ({"updateStrategy": {"type": "OnDelete"}}, {"replicas": 2, "readyReplicas": 2}, True),
        ({"replicas": 0}, {}, True),
    ],
)
def test_a_statefulset_has_rolled_out(spec: Any, status: Any, done: bool) -> None:
    obj = workload(**{"replicas": 2, **spec})
    obj["status"] = {"observedGeneration": 1, "updateRevision": "b", "currentRevision": "a", **status}
    assert isinstance(statefulset_rolled_out()([obj]), Done if done else Pending)


def test_a_rollout_that_the_controller_has_not_seen_is_not_over() -> None:
    obj = workload()
    obj["metadata"]["generation"] = 2
    assert isinstance(statefulset_rolled_out()([obj]), Pending)
    assert isinstance(statefulset_rolled_out()([]), Pending)
