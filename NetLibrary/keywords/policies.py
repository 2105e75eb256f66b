"""Keywords for NetworkPolicies: the truth table of pods and ports, as the policies say and as the network does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from NetLibrary._mechanics import defaults
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude
from NetLibrary.types import AddressFamily

if TYPE_CHECKING:
    from NetLibrary._mechanics.policies.results import Table
    from NetLibrary._mechanics.policies.run import Settings
    from NetLibrary._mechanics.policies.subjects import Subjects

Probers = Literal["pods", "copies"]


class PolicyKeywords(KeywordBase):
    """Test NetworkPolicies: build pods, check the table of connections."""

    @keyword(tags=["policy"])
    def build_policy_pods(
        self, *namespaces: str, pods: Sequence[str] = ("a", "b", "c"), image: str = defaults.AGNHOST_IMAGE,
        timeout: timedelta | None = None, cluster: str | None = None,
    ) -> list[str]:  # fmt: skip
        """Creates client and server pods to try policies on, with the same names in each namespace.

        Each pod has the label `pod` with its name and serves HTTP and UDP on ports 8080 and 8081; the ports are named
        `http-8080`, `udp-8080`, `http-8081` and `udp-8081`. The scheduler spreads the pods over the nodes.

        Args:
            namespaces: Names of the namespaces; those that do not exist are created, with the label `ns` set to the
                last word of the name, and removed at the end of the run.
            pods: Names of the pods in each namespace.
            image: agnhost image.
            timeout: Longest time for them to start; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            The names of the namespaces.

        ```robotframework
        *** Test Cases ***
        Nothing Is Denied Without Policies
            Build Policy Pods    demo-x    demo-y
            Network Policies Should Be Enforced    demo-x    demo-y    denied_at_least=0
        ```
        """
        from NetLibrary._mechanics.kube import wait
        from NetLibrary._mechanics.policies import objects

        connection = self.session.cluster(cluster)
        limit = self.session.default_timeout if timeout is None else timeout.total_seconds()
        for namespace in namespaces:
            labels = {"ns": namespace.rpartition("-")[2]}
            connection.enter_namespace(namespace, labels=labels, use_existing=True)
        for namespace in namespaces:
            for name in pods:
                connection.create(objects.pod(name, namespace, image=image))
        for namespace in namespaces:
            connection.wait(
                "Pod", namespace, wait.pods_ready(len(pods), now=connection.now), labels=objects.OURS, timeout=limit,
                what=f"Pods for policies in namespace '{namespace}'",
            )  # fmt: skip
        return list(namespaces)

    @keyword(tags=["policy"])
    def network_policies_should_be_enforced(
        self, *namespaces: str, ports: str | Sequence[str] = "", labels: str = "",
        family: AddressFamily = AddressFamily.ANY, probers: Probers = "pods", image: str = defaults.AGNHOST_IMAGE,
        denied_at_least: int = 1, silence: timedelta = timedelta(seconds=1.5),
        settle: timedelta = timedelta(seconds=5), timeout: timedelta | None = None, name: str | None = None,
        cluster: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Connects every pod to every pod on every port and fails when the network does not do what the policies say.

        The expected outcome is computed from the NetworkPolicies of the namespaces, and from AdminNetworkPolicies if
        the cluster serves them. All connections are tried in parallel. Those with a wrong outcome are retried until
        they are right or `settle` is over; if policies took effect in the meantime, the whole table is tried once more.

        Connections whose outcome proves nothing are counted separately and not judged: pods on the network of their
        node, ports that nothing listens on, datagrams that nothing answers, SCTP without support in the kernel.

        Nothing is changed: probers run by `exec` in the pods, which need a shell, preferably bash or Python. With
        `probers=copies`, a copy with the same labels, and so subject to the same policies, stands in for each pod
        without a shell. A copy is never ready, so no Service sends it traffic, and it is removed after the measurement.

        Args:
            namespaces: Namespaces whose pods are both clients and servers.
            ports: Ports to connect to, such as `8080`, `53/udp` or `http`, separated by commas; by default, those that
                each pod declares.
            labels: Label selector as for kubectl; only matching pods take part.
            family: Address family; by default, all that both ends have.
            probers: Where probes start: only in the pods, or also in copies of pods that have no shell.
            image: Image of the copies, with a shell.
            denied_at_least: How many connections the policies must deny at least; otherwise the table proves nothing.
            silence: Time without an answer after which a connection counts as blocked; with 1.3 s or more, one lost
                packet does no harm.
            settle: Time during which connections with a wrong outcome may still become right.
            timeout: Longest time for the copies to start; the library's `timeout` by default.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.
        Returns:
            Numbers: `connections`, `judged`, `denied`, `open`, `closed`, `refused`, `seconds`.
        Raises:
            Failure: Connections are open although denied, or closed although allowed; the message names the policies
                and the likely cause. Or policies are not enforced at all.

        ```robotframework
        *** Test Cases ***
        The Shop's Policies Hold
            Network Policies Should Be Enforced    shop    ports=http,5432
        ```
        """
        from NetLibrary._mechanics.policies import causes, judge, run

        settings = self._policy_settings(ports, labels, family, probers, image, silence, settle, timeout)
        if denied_at_least < 0:
            from NetLibrary._mechanics.errors import InputError

            raise InputError(f"denied_at_least is {denied_at_least}; allowed: 0 and more.")
        table, subjects = run.measure(self.session.cluster(cluster), namespaces, settings, say=_robot.console)
        found = causes.causes(table, subjects)
        errors = judge.errors(table)
        checks = [] if errors else judge.checks(table, denied_at_least, found)
        label = name or _robot.current_test() or f"policies of {', '.join(namespaces)}"
        parameters = {
            "namespaces": list(namespaces), "ports": _words(ports), "labels": labels, "family": family.value,
            "probers": probers, "denied_at_least": denied_at_least, "silence_ms": settings.limit_ms,
            "settle_seconds": settings.settle_seconds,
        }  # fmt: skip
        return self._conclude_policies(table, subjects, label, parameters, checks, errors, found)

    def _policy_settings(
        self, ports: str | Sequence[str], labels: str, family: AddressFamily, probers: Probers, image: str,
        silence: timedelta, settle: timedelta, timeout: timedelta | None,
    ) -> Settings:  # fmt: skip
        from NetLibrary._mechanics.errors import InputError
        from NetLibrary._mechanics.policies.run import Settings
        from NetLibrary._mechanics.policies.subjects import Port

        if not 0.3 <= silence.total_seconds() <= 30:
            raise InputError(f"silence is {silence.total_seconds():g} s; allowed: 0.3 s to 30 s.")
        return Settings(
            ports=tuple(Port.parse(port) for port in _words(ports)),
            family={AddressFamily.ANY: None, AddressFamily.IPV4: 4, AddressFamily.IPV6: 6}[family],
            labels=labels,
            copies=probers == "copies",
            image=image,
            limit_ms=int(silence.total_seconds() * 1000),
            settle_seconds=settle.total_seconds(),
            timeout_seconds=self.session.default_timeout if timeout is None else timeout.total_seconds(),
        )

    def _conclude_policies(
        self, table: Table, subjects: Subjects, label: str, parameters: dict[str, Any], checks: Any, errors: Any,
        causes: list[str],
    ) -> dict[str, Any]:  # fmt: skip
        from NetLibrary._mechanics.policies import show
        from NetLibrary._mechanics.policies.results import Found
        from NetLibrary._mechanics.report import Picture

        path = _robot.picture_path("policies")
        show.draw(table, path, label)
        numbers = {
            "connections": len(table.cells),
            "judged": len(table.judged),
            "denied": len(table.denied),
            "open": len(table.having(Found.OPEN)),
            "closed": len(table.having(Found.CLOSED)),
            "refused": table.refused,
            "seconds": round(table.seconds, 3),
        }
        tables = [show.differences(table)] if table.wrong else []
        conclude(
            self.session,
            kind="network_policies",
            name=label,
            parameters=parameters,
            checks=checks,
            errors=errors,
            samples=show.samples(table),
            summary={**numbers, "policies": table.policies, "senders": table.senders,
                     "not_judged": len(table.having(Found.NOT_JUDGED)),
                     "settled_after_seconds": round(table.settled_after, 3)},
            causes=causes,
            tables=[*tables, show.grid(table, label), show.facts(table, subjects)],
            pictures=[Picture(path, f"{label}: who reaches whom", headline=bool(table.wrong))],
            console=f"Policies: {len(table.judged)} of {len(table.cells)} connections judged, {len(table.denied)} "
            f"denied, {len(table.wrong)} wrong, in {table.seconds:.1f} s",
        )  # fmt: skip
        return numbers


def _words(ports: str | Sequence[str]) -> list[str]:
    """Takes `80,443` as well as a list."""
    texts = [ports] if isinstance(ports, str) else list(ports)
    return [word.strip() for text in texts for word in str(text).split(",") if word.strip()]
