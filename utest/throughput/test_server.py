"""The server that keywords start, and the addresses at which a client reaches it over each path."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem, Forbidden, NotFound, Unavailable
from NetLibrary._mechanics.iperf3.results import Iperf3Problem
from NetLibrary._mechanics.kube import service_types
from NetLibrary._mechanics.kube.pods import PodSettings
from NetLibrary._mechanics.throughput import server
from NetLibrary._mechanics.throughput.causes import (
    about_the_server,
    behind,
    closed_port,
    peers,
    server_container,
    several_servers,
)
from NetLibrary._mechanics.throughput.server import direct_way, find_way, server_manifests
from NetLibrary.types import ThroughputPath

Object = dict[str, Any]
# Peers of port 5201 (1451): one established from 10.244.1.7 twice, one from an IPv6 address, one only listening
SOCKETS = """  sl  local_address rem_address   st tx_queue rx_queue
   0: 00000000:1451 00000000:0000 0A 00000000:00000000
   1: 0200000A:1451 0701F40A:9C40 01 00000000:00000000
   2: 0200000A:1451 0701F40A:9C42 01 00000000:00000000
   3: 0200000A:0050 0801F40A:9C42 01 00000000:00000000
  sl  local_address                         remote_address                        st
   0: 0000000000000000FFFF00000200000A:1451 0000000000000000FFFF00000901F40A:9C40 01
   1: 000000FD000000000000000001000000:1451 000000FD000000000000000002000000:9C40 01
"""


def node(name: str, **spec: Any) -> Object:
    return {
        "metadata": {"name": name},
        "spec": spec,
        "status": {
            "addresses": [{"type": "InternalIP", "address": f"192.0.2.{name[-1]}"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(name: str, where: str, address: str, *, ready: bool = True, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "demo", "labels": {"app": "s"}},
        "spec": {"nodeName": where, "containers": [{"name": "iperf3"}], **spec},
        "status": {
            "phase": "Running",
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def service(kind: str = "ClusterIP", *, balancer: list[Object] | None = None, **more: Any) -> Object:
    port = {"port": 5201, "protocol": "TCP", "nodePort": 30001 if kind != "ClusterIP" else None}
    return {
        "metadata": {"name": "s", "namespace": "demo", **more.pop("metadata", {})},
        "spec": {"type": kind, "selector": {"app": "s"}, "clusterIP": "10.96.0.9", "ports": [port], **more},
        "status": {"loadBalancer": {"ingress": balancer or []}},
    }


class Cluster:
    """The objects of a cluster, as far as this topic asks for them."""

    alias, is_lab = "default", False

    def __init__(self, *objects: Object, nodes: tuple[Object, ...] = (), logs: str = "") -> None:
        self.objects, self.nodes, self.log = list(objects), list(nodes), logs
        self.resources = SimpleNamespace(find=lambda kind: SimpleNamespace(group="", plural=f"{kind.lower()}s"))
        self.connection = SimpleNamespace(request_object=lambda *_, **__: {"status": {"allowed": True}})

    def now(self) -> float:
        return time.time()

    def pod_settings(self) -> PodSettings:
        return PodSettings(tolerations=({"key": "pool", "operator": "Exists"},))

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        found = self.find(kind, name, namespace)
        if found is None:
            raise NotFound(f"{kind} '{name}' not found", status=404)
        return found

    def find(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        return next((o for o in self.list(kind, namespace) if o["metadata"]["name"] == name), None)

    def list(
        self, kind: str, namespace: str | None = None, *, labels: str | None = None, fields: str | None = None
    ) -> list[Object]:
        if kind == "Node":
            return self.nodes
        if kind == "EndpointSlice":
            pods = [o for o in self.objects if "nodeName" in o["spec"]]
            return [{"endpoints": [{"targetRef": {"kind": "Pod", "name": p["metadata"]["name"]}} for p in pods]}]
        of_kind = [o for o in self.objects if ("nodeName" in o["spec"]) == (kind == "Pod")]
        if fields:
            return [o for o in of_kind if o["status"].get("podIP") == fields.partition("=")[2]]
        return of_kind

    def exec(self, *_: Any, **__: Any) -> Any:
        return type("Result", (), {"stdout": SOCKETS})

    def logs(self, *_: Any, **__: Any) -> str:
        return self.log


NODES = (node("node1"), node("node2"), node("node3"))
SERVER = pod("s-0", "node1", "10.0.0.2")


def way(path: str, *objects: Object, nodes: tuple[Object, ...] = NODES) -> tuple[str, int, str | None, bool]:
    found = find_way(Cluster(*objects, nodes=nodes), ThroughputPath[path], "s", "demo")  # type: ignore[arg-type]
    return found.host, found.port, found.node, found.host_network


def test_each_path_has_its_address_and_place() -> None:
    both = (service("LoadBalancer", balancer=[{"ip": "198.51.100.1"}]), SERVER)
    assert way("SAME_NODE", *both) == ("10.0.0.2", 5201, "node1", False)
    assert way("OTHER_NODE", *both) == ("10.0.0.2", 5201, "node2", False)
    assert way("CLUSTER_IP", *both) == ("10.96.0.9", 5201, "node2", False)
    assert way("NODE_PORT", *both) == ("192.0.2.3", 30001, "node2", False)
    assert way("LOAD_BALANCER", *both) == ("198.51.100.1", 5201, "node2", False)
    assert way("HOST_NETWORK", service(), pod("s-0", "node1", "192.0.2.1", hostNetwork=True)) == (
        "192.0.2.1", 5201, "node2", True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("NODE_PORT", "needs a Service of type NodePort; 's' is of type ClusterIP"),
        ("LOAD_BALANCER", "Service 's' has no load balancer: it is of type ClusterIP"),
        ("HOST_NETWORK", "needs a server with host_network=True"),
    ],
)
def test_path_that_is_not_offered_is_skipped_with_the_reason(path: str, words: str) -> None:
    with pytest.raises(Unavailable, match=words):
        way(path, service(), SERVER)


def test_tainted_and_cordoned_nodes_take_no_client() -> None:
    nodes = (
        node("node1"),
        node("node2", unschedulable=True),
        node("node3", taints=[{"key": "db", "effect": "NoSchedule"}]),
    )
    with pytest.raises(Unavailable, match="needs a second node"):
        way("OTHER_NODE", service(), SERVER, nodes=nodes)


def test_nodes_of_other_kinds_take_no_client_and_tolerated_taints_keep_none_away() -> None:
    """A client was pinned to a Windows node, or to one that was not ready, and waited for there."""
    windows, lost = node("node1"), node("node2")
    windows["metadata"]["labels"] = {"kubernetes.io/os": "windows"}
    lost["status"]["conditions"][0]["status"] = "Unknown"
    ours = node("node4", taints=[{"key": "pool", "value": "tests", "effect": "NoSchedule"}])
    at_home = (service("NodePort"), pod("s-0", "node3", "10.0.0.2"))
    assert way("OTHER_NODE", *at_home, nodes=(windows, lost, node("node3"), ours))[2] == "node4"
    assert way("NODE_PORT", *at_home, nodes=(windows, lost, node("node3"), ours))[0] == "192.0.2.3"


def test_node_ports_are_asked_in_the_families_of_their_service() -> None:
    """In a dual cluster nodes may have another family first than Services: nobody answered at the address."""
    nodes = [node(name) for name in ("node1", "node2", "node3")]
    for number, each in enumerate(nodes, 1):
        each["status"]["addresses"].append({"type": "InternalIP", "address": f"fd00::{number}"})
    six = service("NodePort", ipFamilies=["IPv6"], clusterIPs=["fd00:1::9"])
    assert way("NODE_PORT", six, SERVER, nodes=tuple(nodes))[0] == "fd00::3"
    assert way("NODE_PORT", service("NodePort"), SERVER, nodes=tuple(nodes))[0] == "192.0.2.3"


def test_a_service_whose_type_is_refused_becomes_a_lesser_one_and_its_paths_say_why() -> None:
    """A quota of no load balancers, usual on shared clusters, ended the suite."""

    class Guarded(Cluster):
        def apply(self, obj: Object, **_: Any) -> Object:
            if obj["spec"].get("type") == "LoadBalancer":
                raise Forbidden("exceeded quota: team, limited: services.loadbalancers=0", status=403)
            self.objects.append({**obj, "status": {}})
            return obj

    told: list[str] = []
    cluster = Guarded(SERVER, nodes=NODES)
    made = service("LoadBalancer")
    service_types.apply(cluster, made, told.append)  # type: ignore[arg-type]
    assert told == [
        "Service 's' is made of type NodePort, since type LoadBalancer is refused here: exceeded quota: team, "
        "limited: services.loadbalancers=0"
    ]
    assert made["spec"]["type"] == "LoadBalancer"
    find_way(cluster, ThroughputPath.NODE_PORT, "s", "demo")  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="no load balancer: type LoadBalancer is refused here: exceeded quota: team"):
        find_way(cluster, ThroughputPath.LOAD_BALANCER, "s", "demo")  # type: ignore[arg-type]


def test_the_path_from_outside_is_skipped_where_this_machine_may_not_come_in() -> None:
    """iperf3 tried to get through the firewall of a cloud, and the row failed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        open_port = server.getsockname()[1]
        balanced = service("LoadBalancer", balancer=[{"ip": "127.0.0.1"}])
        balanced["spec"]["ports"][0]["port"] = open_port
        assert way("OUTSIDE", balanced, SERVER)[:2] == ("127.0.0.1", open_port)
    with pytest.raises(Unavailable, match=rf"127.0.0.1 port {open_port} does not answer it \(Connection refused\)"):
        way("OUTSIDE", balanced, SERVER)


def test_server_that_died_meanwhile_is_an_error_with_its_reason() -> None:
    """Rows were skipped, as if the cluster did not offer the path."""
    dead = pod("s-0", "node1", "10.0.0.2", ready=False)
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    dead["status"]["containerStatuses"] = [{"name": "iperf3", "ready": False, "state": waiting, "lastState": ended}]
    words = r"Service 'demo/s' has no ready pod: 's-0': container 'iperf3' is CrashLoopBackOff.*OOMKilled"
    with pytest.raises(EnvironmentProblem, match=words):
        way("SAME_NODE", service(), dead)
    with pytest.raises(EnvironmentProblem, match="there is none"):
        way("SAME_NODE", service())


def test_direct_path_from_another_cluster_is_never_a_pod() -> None:
    """It measured to a pod address of another cluster."""

    def direct(same: bool, *objects: Object) -> tuple[str, int]:
        found = direct_way(Cluster(*objects, nodes=NODES), "s", "demo", same_cluster=same)  # type: ignore[arg-type]
        return found.host, found.port

    assert direct(True, service(), SERVER) == ("10.0.0.2", 5201)
    assert direct(False, service("LoadBalancer", balancer=[{"ip": "198.51.100.1"}]), SERVER) == ("198.51.100.1", 5201)
    assert direct(False, service("NodePort"), SERVER) == ("192.0.2.1", 30001)
    with pytest.raises(Unavailable, match="neither a load balancer nor a NodePort"):
        direct(False, service(), SERVER)


def test_second_node_that_may_not_be_seen_is_not_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> list[Any]:
        raise Forbidden("nodes is forbidden", status=403)

    cluster = Cluster(service(), SERVER)
    seen = cluster.list
    monkeypatch.setattr(cluster, "list", lambda kind, *a, **k: refuse() if kind == "Node" else seen(kind, *a, **k))
    with pytest.raises(Unavailable, match=r"needs a second node for the client; the account may not list nodes\."):
        find_way(cluster, ThroughputPath.OTHER_NODE, "s", "demo")  # type: ignore[arg-type]


def test_server_listens_for_both_protocols_and_is_one() -> None:
    deployment, made = server_manifests("s", "demo", "i:1", node="node1", host_network=True, service_type="NodePort")
    assert [port["protocol"] for port in made["spec"]["ports"]] == ["TCP", "UDP"]
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["template"]["spec"]["hostNetwork"] is True


# --- what stands behind an address ----------------------------------------------------------------------


@pytest.mark.parametrize("server", ["s", "s.demo", "s.demo.svc.cluster.local", "10.96.0.9"])
def test_two_servers_behind_one_address_are_refused(server: str) -> None:
    cluster = Cluster(service(), SERVER, pod("s-1", "node2", "10.0.1.2"))
    text = several_servers(cluster, server, "demo")  # type: ignore[arg-type]
    assert text.startswith(f"2 pods are behind '{server}' ('s-0', 's-1'); iperf3 needs one")


@pytest.mark.parametrize(
    "one",
    [
        service(sessionAffinity="ClientIP"),
        service(metadata={"labels": {"internal.skupper.io/listener": "true"}}),
    ],
)
def test_several_pods_that_lead_to_one_server_are_fine(one: Object) -> None:
    cluster = Cluster(one, SERVER, pod("s-1", "node2", "10.0.1.2"))
    assert several_servers(cluster, "s", "demo") == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("server", ["s", "s.demo.svc.cluster.local", "10.96.0.9"])
def test_a_service_without_the_port_that_iperf3_needs_is_named_at_once(server: str) -> None:
    """Datagrams to a Service with a TCP port alone were "timed out" after half a minute."""
    one = service()
    one["spec"]["ports"] = [{"port": 5201}, {"port": 80, "protocol": "TCP"}]
    cluster: Any = Cluster(one, SERVER)
    assert closed_port(cluster, server, "demo", 5201, "tcp") == ""
    text = closed_port(cluster, server, "demo", 5201, "udp")
    assert text.startswith(f"Service '{server}' has no UDP port 5201; iperf3 needs TCP and UDP at one port.")
    assert text.endswith("Its ports: 5201/TCP, 80/TCP.")
    assert "no TCP and no UDP port 5202" in closed_port(cluster, server, "demo", 5202, "udp")


@pytest.mark.parametrize(
    "change", [{"clusterIP": "None", "clusterIPs": ["None"]}, {"type": "ExternalName", "clusterIP": None}]
)
def test_ports_of_a_service_that_leads_past_them_do_not_matter(change: Object) -> None:
    one = service()
    one["spec"] |= {"ports": [{"port": 5201}], **change}
    assert closed_port(Cluster(one, SERVER), "s", "demo", 5201, "udp") == ""  # type: ignore[arg-type]


def test_names_outside_of_the_cluster_are_left_alone() -> None:
    assert behind(Cluster(service(), SERVER), "s.example.com", "demo").service is None  # type: ignore[arg-type]


def test_peers_of_a_port_are_read_from_the_socket_tables() -> None:
    assert peers(SOCKETS, 5201)[:2] == ["10.244.1.7", "10.244.1.9"]
    assert len(peers(SOCKETS, 5201)) == 3


def test_busy_server_is_told_with_its_holder_and_since_when() -> None:
    log = (
        "2026-01-01T10:00:00.5Z Server listening on 5201 (test #1)\n"
        "2026-01-01T10:00:01.5Z Accepted connection from ::ffff:10.244.1.7, port 40000\n"
    )
    client = pod("first", "node2", "10.244.1.7")
    cluster = Cluster(service(), SERVER, client, logs=log)
    cluster.objects.remove(client)
    cluster.objects.append({**client, "metadata": {**client["metadata"], "namespace": "other"}})
    said = about_the_server(cluster, Iperf3Problem("busy", "b"), "10.0.0.2", "demo", 5201)  # type: ignore[arg-type]
    assert len(said) == 1
    assert said[0].startswith(
        "The server 'demo/s-0' is held by 10.244.1.7 (pod 'other/first' on node2, Running) since "
    )
    assert "kubectl -n demo delete pod s-0" in said[0]


def test_server_that_was_killed_is_told() -> None:
    import time

    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    dead = pod("s-0", "node1", "10.0.0.2")
    dead["status"]["containerStatuses"] = [
        {"name": "iperf3", "lastState": {"terminated": {"finishedAt": stamp, "exitCode": 137, "reason": "Error"}}}
    ]
    said = about_the_server(Cluster(dead), Iperf3Problem("closed", "c"), "10.0.0.2", "demo", 1)  # type: ignore[arg-type]
    assert said == [f"The server's container 'iperf3' in pod 'demo/s-0' ended at {stamp} with exit status 137 (Error)."]


def test_refused_connection_asks_nobody() -> None:
    assert about_the_server(None, Iperf3Problem("refused", "r"), "s", "demo", 1) == []  # type: ignore[arg-type]


def test_server_is_found_behind_an_injected_container() -> None:
    injected, own = {"name": "proxy"}, {"name": "server", "command": ["iperf3", "-s"]}
    assert server_container({"spec": {"containers": [injected, own]}}) == "server"
    assert server_container({"spec": {"containers": [injected, {"name": "x"}]}}) == "proxy"


@pytest.mark.parametrize(
    ("kind", "balancer", "made", "seconds"),
    [
        ("LoadBalancer", [], True, 2.0),
        ("LoadBalancer", [], False, 20.0),
        ("LoadBalancer", [{"ip": "198.51.100.1"}], True, 20.0),
        ("ClusterIP", [], True, 20.0),
    ],
)
def test_missing_load_balancer_is_waited_for_once(kind: str, balancer: list[Any], made: bool, seconds: float) -> None:
    """The second server waited another 20 s; a Service of others says nothing about ours."""
    first = service(kind, balancer=balancer)
    first["metadata"] = {**first.get("metadata", {}), "name": "first"}
    cluster: Any = SimpleNamespace(list=lambda *_: [first], ownership=SimpleNamespace(made=lambda _: made))
    assert server._patience(cluster, "shop", "second") == seconds
