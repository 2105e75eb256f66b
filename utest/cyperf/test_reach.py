"""Where clients aim: names of load balancers, families of addresses, nodes that answer, domain of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scripted_api import ApiServer
from scripted_exec import Command

from NetLibrary._mechanics.cyperf import reach
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import Cluster, manifests
from NetLibrary.keywords.cyperf._shared import MANIFESTS


def service(*ingress: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "traffic"},
        "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80, "targetPort": 80}], **spec},
        "status": {"loadBalancer": {"ingress": list(ingress)}},
    }


@pytest.mark.parametrize(
    ("ingress", "address"),
    [
        ([], ""),
        ([{"ip": "192.0.2.9"}], "192.0.2.9"),
        ([{"hostname": "a1b2.elb.example"}], "a1b2.elb.example"),
        ([{"ip": "192.0.2.9", "hostname": "a1b2.elb.example"}], "192.0.2.9"),
        ([{"ip": "fd00::9"}, {"ip": "192.0.2.9"}], "192.0.2.9"),
        ([{"ip": "fd00::9"}, {"hostname": "a1b2.elb.example"}], "a1b2.elb.example"),
    ],
)
def test_load_balancer_with_a_host_name(ingress: list[dict[str, str]], address: str) -> None:
    assert reach.load_balancer_address(service(*ingress)) == address


def test_ipv6_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="host is the IPv6 address fd00::1"):
        reach.refuse_ipv6("fd00::1", "host")
    with pytest.raises(InputError, match=r"host is the IPv6 address \[fd00::1\]"):
        reach.refuse_ipv6("[fd00::1]", "host")
    assert reach.refuse_ipv6("device.example", "host") == "device.example"
    with pytest.raises(InputError, match="load balancer of Service 'web' has only the IPv6 address fd00::9"):
        reach.load_balancer_address(service({"ip": "fd00::9"}))
    with pytest.raises(InputError, match="Service 'traffic/web' has only the IPv6 address fd00::2"):
        reach.cluster_ip(service(clusterIPs=["fd00::2"]))


def test_ipv4_is_taken_where_ipv6_comes_first() -> None:
    assert reach.cluster_ip(service(clusterIPs=["fd00::2", "10.96.0.9"])) == "10.96.0.9"
    pod = {
        "metadata": {"name": "p", "namespace": "traffic"},
        "status": {"podIP": "fd00::5", "podIPs": [{"ip": "fd00::5"}, {"ip": "10.1.0.5"}]},
    }
    assert reach.pod_address(pod) == "10.1.0.5"


def node(name: str, *addresses: str, ready: bool = True) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "status": {
            "addresses": [{"type": "InternalIP", "address": each} for each in addresses],
            "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}],
        },
    }


def test_node_port_of_a_node_that_answers(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    api.put("/api/v1/nodes", node("a", "172.16.0.1", ready=False))
    api.put("/api/v1/nodes", node("b", "fd00::2", "172.16.0.2"))
    api.put("/api/v1/nodes", node("c", "172.16.0.3"))
    cluster, pods = connect(), [{"spec": {"nodeName": "c"}}]
    assert reach.node_port_address(cluster, service(), pods) == "172.16.0.2"
    assert reach.node_port_address(cluster, service(externalTrafficPolicy="Local"), pods) == "172.16.0.3"


def test_nodes_with_ipv6_only_are_named(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    api.put("/api/v1/nodes", node("b", "fd00::2"))
    with pytest.raises(InputError, match="has only the IPv6 address fd00::2"):
        reach.node_port_address(connect(), service(), [])


def test_node_ports_of_a_service_of_ipv6_alone_are_refused(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    """Where IPv6 comes first, clients were sent to a node's IPv4 address, at which nobody serves that Service."""
    api.put("/api/v1/nodes", node("b", "fd00::2", "172.16.0.2"))
    with pytest.raises(InputError, match="has only the IPv6 address fd00:1::9"):
        reach.node_port_address(connect(), service(clusterIPs=["fd00:1::9"], ipFamilies=["IPv6"]), [])


def test_domain_of_the_cluster_is_read_from_an_agents_pod(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    text = "nameserver 10.96.0.10\nsearch traffic.svc.k8s.example.com svc.k8s.example.com k8s.example.com\n"

    def answer(command: Command) -> None:
        command.stdout(text.encode())
        command.exit(0)

    api.command = answer
    pod = {
        "metadata": {"name": "p", "namespace": "traffic"},
        "spec": {"containers": [{"name": "cyperf-agent-nodeport"}]},
    }
    assert reach.cluster_domain(connect(), [pod]) == "k8s.example.com"
    assert reach.cluster_domain(connect(), []) == "cluster.local"


def test_port_by_name() -> None:
    pods = [{"spec": {"containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]}}]
    assert reach.listen_port({"port": 80, "targetPort": "web"}, pods) == 8080
    assert reach.listen_port({"port": 80, "targetPort": "other"}, pods) == 80
    assert reach.listen_port({"port": 80, "targetPort": 81}, pods) == 81


def test_device_that_is_told_by_labels_nobody_has(connect: Callable[..., Cluster]) -> None:
    with pytest.raises(InputError, match="device_labels is 'app=fw', but no scheduled pod in any namespace"):
        reach.device_nodes(connect(), None, "app=fw")


def test_dns_under_other_labels_is_the_one_that_agents_ask(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    def answer(command: Command) -> None:
        command.stdout(b"nameserver fd00::a\nnameserver 10.96.0.53\nsearch x.svc.corp svc.corp corp\n")
        command.exit(0)

    api.command = answer
    pod = {
        "metadata": {"name": "p", "namespace": "traffic"},
        "spec": {"containers": [{"name": "agent"}]},
        "status": {"phase": "Running"},
    }
    assert reach.cluster_dns(connect(), [pod]) == "10.96.0.53"
    with pytest.raises(InputError, match="no recognisable DNS Service"):
        reach.cluster_dns(connect())


def test_services_of_cyperf_are_served_over_ipv4_where_ipv6_comes_first() -> None:
    """Agents, which know IPv4 only, were given an IPv6 address of the stand-in for a controller."""
    found = [each for file in MANIFESTS.glob("*.yaml") for each in manifests.load(file) if each["kind"] == "Service"]
    assert {each["metadata"]["name"] for each in found} >= {"cyperf-controller", "cyperf-agent-nodeport"}
    assert {each["spec"].get("ipFamilyPolicy") for each in found} == {"PreferDualStack"}
