"""Attached connectors: every state of the pair, with its exact words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from .cluster import Cluster
from .test_controller import entities, network

OK = ("Ready", "OK")
NO_BINDING = ("Error", "No matching AttachedConnectorBinding in site namespace")
NO_CONNECTOR = ("Error", "No matching AttachedConnector")
NOT_READY = ("Error", "Not ready")
NO_PODS = ("Error", "No matches for selector")
BOTH = ("work", "hub")


class Pair:
    """A Site in `hub`, a server in `work`, and the two halves of the pair as a test wants them."""

    def __init__(self, cluster: Cluster, *, site: bool = True, pods: int = 1) -> None:
        self.cluster = cluster
        self.site = cluster.put("Site", "hub", "hub", {}) if site else None
        for number in range(pods):
            cluster.pod("work", f"p{number}", f"10.0.0.{number}", app="server")

    def connector(
        self, namespace: str = "work", site: str = "hub", name: str = "x", selector: str = "app=server"
    ) -> None:
        self.cluster.put(
            "AttachedConnector", namespace, name, {"siteNamespace": site, "port": 5201, "selector": selector}
        )

    def binding(self, namespace: str = "work", name: str = "x", key: str = "k") -> None:
        spec = {"connectorNamespace": namespace, "routingKey": key}
        self.cluster.put("AttachedConnectorBinding", "hub", name, spec)

    async def states(self, connector_namespace: str = "work") -> tuple[tuple[str, str] | None, tuple[str, str] | None]:
        await self.cluster.settle(connector_namespace, *BOTH)
        found = []
        for kind, namespace in (("AttachedConnector", connector_namespace), ("AttachedConnectorBinding", "hub")):
            there = self.cluster.api.known(kind, namespace, "x")
            found.append(self.cluster.status(kind, namespace, "x") if there else None)
        return found[0], found[1]


def run(scenario: Callable[[Cluster], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario(Cluster())

    asyncio.run(main())


def test_only_the_connector() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster)
        pair.connector()
        assert await pair.states() == (NO_BINDING, None)

    run(scenario)


def test_only_the_binding_is_an_error_even_when_matched() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster)
        pair.binding()
        cluster.network("hub", network(pair.site or {}, listeners=("k",)))
        assert await pair.states() == (None, NO_CONNECTOR)
        conditions = cluster.get("AttachedConnectorBinding", "hub", "x")["status"]["conditions"]
        assert {c["type"]: c["status"] for c in conditions}["Matched"] == "True"

    run(scenario)


def test_a_binding_without_a_site_is_not_touched() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster, site=False)
        pair.binding()
        pair.connector()
        assert await pair.states() == (NO_BINDING, ("", ""))

    run(scenario)


def test_a_connector_from_a_namespace_that_the_binding_does_not_name() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster)
        pair.binding(namespace="elsewhere")
        pair.connector()
        words = "AttachedConnectorBinding hub/x does not allow AttachedConnector in work (only elsewhere)"
        assert await pair.states() == (("Error", words), NO_CONNECTOR)

    run(scenario)


def test_a_connector_that_names_another_site_namespace() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster)
        pair.binding()
        pair.connector(site="nowhere")
        assert await pair.states() == (NO_BINDING, NO_CONNECTOR)

    run(scenario)


def test_different_names_are_two_halves_without_each_other() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster)
        pair.binding()
        pair.connector(name="y")
        await cluster.settle(*BOTH)
        assert cluster.status("AttachedConnectorBinding", "hub", "x") == NO_CONNECTOR
        assert cluster.status("AttachedConnector", "work", "y") == NO_BINDING

    run(scenario)


def test_a_fresh_pair_passes_through_not_ready() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster)
        pair.binding()
        pair.connector()
        assert await pair.states() == (OK, ("Pending", "Not Matched"))
        seen = [(status, message) for kind, _, status, message in cluster.api.history if kind == "AttachedConnector"]
        assert seen[0] == NOT_READY
        assert seen[-1] == OK
        (entity,) = entities(cluster, "hub", "tcpConnector")
        assert entity == {
            "name": "tcpConnector/x@10.0.0.0",
            "host": "10.0.0.0",
            "port": "5201",
            "address": "k",
            "pod": "p0",
        }

    run(scenario)


def test_no_pods_from_the_start_has_other_words_than_pods_that_went() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster, pods=0)
        pair.binding()
        pair.connector()
        assert await pair.states() == (NOT_READY, NOT_READY)
        cluster.pod("work", "p", "10.0.0.5", app="server")
        assert (await pair.states())[0] == OK
        cluster.pod("work", "p", "10.0.0.5", ready=False, app="server")
        assert await pair.states() == (NO_PODS, NO_PODS)
        assert entities(cluster, "hub", "tcpConnector") == []

    run(scenario)


def test_a_match_that_went_away() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster)
        pair.binding()
        pair.connector()
        cluster.network("hub", network(pair.site or {}, listeners=("k",)))
        assert await pair.states() == (OK, OK)
        assert cluster.get("AttachedConnectorBinding", "hub", "x")["status"]["hasMatchingListener"] is True
        cluster.network("hub", network(pair.site or {}))
        assert await pair.states() == (OK, ("Pending", "Pending"))

    run(scenario)


def test_an_empty_selector_means_every_pod() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster, pods=2)
        cluster.pod("work", "other", "10.0.0.77", app="other")
        pair.binding()
        pair.connector(selector="")
        await pair.states()
        assert len(entities(cluster, "hub", "tcpConnector")) == 3

    run(scenario)


def test_only_pods_of_the_connectors_namespace_count() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster, pods=0)
        cluster.pod("hub", "p", "10.0.0.5", app="server")
        pair.binding()
        pair.connector()
        assert await pair.states() == (NOT_READY, NOT_READY)

    run(scenario)


def test_the_router_configuration_is_valid_json_with_a_router_entity() -> None:
    async def scenario(cluster: Cluster) -> None:
        pair = Pair(cluster)
        await pair.states()
        (router,) = entities(cluster, "hub", "router")
        site = json.loads(router["metadata"])
        assert site["platform"] == "kubernetes"
        assert site["version"] == "stand-in-test"

    run(scenario)
