"""A refused pod is told with the variable that fits it in, and no variable is named where none helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from robot_run import Run
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, why_not_ready
from NetLibrary._mechanics.kube.remedies import remedy

SCC = (
    'pods "client" is forbidden: unable to validate against any security context constraint: [provider "anyuid": '
    "Forbidden: not usable by user or serviceaccount, provider restricted-v2: .containers[0].runAsUser: Invalid value: "
    "65534: must be in the ranges: [1000660000, 1000669999]]"
)
QUOTA = 'pods "client" is forbidden: failed quota: team: must specify limits.cpu for: probe; limits.memory for: probe'


@pytest.mark.parametrize(
    ("said", "variable"),
    [
        (SCC, "POD_USER:any"),
        (QUOTA, "POD_REQUESTS and POD_LIMITS"),
        ("failed to resolve image: no match for platform in manifest: not found", "NODE_SELECTOR"),
        ("Pod was rejected: Predicate NodeAffinity failed", "NODE_SELECTOR"),
        ('pods "c" is forbidden: minimum cpu usage per Container is 100m, but request is 20m', "POD_REQUESTS is the least"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }.", "TOLERATIONS"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint(s).", "TOLERATIONS"),
        ("[repos] container <c> has an invalid image repo <docker.io/x>, allowed repos are [r.example]", "REGISTRY"),
        ("container 'c' must set securityContext.readOnlyRootFilesystem to true", "POD_READ_ONLY_ROOT"),
    ],
)  # fmt: skip
def test_refusal_is_answered_by_a_variable(said: str, variable: str) -> None:
    assert variable in remedy(said)


@pytest.mark.parametrize(
    "said",
    [
        "0/3 nodes are available: 3 Insufficient cpu.",
        "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.",
        'exceeded quota: team, requested: limits.cpu=1, used: limits.cpu=4, limited: limits.cpu=4',
        'pods "x" is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "n"',
        "unable to validate against any security context constraint: [.spec.hostNetwork: Host network is not allowed]",
    ],
)  # fmt: skip
def test_what_no_variable_helps_against_is_told_as_it_is(said: str) -> None:
    assert remedy(said) == ""


def test_refused_pod_is_told_with_its_variable(api: ApiServer, cluster: Cluster) -> None:
    api.refuse("POST", "/pods", 403, "Forbidden", SCC)
    with pytest.raises(errors.Forbidden, match="-v POD_USER:any leaves user IDs to the cluster"):
        cluster.create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client", "namespace": "n"}, "spec": {}}
        )


def test_pod_that_taints_keep_away_is_told_with_its_variable() -> None:
    said = "0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: db}."
    entry = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    trouble = why_not_ready.problem({"metadata": {"name": "p"}, "status": {"conditions": [entry]}})
    assert trouble.text.startswith(f"Unschedulable: {said}")
    assert "TOLERATIONS" in trouble.text


def test_image_that_cannot_be_pulled_is_told_with_the_variable_that_names_another() -> None:
    """On clusters without a way to public registries; which of thirty variables it was had to be looked up."""
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "dial tcp: lookup docker.io: no such host"}}
    status = {"containerStatuses": [{"name": "c", "image": "docker.io/library/python:3.13-alpine", "state": waiting}]}
    text = why_not_ready.problem({"metadata": {"name": "p"}, "status": status}).text
    assert text.startswith("container 'c' is ErrImagePull: dial tcp: lookup docker.io: no such host")
    assert "OUTAGE_PROBE_IMAGE or APPLICATION_TOOLS_IMAGE names another image, REGISTRY another registry" in text
    status["containerStatuses"][0]["image"] = "registry.example/shop/web:7"
    assert "REGISTRY" not in why_not_ready.problem({"metadata": {"name": "p"}, "status": status}).text


@pytest.mark.parametrize(("given", "pulled"), [
    (["HEALTH_IMAGE:docker.io/library/busybox:1.63"], "docker.io/library/busybox:1.63"),
    (["HEALTH_IMAGE:busybox:1.63"], "docker.io/library/busybox:1.63"),
    (["HEALTH_IMAGE:docker.io/library/bussybox:1.36", "REGISTRY:r.example/m/"], "r.example/m/library/bussybox:1.36"),
    (["MATRIX_PROBER_IMAGE:registry.example/prober:7"], "registry.example/prober:7"),
])  # fmt: skip
def test_image_that_the_user_named_is_told_with_its_variable(
    api: ApiServer, tmp_path: Path, given: list[str], pulled: str
) -> None:
    """The hint was missing just where it was wanted: at `-v HEALTH_IMAGE:docker.io/library/busybox:1.63`."""
    waiting = {"waiting": {"reason": "InvalidImageName", "message": "no"}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "c", "image": pulled, "state": waiting}]}
    api.put("/api/v1/namespaces/shop/pods", {"metadata": {"name": "web", "labels": {"app": "web"}},
                                             "spec": {"containers": [{"name": "c"}]}, "status": status})  # fmt: skip
    test = "*** Test Cases ***\nA\n    Wait Until Pods Are Ready    shop    app=web    timeout=9 s"
    kubeconfig = api.kubeconfig(tmp_path / "k")
    message = Run(tmp_path, kubeconfig, test, variable=given).tests["A"].message
    variable = given[0].partition(":")[0]
    assert f"({variable} names this image, REGISTRY another registry, PULL_SECRET its credentials)" in message
    assert "names this image" not in Run(tmp_path, kubeconfig, test).tests["A"].message


def test_hint_about_an_image_names_variables_of_the_suite_that_runs(api: ApiServer, tmp_path: Path) -> None:
    """Variables of other suites were named, which change nothing here."""
    waiting = {"waiting": {"reason": "InvalidImageName", "message": "no"}}
    status = {
        "phase": "Pending",
        "containerStatuses": [{"name": "c", "image": "docker.io/library/python:3.13-alpine", "state": waiting}],
    }
    api.put("/api/v1/namespaces/shop/pods", {"metadata": {"name": "web", "labels": {"app": "web"}},
                                             "spec": {"containers": [{"name": "c"}]}, "status": status})  # fmt: skip
    test = "*** Test Cases ***\nA\n    Wait Until Pods Are Ready    shop    app=web    timeout=9 s"
    text = "*** Variables ***\n${OUTAGE_PROBE_IMAGE}    ${EMPTY}\n\n" + test
    kubeconfig = api.kubeconfig(tmp_path / "k")
    assert (
        "(OUTAGE_PROBE_IMAGE names another image, REGISTRY another registry, "
        in Run(tmp_path, kubeconfig, text).tests["A"].message
    )
    assert "(REGISTRY names another registry, " in Run(tmp_path, kubeconfig, test).tests["A"].message
