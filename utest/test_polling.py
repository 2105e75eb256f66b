"""Loops that ask again and again end when they should, and say what they waited for."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from NetLibrary._mechanics import errors, polling
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
    with pytest.raises(ValueError, match=r"^settle is '.*'; allowed is a time such as"):
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
