"""A controller that answers as a test tells it: each request takes the next answer of its path."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "/auth/realms/keysight/protocol/openid-connect/token"
Answer = tuple[int, Any]


class Raw:
    """An answer byte by byte: head, body, promised length, delay, and whether the line is cut after it."""

    def __init__(self, body: bytes, kind: str = "application/json", status: int = 200, *, length: int | None = None,
                 delay: float = 0.0, headers: dict[str, str] | None = None) -> None:  # fmt: skip
        self.body, self.kind, self.status, self.length, self.delay = body, kind, status, length, delay
        self.headers = headers or {}


class ScriptedController:
    """Serves scripted answers over a real socket and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[Any]] = {}
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.tokens = 0
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                script.seen.append((self.command, self.path, dict(self.headers), body))
                answer = script.next(self.command, self.path.split("?")[0])
                raw = answer if isinstance(answer, Raw) else Raw(json.dumps(answer[1]).encode(), status=answer[0])
                time.sleep(raw.delay)
                self.send_response(raw.status)
                self.send_header("Content-Type", raw.kind)
                for name, value in raw.headers.items():
                    self.send_header(name, value)
                length = len(raw.body) if raw.length is None else raw.length
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(raw.body)
                if length != len(raw.body):
                    self.close_connection = True

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, *answers: Any) -> None:
        """Sets the answers of a path; the last one is repeated."""
        self.answers[method, path] = list(answers)

    def next(self, method: str, path: str) -> Any:
        if path == TOKEN and (method, path) not in self.answers:
            self.tokens += 1
            return 200, {"access_token": f"token-{self.tokens}", "expires_in": 300, "refresh_token": "planted-refresh"}
        script = self.answers.get((method, path))
        if not script:
            return 404, {"message": f"nothing at {path}"}
        return script.pop(0) if len(script) > 1 else script[0]

    def asked(self, method: str, path: str) -> int:
        """How often a path was asked."""
        return sum(1 for verb, url, _, _ in self.seen if verb == method and url.split("?")[0] == path)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
