"""Credentials are renewed in time, sent everywhere, and never told; nothing expired is sent."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_api import TOKEN, ApiServer
from tls_server import TlsServer, make_certificate

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.http import SecretHeaders
from NetLibrary._mechanics.kube import Choice, Cluster, credentials, kubeconfig, transport
from NetLibrary._mechanics.kube import connection as connection_module
from NetLibrary._mechanics.kube.credentials import Credential

V1 = "client.authentication.k8s.io/v1"
Object = dict[str, Any]


@pytest.fixture
def open_cluster(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for limit in ("FIRST_ANSWER_FOR", "RECONNECT_FOR", "BUSY_FOR"):
        monkeypatch.setattr(connection_module, limit, 0.0)

    def opened(user: Object, connect: bool = True, **cluster: Any) -> Cluster:
        path = tmp_path / "config"
        clusters = [{"name": "c", "cluster": {"server": api.url, **cluster}}]
        api.kubeconfig(path, users=[{"name": "u", "user": user}], clusters=clusters)
        choice = Choice("kubeconfig", "", (path,))
        return Cluster.connect(choice) if connect else Cluster(connection_module.Connection(choice))

    return opened


def tokens(api: ApiServer) -> list[str]:
    return [request[3].get("authorization", "") for request in api.requests]


def plugin(tmp_path: Path, script: str, **more: Any) -> Object:
    path = tmp_path / "plugin.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": V1, "command": "./plugin.sh", "interactiveMode": "Never", **more}}


def answer(**status: Any) -> str:
    text = json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status})
    return f"printf %s '{text}'"


# --- token files --------------------------------------------------------------------------------------------


def test_token_file_is_stripped_and_read_again_each_minute(
    api: ApiServer, open_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("one\n")
    cluster = open_cluster({"tokenFile": "token"})
    (tmp_path / "token").write_text("two\n")
    cluster.list("Pod")
    assert tokens(api) == ["Bearer one", "Bearer one"]
    now = credentials.time.monotonic()
    monkeypatch.setattr(credentials.time, "monotonic", lambda: now + 61)
    cluster.list("Pod")
    assert tokens(api)[-1] == "Bearer two"


def test_token_file_is_read_again_after_a_401_and_the_request_sent_again(
    api: ApiServer, open_cluster: Any, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("one\n")
    cluster = open_cluster({"tokenFile": "token"})
    (tmp_path / "token").write_text("two\n")
    api.refuse("POST", "/pods", 401, "Unauthorized", "Unauthorized")
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "demo"}})
    assert tokens(api)[-2:] == ["Bearer one", "Bearer two"]
    api.refuse("GET", "/exec", 401, "Unauthorized", "Unauthorized")
    (tmp_path / "token").write_text("three\n")
    assert cluster.exec("demo", "web", ["true"]).exit_code == 0
    assert tokens(api)[-2:] == ["Bearer two", "Bearer three"]


def test_401_with_the_same_token_is_not_asked_for_ever(api: ApiServer, open_cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    cluster = open_cluster({"tokenFile": "token"})
    api.refuse("GET", "/pods", 401, "Unauthorized", "Unauthorized", times=9)
    with pytest.raises(errors.Unauthorized):
        cluster.list("Pod")
    assert len(api.seen("GET", "/pods")) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [("\n", "is empty"), (f"{TOKEN}\nX: y", "holds more than one line or word"), (None, "No such file")],
)
def test_unusable_token_file_is_named_without_its_content(
    open_cluster: Any, tmp_path: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(errors.EnvironmentProblem, match=words) as caught:
        open_cluster({"tokenFile": "token"})
    assert str(tmp_path / "token") in str(caught.value)
    assert TOKEN not in str(caught.value)


# --- plugins ------------------------------------------------------------------------------------------------


def test_plugin_is_told_and_asked_as_kubectl_does(api: ApiServer, open_cluster: Any, tmp_path: Path) -> None:
    script = (
        f'printf %s "$KUBERNETES_EXEC_INFO" >"{tmp_path}/info"; read x && exit 9; [ "$A" = b ] && {answer(token="t")}'
    )
    cluster = open_cluster(plugin(tmp_path, script, env=[{"name": "A", "value": "b"}], provideClusterInfo=True))
    cluster.list("Pod")
    assert set(tokens(api)) == {"Bearer t"}
    info = json.loads((tmp_path / "info").read_text())
    assert info["spec"] == {"interactive": False, "cluster": {"server": api.url}}


def test_plugin_runs_once_until_its_credential_expires(
    api: ApiServer, open_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = f'n=$(cat "{tmp_path}/n" 2>/dev/null || echo 0); n=$((n+1)); echo $n >"{tmp_path}/n"; '
    until = credentials.times.stamp(credentials.time.time() + 600)
    cluster = open_cluster(plugin(tmp_path, count + answer(token="t", expirationTimestamp=until)))
    cluster.list("Pod")
    assert (tmp_path / "n").read_text() == "1\n"
    now = credentials.time.monotonic()
    monkeypatch.setattr(credentials.time, "monotonic", lambda: now + 601)
    cluster.list("Pod")
    assert (tmp_path / "n").read_text() == "2\n"


def test_expired_token_is_not_sent_on_when_its_renewal_fails(api: ApiServer, open_cluster: Any, tmp_path: Path) -> None:
    script = (
        f'[ -e "{tmp_path}/used" ] && {{ echo "session expired, log in again" >&2; exit 1; }}; touch "{tmp_path}/used"; '
        + answer(token="old", expirationTimestamp="2020-01-01T00:00:00Z")
    )
    cluster = open_cluster(plugin(tmp_path, script))
    sent = len(api.requests)
    for ask in (lambda: cluster.list("Pod"), lambda: cluster.exec("demo", "web", ["true"])):
        with pytest.raises(errors.EnvironmentProblem, match="failed with exit status 1: session expired, log in again"):
            ask()
    with pytest.raises(errors.EnvironmentProblem, match="session expired"):
        cluster.wait("Pod", "demo", lambda pods: None, timeout=5, what="Pod")  # type: ignore[arg-type]
    assert len(api.requests) == sent


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Run cloud login first.' >&2; exit 254", "failed with exit status 254: Run cloud login first. The kubeconfig says: get it here"),
        ("exit 3", "failed with exit status 3 and said nothing"),
        ("kill -9 $$", "failed with signal 9"),
        (f"echo {TOKEN}", "printed no ExecCredential in JSON or YAML"),
        (answer(token=5), "returned a token, certificate or key that is not text"),
        (answer(token=f"{TOKEN} x"), "returned a token that contains white space"),
        (answer(token="").replace("/v1", "/v1beta1"), f"the kubeconfig wants ExecCredential of {V1}"),
        (answer(), "returned neither a token nor a certificate"),
        (answer(clientCertificateData="x"), "returned only a certificate or only a key"),
        (answer(token=TOKEN, expirationTimestamp="soon"), "returned an expirationTimestamp that is not a time"),
    ],
)  # fmt: skip
def test_plugin_that_fails_has_its_own_words_in_the_error(
    open_cluster: Any, tmp_path: Path, script: str, words: str
) -> None:
    with pytest.raises(errors.EnvironmentProblem) as caught:
        open_cluster(plugin(tmp_path, script, installHint="get it\nhere"))
    assert words in str(caught.value)
    assert str(caught.value).startswith(
        f"The credential plugin '{tmp_path}/plugin.sh' (user 'u' of '{tmp_path}/config')"
    )
    assert TOKEN not in str(caught.value)


def test_plugin_that_is_missing_or_wants_a_terminal_is_named(open_cluster: Any, tmp_path: Path) -> None:
    missing = {
        "exec": {"apiVersion": V1, "command": "no-such-plugin", "interactiveMode": "Never", "installHint": "Look."}
    }
    with pytest.raises(
        errors.EnvironmentProblem, match=r"'no-such-plugin' .* is not installed\. The kubeconfig says: Look"
    ):
        open_cluster(missing)
    with pytest.raises(errors.EnvironmentProblem, match="needs a terminal"):
        open_cluster(plugin(tmp_path, "true", interactiveMode="Always"))
    slow = plugin(tmp_path, "exec sleep 30")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credentials, "PLUGIN_LIMIT", 0.3)
        with pytest.raises(errors.EnvironmentProblem, match=r"did not end within 0\.3 s"):
            open_cluster(slow)


# --- impersonation ------------------------------------------------------------------------------------------


def test_somebody_else_is_asked_as_on_requests_watches_and_commands(tmp_path: Path) -> None:
    """Over a bare socket, because repeated headers are what counts."""
    seen: list[list[str]] = []
    door = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                link, _ = door.accept()
            except OSError:
                return
            raw = b""
            while b"\r\n\r\n" not in raw:
                raw += link.recv(4096)
            seen.append(raw.decode().split("\r\n"))
            body = b'{"gitVersion": "v1"}' if b"/version" in raw else b'{"kind": "Status", "message": "no"}'
            code = b"200 OK" if b"/version" in raw else b"403 Forbidden"
            link.sendall(b"HTTP/1.1 " + code + b"\r\nContent-Type: application/json\r\nConnection: close\r\n")
            link.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            link.close()

    threading.Thread(target=serve, daemon=True).start()
    user = {
        "token": "abc",
        "as": "weak",
        "as-groups": ["one", "two"],
        "as-user-extra": {"Scopes/x y": ["read", "write"]},
    }
    config = {
        "current-context": "x", "clusters": [{"name": "c", "cluster": {"server": f"127.0.0.1:{door.getsockname()[1]}"}}],
        "users": [{"name": "u", "user": user}], "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    (tmp_path / "config").write_text(json.dumps(config))
    cluster = Cluster.connect(Choice("kubeconfig", "", (tmp_path / "config",)))
    for ask in (
        lambda: cluster.wait("Pod", "demo", lambda pods: None, timeout=5, what="Pod"),  # type: ignore[arg-type]
        lambda: cluster.exec("demo", "web", ["true"]),
        lambda: cluster.list("Pod"),
    ):
        with pytest.raises(errors.Forbidden):
            ask()
    door.close()
    assert len(seen) >= 4
    for lines in seen:
        told = [line for line in lines if line.lower().startswith("impersonate-")]
        assert told == [
            "Impersonate-User: weak", "Impersonate-Group: one", "Impersonate-Group: two",
            "Impersonate-Extra-scopes%2Fx%20y: read", "Impersonate-Extra-scopes%2Fx%20y: write",
        ]  # fmt: skip


def test_session_of_requests_asks_as_somebody_else_too(api: ApiServer) -> None:
    import requests

    session = requests.Session()
    session.mount(api.url, SecretHeaders(lambda: [("Authorization", "Bearer x"), ("Impersonate-User", "weak")]))
    session.get(f"{api.url}/version", timeout=10)
    assert (api.requests[0][3]["authorization"], api.requests[0][3]["impersonate-user"]) == ("Bearer x", "weak")


# --- certificates and ways ------------------------------------------------------------------------------------


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def test_client_certificate_is_shown_and_the_servers_name_checked(open_cluster: Any, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "me")
    with TlsServer(tmp_path, clients=certificate) as server:
        trust = {
            "server": server.url,
            "certificate-authority-data": base64.b64encode(server.certificate.encode()).decode(),
        }
        user = {"client-certificate": certificate.name, "client-key-data": encoded(key)}
        cluster = open_cluster(user, **trust, **{"tls-server-name": "cluster.example"})
        assert server.names == ["cluster.example"]
        assert server.subjects[0]["subject"] == ((("commonName", "me"),),)
        assert cluster.connection.http is cluster.connection.http
        with pytest.raises(errors.Unreachable, match=r"Hostname mismatch"):
            open_cluster(user, **trust, **{"tls-server-name": "other.example"})
        fresh = plugin(tmp_path, answer(clientCertificateData=certificate.read_text(), clientKeyData=key.read_text()))
        open_cluster(fresh, **trust)


def test_untrusted_server_is_not_asked_again_and_again(
    open_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TlsServer(tmp_path) as server:
        cluster = open_cluster({"token": "t"}, connect=False, server=server.url)
        monkeypatch.setattr(connection_module, "FIRST_ANSWER_FOR", 60.0)
        with pytest.raises(errors.Unreachable, match="self-signed certificate") as caught:
            _ = cluster.version
        assert "asked" not in str(caught.value)


def test_key_with_a_pass_phrase_is_refused_and_nobody_asked_at_the_terminal(open_cluster: Any, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "locked", "-passout", "pass:secret")
    user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    with pytest.raises(errors.InputError, match=r"its certificates cannot be read: .*\(the key has a pass phrase\)"):
        open_cluster(user, server="https://127.0.0.1:9")


@pytest.fixture
def socks_proxy() -> Iterator[tuple[int, list[str]]]:
    """A SOCKS 5 proxy that knows one name."""
    door, asked = socket.create_server(("127.0.0.1", 0)), []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def one(link: socket.socket) -> None:
        link.recv(1)
        link.recv(link.recv(1)[0])
        link.sendall(b"\x05\x00")
        _, _, _, kind = link.recv(4)
        host = link.recv(link.recv(1)[0]).decode() if kind == 3 else socket.inet_ntoa(link.recv(4))
        (port,) = struct.unpack("!H", link.recv(2))
        asked.append(host)
        far = socket.create_connection(("127.0.0.1", port))
        link.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        threading.Thread(target=pump, args=(link, far), daemon=True).start()
        pump(far, link)

    def serve() -> None:
        while True:
            try:
                link, _ = door.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(link,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield door.getsockname()[1], asked
    door.close()


def test_socks_proxy_leads_requests_and_commands(
    api: ApiServer, open_cluster: Any, socks_proxy: tuple[int, list[str]]
) -> None:
    pytest.importorskip("socks")
    port, asked = socks_proxy
    server = api.url.replace("127.0.0.1", "only-the-proxy-knows.localhost")
    cluster = open_cluster({"token": "t"}, server=server, **{"proxy-url": f"socks5://127.0.0.1:{port}"})
    assert cluster.exec("demo", "web", ["true"]).exit_code == 0
    assert asked == ["only-the-proxy-knows.localhost"] * 2


def test_socks_proxy_without_its_package_is_refused_with_what_to_install(
    open_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "socks", None)
    with pytest.raises(
        errors.InputError, match=r"needs the package PySocks: pip install 'netlibrary\[socks\]'\."
    ) as caught:
        open_cluster({"token": "t"}, **{"proxy-url": "socks5://me:secret@127.0.0.1:1"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "environment", "wanted"),
    [
        ("https://h.example:6443", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://h.example", {"https_proxy": "p:1"}, "http://p:1"),
        ("http://h.example", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://h.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example"}, ""),
        ("https://h.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".h.example"}, "http://p:1"),
        ("https://h.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "h.example:80"}, "http://p:1"),
        ("https://h.example", {"HTTPS_PROXY": "http://p:1", "no_proxy": "a, *"}, ""),
        ("https://10.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, ""),
        ("https://[fd00::1]:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "fd00::/8"}, ""),
        ("https://h.example", {"ALL_PROXY": "http://p:1"}, ""),
    ],
)
def test_proxy_of_the_environment_counts_by_the_rules_of_go(
    server: str, environment: dict[str, str], wanted: str
) -> None:
    from NetLibrary._mechanics.kube.kubeconfig import Target, User

    assert transport.proxy_for(Target("f", "x", server, User()), environment) == wanted


@pytest.mark.parametrize("memory", [True, False], ids=["files in memory", "a folder"])
def test_no_key_is_left_in_a_file_while_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: bool
) -> None:
    """A run that was killed left them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    if not memory:
        monkeypatch.delattr(os, "memfd_create")
    (tmp_path / "temporary").mkdir()
    certificate, key = make_certificate(tmp_path, "client")
    context = transport.tls_context(
        kubeconfig.Target(
            origin="x", context="", server="https://127.0.0.1:1", user=kubeconfig.User("u"), authority=""
        ),
        Credential(certificate=certificate.read_text(), key=key.read_text()),
    )
    assert context
    assert list((tmp_path / "temporary").rglob("*")) == []


def test_files_for_other_libraries_end_with_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was killed left a client's key for KubeLibrary and RequestsLibrary in a folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    certificate, key = make_certificate(tmp_path, "client")
    held = Credential(certificate=certificate.read_text(), key=key.read_text())
    files = transport.client_files(held)
    assert files == transport.client_files(held)
    assert [file.read_text() for file in files] == [held.certificate, held.key]
    ssl.create_default_context().load_cert_chain(*files)
    assert all(os.path.exists(file) for file in files)  # requests looks before it reads
    assert list((tmp_path / "temporary").rglob("*")) == []


def test_files_for_other_libraries_are_the_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.delattr(os, "memfd_create")
    (tmp_path / "temporary").mkdir()
    file = transport.client_files(Credential(certificate="c-1", key="k-1"))[1]
    assert file.read_text() == "k-1"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
