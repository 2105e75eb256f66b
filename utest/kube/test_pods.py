"""Settings for all pods reach every pod of every suite through one place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scripted_api import ApiServer

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.images import IMAGES
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.pods import PodSettings, dressed, in_registry
from NetLibrary.cli import main

ROOT = Path(__file__).parents[2]
SPEC: dict[str, Any] = {"containers": [{"name": "c", "image": "quay.io/skupper/lanyard:2.0"}]}
VARIABLES = {
    "REGISTRY": "registry.example/mirror/", "PULL_SECRET": "regcred", "IMAGE_PULL_POLICY": "Always",
    "TOLERATIONS": "dedicated=test:NoSchedule, gpu", "NODE_SELECTOR": "pool=workers", "PRIORITY_CLASS": "low",
    "POD_LABELS": "team=net", "POD_ANNOTATIONS": {"sidecar.istio.io/inject": "false"}, "POD_REQUESTS": "cpu=50m,memory=32Mi",
}  # fmt: skip
KINDS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"apiVersion": "v1", "kind": "Pod", "spec": SPEC}, ()),
    *(
        ({"apiVersion": f"{group}/v1", "kind": kind, "spec": {"template": {"spec": SPEC}}}, ("spec", "template"))
        for group, kind in (("apps", "Deployment"), ("apps", "DaemonSet"), ("apps", "StatefulSet"), ("batch", "Job"))
    ),
    (
        {"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": SPEC}}}}},
        ("spec", "jobTemplate", "spec", "template"),
    ),
]


@pytest.mark.parametrize(("obj", "where"), KINDS)
def test_every_kind_of_pod_gets_every_setting(obj: dict[str, Any], where: tuple[str, ...]) -> None:
    pod = dressed(obj, PodSettings.of_variables(VARIABLES.get))
    for key in where:
        pod = pod[key]
    assert pod["metadata"] == {"labels": {"team": "net"}, "annotations": {"sidecar.istio.io/inject": "false"}}
    assert pod["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "registry.example/mirror/skupper/lanyard:2.0",
                "imagePullPolicy": "Always",
                "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}},
            }
        ],
        "imagePullSecrets": [{"name": "regcred"}],
        "tolerations": [
            {"operator": "Equal", "value": "test", "key": "dedicated", "effect": "NoSchedule"},
            {"operator": "Exists", "key": "gpu"},
        ],
        "nodeSelector": {"pool": "workers"},
        "priorityClassName": "low",
    }
    assert SPEC == {"containers": [{"name": "c", "image": "quay.io/skupper/lanyard:2.0"}]}  # the caller's stays


@pytest.mark.parametrize(("resources", "requests"), [
    ({"requests": {"memory": "1Gi"}}, {"cpu": "50m", "memory": "1Gi"}),
    ({"limits": {"cpu": "10m"}}, {"memory": "64Mi"}),
    ({"requests": {"cpu": "1", "memory": "1Gi"}}, {"cpu": "1", "memory": "1Gi"}),
    ({"requests": {"cpu": "20m", "memory": "1Gi"}}, {"cpu": "50m", "memory": "1Gi"}),
    ({"requests": {"cpu": "20m"}, "limits": {"cpu": "30m"}}, {"cpu": "20m", "memory": "64Mi"}),
])  # fmt: skip
def test_requests_are_added_of_what_a_container_asks_none_or_less_of(
    resources: dict[str, Any], requests: dict[str, str]
) -> None:
    # CyPerf's agents ask for memory alone, and a quota that wants both refused them
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": [{"resources": resources}]}}
    settings = PodSettings(requests={"cpu": "50m", "memory": "64Mi"})
    assert dressed(pod, settings)["spec"]["containers"][0]["resources"]["requests"] == requests


def test_empty_settings_change_nothing() -> None:
    for obj, _ in KINDS:
        assert dressed(obj, PodSettings.of_variables(lambda name: None)) is obj


def test_pod_that_names_its_node_is_not_refused_by_its_kubelet() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {**SPEC, "nodeName": "n"}}
    assert "nodeSelector" not in dressed(pod, PodSettings(node_selector={"pool": "workers"}))["spec"]


def test_quota_of_limits_and_read_only_root_are_met() -> None:
    given = {"POD_LIMITS": "memory=64Mi", "POD_READ_ONLY_ROOT": True}
    containers = [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "own", "mountPath": "/tmp"}]}]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": containers}}
    spec = dressed(pod, PodSettings.of_variables(given.get))["spec"]
    assert spec["volumes"] == [{"name": "netlibrary-tmp", "emptyDir": {}}]
    assert [c["volumeMounts"] for c in spec["containers"]] == [
        [{"name": "netlibrary-tmp", "mountPath": "/tmp"}], [{"name": "own", "mountPath": "/tmp"}],
    ]  # fmt: skip
    assert all(c["securityContext"] == {"readOnlyRootFilesystem": True} for c in spec["containers"])
    assert all(c["resources"] == {"limits": {"memory": "64Mi"}} for c in spec["containers"])


@pytest.mark.parametrize(("user", "wanted"), [("any", {}), ("12345", {"runAsUser": 12345, "runAsGroup": 12345})])
def test_user_of_pods_is_the_clusters_choice_or_a_number_but_root_stays(user: str, wanted: dict[str, int]) -> None:
    settings = PodSettings.of_variables({"POD_USER": user}.get)
    context = {"runAsNonRoot": True, "runAsUser": 65534, "runAsGroup": 65534}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"securityContext": context, "containers": [{"name": "c"}]}}
    assert dressed(pod, settings)["spec"]["securityContext"] == {"runAsNonRoot": True, **wanted}
    root = {"apiVersion": "v1", "kind": "Pod", "spec": {"securityContext": {"runAsUser": 0}, "containers": []}}
    assert dressed(root, settings)["spec"] == root["spec"]


@pytest.mark.parametrize("user", ["0", "root", "-1"])
def test_user_of_pods_that_is_none_is_refused(user: str) -> None:
    with pytest.raises(InputError, match=f"POD_USER is '{user}'; allowed: a number above 0, and any"):
        PodSettings.of_variables({"POD_USER": user}.get)


def test_whatever_is_created_or_applied_is_dressed(api: ApiServer, cluster: Cluster) -> None:
    cluster.pod_settings = lambda: PodSettings(registry="registry.example")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "demo"}, "spec": SPEC}
    cluster.create(pod)
    cluster.apply({**pod, "metadata": {"name": "b", "namespace": "demo"}})
    cluster.apply({**pod, "metadata": {"name": "b", "namespace": "demo"}})
    for name in ("a", "b"):
        made = api.objects["/api/v1/namespaces/demo/pods"][name]
        assert made["spec"]["containers"][0]["image"] == "registry.example/skupper/lanyard:2.0"


@pytest.mark.parametrize(
    ("image", "moved"),
    [
        ("busybox", "r.example/library/busybox"),
        ("docker.io/library/busybox:1", "r.example/library/busybox:1"),
        ("docker.io/busybox:1", "r.example/library/busybox:1"),
        ("ibaldin/e2sar:0.1.4", "r.example/ibaldin/e2sar:0.1.4"),
        ("localhost:5000/a/b@sha256:1", "r.example/a/b@sha256:1"),
        ("r.example/a:1", "r.example/a:1"),
    ],
)
def test_image_moves_to_the_registry(image: str, moved: str) -> None:
    assert in_registry(image, "r.example") == moved


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("IMAGE_PULL_POLICY", "often", "IMAGE_PULL_POLICY is 'often'; allowed: Always, IfNotPresent, Never."),
        ("REGISTRY", "https://r.example/m", "REGISTRY is 'https://r.example/m'; allowed: a host and a path without"),
        ("REGISTRY", "r.example m", "REGISTRY is 'r.example m'; allowed: a host and a path without a scheme"),
        ("NODE_SELECTOR", "workers", "NODE_SELECTOR has 'workers'; allowed: pairs such as key=value"),
        ("TOLERATIONS", "a:Never", "TOLERATIONS has 'a:Never'; allowed effects are NoSchedule"),
        ("TOLERATIONS", "[{", "TOLERATIONS looks like JSON but is not valid"),
    ],
)
def test_wrong_setting_is_told_by_its_variable(name: str, value: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        PodSettings.of_variables({name: value}.get)


def test_every_image_of_manifests_and_resources_is_in_the_list() -> None:
    known = {image.reference for image in IMAGES}
    used = set()
    for file in [*ROOT.glob("manifests/**/*.yaml"), *ROOT.glob("resources/*.resource"), *ROOT.glob("suites/*.robot")]:
        text = file.read_text()
        used |= set(re.findall(r"image: (?:&\w+ )?([\w.-]+/[\w./:-]+)", text))
        used |= set(re.findall(r"^\$\{\w*IMAGE\}\s+([\w.-]+/[\w./:-]+)", text, re.MULTILINE))
    assert used <= known
    assert len(used) > 5


def test_every_image_that_is_not_published_can_be_built() -> None:
    for image in IMAGES:
        assert image.origin in ("public", "the lab only") or (ROOT / image.origin).is_file(), image


def test_command_lists_images_as_a_registry_has_them() -> None:
    shown = CliRunner().invoke(main, ["images", "list", "--plain", "--suite", "e2sar", "--registry", "r.example/m/"])
    assert shown.output.splitlines()[0] == "r.example/m/ibaldin/e2sar:0.1.4"
    assert "OUTAGE_PROBE_IMAGE" in CliRunner().invoke(main, ["images", "list"]).output
    schemed = CliRunner().invoke(main, ["images", "list", "--registry", "https://r.example"])
    assert (schemed.exit_code, "--registry is 'https://r.example'; allowed: " in schemed.output) == (2, True)
    misspelt = CliRunner().invoke(main, ["images", "list", "--suite", "e2saar"])
    assert (misspelt.exit_code, "suite is 'e2saar'; suites with images:" in misspelt.output) == (2, True)
