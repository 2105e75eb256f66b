"""NetworkPolicies against what the documentation of the Kubernetes API says about them."""

import pytest

from NetLibrary._mechanics.kube.policies import blocking, disputed
from NetLibrary._mechanics.kube.selectors import selects

SPACES = {"ns": {"team": "a"}, "other": {"team": "b"}}


def policy(name="p", namespace="ns", **spec):
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def pod(name, namespace="ns", address="10.0.0.7", node="node1", host=False, **labels):
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "uid": name},
        "spec": {
            "nodeName": node,
            "hostNetwork": host,
            "containers": [{"ports": [{"name": "web", "containerPort": 80}]}],
            "initContainers": [
                {"restartPolicy": "Always", "ports": [{"name": "mesh", "containerPort": 80}]},
                {"ports": [{"name": "once", "containerPort": 80}]},
            ],
        },
        "status": {"podIP": address} if address else {},
    }


def ask(policies, sender=None, receiver=None, port=80, protocol="TCP", **more):
    ends = sender or pod("a", app="a"), receiver or pod("b", app="b")
    return [str(b) for b in blocking(policies, SPACES, *ends, port, protocol, **more)]


def test_without_policies_everything_is_open():
    assert ask([]) == []


def test_an_empty_ingress_policy_blocks_and_is_named():
    assert ask([policy(policyTypes=["Ingress"])]) == ["NetworkPolicy ns/p (ingress of b)"]


def test_an_egress_policy_blocks_the_sender():
    assert ask([policy(policyTypes=["Egress"])]) == ["NetworkPolicy ns/p (egress of a)"]


def test_both_ends_are_named():
    found = blocking([policy(policyTypes=["Ingress", "Egress"])], SPACES, pod("a"), pod("b"), 80, "TCP")
    assert [(b.end, b.direction) for b in found] == [("sender", "egress"), ("receiver", "ingress")]


@pytest.mark.parametrize(
    ("spec", "blocks_egress"),
    [
        ({"ingress": [{}]}, False),
        # NetworkPolicySpec.policyTypes: egress by default only with at least one egress rule
        ({"ingress": [{}], "egress": []}, False),
        ({"ingress": [{}], "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "z"}}}]}]}, True),
    ],
)
def test_policy_types_that_are_not_given(spec, blocks_egress):
    assert bool(ask([policy(**spec)])) is blocks_egress


def test_policies_of_another_namespace_do_not_matter():
    assert ask([policy(namespace="other", policyTypes=["Ingress"])]) == []


def test_rules_of_several_policies_add_up():
    deny, allow = policy("deny"), policy("allow", ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}])
    assert ask([deny, allow]) == []
    assert len(ask([deny, allow], sender=pod("c", app="c"))) == 2


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, False),
        ({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["b"]}]}}, False),
        ({"podSelector": {}}, False),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "z"}}}, False),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}}, True),
        ({"ipBlock": {"cidr": "10.0.0.0/24"}}, True),
        ({"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.7/32"]}}, False),
        ({"ipBlock": {"cidr": "fd00::/8"}}, False),
    ],
)
def test_peers(peer, allowed):
    assert (ask([policy(ingress=[{"from": [peer]}])], sender=pod("a", "other", app="a")) == []) is allowed


@pytest.mark.parametrize(
    ("port", "allowed"),
    [
        ({"port": 80}, True),
        ({"port": "web"}, True),
        ({"port": "mesh"}, True),
        ({"port": "once"}, False),
        ({"port": 81}, False),
        ({"port": 70, "endPort": 90}, True),
        ({"port": 80, "protocol": "UDP"}, False),
        ({"protocol": "TCP"}, True),
    ],
)
def test_ports(port, allowed):
    assert (ask([policy(ingress=[{"ports": [port]}])]) == []) is allowed


def test_empty_lists_allow_everybody_and_every_port():
    assert ask([policy(ingress=[{"from": [], "ports": []}])]) == []


def test_a_pod_is_never_kept_from_itself():
    me = pod("a")
    assert ask([policy(policyTypes=["Ingress", "Egress"])], me, me) == []
    assert ask([policy(policyTypes=["Ingress", "Egress"])], pod("a"), pod("a")) == []


@pytest.mark.parametrize("block", ["0.0.0.0/0", "10.0.0.0/8"])
def test_a_pod_without_address_is_in_no_block(block):
    assert ask([policy(ingress=[{"from": [{"ipBlock": {"cidr": block}}]}])], sender=pod("a", address=""))


def test_the_address_of_the_asked_family_counts():
    sender = pod("a")
    sender["status"]["podIPs"] = [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}]
    only_six = [policy(ingress=[{"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}])]
    assert ask(only_six, sender)
    assert ask(only_six, sender, family=4)
    assert ask(only_six, sender, family=6) == []


def test_policies_that_select_a_pod_on_the_host_network_are_ignored():
    assert ask([policy(policyTypes=["Ingress"])], receiver=pod("b", host=True)) == []
    assert ask([policy(policyTypes=["Egress"])], sender=pod("a", node="node2", host=True)) == []


def test_selectors_do_not_find_pods_on_the_host_network_and_blocks_do():
    host = pod("a", node="node2", address="172.16.0.2", host=True, app="a")
    assert ask([policy(ingress=[{"from": [{"podSelector": {}}]}])], host)
    assert ask([policy(ingress=[{"from": [{"ipBlock": {"cidr": "172.16.0.0/16"}}]}])], host) == []


def test_a_node_always_reaches_its_own_pods():
    assert ask([policy(policyTypes=["Ingress"])], pod("a", node="node1", host=True)) == []
    assert ask([policy(policyTypes=["Ingress"])], pod("a", node="node2", host=True))


def test_what_the_api_leaves_open_is_told():
    host = pod("a", node="node2", host=True, app="a")
    by_selector = [policy(ingress=[{"from": [{"podSelector": {}}]}])]
    assert disputed(by_selector, SPACES, host, pod("b"), 80, "TCP")
    assert not disputed([policy(policyTypes=["Ingress"])], SPACES, host, pod("b"), 80, "TCP")
    assert not disputed(by_selector, SPACES, pod("c"), pod("b"), 80, "TCP")


@pytest.mark.parametrize(
    ("term", "fits"),
    [
        ({"key": "app", "operator": "In", "values": ["a", "b"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["a"]}, False),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "tier", "operator": "DoesNotExist"}, True),
    ],
)
def test_match_expressions(term, fits):
    assert selects({"matchExpressions": [term]}, {"app": "a"}) is fits
