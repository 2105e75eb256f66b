"""The connection to a controller as a session of `requests`, for suites that use RequestsLibrary.

RequestsLibrary logs the headers of each request. The token is therefore added below that level,
to a copy of the request, and what comes back points at the original without it.
"""

from __future__ import annotations

from typing import Any

import requests

from NetLibrary._mechanics.cyperf.rest import TOKEN_PATH, Connection
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.http import SecretHeaders


class TokenAdapter(SecretHeaders):
    """Adds the token of a connection on the way out and removes secrets on the way back.

    Args:
        connection: Connection whose token is used and renewed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        super().__init__(lambda: {"Authorization": f"Bearer {connection.token()}"})

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Sends a copy of the request with a live token; after 401 once more with a new one."""
        if TOKEN_PATH in (request.url or ""):
            raise InputError("The token address cannot be used on this session, its answers would be logged.")
        response = super().send(request, **options)
        if response.status_code == 401:
            response.close()
            self._connection.token(renew=True)
            response = super().send(request, **options)
        kind = response.headers.get("Content-Type", "")
        if not options.get("stream") and ("json" in kind or kind.startswith("text/")):
            clean = self._connection.redact(response.text)
            if clean != response.text:
                response._content = clean.encode(response.encoding or "utf-8")
        return response


def prepare(session: requests.Session, connection: Connection) -> requests.Session:
    """Gives a session trust and token of a connection, the latter out of sight."""
    session.trust_env = False  # proxies and certificate bundles of the environment are meant for other hosts
    session.verify = connection.http.verify
    session.mount(connection.base, TokenAdapter(connection))
    return session
