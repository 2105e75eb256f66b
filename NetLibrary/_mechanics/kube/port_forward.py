"""Ports of pods on this machine: each local connection becomes a WebSocket to the pod's `portforward` subresource.

Protocol `v4.channel.k8s.io`: the first byte of each message is the channel, 0 for data and 1 for errors; the first
message of each channel names the port and carries nothing else. There is no word for the end of one direction, so the
connection ends when either side has closed it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.kube.answers import cause
from NetLibrary._mechanics.kube.exec import open_websocket
from NetLibrary._mechanics.kube.missing import required
from NetLibrary._mechanics.kube.why_not_ready import is_ready, problem
from NetLibrary._mechanics.polling import settle

if TYPE_CHECKING:
    import websocket

    from NetLibrary._mechanics.kube.cluster import Cluster

Object = dict[str, Any]
PROTOCOL = "v4.channel.k8s.io"
DATA, ERROR = 0, 1
# The kubelet connects at once and says so only when that fails, so a connection that says nothing has come about
TRIAL_SECONDS = 0.5
# A client that has closed its side may still read; one that has gone away does not say so
LINGER_SECONDS = 5.0
_PIECE = 32 * 1024


class PortForward:
    """A local port that leads into a pod.

    Args:
        cluster: Where the pod is.
        namespace: Its namespace.
        target: A pod's name, or `svc/NAME`, `deploy/NAME`, `sts/NAME`, `ds/NAME` for one of its ready pods. A pod that
            has gone is replaced by another one at the next connection.
        port: Number or name of the port; for a Service, that of the Service.
        local_port: Local port; 0 takes one that is free.
        timeout: Seconds in which somebody must listen in the pod.
    Raises:
        errors.WaitTimeout: Nobody listens there.
        errors.InputError: The target leads to no pod, has no such port, or the local port is taken.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, target: str, port: str, *, local_port: int = 0, timeout: float = 5.0
    ) -> None:
        self._cluster, self._namespace, self._target, self._port = cluster, namespace, target, port
        self.problems: list[str] = []  # what went wrong with connections since the start
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._pod = self._choose()
        said: list[str] = []

        def listens() -> bool:
            said[:] = [self._try()]
            if said[0] and "/" in self._target:
                self._pod = self._choose()
            return not said[0]

        if not settle(listens, timeout=timeout, every=0.5, what=f"Answer on port {port} of {self._where()}"):
            raise errors.WaitTimeout(f"Nothing answers on port {port} of {self._where()}: {self._in_short(said[0])}")
        try:
            self._server = socket.create_server(("127.0.0.1", local_port))
        except OSError as error:
            raise errors.InputError(f"local_port {local_port} cannot be used: {error.strerror}.") from error
        self.local_port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, name=f"port forward {self.local_port}", daemon=True).start()

    @property
    def text(self) -> str:
        """The way in words."""
        return f"127.0.0.1:{self.local_port} leads to port {self._pod[1]} of {self._where()}"

    def stop(self) -> None:
        """Ends the port and all its connections; harmless when it has ended already."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _in_short(self, said: str) -> str:
        """Returns why nobody listens; container runtimes wrap "connection refused" into lines about their own doing."""
        if "connection refused" not in said:
            return f"{said.rstrip('.')}."
        pod = self._cluster.find("Pod", self._pod[0], self._namespace) or {"spec": {"containers": []}}
        return f"connection refused. It declares the ports {declared_ports(pod) or 'none'}."

    # --- where to -----------------------------------------------------------------------------------------

    def _where(self) -> str:
        return f"pod '{self._namespace}/{self._pod[0]}'"

    def _choose(self) -> tuple[str, int]:
        kind, slash, name = self._target.rpartition("/")
        if not slash or self._cluster.resources.find(kind).kind == "Pod":
            pod = required(self._cluster, "Pod", name, self._namespace)
            return name, container_port(pod, self._port)
        return pod_behind(self._cluster, kind, name, self._namespace, self._port)

    # --- connections --------------------------------------------------------------------------------------

    def _connect(self) -> websocket.WebSocket:
        name, port = self._pod
        path = self._cluster.resources.find("Pod").path(self._namespace, name, "portforward")
        connection = self._cluster.connection
        return connection.start(
            lambda held: open_websocket(connection, held, path, [("ports", port)], self._where(), [PROTOCOL]), path
        )

    def _try(self) -> str:
        """Connects once; returns why it did not come about, or an empty text."""
        try:
            way = self._connect()
        except (errors.NotFound, errors.Invalid) as error:
            return str(error)
        try:
            end = time.monotonic() + TRIAL_SECONDS
            reader = _Reader(way)
            while time.monotonic() < end:
                if not _readable(way, max(0.0, end - time.monotonic())):
                    continue
                channel, data = reader.next()
                if channel == ERROR:
                    return data.decode(errors="replace")
                if channel is None or channel == DATA:
                    break
            return ""
        finally:
            way.close(timeout=0)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            try:
                way = self._connect()
            except (errors.NotFound, errors.Invalid):  # the pod has gone or is about to
                self._pod = self._choose()
                way = self._connect()
            why = _carry(sock, way)
        except errors.NetLibraryError as error:
            why = str(error)
        finally:
            self._open.discard(sock)
        if why and not self._stopped.is_set():
            self.problems.append(f"A connection to port {self._pod[1]} of {self._where()} failed: {why.rstrip('.')}.")
            # A reset, so that the client does not take the end for an empty answer
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD)  # wakes the reader, whose hold on it would put the end off
        else:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        sock.close()


class _Reader:
    """Reads channels, without the messages that only name the port."""

    def __init__(self, way: websocket.WebSocket) -> None:
        self._way = way
        self._named: set[int] = set()
        self.broke = ""  # how it ended, where it did not end in order

    def next(self) -> tuple[int | None, bytes]:
        """Returns the next (channel, bytes); the channel is None at the end, and -1 for what carries nothing."""
        import websocket

        try:
            opcode, data = self._way.recv_data(control_frame=True)
        except (websocket.WebSocketException, OSError, AttributeError) as error:
            self.broke = f"the connection through the API server broke off ({cause(error)})"
            return None, b""
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return None, b""
        if opcode in (websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG) or not data:
            return -1, b""
        channel, payload = data[0], data[1:]
        if channel not in self._named:
            self._named.add(channel)
            payload = payload[2:]
        return (channel, payload) if payload else (-1, b"")


def _carry(sock: socket.socket, way: websocket.WebSocket) -> str:
    """Carries bytes both ways until either side has closed; returns what went wrong, or an empty text."""
    import websocket

    def up() -> None:
        try:
            while data := sock.recv(_PIECE):
                way.send_binary(bytes([DATA]) + data)
            while not ended.wait(LINGER_SECONDS) and moved.is_set():
                moved.clear()
        except (OSError, websocket.WebSocketException, AttributeError):
            pass  # the other direction tells
        finally:
            gone.set()
            if way.sock is not None:
                with contextlib.suppress(OSError):
                    way.sock.shutdown(socket.SHUT_RDWR)

    ended, moved, gone = threading.Event(), threading.Event(), threading.Event()
    threading.Thread(target=up, daemon=True).start()
    way.settimeout(None)
    reader = _Reader(way)
    try:
        while True:
            channel, data = reader.next()
            if channel is None:
                return "" if gone.is_set() else reader.broke
            if channel == ERROR:
                return data.decode(errors="replace")
            if channel == DATA:
                moved.set()
                sock.sendall(data)
    except OSError:  # the client has gone away, which is its right
        return ""
    finally:
        ended.set()
        with contextlib.suppress(OSError, AttributeError):
            way.shutdown()


def _readable(way: websocket.WebSocket, timeout: float) -> bool:
    sock = way.sock
    if sock is None or way.frame_buffer.recv_buffer or getattr(sock, "pending", int)():
        return True
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    return bool(waiting.poll(timeout * 1000))


# --- pods and ports -----------------------------------------------------------------------------------------


def container_port(pod: Object, port: str | int) -> int:
    """Returns the number of a pod's port that is given by number or name.

    Raises:
        InputError: No container has a port of that name.

    Example:
        >>> container_port({"metadata": {"name": "p"}, "spec": {"containers": [{}]}}, "8080")
        8080
    """
    if str(port).isdigit():
        return int(port)
    for entry in _ports(pod):
        if entry.get("name") == port:
            return int(entry["containerPort"])
    names = ", ".join(str(entry.get("name") or entry["containerPort"]) for entry in _ports(pod)) or "none"
    raise errors.InputError(f"port is '{port}'; the ports of pod '{pod['metadata']['name']}' are {names}.")


def declared_ports(pod: Object) -> str:
    """Returns the ports that a pod declares, with their names.

    Example:
        >>> declared_ports({"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]}})
        '8080 (http)'
    """
    return ", ".join(
        f"{entry['containerPort']}" + (f" ({entry['name']})" if entry.get("name") else "") for entry in _ports(pod)
    )


def _ports(pod: Object) -> list[Object]:
    return [entry for each in pod["spec"]["containers"] for entry in each.get("ports") or []]


def pod_behind(cluster: Cluster, kind: str, name: str, namespace: str, port: str) -> tuple[str, int]:
    """Returns a ready pod of a Service or a workload, and the number of its port.

    Raises:
        InputError: None is ready, or there is no such port.
    """
    from NetLibrary._mechanics.kube import selectors

    obj = required(cluster, kind, name, namespace)
    selector = (obj.get("spec") or {}).get("selector")
    if not selector:
        raise errors.InputError(f"target is '{kind}/{name}', which has no selector and therefore no pods.")
    nested = "matchLabels" in selector or "matchExpressions" in selector
    labels = selectors.text(selector if nested else {"matchLabels": selector})
    pods = sorted(cluster.list("Pod", namespace, labels=labels), key=lambda each: str(each["metadata"]["name"]))
    ready: Callable[[Object], bool] = lambda pod: is_ready(pod) and not pod["metadata"].get("deletionTimestamp")  # noqa: E731
    chosen = next(filter(ready, pods), None)
    if chosen is None:
        state = f"{pods[0]['metadata']['name']}: {problem(pods[0]).text}" if pods else "there is none"
        raise errors.InputError(f"target is '{kind}/{name}', but none of its pods is ready: {state}.")
    wanted: str | int = port
    if cluster.resources.find(kind).kind == "Service":
        entry = addresses.service_port(obj, port)
        wanted = entry.get("targetPort") or entry["port"]
    return str(chosen["metadata"]["name"]), container_port(chosen, wanted)
