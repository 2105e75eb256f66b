from __future__ import annotations

from typing import Any

import pytest

from NetLibrary._mechanics.cyperf import operations
from NetLibrary._mechanics.cyperf.rest import Connection
from NetLibrary._mechanics.errors import NotJson, OperationFailed, WaitTimeout

from .scripted_controller import ScriptedController

PATH = "/api/v2/x/operations/go"


def context(state: str, **more: Any) -> dict[str, Any]:
    return {"id": 7, "type": "go", "state": state, "progress": 0, "message": "", "url": f"https://10.9.8.7{PATH}/7",
            "result": None, "resultUrl": "", **more}  # fmt: skip


def run(
    scripted: ScriptedController, *states: dict[str, Any], timeout: float = 5.0, said: list[str] | None = None
) -> Any:
    scripted.on("POST", PATH, (202, states[0]))
    scripted.on("GET", f"{PATH}/7", *[(200, state) for state in states[1:]] or [(404, {})])
    connection = Connection(scripted.url, refresh_token="planted")
    return operations.run(
        connection, PATH, timeout=timeout, what="Going", progress=said.append if said is not None else None
    )


def test_success_after_polling_at_our_own_host(scripted: ScriptedController) -> None:
    said: list[str] = []
    ended = run(
        scripted, context("IN_PROGRESS"), context("IN_PROGRESS", progress=40),
        context("SUCCESS", progress=100, result={"id": "1"}, resultUrl="api/v2/file/1"), said=said,
    )  # fmt: skip
    assert ended.result == {"id": "1"}
    assert ended.result_path == "/api/v2/file/1"
    assert said == ["Going: 40 %"]


def test_operation_that_is_done_at_once(scripted: ScriptedController) -> None:
    assert run(scripted, context("SUCCESS", result=3)).result == 3


@pytest.mark.parametrize("state", ["ERROR", "FAILURE", "CANCELLED"])
def test_any_end_but_success_is_a_failure(scripted: ScriptedController, state: str) -> None:
    with pytest.raises(OperationFailed, match="Going failed at the CyPerf controller: bad luck with <secret>"):
        run(scripted, context("IN_PROGRESS"), context(state, message="bad luck with planted."))


def test_failure_without_message_tells_its_result_or_state(scripted: ScriptedController) -> None:
    with pytest.raises(OperationFailed, match="no room"):
        run(scripted, context("ERROR", result="no room"))
    with pytest.raises(OperationFailed, match="state FAILURE"):
        run(scripted, context("FAILURE"))


def test_operation_without_end_meets_its_limit(scripted: ScriptedController) -> None:
    with pytest.raises(WaitTimeout, match=r"did not end within 0.5 s; it is at 30 % \(thinking\)"):
        run(scripted, context("IN_PROGRESS"), context("IN_PROGRESS", progress=30, message="thinking"), timeout=0.5)


@pytest.mark.parametrize("answer", [None, [], {"id": 1}, {"state": None}])
def test_answer_that_is_no_operation(scripted: ScriptedController, answer: Any) -> None:
    scripted.on("POST", PATH, (202, answer))
    with pytest.raises(NotJson, match="answered no operation"):
        operations.run(Connection(scripted.url, refresh_token="x"), PATH)
