"""Who refused: a pod whose kernel has sent a reset, or the network in its place."""

from types import SimpleNamespace

import pytest

from NetLibrary._mechanics.connections import refusals, run
from NetLibrary._mechanics.connections.results import REFUSED, SILENT
from NetLibrary.keywords.connections import ConnectionKeywords


@pytest.mark.parametrize(
    ("seen", "resets", "enforced"),
    [(SILENT, (4, 4), True), (REFUSED, (4, 5), False), (REFUSED, (4, 4), True), (REFUSED, (None, None), False)],
)
def test_a_network_that_refuses_what_policies_deny_enforces_them(monkeypatch, seen, resets, enforced):
    """kube-router was taken for a network without policies, and the rows about them were skipped."""
    counts = iter(resets)
    monkeypatch.setattr(refusals, "resets_sent", lambda place: next(counts))
    pair = SimpleNamespace(seen=seen, count=lambda what: int(what == seen))
    monkeypatch.setattr(run, "connect", lambda *given: [pair])
    cluster = SimpleNamespace(create=lambda obj: None, delete=lambda *given: None)
    pod = {
        "metadata": {"name": "p", "namespace": "n"},
        "status": {"podIPs": [{"ip": "192.0.2.1"}]},
        "spec": {"containers": [{"name": "p"}]},
    }
    keywords = ConnectionKeywords.__new__(ConnectionKeywords)
    monkeypatch.setattr(ConnectionKeywords, "_start_prober", lambda *given: pod)
    assert keywords._policies_are_enforced(cluster, "n", "image:1", 1.0) is enforced


def test_counters_that_are_cut_tell_nothing():
    assert refusals.parse("Tcp: RtoMin OutRsts\nTcp: 200 7\n") == 7
    assert refusals.parse("Tcp: RtoMin OutRsts\n") is refusals.parse("") is None
