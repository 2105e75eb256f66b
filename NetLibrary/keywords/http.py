"""Keywords for what an application answers over HTTP and TLS, asked from pods, nodes and outside."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Literal

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.secrets import head
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords._conclude import conclude
from NetLibrary.keywords._sources import SourceBase
from NetLibrary.types import AddressFamily, Source

FIVE_SECONDS = timedelta(seconds=5)


class HTTPKeywords(SourceBase):
    """Send HTTP requests and check certificates."""

    @keyword(name="HTTP Response Should Be", tags=["connection", "http"])
    def http_response_should_be(
        self, url: str, source: Source, *, status: str = "200", text: str = "", answered_by: Source | None = None,
        method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET",
        headers: Mapping[str, str] | None = None, body: str = "", family: AddressFamily = AddressFamily.ANY,
        attempts: int = 1, verify: bool = True, ca: str = "", timeout: timedelta = FIVE_SECONDS,
        settle: timedelta = FIVE_SECONDS, time_at_most: timedelta | None = None, name: str | None = None,
        cluster: str | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Sends HTTP requests from a source, over the cluster's network, and fails unless the answers are as expected.

        Each request uses its own connection; redirects are not followed. A small program at the source connects and
        carries bytes, so its image needs no HTTP client, only one of python3, nc and bash. For servers that the machine
        running the tests can reach, RequestsLibrary is the better choice; see [Start Port Forward].

        Args:
            url: URL, for instance `http://web.shop/healthz`.
            source: Where to connect from; see [Source].
            status: Status that the answer must have, or several separated by commas: `200`, `2xx`, `301,302`.
            text: Text that the answer must contain.
            answered_by: Pods, as `namespace/label=value`, one of which must have answered: its name must be in the
                answer's text or headers, where test servers, gateways and meshes put it.
            method: HTTP method.
            headers: Headers of the request by name.
            body: Body of the request.
            family: Address family, for names that have addresses of both; with IPv4 or IPv6 the source's image needs
                python3.
            attempts: How many answers are judged.
            verify: Whether the certificate must be trusted and match the host.
            ca: Certificate authorities to trust, as a file or PEM text; those of this machine by default.
            timeout: Longest time for each step of a request.
            settle: Time during which answers may still differ.
            time_at_most: Longest time from the request to the complete answer. It includes the way through the API
                server.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.
        Returns:
            The answers: dictionaries with `source`, `status`, `text`, `headers`, `ms`, `address`, `pod` and `problem`.

        ```robotframework
        *** Test Cases ***
        The Shop Answers From Every Node
            HTTP Response Should Be    http://web.shop/    every node    answered_by=shop/app=web
        A Stranger Is Not Let In
            HTTP Response Should Be    https://web.shop/admin    shop/app=client    status=401,403    verify=False
        ```
        """
        from NetLibrary._mechanics.connections import http
        from NetLibrary._mechanics.connections.http import Asked, Wanted

        if not 1 <= attempts <= 100:
            raise InputError(f"attempts is {attempts}; allowed: 1 to 100.")
        asked = Asked(
            url, method, dict(headers or {}), body, family.value, timeout.total_seconds(), verify=verify, ca=ca
        )
        slowest = None if time_at_most is None else time_at_most.total_seconds() * 1000
        wanted = Wanted(http.statuses(status), text, self._pod_names(answered_by, cluster), slowest)
        http.target_of(url)
        return self._ask_over_http(asked, wanted, source, attempts, settle, name, cluster)

    @keyword(name="Get TLS Certificate", tags=["connection", "tls"])
    def get_tls_certificate(
        self, host: str, port: int, source: Source, *, server_name: str | None = None, ca: str = "",
        family: AddressFamily = AddressFamily.ANY, timeout: timedelta = FIVE_SECONDS, cluster: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Returns facts about the certificate that a server presents to a source.

        Args:
            host: Name or address.
            port: Port.
            source: Where to connect from; see [Source]. Of several places, the first one is used.
            server_name: Name to ask the server for (SNI), which its certificate must have; the host by default.
            ca: Certificate authorities to trust, as a file or PEM text; those of this machine by default.
            family: Address family, for names that have addresses of both.
            timeout: Longest time for each step.
            cluster: Alias of the cluster.
        Returns:
            A dictionary with `subject`, `issuer`, `names`, `not_before` and `not_after` (seconds since 1970),
            `problem` (why it is not trusted; empty when it is), `version` (of TLS) and `source`.
        """
        from NetLibrary._mechanics.connections import tls
        from NetLibrary._mechanics.connections.run import Target

        places = self._sources(source, cluster)[:1]
        seen = tls.look(
            places[0], Target(host, port), server_name or host, ca=ca, family=family.value,
            limit_seconds=timeout.total_seconds(),
        )  # fmt: skip
        return {**asdict(seen), "names": list(seen.names)}

    @keyword(name="TLS Certificate Should Be Valid", tags=["connection", "tls"])
    def tls_certificate_should_be_valid(
        self, host: str, port: int, source: Source, *names: str, issuer: str = "",
        days_left_at_least: timedelta | None = None, server_name: str | None = None, ca: str = "",
        family: AddressFamily = AddressFamily.ANY, timeout: timedelta = FIVE_SECONDS, name: str | None = None,
        cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Fails unless a server presents a certificate that is trusted, matches its name and is valid now.

        Args:
            host: Name or address.
            port: Port.
            source: Where to connect from; see [Source].
            names: Names and addresses that the certificate must cover besides the server's own.
            issuer: Part of the issuer's name, for instance `CN=shop-ca`.
            days_left_at_least: Shortest acceptable time until it expires, for instance `30 days`.
            server_name: Name to ask the server for (SNI), which its certificate must have; the host by default.
            ca: Certificate authorities to trust, as a file or PEM text; those of this machine by default.
            family: Address family, for names that have addresses of both.
            timeout: Longest time for each step.
            name: Name in the table and the record; the test's name by default.
            cluster: Alias of the cluster.

        ```robotframework
        *** Test Cases ***
        The Certificate Is Renewed In Time
            TLS Certificate Should Be Valid    web.shop    443    every node    days_left_at_least=14 days    ca=ca.crt
        ```
        """
        from NetLibrary._mechanics.connections import tls
        from NetLibrary._mechanics.connections.run import Target
        from NetLibrary._mechanics.report import Cell, Table

        target, now = Target(host, port), time.time()
        least = None if days_left_at_least is None else days_left_at_least.total_seconds() / tls.DAY
        seen = [
            tls.look(
                place, target, server_name or host, ca=ca, family=family.value, limit_seconds=timeout.total_seconds()
            )
            for place in self._sources(source, cluster)
        ]
        checks = [
            check
            for each in seen
            for check in tls.judge(each, str(target), names=names, issuer=issuer, days_at_least=least, now=now)
        ]
        rows = [
            [
                each.source,
                each.subject,
                ", ".join(each.names),
                each.issuer,
                f"{(each.not_after - now) / tls.DAY:.1f}",
                Cell(each.problem or "trusted", "bad" if each.problem else "good"),
            ]
            for each in seen
        ]
        label = name or _robot.current_test() or str(target)
        conclude(
            self.session, kind="tls", name=label, parameters={"target": str(target), "source": str(source)},
            checks=checks, samples=[asdict(each) for each in seen],
            summary={"days_left": round(min((each.not_after - now) / tls.DAY for each in seen), 2)},
            tables=[Table(["from", "subject", "names", "issuer", "days left", "trust"], rows, label)],
        )  # fmt: skip

    # --- helpers --------------------------------------------------------------------------------------

    def _pod_names(self, pods: Source | None, cluster: str | None) -> tuple[str, ...]:
        from NetLibrary._mechanics.vantage import pods_of

        if pods is None:
            return ()
        if pods.kind != "pods":
            raise InputError(f"answered_by is '{pods}'; allowed: pods as namespace/name or namespace/label=value.")
        found = pods_of(self.session.cluster(cluster), pods.namespace, pods.which)
        return tuple(str(pod["metadata"]["name"]) for pod in found)

    def _ask_over_http(
        self, asked: Any, wanted: Any, source: Source, attempts: int, settle: timedelta, name: str | None,
        cluster: str | None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        from concurrent.futures import ThreadPoolExecutor

        from NetLibrary._mechanics.connections import http
        from NetLibrary._mechanics.connections.run import AT_ONCE
        from NetLibrary._mechanics.report import Cell, Table

        places = self._sources(source, cluster)
        with ThreadPoolExecutor(min(AT_ONCE, max(1, len(places)))) as pool:
            asking = pool.map(
                lambda place: http.request(
                    place, asked, wanted, attempts=attempts, settle_seconds=settle.total_seconds()
                ),
                places,
            )
            outcomes = list(asking)
        answers = [answer for found, _ in outcomes for answer in found]
        checks = [check for _, judged in outcomes for check in judged]
        rows: list[list[object]] = []
        for answer in answers:
            fits = all(check.passed for check in http.judge(answer, asked, wanted))
            status = Cell(str(answer.status or answer.problem), "good" if fits else "bad")
            rows.append(
                [
                    answer.source,
                    answer.address,
                    status,
                    answer.pod,
                    f"{answer.ms:.0f} ms",
                    head(" ".join(answer.text.split()), 80),
                ]
            )
        label = name or _robot.current_test() or asked.url
        conclude(
            self.session,
            kind="http",
            name=label,
            parameters={"url": asked.url, "method": asked.method, "source": str(source), "family": asked.family},
            checks=checks,
            samples=[
                {"source": each.source, "status": each.status, "ms": each.ms, "pod": each.pod, "problem": each.problem}
                for each in answers
            ],
            summary={"answers": len(answers), "slowest_ms": round(max(each.ms for each in answers), 1)},
            tables=[Table(["from", "to", "status", "answered by", "time", "answer"], rows, label)],
        )
        return [{**asdict(answer), "headers": dict(answer.headers)} for answer in answers]
