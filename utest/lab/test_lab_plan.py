"""Addresses and names: labs must not get into each other's way, whatever their index."""

from itertools import combinations

import pytest

from NetLibrary._mechanics.errors import InputError
from NetLibrary.lab.plan import LABS, MAX_NODES, POOL, AddressPlan, check_name, check_nodes

PLANS = [AddressPlan("x" * 20, index, MAX_NODES, families=("ipv4", "ipv6")) for index in range(LABS)]


def networks(plan):
    pods = [plan.pods(n) for n in range(1, MAX_NODES + 1)]
    return [plan.node_network, plan.balancer_pool, plan.outside_network, plan.services, *pods]


def test_no_two_labs_share_an_address():
    for one, other in combinations(PLANS, 2):
        assert not one.block.overlaps(other.block)
        assert not one.block_v6.overlaps(other.block_v6)
        assert {one.bridge, one.table, one.loopback}.isdisjoint({other.bridge, other.table, other.loopback})


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: str(p.index))
def test_networks_of_a_lab_are_apart_and_within_its_block(plan):
    for network in networks(plan):
        assert network.subnet_of(plan.block)
        assert network.subnet_of(POOL)
    for one, other in combinations(networks(plan), 2):
        assert not one.overlaps(other)
    assert all(plan.pods(n).subnet_of(plan.all_pods) for n in range(1, MAX_NODES + 1))
    assert all(plan.pods_v6(n).subnet_of(plan.all_pods_v6) for n in range(1, MAX_NODES + 1))
    v6 = [plan.node_network_v6, plan.balancer_pool_v6, plan.services_v6, plan.all_pods_v6]
    assert all(network.subnet_of(plan.block_v6) for network in v6)
    assert not any(one.overlaps(other) for one, other in combinations(v6, 2))


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: str(p.index))
def test_interface_names_fit_into_the_kernels_15_characters(plan):
    assert all(len(name) <= 15 for name in (plan.bridge, plan.outside_interface, plan.interface(MAX_NODES)))


def test_addresses_of_machine_and_nodes_differ():
    plan = PLANS[0]
    assert plan.host not in {plan.node_address(n) for n in range(1, MAX_NODES + 1)}


@pytest.mark.parametrize("name", ["", "Lab", "a_b", "-a", "a-", "a" * 21, "a/b", "..", "a b", "ä"])
def test_bad_names_are_refused_with_what_is_allowed(name):
    with pytest.raises(InputError, match="lower-case letters, digits and '-'"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "0", "alpha-2", "a" * 20])
def test_good_names_pass(name):
    assert check_name(name) == name


@pytest.mark.parametrize("nodes", [0, -1, 17])
def test_numbers_of_nodes_out_of_range_are_refused(nodes):
    with pytest.raises(InputError, match="allowed: 1 to 16"):
        check_nodes(nodes)
