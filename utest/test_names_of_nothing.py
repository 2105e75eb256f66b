"""Values that name something which does not exist: an error that says so, never a skipped test and so a green run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from robot.api import ExecutionResult
from robot.api import TestSuite as Suite
from robot.result import TestCase as Row
from robot_run import Run
from scripted_api import ApiServer

from NetLibrary._mechanics.errors import EnvironmentProblem, Forbidden
from NetLibrary._mechanics.kube import Cluster, placement, rights
from NetLibrary._mechanics.kube.hindrances import Advisor
from NetLibrary._mechanics.kube.pods import PodSettings
from NetLibrary._mechanics.outages import objects, places, streams
from NetLibrary.types import OutagePath, OutageTarget

ROOT = Path(__file__).parents[1]
# Suites that work in one namespace that somebody names, or in several
IN_ONE = [suite for suite in rights.suites() if suite not in ("network_policies", "skupper_iperf3")]
SEVERAL = [f"SKUPPER_{part}_NAMESPACE:teem" for part in ("HUB", "CLIENT", "WORKLOAD")]


@pytest.fixture
def run(api: ApiServer, tmp_path: Path) -> Callable[..., list[Row]]:
    """Runs a suite on the scripted server, which has a namespace and two nodes."""
    api.put("/api/v1/namespaces", {"metadata": {"name": "team"}})
    for name in ("node1", "node2"):
        api.put("/api/v1/nodes", {"metadata": {"name": name, "labels": {"pool": "workers", "kubernetes.io/os": "linux"}},
                                  "status": {"conditions": [{"type": "Ready", "status": "True"}]}})  # fmt: skip

    def done(suite: str, *variables: str) -> list[Row]:
        output, config = tmp_path / "output.xml", api.kubeconfig(tmp_path / "kubeconfig")
        given = [f"KUBECONFIG:{config}", "CLUSTER:kubeconfig", "READY_TIMEOUT:1s", *variables]
        Suite.from_file_system(ROOT / "suites" / f"{suite}.robot").run(
            outputdir=str(tmp_path), output=str(output), log=None, report=None, console="none", variable=given
        )
        return list(ExecutionResult(str(output)).suite.all_tests)

    return done


@pytest.mark.parametrize("suite", [*IN_ONE, "skupper_iperf3"])
def test_misspelt_namespace_of_an_account_of_one_namespace_fails(
    api: ApiServer, run: Callable[..., list[Row]], suite: str
) -> None:
    """Everything was skipped, as for an account that lacks its role, and CI was green."""
    api.allow(lambda asked: asked.get("namespace") == "team")
    api.refuse("GET", "/namespaces/teem", 403, "Forbidden", "no", times=99)
    tests = run(suite, "NAMESPACE:teem", *(SEVERAL if suite == "skupper_iperf3" else ()))
    assert {test.status for test in tests} == {"FAIL"}, [test.message for test in tests]
    assert "The account may not even read namespace 'teem': is this its name, and is there" in tests[0].message
    assert "The account lacks rights that " in tests[0].message


@pytest.mark.parametrize("suite", IN_ONE)
def test_misspelt_namespace_is_told_with_the_nearest_where_namespaces_may_be_read(
    api: ApiServer, run: Callable[..., list[Row]], suite: str
) -> None:
    """An account with rights everywhere may do all in a namespace of that name; there is none, and it makes none."""
    api.allow(lambda asked: (asked["verb"], asked["resource"]) != ("create", "namespaces"))
    api.refuse("POST", "/namespaces", 403, "Forbidden", "may not create namespaces", times=99)
    tests = run(suite, "NAMESPACE:teem")
    assert "SKIP" not in {test.status for test in tests}, [test.message for test in tests]
    told = [test.message for test in tests if "There is no namespace 'teem'; there is 'team'." in test.message]
    assert told
    assert "The account may not create it" in told[0]


def test_new_namespace_that_the_account_may_create_is_not_called_misspelt(api: ApiServer, cluster: Cluster) -> None:
    api.allow(lambda asked: asked["resource"] != "pods")
    lacking = rights.missing(cluster, rights.needed("e2sar", "fresh"))
    assert lacking
    assert rights.doubt_about_namespace(cluster, "fresh", lacking) == ""


@pytest.mark.parametrize("suite", ["network_break", "own_application", "service_matrix", "e2sar", "cyperf"])
def test_node_selector_that_no_node_has_fails(
    api: ApiServer, run: Callable[..., list[Row]], suite: str
) -> None:  # fmt: skip
    """Rows were skipped, as on a cluster of one node."""
    api.allow()
    tests = run(suite, "NODE_SELECTOR:pool=wrokers")
    assert "SKIP" not in {test.status for test in tests}, [test.message for test in tests]


def test_what_nodes_have_in_place_of_the_selector_is_told() -> None:
    settings = PodSettings(node_selector={"pool": "wrokers"})
    why = {name: placement.cannot_run({"metadata": {"name": name, "labels": {"pool": "workers"}}}, settings)
           for name in ("a", "b")}  # fmt: skip
    with pytest.raises(
        EnvironmentProblem, match=r"needed: 'a' does not have the labels of NODE_SELECTOR .*it has pool=workers"
    ):
        placement.takers(why)


def test_priority_class_that_is_missing_does_not_skip_rows_of_node_probers(api: ApiServer, tmp_path: Path) -> None:
    api.put("/api/v1/nodes", {"metadata": {"name": "node1", "labels": {"kubernetes.io/os": "linux"}},
                              "status": {"conditions": [{"type": "Ready", "status": "True"}]}})  # fmt: skip
    api.refuse("POST", "/pods", 403, "Forbidden", 'pods "x" is forbidden: no PriorityClass with name hgih was found')
    text = "*** Test Cases ***\nA\n    Name Should Resolve To    kubernetes.default    source=every node"
    test = Run(tmp_path, api.kubeconfig(tmp_path / "k"), text, variable=["PRIORITY_CLASS:hgih"]).tests["A"]
    assert test.status == "FAIL"
    assert "no PriorityClass with name hgih was found" in test.message


MISSING = 'pods "x" is forbidden: no PriorityClass with name lwo was found'


@pytest.mark.parametrize(("there", "told"), [
    (("batch", "low", "system-node-critical"), ", and there is 'low', 'batch'."),
    (("system-node-critical",), ", and there is none but those of the system."),
    (None, "."),
])  # fmt: skip
def test_priority_class_that_is_missing_is_told_with_its_variable_and_those_that_there_are(
    api: ApiServer, cluster: Cluster, there: tuple[str, ...] | None, told: str
) -> None:
    """The server's own words said neither who names it nor what there is."""
    for name in there or ():
        api.put("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": name}})
    if there is None:
        api.refuse("GET", "/priorityclasses", 403, "Forbidden", "no")
    api.refuse("POST", "/pods", 403, "Forbidden", MISSING)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "n"}, "spec": {}}
    with pytest.raises(Forbidden) as refused:
        cluster.create(pod)
    assert str(refused.value).endswith(
        f"lwo was found; the variable PRIORITY_CLASS or the manifest names it{told}"
    )  # fmt: skip


def test_controller_that_lacks_a_priority_class_is_told_with_those_that_there_are(
    api: ApiServer, cluster: Cluster
) -> None:
    api.put("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "low"}})
    failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": MISSING}
    owner = {"metadata": {"name": "web", "namespace": "n", "uid": "u"}, "status": {"conditions": [failed]}}
    advisor = Advisor(cluster, "Pod", "n", None, "app=web", readiness=True)
    assert [hint.text.partition("; ")[2] for hint in advisor._refusals("ReplicaSet", owner)] == [
        "the variable PRIORITY_CLASS or the manifest names it, and there is 'low'"
    ]


@pytest.mark.parametrize("paths", [[], [OutagePath.SERVICE]])
def test_target_of_the_users_own_that_does_not_exist_is_an_error(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, paths: list[OutagePath]
) -> None:
    """A row with a misspelt OUTAGE_TARGETS was skipped, as if the cluster lacked a path."""
    source = {"metadata": {"name": "source"}, "status": {"podIP": "10.0.0.1"}}
    service = {"metadata": {"name": "far"}, "spec": {"clusterIPs": ["10.96.0.1"], "ports": [{"port": 7007}]}}
    found = objects.Endpoints({objects.SOURCE: source}, service=service, sources=["source"])
    monkeypatch.setattr(places.discovery, "discover", lambda *_, **__: found)
    with pytest.raises(
        EnvironmentProblem, match=r"Targets cannot be measured: .*http://wbe.shop:80/: 'wbe.shop' cannot"
    ):
        places.plan(cluster, "shop", paths, streams.Rates(), probes=None, families=(4,), host_port=0, outside=("", 0), seconds=1,
                    own=[OutageTarget.parse("http://wbe.shop:80/")])  # fmt: skip


DEVICE = r"""
*** Settings ***
Resource    NetLibrary/resources/network_break.resource

*** Variables ***
${{NAMESPACE}}    shop
&{{WHERE}}    nodeName=node1
&{{FAR}}    spec=${{WHERE}}

*** Test Cases ***
A
    Row May Delete Device    ${{EMPTY}}    {device}

*** Keywords ***
Get Object
    [Arguments]    @{{_}}
    RETURN    ${{FAR}}
Get Network Workload
    [Arguments]    @{{_}}    &{{__}}
    RETURN    ${{{{ dict(product='flannel', device='flannel.1', pod='p', namespace='n') }}}}
Run In Pod
    [Arguments]    @{{_}}
    RETURN    face |bytes\n eth0: 1 2\n cni0: 3 4
"""


@pytest.mark.parametrize(
    ("device", "status", "words"),
    [
        ("flanel.1", "FAIL", "OUTAGE_PLUGIN_DEVICE is 'flanel.1'; node1 has eth0, cni0."),
        ("cni0", "PASS", ""),
        ("${EMPTY}", "SKIP", "Skipped: flannel has no device 'flannel.1' on node1."),
    ],
)
def test_device_that_is_named_and_not_there_is_no_skip(tmp_path: Path, device: str, status: str, words: str) -> None:
    test = Run(tmp_path, "", DEVICE.format(device=device)).tests["A"]
    assert (test.status, test.message) == (status, words)
