"""The controller's work: Sites, access, Listeners and Connectors, over an API server in memory."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Awaitable, Callable

import pytest

from NetLibrary.standins.skupper import manifests
from NetLibrary.standins.skupper.runtime.adaptor import network_status
from NetLibrary.standins.skupper.runtime.certs import hosts_of
from NetLibrary.standins.skupper.runtime.kube import ApiError

from .cluster import Cluster

OK = ("Ready", "OK")


def run(scenario: Callable[[Cluster], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario(Cluster())

    asyncio.run(main())


def network(site: dict, *, listeners: tuple[str, ...] = (), connectors: tuple[str, ...] = ()) -> str:
    """What an adaptor publishes for a network of one Site."""
    router = {
        "router": "r",
        "site": {"id": site["metadata"]["uid"], "name": site["metadata"]["name"], "namespace": "n"},
        "links": [],
        "listeners": [{"name": f"tcpListener/{key}", "key": key} for key in listeners],
        "connectors": [{"name": f"tcpConnector/{key}", "key": key, "host": "10.0.0.1"} for key in connectors],
    }
    return json.dumps(network_status([router]))


def entities(cluster: Cluster, namespace: str, kind: str) -> list[dict]:
    config = cluster.get("ConfigMap", namespace, "skupper-router")
    return [a for k, a in json.loads(config["data"]["skrouterd.json"]) if k == kind]


def test_a_site_gets_its_router_and_becomes_ready() -> None:
    async def scenario(cluster: Cluster) -> None:
        site = cluster.put("Site", "west", "west", {"linkAccess": "default"})
        await cluster.settle("west")
        assert cluster.status("Site", "west", "west") == ("Pending", "Not Running")
        labels = {"application": "skupper-router", "skupper.io/component": "router"}
        cluster.put("Pod", "west", "r", status={"phase": "Pending"}, metadata={"labels": labels})
        await cluster.settle("west")
        assert cluster.status("Site", "west", "west") == ("Pending", "Pod r not ready")
        cluster.pod("west", "r", "10.0.0.9", **labels)
        await cluster.settle("west")
        assert cluster.status("Site", "west", "west") == ("Pending", "Pending")  # no address yet
        cluster.balancer_address("west", "skupper-router", "192.0.2.7")
        await cluster.settle("west")
        assert cluster.status("Site", "west", "west") == OK
        status = cluster.get("Site", "west", "west")["status"]
        assert status["endpoints"] == [
            {"name": "inter-router", "host": "192.0.2.7", "port": "55671", "group": "skupper-router"},
            {"name": "edge", "host": "192.0.2.7", "port": "45671", "group": "skupper-router"},
        ]
        assert status["controller"] == {
            "name": "netlibrary-skupper-stand-in",
            "namespace": "skupper",
            "version": "stand-in-test",
        }
        secret = cluster.get("Secret", "west", "skupper-site-server")
        assert "192.0.2.7" in hosts_of(b64decode(secret["data"]["tls.crt"]))
        for kind, name in (
            ("Deployment", "skupper-router"),
            ("Secret", "skupper-site-ca"),
            ("Service", "skupper-router"),
        ):
            (owner,) = cluster.get(kind, "west", name)["metadata"]["ownerReferences"]
            assert (owner["kind"], owner["uid"]) == ("Site", site["metadata"]["uid"])

    run(scenario)


def test_a_site_without_link_access_has_no_access_objects() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", {})
        await cluster.settle("west")
        assert not cluster.controller.of("RouterAccess", "west")
        assert not entities(cluster, "west", "listener")

    run(scenario)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"linkAccess": "weird"}, "Unsupported value for LinkAccess: weird"),
        ({"edge": True, "ha": True}, "Edge sites cannot have HA enabled"),
    ],
)
def test_a_site_with_a_fault_says_so_and_gets_nothing(spec: dict, message: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", spec)
        await cluster.settle("west")
        assert cluster.status("Site", "west", "west") == ("Error", message)
        assert not cluster.controller.of("Deployment", "west")

    run(scenario)


def test_the_second_site_of_a_namespace_is_refused() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "first", {})
        cluster.put("Site", "west", "second", {})
        await cluster.settle("west")
        assert cluster.status("Site", "west", "second") == (
            "Error",
            "An active site already exists in the namespace (first)",
        )

    run(scenario)


def test_a_router_config_of_a_deleted_site_blocks_the_new_one() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("ConfigMap", "west", "skupper-router", metadata={"ownerReferences": [{"uid": "old"}]})
        site = cluster.put("Site", "west", "west", {})
        await cluster.settle("west")
        word = f'skupper-router is not owned by skupper site "{site["metadata"]["uid"]}"'
        assert cluster.status("Site", "west", "west") == ("Error", word)
        cluster.api.remove("ConfigMap", "west", "skupper-router")
        await cluster.settle("west")
        assert cluster.status("Site", "west", "west") == ("Pending", "Not Running")

    run(scenario)


def test_what_the_api_server_refuses_shows_in_the_site() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", {})
        cluster.api.refuse["Deployment"] = ApiError(403, "Forbidden", "deployments are forbidden")
        with pytest.raises(ApiError):
            await cluster.controller.reconcile("west")
        assert cluster.status("Site", "west", "west") == ("Error", "deployments are forbidden")
        cluster.api.refuse.clear()
        await cluster.settle("west")
        assert cluster.status("Site", "west", "west") == ("Pending", "Not Running")

    run(scenario)


def test_local_access_needs_no_balancer() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", {"linkAccess": "local"})
        await cluster.settle("west")
        endpoints = cluster.get("Site", "west", "west")["status"]["endpoints"]
        assert {e["host"] for e in endpoints} == {"skupper-router.west"}
        assert cluster.get("Service", "west", "skupper-router")["spec"]["type"] == "ClusterIP"

    run(scenario)


def test_high_availability_makes_a_second_router_that_links_to_the_first() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", {"linkAccess": "local", "ha": True})
        await cluster.settle("west")
        groups = {e["group"] for e in cluster.get("Site", "west", "west")["status"]["endpoints"]}
        assert groups == {"skupper-router", "skupper-router-2"}
        second = json.loads(cluster.get("ConfigMap", "west", "skupper-router-2")["data"]["skrouterd.json"])
        assert [a["host"] for kind, a in second if kind == "connector"] == ["skupper-router.west"]
        assert not entities(cluster, "west", "connector")

    run(scenario)


def test_listeners_get_ports_from_1024_and_keep_them() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", {})
        for number, name in enumerate(("a", "b", "c")):
            cluster.put("Listener", "west", name, {"host": f"h{number}", "port": 80, "routingKey": name})
        await cluster.settle("west")
        ports = {a["name"]: a["port"] for a in entities(cluster, "west", "tcpListener")}
        assert ports == {"tcpListener/a": "1024", "tcpListener/b": "1025", "tcpListener/c": "1026"}
        cluster.api.remove("Listener", "west", "b")
        cluster.put("Listener", "west", "d", {"host": "h3", "port": 80, "routingKey": "d"})
        await cluster.settle("west")
        ports = {a["name"]: a["port"] for a in entities(cluster, "west", "tcpListener")}
        assert (ports["tcpListener/a"], ports["tcpListener/c"]) == ("1024", "1026")
        assert len(set(ports.values())) == 3
        assert cluster.api.known("Service", "west", "h1") is None

    run(scenario)


def test_listeners_of_one_host_share_a_service() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", {})
        cluster.put("Listener", "west", "a", {"host": "h", "port": 80, "routingKey": "a"})
        cluster.put("Listener", "west", "b", {"host": "h", "port": 81, "routingKey": "b"})
        await cluster.settle("west")
        service = cluster.get("Service", "west", "h")
        assert [(p["name"], p["port"], p["targetPort"]) for p in service["spec"]["ports"]] == [
            ("a", 80, 1024),
            ("b", 81, 1025),
        ]
        assert service["metadata"]["labels"]["internal.skupper.io/listener"] == "a"
        assert service["metadata"]["annotations"]["internal.skupper.io/controlled"] == "true"
        assert service["spec"]["selector"] == {"application": "skupper-router", "skupper.io/component": "router"}
        cluster.api.remove("Service", "west", "h")
        await cluster.settle("west")
        assert cluster.get("Service", "west", "h")

    run(scenario)


def test_faults_of_listeners() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Listener", "west", "early", {"host": "e", "port": 80, "routingKey": "k"})
        await cluster.settle("west")
        assert cluster.status("Listener", "west", "early") == ("Error", "No active site in namespace")
        cluster.put("Site", "west", "west", {})
        cluster.put("Service", "west", "foreign", {"ports": []})
        cluster.put("Listener", "west", "f", {"host": "foreign", "port": 80, "routingKey": "k"})
        cluster.put("Listener", "west", "twin", {"host": "e", "port": 80, "routingKey": "k"})
        cluster.put("Listener", "west", "tls", {"host": "t", "port": 80, "routingKey": "k", "tlsCredentials": "s"})
        await cluster.settle("west")
        assert cluster.status("Listener", "west", "early") == ("Pending", "Not Matched")
        assert cluster.status("Listener", "west", "f") == ("Error", "Service foreign already exists in namespace")
        assert cluster.status("Listener", "west", "twin") == (
            "Error",
            "Listener early with host e and port 80 already exists in namespace",
        )
        assert cluster.status("Listener", "west", "tls") == ("Error", 'TLS credentials secret "s" not found')
        assert "ownerReferences" not in cluster.get("Service", "west", "foreign")["metadata"]

    run(scenario)


def test_matching_follows_the_network() -> None:
    async def scenario(cluster: Cluster) -> None:
        site = cluster.put("Site", "west", "west", {})
        cluster.put("Listener", "west", "l", {"host": "h", "port": 80, "routingKey": "k"})
        cluster.put("Connector", "west", "c", {"port": 80, "routingKey": "k", "host": "example"})
        await cluster.settle("west")
        assert cluster.status("Connector", "west", "c") == ("Pending", "Not Matched")
        cluster.network("west", network(site))
        await cluster.settle("west")
        assert cluster.status("Listener", "west", "l") == ("Pending", "No matching connectors")
        assert cluster.status("Connector", "west", "c") == ("Pending", "No matching listeners")
        cluster.network("west", network(site, listeners=("k",), connectors=("k",)))
        await cluster.settle("west")
        assert cluster.status("Listener", "west", "l") == OK
        assert cluster.status("Connector", "west", "c") == OK
        assert cluster.get("Listener", "west", "l")["status"]["hasMatchingConnector"] is True
        assert cluster.get("Site", "west", "west")["status"]["sitesInNetwork"] == 1
        cluster.network("west", network(site))
        await cluster.settle("west")
        assert "hasMatchingConnector" not in cluster.get("Listener", "west", "l")["status"]

    run(scenario)


def test_connectors_follow_the_readiness_of_pods() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", {})
        cluster.put("Connector", "west", "c", {"port": 80, "routingKey": "k", "selector": "app=web"})
        cluster.pod("west", "one", "10.0.0.1", ready=False, app="web")
        await cluster.settle("west")
        assert cluster.status("Connector", "west", "c") == ("Error", "No matches for selector")
        cluster.pod("west", "one", "10.0.0.1", app="web")
        cluster.pod("west", "two", "10.0.0.2", app="web")
        cluster.pod("west", "other", "10.0.0.3", app="db")
        await cluster.settle("west")
        names = [a["name"] for a in entities(cluster, "west", "tcpConnector")]
        assert names == ["tcpConnector/c@10.0.0.1", "tcpConnector/c@10.0.0.2"]
        cluster.put(
            "Connector",
            "west",
            "c",
            {"port": 80, "routingKey": "k", "selector": "app=web", "includeNotReadyPods": True},
        )
        cluster.pod("west", "two", "10.0.0.2", ready=False, app="web")
        await cluster.settle("west")
        assert len(entities(cluster, "west", "tcpConnector")) == 2

    run(scenario)


def test_links_name_what_they_miss() -> None:
    async def scenario(cluster: Cluster) -> None:
        endpoints = [{"name": "inter-router", "host": "h", "port": "55671"}]
        cluster.put("Link", "west", "l", {"endpoints": endpoints, "tlsCredentials": "s"})
        await cluster.settle("west")
        assert cluster.status("Link", "west", "l") == ("Error", "No active site in namespace")
        site = cluster.put("Site", "west", "west", {})
        await cluster.settle("west")
        assert cluster.status("Link", "west", "l") == ("Error", 'TLS credentials secret "s" not found')
        cluster.put("Secret", "west", "s", data={})
        await cluster.settle("west")
        assert cluster.status("Link", "west", "l") == ("Pending", "Not Operational")
        record = json.loads(network(site))
        link = {"name": "l", "status": "down"}
        record["siteStatus"][0]["routerStatus"][0]["links"] = [link]
        cluster.network("west", json.dumps(record))
        await cluster.settle("west")
        assert cluster.status("Link", "west", "l") == ("Pending", "Not operational")
        link.update(status="up", remoteSiteId="id", remoteSiteName="east")
        cluster.network("west", json.dumps(record))
        await cluster.settle("west")
        assert cluster.status("Link", "west", "l") == OK
        assert cluster.get("Link", "west", "l")["status"]["remoteSiteName"] == "east"

    run(scenario)


def test_a_certificate_without_its_authority_says_which_is_missing() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Certificate", "west", "c", {"ca": "nope", "subject": "x", "client": True})
        await cluster.settle("west")
        (condition,) = cluster.get("Certificate", "west", "c")["status"]["conditions"]
        assert (condition["status"], condition["message"]) == ("False", 'CA "west/nope" not found')
        cluster.put("Certificate", "west", "nope", {"ca": "", "subject": "ca", "signing": True})
        await cluster.settle("west")
        assert cluster.get("Certificate", "west", "c")["status"]["conditions"][0]["status"] == "True"
        assert set(cluster.get("Secret", "west", "c")["data"]) == {"tls.crt", "tls.key", "ca.crt"}

    run(scenario)


def test_an_unknown_access_type_is_refused() -> None:
    async def scenario(cluster: Cluster) -> None:
        spec = {"accessType": "pigeon", "selector": {}, "ports": [{"name": "x", "port": 1}]}
        cluster.put("SecuredAccess", "west", "s", spec)
        await cluster.settle("west")
        assert cluster.status("SecuredAccess", "west", "s") == ("Error", "unsupported access type")

    run(scenario)


def test_a_settled_namespace_is_not_written_to_again() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", {"linkAccess": "default"})
        cluster.put("Listener", "west", "l", {"host": "h", "port": 80, "routingKey": "k"})
        await cluster.settle("west")
        cluster.api.writes.clear()
        cluster.api.history.clear()
        await cluster.controller.reconcile("west")
        assert cluster.api.writes == []
        assert cluster.api.history == []

    run(scenario)


def test_pods_exposed_by_name_get_a_service_each() -> None:
    async def scenario(cluster: Cluster) -> None:
        site = cluster.put("Site", "west", "west", {})
        spec = {"port": 80, "routingKey": "k", "exposePodsByName": True}
        cluster.put("Connector", "west", "c", {**spec, "selector": "app=web"})
        cluster.put("Listener", "west", "l", {**spec, "host": "h"})
        cluster.pod("west", "web-0", "10.0.0.1", app="web")
        await cluster.settle("west")
        keys = {a["name"]: a["address"] for a in entities(cluster, "west", "tcpConnector")}
        assert keys == {"tcpConnector/c@10.0.0.1": "k", "tcpConnector/c@10.0.0.1@web-0": "k.web-0"}
        cluster.network("west", network(site, connectors=("k", "k.web-0")))
        await cluster.settle("west")
        service = cluster.get("Service", "west", "web-0")
        assert service["metadata"]["labels"]["internal.skupper.io/listener"] == "l"
        ports = {a["address"]: int(a["port"]) for a in entities(cluster, "west", "tcpListener")}
        assert service["spec"]["ports"][0]["targetPort"] == ports["k.web-0"]
        cluster.network("west", network(site, connectors=("k",)))
        await cluster.settle("west")
        assert cluster.api.known("Service", "west", "web-0") is None

    run(scenario)


def test_label_templates_reach_the_objects_they_mean() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", {})
        marks = {"labels": {"skupper.io/label-template": "true", "team": "net"}, "annotations": {"note": "x"}}
        template = {
            "kind": "ConfigMap",
            "metadata": {"name": "t", "namespace": "skupper", "resourceVersion": "1", "creationTimestamp": "", **marks},
            "data": {"kind": "Deployment"},
        }
        cluster.controller.templates._event("ADDED", template)
        await cluster.settle("west")
        meta = cluster.get("Deployment", "west", "skupper-router")["metadata"]
        assert (meta["labels"]["team"], meta["annotations"]["note"]) == ("net", "x")
        assert "skupper.io/label-template" not in meta["labels"]
        assert "team" not in cluster.get("Service", "west", "skupper-router-local")["metadata"]["labels"]
        cluster.api.writes.clear()
        cluster.controller.templates._event("DELETED", {**template, "metadata": {**template["metadata"]}})
        await cluster.settle("west")
        assert "Deployment/skupper-router" in cluster.api.writes  # by server-side apply, which takes the marks away

    run(scenario)


def test_a_namespace_of_another_controller_is_left_alone() -> None:
    async def scenario(cluster: Cluster) -> None:
        control = {
            "kind": "ConfigMap",
            "metadata": {"name": "skupper", "namespace": "west", "resourceVersion": "1", "creationTimestamp": ""},
            "data": {"controller": "other/controller"},
        }
        cluster.controller.control_maps._event("ADDED", control)
        cluster.put("Site", "west", "west", {})
        await cluster.settle("west")
        assert cluster.status("Site", "west", "west") == ("", "")
        data = {"controller": "skupper/skupper-controller"}
        cluster.controller.control_maps._event(
            "MODIFIED", {**control, "metadata": {**control["metadata"], "resourceVersion": "2"}, "data": data}
        )
        await cluster.settle("west")
        assert cluster.status("Site", "west", "west") == ("Pending", "Not Running")

    run(scenario)


def test_releases_before_2_2_label_their_listener_services_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKUPPER_STAND_IN_LIKE", "2.1")

    async def scenario(cluster: Cluster) -> None:
        cluster.put("Site", "west", "west", {})
        cluster.put("Listener", "west", "a", {"host": "h", "port": 80, "routingKey": "a"})
        await cluster.settle("west")
        assert cluster.get("Service", "west", "h")["metadata"]["labels"]["internal.skupper.io/listener"] == "true"

    run(scenario)
    kinds = {o["spec"]["names"]["kind"] for o in manifests(environment={"SKUPPER_STAND_IN_LIKE": "2.1"})[:-5]}
    assert "MultiKeyListener" not in kinds
    assert "Listener" in kinds
