"""A Kubernetes API server over real sockets whose answers, and misbehaviour, are scripted by a test.

It keeps objects, serves lists and watches of them, takes writes, and runs "commands" over WebSockets. Nothing in here
knows the client under test; everything it says was written from the Kubernetes API's documentation.
"""

from __future__ import annotations

import copy
import json
import os
import re
import socket
import struct
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from scripted_exec import Command, shake_hands

Object = dict[str, Any]
TOKEN = "sesame-9f2c-never-to-be-seen"
REVIEWS = "/selfsubjectaccessreviews"
KINDS = {
    "pods": "Pod", "namespaces": "Namespace", "deployments": "Deployment", "configmaps": "ConfigMap", "jobs": "Job",
    "replicasets": "ReplicaSet", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet", "leases": "Lease",
    "services": "Service", "endpointslices": "EndpointSlice", "events": "Event", "nodes": "Node", "sites": "Site",
    "limitranges": "LimitRange", "secrets": "Secret", "controllerrevisions": "ControllerRevision",
    "networkpolicies": "NetworkPolicy", "poddisruptionbudgets": "PodDisruptionBudget",
    "priorityclasses": "PriorityClass",
}  # fmt: skip


def status(code: int, reason: str, message: str) -> Object:
    """Returns the body with which the API server refuses."""
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code,
    }  # fmt: skip


def merged(present: Object, change: Object) -> Object:
    """Returns an object after a JSON merge patch; an apply of these tests does the same."""
    result = dict(present)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


class ApiServer:
    """The server; `url` is where it listens."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Object]] = defaultdict(dict)  # by collection path, then by name
        self.version = 100
        self.oldest = 0  # watches from before this version get 410
        self.history: list[tuple[int, str, str, Object]] = []  # version, event type, collection path, object
        self.changed = threading.Condition()
        self.generation = 0  # a new one ends all watches that are open
        self.orderly = False
        self.requests: list[tuple[str, str, dict[str, str], dict[str, str], Any]] = []
        self.watching = 0
        self.logs: dict[str, str] = {}
        self.prefix = ""  # path before that of the API, as with Rancher, which answers for many clusters
        self.clock_ahead = 0.0  # seconds that its clock is ahead of ours
        self.command: Callable[[Command], None] = lambda command: command.exit(0)
        self.protocols: tuple[str, ...] = ("v5.channel.k8s.io", "v4.channel.k8s.io")
        self.released = threading.Event()  # ends every answer that hangs
        self._scripts: list[list[Any]] = []
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.open_door()

    # --- the door -------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{self.prefix}"

    def open_door(self) -> None:
        """Listens, on the same port as before."""
        api = self

        class Handler(_Handler):
            server_state = api

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close_door(self) -> None:
        """Refuses new connections; what is open stays open until the next answer."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def stop(self) -> None:
        self.released.set()
        self.drop_watches()
        if self._server is not None:
            self.close_door()

    def kubeconfig(self, path: Path, **changes: Any) -> Path:
        """Writes a kubeconfig for this server."""
        path.write_text(json.dumps({**kubeconfig(self.url), **changes}))
        return path

    # --- scripts --------------------------------------------------------------------------------------

    def on(self, method: str, pattern: str, answer: Callable[[_Handler], None], times: int = 1) -> None:
        """Has the next `times` requests that fit answered by a script instead."""
        self._scripts.append([method, re.compile(pattern), answer, times])

    def refuse(self, method: str, pattern: str, code: int, reason: str, message: str, times: int = 1) -> None:
        """Has the next `times` requests that fit refused as the API server refuses."""
        self.on(method, pattern, lambda handler: handler.json(code, status(code, reason, message)), times)

    def allow(self, allowed: Callable[[Object], bool] = lambda _: True) -> None:
        """Answers who asks what the account may do."""

        def answer(handler: _Handler) -> None:
            asked = handler.body["spec"]["resourceAttributes"]
            handler.json(201, {"status": {"allowed": allowed(asked)}})

        self.on("POST", REVIEWS, answer, times=10_000)

    def script_for(self, method: str, target: str) -> Callable[[_Handler], None] | None:
        for script in self._scripts:
            if script[3] > 0 and script[0] in (method, "*") and script[1].search(target):
                script[3] -= 1
                return script[2]  # type: ignore[no-any-return]
        return None

    # --- objects --------------------------------------------------------------------------------------

    def put(self, collection: str, obj: Object, kind: str | None = None) -> Object:
        """Creates or changes an object, and tells the watches (unless `kind` says otherwise)."""
        with self.changed:
            self.version += 1
            obj = copy.deepcopy(obj)
            before = self.objects[collection].get(obj["metadata"]["name"])
            uid = before["metadata"]["uid"] if before else str(uuid.uuid4())
            obj["metadata"] = {"uid": uid, **obj["metadata"], "resourceVersion": str(self.version)}
            self.objects[collection][obj["metadata"]["name"]] = obj
            self._note(kind or ("MODIFIED" if before else "ADDED"), collection, obj)
            return obj

    def create(self, collection: str, obj: Object) -> Object:
        """Creates an object as a request does: now, by the server's clock."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.clock_ahead))
        return self.put(collection, {**obj, "metadata": {**obj["metadata"], "creationTimestamp": stamp}})

    def remove(self, collection: str, name: str) -> None:
        with self.changed:
            self.version += 1
            obj = self.objects[collection].pop(name)
            obj["metadata"]["resourceVersion"] = str(self.version)
            self._note("DELETED", collection, obj)

    def forget_history(self) -> None:
        """Compacts: watches from before now get 410."""
        with self.changed:
            self.oldest = self.version
            self.history.clear()

    def bookmark(self, collection: str) -> None:
        """Tells the watches a newer version without a change."""
        with self.changed:
            self.version += 1
            metadata = {"resourceVersion": str(self.version)}
            self._note("BOOKMARK", collection, {"kind": "?", "metadata": metadata})

    def error_event(self, collection: str, code: int, message: str) -> None:
        """Sends an ERROR event to the watches."""
        with self.changed:
            self._note("ERROR", collection, status(code, "Expired" if code == 410 else "InternalError", message))

    def _note(self, kind: str, collection: str, obj: Object) -> None:
        self.history.append((self.version, kind, collection, copy.deepcopy(obj)))
        self.changed.notify_all()

    def drop_watches(self, *, orderly: bool = False) -> None:
        """Cuts all open watches without a word, or ends them after what there is to say."""
        with self.changed:
            self.orderly = orderly
            self.generation += 1
            self.changed.notify_all()

    def wait_for_watches(self, count: int = 1) -> None:
        """Waits until so many watches are open."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.watching >= count, 40), f"{self.watching} watches"

    def wait_for_requests(self, method: str, pattern: str, count: int = 1) -> None:
        """Waits until so many requests that fit have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen(method, pattern)) >= count, 40), self.requests

    def seen(self, method: str, pattern: str) -> list[tuple[str, str, dict[str, str], dict[str, str], Any]]:
        return [r for r in self.requests if r[0] == method and re.search(pattern, r[1])]


def kubeconfig(url: str, token: str = TOKEN) -> Object:
    """Returns a kubeconfig as data."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that go away in the middle are part of the game


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: ApiServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.server_state.clock_ahead)

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        api = self.server_state
        outside = bool(api.prefix) and not self.path.startswith(f"{api.prefix}/")
        self.path = self.path.removeprefix(api.prefix)
        parts = urlsplit(self.path)
        self.query_lists = parse_qs(parts.query)
        self.query = {key: values[-1] for key, values in self.query_lists.items()}
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        self.body = json.loads(raw) if raw else None
        with api.changed:
            api.requests.append(
                (
                    self.command,
                    self.path,
                    self.query,
                    {key.lower(): value for key, value in self.headers.items()},
                    self.body,
                )
            )
            api.changed.notify_all()
        script = api.script_for(self.command, self.path)
        if outside:
            self.text(404, "404 page not found", "text/plain")
        elif script:
            script(self)
        elif self.headers.get("Upgrade", "").lower() == "websocket":
            self._exec()
        elif self.command == "HEAD":  # whether a kubelet lives, or the server itself
            self.text(200, "ok", "text/plain")
        elif parts.path.endswith("/log"):
            self.text(200, api.logs.get(parts.path.split("/")[-2], ""), "text/plain")
        else:
            self._serve(parts.path)

    # --- answers --------------------------------------------------------------------------------------

    def json(self, code: int, body: Any) -> None:
        self.text(code, json.dumps(body), "application/json")

    def text(
        self, code: int, body: str, content_type: str = "text/html", headers: dict[str, str] | None = None
    ) -> None:
        data = body.encode()
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def hang(self) -> None:
        """Never answers, as a server does that sits behind a broken path."""
        self.server_state.released.wait(30)
        self.close_connection = True

    def reset(self) -> None:
        """Breaks the connection off instead of answering."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())  # at once: the handler's files would delay an ordinary close
        self.close_connection = True

    def _serve(self, path: str) -> None:
        api = self.server_state
        if path == "/version":
            self.json(200, {"gitVersion": "v1.99.0"})
        elif path == "/apis":
            group = {"name": "skupper.io", "preferredVersion": {"version": "v2alpha1"}}
            self.json(200, {"groups": [group]})
        elif path == "/apis/skupper.io/v2alpha1":
            self.json(200, {"resources": [{"name": "sites", "kind": "Site", "namespaced": True}]})
        elif path == "/api/v1":
            self.json(200, {"resources": [{"name": "limitranges", "kind": "LimitRange", "namespaced": True}]})
        elif self.query.get("watch") == "true":
            self._watch(path)
        elif self.command == "GET" and path.rsplit("/", 1)[1] in KINDS:
            self._list(path)
        elif self.command == "POST":
            collection, name = path, self.body["metadata"]["name"]
            if name in api.objects[collection]:
                word = collection.rsplit("/", 1)[1]
                self.json(409, status(409, "AlreadyExists", f'{word} "{name}" already exists'))
            else:
                self.json(201, api.create(collection, self.body))
        else:
            self._one(*path.rsplit("/", 1))

    def _one(self, collection: str, name: str) -> None:
        api = self.server_state
        present = api.objects[collection].get(name)
        conflict = self._conflict(present)
        if conflict:
            self.json(409, status(409, "Conflict", conflict))
        elif self.command == "PATCH" and "apply" in self.headers.get("Content-Type", ""):
            self.json(200 if present else 201, api.put(collection, merged(present or {}, self.body)))
        elif present is None:
            word = collection.rsplit("/", 1)[1]
            self.json(404, status(404, "NotFound", f'{word} "{name}" not found'))
        elif self.command == "DELETE":
            api.remove(collection, name)
            if collection == "/api/v1/namespaces":
                for where in [each for each in api.objects if f"/namespaces/{name}/" in each]:
                    for inside in list(api.objects[where]):
                        api.remove(where, inside)
            self.json(200, {"kind": "Status", "status": "Success"})
        elif self.command == "PATCH":
            self.json(200, api.put(collection, merged(present, self.body)))
        elif self.command == "PUT":
            self.json(200, api.put(collection, {**present, **self.body}))
        else:
            self.json(200, present)

    def _conflict(self, present: Object | None) -> str:
        """Why preconditions of a deletion, or the version that a change was made for, do not fit; as in the API."""
        body = self.body if isinstance(self.body, dict) else {}
        if present is None or self.command not in ("DELETE", "PATCH"):
            return ""
        asked = body.get("preconditions", {}) if self.command == "DELETE" else body.get("metadata") or {}
        for key in ("uid", "resourceVersion"):
            if asked.get(key) not in (None, present["metadata"].get(key)):
                return f"the object has been modified; precondition failed: {key}"
        return ""

    # --- collections ------------------------------------------------------------------------------------

    def _fits(self, path: str, collection: str, obj: Object) -> bool:
        everywhere = "/namespaces/" not in path and collection.rsplit("/", 1)[1] == path.rsplit("/", 1)[1]
        if collection != path and not everywhere:
            return False
        labels = obj["metadata"].get("labels") or {}
        terms = [term for term in re.split(r",(?![^(]*\))", self.query.get("labelSelector", "")) if term]
        sets = [re.fullmatch(r"(\S+) in \((.*)\)", term) for term in terms]
        fits = all(labels.get(each[1]) in re.split(r",\s*", each[2]) for each in sets if each)
        wanted = [term.partition("=") for term, is_set in zip(terms, sets, strict=True) if not is_set]
        named = fits
        for part in filter(None, self.query.get("fieldSelector", "").split(",")):
            found: Any = obj
            for key in part.partition("=")[0].split("."):
                found = (found or {}).get(key)
            named = named and found == part.partition("=")[2]
        return named and all(labels.get(k) == value if equal else k in labels for k, equal, value in wanted)

    def _list(self, path: str) -> None:
        api = self.server_state
        with api.changed:
            items = [o for c, named in list(api.objects.items()) for o in named.values() if self._fits(path, c, o)]
            body = copy.deepcopy(items)
            version = str(api.version)
        for item in body:
            item.pop("kind", None)
            item.pop("apiVersion", None)
        kind = KINDS[path.rsplit("/", 1)[1]] + "List"
        group = path.split("/")
        api_version = "/".join(group[2:4]) if group[1] == "apis" else "v1"
        self.json(
            200, {"kind": kind, "apiVersion": api_version, "metadata": {"resourceVersion": version}, "items": body}
        )

    def _watch(self, path: str) -> None:
        api = self.server_state
        seen = int(self.query.get("resourceVersion") or 0)
        if seen < api.oldest:
            self.json(410, status(410, "Expired", f"too old resource version: {seen} ({api.oldest})"))
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        ends = time.monotonic() + float(self.query.get("timeoutSeconds") or 60)
        with api.changed:
            generation, at = api.generation, len(api.history)
            missed = [e for e in api.history if e[0] > seen and e[1] != "ERROR"]
            api.watching += 1
            api.changed.notify_all()
        try:
            over = False
            while True:
                for _, kind, collection, obj in missed:
                    special = kind in ("BOOKMARK", "ERROR") and collection == path
                    if special or (kind not in ("BOOKMARK", "ERROR") and self._fits(path, collection, obj)):
                        self.chunk(json.dumps({"type": kind, "object": obj}).encode() + b"\n")
                with api.changed:
                    while len(api.history) == at and api.generation == generation and time.monotonic() < ends:
                        api.changed.wait(ends - time.monotonic())
                    if api.generation != generation and not api.orderly:
                        self.reset()
                        return
                    missed, at = api.history[at:], len(api.history)
                    over = over or api.generation != generation or time.monotonic() >= ends
                if over and not missed:
                    self.chunk(b"")
                    return
        finally:
            with api.changed:
                api.watching -= 1
                api.changed.notify_all()

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    # --- commands -----------------------------------------------------------------------------------------

    def _exec(self) -> None:
        api = self.server_state
        offered = [word.strip() for word in self.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        chosen = next((p for p in api.protocols if p in offered), "")
        shake_hands(self, chosen)
        argv = self.query_lists.get("command", [])
        command = Command(self.connection, argv, chosen, dict(self.query))
        try:
            api.command(command)
        except (OSError, EOFError):
            pass  # the client went away
        finally:
            command.over()
            self.close_connection = True
