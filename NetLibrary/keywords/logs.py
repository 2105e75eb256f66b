"""Keywords for what pods print and what the cluster says of them: logs and events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from robot.api import logger

from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword

MOST_SHOWN = 20


class LogKeywords(KeywordBase):
    """Read pod logs and cluster events."""

    @keyword(tags=["cluster", "logs"])
    def read_pod_logs(
        self, name: str, namespace: str, *, container: str | None = None, previous: bool = False,
        since: timedelta | None = None, last_lines: int | None = None, timestamps: bool = False,
        cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Returns what a container of a pod has printed, as `kubectl logs` does.

        Args:
            name: Name of the pod.
            namespace: Its namespace.
            container: Container; the first one by default.
            previous: Whether to return what the container printed before its last restart.
            since: Only what was printed within this time before now.
            last_lines: Only this many lines from the end.
            timestamps: Whether each line begins with its time.
            cluster: Alias of the cluster.
        Returns:
            The text.
        """
        return self.session.cluster(cluster).logs(
            namespace, name, container=container, previous=previous, tail=last_lines, timestamps=timestamps,
            since=None if since is None else max(1, int(since.total_seconds())),
        )  # fmt: skip

    @keyword(tags=["cluster", "logs", "wait"])
    def wait_until_pod_has_printed(
        self, name: str, namespace: str, pattern: str, *, regexp: bool = False, container: str | None = None,
        timeout: timedelta | None = None, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Waits until a container has printed a line, following its log as `kubectl logs -f` does.

        Earlier lines count, and so do those of a container that restarts in the meantime. A container that has not
        started is waited for.

        Args:
            name: Name of the pod.
            namespace: Its namespace.
            pattern: Part of the line.
            regexp: Whether the pattern is a Python regular expression.
            container: Container; the first one by default.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            The line.
        Raises:
            Failure: There was no such line; the last lines are in the message.
        """
        from NetLibrary._mechanics.kube import logs

        return logs.wait_for_line(
            self.session.cluster(cluster), namespace, name, pattern, regexp=regexp, container=container,
            timeout=self._limit(timeout),
        )  # fmt: skip

    @keyword(tags=["cluster", "logs"])
    def start_saving_pod_logs(
        self, namespace: str, pods: str, *, folder: Path | None = None, container: str | None = None,
        timestamps: bool = True, cluster: str | None = None,
    ) -> list[Path]:  # fmt: skip
        """Follows the logs of pods into files, as `kubectl logs -f` does, from their start on.

        It ends with the test that started it, with the suite if a suite setup started it, or with
        [Stop Saving Pod Logs].

        Args:
            namespace: Namespace of the pods.
            pods: Name of a pod, or a label selector for all that are ready, for instance `app=web`.
            folder: Folder for the files; `logs` in the output folder by default.
            container: Container; the first one of each pod by default.
            timestamps: Whether each line begins with its time.
            cluster: Alias of the cluster.
        Returns:
            The files, `NAMESPACE-POD.log`, one for each pod.
        """
        from NetLibrary._mechanics.kube.logs import LogFile
        from NetLibrary._mechanics.vantage import pods_of

        connection = self.session.cluster(cluster)
        place = folder or _robot.output_dir() / "logs"
        started = [
            LogFile(
                connection, namespace, pod["metadata"]["name"], container,
                place / f"{namespace}-{pod['metadata']['name']}.log", timestamps=timestamps,
            )
            for pod in pods_of(connection, namespace, pods)
        ]  # fmt: skip
        for each in started:
            self._log_files[each.path] = each
        paths = [each.path for each in started]
        self.session.on_scope_end("files of logs", lambda: self._end_log_files(paths))
        return paths

    @keyword(tags=["cluster", "logs"])
    def stop_saving_pod_logs(self) -> None:
        """Ends everything that [Start Saving Pod Logs] began early, as Ctrl-C ends `kubectl logs -f`."""
        self._end_log_files(list(self._log_files))

    @keyword(tags=["cluster", "events"])
    def get_events(
        self, namespace: str | None = None, *, type: Literal["Normal", "Warning"] | None = None, reason: str = "",
        object: str = "", text: str = "", since: timedelta | None = None, cluster: str | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Returns events of the cluster, as `kubectl get events` does, the oldest first.

        Kubernetes keeps events for an hour and may combine several similar ones into one.

        Args:
            namespace: Namespace; all by default.
            type: `Normal` or `Warning`; both by default.
            reason: Reason that Kubernetes gives, for instance `BackOff`.
            object: Object as `Kind/name`, or only its name.
            text: Part of the message.
            since: Only events seen within this time before now.
            cluster: Alias of the cluster.
        Returns:
            Dictionaries with `time`, `type`, `reason`, `object`, `message` and `count`.
        """
        return self._find_events(namespace, type, reason, object, text, since, cluster)

    @keyword(tags=["cluster", "events"])
    def events_should_not_contain(
        self, namespace: str, *, type: Literal["Normal", "Warning"] | None = None, reason: str = "",
        object: str = "", text: str = "", since: timedelta | None = None, name: str | None = None,
        cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Fails when `kubectl events` would show unwanted events, for instance warnings about an application.

        Args:
            namespace: Namespace.
            type: `Normal` or `Warning`; both by default.
            reason: Reason that Kubernetes gives, for instance `BackOff` or `Unhealthy`.
            object: Object as `Kind/name`, or only its name.
            text: Part of the message.
            since: Only events seen within this time before now.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.

        ```robotframework
        *** Test Cases ***
        Nothing Was Restarted
            Events Should Not Contain    shop    type=Warning    reason=BackOff    since=10 min
        ```
        """
        from NetLibrary._mechanics.kube.events import Choice
        from NetLibrary._mechanics.report import Table
        from NetLibrary._mechanics.verdict import Check
        from NetLibrary.keywords._conclude import conclude

        found = self._find_events(namespace, type, reason, object, text, since, cluster)
        wanted = str(Choice(type or "", reason, object, text))
        first = found[-1] if found else {}
        words = (
            f"Namespace '{namespace}' has {len(found)} events ({wanted}) that should not be there, the latest about "
            f"{first.get('object')}: {first.get('reason')}: {first.get('message')}"
        )
        columns = ["time", "type", "reason", "object", "message", "count"]
        rows = [[event[column] for column in columns] for event in found[-MOST_SHOWN:]]
        conclude(
            self.session, kind="events", name=name or _robot.current_test() or f"events of {namespace}",
            parameters={"namespace": namespace, "events": wanted},
            checks=[Check(f"no events {wanted}", 0, len(found), "", not found, words if found else "")],
            samples=found, summary={"events": len(found)}, tables=[Table(columns, rows, "Events")] if found else [],
        )  # fmt: skip

    # --- helpers --------------------------------------------------------------------------------------

    @cached_property
    def _log_files(self) -> dict[Path, Any]:
        return {}

    def _end_log_files(self, paths: Sequence[Path]) -> None:
        for path in paths:
            file = self._log_files.pop(path, None)
            if file is not None:
                file.stop()
                logger.info(f"{file.count} lines are in '{path}'.")

    def _find_events(
        self, namespace: str | None, type: str | None, reason: str, about: str, text: str, since: timedelta | None,
        cluster: str | None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        from NetLibrary._mechanics.errors import WaitFailed
        from NetLibrary._mechanics.kube import events
        from NetLibrary._mechanics.kube.missing import missing_namespace

        connection = self.session.cluster(cluster)
        choice = events.Choice(type or "", reason, about, text, None if since is None else since.total_seconds())
        found = events.find(connection, namespace, choice)
        if not found and namespace and (words := missing_namespace(connection, namespace)):
            raise WaitFailed(f"Cannot look for events: {words}.")
        return found
