"""Follows a container's log into a file, line by line, until its last line, whatever happens to the pod."""

from __future__ import annotations

import calendar
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.errors import ClusterError, NotFound
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.secrets import hide

RETRY = 0.3


def split_time(line: str) -> tuple[float | None, str]:
    """Parts a line of a log with time stamps into seconds since 1970 and text.

    >>> split_time("1970-01-01T00:00:01.500000000Z hello")
    (1.5, 'hello')
    """
    stamp, _, text = line.partition(" ")
    try:
        whole, _, fraction = stamp.rstrip("Z").partition(".")
        seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
        return seconds + float(f"0.{fraction or 0}"), text
    except ValueError:
        return None, line


class LogStream:
    """A thread that keeps a container's log.

    The connection may break; the log is then followed anew and what is known already is left out. When the pod is gone,
    what came so far stays.

    Args:
        cluster: Where.
        namespace: Namespace of the pod.
        pod: Its name.
        container: Whose log.
        path: File for the lines.
        take: Called with the time and the text of each line, from the thread.
        look: Called with the pod when its log has ended, which may be the last that is seen of it, from the thread.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        pod: str,
        container: str,
        path: Path,
        take: Callable[[float | None, str], None],
        look: Callable[[dict[str, Any]], None] = lambda pod: None,
    ) -> None:
        self._cluster, self._where = cluster, (namespace, pod, container)
        self.path, self._take, self._look = path, take, look
        self._stopped, self._ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._lines = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._thread = threading.Thread(target=self._run, name=f"log of {pod}/{container}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        namespace, pod, container = self._where
        while not self._stopped.is_set():
            number = 0
            try:
                for line in self._cluster.follow_logs(
                    namespace, pod, container=container, stopped=self._stopped, timestamps=True
                ):
                    number += 1
                    self._accept(number, line)
                if self._container_ended():
                    break
            except NotFound:
                break
            except ClusterError:
                pass  # not started yet, or the connection was lost
            self._stopped.wait(RETRY)
        self._ended.set()

    def _container_ended(self) -> bool:
        namespace, pod, container = self._where
        found = self._cluster.find("Pod", pod, namespace)
        if found is None:
            return True
        self._look(found)
        status = found.get("status", {})
        every = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
        return any(each["name"] == container and "terminated" in each.get("state", {}) for each in every)

    def _accept(self, number: int, line: str) -> None:
        with self._lock:
            if number <= self._lines:
                return
            self._lines = number
            if self._file.closed:
                return
            at, text = split_time(line)
            self._file.write(hide(text) + "\n")
            self._file.flush()
        self._take(at, text)

    def finish(self, patience: float = 5.0) -> None:
        """Waits for the end of the log, fetches what a broken connection may have left out, and closes the file.

        Args:
            patience: Seconds that the end of the log may take to come; 0 takes what there is now.
        """
        if self._file.closed:
            return
        self._ended.wait(patience)
        self._stopped.set()
        self._thread.join(min(2.0, patience))
        namespace, pod, container = self._where
        try:
            text = self._cluster.logs(namespace, pod, container=container, timestamps=True)
        except ClusterError:
            text = ""
        for number, line in enumerate(text.splitlines(), 1):
            self._accept(number, line)
        with self._lock:
            self._file.close()
