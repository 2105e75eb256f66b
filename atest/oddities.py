"""Makes one lab into clusters with an oddity each, and runs suites there, each in a Robot of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import admission
from robot.api import ExecutionResult, logger
from robot.libraries.BuiltIn import BuiltIn
from running import LIMIT_SECONDS, QUIET, ROOT, command_of, lab_of_run, output_folder

from NetLibrary._mechanics.defaults import PROBE_IMAGE
from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary.lab import Lab


class oddities:  # noqa: N801 - Robot looks for a class of the module's name
    """Keywords of the suite about odd clusters."""

    ROBOT_LIBRARY_SCOPE = "SUITE"

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []
        self._words: list[str] = []  # in front of the command that runs a suite
        self._cluster: list[str] = []
        self._environment: dict[str, str] = {}

    @property
    def _lab(self) -> Lab:
        return lab_of_run("The cluster itself is made odd; that is for a lab.")

    # --- what is odd --------------------------------------------------------------------------------------

    def apply_to_cluster(self, name: str, **words: str) -> None:
        """Applies the objects of a file by kubectl until the oddity is ended, with words put in for others."""
        text = Path(__file__).with_name("odd").joinpath(f"{name}.yaml").read_text()
        for word, value in words.items():
            text = text.replace(word, value)
        self._apply(text)

    def _apply(self, text: str) -> None:
        self._lab.kubectl("apply", "-f", "-", stdin=text)
        words = ["delete", "--wait=false", "--ignore-not-found", "-f", "-"]
        self._undo.append(lambda: self._lab.kubectl(*words, stdin=text))

    def send_pods_to_webhook(self, *, answers: bool) -> None:
        """Sends each new pod to a webhook: one that adds a container and a label, or one that nobody serves."""
        if answers:
            self.admit_pods_as("mesh")
            return
        text = admission.configuration(f"https://{self._lab.plan.host}:1/", b"")
        self._apply(json.dumps(text | {"kind": "ValidatingWebhookConfiguration"}))

    def admit_pods_as(self, maker: str | admission.Rule) -> None:
        """Lets a webhook change or refuse each new pod as a maker's cluster does; see `admission.py`."""
        rule = getattr(admission, maker) if isinstance(maker, str) else maker
        text, server = admission.serve(self._folder(), self._lab.plan.host, rule)
        self._undo.append(server.shutdown)
        self._apply(json.dumps(text))

    def answer_slowly(self, seconds: float, lasts: float = 0) -> None:
        """Lets suites talk to the API server by way of somebody who passes on each request late.

        Args:
            seconds: How late.
            lasts: Seconds after which each connection breaks off; 0 for never.
        """
        self.reach_server_by(Relay(self._lab.plan.api_address, 6443, float(seconds), float(lasts)))

    def reach_server_by(self, relay: Relay) -> None:
        """Lets suites talk to the API server by way of a relay on 127.0.0.1."""
        config = json.loads(self._lab.kubeconfig.read_text())
        config["clusters"][0]["cluster"] |= {
            "server": f"https://127.0.0.1:{relay.port}",
            "tls-server-name": "localhost",
        }
        # By way of somebody it is not known as a lab, whose images are its own
        images = ["-v", f"APPLICATION_TOOLS_IMAGE:{PROBE_IMAGE}", "-v", f"OUTAGE_PROBE_IMAGE:{PROBE_IMAGE}"]
        self._use_kubeconfig(self._folder(), config, *images)
        self._undo.append(relay.close)

    def _folder(self) -> Path:
        """Returns a new folder, which goes at the end of the oddity."""
        folder = Path(tempfile.mkdtemp())
        self._undo.append(lambda: shutil.rmtree(folder))
        return folder

    def _use_kubeconfig(self, folder: Path, config: dict[str, Any], *options: str) -> None:
        """Lets suites take a kubeconfig, which is written into a folder, and some options."""
        (folder / "config").write_text(json.dumps(config))
        self._cluster = ["-v", "CLUSTER:kubeconfig", "-v", f"KUBECONFIG:{folder}/config", *options]

    def _meanwhile(self, work: Callable[[threading.Event], None]) -> None:
        """Has something done beside the suites until the oddity is ended, which the event tells."""
        over = threading.Event()
        thread = threading.Thread(target=work, args=(over,), daemon=True)
        thread.start()
        self._undo += [lambda: thread.join(30), over.set]

    def run_suites_with_clock(self, offset: str) -> None:
        """Runs suites on a machine whose clock is wrong."""
        if not shutil.which("faketime"):
            BuiltIn().skip("The program faketime is not installed.")
        self._words = ["faketime", "-f", offset]
        # Under it Python's own sleep fails: it hands on "Invalid argument" for a clock that is not faked
        folder = self._folder()
        text = "import select, time\ntime.sleep = lambda seconds: select.poll().poll(seconds * 1000) and None\n"
        (folder / "sitecustomize.py").write_text(text)
        self._environment = {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}

    def node_is_silent(self, number: int, *programs: str) -> None:
        """Stops programs of a node; its last sign of life is a moment ago."""
        node = self._lab.node(int(number))
        for name in programs:
            node.process(name).stop()
            self._undo.append(node.process(name).start)

    def registry_answers(self, status: int, port: int = 5999) -> None:
        """A registry on each node's own loopback answers everything with one HTTP status."""
        program = Path(__file__).with_name("odd") / "registry.py"
        for node in self._lab.nodes:
            server = node.popen([sys.executable, program, str(status), str(port)])
            self._undo += [partial(server.wait, 10), server.terminate]

    def reach_by_kubeconfig(self) -> None:
        """Lets suites see the lab as any cluster that a kubeconfig names, with a stand-in's image on its nodes."""
        self._lab.install("e2sar")
        self.answer_slowly(0)  # the lab's own kubeconfig would be known

    def nodes_have_label(self, label: str, *nodes: str) -> None:
        """Labels nodes until the oddity is ended."""
        self._lab.kubectl("label", "nodes", *nodes, label)
        self._undo.append(lambda: self._lab.kubectl("label", "nodes", *nodes, f"{label.partition('=')[0]}-"))

    def names_outside_are_not_answered(self) -> None:
        """Lets the cluster's DNS ask an address that nobody has for the names of others."""
        show = ["-n", "kube-system", "get", "configmap", "coredns", "-o", "jsonpath={.data.Corefile}"]
        before = self._lab.kubectl(*show)
        after = re.sub(r"forward \. [^{}]*(\{[^}]*\})?", "", before)
        after = after.replace("prometheus :9153", "prometheus :9153\n    forward . 192.0.2.53")

        def put(text: str) -> None:
            patch = json.dumps({"data": {"Corefile": text}})
            self._lab.kubectl("-n", "kube-system", "patch", "configmap", "coredns", "--type=merge", "-p", patch)
            self._lab.kubectl("-n", "kube-system", "rollout", "restart", "deployment/coredns")
            self._lab.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=90s")

        self._undo.append(lambda: put(before))
        put(after)

    def node_is_tainted(self, name: str, taint: str) -> None:
        """Taints a node until the oddity is ended."""
        self._lab.kubectl("taint", "nodes", name, taint)
        self._undo.append(lambda: self._lab.kubectl("taint", "nodes", name, f"{taint}-"))

    def nodes_come_and_go(self, name: str) -> None:
        """A node without a kubelet joins and leaves every few seconds."""
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux"}}}
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                            "capacity": {"pods": "0"}, "allocatable": {"pods": "0"}}}  # fmt: skip

        def go(over: threading.Event) -> None:
            while not over.is_set():
                with contextlib.suppress(NetLibraryError):
                    self._lab.kubectl("apply", "-f", "-", stdin=json.dumps(node))
                    self._lab.kubectl(
                        "patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps(ready)
                    )
                    over.wait(6)
                with contextlib.suppress(NetLibraryError):  # or it would stay, and be lost after a while
                    self._lab.kubectl("delete", "node", name, "--wait=false", "--ignore-not-found")
                over.wait(4)

        self._meanwhile(go)

    def objects_should_stay(self, namespace: str, kind: str) -> None:
        """Notes the objects of a kind once they stand; at the end of the oddity they must be the same ones."""
        self._lab.kubectl("-n", namespace, "rollout", "status", "daemonset/theirs", "--timeout=90s")
        words = ["-n", namespace, "get", kind, "-o", "jsonpath={.items[*].metadata.uid}"]
        before = sorted(self._lab.kubectl(*words).split())

        def look() -> None:
            after = sorted(self._lab.kubectl(*words).split())
            assert before == after, f"{kind} of others were {before}, are {after}"

        self._undo.append(look)

    def delete_namespace_at_its_first_pod(self) -> None:
        """Deletes the namespace in which the next pod is created, as an administrator does by mistake.

        Until the server has taken the deletion, the creation waits: however slow or quick the suite is, it comes
        between its objects and its result.
        """
        deleted: list[str] = []

        def delete(pod: dict[str, Any]) -> str:
            if not deleted:
                deleted.append(pod["metadata"]["namespace"])
                self._lab.kubectl("delete", "namespace", deleted[0], "--wait=false")
            return ""

        self.admit_pods_as(delete)

    def end_oddity(self) -> None:
        """Makes the cluster ordinary again."""
        wrong = []
        while self._undo:
            try:
                self._undo.pop()()
            except AssertionError as error:
                wrong.append(str(error))
            except (NetLibraryError, OSError) as error:
                logger.warn(f"not undone: {error}")
        self._words, self._cluster, self._environment = [], [], {}
        assert not wrong, "\n".join(wrong)

    # --- what suites say ----------------------------------------------------------------------------------

    def suite_should_pass(self, suite: str, *options: str, within: float = 300) -> None:
        """Runs a suite; no test may fail, and one at least must pass."""
        tests, seconds = self._run(suite, *options)
        self._judge(suite, tests)
        assert seconds <= float(within), f"{suite} took {seconds:.0f} s"

    def suite_should_say(self, words: str, within: float, suite: str, *options: str) -> None:
        """Runs a suite; each test that fails or is skipped says the words, and it takes no longer than it may."""
        tests, seconds = self._run(suite, *options)
        told = [test for test in tests if not test.passed]
        silent = [f"{test.name}: {test.message}" for test in told if words not in test.message]
        assert told, "no test failed or was skipped"
        assert not silent, "\n".join(silent)
        assert seconds <= float(within), f"{suite} took {seconds:.0f} s"

    def rows_should_be_skipped_at_once(self, words: str, suite: str, *options: str) -> None:
        """Runs rows of a suite, disruptive ones too; each is skipped with the words, in less than two seconds."""
        tests, _ = self._run(suite, *options, quiet=())
        assert tests, "no row was chosen"
        limit = timedelta(seconds=2)
        wrong = [f"{test.name}: {test.status} after {test.elapsed_time}: {test.message}" for test in tests
                 if not test.skipped or words not in test.message or test.elapsed_time > limit]  # fmt: skip
        assert not wrong, "\n".join(wrong)

    def _run(self, suite: str, *options: str, quiet: Sequence[str] = QUIET) -> tuple[list[Any], float]:
        place = self._cluster or ["-v", f"CLUSTER:lab:{self._lab.name}"]
        folder = output_folder("odd", f"{BuiltIn().get_variable_value('${TEST NAME}')}-{suite}".replace(" ", "-"))
        words = [*self._words, *command_of(suite, folder, *place, *options, quiet=quiet)]
        done = subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS,
            env={**os.environ, "FAKETIME_DONT_FAKE_MONOTONIC": "1", **self._environment},
        )  # fmt: skip
        logger.info(done.stdout)
        if not (folder / "output.xml").exists():
            raise AssertionError(f"{suite} did not run: {(done.stdout + done.stderr)[-1000:]}")
        ran = ExecutionResult(str(folder / "output.xml")).suite
        seconds = ran.elapsed_time.total_seconds()  # without the start of Robot, which is long on a busy machine
        logger.info(f"{suite}: {seconds:.0f} s", also_console=True)
        return list(ran.all_tests), seconds

    @staticmethod
    def _judge(suite: str, tests: list[Any]) -> None:
        wrong = [f"{test.name}: {test.message}" for test in tests if test.failed]
        if wrong or not any(test.passed for test in tests):
            raise AssertionError("\n".join(wrong) or f"No test of {suite} passed: {tests[0].message}")


class Relay:
    """Passes on what clients send only after a while; answers come at once."""

    def __init__(
        self, host: str, port: int, seconds: float = 0, lasts: float = 0, door: socket.socket | None = None
    ) -> None:
        self._target, self._seconds, self._lasts = (host, port), seconds, lasts
        self._door = door or socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(self._target)
                threading.Thread(target=self._pass, args=(client, server, self._seconds), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, 0.0), daemon=True).start()
                if self._lasts:
                    threading.Timer(self._lasts, self._break_off, args=(client, server)).start()

    @staticmethod
    def _break_off(*both: socket.socket) -> None:
        for each in both:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, seconds: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(seconds)
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
