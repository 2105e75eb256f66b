"""Our connection in the hands of Kubernetes' own client, as KubeLibrary uses it: same way, same identity, no token."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable
from typing import Any

from kubernetes.client import ApiClient, Configuration
from kubernetes.dynamic import DynamicClient
from urllib3 import HTTPHeaderDict, Retry

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import transport
from NetLibrary._mechanics.kube.connection import Connection

OURS = ("user-agent", "accept")
# The client itself would give up at once
PATIENCE = Retry(
    total=None, connect=transport.RETRIES, read=2, redirect=False, other=0, backoff_factor=transport.BACKOFF
)


class LentPool:
    """A pool of connections that says who asks when a request leaves; the client itself never holds a credential.

    Args:
        connection: The connection to a cluster.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pool: Any = None
        self._held: Any = None
        self.connection_pool_kw: dict[str, Any] = {}

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Sends a request of the client with the identity of the connection."""
        held = self._connection.credentials.get()
        if self._pool is None or held.certificate != self._held.certificate:
            self._pool = transport.pool(self._connection.target, held)
        self._held = held
        headers = HTTPHeaderDict(options.pop("headers", None) or {})
        headers.discard("authorization")
        for name, value in self._connection.headers(held).items():
            if name.lower() not in OURS:
                headers.add(name, value)
        answer = self._pool.request(method, url, headers=headers, **{"retries": PATIENCE, **options})
        if "/secrets" in url and "watch=true" not in url.lower():
            # Before the client logs what came
            text = answer.data.decode(errors="replace")
            with contextlib.suppress(ValueError):
                secrets.learn_answer(text, json.loads(text))
        return answer

    def clear(self) -> None:
        """Closes the connections; the client does it at its end."""
        if self._pool is not None:
            self._pool.clear()


class LentClient(ApiClient):
    """Kubernetes' client over a connection of ours.

    Args:
        connection: The connection to a cluster.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(_configuration(connection))
        self._connection = connection
        pool: Any = LentPool(connection)
        self.rest_client.pool_manager = pool

    def update_params_for_auth(self, headers: dict[str, str], *others: Any, **named: Any) -> None:
        """Identifies commands in pods, which do not go through the pool."""
        instead = self.__dict__.get("call_api") or self.__dict__.get("request")
        if instead is None or getattr(instead, "__self__", None) is self:
            return
        if self._connection.credentials.impersonate:
            raise InputError(
                "The kubeconfig impersonates a user, which KubeLibrary's commands in pods would ignore: they would "
                "have more rights than the run. Use 'Run In Pod'."
            )
        held = self._connection.credentials.get()
        if held.authorization:
            headers["authorization"] = held.authorization


class Later:
    """A client that is made when it is first used: the dynamic one asks for all kinds of the cluster at its start.

    Args:
        make: Makes the client.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        """Returns what the client has."""
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)


def _configuration(connection: Connection) -> Any:
    result = Configuration()
    result.host = connection.server
    result.verify_ssl = connection.target.verify
    authority = transport.authority_file(connection.target)
    result.ssl_ca_cert = str(authority) if authority else None
    result.tls_server_name = connection.target.server_name or None
    result.proxy = transport.proxy_for(connection.target) or None
    held = connection.credentials.get()
    if held.certificate:
        result.cert_file, result.key_file = map(str, transport.client_files(held))
    return result


def lend(kubelibrary: Any, connection: Connection) -> None:
    """Gives an instance of KubeLibrary clients over a connection of ours.

    Args:
        kubelibrary: KubeLibrary's instance.
        connection: The connection to a cluster.
    """
    wanted: list[tuple[str, Any]] = []
    kubelibrary._add_api = lambda name, kind: wanted.append((name, kind))
    try:
        # Which clients there are depends on its version; no request is made, as they are only named
        kubelibrary.reload_config(api_url=connection.server, bearer_token="none")
    finally:
        del kubelibrary._add_api
    client = kubelibrary.api_client = LentClient(connection)
    for name, kind in wanted:
        if issubclass(kind, DynamicClient):
            kubelibrary.__dict__[name] = Later(functools.partial(kind, client))
        else:
            kubelibrary._add_api(name, kind)
