"""Keywords that disturb a cluster's network. While a measurement runs, each is a step of it, stamped on its clock."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from robot.api import SkipExecution, logger

from NetLibrary._mechanics.errors import EnvironmentProblem, ExecFailed, InputError
from NetLibrary._mechanics.outages import disturb
from NetLibrary._mechanics.outages.measurement import Measurement
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword


class DisturbanceKeywords(KeywordBase):
    """Restart, delete, cut, flush, power-cycle, and run one's own tools."""

    _break_measurement: Measurement | None = None

    # --- disturbances -----------------------------------------------------------------------------------

    @keyword(tags=["break", "disruptive"])
    def run_command_during_measurement(
        self,
        *command: str,
        step: str | None = None,
        pod: str | None = None,
        namespace: str | None = None,
        timeout: timedelta = timedelta(minutes=5),
        cluster: str | None = None,
    ) -> str:
        """Runs a command as a step of the disturbance, for instance the reload tool of a CNI.

        Args:
            command: Program and arguments; a single text is split as a shell would.
            step: Name of the step in table and picture; the command by default.
            pod: Pod to run it in; this machine by default.
            namespace: Namespace of the pod.
            timeout: Limit for the command.
            cluster: Alias of the cluster.
        Returns:
            What it printed.
        """
        words = shlex.split(command[0]) if len(command) == 1 else list(command)
        if not words:
            raise InputError("command is empty; give a program and its arguments.")
        if (pod is None) != (namespace is None):
            raise InputError("pod and namespace belong together: give both or none.")
        self._allow_disruption(cluster, f"the command '{' '.join(words)[:80]}'")
        with self._break_step(step or " ".join(words)[:60]):
            if pod is not None and namespace is not None:
                connection = self.session.cluster(cluster)
                try:
                    return str(connection.exec(namespace, pod, words, timeout=timeout.total_seconds()).stdout)
                except ExecFailed as err:
                    raise EnvironmentProblem(f"A step of the disturbance failed: {err}") from err
            return _run_here(words, timeout.total_seconds())

    @keyword(tags=["break", "disruptive"])
    def restart_workload(
        self,
        kind: str,
        name: str,
        namespace: str,
        *,
        timeout: timedelta = timedelta(minutes=3),
        cluster: str | None = None,
    ) -> None:
        """Restarts a Deployment or DaemonSet and waits until its rollout is over, by watching.

        Args:
            kind: `Deployment` or `DaemonSet`.
            name: Name of the workload.
            namespace: Its namespace.
            timeout: Limit for the rollout.
            cluster: Alias of the cluster.
        """
        self._allow_disruption(cluster, f"a restart of {kind} '{namespace}/{name}'")
        with self._break_step(f"restart {name}"):
            disturb.restart_workload(
                self.session.cluster(cluster), kind, name, namespace, timeout=timeout.total_seconds(), say=logger.info
            )

    @keyword(tags=["break", "disruptive"])
    def delete_pods_and_wait(
        self,
        namespace: str,
        labels: str,
        *,
        timeout: timedelta = timedelta(minutes=3),
        cluster: str | None = None,
    ) -> int:
        """Deletes the pods with certain labels, waits until they are gone and as many new ones are ready.

        Args:
            namespace: Their namespace.
            labels: Label selector, for instance `app=ovs`.
            timeout: Limit for the replacement.
            cluster: Alias of the cluster.
        Returns:
            How many pods were deleted.
        """
        self._allow_disruption(cluster, f"the deletion of pods '{labels}' in '{namespace}'")
        with self._break_step(f"delete pods {labels}"):
            return disturb.delete_pods(
                self.session.cluster(cluster), namespace, labels, timeout=timeout.total_seconds(), say=logger.info
            )

    @keyword(tags=["break", "disruptive", "needs-lab"])
    def restart_node_process(
        self, process: str, *nodes: str, down_for: timedelta = timedelta(0), cluster: str | None = None
    ) -> None:
        """Restarts kubelet, containerd or kube-proxy on nodes of the lab, one node after the other.

        Args:
            process: `kubelet`, `containerd` or `kube-proxy`.
            nodes: Names of nodes; all by default.
            down_for: Time between its end and its start.
            cluster: Alias of the cluster.
        """
        lab = self._lab_to_disturb(cluster, f"a restart of {process}")
        for name in nodes or [node.name for node in lab.nodes]:
            component = lab.node(name).process(process)
            with self._break_step(f"{process} on {name}"):
                component.stop()
                time.sleep(down_for.total_seconds())
                component.start()
                if process == "kubelet":
                    disturb.wait_node_ready(self.session.cluster(cluster), name, timeout=60, say=logger.info)

    @keyword(tags=["break", "disruptive", "needs-lab"])
    def reload_cni_configuration(self, *nodes: str, cluster: str | None = None) -> None:
        """Writes the CNI configuration of lab nodes anew and has the runtime take it up, as a CNI's installer does.

        Args:
            nodes: Names of nodes; all by default.
            cluster: Alias of the cluster.
        """
        lab = self._lab_to_disturb(cluster, "a reload of the CNI configuration")
        for name in nodes or [node.name for node in lab.nodes]:
            node = lab.node(name)
            with self._break_step(f"CNI configuration of {name}"):
                found = sorted(node.folder.rglob("*.conflist"))
                if not found:
                    raise EnvironmentProblem(f"Node '{name}' of the lab has no CNI configuration.")
                for file in found:
                    text = file.read_text()
                    new = file.with_suffix(".new")
                    new.write_text(text)
                    file.unlink()  # the runtime sees it vanish and come back
                    time.sleep(0.2)
                    new.replace(file)

    @keyword(tags=["break", "disruptive", "needs-lab"])
    def cut_node_link(
        self, node: str, *, down_for: timedelta = timedelta(seconds=1), cluster: str | None = None
    ) -> None:
        """Takes the network link of a lab node down, and up again after a time.

        Args:
            node: Name of the node.
            down_for: Time between down and up.
            cluster: Alias of the cluster.
        """
        lab = self._lab_to_disturb(cluster, f"cutting the link of node '{node}'")
        from NetLibrary.lab.faults import Faults, network

        faults = Faults(lab)
        with self._break_step(f"link of {node} down"):
            fault = faults.apply(network.cut_link(node))
        try:
            time.sleep(down_for.total_seconds())
        finally:
            with self._break_step(f"link of {node} up"):
                faults.repair(fault)

    @keyword(tags=["break", "disruptive", "needs-lab"])
    def power_cycle_node(
        self, node: str, *, off_for: timedelta = timedelta(seconds=3), cluster: str | None = None
    ) -> None:
        """Takes the power of a lab node away, pods and network included, gives it back, and waits until it is ready.

        Args:
            node: Name of the node.
            off_for: Time without power.
            cluster: Alias of the cluster.
        """
        lab = self._lab_to_disturb(cluster, f"a power cycle of node '{node}'")
        with self._break_step(f"power of {node} off"):
            lab.node(node).power_off()
        try:
            time.sleep(off_for.total_seconds())
        finally:
            with self._break_step(f"power of {node} on"):
                since = time.time()
                lab.node(node).power_on()
                disturb.wait_node_ready(self.session.cluster(cluster), node, timeout=90, say=logger.info, since=since)

    @keyword(tags=["break", "disruptive", "needs-lab"])
    def flush_service_rules(
        self,
        *nodes: str,
        proxy_down_for: timedelta = timedelta(0),
        forget_connections: bool = False,
        cluster: str | None = None,
    ) -> None:
        """Removes kube-proxy's rules from lab nodes and starts kube-proxy again, which has to write them anew.

        Args:
            nodes: Names of nodes; all by default.
            proxy_down_for: Time between the removal and the start of kube-proxy.
            forget_connections: Also empty connection tracking: connections that are up lose their translation then, and
                some of them are stranded.
            cluster: Alias of the cluster.
        """
        lab = self._lab_to_disturb(cluster, "flushing Service rules")
        from NetLibrary.lab.faults import Faults, processes

        faults = Faults(lab)
        for name in nodes or [node.name for node in lab.nodes]:
            with self._break_step(f"rules of {name} flushed"):
                fault = faults.apply(processes.flush_service_rules(name, forget_connections=forget_connections))
            try:
                time.sleep(proxy_down_for.total_seconds())
            finally:
                with self._break_step(f"kube-proxy of {name} started"):
                    faults.repair(fault)

    @keyword(tags=["break"])
    def wait_during_measurement(self, duration: timedelta, *, step: str = "nothing") -> None:
        """Does nothing for a time, as a step of its own; for the quiet row that shows that nothing is invented.

        Args:
            duration: How long.
            step: Name of the step.
        """
        with self._break_step(step):
            time.sleep(duration.total_seconds())

    # --- behind the keywords ------------------------------------------------------------------------------

    @contextmanager
    def _break_step(self, name: str) -> Iterator[None]:
        if self._break_measurement is None:
            yield
            return
        with self._break_measurement.step(name):
            yield

    def _allow_disruption(self, cluster: str | None, what: str) -> None:
        """Skips what would disturb a cluster that is not ours to disturb."""
        connection = self.session.cluster(cluster)
        if connection.is_lab:
            return
        allowed = _robot.variable("ALLOW_DISRUPTION", False)
        if str(allowed).lower() not in ("true", "yes", "1", "on"):
            raise SkipExecution(
                f"Skipped: {what} would disturb the cluster '{connection.server}', which is not a lab. "
                "Say -v ALLOW_DISRUPTION:True if it may be disturbed."
            )

    def _lab_to_disturb(self, cluster: str | None, what: str) -> Any:
        connection = self.session.cluster(cluster)
        if not connection.is_lab:
            raise SkipExecution(
                f"Skipped: {what} needs the lab (-v CLUSTER:lab). On the cluster '{connection.server}' use "
                "'Run Command During Measurement' with its own tool."
            )
        return connection.lab


def _run_here(words: list[str], timeout: float) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise EnvironmentProblem(f"The command '{words[0]}' does not exist on this machine.") from None
    except PermissionError as err:
        raise EnvironmentProblem(f"The command '{words[0]}' may not be run: {err.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise EnvironmentProblem(f"The command '{' '.join(words)[:200]}' did not end within {timeout:g} s.") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-500:] or "it printed nothing"
        raise EnvironmentProblem(
            f"The command '{' '.join(words)[:200]}' ended with exit status {done.returncode}: {said}"
        )
    return done.stdout
