"""Grants and tokens over real HTTPS on loopback."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from NetLibrary.standins.skupper.runtime import access, certs, names
from NetLibrary.standins.skupper.runtime.grants import duration
from NetLibrary.standins.skupper.runtime.tokens import Refused, ask

from .cluster import Cluster


@asynccontextmanager
async def granting(monkeypatch: pytest.MonkeyPatch, *, site: bool = True) -> AsyncIterator[Cluster]:
    """A controller with a grant server on loopback, and a Site in `hub` that accepts links."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    monkeypatch.setattr(names, "PORT_GRANTS", port)
    monkeypatch.setattr(access, "SERVICE_TYPES", {"local": "ClusterIP"})
    cluster = Cluster()
    cluster.controller.grants.access = access.AccessTypes({"SKUPPER_DEFAULT_ACCESS_TYPE": "local"})
    monkeypatch.setattr(
        access,
        "_endpoints",
        lambda types, kind, secured, service: [
            {"name": p["name"], "host": "127.0.0.1", "port": str(p["port"])} for p in secured["spec"]["ports"]
        ],
    )
    if site:
        cluster.put("Site", "hub", "hub", {"linkAccess": "local"})
    await cluster.settle("skupper", "hub")
    yield cluster


def token_of(cluster: Cluster, grant: str, **changes: str) -> dict[str, Any]:
    status = cluster.get("AccessGrant", "hub", grant)["status"]
    spec = {key: status[key] for key in ("url", "code", "ca")} | changes
    return {"metadata": {"name": "token", "namespace": "client"}, "spec": spec}


async def redeem(token: dict) -> list[dict]:
    return await asyncio.to_thread(ask, token, "site-uid")


async def refusal(token: dict) -> str:
    with pytest.raises(Refused) as caught:
        await redeem(token)
    return str(caught.value)


def test_a_token_brings_a_secret_and_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with granting(monkeypatch) as cluster:
            cluster.put("AccessGrant", "hub", "g", {"redemptionsAllowed": 2})
            await cluster.settle("hub")
            assert cluster.status("AccessGrant", "hub", "g") == ("Ready", "OK")
            status = cluster.get("AccessGrant", "hub", "g")["status"]
            assert status["url"].endswith(cluster.get("AccessGrant", "hub", "g")["metadata"]["uid"])
            assert len(status["code"]) == 24
            secret, link = await redeem(token_of(cluster, "g"))
            assert (secret["metadata"]["name"], secret["type"]) == ("token", "kubernetes.io/tls")
            assert link["spec"]["tlsCredentials"] == "token"
            assert {e["name"] for e in link["spec"]["endpoints"]} == {"inter-router", "edge"}
            authority = cluster.get("Secret", "hub", "skupper-site-ca")["data"]["tls.crt"]
            assert secret["data"]["ca.crt"] == authority
            assert cluster.get("AccessGrant", "hub", "g")["status"]["redemptions"] == 1

    asyncio.run(scenario())


def test_every_refusal_has_its_code_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with granting(monkeypatch) as cluster:
            cluster.put("AccessGrant", "hub", "g", {})
            cluster.put("AccessGrant", "hub", "short", {"expirationWindow": "1ms"})
            await cluster.settle("hub")
            url = cluster.get("AccessGrant", "hub", "g")["status"]["url"]
            failed = "Controller got failed response: "
            refused = failed + "403 (Forbidden) Redemption of access token refused"
            unknown = failed + "404 (Not Found) No such claim"
            assert await refusal(token_of(cluster, "g", code="wrong")) == refused
            assert await refusal(token_of(cluster, "g", url=url + "x")) == unknown
            assert await refusal(token_of(cluster, "short")) == unknown
            assert await refusal(token_of(cluster, "g", url=url.replace("https", "http"))) == (
                "token url scheme must be https"
            )
            assert await refusal(token_of(cluster, "g", ca=" ")) == "token does not have a CA"
            await redeem(token_of(cluster, "g"))  # one redemption when nothing is said
            over = failed + "404 (Not Found) No such access granted"
            assert await refusal(token_of(cluster, "g")) == over

    asyncio.run(scenario())


def test_a_redemption_before_the_site_has_endpoints_is_burnt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with granting(monkeypatch, site=False) as cluster:
            cluster.put("AccessGrant", "hub", "g", {})
            cluster.put("AccessGrant", "hub", "h", {})
            await cluster.settle("hub")
            words = await refusal(token_of(cluster, "g"))
            assert words.endswith("500 (Internal Server Error) Site not yet defined for hub")
            cluster.put("Site", "hub", "hub", {})
            await cluster.settle("hub")
            words = await refusal(token_of(cluster, "h"))
            assert words.endswith("500 (Internal Server Error) No valid endpoints found for site")
            assert (await refusal(token_of(cluster, "g"))).endswith("No such access granted")

    asyncio.run(scenario())


def test_the_server_takes_posts_over_tls_13_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with granting(monkeypatch) as cluster:
            cluster.put("AccessGrant", "hub", "g", {})
            await cluster.settle("hub")
            authority = cluster.get("AccessGrant", "hub", "g")["status"]["ca"]

            def get(version: ssl.TLSVersion) -> int:
                context = ssl.create_default_context(cadata=authority)
                context.maximum_version = version
                connection = http.client.HTTPSConnection("127.0.0.1", names.PORT_GRANTS, context=context, timeout=5)
                connection.request("GET", "/x")
                return connection.getresponse().status

            assert await asyncio.to_thread(get, ssl.TLSVersion.TLSv1_3) == 405
            with pytest.raises(ssl.SSLError):
                await asyncio.to_thread(get, ssl.TLSVersion.TLSv1_2)

    asyncio.run(scenario())


def test_a_token_with_the_authority_of_another_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with granting(monkeypatch) as cluster:
            cluster.put("AccessGrant", "hub", "g", {})
            await cluster.settle("hub")
            other = certs.new_authority("other").certificate.decode()
            words = await refusal(token_of(cluster, "g", ca=other))
            assert words.startswith("Controller got error: ")
            assert "certificate verify failed" in words
            assert cluster.get("AccessGrant", "hub", "g")["status"].get("redemptions") is None

    asyncio.run(scenario())


def test_without_an_address_grants_stay_pending() -> None:
    async def scenario() -> None:
        cluster = Cluster()  # its balancer gives no address
        cluster.put("AccessGrant", "hub", "g", {"code": "chosen", "expirationWindow": "15m"})
        await cluster.settle("skupper", "hub")
        assert cluster.status("AccessGrant", "hub", "g") == ("Pending", "Pending")
        status = cluster.get("AccessGrant", "hub", "g")["status"]
        assert status["code"] == "chosen"
        assert "url" not in status

    asyncio.run(scenario())


def test_faults_of_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        cluster = Cluster()
        cluster.put("AccessGrant", "hub", "g", {"expirationWindow": "soon"})
        cluster.put("Site", "rim", "rim", {"edge": True})
        cluster.put("AccessGrant", "rim", "g", {})
        await cluster.settle("hub", "rim")
        status, words = cluster.status("AccessGrant", "hub", "g")
        assert status == "Error"
        assert words.startswith('Invalid duration "soon": ')
        assert cluster.status("AccessGrant", "rim", "g") == (
            "Error",
            "Edge sites cannot accept incoming links from remote sites",
        )

    asyncio.run(scenario())


def test_the_controller_redeems_tokens_and_owns_what_they_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with granting(monkeypatch) as cluster:
            site = cluster.put("Site", "client", "client", {})
            cluster.put("AccessGrant", "hub", "g", {})
            await cluster.settle("hub", "client")
            spec = token_of(cluster, "g")["spec"] | {"linkCost": 7}
            cluster.put("AccessToken", "client", "t", spec)
            await cluster.settle("client")
            for _ in range(200):
                if cluster.status("AccessToken", "client", "t")[0]:
                    break
                await asyncio.sleep(0.01)
            assert cluster.status("AccessToken", "client", "t") == ("Ready", "OK")
            assert cluster.get("AccessToken", "client", "t")["status"]["redeemed"] is True
            link = cluster.get("Link", "client", "t")
            assert link["spec"]["cost"] == 7
            for obj in (link, cluster.get("Secret", "client", "t")):
                assert obj["metadata"]["ownerReferences"][0]["uid"] == site["metadata"]["uid"]
            pair = certs.KeyPair.from_secret(cluster.get("Secret", "client", "t"))
            assert pair.authority == b64decode(cluster.get("Secret", "hub", "skupper-site-ca")["data"]["tls.crt"])
            cluster.api.remove("Site", "client", "client")
            await cluster.settle("client")
            words = ("Error", "Already redeemed for a deleted site")
            assert cluster.status("AccessToken", "client", "t") == words

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "seconds"), [("15m", 900), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25), ("-1m", -60)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "15", "m", "1d", "1h 30m"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        duration(text)


def test_before_2_2_a_grant_that_names_no_number_can_never_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKUPPER_STAND_IN_LIKE", "2.1")

    async def scenario() -> None:
        async with granting(monkeypatch) as cluster:
            cluster.put("AccessGrant", "hub", "g", {})
            await cluster.settle("hub")
            assert (await refusal(token_of(cluster, "g"))).endswith("No such access granted")

    asyncio.run(scenario())
