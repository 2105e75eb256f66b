"""Runs suites on labs that are other kinds of clusters than the usual one, each suite in a Robot of its own."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import time

from robot.api import logger
from running import ROOT, output_folder, run_suite

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary.lab import Lab


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

    def on_node(self, node: str, line: str) -> None:
        """Runs a line of shell in the network of a node."""
        Lab(self._name).node(node).run(["sh", "-ec", line])

    def install_network(self, path: str) -> None:
        """Installs a network that the lab does not know by its manifest, as a user does; waits for nodes and DNS."""
        kubectl = str(Lab(self._name).kubectl_program)
        config = str(Lab(self._name).kubeconfig)
        for words in (
            ["apply", "-f", path],
            ["wait", "--for=condition=Ready", "node", "--all", "--timeout=180s"],
            ["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=180s"],
        ):
            done = subprocess.run(
                [kubectl, "--kubeconfig", config, *words], cwd=ROOT, capture_output=True, text=True, timeout=300
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
        state = {"type": "Ready", "status": str(ready), "reason": "Test", "message": "an object without a kubelet",
                 "lastHeartbeatTime": now}  # fmt: skip
        status = {"conditions": [state], "nodeInfo": info, "capacity": {"pods": "10"}, "allocatable": {"pods": "10"}}
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
        folder = output_folder(self._name, suite)
        tests = run_suite(suite, folder, "-v", f"CLUSTER:lab:{self._name}", *options)
        for test in tests:
            if test.skipped:
                logger.info(f"skipped: {test.name}: {test.message.splitlines()[0]}", also_console=True)
        wrong = [f"{test.name}: {test.message}" for test in tests if test.failed]
        if wrong or not any(test.passed for test in tests):
            raise AssertionError("\n".join(wrong) or f"No test of {suite} ran.")

    def _lab(self, command: str, *options: str) -> None:
        words = [sys.executable, "-m", "NetLibrary.lab", command, "--name", self._name, *options]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=1800)
        logger.info(done.stderr)
        if done.returncode:
            raise AssertionError(f"lab {command} {' '.join(options)} failed: {done.stderr[-1000:]}")
