"""The custom resource definitions and the manifests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from NetLibrary.standins.skupper import IMAGE, RECIPES, crds, manifests

DEFINITIONS = {d["spec"]["names"]["kind"]: d for d in crds.definitions()}


def schema_of(kind: str) -> dict:
    version = DEFINITIONS[kind]["spec"]["versions"][0]
    return version["schema"]["openAPIV3Schema"]


def nodes(schema: dict, path: str = "") -> Iterator[tuple[str, dict]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], f"{path}[]")


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_schemas_are_structural_and_keep_no_unknown_fields(kind: str) -> None:
    for path, node in nodes(schema_of(kind)):
        assert "type" in node, path
        assert "x-kubernetes-preserve-unknown-fields" not in node, path
        assert "default" not in node, path
        if node["type"] == "object" and path not in ("", ".metadata"):
            assert ("properties" in node) != ("additionalProperties" in node), path
        assert set(node.get("required", ())) <= set(node.get("properties", {})), path


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_every_kind_is_namespaced_with_a_status_of_its_own(kind: str) -> None:
    spec = DEFINITIONS[kind]["spec"]
    version = spec["versions"][0]
    assert spec["scope"] == "Namespaced"
    assert version["name"] == "v2alpha1"
    assert version["subresources"] == {"status": {}}
    assert schema_of(kind)["properties"]["spec"]["properties"]["settings"]["additionalProperties"] == {"type": "string"}


@pytest.mark.parametrize("kind", sorted(set(DEFINITIONS) - {"Certificate"}))
def test_printer_columns_show_fields_that_exist(kind: str) -> None:
    for column in DEFINITIONS[kind]["spec"]["versions"][0]["additionalPrinterColumns"]:
        node = schema_of(kind)
        for name in column["jsonPath"].strip(".").split("."):
            assert name in node["properties"], column
            node = node["properties"][name]
        assert node["type"] == column["type"], column


@pytest.mark.parametrize(
    ("kind", "short"),
    [
        ("Site", ["st"]),
        ("Link", ["ln"]),
        ("Listener", ["lnr"]),
        ("MultiKeyListener", []),
        ("Connector", ["cnr"]),
        ("AttachedConnector", ["acnr"]),
        ("AttachedConnectorBinding", ["acnrb"]),
        ("AccessGrant", ["grant", "gr"]),
        ("AccessToken", ["token", "to"]),
        ("RouterAccess", []),
        ("SecuredAccess", []),
        ("Certificate", []),
    ],
)
def test_short_names(kind: str, short: list[str]) -> None:
    assert DEFINITIONS[kind]["spec"]["names"].get("shortNames", []) == short


@pytest.mark.parametrize(
    ("kind", "required"),
    [
        ("Link", {"endpoints"}),
        ("Listener", {"routingKey", "host", "port"}),
        ("Connector", {"routingKey", "port"}),
        ("AttachedConnector", {"siteNamespace", "port", "selector"}),
        ("AttachedConnectorBinding", {"connectorNamespace", "routingKey"}),
        ("AccessToken", {"url", "code", "ca"}),
    ],
)
def test_required_fields(kind: str, required: set[str]) -> None:
    assert set(schema_of(kind)["properties"]["spec"]["required"]) == required


def test_everything_applied_says_that_it_is_a_stand_in() -> None:
    for obj in manifests():
        assert obj["metadata"]["labels"]["netlibrary.io/stand-in"] == "skupper", obj["metadata"]
        assert "stand-in" in obj["metadata"]["annotations"]["netlibrary.io/stand-in-note"]
    deployment = manifests()[-1]
    assert deployment["spec"]["template"]["metadata"]["labels"]["netlibrary.io/stand-in"] == "skupper"
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == IMAGE == "ghcr.io/netlibrary/skupper-stand-in:1"
    assert "quay.io/skupper" not in repr(manifests())


def test_namespace_scope_needs_no_cluster_wide_permission() -> None:
    objects = manifests(namespace="mine", scope="namespace", environment={"SKUPPER_DEFAULT_ACCESS_TYPE": "local"})
    kinds = {obj["kind"] for obj in objects}
    assert not {"ClusterRole", "ClusterRoleBinding"} & kinds
    env = {e["name"]: e.get("value") for e in objects[-1]["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["WATCH_NAMESPACE"] == "mine"
    assert env["SKUPPER_DEFAULT_ACCESS_TYPE"] == "local"


def test_a_wrong_scope_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"scope is 'galaxy'; allowed: 'cluster' and 'namespace'\."):
        manifests(scope="galaxy")


def test_the_image_holds_the_runtime_with_its_byte_code() -> None:
    (recipe,) = RECIPES
    assert recipe.references == (IMAGE,)
    assert recipe.stand_in_for == "Skupper"
    names = {path.rsplit("/", 1)[1] for path in recipe.files}
    assert {"__main__.py", "router.py", "controller.py"} <= names
    written = [path for path, content in recipe.files.items() if path.endswith(".py") and content]
    assert sum(path.endswith(".pyc") for path in recipe.files) == len(written)


def test_the_image_carries_what_it_imports_of_ours(tmp_path: Path) -> None:
    (recipe,) = RECIPES
    for place, content in recipe.files.items():
        file = tmp_path / place.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    home = tmp_path / recipe.env["PYTHONPATH"].partition(":")[0].lstrip("/")
    # -S: without the packages of this Python, ours among them
    program = [sys.executable, "-S", "-c", "import skupper_stand_in.kube as kube; print(kube.path_of('Site', 'demo'))"]
    done = subprocess.run(program, env={"PYTHONPATH": str(home)}, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "/apis/skupper.io/v2alpha1/namespaces/demo/sites\n", done.stderr
