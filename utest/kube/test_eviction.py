"""Drains, evictions and taints: who goes, who stays, who holds, and what is put back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from robot_run import Run
from scripted_api import ApiServer, status

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, eviction, taints
from NetLibrary._mechanics.kube.cleanup import delete_run

PODS = "/api/v1/namespaces/shop/pods"
NODES = "/api/v1/nodes"


def pod(name: str, owner: str = "ReplicaSet", **changes: Any) -> dict[str, Any]:
    references = [{"kind": owner, "name": f"{name}-owner", "uid": "o", "apiVersion": "apps/v1", "controller": True}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "ownerReferences": references if owner else []},
        "spec": {"nodeName": "node1", "containers": [{"name": "c"}]},
        "status": {"phase": "Running"},
        **changes,
    }


def plan(cluster: Cluster, **options: Any) -> eviction.Plan:
    return eviction.plan_drain(
        cluster, "node1", **{"labels": None, "force": False, "delete_emptydir_data": False, **options}
    )


def names(pods: Any) -> list[str]:
    return sorted((each[0] if isinstance(each, tuple) else each)["metadata"]["name"] for each in pods)


def test_labels_that_no_pod_of_the_node_has_are_told(api: ApiServer, cluster: Cluster) -> None:
    """A drain with a misspelt label evicted nothing and passed, and what it should prove was proven by nothing."""
    api.put(PODS, pod("web", metadata={"name": "web", "namespace": "shop", "labels": {"app": "web"}}))
    assert plan(cluster, labels="app=wbe").pods == []
    assert eviction.nothing_to_evict(cluster, "node1", "app=wbe", "shop") == (
        "There is no pod with the labels 'app=wbe' in namespace 'shop' on node 'node1'; there are pods with app=web."
    )
    assert names(plan(cluster, namespace="shop").pods) == ["web"]


def evicting(api: ApiServer, budget: str = "", holds: int = 0) -> None:
    """Has evictions delete pods, after a budget has refused some of them."""
    left = [holds]

    def answer(handler: Any) -> None:
        name = handler.path.split("/")[-2]
        if left[0]:
            left[0] -= 1
            body = status(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
            words = f"The disruption budget {budget} needs 2 healthy pods and has 2 currently"
            body["details"] = {"causes": [{"reason": "DisruptionBudget", "message": words}]}
            handler.json(429, body)
        else:
            api.remove(PODS, name)
            handler.json(201, {"kind": "Status", "status": "Success"})

    api.on("POST", "/eviction$", answer, times=99)


def drain(cluster: Cluster, pods: Any, timeout: float = 5.0) -> list[str]:
    said: list[str] = []
    eviction.evict_all(
        cluster, pods, what="Drain of node 'node1'", timeout=timeout, grace_seconds=None, say=said.append
    )
    return said


def test_a_drain_leaves_what_cannot_move_and_names_what_would_be_lost(api: ApiServer, cluster: Cluster) -> None:
    api.put(PODS, pod("web"))
    api.put(PODS, pod("agent", "DaemonSet"))
    api.put(PODS, pod("done", "", status={"phase": "Succeeded"}))
    api.put(PODS, pod("bare", ""))
    scratch = pod("scratch")
    scratch["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    api.put(PODS, scratch)
    mirror = pod("static", "Node")
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    api.put(PODS, mirror)
    elsewhere = pod("elsewhere")
    elsewhere["spec"]["nodeName"] = "node2"
    api.put(PODS, elsewhere)
    cluster.create(pod("prober", ""))
    found = plan(cluster)
    assert names(found.evicted) == ["web"]
    assert names(found.left) == ["agent", "done", "prober", "static"]
    assert names(found.refused) == ["bare", "scratch"]
    assert names(plan(cluster, delete_emptydir_data=True).evicted) == ["scratch", "web"]
    forced = plan(cluster, force=True)
    assert (names(forced.evicted), names(forced.refused)) == (["bare", "prober", "web"], ["scratch"])
    everything = plan(cluster, force=True, delete_emptydir_data=True)
    assert names(everything.evicted) == ["bare", "prober", "scratch", "web"]


def test_a_pod_of_the_run_goes_with_its_scratch_space(api: ApiServer, cluster: Cluster) -> None:
    """With a read-only root or a mesh, each pod has an emptyDir, and own_application's drain refused its own pods."""
    meta = {"name": "web-owner", "namespace": "shop"}
    workload = cluster.create({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": {}})
    mine, theirs = pod("web"), pod("other")
    for each in (mine, theirs):
        each["spec"]["volumes"] = [{"name": "netlibrary-tmp", "emptyDir": {}}]
    mine["metadata"]["ownerReferences"][0]["uid"] = workload["metadata"]["uid"]
    api.put(PODS, mine)
    api.put(PODS, theirs)
    found = plan(cluster)
    assert (names(found.evicted), names(found.refused)) == (["web"], ["other"])


def test_pods_are_evicted_and_not_deleted(api: ApiServer, cluster: Cluster) -> None:
    evicting(api)
    web = api.put(PODS, pod("web"))
    assert drain(cluster, [web]) == ["Pod 'shop/web' is evicted."]
    assert api.seen("DELETE", "") == []
    body = api.seen("POST", "/eviction")[0][4]
    assert body["deleteOptions"] == {"preconditions": {"uid": web["metadata"]["uid"]}}


def test_a_budget_that_holds_a_pod_is_named_and_asked_again(api: ApiServer, cluster: Cluster) -> None:
    evicting(api, "web-stays-up", holds=1)
    said = drain(cluster, [api.put(PODS, pod("web"))])
    assert "held" in said[0]
    assert "The disruption budget web-stays-up needs 2 healthy pods and has 2 currently" in said[0]
    assert said[1] == "Pod 'shop/web' is evicted."


def test_a_drain_that_a_budget_holds_says_who_holds_it(api: ApiServer, cluster: Cluster) -> None:
    evicting(api, "web-stays-up", holds=99)
    pods = [api.put(PODS, pod("web"))]
    with pytest.raises(errors.WaitTimeout, match=r"^Drain of node 'node1': 1 of 1 pods are still there: 'shop/web' is held: .*budget web-stays-up"):  # fmt: skip
        drain(cluster, pods, timeout=0.0)
    assert "web" in api.objects[PODS]


def test_two_budgets_for_one_pod_hold_it_for_ever(api: ApiServer, cluster: Cluster) -> None:
    words = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    api.refuse("POST", "/eviction$", 500, "InternalError", words, times=99)
    with pytest.raises(errors.WaitFailed, match=r"cannot be evicted: This pod has more than one PodDisruptionBudget"):
        drain(cluster, [api.put(PODS, pod("web"))])


def test_a_pod_that_took_the_name_of_an_evicted_one_is_another_pod(api: ApiServer, cluster: Cluster) -> None:
    old = pod("web-0", "StatefulSet")
    old["metadata"]["uid"] = "gone"
    api.put(PODS, pod("web-0", "StatefulSet"))
    api.refuse("POST", "/eviction$", 409, "Conflict", "precondition failed: UID", times=9)
    assert drain(cluster, [old]) == ["Pod 'shop/web-0' is evicted."]


@pytest.mark.parametrize("word", ["role", "role=x", "role=x:Never", ":NoSchedule", ""])
def test_what_is_no_taint_is_refused(word: str) -> None:
    with pytest.raises(errors.InputError, match="allowed: key=value:Effect or key:Effect, with an effect of NoSch"):
        taints.parse(word)


def test_taints_are_replaced_and_removed_by_key_effect_and_value() -> None:
    present = [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}, {"key": "b", "value": "1"}]
    changed = taints.with_taint(present, taints.parse("a=2:NoSchedule"))
    assert changed[-1] == {"key": "a", "value": "2", "effect": "NoSchedule"}
    assert len(changed) == 3
    assert taints.without_taint(present, {"key": "a"}) == [present[2]]
    assert taints.without_taint(present, taints.parse("a:NoExecute")) == [present[0], present[2]]


def test_taints_that_kubernetes_sets_meanwhile_are_not_lost_when_ours_is_taken_back(
    api: ApiServer, cluster: Cluster
) -> None:
    before = {"key": "others", "effect": "NoSchedule"}
    api.put(NODES, {"metadata": {"name": "node1"}, "spec": {"taints": [before]}})
    ours = taints.with_taint([before], taints.parse("test:NoSchedule"))
    cluster.change("Node", "node1", None, {"spec": {"taints": ours}})
    not_ready = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}
    api.put(NODES, {**api.objects[NODES]["node1"], "spec": {"taints": [*ours, not_ready]}})
    assert delete_run(cluster) == []
    assert api.objects[NODES]["node1"]["spec"]["taints"] == [before, not_ready]


def test_a_node_without_taints_has_none_again(api: ApiServer, cluster: Cluster) -> None:
    api.put(NODES, {"metadata": {"name": "node1"}, "spec": {}})
    cluster.change("Node", "node1", None, {"spec": {"taints": [taints.parse("test:NoSchedule")]}})
    assert delete_run(cluster) == []
    assert "taints" not in api.objects[NODES]["node1"]["spec"]


# --- keywords -----------------------------------------------------------------------------------------------

KEYWORDS = """
*** Test Cases ***
Others Are Not Drained Without Leave
    Drain Node    node1
Others Are Not Evicted Without Leave
    Evict Pod    web    shop
Others Are Not Driven Away Without Leave
    Taint Node    node1    x:NoExecute
Bare Pods Forbid A Drain
    Drain Node    node2
With Leave
    VAR    ${ALLOW_DISRUPTION}    True    scope=suite
    ${evicted}    Drain Node    node1
    Should Be Equal    ${evicted}    ${{['shop/web']}}
Unknown Node
    Drain Node    node7
Unknown Taint
    Untaint Node    node1    none
"""


def test_pods_of_others_leave_only_with_leave_and_all_that_happened_is_told(api: ApiServer, tmp_path: Path) -> None:
    evicting(api)
    for name in ("node1", "node2"):
        api.put(NODES, {"metadata": {"name": name}, "spec": {}})
    api.put(PODS, pod("web"))
    api.put(PODS, pod("agent", "DaemonSet"))
    bare = pod("bare", "")
    bare["spec"]["nodeName"] = "node2"
    api.put(PODS, bare)
    run = Run(tmp_path, api.kubeconfig(tmp_path / "kubeconfig"), KEYWORDS)
    for what, words in (
        ("Drained", "an eviction of shop/web, which this run did not create,"),
        ("Evicted", "an eviction of pod 'shop/web'"),
        ("Driven Away", "the taint 'x:NoExecute' of node 'node1', which drives pods away,"),
    ):
        test = run.tests[f"Others Are Not {what} Without Leave"]
        assert test.status == "SKIP"
        assert f"Skipped: {words} would disturb the cluster" in test.message
    assert run.tests["Bare Pods Forbid A Drain"].message == (
        "Node 'node2' is not drained, because of these pods: 'shop/bare': nothing would recreate it; force=True evicts "
        "it anyway."
    )
    assert run.tests["With Leave"].status == "PASS", run.tests["With Leave"].message
    assert "node is 'node7'" in run.tests["Unknown Node"].message
    assert "taint is 'none'; the taints of node 'node1' are none." in run.tests["Unknown Taint"].message
    assert "agent-owner" in run.message("Drain of node node1"), "the log tells what stays"
    assert [request[1] for request in api.seen("POST", "/eviction")] == [f"{PODS}/web/eviction"]
    assert api.objects[NODES]["node1"]["spec"] == {}, "the node takes pods again at the end of the run"
