"""Pods of every manifest satisfy PodSecurity `restricted`, but for those whose row says what it needs and is skipped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

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


@pytest.mark.parametrize(
    "change",
    [{"hostNetwork": True}, {"securityContext": {}}, {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}],
)
def test_what_restricted_refuses_is_seen(change: dict[str, Any]) -> None:
    good = next(spec for file, _, spec in pods() if file == "cluster_health/pod.yaml")
    assert beyond(good) == set()
    assert beyond({**good, **change})
