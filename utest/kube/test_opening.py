"""In a namespace that policies of others close, the run's pods are let through, and only these; elsewhere nothing is made."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.opening import OWN_POLICIES, POD_OF

Object = dict[str, Any]
SPACE = {"metadata": {"name": "team", "uid": "u-team"}}
POD: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "team"}, "spec": {}}


def policy(name: str = "default-deny", **spec: Any) -> Object:
    whole = {"podSelector": {}, "policyTypes": ["Ingress"], **spec}
    return {"metadata": {"name": name, "namespace": "team", "uid": f"u-{name}"}, "spec": whole}


@pytest.fixture
def said(cluster: Cluster) -> list[str]:
    lines: list[str] = []
    cluster.say = lines.append
    return lines


def enter(api: ApiServer, cluster: Cluster, *policies: Object) -> list[Object]:
    """Enters the namespace `team` of others and returns the policies that the run made there."""
    api.on("GET", "/api/v1/namespaces/team", lambda h: h.json(200, SPACE), times=99)
    api.on("GET", "/networkpolicies", lambda h: h.json(200, {"metadata": {}, "items": list(policies)}), times=99)
    assert not cluster.enter_namespace("team", use_existing=True)
    return [request[4] for request in api.seen("POST", "/networkpolicies")]


def test_closed_namespace_is_opened_for_the_pods_of_the_run_alone(
    api: ApiServer, cluster: Cluster, said: list[str]
) -> None:
    made = enter(api, cluster, policy())
    assert [each["spec"] for each in made] == [
        {
            "podSelector": {
                "matchLabels": {POD_OF: cluster.run_id},
                "matchExpressions": [{"key": OWN_POLICIES, "operator": "NotIn", "values": [word]}],
            },
            "policyTypes": [word.title()],
            word: [{}],
        }
        for word in ("ingress", "egress")
    ]
    assert all(each["metadata"]["labels"]["netlibrary.io/run"] == cluster.run_id for each in made)
    assert "Namespace 'team' is closed by NetworkPolicy 'default-deny'; policies of the run allow" in said[-1]
    assert cluster.create(POD)["metadata"]["labels"][POD_OF] == cluster.run_id
    elsewhere = cluster.create({**POD, "metadata": {"name": "p", "namespace": "other"}})
    assert POD_OF not in elsewhere["metadata"]["labels"]


@pytest.mark.parametrize(
    "there",
    [
        [],
        [policy(podSelector={"matchLabels": {"app": "theirs"}})],
        [policy(ingress=[{}])],
        [policy(policyTypes=["Ingress", "Egress"], ingress=[{}], egress=[{}, {"to": []}])],
    ],
    ids=["none", "for others", "lets all in", "lets all through"],
)
def test_namespace_that_is_not_closed_gets_no_policy(
    api: ApiServer, cluster: Cluster, said: list[str], there: list[Object]
) -> None:
    assert enter(api, cluster, *there) == []
    assert POD_OF not in cluster.create(POD)["metadata"]["labels"]


@pytest.mark.parametrize(
    "selector",
    [{"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}, {}],
    ids=["all but", "all"],
)
def test_policy_that_selects_all_but_some_closes_too(
    api: ApiServer, cluster: Cluster, said: list[str], selector: Object
) -> None:
    assert len(enter(api, cluster, policy(podSelector=selector, ingress=[{"from": [{"podSelector": {}}]}]))) == 2


def test_account_that_may_not_open_is_told_that_what_is_blocked_counts(
    api: ApiServer, cluster: Cluster, said: list[str]
) -> None:
    api.refuse("POST", "/networkpolicies", 403, "Forbidden", "networkpolicies is forbidden", times=9)
    enter(api, cluster, policy())
    assert "is closed by NetworkPolicy 'default-deny', and the run may not open it for its own pods" in said[-1]
    assert "networkpolicies is forbidden" in said[-1]


def test_policies_of_the_run_may_be_tried_in_a_closed_namespace(
    api: ApiServer, cluster: Cluster, said: list[str]
) -> None:
    enter(api, cluster, policy())
    cluster.opening.leave_ingress_to_others("team")
    assert [request[1].rpartition("/")[2] for request in api.seen("DELETE", "/networkpolicies/")] == [
        f"netlibrary-ingress-{cluster.run_id}"
    ]
    cluster.opening.let_through("team", "skupper", {"skupper.io/component": "router"})
    assert api.seen("POST", "/networkpolicies")[-1][4]["spec"]["podSelector"]["matchLabels"] == {
        "skupper.io/component": "router"
    }
