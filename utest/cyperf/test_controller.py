from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from NetLibrary._mechanics.cyperf import run
from NetLibrary._mechanics.cyperf.controller import Controller
from NetLibrary._mechanics.cyperf.rest import Connection
from NetLibrary._mechanics.cyperf.session import TestSession
from NetLibrary._mechanics.errors import ControllerError, InputError, LicenceMissing, RunFailed, WaitTimeout

from .scripted_controller import ScriptedController

START = "/api/v2/sessions/s/test-run/operations/start"


@pytest.fixture
def controller(scripted: ScriptedController) -> Controller:
    return Controller(Connection(scripted.url, refresh_token="x"))


@pytest.fixture
def session(controller: Controller, scripted: ScriptedController) -> TestSession:
    scripted.on("GET", "/api/v2/notifications", (200, []))
    scripted.on("POST", START.replace("start", "abort"), (202, operation("SUCCESS")))
    return TestSession(controller, "s", "5 Config", "Config")


def operation(state: str, **more: Any) -> dict[str, Any]:
    return {"id": 1, "state": state, "progress": 0, "message": "", "url": f"{START}/1", "resultUrl": "", **more}


def agent(identifier: str, ip: str, *tags: str, **more: Any) -> dict[str, Any]:
    return {"id": identifier, "IP": ip, "hostname": f"pod-{identifier}", "AgentTags": list(tags), **more}


def test_ambiguous_configuration_names_the_ids(scripted: ScriptedController, controller: Controller) -> None:
    configs = [
        {"id": "a", "displayName": "Mix"},
        {"id": "b", "displayName": "Mix"},
        {"id": "c", "displayName": "Other"},
    ]
    scripted.on("GET", "/api/v2/configs", (200, configs))
    with pytest.raises(InputError, match=r"2 configurations are named 'Mix' \(a, b\)"):
        controller.configuration("Mix")
    assert controller.configuration("other")["id"] == "c"
    assert controller.configuration("b")["id"] == "b"
    with pytest.raises(InputError, match=r"no configuration named 'Mx'\. Similar: 'Mix'"):
        controller.configuration("Mx")


def test_file_that_is_no_configuration(controller: Controller, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match="neither a zip nor JSON"):
        controller.import_configuration(tmp_path / "x.zip")


def test_agents_are_exactly_those_of_the_pods(scripted: ScriptedController, controller: Controller) -> None:
    pods = {"10.0.0.1": "web-1", "10.0.0.2": "web-2"}
    first, second = agent("1", "10.0.0.1", "t:1"), agent("2", "10.0.0.2", "t:1")
    stranger, other = agent("3", "10.0.0.3", "t:1"), agent("4", "10.0.0.4", "t:2")
    scripted.on(
        "GET", "/api/v2/agents", (200, [first, other]), (200, [first, second, stranger]), (200, [first, second])
    )
    said: list[str] = []
    found = controller.wait_for_agents(pods, "t=1", timeout=5, progress=said.append)
    assert {name: each.id for name, each in found.items()} == {"web-1": "1", "web-2": "2"}
    assert said == [
        "agents with tag 't=1': 1/2 listed, not yet: web-2",
        "agents with tag 't=1': 2/2 listed, of no pod: pod-3 (10.0.0.3)",
    ]


def test_agents_that_never_register_are_named(scripted: ScriptedController, controller: Controller) -> None:
    scripted.on("GET", "/api/v2/agents", (200, []))
    with pytest.raises(WaitTimeout, match=r"0/1 listed, not yet: web-1(.|\n)*AGENT_CONTROLLER"):
        controller.wait_for_agents({"10.0.0.1": "web-1"}, "t:1", timeout=0.2)


def test_purge_spares_online_agents_and_those_of_others(scripted: ScriptedController, controller: Controller) -> None:
    agents = [
        agent("mine", "1", "t:1", offline=True), agent("alive", "2", "t:1"), agent("theirs", "3", "t:2", offline=True)
    ]  # fmt: skip
    scripted.on("GET", "/api/v2/agents", (200, agents))
    scripted.on("DELETE", "/api/v2/agents/mine", (200, {}))
    assert [each.id for each in controller.purge_agents(["t=1"])] == ["mine"]
    assert [path for verb, path, _, _ in scripted.seen if verb == "DELETE"] == ["/api/v2/agents/mine"]


def test_notifications_of_other_sessions_are_left_out(scripted: ScriptedController, controller: Controller) -> None:
    notes = [
        {"message": "theirs", "timestamp": 1, "tags": {"SessionId": "other"}},
        {"message": "mine", "timestamp": 2, "tags": {"SessionId": "s"}},
    ]
    scripted.on("GET", "/api/v2/notifications", (200, notes))
    assert controller.notifications("s", severities=("error",)) == ["error: mine"]


def test_patch_that_is_refused_becomes_a_put(scripted: ScriptedController, session: TestSession) -> None:
    path = "/api/v2/sessions/s/config/config/A"
    scripted.on("PATCH", path, (405, {"message": "no"}))
    scripted.on("GET", path, (200, {"old": 1, "links": []}))
    scripted.on("PUT", path, (200, {}))
    session.change("A", {"new": 2})
    assert scripted.asked("PUT", path) == 1
    assert b'"old": 1' in scripted.seen[-1][3]
    assert b'"new": 2' in scripted.seen[-1][3]


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        ("No license for CyPerf", LicenceMissing, "license"),
        ("could not find NETMASK for [IP Network 1]", RunFailed, "AGENT_TEST_INTERFACE"),
        ("Agent 1 is owned by session 'x'", RunFailed, "held by another session"),
        ("Not enough agents are assigned", RunFailed, "Compare the tags"),
    ],
)
def test_reason_of_a_refused_start_is_kept(
    scripted: ScriptedController, session: TestSession, text: str, error: type[Exception], hint: str
) -> None:
    scripted.on("POST", START, (202, operation("ERROR", message=text)))
    scripted.on("GET", "/api/v2/sessions/s/test", (200, {"status": "ERROR", "testDetails": text}))
    with pytest.raises(error) as caught:
        run.start(session, timeout=2)
    assert text in str(caught.value)
    assert hint in str(caught.value)


SEGMENTS = "/api/v2/sessions/s/config/config/NetworkProfiles"


def automatic_segments(scripted: ScriptedController, *agents: dict[str, Any]) -> None:
    """A client and a server segment with automatic addresses, and the agents there are."""
    segments = [
        {"id": str(n), "Name": f"IP Network {n}", "networkTags": [role], "IPRanges": [{"id": "1", "IpAuto": True}],
         "agentAssignments": {"ByTag": [f"role:{role}"], "ByID": []}}
        for n, role in ((1, "Client"), (2, "Server"))
    ]  # fmt: skip
    scripted.on("GET", SEGMENTS, (200, [{"id": "1", "IPNetworkSegment": segments}]))
    scripted.on("GET", "/api/v2/agents", (200, list(agents)))
    scripted.on("PATCH", f"{SEGMENTS}/1/IPNetworkSegment/1/IPRanges/1", (200, {}))
    refused = operation("ERROR", message="could not find NETMASK for automatic IP of [IP Network 1]")
    scripted.on("POST", START, (202, refused), (202, operation("SUCCESS")))
    scripted.on("GET", "/api/v2/sessions/s/test", (200, {"status": "STARTED", "testId": "t"}))


def test_missing_netmask_is_mended_with_the_agents_address(scripted: ScriptedController, session: TestSession) -> None:
    interfaces = [{"Name": "eth0", "IP": [{"IP": "10.1.2.3", "NetMask": "255.255.255.0"}]}]
    automatic_segments(scripted, agent("a", "10.1.2.3", "role:Client", Interfaces=interfaces))
    said: list[str] = []
    assert run.start(session, timeout=2, progress=said.append).status == "STARTED"
    assert scripted.asked("POST", START) == 2
    (body,) = [json.loads(body) for verb, path, _, body in scripted.seen if verb == "PATCH"]
    assert body == {"IpAuto": False, "IpStart": "10.1.2.3", "Count": 1, "NetMaskAuto": False, "NetMask": 24}
    assert said == [
        "Automatic addressing found no netmask; segment 'IP Network 1' takes 10.1.2.3/24 of pod-a, and the test is "
        "started again."
    ]


def test_missing_netmask_with_several_agents_is_left_to_the_user(
    scripted: ScriptedController, session: TestSession
) -> None:
    automatic_segments(scripted, agent("a", "10.1.2.3", "role:Client"), agent("b", "10.1.2.4", "role:Client"))
    with pytest.raises(RunFailed, match="not exactly one agent"):
        run.start(session, timeout=2)
    assert scripted.asked("POST", START) == 1


def test_start_that_hangs_tells_what_the_controller_notified(
    scripted: ScriptedController, session: TestSession
) -> None:
    scripted.on("POST", START, (202, operation("IN_PROGRESS")))
    scripted.on("GET", f"{START}/1", (200, operation("IN_PROGRESS")))
    scripted.on("GET", "/api/v2/sessions/s/test", (200, {"status": "STARTING", "testDetails": "waiting for licence"}))
    with pytest.raises(WaitTimeout, match=r"did not end within 0.3 s(.|\n)*waiting for licence"):
        run.start(session, timeout=0.3)
    assert scripted.asked("POST", START.replace("start", "abort")) == 1


def states(scripted: ScriptedController, *entries: tuple[str, int]) -> None:
    answers = [(200, {"status": s, "testId": "t", "testDuration": 10, "testElapsed": e}) for s, e in entries]
    scripted.on("GET", "/api/v2/sessions/s/test", *answers)


def test_run_to_its_end(scripted: ScriptedController, session: TestSession) -> None:
    states(scripted, ("STARTED", 9), ("STOPPING", 10), ("STOPPED", 10))
    finished = run.watch(session, timeout=5)
    assert [name for name, _ in finished.states] == ["STARTED", "STOPPING", "STOPPED"]


def test_run_that_stops_early_fails_unless_allowed(scripted: ScriptedController, session: TestSession) -> None:
    states(scripted, ("STOPPED", 4))
    with pytest.raises(RunFailed, match="stopped after 4 of 10 s, although the run did not ask for it"):
        run.watch(session, timeout=5)
    assert run.watch(session, timeout=5, may_end_early=True).state.elapsed_seconds == 4


def test_run_in_error_does_not_loop_for_ever(scripted: ScriptedController, session: TestSession) -> None:
    states(scripted, ("STARTED", 1), ("ERROR", 1))
    with pytest.raises(RunFailed, match="ended in state ERROR"):
        run.watch(session, timeout=5)


def test_run_that_never_stops_is_aborted(scripted: ScriptedController, session: TestSession) -> None:
    states(scripted, ("STARTED", 10))
    with pytest.raises(WaitTimeout, match=r"did not stop within 0.2 s \(STARTED, 10 of 10 s\); it was aborted"):
        run.watch(session, timeout=0.2)
    assert scripted.asked("POST", START.replace("start", "abort")) == 1


def test_agents_that_stay_running_are_named(scripted: ScriptedController, session: TestSession) -> None:
    held = agent("1", "10.0.0.1", Status="RUNNING", SelectedEnv={"SessionID": "s"})
    scripted.on("GET", "/api/v2/results/t", (200, {"endTime": 5}))
    scripted.on("GET", "/api/v2/agents", (200, [held]))
    with pytest.raises(WaitTimeout, match=r"agents 10.0.0.1 still say RUNNING"):
        run.wait_for_result(session, "t", timeout=0.2)


def test_result_without_end_is_waited_for_and_named(scripted: ScriptedController, session: TestSession) -> None:
    scripted.on("GET", "/api/v2/agents", (200, []))
    scripted.on("GET", "/api/v2/results/t", (200, {"endTime": 0}), (200, {"endTime": 7}))
    run.wait_for_result(session, "t", timeout=5)
    assert scripted.asked("GET", "/api/v2/results/t") == 2
    scripted.on("GET", "/api/v2/results/t", (200, {"endTime": 0}))
    with pytest.raises(WaitTimeout, match="its result has no end time"):
        run.wait_for_result(session, "t", timeout=0.2)


def test_configuration_with_attacks_only_is_named(scripted: ScriptedController, session: TestSession) -> None:
    scripted.on("GET", "/api/v2/sessions/s/config/config/TrafficProfiles", (200, []))
    with pytest.raises(InputError, match=r"'Config' has no active traffic profile \(attacks only\?\)"):
        session.set_tls(True)


def test_applications_are_added_one_by_one_and_the_broken_one_is_named(
    scripted: ScriptedController, session: TestSession
) -> None:
    path = "/api/v2/sessions/s/config/config/TrafficProfiles"
    scripted.on(
        "GET", "/api/v2/resources/apps", (200, [{"id": "a", "Name": "One"}]), (200, [{"id": "b", "Name": "Two"}])
    )
    scripted.on("GET", path, (200, [{"id": "1", "Applications": []}]))
    scripted.on("POST", f"{path}/1/Applications", (201, [{"id": "1"}]), (404, {"message": "gone"}))
    scripted.on("GET", f"{path}/1/Applications", (200, [{"id": "1"}]))
    with pytest.raises(InputError, match="lists the application 'Two', but it cannot be added"):
        session.use_applications(["One", "Two"])
    assert scripted.asked("POST", f"{path}/1/Applications") == 2


def test_session_without_id_is_an_error(scripted: ScriptedController, controller: Controller) -> None:
    scripted.on("POST", "/api/v2/sessions", (201, []))
    with pytest.raises(ControllerError, match="the controller answered '\\[\\]'"):
        TestSession.create(controller, "x", "Config")


def test_controller_proxy_is_added_awaited_and_its_password_kept_secret(scripted: ScriptedController) -> None:
    path, password = "/api/v2/brokers", "planted-proxy-password"
    entry = {"id": 7, "hostName": "10.0.0.7"}
    waiting = {**entry, "connectionStatus": "IN_PROGRESS"}
    scripted.on("GET", path, (200, []), (200, [waiting]), (200, [{**entry, "connectionStatus": "ESTABLISHED"}]))
    scripted.on("POST", path, (201, [entry]))
    controller = Controller(Connection(scripted.url, refresh_token="x"))
    assert controller.add_proxy("10.0.0.7", "admin", password, timeout=5) == 7
    assert controller.add_proxy("10.0.0.7", "admin", password, timeout=5) is None, "known already"
    failed = {**entry, "connectionStatus": "FAILED", "failureReason": f"login with {password} refused"}
    scripted.on("GET", path, (200, [failed]))
    with pytest.raises(ControllerError, match=r"10\.0\.0\.7 is not connected: login with <secret> refused"):
        controller.add_proxy("10.0.0.7", "admin", password, timeout=5)
