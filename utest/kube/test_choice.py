"""Which cluster is chosen, and what an unusable kubeconfig is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_api import TOKEN, kubeconfig

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import Choice, Cluster, choose
from NetLibrary._mechanics.kube.connection import Connection

NO_CA = {"certificate-authority-data": "bm8gY2VydGlmaWNhdGU="}  # "no certificate"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def ask(home: Path, tmp_path: Path) -> Any:
    """Chooses with an empty environment and an empty home folder."""
    nowhere = {"environment": {}, "home": home, "service_account": tmp_path / "no-account"}
    return lambda *args, **options: choose(*args, **{**nowhere, **options})


def write(path: Path, content: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kubeconfig("http://127.0.0.1:9") if content is None else content))
    return path


def test_order_is_argument_variable_environment_account_home_lab(ask: Any, tmp_path: Path, home: Path) -> None:
    one, two, three = (write(tmp_path / name) for name in ("one", "two", "three"))
    account = tmp_path / "account"
    write(account / "token")
    default = write(home / ".kube" / "config")
    in_pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    steps: list[tuple[dict[str, Any], str, str]] = [
        ({"kubeconfig": one, "variable": two, "environment": {**in_pod, "KUBECONFIG": str(three)}}, "one", "argument"),
        ({"variable": two, "environment": {**in_pod, "KUBECONFIG": str(three)}}, "two", "variable ${KUBECONFIG}"),
        ({"environment": {**in_pod, "KUBECONFIG": str(three)}}, "three", "environment variable KUBECONFIG"),
    ]
    for options, name, words in steps:
        choice = ask(service_account=account, **options)
        assert [path.name for path in choice.kubeconfig] == [name]
        assert words in choice.reason
    inside = ask(service_account=account, environment=in_pod)
    assert (inside.source, "~/.kube/config, which kubectl would use" in inside.reason) == ("in-cluster", True)
    assert ask(service_account=account).kubeconfig == (default,)  # a token alone is no pod
    default.unlink()
    assert ask() == Choice("lab", "", lab="default")


def test_variable_cluster_decides_about_the_lab(ask: Any, tmp_path: Path) -> None:
    named = write(tmp_path / "one")
    assert ask(variable=str(named), force="lab").source == "lab"
    assert ask(force="lab:beta").lab == "beta"
    assert ask(variable=str(named), force="kubeconfig").kubeconfig == (named,)
    with pytest.raises(InputError, match=r"CLUSTER is 'kubeconfig', but no kubeconfig is given"):
        ask(force="kubeconfig")
    with pytest.raises(InputError, match=r"CLUSTER is 'kind'; allowed: 'lab', 'lab:NAME' and 'kubeconfig'\."):
        ask(force="kind")


def test_lab_without_a_name_is_the_one_that_the_environment_names(ask: Any, home: Path) -> None:
    (home / ".kube" / "config").unlink(missing_ok=True)
    environment = {"NETLIBRARY_LAB": "second"}
    assert ask(environment=environment).lab == "second"
    assert ask(environment=environment, force="lab").lab == "second"
    assert ask(environment=environment, force="lab:beta").lab == "beta"


@pytest.mark.parametrize("origin", ["argument", "variable", "environment"])
def test_named_file_that_is_not_there_is_a_mistake(ask: Any, tmp_path: Path, origin: str) -> None:
    missing = str(tmp_path / "missing")
    options = {"environment": {"KUBECONFIG": missing}} if origin == "environment" else {origin: missing}
    if origin == "argument":
        options = {"kubeconfig": missing}
    with pytest.raises(InputError) as caught:
        ask(**options)
    assert f"The kubeconfig '{missing}', named by the " in str(caught.value)
    assert origin in str(caught.value)


def test_list_of_files_may_have_gaps_as_for_kubectl(ask: Any, tmp_path: Path) -> None:
    one = write(tmp_path / "one")
    assert ask(environment={"KUBECONFIG": f"{tmp_path}/none:{one}:"}).kubeconfig == (one,)
    for value in (str(tmp_path), f"{tmp_path}:{one}", f"{one}:{tmp_path}"):
        with pytest.raises(InputError, match=f"'{tmp_path}' is a folder"):
            ask(environment={"KUBECONFIG": value})


def test_same_cluster_named_in_two_ways_is_one_choice(ask: Any, tmp_path: Path) -> None:
    named = str(write(tmp_path / "one"))
    assert ask(named) == ask(variable=named) == ask(environment={"KUBECONFIG": named})
    assert ask(named) != ask(named, context="other")


def test_context_is_taken_and_told(ask: Any, tmp_path: Path) -> None:
    config = kubeconfig("http://127.0.0.1:9")
    config["clusters"].append({"name": "d", "cluster": {"server": "http://127.0.0.1:10"}})
    config["contexts"].append({"name": "y", "context": {"cluster": "d", "user": "u"}})
    named = write(tmp_path / "one", config)
    assert Connection(ask(named)).server == "http://127.0.0.1:9"
    other = Connection(ask(named, context="y"))
    assert (other.server, other.context) == ("http://127.0.0.1:10", "y")
    with pytest.raises(
        InputError, match=r"with context 'z' is not usable: it has no such context; its contexts are 'x', 'y'"
    ):
        Connection(ask(named, context="z"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not usable"),
        ("just words", "is not usable"),
        ("{unclosed: [", "is not usable"),
        ("\t- tabs", "is not usable"),
        ("[]", "is not usable"),
        (json.dumps({"apiVersion": "v1", "kind": "Config"}), "is not usable"),
        (json.dumps({**kubeconfig("http://h"), "current-context": "gone"}), "gone"),
        (json.dumps({**kubeconfig("http://h"), "clusters": []}), "c"),
        (
            json.dumps({**kubeconfig("https://h"), "users": [{"name": "u", "user": {"client-certificate": "/no"}}]}),
            "/no",
        ),
        (
            json.dumps(
                {**kubeconfig("https://h"), "clusters": [{"name": "c", "cluster": {"server": "https://h", **NO_CA}}]}
            ),
            "its certificates cannot be read",
        ),
    ],
)
def test_unusable_kubeconfig_is_named_in_one_line(ask: Any, tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        Cluster.connect(ask(path))
    text = str(caught.value)
    assert text.startswith(f"The kubeconfig '{path}' is not usable: ")
    assert words in text
    assert "\n" not in text
    assert TOKEN not in text


def test_unreadable_binary_kubeconfig_is_named(ask: Any, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_bytes(b"\x00\xff\xfe\x01")
    with pytest.raises(InputError, match="is not usable"):
        Cluster.connect(ask(path))
