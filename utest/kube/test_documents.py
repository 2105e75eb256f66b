"""Applying files, folders, texts and dictionaries: what is chosen, of which type values are, and where a fault is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, documents, service_types

MAPS = "/api/v1/namespaces/shop/configmaps"
TWO = """
# a comment
apiVersion: v1
kind: ConfigMap
metadata:
  name: one
data:
  colour: ${COLOUR:-blue}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicaz: 2
  template:
    spec:
      containers:
      - name: web
        imagee: web:1
      - name: proxy
        ports:
        - {containerPort: many}
"""


def apply(cluster: Cluster, text: str, *, only: str = "", **changes: Any) -> list[str]:
    fields = {key.replace("__", "."): value for key, value in changes.items()}
    found = documents.of_text(text, {}, "web.yaml")
    chosen = documents.chosen(cluster, found, only) if only else found
    return documents.apply(cluster, chosen, namespace="shop", changes=fields)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ('strict decoding error: unknown field "spec.replicaz"', 14),
        ("failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.replicaz: field not", 14),
        ('unknown field "spec.template.spec.containers[0].imagee"', 19),
        ('.spec.template.spec.containers[name="web"].imagee: field not declared in schema', 19),
        ("spec.template.spec.containers[1].ports[0].containerPort: Invalid value", 22),
        ("json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicaz of type int32", 14),
        ("spec.template.spec.volumes[0].name: Required value", 16),
        ("something else is wrong", 10),
        ('strict decoding error: unknown field "metadata"', 12),
    ],
)
def test_a_fault_is_told_with_its_file_and_line(api: ApiServer, cluster: Cluster, message: str, line: int) -> None:
    api.refuse("POST", "/deployments", 422, "Invalid", message, times=9)
    api.refuse("GET", "/deployments", 404, "NotFound", "not found", times=9)
    with pytest.raises(errors.Invalid, match=rf"^web.yaml, line {line}: Cluster 'default' answered POST"):
        apply(cluster, TWO)


def test_objects_in_a_list_know_their_lines() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    nmae: x\n"
    (found,) = documents.of_text(text, {}, "list.yaml")
    assert found.place('unknown field "metadata.nmae"') == "list.yaml, line 7"


def test_a_key_that_stands_twice_is_refused() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  a: 1\n  b: 2\n  a: 3\n"
    with pytest.raises(errors.InputError, match=r"^x.yaml, line 7: duplicate key 'a'; it is already in line 5\."):
        documents.of_text(text, {}, "x.yaml")


def test_one_object_of_several_is_applied(api: ApiServer, cluster: Cluster) -> None:
    assert apply(cluster, TWO, only="cm/one") == ["ConfigMap/one"]
    assert api.objects[MAPS]["one"]["data"] == {"colour": "blue"}
    with pytest.raises(errors.InputError, match=r"only is 'cm/two'; .* manifest: ConfigMap/one, Deployment/web"):
        apply(cluster, TWO, only="cm/two")
    with pytest.raises(errors.InputError, match="only is 'one'"):
        apply(cluster, TWO, only="one")


def test_a_folder_is_applied_in_the_order_of_names(api: ApiServer, cluster: Cluster, tmp_path: Path) -> None:
    one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {a: '${A}'}\n"
    (tmp_path / "b.yaml").write_text(one.replace("NAME", "b"))
    (tmp_path / "a.yml").write_text(one.replace("NAME", "a").replace("${A}", "${B:-2}"))
    (tmp_path / "c.json").write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}')
    (tmp_path / "README.md").write_text("none")
    found = documents.of_path(tmp_path, {"a": "1"})
    assert documents.apply(cluster, found, namespace="shop", changes={}) == [f"ConfigMap/{name}" for name in "abc"]
    assert [api.objects[MAPS][name]["data"]["a"] for name in "ab"] == ["2", "1"]
    with pytest.raises(errors.InputError, match=r"No manifest in '.*' has a placeholder for other"):
        documents.of_path(tmp_path, {"a": "1", "other": "x"})
    with pytest.raises(errors.InputError, match=r"has no file that ends in \.yaml, \.yml, \.json"):
        documents.of_path((tmp_path / "empty").absolute() if (tmp_path / "empty").mkdir() else tmp_path / "empty", {})


def test_dictionaries_are_applied(api: ApiServer, cluster: Cluster) -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
    found = documents.of_objects([one])
    documents.apply(cluster, found, namespace="shop", changes={"ConfigMap.data.a": "1"})
    assert api.objects[MAPS]["one"]["data"] == {"a": "1"}
    assert "namespace" not in one["metadata"], "what the suite holds stays as it is"
    with pytest.raises(errors.InputError, match="is a dictionary with 'apiVersion' and 'kind'"):
        documents.of_objects([{"kind": "Pod"}])


# --- types ------------------------------------------------------------------------------------------------

SCHEMAS = {
    "Deployment": {
        "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}],
        "properties": {"spec": {"allOf": [{"$ref": "#/components/schemas/DeploymentSpec"}]}},
    },
    "DeploymentSpec": {
        "properties": {
            "replicas": {"type": "integer"},
            "paused": {"type": "boolean"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "ports": {"type": "array", "items": {"$ref": "#/components/schemas/Port"}},
            "surge": {"allOf": [{"$ref": "#/components/schemas/IntOrString"}]},
        }
    },
    "Port": {"properties": {"port": {"type": "integer"}, "name": {"type": "string"}}},
    "IntOrString": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
}


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("spec.replicas", "3", 3),
        ("spec.paused", "true", True),
        ("spec.labels.number", "3", "3"),
        ("spec.labels", "{a: '1'}", {"a": "1"}),
        ("spec.ports.0.port", "80", 80),
        ("spec.ports.0.name", "80", "80"),
        ("spec.surge", "1", 1),
        ("spec.surge", "25%", "25%"),
        ("spec.unknown.field", "3", "3"),
    ],
)
def test_values_have_the_type_that_the_schema_says(
    api: ApiServer, cluster: Cluster, path: str, text: str, value: Any
) -> None:
    answer = {"components": {"schemas": SCHEMAS}}
    api.on("GET", "/openapi/v3/apis/apps/v1", lambda handler: handler.json(200, answer))
    typed = cluster.schemas.typed("apps/v1", "Deployment", path.split("."), text, "x")
    assert (typed, type(typed)) == (value, type(value))
    assert cluster.schemas.typed("apps/v1", "Deployment", path.split("."), text, "x") == value, "asked for once only"


@pytest.mark.parametrize(
    ("path", "text", "allowed"),
    [
        ("spec.replicas", "three", "a whole number"),
        ("spec.replicas", "1.5", "a whole number"),
        ("spec.replicas", "yes", "a whole number"),
        ("spec.paused", "1", "true or false"),
        ("spec.labels", "a", "YAML or JSON of type object"),
    ],
)
def test_a_value_of_another_type_is_refused(
    api: ApiServer, cluster: Cluster, path: str, text: str, allowed: str
) -> None:
    answer = {"components": {"schemas": SCHEMAS}}
    api.on("GET", "/openapi/v3/apis/apps/v1", lambda handler: handler.json(200, answer))
    with pytest.raises(errors.InputError, match=rf"^Deployment\.{path} is '{text}'; allowed: {allowed}\.$"):
        cluster.schemas.typed("apps/v1", "Deployment", path.split("."), text, f"Deployment.{path}")


def test_without_a_schema_texts_stay_texts(api: ApiServer, cluster: Cluster) -> None:
    api.refuse("GET", "/openapi", 403, "Forbidden", "not for you")
    assert cluster.schemas.typed("v1", "ConfigMap", ["data", "a"], "3", "x") == "3"


# --- what is odd in a manifest -------------------------------------------------------------------------------

ONE = "{apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: shop}}"


@pytest.mark.parametrize(
    "text",
    [
        f"{{apiVersion: v1, kind: List, items: [{ONE}]}}",
        f"{{apiVersion: v1, kind: ConfigMapList, items: [{ONE}]}}",
        "{apiVersion: v1, kind: ConfigMapList, metadata: {resourceVersion: '7'}, items: [{metadata: {name: one}}]}",
        f"{{apiVersion: v1, kind: List, items: [{{apiVersion: v1, kind: List, items: [{ONE}]}}]}}",
        f"{{apiVersion: v1, kind: List, items: }}\n---\n{ONE}",
        f"{{apiVersion: v1, kind: List}}\n---\n{ONE}",
    ],
)
def test_lists_as_kubectl_prints_them_are_their_objects(api: ApiServer, cluster: Cluster, text: str) -> None:
    assert apply(cluster, text) == ["ConfigMap/one"]
    assert list(api.objects[MAPS]) == ["one"]


def test_values_are_those_that_kubectl_reads(api: ApiServer, cluster: Cluster) -> None:
    data = "{day: 2024-01-01, moment: 2024-01-01T00:00:00Z, time: 10:30, mode: 0o644, old: 0644, text: !!binary aGk=}"
    apply(cluster, f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: one}}, data: {data}}}")
    assert api.objects[MAPS]["one"]["data"] == {
        "day": "2024-01-01", "moment": "2024-01-01T00:00:00Z", "time": "10:30", "mode": 420, "old": 420, "text": "hi",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "3"}, "has the kind 3, which is not text; put it in quotes"),
        ({"apiVersion": "1"}, "has the apiVersion 1, which is not text"),
        ({"metadata": "{name: 12}"}, "has the metadata.name 12, which is not text"),
        ({"metadata": "{name: a, namespace: 12}"}, "has the metadata.namespace 12, which is not text"),
        ({"metadata": "hello"}, "has the metadata 'hello'; it must be a dictionary"),
        ({"metadata": "{name: a, labels: [x]}"}, r"has the metadata.labels \['x'\]; it must be a dictionary"),
        ({"data": "!!set {a, b}"}, "has a ConfigMap with a value that JSON does not know"),
        ({"data": "{a: .nan}"}, "has a ConfigMap with a value that JSON does not know"),
        ({"data": "&all {a: *all}"}, "has a ConfigMap with a value that JSON does not know: Circular"),
        ({"metadata": "{generateName: a-}"}, "needs metadata.name; metadata.generateName is not enough"),
    ],
)
def test_what_cannot_be_sent_is_told_with_its_field(
    api: ApiServer, cluster: Cluster, change: dict[str, str], words: str
) -> None:
    parts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": "{name: one}", **change}
    with pytest.raises(errors.InputError, match=words):
        apply(cluster, "".join(f"{key}: {value}\n" for key, value in parts.items()))
    assert not api.seen("POST", "")


def test_dictionary_with_what_json_does_not_know_is_refused(cluster: Cluster) -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": b"raw"}}
    with pytest.raises(errors.InputError, match="An object to apply has a ConfigMap with a value that JSON"):
        documents.of_objects([obj])


@pytest.mark.parametrize("code", [403, 400], ids=["quota", "webhook"])
def test_service_whose_type_is_refused_is_made_of_the_next_lesser_where_that_is_asked_for(
    api: ApiServer, cluster: Cluster, code: int
) -> None:
    """The suite of outages tried each type by itself, and knew other refusals than the others."""
    words = "admission webhook 'x' denied the request: no load balancers" if code == 400 else "exceeded quota: team"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "far"},
               "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}  # fmt: skip
    said: list[str] = []
    cluster.say = said.append
    api.refuse("POST", "/services", code, "Forbidden" if code == 403 else "BadRequest", words)
    applied = documents.apply(
        cluster, documents.of_objects([service]), namespace="shop", changes={}, lesser_service_types=True
    )
    assert applied == ["Service/far"]
    made = cluster.get("Service", "far", "shop")
    assert made["spec"]["type"] == "NodePort"
    assert words in service_types.refusal(made)
    assert said[0].startswith("Service 'far' is made of type NodePort, since type LoadBalancer is refused here: ")
    api.refuse("POST", "/services", code, "Forbidden" if code == 403 else "BadRequest", words)
    with pytest.raises(errors.ClusterError, match=words):
        documents.apply(
            cluster, documents.of_objects([service | {"metadata": {"name": "near"}}]), namespace="shop", changes={}
        )
