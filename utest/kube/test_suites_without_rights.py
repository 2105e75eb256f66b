"""Every suite, run by an account that lacks a right which all of its rows need: skipped before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from robot.api import ExecutionResult
from robot.api import TestSuite as Suite
from scripted_api import REVIEWS, ApiServer

from NetLibrary._mechanics.kube import rights

ROOT = Path(__file__).parents[2]


def for_all_rows(suite: str) -> rights.Right | None:
    """Returns a right to create something that all rows of a suite need."""
    found = (r for r in rights.needed(suite, "team") if r.rows == "*" and not r.optional and r.verb == "create")
    return next(found, None)


@pytest.mark.parametrize("suite", [suite for suite in rights.suites() if for_all_rows(suite)])
def test_suite_is_skipped_with_the_right_before_anything_is_made(api: ApiServer, tmp_path: Path, suite: str) -> None:
    right = for_all_rows(suite)
    assert right is not None
    plural, _, subresource = right.resource.partition("/")

    def allowed(asked: dict[str, Any]) -> bool:
        return (asked["verb"], asked["resource"], asked.get("subresource", "")) != (right.verb, plural, subresource)

    api.allow(allowed)
    variables = [f"KUBECONFIG:{api.kubeconfig(tmp_path / 'kubeconfig')}", "CLUSTER:kubeconfig", "NAMESPACE:team"]
    if suite == "skupper_iperf3":
        variables += [f"SKUPPER_{part}_NAMESPACE:team" for part in ("HUB", "CLIENT", "WORKLOAD")]
    output = tmp_path / "output.xml"
    Suite.from_file_system(ROOT / "suites" / f"{suite}.robot").run(
        outputdir=str(tmp_path), output=str(output), log=None, report=None, console="none", variable=variables
    )
    tests = list(ExecutionResult(str(output)).suite.all_tests)
    assert {test.status for test in tests} == {"SKIP"}, [test.message for test in tests]
    assert f"{right.verb} {right.resource}" in tests[0].message
    assert "teardown failed" not in tests[0].message
    assert {request[1].partition("?")[0].rpartition("/")[2] for request in api.requests if request[0] != "GET"} == {
        REVIEWS[1:]
    }


def policy_rows(api: ApiServer, folder: Path, *variables: str) -> dict[str, Any]:
    """Runs network_policies by the account of one namespace, which is empty."""
    api.put("/api/v1/namespaces", {"metadata": {"name": "team"}})
    api.allow(lambda asked: asked.get("namespace") == "team")
    output = folder / "output.xml"
    given = [f"KUBECONFIG:{api.kubeconfig(folder / 'kubeconfig')}", "CLUSTER:kubeconfig", *variables]
    Suite.from_file_system(ROOT / "suites" / "network_policies.robot").run(
        outputdir=str(folder), output=str(output), log=None, report=None, console="none", variable=given
    )
    return {test.name: test for test in ExecutionResult(str(output)).suite.all_tests}


def test_policies_of_ones_own_namespaces_are_judged_without_the_right_to_create_any(
    api: ApiServer, tmp_path: Path
) -> None:
    """The row was skipped with the others, although it needs only what is there."""
    tests = policy_rows(api, tmp_path, "POLICY_NAMESPACES:team")
    own = tests.pop("The Policies Of My Own Namespaces")
    assert own.status == "FAIL"
    assert own.message == "There is no pod to test in team."  # the row has looked
    assert {(test.status, test.message) for test in tests.values()} == {
        ("SKIP", "The account may not create the three namespaces for this row.")
    }
    assert not [path for method, path, *_ in api.requests if method != "GET" and REVIEWS not in path]


def test_account_of_one_namespace_is_told_how_to_have_its_policies_judged(api: ApiServer, tmp_path: Path) -> None:
    tests = policy_rows(api, tmp_path)
    assert {test.status for test in tests.values()} == {"SKIP"}
    assert "names existing namespaces with -v POLICY_NAMESPACES:" in tests["Nobody Gets In"].message
    assert "'Network Policies Should Be Enforced'" in tests["Nobody Gets In"].message
