"""Faults: journal, undo after failing steps, and the nftables they make, in a namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
import uuid
from types import SimpleNamespace

import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary.lab.faults import FaultPlan, Faults, Step, network, pods, processes, tracking
from NetLibrary.lab.faults.journal import Journal
from NetLibrary.lab.processes import run


class FakeBackend:
    """Nodes that only write down what is asked of them."""

    def __init__(self, folder, fail=()):
        self.folder, self.fail, self.done = folder, fail, []

    def nodes(self):
        return ["node1", "node2"]

    def journal(self):
        return Journal(self.folder / "faults.json")

    def _note(self, *what):
        self.done.append(what)
        if what in self.fail:
            raise EnvironmentProblem("it failed")

    def run(self, node, words):
        self._note("run", node, *words)
        return ""

    def process(self, node, name, verb):
        self._note("process", node, name, verb)

    def link(self, node, state):
        self._note("link", node, state)


def test_a_fault_is_in_the_journal_while_it_lasts_and_gone_after_the_block(tmp_path):
    backend = FakeBackend(tmp_path)
    faults = Faults(backend)
    with faults.applied(network.cut_link("node2")):
        assert [f.text for f in faults.in_place()] == ["The network link of node 'node2' is down."]
        assert backend.done == [("link", "node2", "down")]
    assert backend.done[-1] == ("link", "node2", "up")
    assert faults.in_place() == []


def test_another_process_repairs_what_a_killed_one_left(tmp_path):
    Faults(FakeBackend(tmp_path)).apply(processes.stop_process("node1", "kube-proxy"))
    later = FakeBackend(tmp_path)
    repaired = Faults(later).repair_all()
    assert [f.kind for f in repaired] == ["kube-proxy stopped"]
    assert later.done == [("process", "node1", "kube-proxy", "start")]
    assert Faults(later).in_place() == []


def test_a_step_that_fails_undoes_the_steps_before_it(tmp_path):
    backend = FakeBackend(tmp_path, fail=[("run", "node1", "second")])
    plan = FaultPlan(
        "two", "node1", "Two things.", (Step("node1", "run", ("first",)), Step("node1", "run", ("second",))),
        (Step("node1", "run", ("undo",)),),
    )  # fmt: skip
    with pytest.raises(EnvironmentProblem, match="it failed"):
        Faults(backend).apply(plan)
    assert backend.done[-1] == ("run", "node1", "undo")
    assert Faults(backend).in_place() == []


def test_a_repair_that_fails_keeps_the_fault_in_the_journal(tmp_path):
    backend = FakeBackend(tmp_path, fail=[("link", "node1", "up")])
    faults = Faults(backend)
    fault = faults.apply(network.cut_link("node1"))
    with pytest.raises(EnvironmentProblem, match="could not be repaired"):
        faults.repair(fault)
    assert len(faults.in_place()) == 1


def test_an_unknown_node_is_named_together_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="no node 'node9'; it has node1, node2"):
        Faults(FakeBackend(tmp_path)).apply(network.cut_link("node9"))


def test_ports_without_a_protocol_are_refused():
    with pytest.raises(InputError, match="Ports need a protocol"):
        network.drop("node1", ports=[80])


def test_a_direction_between_nodes_is_dropped_in_every_family_and_not_in_the_first_alone():
    plan = network.drop_from("node1", "node2", ["10.1.0.0/24", "fd00:1::/64", "10.0.0.2", "fd00::2"])
    rules = plan.do[0].words[1]
    assert "ip saddr { 10.1.0.0/24, 10.0.0.2 } counter drop" in rules
    assert "ip6 saddr { fd00:1::/64, fd00::2 } counter drop" in rules
    assert plan.text == "Node 'node1' drops what comes from node 'node2'."


def test_large_packets_vanish_in_a_tunnel_too():
    """A VXLAN network passed: what a tunnel carries is never forwarded from or to the node's link."""
    rules = network.drop_large("node1", above=1000).do[0].words[1]
    assert 'output oifname "eth0" udp dport { 4789, 6081, 8472 } meta length > 1050 drop' in rules
    assert 'forward meta length > 1000 oifname "eth0" drop' in rules


def test_restored_rules_leave_no_attempt_to_which_a_later_connection_falls():
    """A drain was accused of what a row before it had left: an untranslated SYN_SENT of the same source port."""
    start, *rest = processes.flush_service_rules("node1", forget_connections=False).undo
    assert start.words == ("kube-proxy", "start")
    assert tracking.FORGET_ATTEMPTS in rest[-1].words[-1]


def test_attempts_are_forgotten_on_every_node_that_has_power():
    asked = []

    class Node:
        def __init__(self, name):
            self.name = name

        def run(self, words, *, check):
            asked.append((self.name, words[-1]))
            if self.name == "node1":
                raise EnvironmentProblem("node1 has no power")

    tracking.forget_attempts(SimpleNamespace(nodes=[Node("node1"), Node("node2")]))
    assert asked == [("node1", tracking.FORGET_ATTEMPTS), ("node2", tracking.FORGET_ATTEMPTS)]


def test_one_process_repairs_only_its_own_faults(tmp_path):
    faults = Faults(FakeBackend(tmp_path))
    faults.apply(network.cut_link("node1"))
    assert faults.repair_all(pid=os.getpid() + 1) == []
    assert len(faults.repair_all(pid=os.getpid())) == 1


@pytest.fixture
def namespace():
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    name = f"nlfault{uuid.uuid4().hex[:6]}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True)
    if made.returncode:
        pytest.skip("this machine cannot make network namespaces")
    run("ip", "-n", name, "link", "set", "lo", "up")
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


class OneNamespace(FakeBackend):
    def __init__(self, folder, name):
        super().__init__(folder)
        self.name = name

    def run(self, node, words):
        return run("ip", "netns", "exec", self.name, *words)


PLANS = {
    "drop from": network.drop_from("node1", "node2", ["10.1.0.0/24", "fd00:1::/64", "10.0.0.2", "fd00::2"], "udp"),
    "drop": network.drop("node1", source=["10.0.0.0/8"], destination=["10.1.0.0/16", "10.2.0.1"]),
    "drop ports": network.drop("node1", protocol="udp", ports=[53], hooks=("prerouting",), interface="eth0"),
    "reject": network.reject("node1", protocol="tcp", ports=[80, 81]),
    "reset": network.reset("node1", destination=["10.0.0.1"], ports=[80]),
    "large": network.drop_large("node1"),
    "loss": network.lose("node1", 0.25, protocol="udp"),
    "new flows": network.drop_new_flows("node1"),
    "translate one": network.translate("node1", "t", "10.96.0.1", "tcp", 80, ["10.1.1.1:8080"]),
    "translate two": network.translate(
        "node1", "t", "10.96.0.1", "udp", 80, ["10.1.1.1:8080", "10.1.1.2:8080"], hide_client=True
    ),
    "hide clients": network.hide_clients("node1", "10.244.0.0/16"),
}


@pytest.mark.parametrize("name", PLANS)
def test_nftables_takes_the_rules_and_the_repair_removes_all_of_them(name, namespace, tmp_path):
    backend = OneNamespace(tmp_path, namespace)
    with Faults(backend).applied(PLANS[name]):
        assert "netlibrary_fault_" in backend.run("node1", ("nft", "list", "ruleset"))
    assert backend.run("node1", ("nft", "list", "ruleset")).strip() == ""


def test_a_refused_port_is_refused_and_works_again_after_the_repair(namespace, tmp_path):
    backend = OneNamespace(tmp_path, namespace)
    attempt = ("bash", "-c", "exec 3<>/dev/udp/127.0.0.1/9999; echo x >&3; read -t 0.3 -u 3 2>&1; true")
    with Faults(backend).applied(network.drop("node1", protocol="udp", ports=[9999], hooks=("output",))):
        assert "refused" not in backend.run("node1", attempt)
    assert "refused" in backend.run("node1", attempt)


def running_pod(**limits):
    container = {"name": "web", "resources": {"limits": limits}}
    status = {"name": "web", "containerID": "containerd://0123abc", "state": {"running": {}}}
    return {
        "metadata": {"name": "web-0"},
        "spec": {"nodeName": "node2", "containers": [container]},
        "status": {"containerStatuses": [status]},
    }


@pytest.mark.parametrize(("limits", "quota"), [({}, -1), ({"cpu": "250m"}, 25_000), ({"cpu": "2"}, 200_000)])
def test_the_repair_of_a_starved_pod_gives_back_the_limit_that_it_has(limits, quota):
    plan = pods.starve(running_pod(**limits))
    assert plan.text == "The pod 'web-0' gets 1 ms of processor time in a second."
    undo = plan.undo[0].words[-1]
    assert "0123abc" in undo
    assert f'echo {quota} >"$c/cpu.cfs_quota_us"' in undo
    assert f'echo "{"max" if quota < 0 else quota} 100000" >"$c/cpu.max"' in undo


def test_a_pod_without_a_running_container_cannot_be_starved():
    pod = running_pod()
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": {}}
    with pytest.raises(InputError, match="The pod 'web-0' has no running container"):
        pods.starve(pod)


def test_the_repair_of_a_pod_that_is_gone_does_nothing_and_fails_for_nobody():
    undo = pods.hang(running_pod()).undo[0]
    assert subprocess.run(undo.words, capture_output=True, check=False).returncode == 0
