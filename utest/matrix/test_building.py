"""What is left out, refused or measured while a matrix is built."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from robot.api import Error, SkipExecution
from synthetic import layout, sources, world

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.absences import Absences
from NetLibrary._mechanics.matrix import lifecycle, readiness
from NetLibrary._mechanics.matrix.building import Builder, Options, local_addresses
from NetLibrary._mechanics.matrix.cases import CASES
from NetLibrary._mechanics.matrix.model import objects
from NetLibrary._mechanics.matrix.run import Matrix
from NetLibrary.keywords._session import Session
from NetLibrary.keywords.matrix import MatrixKeywords
from NetLibrary.keywords.matrix._state import state_of
from NetLibrary.types import MatrixCase

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.244.1.0
        /32 host LOCAL
     |-- 10.244.2.0
        /24 universe UNICAST
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 172.30.0.1
        /32 host LOCAL
fd000000000000000000000000000001 02 40 00 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""


class Refusing:
    """A cluster that refuses some objects and takes the others."""

    lab, run_id = None, "run"

    def __init__(self, **refusals):
        self.refusals = refusals
        self.made = []

    def create(self, obj):
        name = obj["metadata"]["name"]
        for part, error in self.refusals.items():
            if part.replace("_", "-") in name:
                raise error
        self.made.append(name)


def builder(cluster):
    made = Builder(cluster, Options("matrix-test", "agnhost:1"))
    made.testbed.layout = layout()
    return made


def test_a_prober_image_of_its_own_is_a_container_beside_agnhost_in_pods_that_probe():
    """An agnhost image without a shell could not probe."""
    made = objects.Layout("m", "agnhost:1", (("on-n", "n"),), (("host-n", "n"),), prober_image="tools:1")
    images = {p["metadata"]["name"]: [c["image"] for c in p["spec"]["containers"]] for p in objects.pods(made)}
    assert images == {
        "on-n": ["agnhost:1", "agnhost:1", "tools:1"], "host-n": ["agnhost:1", "tools:1"], "never-ready": ["agnhost:1"],
    }  # fmt: skip
    without = objects.Layout("m", "agnhost:1", (("on-n", "n"),))
    assert not [p for p in objects.pods(without) if "prober" in str(p["spec"]["containers"])]


def test_addresses_of_a_node_are_read_from_its_kernel_with_those_of_overlay_devices():
    assert local_addresses(FIB_TRIE) == {"10.244.1.0", "172.30.0.1", "fd00::1"}


def test_a_refused_service_costs_its_row_only_and_the_servers_words_are_told():
    cluster = Refusing(external_ip=errors.Forbidden("external IPs are denied", status=403))
    made = builder(cluster)
    made._create(objects.services(made.testbed.layout))
    assert "nodeport" in cluster.made
    bed = made.testbed
    bed.world = world()
    bed.sources = []
    bed.sources = sources(bed.layout, bed.world)
    matrix = Matrix(bed)
    assert matrix.lacking(CASES["external ip"]) == "the API server refused it: external IPs are denied"
    assert not matrix.lacking(CASES["cluster ip"])


def test_row_that_needs_the_host_network_is_skipped_with_the_words_of_who_refuses_it():
    """It passed with "0 of 0 cells as expected"."""
    bed = builder(Refusing()).testbed
    bed.layout = bed.layout.without({name: "hostNetwork is denied here" for name, _ in bed.layout.host_pods})
    bed.world = world()
    bed.sources = [source for source in sources(bed.layout, bed.world) if not source.host_network]
    matrix = Matrix(bed)
    assert matrix.lacking(CASES["host backends"]) == "there are no pods on the host network; hostNetwork is denied here"


@pytest.mark.parametrize("left", [0, 1, 2])
def test_row_that_nobody_could_ask_is_skipped(left):
    bed = builder(Refusing()).testbed
    bed.layout = bed.layout.without({name: "gone" for name, _ in bed.layout.host_pods})
    bed.world = world()
    bed.sources = [source for source in sources(bed.layout, bed.world) if not source.host_network][:left]
    matrix = Matrix(bed)
    for case in CASES.values():
        assert matrix.lacking(case) or matrix.pairs(case), case.key


def test_load_balancer_with_a_name_alone_is_left_out_by_its_name():
    """What a cloud's name leads to keeps rules of its own, and is not known to DNS in its first minutes."""
    bed = builder(Refusing()).testbed
    bed.world = world(balancer=False)
    bed.sources = sources(bed.layout, bed.world)
    service = bed.world.service("balanced")
    assert service is not None
    service["status"] = {"loadBalancer": {"ingress": [{"hostname": "b-1.elb.example"}]}}
    assert "has a name ('b-1.elb.example') and no address" in Matrix(bed).lacking(CASES["load balancer"])
    service["status"] = {}
    others = [each for each in bed.world.services if each["spec"].get("type") == "LoadBalancer" and each is not service]
    for other in others:
        other["status"] = {}
    assert "there is no provider" in Matrix(bed).lacking(CASES["load balancer"])
    # k3s gives a port of its nodes to one Service only
    others[0]["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    name = others[0]["metadata"]["name"]
    words = f"'balanced' got no LoadBalancer address, while '{name}' got one"
    assert words in Matrix(bed).lacking(CASES["load balancer"])


def test_services_that_got_no_address_where_another_did_cost_their_rows_only():
    """k3s gave its nodes' port 80 to the first Service, and rows of the others failed with an empty address."""

    class Given(Refusing):
        def wait(self, *_, **__):
            raise errors.WaitTimeout("LoadBalancer addresses: not reached")

        def list(self, *_):
            return bed.world.services

    bed = builder(Given()).testbed
    bed.world = world()
    bed.sources = sources(bed.layout, bed.world)
    for service in bed.world.services:
        if service["metadata"]["name"].startswith("balanced-"):
            service["status"] = {}
    readiness.await_balancer(bed)
    matrix = Matrix(bed)
    words = "'balanced-sticky' got no LoadBalancer address, while 'balanced' got one"
    assert matrix.lacking(CASES["affinity load balancer"]) == words
    assert not matrix.lacking(CASES["load balancer"])
    assert {target.service for _, target in matrix.pairs(CASES["load balancer"])} == {"balanced"}


def test_a_range_that_has_no_address_left_costs_the_rows_of_the_services_that_got_none():
    """The whole matrix ended with the server's error where a small range of Services was nearly full."""
    full = "Internal error occurred: failed to allocate a serviceIP: range is full"
    made = builder(Refusing(sticky=errors.ClusterError(full, status=500)))
    made._create(objects.services(made.testbed.layout))
    bed = made.testbed
    bed.world = world()
    bed.sources = sources(bed.layout, bed.world)
    assert Matrix(bed).lacking(CASES["affinity"]) == f"the API server refused it: {full}"
    broken = builder(Refusing(sticky=errors.ClusterError("etcdserver: request timed out", status=500)))
    with pytest.raises(errors.ClusterError, match="timed out"):
        broken._create(objects.services(broken.testbed.layout))


def test_a_row_whose_changes_a_policy_refuses_is_skipped_with_the_servers_words(monkeypatch):
    """`Changing Types` failed where NodePorts, or external names, are denied."""

    def refuse(error):
        def case(matrix):
            raise error

        return case

    keywords = MatrixKeywords()
    keywords.session = Session(timeout=1)
    bed = builder(Refusing()).testbed
    bed.world = world()
    bed.sources = sources(bed.layout, bed.world)
    state_of(keywords.session).matrix = Matrix(bed)
    monkeypatch.setattr("NetLibrary.keywords.matrix.cases.conclude", skipping)
    monkeypatch.setitem(lifecycle.LIFECYCLE, "type change", refuse(errors.Forbidden("no open ports", status=403)))
    with pytest.raises(SkipExecution, match="cannot be run on this cluster: the API server refused it: no open ports"):
        keywords.service_matrix_case_should_be_right(MatrixCase.TYPE_CHANGE)
    monkeypatch.setitem(lifecycle.LIFECYCLE, "type change", refuse(errors.ClusterError("timed out", status=504)))
    with pytest.raises(Error, match="timed out"):
        keywords.service_matrix_case_should_be_right(MatrixCase.TYPE_CHANGE)


def skipping(*_, skip="", **__):
    raise SkipExecution(skip)


def test_nodes_without_an_address_of_the_services_family_are_no_entries():
    """In a dual cluster a node may have one family, and one that its cloud has not named yet a host name alone."""
    bed = builder(Refusing()).testbed
    bed.world = world()
    one, two, three = (node["status"] for node in bed.world.nodes)
    one["addresses"] = [{"type": "Hostname", "address": "node1"}, {"type": "InternalIP", "address": "fd00::1"}]
    two["addresses"] = [{"type": "Hostname", "address": "node2"}]
    three["addresses"] = [{"type": "ExternalIP", "address": "198.51.100.3"}]
    bed.sources = sources(bed.layout, bed.world)
    asked = Matrix(bed).pairs(CASES["node port"])
    assert {(target.node, target.host) for _, target in asked} == {("node3", "198.51.100.3")}
    three["addresses"] = []
    assert Matrix(bed).lacking(CASES["node port"]) == "there is no pod to probe from, or none to probe"


def test_pods_of_one_family_ask_nobody_in_the_other():
    """On a node that has one family only, a pod has no way to the other, and the network was accused."""
    bed = builder(Refusing()).testbed
    bed.world = world()
    for number, pod in enumerate(pod for pod in bed.world.pods if not pod["spec"].get("hostNetwork")):
        if pod["metadata"]["name"] != "on-node2":
            pod["status"]["podIPs"].append({"ip": f"fd00::{number}"})
    bed.sources = sources(bed.layout, bed.world)
    asked = Matrix(bed).pairs(CASES["dual stack"])
    assert {source.name for source, _ in asked} == {"on-node1", "on-node3"}
    assert {target.pod for _, target in asked if target.kind == "pod"} == {"on-node1", "on-node3"}


def test_hints_for_nodes_are_found_in_a_cluster_of_ipv6_alone():
    """The row of PreferSameNode was skipped there, as if the endpoints had no hints."""
    bed = builder(Refusing()).testbed
    bed.layout = dataclasses.replace(bed.layout, near=True)
    bed.world = world()
    for pod in bed.world.pods:
        pod["status"]["podIP"] = "fd00::1"
    for each in bed.world.slices:
        each["addressType"] = "IPv6"
        for endpoint in each["endpoints"]:
            endpoint |= {"addresses": ["fd00::1"], "hints": {"forNodes": [{"name": "node1"}]}}
    bed.sources = sources(bed.layout, bed.world)
    assert Matrix(bed).lacking(CASES["near"]) == ""


def test_a_quota_that_takes_some_services_leaves_the_others_in_their_row():
    cluster = Refusing(to_on_node2=errors.Forbidden("exceeded quota: count/services", status=403))
    made = builder(cluster)
    made._create(objects.services(made.testbed.layout))
    bed = made.testbed
    bed.world = world()
    bed.sources = sources(bed.layout, bed.world)
    asked = {t.service for _, t in Matrix(bed).pairs(CASES["cluster ip"])}
    assert asked == {"to-on-node1", "to-on-node3"}


def test_pods_on_the_host_network_that_are_refused_are_left_out_with_the_servers_words():
    words = 'violates PodSecurity "restricted:latest": host namespaces'
    made = builder(Refusing(host_node=errors.Forbidden(words, status=403)))
    made._create(objects.pods(made.testbed.layout))
    made._without_refused()
    assert not made.testbed.layout.host_pods
    assert len(made.testbed.layout.pods) == 3
    assert any(words in note for note in made.testbed.notes)


def test_one_reason_for_several_pods_is_told_once_and_the_host_network_first():
    """A guest got the same 600 characters once per node, with two full stops."""
    made = layout()
    words = "Cluster 'c' answered POST /pods with 403 Forbidden: pods '{}' is forbidden: violates PodSecurity " + (
        "'restricted:latest': allowPrivilegeEscalation != false (container 'prober' must set it), host namespaces "
        "(hostNetwork=true), hostPort (container 'prober' uses hostPort 21080), runAsNonRoot != true."
    )
    lost = {name: words.format(name) for name, _ in made.host_pods}
    lost["on-node2"] = "its node is full."
    told = made.without(lost).left_out_together()
    assert [names for names, _ in told] == [[name for name, _ in made.host_pods], ["on-node2"]]
    assert told[0][1].endswith("violates PodSecurity 'restricted:latest': host namespaces (hostNetwork=true)")
    assert told[1][1] == "its node is full"


def test_a_cluster_that_refuses_every_pod_says_so_in_its_own_words():
    made = builder(Refusing(on_node=errors.Forbidden("exceeded quota", status=403)))
    made._create(objects.pods(made.testbed.layout))
    with pytest.raises(errors.WaitFailed, match="exceeded quota"):
        made._without_refused()


@pytest.mark.parametrize(
    ("node", "word"),
    [
        ({"labels": {"kubernetes.io/os": "windows"}}, "windows"),
        ({"labels": {"type": "virtual-kubelet"}}, "virtual"),
    ],
)
def test_nodes_that_cannot_run_the_probers_are_left_out_with_one_line(node, word):
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    good = {"metadata": {"name": "a", "labels": {}}, "spec": {}, "status": ready}
    other = {"metadata": {"name": "b", **node}, "spec": {}, "status": ready}
    chosen, left_out = objects.choose_nodes([good, other])
    assert chosen == ["a"]
    assert len(left_out) == 1
    assert word in left_out[0][1]


class Scripted:
    """A cluster whose wait asks the goal again and again with the same pods."""

    lab, run_id, connection = None, "run", SimpleNamespace(absences=Absences())

    def __init__(self, pods, leases):
        self.pods, self.leases = pods, leases

    def list(self, kind, namespace=None, **_):
        return self.leases

    def wait(self, kind, namespace, goal, *, timeout, what, **_):
        for _ in range(400):
            found = goal(self.pods)
            if type(found).__name__ == "Done":
                return found.value
            if type(found).__name__ == "Failed":
                raise errors.WaitFailed(found.text)
        raise errors.WaitTimeout(what)


def pod(name, *, ready):
    status = {"podIP": "10.0.0.1", "startTime": "2026-01-01T00:00:00Z"} if ready else {"phase": "Pending"}
    if ready:
        status["conditions"] = [{"type": "Ready", "status": "True"}]
    return {"metadata": {"name": name, "uid": name}, "status": status}


@pytest.mark.parametrize(
    ("lease", "word"),
    [({"renewTime": "2026-01-01T00:00:00.000000Z"}, "not been heard of for 60 s"), ({}, "no kubelet")],
)
def test_a_node_whose_kubelet_is_dead_or_never_was_is_left_out_within_seconds(monkeypatch, lease, word):
    monkeypatch.setattr(readiness, "UNNOTICED", 0.0)
    leases = [
        {"metadata": {"name": "node1"}, "spec": {"renewTime": "2026-01-01T00:01:00.000000Z"}},
        {"metadata": {"name": "node2"}, "spec": lease},
    ]
    pods = [pod("on-node1", ready=True), pod("on-node2", ready=False)]
    made = Builder(Scripted(pods, leases), Options("matrix-test", "agnhost:1"))
    bed = made.testbed
    bed.layout = objects.Layout("matrix-test", "agnhost:1", (("on-node1", "node1"), ("on-node2", "node2")))
    readiness.await_pods(bed)
    assert bed.layout.pods == (("on-node1", "node1"),)
    assert word in bed.layout.left_out[0][1]


@pytest.mark.parametrize("allowed", [True, False])
def test_services_of_a_first_pod_that_was_left_out_lead_to_the_next_one(allowed):
    """They were called changed, and all of their cells wrong."""
    aims = {}

    class Patching(Refusing):
        def patch(self, kind, name, namespace, body):
            if not allowed:
                raise errors.Forbidden("services may not be patched", status=403)
            aims[name] = body["spec"]["selector"][objects.POD]

    made = builder(Patching())
    bed, planned = made.testbed, made.testbed.layout
    bed.layout = planned.without({planned.first: "its kubelet is late"})
    made._lead_elsewhere(planned)
    if allowed:
        assert {"nodeport-local", "internal-local"} <= set(aims)
        assert set(aims.values()) == {bed.layout.first}
    bed.world = world()
    bed.sources = sources(bed.layout, bed.world)
    matrix = Matrix(bed)
    assert "was left out, and no other has its second server" in matrix.lacking(CASES["several ports"])
    lost = next(
        case for case in CASES.values() if {t.service for _, t in matrix_pairs(matrix, case)} == {"nodeport-local"}
    )
    assert ("may not be patched" in matrix.lacking(lost)) is not allowed


def matrix_pairs(matrix, case):
    return case.pairs(matrix.layout, matrix.world, matrix.sources)


def test_a_slow_kubelet_that_is_alive_is_waited_for(monkeypatch):
    monkeypatch.setattr(readiness, "UNNOTICED", 0.0)
    now = {"renewTime": "2026-01-01T00:01:00.000000Z"}
    leases = [{"metadata": {"name": n}, "spec": now} for n in ("node1", "node2")]
    pods = [pod("on-node1", ready=True), pod("on-node2", ready=False)]
    bed = Builder(Scripted(pods, leases), Options("matrix-test", "agnhost:1")).testbed
    bed.layout = objects.Layout("matrix-test", "agnhost:1", (("on-node1", "node1"), ("on-node2", "node2")))
    with pytest.raises(errors.WaitTimeout):
        readiness.await_pods(bed)


def test_endpoints_that_lie_are_found_missing_strange_and_double():
    from NetLibrary._mechanics.matrix.judge.drift import drift

    of = world()
    assert not drift(layout(), of)
    mine = next(s for s in of.slices if s["metadata"]["labels"]["kubernetes.io/service-name"] == "spread")
    mine["endpoints"].append({"addresses": ["10.244.9.9"], "nodeName": "node1", "conditions": {"ready": True}})
    mine["endpoints"].append(dict(mine["endpoints"][0]))
    said = drift(layout(), of)["spread"]
    assert "10.244.9.9, which is not one of its pods'" in said
    assert "more than once" in said
    mine["ports"] = [p for p in mine["ports"] if p["name"] != "udp"]
    mine["endpoints"] = mine["endpoints"][:3]
    assert "no port 'udp'/UDP" in drift(layout(), of)["spread"]
