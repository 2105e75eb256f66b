"""Rows of the throughput suite that need only iperf3 run without fortio's image."""

from __future__ import annotations

from pathlib import Path

import pytest
from robot_run import Run

SUITE = """*** Settings ***
Resource    NetLibrary/resources/throughput.resource
Suite Setup    Iperf3 Servers Are Started

*** Variables ***
${NAMESPACE}    shop
@{STARTED}

*** Test Cases ***
Path
    Measure Path    same node    TCP    1    up    0
Requests
    Measure Requests    same node    10
More Requests
    Measure Requests    cluster IP    10
Host Requests
    Measure Requests    host network    10

*** Keywords ***
Check Rights
    [Arguments]    @{_}    &{__}
    No Operation
Create Namespace
    [Arguments]    @{_}    &{__}
    No Operation
Start Iperf3 Server
    [Arguments]    ${namespace}    ${name}=iperf3-server    &{_}
    RETURN    node1
Start Fortio Server
    [Arguments]    ${namespace}    ${name}    &{__}
    Append To List    ${STARTED}    ${name}
    Log    started ${STARTED}
    %s
Get Path To Iperf3 Server
    [Arguments]    @{_}    &{__}
    ${way}    Evaluate    types.SimpleNamespace(host='h', port=1, node='n', host_network=False, from_outside=False)
    RETURN    ${way}
Measure Throughput
    [Arguments]    @{_}    &{__}
    RETURN    1
Measure Request Latency
    [Arguments]    @{_}    &{__}
    RETURN    1
Measure Connection Rate
    [Arguments]    @{_}    &{__}
    RETURN    1
"""


@pytest.mark.parametrize(
    ("start", "status", "words"),
    [
        ("Fail    fortio server: no image; THROUGHPUT_FORTIO_IMAGE", "FAIL", "fortio server: no image; THROUGHPUT_FORTIO_IMAGE"),
        ("Skip    not here", "SKIP", "not here"),
        ("RETURN    node1", "PASS", ""),
    ],
)  # fmt: skip
def test_missing_image_of_fortio_fails_its_own_rows_alone(tmp_path: Path, start: str, status: str, words: str) -> None:
    """All 19 rows failed in the setup of the suite; each server is tried once."""
    run = Run(tmp_path, "", SUITE % start)
    assert run.tests.pop("Path").status == "PASS"
    assert {(test.status, test.message) for test in run.tests.values()} == {(status, words)}
    started = [text for text in run.messages if text.startswith("started ")]
    if status != "SKIP":
        assert started[-1] == "started ['fortio-server', 'fortio-server-host']"
