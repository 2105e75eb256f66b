"""The data path: two and three routers in one process, linked over loopback with mutual TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from NetLibrary.standins.skupper.runtime import certs, peers
from NetLibrary.standins.skupper.runtime.router import Router

SECONDS = 20.0


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `server`, `client` (same authority) and `stranger` (another one)."""
    folder = tmp_path_factory.mktemp("pki")
    ours, others = certs.new_authority("ours"), certs.new_authority("others")
    pairs = {
        "server": certs.issue(ours, "server", ["127.0.0.1"], client=False, server=True),
        "client": certs.issue(ours, "client", [], client=True, server=False),
        "stranger": certs.issue(others, "stranger", [], client=True, server=False),
    }
    for name, pair in pairs.items():
        (folder / name).mkdir()
        authority = ours.certificate  # a stranger trusts us, but we do not trust it
        for file, data in (("tls.crt", pair.certificate), ("tls.key", pair.key), ("ca.crt", authority)):
            (folder / name / file).write_bytes(data)
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


async def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "waited in vain"
        await asyncio.sleep(0.01)


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


Echo = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")
    writer.close()


class Network:
    """Routers `hub`, `middle` and `client`, and a server behind one of them."""

    def __init__(self, pki: Path) -> None:
        self.pki = pki
        self.routers: dict[str, Router] = {}
        self.configs: dict[str, dict] = {}
        self.port = free_port()

    def add(self, name: str, **config: dict) -> Router:
        router = Router(name, {"id": f"id-{name}", "name": name, "namespace": name})
        self.routers[name], self.configs[name] = router, config
        router.configure(config)
        return router

    def change(self, name: str, **config: dict) -> None:
        self.configs[name].update(config)
        self.routers[name].configure(self.configs[name])

    def access(self, port: int) -> dict:
        return {"in": {"host": "127.0.0.1", "port": port, "directory": str(self.pki / "server")}}

    def link(self, port: int, who: str = "client", cost: int = 1) -> dict:
        return {
            f"link-{port}": {"host": "127.0.0.1", "port": port, "cost": cost, "directory": str(self.pki / who)},
        }

    def listener(self, key: str = "k") -> dict:
        return {"l": {"host": "127.0.0.1", "port": self.port, "address": key}}

    @staticmethod
    def servers(*ports: int, key: str = "k") -> dict:
        return {f"c@{p}": {"host": "127.0.0.1", "port": p, "address": key} for p in ports}


@asynccontextmanager
async def linked(pki: Path, *, handler: Echo = echo) -> AsyncIterator[tuple[Network, asyncio.Server]]:
    """A hub with an echo server and a client with an open port, both linked."""
    network = Network(pki)
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    access = free_port()
    try:
        network.add(
            "hub", listener=network.access(access), tcpConnector=network.servers(server.sockets[0].getsockname()[1])
        )
        network.add("client", connector=network.link(access), tcpListener=network.listener())
        await until(lambda: network.routers["client"].ports["l"].bound)
        yield network, server
    finally:
        for router in network.routers.values():
            router.stop()
        server.close()
        await asyncio.sleep(0.05)


async def talk(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), SECONDS)
    writer.close()
    return answer


def test_bytes_and_half_close_cross_the_link(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, _):
            blob = bytes(range(256)) * 8192  # 2 MiB: many frames, and back-pressure
            assert await talk(network.port, blob) == blob + b"bye"
            assert await talk(network.port, b"") == b"bye"

    asyncio.run(scenario())


def test_many_streams_at_once_keep_apart(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, _):
            texts = [f"stream {n} ".encode() * 500 for n in range(40)]
            answers = await asyncio.gather(*(talk(network.port, text) for text in texts))
            assert answers == [text + b"bye" for text in texts]

    asyncio.run(scenario())


def test_without_a_connector_the_client_is_refused(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, _):
            servers = network.configs["hub"]["tcpConnector"]
            network.change("hub", tcpConnector={})
            await until(lambda: not network.routers["client"].ports["l"].bound)
            assert not await accepts(network.port)
            network.change("hub", tcpConnector=servers)
            await until(lambda: network.routers["client"].ports["l"].bound)
            assert await talk(network.port, b"x") == b"xbye"

    asyncio.run(scenario())


def test_another_routing_key_does_not_open_the_port(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, server):
            port = server.sockets[0].getsockname()[1]
            network.change("hub", tcpConnector=network.servers(port, key="other"))
            await until(lambda: not network.routers["client"].ports["l"].bound)
            assert not await accepts(network.port)

    asyncio.run(scenario())


def test_a_closed_server_port_means_accepted_then_end_of_file(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, server):
            server.close()
            await server.wait_closed()
            reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
            writer.write(b"anyone there?")
            assert await asyncio.wait_for(reader.read(), SECONDS) == b""
            writer.close()

    asyncio.run(scenario())


def test_a_removed_connector_ends_its_streams(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
            writer.write(b"x")
            assert await asyncio.wait_for(reader.read(1), SECONDS) == b"x"
            network.change("hub", tcpConnector={})
            assert await asyncio.wait_for(reader.read(), 1) == b""
            writer.close()

    asyncio.run(scenario())


def test_a_removed_link_ends_streams_and_closes_the_port(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
            writer.write(b"x")
            await asyncio.wait_for(reader.read(1), SECONDS)
            network.change("client", connector={})
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 1)
            await until(lambda: not network.routers["client"].ports["l"].bound)
            assert len(network.routers["hub"].network()) == 1
            writer.close()

    asyncio.run(scenario())


def test_a_router_that_comes_back_is_linked_again(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, _):
            network.routers["hub"].stop()
            await until(lambda: not network.routers["client"].ports["l"].bound)
            network.add("hub", **network.configs["hub"])
            await until(lambda: network.routers["client"].ports["l"].bound)
            assert await talk(network.port, b"x") == b"xbye"

    asyncio.run(scenario())


def test_a_certificate_of_another_authority_does_not_link(pki: Path) -> None:
    async def scenario() -> None:
        network = Network(pki)
        access = free_port()
        try:
            hub = network.add("hub", listener=network.access(access))
            client = network.add("client", connector=network.link(access, "stranger"))
            await asyncio.sleep(0.6)
            assert not hub.peers
            assert not client.peers
            assert client.network()[0]["links"][0]["operational"] is False
            network.change("client", connector=network.link(access))
            await until(lambda: hub.peers and client.peers)
        finally:
            for router in network.routers.values():
                router.stop()

    asyncio.run(scenario())


def test_the_link_port_refuses_clients_without_certificate_and_old_tls(pki: Path) -> None:
    async def scenario() -> None:
        network = Network(pki)
        access = free_port()
        network.add("hub", listener=network.access(access))
        try:
            plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            plain.load_verify_locations(pki / "server" / "ca.crt")

            async def first_byte() -> None:
                reader, _ = await asyncio.open_connection("127.0.0.1", access, ssl=plain)
                await reader.readexactly(1)

            with pytest.raises(OSError, match=r"(?i)certificate required|reset|shutdown"):
                await first_byte()
            plain.load_cert_chain(pki / "client" / "tls.crt", pki / "client" / "tls.key")
            plain.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection("127.0.0.1", access, ssl=plain)
        finally:
            network.routers["hub"].stop()

    asyncio.run(scenario())


def test_connections_spread_over_two_servers(pki: Path) -> None:
    async def scenario() -> None:
        counts = {"a": 0, "b": 0}

        def counting(name: str) -> Echo:
            async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                counts[name] += 1
                await echo(reader, writer)

            return handler

        async with linked(pki, handler=counting("a")) as (network, first):
            second = await asyncio.start_server(counting("b"), "127.0.0.1", 0)
            ports = [s.sockets[0].getsockname()[1] for s in (first, second)]
            network.change("hub", tcpConnector=network.servers(*ports))
            await asyncio.sleep(0.1)
            for _ in range(20):
                assert await talk(network.port, b"x") == b"xbye"
            assert counts == {"a": 10, "b": 10}
            second.close()

    asyncio.run(scenario())


def test_a_dead_server_among_two_gets_half_of_the_connections_one_after_the_other(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, server):
            network.change("hub", tcpConnector=network.servers(server.sockets[0].getsockname()[1], free_port()))
            await asyncio.sleep(0.1)
            answers = [await talk(network.port, b"x") for _ in range(20)]
            assert answers.count(b"") == 10

    asyncio.run(scenario())


def test_streams_pass_a_router_in_the_middle(pki: Path) -> None:
    async def scenario() -> None:
        network = Network(pki)
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        first, second = free_port(), free_port()
        try:
            port = server.sockets[0].getsockname()[1]
            network.add("hub", listener=network.access(first), tcpConnector=network.servers(port))
            network.add("middle", listener=network.access(second), connector=network.link(first))
            client = network.add("client", connector=network.link(second), tcpListener=network.listener())
            await until(lambda: client.ports["l"].bound)
            await until(lambda: {ad["router"] for ad in client.network()} == {"hub", "middle", "client"})
            blob = b"0123456789" * 100_000
            assert await talk(network.port, blob) == blob + b"bye"
            network.change("middle", connector={})
            await until(lambda: not client.ports["l"].bound)
        finally:
            for router in network.routers.values():
                router.stop()
            server.close()

    asyncio.run(scenario())


def test_traffic_also_goes_from_the_accepting_side_to_the_dialling_side(pki: Path) -> None:
    async def scenario() -> None:
        network = Network(pki)
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        access = free_port()
        try:
            hub = network.add("hub", listener=network.access(access), tcpListener=network.listener())
            port = server.sockets[0].getsockname()[1]
            network.add("client", connector=network.link(access), tcpConnector=network.servers(port))
            await until(lambda: hub.ports["l"].bound)
            answers = await asyncio.gather(*(talk(network.port, b"x") for _ in range(12)))
            assert answers == [b"xbye"] * 12
        finally:
            for router in network.routers.values():
                router.stop()
            server.close()

    asyncio.run(scenario())


def test_priority_keys_fall_back_when_the_first_is_gone(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, server):
            settings = network.listener()["l"] | {"address": "", "strategy": {"priority": ["best", "k"]}}
            network.change("client", tcpListener={"m": settings})
            port = network.routers["client"].ports["m"]
            await until(lambda: port.choose() == "k")
            number = server.sockets[0].getsockname()[1]
            both = network.servers(number) | {"best": {"host": "127.0.0.1", "port": number, "address": "best"}}
            network.change("hub", tcpConnector=both)
            await until(lambda: port.choose() == "best")

    asyncio.run(scenario())


def test_renewed_certificates_leave_links_up(pki: Path) -> None:
    async def scenario() -> None:
        async with linked(pki) as (network, _):
            (peer,) = network.routers["hub"].peers
            (settings,) = network.configs["hub"]["listener"].values()
            (pki / "renewed").mkdir(exist_ok=True)
            for file in (pki / "server").iterdir():
                (pki / "renewed" / file.name).write_bytes(file.read_bytes())
            network.change("hub", listener={"in": {**settings, "directory": str(pki / "renewed")}})
            await asyncio.sleep(0.2)
            assert network.routers["hub"].peers == [peer]
            assert await talk(network.port, b"x") == b"xbye"

    asyncio.run(scenario())


def test_clients_and_servers_that_speak_tls(pki: Path) -> None:
    async def scenario() -> None:
        async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello " + await reader.readline())
            writer.close()

        async with linked(pki) as (network, _):
            inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            inside.load_cert_chain(pki / "server" / "tls.crt", pki / "server" / "tls.key")
            server = await asyncio.start_server(hello, "127.0.0.1", 0, ssl=inside)
            folder = str(pki / "server")
            (settings,) = network.servers(server.sockets[0].getsockname()[1]).values()
            secured = {**settings, "directory": str(pki / "client"), "verifyHostname": True}
            network.change("hub", tcpConnector={"c": secured})
            network.change("client", tcpListener={"t": {**network.listener()["l"], "directory": folder}})
            await until(lambda: network.routers["client"].ports["t"].bound)
            outside = ssl.create_default_context(cafile=str(pki / "server" / "ca.crt"))
            reader, writer = await asyncio.open_connection("127.0.0.1", network.port, ssl=outside)
            writer.write(b"world\n")
            assert await asyncio.wait_for(reader.read(), SECONDS) == b"hello world\n"
            writer.close()
            with pytest.raises(ConnectionResetError):
                await talk(network.port, b"no TLS\n")
            server.close()

    asyncio.run(scenario())


def test_streams_that_wait_for_a_channel_do_not_ask_again_each_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(peers, "ASK_AGAIN_SECONDS", 0.1)
        monkeypatch.setattr(peers, "TAKE_SECONDS", 0.55)
        asked: list[int] = []
        peer = peers.Peer(Router("r", {}), "other", "s", None, 1)  # type: ignore[arg-type]
        peer.more = asked.append
        results = await asyncio.gather(*(peer.take() for _ in range(50)), return_exceptions=True)
        assert all(isinstance(result, peers.Lost) for result in results)
        assert sum(asked) <= 53 * 6  # every 0.1 s once for all, not 50 times

    asyncio.run(scenario())
