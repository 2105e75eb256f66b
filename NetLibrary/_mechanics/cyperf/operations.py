"""Asynchronous operations of the controller: start, poll, and every way they can end.

The published client counts any state but `ERROR` as success and waits without end. Here only
`SUCCESS` is success, and a time limit is part of every operation.
"""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.cyperf.rest import Connection, Progress
from NetLibrary._mechanics.errors import NotJson, OperationFailed, WaitTimeout
from NetLibrary._mechanics.polling import settle
from NetLibrary._mechanics.secrets import head

_POLL_SECONDS = (0.1, 0.2, 0.4, 0.7, 1.0)
RUNNING, SUCCESS = "IN_PROGRESS", "SUCCESS"


@dataclass(frozen=True)
class Ended:
    """What a successful operation left.

    Args:
        result: Its value.
        result_path: Path of something to fetch or download, or empty.
    """

    result: Any
    result_path: str


def run(
    connection: Connection,
    path: str,
    *,
    body: Any = None,
    data: bytes | None = None,
    content_type: str | None = None,
    timeout: float = 60.0,
    what: str = "",
    progress: Progress | None = None,
) -> Ended:
    """Starts an operation and waits for its end.

    Args:
        connection: Controller.
        path: Path that starts it, `…/operations/<name>`.
        body: JSON to send.
        data: Bytes to send instead.
        content_type: Their media type.
        timeout: Seconds until it must have ended.
        what: Words for messages, for instance "Starting the test".
        progress: Gets a line whenever state or progress change.
    Raises:
        OperationFailed: It ended as an error.
        WaitTimeout: It did not end in time.
    """
    what = what or f"Operation {path.rsplit('/', 1)[-1]}"
    context = connection.call("POST", path, body=body, data=data, content_type=content_type)
    asked, said = False, ""

    def over() -> bool:
        nonlocal context, asked, said
        if asked:
            context = connection.call("GET", local_path(str(context.get("url") or f"{path}/{context.get('id')}")))
        asked = True
        state, share = _state(context, what)
        line = f"{what}: {share} %"
        if progress and state == RUNNING and share and line != said:
            said = line
            progress(line)
        return state != RUNNING

    ended = settle(over, timeout=timeout, every=_POLL_SECONDS, what=what)
    state, share = _state(context, what)
    if not ended:
        raise WaitTimeout(
            f"{what} at the CyPerf controller {connection.base} did not end within {timeout:g} s; it is at {share} "
            f"%{_message(connection, context)}."
        )
    if state != SUCCESS:
        reason = context.get("message") or context.get("result") or f"state {state}"
        raise OperationFailed(connection.redact(f"{what} failed at the CyPerf controller: {str(reason).rstrip('.')}."))
    return Ended(context.get("result"), local_path(str(context.get("resultUrl") or "")))


def _state(context: Any, what: str) -> tuple[str, int]:
    if not isinstance(context, dict) or not isinstance(context.get("state"), str):
        raise NotJson(f"{what}: the controller answered no operation but {head(str(context), 120)!r}.")
    share = context.get("progress")
    return context["state"].upper(), int(share) if isinstance(share, (int, float)) else 0


def _message(connection: Connection, context: dict[str, Any]) -> str:
    return f" ({connection.redact(str(context['message']))})" if context.get("message") else ""


def local_path(url: str) -> str:
    """Returns the path of a link: hosts in links are those the controller believes to have.

    Example:
        >>> local_path("https://10.0.0.5/api/v2/x/1?a=b"), local_path("api/v2/x"), local_path("")
        ('/api/v2/x/1?a=b', '/api/v2/x', '')
    """
    if not url:
        return ""
    parts = urllib.parse.urlsplit(url)
    path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
    return f"{path}?{parts.query}" if parts.query else path
