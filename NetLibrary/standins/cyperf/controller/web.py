"""What every route needs: JSON answers, paging, filtering, errors, faults, tokens."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aiohttp import web

from .operations import Outcome
from .store import Store
from .tree import TreeError

JsonObject = dict[str, Any]
Thing = TypeVar("Thing")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
STORE: web.AppKey[Store] = web.AppKey("store", Store)

_OPEN = ("/auth/", "/eula/", "/stand-in")
_EULA_PAGE = "<!DOCTYPE html><html><body><h1>End user license agreement (stand-in)</h1></body></html>"


def answer(body: Any, status: int = 200) -> web.Response:
    """Returns a JSON answer."""
    return web.json_response(body, status=status)


def empty(status: int = 204) -> web.Response:
    """Returns an answer without content."""
    return web.Response(status=status)


def attachment(data: bytes, name: str, kind: str) -> web.Response:
    """Returns a download."""
    return web.Response(body=data, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def origin(request: web.Request) -> str:
    """Returns scheme and host as the client used them."""
    return f"{request.scheme}://{request.host}"


async def body_of(request: web.Request) -> Any:
    """Returns the JSON body; an absent one is None.

    Raises:
        web.HTTPException: 400 for a body that is no JSON.
    """
    text = await request.read()
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise TreeError(400, "The body is not JSON.") from None


def named(request: web.Request, known: Mapping[str, Thing], what: str) -> Thing:
    """Returns the thing that the path names.

    Raises:
        TreeError: 404 when there is none.
    """
    identifier = request.match_info["id"]
    if identifier not in known:
        raise TreeError(404, f"{what} '{identifier}' not found.")
    return known[identifier]


def listing(request: web.Request, items: list[JsonObject]) -> web.Response:
    """Returns a list as the interface does: bare, or paged when `take` or `skip` is given."""
    found = _filtered(request, items)
    for column in reversed([part for part in request.query.get("sort", "").split(",") if part]):
        name, _, direction = column.partition(":")
        found.sort(key=lambda item: str(item.get(name, "")).lower(), reverse=direction.startswith("d"))
    if "take" not in request.query and "skip" not in request.query:
        return answer(found)
    try:
        skip = int(request.query.get("skip") or 0)
        take = int(request.query["take"]) if request.query.get("take") else len(found)
    except ValueError:
        raise TreeError(400, "take and skip must be numbers.") from None
    return answer({"data": found[skip : skip + take], "totalCount": len(found)})


def _filtered(request: web.Request, items: list[JsonObject]) -> list[JsonObject]:
    columns = [part.strip() for part in request.query.get("searchCol", "").split(",") if part.strip()]
    values = [part.strip().lower() for part in request.query.get("searchVal", "").split(",") if part.strip()]
    if not columns or not values:
        return list(items)
    mode = request.query.get("filterMode", "or" if len(columns) > 1 else "and")

    def matches(item: JsonObject) -> bool:
        hits = [value in str(item.get(column, "")).lower() for column in columns for value in values]
        return not any(hits) if mode == "not" else all(hits) if mode == "and" else any(hits)

    return [item for item in items if matches(item)]


def _spent(counts: dict[str, int], path: str) -> int | None:
    """Returns the value of the first key that is part of the path, and removes it."""
    for part in list(counts):
        if part in path:
            return counts[part]
    return None


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every error into the controller's JSON form."""
    try:
        return await handler(request)
    except TreeError as error:
        return answer({"message": str(error)}, error.status)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return answer({"message": error.reason}, error.status)


@web.middleware
async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Misbehaves as ordered at `/stand-in/faults`."""
    faults, path = request.app[STORE].faults, request.path
    if path.startswith("/stand-in/"):
        return await handler(request)
    status = _spent(faults.http_errors, path)
    if status:
        return answer({"message": f"stand-in was told to answer {status}"}, status)
    if _spent(faults.html, path):
        return web.Response(text=_EULA_PAGE, content_type="text/html")
    response = await handler(request)
    limit = _spent(faults.drop_downloads, path)
    if limit is not None and isinstance(response, web.Response) and isinstance(response.body, bytes):
        cut = web.StreamResponse(headers={**response.headers, "Content-Length": str(len(response.body))})
        await cut.prepare(request)
        await cut.write(response.body[:limit])
        assert request.transport is not None
        request.transport.abort()
        return cut
    return response


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets only accepted EULAs and live tokens pass."""
    store = request.app[STORE]
    if request.path.startswith(_OPEN):
        return await handler(request)
    if store.faults.eula_pending:
        return web.Response(text=_EULA_PAGE, content_type="text/html")
    if not store.token_is_good(request.headers.get("Authorization", "")):
        return answer({"message": "Unauthorized: the token is missing, wrong or expired."}, 401)
    return await handler(request)


def outcome(result: Any = None, url: str = "") -> Outcome:
    """Returns what an operation leaves."""
    return Outcome(result, url)
