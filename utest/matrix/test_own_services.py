"""Services of the user's own: what is asked, and what is wrong with which of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import pytest

from NetLibrary._mechanics.errors import Forbidden
from NetLibrary._mechanics.matrix.judge.expect import expect
from NetLibrary._mechanics.matrix.judge.judge import UNASKED, judge
from NetLibrary._mechanics.matrix.model.objects import natural
from NetLibrary._mechanics.matrix.model.types import Cell, Expected
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.matrix.own import run, targets
from NetLibrary._mechanics.matrix.own.findings import Facts, Finding, findings
from NetLibrary._mechanics.matrix.show.commands import repeat
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target, observation

Network = Callable[[Cell], Outcome]


def pod(name: str, number: int, app: str = "web", port: int = 8080, ready: str = "True") -> dict[str, Any]:
    container = {"name": "c", "ports": [{"name": "http", "containerPort": port}]}
    address = f"10.244.0.{number}"
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": app}},
        "spec": {"nodeName": f"node{number % 2}", "containers": [container]},
        "status": {
            "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }  # fmt: skip


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    port = {"name": "http", "port": 80, "targetPort": 8080}
    made = {"selector": {"app": "web"}, "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [port], **spec}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": made}


def slice_of(pods: list[Any], name: str = "web", port: int = 8080, others: tuple[str, ...] = ()) -> dict[str, Any]:
    ends = [
        {
            "addresses": [p["status"]["podIP"]], "conditions": {"ready": True}, "nodeName": p["spec"]["nodeName"],
            "targetRef": {"kind": "Pod", "name": p["metadata"]["name"]},
        }
        for p in pods
    ]  # fmt: skip
    return {
        "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [*ends, *({"addresses": [address], "conditions": {"ready": True}} for address in others)],
    }


PODS = [pod("web-1", 1), pod("web-2", 2)]
ASK = pod("asks", 9, app="ask")


def world(**changes: Any) -> World:
    found = World(pods=[*PODS, ASK], services=[service()], slices=[slice_of(PODS)], namespaces={"shop": {}})
    return dataclasses.replace(found, **changes)


def found_in(about: World, network: Network | None = None, **templates: dict[str, str]) -> list[Finding]:
    source = Source("asks", "node1", "10.244.0.9", "shop")
    cells = []
    for item in about.services:
        for _, target in targets.of_service(about, item, "shop", [4]):
            expected = dataclasses.replace(expect(about, source, target), slow_ms=None)
            cell = Cell(source, target, expected, Observation(Outcome.ERROR))
            right = Outcome.CONNECTED if Outcome.CONNECTED in expected.outcomes else Outcome.REFUSED
            seen = Observation(network(cell) if network is not None and target.kind != "dns" else right)
            if seen.outcome is Outcome.CONNECTED:
                seen.detail = UNASKED
            cells.append(judge(source, target, expected, seen))
    return findings(Facts(about, templates, cells))


def test_a_healthy_service_has_no_finding() -> None:
    assert found_in(world()) == []


def test_a_misspelt_selector_is_found_though_nobody_answers_as_its_objects_say() -> None:
    about = world(services=[service(selector={"app": "wbe"})], slices=[slice_of([])])
    found = found_in(about)
    assert "its selector 'app=wbe' matches no pod and no workload's pods" in str(found[0])
    assert "Pods have the label app=web" in str(found[0])


def test_a_workload_that_is_scaled_to_nothing_is_no_misspelt_selector() -> None:
    about = world(services=[service(selector={"app": "idle"})], slices=[slice_of([])])
    assert found_in(about, idle={"app": "idle", "tier": "back"}) == []


def test_a_service_without_selector_and_endpoints_is_nobodys_mistake() -> None:
    assert found_in(world(services=[service(selector=None)], slices=[])) == []


def test_a_wrong_target_port_is_named_with_what_the_pods_declare() -> None:
    port = {"name": "http", "port": 80, "targetPort": 8088}
    about = world(services=[service(ports=[port])], slices=[slice_of(PODS, port=8088)])
    found = found_in(about, lambda cell: Outcome.REFUSED)
    assert "nothing listens on port 8088 of its 2 pods (targetPort 8088)" in str(found[0])
    assert "The pods declare 8080" in str(found[0])
    assert len(found) == 1


def test_a_port_name_that_no_pod_has_is_named() -> None:
    port = {"name": "http", "port": 80, "targetPort": "htpp"}
    empty = {**slice_of(PODS), "ports": []}
    found = found_in(world(services=[service(ports=[port])], slices=[empty]))
    assert "targetPort 'htpp' is not a port that its pods name. They name http" in str(found[0])


def test_the_pod_that_does_not_listen_is_named() -> None:
    found = found_in(world(), lambda cell: Outcome.REFUSED if cell.target.pod == "web-2" else Outcome.CONNECTED)
    assert "pod 'web-2' is ready and does not listen" in str(found[0])


def test_stale_endpoints_are_named() -> None:
    about = world(slices=[slice_of(PODS, others=("10.244.0.77",))])
    assert "list 1 of 3 endpoints wrongly, for instance 10.244.0.77, which no pod has" in str(found_in(about)[0])


def test_missing_endpoints_are_named() -> None:
    assert "lack 1 ready pods, for instance 'web-2'" in str(found_in(world(slices=[slice_of(PODS[:1])]))[0])


def test_a_proxy_that_does_not_forward_is_told_from_pods_that_do_not_answer() -> None:
    found = found_in(world(), lambda cell: Outcome.TIMEOUT if cell.target.kind == "vip" else Outcome.CONNECTED)
    assert "its pods answer at their own addresses, but not through the Service" in str(found[0])


def test_a_policy_that_denies_is_as_the_objects_say() -> None:
    deny = {"metadata": {"name": "deny", "namespace": "shop"}, "spec": {"podSelector": {"matchLabels": {"app": "web"}}}}
    about = world(policies=[deny])
    assert found_in(about, lambda cell: Outcome.TIMEOUT) == []
    assert "blocked by NetworkPolicy shop/deny" in str(found_in(about, lambda cell: Outcome.CONNECTED)[0])


@pytest.mark.parametrize("address", ["203.0.113.5"])
def test_a_service_that_leads_out_of_the_cluster_is_not_asked(address: str) -> None:
    item = service(selector=None)
    about = world(services=[item], slices=[slice_of([], others=(address,))])
    assert targets.leads_outside(about, item) == address
    assert targets.leads_outside(world(slices=[slice_of([], others=("10.244.0.1",))]), item) == ""


def test_node_ports_of_nodes_that_owe_no_answer_are_not_asked() -> None:
    """A node that was not ready, or somebody's containers in the guise of a node, was taken for a broken Service."""

    def node(name: str, number: int, ready: str = "True", **labels: str) -> dict[str, Any]:
        where = [{"type": "InternalIP", "address": f"192.0.2.{number}"}]
        status = {"addresses": where, "conditions": [{"type": "Ready", "status": ready}]}
        return {"metadata": {"name": name, "labels": labels}, "spec": {"unschedulable": name == "b"}, "status": status}

    nodes = [node("a", 1), node("b", 2), node("lost", 3, "Unknown"), node("aci", 4, type="virtual-kubelet")]
    opened = service(ports=[{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080}])
    asked = targets.of_service(world(nodes=nodes), opened, "shop", [4])
    assert [target.node for kind, target in asked if kind == targets.NODE_PORTS] == ["a", "b"]


def test_one_pod_behind_many_services_is_one_finding() -> None:
    ends = [slice_of(PODS, name) for name in ("web", "shop")]
    about = world(services=[service(), service("shop")], slices=ends)
    found = found_in(about, lambda cell: Outcome.REFUSED if cell.target.pod == "web-2" else Outcome.CONNECTED)
    assert len(found) == 1
    assert str(found[0]).startswith("Services 'web', 'shop': pod 'web-2' is ready and does not listen")


def test_the_line_that_repeats_a_cell_does_not_name_a_prober_that_is_gone() -> None:
    line = run.Namespace(cast(Any, None), "shop", run.Settings(image="agnhost"))._by_hand("node1")
    gone = Source("netlib-1-asks-1", "node1", "10.0.0.1", "shop", title="node1", by_hand=line)
    target = Target("web", "vip", "10.96.0.7", 80, probe="connect", service="web")
    shown = repeat(judge(gone, target, Expected(frozenset({Outcome.CONNECTED})), observation(Outcome.REFUSED)))
    assert shown.startswith("kubectl run asks -n shop --rm -i --restart=Never --image=agnhost ")
    assert '"nodeName":"node1"' in shown
    assert "netlib-1-asks-1" not in shown
    assert str(gone) == "node1"


def test_account_that_may_not_list_nodes_looks_at_services_by_pods_that_are_there() -> None:
    """It was refused, though no node is needed where a user's own pods ask."""
    asked: list[str] = []

    def refuse(kind: str, *_: Any) -> list[Any]:
        asked.append(kind)
        raise Forbidden("nodes is forbidden", status=403)

    cluster = cast(Any, type("Cluster", (), {"list": staticmethod(refuse)})())
    namespace = run.Namespace(cluster, "shop", run.Settings(sources="app=ask"))
    assert (namespace._nodes(), namespace._nodes(), asked) == ([], [], ["Node"])
    namespace._world = world(services=[service(ports=[{"port": 80, "nodePort": 30080}])])
    notes: dict[str, str] = {}
    namespace._wanted(["web"], notes)
    assert notes["nodes"] == "NodePorts are not asked: the account may not list nodes."
    with pytest.raises(Forbidden):
        run.Namespace(cluster, "shop", run.Settings())._nodes()


def test_services_stand_in_the_order_of_their_numbers() -> None:
    assert sorted(["svc-10", "svc-2", "svc-1"], key=natural) == ["svc-1", "svc-2", "svc-10"]
