"""Runs suites on labs that are other kinds of clusters than the usual one, each suite in a Robot of its own."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from typing import Any

from robot.api import logger
from running import ROOT, SKUPPER, STAND_INS, output_folder, run_suite

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary.lab import Lab

# A namespace as a careful company makes it
CLOSED = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: team}
spec: {hard: {requests.cpu: "4", requests.memory: 4Gi, limits.cpu: "16", limits.memory: 8Gi, pods: "60"}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: team}
spec:
  limits:
  - type: Container
    defaultRequest: {cpu: 5m, memory: 16Mi}
    max: {cpu: "2", memory: 1Gi}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""
# Refuses pods whose root can be written to, and user ids that are not of the namespace's range, as OpenShift does
GUARD = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: closed-namespaces}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  matchConditions:
  # Pods of Skupper's stand-in are not made by a run
  - {name: not-of-a-controller, expression: "!('skupper.io/component' in object.metadata.?labels.orValue({}))"}
  validations:
  - expression: "object.spec.containers.all(c, c.?securityContext.?readOnlyRootFilesystem.orValue(false))"
    message: a container has a root that can be written to
  - expression: "object.spec.?securityContext.?runAsUser.orValue(0) >= 1000660000"
    message: the user id is not of the namespace's range
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: closed-namespaces}
spec:
  policyName: closed-namespaces
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {closed: "yes"}}}
"""
FITTING = (
    "POD_READ_ONLY_ROOT:yes",
    "POD_USER:1000660001",
    "POD_LIMITS:cpu=1,memory=512Mi",
    "POD_REQUESTS:cpu=5m,memory=16Mi",
)


class kinds:  # noqa: N801 - Robot looks for a class of the module's name
    """Keywords of the suite for other kinds of clusters."""

    ROBOT_LIBRARY_SCOPE = "SUITE"

    def __init__(self) -> None:
        self._name = ""
        self._over = threading.Event()

    def start_lab_of_kind(self, options: str) -> None:
        """Starts a lab with options of `lab up`."""
        self._over = threading.Event()
        self._name = "kind-" + (re.sub(r"[^a-z0-9]+", "-", options.lower()).strip("-")[:14].strip("-") or "plain")
        self._lab("up", *options.split())

    def use_lab(self, name: str) -> None:
        """Takes a lab that is up, in place of one that this library starts."""
        self._name = name

    def get_kubeconfig_of_lab(self) -> str:
        """Returns the path of the lab's kubeconfig."""
        return str(Lab(self._name).kubeconfig)

    def get_lab_name(self) -> str:
        """Returns the lab's name."""
        return self._name

    def on_node(self, node: str, line: str) -> None:
        """Runs a line of shell in the network of a node."""
        Lab(self._name).node(node).run(["sh", "-ec", line])

    def install_network(self, path: str, *settings: str) -> None:
        """Installs a network that the lab does not know by its manifest, as a user does; waits for nodes and DNS.

        Args:
            path: Manifest.
            settings: `NAME=value` of variables of its containers; with some, the API server's own address is set too.
        """
        kubectl = str(Lab(self._name).kubectl_program)
        config = str(Lab(self._name).kubeconfig)
        text = (ROOT / path).read_text()
        if settings:
            server = re.search(r'"server": "https://(.+?):(\d+)"', Lab(self._name).kubeconfig.read_text())
            assert server
            chosen = [f"APISERVER_HOST={server[1]}", f"APISERVER_PORT={server[2]}", *settings]
            for name, _, value in (setting.partition("=") for setting in chosen):
                text, found = re.subn(rf'(name: {name}, value: )"[^"]*"', rf'\g<1>"{value}"', text)
                if found != 1:
                    raise AssertionError(f"{path} has {found} variables '{name}'.")
        for words in (
            ["apply", "-f", "-"],
            ["wait", "--for=condition=Ready", "node", "--all", "--timeout=180s"],
            ["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=180s"],
        ):
            done = subprocess.run(
                [kubectl, "--kubeconfig", config, *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=300,
                input=text,
            )
            logger.info(done.stdout)
            if done.returncode:
                raise AssertionError(f"kubectl {' '.join(words)} failed: {done.stderr[-1000:]}")

    def api_server_should_reach_pods(self) -> None:
        """Reads from a Service through the API server's proxy, as upstream's conformance tests read from pods."""
        path = "/api/v1/namespaces/kube-system/services/kube-dns:metrics/proxy/metrics"
        answer = Lab(self._name).kubectl("get", "--raw", path, "--request-timeout=20s")
        if "coredns_build_info" not in answer:
            raise AssertionError(f"Not CoreDNS has answered, but: {answer[:300]}")

    def add_node_object(self, name: str, system: str, *taints: str, ready: bool = True, arch: str = "amd64") -> None:
        """Adds a node that no kubelet stands behind. A ready one gives signs of life until the lab stops."""
        labels = {"kubernetes.io/os": system, "kubernetes.io/arch": arch, "kubernetes.io/hostname": name}
        found = [dict(zip(("key", "value", "effect"), re.split("[=:]", taint), strict=True)) for taint in taints]
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        lab = Lab(self._name)
        lab.kubectl("apply", "-f", "-", stdin=json.dumps({**node, "spec": {"taints": found}}))
        info = {"operatingSystem": system, "architecture": arch}
        self._say_how_it_is(name, ready, info)
        if ready:
            threading.Thread(target=self._live, args=(name, info), daemon=True).start()

    def _say_how_it_is(self, name: str, ready: bool, info: dict[str, str]) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        reason = "KubeletReady" if ready else "KubeletNotReady"
        state = {"type": "Ready", "status": str(ready), "reason": reason, "message": "an object without a kubelet",
                 "lastHeartbeatTime": now}  # fmt: skip
        # Windows nodes need no taint, so that whatever does not ask for Linux may go there
        room = {"cpu": "8", "memory": "16Gi", "pods": "30" if info["operatingSystem"] == "windows" else "0"}
        status = {"conditions": [state], "nodeInfo": info, "capacity": room, "allocatable": room}
        patch = ["patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})]
        Lab(self._name).kubectl(*patch)

    def _live(self, name: str, info: dict[str, str]) -> None:
        with contextlib.suppress(NetLibraryError):  # the lab is gone
            while not self._over.wait(5):
                self._say_how_it_is(name, True, info)

    def stop_lab(self) -> None:
        """Takes the lab down."""
        self._over.set()
        if self._name:
            self._lab("down")

    def suite_should_pass(self, suite: str, *options: str) -> None:
        """Runs a suite on the lab; fails with the messages of its tests that failed. Skipped tests are listed."""
        tests = self._tests(suite, *options)
        for test in tests:
            if test.skipped:
                logger.info(f"skipped: {test.name}: {test.message.splitlines()[0]}", also_console=True)
        wrong = [f"{test.name}: {test.message}" for test in tests if test.failed]
        if wrong or not any(test.passed for test in tests):
            raise AssertionError("\n".join(wrong) or f"No test of {suite} ran.")

    def suite_should_pass_in_a_closed_namespace(self, suite: str, *options: str) -> None:
        """Runs a suite in a namespace that is `restricted`, has a quota and limits, and lets nobody in or out."""
        lab, team = Lab(self._name), f"closed-{suite.replace('_', '-')}"
        parts = SKUPPER if suite == "skupper_iperf3" else ()
        lab.kubectl("apply", "-f", "-", stdin=GUARD)
        for name in [f"{team}-{part}" for part in parts] or [team]:
            lab.kubectl("create", "namespace", name)
            lab.kubectl("label", "namespace", name, "closed=yes", "pod-security.kubernetes.io/enforce=restricted")
            lab.kubectl("-n", name, "apply", "-f", "-", stdin=CLOSED)
        names = [f"SKUPPER_{part.upper()}_NAMESPACE:{team}-{part}" for part in parts] or [f"NAMESPACE:{team}"]
        if suite in STAND_INS:
            lab.install(STAND_INS[suite])
        self.suite_should_pass(suite, *(word for each in (*names, *FITTING) for word in ("-v", each)), *options)

    def keep_pods_away(self, cordoned: str, tainted: str) -> None:
        """Cordons one node and taints another, as their owner does."""
        Lab(self._name).kubectl("cordon", cordoned)
        Lab(self._name).kubectl("taint", "nodes", tainted, "dedicated=db:NoSchedule")

    def suite_should_fail_only_in(self, suite: str, name: str, words: str) -> None:
        """Runs a suite on the lab; one test must fail, with these words, and no other."""
        tests = self._tests(suite)
        wrong = [f"{test.name}: {test.status}: {test.message}" for test in tests
                 if test.failed != (test.name == name) or (test.failed and words not in test.message)]  # fmt: skip
        if wrong:
            raise AssertionError("\n".join(wrong))

    def rows_should_be_skipped(self, suite: str, words: str, *options: str) -> None:
        """Runs a suite on the lab; every test must be skipped, with these words."""
        wrong = [f"{test.name}: {test.status}: {test.message}" for test in self._tests(suite, *options)
                 if not test.skipped or words not in test.message]  # fmt: skip
        if wrong:
            raise AssertionError("\n".join(wrong))

    def _tests(self, suite: str, *options: str) -> list[Any]:
        return run_suite(suite, output_folder(self._name, suite), "-v", f"CLUSTER:lab:{self._name}", *options)

    def _lab(self, command: str, *options: str) -> None:
        words = [sys.executable, "-m", "NetLibrary.lab", command, "--name", self._name, *options]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=1800)
        logger.info(done.stderr)
        if done.returncode:
            raise AssertionError(f"lab {command} {' '.join(options)} failed: {done.stderr[-1000:]}")
