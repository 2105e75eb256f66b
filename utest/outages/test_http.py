"""Requests over new and kept connections, against real servers on the loopback."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from NetLibrary._mechanics.outages.results.stream import evaluate
from NetLibrary._mechanics.outages.run.inpod.http import Response, request
from NetLibrary._mechanics.outages.types import ProbeKind, StreamSpec
from NetLibrary.types import OutageTarget

from .test_prober import measuring, run_prober


class Server(ThreadingHTTPServer):
    """With room for connections that come while the machine is busy."""

    request_queue_size = 128
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    """Answers as its server is told to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"hello"
        self.send_response(getattr(self.server, "status", 200))
        if getattr(self.server, "chunked", False):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def web_server(version: str = "HTTP/1.1", **facts):
    handler = type("Own", (Handler,), {"protocol_version": version})
    server = Server(("127.0.0.1", 0), handler)
    vars(server).update(facts)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def specs(port: int, timeout_ms: float = 500) -> list[StreamSpec]:
    kinds = (ProbeKind.HTTP, ProbeKind.HTTP_KEPT)
    return [
        StreamSpec(n, "web", kind, "127.0.0.1", port, 20, timeout_ms, query="/x", host="web.shop")
        for n, kind in enumerate(kinds, 1)
    ]


@pytest.mark.parametrize("facts", [{}, {"chunked": True}, {"version": "HTTP/1.0"}])
def test_good_answers_are_good_whatever_their_form(tmp_path, facts):
    with web_server(**facts) as server:
        log = run_prober(tmp_path, specs(server.server_port), 0.6)
    for stream in log.stream_logs():
        result = evaluate(stream)
        assert (result.answered, result.kept_breaks) == (result.sent, 0)
        assert result.sent > 3  # the machine may be busy
        assert result.times_ms["p50"] <= result.times_ms["p99"] <= result.times_ms["max"] < 500


def test_a_bad_status_is_a_wrong_answer_and_no_loss(tmp_path):
    with web_server(status=503) as server:
        log = run_prober(tmp_path, specs(server.server_port), 0.4)
    for stream in log.stream_logs():
        # A busy machine may answer too late, which is no answer; one with a bad status is never that
        in_time = [probe for probe in stream.probes if probe.code != errno.ETIMEDOUT]
        assert {(probe.outcome.name, probe.code) for probe in in_time} == {("WRONG", 5)}


def test_a_server_that_hangs_is_an_outage_of_both_kinds_of_requests():
    lock = threading.Lock()

    class Hanging(Handler):
        def do_GET(self):
            with lock:
                super().do_GET()

    server = Server(("127.0.0.1", 0), Hanging)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        # On a busy machine it hangs for longer than it is meant to, and no connection may be given up for that
        with measuring(specs(server.server_port, timeout_ms=2000)) as prober:
            time.sleep(1.0)  # what is slow is told by what is usual, which a busy machine shows late
            with lock:
                time.sleep(0.8)
        results = {stream.spec.kind: evaluate(stream) for stream in prober.log.stream_logs()}
    finally:
        server.shutdown()
        server.server_close()
    for result in results.values():
        # A busy machine is slow by itself, and a request that waited for less than it is wont to take is not told apart
        assert 750 - result.slow_ms < result.longest_ms < 1900
    assert results[ProbeKind.HTTP_KEPT].kept_breaks == 0


def test_a_server_that_is_gone_is_refused_and_the_kept_connection_lost():
    with contextlib.ExitStack() as servers:
        server = servers.enter_context(web_server())
        with measuring(specs(server.server_port)) as prober:
            server.shutdown()
            server.socket.close()
            time.sleep(0.3)
        new, kept = (evaluate(stream) for stream in prober.log.stream_logs())
        assert new.outcomes.get("REFUSED", 0) + new.outcomes.get("LOST", 0) > 0
        assert kept.kept_breaks <= 1


def test_a_request_on_a_connection_that_its_server_just_ended_is_repeated_as_clients_do(tmp_path):
    """A pod that ended in good order was accused of a request that met the end of its idle connection."""
    cut: list[float] = []

    class Ending(Handler):
        """Cuts a connection off at its fifth request, before any answer."""

        def do_GET(self):
            self.asked = getattr(self, "asked", 0) + 1
            if self.asked < 5:
                super().do_GET()
                return
            cut.append(time.monotonic())
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

    server = Server(("127.0.0.1", 0), Ending)
    server.handle_error = lambda *_arguments: None
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        log = run_prober(tmp_path, specs(server.server_port)[1:], 1.0)
        kept = evaluate(log.stream_logs()[0])
    finally:
        server.shutdown()
        server.server_close()
    assert len(cut) >= 3
    assert kept.kept_breaks == kept.kept_resets == len(cut)
    assert (kept.failed, kept.answered) == (0, kept.sent)
    assert all(window.shortest_ms == 0 for window in kept.windows)


def test_a_response_is_read_in_pieces_and_nonsense_is_told():
    response = Response()
    for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 3\r\n\r\na", b"bc"):
        assert not response.complete
        response.feed(piece)
    assert (response.complete, response.status, response.lasting) == (True, 200, True)
    with pytest.raises(ValueError, match="no HTTP"):
        Response().feed(b"SSH-2.0-OpenSSH")
    empty = Response()
    empty.feed(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    assert (empty.complete, empty.lasting) == (True, False)
    assert b"Host: web.shop\r\n" in request({"host": "web.shop", "address": "10.0.0.1", "query": "/x"}, True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://web.shop:8080/healthz", ("http", "web.shop", "8080", "/healthz", False)),
        ("tcp://db.shop:postgres", ("tcp", "db.shop", "postgres", "", False)),
        ("icmp://[fd00::1]", ("icmp", "fd00::1", "", "", False)),
        ("dns://10.96.0.10/web.shop.svc", ("dns", "10.96.0.10", "", "web.shop.svc", False)),
        ("http://192.0.2.7/ from outside", ("http", "192.0.2.7", "", "/", True)),
    ],
)
def test_a_target_is_a_url(text, parts):
    target = OutageTarget.parse(text)
    assert (target.scheme, target.host, target.port, target.query, target.from_outside) == parts
    assert OutageTarget.parse(target) is target


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web.shop", "Give a URL"),
        ("ftp://x", "Give a URL"),
        ("tcp://x", "needs a port"),
        ("dns://10.0.0.1", "needs a name"),
    ],
)
def test_what_is_no_target_is_told(text, words):
    with pytest.raises(ValueError, match=words):
        OutageTarget.parse(text)
