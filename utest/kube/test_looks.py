"""Lists that were refused are not asked for again: each refusal stands in the audit log of the cluster."""

from __future__ import annotations

import time

import pytest
from scripted_api import REVIEWS, ApiServer

from NetLibrary._mechanics.e2sar.nodes import require_nodes
from NetLibrary._mechanics.errors import Forbidden
from NetLibrary._mechanics.facts import cluster_facts
from NetLibrary._mechanics.kube import Cluster, looks, rights
from NetLibrary._mechanics.kube.absences import LEAST
from NetLibrary._mechanics.kube.addresses import of_nodes, require_node
from NetLibrary._mechanics.kube.behind import pods_at
from NetLibrary._mechanics.kube.hindrances import Advisor
from NetLibrary._mechanics.outages.run.settling import Settling
from NetLibrary._mechanics.probing.alive import Kubelets

NODES = "^/api/v1/nodes"


def refuse(api: ApiServer, pattern: str, method: str = "GET") -> None:
    api.refuse(method, pattern, 403, "Forbidden", 'User "tester" cannot do that at the cluster scope', times=99)


def advisor(cluster: Cluster) -> Advisor:
    return Advisor(cluster, "Pod", "demo", None, None, readiness=True)


def test_account_that_may_not_list_nodes_asks_once(api: ApiServer, cluster: Cluster) -> None:
    """Under an account without nodes the E2SAR suite asked 33 times, and was refused each time."""
    refuse(api, NODES)
    for _ in range(3):
        assert cluster_facts(cluster)["nodes"] == []
        require_node(cluster, "node1")
        require_nodes(cluster, 2)
        with pytest.raises(Forbidden, match='"tester" cannot do that') as caught:
            of_nodes(cluster)
        assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
        assert advisor(cluster)._node_lost("node1") == ("", False)
    assert len(api.seen("GET", NODES)) == 1


def test_wait_that_may_not_see_events_asks_for_them_once(api: ApiServer, cluster: Cluster) -> None:
    refuse(api, "/namespaces/demo/events")
    for _ in range(3):
        assert advisor(cluster)._events("uid") == []
    assert len(api.seen("GET", "/namespaces/demo/events")) == 1


def test_disturbances_that_may_not_see_workloads_ask_once(api: ApiServer, cluster: Cluster) -> None:
    refuse(api, "^/api/v1/pods")
    for _ in range(3):
        settling = Settling(cluster)
        settling.remember()
        assert "it cannot be seen whether the disturbance has started rollouts" in settling.note
    assert len(api.seen("GET", "^/api/v1/pods")) == 1


def test_account_that_may_not_ask_kubelets_is_refused_once_for_all_nodes(api: ApiServer, cluster: Cluster) -> None:
    api.allow()  # a webhook that authorizes may refuse what its reviews allow
    refuse(api, "/proxy/healthz", "HEAD")
    for _ in range(2):
        assert [Kubelets(cluster).trouble(node) for node in ("node1", "node2")] == ["", ""]
    assert len(api.seen("HEAD", "/proxy/healthz")) == 1


def test_refusal_counts_for_its_namespace_alone(api: ApiServer, cluster: Cluster) -> None:
    refuse(api, "^/api/v1/pods")
    with pytest.raises(Forbidden):
        looks.look(cluster, "Pod")
    assert looks.look(cluster, "Pod", "demo", labels="a=b") == []


def test_what_a_user_lists_is_asked_for_each_time(api: ApiServer, cluster: Cluster) -> None:
    """A role may have been given meanwhile."""
    api.refuse("GET", NODES, 403, "Forbidden", "not yet")
    cluster_facts(cluster)
    assert cluster.list("Node") == []


def test_rights_that_are_there_now_end_what_was_refused_before(api: ApiServer, cluster: Cluster) -> None:
    api.put("/api/v1/nodes", {"metadata": {"name": "node1"}})
    api.refuse("GET", NODES, 403, "Forbidden", "not yet")
    nodes = [rights.Right("list", "", "nodes", "", "*", "")]
    api.allow(lambda _: len(api.seen("POST", REVIEWS)) > 1)
    assert cluster_facts(cluster)["nodes"] == []
    assert rights.missing(cluster, nodes) == nodes
    assert cluster_facts(cluster)["nodes"] == []
    assert rights.missing(cluster, nodes) == []
    assert [each["name"] for each in cluster_facts(cluster)["nodes"]] == ["node1"]


def test_account_that_may_not_ask_for_its_rights_is_refused_once(api: ApiServer, cluster: Cluster) -> None:
    """Who may not ask was taken to be allowed everything, and asked and was refused each time."""
    refuse(api, REVIEWS, "POST")
    refuse(api, "^/api/v1/(pods|services)")
    for _ in range(3):
        with pytest.raises(Forbidden):
            pods_at(cluster, "10.0.0.9", "demo")
        assert rights.may(cluster, "list", "Service")
    assert len(api.seen("GET", "^/api/v1/pods")) == 1
    assert len(api.seen("POST", REVIEWS)) == 1


def test_refusal_by_a_server_that_has_just_begun_is_not_kept(api: ApiServer, cluster: Cluster) -> None:
    """It refuses what it allows as soon as it has read its roles."""
    api.refuse("GET", "/namespaces/demo/events", 403, "Forbidden", "roles are not known yet")
    absences = cluster.connection.absences
    absences.heard()
    absences.silent(time.monotonic())
    time.sleep(LEAST)
    absences.heard()
    assert absences.returned_within(1)
    assert advisor(cluster)._events("uid") == []
    assert looks.refusal(cluster, "Event", "demo") is None
