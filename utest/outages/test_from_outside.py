"""Paths from outside, on clusters that let nobody in from this machine."""

from __future__ import annotations

import socket

from NetLibrary._mechanics.outages.objects import OUTSIDE, SOURCE, Target
from NetLibrary._mechanics.outages.places import closed_from_here
from NetLibrary._mechanics.vantage.from_outside import missing_route, silent


def test_an_address_without_a_route_is_known_before_it_is_probed():
    assert missing_route("127.0.0.1") is None
    assert missing_route("::ffff:255.255.255.255") or missing_route("255.255.255.255.1")


def test_node_ports_behind_a_firewall_spoil_no_result(monkeypatch):
    """Clouds let nobody in from outside by default: no row of network_break had a valid result on such a cluster."""
    monkeypatch.setattr("NetLibrary._mechanics.vantage.from_outside.PATIENCE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        there, nowhere = server.getsockname()[1], taken.getsockname()[1]
        targets = [
            Target("pod on other node", SOURCE, "127.0.0.1", nowhere),
            Target("node port from outside", OUTSIDE, "127.0.0.1", nowhere),
            Target("load balancer from outside", OUTSIDE, "127.0.0.1", there),
        ]
        closed = closed_from_here(targets)
    assert [target.path for target in targets] == ["pod on other node", "load balancer from outside"]
    assert closed == [
        f"node port from outside: 127.0.0.1 port {nowhere} does not answer this machine (Connection refused); it may "
        "be outside of a firewall, or of the network that the address belongs to"
    ]


def test_a_load_balancer_gets_a_moment_until_its_address_answers():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert silent("127.0.0.1", port, patience=0) == "Connection refused"
        taken.listen()
        assert silent("127.0.0.1", port, patience=0) is None
