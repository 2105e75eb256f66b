"""Who refused: a pod whose kernel has sent a reset, or the network in its place."""

from types import SimpleNamespace

import pytest

from NetLibrary._mechanics.connections import refusals, run
from NetLibrary._mechanics.connections.results import REFUSED, SILENT
from NetLibrary._mechanics.kube.absences import Absences
from NetLibrary.keywords.connections import ConnectionKeywords

POD = {
    "metadata": {"name": "p", "namespace": "n"},
    "status": {"podIPs": [{"ip": "192.0.2.1"}]},
    "spec": {"containers": [{"name": "p"}]},
}


@pytest.mark.parametrize(
    ("seen", "resets", "enforced"),
    [(SILENT, (4, 4), True), (REFUSED, (4, 5), False), (REFUSED, (4, 4), True), (REFUSED, (None, None), False)],
)
def test_a_network_that_refuses_what_policies_deny_enforces_them(monkeypatch, seen, resets, enforced):
    """kube-router was taken for a network without policies, and the rows about them were skipped."""
    counts = iter(resets)
    monkeypatch.setattr(refusals, "resets_sent", lambda place: next(counts))
    monkeypatch.setattr(run, "connect", lambda *given: [answer(seen)])
    cluster = SimpleNamespace(
        create=lambda obj: None, delete=lambda *given: None, connection=SimpleNamespace(absences=Absences())
    )
    keywords = ConnectionKeywords.__new__(ConnectionKeywords)
    monkeypatch.setattr(ConnectionKeywords, "_start_prober", lambda *given: POD)
    assert keywords._policies_are_enforced(cluster, "n", "image:1", 1.0) is enforced


def test_policies_that_come_late_after_an_absence_of_the_api_server_are_waited_for(monkeypatch):
    """The network was said not to enforce policies, and all rows were skipped."""
    seen, resets = iter([REFUSED, REFUSED, SILENT]), iter(range(9))
    monkeypatch.setattr(refusals, "resets_sent", lambda place: next(resets))
    monkeypatch.setattr(run, "connect", lambda *given: [answer(next(seen))])
    monkeypatch.setattr(ConnectionKeywords, "_start_prober", lambda *given: POD)
    absences = Absences(lambda: 10.0, pause=lambda seconds: None)
    absences.silent(7.0)
    absences.heard()
    cluster = SimpleNamespace(
        create=lambda obj: None, delete=lambda *given: None, connection=SimpleNamespace(absences=absences)
    )
    assert ConnectionKeywords.__new__(ConnectionKeywords)._policies_are_enforced(cluster, "n", "image:1", 1.0)
    assert next(seen, None) is None


def answer(seen):
    return SimpleNamespace(seen=seen, count=lambda what: int(what == seen))


def test_counters_that_are_cut_tell_nothing():
    assert refusals.parse("Tcp: RtoMin OutRsts\nTcp: 200 7\n") == 7
    assert refusals.parse("Tcp: RtoMin OutRsts\n") is refusals.parse("") is None
