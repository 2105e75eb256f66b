"""Statuses: roll-up of conditions, and the patches that write them."""

from __future__ import annotations

import pytest

from NetLibrary.standins.skupper.runtime.conditions import REQUIRED, Status, merge_patch
from NetLibrary.standins.skupper.runtime.selectors import matches


def status(kind: str, before: dict | None = None) -> Status:
    return Status({"kind": kind, "metadata": {"generation": 3}, "status": before or {}})


def test_first_missing_condition_decides() -> None:
    result = status("Listener")
    assert result.roll_up() == ("Pending", "Not Configured")
    result.ok("Configured")
    assert result.roll_up() == ("Pending", "Not Matched")


def test_first_false_condition_lends_its_reason_and_message() -> None:
    result = status("AttachedConnectorBinding")
    result.error("Configured", "No matching AttachedConnector")
    result.ok("Matched")
    assert result.roll_up() == ("Error", "No matching AttachedConnector")


@pytest.mark.parametrize("kind", [kind for kind in REQUIRED if kind not in ("MultiKeyListener", "AccessToken")])
def test_all_true_is_ready_and_ok(kind: str) -> None:
    result = status(kind)
    for condition in REQUIRED[kind]:
        result.ok(condition)
    patch = result.patch()
    assert (patch["status"], patch["message"]) == ("Ready", "OK")
    ready = next(c for c in patch["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"], ready["observedGeneration"]) == ("True", "Ready", 3)


@pytest.mark.parametrize("kind", ["MultiKeyListener", "AccessToken"])
def test_some_kinds_have_no_ready_condition(kind: str) -> None:
    result = status(kind)
    for condition in REQUIRED[kind]:
        result.ok(condition)
    assert "Ready" not in {c["type"] for c in result.patch()["conditions"]}


def test_a_redeemed_token_of_a_deleted_site_is_true_and_yet_an_error() -> None:
    result = status("AccessToken")
    result.set("Redeemed", True, "Error", "Already redeemed for a deleted site")
    assert result.roll_up() == ("Error", "Already redeemed for a deleted site")
    assert result.true("Redeemed")


def test_an_unchanged_status_is_not_written_again() -> None:
    first = status("Connector")
    first.ok("Configured")
    first.fields["hasMatchingListener"] = True
    again = status("Connector", first.result())
    again.ok("Configured")
    again.fields["hasMatchingListener"] = True
    assert again.patch() == {}


def test_false_fields_are_left_out() -> None:
    result = status("Connector", {"hasMatchingListener": True})
    result.fields["hasMatchingListener"] = False
    assert result.patch()["hasMatchingListener"] is None


def test_transition_time_moves_only_with_the_truth() -> None:
    old = {"type": "Matched", "status": "False", "reason": "Pending", "message": "a", "lastTransitionTime": "then"}
    result = status("Connector", {"conditions": [old]})
    result.pending("Matched", "b")
    assert result.conditions["Matched"]["lastTransitionTime"] == "then"
    result.ok("Matched")
    assert result.conditions["Matched"]["lastTransitionTime"] != "then"


def test_merge_patch_removes_what_is_gone_at_any_depth() -> None:
    assert merge_patch({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"x": 1}}) == {"a": {"y": None}, "b": None}


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("app=web", {"app": "web"}, True),
        ("app==web", {"app": "api"}, False),
        ("app!=web", {}, True),
        ("app in (web, api),tier notin (db)", {"app": "api"}, True),
        ("app in (web)", {}, False),
        ("app", {"app": ""}, True),
        ("!app", {"app": ""}, False),
        ("", {"any": "thing"}, True),
        ("app=web,tier=front", {"app": "web", "tier": "back"}, False),
        ("app in web", {"app": "web"}, False),
    ],
)
def test_selectors(selector: str, labels: dict[str, str], expected: bool) -> None:
    assert matches(selector, labels) is expected
