"""Keywords that keep traffic to a Service of the user's up while something happens to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from robot.api import logger

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import manifests, wait
from NetLibrary._mechanics.outages import objects, places
from NetLibrary._mechanics.outages.run.measurement import Measurement
from NetLibrary._mechanics.outages.run.settling import Settling
from NetLibrary._mechanics.outages.show import traffic
from NetLibrary._mechanics.paths import shipped
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._outages import begin, conclude_pending, finish, state_of
from NetLibrary.types import OutageTarget

LONGEST_S = 1800.0
CLIENT = shipped("manifests", "network_break", "client.yaml")


class TrafficKeywords(KeywordBase):
    """Start and stop traffic."""

    @keyword(tags=["outages", "traffic"])
    def start_traffic_to_service(
        self,
        service: str,
        namespace: str,
        *,
        port: str = "",
        path: str = "/",
        protocol: Literal["http", "tcp"] = "http",
        interval: timedelta = timedelta(milliseconds=20),
        request_timeout: timedelta = timedelta(seconds=1),
        settle: timedelta = timedelta(seconds=2),
        recovery: timedelta = timedelta(seconds=30),
        image: str = "",
        client_namespace: str = "",
        timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:
        """Sends requests to a Service from a pod of its own, until [Stop Traffic].

        With `http`, each request over a new connection, and beside them requests over one kept connection; a status
        from 200 to 399 is good. With `tcp`, new connections alone. Judge with [Outages Should Be Within Limits].

        Args:
            service: Name of the Service.
            namespace: Its namespace.
            port: Number or name of its port; may be left out where it has only one.
            path: Path of the requests.
            protocol: `http` or `tcp`.
            interval: Time between two requests of a kind.
            request_timeout: A request without an answer counts as failed after this time.
            settle: How long traffic goes on at [Stop Traffic], after everything that changed meanwhile is stable.
            recovery: Time beyond that for which is waited at most while requests still fail.
            image: Image with python3 for the client; see [Get Outage Probe Image] for the default.
            client_namespace: Namespace of the client pod; that of the Service by default.
            timeout: How long the client may take to start.
            cluster: Alias of the cluster.
        Returns:
            Name of the client pod.

        ```robotframework
        *** Test Cases ***
        A Rolling Update Loses No Request
            Start Traffic To Service    web    shop
            Restart Workload    Deployment    web    shop
            ${seen}    Stop Traffic
            Outages Should Be Within Limits    failed_connections_at_most=0    longest_outage_at_most=0 s
        ```
        """
        state = state_of(self.session)
        if state.running is not None:
            raise InputError(f"The measurement '{state.running.name}' still runs; use 'Stop Traffic' first.")
        conclude_pending(self.session)
        connection = self.session.cluster(cluster)
        target = OutageTarget.parse(
            f"{protocol}://{service}.{namespace}:{_port(connection, service, namespace, port)}"
            + (path if protocol == "http" else "")
        )
        rates = objects.Rates(
            connection_ms=objects.milliseconds("interval", interval),
            kept_ms=objects.milliseconds("interval", interval),
            timeout_ms=objects.milliseconds("request_timeout", request_timeout),
        )
        where = client_namespace or namespace
        pod = self._client(connection, where, image, timeout)
        plan = places.plan(
            connection, where, (), rates, probes=None, families=(4,), host_port=0, outside=("", 0),
            seconds=LONGEST_S, own=[target], source=pod,
        )  # fmt: skip
        name = _robot.current_test() or f"traffic to {namespace}/{service}"
        measurement = Measurement(
            name,
            plan.probers,
            plan.targets,
            quiet_s=1.0,
            settle_s=settle.total_seconds(),
            recovery_s=recovery.total_seconds(),
            settling=Settling(connection),
            progress=logger.console,
        )
        parameters = {"target": target.text, "interval_ms": rates.connection_ms, "client": f"{where}/{pod}"}
        begin(self.session, measurement, parameters=parameters, endpoints=plan.endpoints)
        measurement.wait_quiet()
        return pod

    @keyword(tags=["outages", "traffic"])
    def stop_traffic(self) -> dict[str, Any]:
        """Ends the traffic when what changed meanwhile is stable, and returns what became of the requests.

        Judges nothing; [Outages Should Be Within Limits] does.

        Returns:
            `requests`, `failed`, `failures` by kind, `longest_gap_ms` (the longest time without a good answer),
            `p50_ms`, `p90_ms`, `p99_ms` and `max_ms` of the good answers.
        """
        state = state_of(self.session)
        if state.running is None:
            raise InputError("No traffic runs; use 'Start Traffic To Service' first.")
        result = finish(state, settle=True)
        self.session.headline(traffic.html(result))
        return traffic.summary(result)

    def _client(self, cluster: Any, namespace: str, image: str, timeout: timedelta | None) -> str:
        (pod,) = manifests.load(CLIENT)
        pod["metadata"].update(namespace=namespace, name=f"traffic-{self.session.run_id}")
        pod["spec"]["containers"][0]["image"] = image or objects.probe_image(cluster)
        name = str(pod["metadata"]["name"])
        if cluster.find("Pod", name, namespace) is None:
            cluster.apply(pod)
        seconds = timeout.total_seconds() if timeout else self.session.default_timeout
        cluster.wait("Pod", namespace, wait.pods_ready(1), name=name, timeout=seconds, what=f"Client pod '{name}'")
        return name


def _port(cluster: Any, service: str, namespace: str, port: str) -> str:
    if port:
        return port
    found = cluster.get("Service", service, namespace)
    ports = [entry for entry in found["spec"].get("ports") or [] if entry.get("protocol", "TCP") == "TCP"]
    if len(ports) != 1:
        have = ", ".join(str(entry["port"]) for entry in ports) or "none"
        raise InputError(f"port is needed: Service '{namespace}/{service}' has the TCP ports {have}.")
    return str(ports[0]["port"])
