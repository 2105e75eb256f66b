"""The truth table: what cells mean, what is not judged, and what explains the wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.policies import judge, objects, run, subjects
from NetLibrary._mechanics.policies.causes import causes
from NetLibrary._mechanics.policies.results import Found
from NetLibrary._mechanics.policies.subjects import Port, Subjects
from NetLibrary._mechanics.probing.types import Observation, Outcome

from .cluster_of_pods import keeping, labels, nine, pod, policy, some, table_of

DENY = policy("deny", "x", policyTypes=["Ingress"])
B_SELECTOR = {"podSelector": {"matchLabels": {"pod": "b"}}}


def failed(table: Any, about: Subjects) -> list[str]:
    found = causes(table, about)
    return [check.sentence for check in judge.checks(table, 1, found) if not check.passed]


def test_a_network_that_keeps_to_the_policies_passes() -> None:
    about = some([DENY, policy("out", "y", policyTypes=["Egress"], egress=[{"to": [B_SELECTOR]}])])
    table = table_of(about, keeping(about))
    assert not table.wrong
    assert failed(table, about) == []
    assert causes(table, about) == []


def test_a_network_without_policies_is_named_once_and_not_for_each_cell() -> None:
    about = some([DENY])
    table = table_of(about, lambda cell: Outcome.CONNECTED)
    assert [s for s in failed(table, about) if s.startswith("Policies are not enforced here: none of the 48")]
    assert len(failed(table, about)) == 1
    assert causes(table, about) == []


def test_a_table_in_which_nothing_is_denied_shows_nothing() -> None:
    about = some([])
    table = table_of(about, keeping(about))
    assert "does not show whether policies are enforced" in failed(table, about)[0]
    assert judge.checks(table, 0, []) and all(check.passed for check in judge.checks(table, 0, []))


def test_a_refusal_counts_as_kept_away_where_somebody_listens() -> None:
    about = some([DENY])
    keeps = keeping(about)
    table = table_of(about, lambda cell: Outcome.CONNECTED if keeps(cell) is Outcome.CONNECTED else Outcome.REFUSED)
    assert not table.wrong
    assert table.refused == len(table.denied) == 48


def test_a_port_where_nobody_listens_is_not_judged() -> None:
    about = some([DENY])
    table = table_of(about, lambda cell: Outcome.REFUSED, ports=["99"])
    assert set(table.reasons) == {judge.NOBODY_LISTENS}
    assert "No connection could be judged" in judge.errors(table)[0]


def test_datagrams_that_nobody_answers_are_not_judged() -> None:
    about = some([DENY])
    table = table_of(about, lambda cell: Outcome.TIMEOUT, ports=["80/udp"])
    assert set(table.reasons) == {judge.NO_DATAGRAMS}


def test_a_silent_port_that_nobody_declares_is_no_proof_of_a_policy() -> None:
    about = some([DENY])
    table = table_of(about, lambda cell: Outcome.TIMEOUT, ports=["99"])
    assert {cell.why for cell in table.cells if not cell.decision.allowed} == {judge.NO_SIGN}


def test_a_sender_that_cannot_be_asked_is_an_error_and_no_finding() -> None:
    about = some([DENY])
    keeps = keeping(about)
    table = table_of(about, lambda cell: Outcome.ERROR if cell.source.name == "z/c" else keeps(cell))
    assert "18 of 162 connections could not be probed" in judge.errors(table)[0]


CIDR = {"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.20/32"]}}
BOTH = {"namespaceSelector": {"matchLabels": {"ns": "y"}}, "podSelector": {"matchLabels": {"pod": "b"}}}
EXPRESSION = {"namespaceSelector": {"matchExpressions": [{"key": "ns", "operator": "NotIn", "values": ["y"]}]}}
FAULTS = {
    "a policy is not enforced": (
        [DENY, policy("other", "y", policyTypes=["Ingress"])], lambda p: [p[1]], {}, "NetworkPolicy x/deny is not enforced"),
    "except is ignored": (
        [policy("p", "x", ingress=[{"from": [CIDR]}]), policy("d", "y", policyTypes=["Ingress"])],
        lambda p: [policy("p", "x", ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/24"}}]}]), p[1]], {},
        "ignores 'except'"),
    "endPort is ignored": (
        [policy("p", "x", ingress=[{"ports": [{"port": 80, "endPort": 81}]}]), policy("d", "y", policyTypes=["Ingress"])],
        lambda p: [policy("p", "x", ingress=[{"ports": [{"port": 80}]}]), p[1]], {}, "ignores 'endPort'"),
    "named ports are not resolved": (
        [policy("p", "x", ingress=[{"ports": [{"port": "serve-81"}]}])],
        lambda p: [DENY], {}, "does not resolve named ports"),
    "selectors are joined by or": (
        [policy("p", "x", ingress=[{"from": [BOTH]}])],
        lambda p: [policy("p", "x", ingress=[{"from": [
            {"namespaceSelector": BOTH["namespaceSelector"]}, {"podSelector": BOTH["podSelector"]}]}])], {},
        "as alternatives"),
    "expressions are ignored": (
        [policy("p", "x", ingress=[{"from": [EXPRESSION]}]), policy("d", "z", policyTypes=["Ingress"])],
        lambda p: [policy("p", "x", ingress=[{"from": [{"namespaceSelector": {}}]}]), p[1]], {}, "ignores matchExpressions"),
    "egress is not enforced": (
        [policy("a", "x", policyTypes=["Egress"]), policy("b", "z", policyTypes=["Egress"]), policy("c", "y", policyTypes=["Ingress"])],
        lambda p: [p[2]], {}, "no egress policy is enforced"),
    "a node does not enforce": (
        [policy(n, n, policyTypes=["Ingress"]) for n in "xyz"], lambda p: p,
        {"idle": lambda pod, direction, family: pod["spec"]["nodeName"] == "node1"}, "not enforced on node node1"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_cause_is_named(fault: str) -> None:
    policies, kept, more, words = FAULTS[fault]
    about = some(policies)
    table = table_of(about, keeping(about, kept(policies), **more))
    assert table.wrong
    found = causes(table, about)
    assert words in found[0], found
    assert f"explains {len(table.wrong)} of {len(table.wrong)}" in found[0]
    assert len(found) == 1


@pytest.mark.parametrize("version", [4, 6])
def test_a_family_that_is_not_filtered_is_named(version: int) -> None:
    about = some([policy("p", "x", policyTypes=["Ingress"]), policy("q", "y", policyTypes=["Ingress"])])
    table = table_of(about, keeping(about, idle=lambda pod, direction, family: family == version), family=None)
    assert f"policies are not enforced over IPv{version}" in causes(table, about)[0]


def test_an_exception_that_holds_over_one_family_alone_is_named() -> None:
    """The network "ignores 'except'" was said to forbid as many connections as it explained."""
    blocks = [CIDR, {"ipBlock": {"cidr": "fd00::/64", "except": ["fd00::20/128"]}}]
    about = some([policy("p", "x", ingress=[{"from": blocks}]), policy("d", "y", policyTypes=["Ingress"])])
    open_blocks = [CIDR, {"ipBlock": {"cidr": "fd00::/64"}}]
    kept = [policy("p", "x", ingress=[{"from": open_blocks}]), about.policies[1]]
    table = table_of(about, keeping(about, kept), family=None)
    assert table.wrong
    assert causes(table, about) == [
        f"Likely: over IPv6, the network ignores 'except' of ipBlock (explains {len(table.wrong)} of "
        f"{len(table.wrong)} wrong connections)."
    ]


def test_a_family_that_does_not_reach_a_node_is_named() -> None:
    about = some([DENY])
    keeps = keeping(about)
    table = table_of(
        about,
        lambda cell: (
            Outcome.TIMEOUT
            if (cell.flow.family, cell.source.node, cell.target.node) == (6, "node1", "node2")
            else keeps(cell)
        ),
        family=None,
    )
    assert "over IPv6, whatever the policies say, nothing gets from node node1 to node node2" in causes(table, about)[0]


def test_a_pod_that_does_not_answer_is_no_fault_of_policies() -> None:
    about = some([DENY])
    keeps = keeping(about)
    table = table_of(
        about, lambda cell: Outcome.TIMEOUT if cell.target.pod == "z/a" and not cell.flow.to_itself else keeps(cell)
    )
    assert "nothing reaches pod z/a" in causes(table, about)[0]


def test_two_faults_get_a_cause_each() -> None:
    policies = [DENY, policy("other", "y", policyTypes=["Ingress"]), policy("third", "z", policyTypes=["Egress"])]
    about = some(policies)
    keeps = keeping(about, policies[1:])
    table = table_of(
        about, lambda cell: Outcome.TIMEOUT if cell.source.name == "y/a" and not cell.flow.to_itself else keeps(cell)
    )
    found = "\n".join(causes(table, about))
    assert "x/deny is not enforced" in found
    assert "nothing leaves pod y/a" in found


def test_what_no_hypothesis_predicts_is_not_explained() -> None:
    about = some([DENY, policy("other", "y", policyTypes=["Ingress"])])
    keeps = keeping(about)
    odd = {("z/a", "x/b"), ("y/c", "x/a"), ("z/b", "y/c")}
    table = table_of(
        about, lambda cell: Outcome.CONNECTED if (cell.source.name, cell.target.pod) in odd else keeps(cell)
    )
    assert "Not explained: 6 of 6" in causes(table, about)[0]


def test_the_message_names_policy_rule_and_an_example() -> None:
    about = some([DENY, policy("other", "y", policyTypes=["Ingress"])])
    table = table_of(about, keeping(about, [about.policies[1]]))
    text = failed(table, about)[0]
    assert "48 of 162 connections do not match the policies" in text
    assert "NetworkPolicy x/deny (ingress)" in text


@pytest.mark.parametrize("text", ["0", "70000", "80/icmp", "", "/tcp", "-1", "a-name-that-is-too-long"])
def test_ports_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="allowed: a number from 1 to 65535 or a port's name"):
        Port.parse(text)


def test_a_named_port_is_each_pods_own() -> None:
    assert Port.parse("serve-81").at(nine()[0]) == [(81, "TCP"), (81, "UDP")]
    assert Port.parse("serve-81/udp").at(nine()[0]) == [(81, "UDP")]
    assert Port.parse("http").at(nine()[0]) == []


def test_a_policy_of_the_whole_cluster_decides_first() -> None:
    rule = {"name": "no-y", "action": "Deny", "from": [{"namespaces": {"matchLabels": {"ns": "y"}}}]}
    admin = {
        "kind": "AdminNetworkPolicy", "metadata": {"name": "first"},
        "spec": {"priority": 5, "subject": {"namespaces": {"matchLabels": {"ns": "x"}}}, "ingress": [rule]},
    }  # fmt: skip
    about = some([policy("all", "x", ingress=[{}])], admin=[admin])
    table = table_of(about, lambda cell: Outcome.CONNECTED)
    assert {cell.source.name[0] for cell in table.denied} == {"y"}
    assert "AdminNetworkPolicy first (ingress of a, ingress rule 1 'no-y')" in str(table.denied[0].decision)
    passed = {**admin, "spec": {**admin["spec"], "ingress": [{**rule, "action": "Pass"}]}}  # type: ignore[dict-item]
    assert not table_of(some([], admin=[passed]), lambda cell: Outcome.CONNECTED).denied


def test_a_baseline_decides_only_what_no_policy_does() -> None:
    everywhere = {"namespaces": {}}
    rule = {"action": "Deny", "from": [everywhere]}
    baseline = {
        "kind": "BaselineAdminNetworkPolicy", "metadata": {"name": "default"},
        "spec": {"subject": everywhere, "ingress": [rule]},
    }  # fmt: skip
    about = some([policy("all", "x", ingress=[{}])], baseline=[baseline])
    table = table_of(about, keeping(about, baseline=[baseline]))
    assert {cell.target.pod[0] for cell in table.denied} == {"y", "z"}
    assert not table.wrong


def test_policies_that_cannot_be_read_leave_everything_open() -> None:
    about = some([DENY], unclear="they may decide")
    assert {cell.found for cell in table_of(about, keeping(about)).cells} == {Found.NOT_JUDGED}


def test_a_copy_is_nobodys_replica_and_never_ready() -> None:
    one = pod("x", "web-1", 1)
    one["metadata"]["labels"] = {"app": "web", "pod-template-hash": "77"}
    other = pod("x", "web-2", 2)
    other["metadata"]["labels"] = {"app": "web", "pod-template-hash": "88"}
    made = objects.copies([one, other], "image")
    assert len(made) == 1
    _, copy, owner = made[0]
    assert copy["metadata"]["labels"] == {"app": "web"}
    assert copy["spec"]["readinessGates"]
    owner["metadata"]["uid"] = "1"
    assert objects.owned_by(copy, owner)["metadata"]["ownerReferences"][0]["controller"] is True


def test_labels_of_namespaces_decide() -> None:
    about = Subjects(nine(), labels(), [policy("p", "x", ingress=[{"from": [EXPRESSION]}])])
    assert {c.source.name[0] for c in table_of(about, keeping(about)).denied} == {"y"}


def test_what_is_allowed_is_asked_before_what_is_denied() -> None:
    """A prober that met silence in between asked all the rest by a process each: 100 pods took minutes."""
    about = some([DENY])
    table = table_of(about, keeping(about))
    asked: list[bool] = []
    allowed = {(cell.source, cell.target): cell.decision.allowed for cell in table.cells}

    class Fleet:
        def run(self, wanted: Any, *, limit_ms: int) -> Any:
            asked.extend(allowed[pair] for pair in wanted)
            return [(*pair, Observation(Outcome.CONNECTED)) for pair in wanted]

    run._ask(Fleet(), table.cells, run.Settings())  # type: ignore[arg-type]
    assert len(asked) == len(table.cells)
    assert asked == sorted(asked, reverse=True)
    assert all(cell.observed.outcome is Outcome.CONNECTED for cell in table.cells)


def test_dns_servers_are_asked_for_a_name_of_the_clusters_own_domain() -> None:
    """Other names are passed on: without a way to the outside nobody answers in time, and the network was accused."""
    about = some([])
    senders = [(subjects.source_of(about.pods[0], "c"), about.pods[0])]
    for domain, asked in (("corp.example", "corp.example"), ("", "cluster.local")):
        cells = subjects.cells(about, senders, [Port.parse("53/udp")], 4, domain)
        assert {cell.target.extra for cell in cells} == {f"A/kubernetes.default.svc.{asked}."}
