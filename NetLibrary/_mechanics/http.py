"""`requests` sessions whose secrets stay out of logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter


class SecretHeaders(HTTPAdapter):
    """Adds headers when a request leaves; whoever looks at the request or its answer afterwards does not see them.

    Args:
        headers: Called for each request, so that a renewed token is used at once.
    """

    def __init__(self, headers: Callable[[], Mapping[str, str]], **options: Any) -> None:
        self._headers = headers
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Sends a copy of the request with the secret headers and hands the answer to the original."""
        sent = request.copy()
        sent.headers.update(self._headers())
        response = super().send(sent, **options)
        response.request = request
        return response


def clean_session(session: requests.Session, server: str, headers: Callable[[], Mapping[str, str]]) -> requests.Session:
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
