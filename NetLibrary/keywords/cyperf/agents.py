"""Keywords for a CyPerf controller and its agents in Kubernetes."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from robot.api import logger
from robot.api.types import Secret
from robot.libraries.BuiltIn import BuiltIn

from NetLibrary._mechanics.cyperf import deployment, nodes, placement, reach
from NetLibrary._mechanics.cyperf.controller import Controller
from NetLibrary._mechanics.cyperf.deployment import Deployed
from NetLibrary._mechanics.cyperf.errors import CyPerfError
from NetLibrary._mechanics.cyperf.rest import Connection
from NetLibrary._mechanics.cyperf.types import Agent, CyPerfRole
from NetLibrary._mechanics.errors import InputError, NotFound
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords.cyperf._shared import MANIFESTS, CyPerfBase

STAND_IN = "its controller and agents are NetLibrary's own, no product of Keysight"


class CyPerfAgentKeywords(CyPerfBase):
    """Connect to a controller; deploy, scale and watch agents."""

    @keyword(tags=["cyperf"])
    def connect_to_cyperf_controller(
        self, address: str, *, username: str | None = None, password: Secret | None = None,
        refresh_token: Secret | None = None, certificate: Path | None = None, accept_eula: bool = False,
        agents_address: str | None = None, requests_alias: str | None = None,
        timeout: timedelta = timedelta(seconds=30), wait_for: timedelta = timedelta(0),
    ) -> str:  # fmt: skip
        """Connects to a CyPerf controller; the CyPerf keywords use it from then on.

        The token is renewed whenever it expires. Neither it nor the credentials reach a log: they are taken as
        `Secret` only, which suites make from environment variables.

        Args:
            address: Host, `host:port` or URL of the controller.
            username: User, together with `password`.
            password: Password of the user.
            refresh_token: Refresh or offline token instead of user and password.
            certificate: File of authorities to trust; any certificate is accepted without it, since the appliance
                comes with a self-signed one.
            accept_eula: Whether to accept the licence agreement when nobody has.
            agents_address: Address at which agents reach the controller, if it is another one.
            requests_alias: Alias under which RequestsLibrary gets a session of this connection, without its token.
            timeout: How long one answer may take.
            wait_for: How long to wait for a controller that does not answer yet.
        Returns:
            Version of the controller.

        ```robotframework
        *** Variables ***
        ${PASSWORD: Secret}    %{CYPERF_PASSWORD}

        *** Test Cases ***
        Controller Answers
            ${version}    Connect To CyPerf Controller    cyperf.example    username=admin    password=${PASSWORD}
            Log    ${version}
        ```
        """
        connection = Connection(
            address, username=username, password=password.value if password else None,
            refresh_token=refresh_token.value if refresh_token else None, certificate=certificate,
            timeout=timeout.total_seconds(),
        )  # fmt: skip
        controller = Controller(connection)
        _open(controller, accept_eula, wait_for.total_seconds())
        shared = self._cyperf
        shared.controllers[connection.base] = shared.controller = controller
        shared.agents_address = agents_address or connection.base.partition("://")[2]
        if controller.stand_in:
            self.session.note_stand_in("CyPerf", f"{STAND_IN} (version {controller.version})")
        text = f"CyPerf controller {connection.base}, version {controller.version}"
        logger.info(text)
        _robot.set_suite_metadata("CyPerf controller", text + (" (STAND-IN)" if controller.stand_in else ""))
        if requests_alias:
            _share(connection, requests_alias)
        return controller.version

    @keyword(tags=["cyperf"])
    def get_cyperf_agents(self, *, tag: str | None = None, offline: bool = False) -> list[Agent]:
        """Returns the agents that the controller lists, and shows them in the log.

        Args:
            tag: Only agents with this tag, `key=value` or `key:value`.
            offline: Whether to include agents that have been silent for long.
        """
        agents = self._controller().agents(tag=tag, offline=offline)
        _show_agents("Agents of the CyPerf controller", agents)
        return agents

    @keyword(tags=["cyperf"])
    def label_cyperf_nodes(
        self, *, client_nodes: list[str] | str | None = None, server_nodes: list[str] | str | None = None,
        device_namespace: str | None = None, device_labels: str | None = None, cluster: str | None = None,
    ) -> dict[str, str]:  # fmt: skip
        """Labels nodes with `agenttype=client` and `agenttype=server`, where the manifests put the agents.

        A label that is there already is kept, used and never removed. Where a role has none, nodes are chosen: ready,
        schedulable, Linux, and not used by the device under test. Labels that this keyword sets are noted in the
        annotation `netlibrary.io/labels-<run>` of the node and removed at the end of the run.

        Args:
            client_nodes: Nodes for clients, as a list or as names separated by commas.
            server_nodes: Nodes for servers.
            device_namespace: Namespace of the pods of a device under test that runs in this cluster.
            device_labels: Labels of these pods, for instance `app=firewall`; agents never share a node with them.
            cluster: Alias of the cluster.
        Returns:
            Role by node name.

        ```robotframework
        *** Test Cases ***
        Clients Have A Node Of Their Own
            Label CyPerf Nodes    client_nodes=node1    server_nodes=node2,node3
        ```
        """
        connection = self.session.cluster(cluster)
        device = reach.device_nodes(connection, device_namespace, device_labels)
        listed = connection.list("Node")
        found = placement.choose(
            listed, clients=_names(client_nodes), servers=_names(server_nodes), device=device
        )  # fmt: skip
        self._cyperf.device_nodes = sorted(device)
        borrowed = placement.join(connection, listed, set(found.roles) - set(found.new))
        for name, role in {**found.new, **{name: found.roles[name] for name in borrowed}}.items():
            self.session.on_close(
                f"label of node '{name}'", functools.partial(placement.unlabel, connection, name, role)
            )
        for name, role in found.new.items():
            placement.label(connection, name, role)
        kept = {name: role for name, role in found.roles.items() if name not in found.new}
        rows = [
            [name, role, "set by this run" if name in found.new else "was there"] for name, role in found.roles.items()
        ]
        rows += [[name, "-", why] for name, why in found.passed_over.items()]
        _robot.log_table(["Node", "Agents", "Why"], rows, f"Nodes of the CyPerf agents ({placement.NODE_LABEL})")
        if kept:
            words = ", ".join(f"{name} {role}" for name, role in kept.items())
            logger.info(f"The label {placement.NODE_LABEL} was there already and is kept: {words}")
        return found.roles

    @keyword(tags=["cyperf"])
    def deploy_cyperf_agents(
        self, role: CyPerfRole, namespace: str, *, replicas: int = 1, image: str | None = None,
        manifest: Path | None = None, node_selector: Mapping[str, str] | None = None, memory: str | None = None,
        readiness: Literal["startup", "traffic", "none"] = "startup", one_per_node: bool = False,
        timeout: timedelta | None = None, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Deploys agents and waits until the controller lists exactly the agents of these pods.

        The agents get a tag of their own beside those of the manifest, so that neither agents of others nor
        stale ones of former pods are ever mixed up with them.

        Args:
            role: Client or Server.
            namespace: Namespace for the Deployment; must exist.
            replicas: Number of agents.
            image: Image instead of that of the manifest.
            manifest: File with the Deployment; `manifests/cyperf/client.yaml` or `server.yaml` by default.
            node_selector: Labels of the nodes; `agenttype` as in the manifest when not given.
            memory: Memory of each agent, for instance `256Mi`; that of the manifest when not given.
            readiness: `startup`: ready once started. `traffic`: ready only while a test is served, for scaling up
                during a run. `none`: no probe.
            one_per_node: Whether two agents may never share a node.
            timeout: How long pods and registration may take together.
            cluster: Alias of the cluster.
        Returns:
            The tag, `key:value`, for `Assign CyPerf Agents`.

        ```robotframework
        *** Test Cases ***
        Two Servers
            Deploy CyPerf Agents    Server    cyperf    replicas=2    image=${AGENT_IMAGE}
        ```
        """
        controller, connection = self._controller(), self.session.cluster(cluster)
        if replicas < 1:
            raise InputError(f"replicas is {replicas}; at least 1 is needed.")
        value = deployment.tag_value(self.session.run_id, namespace, role)
        file = manifest or MANIFESTS / f"{role.value.lower()}.yaml"
        objects = deployment.render(
            file, role, namespace=namespace, image=image, controller=self._cyperf.agents_address,
            tags={deployment.TAG_KEY: value}, replicas=replicas,
            node_selector=dict(node_selector) if node_selector is not None else None, memory=memory,
            readiness=readiness, one_per_node=one_per_node, avoid=self._cyperf.device_nodes,
        )  # fmt: skip
        try:
            connection.get("Namespace", namespace)
        except NotFound:
            raise InputError(f"namespace is '{namespace}', which does not exist; use 'Create Namespace'.") from None
        for obj in objects:
            connection.apply(obj)
        made = objects[-1]
        shown = str(made["spec"]["template"]["spec"]["containers"][0]["image"])
        deployed = Deployed(
            role, namespace, made["metadata"]["name"], f"{deployment.TAG_KEY}:{value}", shown, replicas,
            readiness == "traffic",
        )  # fmt: skip
        self._cyperf.deployed[role] = deployed
        self._cyperf.clusters[role] = cluster
        self._registered(controller, deployed, self._seconds(timeout))
        return deployed.tag

    def _registered(self, controller: Controller, deployed: Deployed, seconds: float) -> dict[str, Agent]:
        connection = self.session.cluster(self._cyperf.clusters.get(deployed.role))
        begin = time.monotonic()
        try:
            pods = deployment.wait_for_pods(connection, deployed, seconds, logger.info)
            left = max(1.0, seconds - (time.monotonic() - begin))
            return controller.wait_for_agents(
                pods, deployed.tag, timeout=left, progress=logger.info,
                still_there=lambda: deployment.check_pods(connection, [deployed]),
            )  # fmt: skip
        except Exception:
            self._keep_agent_logs(_robot.output_dir())
            raise

    @keyword(tags=["cyperf"])
    def scale_cyperf_agents(
        self, role: CyPerfRole, replicas: int, *, wait_until_registered: bool = True, timeout: timedelta | None = None
    ) -> None:
        """Changes the number of agents, also while a test runs.

        Agents that are started during a run join it when they were assigned by tag. Those of removed pods stay
        listed at the controller as offline; `Purge Offline CyPerf Agents` removes them.

        Args:
            role: Client or Server.
            replicas: New number.
            wait_until_registered: Whether to wait until the controller lists exactly the new set.
            timeout: How long that may take.
        """
        deployed = self._deployed(role)
        if replicas < 0:
            raise InputError(f"replicas is {replicas}; it cannot be negative.")
        connection = self.session.cluster(self._cyperf.clusters.get(role))
        deployment.keep_logs(connection, deployed)
        body = {"spec": {"replicas": replicas}}
        connection.patch("Deployment", deployed.name, deployed.namespace, body, subresource="scale")
        logger.info(f"{role.value} agents: {deployed.replicas} -> {replicas}")
        deployed.replicas = replicas
        if wait_until_registered:
            self._registered(self._controller(), deployed, self._seconds(timeout))

    @keyword(tags=["cyperf"])
    def wait_until_cyperf_agents_are_registered(
        self, role: CyPerfRole, *, timeout: timedelta | None = None
    ) -> dict[str, Agent]:
        """Waits until the controller lists exactly the agents of this run's pods of a role.

        Args:
            role: Client or Server.
            timeout: How long it may take.
        Returns:
            Agent by pod name.
        """
        deployed = self._deployed(role)
        found = self._registered(self._controller(), deployed, self._seconds(timeout))
        rows = [[pod, agent.ip, agent.id, ", ".join(agent.tags)] for pod, agent in sorted(found.items())]
        _robot.log_table(["Pod", "Address", "Agent", "Tags"], rows, f"{role.value} agents")
        return found

    @keyword(tags=["cyperf"])
    def purge_offline_cyperf_agents(self) -> int:
        """Deletes the offline agents of this run at the controller, never those of others.

        Returns:
            How many were deleted.
        """
        tags = [deployed.tag for deployed in self._cyperf.deployed.values()]
        gone = self._controller().purge_agents(tags)
        logger.info(f"Deleted {len(gone)} offline agents: {', '.join(agent.hostname for agent in gone) or 'none'}.")
        return len(gone)

    @keyword(tags=["cyperf"])
    def save_cyperf_agent_logs(self) -> list[Path]:
        """Writes the log of every agent pod of this run into the output folder.

        Agents in containers do not contribute to the controller's diagnostics, so this is the only place.

        Returns:
            The files.
        """
        return self._keep_agent_logs(_robot.output_dir())

    @keyword(tags=["cyperf"])
    def read_cyperf_nodes(
        self, namespace: str, *, image: str | None = None, timeout: timedelta | None = None, cluster: str | None = None
    ) -> list[nodes.NodeReading]:
        """Reads connection tracking and clock of each node, through one small pod with the node's network.

        Once this was used, the checklist and the explanation of failed runs include the nodes.

        Args:
            namespace: Namespace for the reading pods.
            image: Image with `sh`, `cat` and `date`; busybox when not given.
            timeout: How long the pods may take to start.
            cluster: Alias of the cluster.
        Returns:
            One reading for each node.
        """
        connection = self.session.cluster(cluster)
        if self._cyperf.reader_namespace != namespace:
            nodes.deploy(connection, MANIFESTS / "node-reader.yaml", namespace, image, self._seconds(timeout))
            self._cyperf.reader_namespace = namespace
        found = nodes.read(connection, namespace)
        rows = [
            [each.node, each.entries, each.table_size, each.losses, f"{each.clock:+.1f} s" if each.clock else "-"]
            for each in found
        ]
        _robot.log_table(["Node", "Tracked", "Table", "Refused since boot", "Clock"], rows, "Connection tracking")
        return found


def _open(controller: Controller, accept_eula: bool, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            controller.open(accept_eula=accept_eula)
        except CyPerfError as error:
            waiting = error.status in (0, 502, 503, 504) and time.monotonic() < deadline
            if not waiting:
                raise
            time.sleep(0.5)
        else:
            return


def _share(connection: Connection, alias: str) -> None:
    from NetLibrary._mechanics.cyperf.shared_session import make

    try:
        library: Any = BuiltIn().get_library_instance("RequestsLibrary")
    except RuntimeError as error:
        raise InputError("requests_alias needs a suite that imports RequestsLibrary under its own name.") from error
    library._cache.register(make(connection), alias=alias)


def _names(value: list[str] | str | None) -> list[str] | None:
    parts = value.split(",") if isinstance(value, str) else value or []
    return [part.strip() for part in parts if part.strip()] or None


def _show_agents(caption: str, agents: list[Agent]) -> None:
    rows = [
        [
            agent.hostname, agent.ip, "offline" if agent.offline else agent.status, agent.session_name or "-",
            ", ".join(agent.tags), agent.version,
        ]
        for agent in agents
    ]  # fmt: skip
    _robot.log_table(["Host", "Address", "State", "Session", "Tags", "Version"], rows, caption)
