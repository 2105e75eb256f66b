"""Agents in Kubernetes: manifests made to fit, pods and agents matched, nodes read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.cyperf.reach import pod_address
from NetLibrary._mechanics.defaults import CYPERF_HEALTH_PATH
from NetLibrary._mechanics.errors import InputError, NetLibraryError, NotFound, Unavailable, WaitFailed
from NetLibrary._mechanics.kube import addresses, manifests, quantities, wait
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.kube.why_not_ready import problem
from NetLibrary.types import CyPerfRole

TAG_KEY = "netlibrary"
Resources = dict[str, dict[str, str]]
_LABEL_VALUE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass
class Deployed:
    """One Deployment of agents that this run made.

    Args:
        role: Side of the agents.
        namespace: Where it is.
        name: Name of the Deployment.
        tag: Tag at the controller that these agents carry and no others, as `key:value`.
        image: Image of the agents.
        replicas: How many pods are wanted.
        ready_needs_traffic: Whether the readiness probe passes only while a test runs.
        container: Name of the agent's container; others in the pod are sidecars.
        logs: Last log of each pod that could be read, by name.
        seen: Names of all pods that were seen.
    """

    role: CyPerfRole
    namespace: str
    name: str
    tag: str
    image: str
    replicas: int
    ready_needs_traffic: bool = False
    container: str = ""
    logs: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    @property
    def labels(self) -> str:
        """Selector of the pods."""
        return f"run={self.name}"


def tag_value(run_id: str, namespace: str, role: CyPerfRole) -> str:
    """Returns the value of the tag that belongs to this run, namespace and role alone."""
    return _LABEL_VALUE.sub("-", f"{run_id}-{namespace}-{role.value.lower()}")


def render(
    file: Path,
    role: CyPerfRole,
    *,
    namespace: str,
    image: str | None,
    controller: str | None,
    tags: Mapping[str, str],
    replicas: int,
    node_selector: Mapping[str, str] | None = None,
    resources: Resources | None = None,
    environment: Mapping[str, str] | None = None,
    readiness: str = "startup",
    one_per_node: bool = False,
    avoid: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Returns the objects of an agents' manifest made to fit.

    Args:
        file: Manifest with one Deployment for the role.
        role: Side of the agents.
        namespace: Where they go.
        image: Image instead of that of the manifest.
        controller: Address that the agents register at; None leaves it to the agent's own command line.
        tags: Tags in addition to those of the manifest.
        replicas: Number of pods.
        node_selector: Labels of the nodes; None keeps those of the manifest.
        resources: Requests and limits to set, see `resources_of`; what is not named stays as in the manifest.
        environment: Further environment variables of the agent.
        readiness: `startup` (started), `traffic` (serving a test), or `none`.
        one_per_node: Whether two agents never share a node.
        avoid: Nodes that agents never use, because the device under test runs there.
        labels: Further labels of the pods.
    """
    objects = manifests.load(file)
    for obj in objects:
        if obj["kind"] != "CustomResourceDefinition":
            obj["metadata"]["namespace"] = namespace
    found = [obj for obj in objects if obj["kind"] == "Deployment" and role.value.lower() in obj["metadata"]["name"]]
    if len(found) != 1:
        raise InputError(f"The manifest '{file}' has {len(found)} Deployments for {role.value} agents; one is needed.")
    spec = found[0]["spec"]
    spec["replicas"] = replicas
    # New agents beside old ones would wait for a readiness that only a test brings, and register beside them.
    spec["strategy"] = {"type": "Recreate"}
    spec["template"]["metadata"].setdefault("labels", {}).update(labels or {})
    pod = spec["template"]["spec"]
    if node_selector is not None:
        pod["nodeSelector"] = dict(node_selector)
    container = agent_container(found[0], role)
    if image:
        container["image"] = image
    _environment(container, controller, tags, environment or {})
    _resources(container, resources or {})
    _probe(container, readiness)
    if one_per_node:
        _one_per_node(pod)
    _avoid(pod, avoid)
    others = [obj for obj in objects if obj["kind"] != "Deployment"]
    return [*others, found[0]]


def agent_container(deployment: Mapping[str, Any], role: CyPerfRole) -> dict[str, Any]:
    """Returns the container of the agent, told by its name or by the variable that every agent needs.

    Other containers of the pod are sidecars, for instance of a service mesh or a log collector.
    """
    containers: list[dict[str, Any]] = deployment["spec"]["template"]["spec"]["containers"]
    for container in containers:
        if container["name"] == f"cyperf-agent-{role.value.lower()}":
            return container
    for container in containers:
        if any(entry.get("name") == "AGENT_CONTROLLER" for entry in container.get("env") or []):
            return container
    return containers[0]


def _environment(
    container: dict[str, Any], controller: str | None, tags: Mapping[str, str], more: Mapping[str, str]
) -> None:
    entries = {entry["name"]: entry for entry in container.get("env") or []}
    present = str(entries.get("AGENT_TAGS", {}).get("value") or "")
    merged = dict(pair.split("=", 1) for pair in present.split(",") if "=" in pair) | dict(tags)
    if controller is None:
        entries.pop("AGENT_CONTROLLER", None)
    else:
        entries["AGENT_CONTROLLER"] = {"name": "AGENT_CONTROLLER", "value": controller}
    entries |= {name: {"name": name, "value": value} for name, value in more.items()}
    entries["AGENT_TAGS"] = {"name": "AGENT_TAGS", "value": ",".join(f"{k}={v}" for k, v in merged.items())}
    container["env"] = list(entries.values())


def resources_of(
    memory: str | None = None, memory_request: str | None = None, memory_limit: str | None = None,
    cpu_request: str | None = None, cpu_limit: str | None = None,
) -> Resources:  # fmt: skip
    """Returns requests and limits as Kubernetes has them, of those that are given.

    Args:
        memory: Request and limit of memory in one.
        memory_request: Memory that the node has to have free.
        memory_limit: Memory beyond which the agent is killed.
        cpu_request: Processors that the node has to have free.
        cpu_limit: Processors beyond which the agent is slowed down.
    Raises:
        InputError: One of them is no quantity.

    Example:
        >>> resources_of(memory="4Gi", cpu_limit="3.5")
        {'requests': {'memory': '4Gi'}, 'limits': {'memory': '4Gi', 'cpu': '3.5'}}
    """
    given = {
        "requests": {"memory": memory_request or memory, "cpu": cpu_request},
        "limits": {"memory": memory_limit or memory, "cpu": cpu_limit},
    }
    found = {kind: {name: value for name, value in named.items() if value} for kind, named in given.items()}
    for kind, named in found.items():
        for name, value in named.items():
            quantities.quantity(value, f"{name}_{kind[:-1]}")
    return {kind: named for kind, named in found.items() if named}


def _resources(container: dict[str, Any], wanted: Resources) -> None:
    """Sets what is wanted and leaves the rest of the manifest alone; a request above a new limit follows it."""
    for kind, named in wanted.items():
        container.setdefault("resources", {}).setdefault(kind, {}).update(named)
    requests = (container.get("resources") or {}).get("requests") or {}
    for name, limit in (wanted.get("limits") or {}).items():
        if name in requests and quantities.quantity(requests[name], name) > quantities.quantity(limit, name):
            requests[name] = limit


def _probe(container: dict[str, Any], readiness: str) -> None:
    if readiness == "none":
        container.pop("readinessProbe", None)
    elif readiness == "traffic":
        container["readinessProbe"] = {"httpGet": {"path": CYPERF_HEALTH_PATH, "port": 80}, "periodSeconds": 1}
    elif readiness != "startup":
        raise InputError(f"readiness is '{readiness}'; allowed: startup, traffic and none.")


def _one_per_node(pod: dict[str, Any]) -> None:
    affinity = pod.setdefault("affinity", {}).setdefault("podAntiAffinity", {})
    preferred = affinity.pop("preferredDuringSchedulingIgnoredDuringExecution", None) or []
    terms = [entry["podAffinityTerm"] for entry in preferred]
    affinity["requiredDuringSchedulingIgnoredDuringExecution"] = terms or [
        {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["cyperf-agent"]}]},
        }
    ]


def check_kinds(cluster: Cluster, objects: Iterable[Mapping[str, Any]]) -> None:
    """Skips where the cluster lacks a kind of a manifest, for instance that of Multus.

    Raises:
        Unavailable: Names the kind and what brings it.
    """
    for obj in objects:
        try:
            cluster.resources.of(dict(obj))
        except NotFound as error:
            brings = " Multus brings it." if obj["kind"] == "NetworkAttachmentDefinition" else ""
            raise Unavailable(f"The cluster has no kind {obj['kind']} ({obj['apiVersion']}).{brings}") from error


def _avoid(pod: dict[str, Any], names: Iterable[str]) -> None:
    """Keeps pods off nodes, whatever labels these have."""
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [name]} for name in names]
    if not fields:
        return
    affinity = pod.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    required = affinity.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
    # Terms are alternatives, so each of them needs the exception.
    required["nodeSelectorTerms"] = required.get("nodeSelectorTerms") or [{}]
    for term in required["nodeSelectorTerms"]:
        term["matchFields"] = [*(term.get("matchFields") or []), *fields]


def live_pods(cluster: Cluster, deployed: Deployed) -> list[dict[str, Any]]:
    """Returns the pods of a Deployment that are not on their way out."""
    pods = cluster.list("Pod", deployed.namespace, labels=deployed.labels)
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def started(count: int, now: Callable[[], float]) -> wait.Goal:
    """Goal: exactly `count` pods run, ready or not; a readiness probe may pass only during a test."""
    ready = wait.pods_ready(count, now=now)

    def goal(pods: list[dict[str, Any]]) -> Any:
        live = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        running = [pod for pod in live if _runs(pod)]
        if len(running) == count and len(live) == count:
            return wait.Done(running)
        outcome = ready(pods)
        if isinstance(outcome, wait.Failed):
            return outcome
        detail = f"{len(running)}/{count} running"
        waiting = [pod["metadata"]["name"] + ": " + problem(pod).text for pod in live if not _runs(pod)]
        return wait.Pending(detail + (f" ({'; '.join(waiting[:3])})" if waiting else f", {len(live)} there"))

    return goal


def _runs(pod: dict[str, Any]) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return bool(statuses) and all("running" in each.get("state", {}) for each in statuses)


def rolled_out(count: int) -> wait.Goal:
    """Goal: the pods of the latest template have been made and no others are left, whether or not they run yet."""

    def goal(deployments: list[dict[str, Any]]) -> Any:
        if not deployments:
            return wait.Pending("it does not exist yet")
        found, status = deployments[0], deployments[0].get("status") or {}
        if (status.get("observedGeneration") or 0) < found["metadata"].get("generation", 0):
            return wait.Pending("its controller has not seen the change yet")
        made, there = status.get("updatedReplicas") or 0, status.get("replicas") or 0
        if made == there == count:
            return wait.Done(found)
        refused = [
            str(entry.get("message"))
            for entry in status.get("conditions") or []
            if entry.get("type") == "ReplicaFailure" and entry.get("status") == "True"
        ]
        return wait.Pending("; ".join([f"{made}/{count} pods created, {there} exist", *refused]))

    return goal


def wait_for_pods(cluster: Cluster, deployed: Deployed, timeout: float, progress: Any = None) -> dict[str, str]:
    """Waits until the pods of a Deployment run; returns pod names by address."""
    deadline = time.monotonic() + timeout
    cluster.wait(
        "Deployment", deployed.namespace, rolled_out(deployed.replicas), name=deployed.name, timeout=timeout,
        what=f"Deployment '{deployed.namespace}/{deployed.name}'", progress=progress,
    )  # fmt: skip
    goal = (started if deployed.ready_needs_traffic else _ready)(deployed.replicas, cluster.now)
    pods = cluster.wait(
        "Pod", deployed.namespace, goal, labels=deployed.labels,
        timeout=max(1.0, deadline - time.monotonic()),
        what=f"{deployed.replicas} {deployed.role.value.lower()} agent pods of '{deployed.namespace}/{deployed.name}'",
        progress=progress,
    )  # fmt: skip
    for pod in pods:
        pod_address(pod)  # refuses those without IPv4
    return {address: str(pod["metadata"]["name"]) for pod in pods for address in addresses.of_pod(pod)}


def _ready(count: int, now: Callable[[], float]) -> wait.Goal:
    """Goal: `count` pods are ready and no others are left, so that none of a former size registers."""
    enough = wait.pods_ready(count, now=now)

    def goal(pods: list[dict[str, Any]]) -> Any:
        live = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        outcome = enough(pods)
        if isinstance(outcome, wait.Done) and len(live) > count:
            return wait.Pending(f"{len(live) - count} too many")
        return outcome

    return goal


def check_pods(cluster: Cluster, deployed: Iterable[Deployed]) -> None:
    """Raises when an agent pod has stopped running while its registration is awaited."""
    for each in deployed:
        for pod in live_pods(cluster, each):
            if not _runs(pod):
                trouble = problem(pod)
                if trouble.usually_final:
                    name = f"{each.namespace}/{pod['metadata']['name']}"
                    raise WaitFailed(f"Agent pod '{name}' cannot register: {trouble.text}.")


def keep_logs(cluster: Cluster, deployed: Deployed) -> list[str]:
    """Remembers the logs of the agents as they are now: agents do not send them to the controller.

    Returns:
        Why logs could not be read; what was read before stays then, and the reason is not taken for a log.
    """
    problems = []
    for pod in live_pods(cluster, deployed):
        name = str(pod["metadata"]["name"])
        deployed.seen.add(name)
        try:
            deployed.logs[name] = cluster.logs(deployed.namespace, name, container=deployed.container or None)
        except NetLibraryError as error:
            problems.append(f"pod '{name}': {error}")
    return problems
