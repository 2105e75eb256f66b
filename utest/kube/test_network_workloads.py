"""What makes a cluster's network is recognised by its makers' names and labels, and never guessed."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics.errors import InputError, Unavailable
from NetLibrary._mechanics.kube import Cluster, network_workloads


def workload(kind: str, namespace: str, name: str, **labels: str) -> dict[str, Any]:
    labels = {key.replace("_", "-"): value for key, value in labels.items()} or {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}},
    }  # fmt: skip


def put(api: ApiServer, *objects: dict[str, Any]) -> None:
    for obj in objects:
        kind, metadata = obj["kind"], obj["metadata"]
        api.put(f"/apis/apps/v1/namespaces/{metadata['namespace']}/{kind.lower()}s", obj)


@pytest.mark.parametrize(("role", "obj", "product", "device"), [
    ("plugin", workload("DaemonSet", "kube-flannel", "kube-flannel-ds", app="flannel"), "flannel", "flannel.1"),
    ("plugin", workload("DaemonSet", "kube-system", "kube-flannel-ds-amd64", x="y"), "flannel", "flannel.1"),
    ("plugin", workload("DaemonSet", "kube-system", "kube-router", k8s_app="kube-router"), "kube-router", ""),
    ("plugin", workload("DaemonSet", "calico-system", "calico-node", k8s_app="calico-node"), "Calico", "vxlan.calico"),
    ("service proxy", workload("DaemonSet", "kube-system", "kube-proxy-windows"), "kube-proxy", ""),
    ("load balancer", workload("DaemonSet", "metallb", "metallb-speaker"), "MetalLB", ""),
    ("dns", workload("Deployment", "kube-system", "coredns", k8s_app="kube-dns"), "CoreDNS", ""),
    ("dns", workload("DaemonSet", "openshift-dns", "dns-default"), "cluster DNS", ""),
    ("dns", workload("Deployment", "kube-system", "rke2-coredns-rke2-coredns"), "CoreDNS", ""),
])  # fmt: skip
def test_a_workload_is_recognised(api: ApiServer, cluster: Cluster, role: str, obj: Any, product: str, device: str):
    put(api, workload("DaemonSet", "shop", "web-speaker"), workload("Deployment", "shop", "web"), obj)
    found = network_workloads.find(cluster, role)
    assert (found.product, found.device) == (product, device)
    assert (found.kind, found.namespace, found.name) == (
        obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]
    )  # fmt: skip
    assert found.labels == ",".join("=".join(pair) for pair in obj["spec"]["selector"]["matchLabels"].items())


def test_what_nobody_knows_is_not_guessed(api: ApiServer, cluster: Cluster) -> None:
    put(api, workload("DaemonSet", "kube-system", "my-own-network"))
    with pytest.raises(Unavailable, match=r"no workload that is recognised as its plugin .flannel, kube-router, "):
        network_workloads.find(cluster, "plugin")
    found = network_workloads.find(cluster, "plugin", "kube-system/my-own-network")
    assert (found.product, found.kind, found.device) == ("my-own-network", "DaemonSet", "")


@pytest.mark.parametrize(("given", "words"), [
    ("my-own-network", "write it as namespace/name"), ("kube-system/gone", "no DaemonSet and no Deployment 'gone'"),
])  # fmt: skip
def test_a_name_that_leads_nowhere_is_an_error_and_no_skip(
    api: ApiServer, cluster: Cluster, given: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        network_workloads.find(cluster, "plugin", given)


def test_who_may_not_look_is_skipped_with_the_servers_words(api: ApiServer, cluster: Cluster) -> None:
    api.refuse("GET", "/daemonsets", 403, "Forbidden", "not for you")
    with pytest.raises(Unavailable, match=r"the cluster's load balancer cannot be looked up: .*not for you"):
        network_workloads.find(cluster, "load balancer")


def test_who_may_not_restart_it_is_skipped_before_anything_is_measured(api: ApiServer, cluster: Cluster) -> None:
    api.allow(lambda asked: asked["verb"] != "patch")
    put(api, workload("DaemonSet", "kube-flannel", "kube-flannel-ds"))
    found = network_workloads.find(cluster, "plugin")
    words = r"^Skipped: the account may not patch daemonsets.apps in namespace 'kube-flannel'\.$"
    with pytest.raises(Unavailable, match=words):
        network_workloads.require_rights(cluster, found, inside=True)
