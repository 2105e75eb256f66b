"""The connection to a controller as a session of `requests`, for suites that use RequestsLibrary.

RequestsLibrary logs the headers of each request. The token is therefore added below that level,
to a copy of the request, and what comes back points at the original without it.
"""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from NetLibrary._mechanics.cyperf.rest import TOKEN_PATH, Connection
from NetLibrary._mechanics.errors import InputError


class TokenAdapter(HTTPAdapter):
    """Adds the token of a connection on the way out and removes secrets on the way back.

    Args:
        connection: Connection whose token is used and renewed.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Sends a copy of the request with a live token; after 401 once more with a new one."""
        if TOKEN_PATH in (request.url or ""):
            raise InputError("The token address cannot be used on this session, its answers would be logged.")
        response = self._send(request, self._connection.token(), *args, **kwargs)
        if response.status_code == 401:
            response.close()
            response = self._send(request, self._connection.token(renew=True), *args, **kwargs)
        return response

    def _send(self, request: requests.PreparedRequest, token: str, *args: Any, **kwargs: Any) -> requests.Response:
        sent = request.copy()
        sent.headers["Authorization"] = f"Bearer {token}"
        response = super().send(sent, *args, **kwargs)
        response.request = request
        kind = response.headers.get("Content-Type", "")
        if not kwargs.get("stream") and ("json" in kind or kind.startswith("text/")):
            clean = self._connection.redact(response.text)
            if clean != response.text:
                response._content = clean.encode(response.encoding or "utf-8")
        return response


def make(connection: Connection) -> requests.Session:
    """Returns a session for the connection's address."""
    session = requests.Session()
    session.trust_env = False
    session.verify = connection.http.verify
    session.url = connection.base  # type: ignore[attr-defined]  # read by RequestsLibrary
    session.mount(connection.base, TokenAdapter(connection))
    return session
