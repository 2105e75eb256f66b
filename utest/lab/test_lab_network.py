"""Wires of a lab, made in a network namespace that stands for the machine."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from NetLibrary.lab import network
from NetLibrary.lab.plan import AddressPlan

PLAN = AddressPlan(f"u{os.getpid() % 100000}", 7, 2)


def test_masquerade_spares_traffic_between_pods():
    rules = network._masquerade(PLAN)
    assert f"ip saddr {PLAN.all_pods} ip daddr != {PLAN.all_pods}" in rules
    assert "ip6" not in rules
    assert "ip6 saddr" in network._masquerade(AddressPlan("x", 7, 2, families=("ipv4", "ipv6")))


def test_prefixes_of_all_routing_tables_are_read(monkeypatch):
    answers = {"-4": '[{"dst": "default"}, {"dst": "198.18.0.0/24"}]', "-6": '[{"dst": "fd00::/64"}]'}
    monkeypatch.setattr(network, "run", lambda *words: answers[words[1]])
    assert network.addresses_in_use() == ["198.18.0.0/24", "fd00::/64"]


@pytest.mark.root
@pytest.mark.parametrize(("dual", "own"), [(False, True), (True, True), (False, False)])
def test_wires_are_made_usable_and_removed_without_a_trace(dual, own):
    """Runs in own network and mount namespaces, so that neither interfaces nor names of the machine are touched."""
    code = textwrap.dedent(f"""
        import json, subprocess
        from NetLibrary.lab import network
        from NetLibrary.lab.plan import AddressPlan
        plan = AddressPlan({PLAN.name!r}, 7, 2, families={("ipv4", "ipv6") if dual else ("ipv4",)})

        def look():
            words = ["ls /run", "ip -br link", "ip route", "ip -6 route", "nft list ruleset", "ip netns", "ip rule", "ip -6 rule"]
            return [subprocess.run(w.split(), capture_output=True, text=True).stdout for w in words]

        if {dual}:
            subprocess.run("iptables -P FORWARD DROP; iptables -P INPUT DROP", shell=True)  # as container engines and ufw do
        if {dual}:  # container engines and ufw set these policies
            subprocess.run("iptables -P FORWARD DROP; iptables -P INPUT DROP", shell=True)
        before = look()
        assert network.claim(plan)
        assert not network.claim(plan)
        network.create(plan, 1400, own={own})
        during = look()
        ping = lambda netns, to: subprocess.run(
            ["ip", "netns", "exec", netns, "ping", "-c1", "-W2", to], capture_output=True).returncode
        pings = [ping(plan.netns(1), plan.node_address(2)), ping(plan.netns(1), plan.host),
                 ping(plan.outside_netns, plan.node_address(2))]
        if {dual}:
            pings.append(ping(plan.netns(1), plan.node_address_v6(2)))
        unserved = subprocess.run(["ip", "netns", "exec", plan.netns(1), "ping", "-c1", "-W2", str(plan.services[9])],
                                  capture_output=True, text=True).stdout
        network.remove(plan)
        network.forget_namespaces_folder()
        after = look()
        network.remove(plan)
        print(json.dumps([before, during, after, pings, unserved]))
    """)
    # What the machine forwards decides what a new namespace does: a lab sets it for itself, and so does this test
    forwards = "echo 1 | tee /proc/sys/net/ipv4/ip_forward > /proc/sys/net/ipv6/conf/all/forwarding"
    script = f'mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && ip link set lo up && {forwards} && exec "$@"'
    words = ["unshare", "--net", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    before, during, after, pings, unserved = json.loads(done.stdout.splitlines()[-1])
    assert before == after
    assert PLAN.bridge in during[1]
    # The API server's proxy to pods goes there, whoever connects them; without, it asked the machine's default route
    assert all(f"{PLAN.pods(n)} via {PLAN.node_address(n)}" in during[2] for n in (1, 2))
    assert f"unreachable {PLAN.all_pods} metric 4096" in during[2]
    # ... and a node that has lost a route to pods does not reach them by way of the machine
    assert f"to {PLAN.all_pods} iif {PLAN.bridge} unreachable" in during[6]
    assert ("netns" in before[0], "netns" in during[0]) == (False, True)
    assert pings == [0] * len(pings)
    assert "Destination Host Unreachable" in unserved
