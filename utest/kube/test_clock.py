"""The cluster's clock is known from its answers, and agrees with ours where it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.clock import Clock


@pytest.mark.parametrize("ahead", [3600.0, -3600.0, 30.0])
def test_clocks_that_differ_are_told_apart(api: ApiServer, connect: Callable[..., Cluster], ahead: float) -> None:
    api.clock_ahead = ahead
    assert connect().now() == pytest.approx(time.time() + ahead, abs=1.5)


def test_clocks_that_agree_within_the_seconds_of_a_date_are_one(
    api: ApiServer, connect: Callable[..., Cluster]
) -> None:
    cluster = connect()
    assert cluster.connection.clock.ahead == 0.0


def test_an_answer_that_took_a_while_is_no_difference() -> None:
    clock = Clock()
    clock.hear(formatdate(1000, usegmt=True), sent=990.0, received=1030.0)
    assert clock.ahead == 0.0


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Jan 1970 00:00:00 GMT"])
def test_answer_without_a_date_changes_nothing(date: str | None) -> None:
    clock = Clock()
    clock.hear(formatdate(5000, usegmt=True), sent=1000.0, received=1000.1)
    clock.hear(date, sent=1001.0, received=1001.1)
    assert clock.ahead == pytest.approx(4000, abs=1)
