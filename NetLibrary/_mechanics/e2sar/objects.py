"""Kubernetes objects of a run, made from the same files that `kubectl apply` takes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from NetLibrary._mechanics import defaults
from NetLibrary._mechanics.e2sar.parameters import PodSettings, ReceiverSettings, SenderSettings
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.facts import STAND_IN_LABEL
from NetLibrary._mechanics.kube import manifests
from NetLibrary._mechanics.kube.objects import LINUX, on_node
from NetLibrary._mechanics.kube.quantities import quantity
from NetLibrary.types import E2SARPlacement as Placement

Object = dict[str, Any]
NODE_PORT_SERVICE = "e2sar-receiver-node-port"
LOAD_BALANCER_SERVICE = "e2sar-receiver-load-balancer"
DENY_ALL = "deny-all"
POLICIES = ("allow", "deny-all", "deny-udp", "tcp-only", "no-egress")
POLICY_NAME = "e2sar-policy"


class Files:
    """The folder with the scenario's manifests.

    Args:
        folder: Where they are.
        service: Name of the headless Service, in place of the manifests' own.

    Raises:
        InputError: It is not there or lacks a file.
    """

    def __init__(self, folder: Path, service: str = "") -> None:
        self.folder, self.service = folder, service or defaults.E2SAR_SERVICE
        if not (folder / "30-receiver.yaml").is_file():
            raise InputError(f"manifests is '{folder}'; allowed: a folder with 10-scripts.yaml to 40-sender.yaml.")

    def load(self, name: str, namespace: str) -> list[Object]:
        """Returns a file's objects, all of them put into a namespace."""
        objects = manifests.load(self.folder / name)
        for each in objects:
            if each["kind"] == "Namespace":
                each["metadata"]["name"] = namespace
            else:
                each["metadata"]["namespace"] = namespace
            if each["kind"] == "Service" and each["metadata"]["name"] == defaults.E2SAR_SERVICE:
                each["metadata"]["name"] = self.service
        return objects

    def load_balancer(self, namespace: str) -> Object:
        """Returns the Service of the receivers as one of a load balancer."""
        found = (each for each in self.load("20-service.yaml", namespace) if each["spec"].get("type") == "NodePort")
        service = next(found)
        service["metadata"]["name"] = LOAD_BALANCER_SERVICE
        service["spec"]["type"] = "LoadBalancer"
        return service

    def base(self, namespace: str) -> list[Object]:
        """Returns namespace, scripts and Services."""
        names = ("00-namespace.yaml", "10-scripts.yaml", "20-service.yaml")
        return [obj for name in names for obj in self.load(name, namespace)]

    def policy(self, name: str, namespace: str, port: int) -> Object:
        """Returns one of the prepared NetworkPolicies, for another port than the usual one if need be."""
        if name not in POLICIES:
            raise InputError(f"policy is '{name}'; allowed: {', '.join(POLICIES)} and none.")
        (policy,) = self.load(f"policies/{name}.yaml", namespace)
        for rule in policy["spec"].get("ingress") or []:
            for entry in rule.get("ports") or []:
                if "endPort" in entry:
                    entry["endPort"] += port - entry["port"]
                if "port" in entry:
                    entry["port"] = port
        return policy

    def receiver(self, namespace: str, name: str, settings: ReceiverSettings, pod: PodSettings) -> Object:
        """Returns the Job of a receiver."""
        (job,) = self.load("30-receiver.yaml", namespace)
        values: dict[str, object] = {
            "DURATION": settings.duration_seconds,
            "BUF_SIZE": settings.buffer_bytes,
            "PORT": settings.port,
            "THREADS": settings.threads,
            "PERIOD": settings.period_ms,
        }
        spec = _dress(job, name, "receiver", values, settings.options, pod)
        spec["hostname"], spec["subdomain"] = name, self.service
        container = spec["containers"][0]
        observer = next((each for each in spec["initContainers"] if each["name"] == "observer"), None)
        if observer is None:
            raise InputError(f"manifests is '{self.folder}', whose receiver has no init container 'observer'.")
        observer["image"] = container["image"]
        observer["readinessProbe"]["exec"]["command"][-1] = str(settings.port)
        container["ports"][0]["containerPort"] = settings.port
        return job

    def sender(
        self,
        namespace: str,
        name: str,
        settings: SenderSettings,
        pod: PodSettings,
        *,
        target: str,
        placement: Placement,
        receiver_node: str,
        resolve_seconds: int = 60,
        start_delay: int = 0,
    ) -> Object:
        """Returns the Job of a sender.

        Args:
            namespace: Where it goes.
            name: Its name.
            settings: What it sends.
            pod: How it runs; a node named there wins over the placement.
            target: Address or name that it sends to.
            placement: Where it runs, seen from the receiver.
            receiver_node: Node of the receiver, empty when there is none.
            resolve_seconds: How long a name may take to resolve.
            start_delay: Seconds between the start of its pod and its first datagram.
        """
        (job,) = self.load("40-sender.yaml", namespace)
        values: dict[str, object] = {
            "RECEIVER": target,
            "RECEIVER_PORT": settings.port,
            "RESOLVE_SECONDS": resolve_seconds,
            "START_DELAY": start_delay,
            "MTU": settings.mtu,
            "RATE": f"{settings.rate_gbps:.9g}",
            "LENGTH": settings.event_bytes,
            "NUM_EVENTS": settings.events,
            "BUF_SIZE": settings.buffer_bytes,
            "SOCKETS": settings.sockets,
            "SOURCE_ID": settings.source_id,
            "DATA_ID": settings.data_id,
        }
        spec = _dress(job, name, "sender", values, settings.options, pod)
        if not pod.node:
            spec.pop("affinity", None)
            if receiver_node and placement is not Placement.ANY:
                spec["affinity"] = on_node(receiver_node, but_it=placement is Placement.OTHER_NODE)
        return job

    def inspector(self, namespace: str, image: str, node: str = "") -> Object:
        """Returns a pod that says what the place is like, and ends."""
        script = (
            "for f in /proc/sys/net/core/rmem_max /proc/sys/net/core/wmem_max /sys/class/net/eth0/mtu; do "
            '[ -r "$f" ] && echo "$f $(cat "$f")"; done; '
            "command -v e2sar_perf || { echo 'no e2sar_perf'; exit 3; }; LC_ALL=C e2sar_perf --help 2>&1; exit 0"
        )
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "e2sar-inspector", "namespace": namespace, "labels": {"app": "e2sar-inspector"}},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65534,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                **({"affinity": on_node(node)} if node else {"nodeSelector": dict(LINUX)}),
                "containers": [
                    {
                        "name": "inspector",
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/bin/sh", "-c", script],
                        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                    }
                ],
            },
        }


def _dress(
    job: Object, name: str, role: str, values: dict[str, object], options: tuple[str, ...], pod: PodSettings
) -> Object:
    """Puts name, parameters, image and limits into a Job and returns its pod's spec."""
    template = job["spec"]["template"]
    job["metadata"]["name"] = name
    labels = template["metadata"]["labels"]
    labels["e2sar"] = name
    spec: Object = template["spec"]
    container = spec["containers"][0]
    environment = {entry["name"]: entry for entry in container["env"]}
    for key, value in values.items():
        environment[key] = {"name": key, "value": str(value)}
    for key, value in pod.environment.items():
        environment[key] = {"name": key, "value": value}
    # what refers to others with $(NAME) has to stand behind them
    container["env"] = sorted(environment.values(), key=lambda entry: "$(" in str(entry.get("value", "")))
    container["args"] = [*container["args"], *options]
    if pod.image:
        container["image"] = pod.image
    if container["image"] == defaults.E2SAR_STAND_IN_IMAGE:
        labels[STAND_IN_LABEL] = "e2sar_perf"
    container["resources"] = resources(pod)
    annotations = {
        f"kubernetes.io/{direction}-bandwidth": value
        for direction, value in (("ingress", pod.ingress_bandwidth), ("egress", pod.egress_bandwidth))
        if value
    }
    kept = template["metadata"].get("annotations") or {}
    kept = {key: value for key, value in kept.items() if not key.endswith("-bandwidth")}
    template["metadata"]["annotations"] = {**kept, **annotations}
    if pod.node:
        spec["affinity"] = on_node(pod.node)
    return spec


def resources(pod: PodSettings) -> Object:
    """Returns requests and limits; an empty text leaves one away."""
    wanted = {
        "requests": {"cpu": pod.cpu_request, "memory": pod.memory_request},
        "limits": {"cpu": pod.cpu_limit, "memory": pod.memory_limit},
    }
    found = {key: {name: value for name, value in each.items() if value} for key, each in wanted.items()}
    return copy.deepcopy({key: value for key, value in found.items() if value})


def bandwidth(annotations: dict[str, str] | None, direction: str) -> float | None:
    """Bits per second of a pod's bandwidth annotation: Kubernetes quantities, decimal or binary.

    >>> bandwidth({"kubernetes.io/egress-bandwidth": "100M"}, "egress")
    100000000.0
    """
    text = (annotations or {}).get(f"kubernetes.io/{direction}-bandwidth")
    return quantity(text, f"{direction}-bandwidth") if text else None
