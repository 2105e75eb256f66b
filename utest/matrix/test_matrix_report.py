"""Tables, texts, files, comparison, layout and bad input of the matrix."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter

import pytest
from synthetic import blocked, node, tables, world

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.matrix import cases
from NetLibrary._mechanics.matrix.explain.diagnose import diagnose
from NetLibrary._mechanics.matrix.judge import compare
from NetLibrary._mechanics.matrix.judge.judge import judge
from NetLibrary._mechanics.matrix.model import objects
from NetLibrary._mechanics.matrix.model.types import Expected
from NetLibrary._mechanics.matrix.rounds import excuse_rate_limited
from NetLibrary._mechanics.matrix.show import render
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target


def hairpin(source, target, expected):
    return blocked() if target.kind == "vip" and expected.responders == {source.name} else None


def one_table(fault=None, case="cluster ip"):
    return next(t for t in tables(fault) if t.case == case)


def test_the_log_shows_marks_words_and_reasons():
    table = one_table(hairpin)
    html = render.html_of(table)
    assert "✗ timed out, expected connected" in html
    assert "✓ connected" in html
    assert "30 of 36 cells as expected" in html
    assert "must be connected by on-node1, but is timed out" in html
    assert "every ready endpoint may answer" in html


def test_a_wide_table_has_a_summary_by_node_above_it():
    from synthetic import layout

    plan = layout(nodes=10)
    table = next(t for t in tables(plan=plan, of=world(plan)) if t.case == "pod ip")
    html = render.html_of(table)
    assert html.index("by node") < html.index("source ↓")


def test_names_from_outside_are_escaped_in_the_log():
    cell = judge(
        Source("a", "n"), Target("<b>", "pod", "1.1.1.1", 1), Expected(frozenset({Outcome.CONNECTED}), frozenset("a")),
        Observation(Outcome.CONNECTED, responders=Counter(["<script>"])),
    )  # fmt: skip
    from NetLibrary._mechanics.matrix.model.types import Table

    html = render.html_of(Table("x", "X", [cell]))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_the_console_shows_the_same_cells_as_text():
    text = render.text_of(one_table(hairpin))
    assert "6 of 36 cells wrong" in text
    assert "XT" in text


def test_a_failure_begins_with_the_cause_and_ends_with_cells():
    of = world()
    all_tables = tables(hairpin, of=of)
    found = diagnose(all_tables, of)
    text = render.failure_text(one_table(hairpin), found)
    first = text.splitlines()[0]
    assert first.startswith("ClusterIP, one Service for each pod: 6 of 36 cells are wrong. A pod cannot reach itself")
    assert "Next: Check hairpin mode" in text
    assert "on-node1 → to-on-node1" in text
    assert "Repeats the first: kubectl exec -n matrix-test on-node1 -c agnhost -- curl" in text
    assert "A pod cannot reach itself" in str(render.findings_table(found).rows)


def test_no_file_of_the_matrix_shows_a_secret(tmp_path):
    secret = "s3cr3t-of-a-cell-Zq9x7"
    secrets.learn(secret)
    of = world()
    everything = tables(hairpin, of=of)
    finding = dataclasses.replace(diagnose(everything, of)[0], sentence=f"it was refused with {secret}")
    everything[0].title = f"a case with {secret}"
    files = render.write_files(everything, [finding], tmp_path)
    texts = {file.name: file.read_text() for file in files}
    assert [name for name, text in texts.items() if secret in text] == []
    assert "<secret>" in texts["matrix.md"]
    assert "<secret>" in texts["matrix.json"]


def test_files_hold_every_cell(tmp_path):
    everything = tables(hairpin)
    files = render.write_files(everything, [], tmp_path)
    written = json.loads(files[0].read_text())
    total = sum(len(t.cells) for t in everything)
    assert len(written["cells"]) == total
    with open(files[1], newline="") as text:
        rows = list(csv.DictReader(text))
    assert len(rows) == total
    assert {"case", "source", "target", "outcome", "expected", "right", "why"} <= set(rows[0])


def test_the_heat_map_is_a_picture(tmp_path):
    render.heat_map(one_table(hairpin), tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_two_equal_runs_do_not_differ():
    cells = compare.cells_of(tables())
    assert compare.compare(cells, cells) == []


def test_a_cell_that_broke_and_one_that_was_repaired_are_told_apart():
    good, bad = compare.cells_of(tables()), compare.cells_of(tables(hairpin))
    assert {c.kind for c in compare.compare(good, bad)} == {"broken"}
    assert {c.kind for c in compare.compare(bad, good)} == {"repaired"}
    change = compare.compare(good, bad)[0]
    assert "connected by" in change.before
    assert change.now == "timed out (wrong)"


def test_cells_that_vanished_and_new_ones_are_listed():
    cells = [c for c in compare.cells_of(tables()) if c["case"] == "cluster ip"]
    kinds = Counter(c.kind for c in compare.compare(cells, cells[2:]))
    assert kinds == {"missing": 2}
    assert Counter(c.kind for c in compare.compare(cells[2:], cells)) == {"new": 2}


def test_slower_means_three_times_and_two_milliseconds():
    cells = [c for c in compare.cells_of(tables()) if c["case"] == "pod ip"][:2]
    slow = [dict(c, latency_ms=9.0) for c in cells]
    assert {c.kind for c in compare.compare(cells, slow)} == {"slower"}
    assert compare.compare(cells, [dict(c, latency_ms=1.3) for c in cells]) == []


def test_a_baseline_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match="does not exist; give the matrix"):
        compare.read_cells(tmp_path / "no.json")
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(InputError, match="is not a matrix"):
        compare.read_cells(tmp_path / "bad.json")


def test_nodes_that_cannot_take_a_pod_are_named_with_the_reason():
    cordoned, tainted, lost, fine = node(1), node(2), node(3), node(4)
    cordoned["spec"]["unschedulable"] = True
    tainted["spec"]["taints"] = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
    lost["status"]["conditions"] = [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]
    chosen, left = objects.choose_nodes([cordoned, tainted, lost, fine])
    assert chosen == ["node4"]
    assert dict(left) == {
        "node1": "cordoned",
        "node2": "tainted node-role.kubernetes.io/control-plane:NoSchedule",
        "node3": "not Ready (NodeStatusUnknown)",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"names": ["node9"]}, "'node9' in 'nodes' does not exist; there are node1, node2"),
        ({"labels": "pool=x"}, "No node can take a pod of the matrix: no node has the labels 'pool=x'"),
        ({"labels": "pool"}, "is not made of key=value terms"),
    ],
)
def test_selectors_that_match_nothing_say_so(arguments, words):
    with pytest.raises(InputError, match=words):
        objects.choose_nodes([node(1), node(2)], **arguments)


def test_nodes_are_in_natural_order_and_pods_have_valid_unique_names():
    chosen, _ = objects.choose_nodes([node(10), node(9), node(2)])
    assert chosen == ["node2", "node9", "node10"]
    names = [n for n, _ in objects.pod_names(["a.b", "a-b"], 2)]
    assert len(set(names)) == 4
    assert all(n.replace("-", "").isalnum() for n in names)


def test_pods_per_node_has_bounds():
    with pytest.raises(InputError, match="allowed: 1 to 50"):
        objects.pod_names(["a"], 0)


def test_an_unknown_case_lists_the_known_ones():
    with pytest.raises(InputError, match="The case 'cluster' is unknown; known are pod ip, large packets"):
        cases.case_kind("cluster")
    assert cases.case_kind("Cluster_IP").key == "cluster ip"


def test_refusals_that_the_kernel_limits_are_accepted_only_where_one_was_seen():
    refused = Expected(frozenset({Outcome.REFUSED}))
    one, other = Source("a", "n1"), Source("b", "n2")
    first, second = Target("x", "vip", "1.1.1.1", 80), Target("y", "vip", "1.1.1.2", 80)
    cells = {
        (one, first): judge(one, first, refused, Observation(Outcome.REFUSED)),
        (one, second): judge(one, second, refused, blocked()),
        (other, second): judge(other, second, refused, blocked()),
    }
    excuse_rate_limited(cells)
    assert not cells[one, second].wrong
    assert cells[other, second].wrong


def test_the_manifest_for_kubectl_is_what_the_library_makes():
    import importlib.util
    from pathlib import Path

    folder = Path(__file__).parents[2] / "manifests" / "service_matrix"
    spec = importlib.util.spec_from_file_location("make", folder / "make.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.text(["node1", "node2", "node3"]) == (folder / "three-nodes.yaml").read_text()


def test_the_line_of_a_cell_says_what_differs_and_not_twice_the_same():
    source, target = Source("on-node2", "node2"), Target("on-node1", "pod", "10.244.1.10", 8080, pod="on-node1")
    wanted = Expected(frozenset({Outcome.CONNECTED}), frozenset({"on-node1"}), frozenset({"10.244.2.11"}))
    seen = Observation(Outcome.CONNECTED, responders=Counter(["on-node1"]), clients=frozenset({"10.244.2.0"}))
    said = judge(source, target, wanted, seen).describe()
    assert "expected client address 10.244.2.11, got 10.244.2.0" in said
    assert said.count("connected") == 0
    stranger = Observation(Outcome.CONNECTED, responders=Counter(["on-node3"]))
    assert "expected an answer by on-node1, got one by on-node3" in judge(source, target, wanted, stranger).describe()


def test_three_text_tables_say_expected_observed_and_comparison():
    from NetLibrary._mechanics.matrix.show import grids

    text = grids.three(one_table(hairpin))
    parts = text.split("\n\n")
    assert [p.split(":")[0] for p in parts] == ["expected", "observed", "comparison"]
    rows = [next(line for line in part.splitlines() if "on-node1" in line and "to-" not in line) for part in parts]
    assert [row.split()[-6:].count("X") + row.count("XT") for row in rows] == [0, 2, 2]
    assert "?" in grids.three(one_table(case="external ip"))


def test_each_failing_cell_has_the_line_that_repeats_it(tmp_path):
    from NetLibrary._mechanics.matrix.show import commands

    for table in tables():
        for cell in table.cells:
            line = commands.repeat(cell)
            assert line.startswith("kubectl exec -n matrix-test") or cell.source.outside, line
            assert cell.target.host in line or cell.target.kind == "dns"
    render.write_files(tables(hairpin), [], tmp_path)
    assert "kubectl exec -n matrix-test on-node1" in (tmp_path / "matrix.md").read_text()


def test_a_baseline_from_before_the_case_was_renamed_still_matches():
    now = compare.cells_of(tables())
    old = [
        {**c, "case": "endless", "target": "endless"} if c["case"] == "no endpoints" else dict(c)
        for c in compare.cells_of(tables())
    ]
    assert compare.compare(old, now) == []


def test_a_fact_that_changed_is_shown_and_is_no_worse_cell():
    before = compare.cells_of(tables())
    now = compare.cells_of(tables(lambda s, t, e: blocked() if e.a_no else None))
    changes = compare.compare(before, now)
    assert changes
    assert {c.kind for c in changes} == {"fact"}


def test_a_cause_is_told_once_with_its_count_and_referred_to_by_later_rows():
    of = world()
    everything = tables(hairpin, of=of)
    found = diagnose(everything, of)
    first, later = (next(t for t in everything if t.case == case) for case in ("cluster ip", "hairpin"))
    text = "\n".join(render.explanation(first, found, told={}, tables=everything))
    wrong = sum(len(t.wrong) for t in everything)
    rows = sum(bool(t.wrong) for t in everything)
    assert f"It explains {wrong} of {wrong} wrong cells in {rows} row(s) so far." in text
    told = {(f.key, f.subject): first.title for f in found}
    again = render.explanation(later, found, told=told, tables=everything)
    assert again[0].startswith(f"1. [likely] As in '{first.title}': A pod cannot reach itself")
    assert not any("Next:" in line for line in again)
