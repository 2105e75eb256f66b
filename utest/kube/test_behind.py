"""Who has an address: looked up where every account may look first."""

from __future__ import annotations

from scripted_api import REVIEWS, ApiServer

from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.behind import behind, pods_at

PODS = "/api/v1/namespaces/demo/pods"
CLIENT = {"metadata": {"name": "client", "namespace": "demo"}, "status": {"podIP": "10.0.0.9"}}


def test_pod_of_the_own_namespace_is_found_without_the_right_to_look_at_others(
    api: ApiServer, cluster: Cluster
) -> None:
    """An account of one namespace was refused, and the client that held the server had no name."""
    api.put(PODS, CLIENT)
    api.refuse("GET", "^/api/v1/(pods|services)", 403, "Forbidden", "cannot list in the whole cluster", times=9)
    api.allow(lambda _: False)
    assert [pod["metadata"]["name"] for pod in pods_at(cluster, "10.0.0.9", "demo")] == ["client"]
    assert [pod["metadata"]["name"] for pod in behind(cluster, "10.0.0.9", "demo").pods] == ["client"]
    assert not api.seen("GET", "^/api/v1/(pods|services)")


def test_account_of_one_namespace_is_not_refused_again_and_again(api: ApiServer, cluster: Cluster) -> None:
    """Under its role the throughput suite asked for the pods of the whole cluster, and was refused each time."""
    api.allow(lambda _: False)
    for _ in range(3):
        assert pods_at(cluster, "10.0.0.9", "demo") == []
    assert not api.seen("GET", "^/api/v1/pods")
    assert len(api.seen("POST", REVIEWS)) == 1


def test_pod_of_another_namespace_is_found_by_who_may_look_there(api: ApiServer, cluster: Cluster) -> None:
    api.put(PODS, CLIENT)
    api.allow()
    assert [pod["metadata"]["name"] for pod in pods_at(cluster, "10.0.0.9", "other")] == ["client"]
