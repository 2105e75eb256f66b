"""Pods and Services of the matrix as plain objects: pure functions from names and nodes to manifests."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import placement
from NetLibrary._mechanics.kube.objects import RESTRICTED_CONTAINER, RESTRICTED_POD, on_node
from NetLibrary._mechanics.kube.pods import PodSettings
from NetLibrary._mechanics.kube.selectors import selects

Object = dict[str, Any]
# Pod Security lists all that a pod has and should not; where the host network is refused, nothing else matters
_OF_HOST_NETWORK = re.compile(r"(?s)(violates PodSecurity [^:]*:[^:]*: ).*?(host namespaces \(hostNetwork=true\)).*")
APP = {"app": "netlibrary-matrix"}
ROLE = "netlibrary.io/role"
POD = "netlibrary.io/pod"
# Container that probes where that is not agnhost's
PROBER = "prober"
HTTP_PORT = 8080
BANNER_PORT = 9376
SEVERAL_PORTS = "several-ports"
# A headless Service with so many addresses that the answer of DNS fills a packet
MANY = "many"
NEVER_READY = "never-ready"
# The ExternalName Service that leads to a name outside the cluster
OUTSIDE_NAME = "outside-name"
# API servers before 1.34 do not know its value and refuse it
NEAR = "near"
# Only a filter, which no client passes: nothing is ever sent there. RFC 5737 sets the network apart for documentation.
NOBODY, NOBODY_6 = "203.0.113.77/32", "2001:db8::77/128"


@dataclass(frozen=True)
class Layout:
    """Which pods the matrix has.

    Args:
        namespace: Namespace of everything.
        image: agnhost image.
        prober_image: Image of a container beside it that probes; agnhost probes itself when empty.
        pods: (pod name, node), in order.
        host_pods: (pod name, node) of those on their node's network.
        host_port: Port of the pods on the host network.
        first: Name of the pod that Services with a single endpoint lead to.
        balancer: LoadBalancer Services are made.
        dual_stack: Services get addresses of both families.
        near: A Service with traffic distribution is made.
        external_name: Name outside the cluster for an ExternalName Service; empty makes none.
        external_ip: Address for the Service with externalIPs; it has to be the user's or a node's own, or packets to it
            would leave the cluster where no proxy takes them. Empty makes no such Service.
        external_port: Port of that Service; on a node's own address it must be one that nobody else uses.
        domain: The cluster's DNS domain.
        left_out: (node, reason) of nodes without pod.
    """

    namespace: str
    image: str
    pods: tuple[tuple[str, str], ...]
    host_pods: tuple[tuple[str, str], ...] = ()
    host_port: int = 21080
    balancer: bool = True
    dual_stack: bool = False
    near: bool = True
    external_name: str = ""
    external_ip: str = ""
    external_port: int = 20080
    domain: str = "cluster.local"
    left_out: tuple[tuple[str, str], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    prober_image: str = ""

    def without(self, lost: Mapping[str, str]) -> Layout:
        """The layout without some of its pods; why each is left out, by name of the pod."""
        gone = tuple((name, lost[name]) for name, _ in (*self.pods, *self.host_pods) if name in lost)
        return dataclasses.replace(
            self,
            pods=tuple(p for p in self.pods if p[0] not in lost),
            host_pods=tuple(p for p in self.host_pods if p[0] not in lost),
            left_out=(*self.left_out, *gone),
        )

    def left_out_together(self) -> list[tuple[list[str], str]]:
        """The nodes and pods that are left out for one reason, and that reason; the host network first."""
        found: dict[str, tuple[list[str], str]] = {}
        for name, reason in sorted(self.left_out, key=lambda each: not each[0].startswith("host-")):
            text = _OF_HOST_NETWORK.sub(r"\1\2", reason).rstrip(".")
            found.setdefault(text.replace(name, "*"), ([], text))[0].append(name)
        return list(found.values())

    @property
    def first(self) -> str:
        """The pod that Services with one endpoint lead to."""
        return self.pods[0][0]


def choose_nodes(
    nodes: Sequence[Mapping[str, Any]],
    *,
    labels: str = "",
    names: Sequence[str] = (),
    settings: PodSettings | None = None,
) -> tuple[list[str], list[tuple[str, str]]]:
    """Chooses the nodes that get a pod, and says of every other node why it gets none.

    Args:
        nodes: Node objects.
        labels: Label selector, `key=value` terms separated by commas.
        names: Names to choose from; all when empty.
        settings: What the variables about pods ask for.

    Raises:
        InputError: A name is unknown, or no node is left.
    """
    known = {n["metadata"]["name"] for n in nodes}
    for name in names:
        if name not in known:
            raise InputError(f"The node '{name}' in 'nodes' does not exist; there are {', '.join(sorted(known))}.")
    wanted: dict[str, str] = {}
    for term in filter(None, (t.strip() for t in labels.split(","))):
        key, separator, value = term.partition("=")
        if not separator:
            raise InputError(f"The selector '{labels}' in 'node_labels' is not made of key=value terms.")
        wanted[key] = value.lstrip("=")
    chosen, left_out = [], []
    for node in sorted(nodes, key=lambda n: natural(n["metadata"]["name"])):
        name = node["metadata"]["name"]
        if names and name not in names:
            continue
        if not selects({"matchLabels": wanted}, node["metadata"].get("labels") or {}):
            continue
        reason = placement.keeps_away(node, settings or PodSettings())
        if reason:
            left_out.append((name, reason))
        else:
            chosen.append(name)
    if not chosen:
        reasons = "; ".join(f"{n}: {r}" for n, r in left_out) or f"no node has the labels '{labels}'"
        raise InputError(f"No node can take a pod of the matrix: {reasons}.")
    return chosen, left_out


def natural(name: str) -> list[Any]:
    """Returns the key that sorts names as people do: `node2` before `node10`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def pod_names(nodes: Sequence[str], pods_per_node: int) -> list[tuple[str, str]]:
    """Names of the pods, one line of the table each: `on-NODE`, with a number behind it from the second one on."""
    if not 1 <= pods_per_node <= 50:
        raise InputError(f"'pods_per_node' is {pods_per_node}; allowed: 1 to 50.")
    taken, result = set(), []
    for turn in range(1, pods_per_node + 1):
        for node in nodes:
            # a pod name is a host name here, so it must be a DNS label; node names may have dots
            base = "on-" + re.sub(r"[^a-z0-9-]", "-", node)[:50].strip("-")
            name = base if turn == 1 else f"{base}-{turn}"
            while name in taken:
                name += "x"
            taken.add(name)
            result.append((name, node))
    return result


def pod(layout: Layout, name: str, node: str, *, role: str, host: bool = False, **changes: Any) -> Object:
    """One pod with agnhost netexec, pinned to a node."""
    port = layout.host_port if host else HTTP_PORT
    container: Object = {
        "name": "agnhost",
        "image": layout.image,
        "imagePullPolicy": "IfNotPresent",
        # without a request a pod gets next to no processor time on a busy node, and a late answer looks like a lost one
        "resources": {"requests": {"cpu": "20m", "memory": "24Mi"}},
        "args": ["netexec", f"--http-port={port}", f"--udp-port={port}"],
        "ports": [
            {"name": "http", "containerPort": port},
            {"name": "udp", "containerPort": port, "protocol": "UDP"},
        ],
    }
    containers = [container]
    if not host and name == layout.first and role == "probe":
        # a second server that answers differently, so that mixed-up ports of one Service are seen
        containers.append(
            {
                "name": "banner",
                "image": layout.image,
                "imagePullPolicy": "IfNotPresent",
                "args": ["serve-hostname", "--tcp", "--http=false", f"--port={BANNER_PORT}"],
                "ports": [{"name": "banner", "containerPort": BANNER_PORT}],
            }
        )
    if layout.prober_image and role in ("probe", "host"):
        containers.append(_prober(layout.prober_image))
    if host:
        # a node has several addresses; answers must come from the one that was asked
        container["args"].append("--udp-listen-addresses=$(HOST_IP)")
        container["env"] = [{"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]
    container.update(changes.pop("container", {}))
    for each in () if host else containers:
        each["securityContext"] = deepcopy(RESTRICTED_CONTAINER)
    spec: Object = {
        "containers": containers,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "affinity": on_node(node),
    }
    if not host:  # which no restricted namespace allows anyway
        spec["securityContext"] = deepcopy(RESTRICTED_POD)
    if host:
        spec.update(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
    spec.update(changes)
    labels = {**APP, ROLE: role, POD: name}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": layout.namespace, "labels": labels},
        "spec": spec,
    }


def _prober(image: str) -> Object:
    """A container that probes from the network of the pod that it is in, so that agnhost's image needs no shell."""
    return {
        "name": PROBER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "20m", "memory": "24Mi"}},
        # a shell that waits ends at once when it is told to, a sleep that is the first process does not
        "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 2147483 & wait"],
    }


def pods(layout: Layout) -> list[Object]:
    """All pods that stay for the whole run."""
    made = [pod(layout, name, node, role="probe") for name, node in layout.pods]
    made += [pod(layout, name, node, role="host", host=True) for name, node in layout.host_pods]
    never_ready = {"readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 5}}
    made.append(pod(layout, NEVER_READY, layout.pods[0][1], role="unready", container=never_ready))
    return made


def service(layout: Layout, name: str, selector: Mapping[str, str] | None, **spec: Any) -> Object:
    """One Service; TCP and UDP on port 80 unless told otherwise."""
    labels = spec.pop("labels", {})
    body: Object = {"ports": ports(), **spec}
    if selector is not None:
        body["selector"] = dict(selector)
    if layout.dual_stack and body.get("type") != "ExternalName":
        body.setdefault("ipFamilyPolicy", "PreferDualStack")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": layout.namespace, "labels": {**APP, **labels}},
        "spec": body,
    }


def ports(target: int | str = HTTP_PORT, *, port: int = 80) -> list[Object]:
    """One port over TCP and UDP, 80 unless told otherwise."""
    udp = "udp" if target == "http" else target
    return [
        {"name": "http", "port": port, "targetPort": target, "protocol": "TCP"},
        {"name": "udp", "port": port, "targetPort": udp, "protocol": "UDP"},
    ]


def many_endpoints(layout: Layout, room: int, family: int) -> Object:
    """An EndpointSlice that makes the DNS answer for `many` as large as a packet; nobody is ever sent to its addresses.

    Args:
        layout: Where.
        room: Bytes that the answer may have.
        family: 4 or 6.
    """
    # behind header, question and EDNS each record has a compressed name, ten bytes and the address
    number = max(1, min(900, (room - 120) // (16 if family == 4 else 28)))
    made = [f"10.255.{n // 250}.{1 + n % 250}" if family == 4 else f"fd00:ffff::{1 + n:x}" for n in range(number)]
    labels = {"kubernetes.io/service-name": MANY, "endpointslice.kubernetes.io/managed-by": "netlibrary"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": MANY,  # as the Service, so that what is refused for lack of it is left out
            "namespace": layout.namespace,
            "labels": {**APP, **labels},
        },
        "addressType": f"IPv{family}",
        "ports": [{"name": "http", "port": HTTP_PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in made],
    }


def services(layout: Layout) -> list[Object]:
    """All Services that stay for the whole run."""
    everybody, one = {ROLE: "probe"}, {POD: layout.first}
    affinity = {"sessionAffinity": "ClientIP"}
    made = [service(layout, f"to-{name}", {POD: name}) for name, _ in layout.pods]
    made += [service(layout, f"to-{name}", {POD: name}, ports=ports(layout.host_port)) for name, _ in layout.host_pods]
    made += [
        service(layout, "spread", everybody),
        service(layout, "nodeport", everybody, type="NodePort"),
        service(layout, "nodeport-local", one, type="NodePort", externalTrafficPolicy="Local"),
        service(layout, "internal-local", one, internalTrafficPolicy="Local"),
        service(layout, "no-endpoints", None),
        service(layout, "sticky", everybody, type="NodePort", **affinity),
        service(layout, "headless", everybody, clusterIP="None", ports=ports("http")),
        service(layout, MANY, None, clusterIP="None"),
        service(layout, "hidden", {ROLE: "unready"}),
        service(layout, "published", {ROLE: "unready"}, publishNotReadyAddresses=True),
        service(
            layout,
            "alias",
            None,
            type="ExternalName",
            externalName=f"to-{layout.first}.{layout.namespace}.svc.{layout.domain}",
            ports=[],
        ),
        service(
            layout,
            SEVERAL_PORTS,
            one,
            ports=[
                {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"},
                {"name": "banner", "port": 81, "targetPort": "banner", "protocol": "TCP"},
                {"name": "udp", "port": 80, "targetPort": "udp", "protocol": "UDP"},
                {"name": "udp-high", "port": 8053, "targetPort": "udp", "protocol": "UDP"},
            ],
        ),
    ]
    if layout.external_ip:
        at = ports(port=layout.external_port)
        made.append(service(layout, "external-ip", one, externalIPs=[layout.external_ip], ports=at))
    if layout.near:
        made.append(service(layout, NEAR, everybody, trafficDistribution="PreferSameNode"))
    if layout.external_name:
        made.append(
            service(layout, OUTSIDE_NAME, None, type="ExternalName", externalName=layout.external_name, ports=[])
        )
    if layout.balancer:
        # of the family that Services have here
        nobody = NOBODY_6 if ":" in layout.external_ip else NOBODY
        made += [
            service(layout, "balanced", everybody, type="LoadBalancer"),
            service(layout, "balanced-local", one, type="LoadBalancer", externalTrafficPolicy="Local"),
            service(layout, "balanced-sticky", everybody, type="LoadBalancer", **affinity),
            service(layout, "balanced-closed", one, type="LoadBalancer", loadBalancerSourceRanges=[nobody]),
        ]
    return made
