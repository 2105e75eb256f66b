"""The Kubernetes client of the stand-in, against a server over a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from NetLibrary.standins.skupper.runtime.kube import Api, ApiError, Informer

Handler = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers each request by the next step of a script; the last step goes on."""

    def __init__(self) -> None:
        self.steps: list[Handler] = []
        self.requests: list[str] = []
        outer = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                outer.requests.append(f"{self.command} {self.path}")
                step = outer.steps.pop(0) if len(outer.steps) > 1 else outer.steps[0]
                step(self)

            do_GET = do_POST = do_PATCH = handle_one  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def api(self) -> Api:
        return Api(f"http://127.0.0.1:{self.http.server_address[1]}")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def answer(body: dict, status: int = 200) -> Handler:
    def step(handler: BaseHTTPRequestHandler) -> None:
        data = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return step


def stream(*events: dict) -> Handler:
    """A watch that sends events and ends."""

    def step(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        for event in events:
            handler.wfile.write(json.dumps(event).encode() + b"\n")
        handler.close_connection = True

    return step


def wait_for_ever(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    threading.Event().wait(5)
    handler.close_connection = True


def drop(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()


def site(name: str, version: int) -> dict:
    return {
        "metadata": {"name": name, "namespace": "n", "resourceVersion": str(version), "creationTimestamp": str(version)}
    }


def listing(version: int, *items: dict) -> Handler:
    return answer({"metadata": {"resourceVersion": str(version)}, "items": list(items)})


def watched(server: Server, *, seconds: float = 1.2) -> tuple[Informer, list[tuple[str, str]]]:
    events: list[tuple[str, str]] = []

    async def main() -> Informer:
        informer = Informer(server.api(), "Site", lambda event, obj: events.append((event, obj["metadata"]["name"])))
        informer.start()
        await asyncio.wait_for(informer.synced.wait(), 5)
        await asyncio.sleep(seconds)
        return informer

    return asyncio.run(main()), events


def test_a_list_and_then_its_changes(server: Server) -> None:
    changes = [
        {"type": "ADDED", "object": site("b", 11)},
        {"type": "MODIFIED", "object": site("a", 12)},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "15"}}},
        {"type": "DELETED", "object": site("b", 16)},
    ]
    server.steps = [listing(10, site("a", 5)), stream(*changes), wait_for_ever]
    informer, events = watched(server)
    assert events == [("MODIFIED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert set(informer.items) == {("n", "a")}
    assert "resourceVersion=16" in server.requests[2]  # goes on where it was


def test_too_old_a_version_lists_again_and_tells_what_is_gone(server: Server) -> None:
    gone = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}
    server.steps = [listing(10, site("a", 5), site("b", 6)), stream(gone), listing(20, site("a", 5)), wait_for_ever]
    informer, events = watched(server)
    assert ("DELETED", "b") in events
    assert events.count(("MODIFIED", "a")) == 1  # unchanged, so not told twice
    assert set(informer.items) == {("n", "a")}


def test_a_dropped_watch_is_taken_up_again(server: Server) -> None:
    server.steps = [
        listing(10, site("a", 5)),
        drop,
        listing(11, site("a", 5), site("c", 11)),
        wait_for_ever,
    ]
    informer, _ = watched(server)
    assert set(informer.items) == {("n", "a"), ("n", "c")}


def test_a_kind_that_is_not_installed_is_an_empty_list(server: Server) -> None:
    server.steps = [answer({"reason": "NotFound", "message": "no such kind"}, 404)]
    informer, events = watched(server, seconds=0.1)
    assert informer.items == {}
    assert events == []


def test_an_idle_connection_that_the_server_closed_is_replaced(server: Server) -> None:
    def then_close(handler: BaseHTTPRequestHandler) -> None:
        answer({"ok": 1})(handler)
        handler.close_connection = True

    server.steps = [then_close]
    api = server.api()
    assert [api.request("GET", "/x") for _ in range(3)] == [{"ok": 1}] * 3


def test_refusals_carry_status_reason_and_message(server: Server) -> None:
    server.steps = [answer({"reason": "Forbidden", "message": "sites is forbidden"}, 403)]
    with pytest.raises(ApiError) as caught:
        server.api().request("GET", "/x")
    assert (caught.value.status, caught.value.reason, caught.value.message) == (403, "Forbidden", "sites is forbidden")


def test_no_server_is_status_0_after_a_few_tries(server: Server) -> None:
    api = server.api()
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ApiError) as caught:
        api.request("GET", "/x")
    assert caught.value.status == 0


def test_an_object_deleted_while_its_write_was_answered_does_not_come_back() -> None:
    async def scenario() -> None:
        informer = Informer(Api("http://127.0.0.1:1"), "Site", lambda event, obj: None)
        informer._event("ADDED", {**site("a", 5), "kind": "Site"})
        informer._event("DELETED", {**site("a", 9), "kind": "Site"})
        informer.note({**site("a", 7), "kind": "Site"})
        assert informer.items == {}
        informer.note({**site("a", 12), "kind": "Site"})  # made anew
        assert set(informer.items) == {("n", "a")}

    asyncio.run(scenario())
