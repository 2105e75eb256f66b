"""What containers print, followed while they print it: until a line comes, or into a file."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from NetLibrary._mechanics import errors

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

# A container that is about to start, or to start again, has no log yet
PAUSE_SECONDS = 0.5
LAST_LINES = 5


class Follower:
    """Reads a container's lines in a thread, also after a restart of the container.

    Args:
        cluster: Where.
        namespace: Namespace of the pod.
        pod: The pod.
        container: Its container; the first one by default.
        take: Gets each line with its time stamp.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, pod: str, container: str | None, take: Callable[[str, str], None]
    ) -> None:
        self.trouble = ""  # why no line comes just now
        self.refused = False  # whether the account may not read it
        self.ended = threading.Event()
        self._stopped = threading.Event()
        self._what = (cluster, namespace, pod, container)
        self._take = take
        threading.Thread(target=self._run, name=f"log of {namespace}/{pod}", daemon=True).start()

    def stop(self) -> None:
        """Ends it; a line that is on its way may be lost."""
        self._stopped.set()

    def _run(self) -> None:
        last = None
        while not self._stopped.is_set():
            try:
                for stamp, line in self._lines(last):
                    if last is None or stamp > last:
                        self.trouble, last = "", stamp
                        self._take(stamp, line)
                self.trouble = self.trouble or "the container has ended or no longer prints anything"
            except (errors.NotFound, errors.Forbidden) as error:
                self.trouble, self.refused = str(error), isinstance(error, errors.Forbidden)
                break
            except errors.NetLibraryError as error:
                self.trouble = str(error)
            self._stopped.wait(PAUSE_SECONDS)
        self.ended.set()

    def _lines(self, since: str | None) -> Iterator[tuple[str, str]]:
        cluster, namespace, pod, container = self._what
        for line in cluster.follow_logs(
            namespace, pod, container=container, stopped=self._stopped, timestamps=True, since_time=since
        ):
            stamp, _, text = line.partition(" ")
            yield stamp, text


def wait_for_line(
    cluster: Cluster, namespace: str, pod: str, pattern: str, *, regexp: bool, container: str | None, timeout: float
) -> str:
    """Waits until a container prints a line, or has printed it already.

    Args:
        cluster: Where.
        namespace: Namespace of the pod.
        pod: The pod.
        pattern: Part of the line.
        regexp: Whether the pattern is a regular expression.
        container: Its container; the first one by default.
        timeout: Seconds.
    Returns:
        The line.
    Raises:
        InputError: The regular expression is none.
        WaitTimeout: No such line came; the text has the last ones that did.
    """
    try:
        wanted = re.compile(pattern if regexp else re.escape(pattern))
    except re.error as error:
        raise errors.InputError(f"pattern is '{pattern}', which is not a regular expression: {error}.") from error
    lines: queue.Queue[str] = queue.Queue()
    last: deque[str] = deque(maxlen=LAST_LINES)
    follower = Follower(cluster, namespace, pod, container, lambda _, line: lines.put(line))
    deadline = time.monotonic() + timeout
    try:
        while True:
            left = deadline - time.monotonic()
            try:
                line = lines.get(timeout=max(0.0, min(left, 0.5)))
            except queue.Empty:
                if left <= 0 or (follower.ended.is_set() and lines.empty()):
                    break
                continue
            if wanted.search(line):
                return line
            last.append(line)
    finally:
        follower.stop()
    if follower.refused:
        raise errors.Forbidden(follower.trouble, status=403)
    seen = "\n".join(last) or follower.trouble or "nothing"
    raise errors.WaitTimeout(
        f"Pod '{namespace}/{pod}' has not printed '{pattern}' within {timeout:g} s. The last lines are:\n{seen}"
    )


class LogFile:
    """Writes what containers print into a file, one for each pod, until it is stopped.

    Args:
        cluster: Where.
        namespace: Namespace of the pod.
        pod: The pod.
        container: Its container; the first one by default.
        path: The file; lines are added to one that exists.
        timestamps: Whether each line begins with its time.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, pod: str, container: str | None, path: Path, *, timestamps: bool
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.count = path, 0
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._timestamps = timestamps
        self._follower = Follower(cluster, namespace, pod, container, self._write)

    def _write(self, stamp: str, line: str) -> None:
        with self._lock:
            if not self._file.closed:
                self._file.write(f"{stamp} {line}\n" if self._timestamps else f"{line}\n")
                self._file.flush()
                self.count += 1

    def stop(self) -> None:
        """Ends it and closes the file."""
        self._follower.stop()
        with self._lock:
            self._file.close()
