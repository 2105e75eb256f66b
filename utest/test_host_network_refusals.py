"""Suites leave out what needs the host network wherever it is refused, in whatever words."""

from __future__ import annotations

from pathlib import Path

import pytest
from robot_run import Run

WORDS = {
    "PodSecurity": "with 403 Forbidden: pods 'x' is forbidden: violates PodSecurity 'restricted:latest': host namespaces "
    "(hostNetwork=true)",
    "OpenShift": "with 403 Forbidden: unable to validate against any security context constraint: provider restricted: "
    ".spec.securityContext.hostNetwork: Invalid value: true: Host network is not allowed to be used",
    "Autopilot": "with 400 BadRequest: admission webhook 'warden' denied the request: [denied by "
    "autogke-disallow-hostnamespaces] enabling hostNetwork is not allowed in Autopilot",
    "Gatekeeper": "with 403 Forbidden: admission webhook 'validation.gatekeeper.sh' denied the request: Sharing the host "
    "namespace is not allowed: host-node1",
    "Kyverno": "with 400 BadRequest: admission webhook 'kyverno' denied the request: validation error: Sharing the host "
    "namespaces is disallowed. The fields spec.hostNetwork must be unset",
}
OTHERS = {
    "quota": "with 403 Forbidden: pods 'host-node1' is forbidden: exceeded quota: small, requested: pods=1",
    "a port that is taken": "Pod 'host-node1' cannot be placed: 0/3 nodes are available: 3 node(s) didn't have free ports",
}
SUITE = """Resource    NetLibrary/resources/common.resource

*** Test Cases ***
Refused
    ${words}    Get Refusal Of Host Network    Fail    Cluster 'c' answered POST /api/v1/pods %s
    Should Not Be Empty    ${words}
Allowed
    ${words}    Get Refusal Of Host Network    No Operation
    Should Be Empty    ${words}
"""


@pytest.mark.parametrize("maker", WORDS)
def test_refusal_of_the_host_network_is_known_in_the_words_of_each_maker(tmp_path: Path, maker: str) -> None:
    run = Run(tmp_path, "", SUITE % WORDS[maker])
    assert {name: test.status for name, test in run.tests.items()} == {"Refused": "PASS", "Allowed": "PASS"}


@pytest.mark.parametrize("other", OTHERS)
def test_what_else_keeps_a_pod_away_stays_a_failure(tmp_path: Path, other: str) -> None:
    assert Run(tmp_path, "", SUITE % OTHERS[other]).tests["Refused"].status == "FAIL"
