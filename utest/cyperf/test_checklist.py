"""Every point of the checklist: holds for a good configuration, and names a mismatch with both values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from NetLibrary._mechanics.cyperf import checklist
from NetLibrary._mechanics.cyperf.checklist import Surroundings
from NetLibrary._mechanics.cyperf.nodes import NodeReading
from NetLibrary._mechanics.cyperf.types import Agent
from NetLibrary.standins.cyperf.controller import catalog, defaults

DNS = "10.96.0.10"


def service(name: str, cluster_ip: str, ports: list[dict[str, Any]], **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "cyperf"},
        "spec": {"clusterIP": cluster_ip, "clusterIPs": [cluster_ip], "ports": ports},
        "status": status,
    }


def good() -> tuple[dict[str, Any], Surroundings]:
    tree = copy.deepcopy(catalog.built_in_configurations(0)["appsec-two-arm-base"][1])
    profile = defaults.traffic_profile()
    profile["Applications"] = [catalog.application("HTTP App")]
    tree["TrafficProfiles"] = [profile]
    dut = tree["NetworkProfiles"][0]["DUTNetworkSegment"][0]
    dut.update(active=True, ServerDUTActive=True, ServerDUTHost="10.96.1.1")
    around = Surroundings(
        services=[
            service("web", "10.96.1.1", [{"port": 80, "targetPort": 80}, {"port": 443, "targetPort": 443}]),
            service("nodes", "10.96.1.2", [{"port": 80, "targetPort": 80, "nodePort": 30080}]),
            service("outside", "10.96.1.3", [{"port": 80, "targetPort": 80}],
                    loadBalancer={"ingress": [{"ip": "192.0.2.9"}]}),
        ],
        server_pods=[{"metadata": {"name": "s"}, "status": {"podIP": "10.1.0.5"}, "spec": {"containers": [{}]}}],
        node_addresses={"172.16.0.1"},
        dns=DNS,
        nodes=[NodeReading("node1", 0.1, 262144, 100, 120, {})],
        agents=[Agent("1", "10.1.0.4", "c", interfaces=({"Name": "eth0", "MTU": 1500},))],
        clock_offset=0.0,
    )  # fmt: skip
    return tree, around


def dut(tree: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = tree["NetworkProfiles"][0]["DUTNetworkSegment"][0]
    return found


def ports(tree: dict[str, Any], **values: int) -> None:
    tree["TrafficProfiles"][0]["Applications"][0]["Connections"][0]["PortSettings"].update(values)


def objective(tree: dict[str, Any], kind: str, value: float) -> None:
    found = tree["TrafficProfiles"][0]["ObjectivesAndTimeline"]["PrimaryObjective"]
    found["Type"] = kind
    found["Timeline"][1]["ObjectiveValue"] = value


def client(tree: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = tree["NetworkProfiles"][0]["IPNetworkSegment"][0]
    return found


def bad(tree: dict[str, Any], around: Surroundings) -> list[str]:
    found = checklist.check(tree, around, pause=120, max_clock_skew=2)
    return [str(finding) for finding in found if finding.passed is False]


def test_good_configuration_fits() -> None:
    assert bad(*good()) == []


@pytest.mark.parametrize(
    ("host", "change"),
    [
        ("10.96.1.1", {}),
        ("10.1.0.5", {}),
        ("172.16.0.1", {"DestinationPort": 30080}),
        ("192.0.2.9", {}),
        ("", {}),
    ],
)
def test_every_kind_of_target_fits(host: str, change: dict[str, int]) -> None:
    tree, around = good()
    dut(tree).update(ServerDUTHost=host)
    ports(tree, **change)
    assert bad(tree, around) == []


def test_name_of_a_service_fits_with_the_cluster_dns() -> None:
    tree, around = good()
    dut(tree).update(ServerDUTHost="web.cyperf.svc.cluster.local")
    client(tree)["DNSResolver"]["nameServers"] = [{"name": DNS}]
    assert bad(tree, around) == []


@pytest.mark.parametrize("host", ["a1b2.elb.example", "A1B2.elb.example."])
def test_load_balancer_with_a_host_name_is_recognised(host: str) -> None:
    tree, around = good()
    around.services[2]["status"]["loadBalancer"]["ingress"] = [{"hostname": "a1b2.elb.example", "ip": "192.0.2.9"}]
    dut(tree).update(ServerDUTHost=host)
    client(tree)["DNSResolver"]["nameServers"] = [{"name": DNS}]
    assert checklist.find_aim(host, around).kind == "LoadBalancer"
    assert bad(tree, around) == []
    client(tree)["DNSResolver"]["nameServers"] = []
    assert bad(tree, around) == [f"DNS resolver of 'IP Network 1': expected a name server for '{host}', seen none"]
    ports(tree, DestinationPort=81)
    assert any("a port of Service 'outside' (80), seen 81" in line for line in bad(tree, around))


def test_ports_behind_a_device_are_its_own_matter() -> None:
    tree, around = good()
    around.services[0]["spec"]["ports"] = [{"port": 80, "targetPort": 8080}]
    assert any("server ports" in line for line in bad(tree, around))
    around.device = True
    assert bad(tree, around) == []
    ports(tree, DestinationPort=81)
    assert bad(tree, around) == ["destination ports of 'HTTP App': expected a port of Service 'web' (80), seen 81"]
    dut(tree).update(ServerDUTHost="192.0.2.77")
    assert bad(tree, around) == []


def test_room_is_counted_with_the_timeout_of_the_node() -> None:
    tree, around = good()
    objective(tree, "Connections per second", 1200)
    around.nodes = [NodeReading("node1", 0.1, 131072, 0, 30, {})]
    assert bad(tree, around) == []


def no_resolver(tree: dict[str, Any], _: Surroundings) -> None:
    dut(tree).update(ServerDUTHost="web.cyperf.svc.cluster.local")


def wrong_resolver(tree: dict[str, Any], _: Surroundings) -> None:
    dut(tree).update(ServerDUTHost="web.cyperf.svc.cluster.local")
    client(tree)["DNSResolver"]["nameServers"] = [{"name": "8.8.8.8"}]


def node_port(tree: dict[str, Any], _: Surroundings) -> None:
    dut(tree).update(ServerDUTHost="172.16.0.1")


def node_port_of_another_range(tree: dict[str, Any], around: Surroundings) -> None:
    """The API server may have another range, and the usual one was said to be asked for."""
    node_port(tree, around)
    around.services[1]["spec"]["ports"][0]["nodePort"] = 20080


def tls_without_443(tree: dict[str, Any], around: Surroundings) -> None:
    tree["TrafficProfiles"][0]["Applications"] = [catalog.application("HTTPS App")]
    around.services[0]["spec"]["ports"] = [{"port": 80, "targetPort": 80}]


def named_port(tree: dict[str, Any], around: Surroundings) -> None:
    around.services[0]["spec"]["ports"] = [{"port": 80, "targetPort": "web"}]


def probe(tree: dict[str, Any], around: Surroundings) -> None:
    around.server_pods[0]["spec"]["containers"] = [
        {"readinessProbe": {"httpGet": {"path": "/CyPerfHTTPHealthCheck", "port": 8080}}}
    ]


def skew(tree: dict[str, Any], around: Surroundings) -> None:
    around.clock_offset = 9.0


def small_table(tree: dict[str, Any], around: Surroundings) -> None:
    # The documented example: 1200 connections per second need 144 000 entries, a table had 131 072.
    objective(tree, "Connections per second", 1200)
    around.nodes = [NodeReading("node1", 0.0, 131072, 0, 120, {})]


def run_before(tree: dict[str, Any], around: Surroundings) -> None:
    around.last_run = (30.0, "cyperf/web")


def mixed_mtu(tree: dict[str, Any], around: Surroundings) -> None:
    around.agents.append(Agent("2", "10.1.0.5", "s", interfaces=({"Name": "eth0", "MTU": 1450},)))


def big_mss(tree: dict[str, Any], around: Surroundings) -> None:
    around.agents = [Agent("2", "10.1.0.5", "s", interfaces=({"Name": "eth0", "MTU": 1450},))]
    client(tree)["IPRanges"][0].update(MssAuto=False, Mss=1460)


CASES: list[tuple[Callable[[dict[str, Any], Surroundings], None], str]] = [
    (lambda t, a: ports(t, DestinationPort=8080), "a port of Service 'web' (80, 443), seen 8080"),
    (lambda t, a: ports(t, ServerListenPort=8081), "targetPort 80 of Service 'web', seen 8081"),
    (named_port, "targetPort web of Service 'web', seen 80, no container port is named 'web'"),
    (tls_without_443, "a port of Service 'web' (80), seen 443"),
    (node_port, "a nodePort in 30000-32767: 30080 (nodes 80), seen 80"),
    (node_port_of_another_range, "expected a nodePort: 20080 (nodes 80), seen 80"),
    (no_resolver, f"expected {DNS} (DNS of the cluster) for 'web.cyperf.svc.cluster.local', seen none"),
    (wrong_resolver, f"expected {DNS} (DNS of the cluster) for 'web.cyperf.svc.cluster.local', seen 8.8.8.8"),
    (lambda t, a: client(t)["IPRanges"][0].update(GwAuto=False), "automatic, agents are pods, seen GwAuto off"),
    (probe, "port 8080 path /CyPerfHTTPHealthCheck, enabled (readiness probe of the server pods), seen port 80"),
    (
        small_table,
        "on node 'node1': expected room for 144000 (1200 per second x 120 s), seen 131072 entries, 0 in use; on the "
        "node 'sysctl -w net.netfilter.nf_conntrack_max=196608'",
    ),
    (run_before, "expected at least 120 s, seen 30 s (against cyperf/web)"),
    (mixed_mtu, "MTU of the agents: expected the same everywhere, seen c eth0 1500, s eth0 1450"),
    (big_mss, "MSS of 'IP Network 1': expected at most 1410 (MTU 1450 - 40), seen 1460"),
    (skew, "at most 2 s apart, seen node 'node1' -8.9 s against the controller"),
]


@pytest.mark.parametrize(("change", "words"), CASES)
def test_each_mismatch_is_named_with_both_values(
    change: Callable[[dict[str, Any], Surroundings], None], words: str
) -> None:
    tree, around = good()
    change(tree, around)
    found = bad(tree, around)
    assert len(found) == 1, found
    assert words in found[0]


def test_what_cannot_be_read_is_not_called_good() -> None:
    tree, around = good()
    objective(tree, "Connections per second", 100)
    around.nodes = []
    found = [f for f in checklist.check(tree, around, pause=0, max_clock_skew=2) if f.passed is None]
    assert {f.rule.split(" (")[0] for f in found} == {"connection tracking", "clocks of controller and nodes"}
