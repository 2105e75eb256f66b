"""From what an API server answers, or does not, to errors that read like sentences; and what may be asked again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.remedies import remedy
from NetLibrary._mechanics.secrets import head

BY_STATUS = {
    400: errors.Invalid,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.Expired,
    422: errors.Invalid,
    429: errors.TooManyRequests,
}
# What the API server says with status 500 while its store changes its leader or is slow; the request may have been done
_STORE = ("etcdserver:", "leader changed", "raft proposal dropped")
# What it says when it could not reach itself for an address of a Service, as while it ends; then nothing was made
_ITSELF = re.compile(r"failed to allocate .*(connection refused|connection reset|EOF|use of closed)")
# Methods whose repetition changes nothing more, were the first one done after all. Not here: POST, and a JSON patch,
# which may append.
_IDEMPOTENT = ("GET", "PUT", "DELETE")
# Questions in the form of a POST, which leave no object
_QUESTIONS = ("accessreviews", "rulesreviews", "selfsubjectreviews")


def refused(alias: str, method: str, path: str, status: int, text: str) -> errors.ClusterError:
    """Returns the error for an answer that is a refusal, with the server's own words."""
    message, reason = head(plain(text), 500) or "no reason given", ""
    try:
        body = json.loads(text)
        message, reason = body.get("message") or message, body.get("reason") or ""
        message = " ".join([message, *_budgets(body)])
    except (ValueError, AttributeError):
        pass
    hint = remedy(str(message)) if status in (403, 422) and method in ("POST", "PATCH") else ""
    kind = BY_STATUS.get(status, errors.ClusterError)
    if reason == "AlreadyExists":
        kind = errors.AlreadyExists
    name = str(reason or _phrase(status))
    words = ": ".join(filter(None, (f"{status} {name}", _beyond(str(message), status, name).rstrip("."))))
    return kind(
        f"Cluster '{alias}' answered {method} {path} with {words}{hint}.",
        status=status,
        reason=reason,
    )


def _beyond(message: str, status: int, name: str) -> str:
    """Returns what a message says beyond the name of its refusal, with which servers often begin.

    >>> _beyond("Internal error occurred: no endpoints", 500, "InternalError")
    'no endpoints'
    """
    said = r"\s*".join(re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name))
    begins = rf"(?i)^{status} {said}\s*|^(error: )?{said}( occurred)?([:,.]\s*|$)"
    return re.sub(begins, "", message.strip())


def _budgets(body: dict[str, Any]) -> list[str]:
    """Returns what the disruption budgets say that forbid an eviction; the message itself names none."""
    causes = (body.get("details") or {}).get("causes") or []
    return [str(cause.get("message", "")) for cause in causes if cause.get("reason") == "DisruptionBudget"]


def idempotent(method: str, content_type: str, path: str = "") -> bool:
    """Tells whether a request may be sent twice without harm."""
    if method == "POST":
        return path.partition("?")[0].endswith(_QUESTIONS)
    return method in _IDEMPOTENT or (method == "PATCH" and "json-patch" not in content_type)


def pause_before_again(
    error: errors.ClusterError, method: str, content_type: str, path: str, retry_after: float | None, attempt: int
) -> float | None:
    """Returns the seconds after which a request may be sent again, None when it may not.

    Sent again is what the server certainly did not do, and what may be done twice; an eviction that a disruption budget
    forbids is refused with the same status as an overload, and is not.

    Args:
        error: What became of the request.
        method: HTTP method.
        content_type: Of the body.
        path: What was asked.
        retry_after: Seconds that the server asked for, None when it did not.
        attempt: How often it was sent, from 1.
    """
    pause = backoff(attempt)
    if isinstance(error, errors.Unreachable):
        if error.final or (error.sent and not idempotent(method, content_type, path)):
            return None
        return pause
    if error.status == 429:
        return None if path.endswith("/eviction") else (pause if retry_after is None else retry_after)
    if error.status in (422, 500) and _ITSELF.search(str(error)):
        return pause
    of_store = error.status == 500 and any(words in str(error) for words in _STORE)
    if error.status in (502, 503, 504) or of_store or (error.status == 500 and retry_after is not None):
        never_done = error.status == 503 and retry_after is not None
        if never_done or idempotent(method, content_type, path):
            return pause if retry_after is None else retry_after
    return None


def backoff(attempt: int) -> float:
    """Returns the seconds before a request is sent again, longer each time.

    Args:
        attempt: How often it was sent, from 1.
    """
    return min(0.25 * 2.0 ** (attempt - 1), 2.0)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds after which a refused request may be sent again, None where the server did not say."""
    value = next((str(text) for name, text in headers.items() if name.lower() == "retry-after"), "")
    return max(0.1, float(value)) if value.isdigit() else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "error"


def plain(text: str) -> str:
    """Returns a text, or what a reader of a web page sees of it, in one line."""
    if text.lstrip().startswith("<"):
        text = " ".join(re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", text).split())
        return re.sub(r"\b(\w.{4,}?) \1\b", r"\1", text)  # its title is most often its heading
    return " ".join(text.split())


def cause(error: BaseException) -> str:
    """Digs the plain words out of urllib3's nested errors."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        error = reason
    while error.args and isinstance(error.args[-1], BaseException):  # ('Connection aborted.', ConnectionResetError(…))
        error = error.args[-1]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    # "<HTTPSConnection(...) at 0x…>: Failed to establish…" and "HTTPSConnectionPool(host=…): Read timed out…"
    if text.startswith(("<", "HTTP")) and ": " in text:
        text = text.split(": ", 1)[1]
    return text.rstrip(".")
