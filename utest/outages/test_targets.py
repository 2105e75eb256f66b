"""Targets of the user's own: where they lead; and what traffic to them tells."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.show import traffic
from NetLibrary._mechanics.outages.targets import resolve
from NetLibrary._mechanics.outages.types import OutageKind, ProbeKind, StreamResult, StreamSpec, Window
from NetLibrary.types import OutageTarget

WEB = {
    "metadata": {"name": "web"},
    "spec": {"clusterIPs": ["10.96.0.7"], "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]},
    "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}},
}
HEADLESS = {
    "metadata": {"name": "db"},
    "spec": {"clusterIPs": ["None"], "clusterIP": "None", "ports": [{"port": 5432}]},
}
OPEN = {
    "metadata": {"name": "open"},
    "spec": {"type": "NodePort", "clusterIPs": ["10.96.0.8"], "ports": [{"port": 80, "nodePort": 30080}]},
}
OWN = {"metadata": {"name": "own"}, "spec": {"clusterIPs": ["fd00::8", "10.96.0.9"], "ports": [{"port": 80}]}}


class Cluster:
    """Has two Services, and a source that resolves one name."""

    def find(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        return {("web", "shop"): WEB, ("db", "shop"): HEADLESS, ("open", "shop"): OPEN, ("own", "shop"): OWN}.get(
            (name, namespace)
        )

    def list(self, kind: str) -> list[dict[str, Any]]:
        states = {"lost": "False", "node2": "True"}
        return [
            # first of all a node that is somebody's containers and has no network of its own
            {
                "metadata": {"name": "aci", "labels": {"type": "virtual-kubelet"}},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "addresses": [{"type": "InternalIP", "address": "192.0.2.99"}],
                },
            },
        ] + [
            {
                "metadata": {"name": name},
                "status": {
                    "conditions": [{"type": "Ready", "status": status}],
                    "addresses": [{"type": "InternalIP", "address": f"192.0.2.{number}"}],
                },
            }
            for number, (name, status) in enumerate(states.items(), start=1)
        ]

    def exec(self, namespace: str, pod: str, command: list[str], **options: Any) -> Any:
        return SimpleNamespace(stdout="203.0.113.5\n203.0.113.5\n" if command[-1] == "example.test" else "")


def where(text: str, families: tuple[int, ...] = (4,)) -> tuple[list[Any], list[str]]:
    return resolve(Cluster(), "shop", "source", [OutageTarget.parse(text)], families)


@pytest.mark.parametrize(
    ("text", "address", "port", "kinds"),
    [
        ("http://web.shop:http/x", "10.96.0.7", 8080, (ProbeKind.HTTP, ProbeKind.HTTP_KEPT)),
        ("http://web:8080", "10.96.0.7", 8080, (ProbeKind.HTTP, ProbeKind.HTTP_KEPT)),
        ("tcp://web.shop.svc.cluster.local:8080", "10.96.0.7", 8080, (ProbeKind.TCP_NEW, ProbeKind.TCP_IDLE)),
        ("tcp://web.shop:8080 from outside", "192.0.2.9", 8080, (ProbeKind.TCP_NEW, ProbeKind.TCP_IDLE)),
        ("http://example.test/", "203.0.113.5", 80, (ProbeKind.HTTP, ProbeKind.HTTP_KEPT)),
        ("dns://10.96.0.10/web.shop.svc", "10.96.0.10", 53, (ProbeKind.DNS,)),
        ("icmp://web.shop", "10.96.0.7", 0, (ProbeKind.ICMP,)),
    ],
)
def test_a_target_leads_to_address_and_port(text, address, port, kinds):
    (target,), missing = where(text)
    assert (target.address, target.port, target.kinds, missing) == (address, port, kinds, [])
    assert target.path == text


def test_from_outside_a_service_without_load_balancer_is_reached_at_the_node_port_of_a_ready_node():
    (target,), _ = where("http://open.shop:80/ from outside")
    assert (target.source, target.address, target.port) == ("outside", "192.0.2.2", 30080)
    with pytest.raises(InputError, match="neither a load balancer address nor a NodePort"):
        where("http://own.shop:80/ from outside")


def test_without_a_wish_each_target_has_its_first_address_of_whatever_family():
    """Traffic asked for IPv4 alone and found nothing to measure on an IPv6 cluster."""
    (target,), missing = where("http://own.shop:80/", ())
    assert (target.address, target.path, missing) == ("fd00::8", "http://own.shop:80/", [])
    assert where("http://nobody.test/", ())[1] == ["http://nobody.test/: 'nobody.test' cannot be resolved"]


def test_what_cannot_be_measured_is_told_with_its_reason():
    assert where("http://nobody.test/") == ([], ["http://nobody.test/: 'nobody.test' cannot be resolved"])
    found, missing = where("tcp://web.shop:8080", (6,))
    assert (found, missing) == ([], ["tcp://web.shop:8080: 'web.shop' has no IPv6 address (10.96.0.7)"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tcp://web.shop:81", "port is 81/TCP; Service 'web' has 8080/TCP"),
        ("tcp://db.shop:5432", "Service 'db.shop' is headless"),
        ("tcp://10.0.0.1:http", "'http' is a port name, which only a Service has"),
    ],
)
def test_a_target_that_makes_no_sense_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        where(text)


def test_traffic_tells_failures_by_kind_the_longest_gap_and_answer_times():
    window = Window(0, 300_000_000, 290, 310, OutageKind.REFUSED, {}, 30)
    new = StreamResult(StreamSpec(1, "web", ProbeKind.HTTP, "x", period_ms=20), sent=100, windows=[window])
    new.outcomes, new.times_ms = (
        {"OK": 80, "REFUSED": 15, "WRONG": 5},
        {"p50": 1.0, "p90": 2.0, "p99": 9.0, "max": 12.0},
    )
    kept = StreamResult(StreamSpec(2, "web", ProbeKind.HTTP_KEPT, "x", period_ms=20), sent=50, outcomes={"OK": 50})
    found = traffic.summary(OutageResult("m", [new, kept], []))
    assert found["failures"] == {"refused": 15, "wrong answer": 5}
    assert (found["requests"], found["failed"], found["longest_gap_ms"]) == (150, 20, 310)
    assert (found["p99_ms"], found["max_ms"]) == (9.0, 12.0)
    assert "refused 15, wrong answer 5" in traffic.html(OutageResult("m", [new, kept], []))
