"""Loops that ask again and again end when they should, and say what they waited for."""

from __future__ import annotations

import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from robot_run import Run
from scripted_api import ApiServer

from NetLibrary._mechanics import errors, polling
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.throughput.server import load_balancer_ready
from NetLibrary.types import durations


def test_answer_that_is_there_costs_no_time() -> None:
    assert polling.until(lambda: "here", timeout=0, every=10, what="It") == "here"


def test_answer_at_the_very_end_still_counts() -> None:
    end = time.monotonic() + 0.2
    assert polling.until(lambda: time.monotonic() >= end, timeout=0.2, every=5, what="The end")


def test_words_tell_where_things_stood_at_the_end() -> None:
    asked: list[int] = []
    with pytest.raises(errors.WaitTimeout) as caught:
        polling.until(lambda: asked.append(1), timeout=0.05, every=0.01, what=lambda: f"A port ({len(asked)} looks)")
    assert str(caught.value) == f"A port ({len(asked)} looks): not reached within 0.05 s."
    assert len(asked) > 2


def test_error_of_the_question_ends_the_wait() -> None:
    def ask() -> bool:
        raise errors.Forbidden("no")

    with pytest.raises(errors.Forbidden):
        polling.until(ask, timeout=5, what="It")


def test_pauses_are_used_in_turn_and_the_last_one_goes_on() -> None:
    pauses: list[float] = []
    answers = iter([False] * 5 + [True])
    polling.until(lambda: next(answers), timeout=60, every=(1, 2, 4), what="It", pause=pauses.append)
    assert pauses == [1, 2, 4, 4, 4]


def test_pause_is_cut_short_by_an_event() -> None:
    stop = threading.Event()
    stop.set()
    begin = time.monotonic()
    polling.until(stop.is_set, timeout=10, every=5, what="The stop", pause=stop.wait)
    assert time.monotonic() - begin < 1


def test_running_out_of_time_may_be_an_answer() -> None:
    assert polling.settle(lambda: 0, timeout=0.02, every=0.005) == 0


@pytest.mark.parametrize("text", ["", "s", "5 parsecs", "1 fortnight", "5 s x", "nan", "1..2", "- 5 z", "1e3"])
def test_text_that_is_no_time_names_argument_and_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"^settle is '.*'; allowed: a time such as"):
        durations.parse(text, "settle")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1h2m3.5s", 3723.5),
        ("500ms", 0.5),
        ("2 minutes 3 seconds", 123),
        ("7", 7),
        (".5", 0.5),
        ("3 us", 3e-6),
        ("-1m", -60),
    ],
)
def test_times_of_go_kubernetes_and_people(text: str, wanted: float) -> None:
    assert durations.parse(text) == timedelta(seconds=wanted)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a terminal is told, after a tenth of a second instead of four seconds."""
    lines: list[str] = []
    monkeypatch.setattr(polling.LongWait, "tell", lines.append)
    monkeypatch.setattr(polling.LongWait, "_spoke", float("-inf"))
    monkeypatch.setattr(polling, "SILENT_SECONDS", 0.1)
    return lines


def test_terminal_is_told_what_a_long_wait_is_for_and_how_long_at_most(told: list[str]) -> None:
    """Twenty seconds for the address of a load balancer passed without a word on the terminal."""
    answers = iter([False] * 20 + [True])
    assert polling.until(lambda: next(answers), timeout=60, every=0.02, what="Address of Service 'web'")
    assert told == ["Address of Service 'web'; waiting for up to 60 s."]


def test_short_wait_and_wait_without_words_say_nothing(told: list[str]) -> None:
    polling.settle(lambda: False, timeout=0.3, every=0.02, what="It")
    answers = iter([False] * 20 + [True])
    polling.settle(lambda: next(answers), timeout=60, every=0.02)
    assert told == []


def test_long_wait_is_told_again_now_and_then(told: list[str]) -> None:
    wait = polling.LongWait("Start of pods", 180)
    for second in (0, 1, 5, 20, 31, 50):
        polling.LongWait._spoke = float("-inf")
        wait.goes_on("0/2 ready", since=second)
    assert told == [
        "Start of pods: 0/2 ready; waiting for up to 180 s.",
        "Start of pods: 0/2 ready; waiting since 31 s, up to 180 s.",
    ]


def test_many_waits_at_once_are_told_by_one_of_them(told: list[str]) -> None:
    for number in range(16):
        polling.LongWait(f"Prober {number}", 60).goes_on(since=5)
    assert told == ["Prober 0; waiting for up to 60 s."]


def test_wait_for_objects_says_on_the_terminal_where_things_stand(
    told: list[str], api: ApiServer, cluster: Cluster
) -> None:
    api.put("/api/v1/namespaces/shop/services", {"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer"}})
    with pytest.raises(errors.WaitTimeout):
        cluster.wait(
            "Service", "shop", load_balancer_ready(), name="web", timeout=2, what="Address of Service 'shop/web'"
        )
    assert told == ["Address of Service 'shop/web': no address of a load balancer yet; waiting for up to 2 s."]


def test_run_tells_its_own_terminal(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(polling, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(polling.LongWait, "_spoke", float("-inf"))
    monkeypatch.setattr(sys, "__stdout__", sys.stdout)
    Run(tmp_path, api.kubeconfig(tmp_path / "k"),
        "*** Test Cases ***\nA\n    Wait Until Pods Are Ready    shop    app=web    timeout=2 s")  # fmt: skip
    assert "Pods 'app=web' in 'shop': 0/1 ready" in capfd.readouterr().out
