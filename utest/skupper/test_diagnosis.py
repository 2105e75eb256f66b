"""Each known way in which a Skupper network stays incomplete is told in a sentence that names the right object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from NetLibrary._mechanics.skupper import diagnose

from .network import healthy, obj, pod, state

Network = dict[str, Any]
NO_BINDING = "No matching AttachedConnectorBinding in site namespace"
NO_CONNECTOR = "No matching AttachedConnector"


def told(network: Network) -> str:
    return "\n".join(diagnose(network.values()))


def test_healthy_network_has_no_findings() -> None:
    assert diagnose(healthy().values()) == []
    assert diagnose([]) == []


def test_plain_connector_is_as_healthy_as_an_attached_pair() -> None:
    network = healthy()
    del network["binding"], network["connector"]
    network["plain"] = obj("Connector", "hub/iperf3", routingKey="iperf3", selector="app=iperf3-server", port=5201)
    assert diagnose(network.values()) == []


def test_offer_without_a_listener_in_view_is_fine_when_it_is_matched() -> None:
    network = healthy()
    del network["listener"]
    assert diagnose(network.values()) == []


def only_connector(n: Network) -> None:
    del n["binding"]
    state(n["connector"], "Error", NO_BINDING)
    state(n["listener"], "Pending", "No matching connectors")


def only_binding(n: Network) -> None:
    del n["connector"]
    state(n["binding"], "Error", NO_CONNECTOR)


def binding_before_site(n: Network) -> None:
    del n["hub"]
    n["binding"]["status"] = {}
    state(n["connector"], "Error", NO_BINDING)


def connector_of_another_namespace(n: Network) -> None:
    n["binding"]["spec"]["connectorNamespace"] = "elsewhere"
    state(n["binding"], "Error", NO_CONNECTOR)
    state(
        n["connector"],
        "Error",
        "AttachedConnectorBinding hub/iperf3 does not allow AttachedConnector in work (only elsewhere)",
    )


def wrong_site_namespace(n: Network) -> None:
    n["connector"]["spec"]["siteNamespace"] = "client"
    state(n["connector"], "Error", NO_BINDING)
    state(n["binding"], "Error", NO_CONNECTOR)


def names_differ(n: Network) -> None:
    n["connector"]["metadata"]["name"] = "server"
    state(n["connector"], "Error", NO_BINDING)
    state(n["binding"], "Error", NO_CONNECTOR)


def no_usable_pod(n: Network) -> None:
    state(n["connector"], "Error", "No matches for selector")
    state(n["binding"], "Error", "No matches for selector")


def no_replica_from_the_start(n: Network) -> None:
    state(n["connector"], "Error", "Not ready")
    state(n["binding"], "Error", "Not ready")


def no_listener_anywhere(n: Network) -> None:
    del n["listener"]
    state(n["binding"], "Pending", "Not Matched")


def listener_went_away(n: Network) -> None:
    del n["listener"]
    state(n["binding"], "Pending", "Pending")


def keys_differ(n: Network) -> None:
    n["listener"]["spec"]["routingKey"] = "iperf"
    state(n["listener"], "Pending", "No matching connectors")
    state(n["binding"], "Pending", "Not Matched")


def wrong_port(n: Network) -> None:
    n["connector"]["spec"]["port"] = 5202


def link_deleted(n: Network) -> None:
    del n["link"]


def pair_matched_but_not_reported(n: Network) -> None:
    state(n["binding"], "Pending", "Not Matched")
    state(n["listener"], "Pending", "Not Matched")


PAIRS = (
    (
        only_connector,
        "AttachedConnector 'work/iperf3' has no AttachedConnectorBinding 'iperf3' in its site namespace 'hub', so its "
        "pods are not offered to the network: create the missing binding.",
    ),
    (only_binding, "AttachedConnectorBinding 'hub/iperf3' has no AttachedConnector 'iperf3' in namespace 'work'"),
    (
        binding_before_site,
        "Namespace 'hub' has no Site, so AttachedConnectorBinding 'hub/iperf3' has no effect: create a Site there.",
    ),
    (
        connector_of_another_namespace,
        "AttachedConnectorBinding 'hub/iperf3' allows the connector of namespace 'elsewhere', but AttachedConnector "
        "'work/iperf3' is in 'work': set its spec.connectorNamespace to 'work'.",
    ),
    (
        wrong_site_namespace,
        "AttachedConnector 'work/iperf3' names the site namespace 'client', but its binding is in 'hub': set its "
        "spec.siteNamespace to 'hub'.",
    ),
    (
        names_differ,
        "AttachedConnector 'work/server' has no AttachedConnectorBinding 'server' in its site namespace 'hub' (there "
        "is "
        "'iperf3'; the two are paired by equal names)",
    ),
    (
        no_usable_pod,
        "AttachedConnector 'work/iperf3' is not ready: Error (No matches for selector). No ready pod matches its "
        "selector 'app=iperf3-server': those that match are not ready: 'iperf3-server-0' (Pending).",
    ),
    (
        no_replica_from_the_start,
        "AttachedConnector 'work/iperf3' is not ready: Error (Not ready). No ready pod matches its selector",
    ),
    (
        no_listener_anywhere,
        "AttachedConnectorBinding 'hub/iperf3' offers routing key 'iperf3', which no Listener asks for.",
    ),
    (
        listener_went_away,
        "AttachedConnectorBinding 'hub/iperf3' offers routing key 'iperf3', which no Listener asks for.",
    ),
    (
        keys_differ,
        "Listener 'client/iperf3' asks for routing key 'iperf', which no Connector and no AttachedConnectorBinding "
        "offers "
        "(offered: 'iperf3').",
    ),
    (
        wrong_port,
        "AttachedConnector 'work/iperf3' sends to port 5202 of its pods, but they declare only 5201: connections "
        "would be "
        "accepted and closed at once.",
    ),
    (
        link_deleted,
        "AccessToken 'client/token-grant' was redeemed, but its Link 'token-grant' is gone: a token creates a Link only "
        "once",
    ),
    (
        pair_matched_but_not_reported,
        "AttachedConnectorBinding 'hub/iperf3' is not ready: Pending (Not Matched).",
    ),
)


@pytest.mark.parametrize(("fault", "words"), PAIRS, ids=[fault.__name__ for fault, _ in PAIRS])
def test_broken_pair_is_told_with_the_object_at_fault(fault: Callable[[Network], None], words: str) -> None:
    network = healthy()
    fault(network)
    assert words in told(network)
    assert len(set(diagnose(network.values()))) == len(diagnose(network.values()))


STATES = (
    (
        "hub",
        "Error",
        "Unsupported value for LinkAccess: magic",
        "Site 'hub/hub' is not ready: Error (Unsupported value",
    ),
    ("hub", "Pending", "Not Running", "Site 'hub/hub' is not ready: Pending (Not Running)."),
    (
        "hub",
        "Error",
        "An active site already exists in the namespace (old)",
        "Site 'hub/hub' is not ready: Error (An active",
    ),
    ("grant", "Pending", "Pending", "It has no URL: the controller's grant server has no address"),
    (
        "grant",
        "Error",
        'Invalid duration "soon"',
        "AccessGrant 'hub/grant' is not ready: Error (Invalid duration \"soon\").",
    ),
    (
        "link",
        "Pending",
        "Not Operational",
        "Link 'client/token-grant' does not connect its sites: Pending (Not Operational).",
    ),
    (
        "link",
        "Error",
        'TLS credentials secret "s" not found',
        "Link 'client/token-grant' does not connect its sites: Error",
    ),
    (
        "token",
        "Error",
        "Controller got failed response: 404 (404 Not Found) No such access granted",
        "AccessToken 'client/token-grant' is not redeemed: Error (Controller got failed response: 404 (404 Not Found) "
        "No such "
        "access granted). The grant is used up: allow more redemptions or create a new grant.",
    ),
    (
        "token",
        "Error",
        "Controller got failed response: 403 (403 Forbidden) Redemption of access token refused",
        "The code of the token is wrong.",
    ),
    (
        "token",
        "Error",
        "Controller got failed response: 404 (404 Not Found) No such claim",
        "The grant no longer exists or has expired.",
    ),
    (
        "token",
        "Error",
        "Controller got failed response: 500 (500 Internal Server Error) No valid endpoints found for site",
        "It was redeemed before the granting site had an address; the redemption is lost, create a new token.",
    ),
    (
        "token",
        "Error",
        "Already redeemed for a deleted site",
        "AccessToken 'client/token-grant' is not redeemed: Error",
    ),
    (
        "listener",
        "Error",
        "Service iperf3-server already exists in namespace",
        "Listener 'client/iperf3' is not ready: Error (S",
    ),
)


@pytest.mark.parametrize(("name", "status", "message", "words"), STATES)
def test_object_in_trouble_is_told_with_its_own_words(name: str, status: str, message: str, words: str) -> None:
    network = healthy()
    state(network[name], status, message)
    assert words in told(network)


def test_site_without_an_address_points_to_the_load_balancer() -> None:
    network = healthy()
    network["hub"] = obj(
        "Site", "hub/hub", "Pending", "Pending", conditions="Configured=True Running=True Resolved=False"
    )
    assert told(network) == (
        "Site 'hub/hub' is not ready: Pending (Pending); Configured=True, Running=True, Resolved=False. Its link "
        "access "
        "has no address yet: does the cluster assign addresses to LoadBalancer Services?"
    )


def test_object_that_no_controller_looked_at_is_told() -> None:
    network = healthy()
    network["client"]["status"] = {}
    assert "Site 'client/client' is not ready: no status: no Skupper controller has processed it." in told(network)
    assert "No controller watches this namespace." in told(network)


@pytest.mark.parametrize("kind", ["listener", "token", "link"])
def test_objects_without_a_site_are_told(kind: str) -> None:
    network = healthy()
    del network["client"]
    assert "Namespace 'client' has no Site, so " in told(network)
    assert f"'client/{network[kind]['metadata']['name']}' has no effect" in told(network)


def test_sites_that_nobody_linked_are_told() -> None:
    network = healthy()
    del network["link"], network["token"], network["grant"]
    assert told(network) == "The sites 'client', 'hub' are not linked: there is no Link and no AccessToken."


def test_plain_connector_without_pods_is_told() -> None:
    network = healthy()
    del network["binding"], network["connector"]
    network["plain"] = obj(
        "Connector", "hub/iperf3", "Error", "No matches for selector", routingKey="iperf3", selector="app=x", port=5201
    )
    assert "Connector 'hub/iperf3' is not ready: Error (No matches for selector). No ready pod matches" in told(network)
    network["plain"]["spec"]["routingKey"] = "other"
    assert "Connector 'hub/iperf3' offers routing key 'other', which no Listener asks for." in told(network)


def test_most_likely_cause_comes_first() -> None:
    network = healthy()
    only_connector(network)
    state(network["hub"], "Pending", "Not Running")
    state(network["link"], "Pending", "Not Operational")
    found = diagnose(network.values())
    assert [sentence.split(" ")[0] for sentence in found] == ["Site", "AttachedConnector", "Listener", "Link"]


@pytest.mark.parametrize("selector", ["", "app in (a, b)", "app"])
def test_selector_that_is_no_equality_is_not_judged_by_its_ports(selector: str) -> None:
    network = healthy()
    network["connector"]["spec"]["selector"] = selector
    network["connector"]["spec"]["port"] = 5202
    assert diagnose(network.values()) == []


def test_pods_without_declared_ports_are_not_judged() -> None:
    network = healthy()
    network["connector"]["spec"]["port"] = 5202
    network["pod"] = pod("work/p", app="iperf3-server")
    network["pod"]["spec"]["containers"] = [{"name": "c"}]
    assert diagnose(network.values()) == []


def test_wrong_site_namespace_has_one_advice() -> None:
    """ "Create the missing binding" in the wrong namespace was the first of two."""
    network = healthy()
    wrong_site_namespace(network)
    found = [line for line in diagnose(network.values()) if "AttachedConnector" in line]
    assert len(found) == 1
    assert "create the missing binding" not in found[0]


def test_connector_without_status_is_explained_by_its_pods() -> None:
    """Skupper gives it no status at all when Binding and Site were there first and no pod matches."""
    network = healthy()
    network["connector"]["status"] = {}
    network["connector"]["spec"]["selector"] = "app=iperf3"
    state(network["binding"], "Error", NO_CONNECTOR)
    assert diagnose(network.values())[0] == (
        "AttachedConnector 'work/iperf3' has no status, which Skupper sets once a pod matches. No ready pod matches "
        "its selector 'app=iperf3'. The pods of namespace 'work' have app=iperf3-server."
    )


def test_connector_without_status_although_pods_match_points_to_the_controller() -> None:
    network = healthy()
    network["connector"]["status"] = {}
    network["pod"]["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert "no status: no Skupper controller has processed it" in diagnose(network.values())[0]


def test_state_of_the_link_is_never_the_first_of_several_findings() -> None:
    """It has no status, or "Not Operational", for up to 40 s while everything else is ready."""
    network = healthy()
    network["link"]["status"] = {}
    keys_differ(network)
    found = diagnose(network.values())
    assert found[-1].startswith("Link 'client/token-grant' does not connect its sites")
    assert found[0].startswith("Listener")
