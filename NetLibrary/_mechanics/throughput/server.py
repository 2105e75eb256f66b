"""An iperf3 server in the cluster, and the addresses at which a client reaches it over each path."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.errors import ClusterError, EnvironmentProblem, Unavailable, WaitTimeout
from NetLibrary._mechanics.kube import Cluster, looks, placement, service_types
from NetLibrary._mechanics.kube.addresses import node_port, of_entry, of_load_balancer, of_node, of_pod, of_service
from NetLibrary._mechanics.kube.objects import LINUX, RESTRICTED_CONTAINER, RESTRICTED_POD
from NetLibrary._mechanics.kube.wait import Done, Goal, Outcome, Pending, deployment_available
from NetLibrary._mechanics.kube.why_not_ready import is_ready, problem
from NetLibrary._mechanics.vantage.from_outside import silent
from NetLibrary.types import ThroughputPath

Object = dict[str, Any]


def server_manifests(
    name: str, namespace: str, image: str, *, port: int = 5201, node: str | None = None, host_network: bool = False,
    service_type: str = "ClusterIP",
) -> list[Object]:  # fmt: skip
    """Returns the Deployment of one iperf3 server and its Service, for TCP and UDP.

    The control connection is TCP also in a UDP test, so the Service needs both.
    """
    container: Object = {
        "name": "iperf3",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        # Its log tells at once who is connected
        "command": ["iperf3", "-s", "-p", str(port), "--forceflush"],
        "ports": [{"containerPort": port, "protocol": each} for each in ("TCP", "UDP")],
        # The socket table, not a connection: iperf3 takes every connection for the beginning of a test. At the start
        # alone: a program that is started in the container each second takes processor time from a small CPU limit
        "startupProbe": {
            "exec": {"command": ["sh", "-c", f"grep -qi ':{port:04X} .* 0A ' /proc/net/tcp /proc/net/tcp6"]},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
    }
    container["securityContext"] = deepcopy(RESTRICTED_CONTAINER)
    pod: Object = {
        "terminationGracePeriodSeconds": 0, "securityContext": dict(RESTRICTED_POD), "containers": [container],
    }  # fmt: skip
    place(pod, node, host_network)
    ports = [{"name": each.lower(), "port": port, "targetPort": port, "protocol": each} for each in ("TCP", "UDP")]
    return deployment_and_service(name, namespace, pod, ports, service_type)


def place(pod: Object, node: str | None, host_network: bool) -> None:
    """Puts a pod's specification on a node, and into its network."""
    if node:
        pod["nodeName"] = node
    else:
        pod["nodeSelector"] = dict(LINUX)
    if host_network:
        pod.update(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")


def deployment_and_service(
    name: str, namespace: str, pod: Object, ports: list[Object], service_type: str
) -> list[Object]:
    """Returns the Deployment of one server and its Service; both, and the pod's label `app`, have one name."""
    labels = {"app": name}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            # One server only, and with the host's network its port is taken until the old one is gone
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"type": service_type, "selector": labels, "ports": ports},
    }
    return [deployment, service]


def start(cluster: Cluster, objects: list[Object], *, program: str, timeout: float, say: Callable[[str], None]) -> str:
    """Creates the objects of a server and waits until it is ready, and for a while for its load balancer's address.

    Args:
        cluster: Where to create them.
        objects: What `deployment_and_service` returned.
        program: Which server it is, for the messages.
        timeout: Seconds.
        say: Is told how the waits go, and that there is no load balancer.
    Returns:
        Name of the node that the server runs on.
    Raises:
        WaitTimeout: It is not ready in time.
    """
    deployment, service = objects
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    cluster.apply(deployment)
    service = service_types.apply(cluster, service, say)
    cluster.wait(
        "Deployment", namespace, deployment_available(), name=name, timeout=timeout,
        what=f"{program} server '{namespace}/{name}'", progress=say,
    )  # fmt: skip
    if service["spec"]["type"] == "LoadBalancer":
        try:
            cluster.wait(
                "Service", namespace, load_balancer_ready(), name=name,
                timeout=min(timeout, _patience(cluster, namespace, name)),
                what=f"Address of Service '{namespace}/{name}'", progress=say,
            )  # fmt: skip
        except WaitTimeout as error:
            say(f"{error} Paths through the load balancer are skipped.")
    pods = cluster.list("Pod", namespace, labels=f"app={name}")
    return str(next((pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")), ""))


def _patience(cluster: Cluster, namespace: str, name: str) -> float:
    """Returns how long to wait for the address of a load balancer: briefly, if none came for a Service of the run."""
    others = [
        each
        for each in cluster.list("Service", namespace)
        if each["metadata"]["name"] != name
        and each["spec"].get("type") == "LoadBalancer"
        and cluster.ownership.made(each)
    ]
    return 2.0 if others and not any(map(of_load_balancer, others)) else 20.0


def load_balancer_ready() -> Goal:
    """Goal: a Service has an address of a load balancer."""

    def goal(objects: list[Object]) -> Outcome:
        if objects and of_load_balancer(objects[0]):
            return Done(objects[0])
        return Pending("no address of a load balancer yet")

    return goal


@dataclass(frozen=True)
class Way:
    """Where a client has to be, and what it has to reach.

    Args:
        host: Address or name for the client.
        port: Port for the client.
        node: Node for the client; None for any.
        host_network: Whether the client uses its node's network.
        text: What it is, in words.
        from_outside: Whether the client is on the machine that runs the tests.
    """

    host: str
    port: int
    node: str | None = None
    host_network: bool = False
    text: str = ""
    from_outside: bool = False


def find_way(cluster: Cluster, path: ThroughputPath, name: str, namespace: str, family: int | None = None) -> Way:
    """Returns how a client in the server's cluster takes a path to it.

    Raises:
        Unavailable: The cluster does not offer that path.
    """
    service = cluster.get("Service", name, namespace)
    pod = _server_pod(cluster, service, namespace)
    home = str(pod["spec"].get("nodeName"))
    host = bool(pod["spec"].get("hostNetwork"))
    port = int(service["spec"]["ports"][0]["port"])
    if path is ThroughputPath.OUTSIDE:
        return _from_outside(cluster, service, port, home, family)
    nodes = _worker_nodes(cluster)
    other = next((each for each in nodes if each != home), None)
    if path is not ThroughputPath.SAME_NODE and other is None:
        why = f"there is only '{home}'" if nodes else "the account may not list nodes"
        raise Unavailable(f"'{path.value}' needs a second node for the client; {why}.")
    if path in (ThroughputPath.SAME_NODE, ThroughputPath.OTHER_NODE):
        node = home if path is ThroughputPath.SAME_NODE else other
        address = _first(of_pod(pod, family), "the pod", family)
        return Way(address, port, node, text=f"pod on {home} from a pod on {node}")
    if path is ThroughputPath.HOST_NETWORK:
        if not host:
            raise Unavailable(f"'{path.value}' needs a server with host_network=True; '{name}' has a pod's network.")
        address = _first(of_node(cluster.get("Node", home), family), f"node '{home}'", family)
        return Way(address, port, other, True, f"{home} from {other}, without the pod network")
    if path is ThroughputPath.CLUSTER_IP:
        return Way(_first(of_service(service, family), "the Service", family), port, other, text="cluster IP")
    if path is ThroughputPath.NODE_PORT:
        kind = service["spec"].get("type", "ClusterIP")
        if kind not in ("NodePort", "LoadBalancer"):
            why = service_types.refusal(service) or f"'{name}' is of type {kind}."
            raise Unavailable(f"'{path.value}' needs a Service of type NodePort; {why}")
        # Of a third node where there is one: both hops are then the network's
        entry = next((each for each in nodes if each not in (home, other)), home)
        address = _first(of_entry(cluster.get("Node", entry), service, family), f"the NodePort of '{entry}'", family)
        return Way(address, node_port(service, port, "TCP"), other, text=f"NodePort of {entry}")
    return Way(_balancer(service, name, family), port, other, text="load balancer")


def _from_outside(cluster: Cluster, service: Object, port: int, home: str, family: int | None) -> Way:
    """Returns the way through the load balancer, else through the NodePort of a node that does not run the server."""
    found = of_load_balancer(service, family)
    if found:
        return _open(cluster, Way(found[0], port, text="the load balancer, from outside", from_outside=True))
    if service["spec"].get("type", "ClusterIP") == "ClusterIP":
        why = service_types.refusal(service) or f"'{service['metadata']['name']}' is of type ClusterIP."
        raise Unavailable(f"'outside' needs a Service of type LoadBalancer or NodePort; {why}")
    nodes = _worker_nodes(cluster)
    entry = next((node for node in nodes if node != home), home)
    node = cluster.get("Node", entry)
    addresses = of_entry(node, service, family, "ExternalIP") or of_entry(node, service, family)
    address = _first(addresses, f"the NodePort of '{entry}'", family)
    text = f"the NodePort of {entry}, from outside"
    return _open(cluster, Way(address, node_port(service, port, "TCP"), text=text, from_outside=True))


def _open(cluster: Cluster, way: Way) -> Way:
    """Returns a way from outside that this machine can take, which firewalls of clouds allow to nobody by default."""
    why = None if cluster.is_lab else silent(way.host, way.port)
    if why:
        where = f"{way.host} port {way.port}"
        raise Unavailable(f"This machine does not reach the server from outside: {where} does not answer it ({why}).")
    return way


def direct_way(cluster: Cluster, name: str, namespace: str, *, same_cluster: bool) -> Way:
    """Returns the most direct way to the server behind a Service: its pod, or from another cluster what leads there.

    Raises:
        Unavailable: Nothing leads there from another cluster.
    """
    service = cluster.get("Service", name, namespace)
    port = int(service["spec"]["ports"][0]["port"])
    if same_cluster:
        pod = _server_pod(cluster, service, namespace)
        return Way(_first(of_pod(pod), "the pod", None), port, text="the server's pod")
    found = of_load_balancer(service)
    if found:
        return Way(found[0], port, text="the load balancer, since the client is in another cluster")
    if service["spec"].get("type") in ("NodePort", "LoadBalancer"):
        for name in _worker_nodes(cluster):
            node = cluster.get("Node", name)
            addresses = of_entry(node, service, kind="ExternalIP") or of_entry(node, service)
            if addresses:
                text = f"the NodePort of {name}, since the client is in another cluster"
                return Way(addresses[0], node_port(service, port, "TCP"), text=text)
    raise Unavailable(
        f"There is no direct path: the client is in another cluster, and Service '{namespace}/{name}' has neither a "
        "load balancer nor a NodePort. Make it one of type LoadBalancer or NodePort."
    )


def _server_pod(cluster: Cluster, service: Object, namespace: str) -> Object:
    labels = ",".join(f"{key}={value}" for key, value in (service["spec"].get("selector") or {}).items())
    pods = cluster.list("Pod", namespace, labels=labels) if labels else []
    ready = [pod for pod in pods if is_ready(pod)]
    if not ready:
        why = "; ".join(f"'{pod['metadata']['name']}': {problem(pod).text}" for pod in pods[:3]) or "there is none"
        name = f"{namespace}/{service['metadata']['name']}"
        raise EnvironmentProblem(f"Service '{name}' has no ready pod: {why}.")
    return ready[0]


def _worker_nodes(cluster: Cluster) -> list[str]:
    """Nodes that take pods, sorted; none where the account may not list them."""
    try:
        nodes = looks.look(cluster, "Node")
    except ClusterError:
        return []
    settings = cluster.pod_settings()
    return sorted(str(node["metadata"]["name"]) for node in nodes if not placement.keeps_away(node, settings))


def _balancer(service: Object, name: str, family: int | None) -> str:
    found = of_load_balancer(service, family)
    if not found:
        kind = service["spec"].get("type", "ClusterIP")
        why = "nothing gave it an address." if kind == "LoadBalancer" else f"it is of type {kind}."
        raise Unavailable(f"Service '{name}' has no load balancer: {service_types.refusal(service) or why}")
    return found[0]


def _first(addresses: list[str], what: str, family: int | None) -> str:
    if not addresses:
        raise Unavailable(f"{what[0].upper()}{what[1:]} has no address" + (f" of family {family}." if family else "."))
    return addresses[0]
