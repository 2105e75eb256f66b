"""No silent pass: a keyword that judges and gets nothing to judge fails, is skipped or is refused, and says why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from robot_run import Run
from scripted_api import ApiServer
from test_keywords import keywords

from NetLibrary._mechanics.kube import connection as connection_module
from NetLibrary._mechanics.skupper import run as skupper

# What keywords of these words say is a verdict
JUDGES = re.compile(r"\bShould\b|^Wait Until|^Measure |^Stop .*Measurement|^Outages Should|^Sweep E2SAR")
# Each with arguments that fit nothing: an empty cluster, nothing started, nothing measured
CALLS = {
    "Bandwidth Between Pods Should Be": ["at_least=1M"],
    "Clusters Should Be The Same": ["default", "nobody"],
    "Connection Should Be Blocked": ["nobody.demo", "80", "source=demo/nobody"],
    "Connection Should Be Refused": ["nobody.demo", "80", "source=demo/nobody"],
    "Connection Should Succeed": ["nobody.demo", "80", "source=demo/nobody"],
    "CyPerf Configuration Should Fit Cluster": [],
    "CyPerf Run Should Match Baseline": ["BASELINE"],
    "CyPerf Run Should Reach": ["throughput_at_least=1M"],
    "CyPerf Statistic Should Be": ["client-http", "rate", "at_least=0"],
    "CyPerf Traffic Should Meet Acceptance Rules": [],
    "E2SAR Network Policies Should Be Enforced": ["namespace=demo", "timeout=1s"],
    "E2SAR Transfer Should Reach": ["delivered_at_least=0 %"],
    "HTTP Response Should Be": ["http://nobody.demo/", "demo/nobody"],
    "Measure CyPerf Traffic": [],
    "Measure E2SAR Transfer": ["namespace=demo"],
    "Latencies Should Be Within Multiple": ["direct", "2"],
    "Measure Connection Rate": ["nobody", "demo", "duration=1s", "retry_for=1s"],
    "Measure Request Latency": ["nobody", "demo", "duration=1s", "retry_for=1s"],
    "Measure Throughput": ["nobody", "demo", "duration=1s", "retry_for=1s"],
    "Measurement Should Match Baseline": ["nothing", "bits_per_second", "BASELINE"],
    "Name Should Not Resolve": ["nobody.example", "source=demo/nobody"],
    "Name Should Resolve To": ["nobody.example", "source=demo/nobody"],
    "Names Should Resolve In Pods": ["demo", "app=none", "example.com", "timeout=1s"],
    "Network Policies Should Be Enforced": ["nobody"],
    "Nodes Should Be Healthy": [],
    "Outages Should Be Within Limits": ["longest_outage_at_most=1s"],
    "Path MTU Should Be": ["1500", "10.0.0.1", "source=demo/nobody"],
    "Paths Should Carry Their Share": ["direct", "0 %"],
    "Pods Should Be Healthy": ["demo"],
    "Repeats Should Be Steady": ["${{[]}}"],
    "Service Matrix Case Should Be Right": ["pod ip"],
    "Service Matrix Should Match": ["BASELINE"],
    "Services Of Namespace Should Be Right": ["nobody"],
    "Skupper Should Be Installed": [],
    "Skupper Should Have No Findings": ["demo"],
    "Stop Break Measurement": [],
    "Stop Outage Measurement": [],
    "Sweep E2SAR Transfers": ["namespace=demo"],
    "TLS Certificate Should Be Valid": ["nobody.demo", "443", "demo/nobody"],
    "Throughput Should Be At Least Share": ["${NONE}", "${NONE}", "0 %"],
    "Traffic Should Be Refused": ["nobody", "demo", "timeout=1s"],
    "Wait Until CyPerf Agents Are Registered": ["client", "timeout=1s"],
    "Wait Until CyPerf Statistic Is": ["client-http", "rate", "at_least=0", "timeout=1s"],
    "Wait Until Deployment Is Available": ["nobody", "demo", "timeout=0.5s"],
    "Wait Until E2SAR Events Arrive": ["0", "timeout=1s"],
    "Wait Until E2SAR Receiver Is Bound": ["timeout=1s"],
    "Events Should Not Contain": ["nobody"],
    "Wait Until Job Is Complete": ["nobody", "demo", "timeout=0.5s"],
    "Wait Until Object Exists": ["Pod", "nobody", "demo", "timeout=0.5s"],
    "Wait Until Object Field Is": ["Pod", "nobody", "demo", "field=.status.phase", "timeout=0.5s"],
    "Wait Until Object Has Condition": ["Pod", "nobody", "demo", "condition=Ready", "timeout=0.5s"],
    "Wait Until Object Is Gone": ["Pod", "nobody", "nowhere", "timeout=0.5s"],
    "Wait Until Pod Has Ended": ["nobody", "demo", "timeout=0.5s"],
    "Wait Until Pod Has Printed": ["nobody", "demo", "ready", "timeout=0.5s"],
    "Wait Until Pods Are Gone": ["nowhere", "app=x", "timeout=0.5s"],
    "Wait Until Pods Are Ready": ["demo", "app=none", "timeout=0.5s"],
    "Wait Until Rollout Is Complete": ["deploy", "nobody", "demo", "timeout=0.5s"],
    "Wait Until Skupper Is Ready": ["Site", "nobody", "demo", "timeout=0.5s"],
}
# Questions whose answer would be taken for "there is none"
ASKED = {
    "pods of a namespace that is not there": ["Get Objects", "Pod", "nobody"],
    "pods of a selector in a namespace that is not there": ["Get Objects", "Pod", "nobody", "labels=app=x"],
    "outages of a path that was not measured": ["Get Outages", "pod", "HTTP"],
}


def judging() -> list[str]:
    return sorted(keyword.name for keyword in keywords() if JUDGES.search(keyword.name))


def test_every_keyword_that_judges_is_given_nothing_here() -> None:
    assert [name for name in judging() if name not in CALLS] == []


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("nothing")
    (folder / "base.jsonl").write_text("")
    there = set(judging())
    rows = {name: [name, *words] for name, words in CALLS.items() if name in there} | ASKED
    text = "*** Test Cases ***\n"
    for name, words in rows.items():
        line = "    ".join(str(folder / "base.jsonl") if word == "BASELINE" else word for word in words)
        text += f"{name}\n    {line}\n"
    api = ApiServer()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for limit in ("FIRST_ANSWER_FOR", "RECONNECT_FOR", "BUSY_FOR"):
                patch.setattr(connection_module, limit, 0.0)
            patch.setattr(skupper, "START_SECONDS", 0.5)
            api.put("/api/v1/namespaces", {"metadata": {"name": "demo"}})
            api.refuse("POST", "/jobs", 403, "Forbidden", "admission webhook denied the request", times=99)
            path = api.kubeconfig(folder / "kubeconfig")
            assert json.loads(path.read_text())
            return Run(folder, path, text).tests
    finally:
        api.stop()


@pytest.mark.parametrize("name", [*(name for name in CALLS if name in set(judging())), *ASKED])
def test_nothing_to_judge_is_no_pass(outcomes: Any, name: str) -> None:
    test = outcomes[name]
    assert test.status in ("FAIL", "SKIP"), f"{name} passes without anything to judge"
    assert "Traceback" not in test.message
    assert not re.match(r"(TypeError|KeyError|AttributeError|IndexError|StopIteration)\b", test.message), test.message
