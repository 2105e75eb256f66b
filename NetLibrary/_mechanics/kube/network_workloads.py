"""Which workloads make a cluster's network: its plugin, its Service proxy, its load balancer, its DNS.

No API names them, so they are recognised as people do: by the names and labels that their makers' manifests give. What
is not recognised is named by the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import rights
from NetLibrary._mechanics.kube.selectors import text

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Object = Mapping[str, Any]
KINDS = ("DaemonSet", "Deployment")


@dataclass(frozen=True)
class Known:
    """What the manifests of one product look like.

    Args:
        product: Its name, as its makers write it.
        names: Pattern of the workload's whole name.
        labels: Labels of the workload or of its pods, each as `key=value`; one of them is enough.
        device: Device that a tunnel of it makes on each node; empty where there is none.
    """

    product: str
    names: str
    labels: tuple[str, ...] = ()
    device: str = ""


KNOWN: Mapping[str, tuple[Known, ...]] = {
    "plugin": (
        Known("flannel", r"(kube-)?flannel(-ds.*)?", ("app=flannel", "k8s-app=flannel"), "flannel.1"),
        Known("kube-router", r"kube-router", ("k8s-app=kube-router",)),
        Known("Canal", r"canal|rke2-canal", ("k8s-app=canal",), "flannel.1"),
        Known("Calico", r"calico-node", ("k8s-app=calico-node",), "vxlan.calico"),
        Known("Cilium", r"cilium", ("k8s-app=cilium",), "cilium_vxlan"),
        Known("Antrea", r"antrea-agent", ("component=antrea-agent",), "antrea-gw0"),
        Known("Kube-OVN", r"kube-ovn-cni", ("app=kube-ovn-cni",), "ovn0"),
        Known("OVN-Kubernetes", r"ovnkube-node", ("app=ovnkube-node",), "ovn-k8s-mp0"),
        Known("kindnet", r"kindnet", ("k8s-app=kindnet", "app=kindnet")),
        Known("Weave Net", r"weave-net", ("name=weave-net",), "weave"),
        Known("AWS VPC CNI", r"aws-node", ("k8s-app=aws-node",)),
        Known("Azure CNS", r"azure-cns", ("k8s-app=azure-cns",)),
        Known("GKE netd", r"netd", ("k8s-app=netd",)),
    ),
    "service proxy": (Known("kube-proxy", r"kube-proxy.*", ("k8s-app=kube-proxy", "component=kube-proxy")),),
    "load balancer": (
        Known("MetalLB", r"(metallb-)?speaker", ("component=speaker", "app.kubernetes.io/component=speaker")),
        Known("kube-vip", r"kube-vip(-ds|-cloud-provider)?", ("app.kubernetes.io/name=kube-vip-ds",)),
        Known("Klipper", r"svclb-.*", ("svccontroller.k3s.cattle.io/nodeselector=true",)),
    ),
    "dns": (
        Known("CoreDNS", r"(rke2-)?coredns.*", ("app.kubernetes.io/name=coredns", "k8s-app=coredns")),
        Known("cluster DNS", r"kube-dns|dns-default", ("k8s-app=kube-dns",)),
    ),
}


@dataclass(frozen=True)
class NetworkWorkload:
    """A workload that makes part of the network.

    Args:
        product: Who made it; its own name where that is not known.
        kind: `DaemonSet` or `Deployment`.
        namespace: Its namespace.
        name: Its name.
        labels: Label selector of its pods.
        device: Device that it makes on each node, if its kind of network has one.
    """

    product: str
    kind: str
    namespace: str
    name: str
    labels: str
    device: str = ""


def find(cluster: Cluster, role: str, given: str = "") -> NetworkWorkload:
    """Returns the workload of a role.

    Args:
        cluster: Where to look.
        role: `plugin`, `service proxy`, `load balancer` or `dns`.
        given: `namespace/name` of the workload, where the user names it.
    Raises:
        errors.Unavailable: There is none that is known.
        errors.InputError: The one that is named does not exist.
    """
    if given:
        return _named(cluster, role, given)
    for known, obj in _recognised(cluster, role):
        return _workload(obj, known)
    names = ", ".join(known.product for known in KNOWN[role])
    raise errors.Unavailable(f"Skipped: the cluster has no workload that is recognised as its {role} ({names}).")


def require_rights(cluster: Cluster, workload: NetworkWorkload, *, inside: bool = False) -> None:
    """Makes sure that the account may restart a workload.

    Args:
        cluster: Where it is.
        workload: The workload.
        inside: Whether commands are to run in its pods, too, and single pods to be deleted.
    Raises:
        errors.Unavailable: Some right is missing.
    """
    plural = f"{workload.kind.lower()}s"
    wanted = [("patch", "apps", plural), ("watch", "apps", plural)]
    wanted += [("create", "", "pods/exec"), ("delete", "", "pods")] if inside else []
    lacking = rights.missing(
        cluster, [rights.Right(verb, group, what, workload.namespace, "*", "") for verb, group, what in wanted]
    )
    if lacking:
        raise errors.Unavailable(f"Skipped: the account may not {', nor '.join(map(str, lacking))}.")


def pod_on_node(cluster: Cluster, workload: NetworkWorkload, node: str) -> str:
    """Returns the name of the pod that a workload has on a node.

    Raises:
        errors.Unavailable: It has none there.
    """
    for pod in cluster.list("Pod", workload.namespace, labels=workload.labels):
        if pod["spec"].get("nodeName") == node and not pod["metadata"].get("deletionTimestamp"):
            return str(pod["metadata"]["name"])
    raise errors.Unavailable(f"Skipped: {workload.kind} '{workload.namespace}/{workload.name}' has no pod on '{node}'.")


def _named(cluster: Cluster, role: str, given: str) -> NetworkWorkload:
    namespace, _, name = given.partition("/")
    if not name:
        raise errors.InputError(f"workload is '{given}'; write it as namespace/name.")
    for kind in KINDS:
        obj = cluster.find(kind, name, namespace)
        if obj is not None:
            known = next((each for each in KNOWN[role] if _fits(each, obj)), Known(name, r"$."))
            return _workload(obj, known)
    raise errors.InputError(f"There is no {' and no '.join(KINDS)} '{name}' in namespace '{namespace}'.")


def _recognised(cluster: Cluster, role: str) -> Iterator[tuple[Known, Object]]:
    kinds = KINDS if role == "dns" else KINDS[:1]
    try:
        objects = [obj for kind in kinds for obj in cluster.list(kind)]
    except errors.Forbidden as error:
        raise errors.Unavailable(f"Skipped: the cluster's {role} cannot be looked up: {error}") from error
    for known in KNOWN[role]:
        for obj in objects:
            if _fits(known, obj):
                yield known, obj


def _fits(known: Known, obj: Object) -> bool:
    labels = {
        **(obj["metadata"].get("labels") or {}),
        **(obj["spec"]["template"].get("metadata", {}).get("labels") or {}),
    }
    pairs = {f"{key}={value}" for key, value in labels.items()}
    return not pairs.isdisjoint(known.labels) or re.fullmatch(known.names, obj["metadata"]["name"]) is not None


def _workload(obj: Object, known: Known) -> NetworkWorkload:
    metadata = obj["metadata"]
    return NetworkWorkload(
        known.product,
        str(obj.get("kind") or "DaemonSet"),
        metadata["namespace"],
        metadata["name"],
        text(obj["spec"]["selector"]),
        known.device,
    )
