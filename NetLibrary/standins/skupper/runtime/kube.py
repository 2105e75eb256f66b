"""A small Kubernetes client: plain dicts, keep-alive connections, list-and-watch.

Requests are those of `plain_api`, which needs the standard library alone: this runs inside pods whose start-up time
counts, and an import of a full client costs more than the start of the whole process.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from NetLibrary._mechanics import plain_api
from NetLibrary._mechanics.plain_api import PATHS as COMMON
from NetLibrary._mechanics.plain_api import ApiError

log = logging.getLogger("kube")

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECT_PAUSES = (0.05, 0.2, 0.5)
SKUPPER = "/apis/skupper.io/v2alpha1"
PATHS: dict[str, tuple[str, str]] = {
    **COMMON,
    "Site": (SKUPPER, "sites"),
    "Link": (SKUPPER, "links"),
    "Listener": (SKUPPER, "listeners"),
    "MultiKeyListener": (SKUPPER, "multikeylisteners"),
    "Connector": (SKUPPER, "connectors"),
    "AttachedConnector": (SKUPPER, "attachedconnectors"),
    "AttachedConnectorBinding": (SKUPPER, "attachedconnectorbindings"),
    "AccessGrant": (SKUPPER, "accessgrants"),
    "AccessToken": (SKUPPER, "accesstokens"),
    "RouterAccess": (SKUPPER, "routeraccesses"),
    "SecuredAccess": (SKUPPER, "securedaccesses"),
    "Certificate": (SKUPPER, "certificates"),
}


def path_of(kind: str, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
    """Gives the URL path of a kind, of one object, or of its subresource."""
    return plain_api.path_of(kind, namespace, name, sub, paths=PATHS)


def version_of(obj: dict) -> int:
    """Gives an object's resourceVersion as a number (0 when there is none)."""
    text = obj.get("metadata", {}).get("resourceVersion", "")
    return int(text) if text.isdigit() else 0


class Api(plain_api.PlainApi):
    """One API server, asked without blocking the event loop.

    Args:
        server: URL such as `https://10.96.0.1:443`.
        context: TLS settings (CA, client certificate), None for plain HTTP.
        token: Gives the bearer token at each request; kubelets rotate it.
        workers: Requests at once.
    """

    def __init__(
        self,
        server: str,
        context: ssl.SSLContext | None = None,
        token: Callable[[], str] | None = None,
        workers: int = 16,
    ) -> None:
        super().__init__(server, context, token, agent="netlibrary-skupper-stand-in", pauses=CONNECT_PAUSES)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="api")

    @classmethod
    def in_cluster(cls) -> Api:
        """Connects with the pod's service account."""
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        if ":" in host:
            host = f"[{host}]"
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        return cls(f"https://{host}:{port}", context, lambda: (ACCOUNT / "token").read_text())

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> dict:
        """Does `request` without blocking the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: self.request(method, path, body, **options))

    async def get(self, kind: str, namespace: str | None, name: str) -> dict | None:
        """Gives one object, or None when it does not exist."""
        try:
            return await self.call("GET", path_of(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def apply(self, obj: dict, manager: str) -> dict:
        """Creates or updates by server-side apply."""
        meta = obj["metadata"]
        return await self.call(
            "PATCH",
            path_of(obj["kind"], meta.get("namespace"), meta["name"]),
            obj,
            content_type="application/apply-patch+yaml",
            query={"fieldManager": manager, "force": "true"},
        )

    async def create(self, obj: dict, manager: str) -> dict:
        """Creates an object, or merges it into the one that is there."""
        kind, meta = obj["kind"], obj["metadata"]
        try:
            return await self.call("POST", path_of(kind, meta["namespace"]), obj, query={"fieldManager": manager})
        except ApiError as error:
            if error.status != 409:
                raise
        return await self.patch(kind, meta["namespace"], meta["name"], obj)

    async def patch(self, kind: str, namespace: str, name: str, body: dict, sub: str | None = None) -> dict:
        """Does a JSON merge patch."""
        return await self.call(
            "PATCH",
            path_of(kind, namespace, name, sub),
            body,
            content_type="application/merge-patch+json",
        )

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """Deletes in the background; an object that is gone already is no error."""
        try:
            await self.call("DELETE", path_of(kind, namespace, name))
        except ApiError as error:
            if error.status != 404:
                raise

    def watch(self, path: str, query: dict[str, str], version: str) -> Iterator[dict]:
        """Yields watch events until the server ends the stream."""
        parameters = {
            **query,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": "300",
        }
        connection = self.connect(330)
        try:
            connection.request("GET", f"{path}?{urlencode(parameters)}", headers=self.headers())
            response = connection.getresponse()
            if response.status >= 400:
                self.decode(response.status, response.reason, response.read())
            while line := response.readline():
                yield json.loads(line)
        finally:
            connection.close()


Trim = Callable[[dict], dict]
Changed = Callable[[str, dict], None]


class Informer:
    """Keeps a copy of all objects of one kind and tells about changes.

    The copy is touched on the event loop's thread only; a daemon thread lists and watches.
    """

    def __init__(
        self,
        api: Api,
        kind: str,
        changed: Changed,
        *,
        namespace: str | None = None,
        query: dict[str, str] | None = None,
        trim: Trim | None = None,
    ) -> None:
        self.kind, self.items = kind, {}  # type: str, dict[tuple[str, str], dict]
        self.synced = asyncio.Event()
        self._gone: dict[tuple[str, str], int] = {}
        self._api, self._changed, self._trim = api, changed, trim
        self._path, self._query = path_of(kind, namespace), query or {}

    def start(self) -> None:
        """Starts to list and watch."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, args=(loop,), daemon=True, name=self.kind).start()

    def get(self, namespace: str, name: str) -> dict | None:
        """Gives an object of the copy."""
        return self.items.get((namespace, name))

    def of(self, namespace: str) -> list[dict]:
        """Gives a namespace's objects, oldest first."""
        found = [obj for (ns, _), obj in self.items.items() if ns == namespace]
        return sorted(found, key=lambda o: (o["metadata"]["creationTimestamp"], o["metadata"]["name"]))

    def note(self, obj: dict) -> None:
        """Puts the answer to a write into the copy, so that no later step works on older data."""
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        known = self.items.get(key)
        if known is None:
            if self._gone.get(key, 0) < version_of(obj):  # else it was deleted meanwhile
                self._event("ADDED", obj)
        elif version_of(known) < version_of(obj):
            self.items[key] = self._slim(obj)

    def _slim(self, obj: dict) -> dict:
        obj["metadata"].pop("managedFields", None)
        obj.setdefault("kind", self.kind)
        return self._trim(obj) if self._trim else obj

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = 0.2
        while not loop.is_closed():
            try:
                self._list_and_watch(loop)
                pause = 0.2
            except (ApiError, OSError, http.client.HTTPException, ValueError) as error:
                status = error.status if isinstance(error, ApiError) else 0
                if status != 410:
                    log.warning("watch of %s ended: %s", self.kind, error)
                    if status == 404:  # its definition is not installed; that is allowed
                        self._post(loop, self._replace, [])
                        pause = 10
                    time.sleep(pause)
                    pause = min(pause * 2, 10)
            except RuntimeError:
                return  # the event loop is gone

    def _list_and_watch(self, loop: asyncio.AbstractEventLoop) -> None:
        answer = self._api.request("GET", self._path, query=self._query)
        self._post(loop, self._replace, answer.get("items") or [])
        version = answer["metadata"]["resourceVersion"]
        while True:
            for event in self._api.watch(self._path, self._query, version):
                obj = event["object"]
                if event["type"] == "ERROR":
                    raise ApiError(obj.get("code", 500), obj.get("reason", ""), obj.get("message", ""))
                version = obj["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._post(loop, self._event, event["type"], obj)

    @staticmethod
    def _post(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: Any) -> None:
        loop.call_soon_threadsafe(function, *args)

    def _replace(self, objects: list[dict]) -> None:
        fresh = {(o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects}
        for key in [key for key in self.items if key not in fresh]:
            self._changed("DELETED", self.items.pop(key))
        for obj in objects:
            self._event("MODIFIED", obj)
        self.synced.set()

    def _event(self, event: str, obj: dict) -> None:
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        if event == "DELETED":
            if len(self._gone) > 4096:
                self._gone.clear()
            self._gone[key] = version_of(obj)
            if version_of(self.items.get(key, {})) > version_of(obj):
                return  # made anew by this process already
            self.items.pop(key, None)
            self._changed(event, self._slim(obj))
            return
        known = self.items.get(key)
        if known is not None and version_of(known) >= version_of(obj) > 0:
            return
        self.items[key] = self._slim(obj)
        self._changed(event, self.items[key])
