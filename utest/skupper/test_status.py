"""The status of Skupper's objects: ready, in words, as a goal; and what is installed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.kube import Cluster, Done, Pending
from NetLibrary._mechanics.kube.wait import Failed
from NetLibrary._mechanics.skupper import find_installation, ready, state_text
from NetLibrary._mechanics.skupper import run as installation
from NetLibrary._mechanics.skupper.results import is_ready, site_with_endpoints

from .network import obj

CONTROLLER = {"app.kubernetes.io/name": "skupper-controller"}
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def test_ready_is_a_word_or_a_condition() -> None:
    assert is_ready(obj("Site", "a/b"))
    assert not is_ready(obj("Site", "a/b", "Pending", "Not Running"))
    assert not is_ready(obj("Site", "a/b", ""))
    assert is_ready(obj("AccessToken", "a/b", conditions="Redeemed=True"))
    assert not is_ready(obj("AccessToken", "a/b", conditions="Redeemed=False"))
    assert not is_ready(
        obj("AccessToken", "a/b", "Error", "Already redeemed for a deleted site", conditions="Redeemed=True")
    )
    assert not is_ready(obj("AccessToken", "a/b"))


def test_state_is_told_in_words() -> None:
    assert state_text(None) == "it does not exist"
    assert state_text(obj("Site", "a/b", "")) == "no status: no Skupper controller has processed it"
    assert state_text(obj("Site", "a/b")) == "Ready"
    pending = obj(
        "Listener", "a/b", "Pending", "No matching connectors", conditions="Configured=True Matched=False Ready=False"
    )
    assert state_text(pending) == "Pending (No matching connectors); Configured=True, Matched=False"


def test_error_that_may_pass_does_not_end_a_wait() -> None:
    goal = ready()
    assert goal([]) == Pending("it does not exist")
    assert goal([obj("Site", "a/b", "Error", "Not ready")]) == Pending("Error (Not ready)")
    done = obj("Site", "a/b")
    assert goal([done]) == Done(done)


def test_link_access_that_the_controller_does_not_offer_ends_a_wait_at_once() -> None:
    """The run waited three minutes for a Site that asked for what nobody would ever give it."""
    site = obj("Site", "a/b", "Error", "Unsupported value for LinkAccess: nodeport", conditions="Configured=False")
    words = "Error (Unsupported value for LinkAccess: nodeport); Configured=False"
    assert ready()([site]) == site_with_endpoints()([site]) == Failed(words)
    site["metadata"]["generation"] = 2
    site["status"]["conditions"][0]["observedGeneration"] = 1
    assert ready()([site]) == Pending(words), "the status is about the value from before a change"


def test_site_that_others_shall_link_to_needs_an_address() -> None:
    site = obj("Site", "a/b")
    assert site_with_endpoints()([site]) == Pending("ready, but without an address to link to")
    site["status"]["endpoints"] = [{"name": "inter-router", "host": "10.0.0.1", "port": "55671"}]
    assert site_with_endpoints()([site]) == Done(site)
    assert site_with_endpoints()([]) == Pending("it does not exist")


def controller(api: ApiServer, ready: str = "True") -> None:
    pod = {
        "metadata": {"name": "skupper-controller-1", "namespace": "skupper", "labels": CONTROLLER},
        "spec": {"containers": [{"name": "c", "image": "quay.io/skupper/controller:2.2.1"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"name": "c", "imageID": "sha256:1"}],
        },
    }
    api.put("/api/v1/namespaces/skupper/pods", pod)


def test_cluster_without_the_api_group_has_no_skupper(api: ApiServer, cluster: Cluster) -> None:
    api.on("GET", "/apis$", lambda handler: handler.json(200, {"groups": []}))
    assert find_installation(cluster) is None


def test_real_skupper_is_real(api: ApiServer, cluster: Cluster) -> None:
    controller(api)
    found = find_installation(cluster)
    assert str(found) == "real, controller skupper/skupper-controller-1"
    assert found
    assert found.images[0] == {"reference": "quay.io/skupper/controller:2.2.1", "digest": "sha256:1", "stand_in": None}


def test_stand_in_is_called_one(api: ApiServer, cluster: Cluster) -> None:
    controller(api)
    label = "netlibrary.io/stand-in"
    metadata = {
        "name": "sites.skupper.io",
        "labels": {label: "skupper"},
        "annotations": {label: "controller in Python"},
    }
    api.put(DEFINITION, {"metadata": metadata})
    assert str(find_installation(cluster)) == "stand-in (controller in Python), controller skupper/skupper-controller-1"


@pytest.mark.parametrize("ready", ["False", None])
def test_definitions_without_a_ready_controller_are_a_problem(
    api: ApiServer, cluster: Cluster, ready: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "START_SECONDS", 0.2)
    if ready:
        controller(api, ready)
    with pytest.raises(EnvironmentProblem) as caught:
        find_installation(cluster)
    assert "has Skupper's CRDs, but no ready controller" in str(caught.value)


def test_controller_that_just_starts_is_waited_for(api: ApiServer, cluster: Cluster) -> None:
    controller(api, "False")
    with ThreadPoolExecutor() as pool:
        future = pool.submit(find_installation, cluster)
        api.wait_for_watches()
        controller(api, "True")
        assert str(future.result(20)) == "real, controller skupper/skupper-controller-1"


def test_account_that_sees_no_pods_takes_it_on_trust(api: ApiServer, cluster: Cluster) -> None:
    api.refuse("GET", "/pods", 403, "Forbidden", "no")
    found = find_installation(cluster)
    assert str(found) == "real, controller not found"
