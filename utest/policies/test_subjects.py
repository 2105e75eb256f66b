"""What a table is about, read from a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster as KubeCluster
from NetLibrary._mechanics.policies import subjects

from .cluster_of_pods import pod, policy


class Cluster:
    """Objects by kind; kinds that it does not serve are NotFound."""

    def __init__(self, **kinds: Any) -> None:
        self.kinds = {"Namespace": [{"metadata": {"name": "x", "labels": {"ns": "x"}}}], "NetworkPolicy": [], **kinds}

    def find(self, kind: str, name: str) -> Any:
        return next((item for item in self.kinds[kind] if item["metadata"]["name"] == name), None)

    def list(self, kind: str, namespace: str | None = None, *, labels: str | None = None) -> Any:
        if kind not in self.kinds:
            raise errors.NotFound(f"{kind} is not served")
        if isinstance(self.kinds[kind], Exception):
            raise self.kinds[kind]
        return self.kinds[kind]


def test_pods_that_cannot_be_judged_are_left_out_with_the_reason() -> None:
    ended, host = pod("x", "ended", 2), pod("x", "host", 3, hostNetwork=True)
    ended["status"]["phase"] = "Succeeded"
    going = pod("x", "going", 4)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = subjects.read(Cluster(Pod=[pod("x", "a", 1), ended, host, going]), ["x"])  # type: ignore[arg-type]
    assert [p["metadata"]["name"] for p in found.pods] == ["a"]
    assert dict(found.left_out)["x/host"] == subjects.ON_HOST
    assert set(dict(found.left_out)) == {"x/ended", "x/host", "x/going"}


def test_policies_of_another_kind_keep_everything_from_being_judged() -> None:
    kind = {"CiliumNetworkPolicy.cilium.io": [policy("l7", "x")]}
    found = subjects.read(Cluster(Pod=[pod("x", "a", 1)], **kind), ["x"])  # type: ignore[arg-type]
    assert "CiliumNetworkPolicy l7 may change the outcome" in found.unclear


def test_admin_policies_that_may_not_be_read_keep_everything_from_being_judged() -> None:
    kind = {f"AdminNetworkPolicy.{subjects.GROUP}": errors.Forbidden("may not list")}
    found = subjects.read(Cluster(Pod=[pod("x", "a", 1)], **kind), ["x"])  # type: ignore[arg-type]
    assert "cannot be read" in found.unclear


def test_a_namespace_that_is_not_there_is_refused_with_the_nearest(api: ApiServer, cluster: KubeCluster) -> None:
    api.put("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    with pytest.raises(errors.InputError, match=r"^There is no namespace 'shpo'; there is 'shop'\.$"):
        subjects.read(cluster, ["shpo"])


def test_a_namespace_without_pods_is_refused() -> None:
    with pytest.raises(errors.InputError, match="no pod with the labels 'app=web' to test in x"):
        subjects.read(Cluster(Pod=[]), ["x"], "app=web")  # type: ignore[arg-type]
