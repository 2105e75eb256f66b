"""Connections and look-ups soon after the API server was away: kube-proxy and DNS may not have noticed its return."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from NetLibrary._mechanics.connections import run
from NetLibrary._mechanics.connections.results import Answer
from NetLibrary._mechanics.kube.absences import Absences
from NetLibrary.keywords._session import Session
from NetLibrary.keywords.connections import ConnectionKeywords
from NetLibrary.types import Source

POD = Source.parse("demo/app=client")


class Asked(Exception):
    """Ends a keyword at its question."""


def keywords(monkeypatch: pytest.MonkeyPatch, *, away: bool) -> ConnectionKeywords:
    made, absences = ConnectionKeywords(), Absences(lambda: 10.0, pause=lambda seconds: None)
    if away:
        absences.silent(7.0)
        absences.heard()
    cluster: Any = SimpleNamespace(connection=SimpleNamespace(absences=absences))
    made.session = Session(timeout=1)
    monkeypatch.setattr(made.session, "cluster", lambda alias=None: cluster)
    for name in ("_sources", "_targets"):
        monkeypatch.setattr(ConnectionKeywords, name, lambda *_: [])
    return made


@pytest.mark.parametrize("away", [True, False])
def test_name_that_dns_has_not_heard_of_is_asked_for_again(monkeypatch: pytest.MonkeyPatch, away: bool) -> None:
    answers = iter([Answer("NXDOMAIN", 1.0), Answer("NOERROR", 1.0, ("10.96.0.9",))])
    concluded: list[Any] = []
    monkeypatch.setattr(run, "resolve", lambda *_: [("client", next(answers))])
    monkeypatch.setattr(ConnectionKeywords, "_conclude_name", lambda *given: concluded.extend(given[-1]))
    keywords(monkeypatch, away=away).name_should_resolve_to("web", "10.96.0.9", source=POD)
    assert [check.passed for check in concluded] == [away]


@pytest.mark.parametrize(("away", "seconds"), [(True, 120.0), (False, 5.0)])
def test_connection_has_the_time_that_kube_proxy_may_need(
    monkeypatch: pytest.MonkeyPatch, away: bool, seconds: float
) -> None:
    asked: list[run.Request] = []

    def connect(sources: Any, targets: Any, request: run.Request, expected: Any) -> Any:
        asked.append(request)
        raise Asked

    monkeypatch.setattr(run, "connect", connect)
    with pytest.raises(Asked):
        keywords(monkeypatch, away=away).connection_should_succeed("web", 80, POD, settle=timedelta(seconds=5))
    assert [each.settle_seconds for each in asked] == [seconds]
