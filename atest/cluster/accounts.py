"""Makes kubeconfigs for the cluster suite: of an account with few rights, and of a server that is not there."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from robot.api.deco import keyword, library
from robot.libraries.BuiltIn import BuiltIn


@library(scope="SUITE", listener="SELF")
class accounts:  # noqa: N801
    """Keeps the tokens that it made in mind, and sees every message of the log."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._tokens: list[str] = []
        self._leaks: list[str] = []

    @keyword
    def make_kubeconfig_of_account(self, name: str, namespace: str) -> str:
        """Asks for a token that is good for ten minutes, and returns the path of a kubeconfig with it."""
        cluster = BuiltIn().get_library_instance("NetLibrary").session.cluster()
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        token = cluster.raw("POST", path, body=asked)["status"]["token"]
        self._tokens.append(token)
        authority = cluster.connection.target.authority.encode()
        return self._write(name, cluster.server, token, authority)

    @keyword
    def make_kubeconfig_with_token(self, token: str) -> str:
        """Returns the path of a kubeconfig for the cluster, with a token that it does not know."""
        cluster = BuiltIn().get_library_instance("NetLibrary").session.cluster()
        authority = cluster.connection.target.authority.encode()
        return self._write("stranger", cluster.server, token, authority)

    @keyword
    def make_kubeconfig_of_nobody(self) -> str:
        """Returns the path of a kubeconfig for a port on which nobody listens."""
        return self._write("nobody", "https://127.0.0.1:9", "a-token-of-nobody", b"")

    @keyword
    def no_token_should_have_been_logged(self) -> None:
        """Fails when a token that this library made was in any message."""
        assert self._tokens, "no token was made"
        assert not self._leaks, f"A token was logged: {self._leaks[0]}"

    def _log_message(self, message: Any) -> None:
        if any(token in message.message for token in self._tokens):
            self._leaks.append(message.message[:40])

    def _close(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder)

    def _write(self, name: str, server: str, token: str, authority: bytes) -> str:
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="netlibrary-"))
        cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()}
        if not authority:
            cluster = {"server": server, "insecure-skip-tls-verify": True}  # type: ignore[dict-item]
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": name}}],
            "current-context": "x",
        }
        path = self._folder / name
        path.write_text(json.dumps(content))
        os.chmod(path, 0o600)
        return str(path)
