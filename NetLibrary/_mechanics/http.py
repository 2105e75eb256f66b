"""`requests` sessions whose secrets stay out of logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict

# Pairs where a header may come several times
Headers = Callable[[], Mapping[str, str] | Sequence[tuple[str, str]]]


class SecretHeaders(HTTPAdapter):
    """Adds headers when a request leaves; whoever looks at the request or its answer afterwards does not see them.

    Args:
        headers: Called for each request, so that a renewed token is used at once.
    """

    def __init__(self, headers: Headers, **options: Any) -> None:
        self._headers = headers
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Sends a copy of the request with the secret headers and hands the answer to the original."""
        sent = request.copy()
        every = HTTPHeaderDict(sent.headers)
        found = self._headers()
        for name, value in found.items() if isinstance(found, Mapping) else found:
            every.add(name, value)
        sent.headers = every  # type: ignore[assignment]
        response = super().send(sent, **options)
        response.request = request
        return response


def clean_session(session: requests.Session, server: str, headers: Headers) -> requests.Session:
    """Makes a session independent of the environment and adds secret headers for one server only.

    `trust_env` is switched off because REQUESTS_CA_BUNDLE would override the session's own `verify`, and a `.netrc`
    its credentials.

    Args:
        session: The session to change.
        server: URL prefix of the server that gets the headers.
        headers: Called for each request.
    """
    session.trust_env = False
    session.mount(server, SecretHeaders(headers))
    return session
