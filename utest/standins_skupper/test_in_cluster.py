"""The stand-in in a real Kubernetes: every case of an attached pair, and what clients see of it.

`NETLIBRARY_TEST_KUBECONFIG` names a cluster where the stand-in is installed; with
`NETLIBRARY_TEST_KUBECONFIG_2` as well, sites of two clusters are linked.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from NetLibrary._mechanics.kube import Cluster, choose
from NetLibrary.standins.skupper.runtime import certs

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

IMAGE = os.environ.get("NETLIBRARY_TEST_IMAGE", "quay.io/skupper/lanyard:2.0")
SECONDS = 40.0
OK = ("Ready", "OK")
NO_BINDING = ("Error", "No matching AttachedConnectorBinding in site namespace")
NO_CONNECTOR = ("Error", "No matching AttachedConnector")
NOT_READY = ("Error", "Not ready")
NO_PODS = ("Error", "No matches for selector")
NO_MATCH = ("Pending", "No matching connectors")
UNMATCHED = ("Pending", "Not Matched")
SEEN = {0: "open", 1: "open", 6: "no name", 7: "refused", 28: "silence", 52: "end of file", 56: "reset"}
State = tuple[str, str] | None
T = TypeVar("T")


def until(probe: Callable[[], T], wanted: Callable[[T], Any], seconds: float = SECONDS) -> T:
    """Repeats a probe until its value is the wanted one, and gives the last value."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if wanted(value) or time.monotonic() > end:
            return value
        time.sleep(0.15)


def becomes(probe: Callable[[], T], wanted: T) -> None:
    """Asserts that a probe's value is the wanted one, at last."""
    assert until(probe, lambda value: value == wanted) == wanted


def custom(kind: str, namespace: str, name: str, **spec: Any) -> dict:
    return {
        "apiVersion": "skupper.io/v2alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


class Place:
    """A cluster with the namespaces of one test run."""

    def __init__(self, kubeconfig: str) -> None:
        self.cluster = Cluster.connect(choose(kubeconfig), run_id=f"utest-{uuid.uuid4().hex[:6]}")
        prefix = f"sk-{uuid.uuid4().hex[:5]}"
        self.hub, self.client, self.work, self.other = (f"{prefix}-{n}" for n in ("hub", "client", "work", "other"))
        for name in (self.hub, self.client, self.work, self.other):
            self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def close(self) -> None:
        for name in (self.hub, self.client, self.work, self.other):
            self.cluster.delete("Namespace", name)

    def deploy(self, namespace: str, name: str, command: str, replicas: int = 1) -> None:
        container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", command]}
        labels = {"app": name}
        template = {
            "metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        }
        self.cluster.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
            }
        )

    def scale(self, name: str, replicas: int) -> None:
        self.cluster.patch("Deployment", name, self.work, {"spec": {"replicas": replicas}})

    def apply(self, *objects: dict) -> None:
        for obj in objects:
            self.cluster.apply(obj)

    def status(self, kind: str, namespace: str, name: str) -> dict:
        obj = self.cluster.find(f"{kind}.skupper.io", name, namespace)
        return (obj or {}).get("status") or {}

    def state(self, kind: str, namespace: str, name: str) -> State:
        status = self.status(kind, namespace, name)
        return (status.get("status", ""), status.get("message", "")) if status else None

    def states(self, name: str) -> tuple[State, State, State]:
        return (
            self.state("AttachedConnector", self.work, name),
            self.state("AttachedConnectorBinding", self.hub, name),
            self.state("Listener", self.client, name),
        )

    def pod(self, namespace: str, app: str) -> str:
        def ready() -> list[str]:
            pods = self.cluster.list("Pod", namespace, labels=f"app={app}")
            return [
                p["metadata"]["name"]
                for p in pods
                if any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))
            ]

        return until(ready, bool)[0]

    def run(self, command: str) -> tuple[int, str]:
        result = self.cluster.exec(self.client, self.pod(self.client, "probe"), ["sh", "-c", command], check=False)
        return result.exit_code, result.stdout + result.stderr

    def sees(self, host: str, port: int = 5201, options: str = "", scheme: str = "http") -> str:
        code, _ = self.run(f"curl -s -o /dev/null -m 2 {options} {scheme}://{host}:{port}/")
        return SEEN.get(code, f"curl {code}")

    def pair(self, name: str, *, key: str | None = None, port: int = 5201, selector: str = "app=server") -> list[dict]:
        return [self.connector(name, port=port, selector=selector), self.binding(name, key=key), self.listener(name)]

    def connector(self, name: str, *, site: str | None = None, port: int = 5201, selector: str = "app=server") -> dict:
        return custom(
            "AttachedConnector", self.work, name, siteNamespace=site or self.hub, port=port, selector=selector
        )

    def binding(self, name: str, *, namespace: str | None = None, key: str | None = None) -> dict:
        return custom(
            "AttachedConnectorBinding",
            self.hub,
            name,
            connectorNamespace=namespace or self.work,
            routingKey=key or name,
        )

    def listener(self, name: str, **more: Any) -> dict:
        return custom("Listener", self.client, name, host=name, port=5201, routingKey=name, **more)


def link(hub: Place, client: Place) -> None:
    """Makes Sites, and links the client's to the hub's by a token."""
    hub.apply(custom("Site", hub.hub, "hub", linkAccess="default"), custom("AccessGrant", hub.hub, "grant"))
    client.apply(custom("Site", client.client, "client"))
    becomes(lambda: hub.state("Site", hub.hub, "hub"), OK)
    becomes(lambda: hub.state("AccessGrant", hub.hub, "grant"), OK)
    grant = hub.status("AccessGrant", hub.hub, "grant")
    client.apply(custom("AccessToken", client.client, "token", **{key: grant[key] for key in ("url", "code", "ca")}))
    becomes(lambda: client.state("Link", client.client, "token"), OK)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    place = Place(os.environ["NETLIBRARY_TEST_KUBECONFIG"])
    try:
        place.deploy(place.work, "server", "exec iperf3 -s -p 5201")
        place.deploy(place.client, "probe", "exec sleep 100000")
        link(place, place)
        place.pod(place.work, "server")
        yield place
    finally:
        place.close()


@dataclass
class Case:
    objects: Callable[[Place, str], list[dict]]
    connector: State
    binding: State
    listener: State
    sees: str


CASES = {
    "no-binding": Case(lambda p, n: [p.connector(n), p.listener(n)], NO_BINDING, None, NO_MATCH, "refused"),
    "no-connector": Case(lambda p, n: [p.binding(n), p.listener(n)], None, NO_CONNECTOR, NO_MATCH, "refused"),
    "wrong-namespace": Case(
        lambda p, n: [p.connector(n), p.binding(n, namespace=p.other), p.listener(n)],
        (
            "Error",
            "AttachedConnectorBinding {hub}/wrong-namespace does not allow AttachedConnector in {work} (only {other})",
        ),
        NO_CONNECTOR,
        NO_MATCH,
        "refused",
    ),
    "wrong-site": Case(
        lambda p, n: [p.connector(n, site="nowhere"), p.binding(n), p.listener(n)],
        NO_BINDING,
        NO_CONNECTOR,
        NO_MATCH,
        "refused",
    ),
    "keys-differ": Case(lambda p, n: p.pair(n, key="other-key"), OK, UNMATCHED, NO_MATCH, "refused"),
    "no-pods": Case(lambda p, n: p.pair(n, selector="app=nothing"), NOT_READY, NOT_READY, NO_MATCH, "refused"),
    "wrong-port": Case(lambda p, n: p.pair(n, port=9999), OK, OK, OK, "end of file"),
    "all-good": Case(lambda p, n: p.pair(n), OK, OK, OK, "open"),
}


@pytest.fixture(scope="module")
def cases(place: Place) -> Place:
    for name, case in CASES.items():
        place.apply(*case.objects(place, name))
    return place


@pytest.mark.parametrize("name", CASES)
def test_case_of_an_attached_pair(cases: Place, name: str) -> None:
    case = CASES[name]
    words = {"hub": cases.hub, "work": cases.work, "other": cases.other}
    wanted = tuple(
        state and (state[0], state[1].format(**words)) for state in (case.connector, case.binding, case.listener)
    )
    becomes(lambda: cases.states(name), wanted)
    becomes(lambda: cases.sees(name), case.sees)


def test_a_server_that_is_scaled_away_and_comes_back(place: Place) -> None:
    place.deploy(place.work, "scaled", "exec iperf3 -s -p 5201", replicas=0)
    place.apply(*place.pair("scaled", selector="app=scaled"))
    for replicas, wanted, seen in (
        (0, (NOT_READY, NOT_READY, NO_MATCH), "refused"),
        (1, (OK, OK, OK), "open"),
        (0, (NO_PODS, NO_PODS, NO_MATCH), "refused"),
    ):
        place.scale("scaled", replicas)
        becomes(lambda: place.states("scaled"), wanted)
        becomes(lambda: place.sees("scaled"), seen)


def test_iperf3_through_two_routers(place: Place) -> None:
    place.apply(*place.pair("iperf"))
    becomes(lambda: place.sees("iperf"), "open")
    code, text = place.run("timeout 20 iperf3 -c iperf -t 1")
    assert code == 0, text
    assert "connected to" in text
    rate = re.search(r"([\d.]+) ([MG])bits/sec\s+receiver", text)
    assert rate is not None, text
    assert float(rate[1]) * (1000 if rate[2] == "G" else 1) > 50, text


def test_both_sites_know_each_other(place: Place) -> None:
    for namespace, name in ((place.hub, "hub"), (place.client, "client")):
        status = place.status("Site", namespace, name)
        assert status["sitesInNetwork"] == 2
        assert {site["name"] for site in status["network"]} == {"hub", "client"}
        assert status["controller"]["version"].startswith("stand-in-")
        assert "stand-in" in status["controller"]["name"]
    links = [entry for site in place.status("Site", place.hub, "hub")["network"] for entry in site.get("links", [])]
    assert [(entry["remoteSiteName"], entry["operational"]) for entry in links] == [("hub", True)]


def test_the_api_server_drops_misspelt_fields_and_refuses_missing_ones(place: Place) -> None:
    with pytest.raises(Exception, match="routingKey"):
        place.cluster.create(custom("Listener", place.client, "bad", host="bad", port=1))


def test_a_listener_and_a_server_with_tls(place: Place) -> None:
    authority = certs.new_authority("test")
    pair = certs.issue(authority, "tls", ["tls"], client=False, server=True)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", "namespace": place.client}}
    place.apply({**secret, "type": "kubernetes.io/tls", "data": pair.secret_data()})
    place.deploy(place.work, "web", "mkdir /tmp/w; echo hello > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w")
    place.pod(place.work, "web")
    connector, binding, _ = place.pair("tls", port=8080, selector="app=web")
    place.apply(connector, binding, place.listener("tls", tlsCredentials="tls"))
    becomes(lambda: place.state("Listener", place.client, "tls"), OK)
    text = base64.b64encode(authority.certificate).decode()
    place.run(f"echo {text} | base64 -d > /tmp/ca.crt")
    command = "curl -s -m 3 --cacert /tmp/ca.crt https://tls:5201/"
    becomes(lambda: place.run(command), (0, "hello\n"))
    assert place.run("curl -s -m 3 https://tls:5201/")[0] == 60  # another authority


def test_pods_exposed_by_name(place: Place) -> None:
    place.deploy(place.work, "many", "exec iperf3 -s -p 5201", replicas=2)
    connector, binding, listener = place.pair("many", selector="app=many")
    binding["spec"]["exposePodsByName"] = listener["spec"]["exposePodsByName"] = True
    place.apply(connector, binding, listener)

    def services() -> set[str]:
        found = place.cluster.list("Service", place.client, labels="internal.skupper.io/listener=many")
        return {service["metadata"]["name"] for service in found} - {"many"}

    def pods() -> set[str]:
        return {pod["metadata"]["name"] for pod in place.cluster.list("Pod", place.work, labels="app=many")}

    until(lambda: (services(), pods()), lambda both: both[0] == both[1] and len(both[0]) == 2)
    assert services() == pods()
    for name in services():
        becomes(lambda name=name: place.sees(name), "open")  # type: ignore[misc]


def test_a_second_router_for_high_availability(place: Place) -> None:
    name = place.other
    place.apply(custom("Site", name, "twin", ha=True, linkAccess="local"))
    becomes(lambda: place.state("Site", name, "twin"), OK)
    place.apply(
        custom("Listener", name, "l", host="l", port=1, routingKey="ha"),
        custom("Connector", name, "c", host=f"server.{place.work}", port=5201, routingKey="ha"),
    )
    becomes(lambda: place.state("Connector", name, "c"), OK)
    deployments = {d["metadata"]["name"] for d in place.cluster.list("Deployment", name)}
    assert deployments == {"skupper-router", "skupper-router-2"}

    def mesh() -> list[str]:
        config = place.cluster.find("ConfigMap", "skupper-network-status", name) or {"data": {"NetworkStatus": "{}"}}
        (site,) = json.loads(config["data"]["NetworkStatus"]).get("siteStatus") or [{"routerStatus": []}]
        return [link["status"] for router in site["routerStatus"] for link in router["links"]]

    becomes(mesh, ["up"])
    (site,) = place.status("Site", name, "twin")["network"]
    assert "links" not in site  # those within a Site are its own affair


def test_what_a_site_brings_goes_with_it(place: Place) -> None:
    place.cluster.delete("Site.skupper.io", "client", place.client)

    def left() -> set[str]:
        kinds = ("Deployment", "ConfigMap", "Secret", "Service", "Link.skupper.io", "Certificate.skupper.io", "Lease")
        return {
            f"{kind}/{obj['metadata']['name']}"
            for kind in kinds
            for obj in place.cluster.list(kind, place.client)
            if obj["metadata"]["name"] not in ("kube-root-ca.crt", "probe", "tls")
        }

    assert until(left, lambda found: not found) == set()
    wanted = ("Error", "Already redeemed for a deleted site")
    becomes(lambda: place.state("AccessToken", place.client, "token"), wanted)
    wanted = ("Error", "No active site in namespace")
    becomes(lambda: place.state("Listener", place.client, "iperf"), wanted)


def test_sites_of_two_clusters() -> None:
    second = os.environ.get("NETLIBRARY_TEST_KUBECONFIG_2")
    if not second:
        pytest.skip("NETLIBRARY_TEST_KUBECONFIG_2 names no second cluster")
    here, there = Place(os.environ["NETLIBRARY_TEST_KUBECONFIG"]), Place(second)
    try:
        here.deploy(here.work, "server", "exec iperf3 -s -p 5201")
        there.deploy(there.client, "probe", "exec sleep 100000")
        link(here, there)
        connector, binding, _ = here.pair("far")
        here.apply(connector, binding)
        there.apply(there.listener("far"))
        becomes(lambda: here.state("AttachedConnectorBinding", here.hub, "far"), OK)
        becomes(lambda: there.sees("far"), "open")
        assert there.run("timeout 20 iperf3 -c far -t 1")[0] == 0
    finally:
        here.close()
        there.close()
