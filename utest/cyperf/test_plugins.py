"""Advice for network plugins: what is read where, and that it never fails a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics.cyperf import checklist, plugins
from NetLibrary._mechanics.kube import Cluster

DAEMONS = "/apis/apps/v1/namespaces/kube-system/daemonsets"


def daemons(name: str, **environment: str) -> dict[str, Any]:
    env = [{"name": key, "value": value} for key, value in environment.items()]
    pod = {"spec": {"containers": [{"name": "c", "env": env}]}}
    return {"metadata": {"name": name, "namespace": "kube-system"}, "spec": {"template": pod}}


def found(api: ApiServer, connect: Callable[..., Cluster], *objects: dict[str, Any]) -> list[tuple[str, Any, bool]]:
    for each in objects:
        api.put(DAEMONS, each)
    return [(f"{p.rule}: {p.seen}", p.passed, p.advice) for p in plugins.points(connect())]


@pytest.mark.parametrize(("backend", "passed", "advice"), [("vxlan", True, False), ("host-gw", None, True)])
def test_flannel(api: ApiServer, connect: Callable[..., Cluster], backend: str, passed: Any, advice: bool) -> None:
    text = f'{{"Network": "10.244.0.0/16", "Backend": {{"Type": "{backend}"}}}}'
    config = {"metadata": {"name": "kube-flannel-cfg"}, "data": {"net-conf.json": text}}
    api.put("/api/v1/namespaces/kube-system/configmaps", config)
    [(seen, ok, word)] = found(api, connect, daemons("kube-flannel-ds"))
    assert seen.startswith(f"Flannel backend: {backend}")
    assert (ok, word) == (passed, advice)


@pytest.mark.parametrize(
    ("mode", "passed", "advice"), [("CrossSubnet", True, False), ("Always", None, True), ("Never", True, False)]
)
def test_calico(api: ApiServer, connect: Callable[..., Cluster], mode: str, passed: Any, advice: bool) -> None:
    [(seen, ok, word)] = found(api, connect, daemons("calico-node", CALICO_IPV4POOL_IPIP=mode))
    assert seen.startswith(f"Calico environment: CALICO_IPV4POOL_IPIP {mode}")
    assert (ok, word) == (passed, advice)


def test_aws(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    [(seen, ok, _)] = found(api, connect, daemons("aws-node", AWS_VPC_K8S_CNI_EXTERNALSNAT="true"))
    assert seen == "AWS VPC CNI: as it comes; traffic out of the VPC keeps the pods' addresses"
    assert ok is True


def test_other_plugins_say_nothing(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    assert found(api, connect, daemons("cilium")) == []


def test_account_that_may_not_look_is_told_and_not_failed(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    api.refuse("GET", "daemonsets", 403, "Forbidden", "daemonsets is forbidden", times=9)
    [(seen, ok, word)] = found(api, connect)
    assert "not readable" in seen
    assert (ok, word) == (None, False)


def test_advice_is_no_check() -> None:
    point = checklist.Point("a", "b", "c", None, advice=True)
    assert point.passed is None
