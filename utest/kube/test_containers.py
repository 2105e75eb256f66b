"""The container that is meant when none is named, wherever an injector puts its own."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics.kube import Cluster, containers

SETS, PODS = "/apis/apps/v1/namespaces/demo/replicasets", "/api/v1/namespaces/demo/pods"


def pod(*names: str, owner: dict[str, Any] | None = None, **annotations: str) -> dict[str, Any]:
    owners = [{"controller": True, **owner}] if owner else []
    metadata = {"name": "p", "namespace": "demo", "annotations": annotations, "ownerReferences": owners}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"containers": [{"name": each, "image": "i"} for each in names]}}  # fmt: skip


SET = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "s"}


@pytest.mark.parametrize(("one", "meant"), [
    (pod("app"), "app"),
    (pod("app", "proxy"), "app"),
    (pod("proxy", "app", owner=SET), "app"),
    (pod("proxy", "app", **{containers.DEFAULT: "app"}), "app"),
    (pod("proxy", "app", **{containers.DEFAULT: "gone"}), "proxy"),
    (pod("proxy", "app", owner={**SET, "name": "deleted"}), "proxy"),
], ids=["one", "sidecar behind", "sidecar before", "annotated", "wrong annotation", "owner is gone"])  # fmt: skip
def test_container_of_the_pod_itself_is_meant(
    api: ApiServer, cluster: Cluster, one: dict[str, Any], meant: str
) -> None:
    # A mesh that starts its proxy first puts it first, and programs of ours were run in the proxy
    template = {"spec": {"containers": [{"name": "app"}]}}
    api.put(SETS, {"metadata": {"name": "s", "namespace": "demo"}, "spec": {"template": template}})
    assert containers.meant(cluster, one) == meant


def test_pod_of_the_run_says_which_container_is_its_own(api: ApiServer, cluster: Cluster) -> None:
    made = cluster.create(pod("prober"))
    assert made["metadata"]["annotations"][containers.DEFAULT] == "prober"
    own = pod("prober", "log", **{containers.DEFAULT: "log"})
    own["metadata"]["name"] = "q"
    assert cluster.create(own)["metadata"]["annotations"][containers.DEFAULT] == "log"
