"""Addresses are found for both families, wherever a cluster keeps them; times and quantities are read as the API writes them."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, addresses, times
from NetLibrary._mechanics.kube.quantities import quantity

NODES, SERVICES = "/api/v1/nodes", "/api/v1/namespaces/kube-system/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
Object = dict[str, Any]


def node(name: str, *found: str) -> Object:
    entries = [{"type": "Hostname", "address": name}, *({"type": "InternalIP", "address": a} for a in found)]
    return {"metadata": {"name": name}, "status": {"addresses": entries}}


def balancer(*entries: Object) -> Object:
    return {"metadata": {"name": "web"}, "status": {"loadBalancer": {"ingress": list(entries)}}}


def dns(*found: str) -> Object:
    metadata = {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    return {"metadata": metadata, "spec": {"clusterIP": found[0], "clusterIPs": list(found)}}


def test_node_whose_first_address_is_ipv6_has_its_ipv4_one_too(api: ApiServer, cluster: Cluster) -> None:
    api.put(NODES, node("a", "fd00::a", "10.0.0.1"))
    api.put(NODES, node("b", "fd00::b"))
    assert addresses.of_nodes(cluster) == {"a": ["fd00::a", "10.0.0.1"], "b": ["fd00::b"]}
    assert addresses.of_nodes(cluster, 4) == {"a": ["10.0.0.1"]}


def test_node_that_has_not_reported_yet_has_no_address() -> None:
    assert addresses.of_node({"metadata": {"name": "new"}}) == []


def test_node_that_does_not_exist_is_refused_with_those_that_do(api: ApiServer, cluster: Cluster) -> None:
    for name in ("node2", "node1"):
        api.put(NODES, node(name))
    addresses.require_node(cluster, "node1")
    with pytest.raises(errors.InputError) as caught:
        addresses.require_node(cluster, "node9")
    assert str(caught.value) == "node is 'node9'; cluster 'default' has the nodes 'node1', 'node2'."


def test_account_that_may_not_list_nodes_is_believed(api: ApiServer, cluster: Cluster) -> None:
    api.refuse("GET", NODES, 403, "Forbidden", "no")
    addresses.require_node(cluster, "node9")


def test_load_balancer_with_a_host_name_has_that_for_either_family() -> None:
    mixed = balancer({"hostname": "lb.example.com"}, {"ip": "fd00::1"}, {"ip": "10.0.0.1", "hostname": "x"})
    assert addresses.of_load_balancer(mixed) == ["fd00::1", "10.0.0.1", "lb.example.com"]
    assert addresses.of_load_balancer(mixed, 4) == ["10.0.0.1", "lb.example.com"]
    assert addresses.of_load_balancer(mixed, 6) == ["fd00::1", "lb.example.com"]
    assert addresses.of_load_balancer({"status": {"loadBalancer": None}}) == []


def test_headless_service_has_no_address() -> None:
    assert addresses.of_service({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}) == []


def test_port_of_another_protocol_is_not_taken() -> None:
    ports = [{"port": 53, "protocol": "UDP", "nodePort": 30053}, {"name": "t", "port": 53, "nodePort": 30054}]
    service = {"metadata": {"name": "dns"}, "spec": {"type": "NodePort", "ports": ports}}
    assert addresses.node_port(service, 53, "TCP") == 30054
    assert addresses.node_port(service, 53) == 30053
    assert addresses.node_port(service, "t") == 30054
    with pytest.raises(errors.InputError, match=r"^port is 53/SCTP; Service 'dns' has 53/UDP, 53/TCP\.$"):
        addresses.service_port(service, 53, "SCTP")


def test_service_without_node_ports_says_of_which_type_it_is() -> None:
    service = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    with pytest.raises(errors.InputError, match=r"^Service 'web' of type ClusterIP has no node port for 80\.$"):
        addresses.node_port(service, 80)


def test_dns_of_a_cluster_with_ipv6_first(api: ApiServer, cluster: Cluster) -> None:
    api.put(SERVICES, dns("fd00::a", "10.96.0.10"))
    for family, found in (("IPv4", "10.1.0.2"), ("IPv6", "fd01::2")):
        ready = {"addresses": [found], "nodeName": "a", "targetRef": {"name": f"coredns-{family}"}, "conditions": {}}
        down = {"addresses": ["10.1.0.9"], "conditions": {"ready": False}}
        metadata = {"name": f"dns-{family}", "labels": {"kubernetes.io/service-name": "kube-dns"}}
        api.put(SLICES, {"metadata": metadata, "addressType": family, "endpoints": [ready, down]})
    assert addresses.of_dns(cluster) == ["fd00::a", "10.96.0.10"]
    assert addresses.of_dns(cluster, 4) == ["10.96.0.10"]
    assert addresses.dns_servers(cluster, 6) == [addresses.DnsServer("fd01::2", "coredns-IPv6", "a")]


def test_cluster_without_a_dns_that_can_be_found_says_so(api: ApiServer, cluster: Cluster) -> None:
    with pytest.raises(errors.InputError, match="has no recognisable DNS Service"):
        addresses.of_dns(cluster)
    assert addresses.dns_servers(cluster) == []
    api.put(SERVICES, dns("10.96.0.10"))
    with pytest.raises(errors.InputError, match="has no IPv6 address"):
        addresses.of_dns(cluster, 6)


@pytest.mark.parametrize("text", ["", "nan", "inf", "1GB", "1Kib", "--1", "m", None, [], "1e999"])
def test_text_that_is_no_quantity_names_what_is_allowed(text: Any) -> None:
    with pytest.raises(errors.InputError, match=r"^cpu is '.*'; allowed: a number with an optional suffix"):
        quantity(text, "cpu")


def test_quantities_of_every_size() -> None:
    assert [quantity(t) for t in ("1n", "1u", "250m", "1k", "3Ti", "1P", "2E", "1e3", "0.5", "-2Mi")] == [
        1e-9, 1e-6, 0.25, 1e3, 3 * 2**40, 1e15, 2e18, 1e3, 0.5, -(2**21)
    ]  # fmt: skip


def test_time_stamps_of_the_api_and_of_container_runtimes() -> None:
    assert times.seconds("2024-02-29T12:00:00Z") == 1709208000
    assert times.seconds("2024-02-29T12:00:00.123456789Z") == pytest.approx(1709208000.123456789, abs=1e-6)
    assert times.seconds("2024-02-29T07:00:00-05:00") == 1709208000
    assert [times.seconds(t) for t in ("", None, "soon", "2024-13-01T00:00:00Z", "2023-02-29T00:00:00Z")] == [None] * 5


def test_event_of_a_series_counts_when_it_was_seen_last() -> None:
    assert (
        times.of_event({"series": {"lastObservedTime": "1970-01-01T00:00:09.5Z"}, "eventTime": "1970-01-01T00:00:01Z"})
        == 9.5
    )
    assert times.of_event({}) == 0.0
