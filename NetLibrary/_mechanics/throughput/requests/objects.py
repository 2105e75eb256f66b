"""The fortio server with its Service, and the Job that runs a client."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube.addresses import in_url
from NetLibrary._mechanics.kube.objects import RESTRICTED_CONTAINER, RESTRICTED_POD
from NetLibrary._mechanics.throughput.server import deployment_and_service, place

CONTAINER = "fortio"
#: Percentiles that are asked for. Each needs ten answers beyond it to mean something.
PERCENTILES = (50.0, 99.0, 99.9)
ANSWERS_FOR_P999 = 10_000
# Image pull and scheduling on top of what fortio itself takes
START_SECONDS = 60.0
# All that it would also listen at
_OFF = [f"-{service}-port=disabled" for service in ("tcp", "udp", "grpc", "redirect")]


@dataclass(frozen=True)
class Load:
    """What a client does.

    Args:
        server: Host name or address of the server, as the client's pod sees it.
        port: Its port.
        seconds: How long.
        connections: How many requests are under way at once.
        new_connections: Whether each request opens a connection of its own.
        per_second: Requests per second over all connections; 0 for as fast as they are answered.
        timeout_seconds: A request without an answer fails after this time.
    """

    server: str
    port: int = 8080
    seconds: float = 5.0
    connections: int = 1
    new_connections: bool = False
    per_second: float = 0.0
    timeout_seconds: float = 2.0

    def __post_init__(self) -> None:
        if self.connections < 1:
            raise InputError(f"connections is {self.connections}; at least 1 is needed.")
        if self.seconds < 0.1:
            raise InputError(f"duration is {self.seconds:g} s; at least 0.1 s is needed.")
        if self.per_second < 0:
            raise InputError(
                f"requests_per_second is {self.per_second:g}; it is a number of requests per second, or 0 for no limit."
            )

    def arguments(self) -> list[str]:
        """Returns fortio's command line."""
        return [
            "load", "-quiet", "-json", "-", "-c", str(self.connections), "-qps", f"{self.per_second:g}",
            "-t", f"{self.seconds * 1000:.0f}ms", "-timeout", f"{self.timeout_seconds * 1000:.0f}ms",
            # Steps of the histogram that percentiles are read from
            "-r", "0.00001", "-p", ",".join(f"{each:g}" for each in PERCENTILES), "-allow-initial-errors",
            f"-keepalive={'false' if self.new_connections else 'true'}",
            f"http://{in_url(self.server)}:{self.port}/",
        ]  # fmt: skip


def _pod(image: str, arguments: list[str], **more: Any) -> dict[str, Any]:
    """Returns the spec of a pod with fortio alone, which policies of namespaces let in."""
    container = {
        "name": CONTAINER, "image": image, "imagePullPolicy": "IfNotPresent", "args": arguments,
        "securityContext": deepcopy(RESTRICTED_CONTAINER), **more,
    }  # fmt: skip
    return {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": dict(RESTRICTED_POD),
        "containers": [container],
    }


def server_manifests(
    name: str, namespace: str, image: str, *, port: int = 8080, node: str | None = None, host_network: bool = False,
    service_type: str = "ClusterIP",
) -> list[dict[str, Any]]:  # fmt: skip
    """Returns the Deployment of one fortio server and its Service."""
    pod = _pod(
        image, ["server", "-http-port", str(port), *_OFF], ports=[{"name": "http", "containerPort": port}],
        readinessProbe={"httpGet": {"path": "/", "port": port}, "periodSeconds": 1},
    )  # fmt: skip
    place(pod, node, host_network)
    ports = [{"name": "http", "port": port, "targetPort": port}]
    return deployment_and_service(name, namespace, pod, ports, service_type)


def client_job(
    name: str, namespace: str, image: str, load: Load, *, node: str | None = None, host_network: bool = False
) -> dict[str, Any]:
    """Returns the Job of one client; the published image has no shell, so that the program is all there is."""
    pod = {"restartPolicy": "Never", **_pod(image, load.arguments())}
    place(pod, node, host_network)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "backoffLimit": 0, "activeDeadlineSeconds": int(limit_seconds(load)), "template": {"spec": pod},
        },
    }  # fmt: skip


def limit_seconds(load: Load) -> float:
    """Returns the seconds after which a client that has not ended is given up."""
    return load.seconds + 2 * load.timeout_seconds + START_SECONDS
