"""The lab's client of its own API server, against a server with the lab's certificates."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab import apiserver, components
from NetLibrary.lab.apiserver import ApiServer, NoAnswer
from NetLibrary.lab.paths import Paths
from NetLibrary.lab.plan import AddressPlan


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, Any]] = []
    ready = True

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/readyz":
            self._answer(200 if self.ready else 500, b"ok")
        elif self.path == "/api/v1/nodes":
            self._answer(200, b'{"items": []}')
        else:
            self._answer(404, b'{"reason": "NotFound", "message": "no such thing"}')

    def do_POST(self) -> None:
        obj = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, self.headers["User-Agent"], obj))
        status = {"there": 409, "wrong": 422}.get(obj["metadata"]["name"], 201)
        self._answer(status, b'{"reason": "Why", "message": "because"}')

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    found = Paths(tmp_path_factory.mktemp("lab"))
    components.certificates(AddressPlan("x", 1, 1), found)
    return found


@pytest.fixture
def api(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths.pki / "apiserver.crt", paths.pki / "apiserver.key")
    context.load_verify_locations(paths.pki / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED  # so that a client without the administrator's certificate fails
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(apiserver, "PORT", server.server_address[1])
    monkeypatch.setattr(Handler, "ready", True)
    Handler.asked.clear()
    yield ApiServer(SimpleNamespace(api_address="127.0.0.1"), paths)  # type: ignore[arg-type]
    server.shutdown()
    server.server_close()


def test_it_is_ready_when_it_says_so(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.ready()
    monkeypatch.setattr(Handler, "ready", False)
    assert not api.ready()


def test_objects_are_read_and_a_refusal_is_told(api: ApiServer) -> None:
    assert api.get("/api/v1/nodes") == {"items": []}
    with pytest.raises(EnvironmentProblem, match="GET /nothing: the API server answered 404 NotFound: no such thing"):
        api.get("/nothing")


def test_objects_are_created_where_their_kind_lives_and_may_be_there_already(api: ApiServer) -> None:
    api.create({"kind": "Namespace", "metadata": {"name": "demo"}})
    api.create({"kind": "ConfigMap", "metadata": {"name": "there", "namespace": "demo"}})
    assert [(path, agent) for path, agent, _ in Handler.asked] == [
        ("/api/v1/namespaces", "netlibrary-lab"),
        ("/api/v1/namespaces/demo/configmaps", "netlibrary-lab"),
    ]
    with pytest.raises(EnvironmentProblem, match="Node 'wrong' cannot be created: 422 Why: because"):
        api.create({"kind": "Node", "metadata": {"name": "wrong"}})


def test_nobody_there_is_no_answer(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apiserver, "PORT", 1)
    api = ApiServer(SimpleNamespace(api_address="127.0.0.1"), paths)  # type: ignore[arg-type]
    assert not api.ready()
    with pytest.raises(NoAnswer, match=r"does not answer: .*refused"):
        api.get("/api/v1/nodes")


def test_a_start_without_certificates_yet_is_no_answer(tmp_path: Path) -> None:
    api = ApiServer(SimpleNamespace(api_address="127.0.0.1"), Paths(tmp_path))  # type: ignore[arg-type]
    assert not api.ready()


def test_a_certificate_that_is_never_accepted_ends_the_wait(api: ApiServer, tmp_path: Path) -> None:
    """A start that asks again and again for an answer that cannot come would take its whole limit."""
    other = Paths(tmp_path)
    components.certificates(AddressPlan("x", 1, 1), other)
    stranger = ApiServer(SimpleNamespace(api_address="127.0.0.1"), other)  # type: ignore[arg-type]
    with pytest.raises(NoAnswer, match="certificate verify failed"):
        stranger.ready()
