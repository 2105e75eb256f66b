"""Agents in Kubernetes: manifests made to fit, pods and agents matched, nodes read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.cyperf.types import CyPerfRole
from NetLibrary._mechanics.errors import InputError, NetLibraryError, WaitFailed
from NetLibrary._mechanics.kube import manifests, wait
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.kube.trouble import problem

TAG_KEY = "netlibrary"
HEALTH_PATH = "/CyPerfHTTPHealthCheck"
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
        logs: Last log of each pod that was seen, by name.
    """

    role: CyPerfRole
    namespace: str
    name: str
    tag: str
    image: str
    replicas: int
    ready_needs_traffic: bool = False
    logs: dict[str, str] = field(default_factory=dict)

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
    controller: str,
    tags: dict[str, str],
    replicas: int,
    node_selector: dict[str, str] | None,
    memory: str | None,
    readiness: str,
    one_per_node: bool,
    avoid: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """Returns the objects of an agents' manifest made to fit.

    Args:
        file: Manifest with one Deployment for the role.
        role: Side of the agents.
        namespace: Where they go.
        image: Image instead of that of the manifest.
        controller: Address that the agents register at.
        tags: Tags in addition to those of the manifest.
        replicas: Number of pods.
        node_selector: Labels of the nodes; None keeps those of the manifest.
        memory: Request and limit of memory, for instance `256Mi`; None keeps those of the manifest.
        readiness: `startup` (started), `traffic` (serving a test), or `none`.
        one_per_node: Whether two agents never share a node.
        avoid: Nodes that agents never use, because the device under test runs there.
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
    pod = spec["template"]["spec"]
    if node_selector is not None:
        pod["nodeSelector"] = dict(node_selector)
    container = pod["containers"][0]
    if image:
        container["image"] = image
    _environment(container, controller, tags)
    if memory:
        container["resources"] = {"requests": {"memory": memory}, "limits": {"memory": memory}}
    _probe(container, readiness)
    if one_per_node:
        _one_per_node(pod)
    _avoid(pod, avoid)
    others = [obj for obj in objects if obj["kind"] != "Deployment"]
    return [*others, found[0]]


def _environment(container: dict[str, Any], controller: str, tags: dict[str, str]) -> None:
    entries = {entry["name"]: entry for entry in container.get("env") or []}
    present = str(entries.get("AGENT_TAGS", {}).get("value") or "")
    merged = dict(pair.split("=", 1) for pair in present.split(",") if "=" in pair) | tags
    entries["AGENT_CONTROLLER"] = {"name": "AGENT_CONTROLLER", "value": controller}
    entries["AGENT_TAGS"] = {"name": "AGENT_TAGS", "value": ",".join(f"{k}={v}" for k, v in merged.items())}
    container["env"] = list(entries.values())


def _probe(container: dict[str, Any], readiness: str) -> None:
    if readiness == "none":
        container.pop("readinessProbe", None)
    elif readiness == "traffic":
        container["readinessProbe"] = {"httpGet": {"path": HEALTH_PATH, "port": 80}, "periodSeconds": 1}
    elif readiness != "startup":
        raise InputError(f"readiness is '{readiness}'; allowed are startup, traffic and none.")


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


def started(count: int) -> wait.Goal:
    """Goal: exactly `count` pods run, ready or not; a readiness probe may pass only during a test."""
    ready = wait.pods_ready(count)

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


def wait_for_pods(cluster: Cluster, deployed: Deployed, timeout: float, progress: Any = None) -> dict[str, str]:
    """Waits until the pods of a Deployment run; returns pod names by address."""
    goal = started(deployed.replicas) if deployed.ready_needs_traffic else _ready(deployed.replicas)
    pods = cluster.wait(
        "Pod", deployed.namespace, goal, labels=deployed.labels, timeout=timeout,
        what=f"{deployed.replicas} {deployed.role.value.lower()} agent pods of '{deployed.namespace}/{deployed.name}'",
        progress=progress,
    )  # fmt: skip
    return {str(pod["status"]["podIP"]): str(pod["metadata"]["name"]) for pod in pods}


def _ready(count: int) -> wait.Goal:
    """Goal: `count` pods are ready and no others are left, so that none of a former size registers."""
    enough = wait.pods_ready(count)

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


def keep_logs(cluster: Cluster, deployed: Deployed) -> None:
    """Remembers the logs of the pods as they are now: agents do not send them to the controller."""
    for pod in live_pods(cluster, deployed):
        name = str(pod["metadata"]["name"])
        try:
            deployed.logs[name] = cluster.logs(deployed.namespace, name)
        except NetLibraryError as error:
            deployed.logs.setdefault(name, f"(no log: {error})")
