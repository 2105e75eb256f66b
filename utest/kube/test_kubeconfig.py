"""A kubeconfig means what it means to kubectl: each field is honoured or refused, and no secret gets into a message."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_kubectl import KUBECTL
from scripted_api import TOKEN
from tls_server import TlsServer

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import Choice, Cluster, choose
from NetLibrary._mechanics.kube.kubeconfig import CLUSTER_FIELDS, EXEC_FIELDS, USER_FIELDS, load

Object = dict[str, Any]


def config(user: Object | None = None, cluster: Object | None = None, **changes: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9", **(cluster or {})}}],
        "users": [{"name": "u", "user": {"token": TOKEN} if user is None else user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        **changes,
    }


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(content: Any, name: str = "config") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return written


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[TlsServer]:
    with TlsServer(tmp_path) as server:
        yield server


def named(name: str, server: str) -> Object:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {"token": "t"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }  # fmt: skip


# --- lists of files -----------------------------------------------------------------------------------------


def test_current_context_of_the_first_file_counts(write: Any) -> None:
    first, second = write(named("test", "https://a:1"), "1"), write(named("production", "https://b:2"), "2")
    assert load([first, second]).server == "https://a:1"
    assert load([second, first]).server == "https://b:2"
    assert load([first, second], "production").server == "https://b:2"


def test_of_two_entries_with_one_name_the_first_counts_whole(write: Any) -> None:
    first, second = named("x", "https://a:1"), named("x", "https://b:2")
    second["users"][0]["user"]["as"] = "somebody"
    found = load([write(first, "1"), write(second, "2")]).user
    assert (found.token, found.impersonate) == ("t", ())


@pytest.mark.parametrize("first", ["", "---\n", "{}", "apiVersion: v1\nkind: Config\n"])
def test_empty_file_counts_as_none(write: Any, first: str) -> None:
    assert load([write(first, "1"), write(named("a", "https://a:1"), "2")]).server == "https://a:1"


def test_file_without_a_current_context_leaves_it_to_the_next(write: Any) -> None:
    first = named("test", "https://a:1")
    del first["current-context"]
    assert load([write(first, "1"), write(named("test", "https://b:2"), "2")]).server == "https://a:1"


def test_paths_are_relative_to_the_file_that_has_them(write: Any, tmp_path: Path) -> None:
    user = {"tokenFile": "token", "exec": None}
    first = write(config(user), "deep/config")
    assert load([first]).user.token_file == tmp_path / "deep" / "token"
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./p.sh", "interactiveMode": "Never"}
    found = load([write(config({"exec": plugin}), "deep/config")]).user.plugin
    assert found is not None
    assert found.command == str(tmp_path / "deep" / "p.sh")


# --- servers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cluster", "server"),
    [
        ({"server": "127.0.0.1:6443"}, "http://127.0.0.1:6443"),
        ({"server": "https://rancher.example/k8s/clusters/c-1/"}, "https://rancher.example/k8s/clusters/c-1"),
        ({"server": "https://[fd00::1]:6443"}, "https://[fd00::1]:6443"),
        ({"server": "localhost"}, "http://localhost"),
    ],
)
def test_server_is_completed_as_kubectl_does(write: Any, cluster: Object, server: str) -> None:
    assert load([write(config(cluster=cluster))]).server == server


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (config(cluster={"server": ""}), "cluster 'c' names no server"),
        (config(cluster={"server": "10.0.0.1:6443/prefix"}), "neither a URL nor host:port"),
        (
            config(cluster={"server": "10.0.0.1:6443", "insecure-skip-tls-verify": True}),
            "the server of cluster 'c' is '10.0.0.1:6443' without a scheme, which means http; write https://10.0.0.1:6443",
        ),
        (config(cluster={"server": "ftp://h"}), "neither a URL nor host:port"),
        (config(cluster={"server": "http://h:port"}), "neither a URL nor host:port"),
        (config(cluster={"server": "https://me:secret@h"}), "has a user name or password in its URL"),
        (
            config(cluster={"certificate-authority-data": "%%"}),
            "certificate-authority-data of cluster 'c' is not base64",
        ),
        (config(cluster={"certificate-authority": "/no/ca"}), "certificate-authority of cluster 'c' is '/no/ca'"),
        (config(cluster={"certificate-authority": "/x", "certificate-authority-data": "eA=="}), "only one of them"),
        (config(cluster={"certificate-authority-data": "eA==", "insecure-skip-tls-verify": True}), "only one of them"),
        (config(cluster={"proxy-url": "https://proxy:1"}), "a proxy that speaks TLS itself is not supported"),
        (config(cluster={"proxy-url": "proxy:1"}), "allowed: http://HOST:PORT and socks5://HOST:PORT"),
        (config(cluster={"proxyUrl": "http://p"}), "cluster 'c' has the field 'proxyUrl', which is unknown"),
        (config(cluster={"insecure-skip-tls-verify": "yes"}), "is neither true nor false"),
        (config({"token": f"{TOKEN}\n"}), "token of user 'u' contains white space and would not be accepted"),
        (config({"token": 123}), "token of user 'u' is not text; put it in quotes"),
        (config({"tokenfile": "x"}), "user 'u' has the field 'tokenfile', which is unknown"),
        (config({"token": "a", "username": "b"}), "user 'u' has both a token and a user name or password"),
        (config({"client-certificate-data": "eA=="}), "user 'u' has a client-certificate, but no client-key"),
        (config({"client-key-data": "eA=="}), "user 'u' has a client-key, but no client-certificate"),
        (config({"as-groups": ["g"]}), "as-uid, as-groups or as-user-extra without 'as'"),
        (config({"as": "a", "as-groups": "g"}), "as-groups of user 'u' is not a list of texts"),
        (config({"as": "a\nX: b"}), "line break"),
        (
            config({"auth-provider": {"name": "gcp"}}),
            "the auth-provider 'gcp', which kubectl no longer supports either",
        ),
        (config({"auth-provider": {"name": "oidc"}}), "without an id-token"),
        (config({"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}), "exec of user 'u' names no command"),
        (config({"exec": {"apiVersion": "v1", "command": "c"}}), "apiVersion of exec of user 'u' is 'v1'"),
        (
            config({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "c"}}),
            "interactiveMode of exec of user 'u' is missing",
        ),
        (config({}, {"server": "https://h"}), "user 'u' has no credentials, and anonymous requests are not made"),
        (config(cluster={"server": "http://10.0.0.1"}), "the credentials of user 'u' would be sent in clear text"),
        (config(users=[]), "context 'x' names the user 'u', which is not in it; it has none"),
        (config(clusters=[]), "context 'x' names the cluster 'c', which is not in it; it has none"),
        (config(contexts=[]), "its current-context is 'x', which it does not have; its contexts are none"),
        (config(**{"current-context": ""}), "it has no current-context; its contexts are 'x'"),
        (config(users=[{"name": "u", "user": {}}, {"name": "u", "user": {}}]), "has 'u' twice"),
        (config(apiVersion="v2"), "is 'v2'; kubeconfigs are v1"),
        (config(currentContext="y"), "has the field 'currentContext', which is unknown"),
        (
            config(contexts=[{"name": "x", "context": {"cluster": "c", "user": "u", "namspace": "n"}}]),
            "context 'x' has the field 'namspace', which is unknown",
        ),
        (f"a: b\n---\ntoken: {TOKEN}\n", "has several documents, and kubectl reads only the first"),
        (f"users:\t[]\ntoken: {TOKEN}", "is no YAML (line 1, at a tab)"),
        ({"kind": "Pod"}, "is a Pod and not a kubeconfig"),
        ("[1]", "has no entries such as clusters"),
        (f"users:\n- token: {TOKEN}\n  - x", "is no YAML (line 3)"),
    ],
)
def test_what_cannot_be_honoured_is_refused_in_one_line(write: Any, content: Any, words: str) -> None:
    path = write(content)
    with pytest.raises(InputError) as caught:
        load([path])
    text = str(caught.value)
    assert text.startswith(f"The kubeconfig '{path}' is not usable: ")
    assert words in text
    assert "\n" not in text
    assert TOKEN not in text
    assert "secret" not in text


def test_context_that_is_asked_for_and_is_not_there_is_named_with_those_that_are(write: Any) -> None:
    with pytest.raises(InputError, match=r"with context 'z' is not usable: it has no such context; .* are 'x'\."):
        load([write(config())], "z")


def test_context_without_a_kubeconfig_is_refused(tmp_path: Path) -> None:
    for options in ({"force": "lab"}, {}):
        with pytest.raises(InputError, match="a context is part of a kubeconfig"):
            choose(context="x", environment={}, home=tmp_path, service_account=tmp_path, **options)  # type: ignore[arg-type]


def test_id_token_of_an_oidc_provider_counts_until_it_has_expired(write: Any) -> None:
    def token(**claims: Any) -> str:
        return f"a.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c"

    good = token(exp=9e9)
    provider = {"name": "oidc", "config": {"id-token": good}}
    assert load([write(config({"auth-provider": provider}))]).user.token == good
    provider["config"] = {"id-token": token(exp=1)}
    with pytest.raises(InputError, match="has expired and is not renewed here"):
        load([write(config({"auth-provider": provider}))])


def test_secrets_are_in_no_representation(write: Any) -> None:
    target = load([write(config({"token": TOKEN, "client-key-data": base64.b64encode(TOKEN.encode()).decode(), "client-certificate-data": "eA=="}))])  # fmt: skip
    assert TOKEN not in repr(target) + str(target) + repr(target.user)


def test_every_field_is_in_the_table_of_the_documentation() -> None:
    table = (Path(__file__).parents[2] / "docs" / "kubeconfig.md").read_text()
    missing = [name for name in sorted(CLUSTER_FIELDS | USER_FIELDS | EXEC_FIELDS) if f"`{name}`" not in table]
    assert not missing


# --- beside kubectl -------------------------------------------------------------------------------------------


def identity(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Returns the headers that say who asks, of all requests."""
    found = ((name.lower(), value) for name, value in headers)
    return sorted({each for each in found if each[0] == "authorization" or each[0].startswith("impersonate-")})


def headers_of_kubectl(path: Path, seen: list[tuple[str, str]]) -> list[tuple[str, str]]:
    assert KUBECTL
    done = subprocess.run(
        [KUBECTL, "--kubeconfig", str(path), "get", "--raw", "/version"],
        capture_output=True, text=True, timeout=60, check=False, env={"HOME": str(path.parent), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return identity(seen)


@pytest.mark.skipif(not KUBECTL, reason="no kubectl")
@pytest.mark.parametrize(
    "user",
    [
        {"token": "abc"},
        {"tokenFile": "token"},
        {"token": "abc", "tokenFile": "token"},
        {"username": "me", "password": "pass"},
        {"token": "abc", "as": "system:serviceaccount:demo:weak", "as-groups": ["viewers", "more"], "as-uid": "7"},
        {"token": "abc", "as": "a", "as-user-extra": {"Scopes/x y": ["read"]}},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "./plugin.sh"}, "token": "abc"},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "./plugin.sh"}},
    ],
    ids=lambda user: "+".join(user) or "nobody",
)
def test_same_headers_as_kubectl(tls_server: TlsServer, write: Any, user: Object, tmp_path: Path) -> None:
    write("from-file\n", "token")
    answer = {"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": {"token": "p"}}
    write(f"#!/bin/sh\necho '{json.dumps(answer)}'\n", "plugin.sh").chmod(0o755)
    trust = {"certificate-authority-data": base64.b64encode(tls_server.certificate.encode()).decode()}
    path = write(config(user, {"server": tls_server.url, "tls-server-name": "cluster.example", **trust}))
    wanted = headers_of_kubectl(path, tls_server.headers)
    tls_server.headers.clear()
    Cluster.connect(Choice("kubeconfig", "", (path,)))
    assert identity(tls_server.headers) == wanted
    assert wanted


@pytest.mark.skipif(not KUBECTL, reason="no kubectl")
def test_same_choice_as_kubectl_among_several_files(write: Any) -> None:
    files = [write("", "0"), write(named("a", "https://a:1"), "1"), write(named("b", "https://b:2"), "2")]
    for order in (files, files[::-1]):
        done = subprocess.run(
            [str(KUBECTL), "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server} {.contexts[0].name}"],
            capture_output=True, text=True, timeout=60, check=True,
            env={"KUBECONFIG": ":".join(map(str, order)), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        target = load(order)
        assert f"{target.server} {target.context}" == done.stdout


@pytest.mark.skipif(not KUBECTL, reason="no kubectl")
@pytest.mark.parametrize(
    "content",
    [
        config(users=[], clusters=[{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}]),
        config(contexts=[]),
        config({"token": "a", "username": "b"}),
        config({"client-certificate-data": "eA=="}),
        config({"as-groups": ["g"]}),
        config({"exec": {"apiVersion": "v1", "command": "c"}}),
        config(
            cluster={
                "certificate-authority-data": "eA==",
                "insecure-skip-tls-verify": True,
                "server": "https://127.0.0.1:9",
            }
        ),
        config(cluster={"proxy-url": "proxy:1"}),
        config({"token": 123}),
        "[1]",
    ],
)
def test_kubectl_refuses_it_too(write: Any, content: Any) -> None:
    path = write(content)
    done = subprocess.run(
        [str(KUBECTL), "--kubeconfig", str(path), "get", "--raw", "/version"],
        capture_output=True, text=True, timeout=60, check=False, env={"HOME": str(path.parent), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode
    assert "refused" not in done.stderr, "it went out to ask"
    with pytest.raises(InputError):
        load([path])
