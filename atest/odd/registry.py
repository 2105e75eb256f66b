"""A registry that has nothing for anybody: answers every request with one status."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Registry(BaseHTTPRequestHandler):
    """Answers as registries do that want credentials, or are broken."""

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """Answers."""
        self.send_response(int(sys.argv[1]))
        if sys.argv[1] == "401":
            self.send_header("WWW-Authenticate", 'Basic realm="odd"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        """Answers in the same way."""
        self.do_GET()


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Registry).serve_forever()
