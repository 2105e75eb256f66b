"""One Kubernetes cluster: get, apply, wait, exec. Objects are plain dicts; every call has a time limit."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import apply as applying
from NetLibrary._mechanics.kube import containers, waiting
from NetLibrary._mechanics.kube.choice import Choice
from NetLibrary._mechanics.kube.connection import Connection
from NetLibrary._mechanics.kube.ending import run_command
from NetLibrary._mechanics.kube.exec import ExecResult, RunningExec
from NetLibrary._mechanics.kube.opening import Opening
from NetLibrary._mechanics.kube.ownership import Object
from NetLibrary._mechanics.kube.schemas import Schemas
from NetLibrary._mechanics.kube.waiting import Selection
from NetLibrary._mechanics.kube.watch import follow_lines
from NetLibrary._mechanics.kube.writer import ClusterWriter

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse


class Cluster(ClusterWriter):
    """A connection to one cluster. Safe to use from several threads.

    Args:
        connection: How to reach it.
        run_id: Value of the label that everything made through this object carries.
        lab: The lab behind it when it is our own; None otherwise.

    Example:
        >>> cluster = Cluster.connect(choose(), run_id="demo")                   # doctest: +SKIP
        >>> cluster.wait("Pod", "demo", pods_ready(2), timeout=60, what="web")   # doctest: +SKIP
    """

    def __init__(self, connection: Connection, run_id: str = "", lab: Any = None) -> None:
        super().__init__(connection, run_id)
        self.lab = lab
        self.schemas = Schemas(connection)
        self.opening = Opening(self, self.ownership, lambda: self.pod_settings(), self.create, self.delete)

    @classmethod
    def connect(cls, choice: Choice, *, alias: str = "default", run_id: str = "", lab: Any = None) -> Cluster:
        """Connects and makes sure that somebody answers.

        Raises:
            errors.InputError: The kubeconfig is not usable.
            errors.Unreachable: Nobody answers there.
            errors.Unauthorized: The credentials are not accepted.
        """
        cluster = cls(Connection(choice, alias), run_id, lab)
        try:
            _ = cluster.version
        except (errors.Unreachable, errors.Unauthorized) as error:  # the usual cause is the wrong file, or an old one
            refused = _what_was_refused(cluster) if isinstance(error, errors.Unauthorized) else ""
            error.args = (f"{str(error).rstrip('.')}. The cluster is that of {choice}.{refused}",)
            raise
        return cluster

    @property
    def address(self) -> str:
        """The server and, from a kubeconfig, the context by whose name its users know it."""
        context = self.connection.target.context
        return f"{self.server}, context '{context}'" if context else self.server

    @property
    def touched(self) -> set[str]:
        """Kinds of which something was created here."""
        return set(self.ownership.kinds)

    @property
    def places(self) -> set[str]:
        """Namespaces that were made here, got something, or are worked in."""
        return self.ownership.places | self.ownership.foreign_namespaces

    @property
    def is_lab(self) -> bool:
        """Tells whether this is a lab, a cluster that the run may break."""
        return self.lab is not None

    # --- objects ------------------------------------------------------------------------------------

    def create(self, obj: Object) -> Object:
        """Creates an object, which is the run's from then on.

        Raises:
            errors.AlreadyExists: There is one of that name.
        """
        return applying.create(self, obj)

    def apply(self, obj: Object, *, force: bool = True, allow_foreign: bool = False) -> Object:
        """Creates an object, or changes one that exists by server-side apply.

        What others made is changed only when that is allowed; it gets no label of the run, is never deleted, and is put
        back at the end of the run.

        Raises:
            errors.NotOwned: It exists, others made it, and that was not allowed.
        """
        return applying.apply(self, obj, force=force, allow_foreign=allow_foreign)

    def change(self, kind: str, name: str, namespace: str | None, body: Object) -> Object:
        """Changes parts of an object by a merge patch, and puts them back at the end of the run.

        This is the way to label, annotate or cordon what the run did not create, such as nodes. The change is recorded
        in the object, where a sweep finds it when the run dies.
        """
        return applying.change(self, kind, name, namespace, body)

    def enter_namespace(self, name: str, *, labels: dict[str, str] | None = None, use_existing: bool = False) -> bool:
        """Creates a namespace, or begins to work in one that exists.

        Args:
            name: Its name.
            labels: Labels of a new one; one that exists is left as it is.
            use_existing: Whether it may exist. The run then removes only its own objects from it.
        Returns:
            Whether it is the run's.
        Raises:
            errors.AlreadyExists: It exists, and that was not allowed.
        """
        return applying.enter_namespace(self, name, labels or {}, use_existing=use_existing)

    def leave_namespace(self, name: str) -> None:
        """Deletes a namespace of the run, or what the run created in one that it only works in.

        Raises:
            errors.NotOwned: It is neither.
        """
        applying.leave_namespace(self, name)

    def replace(self, obj: Object, *, subresource: str | None = None) -> Object:
        """Replaces an object; its resourceVersion guards against lost updates."""
        resource, metadata = self.resources.of(obj), obj["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        result: Object = self.connection.request_object(
            "PUT", path, query={"fieldManager": applying.PATCH_MANAGER}, body=obj
        )
        return result

    def patch(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        body: Any,
        *,
        subresource: str | None = None,
        strategy: str = "merge",
        strict: bool = False,
    ) -> Object:
        """Changes parts of an object. `strategy` is merge, strategic or json; `strict` refuses unknown fields."""
        return applying.patch(
            self, kind, name, namespace, body, subresource=subresource, strategy=strategy, strict=strict
        )

    # --- waiting --------------------------------------------------------------------------------------

    def watch(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        name: str | None = None,
        labels: str | None = None,
        timeout: float,
    ) -> Iterator[tuple[str, Object]]:
        """Yields (event type, object), first the present state, for `timeout` seconds at the most."""
        yield from waiting.events(self, Selection(kind, namespace, name, labels), timeout)

    # --- pods --------------------------------------------------------------------------------------------

    def start_exec(
        self, namespace: str, pod: str, command: Sequence[str], *, container: str | None = None, stdin: bool = True
    ) -> RunningExec:
        """Starts a command in a container and returns while it runs."""
        query: list[tuple[str, Any]] = [("command", word) for word in command]
        query += [("stdin", stdin), ("stdout", True), ("stderr", True), ("tty", False)]
        path = self.resources.find("Pod").path(namespace, pod, "exec")
        where = f"pod '{namespace}/{pod}'"

        def run_in(container: str | None) -> RunningExec:
            return RunningExec(self.connection, path, [*query, ("container", container)], where)

        return containers.ask(self, namespace, pod, container, run_in)

    def first_container(self, namespace: str, pod: str) -> str:
        """Returns the container that is meant when none is named.

        That is the one of the annotation `kubectl.kubernetes.io/default-container`, which injectors of sidecars set,
        else the first in the template of the pod's owner, or of the pod.
        """
        return containers.first(self, namespace, pod)

    def exec(
        self,
        namespace: str,
        pod: str,
        command: Sequence[str],
        *,
        container: str | None = None,
        stdin: str | bytes | None = None,
        timeout: float = 30.0,
        check: bool = True,
        again: bool = False,
    ) -> ExecResult:
        """Runs a command in a container to its end.

        With `again`, for what only reads, it is run once more where the connection to it broke off.

        Raises:
            errors.ExecFailed: Its exit status is not 0 and `check` is true.
            errors.ToolMissing: The image lacks the program.
            errors.ExecLost: The connection ended without an exit status.
            errors.WaitTimeout: It did not end within `timeout` seconds.
        """
        result = run_command(
            self, namespace, pod, command, container=container, stdin=stdin, timeout=timeout, again=again
        )
        return result.checked(command, f"pod '{namespace}/{pod}'") if check else result

    def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str | None = None,
        tail: int | None = None,
        previous: bool = False,
        timestamps: bool = False,
        since: int | None = None,
    ) -> str:
        """Returns what a container has printed, the last `tail` lines of it, each after its time if wanted.

        With `since`, only that of the last so many seconds; with `previous`, that of the container before its restart.
        """
        query = {"tailLines": tail, "sinceSeconds": since}
        query |= {"previous": previous or None, "timestamps": timestamps or None}
        path = self.resources.find("Pod").path(namespace, pod, "log")

        def read(container: str | None) -> Any:
            return self.connection.request("GET", path, query={**query, "container": container})

        return containers.log_in(containers.ask(self, namespace, pod, container, read), namespace, pod)

    def follow_logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str | None = None,
        stopped: threading.Event | None = None,
        timestamps: bool = False,
        since_time: str | None = None,
    ) -> Iterator[str]:
        """Yields a container's lines from its start, or from a moment on, until it ends or `stopped` is set."""
        path = self.resources.find("Pod").path(namespace, pod, "log")
        query = {"follow": True, "timestamps": timestamps or None, "sinceTime": since_time}

        def read(container: str | None) -> BaseHTTPResponse:
            return self.connection.open("GET", path, query={**query, "container": container}, timeout=3600)

        response = containers.ask(self, namespace, pod, container, read)
        try:
            yield from follow_lines(response, stopped or threading.Event())
        finally:
            response.close()

    def raw(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> Any:
        """Sends any request to the API server; for subresources that have no method here.

        Raises:
            errors.InputError: It is a deletion, which only `delete` does.
        """
        if method.upper() == "DELETE":
            raise errors.InputError("method is 'DELETE'; use `delete`, which makes sure that the object is the run's.")
        return self.connection.request(method, path, query=query, body=body, content_type=content_type, timeout=timeout)


def _what_was_refused(cluster: Cluster) -> str:
    """Returns a sentence about the credentials that a server did not take, with a blank in front."""
    target = cluster.connection.target
    who = f"user '{target.user.name}'" if target.user.name else "its user"
    of = f" of context '{target.context}'" if target.context else ""
    if not target.user.proof:
        return f" The {who}{of} has no credentials there." if target.user.name else " There are no credentials there."
    return f" The server refused the {target.user.proof} of {who}{of}; has it expired?"
