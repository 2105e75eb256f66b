"""Objects: paths of kinds, writes with the run's label, manifests."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, manifests
from NetLibrary._mechanics.kube.resources import BUILT_IN

NAMESPACED = "/api/v1/namespaces/demo"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Pod", "/api/v1/namespaces/demo/pods/x"),
        ("namespace", "/api/v1/namespaces/x"),
        ("Deployment", "/apis/apps/v1/namespaces/demo/deployments/x"),
        ("NetworkPolicy", "/apis/networking.k8s.io/v1/namespaces/demo/networkpolicies/x"),
        ("Site.skupper.io", "/apis/skupper.io/v2alpha1/namespaces/demo/sites/x"),
        ("Site", "/apis/skupper.io/v2alpha1/namespaces/demo/sites/x"),
        ("sites.skupper.io", "/apis/skupper.io/v2alpha1/namespaces/demo/sites/x"),
        ("LimitRange", "/api/v1/namespaces/demo/limitranges/x"),
    ],
)
def test_kind_leads_to_its_path(cluster: Cluster, kind: str, path: str) -> None:
    assert cluster.resources.find(kind).path("demo", "x") == path


def test_common_kinds_need_no_discovery(api: ApiServer, cluster: Cluster) -> None:
    for kind in BUILT_IN:
        cluster.resources.find(kind)
    assert api.seen("GET", "^/apis") == []


def test_unknown_kind_asks_about_its_definition(cluster: Cluster) -> None:
    with pytest.raises(errors.NotFound) as caught:
        cluster.list("Gadget.example.com")
    assert str(caught.value) == (
        "Cluster 'default' does not serve the kind 'Gadget' in API group 'example.com': "
        "is its custom resource definition installed?"
    )
    with pytest.raises(errors.InputError, match="kind is empty"):
        cluster.list("")


def test_kind_that_is_nearly_right_is_told(cluster: Cluster) -> None:
    with pytest.raises(errors.NotFound, match=r"does not serve the kind 'Sitee' in .*: did you mean 'Site'\?"):
        cluster.list("Sitee.skupper.io")


def test_definition_that_comes_later_is_found(api: ApiServer, cluster: Cluster) -> None:
    with pytest.raises(errors.NotFound):
        cluster.resources.find("Gadget.skupper.io")
    gadget = {"name": "gadgets", "kind": "Gadget", "namespaced": True}
    api.on("GET", "/apis/skupper.io/v2alpha1$", lambda handler: handler.json(200, {"resources": [gadget]}))
    assert cluster.resources.find("Gadget.skupper.io").plural == "gadgets"


def test_extension_server_that_is_down_does_not_hide_other_kinds(api: ApiServer, cluster: Cluster) -> None:
    groups = [
        {"name": "metrics.k8s.io", "preferredVersion": {"version": "v1"}},
        {"name": "skupper.io", "preferredVersion": {"version": "v2alpha1"}},
    ]
    api.on("GET", "/apis$", lambda handler: handler.json(200, {"groups": groups}))
    api.on("GET", "/apis/metrics", lambda handler: handler.text(503, "service unavailable", "text/plain"))
    assert cluster.resources.find("Site").group == "skupper.io"


def test_extension_server_that_is_down_is_not_waited_for(api: ApiServer, cluster: Cluster) -> None:
    # Each look at everything, a sweep for instance, asked it again for 15 s
    groups = [{"name": "metrics.k8s.io", "preferredVersion": {"version": "v1"}}]
    api.on("GET", "/apis$", lambda handler: handler.json(200, {"groups": groups}))
    api.on("GET", "/apis/metrics", lambda handler: handler.text(503, "service unavailable", "text/plain"), times=99)
    begin = time.monotonic()
    assert [resource.kind for resource, _ in cluster.resources.served()] == ["LimitRange"]
    assert time.monotonic() - begin < 1.5
    assert "503" in cluster.resources.silent["metrics.k8s.io"]


def test_everything_that_is_served_is_asked_for_at_once(api: ApiServer, cluster: Cluster) -> None:
    def groups(name: str, **version: Any) -> dict[str, Any]:
        return {"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": name}, "versions": [version]}]}

    site = {"resource": "sites", "responseKind": {"kind": "Site"}, "scope": "Namespaced", "verbs": ["list"],
            "shortNames": ["st"]}  # fmt: skip
    node = {"resource": "nodes", "responseKind": {"kind": "Node"}, "scope": "Cluster", "verbs": ["list", "delete"]}
    extensions = groups("skupper.io", version="v2alpha1", freshness="Current", resources=[site])
    extensions["items"] += groups("metrics.k8s.io", version="v1beta1", freshness="Stale")["items"]
    api.on("GET", "/apis$", lambda handler: handler.json(200, extensions), times=9)
    core = groups("", version="v1", freshness="Current", resources=[node])
    api.on("GET", "/api$", lambda handler: handler.json(200, core), times=9)
    found = cluster.resources.served()
    assert [(r.path(), verbs) for r, verbs in found] == [
        ("/api/v1/nodes", {"list", "delete"}), ("/apis/skupper.io/v2alpha1/sites", {"list"})]  # fmt: skip
    assert list(cluster.resources.silent) == ["metrics.k8s.io"]
    assert len(api.seen("GET", "^/api")) == 2
    assert cluster.resources.find("st.skupper.io").kind == "Site"


def test_all_that_is_made_carries_the_run(api: ApiServer, cluster: Cluster) -> None:
    obj: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "demo", "labels": {"a": "b"}},
    }
    assert cluster.create(obj)["metadata"]["labels"] == {"a": "b", "netlibrary.io/run": "run-1"}
    applied = cluster.apply(obj)["metadata"]
    assert applied["labels"] == {"a": "b", "netlibrary.io/run": "run-1"}
    assert applied["annotations"]["netlibrary.io/created-by"].startswith("run-1 ConfigMap demo/c 20")
    assert obj["metadata"]["labels"] == {"a": "b"}  # the caller's object stays as it was
    request = api.seen("PATCH", "configmaps/c")[0]
    assert request[2] == {"fieldManager": "netlibrary", "force": "true", "fieldValidation": "Strict"}
    assert request[3]["content-type"] == "application/apply-patch+yaml"


def test_create_of_what_exists_says_so(cluster: Cluster) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}
    cluster.create(namespace)
    with pytest.raises(errors.AlreadyExists) as caught:
        cluster.create(namespace)
    assert str(caught.value) == (
        "Cluster 'default' answered POST /api/v1/namespaces with 409 AlreadyExists: namespaces \"demo\" already exists."
    )


def test_create_of_what_others_have_names_a_way_out(cluster: Cluster) -> None:
    """A suite in a namespace of others showed only the server's refusal."""
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}}
    cluster.create(settings)
    with pytest.raises(
        errors.AlreadyExists, match=r'"settings" already exists\. Choose another namespace or another name\.$'
    ):
        cluster.create(settings)


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (
            {"kind": "Pod", "metadata": {"name": "p"}},
            "needs 'apiVersion' and 'kind'; this one has ['kind', 'metadata']",
        ),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}, "Pod 'p' needs metadata.namespace."),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "d"}}, "A Pod to apply needs metadata.name."),
    ],
)
def test_incomplete_object_is_not_sent(api: ApiServer, cluster: Cluster, obj: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        cluster.apply(obj)
    assert words in str(caught.value)
    assert api.seen("PATCH", "") == []


def test_patch_and_delete_say_what_they_want(api: ApiServer, cluster: Cluster) -> None:
    api.put(f"{NAMESPACED}/pods", {"metadata": {"name": "web"}})
    cluster.patch("Pod", "web", "demo", {"spec": {}}, strategy="strategic")
    assert api.seen("PATCH", "")[0][3]["content-type"] == "application/strategic-merge-patch+json"
    with pytest.raises(errors.InputError, match="strategy is 'deep'; allowed: merge, strategic, json"):
        cluster.patch("Pod", "web", "demo", {}, strategy="deep")
    cluster.delete("Pod", "web", "demo", grace_seconds=0, allow_foreign=True)
    assert api.seen("DELETE", "")[0][4]["gracePeriodSeconds"] == 0
    cluster.delete("Pod", "web", "demo")
    with pytest.raises(errors.NotFound):
        cluster.delete("Pod", "web", "demo", missing_ok=False)
    assert cluster.find("Pod", "web", "demo") is None


TWO = """
apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
# nothing but a comment
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  replicas: ${REPLICAS:-1}
  template:
    spec:
      containers: [{name: c, image: "${IMAGE}"}]
"""


def test_manifest_fills_its_places(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(TWO)
    namespace, deployment = manifests.load(path, {"image": "registry.k8s.io/pause:3.10", "Replicas": 3})
    assert namespace["kind"] == "Namespace"
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.k8s.io/pause:3.10"
    assert manifests.parse(TWO, {"IMAGE": "i"})[1]["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    ("text", "variables", "words"),
    [
        (TWO, {}, "The manifest 'm' needs a value for 'IMAGE'."),
        (
            TWO,
            {"IMAGE": "i", "color": 1},
            "The manifest 'm' has no placeholder for color; its placeholders are IMAGE, REPLICAS.",
        ),
        ("a: [", {}, "The manifest 'm' is not valid YAML: "),
        ("- 1\n- 2", {}, "The manifest 'm' contains a document without 'apiVersion' and 'kind'."),
        ("kind: Pod", {}, "The manifest 'm' contains a document without 'apiVersion' and 'kind'."),
        (
            "apiVersion: v1\nkind: List\nitems: [{kind: Pod}]",
            {},
            "contains a document without 'apiVersion' and 'kind'.",
        ),
        ("", {}, "The manifest 'm' contains no object."),
        ("apiVersion: v1\nkind: List\n", {}, "The manifest 'm' contains no object."),
    ],
)
def test_unusable_manifest_is_told(text: str, variables: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        manifests.parse(text, variables, "m")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_manifest_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.InputError, match=r"cannot be read: No such file or directory\."):
        manifests.load(tmp_path / "none.yaml")
    with pytest.raises(errors.InputError, match=r"cannot be read: Is a directory\."):
        manifests.load(tmp_path)
    (tmp_path / "image.yaml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(errors.InputError, match="is not a text file in UTF-8"):
        manifests.load(tmp_path / "image.yaml")


def test_list_and_missing_metadata_are_unfolded() -> None:
    text = "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, metadata: null}]"
    assert manifests.parse(text) == [{"apiVersion": "v1", "kind": "Pod", "metadata": {}}]


def test_fields_are_overridden_in_all_objects_of_the_kind() -> None:
    objects = manifests.parse(TWO, {"IMAGE": "i"})
    changes = {
        "Deployment.spec.replicas": 2,
        "Deployment.spec.template.spec.containers.0.image": "other",
        "Deployment.spec.strategy.type": "Recreate",
    }
    manifests.override(objects, changes, "m")
    spec = objects[1]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (2, {"type": "Recreate"})
    assert spec["template"]["spec"]["containers"][0]["image"] == "other"


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (
            "Job.spec.replicas",
            "matches nothing in the manifest 'm'; write Kind.field; its kinds are Deployment, Namespace.",
        ),
        ("Deployment", "matches nothing in the manifest 'm'"),
        ("Deployment.spec.template.spec.containers.5.image", "is not a valid path: there is no '5'."),
        ("Deployment.spec.template.spec.containers.first", "is not a valid path: there is no 'first'."),
        ("Deployment.metadata.name.first.letter", "is not a valid path: there is no 'first'."),
    ],
)
def test_override_that_fits_nothing_is_told(where: str, words: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        manifests.override(manifests.parse(TWO, {"IMAGE": "i"}), {where: 1}, "m")
    assert words in str(caught.value)


@pytest.mark.parametrize("word", ["svc", "services", "Service", "SERVICE"])
def test_kinds_are_written_as_for_kubectl(cluster: Cluster, word: str) -> None:
    assert cluster.resources.find(word).kind == "Service"


def test_missing_namespace_of_one_object_is_told_by_its_argument(api: ApiServer, cluster: Cluster) -> None:
    with pytest.raises(errors.InputError, match="namespace is missing: a Pod is namespaced, so the name 'c' alone"):
        cluster.get("Pod", "c")
    with pytest.raises(errors.InputError, match="namespace is missing"):
        cluster.delete("Pod", "c")


@pytest.mark.parametrize("ours", [True, False])
def test_a_misspelt_field_of_a_patch_is_not_dropped_in_silence(api: ApiServer, cluster: Cluster, ours: bool) -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}}
    if ours:
        cluster.create(obj)
    else:
        api.put("/api/v1/namespaces/shop/configmaps", obj)
    cluster.change("ConfigMap", "a", "shop", {"data": {"b": "1"}})
    assert "fieldValidation=Strict" in api.seen("PATCH", "/configmaps/a")[-1][1]


def test_a_namespace_of_another_run_is_told_with_that_run(api: ApiServer, cluster: Cluster) -> None:
    """Two runs at once in one namespace: the second one ended with the words of HTTP alone."""
    api.put("/api/v1/namespaces", {"metadata": {"name": "shop", "labels": {"netlibrary.io/run": "run-9"}}})
    with pytest.raises(
        errors.AlreadyExists, match=r"it belongs to run run-9, .* use_existing=True .*sweep --run run-9"
    ):
        cluster.enter_namespace("shop")
    api.put("/api/v1/namespaces", {"metadata": {"name": "theirs"}})
    with pytest.raises(errors.AlreadyExists, match="no run of these tests created it: give another one"):
        cluster.enter_namespace("theirs")
