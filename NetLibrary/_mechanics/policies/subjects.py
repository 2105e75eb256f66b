"""What a truth table is about, read from the cluster: pods, policies, ports, and the cells that follow from them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import addresses, looks
from NetLibrary._mechanics.kube.missing import no_such_namespace
from NetLibrary._mechanics.kube.policies import Flow, Rulebook
from NetLibrary._mechanics.kube.policy_peers import declared_ports, name_of, named_ports, namespace_of, on_host
from NetLibrary._mechanics.policies.objects import COPY, is_ours
from NetLibrary._mechanics.policies.results import Cell
from NetLibrary._mechanics.probing.types import Source, Target

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Object = Mapping[str, Any]
PROTOCOLS = ("TCP", "UDP", "SCTP")
# RFC 6335, 5.1: at most 15 characters, at least one of them a letter
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9](?:-?[a-z0-9])*")
GROUP = "policy.networking.k8s.io"
# Policies of networks' own kinds, which decide beside those of Kubernetes and are not computed: kind → of a namespace
OTHER_KINDS = {
    f"ClusterNetworkPolicy.{GROUP}": False,
    "CiliumNetworkPolicy.cilium.io": True,
    "CiliumClusterwideNetworkPolicy.cilium.io": False,
    "NetworkPolicy.crd.projectcalico.org": True,
    "GlobalNetworkPolicy.crd.projectcalico.org": False,
    "NetworkPolicy.crd.antrea.io": True,
    "ClusterNetworkPolicy.crd.antrea.io": False,
}
ON_HOST = "it uses its node's network, where the effect of policies depends on the implementation"
PROXIES = ("istio-proxy", "linkerd-proxy")
BEHIND_PROXY = "its sidecar proxy takes connections in place of the network, so it cannot tell what gets through"
MOST_CELLS = 60_000


@dataclass(frozen=True)
class Port:
    """A port to ask for.

    Args:
        number: Its number; 0 when it has a name.
        name: Its name in the pods.
        protocol: Protocol; empty for a name of any.
    """

    number: int = 0
    name: str = ""
    protocol: str = ""

    @classmethod
    def parse(cls, text: str) -> Port:
        """Reads `8080`, `53/udp`, `http` or `metrics/tcp`.

        Raises:
            InputError: It is none of these.
        """
        which, _, protocol = str(text).strip().partition("/")
        allowed = (
            "allowed: a number from 1 to 65535 or a port's name of small letters, digits and '-', "
            "followed by /tcp, /udp or /sctp unless it is TCP"
        )
        if protocol.upper() not in ("", *PROTOCOLS) or not which:
            raise errors.InputError(f"ports has '{text}'; {allowed}.")
        if which.isdigit():
            if not 0 < int(which) < 65536:
                raise errors.InputError(f"ports has '{text}'; {allowed}.")
            return cls(int(which), "", protocol.upper() or "TCP")
        if not _PORT_NAME.fullmatch(which):
            raise errors.InputError(f"ports has '{text}'; {allowed}.")
        return cls(0, which, protocol.upper())

    def at(self, pod: Object) -> list[tuple[int, str]]:
        """Returns numbers and protocols of the port at a pod."""
        if self.number:
            return [(self.number, self.protocol)]
        return [(number, p) for p in PROTOCOLS if self.protocol in ("", p)
                for number in sorted(named_ports(pod, self.name, p))]  # fmt: skip


@dataclass
class Subjects:
    """Pods, and the policies that are about them.

    Args:
        pods: Pods of the table.
        namespaces: Labels of each namespace.
        policies: NetworkPolicies.
        admin: AdminNetworkPolicies.
        baseline: BaselineAdminNetworkPolicies.
        left_out: (pod, reason) of pods that are not in the table.
        unclear: Why no cell can be judged; empty when they can.
        notes: Facts that the reader should know.
    """

    pods: list[Object]
    namespaces: dict[str, Mapping[str, str]]
    policies: list[Object]
    admin: list[Object] = field(default_factory=list)
    baseline: list[Object] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    unclear: str = ""
    notes: list[str] = field(default_factory=list)

    def rulebook(self) -> Rulebook:
        """Returns all policies, ready to be asked."""
        return Rulebook(self.policies, self.namespaces, admin=self.admin, baseline=self.baseline)


def read(cluster: Cluster, namespaces: Sequence[str], labels: str = "") -> Subjects:
    """Reads pods and policies of some namespaces.

    Args:
        cluster: Where.
        namespaces: Their names.
        labels: Only pods with these labels, as kubectl takes them.

    Raises:
        InputError: A namespace is not there, or has no pod to ask.
    """
    if not namespaces:
        raise errors.InputError("No namespace is given; give one or more.")
    found = Subjects([], {}, [])
    for name in dict.fromkeys(namespaces):
        space = cluster.find("Namespace", name)
        if space is None:
            raise no_such_namespace(cluster, name)
        found.namespaces[name] = space["metadata"].get("labels") or {}
        found.policies += cluster.list("NetworkPolicy", name)
        for pod in cluster.list("Pod", name, labels=labels or None):
            reason = _why_not(pod)
            if reason:
                found.left_out.append((full_name(pod), reason))
            else:
                found.pods.append(pod)
    if not found.pods:
        said = "; ".join(f"{pod}: {why}" for pod, why in found.left_out[:4])
        with_labels = f" with the labels '{labels}'" if labels else ""
        raise errors.InputError(
            f"There is no pod{with_labels} to test in {', '.join(namespaces)}" + (f" ({said})." if said else ".")
        )
    _read_admin(cluster, found)
    return found


def _why_not(pod: Object) -> str:
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        return "it has ended"
    if pod["metadata"].get("deletionTimestamp"):
        return "it is being deleted"
    if on_host(pod):
        return ON_HOST
    return "" if addresses.of_pod(pod) else "it has no address yet"


def _read_admin(cluster: Cluster, found: Subjects) -> None:
    """Reads the policies of the whole cluster, where the API server knows such."""
    for kind, into in (("AdminNetworkPolicy", found.admin), ("BaselineAdminNetworkPolicy", found.baseline)):
        try:
            into += [{**item, "kind": kind} for item in looks.look(cluster, f"{kind}.{GROUP}")]
        except errors.NotFound:
            continue
        except errors.Forbidden as error:
            found.unclear = f"{kind} objects cannot be read, and they may change the outcome"
            found.notes.append(f"{kind} objects are served here and cannot be read: {error}")
    for kind, of_namespace in OTHER_KINDS.items():
        names = _names_of(cluster, kind, list(found.namespaces) if of_namespace else [None])
        if names:
            short = kind.partition(".")[0]
            found.unclear = f"{short} {', '.join(names[:3])} may change the outcome, and is not evaluated here"
            found.notes.append(f"{kind}: {', '.join(names)}. Connections are shown, and not judged.")


def _names_of(cluster: Cluster, kind: str, namespaces: Sequence[str | None]) -> list[str]:
    """Names of the objects of a kind; none where the cluster does not serve it, or the account may not see them."""
    try:
        return [name_of(item) for namespace in namespaces for item in looks.look(cluster, kind, namespace)]
    except (errors.NotFound, errors.Forbidden):
        return []


def cells(
    subjects: Subjects, senders: Sequence[tuple[Source, Object]], ports: Sequence[Port], family: int | None,
    domain: str = "",
) -> list[Cell]:  # fmt: skip
    """Returns every sender, every receiver and every port, with what the policies say.

    Args:
        subjects: Pods and policies.
        senders: Where probes start, with the pods whose labels and addresses count.
        ports: Ports to ask; those that each pod declares when empty.
        family: 4 or 6; all that both ends have when None.
        domain: The cluster's domain, for questions to DNS servers; `cluster.local` when empty.

    Raises:
        InputError: There is no port to ask, or there are too many cells.
    """
    rules, found = subjects.rulebook(), []
    goals = [(pod, number, protocol, address) for pod in subjects.pods
             for number, protocol in _ports_of(pod, ports) for address in addresses.of_pod(pod, family)]  # fmt: skip
    if not goals:
        wanted = "has one of the ports" if ports else "declares a port; give them with ports="
        raise errors.InputError(f"No pod of the table {wanted}.")
    if len(goals) * len(senders) > MOST_CELLS:
        raise errors.InputError(
            f"{len(senders)} pods that ask for {len(goals)} ports are {len(goals) * len(senders)} connections; at most "
            f"{MOST_CELLS} are allowed. Select pods with labels= or ports with ports=."
        )
    for source, sender in senders:
        own = {addresses.family_of(address) for address in addresses.of_pod(sender)}
        for pod, number, protocol, address in goals:
            version = addresses.family_of(address)
            if version in own:
                flow = Flow(sender, pod, number, protocol, version)
                target = _target(pod, number, protocol, address, domain or "cluster.local")
                found.append(Cell(source, target, flow, rules.decide(flow), subjects.unclear))
    return found


def _ports_of(pod: Object, ports: Sequence[Port]) -> list[tuple[int, str]]:
    if ports:
        return list(dict.fromkeys(each for port in ports for each in port.at(pod)))
    return list(dict.fromkeys((int(e["containerPort"]), e.get("protocol") or "TCP") for e in declared_ports(pod)))


def _target(pod: Object, number: int, protocol: str, address: str, domain: str) -> Target:
    name = full_name(pod)
    probe, extra = {"TCP": "connect", "UDP": "udp", "SCTP": "sctp"}[protocol], "-"
    if protocol == "UDP" and number == 53:
        # Of the cluster's own domain: other names are passed on, and where nobody is behind, nobody answers in time
        probe, extra = "dns", f"A/kubernetes.default.svc.{domain}."
    elif protocol == "UDP":
        extra = "plain"
    elif protocol == "TCP" and is_ours(pod):
        probe, extra = "http", "/hostname"
    where = f"{name}:{number}/{protocol}"
    return Target(where, "pod", address, number, protocol, probe, extra, node=node_of(pod), pod=name)


def source_of(pod: Object, container: str) -> Source:
    """Returns a pod as a place where probes start."""
    own = addresses.of_pod(pod)
    return Source(full_name(pod), node_of(pod), own[0] if own else "", namespace_of(pod), container=container)


def containers_of(pod: Object) -> list[str]:
    """Returns the containers in which a prober may start, the one that kubectl would choose first."""
    names = [c["name"] for c in pod["spec"]["containers"]]
    chosen = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    return sorted(names, key=lambda name: name != chosen)


def has_proxy(pod: Object) -> bool:
    """Tells whether a sidecar proxy answers for the network."""
    every = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]
    return any(container["name"] in PROXIES for container in every)


def stands_for(pod: Object) -> str:
    """Returns the name of the pod that a copy stands for; empty for no copy."""
    return str((pod["metadata"].get("annotations") or {}).get(COPY) or "")


def full_name(pod: Object) -> str:
    """Returns namespace and name."""
    return f"{namespace_of(pod)}/{name_of(pod)}"


def node_of(pod: Object) -> str:
    """Returns the node that a pod runs on."""
    return str(pod["spec"].get("nodeName") or "")
