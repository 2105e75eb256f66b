"""Expected tables from a file, without a cluster; traffic distribution by hints."""

import json

import pytest
from synthetic import world

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.matrix.judge.expect import expect
from NetLibrary._mechanics.matrix.model.world import Endpoint, nearby
from NetLibrary._mechanics.matrix.show.offline import main, read
from NetLibrary._mechanics.probing.types import Source, Target


def dump(path):
    of = world()
    items = []
    for kind, objects in (
        ("Node", of.nodes), ("Pod", of.pods), ("Service", of.services), ("EndpointSlice", of.slices)
    ):  # fmt: skip
        for each in objects:
            metadata = {**each["metadata"], **({} if kind == "Node" else {"namespace": "matrix-test"})}
            items.append({**each, "kind": kind, "metadata": metadata})
    path.write_text(json.dumps({"items": items}))


def test_the_expected_table_is_printed_from_a_file(tmp_path, capsys):
    dump(tmp_path / "objects.json")
    assert main([str(tmp_path / "objects.json"), "--namespace", "matrix-test", "--why"]) == 0
    said = capsys.readouterr().out
    line = next(row for row in said.splitlines() if row.lstrip("| ").startswith("on-node1 "))
    assert "–" in line
    assert "on-node1 → no-endpoints 80/TCP: no connection, because the Service has no endpoint" in said
    assert "on-node2 → to-on-node1 80/UDP: connected by on-node1" in said


def test_a_file_that_is_no_list_is_refused(tmp_path):
    (tmp_path / "x").write_text("{}")
    with pytest.raises(InputError, match="is no list of objects"):
        read(tmp_path / "x")


def test_hints_count_only_when_all_endpoints_have_them():
    here = Endpoint("10.0.0.1", 80, "a", "n1", for_nodes=frozenset({"n1"}), for_zones=frozenset({"z1"}))
    there = Endpoint("10.0.0.2", 80, "b", "n2", for_nodes=frozenset({"n2"}), for_zones=frozenset({"z2"}))
    plain = Endpoint("10.0.0.3", 80, "c", "n3")
    assert nearby([here, there], "n1", "") == [here]
    assert nearby([here, there], "n3", "z2") == [there]
    assert nearby([here, there], "n3", "z3") == [here, there]
    assert nearby([here, plain], "n1", "z1") == [here, plain]


def test_traffic_distribution_is_a_wish_and_what_became_of_it_is_a_fact():
    of = world()
    for each in of.slices:
        if each["metadata"]["labels"]["kubernetes.io/service-name"] == "near":
            for endpoint in each["endpoints"]:
                endpoint["hints"] = {"forNodes": [{"name": endpoint["nodeName"]}]}
    address = of.service("near")["spec"]["clusterIP"]
    target = Target("near", "vip", address, 80, service="near", service_port=80)
    found = expect(of, Source("on-node2", "node2", "10.244.2.11"), target)
    assert found.responders == {"on-node1", "on-node2", "on-node3"}
    assert found.preferred == {"on-node2"}
    assert "hints" in found.reason
