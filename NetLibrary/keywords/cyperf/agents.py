"""Keywords for CyPerf agents in Kubernetes: nodes, Deployments, registration, logs."""

from __future__ import annotations

import ast
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from robot.api import logger

from NetLibrary._mechanics.errors import InputError, NotFound, WaitTimeout
from NetLibrary.keywords import _robot
from NetLibrary.keywords.cyperf._shared import MANIFESTS, CyPerfBase, keyword
from NetLibrary.types import CyPerfRole

if TYPE_CHECKING:
    from NetLibrary._mechanics.cyperf.controller import Controller
    from NetLibrary._mechanics.cyperf.nodes import NodeReading
    from NetLibrary._mechanics.cyperf.objects import Deployed
    from NetLibrary._mechanics.cyperf.types import Agent


class CyPerfAgentKeywords(CyPerfBase):
    """Deploy, scale and watch agents."""

    @keyword()
    def label_cyperf_nodes(
        self, *, client_nodes: list[str] | str | None = None, server_nodes: list[str] | str | None = None,
        device_namespace: str | None = None, device_labels: str | None = None, role: CyPerfRole | None = None,
        cluster: str | None = None,
    ) -> dict[str, str]:  # fmt: skip
        """Labels nodes with `agenttype=client` and `agenttype=server`, which the manifests select for the agents.

        An existing label is kept, used and never removed. For a role without labelled nodes, nodes are chosen that are
        ready, schedulable, run Linux and are not used by the device under test. Labels that this keyword sets are
        recorded in the node and removed at the end of the run, or by a sweep from another machine.

        Args:
            client_nodes: Nodes for clients, as a list or as names separated by commas.
            server_nodes: Nodes for servers.
            device_namespace: Namespace of the pods of a device under test that runs in this cluster.
            device_labels: Labels of those pods, for instance `app=firewall`; agents never share a node with them.
            role: The only role that agents have in this cluster, if the others run elsewhere; both by default.
            cluster: Alias of the cluster.
        Returns:
            Role by node name.

        ```robotframework
        *** Test Cases ***
        Clients Have A Node Of Their Own
            Label CyPerf Nodes    client_nodes=node1    server_nodes=node2,node3
        ```
        """
        from NetLibrary._mechanics.cyperf import placement, reach

        connection = self.session.cluster(cluster)
        device = reach.device_nodes(connection, device_namespace, device_labels)
        listed = connection.list("Node")
        found = placement.choose(
            listed, clients=_names(client_nodes), servers=_names(server_nodes), device=device,
            wanted=[role.value.lower()] if role else placement.ROLES, settings=connection.pod_settings(),
        )  # fmt: skip
        if device:
            self._cyperf.device_nodes = sorted(device)
        for name, label in found.new.items():
            placement.label(connection, name, label)
        kept = {name: role for name, role in found.roles.items() if name not in found.new}
        rows = [
            [name, role, "set by this run" if name in found.new else "existing"] for name, role in found.roles.items()
        ]
        rows += [[name, "-", why] for name, why in found.passed_over.items()]
        _robot.log_table(["Node", "Agents", "Why"], rows, f"Nodes of the CyPerf agents ({placement.NODE_LABEL})")
        if kept:
            words = ", ".join(f"{name} {role}" for name, role in kept.items())
            logger.info(f"The label {placement.NODE_LABEL} already existed and is kept: {words}")
        return found.roles

    @keyword()
    def deploy_cyperf_agents(
        self, role: CyPerfRole, namespace: str, *, replicas: int = 1, image: str | None = None,
        manifest: Path | None = None, node_selector: Mapping[str, str] | None = None, memory: str | None = None,
        memory_request: str | None = None, memory_limit: str | None = None, cpu_request: str | None = None,
        cpu_limit: str | None = None, management_interface: str | None = None, test_interface: str | None = None,
        readiness: Literal["startup", "traffic", "none"] = "startup", one_per_node: bool = False,
        controller_later: bool = False, timeout: timedelta | None = None, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Deploys agents and waits until the controller lists exactly the agents in these pods.

        The agents get a unique tag besides those in the manifest, so that they cannot be confused with agents of others
        or with stale ones of former pods. Anything not given stays as in the manifest.

        Args:
            role: Client or Server.
            namespace: Namespace for the Deployment; it must exist.
            replicas: Number of agents.
            image: Image to use instead of the one in the manifest.
            manifest: File with the Deployment; `manifests/cyperf/client.yaml` or `server.yaml` by default.
            node_selector: Labels of the nodes; by default `agenttype`, as in the manifest.
            memory: Memory request and limit in one, for instance `4Gi`.
            memory_request: Memory that the node must have free.
            memory_limit: Memory beyond which the agent is killed.
            cpu_request: CPU that the node must have free, for instance `3500m`.
            cpu_limit: CPU beyond which the agent is throttled.
            management_interface: Interface that leads to the controller, for instance `eth0`.
            test_interface: Interface for the traffic, for instance `net1`; the management interface by default.
            readiness: `startup`: ready once started. `traffic`: ready only while it serves a test, for scaling up
                during a run. `none`: no probe.
            one_per_node: Whether each agent needs a node of its own.
            controller_later: Whether to leave the agents without a controller, for [Set Controller Of CyPerf Agents].
            timeout: How long the start of the pods and their registration may take together.
            cluster: Alias of the cluster.
        Returns:
            The tag, `key:value`, for [Assign CyPerf Agents].

        ```robotframework
        *** Test Cases ***
        Two Servers
            Deploy CyPerf Agents    Server    cyperf    replicas=2    memory=4Gi    cpu_limit=3.5
        ```
        """
        from NetLibrary._mechanics.cyperf import objects
        from NetLibrary._mechanics.cyperf.objects import Deployed
        from NetLibrary._mechanics.facts import STAND_IN_LABEL

        controller, connection = self._controller(), self.session.cluster(cluster)
        if replicas < 1:
            raise InputError(f"replicas is {replicas}; at least 1 is needed.")
        value = objects.tag_value(self.session.run_id, namespace, role)
        interfaces = {
            "AGENT_MANAGEMENT_INTERFACE": management_interface or "", "AGENT_TEST_INTERFACE": test_interface or "",
        }  # fmt: skip
        rendered = objects.render(
            manifest or MANIFESTS / f"{role.value.lower()}.yaml", role, namespace=namespace, image=image,
            controller=None if controller_later else self._cyperf.agents_address,
            tags={objects.TAG_KEY: value}, replicas=replicas, node_selector=node_selector,
            resources=objects.resources_of(memory, memory_request, memory_limit, cpu_request, cpu_limit),
            environment={name: text for name, text in interfaces.items() if text}, readiness=readiness,
            one_per_node=one_per_node, avoid=self._cyperf.device_nodes,
            labels={STAND_IN_LABEL: "cyperf-agent"} if controller.stand_in else None,
        )  # fmt: skip
        try:
            connection.get("Namespace", namespace)
        except NotFound:
            raise InputError(f"namespace is '{namespace}', which does not exist; use 'Create Namespace'.") from None
        objects.check_kinds(connection, rendered)
        for obj in rendered:
            connection.apply(obj)
        container = objects.agent_container(rendered[-1], role)
        deployed = Deployed(
            role, namespace, rendered[-1]["metadata"]["name"], f"{objects.TAG_KEY}:{value}", str(container["image"]),
            replicas, readiness == "traffic", str(container["name"]),
        )  # fmt: skip
        self._cyperf.deployed[role] = deployed
        self._cyperf.clusters[role] = cluster
        if controller_later:
            objects.wait_for_pods(connection, deployed, self._seconds(timeout), logger.info)
        else:
            self._registered(controller, deployed, self._seconds(timeout))
        return deployed.tag

    @keyword()
    def set_controller_of_cyperf_agents(
        self, role: CyPerfRole, address: str | None = None, *, timeout: timedelta | None = None
    ) -> None:
        """Sets the agents' controller with their own command-line tool and waits until the controller lists them.

        The agents run `cyperfagent controller set`, as on virtual machines.

        Args:
            role: Client or Server.
            address: Address at which agents reach the controller; by default, that of the library's connection.
            timeout: How long registration may take.

        ```robotframework
        *** Test Cases ***
        Agents Learn Their Controller Later
            Deploy CyPerf Agents    Server    cyperf    controller_later=True
            Set Controller Of CyPerf Agents    Server
        ```
        """
        from NetLibrary._mechanics.cyperf import objects

        deployed = self._deployed(role)
        connection = self.session.cluster(self._cyperf.clusters.get(role))
        wanted = address or self._cyperf.agents_address
        for pod in objects.live_pods(connection, deployed):
            name = str(pod["metadata"]["name"])
            command = ["cyperfagent", "controller", "set", wanted]
            container = deployed.container or None
            said = connection.exec(deployed.namespace, name, command, container=container, timeout=60, again=True)
            logger.info(f"{name}: {(said.stdout + said.stderr).strip() or 'controller set'}")
        self._registered(self._controller(), deployed, self._seconds(timeout))

    def _registered(self, controller: Controller, deployed: Deployed, seconds: float) -> dict[str, Agent]:
        from NetLibrary._mechanics.cyperf import causes, objects

        connection = self.session.cluster(self._cyperf.clusters.get(deployed.role))
        begin = time.monotonic()
        try:
            pods = objects.wait_for_pods(connection, deployed, seconds, logger.info)
            left = max(1.0, seconds - (time.monotonic() - begin))
            return controller.wait_for_agents(
                pods, deployed.tag, timeout=left, progress=logger.info,
                still_there=lambda: objects.check_pods(connection, [deployed]),
            )  # fmt: skip
        except WaitTimeout as error:
            self._keep_agent_logs(_robot.output_dir())
            host, _, port = self._cyperf.agents_address.partition(":")
            lines = causes.probe(connection, deployed, host, int(port or 443))
            raise WaitTimeout("\n".join([str(error), *lines])) from error
        except Exception:
            self._keep_agent_logs(_robot.output_dir())
            raise

    @keyword()
    def scale_cyperf_agents(
        self, role: CyPerfRole, replicas: int, *, wait_until_registered: bool = True, timeout: timedelta | None = None
    ) -> None:
        """Changes the number of agents, even while a test is running.

        Agents that start during a run join it if the session assigns agents by tag. Those of removed pods stay listed
        at the controller as offline; [Delete Offline CyPerf Agents] removes them.

        Args:
            role: Client or Server.
            replicas: New number.
            wait_until_registered: Whether to wait until the controller lists exactly the new set.
            timeout: How long that may take.
        """
        from NetLibrary._mechanics.cyperf import objects

        deployed = self._deployed(role)
        if replicas < 0:
            raise InputError(f"replicas is {replicas}; it cannot be negative.")
        connection = self.session.cluster(self._cyperf.clusters.get(role))
        objects.keep_logs(connection, deployed)
        body = {"spec": {"replicas": replicas}}
        connection.patch("Deployment", deployed.name, deployed.namespace, body, subresource="scale")
        logger.info(f"{role.value} agents: {deployed.replicas} -> {replicas}")
        deployed.replicas = replicas
        if wait_until_registered:
            self._registered(self._controller(), deployed, self._seconds(timeout))

    @keyword()
    def wait_until_cyperf_agents_are_registered(
        self, role: CyPerfRole, *, timeout: timedelta | None = None
    ) -> dict[str, Agent]:
        """Waits until the controller lists exactly the agents in this run's pods of a role.

        Args:
            role: Client or Server.
            timeout: How long it may take.
        Returns:
            Agents by pod name.
        """
        deployed = self._deployed(role)
        found = self._registered(self._controller(), deployed, self._seconds(timeout))
        rows = [[pod, agent.ip, agent.id, ", ".join(agent.tags)] for pod, agent in sorted(found.items())]
        _robot.log_table(["Pod", "Address", "Agent", "Tags"], rows, f"{role.value} agents")
        return found

    @keyword(tags=["cyperf", "disruptive"])
    def kill_cyperf_agent_pod(self, role: CyPerfRole) -> str:
        """Kills one agent pod of this run at once, after saving its log.

        Args:
            role: Client or Server.
        Returns:
            Name of the pod.
        """
        from NetLibrary._mechanics.cyperf import objects

        deployed = self._deployed(role)
        connection = self.session.cluster(self._cyperf.clusters.get(role))
        self._keep_agent_logs(_robot.output_dir())
        pods = objects.live_pods(connection, deployed)
        if not pods:
            raise InputError(f"There is no {role.value.lower()} agent pod to kill.")
        name = str(pods[0]["metadata"]["name"])
        connection.delete("Pod", name, deployed.namespace, grace_seconds=0)
        logger.info(f"Killed pod '{deployed.namespace}/{name}'.")
        return name

    @keyword(formerly=["Purge Offline CyPerf Agents"])
    def delete_offline_cyperf_agents(self) -> int:
        """Deletes this run's offline agents at the controller, never those of others.

        Returns:
            How many were deleted.
        """
        tags = [deployed.tag for deployed in self._cyperf.deployed.values()]
        gone = self._controller().purge_agents(tags)
        logger.info(f"Deleted {len(gone)} offline agents: {', '.join(agent.hostname for agent in gone) or 'none'}.")
        return len(gone)

    @keyword()
    def save_cyperf_agent_logs(self) -> list[Path]:
        """Writes the log of every agent pod of this run into the output folder.

        Agents in containers do not contribute to the controller's diagnostics, so these logs are the only source.

        Returns:
            The files.
        """
        return self._keep_agent_logs(_robot.output_dir())

    @keyword()
    def read_cyperf_nodes(
        self, namespace: str, *, image: str | None = None, timeout: timedelta | None = None, cluster: str | None = None
    ) -> list[NodeReading]:
        """Reads the connection tracking and the clock of each node through a small pod on the node's network.

        After that, the checklist and the explanation of failed runs include the nodes.

        Args:
            namespace: Namespace for the reading pods.
            image: Image with `sh`, `cat` and `date`; busybox by default.
            timeout: How long the pods may take to start.
            cluster: Alias of the cluster.
        Returns:
            One reading for each node.
        """
        from NetLibrary._mechanics.cyperf import nodes, show

        connection = self.session.cluster(cluster)
        if self._cyperf.reader_namespace != namespace:
            nodes.deploy(connection, MANIFESTS / "node-reader.yaml", namespace, image, self._seconds(timeout))
            self._cyperf.reader_namespace = namespace
        found = nodes.read(connection, namespace)
        self._show(show.readings(found))
        return found


def _names(value: list[str] | str | None) -> list[str] | None:
    if isinstance(value, str) and value.strip().startswith("["):
        value = [str(each) for each in ast.literal_eval(value)]
    parts = value.split(",") if isinstance(value, str) else value or []
    return [part.strip() for part in parts if part.strip()] or None
