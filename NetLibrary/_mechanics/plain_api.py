"""A Kubernetes API over the standard library alone: plain dicts, connections that are kept.

For where nothing else can be loaded: a lab while it starts, which would wait for it, and stand-ins inside of pods,
which carry this file with them. Whatever a run asks of a cluster goes through `kube/connection.py` instead.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from NetLibrary._mechanics.secrets import head

# kind → the path of its API group, and its plural
PATHS: dict[str, tuple[str, str]] = {
    "Node": ("/api/v1", "nodes"),
    "Namespace": ("/api/v1", "namespaces"),
    "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"),
    "Secret": ("/api/v1", "secrets"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
}


class ApiError(Exception):
    """The API server refused a request, or did not answer (status 0)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message


def path_of(
    kind: str,
    namespace: str | None = None,
    name: str | None = None,
    sub: str | None = None,
    *,
    paths: Mapping[str, tuple[str, str]] = PATHS,
) -> str:
    """Returns the URL path of a kind, of one object, or of its subresource.

    Example:
        >>> path_of("Pod", "demo", "web-0", "log")
        '/api/v1/namespaces/demo/pods/web-0/log'
    """
    prefix, plural = paths[kind]
    parts = [prefix]
    if namespace:
        parts.append(f"namespaces/{namespace}")
    parts.append(plural)
    parts.extend(part for part in (name, sub) if part)
    return "/".join(parts)


class PlainApi:
    """One API server, reached with one identity. Safe to use from several threads.

    Args:
        server: URL such as `https://10.96.0.1:443`.
        context: TLS settings (authorities, client certificate), None for plain HTTP.
        token: Gives the bearer token at each request; kubelets rotate it.
        agent: How the server's log names us.
        pauses: Seconds between tries to connect; none by default.
    """

    def __init__(
        self,
        server: str,
        context: ssl.SSLContext | None = None,
        token: Callable[[], str] | None = None,
        *,
        agent: str,
        pauses: Sequence[float] = (),
    ) -> None:
        parts = urlsplit(server)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._context, self._token, self._agent, self._pauses = context, token, agent, pauses
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """Returns a new connection; a busy or restarting server is tried again, as nothing was sent yet."""
        for pause in self._pauses:
            try:
                return self._connect_once(timeout)
            except OSError:
                time.sleep(pause)
        return self._connect_once(timeout)

    def _connect_once(self, timeout: float) -> http.client.HTTPConnection:
        if self._context is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._context)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        return connection

    def headers(self, content_type: str | None = None) -> dict[str, str]:
        """Returns the headers of a request, with a body of that type."""
        headers = {"Accept": "application/json", "User-Agent": self._agent}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token()}"
        if content_type:
            headers["Content-Type"] = content_type
        return headers

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> dict:
        """Sends one request and returns the decoded answer; text that is no JSON is its `message`.

        Raises:
            ApiError: The server refused, or did not answer (status 0).
        """
        url = f"{path}?{urlencode(query)}" if query else path
        data = None if body is None else json.dumps(body).encode()
        headers = self.headers(content_type if data is not None else None)
        while True:
            fresh = False
            try:
                try:
                    connection = self._idle.get_nowait()
                    connection.sock.settimeout(timeout)
                except queue.Empty:
                    fresh = True
                    connection = self.connect(timeout)
                connection.request(method, url, body=data, headers=headers)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                if fresh:
                    raise ApiError(0, "Unreachable", f"{method} {path}: {error}") from error
                self._forget_idle()  # the server had closed this one, and likely the others
                continue
            if response.will_close:
                connection.close()
            else:
                self._idle.put(connection)
            return self.decode(response.status, response.reason, text)

    def _forget_idle(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    @staticmethod
    def decode(status: int, reason: str, text: bytes) -> dict:
        """Returns an answer as a dict.

        Raises:
            ApiError: It is a refusal.
        """
        try:
            answer = json.loads(text) if text else {}
        except ValueError:
            answer = {"message": head(text.decode(errors="replace"), 500)}
        if status >= 400:
            raise ApiError(status, answer.get("reason") or reason, answer.get("message", ""))
        return answer
