"""Runs suites as guests: in a namespace with objects of others, with images of a mirror, with wishes about pods."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from typing import Any

from everything import differences, everything
from robot.api import logger
from robot.libraries.BuiltIn import BuiltIn
from running import ROOT, STAND_INS, lab_of_run, output_folder, run_suite

from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary.lab import Lab

MIRROR = "registry.example/mirror"
POOL = ("node1", "node2")
# What a cluster may ask of every pod, and how it shows in the pod
WISHES = {
    "TOLERATIONS": "dedicated=test:NoSchedule",
    "NODE_SELECTOR": "pool=guests",
    "PRIORITY_CLASS": "guests",
    "POD_LABELS": "team=net",
    "POD_ANNOTATIONS": "sidecar.istio.io/inject=false",
    "POD_REQUESTS": "cpu=11m,memory=33Mi",
    "PULL_SECRET": "regcred",
    "IMAGE_PULL_POLICY": "IfNotPresent",
    "REGISTRY": MIRROR,
}
PRECIOUS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: precious, labels: {app: theirs}, finalizers: [example.org/theirs]}
data: {a: b}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: copied
  labels: {netlibrary.io/run: copied-marks}
  annotations: {netlibrary.io/created-by: copied-marks ConfigMap elsewhere/original 2026-01-02T03:04:05Z}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: precious}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: precious}
spec: {podSelector: {matchLabels: {app: theirs}}, policyTypes: [Ingress]}
---
apiVersion: v1
kind: Secret
metadata: {name: precious}
stringData: {password: theirs-alone-0123}
---
apiVersion: v1
kind: Service
metadata: {name: precious}
spec: {selector: {app: theirs}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: precious, labels: {netlibrary.io/run: copied-label}}
spec:
  replicas: 1
  selector: {matchLabels: {app: theirs}}
  template:
    metadata: {labels: {app: theirs}}
    spec:
      containers: [{name: c, image: "docker.io/library/busybox:1.36", command: [sleep, "86400"]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: precious}
spec:
  suspend: true
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: "docker.io/library/busybox:1.36", command: ["true"]}]
"""

# A valid object of each kind that does nothing: no pod of it starts, and no traffic is concerned by it
_TEMPLATE = {
    "metadata": {"labels": {"app": "theirs"}},
    "spec": {"containers": [{"name": "c", "image": "docker.io/library/busybox:1.36"}],
             "nodeSelector": {"theirs": "nowhere"}},
}  # fmt: skip
_ENDING = {**_TEMPLATE, "spec": {**_TEMPLATE["spec"], "restartPolicy": "Never"}}
_SELECTOR = {"matchLabels": {"app": "theirs"}}
_IDLE: dict[str, tuple[str, dict[str, Any]]] = {
    "ConfigMap": ("v1", {"data": {"theirs": "yes"}}),
    "Secret": ("v1", {"stringData": {"theirs": "theirs-alone-0123"}}),
    "ServiceAccount": ("v1", {}),
    "Service": ("v1", {"spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}}),
    "Pod": ("v1", {"spec": _TEMPLATE["spec"]}),
    "Deployment": ("apps/v1", {"spec": {"replicas": 0, "selector": _SELECTOR, "template": _TEMPLATE}}),
    "StatefulSet": ("apps/v1", {"spec": {"replicas": 0, "selector": _SELECTOR, "serviceName": "theirs",
                                         "template": _TEMPLATE}}),
    "Job": ("batch/v1", {"spec": {"suspend": True, "template": _ENDING}}),
    "NetworkPolicy": ("networking.k8s.io/v1", {"spec": {"podSelector": _SELECTOR, "policyTypes": ["Ingress"]}}),
}  # fmt: skip
# Names that keywords choose, beside those of the manifests
CHOSEN = ("iperf3-server", "iperf3-client", "fortio-server", "e2sar-receiver-0", "e2sar-sender-0", "netlibrary-pods",
          "netlibrary-pods-out", "clients", "servers", "a", "b", "c")  # fmt: skip


def of_our_names() -> list[dict[str, Any]]:
    """Objects of others by the names of everything that the manifests of our suites make, of all kinds."""
    names = set(CHOSEN)
    for file in (ROOT / "manifests").rglob("*.yaml"):
        if "access" not in file.parts:
            names |= set(re.findall(r"^metadata:\s*\{?\s*name: ([a-z0-9-]+)\b", file.read_text(), re.M))
    return [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": {"app": "theirs"}}, **rest}
        for name in sorted(names)
        for kind, (version, rest) in _IDLE.items()
    ]


class guests:  # noqa: N801 - Robot looks for a class of the module's name
    """Keywords of the suite about guests."""

    ROBOT_LIBRARY_SCOPE = "SUITE"

    @property
    def _cluster(self) -> Cluster:
        return BuiltIn().get_library_instance("NetLibrary").session.cluster()

    @property
    def _lab(self) -> Lab:
        return lab_of_run("Everything in the cluster is compared before and after; that is for a lab.")

    def export_images(self, suite: str) -> None:
        """Writes archives of a suite's images under the mirror's names, and loads them into the lab."""
        folder = output_folder("images", suite)
        words = [sys.executable, "-m", "NetLibrary.cli", "images", "export", str(folder), "--suite", suite]
        subprocess.run([*words, "--registry", MIRROR], cwd=ROOT, capture_output=True, text=True, timeout=300)
        made = [each for each in json.loads((folder / "images.json").read_text()) if each["archive"]]
        loaded = self._lab.load([folder / each["archive"] for each in made])
        assert made, "nothing was exported"
        assert sorted(loaded) == sorted(each["reference"] for each in made), (made, loaded)

    def suite_should_leave_what_is_not_its_own(
        self, suite: str, *options: str, wishes: bool = False, variables: str = "NAMESPACE"
    ) -> None:
        """Runs a suite in namespaces with objects of others; everything in the cluster must be as before.

        With `wishes`, the pods that it makes must have all that the variables about pods ask for. Each of `variables`
        names a namespace of its own.
        """
        lab = self._lab
        names = {each: f"precious-{number}-{time.time_ns() % 10**6}" for number, each in enumerate(variables.split())}
        name = next(iter(names.values()))
        if suite in STAND_INS:
            lab.install(STAND_INS[suite])
        arguments = ["-v", f"CLUSTER:lab:{lab.name}", *options]
        for variable, each in names.items():
            lab.kubectl("create", "namespace", each)
            lab.kubectl("-n", each, "apply", "-f", "-", stdin=PRECIOUS)
            arguments += ["-v", f"{variable}:{each}"]
        for each in names.values():
            lab.kubectl("-n", each, "rollout", "status", "deployment/precious", "--timeout=60s")
        if wishes:
            lab.kubectl("-n", name, "create", "secret", "generic", "regcred")
            priority = ["create", "priorityclass", "guests", "--value=1", "--dry-run=client", "-o", "yaml"]
            lab.kubectl("apply", "-f", "-", stdin=lab.kubectl(*priority))
            lab.kubectl("label", "node", *POOL, "pool=guests", "--overwrite")
            arguments += [word for key, value in WISHES.items() for word in ("-v", f"{key}:{value}")]
        before = everything(lab, *names.values())
        with _Pods(self._cluster, name) as pods:
            tests = run_suite(suite, output_folder("guests", suite), *arguments)
        wrong = [f"{test.name}: {test.message}" for test in tests if test.failed]
        wrong += [f"changed: {each}" for each in differences(before, everything(lab, *names.values()))]
        if wishes:
            assert pods.seen, "no pod of the suite was seen"
            wrong += [f"pod {pod}: {each}" for pod, spec in pods.seen.items() for each in _ungranted(spec)]
        for each in names.values():
            lab.kubectl("-n", each, "patch", "configmap", "precious", "--type=merge",
                        "--patch", '{"metadata":{"finalizers":null}}')  # fmt: skip
        lab.kubectl("delete", "namespace", *names.values(), "--wait=false")
        if wrong:
            raise AssertionError("\n".join(wrong))

    def suites_should_leave_objects_of_their_names(self, *suites: str) -> None:
        """Runs suites in a namespace where all names are taken: whatever rows say, everything must be as before."""
        lab, name = self._lab, f"taken-{time.time_ns() % 10**6}"
        for suite in suites:
            if suite in STAND_INS:
                lab.install(STAND_INS[suite])
        lab.kubectl("create", "namespace", name)
        # Without it, no pod is admitted
        lab.kubectl("-n", name, "wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        listed = {"apiVersion": "v1", "kind": "List", "items": of_our_names()}
        lab.kubectl("-n", name, "apply", "-f", "-", stdin=json.dumps(listed))
        before = everything(lab, name)
        wrong = []
        variables = ("NAMESPACE", "SKUPPER_HUB_NAMESPACE", "CLIENT_NAMESPACE", "SKUPPER_WORKLOAD_NAMESPACE")
        for suite in suites:
            given = variables if suite.startswith("skupper") else variables[:1]
            arguments = [word for each in given for word in ("-v", f"{each}:{name}")]
            tests = run_suite(suite, output_folder("taken", suite), "-v", f"CLUSTER:lab:{lab.name}",
                              "-v", "READY_TIMEOUT:20s", "--exitonfailure", *arguments)  # fmt: skip
            logger.info(f"{suite}: " + "\n".join(test.message for test in tests[:2]), also_console=True)
            wrong += [f"{suite}: {each}" for each in differences(before, everything(lab, name))]
        lab.kubectl("delete", "namespace", name, "--wait=false")
        if wrong:
            raise AssertionError("\n".join(wrong))


class _Pods:
    """The pods that appear in a namespace meanwhile, those that were there left out."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self.seen: dict[str, Any] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Pods:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.5):
            for pod in self._cluster.list("Pod", self._namespace):
                if pod["metadata"].get("labels", {}).get("app") != "theirs":
                    self.seen[pod["metadata"]["name"]] = pod


def _ungranted(pod: dict[str, Any]) -> list[str]:
    metadata, spec = pod["metadata"], pod["spec"]
    has = {
        "TOLERATIONS": any(each.get("key") == "dedicated" or each == {"operator": "Exists"}
                           for each in spec.get("tolerations", [])),
        "NODE_SELECTOR": spec.get("nodeName", POOL[0]) in POOL,
        "PRIORITY_CLASS": spec.get("priorityClassName") == "guests",
        "POD_LABELS": metadata.get("labels", {}).get("team") == "net",
        "POD_ANNOTATIONS": metadata.get("annotations", {}).get("sidecar.istio.io/inject") == "false",
        "POD_REQUESTS": all({"cpu", "memory"} <= set(c.get("resources", {}).get("requests", {}))
                            for c in spec["containers"]),
        "PULL_SECRET": {"name": "regcred"} in spec.get("imagePullSecrets", []),
        "IMAGE_PULL_POLICY": all(c["imagePullPolicy"] == "IfNotPresent" for c in spec["containers"]),
        "REGISTRY": all(c["image"].startswith(MIRROR) for c in spec["containers"]),
    }  # fmt: skip
    return [f"{name} is not in it" for name, granted in has.items() if not granted]
