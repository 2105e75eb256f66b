"""A namespace with objects of others, offered to every suite in every variable that takes a namespace, a name or a label.

Whatever a suite does with it, and however it ends, nothing that was there is changed, and nothing is left there.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from robot.api import ExecutionResult
from robot.api import TestSuite as Suite
from scripted_api import ApiServer

from NetLibrary._mechanics.kube import rights
from NetLibrary._mechanics.kube.resources import BUILT_IN

ROOT = Path(__file__).parents[1]
PLACE = "precious"
# What takes a namespace, a name or a label, by the words of its name, and the others that do
TAKES = re.compile(r"NAMESPACE|LABELS|SERVICE$|SELECTOR|SECRET$|PRIORITY_CLASS|_TAG|NODE_LABELS")
GIVEN = {
    "POD_LABELS": "app=theirs", "NODE_SELECTOR": "precious=yes", "MATRIX_NODE_LABELS": "precious=yes",
    "CYPERF_DEVICE_LABELS": "app=theirs", "OUTAGE_TARGETS": "tcp:precious.precious.svc:80",
    "POLICY_PODS": "app", "CLIENT_LABELS": "app=theirs", "MATRIX_EXTERNAL_NAME": "precious.precious.svc", "OUTAGE_SERVICE_PROXY": "precious/precious",
    "OUTAGE_PLUGIN": "precious/precious", "OUTAGE_DNS": "precious/precious",
    "OUTAGE_LOAD_BALANCER": "precious/precious", "CYPERF_CLIENT_NODES": "node1", "CYPERF_SERVER_NODES": "node1",
    "THROUGHPUT_SERVER_NODE": "node1",
}  # fmt: skip
KINDS = {"ConfigMap": "configmaps", "Secret": "secrets", "Service": "services", "Pod": "pods"}
WITH_PATHS = {"Deployment": "apps/v1/deployments", "DaemonSet": "apps/v1/daemonsets", "Job": "batch/v1/jobs",
              "NetworkPolicy": "networking.k8s.io/v1/networkpolicies"}  # fmt: skip


def variables_of(suite: str) -> list[str]:
    """Names of variables of a suite's resources that take a namespace, a name or a label."""
    text = (ROOT / "suites" / f"{suite}.robot").read_text()
    files = {*re.findall(r"resources/(\w+)\.resource", text), "common"}
    found = re.findall(r"^[$&@]{(\w+)", "\n".join((ROOT / f"resources/{f}.resource").read_text() for f in files), re.M)
    return [name for name in found if TAKES.search(name) or name in GIVEN]


def names() -> list[tuple[str, str]]:
    """Kinds and names of what the manifests of all suites make."""
    found = []
    for file in sorted((ROOT / "manifests").rglob("*.yaml")):
        try:
            documents = list(yaml.safe_load_all(re.sub(r"\${?\w+}?", "x", file.read_text())))
        except yaml.YAMLError:
            continue
        found += [
            (d["kind"], d["metadata"]["name"]) for d in documents if isinstance(d, dict) and "name" in d["metadata"]
        ]
    return found


def put_precious(api: ApiServer, more: list[tuple[str, str]]) -> None:
    theirs = {"app": "theirs", "netlibrary.io/run": "copied-label"}
    api.put("/api/v1/namespaces", {"metadata": {"name": PLACE, "labels": {"owner": "them"}}})
    for name in ("node1", "node2"):  # some suites need two
        api.put("/api/v1/nodes", {"metadata": {"name": name, "labels": {"precious": "yes", "kubernetes.io/os": "linux"}},
                                  "status": {"conditions": [{"type": "Ready", "status": "True"}]}})  # fmt: skip
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    controller = {"name": "skupper-controller", "namespace": "skupper",
                  "labels": {"app.kubernetes.io/name": "skupper-controller"}}  # fmt: skip
    api.put("/api/v1/namespaces/skupper/pods", {"kind": "Pod", "metadata": controller, "status": ready,
                                                        "spec": {"containers": [{"name": "c", "image": "x"}]}})  # fmt: skip
    for kind, name in [*((kind, PLACE) for kind in (*KINDS, *WITH_PATHS)), *more]:
        resource = BUILT_IN.get(kind.lower())
        if resource and resource.namespaced:
            api.put(resource.path(PLACE), {"kind": kind, "apiVersion": resource.api_version, "metadata": {"name": name, "namespace": PLACE, "labels": theirs},
                            "spec": {"selector": {"app": "theirs"}}, "data": {"theirs": "YQ=="}})  # fmt: skip


def kept(api: ApiServer) -> dict[str, Any]:
    """Everything in the namespace, the namespace and the node, without what the server itself counts."""
    found = {f"{where}/{name}": obj for where, objects in api.objects.items() for name, obj in objects.items()
             if f"/namespaces/{PLACE}/" in where or where in ("/api/v1/namespaces", "/api/v1/nodes")}  # fmt: skip
    found = copy.deepcopy(found)
    for obj in found.values():
        for field in ("resourceVersion", "managedFields", "generation"):
            obj["metadata"].pop(field, None)
        if not obj["metadata"].get("annotations", True):
            del obj["metadata"]["annotations"]
    return found


@pytest.mark.parametrize("taken", [False, True], ids=["its own names", "its names are taken"])
@pytest.mark.parametrize("suite", rights.suites())
def test_precious_namespace_is_as_before(api: ApiServer, tmp_path: Path, suite: str, taken: bool) -> None:
    put_precious(api, names() if taken else [])
    before = kept(api)
    api.allow()
    takes = variables_of(suite)
    assert "NAMESPACE" in takes
    variables = [f"KUBECONFIG:{api.kubeconfig(tmp_path / 'kubeconfig')}", "CLUSTER:kubeconfig", "READY_TIMEOUT:1s"]
    variables += [f"{name}:{GIVEN.get(name, PLACE)}" for name in takes]
    output = tmp_path / "output.xml"
    Suite.from_file_system(ROOT / "suites" / f"{suite}.robot").run(
        outputdir=str(tmp_path), output=str(output), log=None, report=None, console="none", variable=variables
    )
    tests = list(ExecutionResult(str(output)).suite.all_tests)
    assert tests
    after = kept(api)
    said = [test.message for test in tests][:2]
    assert differences(before, after) == [], said
    changed = [f"{method} {path.partition('?')[0]}" for method, path, *_ in api.requests
               if method in ("DELETE", "PATCH", "PUT") and path.partition("?")[0] in before]  # fmt: skip
    assert [each for each in changed if "/nodes/" not in each] == [], "not even for a while"


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Returns what is gone, was left or is another."""
    gone = [f"{place} is gone" for place in before if place not in after]
    left = [f"{place} was left" for place in after if place not in before]
    other = [f"{place}: was {before[place]}, is {after[place]}" for place in before if place in after
             and before[place] != after[place]]  # fmt: skip
    return gone + left + other
