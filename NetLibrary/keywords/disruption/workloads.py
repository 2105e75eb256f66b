"""Disturbances that any cluster knows: rollouts, deleted pods, a command of the user's. They need leave."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from datetime import timedelta
from typing import Literal

from robot.api import logger

from NetLibrary._mechanics.errors import EnvironmentProblem, ExecFailed, InputError
from NetLibrary._mechanics.secrets import head
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords._outages import measured_step
from NetLibrary.keywords.disruption._shared import DisruptionBase

NetworkRole = Literal["plugin", "service proxy", "load balancer", "dns"]


class WorkloadDisruptionKeywords(DisruptionBase):
    """Restart and delete workloads; run your own tools."""

    @keyword(tags=["disruptive"])
    def get_network_workload(
        self, role: NetworkRole, workload: str | None = None, *, node: str | None = None, cluster: str | None = None
    ) -> dict[str, str]:
        """Returns the DaemonSet or Deployment that provides one part of the cluster's network; skips if there is none.

        It is recognised by the names and labels in its maker's manifests: flannel, kube-router, Calico, Cilium, Antrea,
        Kube-OVN and others; kube-proxy; MetalLB, kube-vip; CoreDNS. The keyword also checks the rights that a restart
        needs, and skips the test if they are missing.

        Args:
            role: `plugin` (connects the pods), `service proxy`, `load balancer` (announces addresses) or `dns`.
            workload: `namespace/name`, if it is not the one that would be recognised.
            node: Also find its pod on this node, to run commands in.
            cluster: Alias of the cluster.
        Returns:
            `product`, `kind`, `namespace`, `name`, `labels` (a selector for its pods), `device` (name of the tunnel
            device that it creates on nodes, if any) and, with `node`, its `pod` there.

        ```robotframework
        *** Test Cases ***
        The Network Survives An Update
            &{plugin}    Get Network Workload    plugin
            Start Outage Measurement    update    demo    pod on other node
            Restart Workload    ${plugin}[kind]    ${plugin}[name]    ${plugin}[namespace]
            Outages Should Be Within Limits    longest_outage_at_most=500 ms
        ```
        """
        from NetLibrary._mechanics.kube import network_workloads

        connection = self.session.cluster(cluster)
        found = network_workloads.find(connection, role, workload or "")
        network_workloads.require_rights(connection, found, inside=node is not None)
        told = "DNS" if role == "dns" else role
        text = f"The {told} is {found.product}: {found.kind} {found.namespace}/{found.name}."
        logger.info(text)
        _robot.console(f"  {text}")
        more = {"pod": network_workloads.pod_on_node(connection, found, node)} if node else {}
        return {**asdict(found), **more}

    @keyword(tags=["disruptive"])
    def run_command_during_measurement(
        self,
        *command: str,
        step: str | None = None,
        pod: str | None = None,
        namespace: str | None = None,
        timeout: timedelta = timedelta(minutes=5),
        cluster: str | None = None,
    ) -> str:
        """Runs a command as a step of the disturbance, for instance a CNI's reload tool.

        A single text runs in a shell, so it may use pipes, chains and redirections. KUBECONFIG points to the measured
        cluster and its context; in a lab, kubectl is on PATH. Output and exit status are in the log; a command that
        fails is an error. If it starts something that goes on after it has returned, for instance with
        `kubectl rollout restart`, [Outages Should Be Within Limits] waits for that.

        Args:
            command: Text for the shell, or a program and its arguments.
            step: Name of the step in the table and the picture; the command by default.
            pod: Pod to run it in; this machine by default.
            namespace: Namespace of the pod.
            timeout: Longest time for the command; after that, it is ended with every process that it started.
            cluster: Alias of the cluster.
        Returns:
            What it printed.

        ```robotframework
        *** Test Cases ***
        Names Survive A Rollout
            Start Outage Measurement    rollout    demo    dns
            Run Command During Measurement    kubectl -n kube-system rollout restart deployment coredns
            Outages Should Be Within Limits    longest_outage_at_most=1 s
        ```
        """
        from NetLibrary._mechanics.disruption import command as commands

        text = " ".join(command).strip()
        if not text:
            raise InputError("command is empty; give a text for the shell, or a program and its arguments.")
        if (pod is None) != (namespace is None):
            raise InputError("pod and namespace belong together: give both or neither.")
        self._allow(cluster, f"the command '{head(text, 80)}'")
        connection = self.session.cluster(cluster)
        seconds = timeout.total_seconds()
        with measured_step(self.session, step or head(text, 60)):
            if pod is not None and namespace is not None:
                words = shlex.split(command[0]) if len(command) == 1 else list(command)
                try:
                    return str(connection.exec(namespace, pod, words, timeout=seconds).stdout)
                except ExecFailed as err:
                    raise EnvironmentProblem(f"A step of the disturbance failed: {err}") from err
            with commands.kubectl_environment(connection) as environment:
                done = commands.run(command[0] if len(command) == 1 else command, environment, seconds)
        how = f"was ended after {done.late:g} s" if done.late else f"ended with exit status {done.status}"
        logger.info(f"'{done.text}' {how}; it printed:\n{done.output or '(nothing)'}")
        if done.errors.strip():
            logger.info(f"On its standard error:\n{done.errors}")
        return done.require_success()

    @keyword(tags=["disruptive"])
    def restart_workload(
        self,
        kind: str,
        name: str,
        namespace: str,
        *,
        wait_until_complete: bool = True,
        timeout: timedelta = timedelta(minutes=3),
        cluster: str | None = None,
    ) -> None:
        """Restarts a Deployment, StatefulSet or DaemonSet as `kubectl rollout restart` does, and waits for the rollout.

        A workload that the run did not create is restarted in a lab; elsewhere, only with `-v ALLOW_DISRUPTION:True`.

        Args:
            kind: `Deployment`, `StatefulSet` or `DaemonSet`, or kubectl's short name.
            name: Name of the workload.
            namespace: Its namespace.
            wait_until_complete: Whether to wait until the rollout is over.
            timeout: Longest time for the rollout.
            cluster: Alias of the cluster.
        """
        from NetLibrary._mechanics.kube import rollouts

        connection = self.session.cluster(cluster)
        if not self._is_own(connection, kind, name, namespace):
            self._allow(cluster, f"a restart of {kind} '{namespace}/{name}'")
        with measured_step(self.session, f"restart {name}"):
            changed = rollouts.restart(connection, kind, name, namespace)
            if wait_until_complete:
                rollouts.wait(
                    connection, rollouts.workload_kind(connection, kind), name, namespace,
                    generation=changed["metadata"].get("generation", 0), timeout=timeout.total_seconds(),
                    say=logger.info,
                )  # fmt: skip

    @keyword(tags=["disruptive"])
    def delete_pods_and_wait(
        self,
        namespace: str,
        labels: str,
        *,
        timeout: timedelta = timedelta(minutes=3),
        cluster: str | None = None,
    ) -> int:
        """Deletes the pods with certain labels and waits until they are gone and as many new ones are ready.

        Like `kubectl delete pods -l LABELS`, it does not check whose pods they are, so it needs permission: see
        [Skip Unless Disruption Is Allowed].

        Args:
            namespace: Their namespace.
            labels: Label selector, for instance `app=ovs`.
            timeout: Longest time for the replacement.
            cluster: Alias of the cluster.
        Returns:
            How many pods were deleted.
        """
        from NetLibrary._mechanics.disruption import workloads

        self._allow(cluster, f"the deletion of pods '{labels}' in '{namespace}'")
        with measured_step(self.session, f"delete pods {labels}"):
            return workloads.delete_pods(
                self.session.cluster(cluster), namespace, labels, timeout=timeout.total_seconds(), say=logger.info
            )
