"""What happens to a Service matrix while it probes: pods that restart or vanish, images without a shell, two runs."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from robot.api.deco import keyword, library
from robot.libraries.BuiltIn import BuiltIn
from robot.libraries.Process import Process

from NetLibrary._mechanics.matrix import cases
from NetLibrary._mechanics.probing.types import Outcome
from NetLibrary.keywords.matrix._state import state_of

ROOT = Path(__file__).resolve().parents[2]
BARE = "ghcr.io/netlibrary/agnhost-without-shell:1"


@library(scope="SUITE")
class accidents:  # noqa: N801 - Robot wants the name of the file
    """Makes accidents on purpose."""

    @property
    def _matrix(self) -> Any:
        return state_of(BuiltIn().get_library_instance("NetLibrary").session).built()

    @keyword
    def restart_server_of_pod(self, name: str) -> None:
        """Ends the first process of a pod's container; the kubelet starts the container again."""
        matrix = self._matrix
        words = ["sh", "-c", "kill 1; sleep 5"]
        matrix.cluster.exec(matrix.layout.namespace, name, words, container="agnhost", check=False, timeout=10)

    @keyword
    def delete_pod_at_once(self, name: str) -> None:
        """Deletes a pod without grace, and waits until nothing answers at its address any more.

        The API server forgets the pod at once, while its kubelet still gives the processes their time to end.
        """
        matrix = self._matrix
        ways = [
            (source, target)
            for source, target in cases.pod_ip(matrix.layout, matrix.world, matrix.sources)
            if source.name not in (name, "outside") and target.name == name and target.protocol == "TCP"
        ]
        matrix.cluster.delete("Pod", name, matrix.layout.namespace, grace_seconds=0)
        deadline = time.monotonic() + 15
        while any(seen.outcome is Outcome.CONNECTED for _, _, seen in matrix.fleet.run(ways[:1], limit_ms=300)):
            if time.monotonic() > deadline:
                raise AssertionError(f"The pod '{name}' still answers 15 s after its deletion.")
            time.sleep(0.1)

    @keyword
    def image_without_shell(self) -> str:
        """Loads an image into the lab that has agnhost and nothing else; skips where there is no lab."""
        cluster = BuiltIn().get_library_instance("NetLibrary").session.cluster()
        if not cluster.is_lab:
            BuiltIn().skip("Only a lab can be given an image.")
        from NetLibrary.lab import Recipe
        from NetLibrary.lab.build import programs

        agnhost = programs(lambda text: None) / "agnhost"
        recipe = Recipe("agnhost-without-shell", (BARE,), files={"/agnhost": agnhost}, shell=False,
                        entrypoint=("/agnhost",))  # fmt: skip
        cluster.lab.add_images([recipe])
        return BARE

    @keyword
    def run_suite_twice_at_once(self, *cases: str) -> list[tuple[int, str]]:
        """Starts the suite two times on the same cluster; returns exit status and output of both."""
        robot = Process()
        kubeconfig = self._kubeconfig()
        environment = {**os.environ, "KUBECONFIG": kubeconfig}
        handles = []
        for number in (1, 2):
            folder = Path(BuiltIn().get_variable_value("${OUTPUT DIR}")) / f"at-once-{number}"
            arguments = ["-m", "robot", "-d", str(folder), "--console", "dotted"]
            for case in cases:
                arguments += ["-t", case]
            handles.append(
                robot.start_process(
                    sys.executable, *arguments, str(ROOT / "suites" / "service_matrix.robot"),
                    env=environment, stdout=str(folder) + ".txt", stderr="STDOUT",
                )
            )  # fmt: skip
        results = [
            robot.wait_for_process(handle, timeout=timedelta(minutes=3), on_timeout="kill") for handle in handles
        ]
        return [(result.rc, result.stdout) for result in results]

    @staticmethod
    def _kubeconfig() -> str:
        cluster = BuiltIn().get_library_instance("NetLibrary").session.cluster()
        if cluster.is_lab:
            return str(cluster.lab.kubeconfig)
        return os.environ.get("KUBECONFIG", "")
