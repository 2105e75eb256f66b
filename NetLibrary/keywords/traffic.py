"""Keywords that keep traffic to the user's own Services and addresses up while something happens to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary._mechanics.paths import shipped
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._outages import begin_on_good_paths, conclude_pending, finish, state_of
from NetLibrary.types import AddressFamily, OutageTarget, ProbeKind

LONGEST_S = 1800.0
INTERVAL = timedelta(milliseconds=20)
#: Time in which an application may begin to answer; what it did not answer until then is not counted.
FIRST_GOOD_S = 5.0
#: Time beyond the quiet one after which silence is not just that of a starved prober.
STILL_GOOD_S = 1.0
#: An idle connection is for measurements of the network, not for traffic.
SENT = [kind for kind in ProbeKind if kind is not ProbeKind.TCP_IDLE]
FAMILIES: Mapping[AddressFamily, tuple[int, ...]] = {
    AddressFamily.ANY: (), AddressFamily.IPV4: (4,), AddressFamily.IPV6: (6,),
}  # fmt: skip
CLIENT = shipped("manifests", "network_break", "client.yaml")


class TrafficKeywords(KeywordBase):
    """Start and stop traffic to your own targets."""

    @keyword(tags=["outages", "traffic"], renamed={"request_timeout": "silence"})
    def start_traffic(
        self,
        *targets: OutageTarget,
        namespace: str,
        interval: timedelta = INTERVAL,
        silence: timedelta = timedelta(seconds=1),
        settle: timedelta = timedelta(seconds=2),
        recovery: timedelta = timedelta(seconds=30),
        family: AddressFamily = AddressFamily.ANY,
        labels: Mapping[str, str] | None = None,
        node: str | None = None,
        image: str = "",
        timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:
        """Sends requests to one or more targets until [Stop Traffic].

        Requests come from a pod that is removed at the end of the run; requests to a target with ` from outside`
        appended come from the machine that runs the tests. Judge the result with [Outages Should Be Within Limits]. A
        target that gives no good answer before anything is disturbed is an error. Traffic ends with the test that
        started it, or with the suite if a suite setup started it.

        Args:
            targets: Where to send requests: URLs of Services, names or addresses, see [OutageTarget].
            namespace: Namespace of the client pod, and of Services given without a namespace.
            interval: Time between two requests of one kind to one target.
            silence: Time without an answer after which a request counts as failed.
            settle: How long [Stop Traffic] lets traffic go on after everything that changed in the meantime is stable.
            recovery: Longest further time to wait while requests still fail.
            family: Address family, for targets that have addresses of both; by default, the first that each target has.
            labels: Labels of the client pod, for policies that select by label.
            node: Node of the client pod; the scheduler's choice by default.
            image: Image with python3 for the client; see [Get Outage Probe Image] for the default.
            timeout: How long the client may take to start.
            cluster: Alias of the cluster.
        Returns:
            Name of the client pod.

        ```robotframework
        *** Test Cases ***
        Draining A Node Costs Less Than A Second
            Start Traffic    http://web.shop/    tcp://db.shop:5432    http://web.shop/ from outside    namespace=shop
            Restart Workload    Deployment    web    shop
            Stop Traffic
            Outages Should Be Within Limits    longest_outage_at_most=1 s
        ```
        """
        return self._send(
            targets, namespace, interval, silence, settle, recovery, FAMILIES[family], labels, node, image,
            timeout, cluster,
        )  # fmt: skip

    @keyword(tags=["outages", "traffic"], renamed={"request_timeout": "silence"})
    def start_traffic_to_service(
        self,
        service: str,
        namespace: str,
        *,
        port: str = "",
        path: str = "/",
        protocol: Literal["http", "tcp"] = "http",
        interval: timedelta = INTERVAL,
        silence: timedelta = timedelta(seconds=1),
        settle: timedelta = timedelta(seconds=2),
        recovery: timedelta = timedelta(seconds=30),
        labels: Mapping[str, str] | None = None,
        image: str = "",
        client_namespace: str = "",
        timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:
        """Sends requests to a Service from a pod created for it until [Stop Traffic].

        With `http`, requests are sent both over new connections and over one kept connection; a status from 200 to 399
        is good. With `tcp`, only new connections are made. Judge the result with [Outages Should Be Within Limits]. For
        several targets at once, other addresses, or traffic from outside, use [Start Traffic].

        Args:
            service: Name of the Service.
            namespace: Its namespace.
            port: Number or name of its port; not needed if it has only one.
            path: Path of the requests.
            protocol: `http` or `tcp`.
            interval: Time between two requests of one kind.
            silence: Time without an answer after which a request counts as failed.
            settle: How long [Stop Traffic] lets traffic go on after everything that changed in the meantime is stable.
            recovery: Longest further time to wait while requests still fail.
            labels: Labels of the client pod, for policies that select by label.
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
        number = _port(self.session.cluster(cluster), service, namespace, port)
        text = f"{protocol}://{service}.{namespace}:{number}{path if protocol == 'http' else ''}"
        return self._send(
            [OutageTarget.parse(text)], client_namespace or namespace, interval, silence, settle, recovery, (),
            labels, None, image, timeout, cluster,
        )  # fmt: skip

    @keyword(tags=["outages", "traffic"])
    def stop_traffic(self) -> dict[str, Any]:
        """Ends the traffic once everything that changed is stable, and returns what became of the requests.

        Judges nothing; [Outages Should Be Within Limits] does.

        Returns:
            `requests`, `failed`, `failures` by kind, `longest_gap_ms` (the longest time without a good answer),
            `p50_ms`, `p90_ms`, `p99_ms` and `max_ms` of the good answers; the same for each target under `targets`.
        """
        from NetLibrary._mechanics.outages.show import traffic

        state = state_of(self.session)
        if state.running is None:
            raise InputError("No traffic is running; use 'Start Traffic' or 'Start Traffic To Service' first.")
        result = finish(state, settle=True)
        self.session.headline(traffic.html(result))
        return traffic.summary(result)

    # --- behind the keywords ------------------------------------------------------------------------------

    def _send(
        self, targets: Sequence[OutageTarget], namespace: str, interval: timedelta, silence: timedelta,
        settle: timedelta, recovery: timedelta, families: Sequence[int], labels: Mapping[str, str] | None,
        node: str | None, image: str, timeout: timedelta | None, cluster: str | None,
    ) -> str:  # fmt: skip
        from NetLibrary._mechanics.kube.addresses import require_node
        from NetLibrary._mechanics.outages import places, streams
        from NetLibrary._mechanics.outages.run.measurement import Measurement
        from NetLibrary._mechanics.outages.run.settling import Settling
        from NetLibrary._mechanics.polling import settle as until_answered

        if not targets:
            raise InputError("Name at least one target, for instance http://web.shop:8080/healthz.")
        state = state_of(self.session)
        if state.running is not None:
            raise InputError(
                f"The measurement '{state.running.name}' is still running; use 'Stop Traffic' first, or give 'Start "
                "Traffic' "
                "several targets."
            )
        conclude_pending(self.session)
        connection = self.session.cluster(cluster)
        if node:
            require_node(connection, node)
        rates = streams.Rates(
            connection_ms=streams.milliseconds("interval", interval),
            echo_ms=streams.milliseconds("interval", interval),
            kept_ms=streams.milliseconds("interval", interval),
            dns_ms=streams.milliseconds("interval", interval),
            timeout_ms=streams.milliseconds("silence", silence),
        )
        pod = self._client(connection, namespace, image, labels or {}, node, timeout)

        def planned() -> places.Plan:
            return places.plan(
                connection, namespace, (), rates, probes=SENT, families=families, host_port=0, outside=("", 0),
                seconds=LONGEST_S, own=targets, source=pod,
            )  # fmt: skip

        plan = planned()
        label = _robot.current_test() or f"traffic to {', '.join(target.text for target in targets)}"

        def sending(plan: places.Plan) -> Measurement:
            return Measurement(
                label,
                plan.probers,
                plan.targets,
                quiet_s=1.0,
                settle_s=settle.total_seconds(),
                recovery_s=recovery.total_seconds(),
                containers=plan.containers,
                settling=Settling(connection),
                progress=_robot.console,
            )

        parameters = {
            "targets": [target.text for target in targets], "interval_ms": rates.connection_ms,
            "client": f"{namespace}/{pod}",
        }  # fmt: skip
        lab = connection.lab if connection.is_lab else None
        measurement = begin_on_good_paths(
            self.session, connection, sending(plan), lambda: sending(planned()), patience=FIRST_GOOD_S,
            parameters=parameters, endpoints=plan.endpoints, lab=lab,
        )  # fmt: skip
        measurement.wait_quiet()
        if not until_answered(lambda: not measurement.open_outages(), timeout=STILL_GOOD_S, every=0.2):
            broken = ", ".join(measurement.open_outages())
            measurement.abandon()
            state.running = None
            raise EnvironmentProblem(_dead(broken, connection, targets, namespace))
        return pod

    def _client(
        self, cluster: Any, namespace: str, image: str, labels: Mapping[str, str], node: str | None,
        timeout: timedelta | None,
    ) -> str:  # fmt: skip
        from NetLibrary._mechanics.kube import manifests, wait
        from NetLibrary._mechanics.outages import objects

        (pod,) = manifests.load(CLIENT)
        # One client for all traffic that is alike in these
        kind = hashlib.sha256(repr((image, sorted(labels.items()), node)).encode()).hexdigest()[:6]
        pod["metadata"].update(namespace=namespace, name=f"traffic-{self.session.run_id}-{kind}")
        pod["metadata"]["labels"].update(labels)
        pod["spec"]["containers"][0]["image"] = image or objects.probe_image(cluster)
        if node:
            pod["spec"]["nodeName"] = node
        name = str(pod["metadata"]["name"])
        if cluster.find("Pod", name, namespace) is None:
            cluster.apply(pod)
        seconds = timeout.total_seconds() if timeout else self.session.default_timeout
        cluster.wait("Pod", namespace, wait.pods_ready(1, now=cluster.now), name=name, timeout=seconds,
                     what=f"Client pod '{name}'")  # fmt: skip
        return name


def _dead(broken: str, cluster: Any, targets: Sequence[OutageTarget], namespace: str) -> str:
    """Returns why traffic cannot begin: what fails before anything was disturbed shows nothing about a disturbance."""
    from NetLibrary._mechanics.kube.behind import behind, nothing_behind

    told = [
        nothing_behind(behind(cluster, target.host, namespace), int(target.port), "tcp")
        for target in targets
        if target.port.isdigit()
    ]
    why = " ".join(dict.fromkeys(text for text in told if text))
    text = f"Traffic gets no good answers before anything is disturbed: {broken}."
    return f"{text} {why or 'Wait until the application answers before you start the traffic.'}"


def _port(cluster: Any, service: str, namespace: str, port: str) -> str:
    if port:
        return port
    from NetLibrary._mechanics.kube.missing import required

    found = required(cluster, "Service", service, namespace)
    ports = [entry for entry in found["spec"].get("ports") or [] if entry.get("protocol", "TCP") == "TCP"]
    if len(ports) != 1:
        have = ", ".join(str(entry["port"]) for entry in ports) or "none"
        raise InputError(f"port is needed: Service '{namespace}/{service}' has the TCP ports {have}.")
    return str(ports[0]["port"])
