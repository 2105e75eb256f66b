"""Rows after the first one: what is known to be broken is not waited for, and only what tells something new is looked into."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import pytest
from synthetic import blocked, healthy, layout, sources, world

from NetLibrary._mechanics.matrix import explaining, lifecycle, looking, rounds, run
from NetLibrary._mechanics.matrix.explain.diagnose import UNKNOWN, Finding
from NetLibrary._mechanics.matrix.judge.expect import expect
from NetLibrary._mechanics.matrix.known import PREDICTED_MS, Known
from NetLibrary._mechanics.matrix.model.types import Cell, Expected
from NetLibrary._mechanics.matrix.run import Matrix
from NetLibrary._mechanics.matrix.testbed import Options, Testbed
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

Fault = Callable[[Source, Target, Expected], "Observation | None"]


class Answers:
    """A fleet of probers that answers from a fault, and keeps what it was asked."""

    flavours: dict[str, str] = {}
    probes = 0

    def __init__(self, bed: Testbed, fault: Fault) -> None:
        self.bed, self.fault = bed, fault
        self.asked: list[tuple[int, Sequence[tuple[Source, Target]]]] = []

    def run(self, pairs, *, limit_ms=1500, gently=False):
        if pairs:
            self.asked.append((limit_ms, list(pairs)))
        found = []
        for source, target in pairs:
            expected = expect(self.bed.world, source, target)
            found.append((source, target, self.fault(source, target, expected) or healthy(source, target, expected)))
        return found


def pods_of_node3(source: Source, target: Target, expected: Expected) -> Observation | None:
    """Pods of node3 are cut off from those of other nodes."""
    if source.host_network or source.outside or Outcome.CONNECTED not in expected.outcomes:
        return None
    ends = {name[-5:] for name in expected.responders or ()} if target.kind != "pod" else {target.node}
    if target.name.startswith(("host-", "to-host-")) or target.kind in ("dns", "name") or len(ends) != 1:
        return None
    return blocked() if (source.node == "node3") != (ends == {"node3"}) else None


@pytest.fixture
def matrix(monkeypatch) -> Matrix:
    monkeypatch.setattr(Testbed, "refresh", lambda self: None)
    monkeypatch.setattr(looking, "read_all", lambda bed, lookers: {})
    bed = Testbed(None, Options("matrix-test", "agnhost:1"), layout(), None)  # type: ignore[arg-type]
    bed.world = world()
    bed.sources = sources(bed.layout, bed.world)
    bed.fleet = Answers(bed, pods_of_node3)  # type: ignore[assignment]
    return Matrix(bed)


def test_what_is_known_to_be_broken_is_asked_once_with_a_short_limit(matrix):
    assert matrix.check("pod ip", settle=0.1).wrong
    assert matrix.findings()[0].key == "pod network of node"
    fleet = matrix.fleet
    fleet.asked.clear()
    table = matrix.check("cluster ip", settle=3.0)
    assert table.wrong
    short = [pair for limit, pairs in fleet.asked if limit == PREDICTED_MS for pair in pairs]
    usual = [pair for limit, pairs in fleet.asked if limit == 1500 for pair in pairs]
    assert {(c.source, c.target) for c in table.wrong} <= set(short)
    assert len(usual) + len(short) == len(table.cells), "nothing is asked twice"
    assert "as known causes predict" in table.notes[0]


def test_a_row_that_tells_nothing_new_is_explained_without_a_probe_and_counts_as_evidence(matrix):
    first = matrix.check("pod ip", settle=0.1)
    matrix.findings()
    second = matrix.check("cluster ip", settle=0.1)
    matrix.fleet.asked.clear()
    found = matrix.findings_of(second)
    assert not matrix.fleet.asked
    assert [f.key for f in found] == ["pod network of node"]
    assert len(found[0].evidence) == len(first.wrong) + len(second.wrong)


def test_a_row_that_shows_something_else_is_diagnosed_anew(matrix):
    matrix.check("pod ip", settle=0.1)
    matrix.findings()
    before = matrix.fleet.fault

    def and_hairpins(source, target, expected):
        itself = target.kind == "vip" and expected.responders == {source.name}
        return blocked() if itself else before(source, target, expected)

    matrix.fleet.fault = and_hairpins
    matrix.check("cluster ip", settle=0.1)
    assert {f.key for f in matrix.findings()} == {"pod network of node", "hairpin"}


def test_a_row_that_contradicts_what_is_known_is_diagnosed_anew(matrix):
    matrix.check("pod ip", settle=0.1)
    matrix.findings()
    matrix.fleet.fault = lambda s, t, e: None
    assert not matrix.check("pod ip", settle=0.1).wrong
    matrix.fleet.fault = lambda s, t, e: blocked() if s.name == "on-node1" and t.name == "to-on-node3" else None
    matrix.check("cluster ip", settle=0.1)
    assert [f.key for f in matrix.findings()] != ["pod network of node"]


def test_lookups_keep_their_whole_time(matrix):
    matrix.check("pod ip", settle=0.1)
    matrix.findings()
    matrix.fleet.asked.clear()
    matrix.check("names", settle=0.1)
    assert {limit for limit, _ in matrix.fleet.asked} == {1500}


def test_a_flow_whose_new_connections_fail_too_is_not_called_stale(matrix):
    pods = [s for s in matrix.sources if not s.host_network and not s.outside]
    service = matrix.world.service("to-on-node3")
    lost = lifecycle._no_new_flow_either(matrix, pods, "to-on-node3", service["spec"]["clusterIP"])
    assert [s.name for s in lost] == ["on-node1", "on-node2"], "those of other nodes; node3's own reach it"
    assert lifecycle._no_new_flow_either(matrix, [], "to-on-node3", "10.0.0.1") == []


def test_names_that_fail_have_resolver_files_read_once(matrix, monkeypatch):
    read = []

    def files(bed, sources):
        read.append([s.name for s in sources])
        return {s.name: ("192.0.2.53",) if s.name == "on-node2" else ("10.96.0.10",) for s in sources}

    monkeypatch.setattr(explaining, "read_resolvers", files)
    matrix.world.dns_service = ("10.96.0.10",)

    def nameless(source, target, expected):
        wrong = source.name == "on-node2" and target.kind in ("dns", "name") and target.host != "10.96.0.10"
        return blocked(Outcome.DNS, "DNS server does not answer") if wrong else None

    matrix.fleet.fault = nameless
    table = matrix.check("names", settle=0.1)
    found = matrix.findings_of(table)[0]
    assert (found.key, found.subject, found.confidence) == ("dns asks another server", "on-node2", "confirmed")
    matrix.check("headless", settle=0.1)
    matrix.findings()
    assert read == [["on-node2", "on-node1", "on-node3"]]
    matrix.forget()  # what files said before some fault tells nothing of them now
    assert matrix.findings_of(matrix.check("names", settle=0.1))[0].key == "dns asks another server" and len(read) == 2


def test_what_was_found_for_cells_without_a_pattern_is_not_taken_for_the_next_ones():
    """Two such findings at one node were printed, the second of them without a look."""
    known = Known()
    known.learn((UNKNOWN, "pattern"), Finding("node state", "node2", "A rule.", [], measured="the state was read"))
    assert known.recall(Finding(UNKNOWN, "pattern", "", [])) is None


def test_a_node_whose_proxy_is_dead_from_the_start_is_not_waited_for_half_a_minute(matrix, monkeypatch):
    monkeypatch.setattr(run, "LAGGARDS", 0.3)
    matrix.fleet.fault = lambda s, t, e: blocked() if s.node == "node2" and t.kind == "vip" else None
    begun = time.monotonic()
    by_node = matrix.programming(timeout=30.0)
    assert time.monotonic() - begun < 5 and sorted(by_node) == ["node1", "node3"]
    matrix.fleet.fault = lambda s, t, e: blocked() if t.kind == "vip" and time.monotonic() - begun < 3 else None
    begun = time.monotonic()
    assert sorted(matrix.programming(timeout=30.0)) == ["node1", "node2", "node3"], "all nodes late is no dead proxy"


def test_a_service_that_was_refused_is_not_waited_for_at_an_empty_address(matrix):
    """Where a policy refused Services with UDP ports, the whole matrix ended with "has the address ''"."""
    matrix.testbed.refused["to-on-node1"] = "UDP is not allowed"
    matrix.world.service("to-on-node1")["spec"]["clusterIP"] = ""
    matrix.programming(timeout=30.0)
    asked = {cell.target.service for cell in matrix.tables["programming"].cells}
    assert asked == {"to-on-node2", "to-on-node3"}


def test_services_whose_pods_nobody_reaches_are_not_waited_for_as_if_a_proxy_were_late(matrix, monkeypatch):
    monkeypatch.setattr(rounds, "STALLED", 0.2)
    begin = time.monotonic()
    matrix.programming(timeout=30.0)
    assert time.monotonic() - begin < 3.0
    wrong = matrix.tables["programming"].wrong
    assert wrong
    assert {cell.why for cell in wrong} == {rounds.OUT_OF_REACH}


def test_a_service_that_one_node_lacks_among_others_is_waited_for_as_long_as_a_late_node(matrix, monkeypatch):
    monkeypatch.setattr(rounds, "STALLED", 0.2)
    monkeypatch.setattr(run, "LAGGARDS", 0.5)
    matrix.fleet.fault = lambda s, t, e: (
        blocked() if (s.node, t.name, t.kind) == ("node1", "to-on-node3", "vip") else None
    )
    begin = time.monotonic()
    matrix.programming(timeout=30.0)
    assert time.monotonic() - begin < 3.0
    wrong = matrix.tables["programming"].wrong
    assert wrong
    assert all(cell.why != rounds.OUT_OF_REACH for cell in wrong)
    assert matrix.broken


def test_a_pod_that_did_not_answer_at_the_start_has_its_time_in_the_first_row(matrix, monkeypatch):
    monkeypatch.setattr(rounds, "STALLED", 0.2)
    matrix.programming(timeout=30.0)
    assert matrix.tables["programming"].wrong
    assert not matrix.broken


def test_a_prober_that_could_not_ask_the_pod_tells_nothing_of_it(matrix, monkeypatch):
    monkeypatch.setattr(rounds, "STALLED", 0.1)
    monkeypatch.setattr(run, "LAGGARDS", 1.0)

    def starved(source, target, expected):
        if source.node != "node1":
            return None
        return blocked() if target.kind == "vip" else Observation(Outcome.ERROR, "starved")

    matrix.fleet.fault = starved
    matrix.programming(timeout=30.0)
    wrong = matrix.tables["programming"].wrong
    assert wrong
    assert all(cell.why != rounds.OUT_OF_REACH for cell in wrong)


def test_a_node_that_has_programmed_nothing_yet_is_waited_for(matrix, monkeypatch):
    monkeypatch.setattr(rounds, "STALLED", 0.1)
    begin = time.monotonic()

    def late(source, target, expected):
        return blocked() if source.node == "node1" and target.kind == "vip" and time.monotonic() < begin + 2 else None

    matrix.fleet.fault = late
    matrix.programming(timeout=30.0)
    assert not matrix.tables["programming"].wrong


def test_a_backend_that_is_gone_by_now_was_on_a_node_that_is_known_to_be_cut_off(matrix):
    matrix.check("pod ip", settle=0.1)
    assert matrix.findings()[0].key == "pod network of node"
    source = next(s for s in matrix.sources if s.name == "on-node1")
    matrix.world.places = {"leaving": "node3"}
    target = Target("1 ready", "vip", "10.96.0.99", 80, service="leaving", service_port=80)
    expected = Expected(frozenset({Outcome.CONNECTED}), frozenset({"leaving"}))
    cell = Cell(source, target, expected, blocked(), right=False, symptom="blocked")
    assert matrix.explains(cell)
    matrix.world.places = {"leaving": "node2"}
    assert not matrix.explains(cell)


def test_a_service_whose_client_has_another_address_is_programmed_all_the_same(matrix):
    def hidden(source, target, expected):
        if source.host_network or target.kind != "vip" or source.name in (expected.responders or ()):
            return None
        return dataclasses.replace(healthy(source, target, expected), clients={"172.30.0.1"})

    matrix.fleet.fault = hidden
    begin = time.monotonic()
    matrix.programming(timeout=30.0)
    assert time.monotonic() - begin < 2.0
    assert {c.symptom for c in matrix.tables["programming"].wrong} == {"client"}
