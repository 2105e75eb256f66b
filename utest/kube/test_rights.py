"""Missing rights are found before anything is made, and cost the rows that need them only."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from robot_run import Run
from scripted_api import REVIEWS, ApiServer, kubeconfig

from NetLibrary._mechanics.errors import Forbidden, InputError
from NetLibrary._mechanics.kube import Cluster, rights
from NetLibrary.cli import main

ROOT = Path(__file__).parents[2]


def test_every_suite_has_a_file_of_rights_and_every_file_a_suite() -> None:
    assert rights.suites() == sorted(file.stem for file in ROOT.glob("suites/*.robot"))
    for suite in rights.suites():
        assert all(right.verb and right.resource for right in rights.needed(suite))


@pytest.mark.parametrize("suite", rights.suites())
def test_no_file_grants_more_than_namespaced_work(suite: str) -> None:
    """No wildcard, no Secrets, nothing that makes or deletes in the whole cluster but namespaces."""
    for role in yaml.safe_load_all((ROOT / "manifests" / "access" / f"{suite}.yaml").read_text()):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]
            if role["metadata"]["annotations"]["netlibrary.io/scope"] == "cluster":
                assert not {"create", "delete", "update"} & set(rule["verbs"])


def test_rights_are_asked_for_in_one_batch_and_nothing_is_made(api: ApiServer, cluster: Cluster) -> None:
    api.allow(lambda asked: asked["resource"] != "jobs")
    lacking = rights.missing(cluster, rights.needed("e2sar", "team"))
    assert {str(right) for right in lacking} >= {"create jobs.batch in namespace 'team'"}
    assert {right.resource for right in lacking} == {"jobs"}
    assert {request[1] for request in api.requests if request[0] == "POST"} == {
        "/apis/authorization.k8s.io/v1" + REVIEWS
    }
    asked = [request[4]["spec"]["resourceAttributes"] for request in api.seen("POST", REVIEWS)]
    assert {"verb": "get", "resource": "pods", "subresource": "exec", "namespace": "team"} in asked
    assert len(asked) == len({str(sorted(each.items())) for each in asked})


@pytest.mark.parametrize("command", ["check", "sweep"])
def test_command_that_reaches_no_cluster_names_the_kubeconfig_it_took(
    command: str, api: ApiServer, tmp_path: Path
) -> None:
    """The usual causes are the wrong file and an expired token; of `a:b`, nobody knows which file counted."""
    expired, silent = api.kubeconfig(tmp_path / "expired"), tmp_path / "silent"
    silent.write_text(json.dumps(kubeconfig("http://127.0.0.1:9")))
    api.refuse("GET", "/version", 401, "Unauthorized", "Unauthorized", times=99)
    refused = CliRunner().invoke(main, [command], env={"KUBECONFIG": f"{tmp_path / 'none'}:{expired}:{silent}"})
    unanswered = CliRunner().invoke(main, [command, "--kubeconfig", str(silent), "--context", "x"])
    assert (refused.exit_code, unanswered.exit_code) == (1, 1)
    assert (
        f"The cluster is that of {expired}, {silent} (named by the environment variable KUBECONFIG)." in refused.output
    )
    assert "The server refused the token of user 'u' of context 'x'; has it expired?\n" in refused.output
    assert f"The cluster is that of {silent}, context 'x' (named by the argument 'kubeconfig')." in unanswered.output


def test_misspelt_suite_is_refused_before_anybody_is_asked(api: ApiServer, tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["check", "--kubeconfig", str(api.kubeconfig(tmp_path / "x")), "--suite", "e2saar"])
    assert "suite is 'e2saar'; allowed: " in told.output
    assert not api.requests


def test_check_judges_the_namespaces_that_a_suite_would_use(api: ApiServer, tmp_path: Path) -> None:
    """One namespace was enough for "can run", and the next line said that three are needed."""
    for name in ("team", "hub", "client", "work"):
        api.put("/api/v1/namespaces", {"metadata": {"name": name}})
    api.allow(lambda asked: asked["resource"] != "namespaces" or "namespace" in asked)
    config = str(api.kubeconfig(tmp_path / "x"))

    def check(suite: str, *namespaces: str) -> tuple[str, int]:
        words = [word for name in namespaces for word in ("--namespace", name)]
        done = CliRunner().invoke(main, ["check", "--kubeconfig", config, "--suite", suite, *words])
        return done.output.partition("\n")[2], done.exit_code

    told, status = check("skupper_iperf3", "team")
    assert told.startswith(
        "skupper_iperf3: cannot run\nThe suite needs three namespaces. With NAMESPACE alone it creates"
    )
    assert "create namespaces in the whole cluster" in told
    assert status == 1
    assert check("skupper_iperf3", "hub", "client", "work") == ("skupper_iperf3: can run\n", 0)
    told, status = check("network_policies", "team")
    assert told.startswith("network_policies: cannot run\nThe suite always creates three namespaces; ")
    assert status == 1
    assert check("e2sar", "team") == ("e2sar: can run\n", 0)


def test_check_tells_of_a_namespace_that_does_not_exist_and_would_not_be_made(api: ApiServer, tmp_path: Path) -> None:
    """An account with rights in all namespaces was told that the suite can run in `teem`."""
    api.put("/api/v1/namespaces", {"metadata": {"name": "team"}})
    makes = [True, False]
    api.allow(lambda asked: (asked["verb"], asked["resource"]) != ("create", "namespaces") or makes[0])
    words = ["check", "--kubeconfig", str(api.kubeconfig(tmp_path / "x")), "--suite", "e2sar", "--namespace", "teem"]
    assert CliRunner().invoke(main, words).output.endswith("\ne2sar: can run\n")
    makes.pop(0)
    told = CliRunner().invoke(main, words)
    assert told.output.partition("\n")[2] == "e2sar: cannot run\nThere is no namespace 'teem'; there is 'team'.\n"
    assert told.exit_code == 1


def test_rights_that_rows_ask_for_themselves_skip_no_row_beforehand() -> None:
    """Where a plugin's daemons are differs: kube-system is not asked about for one that is in kube-flannel."""
    assert not {right.resource for right in rights.needed("network_break") if not right.optional} & {"daemonsets"}
    assert "netlibrary-network-break-restart" in (rights.ACCESS / "network_break.yaml").read_text()


def test_account_of_one_namespace_needs_no_right_to_make_namespaces() -> None:
    assert {right.verb for right in rights.needed("e2sar", "team") if right.resource == "namespaces"} == {"get"}
    assert "create" in {right.verb for right in rights.needed("e2sar") if right.resource == "namespaces"}


def test_right_names_the_rows_that_need_it() -> None:
    def rows(suite: str, right: str) -> set[str]:
        return {each.rows for each in rights.needed(suite, "team") if str(each).startswith(f"{right} in")}

    assert rows("e2sar", "create networkpolicies.networking.k8s.io") == {"Policy*"}
    assert rows("e2sar", "create jobs.batch") == {"*"}
    assert rows("service_matrix", "patch services") == {"Label *|Changing Types|UDP Flows*"}
    assert rows("own_application", "patch deployments.apps") == {"An Update*"}
    two = next(
        each for each in rights.needed("service_matrix", "team") if each.rows == "Label *|Changing Types|UDP Flows*"
    )
    assert [name for name in ("Changing Types", "label gives service away", "Labels", "Headless") if two.is_for(name)] == [
        "Changing Types", "label gives service away",
    ]  # fmt: skip
    assert "Label *, Changing Types, UDP Flows*" in rights.table([two])[0]


@pytest.mark.parametrize("suite", rights.suites())
def test_rows_of_rights_are_rows_of_the_suite(suite: str) -> None:
    names = [
        line.rstrip() for line in (ROOT / "suites" / f"{suite}.robot").read_text().splitlines() if line[:1].isalpha()
    ]
    names = [re.split(" {2,}", name)[0] for name in names]
    for right in rights.needed(suite):
        for pattern in right.rows.split("|"):
            assert any(fnmatch.fnmatchcase(name, pattern) for name in names), f"{pattern} of {right}"


def test_suite_of_several_namespaces_needs_the_right_to_make_them_whatever_is_named() -> None:
    assert rights.needed("network_policies", "team") == rights.needed("network_policies")


def test_why_pods_are_missing_may_stay_unknown() -> None:
    found = {str(each): each.optional for each in rights.needed("cluster_health", "team")}
    assert found["list replicasets.apps in namespace 'team'"] == "why pods are missing"
    made = {str(each): each.optional for each in rights.needed("throughput", "team")}
    assert made["list deployments.apps in namespace 'team'"] == ""


def test_unknown_suite_is_told_with_those_there_are() -> None:
    with pytest.raises(InputError, match="suite is 'e2zar'; allowed: cluster_health, cyperf, e2sar"):
        rights.needed("e2zar")


SUITE = """
*** Settings ***
Suite Setup    Check Rights    network_break    namespace=team
*** Test Cases ***
DNS Rollout Leaves Names Resolvable
    [Setup]    Fail    must not run
    Fail    must not run
Quiet Network Has No Outage
    No Operation
"""


@pytest.fixture
def run(api: ApiServer, tmp_path: Path) -> Callable[[str], Run]:
    config = api.kubeconfig(tmp_path / "kubeconfig")
    return lambda text: Run(tmp_path, config, text)


def test_row_that_lacks_its_right_is_skipped_by_name_and_others_run(api: ApiServer, run: Callable[[str], Run]) -> None:
    api.allow(lambda asked: asked["resource"] != "deployments")
    done = run(SUITE)
    assert done.tests["DNS Rollout Leaves Names Resolvable"].status == "SKIP"
    assert "patch deployments.apps in namespace 'kube-system' (netlibrary-network-break-dns)" in (
        done.tests["DNS Rollout Leaves Names Resolvable"].message
    )
    assert done.tests["Quiet Network Has No Outage"].passed


def test_suite_without_a_right_that_all_rows_need_is_skipped_with_its_name(
    api: ApiServer, run: Callable[[str], Run]
) -> None:
    api.allow(lambda asked: asked.get("subresource") != "exec")
    done = run(SUITE)
    assert {test.status for test in done.tests.values()} == {"SKIP"}
    assert "get pods/exec in namespace 'team'; create pods/exec in namespace 'team'" in (
        done.tests["Quiet Network Has No Outage"].message
    )
    assert "<td" in done.message("Rights that the account lacks")


def test_account_that_cannot_read_a_namespace_is_asked_for_the_name_of_it(
    api: ApiServer, run: Callable[[str], Run], tmp_path: Path
) -> None:
    """The list of rights accuses the administrator of what is most often a misspelt name.

    Some rights are there all the same: roles of the whole cluster grant them in a namespace of any name.
    """
    api.allow(lambda asked: asked.get("namespace") != "teem" or asked["verb"] == "list")
    api.refuse("GET", "/namespaces/teem", 403, "Forbidden", "no", times=99)
    asks = "The account may not even read namespace 'teem': is this its name, and is there such a namespace?"
    test = run(SUITE.replace("namespace=team", "namespace=teem")).tests["Quiet Network Has No Outage"]
    assert test.status == "FAIL"
    assert asks in test.message
    config = str(api.kubeconfig(tmp_path / "x"))
    told = CliRunner().invoke(main, ["check", "--kubeconfig", config, "--suite", "e2sar", "--namespace", "teem"])
    assert told.output.partition("\n")[2] == f"e2sar: cannot run\n{asks}\n"  # not 35 rows of rights before it


def test_right_that_two_roles_grant_is_named_once(api: ApiServer, run: Callable[[str], Run]) -> None:
    api.allow(lambda asked: asked["resource"] != "namespaces")
    message = run(SUITE.replace("    namespace=team", "")).tests["Quiet Network Has No Outage"].message
    assert message.count("get namespaces in the whole cluster") == 1
    assert message.endswith("An account that owns one namespace names it with -v NAMESPACE:…")


def test_account_of_one_namespace_is_told_how_to_name_it(api: ApiServer, tmp_path: Path) -> None:
    api.allow(lambda asked: asked["resource"] != "namespaces")
    suites = ["--suite", "skupper_iperf3", "--suite", "e2sar"]
    told = CliRunner().invoke(main, ["check", "--kubeconfig", str(api.kubeconfig(tmp_path / "x")), *suites]).output
    assert "See manifests/access/skupper_iperf3.yaml. The suite needs three namespaces. " in told
    assert told.endswith(
        "See manifests/access/e2sar.yaml. An account that owns one namespace names it with -v NAMESPACE:…\n"
    )


def test_refused_creation_of_a_namespace_tells_of_existing_ones(api: ApiServer, cluster: Cluster) -> None:
    api.refuse("POST", "/namespaces", 403, "Forbidden", 'namespaces is forbidden: User "tester" cannot create resource')
    with pytest.raises(Forbidden, match=r"An account that owns a namespace works there with use_existing=True\.$"):
        cluster.enter_namespace("shop", labels={}, use_existing=False)


def test_namespace_that_the_account_may_not_read_is_not_said_to_exist(api: ApiServer, cluster: Cluster) -> None:
    """Its name may be misspelt; the first refusal in it would be taken for a lack of rights."""
    said: list[str] = []
    cluster.say = said.append
    api.refuse("GET", "/namespaces/teem", 403, "Forbidden", "no", times=9)
    api.refuse("POST", "/namespaces", 403, "Forbidden", "no", times=9)
    assert cluster.enter_namespace("teem", use_existing=True) is False
    assert said[0].startswith(
        "Namespace 'teem' is taken to exist, because the account may neither read nor create it; "
    )


def test_missing_optional_right_skips_nothing(api: ApiServer, run: Callable[[str], Run]) -> None:
    api.allow(lambda asked: asked["resource"] != "leases")
    assert all(test.message != "" or test.passed for test in run(SUITE).tests.values())
    assert run(SUITE).tests["Quiet Network Has No Outage"].passed


@pytest.mark.parametrize("suite", ["own_application", "network_break", "e2sar"])
def test_account_that_may_not_list_nodes_loses_no_more_than_rows(suite: str) -> None:
    """An account of one namespace was kept from all rows, though most of them need no node."""
    nodes = [right for right in rights.needed(suite, "team") if (right.verb, right.resource) == ("list", "nodes")]
    assert nodes
    assert all(right.optional or right.rows != "*" for right in nodes)


def test_command_tells_what_is_missing_and_makes_nothing(api: ApiServer, tmp_path: Path) -> None:
    config = str(api.kubeconfig(tmp_path / "kubeconfig"))
    api.allow(lambda asked: asked["resource"] != "nodes")
    words = ["check", "--kubeconfig", config, "--suite", "throughput", "--suite", "e2sar", "--namespace", "team"]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 1
    assert "throughput: cannot run" in shown.output
    assert "list nodes in the whole cluster" in shown.output
    assert "netlibrary-throughput-cluster" in shown.output
    assert "e2sar: can run without some rows" in shown.output
    assert api.seen("POST", "/namespaces") == []


def test_roles_of_keywords_name_keywords_that_exist_and_grant_no_wildcards() -> None:
    from NetLibrary import NetLibrary

    known = {name.lower() for name in NetLibrary().get_keyword_names()}
    file = rights.ACCESS / "keywords" / "roles.yaml"
    for role in yaml.safe_load_all(file.read_text()):
        for name in role["metadata"]["annotations"]["netlibrary.io/keywords"].split(", "):
            assert name.replace(" ", "_").lower() in known or name.lower() in known, name
        assert not any(
            "*" in [*rule["resources"], *rule["verbs"]] or "secrets" in rule["resources"] for rule in role["rules"]
        )


@pytest.mark.parametrize("file", sorted((ROOT / "manifests" / "access").rglob("*.yaml")), ids=lambda file: file.stem)
def test_no_role_opens_what_belongs_to_others(file: Path) -> None:
    """`get nodes/proxy` looked harmless, and lets an account run commands in every pod by the kubelet's own API."""
    rules = [rule for role in yaml.safe_load_all(file.read_text()) for rule in (role or {}).get("rules") or []]
    assert rules
    for rule in rules:
        assert not {"*", "secrets", "nodes/proxy"} & {*rule.get("resources", ()), *rule.get("apiGroups", ())}, rule
        assert not {"*", "escalate", "bind", "impersonate"} & set(rule["verbs"]), rule
