"""A run from settings to record, without a cluster: what is judged is what is recorded, and what the test's status says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from robot.api import ExecutionResult
from robot.api import TestSuite as Suite
from robot.api.deco import library

from NetLibrary._mechanics import errors, records
from NetLibrary._mechanics.e2sar import testbed as beds
from NetLibrary._mechanics.e2sar.endpoint import Endpoint
from NetLibrary._mechanics.e2sar.facts import Limits
from NetLibrary._mechanics.e2sar.objects import Files
from NetLibrary._mechanics.e2sar.parameters import PodSettings, ReceiverSettings, SenderSettings
from NetLibrary._mechanics.e2sar.run import Finding, Run, RunSettings, require_policies
from NetLibrary._mechanics.kube.absences import Absences
from NetLibrary._mechanics.kube.pods import PodSettings as RunPods
from NetLibrary._mechanics.paths import shipped
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._session import Session
from NetLibrary.keywords.e2sar._report import conclude_run
from NetLibrary.types import E2SARPlacement

from .real_logs import Block, counters, receiver_lines, sender_lines

SENT = SenderSettings(events=1000, event_bytes=1024, rate_gbps=0.02, mtu=1400)


class Nothing:
    """A cluster in which only deletions are asked for."""

    is_lab, lab, connection = False, None, SimpleNamespace(absences=Absences())

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def delete(self, kind: str, name: str, *_: Any, **__: Any) -> None:
        self.deleted.append(f"{kind} {name}")


class Rehearsal(beds.Testbed):
    """A testbed whose receiver gets so many of the events that are sent, and whose waits may break."""

    def __init__(
        self, received: int = 1000, *, breaks: str = "", unbound: str = "", whole: bool = True, policies: bool = False
    ) -> None:
        super().__init__(Nothing(), "space", Files(shipped("manifests", "e2sar")), Path(), lambda _: None)  # type: ignore[arg-type]
        self.received, self.breaks, self.unbound, self.whole = received, breaks, unbound, whole
        self.denying, self.has_policies = False, policies
        self.started: list[str] = []

    def _endpoint(self, name: str, role: str, settings: Any, pod: PodSettings) -> Endpoint:
        made = self.endpoints[name] = Endpoint(name, role, settings, pod, job=self._job_name(name))
        made.pod = {
            "metadata": {"name": f"{name}-x"},
            "spec": {"nodeName": "node1", "containers": []},
            "status": {"podIP": "10.0.0.1"},
        }
        self.started.append(made.job)
        return made

    def start_receiver(self, name: str, settings: ReceiverSettings, pod: PodSettings) -> Endpoint:
        return self._endpoint(name, "receiver", settings, pod)

    def wait_bound(self, endpoint: Endpoint, *, timeout: float, ready: bool = False) -> float:
        if self.unbound:
            raise errors.WaitFailed(self.unbound)
        return 0.1

    def start_sender(self, name: str, settings: SenderSettings, pod: PodSettings, *_: Any, **__: Any) -> Endpoint:
        made = self._endpoint(name, "sender", settings, pod)
        made.running_since = 1000.0
        sent = settings.frames
        for at, text in sender_lines("0.1.4", settings, begun=2.0, completed=3.0):
            made.take(1000 + at, text, own=True)
        made.evidence = counters(OutDatagrams=sent)
        got = 0 if self.denying and self.has_policies else min(self.received, settings.events)
        receiver = self.endpoints["e2sar-receiver-0"]
        blocks = [Block(4.0, got), Block(6.0, got)] if self.whole else [Block(1.0, 0), Block(2.5, got)]
        for at, text in receiver_lines("0.1.4", blocks, completed=7.0):
            receiver.take(1000 + at, text, own=True)
        receiver.evidence = counters(InDatagrams=got if self.whole else sent)
        return made

    def wait_end(self, endpoint: Endpoint, *, timeout: float, fail: bool = True) -> None:
        if self.breaks and fail:
            raise errors.WaitTimeout(self.breaks)

    def stop(self, endpoint: Endpoint, *, timeout: float = 20.0) -> None:
        endpoint.stopped_by_us = self.whole

    def apply_policy(self, name: str, port: int = 0) -> None:
        self.denying = name == "deny-all"

    def refresh(self, endpoint: Endpoint) -> None: ...
    def settle(self, *_: Any, **__: Any) -> None: ...
    def policies(self) -> list[dict[str, Any]]:
        return []


def go(testbed: Rehearsal, limits: Limits | None = None, **settings: Any) -> Finding:
    settings.setdefault("placement", E2SARPlacement.ANY)
    return Run(testbed, RunSettings(sender=SENT, limits=limits or Limits(), **settings)).go()


def test_a_run_from_plain_python() -> None:
    finding = go(Rehearsal())
    assert finding.judgement.passed and finding.judgement.counts.startswith("Delivered 1000 of 1000 events (100 %)")
    assert set(finding.steps) == {"e2sar until bound", "e2sar sending"}
    assert go(Rehearsal(900)).judgement.cause.kind == "lossy link"  # type: ignore[union-attr]


def test_a_wait_that_broke_is_a_check() -> None:
    finding = go(Rehearsal(1000, breaks="End of sender 's': not reached within 1 s."))
    assert [check.sentence for check in finding.judgement.checks if not check.passed] == [
        "End of sender 's': not reached within 1 s."
    ]
    wanted = Limits(delivered_at_least=0, expected_cause="lossy link")
    assert go(Rehearsal(900, breaks="End of sender: late."), wanted).judgement.passed


def test_a_run_in_which_nothing_was_sent_is_no_result() -> None:
    """It said "1000 lost silently" where the sender had never started."""
    judgement = go(Rehearsal(unbound="Receiver 'r' never bound UDP port 19522.")).judgement
    assert judgement.errors == ["Nothing was sent: Receiver 'r' never bound UDP port 19522."]


def test_settings_are_refused_before_anything_starts() -> None:
    testbed = Rehearsal()
    with pytest.raises(errors.InputError, match="senders is 17; allowed: 1 to 16"):
        go(testbed, senders=17)
    assert not testbed.started


def test_jobs_that_stay_do_not_take_the_names_of_the_next_run() -> None:
    testbed = Rehearsal()
    testbed.keep = True
    go(testbed)
    go(testbed)
    assert testbed.started == ["e2sar-receiver-0", "e2sar-sender-0", "e2sar-receiver-0-2", "e2sar-sender-0-2"]
    assert testbed.cluster.deleted == []  # type: ignore[attr-defined]
    testbed.keep = False
    go(testbed)
    deleted = testbed.cluster.deleted  # type: ignore[attr-defined]
    assert deleted[0] == "Job e2sar-sender-0-3" and "Job e2sar-receiver-0-3" in deleted


@pytest.mark.parametrize("enforced", [True, False])
def test_policies_that_nobody_enforces_skip_the_row(enforced: bool) -> None:
    testbed = Rehearsal(policies=enforced)
    settings = RunSettings(sender=SENT, placement=E2SARPlacement.ANY)
    if enforced:
        require_policies(testbed, settings)
    else:
        with pytest.raises(errors.Unavailable, match=r"not enforced in this cluster: .* 20 of 20 events arrived"):
            require_policies(testbed, settings)
    tried = len(testbed.started)
    assert not testbed.denying
    if enforced:
        require_policies(testbed, settings)
    assert len(testbed.started) == tried, "it is tried once"


def test_two_nodes_are_asked_for_only_where_they_are_needed() -> None:
    def node(name: str, **spec: Any) -> dict[str, Any]:
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        return {"metadata": {"name": name}, "spec": spec, "status": ready}

    class Nodes(Nothing):
        def __init__(self, *nodes: dict[str, Any]) -> None:
            super().__init__()
            self._nodes = list(nodes)

        def list(self, kind: str) -> list[dict[str, Any]]:
            return self._nodes

        def pod_settings(self) -> RunPods:
            return RunPods()

    taint = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
    testbed = Rehearsal()
    testbed.cluster = Nodes(node("one"), node("plane", taints=taint), node("cordoned", unschedulable=True))  # type: ignore[assignment]
    with pytest.raises(errors.Unavailable, match=r"1 of 3 nodes accepts pods \(one\); give placement=same node"):
        go(testbed, placement=E2SARPlacement.OTHER_NODE)
    assert not testbed.started
    testbed.cluster = Nodes(node("one"), node("two"))  # type: ignore[assignment]
    assert go(testbed, placement=E2SARPlacement.OTHER_NODE).judgement.passed


# --- what is recorded ------------------------------------------------------------------------------------------


@library(scope="GLOBAL")
class Rehearsing(KeywordBase):
    """Concludes rehearsed runs."""

    def __init__(self) -> None:
        self.session = Session(timeout=1)

    @keyword()
    def conclude_rehearsal(self, testbed: Any, limits: Any) -> None:
        """Runs and concludes."""
        conclude_run(self.session, go(testbed, limits), "rehearsal", "space")


STATUSES = {
    "all arrived": ("Rehearsal()", "Limits()", "passed"),
    "too little arrived": ("Rehearsal(900)", "Limits()", "failed"),
    "too much arrived": ("Rehearsal(900)", "Limits(delivered_at_least=0, delivered_at_most=50)", "failed"),
    "another cause": ("Rehearsal(900)", "Limits(delivered_at_least=0, expected_cause='link cut')", "failed"),
    "no allowed cause": ("Rehearsal(900)", "Limits(delivered_at_least=0, causes_allowed=('link cut',))", "failed"),
    "the cause that was expected": ("Rehearsal(900)", "Limits(delivered_at_least=0, expected_cause='lossy link')", "passed"),
    "a wait that broke": ("Rehearsal(breaks='Too late.')", "Limits()", "failed"),
    "nothing sent": ("Rehearsal(unbound='Never bound.')", "Limits()", "error"),
    "an old last report": ("Rehearsal(900, whole=False)", "Limits()", "error"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATUSES)
def test_the_record_has_the_status_of_the_test(name: str, tmp_path: Path) -> None:
    """A failed test was recorded as passed: the record was written before its expectations were judged."""
    testbed, limits, status = STATUSES[name]
    module = f"sys.modules['{__name__}']"
    body = f"Conclude Rehearsal    ${{{{{module}.{testbed}}}}}    ${{{{{module}.{limits}}}}}"
    text = f"*** Settings ***\nLibrary    {__name__}.Rehearsing\n*** Test Cases ***\nT\n    {body}\n"
    output = tmp_path / "output.xml"
    Suite.from_string(text).run(outputdir=str(tmp_path), output=str(output), log=None, report=None, console="none")
    (test,) = ExecutionResult(str(output)).suite.tests
    assert (tmp_path / "measurements.jsonl").exists(), test.message
    (record,) = records.read(tmp_path / "measurements.jsonl")
    jsonschema.Draft202012Validator(records.schema()).validate(record)
    assert record["verdict"]["status"] == status, test.message
    assert test.passed == (status == "passed"), test.message
    assert record["kind"] == "e2sar" and {check["rule"] for check in record["checks"]} >= {"delivered at least"}
