"""A server that speaks TLS, answers everything like a Kubernetes API server, and keeps the headers and paths that it got."""

from __future__ import annotations

import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def make_certificate(folder: Path, name: str, *more: str) -> tuple[Path, Path]:
    """Makes a certificate that signs itself, for `cluster.example` and 127.0.0.1."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    alternatives = "subjectAltName=DNS:cluster.example,IP:127.0.0.1"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2", "-subj", f"/CN={name}",
         "-addext", alternatives, "-keyout", str(key), "-out", str(certificate), *(more or ("-nodes",))],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


class TlsServer:
    """The server; `url` is where it listens, `headers` what it got.

    Args:
        folder: For its certificate.
        clients: Certificates of clients that it asks for and trusts.
    """

    def __init__(self, folder: Path, clients: Path | None = None) -> None:
        certificate, key = make_certificate(folder, "server")
        self.certificate = certificate.read_text()
        self.headers: list[tuple[str, str]] = []
        self.names: list[str | None] = []
        self.paths: list[str] = []
        self.subjects: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                outer.headers += self.headers.items()
                outer.paths.append(self.path.partition("?")[0])
                outer.subjects.append(self.connection.getpeercert())  # type: ignore[attr-defined]
                body = b'{"gitVersion": "v1.99.0"}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.sni_callback = lambda _, name, __: self.names.append(name)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[assignment]
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> TlsServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
