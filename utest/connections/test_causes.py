"""What objects say about connections: silence that shows nothing, and the policies behind a wrong one."""

from __future__ import annotations

from typing import Any

import pytest

from NetLibrary._mechanics.connections.causes import explain
from NetLibrary._mechanics.connections.results import Attempt, Pair
from NetLibrary._mechanics.connections.run import Target
from NetLibrary._mechanics.errors import Forbidden

DENY = {
    "kind": "NetworkPolicy", "metadata": {"name": "deny", "namespace": "shop"},
    "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
}  # fmt: skip


def pod(name: str, app: str) -> dict[str, Any]:
    port = {"name": "http", "containerPort": 8080}
    return {
        "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": app}},
        "spec": {"nodeName": name, "containers": [{"name": "c", "ports": [port]}]}, "status": {"podIP": "10.0.0.1"},
    }  # fmt: skip


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": "http"}]
    return {
        "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": "10.96.0.1", "selector": {"app": name}, "ports": ports, **spec},
    }  # fmt: skip


class Objects:
    """Answers questions about a few objects."""

    def __init__(self, *objects: dict[str, Any], forbidden: str = "") -> None:
        self.objects, self.forbidden = objects, forbidden

    def list(self, kind: str, namespace: str | None = None, **_: Any) -> list[dict[str, Any]]:
        if kind == self.forbidden:
            raise Forbidden("no")
        if kind == "EndpointSlice":
            ready = [{"targetRef": {"kind": "Pod", "name": p["metadata"]["name"]}} for p in self.list("Pod")]
            return [{"endpoints": ready}]
        return [o for o in self.objects if o["kind"] == kind]

    def find(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        return next((o for o in self.list(kind) if o["metadata"]["name"] == name), None)

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        return {"metadata": {"name": name}}


@pytest.fixture(autouse=True)
def account_may_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("NetLibrary._mechanics.kube.rights.may", lambda *_: True)


CLIENT = pod("client", "client")


def about(cluster: Objects, result: str, wanted: str, port: int = 80, host: str = "web") -> tuple[list[str], list[str]]:
    pair = Pair("shop/client", f"{host}:{port}", [Attempt(result, 1)])
    passed = {"connected": "connected", "blocked": "silent"}[wanted] == result
    senders, targets = {"shop/client": CLIENT}, [Target(host, port)]
    return explain(cluster, [pair], wanted, "tcp", "shop", senders, targets, passed=passed)  # type: ignore[arg-type]


def test_silence_at_a_port_that_the_service_lacks_shows_no_policy() -> None:
    """`Connection Should Be Blocked    front    81` passed for a Service that has port 80 alone."""
    problems, _ = about(Objects(service(), pod("web-0", "web"), DENY), "silent", "blocked", 81)
    assert problems == ["port is 81/TCP; Service 'web' has 80/TCP."]


def test_silence_of_a_service_without_pods_shows_no_policy() -> None:
    problems, _ = about(Objects(service(), DENY), "silent", "blocked")
    assert problems == ["Service 'web' has no ready pod behind it, so there is nothing to connect to."]


def test_silence_of_a_service_with_pods_passes() -> None:
    assert about(Objects(service(), pod("web-0", "web"), DENY), "silent", "blocked") == ([], [])


@pytest.mark.parametrize("host", ["example.com", "web.example.com", "198.51.100.7"])
def test_what_is_no_service_is_not_asked_for_pods(host: str) -> None:
    assert about(Objects(service()), "silent", "blocked", 81, host) == ([], [])


def test_a_headless_service_translates_no_port() -> None:
    assert about(Objects(service(clusterIP="None"), pod("web-0", "web")), "silent", "blocked", 8080) == ([], [])


@pytest.mark.parametrize(
    ("policies", "result", "wanted", "words"),
    [
        ([DENY], "silent", "connected", "NetworkPolicies deny 'shop/client' to 'shop/web-0:8080': denied by "
         "NetworkPolicy shop/deny (ingress of web-0)."),
        ([], "silent", "connected", "No NetworkPolicy is the cause: 'shop/client' to 'shop/web-0:8080' is allowed "
         "(no policy selects either end)."),
        ([], "connected", "blocked", "NetworkPolicies allow 'shop/client' to 'shop/web-0:8080': no policy "
         "selects either end."),
        ([DENY], "connected", "blocked", "NetworkPolicies deny 'shop/client' to 'shop/web-0:8080' (denied "
         "by NetworkPolicy shop/deny (ingress of web-0)), but the network does not block it."),
    ],
)  # fmt: skip
def test_the_policy_behind_a_wrong_connection_is_named(
    policies: list[dict[str, Any]], result: str, wanted: str, words: str
) -> None:
    assert about(Objects(service(), pod("web-0", "web"), *policies), result, wanted) == ([], [words])


def test_a_port_that_the_service_lacks_is_told_when_nothing_connects() -> None:
    _, causes = about(Objects(service(), pod("web-0", "web")), "unreachable", "connected", 81)
    assert causes == ["port is 81/TCP; Service 'web' has 80/TCP."]


def test_an_account_that_may_not_read_policies_is_told_nothing_of_them() -> None:
    cluster = Objects(service(), pod("web-0", "web"), DENY, forbidden="NetworkPolicy")
    assert about(cluster, "silent", "connected") == ([], [])


def test_no_way_counts_as_blocked_only_when_asked_for() -> None:
    from NetLibrary._mechanics.connections import judge

    pair = Pair("demo/a", "10.9.9.9:80", [Attempt("unreachable", 1)])
    sentence = judge.connections([pair], "blocked", judge.BLOCKED["drop"].__contains__)[0].sentence
    assert sentence.startswith("From 'demo/a' to '10.9.9.9:80': expected blocked, seen the network reported")
    assert "after 1 ms. Either the address is unused" in sentence
    assert judge.connections([pair], "blocked", judge.BLOCKED["any"].__contains__)[0].passed
