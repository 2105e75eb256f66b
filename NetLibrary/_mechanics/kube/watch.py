"""Watches that survive dropped connections and expired resource versions."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors, secrets
from NetLibrary._mechanics.kube.connection import Connection
from NetLibrary._mechanics.secrets import head

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

# The server ends a watch after this time and we open the next one. When a server or the path to it dies silently, that
# is how long nobody notices, so it has to be well below the usual limits of waits.
WATCH_SECONDS = 20.0
# How much later than that a server may be
GRACE = 5.0
PAUSE_AFTER_DROP = 0.2


class Watch:
    """A stream of changes of one collection, beginning with its present state.

    A thread reads, so that the reader can wait with a limit and be interrupted at any moment (a signal or a
    Robot timeout cannot interrupt TLS reads cleanly).

    Args:
        connection: Where to watch.
        path: Path of the collection.
        query: Label and field selectors.
    """

    def __init__(self, connection: Connection, path: str, query: dict[str, Any]) -> None:
        self._connection = connection
        self._path = path
        self._query = query
        self.trouble = ""  # why the present state is not known just now
        self._events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._stopped = threading.Event()
        self._response: BaseHTTPResponse | None = None
        self._known: dict[str, dict[str, Any]] = {}
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)
        self._thread.start()

    def next(self, timeout: float) -> tuple[str, dict[str, Any]] | None:
        """Returns the next (event type, object), or None when nothing came in `timeout` seconds.

        The type is ADDED, MODIFIED, DELETED, or SYNCED once when the present state has been delivered.

        Raises:
            errors.ClusterError: The server refuses the watch for good (forbidden, kind unknown).
        """
        try:
            kind, value = self._events.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None
        if kind == "FAILED":
            raise value
        return kind, value

    def stop(self) -> None:
        """Ends the watch; harmless when it has ended already."""
        self._stopped.set()
        response = self._response
        if response is not None:
            try:
                response.shutdown()  # wakes the reading thread; close() would wait for it
            except (ValueError, RuntimeError, OSError):  # it is over already
                response.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        version: str | None = None
        synced, asked = False, time.monotonic()
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                if version is None:
                    version = self._list()
                    if not synced:
                        self._events.put(("SYNCED", {}))
                        synced = True
                version = self._follow(version)
                asked = time.monotonic()
            except errors.Expired:
                version = None
            except errors.ClusterError as error:
                if not (_passes(error) or self._connection.unsettled(error, asked)):
                    self._events.put(("FAILED", error))
                    return
                self.trouble = str(error)
            except errors.NetLibraryError as error:  # no credentials any more, for instance
                self._events.put(("FAILED", error))
                return
            except Exception as error:  # nobody sees what a thread dies of, so its reader gets it
                self._events.put(("FAILED", self._nonsense(repr(error))))
                return
            if time.monotonic() - began < PAUSE_AFTER_DROP:  # a server that hangs up at once must not be hammered
                self._stopped.wait(PAUSE_AFTER_DROP)

    def _nonsense(self, text: str) -> errors.ClusterError:
        return errors.ClusterError(
            f"Cluster '{self._connection.alias}' answered the watch of {self._path} with something that is not a "
            f"Kubernetes answer: {head(text, 200)}."
        )

    def _list(self) -> str:
        listing = self._connection.request_object("GET", self._path, query=self._query, patient=False)
        api_version, kind = listing.get("apiVersion", "v1"), str(listing.get("kind", "")).removesuffix("List")
        present = {}
        for item in listing.get("items") or []:
            item.setdefault("apiVersion", api_version)
            item.setdefault("kind", kind)
            present[item["metadata"]["uid"]] = item
        for uid in set(self._known) - set(present):  # vanished while nobody watched
            self._events.put(("DELETED", self._known.pop(uid)))
        for uid, item in present.items():
            before = self._known.get(uid)
            if before is None or before["metadata"].get("resourceVersion") != item["metadata"].get("resourceVersion"):
                self._events.put(("ADDED" if before is None else "MODIFIED", item))
        self._known = present
        self.trouble = ""
        return str(listing["metadata"].get("resourceVersion", ""))

    def _follow(self, version: str) -> str:
        query = {
            **self._query,
            "watch": True,
            "resourceVersion": version,
            "allowWatchBookmarks": True,
            "timeoutSeconds": max(1, round(WATCH_SECONDS)),
        }
        response = self._connection.open("GET", self._path, query=query, timeout=WATCH_SECONDS + GRACE, patient=False)
        self._response = response
        try:
            if self._stopped.is_set():  # stop() came while there was no response that it could have ended
                return version
            if "json" not in response.headers.get("Content-Type", ""):
                page = response.read(200, decode_content=True).decode(errors="replace")
                raise errors.Unreachable(str(self._nonsense(" ".join(page.split()))))
            self.trouble = ""
            for line in _lines(response, self._stopped):
                try:
                    event = json.loads(line)
                except ValueError:
                    raise errors.Unreachable(str(self._nonsense(line.decode(errors="replace")))) from None
                kind, obj = event["type"], event["object"]
                secrets.learn_answer(line.decode(errors="replace"), obj)
                if kind == "ERROR":
                    if obj.get("code") == 410:
                        raise errors.Expired(str(obj.get("message")), status=410, reason="Expired")
                    raise errors.Unreachable(f"The watch of {self._path} broke off: {obj.get('message')}.")
                version = obj["metadata"]["resourceVersion"]
                if kind == "BOOKMARK":
                    continue
                uid = obj["metadata"]["uid"]
                if kind == "DELETED":
                    self._known.pop(uid, None)
                else:
                    self._known[uid] = obj
                self._events.put((kind, obj))
        finally:
            self._response = None
            response.close()
        return version


def _passes(error: errors.ClusterError) -> bool:
    """Tells whether asking again may help."""
    if isinstance(error, errors.Unreachable):
        return not error.final
    return isinstance(error, errors.TooManyRequests) or error.status >= 500


def _lines(response: BaseHTTPResponse, stopped: threading.Event) -> Iterator[bytes]:
    """Yields complete lines; an end of the stream, orderly or not, ends the iteration."""
    import urllib3

    pending = b""
    try:
        for chunk in response.stream(1 << 16, decode_content=True):
            if stopped.is_set():
                return
            pending += chunk
            *whole, pending = pending.split(b"\n")
            for line in whole:
                if line.strip():
                    yield line
    except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
        # the connection dropped, or stop() took it away under the reader: the caller opens the next one
        return


def follow_lines(response: BaseHTTPResponse, stopped: threading.Event) -> Iterator[str]:
    """Yields a response's text line by line until it ends or `stopped` is set (logs that are followed)."""
    for line in _lines(response, stopped):
        yield line.decode(errors="replace")


def deadline_left(deadline: float) -> float:
    """Returns the seconds until a `time.monotonic` deadline, never negative."""
    return max(0.0, deadline - time.monotonic())
