"""Keywords that test the network of a user's own application: connections, names, path MTUs."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from robot.api import logger

from NetLibrary._mechanics import defaults, errors
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords._conclude import conclude
from NetLibrary.keywords._sources import SourceBase
from NetLibrary.types import AddressFamily, BlockedBy, Protocol, RecordType, Source

if TYPE_CHECKING:
    from NetLibrary._mechanics.connections.results import Answer
    from NetLibrary._mechanics.connections.run import Request
    from NetLibrary._mechanics.kube import Cluster
    from NetLibrary._mechanics.verdict import Check

TWO_SECONDS = timedelta(seconds=2)
FIVE_SECONDS = timedelta(seconds=5)


class ConnectionKeywords(SourceBase):
    """Connect, resolve and measure from pods, nodes and outside."""

    @keyword(tags=["connection"])
    def start_prober(
        self, namespace: str, *, labels: Mapping[str, str] | None = None, node: str | None = None,
        name: str | None = None, image: str = defaults.AGNHOST_IMAGE, timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Starts a pod to connect from and returns it as a [Source].

        The pod is removed at the end of the run. NetworkPolicies apply to its labels, so one prober can stand for an
        allowed client and another for a denied one.

        Args:
            namespace: Namespace of the pod.
            labels: Its labels, for instance `{'role': 'frontend'}`.
            node: Node to run on; the scheduler's choice by default.
            name: Its name; by default, a name that is not in use.
            image: Image with a shell; `agnhost` can connect and resolve names, an image with Python can also measure
                path MTUs.
            timeout: Longest time for it to start; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            `namespace/name`, for the argument `source`.

        ```robotframework
        *** Test Cases ***
        Only The Front End Reaches The Database
            ${web}      Start Prober    shop    labels={'tier': 'web'}
            ${other}    Start Prober    shop
            Connection Should Succeed       db.shop    5432    ${web}
            Connection Should Be Blocked    db.shop    5432    ${other}
        ```
        """
        from NetLibrary._mechanics.connections import objects
        from NetLibrary._mechanics.kube import addresses

        connection = self.session.cluster(cluster)
        if node:
            addresses.require_node(connection, node)
        made = name or f"prober-{secrets.token_hex(3)}"
        limit = self.session.default_timeout if timeout is None else timeout.total_seconds()
        self._start_prober(connection, objects.prober(made, namespace, image=image, labels=labels, node=node), limit)
        return f"{namespace}/{made}"

    @keyword(tags=["connection"])
    def connection_should_succeed(
        self, target: str, port: int, source: Source, *, protocol: Protocol = Protocol.TCP,
        family: AddressFamily = AddressFamily.ANY, attempts: int = 3, timeout: timedelta = TWO_SECONDS,
        settle: timedelta = FIVE_SECONDS, time_at_most: timedelta | None = None, name: str | None = None,
        cluster: str | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Connects from a source to a target and fails unless every judged attempt succeeds.

        Services and policies take effect a moment after they are created, so attempts may fail during the time given by
        `settle`; the first attempt that succeeds and all those after it are judged. Earlier ones are shown in the
        table. Over UDP, a datagram is sent, and any answer counts.

        Args:
            target: Name or address, or pods as `namespace/name` or `namespace/label=value`.
            port: Port.
            source: Where to connect from; see [Source].
            protocol: TCP or UDP.
            family: Address family, for names that have addresses of both.
            attempts: How many attempts are judged.
            timeout: Longest time for one attempt.
            settle: Time during which attempts may still have another outcome.
            time_at_most: Longest time that a connection may take, including name resolution. Sources without Python
                measure in steps of 10 ms; the time that the connecting program takes to start is subtracted.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.
        Returns:
            What was seen, a dictionary for each pair of source and target.
        """
        from NetLibrary._mechanics.connections.results import CONNECTED

        request = _request(protocol, family, attempts, timeout, settle)
        slowest = None if time_at_most is None else time_at_most.total_seconds() * 1000
        return self._connections("connected", {CONNECTED}, target, port, source, request, slowest, name, cluster)

    @keyword(tags=["connection"])
    def connection_should_be_refused(
        self, target: str, port: int, source: Source, *, protocol: Protocol = Protocol.TCP,
        family: AddressFamily = AddressFamily.ANY, attempts: int = 3, timeout: timedelta = TWO_SECONDS,
        settle: timedelta = FIVE_SECONDS, name: str | None = None, cluster: str | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Fails unless every judged attempt is refused at once, as by a port that nothing listens on.

        No answer is not a refusal: it means that something on the path drops packets.

        Args:
            target: Name or address, or pods as `namespace/name` or `namespace/label=value`.
            port: Port.
            source: Where to connect from; see [Source].
            protocol: TCP or UDP.
            family: Address family, for names that have addresses of both.
            attempts: How many attempts are judged.
            timeout: Longest time for one attempt.
            settle: Time during which attempts may still have another outcome.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.
        Returns:
            What was seen, a dictionary for each pair of source and target.
        """
        from NetLibrary._mechanics.connections.results import REFUSED

        request = _request(protocol, family, attempts, timeout, settle)
        return self._connections("refused", {REFUSED}, target, port, source, request, None, name, cluster)

    @keyword(tags=["connection"])
    def connection_should_be_blocked(
        self, target: str, port: int, source: Source, *, protocol: Protocol = Protocol.TCP,
        family: AddressFamily = AddressFamily.ANY, by: BlockedBy = BlockedBy.DROP, attempts: int = 3,
        timeout: timedelta = TWO_SECONDS, settle: timedelta = FIVE_SECONDS, name: str | None = None,
        cluster: str | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Fails unless the network blocks every judged attempt, as a NetworkPolicy does.

        Most policy implementations drop packets. A refusal, or an ICMP "unreachable", counts only with `by=reject` or
        `by=any`, because a port that nothing listens on refuses connections too, and an address may be unused. A name
        that cannot be resolved is never a blocked connection. A Service must have the port and a ready pod behind it:
        otherwise the lack of an answer proves nothing, and the test ends with an error.

        Args:
            target: Name or address, or pods as `namespace/name` or `namespace/label=value`.
            port: Port.
            source: Where to connect from; see [Source].
            protocol: TCP or UDP.
            family: Address family, for names that have addresses of both.
            by: How the network must block the packets.
            attempts: How many attempts are judged.
            timeout: How long there must be no answer.
            settle: Time during which attempts may still have another outcome.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.
        Returns:
            What was seen, a dictionary for each pair of source and target.
        """
        from NetLibrary._mechanics.connections import judge

        request = _request(protocol, family, attempts, timeout, settle)
        kept = judge.BLOCKED[by.value]
        return self._connections("blocked", kept, target, port, source, request, None, name, cluster)

    @keyword(tags=["connection", "dns"])
    def name_should_resolve_to(
        self, name: str, *values: str, source: Source, type: RecordType = RecordType.ADDRESS,
        time_at_most: timedelta | None = None, timeout: timedelta = FIVE_SECONDS, cluster: str | None = None,
    ) -> list[str]:  # fmt: skip
        """Fails unless a name has these records, looked up at a source with the source's own search list.

        Args:
            name: Name to look up, for instance `web.shop` or `web.shop.svc.cluster.local`.
            values: All records that it must have, in any order; if none are given, any record is enough.
            source: Where to ask from; see [Source]. `every node` asks from each node.
            type: Type of the records.
            time_at_most: Longest time until the answer, including the queries for other names of the search list before
                it; for addresses, A and AAAA each. It is measured by `dig` or Python at the source, so the start of a
                program does not count; sources that only have `getent` measure in steps of 10 ms.
            timeout: Longest time to wait for the answer.
            cluster: Alias of the cluster.
        Returns:
            The records that the first source received.
        """
        from NetLibrary._mechanics.connections import judge, run

        sources = self._sources(source, cluster)
        slowest = None if time_at_most is None else time_at_most.total_seconds() * 1000

        def attempt() -> tuple[list[tuple[str, Answer]], list[Check]]:
            answers = run.resolve(sources, name, type.name, timeout.total_seconds())
            return answers, judge.names(answers, name, values, slowest)

        # The cluster's DNS may not have noticed yet that the API server is back
        answers, checks = self.session.cluster(cluster).connection.absences.retried(
            attempt, lambda found: not all(check.passed for check in found[1])
        )
        self._conclude_name(name, type, answers, checks)
        return list(answers[0][1].values)

    @keyword(tags=["connection", "dns"])
    def name_should_not_resolve(
        self, name: str, *, source: Source, type: RecordType = RecordType.ADDRESS,
        timeout: timedelta = FIVE_SECONDS, cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Fails unless a DNS server says that a name does not exist or has no such record.

        A DNS server that fails or does not answer has not said so.

        Args:
            name: Name to look up.
            source: Where to connect from; see [Source].
            type: Type of the records.
            timeout: Longest time to wait for the answer.
            cluster: Alias of the cluster.
        """
        from NetLibrary._mechanics.connections import judge, run

        answers = run.resolve(self._sources(source, cluster), name, type.name, timeout.total_seconds())
        self._conclude_name(name, type, answers, judge.no_names(answers, name))

    @keyword(name="Path MTU Should Be", tags=["connection"])
    def path_mtu_should_be(
        self,
        mtu: int | Literal["device"],
        target: str,
        source: Source,
        *,
        name: str | None = None,
        cluster: str | None = None,
    ) -> int:
        """Fails unless packets up to a size get from a source to a target and larger ones are answered by ICMP.

        Measured by pings with fragmentation forbidden, from the source's own MTU downwards, so the target must answer
        pings. If larger packets vanish without an ICMP message, the keyword fails whatever the size: connections hang
        on such a path.

        Args:
            mtu: Size of the largest packet in bytes, including the IP header; `device` for the MTU of the source's own
                device, so that nothing on the path may be narrower.
            target: Name or address, or a pod as `namespace/name`.
            source: Where to ping from; see [Source]. Its image needs Python.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.
        Returns:
            The size of the largest packet that got through, in bytes.
        """
        from NetLibrary._mechanics.connections import judge, run

        sources, targets = self._sources(source, cluster), self._targets(target, 9, cluster)
        checks, silent, found = [], [], 0
        for place in sources:
            for goal in targets:
                measured = run.measure_path_mtu(place, goal.host)
                where = goal.host if goal.pod is None else f"{goal.name.rpartition(':')[0]}' at '{goal.host}"
                if measured.mtu == 0:
                    silent.append(f"'{where}' does not answer pings from '{place.name}', so nothing was measured.")
                found = measured.mtu
                checks.append(judge.path_mtu(measured, mtu, place.name, where))
        label = name or _robot.current_test() or "path MTU"
        conclude(
            self.session, kind="path_mtu", name=label, parameters={"target": target, "source": str(source)},
            checks=checks, errors=silent, summary={"bytes": found}, metadata={"Path MTU": f"{found} bytes"},
        )  # fmt: skip
        return found

    @keyword(tags=["connection"])
    def skip_unless_network_policies_are_enforced(
        self, namespace: str, *, image: str = defaults.AGNHOST_IMAGE, timeout: timedelta | None = None,
        cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Skips the test where the network ignores NetworkPolicies, as flannel does.

        Two probers find out: a policy denies all traffic to one of them, so its kernel must not get to refuse a
        connection to a port that nothing listens on. No answer counts as enforcement, and so does a refusal by the
        network, as kube-router gives. Probers and policy are removed afterwards, and the answer is remembered for the
        run.

        Args:
            namespace: Namespace for the probers.
            image: Image of the probers.
            timeout: Longest time for them to start; the library's `timeout` by default.
            cluster: Alias of the cluster.
        """
        connection = self.session.cluster(cluster)
        limit = self.session.default_timeout if timeout is None else timeout.total_seconds()
        if connection.server not in self._enforcing:
            self._enforcing[connection.server] = self._policies_are_enforced(connection, namespace, image, limit)
        if not self._enforcing[connection.server]:
            raise errors.Unavailable("The network of this cluster does not enforce NetworkPolicies.")

    # --- helpers --------------------------------------------------------------------------------------

    @cached_property
    def _enforcing(self) -> dict[str, bool]:
        return {}

    def _policies_are_enforced(self, cluster: Cluster, namespace: str, image: str, timeout: float) -> bool:
        from NetLibrary._mechanics.connections import objects, refusals
        from NetLibrary._mechanics.connections.results import REFUSED
        from NetLibrary._mechanics.kube.opening import OWN_POLICIES

        word = secrets.token_hex(3)
        labels = {"netlibrary.io/closed": word}
        with contextlib.ExitStack() as stack:  # tables of the user's namespace have his pods and policies alone
            cluster.create(objects.closing_policy(f"closed-{word}", namespace, labels))
            stack.callback(cluster.delete, "NetworkPolicy", f"closed-{word}", namespace)
            probers = []
            for role, own in (("closed", {**labels, OWN_POLICIES: "ingress"}), ("asking", None)):
                pod = objects.prober(f"{role}-{word}", namespace, image=image, labels=own)
                stack.callback(cluster.delete, "Pod", f"{role}-{word}", namespace)
                probers.append(self._start_prober(cluster, pod, timeout))
            closed, asking = probers
            pair, by_itself = refusals.at_closed_pod(cluster, closed, asking)
        who = " by the pod itself" if by_itself else " on the way, by a network that rejects what policies deny"
        refused = pair.count(REFUSED) > 0
        logger.info(f"A port behind a policy that allows nobody: {pair.seen}{who if refused else ''}.")
        return not (refused and by_itself)

    def _connections(
        self, wanted: str, kept: set[str], target: str, port: int, source: Source, request: Request,
        slowest_ms: float | None, name: str | None, cluster: str | None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        from NetLibrary._mechanics.connections import judge, run, show
        from NetLibrary._mechanics.connections.causes import explain
        from NetLibrary._mechanics.connections.results import WORDS
        from NetLibrary._mechanics.vantage import InPod

        expected: Callable[[str], bool] = kept.__contains__
        sources, targets = self._sources(source, cluster), self._targets(target, port, cluster)
        # kube-proxy, or whoever enforces policies, may not have noticed yet that the API server is back
        late = self.session.cluster(cluster).connection.absences.recovery_left()
        settling = replace(request, settle_seconds=max(request.settle_seconds, late))
        pairs = run.connect(sources, targets, settling, expected)
        label = name or _robot.current_test() or f"{target}:{port}"
        checks = judge.connections(pairs, wanted, expected, slowest_ms)
        senders = {place.name: place.pod for place in sources if isinstance(place, InPod) and source.kind == "pods"}
        connection, passed = self.session.cluster(cluster), all(check.passed for check in checks)
        problems, causes = explain(
            connection, pairs, wanted, request.protocol, source.namespace, senders, targets, passed=passed
        )
        seen = {result: sum(pair.count(result) for pair in pairs) for result in WORDS}
        times = [attempt.ms for pair in pairs for attempt in pair.attempts]
        conclude(
            self.session,
            kind="connection",
            name=label,
            parameters={"target": target, "port": port, "source": str(source), "wanted": wanted, **vars(request)},
            checks=checks,
            errors=problems,
            causes=causes,
            samples=show.samples(pairs),
            summary={
                "pairs": len(pairs),
                **{f"{result}_attempts": count for result, count in seen.items()},
                "settling_attempts": sum(len(pair.settling) for pair in pairs),
                "slowest_ms": max(times),
            },
            tables=[show.connections(pairs, checks, label)],
        )
        return show.samples(pairs)

    def _conclude_name(self, name: str, type: RecordType, answers: list[Any], checks: list[Any]) -> None:
        from NetLibrary._mechanics.connections import show

        conclude(
            self.session,
            kind="name",
            name=_robot.current_test() or name,
            parameters={"name": name, "type": type.name},
            checks=checks,
            samples=[{"source": source, **vars(answer)} for source, answer in answers],
            summary={"sources": len(answers), "slowest_ms": max(answer.ms for _, answer in answers)},
            tables=[show.names(answers, checks, name)],
        )


def _request(
    protocol: Protocol, family: AddressFamily, attempts: int, timeout: timedelta, settle: timedelta
) -> Request:
    from NetLibrary._mechanics.connections.run import Request

    if not 1 <= attempts <= 100:
        raise errors.InputError(f"attempts is {attempts}; allowed: 1 to 100.")
    if timeout.total_seconds() < 0.1:
        raise errors.InputError(f"timeout is {timeout.total_seconds():g} s; allowed: 0.1 s and more.")
    return Request(protocol.value, family.value, attempts, timeout.total_seconds(), settle.total_seconds())
