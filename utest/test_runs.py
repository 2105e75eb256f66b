"""What users see of a run: failures, evidence, step times, clean-up, several clusters."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from robot_run import Run
from scripted_api import TOKEN, ApiServer

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.kube import cleanup
from NetLibrary._mechanics.kube import connection as connection_module
from NetLibrary._mechanics.kube import why_not_ready as trouble
from NetLibrary.keywords import _listener
from NetLibrary.lab import Lab

PODS = "/api/v1/namespaces/demo/pods"
Runner = Callable[..., Run]


@pytest.fixture
def run(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Runs a suite against the scripted server."""
    for limit in ("FIRST_ANSWER_FOR", "RECONNECT_FOR", "BUSY_FOR"):
        monkeypatch.setattr(connection_module, limit, 0.0)
    config = api.kubeconfig(tmp_path / "kubeconfig")
    return lambda text, **options: Run(tmp_path, options.pop("kubeconfig", config), text, **options)


def pulling() -> dict[str, Any]:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "none:1"'}}
    return {
        "metadata": {"name": "web-1", "namespace": "demo", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Pending", "conditions": [], "containerStatuses": [{"name": "c", "state": state}]},
    }


def test_lost_cause_fails_the_test_early_with_the_reason(
    api: ApiServer, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "PATIENCE", 0.0)
    api.put(PODS, pulling())
    test = run("*** Test Cases ***\nT\n    Wait Until Pods Are Ready    demo    app=web").tests["T"]
    assert test.status == "FAIL"
    assert test.message == (
        "Pods 'app=web' in 'demo': pod 'web-1' cannot get ready: container 'c' is ImagePullBackOff: "
        'Back-off pulling image "none:1".'
    )


def test_failure_brings_evidence_and_its_words_are_escaped(api: ApiServer, run: Runner) -> None:
    api.put(PODS, pulling())
    api.logs["web-1"] = "<script>alert(1)</script>"
    done = run(
        """
        *** Test Cases ***
        Fails
            Create Namespace    demo
            Fail    on purpose
        Passes
            No Operation
        """.replace("\n        ", "\n")
    )
    assert done.tests["Fails"].message == "on purpose"
    evidence = [text for text in done.messages if text.startswith("<details><summary>Evidence: ")]
    assert "pods of &#x27;demo&#x27;" in evidence[0]
    assert "ImagePullBackOff" in evidence[0]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in evidence[1]
    assert len(evidence) == 2  # none for the test that passed


def test_failure_without_a_cluster_brings_nothing_and_connects_nowhere(api: ApiServer, run: Runner) -> None:
    done = run("*** Test Cases ***\nT\n    Fail    on purpose")
    assert done.tests["T"].message == "on purpose"
    assert api.requests == []
    assert done.errors == []


def test_dead_cluster_is_asked_for_evidence_once(api: ApiServer, run: Runner) -> None:
    api.on("GET", "^/api/v1/namespaces/", lambda handler: handler.reset(), times=100)
    rows = "".join(f"T{i}\n    Fail    on purpose\n" for i in range(4))
    done = run(f"*** Settings ***\nSuite Setup    Create Namespace    demo\n*** Test Cases ***\n{rows}")
    assert len(api.seen("GET", "^/api/v1/namespaces/demo/pods")) == 1
    assert len([text for text in done.messages if text.startswith("No evidence from cluster 'default'")]) == 1
    assert _listener.SILENCE_SECONDS > 10


def test_failed_setup_of_a_suite_brings_evidence_once(api: ApiServer, run: Runner) -> None:
    api.put(PODS, pulling())
    rows = "".join(f"T{i}\n    No Operation\n" for i in range(3))
    setup = "Suite Setup    Run Keywords    Create Namespace    demo    AND    Fail    on purpose"
    done = run(f"*** Settings ***\n{setup}\n*** Test Cases ***\n{rows}")
    assert [test.status for test in done.tests.values()] == ["FAIL"] * 3
    assert len([text for text in done.messages if "Evidence: pods of" in text]) == 1


def test_steps_of_a_scenario_are_timed(run: Runner) -> None:
    done = run(
        """
        *** Test Cases ***
        T
            Scenario
        Without Steps
            No Operation
        *** Keywords ***
        Scenario
            Make Sites
            Send Traffic
            Send Traffic
        Make Sites
            Deeper
        Deeper
            No Operation
        Send Traffic
            No Operation
        """.replace("\n        ", "\n")
    )
    table = done.message("Where the time went")
    for step in ("Make Sites", "Send Traffic", "all steps"):
        assert table.count(f">{step}</td>") == 1
    assert "Deeper" not in table
    assert len([text for text in done.messages if "Where the time went" in text]) == 1


@pytest.mark.parametrize("end", ["No Operation", "Fail    on purpose", "Fatal Error    on purpose"])
def test_whatever_happens_the_run_removes_what_it_made(api: ApiServer, run: Runner, end: str) -> None:
    api.put("/api/v1/namespaces", {"metadata": {"name": "theirs"}})
    run(f"*** Test Cases ***\nT\n    Create Namespace    demo\n    {end}")
    assert sorted(api.objects["/api/v1/namespaces"]) == ["theirs"]


def test_what_cannot_be_removed_is_an_error_of_the_run(api: ApiServer, run: Runner) -> None:
    api.refuse("DELETE", "", 403, "Forbidden", "you may not")
    done = run("*** Test Cases ***\nT\n    Create Namespace    demo")
    assert done.tests["T"].passed
    assert len(done.errors) == 1
    assert done.errors[0].startswith(
        "The run could not remove everything that it created: Cluster 'default' answered DELETE "
    )


KEPT = """
*** Variables ***
{variable}
*** Test Cases ***
T
    Create Namespace    demo
    {keyword}
    Delete Namespace    demo
    Delete Everything This Run Created
"""


@pytest.mark.parametrize(
    ("variable", "keyword"),
    [
        ("${SKIP_TEARDOWN}    ${True}", "No Operation"),
        ("${SKIP_TEARDOWN}    true", "No Operation"),
        ("${SKIP_TEARDOWN}    Yes", "No Operation"),
        ("${SKIP_TEARDOWN}    1", "No Operation"),
        ("${OTHER}    1", "Keep Everything This Run Created"),
    ],
)
def test_what_shall_be_kept_is_kept_and_listed_with_commands(
    api: ApiServer, run: Runner, variable: str, keyword: str
) -> None:
    done = run(KEPT.format(variable=variable, keyword=keyword))
    assert done.tests["T"].passed
    assert list(api.objects["/api/v1/namespaces"]) == ["demo"]
    label = api.objects["/api/v1/namespaces"]["demo"]["metadata"]["labels"]["netlibrary.io/run"]
    (told,) = done.errors  # once, though three places ask for it
    assert re.search(r"namespace demo: kubectl --kubeconfig \S+/kubeconfig get all --namespace demo", told)
    assert f"delete namespace --selector netlibrary.io/run={label}" in told


def test_what_is_kept_of_nodes_is_listed_with_the_command_that_puts_it_back(api: ApiServer, run: Runner) -> None:
    """Labels of nodes stayed with "the record is in an annotation", and no word of how they go."""
    api.put("/api/v1/nodes", {"metadata": {"name": "node3"}})
    variable = "*** Variables ***\n${SKIP_TEARDOWN}    yes\n"
    done = run(f"{variable}*** Test Cases ***\nT\n    Label Object    Node    node3    pool=gold")
    assert done.tests["T"].passed, done.tests["T"].message
    assert api.objects["/api/v1/nodes"]["node3"]["metadata"]["labels"]["pool"] == "gold"
    (told,) = done.errors
    assert re.search(
        r"restore these, .*: netlibrary sweep --run \S+ --older-than 80s --kubeconfig \S+/kubeconfig$", told
    )


def test_commands_for_what_stays_are_those_of_the_lab_where_nobody_has_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with nothing but a lab, each command that was printed ended with "kubectl: command not found"."""
    connection = SimpleNamespace(choice=SimpleNamespace(kubeconfig=(Path("/lab/kubeconfig"),), context="c"))
    lab = SimpleNamespace(kubectl_program=Path("/lab/kubectl"))
    cluster: Any = SimpleNamespace(connection=connection, is_lab=True, lab=lab)
    for found, program in ((None, "/lab/kubectl"), ("/usr/bin/kubectl", "kubectl")):
        monkeypatch.setattr(cleanup.shutil, "which", lambda _, found=found: found)
        assert cleanup._kubectl(cluster) == f"{program} --kubeconfig /lab/kubeconfig --context c"


@pytest.mark.parametrize("word", ["${False}", "false", "no", "0", "${EMPTY}"])
def test_a_switch_that_is_off_keeps_nothing(api: ApiServer, run: Runner, word: str) -> None:
    done = run(KEPT.format(variable=f"${{SKIP_TEARDOWN}}    {word}", keyword="No Operation"))
    assert done.tests["T"].passed
    assert not api.objects["/api/v1/namespaces"]


def test_foreign_objects_survive_the_run_that_applied_to_them(api: ApiServer, run: Runner, tmp_path: Path) -> None:
    """The worst there was: an applied namespace, with all that others had in it, and a node were deleted at the end."""
    api.put("/api/v1/namespaces", {"metadata": {"name": "precious"}})
    node = {"metadata": {"name": "node3", "labels": {"zone": "a"}}, "spec": {"podCIDR": "10.0.0.0/24"}}
    api.put("/api/v1/nodes", node)
    manifest = tmp_path / "adopt.yaml"
    manifest.write_text(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: precious}\n---\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ours, namespace: precious}\n---\n"
        "apiVersion: v1\nkind: Node\nmetadata: {name: node3, labels: {pool: gold}}\nspec: {unschedulable: true}\n"
    )
    done = run(f"*** Test Cases ***\nT\n    Apply Manifest    {manifest}\n    Get Object    Node    node3")
    assert done.tests["T"].passed, done.tests["T"].message
    assert list(api.objects["/api/v1/namespaces"]) == ["precious"]
    assert not api.objects["/api/v1/namespaces/precious/configmaps"]
    left = api.objects["/api/v1/nodes"]["node3"]
    assert left["metadata"]["labels"] == {"zone": "a"}
    assert left["spec"] == {"podCIDR": "10.0.0.0/24"}
    assert done.message("Node 'node3' existed before this run: it is changed")


def test_existing_namespace_is_refused_or_worked_in_as_asked(api: ApiServer, run: Runner) -> None:
    api.put("/api/v1/namespaces", {"metadata": {"name": "team", "labels": {"owner": "them"}}})
    api.put("/api/v1/namespaces/team/configmaps", {"metadata": {"name": "theirs", "namespace": "team"}})
    done = run(
        """
*** Test Cases ***
Refused
    Create Namespace    team
Worked In
    Create Namespace    team    use_existing=True
    Delete Namespace    team    wait_until_gone=True
Not Deleted By Name
    Delete Object    Namespace    team
Not Deleted Inside
    Delete Object    ConfigMap    theirs    team
"""
    )
    assert "already exists, and no run of these tests created it" in done.tests["Refused"].message
    assert done.tests["Worked In"].passed
    assert done.tests["Not Deleted By Name"].message.startswith("Namespace 'team' was not created by this run")
    assert done.tests["Not Deleted Inside"].message.startswith("ConfigMap 'team/theirs' was not created by this run")
    assert api.objects["/api/v1/namespaces"]["team"]["metadata"]["labels"] == {"owner": "them"}
    assert api.seen("DELETE", "") == []


def test_node_that_keywords_changed_is_as_before_at_the_end(api: ApiServer, run: Runner) -> None:
    node = {"metadata": {"name": "n", "labels": {"zone": "a", "role": "db"}}, "spec": {"podCIDR": "10.0.0.0/24"}}
    api.put("/api/v1/nodes", node)
    done = run(
        """
*** Test Cases ***
Changed
    Label Object    no    n    role=client    zone=
    Annotate Object    Node    n    note=mine
    Cordon Node    n
    ${node}    Get Object    Node    n
    Should Be Equal    ${node}[metadata][labels][role]    client
    Should Not Contain    ${node}[metadata][labels]    zone
    Should Be True    ${node}[spec][unschedulable]
    Patch Object    Node    n    patch={'spec': {'unschedulable': null}}
Refused
    Patch Object    Node    n    patch=spec
"""
    )
    assert done.tests["Changed"].passed, done.tests["Changed"].message
    assert done.tests["Refused"].message.startswith("patch is empty or not an object")
    left = api.objects["/api/v1/nodes"]["n"]
    assert left["metadata"]["labels"] == {"zone": "a", "role": "db"}
    assert not left["metadata"]["annotations"]
    assert left["spec"] == {"podCIDR": "10.0.0.0/24"}


def test_foreign_object_is_deleted_only_by_an_argument_that_says_so(api: ApiServer, run: Runner) -> None:
    api.put("/api/v1/namespaces", {"metadata": {"name": "team"}})
    done = run("*** Test Cases ***\nT\n    Delete Namespace    team    allow_foreign=True")
    assert done.tests["T"].passed
    assert not api.objects["/api/v1/namespaces"]


def test_earlier_removal_fails_the_test_when_something_stays(api: ApiServer, run: Runner) -> None:
    api.on("DELETE", "/namespaces/demo", lambda handler: handler.json(200, {}))  # it stays "terminating"
    done = run(
        "*** Test Cases ***\nT\n    Create Namespace    demo\n"
        "    Delete Everything This Run Created    timeout=0.1s\n    [Teardown]    Keep Everything This Run Created"
    )
    assert done.tests["T"].message == (
        "Not everything that the run created could be removed: Removal of Namespace objects: not reached within 1 s; "
        "at the end: 1 left (demo)."
    )


def test_removal_that_is_only_asked_for_waits_for_nothing(api: ApiServer, run: Runner) -> None:
    api.on("DELETE", "/namespaces/demo", lambda handler: handler.json(200, {}))  # it stays "terminating"
    done = run(
        "*** Test Cases ***\nT\n    Create Namespace    demo\n"
        "    Delete Everything This Run Created    wait=False\n    [Teardown]    Keep Everything This Run Created"
    )
    assert done.tests["T"].passed
    assert api.seen("DELETE", "/namespaces/demo")


def test_run_says_once_which_cluster_it_uses_and_why(api: ApiServer, run: Runner) -> None:
    node = {"metadata": {"name": "n1"}, "status": {"nodeInfo": {"containerRuntimeVersion": "containerd://2.1"}}}
    api.put("/api/v1/nodes", node)
    done = run("*** Test Cases ***\nT\n    Get Objects    Pod\n    Get Objects    Pod    demo\n    Get Run Id")
    text = f"{api.url}, context 'x', Kubernetes v1.99.0, 1 node (named by the variable ${{KUBECONFIG}})"
    assert done.result.suite.metadata["Cluster"] == text
    assert done.messages.count(f"Cluster 'default': {text}") == 1
    assert "n1 (containerd 2.1" in done.result.suite.metadata["Nodes"]


def test_second_alias_for_the_same_cluster_is_the_same_connection(api: ApiServer, run: Runner, tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    done = run(
        f"*** Test Cases ***\nT\n    Get Objects    Pod\n    Connect To Cluster    alias=east    kubeconfig={config}\n"
        "    Get Objects    Pod    cluster=east"
    )
    assert done.tests["T"].passed
    assert len(api.seen("GET", "^/version")) == 1


def test_alias_that_is_given_to_another_cluster_leads_there_and_leaves_nothing_behind(
    api: ApiServer, run: Runner, tmp_path: Path
) -> None:
    other = ApiServer()
    try:
        second = other.kubeconfig(tmp_path / "second")
        done = run(
            f"*** Test Cases ***\nT\n    Create Namespace    first\n    Connect To Cluster    kubeconfig={second}\n"
            f"    Create Namespace    second\n    Connect To Cluster    alias=x    kubeconfig={tmp_path}/kubeconfig\n"
            "    Create Namespace    third    cluster=x"
        )
        assert done.tests["T"].passed
        assert [r[4]["metadata"]["name"] for r in api.seen("POST", "")] == ["first", "third"]
        assert [r[4]["metadata"]["name"] for r in other.seen("POST", "")] == ["second"]
        assert not api.objects["/api/v1/namespaces"]
        assert not other.objects["/api/v1/namespaces"]
    finally:
        other.stop()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            "Get Objects    Pod    cluster=east",
            "No cluster is connected as 'east'; connected: none. Use 'Connect To Cluster'",
        ),
        (
            "Get Object    Pod    nope    demo",
            "There is no namespace 'demo'.",
        ),
        ("Run In Pod    web    demo", "command is empty; give the program and its arguments as separate arguments."),
        ("Apply Manifest    /no/such.yaml", "The manifest '/no/such.yaml' cannot be read: No such file or directory."),
        (
            "Wait Until Pods Are Ready    demo    app=x    timeout=soon",
            "Argument 'timeout' got value 'soon' that cannot be converted to timedelta",
        ),
        (
            "Measure Throughput    s    demo    duration=0.5s",
            "duration is 0.5 s; iperf3 takes whole seconds from 1 to 86400.",
        ),
        (
            "Measure Throughput    s    demo    at_most_lost=1%",
            "lost_at_most is about datagrams; give protocol=UDP with it.",
        ),
        (
            "Measure Throughput    s    demo    protocol=UDP    at_most_retransmits=1",
            "retransmits_at_most is about TCP segments; leave it out with protocol=UDP.",
        ),
        (
            "Measure Throughput    s    demo    protocol=SCTP",
            "Protocol does not have member 'SCTP'. Available: 'TCP' and 'UDP'",
        ),
        (
            "Measure Throughput    s    demo    at_least=fast",
            "Argument 'at_least' got value 'fast' that cannot be converted",
        ),
        ("Wait Until Skupper Is Ready    Pod    x    demo", "kind is 'Pod'; allowed: Site, Link, Listener,"),
        ("Grant Access    g    demo    redemptions=0", "redemptions is 0; allowed: 1 and more."),
        (
            "Connect To Cluster    kubeconfig=/no/such",
            "The kubeconfig '/no/such', named by the argument 'kubeconfig', does",
        ),
    ],
)
def test_wrong_argument_is_told_by_name(run: Runner, row: str, words: str) -> None:
    test = run(f"*** Test Cases ***\nT\n    {row}").tests["T"]
    assert test.status == "FAIL"
    assert words in test.message


def test_token_is_nowhere_in_the_output(api: ApiServer, run: Runner) -> None:
    api.refuse("GET", "^/api/v1/pods", 401, "Unauthorized", "Unauthorized", times=3)
    done = run(
        "*** Test Cases ***\nT\n    Run Keyword And Ignore Error    Get Objects    Pod\n"
        "    Run In Pod    web    demo    true\n    Fail    on purpose",
        loglevel="TRACE",
    )
    assert done.tests["T"].message == "on purpose"
    assert api.requests[0][3]["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in done.text


def test_command_in_a_pod_fails_with_its_words(api: ApiServer, run: Runner) -> None:
    api.command = lambda command: (command.stderr(b"no route"), command.exit(1))[1]
    test = run("*** Test Cases ***\nT\n    Run In Pod    web    demo    ip    route").tests["T"]
    assert test.message == "'ip route' in pod 'demo/web' ended with exit status 1: no route"


def deployment(**status: Any) -> dict[str, Any]:
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}}
    return {"metadata": {"name": "web", "generation": 1}, "spec": spec, "status": status}


def test_deployment_whose_pods_may_not_be_made_says_why(api: ApiServer, run: Runner) -> None:
    refusal = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q, requested: pods=1"}
    api.put("/apis/apps/v1/namespaces/demo/deployments", deployment(conditions=[refusal]))
    test = run("*** Test Cases ***\nT\n    Wait Until Deployment Is Available    web    demo    timeout=1s").tests["T"]
    assert test.message == (
        "Deployment 'demo/web': not reached within 1 s; at the end: the controller has not seen it yet.\n"
        "Deployment 'web' may not create its pods: exceeded quota: q, requested: pods=1"
    )


def test_deployment_whose_newer_pods_do_not_come_up_names_them(api: ApiServer, run: Runner) -> None:
    old = pulling()
    old["metadata"]["name"] = "web-0"
    old["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    api.put(PODS, old)
    api.put(PODS, pulling())
    full = deployment(observedGeneration=1, updatedReplicas=0, availableReplicas=1, replicas=2)
    api.put("/apis/apps/v1/namespaces/demo/deployments", full)
    test = run("*** Test Cases ***\nT\n    Wait Until Deployment Is Available    web    demo    timeout=0.5s").tests[
        "T"
    ]
    first, second = test.message.splitlines()
    assert first.endswith("at the end: 1/1 available, 0 of the newest template.")
    assert second == "pod 'web-1': container 'c' is ImagePullBackOff: Back-off pulling image \"none:1\""


def test_lab_tells_how_far_it_is_while_it_starts(
    run: Runner, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def use(lab: Lab) -> None:
        lab._say("Kubernetes: 10 of 900 packages compiled")
        seen.append(capfd.readouterr().out)
        raise EnvironmentProblem("that was enough")

    seen: list[str] = []
    monkeypatch.setattr(Lab, "use", use)
    text = "*** Test Cases ***\nT\n    Connect To Cluster"
    test = run(text, kubeconfig=None, variable=["CLUSTER:lab"]).tests["T"]
    assert "that was enough" in test.message
    assert "[lab] Kubernetes: 10 of 900 packages compiled\n" in seen[0]


def test_import_argument_and_variable_context_count_for_connect_to_cluster(tmp_path: Path, api: ApiServer) -> None:
    config = json.loads(api.kubeconfig(tmp_path / "config").read_text())
    config["contexts"].append({"name": "other", "context": {"cluster": "c", "user": "u"}})
    (tmp_path / "config").write_text(json.dumps({**config, "current-context": "gone"}))
    text = f"Library    NetLibrary    kubeconfig={tmp_path}/config    AS    Mine\n*** Test Cases ***\nT\n"
    text += "    Mine.Connect To Cluster\n    Mine.Connect To Cluster    alias=second    context=x\n"
    done = Run(tmp_path, "", text, variable=["CONTEXT:other", "CLUSTER:kubeconfig"])
    assert done.tests["T"].passed, done.tests["T"].message
    assert [r[1] for r in api.requests].count("/version") == 2


@pytest.mark.parametrize("given", ["1 fortnight", "nan", "1e400"])
def test_time_that_is_none_costs_one_line(tmp_path: Path, given: str) -> None:
    """A wait of `nan` seconds never ended."""
    (tmp_path / "t.robot").write_text(
        f"*** Settings ***\nLibrary    NetLibrary    timeout={given}\n*** Test Cases ***\nT\n    Log    x\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "robot", "--output", "none", "--log", "none", "--report", "none", "t.robot"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = done.stderr.strip()
    assert said.endswith(f"failed: timeout is '{given}'; allowed: a time above zero such as '90 s' or '2 min'.")
    assert len(said.splitlines()) == 1
