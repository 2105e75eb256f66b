"""The diagnosis on tables of every kind of fault: one cause in, the same cause out, and nothing else."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from synthetic import blocked, layout, tables, world

from NetLibrary._mechanics.matrix.explain.diagnose import diagnose
from NetLibrary._mechanics.matrix.judge.drift import drift
from NetLibrary._mechanics.matrix.model.types import Expected
from NetLibrary._mechanics.matrix.model.world import Endpoint
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

WORLD = world()
PROXIED = ("vip", "loadbalancer", "externalip")


def nodes_of(target: Target, expected: Expected) -> set[str]:
    """Nodes of all pods that may answer."""
    if target.kind == "pod":
        return {target.node}
    found = set()
    for name in expected.responders or ():
        pod = WORLD.pod(name)
        found.add(pod["spec"]["nodeName"] if pod else name)
    return found


def by(*names: str, clients: tuple[str, ...] = ()) -> Observation:
    return Observation(Outcome.CONNECTED, responders=Counter(names), clients=frozenset(clients), latency_ms=0.5)


def wants(expected: Expected) -> bool:
    return Outcome.CONNECTED in expected.outcomes


def proxy_of_node2(s: Source, t: Target, e: Expected) -> Observation | None:
    if (s.node == "node2" and t.kind in (*PROXIED, "name", "dns")) or (t.node == "node2" and t.kind == "nodeport"):
        return blocked(Outcome.UNREACHABLE, "No route to host")
    return None


def node3_cut_off(s: Source, t: Target, e: Expected) -> Observation | None:
    if t.kind in ("dns", "name"):
        return blocked(Outcome.DNS, "DNS server does not answer") if s.node == "node3" else None
    ends = nodes_of(t, e)
    if t.kind == "nodeport" and (t.node == "node3") != (s.node == "node3"):
        return blocked()
    if wants(e) and ((s.node == "node3") != (ends == {"node3"})) and len(ends) < 2:
        return blocked()
    if wants(e) and len(ends) > 1 and "node3" in ends:
        return Observation(Outcome.TIMEOUT, responders=Counter(["on-node1"]), failures=Counter({"timed out": 3}))
    return None


def pair_1_2(s: Source, t: Target, e: Expected) -> Observation | None:
    ends = nodes_of(t, e)
    if wants(e) and ({s.node} | ends == {"node1", "node2"}) and len(ends) == 1:
        return blocked()
    return None


def one_way_1_to_2(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked() if wants(e) and s.node == "node1" and nodes_of(t, e) == {"node2"} else None


def between_pods(s: Source, t: Target) -> bool:
    return not s.host_network and not s.outside and "host-" not in t.name


def pods_1_to_2(s: Source, t: Target, e: Expected) -> Observation | None:
    return one_way_1_to_2(s, t, e) if between_pods(s, t) else None


def pods_1_and_2(s: Source, t: Target, e: Expected) -> Observation | None:
    return pair_1_2(s, t, e) if between_pods(s, t) and t.kind in ("pod", "vip") else None


def pods_of_node3(s: Source, t: Target, e: Expected) -> Observation | None:
    crossing = wants(e) and len(nodes_of(t, e)) == 1 and (s.node == "node3") != (nodes_of(t, e) == {"node3"})
    return blocked() if crossing and between_pods(s, t) and t.kind in ("pod", "vip") else None


def pod_dead(s: Source, t: Target, e: Expected) -> Observation | None:
    answering = sorted((e.responders or frozenset()) - {"on-node2"})
    if "on-node2" not in (e.responders or ()) or t.kind == "dns":
        return None
    if not answering:
        return blocked(Outcome.REFUSED, "Connection refused")
    return Observation(Outcome.REFUSED, responders=Counter(answering), failures=Counter({"refused": 3}))


def pod_isolated(s: Source, t: Target, e: Expected) -> Observation | None:
    if e.responders == {"on-node2"} and s.name != "on-node2":
        return blocked()
    return None


def pod_hangs(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked(Outcome.NO_ANSWER, "connected but no answer") if e.responders == {"on-node3"} else None


def source_alone(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked() if s.name == "on-node1" and wants(e) and t.pod != s.name else None


def udp_at_node2(s: Source, t: Target, e: Expected) -> Observation | None:
    if t.protocol == "UDP" and t.kind == "pod" and ({s.node} | nodes_of(t, e)) > {"node2"}:
        return blocked()
    return None


def udp_everywhere(s: Source, t: Target, e: Expected) -> Observation | None:
    if t.protocol != "UDP" or not wants(e) or (len({s.node} | nodes_of(t, e)) < 2 and t.kind == "pod"):
        return None
    return blocked() if t.kind not in ("dns",) else None


def udp_through_services(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked() if t.protocol == "UDP" and wants(e) and t.kind in (*PROXIED, "nodeport") else None


def large_at_node2(s: Source, t: Target, e: Expected) -> Observation | None:
    if (
        (t.extra.startswith("size=") or t.probe == "udpsize")
        and len({s.node, t.node}) == 2
        and "node2" in (s.node, t.node)
    ):
        return blocked(Outcome.NO_ANSWER, "connected but no answer")
    return None


def large_everywhere(s: Source, t: Target, e: Expected) -> Observation | None:
    if (t.extra.startswith("size=") or t.probe == "udpsize") and s.node != t.node:
        return blocked(Outcome.NO_ANSWER, "connected but no answer")
    return None


def loss_at_node3(s: Source, t: Target, e: Expected) -> Observation | None:
    ends = {s.node} | nodes_of(t, e)
    chosen = sum(map(ord, s.name + t.name + t.protocol + t.kind)) % 10 < 6
    if wants(e) and "node3" in ends and len(ends) > 1 and chosen and t.kind in ("pod", "vip"):
        return Observation(
            Outcome.TIMEOUT, responders=Counter(e.responders or ["-"]), failures=Counter({"timed out": 2})
        )
    return None


def dns_down(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked(Outcome.DNS, "DNS server does not answer") if t.kind in ("dns", "name") else None


def dns_down_at_node1(s: Source, t: Target, e: Expected) -> Observation | None:
    return dns_down(s, t, e) if s.node == "node1" else None


def dns_unknown(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked(Outcome.DNS, "DNS NXDOMAIN") if t.kind in ("dns", "name") else None


def dns_wrong(s: Source, t: Target, e: Expected) -> Observation | None:
    if t.kind == "dns":
        return by("203.0.113.99")
    return blocked() if t.kind == "name" else None


def dns_slow(s: Source, t: Target, e: Expected) -> Observation | None:
    if t.kind != "dns" or e.records is None:
        return None
    return Observation(Outcome.CONNECTED, responders=Counter([",".join(sorted(e.records))]), latency_ms=2003.0)


def hairpin_everywhere(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked() if t.kind in PROXIED and wants(e) and e.responders == {s.name} else None


def hairpin_at_node1(s: Source, t: Target, e: Expected) -> Observation | None:
    return hairpin_everywhere(s, t, e) if s.node == "node1" else None


def affinity_off(s: Source, t: Target, e: Expected) -> Observation | None:
    return by("on-node1", "on-node2") if e.one_responder and t.service == "sticky" else None


def clients_lost(s: Source, t: Target, e: Expected) -> Observation | None:
    if e.clients is None or not wants(e) or t.kind not in ("vip", "nodeport") or s.outside or s.host_network:
        return None
    return by(*sorted(e.responders or ["-"])[:1], clients=("172.30.0.99",))


def wrong_backend(s: Source, t: Target, e: Expected) -> Observation | None:
    return by("on-node3") if t.service == "to-on-node1" and s.node == "node2" and t.kind == "vip" else None


def local_ignored(s: Source, t: Target, e: Expected) -> Observation | None:
    if t.service == "nodeport-local" and s.outside and not wants(e):
        return by("on-node1", clients=("172.30.0.2",))
    return None


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.REFUSED])
def test_how_a_network_says_no_is_a_fact_and_no_fault(outcome):
    seen = tables(lambda s, t, e: blocked(outcome) if e.a_no else None)
    assert not any(t.wrong for t in seen)
    facts = {c.fact for t in seen for c in t.facts if t.case == "no endpoints"}
    assert facts == {str(outcome)}


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.CONNECTED, Outcome.REFUSED])
def test_what_nobody_promises_is_never_wrong(outcome):
    def network(s: Source, t: Target, e: Expected) -> Observation | None:
        if e.promised:
            return None
        return blocked(outcome) if outcome is not Outcome.CONNECTED else by("on-node1")

    seen = [t for t in tables(network) if t.case in ("external ip", "source ranges", "node port local")]
    assert len(seen) == 3
    assert not any(t.wrong for t in seen)
    assert all(any(not c.expected.promised for c in t.cells) for t in seen)


def entry_node2(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked() if t.kind == "nodeport" and t.node == "node2" and wants(e) else None


def entry_node2_from_elsewhere(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked() if t.kind == "nodeport" and t.node == "node2" and s.node != "node2" and wants(e) else None


def balancer_not_announced(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked() if t.kind == "loadbalancer" and s.outside and wants(e) else None


def kubelet_dead(s: Source, t: Target, e: Expected) -> Observation | None:
    return Observation(Outcome.ERROR, "no prober in it: 502") if s.node == "node2" else None


def no_shell(s: Source, t: Target, e: Expected) -> Observation | None:
    detail = "the image of 'on-node1' has no shell (sh), so it can only be a target, not a source"
    return Observation(Outcome.ERROR, detail) if s.name == "on-node1" else None


def wrong_target_port(s: Source, t: Target, e: Expected) -> Observation | None:
    if t.service == "to-on-node3" and t.kind == "vip":
        return blocked(Outcome.REFUSED, "Connection refused")
    return None


def second_port_broken(s: Source, t: Target, e: Expected) -> Observation | None:
    if t.service == "several-ports" and t.port == 81:
        return blocked(Outcome.REFUSED, "Connection refused")
    return None


def one_of_three_dead(s: Source, t: Target, e: Expected) -> Observation | None:
    if t.service == "spread":
        return Observation(
            Outcome.TIMEOUT, responders=Counter({"on-node1": 3, "on-node2": 2}), failures=Counter({"timed out": 3})
        )
    return None


def pods_isolated(s: Source, t: Target, e: Expected) -> Observation | None:
    if s.host_network or s.outside or not wants(e):
        return None
    if t.kind == "pod" and (t.pod == s.name or t.pod.startswith("host-")):
        return None
    return blocked()


def withdrawn_still_open(s: Source, t: Target, e: Expected) -> Observation | None:
    return by("on-node1") if t.service == "no-endpoints" and s.node == "node3" else None


CASES = [
    (proxy_of_node2, "service proxy of node", "node2"),
    (node3_cut_off, "node cut off", "node3"),
    (pair_1_2, "node pair", "node1 and node2"),
    (one_way_1_to_2, "one direction", "node1 to node2"),
    (pods_1_to_2, "pod network in one direction", "node1 to node2"),
    (pods_1_and_2, "pod network of pair", "node1 and node2"),
    (pods_of_node3, "pod network of node", "node3"),
    (pod_dead, "target pod", "on-node2"),
    (pod_isolated, "target pod", "on-node2"),
    (pod_hangs, "target pod", "on-node3"),
    (source_alone, "source pod", "on-node1"),
    (udp_at_node2, "protocol at node", "UDP at node2"),
    (udp_everywhere, "protocol", "UDP"),
    (udp_through_services, "protocol through services", "UDP"),
    (large_at_node2, "large packets", "node2"),
    (large_everywhere, "large packets", "cluster"),
    (loss_at_node3, "loss at node", "node3"),
    (dns_down, "dns", "cluster"),
    (dns_down_at_node1, "dns", "node1"),
    (dns_unknown, "dns says no", "cluster"),
    (dns_wrong, "dns wrong", "cluster"),
    (dns_slow, "dns slow", "cluster"),
    (hairpin_everywhere, "hairpin", "cluster"),
    (hairpin_at_node1, "hairpin", "node1"),
    (affinity_off, "affinity", "cluster"),
    (clients_lost, "client address", "cluster"),
    (wrong_backend, "wrong backend", "to-on-node1 on 'node2'"),
    (local_ignored, "local policy ignored", "cluster"),
    (entry_node2, "entry node", "node2"),
    (entry_node2_from_elsewhere, "entry node from elsewhere", "node2"),
    (balancer_not_announced, "load balancer", "outside"),
    (kubelet_dead, "sources not probed", "node2"),
    (no_shell, "source not probed", "on-node1"),
    (wrong_target_port, "service", "to-on-node3"),
    (second_port_broken, "service port", "several-ports 81/TCP"),
    (one_of_three_dead, "dead backends", "spread: on-node3"),
    (pods_isolated, "pods isolated", "cluster"),
    (withdrawn_still_open, "open", "no-endpoints on node3"),
]


@pytest.mark.parametrize(("fault", "key", "subject"), CASES, ids=[c[0].__name__ for c in CASES])
def test_one_fault_gives_one_finding_with_the_right_subject(fault, key, subject):
    found = diagnose(tables(fault, of=WORLD), WORLD)
    assert [(f.key, f.subject) for f in found] == [(key, subject)], "\n".join(f.text() for f in found)
    assert found[0].evidence
    assert found[0].hint


def test_a_healthy_table_gives_no_finding():
    assert diagnose(tables(of=WORLD), WORLD) == []


def test_two_faults_at_once_are_both_listed():
    def both(s: Source, t: Target, e: Expected) -> Observation | None:
        return proxy_of_node2(s, t, e) or hairpin_at_node1(s, t, e)

    found = diagnose(tables(both, of=WORLD), WORLD)
    assert {(f.key, f.subject) for f in found} == {("service proxy of node", "node2"), ("hairpin", "node1")}


def test_names_whose_server_is_behind_the_dropped_direction_are_part_of_it():
    of = world()
    of.dns = [Endpoint("10.244.2.99", 53, "coredns-1", "node2")]

    def drop(s: Source, t: Target, e: Expected) -> Observation | None:
        asks = t.kind in ("dns", "name") and s.node == "node1" and not s.host_network
        return blocked(Outcome.DNS, "DNS server does not answer") if asks else pods_1_to_2(s, t, e)

    found = diagnose(tables(drop, of=of), of)
    assert [(f.key, f.subject) for f in found] == [("pod network in one direction", "node1 to node2")]


def test_what_no_cause_explains_is_said_to_be_unexplained_and_shown_as_a_pattern():
    def odd(s: Source, t: Target, e: Expected) -> Observation | None:
        return by("a stranger") if t.kind == "pod" and s.name == "on-node1" and t.pod == "on-node2" else None

    found = diagnose(tables(odd, of=WORLD), WORLD)
    assert [f.key for f in found] == ["unknown"]
    assert found[0].confidence == "not explained"
    assert "not explained by any single cause" in found[0].sentence
    assert "source node node1" in found[0].sentence


def test_a_finding_asks_whether_the_pod_address_works_when_the_service_does_not():
    found = diagnose(tables(proxy_of_node2, of=WORLD), WORLD)[0]
    again, direct = found.follow_ups
    assert again.wanted == "fails"
    assert again.target.kind == "vip"
    assert direct.wanted == "works"
    assert direct.target.kind == "pod"
    assert direct.source.node == "node2"
    assert found.confidence == "likely"
    again.answer = direct.answer = "yes"
    assert found.confidence == "likely", "other causes fit these answers as well"
    direct.answer = "no"
    assert found.confidence == "in doubt"
    assert ": NO (" in found.text()


def test_a_proxy_that_stands_still_is_told_from_one_without_rules():
    of = world()
    for service in of.services:
        if service["metadata"]["name"] in ("to-on-node3", "spread", "sticky"):
            service["metadata"]["creationTimestamp"] = "2026-01-01T00:10:00Z"

    def stale(s: Source, t: Target, e: Expected) -> Observation | None:
        new = t.service in ("to-on-node3", "spread", "sticky")
        here = (s.node == "node2" and t.kind == "vip") or (t.kind == "nodeport" and t.node == "node2")
        return blocked() if new and here else None

    found = diagnose(tables(stale, of=of), of)
    assert [(f.key, f.subject) for f in found] == [("stale proxy of node", "node2")]
    assert "2026-01-01T00:10:00Z" in found[0].sentence


def test_ten_nodes_are_diagnosed_in_seconds():
    plan = layout(nodes=10)
    of = world(plan)
    everything = tables(proxy_of_node2, plan=plan, of=of)
    found = diagnose(everything, of)
    assert [(f.key, f.subject) for f in found] == [("service proxy of node", "node2")]


def late(milliseconds: float, *names: str) -> Observation:
    seen = by(*names)
    seen.slowest_ms = milliseconds
    return seen


def slow_pod(s: Source, t: Target, e: Expected) -> Observation | None:
    if (
        e.responders == {"on-node3"}
        and t.protocol == "TCP"
        and not (t.extra.startswith("size=") or t.probe == "udpsize")
    ):
        return late(900, "on-node3")
    return None


def no_default_route(s: Source, t: Target, e: Expected) -> Observation | None:
    ends = nodes_of(t, e)
    if t.kind == "dns" and s.name == "on-node2":
        return blocked(Outcome.DNS, "DNS server does not answer")
    if s.name == "on-node2" and wants(e) and ends != {"node2"}:
        return blocked(Outcome.UNREACHABLE, "Network unreachable")
    if e.responders == {"on-node2"} and s.node != "node2":
        return blocked()
    return None


def one_node_port(s: Source, t: Target, e: Expected) -> Observation | None:
    if t.service == "nodeport" and t.node == "node2" and t.protocol == "TCP" and s.node != "node2":
        return blocked()
    return None


def loss_between_1_and_2(s: Source, t: Target, e: Expected) -> Observation | None:
    chosen = sum(map(ord, s.name + t.name + t.protocol + t.kind)) % 10 < 5
    if wants(e) and t.kind == "pod" and {s.node, t.node} == {"node1", "node2"} and chosen:
        return Observation(
            Outcome.TIMEOUT, responders=Counter(e.responders or ["-"]), failures=Counter({"timed out": 2})
        )
    return None


@pytest.mark.parametrize(
    ("fault", "key", "subject"),
    [
        (slow_pod, "slow pod", "on-node3"),
        (no_default_route, "pod reaches its own node only", "on-node2"),
        (one_node_port, "node port at node", "nodeport TCP at node2"),
        (loss_between_1_and_2, "loss between nodes", "node1 and node2"),
    ],
)
def test_faults_that_were_found_by_hand(fault, key, subject):
    found = diagnose(tables(fault, of=WORLD), WORLD)
    assert [(f.key, f.subject) for f in found[:1]] == [(key, subject)], [f.sentence for f in found]


def test_loss_is_confirmed_when_some_of_many_connections_fail():
    finding = diagnose(tables(loss_at_node3, of=WORLD), WORLD)[0]
    (question,) = finding.follow_ups
    assert question.target.repeat > 10
    question.settle(
        Observation(Outcome.TIMEOUT, responders=Counter(a=20), failures=Counter({"timed out": 4})), right=False
    )
    assert finding.confidence == "confirmed"
    assert "4 of 24 failed" in finding.text()


def test_dns_servers_are_asked_by_address_and_the_answer_says_where_to_look():
    of = world()
    of.dns = [Endpoint("10.244.3.2", 53, "coredns-1", "node3")]

    def down(s: Source, t: Target, e: Expected) -> Observation | None:
        return blocked(Outcome.DNS, "DNS server does not answer") if t.kind in ("dns", "name") else None

    finding = diagnose(tables(down, of=of), of)[0]
    question = next(q for q in finding.follow_ups if q.wanted == "tells")
    assert question.target.host == "10.244.3.2"
    question.settle(by("x"), right=True)
    assert "its Service or the proxying of it is at fault" in finding.text()


def test_a_changed_service_is_named_with_the_change():
    plan = layout()
    of = world(plan)
    of.service("to-on-node2")["spec"]["selector"] = {"app": "nobody"}
    of.drift = drift(plan, of)
    assert set(of.drift) == {"to-on-node2"}
    changed = []
    for table in tables(of=of):
        for index, cell in enumerate(table.cells):
            if cell.target.service == "to-on-node2":
                table.cells[index] = dataclasses.replace(
                    cell, right=False, symptom="object", why=of.drift["to-on-node2"]
                )
        changed.append(table)
    (finding,) = diagnose(changed, of)
    assert finding.key == "service changed"
    assert "selector is app=nobody instead of netlibrary.io/pod=on-node2" in finding.sentence


def test_what_is_as_it_was_made_does_not_drift():
    assert drift(layout(), world()) == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["spec"]["ports"].pop(0), "port 80/TCP is missing"),
        (lambda s: s["spec"]["ports"][0].update(targetPort=9999), "targetPort of 80/TCP is 9999 instead of 8080"),
        (lambda s: s["spec"].update(sessionAffinity="ClientIP"), "sessionAffinity is ClientIP instead of None"),
        (lambda s: s["metadata"].update(labels={"service.kubernetes.io/headless": ""}), "it has the label"),
    ],
)
def test_every_change_of_a_service_has_its_words(change, words):
    plan = layout()
    of = world(plan)
    change(of.service("to-on-node1"))
    assert words in drift(plan, of)["to-on-node1"]


def test_pods_and_services_that_are_gone_and_endpoints_that_lag_are_told():
    plan = layout()
    of = world(plan)
    for pod in of.pods:
        pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    of.pods = [p for p in of.pods if p["metadata"]["name"] != "on-node2"]
    of.services = [s for s in of.services if s["metadata"]["name"] != "spread"]
    of.pod("on-node1")["status"]["podIP"] = "10.244.1.99"
    found = drift(plan, of)
    assert found["on-node2"] == "pod 'on-node2' no longer exists"
    assert found["spread"] == "Service 'spread' no longer exists"
    assert "its EndpointSlices lack the ready pod 'on-node1'" in found["to-on-node1"]


def nowhere(s: Source, t: Target, e: Expected) -> Observation | None:
    return by("o.example.") if e.an_address else None


def resolvers_dead(s: Source, t: Target, e: Expected) -> Observation | None:
    return blocked(Outcome.DNS, "DNS SERVFAIL") if e.an_address else None


@pytest.mark.parametrize(
    ("fault", "key"), [(nowhere, "dns outside"), (resolvers_dead, "dns outside"), (dns_down, "dns"), (None, "")]
)
def test_a_name_outside_that_leads_nowhere_is_told_from_a_dead_dns(fault, key):
    plan = dataclasses.replace(layout(), external_name="o.example")
    of = world(plan)
    found = diagnose(tables(fault, plan=plan, of=of), of)
    assert [f.key for f in found] == ([key] if key else []), [f.sentence for f in found]


def starved_pod(s: Source, t: Target, e: Expected) -> Observation | None:
    if s.name == "on-node3":
        return Observation(Outcome.ERROR, "the prober did not finish within 17 s")
    return slow_pod(s, t, e)


def prober_lost(s: Source, t: Target, e: Expected) -> Observation | None:
    return Observation(Outcome.ERROR, "the connection was lost") if s.name == "on-node3" else None


@pytest.mark.parametrize(
    ("fault", "key"),
    [(starved_pod, "pod starved"), (slow_pod, "slow pod"), (prober_lost, "source not probed")],
)
def test_a_starved_pod_is_told_from_a_slow_server_and_from_a_lost_prober(fault, key):
    found = diagnose(tables(fault, of=WORLD), WORLD)
    assert [(f.key, f.subject) for f in found] == [(key, "on-node3")], [f.sentence for f in found]


def test_a_starved_pod_that_answers_once_in_a_while_is_not_refuted_by_that():
    (found,) = diagnose(tables(starved_pod, of=WORLD), WORLD)
    assert [question.text for question in found.follow_ups] == ["other pods answer each other at once"]


def resolver_of_node2(s: Source, t: Target, e: Expected) -> Observation | None:
    if s.name == "on-node2" and t.kind in ("dns", "name"):
        return blocked(Outcome.DNS, "DNS server does not answer")
    return None


def at_another_server(*pods: str, own: tuple[str, ...] = ("10.96.0.10",)):
    files = {f"on-node{n}": ("192.0.2.53",) if f"on-node{n}" in pods else ("10.96.0.10",) for n in (1, 2, 3)}
    return dataclasses.replace(WORLD, dns_service=own, resolvers=files)


def test_a_resolver_file_with_another_server_is_no_dead_dns():
    found = diagnose(tables(resolver_of_node2), at_another_server("on-node2"))[0]
    assert (found.key, found.subject) == ("dns asks another server", "on-node2")
    assert "192.0.2.53" in found.sentence and "10.96.0.10" in found.sentence
    question = found.follow_ups[-1]
    assert question.wanted == "excludes" and question.target.host == "10.96.0.10"
    assert found.confidence == "likely"
    question.answer = "yes"
    assert found.confidence == "confirmed", "the cluster's DNS answers the same pod, so it and the way to it are well"
    question.answer = "no"
    assert found.confidence == "in doubt"


def test_a_resolver_file_that_names_the_clusters_dns_or_a_cache_of_the_node_is_not_accused():
    for server in ("10.96.0.10", "169.254.20.10"):
        files = {f"on-node{n}": (server,) for n in (1, 2, 3)}
        healthy = dataclasses.replace(WORLD, dns_service=("10.96.0.10",), resolvers=files)
        assert diagnose(tables(resolver_of_node2), healthy)[0].key != "dns asks another server"


def test_without_knowing_the_clusters_dns_no_resolver_file_is_accused():
    assert (
        diagnose(tables(resolver_of_node2), at_another_server("on-node2", own=()))[0].key != "dns asks another server"
    )


def udp_of_pods_1_to_2(s: Source, t: Target, e: Expected) -> Observation | None:
    return pods_1_to_2(s, t, e) if t.protocol == "UDP" and t.kind in ("pod", "vip") else None


def test_one_protocol_between_pods_one_way_is_not_blamed_on_services():
    found = diagnose(tables(udp_of_pods_1_to_2), WORLD)
    assert [(f.key, f.subject) for f in found] == [("protocol between pods in one direction", "UDP node1 to node2")]


def tcp_refused_to_host_1(s: Source, t: Target, e: Expected) -> Observation | None:
    mine = s.name == "host-node1" and t.protocol == "TCP" and t.kind == "pod" and not t.name.startswith("host-")
    return blocked(Outcome.REFUSED, "Connection refused") if mine and t.node != "node1" else None


def test_a_source_that_is_refused_over_one_protocol_has_lost_nothing():
    found = diagnose(tables(tcp_refused_to_host_1), WORLD)[0]
    assert (found.key, found.subject) == ("source protocol", "host-node1 TCP")
