"""The state of a suspected node against that of healthy ones: what differs is the mechanism."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from synthetic import layout, sources, world

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.matrix import looking
from NetLibrary._mechanics.matrix.causes.rules import At
from NetLibrary._mechanics.matrix.explain.diagnose import Finding
from NetLibrary._mechanics.matrix.explain.look import differences, in_pods
from NetLibrary._mechanics.matrix.model.objects import services
from NetLibrary._mechanics.matrix.model.types import Cell, Expected
from NetLibrary._mechanics.matrix.probe.lookers import Lookers, looker
from NetLibrary._mechanics.matrix.probe.state import parse
from NetLibrary._mechanics.matrix.testbed import Options, Testbed
from NetLibrary._mechanics.probing.types import Observation, Outcome, Target

POD = {1: "10.244.1.10", 2: "10.244.2.10", 3: "10.244.3.10"}


def said(number, *, extra="", **changes):
    """What the script says on a healthy node of three, with changes by section or plain replacements."""
    ways = [
        f"{POD[n]} {POD[n]} "
        + ("dev cni0 src x" if n == number else f"via 172.30.0.{n} dev eth0 src 172.30.0.{number}")
        for n in (1, 2, 3)
    ]
    parts = {
        "sysctl": "ipv4/ip_forward:1\nipv4/conf/all/rp_filter:0\nipv4/conf/eth0/rp_filter:0\n"
        "ipv4/conf/veth12345678/rp_filter:0\nnetfilter/nf_conntrack_count:50\nnetfilter/nf_conntrack_max:1000",
        "links": "2: eth0@if12: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n"
        "3: cni0: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP bridge x\n"
        f"8: veth{number}a810057@if2: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master cni0 state UP",
        "ports": f"8: veth{number}a810057@if2: <UP> mtu 1500 hairpin on guard off learning on flood on isolated off",
        "qdisc": "qdisc noqueue 0: dev eth0 root refcnt 2",
        "routes": "default via 172.30.0.254 dev eth0",
        "rules": "0:\tfrom all lookup local\n32766:\tfrom all lookup main",
        "neighbours": "172.30.0.9 dev eth0 lladdr 02:00:00:00:00:09 REACHABLE",
        "tunnels": "02:00:00:00:00:33 dev flannel.1 dst 172.30.0.3 self permanent\n33:33:00:00:00:01 dev eth0 self\n"
        "02:00:00:00:00:11 dev flannel.1 dst 172.30.0.1 self permanent",
        "ways": "\n".join(ways),
        "proxy": '10256 {"healthy":true}\n10249 iptables',
        "kubelet": "ok",
        "firewall": "table ip nat {\n\tchain KUBE-SVC-A {\n"
        + "\t\tcounter packets 1 bytes 2 jump KUBE-SEP-X\n" * 10
        + "\t}\n}\ntable inet own {\n\tchain post {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
        "\t\tip saddr 10.244.0.0/16 masquerade\n\t}\n}",
        "pods": f"P {POD[number]}\n=R\ndefault via 10.244.{number}.1 dev eth0\n"
        "=L\n2: eth0@if8: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP",
    }
    parts.update({k: parts[k].replace(*v) if isinstance(v, tuple) else v for k, v in changes.items()})
    return "\n".join(f"@@{name}\n{text}" for name, text in parts.items()) + extra


def states(**changes):
    """Three nodes, of which the second has the changes."""
    texts = {f"node{n}": said(n, **(changes if n == 2 else {})) for n in (1, 2, 3)}
    return {node: parse(node, text) for node, text in texts.items()}


def found(**changes):
    return differences("node2", states(**changes))


def test_healthy_nodes_do_not_differ():
    for node in ("node1", "node2", "node3"):
        assert differences(node, states()) == []
        assert in_pods(node, states(), list(POD.values())) == []


STRANGE = "table inet strange {\n\tchain f {\n\t\ttype filter hook prerouting priority -300; policy accept;\n"


@pytest.mark.parametrize(
    ("changes", "words", "command"),
    [
        ({"sysctl": ("ip_forward:1", "ip_forward:0")}, "does not forward packets", "sysctl -w net.ipv4.ip_forward=1"),
        ({"sysctl": ("eth0/rp_filter:0", "eth0/rp_filter:1")}, "reverse path filter is strict", "rp_filter=0"),
        ({"sysctl": ("count:50", "count:990")}, "connection tracking table is full (990 of 1000)", "nf_conntrack_max"),
        ({"links": ("mtu 1500 qdisc noqueue state UP\n3", "mtu 1000 qdisc x state UP\n3")}, "MTU of 'eth0' is 1000",
         "ip link set eth0 mtu 1500"),
        ({"links": ("cni0: <BROADCAST,UP,", "cni0: <BROADCAST,")}, "'cni0' is down", "ip link set cni0 up"),
        ({"links": ("veth2a810057@if2: <BROADCAST,UP,LOWER_UP> mtu 1500", "veth2a810057@if2: <UP,LOWER_UP> mtu 1200")},
         "MTU of the pods' devices is 1200, and 1500", "ip link set VETH mtu 1500"),
        ({"qdisc": "qdisc netem 8001: dev eth0 root refcnt 2 limit 1000 loss 10%"}, "kind 'netem", "tc qdisc del dev eth0"),
        ({"routes": "blackhole 10.244.3.0/24"}, "blackhole 10.244.3.0/24", "ip route del blackhole 10.244.3.0/24"),
        ({"ways": (f"{POD[3]} {POD[3]} via", f"{POD[3]} RTNETLINK answers: Network is unreachable")}, "no route to the pod",
         "ip route get 10.244.3.10"),
        ({"rules": "0:\tfrom all lookup local\n99:\tfrom 10.244.2.10 lookup 99"}, "routing policy differs", "ip rule"),
        ({"neighbours": "172.30.0.9 dev eth0 lladdr 02:00:00:00:00:99 PERMANENT"}, "link address 02:00:00:00:00:99",
         "ip neigh del 172.30.0.9"),
        ({"ways": (f"{POD[3]} {POD[3]} via 172.30.0.3", f"{POD[3]} {POD[3]} via 172.30.0.1")},
         "10.244.3.10 go to 172.30.0.1, on the other nodes to 172.30.0.3", "ip route get 10.244.3.10"),
        ({"tunnels": "02:00:00:00:00:33 dev flannel.1 dst 172.30.0.1 self permanent"},
         "'flannel.1' sends packets for 02:00:00:00:00:33 to 172.30.0.1, on the other nodes to 172.30.0.3",
         "bridge fdb replace 02:00:00:00:00:33 dev flannel.1 dst 172.30.0.3 self permanent"),
        ({"ports": ("hairpin on", "hairpin off")}, "hairpin mode of the pods' bridge ports is off", "hairpin on"),
        ({"firewall": ("table inet own", STRANGE + "\t\tudp dport 8080 drop\n\t}\n}\ntable inet own")},
         "'udp dport 8080 drop' (table inet strange, chain f)", "nft -a list chain inet strange f"),
        ({"firewall": ("jump KUBE-SEP-X\n" * 1, "")}, "", ""),
        ({"proxy": "10256 \n10249 "}, "kube-proxy does not answer", "kube-proxy"),
        ({"kubelet": ""}, "kubelet does not answer", "kubelet"),
    ],
)  # fmt: skip
def test_what_differs_is_named_with_the_command_that_mends_it(changes, words, command):
    texts = found(**changes)
    assert any(words in d.text and command in d.command for d in texts) or not words, texts


def test_a_healthy_node_is_not_blamed_by_one_whose_route_is_stale():
    """Of three nodes only two send packets to a pod of the third: each says otherwise than the other."""
    of = states(ways=(f"{POD[3]} {POD[3]} via 172.30.0.3", f"{POD[3]} {POD[3]} via 172.30.0.1"))
    assert any("go to 172.30.0.1" in d.text for d in differences("node2", of))
    assert differences("node1", of) == []
    foreign = states(ways=(f"{POD[3]} {POD[3]} via 172.30.0.3", f"{POD[3]} {POD[3]} via 172.30.0.77"))
    assert differences("node1", foreign) == differences("node2", foreign) == [], (
        "one witness, and nothing else against it"
    )


def test_a_lost_route_is_seen_by_what_follows_the_default_route():
    """Where nodes route for themselves the device is the same; only the next hop tells."""
    lost = (f"{POD[3]} {POD[3]} via 172.30.0.3", f"{POD[3]} {POD[3]} via 172.30.0.254")
    of = states(ways=lost)
    assert any(f"{POD[3]} follow the default route to 172.30.0.254" in d.text for d in differences("node2", of))
    assert any("default route" in d.text for d in differences("node2", of, ["node2", "node3"])), "one witness is enough"
    assert differences("node1", of) == []


def test_nodes_whose_gateways_route_to_pods_are_not_told_apart_by_them():
    """As in clouds: each node leaves it to the gateway of its own network."""
    texts = {}
    for n, gateway in ((1, "172.30.0.254"), (2, "172.31.0.254"), (3, "172.30.0.254")):
        ways = "\n".join(f"{p} {p} " + ("dev cni0" if m == n else f"via {gateway} dev eth0") for m, p in POD.items())
        texts[f"node{n}"] = said(n, ways=ways, routes=f"default via {gateway} dev eth0")
    of = {node: parse(node, text) for node, text in texts.items()}
    assert not [d for n in of for d in differences(n, of) if "the pod" in d.text]


def test_missing_service_rules_are_counted():
    emptied = said(2).split("@@firewall")[0] + "@@firewall\ntable ip nat {\n\tchain KUBE-SVC-A {\n\t}\n}\n"
    of = states()
    of["node2"] = parse("node2", emptied)
    assert any("rules for Services are missing: 0" in d.text for d in differences("node2", of))


def test_a_rule_to_which_no_packet_has_come_is_no_mechanism():
    rule = STRANGE + "\t\tudp dport 8080 counter packets 0 bytes 0 drop\n\t}\n}\ntable inet own"
    assert found(firewall=("table inet own", rule)) == []


def test_a_rule_of_which_nft_leaves_out_the_target_elsewhere_is_no_difference():
    """flannel's masquerading on three healthy nodes: nft found the target MASQUERADE on one of them only."""
    of = states()
    for node, rest in (("node1", ""), ("node2", " masquerade fully-random"), ("node3", "")):
        rule = f"ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4  counter packets 2 bytes 120{rest}"
        of[node].firewall = [*of[node].firewall, f"table ip nat, chain FLANNEL-POSTRTG: {rule}"]
    assert all(differences(node, of) == [] for node in of)
    of["node2"].firewall[-1] = of["node2"].firewall[-1].replace("masquerade fully-random", "drop")
    assert any("drop' (table ip nat, chain FLANNEL-POSTRTG" in d.text for d in differences("node2", of))


def test_tunnels_that_have_a_name_for_each_peer_are_not_missing_at_the_peer():
    """As kube-router makes them between networks: no node has one to itself."""
    of = states()
    for node, state in of.items():
        state.links |= {f"tun-{peer}": dict(state.links["eth0"]) for peer in of if peer != node}
    assert all(differences(node, of) == [] for node in of)
    del of["node2"].links["tun-node1"], of["node2"].links["cni0"]
    of["node1"].links["tun-node1"] = of["node3"].links["tun-node2"] = dict(of["node1"].links["eth0"])
    assert any("'cni0' is missing" in d.text for d in differences("node2", of))


def test_rules_of_which_nft_shows_half_are_no_difference():
    """kube-router's masquerading by ipset, as nft showed it on two healthy nodes of one lab."""
    of = states()
    for node, rest in (("node1", ""), ("node2", " masquerade fully-random"), ("node3", "")):
        of[node].firewall = [
            *of[node].firewall,
            f"table ip nat, chain POSTROUTING: xt match set counter packets 5 bytes 9{rest}",
        ]
    assert all(differences(node, of) == [] for node in of)
    of["node1"].firewall = ["table ip filter, chain INPUT: xt match string counter packets 5 bytes 9 drop"]
    assert any("xt match string" in d.text for d in differences("node1", of))


def test_rules_of_every_node_are_no_difference_though_their_counters_differ():
    assert found(firewall=("masquerade", "counter packets 7 bytes 8 masquerade")) != []
    assert found(firewall=("packets 1 bytes 2", "packets 700 bytes 8000")) == []


def test_a_rule_inside_a_pod_is_found_and_its_default_route_is_missed():
    of = states(pods=(f"P {POD[2]}", f'P {POD[2]}\n=F\n\t\tiifname != "lo" drop'))
    assert any("drop" in d.text and POD[2] in d.text for d in in_pods("node2", of, list(POD.values())))
    of = states(pods=("default via 10.244.2.1 dev eth0\n", ""))
    assert any("no default route" in d.text for d in in_pods("node2", of, list(POD.values())))
    of = states(pods=("via 10.244.2.1", "via 10.244.2.253"))
    assert any("default via 10.244.2.253" in d.text for d in in_pods("node2", of, list(POD.values())))


def test_a_node_that_cannot_be_asked_differs_in_nothing():
    assert differences("node9", states()) == []


def test_a_route_that_all_others_have_and_one_has_not_is_found():
    route = "@@links\n@@routes\ndefault via 172.30.0.254 dev eth0\n10.96.0.0/12 via 172.30.0.254 dev eth0\n"
    whole = {name: parse(name, route) for name in ("b", "c")}
    lacking = parse("a", "@@links\n@@routes\ndefault via 172.30.0.254 dev eth0\n10.1.2.3 dev eth0\n")
    found = differences("a", {"a": lacking, **whole})
    assert [d.text for d in found] == ["there is no route to 10.96.0.0/12, which the other nodes have"]
    assert not differences("b", {"a": lacking, **whole}), "a network that not all others have says nothing"


def test_the_pod_that_looks_may_read_rules_and_change_nothing():
    made = looker(layout(), "look-1", "node1")
    container = made["spec"]["containers"][0]
    rights = container["securityContext"]
    assert made["spec"]["hostNetwork"] and not made["spec"]["automountServiceAccountToken"]
    assert rights["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_CHROOT"]}
    assert rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"] and "privileged" not in rights
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    selectors = [s["spec"].get("selector") or {"none": ""} for s in services(layout())]
    labels = made["metadata"]["labels"]
    assert not any(selector.items() <= labels.items() for selector in selectors), "it is behind no Service"


class Cluster:
    """A cluster that takes some pods that look, and runs them at once."""

    lab, run_id = None, "run"

    def __init__(self, refuses: str = "") -> None:
        self.refuses, self.made = refuses, []

    def create(self, made):
        if self.refuses:
            raise errors.Forbidden(self.refuses, status=403)
        self.made.append({**made, "status": {"phase": "Running"}})

    def list(self, kind, namespace=None, labels=""):
        return self.made


def test_where_the_pod_that_looks_is_refused_the_reason_is_told_once_and_the_others_look():
    bed = Testbed(Cluster("violates PodSecurity"), Options("matrix-test", "agnhost:1"), layout(), None)
    looking = Lookers(bed)
    assert looking.names(["node1", "node2"]) == {} == looking.names(["node1", "node2"])
    assert len(bed.notes) == 1 and "violates PodSecurity" in bed.notes[0]


def test_pods_that_look_are_started_once_and_only_where_they_are_wanted():
    bed = Testbed(Cluster(), Options("matrix-test", "agnhost:1"), layout(), None)
    looking = Lookers(bed)
    assert looking.names(["node1", "node2"]) == looking.names([]) == {"node1": "look-1", "node2": "look-2"}
    unwanted = Testbed(Cluster(), Options("matrix-test", "agnhost:1", look_at_nodes=False), layout(), None)
    assert Lookers(unwanted).names(["node1"]) == {} and not unwanted.cluster.made


def test_pods_that_an_earlier_look_has_started_are_no_refusal():
    cluster = Cluster()
    bed = Testbed(cluster, Options("matrix-test", "agnhost:1"), layout(), None)
    first = Lookers(bed).names(["node1"])

    def there(made):
        raise errors.AlreadyExists("pods look-1 already exists", status=409)

    cluster.create = there
    assert Lookers(bed).names(["node1"]) == first == {"node1": "look-1"} and not bed.notes


def test_a_default_route_that_leads_elsewhere_is_found():
    gateways = {"a": 9, "b": 1, "c": 1}
    nodes = {n: parse(n, f"@@links\n@@routes\ndefault via 172.30.0.{g} dev eth0\n") for n, g in gateways.items()}
    found = differences("a", nodes)
    assert [d.text for d in found] == ["the default route leads to 172.30.0.9, on the other nodes to 172.30.0.1"]
    assert "route to pods" not in found[0].explains


def finding(key: str, *cells: Cell) -> Finding:
    return Finding(key, "node2" if key != "unknown" else "pattern", f"{key}.", list(cells))


def looking_at(monkeypatch) -> looking.Looking:
    """A look at nodes of which node2 alone has a rule that drops packets."""
    rule = "@@links\n@@firewall\ntable inet t {\nchain c {\nudp dport 9 drop\n}\n}\n"
    states = {"node1": parse("node1", "@@links\n"), "node2": parse("node2", rule), "node3": parse("node3", "@@links\n")}
    monkeypatch.setattr(looking, "read_all", lambda bed, lookers: states)
    bed = Testbed(Cluster(), Options("matrix-test", "agnhost:1"), layout(), None)
    bed.world = world()
    bed.sources = sources(bed.layout, bed.world)
    return looking.Looking(bed)


def looked(monkeypatch, *findings: Finding) -> list[Finding]:
    return looking_at(monkeypatch).name(findings)


def cell(source: str, node: str, *answer: str) -> Cell:
    of = world()
    start = next(s for s in sources(layout(), of) if s.name == source)
    expected = Expected(frozenset({Outcome.CONNECTED}), frozenset(answer))
    target = Target(node, "nodeport", "1", 80, node=node)
    return Cell(start, target, expected, Observation(Outcome.TIMEOUT), False, "blocked")


def test_what_names_one_finding_is_not_taken_for_cells_that_nothing_explains(monkeypatch):
    everywhere = cell("outside", "node1", "on-node1", "on-node2", "on-node3")
    first, rest = looked(monkeypatch, finding("protocol at node", everywhere), finding("unknown", everywhere))
    assert first.confidence == "confirmed" and "udp dport 9 drop" in first.sentence
    assert (rest.key, rest.confidence) == ("unknown", "not explained")
    assert looking_at(monkeypatch).join([first, rest]) == [first, rest], "these pass every node"


def test_cells_that_pass_where_a_named_mechanism_is_all_that_differs_are_no_second_finding(monkeypatch):
    """A stale route changes client addresses as well: it was printed as three findings, two of them false."""
    look = looking_at(monkeypatch)
    here, elsewhere = cell("on-node2", "node2", "on-node2"), cell("on-node1", "node1", "on-node3")
    first = finding("protocol at node", here)
    first.candidate = SimpleNamespace(at=At("node2"), key="")
    for key in ("unknown", "target pod"):
        joined = look.join(look.name([first, finding(key, here)]))
        assert [(f.key, len(f.evidence), f.besides) for f in joined] == [("protocol at node", 2, 1)]
    assert "Of them, 1 are not part of its pattern" in joined[0].text()
    state = look.name([finding("unknown", here)])
    assert [f.key for f in look.join([*state, *look.name([finding("target pod", here)])])] == ["node state"]
    for key in ("unknown", "target pod"):
        assert len(look.join(look.name([first, finding(key, here, elsewhere)]))) == 2, "some pass another place"


def test_a_difference_of_a_node_that_takes_part_no_more_than_others_confirms_nothing(monkeypatch):
    everywhere = cell("outside", "node1", "on-node1", "on-node2", "on-node3")
    (found,) = looked(monkeypatch, finding("unknown", everywhere))
    assert (found.key, found.confidence) == ("node state", "likely")
    (found,) = looked(monkeypatch, finding("unknown", cell("on-node2", "node2", "on-node2")))
    assert (found.key, found.confidence) == ("node state", "confirmed")


def test_what_devices_have_that_others_have_not_is_found():
    def text(**changes):
        return " ".join(d.text for d in found(**changes))

    assert "have 'isolated on', on the other nodes 'isolated off'" in text(ports=("isolated off", "isolated on"))
    policy = "src 10.244.2.0/24 dst 10.244.1.0/24 \\\tdir out priority 0 \\\ttmpl src 1.1.1.1 dst 1.1.1.2"
    assert "IPsec policy" in text(ipsec=policy)
    drops = "filter parent ffff: protocol ip pref 1 u32\n  match 0a0a/ffff at 12\n\taction order 1: gact action drop"
    assert "'eth0' drops packets" in text(filters=f"D eth0\n{drops}\nD eth0")
    others = "filter parent ffff: protocol all pref 1 bpf cil_from_netdev direct-action"
    assert text(filters=f"D eth0\n{others}\nD eth0") == ""


def test_a_neighbour_that_is_set_by_hand_in_one_pod_is_found():
    line = "=N\n10.244.2.1 dev eth0 lladdr 02:00:00:00:00:77 {0}\n=R\ndefault via"
    of = states(pods=("=R\ndefault via", line.format("PERMANENT")))
    assert any("PERMANENT" in d.text for d in in_pods("node2", of, list(POD.values())))
    of = states(pods=("=R\ndefault via", line.format("STALE")))
    assert in_pods("node2", of, list(POD.values())) == []


def test_an_address_of_a_pod_on_a_node_is_found():
    of = states()
    for node, state in of.items():
        state.addresses = {"cni0": f"10.244.{node[-1]}.1"}
    of["node1"].taken = [("lo", POD[2])]
    assert any(POD[2] in d.text and "'lo'" in d.text for d in differences("node1", of))
    of["node2"].links["cni0"] = {"mtu": "1500", "up": "yes"}
    of["node2"].addresses = {}
    assert any("'cni0' has no address" in d.text for d in differences("node2", of))


def test_a_rule_of_the_routing_policy_is_found_where_every_node_has_rules_for_the_pods_of_the_others():
    of = states()
    for number, (_, state) in enumerate(of.items(), 1):
        state.policy_rules = ["0: from all lookup local"]
        state.policy_rules += [f"177: from all to 10.244.{n}.0/24 lookup 177" for n in (1, 2, 3) if n != number]
    assert all(differences(node, of) == [] for node in of)
    of["node2"].policy_rules.append("50: from 10.244.2.0/24 to 10.244.3.0/24 prohibit")
    assert any("50: from 10.244.2.0/24" in d.text for d in differences("node2", of))
    of["node3"].policy_rules = ["0: from all lookup local"]
    assert any("missing: 177" in d.text for d in differences("node3", of))


def test_an_empty_chain_that_masquerades_for_the_proxy_is_found():
    of = states()
    for state in of.values():
        state.service_chains["KUBE-POSTROUTING"] = 3
    of["node2"].service_chains["KUBE-POSTROUTING"] = 0
    (only,) = differences("node2", of)
    assert "KUBE-POSTROUTING" in only.text
    assert only.confirms("masquerade at node")


def test_several_patterns_of_one_difference_are_one_finding():
    cells = {name: cell(name, "node2", "on-node2") for name in ("on-node1", "on-node3")}
    rule = (("node2", "a rule of the firewall that the other nodes do not have: 'drop'"),)
    one = Finding("protocol to pods in one direction", "TCP node3 to node2", "TCP is lost.", [cells["on-node3"]] * 6,
                  measured="the state of node 'node2' was read", mechanism=rule)  # fmt: skip
    two = dataclasses.replace(one, subject="TCP node1 to node2", evidence=[cells["on-node1"]] * 5)
    bed = Testbed(None, Options("matrix-test", "agnhost:1"), layout(), None)
    bed.world = world()
    (joined,) = looking.Looking(bed).join([one, two])
    assert (joined.key, joined.subject, len(joined.evidence)) == (looking.NODE_STATE, "node2", 11)
    assert joined.confidence == "confirmed" and "a rule of the firewall" in joined.sentence
    small = dataclasses.replace(two, evidence=[cells["on-node1"]])
    (joined,) = looking.Looking(bed).join([one, small])
    assert (joined.subject, joined.besides) == ("TCP node3 to node2", 1)
    other = dataclasses.replace(two, mechanism=(("node1", "net.ipv4.ip_forward is 0"),))
    assert len(looking.Looking(bed).join([one, other])) == 2


def test_a_network_without_a_bridge_whose_devices_have_names_of_their_own_does_not_differ():
    """Each pod has a device of its own, named as nobody's, and each node a tunnel for each other node."""
    of = {}
    for number in (1, 2, 3):
        others = [n for n in (1, 2, 3) if n != number]
        links = "2: eth0@if12: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\\    veth \n"
        links += f"9: pod{number}a810057@if2: <BROADCAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UP\\    veth \n"
        links += "\n".join(
            f"{10 + n}: hand{n}: <UP,LOWER_UP> mtu 1450 qdisc noqueue state UP\\    vxlan " for n in others
        )
        ways = [f"{POD[n]} {POD[n]} via 172.30.0.{n} dev hand{n} src 172.30.0.{number}" for n in others]
        ways += [f"{POD[number]} {POD[number]} dev pod{number}a810057 src 172.30.0.{number}"]
        text = said(number, links=links, ports="", tunnels="", ways="\n".join(ways),
                    qdisc=f"qdisc noqueue 0: dev eth0 root refcnt 2\nqdisc noqueue 0: dev pod{number}a810057 root refcnt 2",
                    addresses=f"2: eth0    inet 172.30.0.{number}/24 scope global eth0")  # fmt: skip
        of[f"node{number}"] = parse(f"node{number}", text, list(POD.values()), [POD[number]])
    assert {node: [d.text for d in differences(node, of)] for node in of} == {node: [] for node in of}


def test_a_neighbour_that_a_tunnel_has_an_entry_of_its_own_for_does_not_differ():
    both = "172.30.0.2 dev eth0 lladdr 02:00:00:00:00:02 STALE\n172.30.0.2 dev hand2 lladdr 0a:77:00:00:00:02 PERMANENT"
    of = states()
    of["node1"] = parse("node1", said(1, neighbours=both))
    of["node3"] = parse("node3", said(3, neighbours="\n".join(reversed(both.splitlines()))))
    assert not any("neighbour" in d.text for d in differences("node1", of))
