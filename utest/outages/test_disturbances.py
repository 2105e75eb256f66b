"""Disturbances: what is refused, what counts as over, and how a failing command reads."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from robot.api import Error, SkipExecution

from NetLibrary._mechanics.disruption import command
from NetLibrary._mechanics.disruption import workloads as disturb
from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary._mechanics.kube import Choice, rollouts
from NetLibrary._mechanics.kube.wait import Done, Pending
from NetLibrary.keywords import _robot
from NetLibrary.keywords.disruption import DisruptionKeywords
from NetLibrary.keywords.outages import OutageKeywords
from NetLibrary.types import TimeLimit


class Cluster:
    """Remembers what it was asked, and shows a goal one state after the other."""

    server, is_lab, lab = "https://cluster.example:6443", False, None

    now = staticmethod(time.time)

    def __init__(self, *states: list[dict[str, Any]]) -> None:
        self.states = list(states)
        self.deleted: list[str] = []
        self.outcomes: list[Any] = []
        self.patched: dict[str, Any] = {}

    def list(self, kind: str, namespace: str, *, labels: str) -> list[dict[str, Any]]:
        return self.states[0]

    def delete(self, kind: str, name: str, namespace: str, *, allow_foreign: bool = False) -> None:
        self.deleted.append(name)

    def find(self, kind: str, name: str, namespace: str) -> None:
        return None

    def patch(self, kind: str, name: str, namespace: str, body: dict[str, Any], *, strategy: str) -> dict[str, Any]:
        self.patched = body
        return self.states[0][0]

    def wait(self, kind: str, namespace: str | None, goal: Any, **options: Any) -> Any:
        for state in self.states:
            self.outcomes.append(goal(state))
            if isinstance(self.outcomes[-1], Done):
                return self.outcomes[-1].value
        raise AssertionError("the goal was never reached")


def pod(uid: str, ready: bool = True) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": f"p-{uid}", "uid": uid}, "status": {"conditions": conditions}}


def deployment(generation: int, observed: int, updated: int = 1) -> dict[str, Any]:
    status = {"observedGeneration": observed, "updatedReplicas": updated, "replicas": 1, "availableReplicas": 1}
    return {"metadata": {"name": "d", "generation": generation}, "spec": {"replicas": 1}, "status": status}


def keywords(cluster: Any) -> DisruptionKeywords:
    library = DisruptionKeywords()
    library.session = SimpleNamespace(cluster=lambda alias: cluster)  # type: ignore[assignment]
    return library


def test_deleted_pods_are_replaced_only_when_the_old_ones_are_gone_and_new_ones_ready():
    cluster = Cluster(
        [pod("a"), pod("b")], [pod("a"), pod("c")], [pod("c"), pod("d", ready=False)], [pod("c"), pod("d")]
    )
    assert disturb.delete_pods(cluster, "ns", "app=x", timeout=5, say=print) == 2
    assert cluster.deleted == ["p-a", "p-b"]
    assert [type(outcome) for outcome in cluster.outcomes] == [Pending, Pending, Pending, Done]
    with pytest.raises(InputError, match="labels 'app=none' match no pod in namespace 'ns'"):
        disturb.delete_pods(Cluster([]), "ns", "app=none", timeout=5, say=print)


def test_a_rollout_is_over_when_the_change_itself_was_seen_and_rolled_out():
    """A watch that lags shows the finished rollout of before the restart."""
    cluster = Cluster([deployment(4, 4)])
    cluster.states += [[deployment(3, 3)], [deployment(4, 3)], [deployment(4, 4, updated=0)], [deployment(4, 4)]]
    cluster.states.pop(0)
    rollouts.wait(cluster, "Deployment", "d", "ns", generation=4, timeout=5, say=print)
    assert [type(outcome) for outcome in cluster.outcomes] == [Pending, Pending, Pending, Done]
    cluster.resources = SimpleNamespace(find=lambda kind: SimpleNamespace(kind=kind))
    with pytest.raises(InputError, match="kind is 'Job'; allowed: Deployment, DaemonSet"):
        rollouts.restart(cluster, "Job", "d", "ns")


def test_a_daemonset_that_is_not_rolled_out_by_a_restart_is_refused():
    obj = {"metadata": {"generation": 2}, "spec": {"updateStrategy": {"type": "OnDelete"}}}
    with pytest.raises(InputError, match="update strategy OnDelete"):
        rollouts.restart(Cluster([obj]), "DaemonSet", "d", "ns")


def test_a_node_is_ready_only_by_a_report_from_after_its_restart():
    def node(beat: float, status: str = "True") -> list[dict[str, Any]]:
        text = datetime.fromtimestamp(beat, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return [{"status": {"conditions": [{"type": "Ready", "status": status, "lastHeartbeatTime": text}]}}]

    now = time.time()
    cluster = Cluster([], node(now - 60), node(now + 1, "Unknown"), node(now + 2))
    disturb.wait_node_ready(cluster, "n", timeout=5, say=print, since=now)
    assert [type(outcome) for outcome in cluster.outcomes] == [Pending, Pending, Pending, Done]


@pytest.mark.parametrize("allowed", [None, "False", "", "maybe"])
def test_a_cluster_that_is_no_lab_is_not_disturbed_without_leave(monkeypatch, allowed):
    monkeypatch.setattr(_robot, "variable", lambda name, default=None: allowed if allowed is not None else default)
    library = keywords(Cluster([pod("a")]))
    with pytest.raises(SkipExecution, match="Give -v ALLOW_DISRUPTION:True if it may be disturbed"):
        library.delete_pods_and_wait("ns", "app=x")
    with pytest.raises(SkipExecution, match=r"restart of Deployment 'ns/d' would disturb the cluster 'https://cluster"):
        library.restart_workload("Deployment", "d", "ns")
    with pytest.raises(SkipExecution, match="the command 'true' would disturb"):
        library.run_command_during_measurement("true")


def test_with_leave_it_is_disturbed_but_a_lab_is_still_needed_for_nodes(monkeypatch):
    monkeypatch.setattr(_robot, "variable", lambda name, default=None: True)
    library = keywords(Cluster([pod("a")], [pod("b")]))
    assert library.delete_pods_and_wait("ns", "app=x") == 1
    with pytest.raises(SkipExecution, match="needs the lab"):
        library.break_link_of_node("node1")


def test_arguments_of_the_command_are_checked(monkeypatch):
    library = keywords(SimpleNamespace(is_lab=True))
    with pytest.raises(Error, match="command is empty"):
        library.run_command_during_measurement("  ")
    with pytest.raises(Error, match="pod and namespace belong together"):
        library.run_command_during_measurement("ls", pod="x")


ENVIRONMENT = {"PATH": os.environ["PATH"]}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("echo broken >&2; exit 3", "ended with exit status 3: broken"),
        (["false"], "ended with exit status 1: it printed nothing"),
        ("no-such-program", "exit status 127: .*no-such-program"),
        (["no-such-program"], "'no-such-program' does not exist on this machine"),
        (["/etc/passwd"], "may not be run: Permission denied"),
    ],
)
def test_a_command_that_fails_says_how(words, text):
    with pytest.raises(EnvironmentProblem, match=text):
        command.run(words, ENVIRONMENT, 10).require_success()


def test_a_command_that_does_not_end_is_ended_with_all_that_it_has_started():
    began = time.monotonic()
    with pytest.raises(EnvironmentProblem, match=r"'sleep 9 \| sleep 9' did not end within 0.2 s: it printed nothing"):
        command.run("sleep 9 | sleep 9", ENVIRONMENT, 0.2).require_success()
    assert time.monotonic() - began < 3


def test_what_a_command_printed_until_its_limit_is_told():
    """A reload tool that hung after ten minutes left no word of what it had done."""
    done = command.run("echo first step; echo second >&2; sleep 9", ENVIRONMENT, 1.0)
    assert (done.output, done.errors, done.late) == ("first step\n", "second\n", 1.0)
    with pytest.raises(EnvironmentProblem, match="did not end within 1 s: second"):
        done.require_success()


def test_what_a_command_leaves_in_the_background_is_not_waited_for():
    """`watch … &` held the pipes open: the command "did not end" until its limit."""
    began = time.monotonic()
    done = command.run("sleep 5 & echo started", ENVIRONMENT, 4)
    assert done.require_success() == "started\n"
    assert time.monotonic() - began < 3


def test_a_command_may_pipe_and_chain():
    """It was split into words, which can do neither."""
    assert command.run("echo one && echo two | tr a-z A-Z", ENVIRONMENT, 10).require_success() == "one\nTWO\n"


def test_a_command_talks_to_the_cluster_that_is_measured(tmp_path):
    """It had the caller's environment, and thus another cluster or none."""
    config = tmp_path / "config"
    config.write_text("current-context: other\n")
    connection = SimpleNamespace(choice=Choice("kubeconfig", "", (config,), "prod"), context="prod")
    with command.kubectl_environment(SimpleNamespace(connection=connection, is_lab=False)) as environment:
        first, second = environment["KUBECONFIG"].split(os.pathsep)
        assert yaml.safe_load(Path(first).read_text())["current-context"] == "prod"
        assert second == str(config)
    assert not Path(first).exists()
    inside = SimpleNamespace(choice=Choice("in-cluster", ""), context="in-cluster")
    with command.kubectl_environment(SimpleNamespace(connection=inside, is_lab=False)) as environment:
        assert "KUBECONFIG" not in environment


def test_stopping_what_does_not_run_says_so():
    library = OutageKeywords()
    library.session = SimpleNamespace()  # type: ignore[assignment]
    with pytest.raises(Error, match="There is nothing to judge"):
        library.outages_should_be_within_limits(longest_outage_at_most=TimeLimit.parse("1 s"))
    with pytest.raises(Error, match="No measurement is running"):
        library.stop_outage_measurement()
    library.abort_outage_measurement()  # nothing to do, no error: it is for teardowns


def test_for_is_an_argument_of_the_keywords_that_break():
    from robot.libdoc import LibraryDocumentation

    keywords = {kw.name: kw for kw in LibraryDocumentation("NetLibrary").keywords}
    link = keywords["Break Link Of Node"]
    assert {"node", "for", "cluster"} == {argument.name for argument in link.args if argument.name}
    assert "for_" not in link.doc
    assert str(link.args.types["for"]).startswith("timedelta")
