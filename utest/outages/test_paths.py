from __future__ import annotations

import pytest

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.outages.discovery import gateway_of, resolver_of
from NetLibrary._mechanics.outages.objects import OUTSIDE, SOURCE, Endpoints, Outside, Target, expand, resolve
from NetLibrary._mechanics.outages.places import Plan, spoken
from NetLibrary._mechanics.outages.streams import Rates, streams
from NetLibrary._mechanics.outages.types import ProbeKind, StreamSpec
from NetLibrary.types import OutagePath


def pod(node: str, *addresses: str) -> dict:
    return {"spec": {"nodeName": node}, "status": {"podIPs": [{"ip": address} for address in addresses]}}


def node(*addresses: str) -> dict:
    return {"status": {"addresses": [{"type": "InternalIP", "address": address} for address in addresses]}}


def service(**changes) -> dict:
    ports = [
        {"port": 7007, "protocol": "TCP", "nodePort": 30007},
        {"port": 7007, "protocol": "UDP", "nodePort": changes.pop("udp_port", 30007)},
    ]
    ingress = changes.pop("ingress", [{"ip": "192.0.2.9"}])
    return {
        "spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.7", "fd00::7"], "ports": ports, **changes},
        "status": {"loadBalancer": {"ingress": ingress}},
    }


def endpoints(**changes) -> Endpoints:
    facts = {
        "pods": {
            "source": pod("a", "10.1.0.1", "fd00:1::1"),
            "near": pod("a", "10.1.0.2"),
            "far": pod("b", "10.2.0.1", "fd00:2::1"),
            "near-host": pod("a", "172.16.0.1"),
            "far-host": pod("b", "172.16.0.2"),
        },
        "service": service(),
        "nodes": {"a": node("172.16.0.1"), "b": node("172.16.0.2", "fd00:f::2")},
        "gateways": {("source", 4): "10.1.0.254", ("far", 4): "10.2.0.254"},
        "dns": ("10.96.0.10", "corp.example"),
        "outside": [Outside("198.51.100.1")],
        **changes,
    }
    return Endpoints(**facts)  # type: ignore[arg-type]


def test_all_paths_of_a_whole_cluster_are_found():
    targets, missing = resolve(endpoints(), [path for path in OutagePath if path is not OutagePath.ALL])
    assert missing == []
    assert {t.path: (t.source, t.address, t.port) for t in targets} == {
        "pod on same node": (SOURCE, "10.1.0.2", 7007),
        "pod on other node": (SOURCE, "10.2.0.1", 7007),
        "own node": (SOURCE, "172.16.0.1", 17007),
        "other node": (SOURCE, "172.16.0.2", 17007),
        "own gateway": (SOURCE, "10.1.0.254", 0),
        "other gateway": (SOURCE, "10.2.0.254", 0),
        "service": (SOURCE, "10.96.0.7", 7007),
        "node port": (SOURCE, "172.16.0.2", 30007),
        "node port from outside": (OUTSIDE, "172.16.0.2", 30007),
        "load balancer from outside": (OUTSIDE, "192.0.2.9", 7007),
        "outside address": (SOURCE, "198.51.100.1", 0),
        "dns": (SOURCE, "10.96.0.10", 53),
    }


def test_what_is_missing_is_said_path_by_path():
    poor = endpoints(
        pods={"source": pod("a", "10.1.0.1")}, service=None, gateways={}, dns=None, outside=(),
        nodes={"a": node("172.16.0.1")},
    )  # fmt: skip
    targets, missing = resolve(poor, [path for path in OutagePath if path is not OutagePath.ALL])
    assert [t.path for t in targets] == ["own node"]
    assert targets[0].kinds == (ProbeKind.ICMP,)
    assert "no echo pod in the host network" in targets[0].note
    said = "\n".join(missing)
    for words in (
        "pod on same node: there is no ready pod with the label netlibrary.io/break=near",
        "own gateway: pod 'source' has no default gateway",
        "service: there is no Service 'far'",
        "outside address: no address outside the cluster is given",
        "dns: the source's resolv.conf names no IPv4 server",
    ):
        assert words in said


def test_both_families_are_paths_of_their_own():
    targets, missing = resolve(endpoints(), [OutagePath.POD_ON_OTHER_NODE, OutagePath.POD_ON_SAME_NODE], (4, 6))
    assert [(t.path, t.address) for t in targets] == [
        ("pod on other node IPv4", "10.2.0.1"),
        ("pod on other node IPv6", "fd00:2::1"),
        ("pod on same node IPv4", "10.1.0.2"),
    ]
    assert missing == ["pod on same node IPv6: pod 'near' has no IPv6 address"]
    specs = [spec for of_source in streams(targets, Rates()).values() for spec in of_source]
    # Limits that name a path mean it in both families
    assert {spec.base_path for spec in specs} <= {path.value for path in OutagePath}
    assert {spec.path.rpartition(" ")[2] for spec in specs} == {"IPv4", "IPv6"}


def test_a_service_without_load_balancer_or_with_two_node_ports():
    bare = endpoints(service=service(ingress=[], udp_port=30008))
    (target,), missing = resolve(bare, [OutagePath.LOAD_BALANCER_FROM_OUTSIDE, OutagePath.NODE_PORT])
    assert "got no load balancer address" in missing[0]
    assert ProbeKind.UDP not in target.kinds
    assert "differs" in target.note


def test_streams_are_numbered_per_source_and_filtered_by_kind():
    targets, _missing = resolve(endpoints(), [path for path in OutagePath if path is not OutagePath.ALL])
    found = streams(targets, Rates())
    assert [spec.number for spec in found[SOURCE]] == list(range(1, len(found[SOURCE]) + 1))
    assert len(found[OUTSIDE]) == 6
    only = streams(targets, Rates(), [ProbeKind.DNS])
    assert [spec.query for spec in only[SOURCE]] == ["kubernetes.default.svc.corp.example"]
    with pytest.raises(InputError, match="nothing to measure"):
        streams([Target("own gateway", SOURCE, "10.0.0.1", kinds=(ProbeKind.ICMP,))], Rates(), [ProbeKind.DNS])


def test_new_connections_are_lost_before_the_kernel_repeats_their_syn():
    assert Rates(timeout_ms=3000).limit_ms(ProbeKind.TCP_NEW) == 900
    assert Rates(timeout_ms=3000).limit_ms(ProbeKind.ICMP) == 3000
    assert Rates(timeout_ms=300).limit_ms(ProbeKind.TCP_NEW) == 300


def test_gateway_that_nobody_has_is_left_out_with_its_reason():
    """Calico gives all pods the gateway 169.254.1.1: nodes answer for it in ARP, and nobody to an echo request."""
    known = endpoints(gateways={("source", 4): "169.254.1.1"})
    targets, missing = resolve(known, [OutagePath.OWN_GATEWAY])
    assert not targets
    assert missing == [
        "own gateway: 169.254.1.1, the gateway of pod 'source', is a link-local address, which need not answer"
    ]


def test_gateways_are_read_from_the_routes():
    v4 = "Iface\tDestination\tGateway\neth0\t00000000\t0102F40A\t0003\neth0\t0002F40A\t00000000\t0001\n"
    assert gateway_of(v4, 4) == "10.244.2.1"
    v6 = (
        "00000000000000000000000000000000 00 " + "0" * 32 + " 00 fd000001000000000000000000000001 00000400 1 0 3 eth0\n"
    )
    assert gateway_of(v4 + v6, 6) == "fd00:1::1"
    assert gateway_of("Iface Destination Gateway\n", 4) is None
    assert resolver_of("options ndots:5\n") is None
    assert resolver_of("nameserver 10.0.0.10\n") == ("10.0.0.10", "cluster.local")


def test_all_stands_for_every_path_and_each_is_measured_once():
    every = [path for path in OutagePath if path is not OutagePath.ALL]
    assert expand([OutagePath.ALL], [OutagePath.DNS]) == every
    assert expand([OutagePath.DNS, OutagePath.DNS], []) == [OutagePath.DNS]


def a_plan(missing: list[str], specs: list[StreamSpec]) -> Plan:
    return Plan(endpoints(), [], missing, {"source": specs}, [], [])


def test_a_path_that_was_asked_for_and_is_not_there_is_named_with_its_reason():
    """It was skipped silently, and the row passed."""
    plan = a_plan(
        ["dns IPv6: the source's resolv.conf names no IPv6 server"], [StreamSpec(1, "service", ProbeKind.UDP, "x")]
    )
    assert plan.absent(["service"]) == []
    assert plan.absent(["dns"]) == ["dns IPv6: the source's resolv.conf names no IPv6 server"]
    assert plan.absent(["own node"]) == ["own node: none of the requested probes fits it"]


def test_a_path_that_no_probe_can_measure_after_all_is_named():
    icmp, udp = StreamSpec(1, "own node", ProbeKind.ICMP, "x"), StreamSpec(2, "own node", ProbeKind.UDP, "x")
    alone = StreamSpec(3, "own gateway", ProbeKind.ICMP, "y")
    plan = a_plan([], [icmp, udp, alone])
    required = ["own node", "own gateway"]
    assert plan.unprobed(required, [(icmp, "no socket"), (alone, "no socket")]) == ["own gateway: no socket"]


def test_load_balancer_with_a_name_is_probed_at_the_addresses_of_that_name():
    named = endpoints(service=service(ingress=[{"hostname": "localhost"}]))
    targets, missing = resolve(named, [OutagePath.LOAD_BALANCER_FROM_OUTSIDE])
    assert [target.address for target in targets] == ["127.0.0.1"], missing


def test_load_balancer_whose_name_nobody_knows_yet_is_left_out_by_name():
    named = endpoints(service=service(ingress=[{"hostname": "far-1.elb.invalid"}]))
    targets, missing = resolve(named, [OutagePath.LOAD_BALANCER_FROM_OUTSIDE])
    assert not targets
    assert "the load balancer's name 'far-1.elb.invalid' cannot be resolved (yet)" in str(missing)


def test_in_a_cluster_of_ipv6_alone_its_family_is_measured():
    """The address outside was asked for over IPv4, which no pod has, and the row had no valid result."""
    alone = endpoints(pods={"source": pod("a", "fd00:1::1")})
    assert spoken(alone, (4,)) == [6]
    assert spoken(alone, (4, 6)) == (4, 6)
    assert spoken(endpoints(), (4,)) == (4,)
    assert spoken(endpoints(pods={}), (4,)) == (4,)


@pytest.mark.parametrize(("family", "server", "kind"), [(4, "10.96.0.10", "A"), (6, "fd00::a", "AAAA")])
def test_names_are_asked_for_in_the_family_of_the_cluster(family: int, server: str, kind: str):
    """In a cluster of IPv6 alone the API server's name has no IPv4 record, and DNS had no good answer."""
    targets, _ = resolve(endpoints(dns=(server, "corp.example")), [OutagePath.DNS], (family,))
    assert [target.query_type for target in targets] == [kind]
    specs = streams(targets, Rates(), None)
    assert [spec.query_type for spec in specs[SOURCE]] == [kind]
