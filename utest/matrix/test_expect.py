"""What a cell must show, from objects alone."""

from __future__ import annotations

import dataclasses

import pytest
from synthetic import layout, sources, tables, world

from NetLibrary._mechanics.matrix import cases
from NetLibrary._mechanics.matrix.judge.expect import expect
from NetLibrary._mechanics.matrix.model.world import Endpoint, World, usable
from NetLibrary._mechanics.probing.types import Outcome, Source, Target

PLAN = layout()


def source(of: World, name: str) -> Source:
    return next(s for s in sources(PLAN, of) if s.name == name)


def vip(of: World, service: str, protocol: str = "TCP", port: int = 80) -> Target:
    address = of.service(service)["spec"]["clusterIP"]
    return Target(service, "vip", address, port, protocol, service=service, service_port=port)


def entry(of: World, service: str, node: str) -> Target:
    return Target(node, "nodeport", f"172.30.0.{node[4:]}", 30001, service=service, service_port=80, node=node)


def balanced(service: str) -> Target:
    return Target(service, "loadbalancer", "172.30.1.1", 80, service=service, service_port=80)


def test_a_pod_address_is_answered_by_its_pod_and_shows_the_source():
    of = world()
    target = Target("on-node2", "pod", "10.244.2.11", 8080, pod="on-node2", node="node2")
    found = expect(of, source(of, "on-node1"), target)
    assert found.outcomes == {Outcome.CONNECTED}
    assert found.responders == {"on-node2"}
    assert found.clients == {"10.244.1.10"}


def test_a_pod_of_two_families_may_be_seen_with_either_address():
    of = world()
    of.pod("on-node1")["status"]["podIPs"].append({"ip": "fd00:0:1::10"})
    target = Target("on-node2", "pod", "fd00:0:2::11", 8080, pod="on-node2", node="node2")
    assert expect(of, source(of, "on-node1"), target).clients == {"10.244.1.10", "fd00:0:1::10"}


def test_a_host_network_pod_answers_with_the_name_of_its_node():
    of = world()
    target = Target("host-node2", "pod", "172.30.0.2", 21080, pod="host-node2", node="node2")
    found = expect(of, source(of, "on-node1"), target)
    assert found.responders == {"node2"}
    assert found.clients == {"10.244.1.10", "172.30.0.1", "10.244.1.0"}


def test_a_host_network_pod_answers_with_its_hosts_name_where_that_is_not_the_nodes():
    of = world(host_names={"host-node2": "worker-b.example"})
    target = Target("host-node2", "pod", "172.30.0.2", 21080, pod="host-node2", node="node2")
    assert expect(of, source(of, "on-node1"), target).responders == {"worker-b.example"}
    assert of.node_called("worker-b.example") == "node2"


def test_the_host_name_of_the_node_object_counts_where_no_prober_has_told():
    of = world()
    of.nodes[1]["status"]["addresses"].append({"type": "Hostname", "address": "ip-172-30-0-2"})
    target = Target("host-node2", "pod", "172.30.0.2", 21080, pod="host-node2", node="node2")
    assert expect(of, source(of, "on-node1"), target).responders == {"ip-172-30-0-2"}


def test_with_which_address_a_nodes_own_process_is_seen_is_not_promised():
    of = world()
    target = Target("on-node2", "pod", "10.244.2.11", 8080, pod="on-node2", node="node2")
    assert expect(of, source(of, "host-node1"), target).clients is None


def test_where_nobody_has_read_a_nodes_addresses_none_is_guessed():
    of = world(addresses={})
    target = Target("host-node2", "pod", "172.30.0.2", 21080, pod="host-node2", node="node2")
    assert expect(of, source(of, "on-node1"), target).clients is None


def test_a_service_is_answered_by_its_endpoints_only():
    of = world()
    assert expect(of, source(of, "on-node1"), vip(of, "to-on-node3")).responders == {"on-node3"}
    assert expect(of, source(of, "on-node1"), vip(of, "spread")).responders == {"on-node1", "on-node2", "on-node3"}


def test_the_client_address_is_not_judged_for_a_pod_that_calls_itself():
    of = world()
    assert expect(of, source(of, "on-node1"), vip(of, "to-on-node1")).clients is None
    assert expect(of, source(of, "on-node1"), vip(of, "to-on-node2")).clients == {"10.244.1.10"}


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_service_without_endpoints_says_no_in_whatever_way(protocol):
    of = world()
    found = expect(of, source(of, "on-node1"), vip(of, "no-endpoints", protocol))
    assert {Outcome.REFUSED, Outcome.TIMEOUT, Outcome.UNREACHABLE} <= found.outcomes
    assert found.a_no
    assert str(found) == "no connection"


def test_an_unready_pod_is_hidden_unless_its_service_publishes_it():
    of = world()
    here = source(of, "on-node2")
    assert expect(of, here, vip(of, "hidden")).a_no
    assert expect(of, here, vip(of, "published")).responders == {"never-ready"}


@pytest.mark.parametrize("label", ["service.kubernetes.io/headless", "service.kubernetes.io/service-proxy-name"])
def test_a_label_withdraws_the_address_even_with_an_empty_value(label):
    of = world()
    of.service("to-on-node1")["metadata"]["labels"][label] = ""
    found = expect(of, source(of, "on-node2"), vip(of, "to-on-node1"))
    assert Outcome.CONNECTED not in found.outcomes
    assert Outcome.REFUSED in found.outcomes


def test_internal_policy_local_drops_where_no_endpoint_is():
    of = world()
    assert expect(of, source(of, "on-node1"), vip(of, "internal-local")).outcomes == {Outcome.CONNECTED}
    assert expect(of, source(of, "on-node2"), vip(of, "internal-local")).a_no
    assert expect(of, source(of, "host-node1"), vip(of, "internal-local")).outcomes == {Outcome.CONNECTED}


@pytest.mark.parametrize("name", ["on-node2", "on-node3", "host-node1", "host-node2"])
def test_external_policy_local_promises_nothing_to_clients_inside(name):
    of = world()
    found = expect(of, source(of, name), entry(of, "nodeport-local", "node2"))
    assert not found.promised
    assert {Outcome.CONNECTED, Outcome.TIMEOUT, Outcome.REFUSED} <= found.outcomes
    assert found.responders == {"on-node1"}


def test_external_ips_promise_nothing_but_a_right_endpoint():
    of = world()
    target = Target("external-ip", "externalip", "172.30.0.1", 20080, service="external-ip", service_port=20080)
    found = expect(of, source(of, "on-node3"), target)
    assert not found.promised
    assert found.responders == {"on-node1"}


def test_no_probe_of_the_catalogue_leaves_the_cluster():
    import ipaddress

    documentation = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    hosts = {c.target.host for t in tables() for c in t.cells if c.target.host[:1].isdigit()}
    assert not [h for h in hosts if any(ipaddress.ip_address(h) in n for n in documentation)]


def test_external_policy_local_keeps_the_address_of_an_outside_client():
    of = world()
    outside = source(of, "outside")
    assert expect(of, outside, entry(of, "nodeport-local", "node1")).clients == {"198.18.2.1"}
    assert expect(of, outside, entry(of, "nodeport-local", "node2")).a_no
    assert expect(of, outside, entry(of, "nodeport", "node2")).clients is None


def test_source_ranges_say_no_to_others_outside_and_promise_nothing_inside():
    of = world()
    assert expect(of, source(of, "outside"), balanced("balanced-closed")).a_no
    assert not expect(of, source(of, "on-node1"), balanced("balanced-closed")).promised
    assert expect(of, source(of, "on-node1"), vip(of, "balanced-closed")).outcomes == {Outcome.CONNECTED}


def test_affinity_demands_one_responder_only_when_several_connections_are_made():
    of = world()
    once = vip(of, "sticky")
    assert not expect(of, source(of, "on-node1"), once).one_responder
    assert expect(of, source(of, "on-node1"), dataclasses.replace(once, repeat=5)).one_responder


def test_terminating_endpoints_answer_only_when_no_ready_one_is_left():
    ready = Endpoint("a", 1)
    going = Endpoint("b", 1, ready=False, serving=True, terminating=True)
    gone = Endpoint("c", 1, ready=False, serving=False, terminating=True)
    unready = Endpoint("d", 1, ready=False, serving=False)
    assert usable([ready, going, gone, unready]) == [ready]
    assert usable([going, gone, unready]) == [going]
    assert usable([gone, unready]) == []


def test_lookups_have_the_services_address_or_the_pods():
    of = world()
    here = source(of, "on-node1")
    plain = Target("x", "dns", "-", 53, "UDP", "dns", "A/to-on-node1.ns.svc.cluster.local", service="to-on-node1")
    assert expect(of, here, plain).records == {of.service("to-on-node1")["spec"]["clusterIP"]}
    headless = dataclasses.replace(plain, service="headless")
    assert expect(of, here, headless).records == {"10.244.1.10", "10.244.2.11", "10.244.3.12"}


def test_an_external_name_leads_to_what_it_names():
    of = world()
    target = Target("alias", "name", "alias.ns.svc.cluster.local", 80, service="alias", service_port=80)
    assert expect(of, source(of, "on-node3"), target).responders == {"on-node1"}


def test_a_service_that_does_not_exist_must_not_answer():
    of = world()
    target = Target("x", "vip", "10.96.0.99", 80, service="nobody")
    assert Outcome.CONNECTED not in expect(of, source(of, "on-node1"), target).outcomes


def test_every_case_of_the_catalogue_expects_something_of_every_cell():
    for table in tables():
        assert table.cells, table.case
        for cell in table.cells:
            assert cell.expected.outcomes, cell.describe()
            assert cell.expected.reason, cell.describe()


def test_the_catalogue_makes_the_full_tables():
    sizes = {t.case: len(t.cells) for t in tables()}
    assert sizes["pod ip"] == 6 * 6 * 2
    assert sizes["cluster ip"] == 6 * 3 * 2
    assert sizes["node port"] == 7 * 3 * 2
    assert set(sizes) | {"sctp", "dual stack", "outside name"} == set(cases.CASES)


# --- policies -------------------------------------------------------------------------------------------------


def policy(name="p", namespace="ns", **spec):
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def test_a_policy_turns_the_expectation_of_the_cell():
    of = world()
    of.policies = [policy("deny", "matrix-test", policyTypes=["Ingress"])]
    found = expect(of, source(of, "on-node1"), vip(of, "to-on-node2"))
    assert Outcome.CONNECTED not in found.outcomes
    assert "NetworkPolicy matrix-test/deny" in found.reason


def test_policies_hold_for_other_nodes_processes_and_not_for_the_own_node():
    of = world()
    of.policies = [policy("deny", "matrix-test", policyTypes=["Ingress"])]
    blocked = expect(of, source(of, "host-node1"), vip(of, "to-on-node2"))
    assert Outcome.CONNECTED not in blocked.outcomes
    assert expect(of, source(of, "host-node2"), vip(of, "to-on-node2")).outcomes == {Outcome.CONNECTED}


def test_where_the_api_leaves_it_open_both_outcomes_are_right():
    of = world()
    of.policies = [policy("friends", "matrix-test", ingress=[{"from": [{"podSelector": {}}]}])]
    found = expect(of, source(of, "host-node1"), vip(of, "to-on-node2"))
    assert {Outcome.CONNECTED, Outcome.TIMEOUT} <= found.outcomes
    assert "depends on the network plugin" in found.reason


def test_an_outside_client_of_two_families_is_not_held_to_the_address_of_the_other_one():
    of = world()
    target = Target("node1", "nodeport", "fd00::1", 30001, service="nodeport-local", service_port=80, node="node1")
    assert expect(of, source(of, "outside"), target).clients is None
    assert expect(of, source(of, "outside"), entry(of, "nodeport-local", "node1")).clients == {"198.18.2.1"}


def test_large_packets_are_sent_over_tcp_udp_and_dns_up_to_the_mtu():
    table = next(t for t in tables() if t.case == "large packets")
    kinds = {(c.target.protocol, c.target.probe) for c in table.cells}
    assert kinds == {("TCP", "http"), ("UDP", "udpsize"), ("UDP", "dns")}
    sizes = {c.target.extra for c in table.cells if c.target.probe == "udpsize"}
    assert sizes == {"1472"}
