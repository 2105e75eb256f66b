"""First attempts that were lost: where, in which direction, and what is not called loss."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from synthetic import layout, sources, tables, world

from NetLibrary._mechanics.matrix import losses
from NetLibrary._mechanics.matrix.explain import loss
from NetLibrary._mechanics.matrix.explain.diagnose import diagnose
from NetLibrary._mechanics.matrix.probe.counting import Counted, read_counters
from NetLibrary._mechanics.probing.plan import Reply, observe
from NetLibrary._mechanics.probing.types import Observation, Outcome

NODES = ("node1", "node2", "node3")
WORLD = world()


def ways(sent=800, **lost):
    """All directions between three nodes; `n1n2=80` loses 80 from node1 to node2."""
    found = {(a, b): (sent, 0) for a in NODES for b in NODES if a != b}
    for name, number in lost.items():
        found[f"node{name[1]}", f"node{name[3]}"] = (sent, number)
    return found


def test_nothing_lost_is_no_place():
    assert loss.place(ways()) is None


def test_a_single_packet_is_no_loss():
    assert loss.place(ways(n1n2=1)) is None


def test_loss_into_a_node_is_told_from_loss_out_of_it():
    into = loss.place(ways(n1n2=80, n3n2=75))
    assert (into.key, into.subject) == ("loss at node", "node2")
    assert "packets that come in: 9.7 % (155 of 1600)" in into.sentence
    out = loss.place(ways(n2n1=80, n2n3=75))
    assert (out.key, out.subject) == ("loss at node", "node2")
    assert "packets that go out" in out.sentence


def test_loss_in_both_directions_of_a_node_is_said_to_be_both():
    found = loss.place(ways(n1n2=80, n3n2=75, n2n1=70, n2n3=90))
    assert found.subject == "node2"
    assert "both directions" in found.sentence


def test_loss_of_one_pair_in_one_direction_names_the_pair_and_the_direction():
    found = loss.place(ways(n1n3=60))
    assert (found.key, found.subject) == ("loss between nodes", "node1 and node3")
    assert "on the path from 'node1' to 'node3'" in found.sentence
    assert "in the other direction 0.0 %" in found.sentence


def test_with_two_nodes_a_pair_is_named_and_no_node_is_accused():
    found = loss.place({("a", "b"): (400, 40), ("b", "a"): (400, 0)})
    assert found.key == "loss between nodes"


def test_the_counters_of_both_kernels_tell_the_directions_apart():
    here, there, *_ = sources(layout(), WORLD)
    burst = Counted(here, there, sent=400, arrived=360, answered=360, came_back=358)
    assert (burst.lost_there, burst.lost_back) == (40, 2)
    assert burst.ways() == [("node1", "node2", 400, 40), ("node2", "node1", 360, 2)]


def test_counters_are_read_from_both_families():
    text = "Ip: Forwarding InDelivers\nIp: 1 17\nUdp: InDatagrams OutDatagrams\nUdp: 5 6\nIp6InDelivers  \t9\n"
    assert read_counters(text) == {
        "Ip.Forwarding": 1, "Ip.InDelivers": 17, "Udp.InDatagrams": 5, "Udp.OutDatagrams": 6, "Ip6InDelivers": 9,
    }  # fmt: skip


def reply(attempts, state="OK", detail=""):
    return Reply("0.0", state, 1.0, attempts, "pod", "", detail)


def test_a_connection_that_needed_a_second_packet_counts_as_lost_at_first():
    seen = observe([reply(1), reply(2), reply(1), reply(1)])
    assert seen.outcome is Outcome.CONNECTED
    assert (seen.first_attempts, seen.first_lost) == (4, 1)


def test_a_refusal_is_an_answer_and_not_a_loss():
    seen = observe([reply(1, "FAILED", "Connection refused"), reply(1, "FAILED", "no answer")])
    assert (seen.first_attempts, seen.first_lost) == (2, 1)


class Bed:
    def __init__(self):
        self.world, self.sources, self.cluster = WORLD, sources(layout(), WORLD), None
        self.options = None


def lossy_table(lost_between=("node1", "node2"), number=2):
    """The table of the pods' own addresses, in which some first attempts between two nodes were lost."""
    table = next(t for t in tables() if t.case == "pod ip")
    cells = [c for c in table.cells if {c.source.node, c.target.node} == set(lost_between)][:number]
    for cell in cells:
        cell.observed = dataclasses.replace(cell.observed, first_lost=1)
    return table


def test_a_loss_that_bursts_confirm_makes_its_cells_wrong_and_is_measured(monkeypatch):
    def count(cluster, source, target, port):
        bad = {source.node, target.node} == {"node1", "node2"}
        return Counted(source, target, 400, 360 if bad else 400, 400, 400)

    monkeypatch.setattr(losses, "count", count)
    table = lossy_table()
    found = losses.Losses(Bed()).judge(table)
    assert found.confidence == "confirmed"
    assert found.subject == "node1 and node2"
    assert len(table.wrong) == 2
    assert all(c.symptom == "lost" for c in table.wrong)
    assert not diagnose([table], WORLD), "the loss has its own finding"


def test_one_lost_packet_that_nothing_confirms_is_told_and_fails_nothing(monkeypatch):
    monkeypatch.setattr(losses, "count", lambda c, s, t, p: Counted(s, t, 400, 400, 400, 400))
    table = lossy_table(number=1)
    assert losses.Losses(Bed()).judge(table) is None
    assert not table.wrong
    assert "1 of 72 first attempts got no answer" in table.notes[0]


def test_one_failure_in_four_first_attempts_is_never_a_pass(monkeypatch):
    monkeypatch.setattr(losses, "count", lambda c, s, t, p: Counted(s, t, 400, 400, 400, 400))
    table = next(t for t in tables() if t.case == "spread")
    cell = table.cells[0]
    cell.observed = dataclasses.replace(cell.observed, first_attempts=8, first_lost=2)
    found = losses.Losses(Bed()).judge(table)
    assert found is not None
    assert found.confidence == "likely"
    assert table.wrong == [cell]


def test_a_healthy_table_is_not_even_looked_into(monkeypatch):
    monkeypatch.setattr(losses, "count", lambda *a: pytest.fail("nothing was lost"))
    assert losses.Losses(Bed()).judge(next(t for t in tables() if t.case == "pod ip")) is None


def test_gaps_of_a_flow_are_found_also_at_its_end():
    flow = [(0.0, "OK", "p", ""), (3.0, "FAILED", "", "no answer"), (5.1, "OK", "p", ""), (10.0, "FAILED", "", "")]
    assert loss.gaps(flow, 11.0) == [(3.0, pytest.approx(2.1)), (10.0, pytest.approx(1.0))]
    assert loss.gaps([(0.0, "OK", "p", ""), (3.0, "FAILED", "", ""), (3.2, "OK", "p", "")], 11.0) == []


def test_an_observation_without_loss_says_nothing_about_first_attempts():
    assert Observation(Outcome.CONNECTED, responders=Counter(["a"])).first_lost == 0


def test_whole_cells_that_fail_by_heavy_loss_are_given_to_it(monkeypatch):
    def count(cluster, source, target, port):
        bad = {source.node, target.node} == {"node1", "node2"}
        return Counted(source, target, 400, 120 if bad else 400, 400, 400)

    monkeypatch.setattr(losses, "count", count)
    table = lossy_table(number=2)
    other = next(
        c for c in table.cells if {c.source.node, c.target.node} == {"node1", "node2"} and not c.observed.first_lost
    )
    other.observed = Observation(Outcome.TIMEOUT, "no answer", failures=Counter({"timed out": 1}))
    other.right, other.symptom = False, "blocked"
    found = losses.Losses(Bed()).judge(table)
    assert other in found.evidence
    assert not diagnose([table], WORLD)


def test_new_connections_that_are_lost_are_no_loss_of_packets(monkeypatch):
    monkeypatch.setattr(losses, "count", lambda c, s, t, p: Counted(s, t, 400, 396, 396, 396))
    table = next(t for t in tables() if t.case == "pod ip")
    for cell in table.cells[:40]:
        cell.observed = dataclasses.replace(cell.observed, first_lost=1)
    table.cells[50].right, table.cells[50].symptom = False, "flapping"
    bed = losses.Losses(Bed())
    assert bed.judge(table) is None, "the diagnosis has a cause for that"
