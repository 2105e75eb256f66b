"""Pods of every manifest satisfy PodSecurity `restricted`, but for those whose row says what it needs and is skipped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from NetLibrary._mechanics.connections.objects import prober
from NetLibrary._mechanics.kube.objects import LINUX, single_pod
from NetLibrary._mechanics.policies import objects as policies
from NetLibrary._mechanics.throughput.command import Request
from NetLibrary._mechanics.throughput.objects import job_manifest
from NetLibrary._mechanics.throughput.requests.objects import server_manifests as fortio_manifests
from NetLibrary._mechanics.throughput.server import server_manifests

ROOT = Path(__file__).parents[1] / "manifests"
ROOT_USER = {"runAsNonRoot", "seccompProfile", "allowPrivilegeEscalation", "capabilities"}
# Manifest and name of the pod as a pattern → what it may need beyond `restricted`, and why
NEEDS: dict[tuple[str, str], set[str]] = {
    # a row about nodes' own addresses
    ("network_break/host-endpoints.yaml", ".*"): {"hostNetwork"},
    # Keysight's agents ask for NET_ADMIN, NET_RAW and IPC_LOCK
    ("cyperf/(client|server).yaml", ".*"): ROOT_USER,
    ("cyperf/multus.yaml", ".*"): ROOT_USER | {"privileged"},
    # serves port 443, as a controller does
    ("cyperf/stand-in-controller.yaml", ".*"): ROOT_USER,
    # reads settings of the node's kernel, on the node's network
    ("cyperf/node-reader.yaml", ".*"): {"hostNetwork", "runAsNonRoot", "seccompProfile"},
    # on their nodes' networks; where they are refused, their rows are skipped
    ("service_matrix/three-nodes.yaml", "host-.*"): ROOT_USER | {"hostNetwork", "hostPort"},
}


def pods() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for file in sorted(ROOT.rglob("*.yaml")):
        if "access" in file.parts:
            continue
        for obj in yaml.safe_load_all(re.sub(r"\$\{(\w+)(:-([^}]*))?\}", lambda m: m[3] or m[1], file.read_text())):
            kind = (obj or {}).get("kind")
            spec = (obj or {}).get("spec", {})
            if kind in ("Deployment", "DaemonSet", "Job", "StatefulSet"):
                spec = spec["template"]["spec"]
            elif kind != "Pod":
                continue
            yield str(file.relative_to(ROOT)), obj["metadata"]["name"], spec


def beyond(spec: dict[str, Any]) -> set[str]:
    """Returns what a pod needs beyond `restricted`, in the words of the Pod Security Standards."""
    found = {field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)}
    found |= {"hostPath" for volume in spec.get("volumes", []) if "hostPath" in volume}
    pod = spec.get("securityContext") or {}
    for container in [*spec.get("containers", []), *spec.get("initContainers", [])]:
        own = container.get("securityContext") or {}
        capabilities = own.get("capabilities") or {}
        checks = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": capabilities.get("drop") == ["ALL"]
            and set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "runAsNonRoot": own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True,
            "runAsUser": own.get("runAsUser", pod.get("runAsUser")) != 0,
            "seccompProfile": (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
            == "RuntimeDefault",
            "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
        }
        found |= {name for name, holds in checks.items() if not holds}
    return found


@pytest.mark.parametrize(("file", "name", "spec"), [pytest.param(*each, id="-".join(each[:2])) for each in pods()])
def test_pod_needs_nothing_beyond_restricted(file: str, name: str, spec: dict[str, Any]) -> None:
    allowed = [needs for (where, who), needs in NEEDS.items() if re.fullmatch(where, file) and re.fullmatch(who, name)]
    assert beyond(spec) <= (allowed[0] if allowed else set())


# They are placed by labels of nodes that the suite has chosen, by the node's name, or beside a pod that is placed
PLACED = ("cluster_health/pod.yaml", "cyperf/client.yaml", "cyperf/multus.yaml", "cyperf/node-reader.yaml",
          "cyperf/server.yaml", "network_break/another-source.yaml", "network_break/host-endpoints.yaml",
          "service_matrix/three-nodes.yaml")  # fmt: skip


@pytest.mark.parametrize(("file", "name", "spec"), [pytest.param(*each, id="-".join(each[:2])) for each in pods()])
def test_no_pod_is_scheduled_to_a_windows_node(file: str, name: str, spec: dict[str, Any]) -> None:
    """Windows nodes need no taint, and took pods of ours that could not start there."""
    if file not in PLACED and name != "near":
        assert spec["nodeSelector"] == LINUX


@pytest.mark.parametrize(
    "made",
    [
        prober("p", "n", image="i"),
        policies.pod("p", "n"),
        single_pod("p", "n", "i", [], labels={}, environment={}, node=None, user=None),
        server_manifests("s", "n", "i")[0]["spec"]["template"],
        fortio_manifests("s", "n", "i")[0]["spec"]["template"],
        job_manifest("j", "n", "i", Request("server"))["spec"]["template"],
    ],
)
def test_no_pod_that_keywords_make_is_scheduled_to_a_windows_node(made: dict[str, Any]) -> None:
    assert made["spec"]["nodeSelector"] == LINUX


@pytest.mark.parametrize(
    "change",
    [{"hostNetwork": True}, {"securityContext": {}}, {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}],
)
def test_what_restricted_refuses_is_seen(change: dict[str, Any]) -> None:
    good = next(spec for file, _, spec in pods() if file == "cluster_health/pod.yaml")
    assert beyond(good) == set()
    assert beyond({**good, **change})
