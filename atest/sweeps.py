"""Kills sweeps, lets them run at once and beside live runs, and gives others copies of what a run made."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from path_proxy import PathProxy
from robot.api import logger
from running import LIMIT_SECONDS, ROOT, tests_of
from upheaval import APPEARANCE_SECONDS, SILENCE_SECONDS, upheaval

from NetLibrary._mechanics.kube.ownership import RUN_LABEL
from NetLibrary._mechanics.polling import settle
from NetLibrary.lab.pki import Authority

COPIED = "configmaps,secrets,services,deployments,serviceaccounts,networkpolicies"
MOST_CHANGES = 6  # after which a sweep is killed
# Identity of an object, which the server gives; `kubectl apply` leaves the rest as it was
IDENTITY = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences")
TAKEN = ("exists and was not created by this run", "exists already")


class sweeps(upheaval):  # noqa: N801 - Robot looks for a class of the module's name
    """Keywords of the suite about sweeps."""

    def __init__(self) -> None:
        super().__init__()
        self._live: tuple[subprocess.Popen[bytes], Path] | None = None
        self._copies: dict[str, Any] = {}
        self._shared: list[str] = []

    # --- dead runs ----------------------------------------------------------------------------------------

    def kill_suite_as_guest(self, suite: str, kind: str, labels: str, *options: str) -> None:
        """Kills a suite that works in a namespace of others, from which a sweep has to take its objects one by one."""
        name = f"shared-{time.time_ns() % 10**6}"
        self._lab.kubectl("create", "namespace", name)
        self._shared.append(name)
        self._kill(suite, kind, labels, "-v", f"NAMESPACE:{name}", *options)
        left = self._left_in(name)
        logger.info("\n".join(left))
        assert len(left) > 2, left

    def kill_suite_in_its_teardown(self, suite: str, *options: str) -> None:
        """Kills a suite with SIGKILL as soon as it has asked for the end of a namespace of its own."""
        there = self._named("namespaces", RUN_LABEL)
        running, _ = self._start(suite, "teardown", *options)
        try:
            settle(lambda: self._ending() - there or running.poll() is not None, timeout=APPEARANCE_SECONDS, every=0.05)
        finally:
            os.kill(running.pid, signal.SIGKILL)
            running.wait(30)

    def _ending(self) -> set[tuple[str, str]]:
        found = self._cluster.list("Namespace", labels=RUN_LABEL)
        return {("", each["metadata"]["name"]) for each in found if each["metadata"].get("deletionTimestamp")}

    def copy_what_was_left(self, namespace: str) -> None:
        """Copies everything in a namespace of a dead run into a new one, with all labels and annotations."""
        made = self._cluster.list("Namespace", labels=RUN_LABEL)
        lab = self._lab
        # The namespace is somebody's copy too
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": _copied(made[0]["metadata"], name=namespace)}
        lab.kubectl("apply", "-f", "-", stdin=json.dumps(space))
        source = made[0]["metadata"]["name"]
        found = json.loads(lab.kubectl("-n", source, "get", COPIED, "-o", "json", "--selector", RUN_LABEL))["items"]
        for obj in found:
            obj.pop("status", None)
            for field in ("clusterIP", "clusterIPs"):
                obj.get("spec", {}).pop(field, None)
            obj["metadata"] = _copied(obj["metadata"], namespace=namespace)
        assert found, "there is nothing to copy"
        lab.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": found}))
        self._copies = self._what_is_in(namespace)
        logger.info("\n".join(self._copies))

    def _what_is_in(self, namespace: str) -> dict[str, Any]:
        lab = self._lab
        found = json.loads(lab.kubectl("-n", namespace, "get", COPIED, "-o", "json", "--selector", RUN_LABEL))["items"]
        found.append(json.loads(lab.kubectl("get", "namespace", namespace, "-o", "json")))
        keys = ("uid", "labels", "annotations", "deletionTimestamp")
        return {f"{o['kind']}/{o['metadata']['name']}": {key: o["metadata"].get(key) for key in keys} for o in found}

    def copies_should_be_there(self, namespace: str) -> None:
        """Fails unless all copies are as they were, and removes them."""
        now = self._what_is_in(namespace)
        for each in (now, self._copies):
            for values in each.values():  # the controller of Deployments counts in here
                (values["annotations"] or {}).pop("deployment.kubernetes.io/revision", None)
        assert now == self._copies, (self._copies, now)
        self._lab.kubectl("delete", "namespace", namespace)

    def wait_until_runs_are_silent(self) -> None:
        """Waits until a run that was killed just now may be swept."""
        time.sleep(SILENCE_SECONDS)

    # --- sweeps -------------------------------------------------------------------------------------------

    def kill_sweeps(self, times: int, seed: str = "") -> None:
        """Kills up to so many sweeps with SIGKILL in their midst, when one sends the change that is drawn.

        The server still gets the last one, whose answer nobody hears.
        """
        number = int(seed or time.time_ns() % 10**6)
        draw = random.Random(number)
        logger.info(f"seed {number}", also_console=True)
        for killed in range(int(times)):
            planned = self._planned()
            if planned < 2:  # no midst is left in which to be killed
                assert killed, f"a sweep would change {planned} objects"
                break
            self._kill_sweep(draw.randint(1, min(planned - 1, MOST_CHANGES)), planned)

    def _planned(self) -> int:
        """Returns how many objects a sweep would change now."""
        words = [*self._sweep(), "--dry-run"]
        said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout
        return said.count("would be")

    def _kill_sweep(self, changes: int, planned: int) -> None:
        """Sweeps by way of a proxy, which kills the sweep when it hears so many changes."""
        heard: list[str] = []
        begun: list[subprocess.Popen[str]] = []

        def hear(method: str) -> None:
            heard.extend([method] if method in ("DELETE", "PATCH") else [])
            if len(heard) == changes and begun:
                os.kill(begun.pop().pid, signal.SIGKILL)

        with tempfile.TemporaryDirectory() as name:
            folder, lab = Path(name), self._lab
            authority = Authority(folder, "proxy")
            authority.issue("server", "proxy", hosts=("127.0.0.1",))
            config = json.loads(lab.kubeconfig.read_text())
            user = config["users"][0].pop("user")
            parts = [base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")]
            (folder / "admin.pem").write_bytes(b"\n".join(parts))
            proxy = PathProxy(folder, "", lab.plan.api_address, 6443, heard=hear, identity=folder / "admin.pem")
            (folder / "server-ca.crt").write_bytes(authority.pem)
            cluster = {"server": f"https://127.0.0.1:{proxy.port}", "certificate-authority": "server-ca.crt"}
            config["clusters"][0]["cluster"], config["users"][0]["user"] = cluster, {"token": "of-the-proxy"}
            (folder / "config").write_text(json.dumps(config))
            words = self._sweep("--kubeconfig", str(folder / "config"))
            sweep = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            begun.append(sweep)
            try:
                said = sweep.communicate(timeout=120)[0]
            finally:
                proxy.close()
        logger.info(f"killed at change {changes} of {planned} objects; it had said:\n{said}", also_console=True)
        assert sweep.returncode == -signal.SIGKILL, f"ended by itself after {len(heard)} changes:\n{said}"

    def sweep_twice_at_once(self) -> None:
        """Sweeps from two programs at the same time; neither may fail."""
        options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        both = [subprocess.Popen(self._sweep(), **options) for _ in range(2)]  # type: ignore[call-overload]
        said = [each.communicate(timeout=120)[0] for each in both]
        logger.info("\n\n".join(said))
        assert [each.returncode for each in both] == [0, 0], said
        assert not [text for text in said if "Traceback" in text], said

    def everything_should_be_back(self) -> None:
        """Fails unless the cluster and this machine are as noted, but for namespaces of others that were made here."""
        left = [f"left in '{name}': {each}" for name in self._shared for each in self._left_in(name)]
        while self._shared:
            self._lab.kubectl("delete", "namespace", self._shared.pop())
        self._everything_should_be_back(left)

    def _left_in(self, namespace: str) -> list[str]:
        kinds = f"{COPIED},poddisruptionbudgets,jobs,pods,leases"
        return self._lab.kubectl("-n", namespace, "get", kinds, "-o", "name", "--selector", RUN_LABEL).split()

    # --- live runs ----------------------------------------------------------------------------------------

    def start_live_run(self, suite: str, *options: str) -> None:
        """Starts a suite and waits until something of it is there."""
        there = self._named("namespaces", RUN_LABEL)
        self._live = self._start(suite, "live", *options)
        self._await("namespaces", RUN_LABEL, self._live[0], there)

    def live_run_should_pass(self) -> None:
        """Waits for the end of the suite; no test of it may have failed."""
        assert self._live is not None
        wrong = _failures(*self._live)
        assert not wrong, "\n".join(wrong)

    def two_runs_should_pass(self, suite: str, *options: str) -> None:
        """Runs a suite twice at once."""
        both = [self._start(suite, f"both-{number}", *options) for number in (1, 2)]
        wrong = [words for each in both for words in _failures(*each)]
        assert not wrong, "\n".join(wrong)

    def two_runs_in_one_namespace_should_not_disturb_each_other(self, suite: str, *options: str) -> None:
        """Runs a suite twice at once in one namespace: at least one run passes, and one that does not says why."""
        name = f"shared-{time.time_ns() % 10**6}"
        self._lab.kubectl("create", "namespace", name)
        both = [self._start(suite, f"shared-{number}", "-v", f"NAMESPACE:{name}", *options) for number in (1, 2)]
        wrong = [_failures(*each) for each in both]
        logger.info("\n".join(words for each in wrong for words in each))
        left = json.loads(self._lab.kubectl("-n", name, "get", COPIED, "-o", "json", "--selector", RUN_LABEL))["items"]
        self._lab.kubectl("delete", "namespace", name)
        assert not all(wrong), "\n".join(words for each in wrong for words in each)
        unsaid = [words for each in wrong for words in each if not any(reason in words for reason in TAKEN)]
        assert not unsaid, "\n".join(unsaid)
        assert not left, [each["metadata"]["name"] for each in left]


def _copied(metadata: dict[str, Any], **changes: str) -> dict[str, Any]:
    return {**{key: value for key, value in metadata.items() if key not in IDENTITY}, **changes}


def _failures(running: subprocess.Popen[bytes], folder: Path) -> list[str]:
    running.wait(LIMIT_SECONDS)
    tests = tests_of(folder)
    assert tests
    return [f"{test.name}: {test.message}" for test in tests if test.failed]
